//! Outputs that cannot be, found before the work: two that are one, one that is an input, what may not be replaced; and what cannot be
//! replaced but written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::desk::Desk;

#[test]
fn two_outputs_are_not_one_file_under_whatever_names() {
    let desk = Desk::with_inputs();
    fs::create_dir(desk.path("below")).unwrap();
    symlink("..", desk.path("below/up")).unwrap();
    symlink("new.npy", desk.path("soft.npy")).unwrap();
    symlink("nowhere/else.npy", desk.path("dangling.npy")).unwrap();
    fs::write(desk.path("old.npy"), "old").unwrap();
    fs::hard_link(desk.path("old.npy"), desk.path("hard.npy")).unwrap();
    let whole = desk.path("new.npy").display().to_string();
    for (one, other) in [
        ("new.npy", "new.npy"),
        ("new.npy", "./new.npy"),
        ("new.npy", &whole),
        ("new.npy", "below/../new.npy"),
        ("new.npy", "below/up/new.npy"),
        ("soft.npy", "new.npy"),
        ("old.npy", "old.npy"),
        ("old.npy", "hard.npy"),
    ] {
        let clash = &["the output", other, one, "Name another"];
        desk.fails(&format!("matmul a.npy b.npy -o {one} --report {other}"), 2, clash);
        desk.fails(&format!("sum a.npy --report {one} --trace {other}"), 2, clash);
        desk.fails(&format!("exec --in a.npy --out x={one} --out y={other} -- true"), 2, clash);
        desk.fails(&format!("exec --in a.npy --out x={one} --trace {other} -- true"), 2, clash);
    }
    desk.shell_fails("$P exec --in a.npy --out x=shm:new --out y=shm:new -- true", 2, &["the output shm:new"]);
    desk.shell_ok("$P shm create there --from a.npy --keep");
    desk.shell_fails("$P exec --in a.npy --out x=shm:there --out y=shm:there -- true", 2, &["the output shm:there"]);
    // All that goes to standard output goes to one place.
    for line in [
        "matmul a.npy b.npy -o - --json",
        "matmul a.npy b.npy -o - --report -",
        "matmul a.npy b.npy -o - --trace /dev/stdout",
        "sum a.npy --report -",
        "sum a.npy --json --trace -",
        "exec --in a.npy --out - --out x=- -- true",
        "matmul a.npy b.npy -o out --json > out",
        "plan 20x2 -o - --json",
    ] {
        desk.shell_fails(&format!("$P {line}"), 2, &["the output"]);
    }
    // Others are others.
    desk.ok("matmul a.npy b.npy -o below/new.npy --report new.npy -q");
}

#[test]
fn what_is_written_besides_a_result_is_no_input() {
    let desk = Desk::with_inputs();
    symlink("a.npy", desk.path("soft.npy")).unwrap();
    fs::hard_link(desk.path("a.npy"), desk.path("hard.npy")).unwrap();
    for other in ["a.npy", "./a.npy", "soft.npy", "hard.npy"] {
        let clash = &["the output", other, "the input a.npy"];
        desk.fails(&format!("sum a.npy --report {other}"), 2, clash);
        desk.fails(&format!("matmul a.npy b.npy -o c.npy --trace {other}"), 2, clash);
        desk.fails(&format!("exec --in a.npy --out c.npy --report {other} -- true"), 2, clash);
        desk.fails(&format!("plan 20x2 --split rows=1 --cost a.npy -o {other}"), 2, clash);
    }
    fs::create_dir(desk.path("demo")).unwrap();
    fs::copy(desk.path("photo.png"), desk.path("demo/edges.png")).unwrap();
    desk.fails("demo demo/edges.png -o ./demo", 2, &["the input demo/edges.png"]);
    // A result may take the place of what it was made of: that was read.
    desk.ok("transpose a.npy -o a.npy -q");
    desk.ok("image photo.png -o photo.png --filter gray -q");
    desk.shell_ok(
        "$P shm create s --from b.npy --keep; $P shm create t --shape 3x3 --keep; $P transpose shm:t -o shm:t -q",
    );
}

/// As `docker -v host.npy:/out.npy` makes them.
#[test]
fn a_file_that_is_mounted_is_written_in_place() {
    let desk = Desk::with_inputs();
    if desk.shell("unshare -rm true").0 != Some(0) {
        return println!("skipped: no namespaces of mounts here");
    }
    desk.ok("matmul a.npy b.npy -o c.npy -q");
    desk.ok("image photo.png -o gray.png --filter gray -q");
    fs::create_dir(desk.path("in")).unwrap();
    for name in ["in/out.npy", "in/out.png", "host.png"] {
        fs::write(desk.path(name), "").unwrap();
    }
    let long = "longer than what comes".repeat(1000);
    for read_only in ["true", "mount -t tmpfs none in && touch in/out.npy"] {
        fs::write(desk.path("host.npy"), &long).unwrap();
        let (last, first) = if read_only == "true" { ("true", "true") } else { ("mount -o remount,ro in", read_only) };
        let lines =
            format!("{first} && mount --bind host.npy in/out.npy && {last} && $P matmul a.npy b.npy -o in/out.npy");
        let (code, _, text) = desk.shell(&format!("unshare -rm sh -c '{lines}'"));
        assert!(code == Some(0) && text.contains("in/out.npy is mounted") && text.contains("not atomic"), "{text}");
        assert!(fs::read(desk.path("host.npy")).unwrap() == fs::read(desk.path("c.npy")).unwrap());
    }
    let line = "mount --bind host.png in/out.png && $P image photo.png -o in/out.png --filter gray -q";
    let (code, _, text) = desk.shell(&format!("unshare -rm sh -c '{line}'"));
    assert_eq!((code, text.as_str()), (Some(0), ""));
    assert!(fs::read(desk.path("host.png")).unwrap() == fs::read(desk.path("gray.png")).unwrap());
    // A job that fails leaves it as it was; and it is the same file by its other name.
    let fails = |line: &str, code| {
        desk.shell_fails(&format!("unshare -rm sh -c 'mount --bind c.npy in/out.npy && {line}'"), code, &[])
    };
    let before = fs::read(desk.path("c.npy")).unwrap();
    fails("$P exec --in a.npy --out in/out.npy --retries 0 -q -- false", 1);
    fails("$P matmul a.npy b.npy -o in/out.npy --report c.npy", 2);
    assert!(fs::read(desk.path("c.npy")).unwrap() == before);
}

#[test]
fn what_may_not_be_replaced_is_found_before_the_work() {
    let desk = Desk::with_inputs();
    if !nix::unistd::geteuid().is_root() || desk.shell("setpriv --version").0 != Some(0) {
        return println!("skipped: only root can play another user");
    }
    let open = |name: &str, mode| fs::set_permissions(desk.path(name), PermissionsExt::from_mode(mode)).unwrap();
    fs::create_dir(desk.path("sticky")).unwrap();
    open("sticky", 0o1777);
    fs::copy(desk.path("a.npy"), desk.path("sticky/root.npy")).unwrap();
    open("sticky/root.npy", 0o666);
    fs::set_permissions(desk.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
    ["a.npy", "b.npy"].into_iter().for_each(|name| open(name, 0o644));
    let other = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    desk.shell_fails(
        &format!("{other} $P exec --in a.npy --out sticky/root.npy -q -- sh -c 'exit 9'"),
        1,
        &["sticky/root.npy", "belongs to user 0", "may not replace it"],
    );
    // Nor is a pipe of another user's written to, who may have put it there.
    let line = "mkfifo -m 666 sticky/pipe; timeout 60 cat sticky/pipe > /dev/null & $P transpose a.npy -o sticky/pipe";
    desk.shell_fails(&format!("{other} {line}"), 1, &["sticky/pipe", "a pipe of another user"]);
    desk.shell_ok(&format!(
        "{other} $P transpose a.npy -o sticky/own.npy -q && {other} $P transpose a.npy -o sticky/own.npy -q"
    ));
}
