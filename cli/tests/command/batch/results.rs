//! What comes out, and where.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use parfork_workers::picture;
use serde_json::Value;

use super::{fixture, names};
use crate::fixture::Fixture;
use crate::terminal::Terminal;

#[test]
fn each_result_is_that_of_a_run_for_it_alone() {
    let fixture = fixture(7);
    fs::create_dir(fixture.path("alone")).unwrap();
    let filters = "--filter resize:50%,sharpen -q";
    for name in names(&fixture.path("in")) {
        fixture.ok(&format!("image in/{name} -o alone/{name} {filters}"));
    }
    for (n, more) in
        [(1, ""), (2, "--guard"), (5, "--sandbox --mem-limit 1G"), (9, ""), (2, "--engine threads"), (2, "--verify")]
    {
        fixture.shell_ok(&format!("$P image in/* -o new/{n}/ {filters} -n {n} {more}"));
        for name in names(&fixture.path("in")) {
            let read = |folder: &str| fs::read(fixture.path(&format!("{folder}/{name}"))).unwrap();
            assert!(read("alone") == read(&format!("new/{n}")), "{name} -n {n} {more}");
        }
        fs::remove_dir_all(fixture.path("new")).unwrap();
    }
}

#[test]
fn results_are_called_as_asked() {
    let fixture = fixture(3);
    fixture.shell_ok("$P image in/* -o 'out/{parent}-{stem}-{ext}.png' -f gray -q");
    assert_eq!(names(&fixture.path("out")), ["in-00-png.png", "in-01-jpg.png", "in-02-tif.png"]);
    fixture.shell_ok(
        "$P image in/* -o tif/ --format tif -f gray -q; mkdir there; cd in; $P image 0* -o ../there -f gray -q",
    );
    assert_eq!(names(&fixture.path("tif")), ["00.tif", "01.tif", "02.tif"]);
    assert_eq!(names(&fixture.path("there")), ["00.png", "01.jpg", "02.tif"]);
    assert_eq!(fs::read(fixture.path("tif/02.tif")).unwrap(), fs::read(fixture.path("there/02.tif")).unwrap());
}

#[test]
fn without_a_filter_it_is_the_same_picture_in_another_format() {
    let fixture = fixture(5);
    fixture.shell_ok("$P image in/* -o png/ --format png -q; $P image in/00.png -o one.tif --verify -q");
    let read = |path: &str| picture::read_u8(fixture.path(path)).unwrap();
    for (from, to) in [("in/01.jpg", "png/01.png"), ("in/03.ppm", "png/03.png"), ("in/00.png", "one.tif")] {
        assert_eq!(read(from).view(), read(to).view(), "{from}");
    }
    assert_eq!(fs::read(fixture.path("in/00.png")).unwrap(), fs::read(fixture.path("png/00.png")).unwrap());
}

#[test]
fn names_are_any_bytes() {
    let fixture = Fixture::new();
    let odd: [&[u8]; 4] = [b"a b.png", b"new\nline.png", b"caf\xe9.png", b"-q.png"];
    for (number, name) in odd.iter().enumerate() {
        let path = fixture.0.path().join(OsStr::from_bytes(name));
        picture::save(path, &super::picture(number, [9, 9, 1])).unwrap();
    }
    let out = fixture.shell_ok("$P image -o out/ -f invert --json -n 2 -- *.png");
    let lines: Vec<Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["lossy"] == true && line["input"] == "caf\u{fffd}.png").count(), 1);
    assert!(lines.len() == 4 && lines.iter().all(|line| line["status"] == "done" && line["shape"][0] == 9));
    for name in odd {
        assert!(fixture.path("out").join(OsStr::from_bytes(name)).exists());
    }
}

#[test]
fn folders_below_are_kept() {
    let fixture = fixture(2);
    fs::create_dir_all(fixture.path("in/below/deep")).unwrap();
    fs::create_dir_all(fixture.path("in/.hidden")).unwrap();
    for to in ["in/below/deep/x.png", "in/.hidden/x.png", "in/.x.png"] {
        fs::copy(fixture.path("in/00.png"), fixture.path(to)).unwrap();
    }
    fs::write(fixture.path("in/notes.txt"), "no picture").unwrap();
    nix::unistd::mkfifo(&fixture.path("in/pipe.png"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("..", fixture.path("in/below/up.png")).unwrap();
    // An output in there is no input of the next run.
    for _ in 0..2 {
        fixture.ok("image in -r -o in/out/ -f gray -q");
    }
    assert_eq!(names(&fixture.path("in/out")), ["00.png", "01.jpg", "below"]);
    assert_eq!(names(&fixture.path("in/out/below/deep")), ["x.png"]);
}

#[test]
fn what_is_there_is_left_out_if_asked() {
    let fixture = fixture(3);
    fs::create_dir(fixture.path("out")).unwrap();
    for name in ["00.png", "01.jpg"] {
        fs::write(fixture.path(&format!("out/{name}")), "old").unwrap();
    }
    // An hour older than its output, an hour newer.
    let hour = Duration::from_secs(3600);
    for (name, time) in [("00.png", SystemTime::now() - hour), ("01.jpg", SystemTime::now() + hour)] {
        File::options().append(true).open(fixture.path(&format!("in/{name}"))).unwrap().set_modified(time).unwrap();
    }
    let is_old = |name: &str| fs::read(fixture.path(&format!("out/{name}"))).unwrap() == b"old";
    let out = fixture.shell_ok("$P image in/* -o out/ -f gray --skip-existing --json");
    assert_eq!(String::from_utf8_lossy(&out).matches(r#""status":"skipped""#).count(), 2);
    assert!(is_old("00.png") && is_old("01.jpg") && !is_old("02.tif"));
    fixture.shell_ok("$P image in/* -o out/ -f gray --newer");
    assert!(is_old("00.png") && !is_old("01.jpg"));
    fixture.shell_ok("$P image in/* -o out/ -f gray -q");
    assert!(!is_old("00.png"));
}

#[test]
fn a_terminal_shows_files_and_speed() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("in")).unwrap();
    for number in 0..6 {
        picture::save(fixture.path(&format!("in/{number}.png")), &super::picture(number, [300, 400, 3])).unwrap();
    }
    let terminal = Terminal::run(fixture.command("image in -r -o out/ -f gaussian:9 -n 1"), 30, 100);
    terminal.shows(|text| text.contains("of 6 files, ") && text.contains(" MB/s"));
    terminal.shows(|text| text.contains("6 of 6 pictures by 1 process in "));
    assert!(!terminal.text().contains("files,"), "{}", terminal.text());
    assert!(terminal.end().success());
}

/// Pillow's JPEG and PNG and tifffile's TIFF, with EXIF, a profile of RGB and XMP.
#[test]
fn metadata_stays_and_what_cannot_is_told_once() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("in")).unwrap();
    for name in ["noted.jpg", "noted.png", "noted.tif"] {
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../workers/tests/files");
        fs::copy(format!("{files}/{name}"), fixture.path(&format!("in/{name}"))).unwrap();
    }
    let has =
        |path: &str, part: &[u8]| fs::read(fixture.path(path)).unwrap().windows(part.len()).any(|bytes| bytes == part);
    let words: [&[u8]; 2] = [b"2026:01:02 03:04:05", b"tiff:Orientation=\"1\""];
    fixture.shell_ok("$P image in/* -o out/ -q; $P image in/* -o bare/ --strip");
    for name in names(&fixture.path("in")) {
        for part in words {
            assert!(has(&format!("out/{name}"), part), "{name}");
            assert!(!has(&format!("bare/{name}"), part), "{name}");
        }
    }
    assert!(has("out/noted.jpg", b"ICC_PROFILE") && has("out/noted.png", b"iCCP") && has("out/noted.tif", b"acsp"));
    let told = fixture.run("image in -r -o bmp/{ext}.bmp");
    let told = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.matches("is left out: BMP holds none; of others this is not said again").count(), 3, "{told}");
    let told = fixture.run("image in/noted.jpg -o gray.jpg --filter gray");
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("its ICC profile is left out of the JPEG: it is of other colours than the result"), "{told}");
    assert!(!has("gray.jpg", b"ICC_PROFILE") && has("gray.jpg", words[0]));
    assert!(fixture.run("image in/noted.jpg -o bare.bmp --strip -q").stderr.is_empty());
}
