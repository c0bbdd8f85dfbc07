//! Every kernel gives the same bits whatever vector instructions it may use.

use std::fs;

use ndarray::Array3;
use parfork::Shared;
use parfork::formats::npy;
use parfork_workers::picture::{self, Picture};
use parfork_workers::simd::Level;

use crate::fixture::{Fixture, noise, photo, watched};
use crate::sampled::Sampler;

const FILTERS: [&str; 14] = [
    "gaussian:3",
    "gaussian:0.7",
    "gaussian:12",
    "box:2",
    "box:40",
    "sobel",
    "sharpen",
    "gray",
    "invert",
    "gamma:1.8",
    "contrast:1.3",
    "threshold:100",
    "rotate:90",
    "resize:50x37",
];

/// What the command computes from these inputs: some or all of it.
fn lines() -> Vec<String> {
    let ends = ["gray.png", "rgb.png", "deep.png"];
    let pictures =
        ends.iter().flat_map(|picture| FILTERS.map(|filter| format!("image {picture} --filter {filter} -o out.png")));
    let numbers = ["a.npy", "a32.npy", "a16.npy", "bytes.npy"];
    let sums = numbers.iter().flat_map(|file| ["sum", "mean", "min", "max", "norm"].map(|op| format!("{op} {file}")));
    let others = [
        "matmul a.npy a.npy -o out.npy".to_owned(),
        "matmul a32.npy a32.npy -o out.npy".to_owned(),
        "transpose a32.npy -o out.npy".to_owned(),
        "stencil a.npy -o out.npy --weights heat:0.2 --steps 20".to_owned(),
        "life bytes.npy -o out.npy --steps 9".to_owned(),
        "sort a16.npy -o out.npy".to_owned(),
        "stencil a32.npy -o out.npy --weights w.npy --steps 5 --border wrap".to_owned(),
        "mandelbrot --size 91x67 --iterations 300 -o out.png".to_owned(),
    ];
    Sampler::new().some(pictures.chain(sums).chain(others), 30)
}

/// What the command computes at a level.
fn result(fixture: &Fixture, line: &str, level: Level) -> Vec<u8> {
    let (png, npy) = (fixture.path("out.png"), fixture.path("out.npy"));
    [&png, &npy].iter().for_each(|file| fs::remove_file(file).unwrap_or_default());
    let mut command = fixture.command(&format!("{line} -n 2 --quiet"));
    command.env("PARFORK_SIMD", level.to_string());
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let output = watched(line, child);
    assert!(output.status.success(), "{line} at {level}: {}", String::from_utf8_lossy(&output.stderr));
    let file = fs::read(png).or_else(|_| fs::read(npy)).unwrap_or_default();
    [output.stdout, file].concat()
}

#[test]
fn all_levels_give_the_same_bits() {
    let fixture = Fixture::new();
    let a = noise((97, 97), 3);
    fixture.save("a.npy", &a);
    npy::save(fixture.path("a32.npy"), a.mapv(|x| x as f32).view()).unwrap();
    fixture.save("w.npy", &noise((3, 3), 4));
    npy::save(fixture.path("a16.npy"), a.mapv(|x| (x * 3000.0) as i16).view()).unwrap();
    npy::save(fixture.path("bytes.npy"), a.mapv(|x| (x * 100.0 + 120.0) as u8).view()).unwrap();
    picture::save(fixture.path("gray.png"), &photo(1)).unwrap();
    picture::save(fixture.path("rgb.png"), &photo(3)).unwrap();
    let sample = |(y, x, c): (usize, usize, usize)| ((y * 771 + x * 1285 + c * 10_537 + y * x * 37) % 65_536) as u16;
    let deep = Picture::U16(Shared::from_array(&Array3::from_shape_fn((61, 83, 4), sample)).unwrap());
    picture::save(fixture.path("deep.png"), &deep).unwrap();
    let levels = Level::ALL.iter().filter(|&&level| level > Level::Baseline && level <= Level::of_cpu());
    let levels = Sampler::new().some(levels, 1);
    for line in lines() {
        let expected = result(&fixture, &line, Level::Baseline);
        for &&level in &levels {
            assert!(result(&fixture, &line, level) == expected, "{line}: other bits at {level} than at baseline");
        }
    }
}

#[test]
fn the_level_is_told_and_a_wrong_one_refused() {
    let fixture = Fixture::new();
    let told = fixture.ok("--version --verbose");
    let cpu = Level::of_cpu();
    assert!(told.contains(&format!("vector instructions: {cpu} (this CPU: {cpu})")), "{told}");
    let mut command = fixture.command("mandelbrot --size 9x9 -o out.png --json");
    let output = command.env("PARFORK_SIMD", "baseline").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(r#""simd":"baseline""#), "{output:?}");
    let mut command = fixture.command("mandelbrot --size 9x9 -o out.png");
    let output = command.env("PARFORK_SIMD", "avx9").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), text.contains("PARFORK_SIMD=avx9 is no level")), (Some(2), true), "{text}");
}
