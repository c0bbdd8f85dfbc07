//! The JSON of manifests, as it is written. Not by serde_json: whoever links that has comparisons of all numbers with its values, and code
//! of theirs that compiles without it (`assert_eq!(sum, numbers.sum())`) would no longer know which is meant.

use std::fmt::{self, Write as _};

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Null,
    Whole(u64),
    Text(String),
    /// As it was read: `true`, `false` or another number, which no field of a manifest has.
    Other(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// An object of names and of what can become a value.
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::exec::value::Json::Object(vec![$(($name.to_owned(), $crate::exec::value::Json::from($value))),*])
    };
}
pub(crate) use object;

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Other(text) => f.write_str(text),
            Self::Text(text) => quoted(text, f),
            Self::List(values) => {
                f.write_char('[')?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { "," } else { "" })?;
                }
                f.write_char(']')
            }
            Self::Object(fields) => {
                f.write_char('{')?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    quoted(name, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            '\u{0}'..='\u{1f}' => write!(f, "\\u{:04x}", letter as u32)?,
            letter => f.write_char(letter)?,
        }
    }
    f.write_char('"')
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<V: Into<Self>> FromIterator<V> for Json {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let value = object! {
            "text \"x\"": "a \\ \"b\"\n\u{1}ü",
            "numbers": [0_usize, 12].into_iter().collect::<Json>(),
            "large": u64::MAX,
            "object": object! { "none": Json::Null },
            "empty": Json::List(Vec::new()),
        };
        let read: serde_json::Value = serde_json::from_str(&value.to_string()).unwrap();
        assert_eq!(read["text \"x\""], "a \\ \"b\"\n\u{1}ü");
        assert_eq!(read["large"], u64::MAX);
        assert_eq!(read["object"], serde_json::json!({ "none": null }));
        assert_eq!(read["numbers"], serde_json::json!([0, 12]));
        assert!(read["empty"].as_array().unwrap().is_empty());
    }
}
