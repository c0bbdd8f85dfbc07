//! What stands around the data: title, legend, axes with ticks and grid.

use super::{Align, Axis, Canvas, Colour, Mark, Shape};

/// How a legend shows what it is about.
#[derive(Clone, Copy, Debug)]
pub enum Sample {
    /// A line, perhaps dashed, with a dot on it if there is a shape.
    Line { colour: Colour, dash: Option<[f64; 2]>, dot: Option<Shape>, hollow: bool },
    /// A filled box.
    Box { colour: Colour, opacity: f64 },
}

/// One entry of a legend.
pub type Entry = (Sample, String);

/// The place for data on a canvas.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
}

/// Pixels across of every plot; of the data down.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 74.0;
const MARGIN: f64 = 22.0;

/// Letters: of the title, of all else, of what explains.
const TITLE: f64 = 19.0;
/// Size of words.
pub const WORDS: f64 = 14.0;
const SMALL: f64 = 13.0;

impl Frame {
    /// A canvas with a title, a line about it, a legend that is broken into as many lines as it takes, and the place below.
    pub fn new(
        title: &str,
        about: &str,
        description: String,
        legend: &[Entry],
        (x, y): (Axis, Axis),
        bottom: f64,
    ) -> (Canvas, Self) {
        let mut canvas = Canvas { size: (WIDTH, 0.0), title: title.to_owned(), description, marks: Vec::new() };
        canvas.text((MARGIN, 32.0), title, TITLE, Align::Start, Colour::Text);
        canvas.text((MARGIN, 53.0), shorten(about, WIDTH - 2.0 * MARGIN), SMALL, Align::Start, Colour::Faint);
        let top = draw_legend(&mut canvas, legend, 79.0) + 12.0;
        let frame = Self { left: LEFT, right: WIDTH - MARGIN, top, bottom: top + HEIGHT, x, y };
        canvas.size.1 = frame.bottom + bottom;
        (canvas, frame)
    }

    /// Where a pair of numbers is.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + self.x.share(x) * (self.right - self.left),
            self.bottom - self.y.share(y) * (self.bottom - self.top),
        )
    }

    /// Corners of what lies between two numbers across.
    pub fn column(&self, from: f64, to: f64) -> Vec<(f64, f64)> {
        let ((from, _), (to, _)) = (self.at(from, 0.0), self.at(to, 0.0));
        vec![(from, self.top), (to, self.top), (to, self.bottom), (from, self.bottom)]
    }

    /// The upper and lower end.
    pub fn ends(&self) -> (f64, f64) {
        (self.top, self.bottom)
    }

    /// Numbers across, evenly on paper, to draw curves with.
    pub fn across(&self, from: f64, to: f64) -> Vec<f64> {
        let (from, to) = (self.x.share(from), self.x.share(to));
        (0..=120).map(|step| self.x.number(from + (to - from) * f64::from(step) / 120.0)).collect()
    }

    /// Grid, ticks and names upwards, and across if they have one.
    pub fn axes(&self, canvas: &mut Canvas, across: Option<&str>, upwards: &str) {
        for (number, words) in self.y.ticks() {
            let (_, y) = self.at(0.0, number);
            canvas.line(vec![(self.left, y), (self.right, y)], Colour::Faint, 0.35, None);
            canvas.text((self.left - 8.0, y + 5.0), words, SMALL, Align::End, Colour::Text);
        }
        canvas.line(
            vec![(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)],
            Colour::Text,
            1.2,
            None,
        );
        let middle = (self.top + self.bottom) / 2.0;
        let text = upwards.to_owned();
        let at = (MARGIN, middle);
        canvas.marks.push(Mark::Text {
            at,
            text,
            size: WORDS,
            align: Align::Middle,
            colour: Colour::Text,
            turned: true,
        });
        let Some(across) = across else { return };
        for (number, words) in self.x.ticks() {
            let (x, _) = self.at(number, 0.0);
            canvas.line(vec![(x, self.top), (x, self.bottom)], Colour::Faint, 0.35, None);
            canvas.line(vec![(x, self.bottom), (x, self.bottom + 5.0)], Colour::Text, 1.2, None);
            canvas.text((x, self.bottom + 20.0), words, SMALL, Align::Middle, Colour::Text);
        }
        let middle = (self.left + self.right) / 2.0;
        canvas.text((middle, self.bottom + 42.0), across, WORDS, Align::Middle, Colour::Text);
    }
}

/// As much of a text as there is room for.
fn shorten(text: &str, room: f64) -> String {
    if Canvas::width_of(text, SMALL) <= room {
        return text.to_owned();
    }
    let mut short: String = text.to_owned();
    while !short.is_empty() && Canvas::width_of(&short, SMALL) > room - 20.0 {
        short.pop();
    }
    format!("{}...", short.trim_end())
}

/// Draws it from a line on; the line where the next would be.
fn draw_legend(canvas: &mut Canvas, legend: &[Entry], first: f64) -> f64 {
    const SAMPLE: f64 = 34.0;
    let (mut x, mut y) = (MARGIN, first);
    for (sample, words) in legend {
        let words = shorten(words, WIDTH - 2.0 * MARGIN - SAMPLE - 8.0);
        let width = SAMPLE + 8.0 + Canvas::width_of(&words, SMALL) + 22.0;
        if x > MARGIN && x + width > WIDTH - MARGIN + 22.0 {
            (x, y) = (MARGIN, y + 21.0);
        }
        let middle = y - 4.5;
        match *sample {
            Sample::Line { colour, dash, dot, hollow } => {
                canvas.line(vec![(x, middle), (x + SAMPLE, middle)], colour, 2.2, dash);
                if let Some(shape) = dot {
                    let at = (x + SAMPLE / 2.0, middle);
                    canvas.marks.push(Mark::Dot { at, size: 5.0, shape, colour, hollow, tip: String::new() });
                }
            }
            Sample::Box { colour, opacity } => {
                let (left, right, top, bottom) = (x + 8.0, x + SAMPLE - 4.0, middle - 7.0, middle + 7.0);
                canvas.area(
                    vec![(left, top), (right, top), (right, bottom), (left, bottom)],
                    colour,
                    opacity,
                    String::new(),
                );
            }
        }
        canvas.text((x + SAMPLE + 8.0, y), words, SMALL, Align::Start, Colour::Text);
        x += width;
    }
    y + 8.0
}
