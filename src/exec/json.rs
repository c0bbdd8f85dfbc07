//! Reads JSON, which manifests are: any bytes end in a value or in the place where they are none.

use std::iter::Peekable;
use std::str::CharIndices;

use super::value::Json;
use crate::error::JsonError;

/// No manifest nests as deeply.
const DEEPEST: usize = 16;

/// Reads one value.
///
/// # Errors
/// What stands where it should not.
pub(super) fn read(bytes: &[u8]) -> Result<Json, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::Utf8 { at: error.valid_up_to() })?;
    let mut reader = Reader { text, chars: text.char_indices().peekable() };
    let value = reader.value(0)?;
    reader.space();
    match reader.chars.next() {
        None => Ok(value),
        Some((at, _)) => Err(JsonError::GoesOn { at }),
    }
}

/// The member of an object.
pub(super) fn member<'j>(value: &'j Json, name: &str) -> Option<&'j Json> {
    let Json::Object(members) = value else { return None };
    members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

struct Reader<'t> {
    text: &'t str,
    chars: Peekable<CharIndices<'t>>,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.space();
        if depth > DEEPEST {
            return Err(JsonError::TooDeep { most: DEEPEST });
        }
        match self.chars.peek().map(|&(_, letter)| letter) {
            Some('{') => {
                let member = |reader: &mut Self| {
                    reader.space();
                    let name = reader.string()?;
                    reader.expect(':', "`:`")?;
                    Ok((name, reader.value(depth + 1)?))
                };
                self.list(['{', '}'], "`{`", member).map(Json::Object)
            }
            Some('[') => self.list(['[', ']'], "`[`", |reader| reader.value(depth + 1)).map(Json::List),
            Some('"') => self.string().map(Json::Text),
            Some('-' | '0'..='9') => self.number(),
            _ => {
                let word = self.run(|letter| letter.is_ascii_lowercase());
                match word {
                    "null" => Ok(Json::Null),
                    "true" | "false" => Ok(Json::Other(word.to_owned())),
                    _ => Err(self.unexpected("a value")),
                }
            }
        }
    }

    fn list<T>(
        &mut self,
        [open, close]: [char; 2],
        begin: &'static str,
        mut each: impl FnMut(&mut Self) -> Result<T, JsonError>,
    ) -> Result<Vec<T>, JsonError> {
        self.expect(open, begin)?;
        let mut all = Vec::new();
        if self.take(close) {
            return Ok(all);
        }
        loop {
            all.push(each(self)?);
            if self.take(close) {
                return Ok(all);
            }
            self.expect(',', "`,`")?;
        }
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let digits = self.run(|letter| letter.is_ascii_digit() || "+-.eE".contains(letter));
        match (digits.parse(), digits.parse::<f64>()) {
            (Ok(whole), _) => Ok(Json::Whole(whole)),
            (Err(_), Ok(_)) => Ok(Json::Other(digits.to_owned())),
            (Err(_), Err(_)) => Err(JsonError::Number { digits: digits.to_owned() }),
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect('"', "`\"`")?;
        let mut string = String::new();
        while let Some((at, letter)) = self.chars.next() {
            match letter {
                '"' => return Ok(string),
                '\\' => string.push(self.escape().ok_or(JsonError::Escape { at })?),
                '\u{0}'..='\u{1f}' => return Err(JsonError::Control { at }),
                letter => string.push(letter),
            }
        }
        Err(self.unexpected("the end of a string"))
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.chars.next()?.1 {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            letter @ ('"' | '\\' | '/') => letter,
            'u' => match self.unit()? {
                high @ 0xd800..0xdc00 => {
                    let escaped = self.chars.next()?.1 == '\\' && self.chars.next()?.1 == 'u';
                    let low = self.unit().filter(|low| escaped && (0xdc00..0xe000).contains(low))?;
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?
                }
                unit => char::from_u32(unit)?,
            },
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit * 16 + self.chars.next()?.1.to_digit(16)?))
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let start = self.chars.peek().map_or(self.text.len(), |&(at, _)| at);
        while self.chars.next_if(|&(_, letter)| belongs(letter)).is_some() {}
        let end = self.chars.peek().map_or(self.text.len(), |&(at, _)| at);
        &self.text[start..end]
    }

    fn space(&mut self) {
        self.run(|letter| " \t\r\n".contains(letter));
    }

    fn take(&mut self, wanted: char) -> bool {
        self.space();
        self.chars.next_if(|&(_, letter)| letter == wanted).is_some()
    }

    fn expect(&mut self, letter: char, wanted: &'static str) -> Result<(), JsonError> {
        if self.take(letter) { Ok(()) } else { Err(self.unexpected(wanted)) }
    }

    fn unexpected(&mut self, wanted: &'static str) -> JsonError {
        match self.chars.peek() {
            Some(&(at, found)) => JsonError::Unexpected { at, found, wanted },
            None => JsonError::Ends { wanted },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_serde_reads_them() {
        for text in [
            r#"{"a": [1, 2.5, -3, 1e3, true, false, null], "b": {}, "c": "x\n\"\\\/\u00fc\ud83d\ude00", "d": []}"#,
            " [ ] ",
            "18446744073709551615",
            "\"\"",
        ] {
            let ours: serde_json::Value = serde_json::from_str(&read(text.as_bytes()).unwrap().to_string()).unwrap();
            let theirs: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_the_place() {
        let deep = "[".repeat(100_000);
        for (text, reason) in [
            ("", "it ends where a value"),
            ("{\"a\" 1}", "'1' stands at byte 5 instead of `:`"),
            ("[1,]", "']' stands at byte 3 instead of a value"),
            ("[1] x", "goes on at byte 4"),
            ("\"\\x\"", "no letter is escaped"),
            ("\"\\ud800\"", "no letter is escaped"),
            ("\"a", "it ends where the end of a string"),
            ("1-2", "`1-2` is not a number"),
            (&deep, "more than 16 deep"),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(read(b"\xff").unwrap_err(), JsonError::Utf8 { at: 0 });
    }
}
