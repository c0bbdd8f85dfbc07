//! What the command says to bad inputs and flags.

use std::fs;
use std::io::Write;

use ndarray::ArrayD;
use parfork::formats::npy;
use parfork_workers::picture;

use crate::fixture::{Fixture, noise, photo};

#[test]
fn bad_arrays_are_refused_in_two_sentences() {
    let fixture = Fixture::new();
    let good = noise((20, 30), 1);
    fixture.save("a.npy", &good);
    fixture.save("c.npy", &noise((3, 3), 9));
    npy::save(fixture.path("single.npy"), good.mapv(|x| x as f32).t()).unwrap();
    npy::save(fixture.path("ints.npy"), good.mapv(|x| x as i64).view()).unwrap();
    fixture.save("three.npy", &ArrayD::zeros(vec![2, 3, 4]));
    let bytes = fs::read(fixture.path("a.npy")).unwrap();
    fs::write(fixture.path("short.npy"), &bytes[..1000]).unwrap();
    fs::write(fixture.path("empty.npy"), []).unwrap();
    fs::write(fixture.path("text.npy"), "hello").unwrap();
    fs::create_dir(fixture.path("folder")).unwrap();
    for (name, descr, shape) in [
        ("huge", "'<f8'", "(1152921504606846976, 3)"),
        ("objects", "'|O'", "(2, 2)"),
        ("names", "'<U3'", "(2,)"),
        ("fields", "[('x', '<f4')]", "(2,)"),
        ("complex", "'<c16'", "(2, 2)"),
    ] {
        let mut header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
        header.push_str(&" ".repeat(127 - 10 - header.len()));
        let mut file = fs::File::create(fixture.path(&format!("{name}.npy"))).unwrap();
        file.write_all(b"\x93NUMPY\x01\x00").unwrap();
        file.write_all(&(header.len() as u16 + 1).to_le_bytes()).unwrap();
        file.write_all(format!("{header}\n{}", " ".repeat(64)).as_bytes()).unwrap();
    }
    for (name, words) in [
        ("missing", "no such file"),
        ("folder", "folder"),
        ("short", "4800 bytes"),
        ("empty", "0 bytes"),
        ("text", "not a .npy file"),
        ("huge", "1152921504606846976"),
        ("objects", "Python objects"),
        ("names", "text"),
        ("fields", "fields"),
        ("complex", "c16"),
        ("three", "3 axes"),
    ] {
        let file = if name == "folder" { name.to_owned() } else { format!("{name}.npy") };
        if name != "complex" {
            fixture.fails(&format!("matmul {file} a.npy -o c.npy"), 3, &[words, ". "]);
        }
        if name != "three" {
            fixture.fails(&format!("sum {file}"), 3, &[words, ". "]);
        }
    }
    fixture.fails("matmul a.npy a.npy -o c.npy", 3, &["20x30", "do not multiply"]);
    fixture.fails("matmul complex.npy a.npy -o c.npy", 3, &["2x2 of complex.npy", "do not multiply"]);
    npy::save(fixture.path("none.npy"), ndarray::Array1::<f32>::zeros(0).view()).unwrap();
    fixture.fails("mean none.npy", 3, &["0 elements"]);
    assert_eq!(fixture.ok("sum none.npy -q"), "0.0\n");
}

#[test]
fn bad_pictures_are_refused_in_two_sentences() {
    let fixture = Fixture::new();
    for ending in ["png", "jpg", "tiff", "bmp", "ppm"] {
        picture::save(fixture.path(&format!("whole.{ending}")), &photo(3)).unwrap();
        let bytes = fs::read(fixture.path(&format!("whole.{ending}"))).unwrap();
        fs::write(fixture.path(&format!("half.{ending}")), &bytes[..bytes.len() / 2]).unwrap();
        fixture.fails(&format!("image half.{ending} -o out.png --filter gray"), 3, &["bytes", ". "]);
    }
    fs::write(fixture.path("empty.png"), []).unwrap();
    fs::write(fixture.path("text.png"), "hello\n").unwrap();
    // The first 33 bytes of a PNG of 100000x100000, 8-bit RGB (CRC by Python's zlib.crc32), and nothing else.
    let claim = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x02\0\0\0\xc0\x85\xc8\x87";
    fs::write(fixture.path("claim.png"), claim).unwrap();
    for (name, words) in [
        ("empty.png", "0 bytes"),
        ("text.png", "no picture"),
        ("claim.png", "."),
        ("missing.png", "no such file"),
        (".", "folder"),
    ] {
        fixture.fails(&format!("image {name} -o out.png --filter gray"), 3, &[words, ". "]);
    }
    for (filter, words) in [
        ("gaussian:0", "above 0"),
        ("gaussian:-1", "above 0"),
        ("gaussian:nan", "nan"),
        ("gaussian", "SIGMA"),
        ("gausian:3", "Did you mean 'gaussian'"),
        ("resize:0x5", "asks for 0x5"),
        ("gray:1", "parameter"),
    ] {
        fixture.fails(&format!("image whole.png -o out.png --filter {filter}"), 2, &[words]);
    }
    fixture.ok("image whole.png -o blurred.png -q --filter gaussian:100");
    fixture.fails("image whole.png -o out.xyz --filter gray", 2, &[".png"]);
    fixture.fails("image whole.png -o out.jpg --filter gray --border none", 2, &["reflect101"]);
    fixture.fails("image whole.png -o out.png --filter gray --quality 50", 2, &["PNG has neither a quality nor"]);
    fixture.fails("image whole.png -o out.jpg --filter gray --quality 101", 2, &["1..=100"]);
    fixture.fails("image whole.png -o out.jpg --filter gray --sampling 4:1:1", 2, &["4:4:4, 4:2:2, 4:2:0"]);
    fixture.ok("image whole.png -o out.jpg -q --filter flip --quality 50 --sampling 4:4:4");
}

#[test]
fn bad_flags_and_targets_are_refused() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((20, 20), 1));
    fixture.save("c.npy", &noise((3, 3), 9));
    for (flags, code, words) in [
        ("-n 0", 2, "1 to 1024"),
        ("-n 100000", 2, "1 to 1024"),
        ("--split tiles=0x5", 2, "length 0"),
        ("--split axis2", 2, "axis 2"),
        ("--split diagonals", 2, "rows=64"),
        ("--schedule dynamic=0", 2, "CHUNK"),
        ("--engine gpu", 2, "processes, threads or serial"),
    ] {
        fixture.fails(&format!("matmul a.npy a.npy -o c.npy {flags}"), code, &[words]);
    }
    fixture.fails("matmul a.npy a.npy -o nowhere/c.npy", 1, &["no folder nowhere", "mkdir"]);
    fixture.fails("matmul a.npy a.npy -o /proc/c.npy", 1, &["/proc"]);
    fixture.fails(&format!("matmul a.npy a.npy -o {}", "n".repeat(300)), 1, &["longer than names can be"]);
    fixture.fails("matmul a.npy a.npy -o c.JPG", 2, &["is an array and no picture, as c.JPG would be. Name c.npy."]);
    fixture.fails("sum a.npy --axis x -o c.npy", 2, &["`x` is no whole number"]);
    fixture.fails("mandelbrot -o c.png --zoom much", 2, &["`much` is no number"]);
    fixture.fails("matmul a.npy a.npy -o /dev/full", 1, &["/dev/full: there is no room for all of it"]);
    fixture.fails("matmul a.npy a.npy -o /dev/tty", 1, &["/dev/tty: it is a device"]);
    fixture.ok("matmul a.npy a.npy -o c.npy -q -n 300 --split tiles=1x1");
}
