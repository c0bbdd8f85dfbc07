//! Pictures decoded by a worker in a sandbox: the same pictures, and the same errors.

use std::path::{Path, PathBuf};

use parfork::{Error, Sandbox, Settings, Shared};
use parfork_workers::picture::{self, Picture};

use super::support::nothing_left;

/// Files of every format and kind, and what is in them.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (ending, kinds) in [
        ("png", &[(1, 8), (2, 8), (3, 8), (4, 8), (1, 16), (3, 16)][..]),
        ("jpg", &[(1, 8), (3, 8)]),
        ("tiff", &[(1, 8), (2, 8), (3, 16), (4, 8)]),
        ("bmp", &[(1, 8), (3, 8)]),
        ("pam", &[(2, 8), (4, 16)]),
    ] {
        for &(channels, bits) in kinds {
            let sample =
                |(row, column, channel): (usize, usize, usize)| (row * 7 + column * column + channel * 31) as u16;
            let samples = ndarray::Array3::from_shape_fn((37, 53, channels), sample);
            let picture = match bits {
                8 => Picture::U8(Shared::from_array(&samples.mapv(|sample| sample as u8)).unwrap()),
                _ => Picture::U16(Shared::from_array(&samples.mapv(|sample| sample.wrapping_mul(257))).unwrap()),
            };
            let path = folder.join(format!("{channels}x{bits}.{ending}"));
            picture::save(&path, &picture).unwrap();
            paths.push(path);
        }
    }
    paths
}

/// Samples, shape and bits of a picture, or why there is none.
type Decoded = Result<(Vec<u8>, [usize; 3], u32), String>;

/// What is read in a sandbox, and what is read without.
fn both(path: &Path) -> [Decoded; 2] {
    let told = |read: parfork::Result<Picture>| {
        let bytes = |picture: &Picture| match picture {
            Picture::U8(samples) => samples.as_slice().to_vec(),
            Picture::U16(samples) => bytemuck::cast_slice(samples.as_slice()).to_vec(),
        };
        read.map(|picture| (bytes(&picture), picture.shape(), picture.bits())).map_err(|error| error.to_string())
    };
    let strict = Settings { sandbox: Some(Sandbox::new().strict(true)), ..Settings::default() };
    nothing_left(|| [told(picture::read_with(strict, path)), told(picture::read(path))])
}

pub(crate) fn pictures_are_decoded_alike_in_a_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    for path in pictures(folder.path()) {
        let [apart, here] = both(&path);
        assert!(here.is_ok() && apart == here, "{}", path.display());
    }
    let missing = folder.path().join("missing.png");
    let [apart, here] = both(&missing);
    assert!(here.is_err() && apart == here);
}

pub(crate) fn a_damaged_picture_is_told_alike_from_a_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for path in pictures(folder.path()).into_iter().step_by(2) {
        let good = std::fs::read(&path).unwrap();
        for (at, length) in
            [(0, good.len()), (20, good.len()), (31, good.len()), (99, good.len()), (9, 15), (9, 40), (9, 700)]
        {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            bad.truncate(length);
            std::fs::write(&path, &bad).unwrap();
            let [apart, here] = both(&path);
            assert_eq!(apart, here, "{} changed at {at}, {length} bytes", path.display());
            refused += usize::from(here.is_err());
        }
    }
    assert!(refused > 20, "{refused} of the files were found damaged");
}

pub(crate) fn a_decoder_without_memory_is_an_error_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.jpg");
    picture::save(&path, &Picture::U8(Shared::zeros((3000, 3000, 3)).unwrap())).unwrap();
    let settings = Settings { memory_limit: Some(1 << 16), ..Settings::default() };
    let error = nothing_left(|| picture::read_with(settings, &path).map(drop)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::File { .. }) && text.contains("the process that decodes it was ended by"), "{text}");
    assert!(nothing_left(|| picture::read_with(Settings::default(), &path).is_ok()));
}
