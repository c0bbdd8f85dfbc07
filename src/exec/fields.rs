//! The fields of a manifest, read as what they should be.

use super::json::member;
use super::value::Json;
use crate::error::ManifestError;

/// That a field is wrong.
pub(super) fn field(name: &'static str, what: &'static str) -> ManifestError {
    ManifestError::Field { name, what }
}

/// The text of a field.
pub(super) fn text<'j>(json: &'j Json, name: &'static str) -> Result<&'j str, ManifestError> {
    match member(json, name) {
        Some(Json::Text(text)) => Ok(text),
        _ => Err(field(name, "no text")),
    }
}

/// The whole number of a field.
pub(super) fn number(json: &Json, name: &'static str) -> Result<u64, ManifestError> {
    match member(json, name) {
        Some(Json::Whole(number)) => Ok(*number),
        _ => Err(field(name, "no whole number")),
    }
}

/// A number that is a length.
pub(super) fn length(json: &Json, name: &'static str) -> Result<usize, ManifestError> {
    number(json, name)?.try_into().map_err(|_| field(name, "too large"))
}

/// A list of those.
pub(super) fn lengths(json: &Json, name: &'static str) -> Result<Vec<usize>, ManifestError> {
    let Some(Json::List(values)) = member(json, name) else { return Err(field(name, "no list")) };
    let length = |value: &Json| match value {
        Json::Whole(length) => usize::try_from(*length).ok(),
        _ => None,
    };
    values.iter().map(|value| length(value).ok_or(field(name, "a list of what are no lengths"))).collect()
}

/// Which of the known words a text is.
pub(super) fn one_of(text: &str, known: &'static [&'static str], name: &'static str) -> Result<usize, ManifestError> {
    known.iter().position(|word| *word == text).ok_or(ManifestError::Choice { name, known })
}
