//! Where the arrays of programs lie: inputs in their files, outputs in memory until a slice is done, and then in theirs.

use std::fs;

use super::DOUBLE;
use crate::fixture::{Fixture, until, watched};

/// Whoever wants to write to an input waits, until the job has ended for that; a program of its own that tries ends it too.
#[test]
fn who_wants_to_write_to_an_input_ends_the_job() {
    let fixture = Fixture::new();
    let bytes = fixture.bytes("a.npy", 40);
    let script = r#"read l; echo $PARFORK_OFFSET_A > offset.new; mv offset.new offset; exec sleep 1000"#;
    let child = fixture.exec("--in a.npy --out b.npy -n 1", script).spawn().unwrap();
    until(|| fixture.path("offset").exists());
    if fs::read_to_string(fixture.path("offset")).unwrap() == "0\n" {
        println!("skipped: files cannot be leased here, so that the input was read");
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT);
        return drop(watched("exec", child));
    }
    let path = fixture.path("a.npy");
    let file = fs::read(&path).unwrap();
    let writes = std::thread::spawn({
        let file = file.clone();
        move || fs::write(path, file).unwrap()
    });
    let output = watched("exec", child);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    writes.join().unwrap();
    assert!(!output.status.success() && text.contains("a.npy"), "{text}");
    assert!(!fixture.path("b.npy").exists());
    let output =
        watched("exec", fixture.exec("--in a.npy --out b.npy -n 1", "read l; : 1<> $PARFORK_IN_A").spawn().unwrap());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("a.npy"), "{text}");
    assert!(fs::read(fixture.path("a.npy")).unwrap() == file && fixture.found("a.npy") == bytes);
}

/// A result may take an input's place: that is given back by then.
#[test]
fn a_result_takes_the_place_of_its_input() {
    let fixture = Fixture::new();
    let twice: Vec<u8> = fixture.bytes("a.npy", 20).iter().map(|byte| byte * 2).collect();
    let script = DOUBLE.replace("PARFORK_OUT_B", "PARFORK_OUT_C");
    for more in ["", "--verify", "--guard", "--split axis0/3"] {
        fixture.bytes("a.npy", 20);
        fixture.exec_ok(&format!("--in a.npy --out c=a.npy -n 2 -q {more}"), &script);
        assert_eq!(fixture.found("a.npy"), twice, "{more}");
    }
}

/// What is done is not there any more but in the file: bands of rows, of more than a huge page each.
#[test]
fn memory_of_slices_that_are_done_is_given_back() {
    let fixture = Fixture::new();
    let script = r#"while read -r word start end; do
        head -c $((end - start)) /dev/zero | tr '\0' x | dd of=$PARFORK_OUT_C bs=1M seek=$start oflag=seek_bytes conv=notrunc status=none
        echo done
    done
    set -- $(stat -L -c '%b %B' $PARFORK_OUT_C)
    echo $(($1 * $2)) > left"#;
    let left = |more: &str| {
        fixture.exec_ok(&format!("--out c.npy:u8:20000000 -n 1 --split rows=5000000 -q {more}"), script);
        assert!(fixture.found("c.npy").iter().all(|&byte| byte == b'x'));
        fs::read_to_string(fixture.path("left")).unwrap().trim().parse::<u64>().unwrap()
    };
    // Four times one huge page at least lies in a slice.
    assert!(left("") <= 20_000_000 - 4 * (2 << 20) + 4096);
    assert!(left("--verify") >= 20_000_000);
}
