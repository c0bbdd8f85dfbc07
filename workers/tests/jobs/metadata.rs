//! What a file has beside its picture, from file to file.

use std::path::{Path, PathBuf};

use parfork::formats::{InputFile, OutputFile};
use parfork::{Engine, Hooks, Job, JobSpec};
use parfork_workers::picture::{self, Format, Metadata, Picture, PictureFile};

use crate::support::nothing_left;

fn read(path: &Path) -> PictureFile {
    picture::read_from(&JobSpec::default(), Hooks::default(), InputFile::open(path).unwrap(), true).unwrap()
}

fn write(path: &Path, picture: &Picture, metadata: &Metadata) {
    let mut out = OutputFile::open(path).unwrap();
    let job = Job::default().runner(Engine::Serial);
    picture::write_with(job, &mut out, picture, Format::for_target(path).unwrap(), metadata).unwrap();
    out.commit().unwrap();
}

fn has(bytes: Option<&Vec<u8>>, part: &[u8]) -> bool {
    bytes.is_some_and(|bytes| bytes.windows(part.len()).any(|some| some == part))
}

/// Of Pillow's and tifffile's files, which lie on their side: 21 x 11 pixels as stored.
pub(crate) fn stays_with_the_picture_and_says_that_it_is_upright() {
    let folder = tempfile::tempdir().unwrap();
    nothing_left(|| {
        for from in ["noted.jpg", "noted.png", "noted.tif"] {
            let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files")).join(from);
            let PictureFile { picture, metadata, .. } = read(&path);
            assert_eq!(picture.shape(), [21, 11, 3]);
            // The profile that Pillow makes of "sRGB".
            assert_eq!(metadata.icc.as_ref().map(Vec::len), Some(588), "{from}");
            assert!(has(metadata.xmp.as_ref(), b"tiff:Orientation=\"6\""), "{from}");
            assert!(has(metadata.exif.as_ref(), b"2026:01:02 03:04:05"), "{from}");
            for ending in ["jpg", "png", "tif"] {
                let first = folder.path().join(format!("first.{ending}"));
                write(&first, &picture, &metadata);
                let once = read(&first);
                assert_eq!(once.picture.shape(), [21, 11, 3], "{from} {ending}");
                assert_eq!(once.metadata.icc, metadata.icc);
                assert!(has(once.metadata.xmp.as_ref(), b"tiff:Orientation=\"1\""), "{from} {ending}");
                for part in [b"2026:01:02 03:04:05", &b"Maker"[..]] {
                    assert!(has(once.metadata.exif.as_ref(), part), "{from} {ending}");
                }
                for other in ["jpg", "png", "tif"] {
                    let again = folder.path().join(format!("again.{other}"));
                    write(&again, &once.picture, &once.metadata);
                    let again = read(&again).metadata;
                    assert_eq!([&again.icc, &again.xmp], [&once.metadata.icc, &once.metadata.xmp]);
                    // A TIFF has its directories in an order of its own.
                    assert!(again.exif == once.metadata.exif || ending != other, "{from} {ending} {other}");
                }
            }
            let none = folder.path().join("none.png");
            write(&none, &picture, &Metadata::default());
            assert_eq!(read(&none).metadata, Metadata::default());
        }
    });
}

/// More than a usual file has, in as many segments as it takes; and more than can be meant.
pub(crate) fn may_be_long_but_not_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.jpg");
    let noted = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/noted.jpg")));
    let mut metadata = noted.metadata.clone();
    metadata.icc.as_mut().unwrap().resize(300_000, 7);
    write(&path, &noted.picture, &metadata);
    assert_eq!(read(&path).metadata.icc, metadata.icc);
    metadata.icc.as_mut().unwrap().resize((8 << 20) + 1, 7);
    write(&path, &noted.picture, &metadata);
    let read = |with| picture::read_from(&JobSpec::default(), Hooks::default(), InputFile::open(&path).unwrap(), with);
    let error = read(true).unwrap_err().to_string();
    assert!(error.contains("its ICC profile is 8388609 bytes long") && error.contains("--strip"), "{error}");
    assert!(read(false).is_ok());
}
