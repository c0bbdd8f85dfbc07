//! Names of segments: `plate` is one's own, `staff/plate` is shared with the group `staff`, `alice:staff/plate` is Alice's.

use std::ffi::OsStr;
use std::fmt;

use crate::error::{Error, Result, SegmentErrorKind};
use crate::sys::file;

/// The longest name in bytes.
const LONGEST: usize = 128;

/// Which segment is meant: whose, shared with whom, called what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// As it was written.
    text: String,
    pub(super) user: u32,
    pub(super) group: Option<u32>,
    plain: String,
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// If it is none, with what may be in one; if there is no such user or group.
    pub(super) fn read(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::Segment {
            name: format!("`{}`", text.escape_debug()),
            kind: SegmentErrorKind::Name { why },
        };
        let (place, plain) = text.rsplit_once('/').map_or((None, text), |(place, plain)| (Some(place), plain));
        if let Some(why) = unfit(plain) {
            return Err(wrong(why));
        }
        let (user, group) =
            match place.map(|place| place.split_once(':').map_or((None, place), |(user, group)| (Some(user), group))) {
                None => (None, None),
                Some((user, group)) => {
                    let found = file::group_named(group).ok().flatten();
                    (
                        user,
                        Some(found.ok_or_else(|| {
                            wrong(format!("there is no group `{}`. Name one (getent group)", group.escape_debug()))
                        })?),
                    )
                }
            };
        let user = match user {
            None => file::user(),
            Some(user) => {
                let found = file::user_named(user).ok().flatten();
                found.ok_or_else(|| {
                    wrong(format!("there is no user `{}`. Name one (getent passwd)", user.escape_debug()))
                })?
            }
        };
        Ok(Self { text: text.to_owned(), user, group, plain: plain.to_owned() })
    }

    /// One that was found in a folder.
    pub(super) fn found(plain: &str, user: u32, group: Option<u32>) -> Option<Self> {
        let text = group.map_or(plain.to_owned(), |group| format!("{group}/{plain}"));
        unfit(plain).is_none().then(|| Self { text, user, group, plain: plain.to_owned() })
    }

    /// The file's.
    pub(super) fn file(&self) -> &OsStr {
        self.plain.as_ref()
    }

    /// For `map_err`, and for errors made here.
    pub(super) fn error(&self, kind: SegmentErrorKind) -> Error {
        Error::Segment { name: self.to_string(), kind }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)
    }
}

/// Why a text cannot be the name of a file of ours.
fn unfit(name: &str) -> Option<String> {
    let first = name.chars().next();
    let odd = name.chars().find(|&c| !(c.is_alphanumeric() || "._-".contains(c)));
    let what = match (first, odd) {
        (None, _) => "a name has at least one letter".to_owned(),
        (_, Some(odd)) => format!("a name cannot have `{}` in it", odd.escape_debug()),
        (Some('.' | '-'), _) => "a name cannot begin with a dot or a dash".to_owned(),
        _ if name.len() > LONGEST => format!("a name has {LONGEST} bytes at most, and this has {}", name.len()),
        _ => return None,
    };
    Some(format!("{what}. Use letters, digits, `.`, `_` and `-`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["plate", "a", "0", "_x", "step-3.v2", "größe"] {
            let read = Name::read(name).unwrap();
            assert_eq!((read.file(), read.group, read.user), (OsStr::new(name), None, file::user()));
        }
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "-rf",
            "a b",
            "a\n",
            "a\0b",
            "../x",
            "x/..",
            "a*",
            "né/",
            "/etc/passwd",
            "\u{202e}x",
        ] {
            assert!(Name::read(name).is_err(), "{name:?}");
        }
        assert!(Name::read(&"x".repeat(128)).is_ok() && Name::read(&"x".repeat(129)).is_err());
    }

    #[test]
    fn groups_and_users_are_named_or_numbered() {
        let name = Name::read("0/plate").unwrap();
        assert_eq!((name.group, name.user, name.file()), (Some(0), file::user(), OsStr::new("plate")));
        let name = Name::read("1234:root/plate").unwrap();
        assert_eq!((name.group, name.user, name.to_string().as_str()), (Some(0), 1234, "1234:root/plate"));
        assert!(Name::read("no-such-group-here/plate").unwrap_err().to_string().contains("no group"));
        assert!(Name::read("no-such-user-here:0/plate").unwrap_err().to_string().contains("no user"));
    }
}
