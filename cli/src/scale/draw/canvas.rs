//! A drawing: a size, words about it, and marks.

use super::Colour;

/// Where a text stands from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// What a dot looks like, so that colours are not all there is to tell dots apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Round.
    Circle,
    /// With four sides.
    Square,
    /// With three.
    Triangle,
    /// On its tip.
    Diamond,
}

impl Shape {
    /// That of a series.
    pub fn of(number: usize) -> Self {
        [Self::Circle, Self::Square, Self::Triangle, Self::Diamond][number % 4]
    }

    /// Its corners around a place; none of a circle.
    pub fn corners(self, (x, y): (f64, f64), size: f64) -> Vec<(f64, f64)> {
        let around: &[(f64, f64)] = match self {
            Self::Circle => &[],
            Self::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Triangle => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            Self::Diamond => &[(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)],
        };
        around.iter().map(|(across, down)| (x + size * across, y + size * down)).collect()
    }
}

/// Something drawn. Coordinates are pixels from the upper left.
#[derive(Clone, Debug)]
pub enum Mark {
    /// Straight lines from point to point.
    Line { points: Vec<(f64, f64)>, colour: Colour, width: f64, dash: Option<[f64; 2]> },
    /// What lies within a border of straight lines.
    Area { points: Vec<(f64, f64)>, colour: Colour, opacity: f64, tip: String },
    /// A dot, filled or hollow; `tip` is what it says when pointed at.
    Dot { at: (f64, f64), size: f64, shape: Shape, colour: Colour, hollow: bool, tip: String },
    /// A text on one line; turned, it is read from below.
    Text { at: (f64, f64), text: String, size: f64, align: Align, colour: Colour, turned: bool },
}

/// A drawing.
#[derive(Clone, Debug)]
pub struct Canvas {
    /// Pixels across and down.
    pub size: (f64, f64),
    /// What it shows.
    pub title: String,
    /// The same for those who do not see it.
    pub description: String,
    /// Later ones lie over earlier ones.
    pub marks: Vec<Mark>,
}

impl Canvas {
    /// Draws a line.
    pub fn line(&mut self, points: Vec<(f64, f64)>, colour: Colour, width: f64, dash: Option<[f64; 2]>) {
        self.marks.push(Mark::Line { points, colour, width, dash });
    }

    /// Fills what lies between corners.
    pub fn area(&mut self, points: Vec<(f64, f64)>, colour: Colour, opacity: f64, tip: String) {
        self.marks.push(Mark::Area { points, colour, opacity, tip });
    }

    /// Writes a text.
    pub fn text(&mut self, at: (f64, f64), text: impl Into<String>, size: f64, align: Align, colour: Colour) {
        self.marks.push(Mark::Text { at, text: text.into(), size, align, colour, turned: false });
    }

    /// How wide a text is at most in common fonts without serifs: nobody knows which one a viewer has.
    pub fn width_of(text: &str, size: f64) -> f64 {
        let em = |letter| match letter {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' => 0.32,
            'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '/' | '-' | ' ' => 0.4,
            'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
            'A'..='Z' => 0.74,
            _ => 0.62,
        };
        size * text.chars().map(em).sum::<f64>()
    }
}
