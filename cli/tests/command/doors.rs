//! Where inputs come from and outputs go to: standard streams, pipes, named segments, and endings in any case of letters.

use std::fs;

use ndarray::{Ix2, array};
use parfork::Shared;
use parfork::formats::npy;
use parfork_workers::picture;

use crate::fixture::{Fixture, noise};

/// A program for exec that leaves zeros.
const NOTHING: &str = "sh -c 'while read word start end; do echo done; done'";

fn same(fixture: &Fixture, one: &str, other: &str) {
    assert!(fs::read(fixture.path(one)).unwrap() == fs::read(fixture.path(other)).unwrap(), "{one} {other}");
}

#[test]
fn arrays_come_and_go_through_standard_streams_and_pipes() {
    let fixture = Fixture::with_inputs();
    fixture.ok("matmul a.npy b.npy -o c.npy -q");
    for line in [
        "cat a.npy | $P sum - -q",
        "$P sum - -q < a.npy",
        // Some of it was read by somebody else.
        "{ dd of=/dev/null bs=1 count=3 status=none; $P sum -; } < with-three-more.npy",
        "cat a.npy | $P sum /dev/stdin -q",
        "cat a.npy | $P sum /dev/fd/3 -q 3<&0 < /dev/null",
        "mkfifo pipe; cat a.npy > pipe & $P sum pipe -q; rm pipe",
        "cat a.npy | $P sum - --engine threads -q",
        "cat a.npy | $P sum - --verify -q",
    ] {
        let more = [b"abc", &fs::read(fixture.path("a.npy")).unwrap()[..]].concat();
        fs::write(fixture.path("with-three-more.npy"), more).unwrap();
        assert_eq!(fixture.shell_ok(line), b"780.0\n", "{line}");
    }
    for line in [
        "$P matmul a.npy b.npy -o - -q > found.npy",
        "$P matmul a.npy b.npy -o - -q | cat > found.npy",
        "cat b.npy | $P matmul a.npy - -o - > found.npy",
        "{ $P matmul a.npy b.npy -o /dev/fd/3 -q 3>&1 > /dev/null; } | cat > found.npy",
        "mkfifo pipe; $P matmul a.npy b.npy -o pipe -q & cat pipe > found.npy; wait; rm pipe",
        "$P transpose a.npy -o - -q | $P transpose - -o - -q | $P matmul - b.npy -o found.npy -q",
    ] {
        fixture.shell_ok(line);
        same(&fixture, "c.npy", "found.npy");
        fs::remove_file(fixture.path("found.npy")).unwrap();
    }
    assert!(!fixture.path("-").exists());
    fixture.shell_ok("$P matmul a.npy b.npy -o - -q | head -c 1 > one.byte");
    fixture.shell_ok(&format!("$P exec --in - --out - -n 2 --verify -q -- {NOTHING} < a.npy > zeros.npy"));
    assert_eq!(fixture.ok("sum zeros.npy -q"), "0.0\n");
    fixture.shell_fails("$P sum - < /dev/null", 3, &["-: ", "0 bytes"]);
    fixture.shell_fails("head -c 100 a.npy | $P sum -", 3, &["118 bytes long"]);
    fixture.shell_fails("cat a.npy | $P matmul - - -o d.npy", 2, &["can be read but once"]);
    fixture.shell_fails("cat a.npy | $P matmul - /dev/stdin -o d.npy", 2, &["can be read but once"]);
    fixture.shell_fails(
        "cat a.npy | $P scale sum - -o runs -q",
        2,
        &["- can be read but once, and every run reads it"],
    );
}

#[test]
fn pictures_come_and_go_through_standard_streams_in_a_format_that_is_asked_for() {
    let fixture = Fixture::with_inputs();
    for (format, begins) in
        [("png", &b"\x89PNG"[..]), ("jpeg", b"\xff\xd8"), ("ppm", b"P6"), ("pam", b"P7"), ("tiff", b"II")]
    {
        let line = format!("$P image - -o - --format {format} --filter invert -q < photo.png > found");
        fixture.shell_ok(&line);
        assert!(fs::read(fixture.path("found")).unwrap().starts_with(begins), "{format}");
        if format != "jpeg" {
            fixture.shell_ok("cat found | $P image - -o back.png --filter invert -q");
            let pixels = |name: &str| picture::read_u8(fixture.path(name)).unwrap();
            assert_eq!(pixels("back.png").view(), pixels("photo.png").view());
        }
    }
    assert!(fixture.shell_ok("$P mandelbrot -o - --size 20x10 -q").starts_with(b"\x89PNG"));
    assert!(fixture.shell_ok("$P mandelbrot -o /dev/fd/3 --size 20x10 -q 3>&1 | cat").starts_with(b"\x89PNG"));
    fixture.ok("mandelbrot -o odd.name --format bmp --size 20x10 -q");
    assert!(fs::read(fixture.path("odd.name")).unwrap().starts_with(b"BM"));
    fixture.fails("mandelbrot -o set.png --format gif", 2, &["gif", "possible values"]);
    fixture.fails("mandelbrot -o odd.txt", 2, &["no format of pictures is known for the extension .txt"]);
    let drawing = fixture.shell_ok("$P plan 20x3 -o -");
    assert!(drawing.starts_with(b"<svg") || drawing.starts_with(b"<?xml"), "a drawing and no table");
    assert!(fixture.shell_ok("$P mandelbrot -o set.png --size 20x10 --report - -q").starts_with(b"<!DOCTYPE html>"));
}

/// What takes all keeps nothing; people look at times with it.
#[test]
fn results_can_go_nowhere() {
    let fixture = Fixture::with_inputs();
    let everything = fixture.everything();
    for line in [
        "matmul a.npy b.npy -o /dev/null -q",
        "transpose a.npy -o /dev/null -q",
        "image photo.png -o /dev/null --filter gray -q",
        "image photo.png -o /dev/null --format tiff -q",
        "mandelbrot -o /dev/null --size 20x10 -q",
        "mandelbrot -o /dev/null --size 20x10 -q --report /dev/null --trace /dev/null",
        "plan 20x3 -o /dev/null",
    ] {
        fixture.ok(line);
    }
    fixture.shell_ok(&format!("$P exec --in a.npy --out o=/dev/null --out p=/dev/null -n 1 -q -- {NOTHING}"));
    for line in ["transpose a.npy -o /dev/full", "mandelbrot -o /dev/full --size 20x10"] {
        fixture.fails(line, 1, &["/dev/full: there is no room for all of it"]);
    }
    fixture.shell_fails("$P sum a.npy --json > /dev/full", 1, &["No space left"]);
    // Standard output by its other name, behind what is there.
    fixture.ok("matmul a.npy b.npy -o c.npy -q");
    fixture
        .shell_ok("{ printf abc; $P matmul a.npy b.npy -o /dev/stdout -q; } > found; tail -c +4 found | cmp - c.npy");
    fixture.shell_ok("$P matmul a.npy b.npy -o /dev/stdout -q > /dev/null; rm found c.npy; rmdir segments");
    assert!(fixture.everything() == everything);
    let null = fs::metadata("/dev/null").unwrap();
    assert!(std::os::unix::fs::FileTypeExt::is_char_device(&null.file_type()));
}

/// Planes of samples in tiles, of 16 bits: what decoders are seldom asked.
#[test]
fn an_unusual_picture_is_read_through_every_door() {
    let fixture = Fixture::new();
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../workers/tests/files");
    for (from, to) in [("planar-tiles-16.tif", "planar.tif"), ("planar-tiles-16.tif.want.npy", "want.npy")] {
        fs::copy(format!("{files}/{from}"), fixture.path(to)).unwrap();
    }
    let wanted = fixture.ok("sum want.npy -q");
    fixture.shell_ok(
        "$P shm create made --from planar.tif --keep; $P shm put made planar.tif; $P image planar.tif -o shm:image -q",
    );
    for line in ["$P sum shm:made -q", "$P sum shm:image -q"] {
        assert_eq!(String::from_utf8(fixture.shell_ok(line)).unwrap(), wanted, "{line}");
    }
    let copies = "import sys; sys.path.insert(0, '.'); import parfork\nfor part in parfork.slices(): \
                  parfork.outputs['out'][part] = parfork.inputs['in'][part]";
    fs::write(fixture.path("copies.py"), copies).unwrap();
    fixture
        .shell_ok("$P exec --client python > parfork.py; $P scale -o runs --workers 1 --repeat 1 -q image planar.tif");
    if fixture.shell("python3 -c 'import numpy'").0 == Some(0) {
        let line = "$P exec --in in=planar.tif --out out=copy.npy -n 2 -q -- python3 copies.py; $P sum copy.npy -q";
        assert_eq!(String::from_utf8(fixture.shell_ok(line)).unwrap(), wanted);
    }
    let line = format!("$P exec --in planar.tif --out p=zeros.npy -n 1 -q -- {NOTHING}; $P sum zeros.npy -q");
    assert!(String::from_utf8(fixture.shell_ok(&line)).unwrap().starts_with('0'));
}

#[test]
fn every_verb_reads_and_writes_segments() {
    let fixture = Fixture::with_inputs();
    fixture.ok("matmul a.npy b.npy -o c.npy -q");
    fixture.shell_ok("$P matmul a.npy b.npy -o shm:product -q; $P shm get product -o found.npy");
    same(&fixture, "c.npy", "found.npy");
    // Filled again: one generation more, and still kept.
    fixture.shell_ok("$P matmul shm:product b.npy -o x.npy -q || $P matmul a.npy b.npy -o shm:product -q");
    let info: serde_json::Value = serde_json::from_slice(&fixture.shell_ok("$P shm info product --json")).unwrap();
    assert_eq!((&info["generation"], &info["kept"], &info["unfinished"]), (&1.into(), &true.into(), &false.into()));
    fixture.shell_fails("$P transpose a.npy -o shm:product", 1, &["<f8 of shape [20, 3]", "<f8 of shape [2, 20]"]);
    fixture.shell_fails("$P sum shm:nothing", 3, &["no such segment"]);
    fixture.shell_fails("$P transpose a.npy -o 'shm:a b'", 1, &["a name cannot have ` ` in it"]);
    // Elements of every type that segments have, in the order and the byte order that they have there.
    for dtype in ["u8", "i16", "u32", "i64", "f32", "f64"] {
        let line = format!(
            "$P shm create {dtype} --shape 6x4 --dtype {dtype} --keep && $P exec --in a=shm:{dtype} --out b=shm:{dtype}-too -n 1 -q -- \
             {NOTHING} && $P sum shm:{dtype}-too -q && $P transpose shm:{dtype} -o shm:{dtype}-turned -q && $P shm info {dtype}-turned"
        );
        assert!(String::from_utf8(fixture.shell_ok(&line)).unwrap().contains("4x6"), "{dtype}");
    }
    fs::write(fixture.path("big.npy"), crate::kernels::npy(">i4", true, [2, 3], &[0, 0, 0, 1].repeat(6))).unwrap();
    assert_eq!(fixture.shell_ok("$P transpose big.npy -o shm:big -q && $P sum shm:big -q"), b"6\n");
    let fortran = Shared::<f64, Ix2>::from_array(&array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].reversed_axes()).unwrap();
    npy::save(fixture.path("f.npy"), fortran.view()).unwrap();
    // A segment whose elements lie column by column is filled with rows.
    fixture.shell_ok(
        "$P shm create f --from f.npy --keep; $P transpose f.npy -o t.npy -q; $P transpose t.npy -o shm:f -q",
    );
    fixture.shell_ok("$P shm get f -o again.npy");
    same(&fixture, "f.npy", "again.npy");
    for dtype in ["|b1", "<f2", "<c16"] {
        let size: usize = dtype[2..].parse().unwrap();
        fs::write(fixture.path("odd.npy"), crate::kernels::npy(dtype, false, [1, 1], &vec![0; size])).unwrap();
        fixture.shell_fails("$P transpose odd.npy -o shm:odd", 1, &["segments hold u8 to u64", dtype]);
        fixture.shell_fails("$P shm info odd", 3, &["no such segment"]);
    }
    // Pictures.
    fixture.shell_ok(
        "$P image photo.png -o shm:photo -q --filter invert; $P image shm:photo -o back.png --filter invert -q",
    );
    let pixels = |name: &str| picture::read_u8(fixture.path(name)).unwrap();
    assert_eq!(pixels("back.png").view(), pixels("photo.png").view());
    fixture.shell_ok("cat photo.png | $P shm create piped --from - --keep; $P shm get piped -o piped.png; cat a.npy | $P shm put f64-too - || true");
    fixture.shell_ok("$P shm get product -o - | cmp - c.npy && cat c.npy | $P shm put product -");
    fixture.shell_ok("$P plan 20x3 --split rows=1 --cost shm:product && $P plan 20x3 --split rows=1 --cost - < c.npy");
    fixture.shell_ok("$P scale -o runs --workers 1 --repeat 1 -q sum shm:product");
}

#[test]
fn endings_are_read_in_any_case() {
    let fixture = Fixture::with_inputs();
    fixture.save("COSTS.NPY", &noise((20, 1), 1).mapv(f64::abs));
    fixture.ok("plan 20x1 --split rows=1 --cost COSTS.NPY");
    fixture.shell_ok(&format!("$P exec --in photo.png --out Zeros.Npy --out p=ZEROS.PNG -n 1 -q -- {NOTHING}"));
    assert!(fs::read(fixture.path("Zeros.Npy")).unwrap().starts_with(b"\x93NUMPY"));
    assert!(fs::read(fixture.path("ZEROS.PNG")).unwrap().starts_with(b"\x89PNG"));
    fixture.shell_ok("$P shm create p --from photo.png --keep; $P shm get p -o P.NPY; $P shm get p -o P.Jpg");
    assert!(fs::read(fixture.path("P.NPY")).unwrap().starts_with(b"\x93NUMPY"));
    // What an input is, its first bytes say.
    fs::copy(fixture.path("P.NPY"), fixture.path("array")).unwrap();
    fixture.shell_ok(&format!("$P exec --in array --out o.npy -n 1 -q -- {NOTHING}"));
}
