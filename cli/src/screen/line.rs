//! Lines of text, and the bytes by which a terminal shows them.

use std::fmt::{self, Display, Formatter, Write};

/// How characters look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    attribute: Option<Attribute>,
    colour: Option<Colour>,
}

/// What ECMA-48 calls them, by their numbers there (8.3.117, select graphic rendition).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Bold = 1,
    Underlined = 4,
    Reversed = 7,
}

/// A colour of characters, by its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
    Magenta = 35,
    Cyan = 36,
}

impl Style {
    pub const PLAIN: Self = Self { attribute: None, colour: None };
    pub const BOLD: Self = Self { attribute: Some(Attribute::Bold), colour: None };
    pub const UNDERLINED: Self = Self { attribute: Some(Attribute::Underlined), colour: None };
    pub const REVERSED: Self = Self { attribute: Some(Attribute::Reversed), colour: None };

    /// The same, in a colour.
    pub fn in_colour(self, colour: Colour) -> Self {
        Self { colour: Some(colour), ..self }
    }

    /// The same, bold.
    pub fn bold(self) -> Self {
        Self { attribute: Some(Attribute::Bold), ..self }
    }
}

/// A line of text: runs of characters that look the same. Its `Display` is the text alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(String, Style)>);

impl Line {
    /// A text, all of which looks the same.
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self::default().and(text, style)
    }

    /// The same line with more at its end.
    pub fn and(mut self, text: impl Into<String>, style: Style) -> Self {
        self.0.push((text.into(), style));
        self
    }

    /// What a terminal is sent to show at most so many characters of it. Control characters are left out: names of jobs come from other
    /// processes, and are no commands to this terminal.
    fn encoded(&self, width: usize) -> String {
        let (mut bytes, mut left) = (String::new(), width);
        for (text, Style { attribute, colour }) in &self.0 {
            let codes = [attribute.map(|attribute| attribute as u8), colour.map(|colour| colour as u8)];
            codes.into_iter().flatten().for_each(|code| write!(bytes, "\x1b[{code}m").unwrap_or_default());
            let shown = text.chars().filter(|letter| !letter.is_control()).take(left);
            left -= shown.map(|letter| bytes.push(letter)).count();
            if attribute.is_some() || colour.is_some() {
                bytes.push_str("\x1b[m");
            }
        }
        bytes
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new(text, Style::PLAIN)
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(text, _)| f.write_str(text))
    }
}

/// What a terminal shows.
#[derive(Default)]
pub struct Shown {
    size: (usize, usize),
    /// What each of its lines was made of.
    lines: Vec<String>,
}

impl Shown {
    /// What a terminal of so many columns and rows is sent to show these lines and nothing else: those that have changed, or all if its
    /// size has.
    pub fn change(&mut self, lines: &[Line], (width, height): (usize, usize)) -> String {
        let mut bytes = String::new();
        if self.size != (width, height) {
            *self = Self { size: (width, height), lines: vec![String::new(); height] };
            bytes.push_str("\x1b[2J");
        }
        for (row, shown) in self.lines.iter_mut().enumerate() {
            let line = lines.get(row).map_or(String::new(), |line| line.encoded(width));
            if line != *shown {
                // To its start, and clear it.
                write!(bytes, "\x1b[{};1H\x1b[2K{line}", row + 1).unwrap_or_default();
                *shown = line;
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line::from((*text).to_owned())).collect()
    }

    #[test]
    fn only_what_changes_is_sent() {
        let mut shown = Shown::default();
        let all = shown.change(&lines(&["one", "two"]), (10, 3));
        assert_eq!(all, "\x1b[2J\x1b[1;1H\x1b[2Kone\x1b[2;1H\x1b[2Ktwo");
        assert_eq!(shown.change(&lines(&["one", "two"]), (10, 3)), "");
        assert_eq!(shown.change(&lines(&["one", "2"]), (10, 3)), "\x1b[2;1H\x1b[2K2");
        assert_eq!(shown.change(&lines(&["one"]), (10, 3)), "\x1b[2;1H\x1b[2K");
        // A terminal of another size, and more lines than it has.
        assert_eq!(shown.change(&lines(&["one", "two"]), (2, 1)), "\x1b[2J\x1b[1;1H\x1b[2Kon");
    }

    #[test]
    fn a_terminal_shows_it() {
        let line = Line::new("bold", Style::BOLD)
            .and(" and ", Style::PLAIN)
            .and("red", Style::REVERSED.in_colour(Colour::Red));
        let mut parser = vt100::Parser::new(2.try_into().unwrap(), 20.try_into().unwrap(), 0);
        parser.process(Shown::default().change(&[Line::default(), line], (20, 2)).as_bytes());
        assert_eq!(parser.screen().contents(), "\nbold and red");
        let cell = |column| parser.screen().cell(1, column).unwrap();
        assert!(cell(0).bold() && !cell(5).bold() && !cell(9).bold() && cell(9).inverse() && !cell(5).inverse());
        assert_eq!((cell(0).fgcolor(), cell(9).fgcolor()), (vt100::Color::Default, vt100::Color::Idx(1)));
    }

    #[test]
    fn texts_are_no_commands() {
        let line = Line::from("a\x1b[2Jb\r\n\u{9b}1mc\u{7f}".to_owned());
        assert_eq!(line.encoded(80), "a[2Jb1mc");
        assert_eq!(line.encoded(3), "a[2");
    }
}
