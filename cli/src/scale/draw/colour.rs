//! Colours, by what they are for; on white and on black paper.

use std::fmt::Write as _;

/// What something is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Words and axes.
    Text,
    /// What stays in the background: grid, explanations.
    Faint,
    /// What is drawn on.
    Paper,
    /// One of the things compared.
    Series(usize),
    /// A part of time: 0 is work, the others are causes of loss.
    Part(usize),
}

/// Text, faint, paper: on white, on black.
const PLAIN: [[u32; 2]; 3] = [[0x1f2328, 0xe6e6e6], [0x6a737d, 0x9aa4ae], [0xffffff, 0x16191d]];

/// Colours that people with any colour vision tell apart, near those of Okabe and Ito (2008), with enough contrast to their paper.
const SERIES: [[u32; 2]; 6] = [
    [0x0072b2, 0x56b4e9],
    [0xd55e00, 0xff9650],
    [0x00805c, 0x35c99c],
    [0xa8427f, 0xe6a0cc],
    [0x8a6800, 0xe3bd4a],
    [0x555555, 0xbbbbbb],
];

const PARTS: [[u32; 2]; 9] = [
    [0x5b9e6f, 0x5b9e6f],
    [0xe69f00, 0xe69f00],
    [0xcc79a7, 0xcc79a7],
    [0x7a4fa3, 0xa483cc],
    [0xd55e00, 0xe8742a],
    [0x56b4e9, 0x56b4e9],
    [0x0072b2, 0x3d8fd1],
    [0xf0d24a, 0xf0d24a],
    [0x8f8f8f, 0xa0a0a0],
];

impl Colour {
    fn colours(self) -> [u32; 2] {
        match self {
            Self::Text => PLAIN[0],
            Self::Faint => PLAIN[1],
            Self::Paper => PLAIN[2],
            Self::Series(number) => SERIES[number % SERIES.len()],
            Self::Part(number) => PARTS[number % PARTS.len()],
        }
    }

    /// Its class in SVG and HTML.
    pub fn class(self) -> String {
        match self {
            Self::Text => "ink".to_owned(),
            Self::Faint => "faint".to_owned(),
            Self::Paper => "paper".to_owned(),
            Self::Series(number) => format!("s{}", number % SERIES.len()),
            Self::Part(number) => format!("p{}", number % PARTS.len()),
        }
    }
}

/// The style sheet that gives classes their colours.
pub fn style(dark: bool) -> String {
    let series = (0..SERIES.len()).map(Colour::Series);
    let all = [Colour::Text, Colour::Faint, Colour::Paper]
        .into_iter()
        .chain(series)
        .chain((0..PARTS.len()).map(Colour::Part));
    let mut style = String::new();
    for colour in all {
        let _ = write!(style, ".{}{{color:#{:06x}}}", colour.class(), colour.colours()[usize::from(dark)]);
    }
    style
}
