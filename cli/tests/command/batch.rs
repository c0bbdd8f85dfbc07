//! Many pictures by one command: the same bits as one by one, whatever is wrong with some of them.

mod faults;
mod places;
mod refusals;
mod results;

use std::fs;
use std::path::Path;

use parfork::Shared;
use parfork_workers::picture::{self, Picture};

use crate::fixture::Fixture;

/// A picture that no other number has.
fn picture(number: usize, shape: [usize; 3]) -> Picture {
    let sample = |(y, x, c): (usize, usize, usize)| ((y * 3 + x * (5 + number) + c * 41 + y * x / 7) % 256) as u8;
    Picture::U8(Shared::from_array(&ndarray::Array3::from_shape_fn(shape, sample)).unwrap())
}

/// A folder `in` with so many pictures of several formats and sizes.
fn fixture(count: usize) -> Fixture {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("in")).unwrap();
    for number in 0..count {
        let ending = ["png", "jpg", "tif", "ppm"][number % 4];
        let path = fixture.path(&format!("in/{number:02}.{ending}"));
        picture::save(path, &picture(number, [20 + 3 * number, 61 - number, 3])).unwrap();
    }
    fixture
}

/// The names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
