//! Drawings as pixels, two for each unit of length, on white paper.

use ndarray::Ix3;
use parfork::Shared;
use parfork_workers::picture::Picture;
use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform};

use super::{Align, Ink, Mark, Shape, Sheet, font};
use crate::failure::Failure;

const SCALE: f32 = 2.0;

impl Sheet {
    /// Draws it.
    pub fn picture(&self) -> Result<Picture, Failure> {
        let (width, height) = ((SCALE * self.size.0 as f32) as u32, (SCALE * self.size.1 as f32) as u32);
        let mut pixels = Pixmap::new(width, height)
            .ok_or_else(|| Failure::job(format!("a plot of {width}x{height} pixels cannot be made.")))?;
        pixels.fill(Color::WHITE);
        self.marks.iter().for_each(|mark| draw(mark, &mut pixels));
        let mut picture = Shared::<u8, Ix3>::zeros((height as usize, width as usize, 3))?;
        for (pixel, rgba) in picture.as_mut_slice().chunks_exact_mut(3).zip(pixels.data().chunks_exact(4)) {
            pixel.copy_from_slice(&rgba[..3]);
        }
        Ok(Picture::U8(picture))
    }
}

fn draw(mark: &Mark, pixels: &mut Pixmap) {
    let scale = Transform::from_scale(SCALE, SCALE);
    match mark {
        Mark::Line { points, ink, width, dash } => {
            let dash = dash.and_then(|dash| StrokeDash::new(dash.map(|length| length as f32).to_vec(), 0.0));
            let stroke = Stroke { width: *width as f32, dash, ..Stroke::default() };
            if let Some(path) = path(points, false) {
                pixels.stroke_path(&path, &paint(*ink, 1.0), &stroke, scale, None);
            }
        }
        Mark::Area { points, ink, opacity, .. } => {
            if let Some(path) = path(points, true) {
                pixels.fill_path(&path, &paint(*ink, *opacity), FillRule::Winding, scale, None);
            }
        }
        Mark::Dot { at, size, shape, ink, hollow, .. } => {
            let outline = match shape {
                Shape::Circle => PathBuilder::from_circle(at.0 as f32, at.1 as f32, *size as f32),
                _ => path(&shape.corners(*at, *size), true),
            };
            if let Some(outline) = outline {
                let inside = if *hollow { Ink::Paper } else { *ink };
                pixels.fill_path(&outline, &paint(inside, 1.0), FillRule::Winding, scale, None);
                let stroke = Stroke { width: 2.0, ..Stroke::default() };
                pixels.stroke_path(&outline, &paint(*ink, 1.0), &stroke, scale, None);
            }
        }
        Mark::Text { at: (x, y), text, size, align, ink, turned } => {
            let back = match align {
                Align::Start => 0.0,
                Align::Middle => 0.5,
                Align::End => 1.0,
            };
            let begin = Transform::from_translate(-(back * font::width(text, *size)) as f32, 0.0);
            let turn = Transform::from_rotate(if *turned { -90.0 } else { 0.0 });
            let place = begin.post_concat(turn).post_translate(*x as f32, *y as f32).post_concat(scale);
            if let Some(letters) = font::outline(text, *size) {
                pixels.fill_path(&letters, &paint(*ink, 1.0), FillRule::Winding, place, None);
                // The font is a light one: a line around its letters makes them as strong as those of a page.
                let stroke = Stroke { width: *size as f32 / 45.0, ..Stroke::default() };
                pixels.stroke_path(&letters, &paint(*ink, 1.0), &stroke, place, None);
            }
        }
    }
}

fn paint(ink: Ink, opacity: f64) -> Paint<'static> {
    let [red, green, blue] = ink.rgb();
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, (255.0 * opacity) as u8);
    paint
}

fn path(points: &[(f64, f64)], close: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (number, (x, y)) in points.iter().enumerate() {
        match number {
            0 => path.move_to(*x as f32, *y as f32),
            _ => path.line_to(*x as f32, *y as f32),
        }
    }
    if close {
        path.close();
    }
    path.finish()
}
