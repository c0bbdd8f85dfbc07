//! Pictures, which a process decodes that has nothing else.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use parfork::{Error, Hooks, JobSpec, Sandbox, Shared};
use parfork_workers::picture::{self, Picture};

use crate::support::{self, nothing_left};

/// Files of every format and kind, and what is in them.
fn pictures(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
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
fn both(path: &std::path::Path) -> [Decoded; 2] {
    let told = |read: parfork::Result<Picture>| {
        let bytes = |picture: &Picture| match picture {
            Picture::U8(samples) => samples.as_slice().to_vec(),
            Picture::U16(samples) => bytemuck::cast_slice(samples.as_slice()).to_vec(),
        };
        read.map(|picture| (bytes(&picture), picture.shape(), picture.bits())).map_err(|error| error.to_string())
    };
    let strict = Hooks { sandbox: Some(Sandbox::new().strict(true)), ..Hooks::default() };
    nothing_left(|| [told(picture::read_with(&JobSpec::default(), strict, path)), told(picture::read(path))])
}

pub(super) fn pictures_are_decoded_alike_in_a_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    for path in pictures(folder.path()) {
        let [apart, here] = both(&path);
        assert!(here.is_ok() && apart == here, "{}", path.display());
    }
    let missing = folder.path().join("missing.png");
    let [apart, here] = both(&missing);
    assert!(here.is_err() && apart == here);
}

pub(super) fn a_damaged_picture_is_told_alike_from_a_sandbox() {
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

pub(super) fn a_decoder_without_memory_is_an_error_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.jpg");
    picture::save(&path, &Picture::U8(Shared::zeros((3000, 3000, 3)).unwrap())).unwrap();
    let spec = JobSpec { memory_limit: Some(1 << 16), ..JobSpec::default() };
    let error = nothing_left(|| picture::read_with(&spec, Hooks::default(), &path).map(drop)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::File { .. }) && text.contains("the process that reads it was ended by"), "{text}");
    assert!(nothing_left(|| picture::read_with(&JobSpec::default(), Hooks::default(), &path).is_ok()));
}

/// A key, as it stands in the coordinator's environment and memory.
const KEY: &str = "SECRET";

/// The part of a process that says what decoders of the process `OF` have in their environment and memory, as soon as there is one.
pub(super) fn watch_for_a_decoder() {
    let (of, key) = (std::env::var("OF").unwrap(), std::env::var(KEY).unwrap());
    println!("watching");
    loop {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let folder = entry.path();
            let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
            let (line, environment) = (read("cmdline"), String::from_utf8_lossy(&read("environ")).into_owned());
            let is_ours = environment.contains(&format!("PARFORK_ISOLATED_FOR={of}"));
            if !is_ours || !line.windows(7).any(|part| part == b"picture") {
                continue;
            }
            let (Ok(memory), maps) = (std::fs::File::open(folder.join("mem")), read("maps")) else { continue };
            let mut found = environment.contains(&key);
            let mut looked = 0;
            for map in String::from_utf8_lossy(&maps).lines().filter(|map| map.contains(" rw")) {
                let (start, end) = map.split(' ').next().unwrap().split_once('-').unwrap();
                let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).unwrap());
                let mut bytes = vec![0; (end - start).min(8 << 20) as usize];
                let count = memory.read_at(&mut bytes, start).unwrap_or(0);
                looked += count;
                found |= bytes[..count].windows(key.len()).any(|part| part == key.as_bytes());
            }
            if looked > 0 {
                return println!(
                    "variables {}, secrets {found}",
                    environment.trim_end_matches('\0').split('\0').count()
                );
            }
        }
    }
}

pub(super) fn a_decoder_has_nothing_of_the_coordinators() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.png");
    picture::save(&path, &Picture::U8(Shared::zeros((1500, 1500, 3)).unwrap())).unwrap();
    let key = format!("a key of process {}, in its memory", std::process::id());
    // SAFETY: this process has one thread.
    unsafe { std::env::set_var(KEY, &key) };
    let of = std::process::id().to_string();
    let mut watcher = support::play("sandbox::watch_for_a_decoder");
    let mut watcher = watcher.env("OF", of).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(watcher.stdout.take().unwrap()).lines();
    assert_eq!(told.next().unwrap().unwrap(), "watching");
    while watcher.try_wait().unwrap().is_none() {
        picture::read_with(&JobSpec::default(), Hooks::default(), &path).unwrap();
    }
    assert_eq!(told.next().unwrap().unwrap(), "variables 1, secrets false");
    assert!(std::hint::black_box(&key).len() > 20);
}

pub(super) fn a_program_that_does_not_serve_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.png");
    picture::save(&path, &Picture::U8(Shared::zeros((3, 4, 1)).unwrap())).unwrap();
    let error =
        nothing_left(|| picture::read_with(&JobSpec::default(), Hooks::default(), &path)).unwrap_err().to_string();
    assert!(error.contains("serve_decoder() first in main"), "{error}");
    assert!(picture::read(&path).is_ok());
}
