//! Picture files as users meet them: every format out and back, and bad input of all kinds, which ends in an error that says
//! what is wrong, never in a panic or in gigabytes.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use ndarray::{Array3, Axis, IxDyn};
use parfork::formats::OutputFile;
use parfork::{Error, Shared};
use parfork_workers::picture::{self, Format, JpegSettings, Picture, Sampling};
use proptest::prelude::*;
use tempfile::TempDir;

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn refusal<T>(result: parfork::Result<T>) -> String {
    match result {
        Err(error @ (Error::File { .. } | Error::Memory { .. })) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("no error"),
    }
}

fn pattern(channels: usize, bits: u32) -> Picture {
    let value = |(y, x, c)| y * 7919 + x * 104_729 + c * 1_299_709;
    let shape = (19, 23, channels);
    if bits == 8 {
        Picture::U8(Shared::from_array(&Array3::from_shape_fn(shape, |at| value(at) as u8)).unwrap())
    } else {
        Picture::U16(Shared::from_array(&Array3::from_shape_fn(shape, |at| value(at) as u16)).unwrap())
    }
}

#[track_caller]
fn assert_same(one: &Picture, other: &Picture) {
    match (one, other) {
        (Picture::U8(one), Picture::U8(other)) => assert_eq!(one.view(), other.view()),
        (Picture::U16(one), Picture::U16(other)) => assert_eq!(one.view(), other.view()),
        _ => panic!("{} bits became {}", one.bits(), other.bits()),
    }
}

#[test]
fn every_format_gives_back_what_it_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for extension in ["png", "tif", "bmp", "pgm", "ppm", "pnm", "pam"] {
        for (channels, bits) in (1..=4).flat_map(|channels| [(channels, 8), (channels, 16)]) {
            let path = folder.path().join(format!("{channels}-{bits}.{extension}"));
            let picture = pattern(channels, bits);
            if Format::for_target(&path).unwrap().accepts(channels, bits).is_ok() {
                picture::save(&path, &picture).unwrap();
                assert_same(&picture::read(&path).unwrap(), &picture);
                count += 1;
            } else {
                assert!(matches!(picture::save(&path, &picture), Err(Error::Kernel(_))) && !path.exists());
            }
        }
    }
    assert_eq!(count, 3 * 8 + 3 + 2 + 2 + 4);
}

#[test]
fn jpeg_keeps_a_smooth_picture_within_a_few_levels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("smooth.jpg");
    for channels in [1, 3] {
        let smooth = Array3::from_shape_fn((40, 50, channels), |(y, x, c)| (3 * y + 2 * x + 10 * c) as u8);
        picture::save(&path, &Picture::U8(Shared::from_array(&smooth).unwrap())).unwrap();
        let again = picture::read_u8(&path).unwrap();
        assert_eq!(again.shape(), smooth.shape());
        assert!(ndarray::Zip::from(again.view()).and(&smooth).all(|one, other| one.abs_diff(*other) <= 6));
    }
}

/// Red and blue columns in turn, each a pixel wide: their colour is what both have on average, and not that of every other column.
#[test]
fn colours_of_a_jpeg_are_the_mean_of_their_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("columns.jpg");
    let columns = Array3::from_shape_fn((32, 32, 3), |(_, x, c)| if c == 2 * (x % 2) { 255 } else { 0 });
    picture::save(&path, &Picture::U8(Shared::from_array(&columns).unwrap())).unwrap();
    let again = picture::read_u8(&path).unwrap();
    let mean =
        |c: usize| again.view().index_axis(Axis(2), c).iter().map(|&sample| f64::from(sample)).sum::<f64>() / 1024.0;
    assert!((mean(0) - mean(2)).abs() < 20.0, "{} red, {} blue", mean(0), mean(2));
}

/// The tables of quantization, by the sums of their entries, and what the frame says of the first component's sampling, as Pillow 13.0 writes
/// them: `save(name, quality=75, subsampling="4:2:2")` of a picture of 40 x 50, RGB.
#[test]
fn jpeg_has_pillows_tables_and_sampling() {
    for (quality, sampling, tables, factors) in [
        (1, Sampling::Full, [16320, 16320], 0x11),
        (75, Sampling::Half, [1858, 2780], 0x21),
        (95, Sampling::Quarter, [369, 558], 0x22),
        (100, Sampling::Quarter, [64, 64], 0x22),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.jpg");
        let smooth = Array3::from_shape_fn((40, 50, 3), |(y, x, c)| (3 * y + 2 * x + 10 * c) as u8);
        let format = Format::Jpeg(JpegSettings { quality, sampling });
        let mut out = OutputFile::open(&path).unwrap();
        picture::write(&mut out, &Picture::U8(Shared::from_array(&smooth).unwrap()), format).unwrap();
        out.commit().unwrap();
        let jpeg = fs::read(&path).unwrap();
        let (mut at, mut sums, mut found) = (2, Vec::new(), 0);
        while jpeg[at + 1] != 0xDA {
            let body = &jpeg[at + 4..at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]))];
            match jpeg[at + 1] {
                0xDB => sums.push(body[1..].iter().map(|&entry| u32::from(entry)).sum::<u32>()),
                0xC0 => {
                    assert_eq!((body[10], body[13]), (0x11, 0x11));
                    found = body[7];
                }
                _ => {}
            }
            at += 4 + body.len();
        }
        assert_eq!((&sums[..], found), (&tables[..], factors), "{quality} {sampling}");
        assert_eq!(picture::read(&path).unwrap().shape(), [40, 50, 3]);
    }
}

/// A TIFF of 3 x 2 gray pixels 1 to 6 that has to be turned.
fn turned_tiff(orientation: u16) -> Vec<u8> {
    let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
    let tags = [(256, 3), (257, 2), (258, 8), (259, 1), (262, 1), (273, 122), (274, orientation), (278, 2), (279, 6)];
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        let entry = [tag, 3, 1, 0, value, 0_u16];
        bytes.extend(entry.iter().flat_map(|word| word.to_le_bytes()));
    }
    bytes.extend([0; 4]);
    bytes.extend([1, 2, 3, 4, 5, 6]);
    bytes
}

/// The eight orientations as the TIFF standard (tag 274) describes them, where row 0 and column 0 are.
#[test]
fn pictures_come_the_right_way_up() {
    for (orientation, upright) in [
        (1, vec![1, 2, 3, 4, 5, 6]),
        (2, vec![3, 2, 1, 6, 5, 4]),
        (3, vec![6, 5, 4, 3, 2, 1]),
        (4, vec![4, 5, 6, 1, 2, 3]),
        (5, vec![1, 4, 2, 5, 3, 6]),
        (6, vec![4, 1, 5, 2, 6, 3]),
        (7, vec![6, 3, 5, 2, 4, 1]),
        (8, vec![3, 6, 2, 5, 1, 4]),
    ] {
        let (_folder, path) = file("turned.tif", &turned_tiff(orientation));
        let picture = picture::read_u8(&path).unwrap();
        let shape = if orientation < 5 { [2, 3, 1] } else { [3, 2, 1] };
        assert_eq!((picture.shape(), picture.as_slice()), (&shape[..], &upright[..]), "orientation {orientation}");
    }
}

#[test]
fn text_bits_and_odd_ranges_of_pnm() {
    for (bytes, shape, samples) in [
        (&b"P1\n# a comment\n3 1\n0 1 0\n"[..], [1, 3, 1], vec![255, 0, 255]),
        (b"P4\n3 1\n\x40", [1, 3, 1], vec![255, 0, 255]),
        (b"P2 2 1 100 0 100", [1, 2, 1], vec![0, 255]),
        (b"P3 1 1 255 1 2 3", [1, 1, 3], vec![1, 2, 3]),
    ] {
        let (_folder, path) = file("a.png", bytes);
        let picture = picture::read_u8(&path).unwrap();
        assert_eq!((picture.shape(), picture.as_slice().to_vec()), (&shape[..], samples));
    }
}

fn files(ending: &str) -> Vec<(PathBuf, PathBuf)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files"));
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pair = |told: PathBuf| Some((PathBuf::from(told.to_str()?.strip_suffix(ending)?), told));
    entries.filter_map(pair).collect()
}

/// Files of others, each with what is in it: `files/make.py` says how both were made.
#[test]
fn what_others_write_is_read_as_they_mean_it() {
    let wanted = files(".want.npy");
    assert!(wanted.len() > 45, "{} files", wanted.len());
    for (path, want) in wanted {
        let whole = |want: &[u64], picture: &Picture| {
            let samples: Vec<u64> = match picture {
                Picture::U8(samples) => samples.as_slice().iter().map(|&sample| sample.into()).collect(),
                Picture::U16(samples) => samples.as_slice().iter().map(|&sample| sample.into()).collect(),
            };
            assert_eq!(samples.len(), want.len(), "{}", path.display());
            samples.iter().zip(want).map(|(one, other)| one.abs_diff(*other)).max().unwrap()
        };
        let picture = picture::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let (shape, want): (Vec<usize>, Vec<u64>) = match picture.bits() {
            8 => {
                let want = Shared::<u8, IxDyn>::load(&want).unwrap();
                (want.shape().to_vec(), want.view().iter().map(|&sample| sample.into()).collect())
            }
            _ => {
                let want = Shared::<u16, IxDyn>::load(&want).unwrap();
                (want.shape().to_vec(), want.view().iter().map(|&sample| sample.into()).collect())
            }
        };
        assert_eq!(picture.shape()[..2], shape[..2], "{}", path.display());
        let ending = path.extension().unwrap();
        // Decoders of JPEG round each in their own way; others divide as exactly.
        let most = if ending == "jpg" || path.ends_with("luma-jpeg.tif") { 12 } else { 1 };
        let worst = whole(&want, &picture);
        assert!(worst <= most, "{}: {worst} levels off", path.display());
    }
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let refused = files(".refused.txt");
    assert!(refused.len() > 9, "{} files", refused.len());
    for (path, why) in refused {
        let (text, why) = (refusal(picture::read(&path)), fs::read_to_string(why).unwrap());
        assert!(text.contains(&why), "{text}");
    }
}

/// A PNG that claims a size, with its checksums right.
fn claiming_png(side: u32, depth: u8) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
        })
    };
    let header = [&b"IHDR"[..], &side.to_be_bytes(), &side.to_be_bytes(), &[depth, 0, 0, 0, 0]].concat();
    let data = b"IDAT\x78\x9c\x63\x00\x00";
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [&header[..], data] {
        bytes.extend((chunk.len() as u32 - 4).to_be_bytes());
        bytes.extend(chunk);
        bytes.extend(crc(chunk).to_be_bytes());
    }
    bytes
}

#[test]
fn bad_pictures_are_refused_with_numbers_and_remedy() {
    let bomb = claiming_png(100_000, 8);
    assert!(bomb.len() <= 60);
    for (name, bytes, reason) in [
        ("bomb.png", &bomb[..], "100000 x 100000 pixels, for which a PNG file has 9689922 bytes at least, not 50"),
        ("bomb.pgm", b"P5 100000 100000 255\n....", "10000000000 bytes at least, not 25"),
        ("none.pgm", b"P5 0 10 255\n", "0 x 10 pixels, which is none"),
        ("text.png", b"hello, I am a text", "begins with \"hello, I am \""),
        ("dance.png", b"GIF89a\x01\0\x01\0", "GIF picture"),
        ("empty.png", b"", "0 bytes"),
        ("two.jpg", b"\xff\xd8\xff", "ends before its picture"),
        ("BMW.png", b"BMW is a car, and this is a text", "BMP"),
    ] {
        let (_folder, path) = file(name, bytes);
        let text = refusal(picture::read(&path));
        assert!(text.contains(reason), "{text}");
    }
    let (_folder, path) = file("deep.png", b"P5 1 1 65535\n\x12\x34");
    assert_eq!(picture::read_u16(&path).unwrap().as_slice(), [0x1234]);
    assert!(refusal(picture::read_u8(&path)).contains("16 bits a sample, where the program asks for 8"));
    assert!(refusal(picture::read(path.parent().unwrap())).contains("it is a folder"));
    assert!(refusal(picture::read("/nowhere/at/all.png")).contains("no such file"));
}

/// A file of each kind, small and whole.
static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let formats = ["png", "jpg", "tif", "bmp", "ppm", "pam"];
    let kinds = formats.into_iter().flat_map(|extension| [1, 2, 3, 4].map(|channels| (extension, channels)));
    let file = |(extension, channels)| {
        let path = folder.path().join(format!("{channels}.{extension}"));
        picture::save(&path, &pattern(channels, 8)).ok()?;
        fs::read(path).ok()
    };
    kinds.filter_map(file).collect()
});

#[test]
fn a_picture_cut_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    let others = files(".want.npy").into_iter().map(|(path, _)| path);
    let others = others.filter(|path| path.extension().is_some_and(|ending| ending == "jpg" || ending == "tif"));
    let others: Vec<_> = others.map(|path| fs::read(path).unwrap()).collect();
    for whole in SAMPLES.iter().chain(&others) {
        for length in (0..whole.len() - 16).step_by(whole.len() / 40) {
            fs::write(&path, &whole[..length]).unwrap();
            refusal(picture::read(&path));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn mutated_pictures_end_in_a_picture_or_an_error(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = which.get(&SAMPLES).clone();
        for (at, value, early) in changes {
            // Most of what decoders trust stands early.
            let length = if early { bytes.len().min(64) } else { bytes.len() };
            bytes[at.index(length)] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let (_folder, path) = file("mutated", &bytes);
        if let Err(error) = picture::read(&path) {
            prop_assert!(matches!(error, Error::File { .. } | Error::Memory { .. }), "{error}");
        }
    }

    #[test]
    fn any_bytes_behind_any_magic_end_in_an_error_or_a_picture(
        magic in prop::sample::select(vec![
            &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"P1 ", b"P2 ", b"P3 ",
            b"P4 ", b"P5 ", b"P6 ", b"P7\n", b"",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (_folder, path) = file("any", &[magic, &rest].concat());
        let answers = [picture::read(&path).err(), picture::read_u16(&path).err()];
        for error in answers.into_iter().flatten() {
            prop_assert!(matches!(error, Error::File { .. } | Error::Memory { .. }), "{error}");
        }
    }
}

/// More with PROPTEST_CASES set.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
}
