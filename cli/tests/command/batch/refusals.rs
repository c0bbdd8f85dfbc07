//! What is refused before the work, and what is said of pictures that cannot be done.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use super::{fixture, names};
use crate::fixture::Fixture;

#[test]
fn outputs_that_cannot_be_are_refused_before_the_work() {
    let fixture = fixture(3);
    fs::create_dir(fixture.path("there")).unwrap();
    symlink("../in", fixture.path("there/again")).unwrap();
    fs::create_dir(fixture.path("empty")).unwrap();
    for (line, code, words) in [
        // Of several inputs one output.
        ("in/* -o one.png", 2, &["several pictures cannot all be one.png", "one.png/", "{stem}"][..]),
        ("in/* in/00.png -o out/", 2, &["that of in/00.png, of in/00.png,"]),
        ("in/00.png there/again/00.png -o out/", 2, &["out/00.png", "there/again/00.png"]),
        ("in/* -o out/x.png -r", 2, &["several pictures cannot all be out/x.png"]),
        (
            "in/* -o out/{bad}.png",
            2,
            &["several pictures cannot all be out/{bad}.png", "no word", "{stem}", "{parent}"],
        ),
        ("in/* -o out/{ext}{stem}.webp", 2, &["no format of pictures is known for the extension .webp", ".png"]),
        ("in/* -o out/{stm}{stem}.png", 2, &["{stm} in it, which stands for nothing"]),
        // An output that is an input.
        ("in/* -o in/", 2, &["the output in/00.png would go where the input in/00.png is"]),
        ("in -r -o in", 2, &["where the input in/00.png is"]),
        ("in/* -o there/again/", 2, &["where the input in/00.png is"]),
        ("in/* -o {parent}/{name}", 2, &["where the input in/00.png is"]),
        ("in/* -o out/ --report in/00.png", 2, &["where the input in/00.png is"]),
        ("in/* -o there/ --report there/00.png", 2, &["where the output there/00.png"]),
        // What has no name; what is of one.
        ("- -o out/", 2, &["- has no name"]),
        ("in/00.png shm:x -o out/", 2, &["shm:x has no name"]),
        ("in/* -o out/ --only-slice 1", 2, &["--only-slice is of one picture"]),
        ("in/* -o out/ --verify --report x.html", 2, &["--report and --trace of many"]),
        ("in/* -o out/ --newer --skip-existing", 2, &["cannot be used with"]),
        ("in/* -o out/ --keep-going=perhaps", 2, &["perhaps"]),
        ("empty -r -o out/", 3, &["no file in empty is called as a picture"]),
    ] {
        fixture.shell_fails(
            &format!("set -f; set -- $(echo '{line}'); set +f; eval \"$P image -f gray {line}\""),
            code,
            words,
        );
        assert!(!fixture.path("out").exists() && names(&fixture.path("in")).len() == 3, "{line}");
    }
}

#[test]
fn what_cannot_be_done_is_told_and_set_aside_and_the_others_are_done() {
    let fixture = fixture(5);
    let broken = fs::read(fixture.path("in/00.png")).unwrap();
    fs::write(fixture.path("in/broken.png"), &broken[..broken.len() / 2]).unwrap();
    fs::write(fixture.path("in/empty.png"), "").unwrap();
    fs::write(fixture.path("in/letter.txt"), "a letter").unwrap();
    fs::write(fixture.path("in/lies.jpg"), "a letter").unwrap();
    fs::create_dir(fixture.path("in/folder.png")).unwrap();
    fs::copy(fixture.path("in/00.png"), fixture.path("in/secret.png")).unwrap();
    fs::set_permissions(fixture.path("in/secret.png"), PermissionsExt::from_mode(0o000)).unwrap();
    let is_root = fs::read(fixture.path("in/secret.png")).is_ok();
    let (code, out, text) = fixture.shell("$P image in/* none.png -o out/ -f gray --json -n 2");
    assert_eq!(code, Some(5), "{text}");
    let mut done = vec!["00.png", "01.jpg", "02.tif", "03.ppm", "04.png", "secret.png"];
    done.truncate(if is_root { 6 } else { 5 });
    // The luma of a .ppm is no .ppm.
    done.remove(3);
    assert_eq!(names(&fixture.path("out")), done);
    let lines: Vec<Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 12);
    let mut wanted = vec![
        ("in/broken.png", 3, "ends before its picture does"),
        ("in/empty.png", 3, "0 bytes"),
        ("in/letter.txt", 2, "no format of pictures"),
        ("in/lies.jpg", 3, "no picture of a known format"),
        ("in/folder.png", 3, "Add --recursive"),
        ("none.png", 3, "no such file"),
        ("in/03.ppm", 2, "does not hold gray"),
    ];
    wanted.extend((!is_root).then_some(("in/secret.png", 3, "may not read it")));
    for (input, code, words) in &wanted {
        let line = lines.iter().find(|line| line["input"] == *input).unwrap();
        assert!(line["status"] == "set aside" && line["code"] == *code, "{line}");
        assert!(line["error"].as_str().unwrap().contains(words), "{line}");
        assert!(text.contains(&format!("parfork: {input} is set aside: ")), "{text}");
    }
    assert_eq!(lines.iter().filter(|line| line["status"] == "done").count(), 12 - wanted.len());
    // The first that cannot be done is the end, if asked: before the work, and in it.
    fixture.shell_fails(
        "$P image in/letter.txt in/00.png -o no/ -f gray --keep-going=no",
        2,
        &["letter.txt is set aside"],
    );
    for n in [1, 2, 5] {
        let line = format!("$P image in/broken.png in/0*.jpg in/0*.png -o no/ -f gray --keep-going=no -n {n}");
        fixture.shell_fails(&line, 3, &["broken.png is set aside"]);
    }
    // A pattern that the shell found nothing for.
    fixture.fails("image none/*.jpg -o out/ -f gray", 5, &["none/*.jpg is set aside: there is no such file"]);
}

/// Nobody reads what is printed, and still all is done.
#[test]
fn nobody_reading_its_lines_is_no_disaster() {
    let fixture: Fixture = fixture(6);
    fixture.shell_ok("$P image in/* -o out/ -f invert --json -q | head -1 > /dev/null; test $(ls out | wc -l) = 6");
}
