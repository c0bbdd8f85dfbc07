//! What a program has and may do: its descriptors and variables, its slice, its memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::fixture::{Fixture, watched};

#[test]
fn a_program_has_what_it_needs_and_nothing_else() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 4);
    // A descriptor that the shell leaves open, and a variable.
    let parfork = env!("CARGO_BIN_EXE_parfork");
    let list = "for fd in /proc/self/fd/*; do readlink $fd; done > fds; env > env";
    fs::write(fixture.path("list"), format!("#!/bin/sh\n{list}\n")).unwrap();
    fs::set_permissions(fixture.path("list"), fs::Permissions::from_mode(0o755)).unwrap();
    let run = |flags: &str| {
        let script = format!(
            "exec 7</dev/zero; SECRET=1 KEPT=2 {parfork} exec --in a.npy --out b.npy --split rows=4 --each -q {flags} -- ./list"
        );
        let child =
            Command::new("sh").args(["-c", &script]).current_dir(fixture.0.path()).stderr(Stdio::piped()).spawn();
        let output = watched(flags, child.unwrap());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| fs::read_to_string(fixture.path(name)).unwrap();
        let fds: Vec<String> = read("fds").lines().map(str::to_owned).collect();
        (fds, read("env").lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let (fds, env) = run("");
    let count = |what: &str| fds.iter().filter(|fd| fd.starts_with(what)).count();
    // The arrays and the manifest; standard streams; the shell's own script, and the folder that it lists.
    assert_eq!((count("/memfd:parfork (deleted)"), count("/memfd:parfork-manifest")), (2, 1), "{fds:?}");
    assert_eq!((count("/memfd:"), count("/dev/zero"), count("anon_inode")), (3, 0, 0), "{fds:?}");
    assert!(env.contains(&"SECRET=1".to_owned()) && env.contains(&"OMP_NUM_THREADS=1".to_owned()), "{env:?}");
    let (_, env) = run("--clear-env --env KEPT --env NEW=a=b");
    let ours = |line: &&String| {
        ["PARFORK_", "KEPT=2", "NEW=a=b", "OMP_NUM_THREADS=1"].iter().any(|start| line.starts_with(start))
    };
    assert_eq!(env.iter().filter(ours).filter(|line| !line.starts_with("PARFORK_")).count(), 3, "{env:?}");
    assert!(!env.iter().any(|line| line.starts_with("SECRET") || line.starts_with("HOME")), "{env:?}");
    for name in [
        "RANK=0",
        "SIZE=1",
        "IN_A=/proc/self/fd/",
        "OUT_B=/proc/self/fd/",
        "MANIFEST={",
        "MANIFEST_FD=",
        "START=0",
        "END=4",
        "SLICE=0",
    ] {
        assert!(env.iter().any(|line| line.starts_with(&format!("PARFORK_{name}"))), "{name} in {env:?}");
    }
}

#[test]
fn inputs_cannot_be_written_and_a_guard_keeps_programs_to_their_slice() {
    let fixture = Fixture::new();
    let bytes = fixture.bytes("a.npy", 40);
    // Not even by opening it anew; nor can the manifest.
    let spoil = "printf x 2>/dev/null 1<>/proc/self/fd/$PARFORK_MANIFEST_FD && exit 7; printf xxxx 2>/dev/null 1<>$PARFORK_IN_A && exit 8; dd if=/dev/zero of=$PARFORK_IN_A count=1 conv=notrunc 2>/dev/null && exit 9; exit 0";
    fixture.exec_ok("--in a.npy --out b.npy --split rows=40 --each -q", spoil);
    assert_eq!(fixture.found("a.npy"), bytes);
    // A slice's own letter, everywhere.
    let everywhere = r#"while read -r word start end; do
        head -c 40 /dev/zero | tr '\0' $(printf "\\$(printf %03o $((65 + start / 10)))") | dd of=$PARFORK_OUT_B conv=notrunc status=none
        echo done
    done"#;
    fixture.exec_ok("--out b.npy:u8:40 -n 2 --split rows=10 --guard -q", everywhere);
    assert_eq!(fixture.found("b.npy"), b"AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDD");
}

#[test]
fn a_program_without_memory_is_told() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 4);
    // A string that doubles until there is no room for it.
    let script = "awk 'BEGIN { s = \"x\"; while (length(s) < 2 ^ 30) s = s s; exit 0 }' 2>/dev/null || exit 6";
    let line = "--in a.npy --out b.npy --split rows=4 --each --retries 0";
    fixture.exec_fails(&format!("{line} --mem-limit 64M"), script, 1, &["exited with status 6"]);
}
