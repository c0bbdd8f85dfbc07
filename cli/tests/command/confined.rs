//! `parfork exec --sandbox`: what programs in a sandbox can read and write.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::exec::DOUBLE;
use crate::fixture::{Fixture, watched};

/// It works on what it was given, and gets at nothing else.
#[test]
fn a_program_in_a_sandbox_has_its_arrays_and_no_more() {
    let fixture = Fixture::new();
    let twice: Vec<u8> = fixture.bytes("a.npy", 12).iter().map(|byte| byte * 2).collect();
    fs::write(fixture.path("secret"), b"a secret").unwrap();
    let secret = fixture.path("secret").display().to_string();
    let tries = format!(
        "cat {secret} >&2 && echo it read; echo x > {secret}.new && echo it wrote >&2; cat /etc/passwd > /dev/null && echo it read >&2\n{DOUBLE}"
    );
    let line = "--in a.npy --out b.npy -n 2 --split rows=3 -q --sandbox";
    let text = fixture.exec_ok(line, &tries);
    if text.contains("this kernel, or a container, lacks") {
        return println!("skipped: {text}");
    }
    assert!(!text.contains("it read") && !text.contains("it wrote") && !text.contains("a secret"), "{text}");
    assert_eq!(fixture.found("b.npy"), twice);
    assert!(!fixture.path("secret.new").exists());
    fixture.exec_ok(
        &format!("{line} --guard --allow-read {secret}"),
        &format!("cat {secret} > /dev/null || exit 9\n{DOUBLE}"),
    );
    assert_eq!(fixture.found("b.npy"), twice);
}

/// A file that an argument names, and nothing beside it; a folder that one names not at all.
#[test]
fn a_program_in_a_sandbox_reads_what_is_named_and_nothing_beside_it() {
    let fixture = Fixture::new();
    let twice: Vec<u8> = fixture.bytes("a.npy", 4).iter().map(|byte| byte * 2).collect();
    for name in ["named", "beside"] {
        fs::write(fixture.path(name), b"text").unwrap();
    }
    let script = format!(
        "read -r text < $1 || [ \"$text\" = text ] || exit 9; cat $2/beside >&2 && exit 8; cat /etc/passwd >&2 && exit 7\n{DOUBLE}"
    );
    let run = |more: &str, folder: &Path| {
        let mut command = fixture.exec(&format!("--in a.npy --out b.npy -n 1 -q --sandbox {more}"), &script);
        let command = command.arg("sh").arg(fixture.path("named")).arg(folder).arg("/etc/hostname");
        watched("exec", command.spawn().unwrap())
    };
    let folder = fixture.path("");
    let output = run("", &folder);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fixture.found("b.npy"), twice);
    let output = run(&format!("--allow-read {}", folder.display()), &folder);
    assert!(String::from_utf8_lossy(&output.stderr).contains("exited with status 8"), "{output:?}");
}

/// Its error is a pipe, so that a log is added to and not written over.
#[test]
fn a_program_in_a_sandbox_cannot_rewrite_a_log() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 4);
    let log = fs::File::options().read(true).write(true).create_new(true).open(fixture.path("log")).unwrap();
    std::io::Write::write_all(&mut &log, b"begun\n").unwrap();
    let forge = "echo said >&2; echo FORGED | dd of=/proc/self/fd/2 conv=notrunc status=none; cat <&2 && echo read it";
    for each in ["", "--each"] {
        let mut command =
            fixture.exec(&format!("--in a.npy --out b.npy -n 1 -q --sandbox {each}"), &format!("{forge}\n{DOUBLE}"));
        let child = command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).spawn().unwrap();
        assert!(watched("exec", child).status.success(), "{}", fs::read_to_string(fixture.path("log")).unwrap());
    }
    let text = fs::read_to_string(fixture.path("log")).unwrap();
    assert!(text.starts_with("begun\nsaid\n") && !text.contains("read it"), "{text}");
}
