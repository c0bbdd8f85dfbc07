//! Outputs that cannot be, found before the work: two that are one, one that is an input, what may not be replaced; and what cannot be
//! replaced but written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::fixture::Fixture;

#[test]
fn two_outputs_are_not_one_file_under_whatever_names() {
    let fixture = Fixture::with_inputs();
    fs::create_dir(fixture.path("below")).unwrap();
    symlink("..", fixture.path("below/up")).unwrap();
    symlink("new.npy", fixture.path("soft.npy")).unwrap();
    symlink("nowhere/else.npy", fixture.path("dangling.npy")).unwrap();
    fs::write(fixture.path("old.npy"), "old").unwrap();
    fs::hard_link(fixture.path("old.npy"), fixture.path("hard.npy")).unwrap();
    let whole = fixture.path("new.npy").display().to_string();
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
        fixture.fails(&format!("matmul a.npy b.npy -o {one} --report {other}"), 2, clash);
        fixture.fails(&format!("sum a.npy --report {one} --trace {other}"), 2, clash);
        fixture.fails(&format!("exec --in a.npy --out x={one} --out y={other} -- true"), 2, clash);
        fixture.fails(&format!("exec --in a.npy --out x={one} --trace {other} -- true"), 2, clash);
    }
    fixture.shell_fails("$P exec --in a.npy --out x=shm:new --out y=shm:new -- true", 2, &["the output shm:new"]);
    fixture.shell_ok("$P shm create there --from a.npy --keep");
    fixture.shell_fails("$P exec --in a.npy --out x=shm:there --out y=shm:there -- true", 2, &["the output shm:there"]);
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
        fixture.shell_fails(&format!("$P {line}"), 2, &["the output"]);
    }
    // Others are others.
    fixture.ok("matmul a.npy b.npy -o below/new.npy --report new.npy -q");
}

#[test]
fn what_is_written_besides_a_result_is_no_input() {
    let fixture = Fixture::with_inputs();
    symlink("a.npy", fixture.path("soft.npy")).unwrap();
    fs::hard_link(fixture.path("a.npy"), fixture.path("hard.npy")).unwrap();
    for other in ["a.npy", "./a.npy", "soft.npy", "hard.npy"] {
        let clash = &["the output", other, "the input a.npy"];
        fixture.fails(&format!("sum a.npy --report {other}"), 2, clash);
        fixture.fails(&format!("matmul a.npy b.npy -o c.npy --trace {other}"), 2, clash);
        fixture.fails(&format!("exec --in a.npy --out c.npy --report {other} -- true"), 2, clash);
        fixture.fails(&format!("plan 20x2 --split rows=1 --cost a.npy -o {other}"), 2, clash);
    }
    fs::create_dir(fixture.path("demo")).unwrap();
    fs::copy(fixture.path("photo.png"), fixture.path("demo/edges.png")).unwrap();
    fixture.fails("demo demo/edges.png -o ./demo", 2, &["the input demo/edges.png"]);
    // A result may take the place of what it was made of: that was read.
    fixture.ok("transpose a.npy -o a.npy -q");
    fixture.ok("image photo.png -o photo.png --filter gray -q");
    fixture.shell_ok(
        "$P shm create s --from b.npy --keep; $P shm create t --shape 3x3 --keep; $P transpose shm:t -o shm:t -q",
    );
}

/// As `docker -v host.npy:/out.npy` makes them.
#[test]
fn a_file_that_is_mounted_is_written_in_place() {
    let fixture = Fixture::with_inputs();
    if fixture.shell("unshare -rm true").0 != Some(0) {
        return println!("skipped: no namespaces of mounts here");
    }
    fixture.ok("matmul a.npy b.npy -o c.npy -q");
    fixture.ok("image photo.png -o gray.png --filter gray -q");
    fs::create_dir(fixture.path("in")).unwrap();
    for name in ["in/out.npy", "in/out.png", "host.png"] {
        fs::write(fixture.path(name), "").unwrap();
    }
    let long = "longer than what comes".repeat(1000);
    for read_only in ["true", "mount -t tmpfs none in && touch in/out.npy"] {
        fs::write(fixture.path("host.npy"), &long).unwrap();
        let (last, first) = if read_only == "true" { ("true", "true") } else { ("mount -o remount,ro in", read_only) };
        let lines =
            format!("{first} && mount --bind host.npy in/out.npy && {last} && $P matmul a.npy b.npy -o in/out.npy");
        let (code, _, text) = fixture.shell(&format!("unshare -rm sh -c '{lines}'"));
        assert!(code == Some(0) && text.contains("in/out.npy is mounted") && text.contains("not atomic"), "{text}");
        assert!(fs::read(fixture.path("host.npy")).unwrap() == fs::read(fixture.path("c.npy")).unwrap());
    }
    let line = "mount --bind host.png in/out.png && $P image photo.png -o in/out.png --filter gray -q";
    let (code, _, text) = fixture.shell(&format!("unshare -rm sh -c '{line}'"));
    assert_eq!((code, text.as_str()), (Some(0), ""));
    assert!(fs::read(fixture.path("host.png")).unwrap() == fs::read(fixture.path("gray.png")).unwrap());
    // A job that fails leaves it as it was; and it is the same file by its other name.
    let fails = |line: &str, code| {
        fixture.shell_fails(&format!("unshare -rm sh -c 'mount --bind c.npy in/out.npy && {line}'"), code, &[])
    };
    let before = fs::read(fixture.path("c.npy")).unwrap();
    fails("$P exec --in a.npy --out in/out.npy --retries 0 -q -- false", 1);
    fails("$P matmul a.npy b.npy -o in/out.npy --report c.npy", 2);
    assert!(fs::read(fixture.path("c.npy")).unwrap() == before);
}

#[test]
fn what_may_not_be_replaced_is_found_before_the_work() {
    let fixture = Fixture::with_inputs();
    if !nix::unistd::geteuid().is_root() || fixture.shell("setpriv --version").0 != Some(0) {
        return println!("skipped: only root can play another user");
    }
    let open = |name: &str, mode| fs::set_permissions(fixture.path(name), PermissionsExt::from_mode(mode)).unwrap();
    fs::create_dir(fixture.path("sticky")).unwrap();
    open("sticky", 0o1777);
    fs::copy(fixture.path("a.npy"), fixture.path("sticky/root.npy")).unwrap();
    open("sticky/root.npy", 0o666);
    fs::set_permissions(fixture.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
    ["a.npy", "b.npy"].into_iter().for_each(|name| open(name, 0o644));
    let other = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    fixture.shell_fails(
        &format!("{other} $P exec --in a.npy --out sticky/root.npy -q -- sh -c 'exit 9'"),
        1,
        &["sticky/root.npy", "belongs to user 0", "may not replace it"],
    );
    // Nor is a pipe of another user's written to, who may have put it there.
    let line = "mkfifo -m 666 sticky/pipe; timeout 60 cat sticky/pipe > /dev/null & $P transpose a.npy -o sticky/pipe";
    fixture.shell_fails(&format!("{other} {line}"), 1, &["sticky/pipe", "a pipe of another user"]);
    fixture.shell_ok(&format!(
        "{other} $P transpose a.npy -o sticky/own.npy -q && {other} $P transpose a.npy -o sticky/own.npy -q"
    ));
}
