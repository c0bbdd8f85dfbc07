//! `stencil` and `life`: steps on files.

use std::fs;

use ndarray::{Array2, array};
use parfork::Shared;
use parfork::formats::npy;
use parfork_workers::picture;
use serde_json::Value;

use crate::fixture::{Fixture, noise};

fn load<T: parfork::Element>(fixture: &Fixture, name: &str) -> Array2<T> {
    Shared::<T, ndarray::Ix2>::load(fixture.path(name)).unwrap().view().to_owned()
}

#[test]
fn stencils_are_what_a_naive_loop_leaves_for_every_engine_border_and_cut() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((23, 17), 4));
    fixture.save("w.npy", &(noise((3, 5), 5) / 3.0));
    for (n, border) in ["keep", "wrap", "reflect101", "replicate", "constant:-0.5"].into_iter().enumerate() {
        let flags = [
            "-n 3 --depth 4",
            "--engine threads",
            "--split tiles=4x6 -n 2",
            "--split rows=1 -n 5 --depth 3",
            "--split cols=3 --depth 8",
        ][n];
        for weights in ["w.npy", "heat:0.2"] {
            fixture.ok(&format!(
                "stencil a.npy -o b.npy --weights {weights} --steps 5 --border {border} {flags} --verify"
            ));
        }
    }
    // What is kept is kept; and no cell moves after a step of nothing.
    let (a, b) = (load::<f64>(&fixture, "a.npy"), || load::<f64>(&fixture, "b.npy"));
    fixture.ok("stencil a.npy -o b.npy --weights heat:0.25 --steps 9 -q");
    assert!(b() != a && b().row(0) == a.row(0) && b().column(16) == a.column(16));
    let line = "stencil a.npy -o b.npy --weights heat:0 --steps 100 --until 0 --json --border wrap";
    let json: Value = serde_json::from_str(&fixture.ok(line)).unwrap();
    assert_eq!(
        (json["steps"].as_u64(), json["moved"].as_f64(), json["weights"].as_str()),
        (Some(16), Some(0.0), Some("heat:0"))
    );
    assert_eq!(b(), a);
}

#[test]
fn a_film_has_a_picture_of_the_start_and_of_each_so_many_steps() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &array![[0.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]);
    fixture.ok("stencil a.npy -o b.npy --weights heat:0.25 --steps 7 --every 3 --frames deep/film -n 2 -q");
    let mut names: Vec<_> =
        fs::read_dir(fixture.path("deep/film")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["frame-000000.png", "frame-000001.png", "frame-000002.png"]);
    let first = picture::read_u8(fixture.path("deep/film/frame-000000.png")).unwrap();
    let colour = |i, j| [0, 1, 2].map(|channel| first.view()[[i, j, channel]]);
    assert_eq!((first.shape(), colour(1, 1), colour(0, 1)), (&[3, 4, 3][..], [255; 3], [0; 3]));
    fixture.fails(
        "stencil a.npy -o b.npy --weights heat:0.25 --steps 7 --every 3",
        2,
        &["--every and --frames go together"],
    );
    npy::save(fixture.path("line.npy"), array![1.0, 2.0, 3.0, 4.0].view()).unwrap();
    let line = "stencil line.npy -o b.npy --weights heat:0.25 --steps 7 --every 3 --frames none";
    fixture.fails(line, 2, &["pictures of arrays with 2 axes, and this one has 1"]);
    assert!(!fixture.path("none").exists());
}

#[test]
fn what_cannot_be_stepped_on_is_refused_with_a_remedy() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((9, 9), 4));
    let mut broken = noise((9, 9), 4);
    broken[[4, 4]] = f64::NAN;
    fixture.save("nan.npy", &broken);
    fixture.save("even.npy", &noise((2, 3), 4));
    npy::save(fixture.path("bytes.npy"), array![[1_u8, 0], [0, 2]].view()).unwrap();
    let stencil = |rest: &str, code, what: &[&str]| fixture.fails(&format!("stencil {rest} -o b.npy"), code, what);
    stencil("a.npy --weights heat:0.25 --steps 0", 2, &["no number of steps"]);
    stencil("a.npy --weights heat:0.25 --steps 4294967296", 2, &["Give 1 to 4294967295"]);
    stencil("a.npy --weights heat:nan --steps 1", 2, &["`heat:nan` is no share"]);
    stencil("a.npy --weights even.npy --steps 1", 2, &["weights of shape [2, 3] have no cell in the middle"]);
    stencil("a.npy --weights none.npy --steps 1", 3, &["no such file"]);
    stencil("a.npy --weights heat:0.1 --steps 1 --border mirror", 2, &["`mirror` is not a border. Write keep"]);
    stencil("bytes.npy --weights heat:0.1 --steps 1", 3, &["bytes.npy has elements |u1"]);
    stencil("nan.npy --weights heat:0.1 --steps 4000000000 --until 1e-9", 3, &["NaN after 16 steps", "--until"]);
    stencil("nan.npy --weights heat:0.1 --steps 3 --until 1e-9", 3, &["NaN after 3 steps"]);
    stencil("a.npy --weights heat:0.1 --steps 5 --until nan", 2, &["no distance"]);
    stencil(
        "a.npy --weights heat:0.1 --steps 5 --schedule guided",
        1,
        &["this schedule cannot be kept in a job of steps"],
    );
    stencil("a.npy --weights heat:0.1 --steps 5 --schedule dynamic", 1, &["this schedule cannot be kept"]);
    stencil("a.npy --weights heat:0.1 --steps 5 --depth 0", 2, &["no number of steps"]);
    assert!(!fixture.path("b.npy").exists());
}

#[test]
fn life_is_played_on_arrays_pictures_and_patterns() {
    let fixture = Fixture::new();
    fs::write(fixture.path("glider.rle"), "#N Glider\nx = 3, y = 3, rule = B3/S23\nbob$2bo$3o!\n").unwrap();
    let glider = array![[0_u8, 1, 0], [0, 0, 1], [1, 1, 1]];
    for border in ["keep", "wrap", "reflect101", "replicate", "constant:1"] {
        fixture.ok(&format!(
            "life glider.rle -o out.npy --board 9x11 --steps 12 --border {border} -n 3 --depth 5 --verify"
        ));
    }
    let json: Value =
        serde_json::from_str(&fixture.ok("life glider.rle -o out.png --board 8x8 --steps 4 --json --verify")).unwrap();
    assert_eq!((json["alive"].as_u64(), json["verified"].as_bool()), (Some(5), Some(true)));
    let mut moved = Array2::zeros((8, 8));
    moved.slice_mut(ndarray::s![3..6, 3..6]).assign(&glider);
    let picture = picture::read_u8(fixture.path("out.png")).unwrap();
    assert_eq!(picture.view().index_axis(ndarray::Axis(2), 0), moved.mapv(|cell| 255 * cell));
    // From the picture, and on to an array.
    fixture.ok("life out.png -o out.npy --steps 4 -q --every 2 --frames film");
    assert_eq!(load::<u8>(&fixture, "out.npy").slice(ndarray::s![4..7, 4..7]), glider);
    assert!(fixture.path("film/frame-000002.png").exists());
    assert!(fixture.shell_ok("$P life out.npy -o - --steps 1 -q").starts_with(b"\x93NUMPY"));
    fixture.save("a.npy", &noise((9, 9), 4));
    fs::write(fixture.path("bad.rle"), "x = 3, y = 1\n4o!").unwrap();
    fixture.fails("life a.npy -o b.npy --steps 1", 3, &["a.npy has elements <f8", "bool or u8"]);
    fixture.fails("life bad.rle -o b.npy --steps 1", 3, &["bad.rle is no pattern", "row 0 has cells up to column 4"]);
    fixture.fails("life glider.rle -o b.npy --steps 1 --board 2x9", 2, &["too small for [3, 3]"]);
    fixture.fails("life glider.rle -o b.npy --steps 1 --border constant:2", 2, &["dead or alive"]);
    fixture.fails("life glider.rle -o b.gif --steps 1", 2, &[".gif"]);
}
