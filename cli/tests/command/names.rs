//! Names of files that are not what programs expect of names: no UTF-8, with `=` and `:` in them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ndarray::Array2;
use parfork::formats::npy;
use parfork_workers::picture;
use serde_json::Value;

use crate::fixture::{Fixture, photo};

const NOTHING: &str = "sh -c 'while read word start end; do echo done; done'";

/// `$N` in shell lines, and U+FFFD where it cannot be said.
const SET: &str = "N=$(printf 'caf\\351');";
const LOSSY: &str = "caf\u{fffd}";

fn name(rest: &str) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&[b"caf\xe9", rest.as_bytes()].concat()))
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.save("a.npy", &Array2::from_shape_fn((20, 2), |(i, j)| (2 * i + j) as f64));
    fixture.save("b.npy", &Array2::ones((2, 3)));
    fs::copy(fixture.path("a.npy"), fixture.0.path().join(name(".npy"))).unwrap();
    picture::save(fixture.path("photo.png"), &photo(3)).unwrap();
    fs::copy(fixture.path("photo.png"), fixture.0.path().join(name(".png"))).unwrap();
    fixture
}

#[test]
fn every_verb_takes_names_that_are_not_utf_8() {
    let fixture = fixture();
    for (line, made) in [
        ("$P matmul $N.npy b.npy -o $N-c.npy --report $N.html --trace $N.json -q", &["-c.npy", ".html", ".json"][..]),
        ("$P transpose $N.npy -o $N-t.npy --json", &["-t.npy"]),
        ("$P image $N.png -o $N-o.jpg --filter gray --json", &["-o.jpg"]),
        ("$P mandelbrot -o $N-m.png --size 20x10 -q", &["-m.png"]),
        (
            "$P exec --in $N.npy --in p=$N.png --out $N-e.npy:u8:7x7 --out q=$N-e.png:u8:7x7x3 -n 1 -q -- $NOTHING",
            &["-e.npy", "-e.png"],
        ),
        ("$P plan 20x2 --split rows=1 --cost $N.npy -o $N.svg", &[".svg"]),
        (
            "$P shm create x --from $N.npy --keep; $P shm put x $N.npy; $P shm get x -o $N-x.npy; cmp $N.npy $N-x.npy",
            &["-x.npy"],
        ),
        ("$P scale -o $N-i --workers 1 --repeat 1 -q image $N.png --filter gray", &["-i/scaling.json"]),
        ("$P scale -o $N-e --workers 1 --repeat 1 -q exec -- cat $N.png", &["-e/index.html"]),
    ] {
        fixture.shell_ok(&format!("{SET} {}", line.replace("$NOTHING", NOTHING)));
        for made in made {
            assert!(
                fs::metadata(fixture.0.path().join(name(made))).is_ok_and(|found| found.len() > 0),
                "{line}: {made}"
            );
        }
    }
    assert_eq!(fixture.shell_ok(&format!("{SET} $P sum $N.npy -q")), b"780.0\n");
    // A second time: its runs are there.
    fixture.shell_ok(&format!("{SET} $P scale -o $N-i --workers 1 --repeat 1 -q image $N.png --filter gray"));
    // A place for segments, and variables of programs, with such names.
    fixture.shell_ok(&format!(
        "{SET} mkdir $N-shm; export PARFORK_SHM=$PWD/$N-shm; $P shm create y --shape 2 --keep; $P shm ls --json; $P sum shm:y -q"
    ));
    let program = "while read word start end; do test $V = $N && echo done || echo failed; done";
    fixture
        .shell_ok(&format!("{SET} export N; $P exec --in a.npy --out o.npy --env V=$N -n 1 -q -- sh -c '{program}'"));
}

#[test]
fn errors_and_reports_say_them_as_well_as_they_can() {
    let fixture = fixture();
    let json = |line: &str| -> Value {
        serde_json::from_slice(&fixture.shell_ok(&format!("{SET} {}", line.replace("$NOTHING", NOTHING)))).unwrap()
    };
    let report = json("$P matmul $N.npy b.npy -o c.npy --json");
    assert_eq!((&report["inputs"][0], &report["lossy"]), (&format!("{LOSSY}.npy").into(), &true.into()));
    assert_eq!(json("$P matmul a.npy b.npy -o c.npy --json")["lossy"], false);
    let report = json("$P exec --in $N.npy --out o.npy -n 1 --json -- $NOTHING");
    assert_eq!((&report["inputs"][0]["file"], &report["lossy"]), (&format!("{LOSSY}.npy").into(), &true.into()));
    for line in
        ["$P sum $N-none.npy", "$P exec --in $N-none.npy --out x.npy -- true", "$P shm create z --from $N-none --keep"]
    {
        fixture.shell_fails(&format!("{SET} {line}"), 3, &[LOSSY, "no such file"]);
    }
    fixture.shell_fails(&format!("{SET} $P sum a.npy --report $N/x.html"), 1, &[LOSSY, "mkdir"]);
    // The command that runs a slice again is one that a shell takes.
    let program = "read word start end; kill -9 $$";
    let (code, _, text) = fixture.shell(&format!(
        "{SET} $P exec --in $N.npy --out $N-o.npy -n 1 --retries 0 --split rows=10 -q -- sh -c '{program}'"
    ));
    assert!(code == Some(1) && text.contains(r"--in $'caf\xe9.npy'"), "{text}");
}

#[test]
fn what_an_equals_sign_and_a_colon_mean() {
    let fixture = fixture();
    fs::create_dir(fixture.path("date=2026-01-01")).unwrap();
    fs::create_dir(fixture.path("10:00")).unwrap();
    fs::copy(fixture.path("a.npy"), fixture.path("date=2026-01-01/a.npy")).unwrap();
    fs::copy(fixture.path("a.npy"), fixture.path("x=y.npy")).unwrap();
    for (arrays, made, variables) in [
        ("--in date=2026-01-01/a.npy --out 2026-01-01T10:00:00.npy", "2026-01-01T10:00:00.npy", "IN_A"),
        ("--in date=2026-01-01/a.npy --out date=2026-01-01/b.npy", "date=2026-01-01/b.npy", "OUT_B"),
        ("--in x=y.npy --out 10:00/c.npy:u8:4", "10:00/c.npy", "IN_X_Y"),
        ("--in ./x=y.npy --out ./u=v.npy", "u=v.npy", "OUT_U_V"),
        ("--in A=a.npy --out B=c=d.npy", "c=d.npy", "OUT_B"),
        ("--in first=./x=y.npy --out c.npy:f32:2x2", "c.npy", "IN_FIRST"),
    ] {
        let program = format!("test -e $PARFORK_{variables} || exit 3; while read w s e; do echo done; done");
        fixture.shell_ok(&format!("$P exec {arrays} -n 1 -q -- sh -c '{program}'"));
        assert!(fs::read(fixture.path(made)).unwrap().starts_with(b"\x93NUMPY"), "{made}");
        fs::remove_file(fixture.path(made)).unwrap();
    }
    fixture.fails("exec --in a.npy --out c.npy:f8 -- true", 2, &["`f8` is not a type"]);
    fixture.fails("exec --in a.npy --out c.npy:u8:4:4 -- true", 2, &["FILE:TYPE:SHAPE"]);
    fixture.fails("exec --in none=a/x.npy --out c.npy -- true", 3, &["a/x.npy: there is no such file"]);
    assert!(npy::read::<f64>(fixture.path("x=y.npy")).is_ok());
}
