//! Arrays as they are typed: `[NAME=]FILE`, and for outputs `[NAME=]FILE[:TYPE[:SHAPE]]`, where a file's name may have `=` and `:` in it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use parfork::Dtype;
use parfork::formats::Address;
use parfork_workers::picture::Format;

use crate::args::common::dtype;

/// The rule, for help.
pub const RULE: &str = "\
A `=` parts NAME and FILE where NAME is a word of letters, digits, _, - and ., and no file (for --out: no folder) is there whose name has \
the `=` in it; `./` before a FILE says that it is all file, `NAME=./FILE` that it is not. A `:` parts FILE and TYPE behind an ending \
that is known (.npy, .png, ...), and elsewhere if a TYPE follows. FILE may be - (standard input or output) or shm:NAME (a segment).";

/// An input by name.
#[derive(Debug, Clone)]
pub struct Input {
    pub name: String,
    pub path: PathBuf,
}

/// An output by name, as far as it is given.
#[derive(Debug, Clone)]
pub struct Output {
    pub name: String,
    pub path: PathBuf,
    pub dtype: Option<Dtype>,
    pub shape: Option<Vec<usize>>,
}

impl Input {
    /// As typed.
    pub fn parse(text: &OsStr) -> Result<Self, String> {
        let (name, path) = named(text, |whole| fs::symlink_metadata(whole).is_ok(), "stdin")?;
        Ok(Self { name, path })
    }
}

impl Output {
    /// As typed.
    pub fn parse(text: &OsStr) -> Result<Self, String> {
        let (file, kind) = parted(text.as_bytes());
        let in_folder = |whole: &Path| {
            let folder = whole.parent().filter(|folder| folder.as_os_str().as_bytes().contains(&b'='));
            folder.is_some_and(|folder| fs::symlink_metadata(folder).is_ok())
        };
        let (name, path) = named(OsStr::from_bytes(file), in_folder, "stdout")?;
        let Some(kind) = kind else { return Ok(Self { name, path, dtype: None, shape: None }) };
        let (dtype, shape) = typed(&String::from_utf8_lossy(kind))?;
        Ok(Self { name, path, dtype: Some(dtype), shape })
    }
}

/// What stands before `=`, if that is a name, or else the file's name without its ending; and the file. `is_whole` looks whether all
/// of it leads somewhere.
fn named(text: &OsStr, is_whole: impl Fn(&Path) -> bool, standard: &str) -> Result<(String, PathBuf), String> {
    let bytes = text.as_bytes();
    let at = bytes.iter().position(|&byte| byte == b'=');
    let parts = at.map(|at| (&bytes[..at], OsStr::from_bytes(&bytes[at + 1..])));
    let (name, path) = match parts {
        Some((name, path)) if is_name(name) && (says_where(path) || !is_whole(Path::new(text))) => {
            (String::from_utf8_lossy(name).into_owned(), PathBuf::from(path))
        }
        _ => {
            let path = Path::new(text);
            let name = match Address::of(path) {
                Address::Standard => standard.to_owned(),
                Address::Segment(name) => last_word(name.as_bytes()),
                Address::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            };
            (name, path.to_owned())
        }
    };
    match name.is_empty() || path.as_os_str().is_empty() || bytes.starts_with(b"=") {
        true => Err("an array is FILE or NAME=FILE. Write it as in a.npy or A=data/a.npy.".to_owned()),
        false => Ok((name, path)),
    }
}

/// Whether it can be a name, and not only the beginning of a path.
fn is_name(bytes: &[u8]) -> bool {
    let word = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || byte >= 0x80;
    !bytes.is_empty() && bytes.iter().all(word) && str::from_utf8(bytes).is_ok()
}

/// Whether a path begins in a way that a name's rest does not.
fn says_where(path: &OsStr) -> bool {
    !matches!(Address::of(Path::new(path)), Address::File(_)) || path.as_bytes().starts_with(b"./")
}

fn last_word(name: &[u8]) -> String {
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(last).into_owned()
}

/// The file of an output, and what is said of its type and shape.
fn parted(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    // That of `shm:` is none that parts anything.
    let parts = |at: &usize| text[*at] == b':' && text[..*at].rsplit(|&byte| byte == b'=').next() != Some(b"shm");
    let colons = || (0..text.len()).filter(parts);
    let ends = |at: usize| has_ending(&text[..at]);
    // What has an ending as a whole is a file.
    if has_ending(text) {
        return (text, None);
    }
    if let Some(at) = colons().rfind(|&at| ends(at)) {
        return (&text[..at], Some(&text[at + 1..]));
    }
    // Of what can be read as a type and a shape, as much as there is.
    let kind = colons().find(|&at| typed(&String::from_utf8_lossy(&text[at + 1..])).is_ok());
    kind.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// Whether a path has the ending of an array's or a picture's file.
fn has_ending(path: &[u8]) -> bool {
    let ending = Path::new(OsStr::from_bytes(path)).extension().map(OsStr::to_ascii_lowercase);
    ending.is_some_and(|ending| ending == "npy" || Format::names().iter().any(|name| ending == *name))
}

/// TYPE, or TYPE:SHAPE.
fn typed(text: &str) -> Result<(Dtype, Option<Vec<usize>>), String> {
    let mut parts = text.split(':');
    let dtype = dtype(parts.next().unwrap_or_default())?;
    let length = |length: &str| {
        length.parse().map_err(|_| "a shape is lengths with x between them. Write it as in 1000x1000.".to_owned())
    };
    let shape = parts.next().map(|lengths| lengths.split('x').map(length).collect::<Result<_, _>>()).transpose()?;
    match parts.next() {
        None => Ok((dtype, shape)),
        Some(_) => Err("an output is FILE, FILE:TYPE or FILE:TYPE:SHAPE. Write it as in c.npy:f64:10x20.".to_owned()),
    }
}

/// A variable to set, `NAME=VALUE`, or one to inherit, `NAME`.
pub fn variable(text: &OsStr) -> (OsString, Option<OsString>) {
    let bytes = text.as_bytes();
    match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) => (OsString::from_vec(bytes[..at].into()), Some(OsString::from_vec(bytes[at + 1..].into()))),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> (String, PathBuf) {
        let Input { name, path } = Input::parse(text.as_ref()).unwrap();
        (name, path)
    }

    fn output(text: &str) -> (String, String, Option<String>, Option<Vec<usize>>) {
        let Output { name, path, dtype, shape } = Output::parse(text.as_ref()).unwrap();
        (name, path.display().to_string(), dtype.map(|dtype| dtype.name().to_owned()), shape)
    }

    #[test]
    fn arrays_are_named_typed_and_shaped() {
        assert_eq!(input("data/a.npy"), ("a".into(), "data/a.npy".into()));
        assert_eq!(input("A=data/x=1.npy"), ("A".into(), "data/x=1.npy".into()));
        assert_eq!(output("c.npy:f64:10x20").2, Some("f64".into()));
        assert_eq!(output("c.npy:f64:10x20").3, Some(vec![10, 20]));
        assert_eq!(output("c.npy:u8"), ("c".into(), "c.npy".into(), Some("u8".into()), None));
        for wrong in ["", "=a.npy", "A=", "c.npy:f8", "c.npy:f64:", "c.npy:f64:2x", "c.npy:f64:2:3"] {
            assert!(Output::parse(wrong.as_ref()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn colons_belong_to_a_type_where_one_can_be() {
        for file in ["2026-01-01T10:00:00.npy", "a:b.PNG", "x.npy:f64.npy", "10:00:00/c.npy"] {
            assert_eq!(output(file).1, file);
        }
        let typed = |file: &str| (file.to_owned(), Some("f32".to_owned()), Some(vec![2, 3]));
        for file in ["2026-01-01T10:00:00.NPY", "shm:plate", "shm:bob:staff/plate", "-", "/dev/fd/63", "a:b"] {
            let (_, path, dtype, shape) = output(&format!("{file}:f32:2x3"));
            assert_eq!((path, dtype, shape), typed(file));
        }
        assert_eq!(output("n=10:00.npy:u8:4"), ("n".into(), "10:00.npy".into(), Some("u8".into()), Some(vec![4])));
        assert_eq!(output("shm:u8").1, "shm:u8", "a name, and not a type");
    }

    #[test]
    fn an_equals_sign_belongs_to_a_name_where_no_file_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(path("date=2026")).unwrap();
        fs::write(path("date=2026/a=1.npy"), "").unwrap();
        // With its folder before it, it is no name.
        let file = path("date=2026/a=1.npy");
        assert_eq!(input(&file), ("a=1".into(), file.clone().into()));
        assert_eq!(output(&file).1, file);
        assert_eq!(input("no=file.npy"), ("no".into(), "file.npy".into()));
        assert_eq!(input("a=shm:x"), ("a".into(), "shm:x".into()));
        assert_eq!(input("a=-"), ("a".into(), "-".into()));
        assert_eq!(input("./no=file.npy"), ("no=file".into(), "./no=file.npy".into()));
        assert_eq!(
            (input("-").0, output("-").0, input("shm:staff/x").0),
            ("stdin".into(), "stdout".into(), "x".into())
        );
        let bytes = OsStr::from_bytes(b"caf\xe9.npy");
        assert_eq!(Input::parse(bytes).unwrap().path, Path::new(bytes));
        assert_eq!(Output::parse(bytes).unwrap().path, Path::new(bytes));
    }
}
