//! A rectangle of a picture.

use std::fmt;

use super::Sample;
use super::picture::{Region, Source, copy};

/// Which rectangle of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Its columns.
    pub width: usize,
    /// Its rows.
    pub height: usize,
    /// Columns to the left of it.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
}

impl Crop {
    /// Whether a picture has all of it.
    pub(super) fn lies_in(self, height: usize, width: usize) -> bool {
        let ends = |from: usize, len: usize, by: usize| from.checked_add(len).is_some_and(|end| end <= by);
        ends(self.left, self.width, width) && ends(self.top, self.height, height)
    }

    /// Reads what one is shown as.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let whole = |text: &str| text.parse().ok().filter(|_| !text.starts_with('+'));
        let (width, rest) = text.split_once('x')?;
        let (height, rest) = rest.split_once('+')?;
        let (left, top) = rest.split_once('+')?;
        Some(Self { width: whole(width)?, height: whole(height)?, left: whole(left)?, top: whole(top)? })
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, left, top } = self;
        write!(f, "{width}x{height}+{left}+{top}")
    }
}

pub(super) fn crop<S: Sample>(crop: Crop, source: &Source<'_, S>, mut region: Region<'_, S>) {
    let cols = region.cols.clone();
    let from = cols.start + crop.left..cols.end + crop.left;
    for y in region.rows.clone() {
        region.line(y, cols.clone(), |out| copy(&source.line(y + crop.top, from.clone()), out));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use crate::filter::{Border, Filter};

    #[test]
    fn it_is_that_part_of_the_picture_and_no_other() {
        let picture = Array3::from_shape_fn((40, 60, 3), |(y, x, c)| (y * 60 + x * 3 + c) as u16);
        for (text, [top, height, left, width]) in
            [("crop:60x40+0+0", [0, 40, 0, 60]), ("crop:7x9+53+31", [31, 9, 53, 7]), ("crop:1x40+5+0", [0, 40, 5, 1])]
        {
            let filter: Filter = text.parse().unwrap();
            let mut cut = Array3::zeros((height, width, 3));
            filter.apply(picture.view(), Border::default(), 0..height, 0..width, cut.view_mut());
            assert_eq!(cut, picture.slice(s![top..top + height, left..left + width, ..]), "{text}");
        }
        for text in ["crop:61x1+0+0", "crop:60x40+1+0", "crop:1x1+0+40", "crop:1x1+18446744073709551615+0"] {
            let filter: Filter = text.parse().unwrap();
            let error = filter.output_shape([40, 60, 3]).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("40x60 pixels"), "{error}");
        }
    }
}
