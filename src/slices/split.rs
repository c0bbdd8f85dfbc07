//! How an array is to be cut, before it is known which array.

use std::fmt;
use std::str::FromStr;

/// How an array is cut into slices. The cut depends on the array's shape alone, never on the number of workers, so
/// that results don't either.
///
/// ```
/// use parfork::Split;
/// let bands = Split::rows().of(64).halo(3); // bands of 64 rows that also read 3 rows above and below
/// let tiles: Split = "tiles=128x256".parse()?;
/// assert_eq!(tiles, Split::tiles(128, 256));
/// # Ok::<(), parfork::SplitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Split {
    pub(super) cut: Cut,
    pub(super) halo: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub(super) enum Cut {
    /// Across one axis.
    Axis { axis: usize, by: By },
    /// Across axes 0 and 1.
    Tiles { height: usize, width: usize },
}

/// What is given of the pieces of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub(super) enum By {
    /// Their length; the last may be shorter.
    Length(usize),
    /// Their number, unless the axis is shorter; lengths differ by 1 at most.
    Number(usize),
}

impl Split {
    /// As numbers, for another process of the same program.
    pub(crate) fn words(self) -> [u64; 4] {
        let (kind, one, two) = match self.cut {
            Cut::Axis { axis, by: By::Length(length) } => (0, axis, length),
            Cut::Axis { axis, by: By::Number(number) } => (1, axis, number),
            Cut::Tiles { height, width } => (2, height, width),
        };
        [kind, one as u64, two as u64, self.halo as u64]
    }

    /// What numbers stand for, if they stand for a split.
    pub(crate) fn of_words([kind, one, two, halo]: [u64; 4]) -> Option<Self> {
        let (one, two) = (one as usize, two as usize);
        let cut = match kind {
            0 => Cut::Axis { axis: one, by: By::Length(two) },
            1 => Cut::Axis { axis: one, by: By::Number(two) },
            2 => Cut::Tiles { height: one, width: two },
            _ => return None,
        };
        Some(Self { cut, halo: halo as usize })
    }

    /// How many slices an axis is cut into unless [`of`](Self::of) or [`into_pieces`](Self::into_pieces) says otherwise:
    /// this many, or one for each row if there are fewer. Enough to share out evenly among some hundred workers, few enough to cost nothing.
    pub const PIECES: usize = 1024;

    /// Bands of whole rows (axis 0).
    pub const fn rows() -> Self {
        Self::axis(0)
    }

    /// Bands of whole columns (axis 1).
    pub const fn cols() -> Self {
        Self::axis(1)
    }

    /// Pieces of any one axis.
    pub const fn axis(axis: usize) -> Self {
        Self { cut: Cut::Axis { axis, by: By::Number(Self::PIECES) }, halo: 0 }
    }

    /// Tiles of `height` rows by `width` columns; the last ones may be smaller.
    pub const fn tiles(height: usize, width: usize) -> Self {
        Self { cut: Cut::Tiles { height, width }, halo: 0 }
    }

    /// Makes each slice `each` long (the last may be shorter) instead of making [`PIECES`](Self::PIECES) of them.
    /// Of tiles it makes square ones.
    pub const fn of(mut self, each: usize) -> Self {
        self.cut = match self.cut {
            Cut::Axis { axis, .. } => Cut::Axis { axis, by: By::Length(each) },
            Cut::Tiles { .. } => Cut::Tiles { height: each, width: each },
        };
        self
    }

    /// Cuts one axis into `number` nearly equal slices (fewer if the axis is shorter). Tiles stay as they are.
    pub const fn into_pieces(mut self, number: usize) -> Self {
        if let Cut::Axis { axis, .. } = self.cut {
            self.cut = Cut::Axis { axis, by: By::Number(number) };
        }
        self
    }

    /// Lets each slice read `cells` further on each side of each axis that is cut, as far as the array goes.
    pub const fn halo(mut self, cells: usize) -> Self {
        self.halo = cells;
        self
    }
}

impl Default for Split {
    fn default() -> Self {
        Self::rows()
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.cut {
            Cut::Axis { axis: 0, .. } => "rows".to_owned(),
            Cut::Axis { axis: 1, .. } => "cols".to_owned(),
            Cut::Axis { axis, .. } => format!("axis{axis}"),
            Cut::Tiles { height, width } => format!("tiles={height}x{width}"),
        };
        f.pad(&match self.cut {
            Cut::Axis { by: By::Length(each), .. } => format!("{name}={each}"),
            Cut::Axis { by: By::Number(number), .. } if number != Self::PIECES => format!("{name}/{number}"),
            _ => name,
        })
    }
}

/// Reads `rows`, `rows=64` (64 rows each), `rows/8` (8 slices); the same with `cols` and `axis2`; or `tiles=64x128`.
impl FromStr for Split {
    type Err = SplitError;

    fn from_str(text: &str) -> Result<Self, SplitError> {
        let unknown = || SplitError::Unknown { text: text.to_owned() };
        let number = |digits: &str| match digits.parse::<usize>() {
            Ok(0) => Err(SplitError::Empty { text: text.to_owned() }),
            Ok(number) => Ok(number),
            Err(_) => Err(unknown()),
        };
        let (name, rest) = text.split_at(text.find(['=', '/']).unwrap_or(text.len()));
        let split = match name {
            "rows" => Self::rows(),
            "cols" => Self::cols(),
            "tiles" => {
                let (height, width) =
                    rest.strip_prefix('=').and_then(|size| size.split_once('x')).ok_or_else(unknown)?;
                return Ok(Self::tiles(number(height)?, number(width)?));
            }
            _ => Self::axis(name.strip_prefix("axis").and_then(|axis| axis.parse().ok()).ok_or_else(unknown)?),
        };
        match (rest.strip_prefix('='), rest.strip_prefix('/')) {
            (Some(each), _) => Ok(split.of(number(each)?)),
            (_, Some(pieces)) => Ok(split.into_pieces(number(pieces)?)),
            _ => Ok(split),
        }
    }
}

fn where_to_cut(ndim: &usize) -> String {
    match ndim {
        0 => "Give it an axis, as NumPy's reshape(1) does.".to_owned(),
        ndim => format!("Cut an axis below {ndim}."),
    }
}

/// A split that cannot be, or not for this array.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The text names no split.
    #[error("`{text}` is not a way to cut an array. Write rows, rows=64, rows/8, the same with cols, or tiles=64x128.")]
    Unknown {
        /// What was written.
        text: String,
    },
    /// Slices of no length.
    #[error("the split `{text}` would make slices of length 0. Give every length as 1 or more.")]
    Empty {
        /// The split.
        text: String,
    },
    /// The axis to cut is not there.
    #[error(
        "the split `{split}` cuts axis {axis}, but the array has {ndim} (shape {shape:?}). {}",
        where_to_cut(.ndim)
    )]
    NoSuchAxis {
        /// The split.
        split: String,
        /// The axis it cuts, counted from 0.
        axis: usize,
        /// How many axes the array has.
        ndim: usize,
        /// The array's shape.
        shape: Vec<usize>,
    },
    /// More slices than the control page can hold.
    #[error("the split `{split}` cuts shape {shape:?} into more than {most} slices. Make each slice larger.")]
    TooMany {
        /// The split.
        split: String,
        /// The array's shape.
        shape: Vec<usize>,
        /// The most there can be.
        most: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["rows", "rows=64", "rows/8", "cols", "cols=1", "axis2", "axis3=7", "tiles=5x6"] {
            assert_eq!(text.parse::<Split>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn wrong_text_says_what_to_write() {
        for text in ["tiles=0x5", "tiles=5x0", "rows=0", "cols/0"] {
            assert!(matches!(text.parse::<Split>(), Err(SplitError::Empty { .. })), "{text}");
        }
        for text in [
            "", "row", "tiles", "tiles=5", "tiles=x", "tiles=5x", "rows=", "rows=-1", "axis", "axisx", "rows=1x2",
            "rows/",
        ] {
            let error = text.parse::<Split>().unwrap_err();
            assert!(error.to_string().contains("Write rows"), "{text}: {error}");
        }
    }
}
