//! What is refused, and rules that are broken.

use std::fs;
use std::path::Path;

use nix::sys::stat::Mode;

use super::SMALL;
use crate::fixture::{Fixture, noise};

#[test]
fn a_rule_that_is_broken_fails_with_the_numbers() {
    let fixture = Fixture::new();
    fixture.ok(&format!("{SMALL} -o out --fail-if seconds@1<0 --fail-if efficiency@2/processes>1000"));
    let output = fixture.run(&format!("{SMALL} -o out --fail-if seconds@2>0 --fail-if efficiency@2<=1000"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("seconds with 2 workers is 0.") && text.contains("for processes, and --fail-if has seconds@2>0."),
        "{text}"
    );
    assert!(text.contains("efficiency with 2 workers is ") && text.contains("(95 %: "), "{text}");
    // Fewer than five runs, which an older folder has of what it is asked again, tell nothing.
    let few = format!("{} -o few --fail-if seconds@2>0", SMALL.replace("--repeat 5", "--repeat 2"));
    let output = fixture.run(&few);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(4) && text.contains("there are 2. Make more (--repeat 5"), "{text}");
    fixture.fails_in_folder("out", &format!("{SMALL} -o out --fail-if speedup@3<1"), 2, "no such runs are made");
    fixture.fails_in_folder("out", &format!("{SMALL} -o out --fail-if speed@2<1"), 2, "as in efficiency@2<0.9");
}

#[test]
fn what_cannot_be_run_is_refused() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((3, 3), 1));
    for (line, code, words) in [
        ("scale", 2, "JOB"),
        ("scale frobnicate", 2, "frobnicate"),
        ("scale sum --workers 0", 2, "1 to 1024"),
        ("scale sum --workers 2,4 --engines processes", 2, "Add 1 to --workers, or serial to --engines"),
        ("scale --workers 2 exec -- true", 2, "Add 1 to --workers."),
        ("scale sum --sizes 3x4", 2, "a number of elements"),
        ("scale matmul --sizes 3x4", 2, "N or MxKxN"),
        ("scale image --sizes 34", 2, "WxH"),
        ("scale mandelbrot --sizes 0x4", 2, "above 0"),
        ("scale sum a.npy --sizes 34", 2, "an input has its size"),
        ("scale sum a.npy --weak", 2, "does not grow"),
        ("scale sum --weak --strong", 2, "cannot be used with"),
        ("scale matmul a.npy", 2, "<B>"),
        ("scale sum b.npy", 3, "b.npy cannot be read"),
        ("scale --repeat 0 sum", 2, "--repeat"),
        ("scale --deadline soon sum", 2, "not a time"),
        ("scale --engines threads exec -- true", 2, "a command has none"),
        ("scale --sizes 3 exec -- true", 2, "no {size}"),
        ("scale exec -- true {size}", 2, "Add --sizes"),
        ("scale --weak exec -- true", 2, "grows with the workers"),
        ("scale exec", 2, "COMMAND"),
        ("scale sum -o a.npy", 1, "cannot be made"),
        ("measure nonsense", 2, "Call that instead"),
    ] {
        fixture.fails(line, code, &[words]);
    }
    for (line, code, words) in [
        ("scale --workers 1 -q -o out exec -- ./nothing", 3, "./nothing cannot be run"),
        ("scale --workers 1 -q -o out2 exec -- sh -c false", 1, "failed (exit status: 1). It said nothing."),
        ("scale image a.npy --workers 1 -q -o out3", 3, "a.npy"),
        ("scale sum --split diagonals -q -o out4", 2, "rows=64"),
        ("scale mandelbrot --sizes 9x9 --zoom 0 -q -o out5 --workers 1", 2, "zoom"),
    ] {
        fixture.refuses(line, code, words);
    }
    nix::unistd::mkfifo(&fixture.path("gate"), Mode::S_IRWXU).unwrap();
    let line = "scale --workers 1 -q --deadline 50ms -o late exec -- cat gate";
    fixture.refuses(line, 1, "did not end within 50ms and was killed");
    // No run was made there, so nothing keeps another job out.
    fixture.ok("scale sum --sizes 10 --workers 1 --repeat 1 -q -o late");
}

#[test]
fn a_run_that_takes_too_long_leaves_no_process() {
    let fixture = Fixture::new();
    // One in the run's group, one in a session of its own, which its parent does not wait for.
    let script = "sleep 1000 & echo $! >> pids\nsetsid sh -c 'echo $$ >> pids; exec sleep 1000' &\nwait\n";
    fs::write(fixture.path("late.sh"), script).unwrap();
    fixture.refuses(
        "scale --workers 1 --warm-up 0 -q --deadline 1s -o late exec -- sh late.sh",
        1,
        "did not end within 1s",
    );
    let pids = fs::read_to_string(fixture.path("pids")).unwrap_or_default();
    for pid in pids.lines() {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} of {pids} is there");
    }
}
