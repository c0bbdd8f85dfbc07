//! The command line that runs one slice of a failed job again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// These arguments, and with them the slice, and for a chain of filters the number of them that were begun.
pub fn command(arguments: impl Iterator<Item = OsString>, slice: usize, until: Option<usize>) -> String {
    let mut words: Vec<OsString> = arguments.collect();
    // Flags end at `--`.
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let is_slice = |word: &OsString| word == "--only-slice" || word.as_bytes().starts_with(b"--only-slice=");
    let given = words[..end].iter().any(is_slice);
    let until = until.into_iter().flat_map(|number| ["--until".to_owned(), number.to_string()]);
    let slice = [String::from("--only-slice"), slice.to_string()].into_iter().filter(|_| !given);
    words.splice(end..end, until.chain(slice).map(OsString::from));
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell has to be given it. What is not UTF-8 stands in `$'...'`, which all shells know but the oldest.
pub fn quote(word: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    let Some(word) = word.to_str() else {
        let byte = |&byte: &u8| match byte {
            b' '..=b'~' if !matches!(byte, b'\'' | b'\\') => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        return format!("$'{}'", word.as_bytes().iter().map(byte).collect::<String>());
    };
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(line: &[&str], slice: usize, until: Option<usize>) -> String {
        command(line.iter().map(OsString::from), slice, until)
    }

    #[test]
    fn flags_are_added_where_flags_may_stand_and_once() {
        assert_eq!(replay(&["parfork", "sum", "a.npy"], 9, None), "parfork sum a.npy --only-slice 9");
        assert_eq!(replay(&["./parfork", "sum", "--", "-a"], 9, None), "./parfork sum --only-slice 9 -- -a");
        assert_eq!(replay(&["parfork", "sum", "--only-slice=9", "a"], 9, None), "parfork sum --only-slice=9 a");
        let chain = ["parfork", "image", "a.png", "-f", "gray,sobel", "-o", "b.png"];
        let expected = "parfork image a.png -f gray,sobel -o b.png --until 1 --only-slice 3";
        assert_eq!(replay(&chain, 3, Some(1)), expected);
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        let quote = |word: &str| quote(word.as_ref());
        assert_eq!(quote("my photo's.png"), r"'my photo'\''s.png'");
        assert_eq!(
            (quote("").as_str(), quote("$HOME").as_str(), quote("rows=64").as_str()),
            ("''", "'$HOME'", "rows=64")
        );
        // printf %s $'caf\xe9\x27s' prints these bytes.
        assert_eq!(super::quote(OsStr::from_bytes(b"caf\xe9's")), r"$'caf\xe9\x27s'");
    }
}
