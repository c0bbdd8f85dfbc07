//! The header of a .npy file as text: a Python dict, read with the few words that NumPy has ever written there.
//!
//! Keys in any order, any white space, `u'..'` and `3L` of Python 2, padding or none. Everything else is refused with the
//! place; nothing is evaluated, nothing recurses.

use std::iter::Peekable;
use std::str::CharIndices;

/// What a header says, before anybody has asked whether it makes sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal {
    pub(super) descr: Descr,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// The dtype as it is written down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Descr {
    /// One type for all elements.
    Plain(String),
    /// Fields: a list or tuple, not read any further.
    Structured,
}

/// Reads `{'descr': .., 'fortran_order': .., 'shape': (..)}`; the error says what is wrong and where.
pub(super) fn parse(text: &str) -> Result<Literal, String> {
    Reader { text, chars: text.char_indices().peekable() }.dict()
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    fn dict(mut self) -> Result<Literal, String> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.take('}') {
            let key = self.string()?;
            self.expect(':')?;
            match key.as_str() {
                "descr" if descr.is_none() => descr = Some(self.descr()?),
                "fortran_order" if fortran_order.is_none() => fortran_order = Some(self.boolean()?),
                "shape" if shape.is_none() => shape = Some(self.shape()?),
                _ => return Err(format!("the key '{}' is unknown or there twice", key.escape_debug())),
            }
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        self.space();
        if self.chars.peek().is_some() {
            return Err(self.unexpected("the end of the header"));
        }
        let missing = |key| move || format!("the key '{key}' is missing");
        Ok(Literal {
            descr: descr.ok_or_else(missing("descr"))?,
            fortran_order: fortran_order.ok_or_else(missing("fortran_order"))?,
            shape: shape.ok_or_else(missing("shape"))?,
        })
    }

    fn descr(&mut self) -> Result<Descr, String> {
        self.space();
        if !matches!(self.chars.peek(), Some((_, '[' | '('))) {
            return self.string().map(Descr::Plain);
        }
        // A list of fields: skipped up to the bracket that closes it, strings as a whole.
        let mut depth = 0_usize;
        loop {
            self.space();
            match self.chars.peek() {
                Some((_, '\'' | '"')) => drop(self.string()?),
                Some(&(_, bracket)) => {
                    self.chars.next();
                    match bracket {
                        '[' | '(' => depth += 1,
                        ']' | ')' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        return Ok(Descr::Structured);
                    }
                }
                None => return Err(self.unexpected("the end of the list of fields")),
            }
        }
    }

    fn boolean(&mut self) -> Result<bool, String> {
        let word = self.word(char::is_alphanumeric);
        match word.as_str() {
            "True" => Ok(true),
            "False" => Ok(false),
            _ => Err(format!("'fortran_order' is '{}', not True or False", word.escape_debug())),
        }
    }

    /// `()`, `(3,)`, `(3, 4)`, `(3L, 4L)`; `(3)` is a number, not a tuple, to Python and here.
    fn shape(&mut self) -> Result<Vec<u64>, String> {
        let mut shape = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            let digits = self.word(|c| c.is_ascii_digit());
            if digits.is_empty() {
                return Err(self.unexpected("a length in 'shape', a whole number from 0"));
            }
            let length = digits.parse().map_err(|_| format!("the length {digits} in 'shape' is more than 2^64"))?;
            shape.push(length);
            self.take('L');
            if !self.take(',') {
                self.expect(')')?;
                if shape.len() == 1 {
                    return Err(format!("'shape' is the number ({length}), not a tuple ({length},)"));
                }
                break;
            }
        }
        Ok(shape)
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.take('u') {
            self.take('b');
        }
        let quote = if self.take('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let mut string = String::new();
        for (_, c) in self.chars.by_ref() {
            if c == quote {
                return Ok(string);
            }
            string.push(c);
        }
        Err(self.unexpected("the end of a string"))
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> String {
        self.space();
        std::iter::from_fn(|| self.chars.next_if(|&(_, c)| belongs(c))).map(|(_, c)| c).collect()
    }

    fn space(&mut self) {
        while self.chars.next_if(|(_, c)| c.is_ascii_whitespace() || *c == '\0').is_some() {}
    }

    fn take(&mut self, wanted: char) -> bool {
        self.space();
        self.chars.next_if(|&(_, c)| c == wanted).is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) { Ok(()) } else { Err(self.unexpected(&format!("'{wanted}'"))) }
    }

    fn unexpected(&mut self, wanted: &str) -> String {
        match self.chars.peek() {
            Some((at, c)) => format!("'{}' stands at byte {at} of it instead of {wanted}", c.escape_debug()),
            None => format!("it ends at byte {} instead of going on with {wanted}", self.text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(descr: &str, fortran_order: bool, shape: &[u64]) -> Result<Literal, String> {
        Ok(Literal { descr: Descr::Plain(descr.to_owned()), fortran_order, shape: shape.to_vec() })
    }

    #[test]
    fn headers_of_all_ages() {
        let today = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }            \n";
        assert_eq!(parse(today), plain("<f8", false, &[3, 4]));
        let python_2 = "{'descr': '<f8', 'fortran_order': False, 'shape': (3L, 4L), }";
        assert_eq!(parse(python_2), plain("<f8", false, &[3, 4]));
        assert_eq!(parse("{u'shape':(7L ,),u'descr':u'>i4',u'fortran_order':True}"), plain(">i4", true, &[7]));
        assert_eq!(parse("{\"descr\": \"|u1\",\n 'fortran_order' : True,'shape' : ( ) }"), plain("|u1", true, &[]));
    }

    #[test]
    fn fields_are_noticed_and_skipped() {
        let header =
            "{'descr': [('a)', '<f4'), (('t', 'b]'), '<i8', (2, 3))], 'fortran_order': False, 'shape': (2,), }";
        let expected = Literal { descr: Descr::Structured, fortran_order: false, shape: vec![2] };
        assert_eq!(parse(header), Ok(expected));
    }

    #[test]
    fn nonsense_is_refused_with_the_place() {
        for (header, reason) in [
            ("", "ends at byte 0"),
            ("[1]", "'[' stands at byte 0"),
            ("{'descr': '<f8', 'shape': (3,)}", "'fortran_order' is missing"),
            ("{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}", "not True or False"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}", "a whole number from 0"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3)}", "not a tuple (3,)"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}", "more than 2^64"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} or else", "'o' stands at byte"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'x': 1}", "the key 'x'"),
            ("{'shape': (), 'shape': ()}", "there twice"),
            ("{'descr': [('a', '<f4'", "the end of the list"),
            ("{'descr': '<f8", "the end of a string"),
        ] {
            let error = parse(header).unwrap_err();
            assert!(error.contains(reason), "{header}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends_in_a_header_or_a_reason(text in "[\\[\\](){}'\", :0-9LTrueFalsdchpotn_u<>|f\u{e9}\n-]{0,80}") {
            let _ = parse(&text);
            let _ = parse(&format!("{{'descr': {text}"));
            let _ = parse(&format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({text}"));
        }
    }
}
