//! Where results of many pictures cannot go, and inputs that are no files or are gone when their turn comes.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::process::Stdio;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use parfork_workers::picture;
use serde_json::Value;

use super::{fixture, names};
use crate::fixture::{Fixture, until, watched};

/// Runs lines of `sh` in a mount namespace of their own, if there can be one.
fn apart(fixture: &Fixture, lines: &str) -> Option<(Option<i32>, String, String)> {
    if fixture.shell("unshare -rm true").0 != Some(0) {
        eprintln!("not tested: no namespaces of mounts here");
        return None;
    }
    fs::write(fixture.path("lines.sh"), lines).unwrap();
    let (code, out, text) = fixture.shell("unshare -rm sh lines.sh");
    Some((code, String::from_utf8(out).unwrap(), text))
}

#[test]
fn a_disk_that_becomes_full_in_the_middle_holds_whole_pictures_alone() {
    let fixture = fixture(0);
    for number in 0..6 {
        picture::save(fixture.path(&format!("in/{number}.png")), &super::picture(number, [90, 100, 3])).unwrap();
    }
    // Of uncompressed results two have room: 27 kB each and 64 kB in all.
    let lines = "mkdir disk && mount -t tmpfs -o size=64k none disk || exit 99
        $P image in/*.png -o disk/ --format ppm -n 2 --json; code=$?
        for made in $(ls -A disk); do $P image disk/$made -o $made.png -q || echo broken; done; exit $code";
    let Some((code, out, text)) = apart(&fixture, lines) else { return };
    assert_eq!(code, Some(5), "{text}");
    let said: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let count = |status: &str| said.iter().filter(|line| line["status"] == status).count();
    assert_eq!((count("done"), count("set aside")), (2, 4), "{out} {text}");
    assert_eq!(text.matches("the disk has no room for").count(), 4, "{text}");
    let again = names(fixture.0.path()).into_iter().filter(|name| name.ends_with(".ppm.png"));
    assert_eq!(again.count(), 2, "what is there is whole, and nothing else is there");
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let fixture = fixture(2);
    fs::write(fixture.path("file"), "").unwrap();
    for (folder, words) in [
        ("file/", "the folder file cannot be made, for a file is called so. Name another one with -o"),
        ("file/below/", "the folder file/below cannot be made, for a file is called as a folder above it."),
        ("/proc/none/", "the folder /proc/none cannot be made (No such file"),
    ] {
        fixture.fails(&format!("image -r in -o {folder} -f gray"), 1, &[words]);
    }
    // Where an output is to go, there is a folder.
    fs::create_dir_all(fixture.path("out/00.png")).unwrap();
    let output = fixture.run("image -r in -o out/ -f gray");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(5) && text.contains("in/00.png is set aside: out/00.png: it is a folder"),
        "{text}"
    );
    assert_eq!(names(&fixture.path("out")), ["00.png", "01.jpg"]);
    let lines = "mkdir disk && mount -t tmpfs none disk && mount -o remount,ro disk || exit 99
        $P image in/* -o disk/ -f gray";
    let Some((code, _, text)) = apart(&fixture, lines) else { return };
    assert!(code == Some(5) && text.contains("the folder disk is on a read-only file system"), "{text}");
    // One of the outputs is mounted.
    let lines = "mkdir some && touch some/00.png host.png && mount --bind host.png some/00.png || exit 99
        $P image in/* -o some/ -f gray && cmp host.png alone.png";
    fixture.ok("image in/00.png -o alone.png -f gray -q");
    let Some((code, _, text)) = apart(&fixture, lines) else { return };
    assert!(code == Some(0) && text.contains("some/00.png is mounted"), "{code:?} {text}");
}

#[test]
fn a_picture_that_vanishes_before_its_turn_is_set_aside() {
    let fixture = fixture(5);
    let first = fs::read(fixture.path("in/00.png")).unwrap();
    fs::remove_file(fixture.path("in/00.png")).unwrap();
    mkfifo(&fixture.path("in/00.png"), Mode::S_IRWXU).unwrap();
    // One worker, which waits for the pipe first.
    let line = "image in/00.png in/01.jpg in/04.png -o out/ -f invert -n 1";
    let child = fixture.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = None;
    until(|| {
        let opened = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(fixture.path("in/00.png"));
        pipe = opened.ok();
        pipe.is_some()
    });
    fs::remove_file(fixture.path("in/01.jpg")).unwrap();
    pipe.unwrap().write_all(&first).unwrap();
    let output = watched(line, child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("in/01.jpg is set aside: there is no such file"), "{text}");
    assert_eq!(names(&fixture.path("out")), ["00.png", "04.png"]);
}

#[test]
fn names_that_are_no_pictures_are_each_told() {
    let fixture = fixture(1);
    symlink("loop.png", fixture.path("in/loop.png")).unwrap();
    symlink("nowhere", fixture.path("in/dangling.png")).unwrap();
    symlink("/dev/zero", fixture.path("in/zero.png")).unwrap();
    symlink("00.png", fixture.path("in/link.png")).unwrap();
    let long = format!("{}.png", "n".repeat(251));
    fs::copy(fixture.path("in/00.png"), fixture.path(&format!("in/{long}"))).unwrap();
    let unnamed = CString::new(fixture.path("in/socket.png").to_str().unwrap()).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(unnamed.to_str().unwrap()).unwrap();
    let (code, _, text) = fixture.shell("$P image in/* -o out/ -f gray -n 2");
    assert_eq!(code, Some(5), "{text}");
    assert_eq!(names(&fixture.path("out")), ["00.png", "link.png", long.as_str()]);
    for (name, words) in [
        ("loop", "symbolic links that never end"),
        ("dangling", "no such file"),
        ("zero", "it is a device"),
        ("socket", "it is a socket"),
    ] {
        let line = text.lines().find(|line| line.contains(&format!("in/{name}.png is set aside: ")));
        assert!(line.is_some_and(|line| line.contains(words)), "{name}: {text}");
    }
    // An ending that is longer makes a name that is too long.
    let (code, _, text) = fixture.shell(&format!("$P image in/{long} in/00.png -o out/ --format jpeg"));
    assert_eq!(code, Some(0), "{text}");
    let (code, _, text) = fixture.shell(&format!("$P image in/{long} in/00.png -o 'out/{{stem}}.tiff'"));
    assert!(code == Some(5) && text.contains("its name is longer than names can be. Give it a shorter one"), "{text}");
}
