//! Where the results of many inputs go: into a folder, or to where a pattern says.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use parfork::formats::Address;
use parfork_workers::picture::Format;

use crate::failure::Failure;

/// Where results go.
#[derive(Debug, PartialEq, Eq)]
pub enum OutputNames {
    /// Into a folder, by the names of the inputs.
    Folder(PathBuf),
    /// To what becomes of a pattern.
    Pattern(Vec<Piece>),
    /// To one file, whatever the input is called.
    File,
}

/// A piece of a pattern.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// What stands there.
    Text(Vec<u8>),
    /// What replaces a word in braces.
    Word(Word),
}

/// What a word in braces stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The name without its ending.
    Stem,
    /// The name.
    Name,
    /// The ending, without its point.
    Ext,
    /// The name of the folder.
    Parent,
}

const WORDS: [(&[u8], Word); 4] =
    [(b"{stem}", Word::Stem), (b"{name}", Word::Name), (b"{ext}", Word::Ext), (b"{parent}", Word::Parent)];

impl OutputNames {
    /// What an output means: a pattern if one of the words is in it, a folder if it is one or ends with a slash.
    pub fn of(output: &Path) -> Result<Self, Failure> {
        let bytes = output.as_os_str().as_bytes();
        if WORDS.iter().any(|(word, _)| bytes.windows(word.len()).any(|part| part == *word)) {
            return pattern(bytes).map(Self::Pattern).map_err(|wrong| {
                Failure::usage(format!(
                    "the pattern {} has {wrong}. Write {{stem}}, {{name}}, {{ext}} and {{parent}}, and {{{{ and }}}} for braces.",
                    output.display()
                ))
            });
        }
        let is_folder = bytes.ends_with(b"/") || matches!(Address::of(output), Address::File(path) if path.is_dir());
        Ok(if is_folder { Self::Folder(output.to_owned()) } else { Self::File })
    }

    /// Where the result of an input goes that has this path `below` the folder that it was found in, and is written as `format` if
    /// not as its name says.
    pub fn output(&self, input: &Path, below: &Path, format: Option<Format>) -> PathBuf {
        let named = match self {
            Self::Folder(folder) => {
                let path = folder.join(below);
                match format {
                    Some(format) if Format::for_target(&path).ok() != Some(format) => {
                        path.with_extension(format.extension())
                    }
                    _ => path,
                }
            }
            Self::Pattern(pieces) => {
                PathBuf::from(OsString::from_vec(pieces.iter().fold(Vec::new(), |mut made, piece| {
                    match piece {
                        Piece::Text(text) => made.extend(text),
                        Piece::Word(word) => made.extend(word.of(input).as_bytes()),
                    }
                    made
                })))
            }
            Self::File => unreachable!("one file is the output of one input"),
        };
        // What names of inputs make of a pattern is always a file.
        if matches!(Address::of(&named), Address::File(_)) { named } else { Path::new(".").join(named) }
    }
}

impl Word {
    fn of(self, input: &Path) -> OsString {
        let part = |part: Option<&OsStr>| part.unwrap_or_default().to_owned();
        match self {
            Self::Stem => part(input.file_stem()),
            Self::Name => part(input.file_name()),
            Self::Ext => part(input.extension()),
            Self::Parent => {
                let folder = input.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                // Of `.` and `..` too.
                let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
                part(whole.file_name())
            }
        }
    }
}

/// The pieces of a pattern, or what in it is wrong.
fn pattern(mut rest: &[u8]) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut text) = (Vec::new(), Vec::new());
    while let Some(&first) = rest.first() {
        if rest.starts_with(b"{{") || rest.starts_with(b"}}") {
            text.push(first);
            rest = &rest[2..];
        } else if let Some((word, means)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(Piece::Word(*means));
            rest = &rest[word.len()..];
        } else if matches!(first, b'{' | b'}') {
            let end = rest.iter().position(|&byte| byte == b'}').map_or(rest.len(), |at| at + 1);
            return Err(format!("{} in it, which stands for nothing", String::from_utf8_lossy(&rest[..end])));
        } else {
            text.push(first);
            rest = &rest[1..];
        }
    }
    pieces.push(Piece::Text(text));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use parfork_workers::picture::JpegSettings;

    use super::*;

    fn made(output: &str, input: &str) -> PathBuf {
        OutputNames::of(Path::new(output)).unwrap().output(Path::new(input), Path::new("below/a.jpg"), None)
    }

    #[test]
    fn a_pattern_becomes_what_its_words_stand_for() {
        for (pattern, input, output) in [
            ("out/{stem}.png", "in/a.b.jpg", "out/a.b.png"),
            ("{parent}-{name}", "in/a.jpg", "in-a.jpg"),
            ("{stem}{{1}}.{ext}", "a.JPG", "a{1}.JPG"),
            ("{stem}.png", "shm:a.jpg", "./shm:a.png"),
            ("{ext}x.png", "a", "x.png"),
            ("out/", "in/a.jpg", "out/below/a.jpg"),
        ] {
            assert_eq!(made(pattern, input), Path::new(output));
        }
        assert_eq!(OutputNames::of(Path::new("a{b}.png")).unwrap(), OutputNames::File);
        for wrong in ["{stem}{ste}.png", "{stem}{", "{stem}}.png"] {
            assert!(
                OutputNames::of(Path::new(wrong)).unwrap_err().into_parts().1.contains("stands for nothing"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_format_that_was_asked_for_is_the_ending_in_a_folder() {
        let output =
            |format| OutputNames::Folder("out".into()).output(Path::new("a"), Path::new("a.jpeg"), Some(format));
        assert_eq!(output(Format::Jpeg(JpegSettings::DEFAULT)), Path::new("out/a.jpeg"));
        assert_eq!(output(Format::Png), Path::new("out/a.png"));
    }
}
