//! How large a picture is to be, in pixels or measured by what it was.

use std::fmt;

/// How large a picture is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// So many columns and rows.
    Exact {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// So many columns, and as many rows as keep the shape.
    Width(usize),
    /// So many rows, and as many columns as keep the shape.
    Height(usize),
    /// So many hundredths of each.
    Percent(f64),
}

impl Size {
    /// Height and width of what becomes of a picture; the nearest whole pixel, and at least one.
    ///
    /// ```
    /// use parfork_workers::filter::Size;
    /// assert_eq!(Size::Width(800).of(3000, 4000), [600, 800]);
    /// assert_eq!(Size::Height(1).of(3000, 4000), [1, 1]);
    /// assert_eq!(Size::Percent(12.5).of(3000, 4001), [375, 500]);
    /// ```
    pub fn of(self, height: usize, width: usize) -> [usize; 2] {
        // Exact: (2 a b + c) / 2 c of whole numbers is a b / c, rounded half up.
        let times = |by: usize, side: usize, of: usize| {
            let (by, side, of) = (by as u128, side as u128, of.max(1) as u128);
            usize::try_from(((2 * by * side + of) / (2 * of)).max(1)).unwrap_or(usize::MAX)
        };
        let part = |side: usize, percent: f64| ((side as f64 * percent / 100.0 + 0.5).floor() as usize).max(1);
        match self {
            Self::Exact { width, height } => [height, width],
            Self::Width(wanted) => [times(wanted, height, width), wanted],
            Self::Height(wanted) => [wanted, times(wanted, width, height)],
            Self::Percent(percent) => [part(height, percent), part(width, percent)],
        }
    }

    /// Whether there can be such a picture.
    pub(super) fn can_be(self) -> bool {
        let side = |side: usize| (1..=u32::MAX as usize).contains(&side);
        match self {
            Self::Exact { width, height } => side(width) && side(height),
            Self::Width(length) | Self::Height(length) => side(length),
            Self::Percent(percent) => percent > 0.0 && percent.is_finite(),
        }
    }

    /// Reads what one is shown as.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            return percent.parse().ok().map(Self::Percent);
        }
        let (width, height) = text.split_once('x')?;
        Some(match (width, height) {
            ("", height) => Self::Height(height.parse().ok()?),
            (width, "") => Self::Width(width.parse().ok()?),
            (width, height) => Self::Exact { width: width.parse().ok()?, height: height.parse().ok()? },
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { width, height } => write!(f, "{width}x{height}"),
            Self::Width(width) => write!(f, "{width}x"),
            Self::Height(height) => write!(f, "x{height}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes that ImageMagick 6.9 (`convert -size HxW xc: -resize`) and Pillow's `round(side * by)` give too.
    #[test]
    fn the_shape_is_kept_to_the_nearest_pixel() {
        for (size, [height, width], expected) in [
            (Size::Width(1200), [4000, 6000], [800, 1200]),
            (Size::Width(1200), [6000, 4000], [1800, 1200]),
            (Size::Width(100), [333, 1000], [33, 100]),
            (Size::Width(100), [335, 1000], [34, 100]),
            (Size::Height(100), [1000, 333], [100, 33]),
            (Size::Width(1), [1, 100_000], [1, 1]),
            (Size::Percent(50.0), [333, 1000], [167, 500]),
            (Size::Percent(0.001), [333, 1000], [1, 1]),
            (Size::Percent(200.0), [3, 1], [6, 2]),
        ] {
            assert_eq!(size.of(height, width), expected, "{size} of {width}x{height}");
        }
    }
}
