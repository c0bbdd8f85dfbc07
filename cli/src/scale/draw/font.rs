//! The letters that pictures are written with, which have to be there on machines without fonts.

use std::sync::OnceLock;

use tiny_skia::{Path, PathBuilder};
use ttf_parser::{Face, OutlineBuilder};

fn face() -> &'static Face<'static> {
    static FACE: OnceLock<Face<'static>> = OnceLock::new();
    FACE.get_or_init(|| Face::parse(epaint_default_fonts::UBUNTU_LIGHT, 0).expect("the font that the program carries"))
}

/// How wide a text is in letters of so many pixels.
pub fn width(text: &str, size: f64) -> f64 {
    let scale = size / f64::from(face().units_per_em());
    text.chars().map(|letter| scale * f64::from(advance(letter))).sum()
}

fn advance(letter: char) -> u16 {
    face().glyph_index(letter).and_then(|glyph| face().glyph_hor_advance(glyph)).unwrap_or(0)
}

/// A text's outline, beginning at 0, 0, on the line y = 0.
pub fn outline(text: &str, size: f64) -> Option<Path> {
    let scale = (size / f64::from(face().units_per_em())) as f32;
    let (mut path, mut x) = (PathBuilder::new(), 0.0);
    for letter in text.chars() {
        if let Some(glyph) = face().glyph_index(letter) {
            face().outline_glyph(glyph, &mut Pen { path: &mut path, x, scale });
        }
        x += scale * f32::from(advance(letter));
    }
    path.finish()
}

/// Fonts count upwards from the line, pictures downwards.
struct Pen<'p> {
    path: &'p mut PathBuilder,
    x: f32,
    scale: f32,
}

impl Pen<'_> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + self.scale * x, -self.scale * y)
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_outlines_and_widths() {
        assert!(outline("Speed-up 95 %", 14.0).is_some() && outline(" ", 14.0).is_none());
        assert!(width("mmmm", 14.0) > 2.0 * width("iiii", 14.0));
        assert!((width("abc", 28.0) - 2.0 * width("abc", 14.0)).abs() < 1e-9);
    }
}
