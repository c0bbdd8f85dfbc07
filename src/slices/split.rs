//! How an array is to be cut, before it is known which array.

use std::fmt;
use std::str::FromStr;

use super::margins::AXES;

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
    /// Of each axis.
    pub(super) halo: [usize; AXES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub(super) enum Cut {
    /// Across one axis.
    Axis { axis: usize, by: By },
    /// Across the first axes, pieces of these lengths, or [`UNCUT`].
    Blocks([usize; AXES]),
}

/// The length of blocks along an axis that is not cut.
pub(super) const UNCUT: usize = usize::MAX;

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
    pub(crate) fn words(self) -> [u64; Self::WORDS] {
        let (kind, cut) = match self.cut {
            Cut::Axis { axis, by: By::Length(length) } => (0, [axis, length, 0, 0]),
            Cut::Axis { axis, by: By::Number(number) } => (1, [axis, number, 0, 0]),
            Cut::Blocks(lengths) => (2, lengths),
        };
        let numbers = [cut, self.halo].concat();
        std::array::from_fn(|at| if at == 0 { kind } else { numbers[at - 1] as u64 })
    }

    /// What numbers stand for, if they stand for a split.
    pub(crate) fn of_words(words: [u64; Self::WORDS]) -> Option<Self> {
        let of = |from: usize| std::array::from_fn(|at| words[from + at] as usize);
        let numbers: [usize; AXES] = of(1);
        let cut = match words[0] {
            0 => Cut::Axis { axis: numbers[0], by: By::Length(numbers[1]) },
            1 => Cut::Axis { axis: numbers[0], by: By::Number(numbers[1]) },
            2 => Cut::Blocks(numbers),
            _ => return None,
        };
        Some(Self { cut, halo: of(1 + AXES) })
    }

    /// How many numbers there are.
    pub(crate) const WORDS: usize = 1 + 2 * AXES;

    /// The most axes that can be cut at once, or have a halo.
    pub const MOST_AXES: usize = AXES;

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
        Self { cut: Cut::Axis { axis, by: By::Number(Self::PIECES) }, halo: [0; AXES] }
    }

    /// Tiles of `height` rows by `width` columns; the last ones may be smaller.
    pub const fn tiles(height: usize, width: usize) -> Self {
        Self { cut: Cut::Blocks([height, width, UNCUT, UNCUT]), halo: [0; AXES] }
    }

    /// Blocks of these lengths along the first axes of an array, whole along the others, and along an axis whose length is given as 0:
    /// `blocks(&[8, 0, 64])` cuts axes 0 and 2. The last ones may be smaller.
    ///
    /// ```
    /// use parfork::{Split, slices::Grid};
    /// let grid = Grid::new(Split::blocks(&[16, 8, 8]).halo_of(0, 2), &[64, 32, 32])?;
    /// assert_eq!((grid.slices(), grid.region(17).to_string()), (4 * 4 * 4, "[16..32, 0..8, 8..16, ..]".to_owned()));
    /// assert_eq!(grid.region(17).range_with_halo(0), Some(14..34));
    /// # Ok::<(), parfork::SplitError>(())
    /// ```
    ///
    /// # Panics
    /// If there are more than [`MOST_AXES`](Self::MOST_AXES) lengths.
    pub const fn blocks(lengths: &[usize]) -> Self {
        assert!(lengths.len() <= AXES, "an array is cut along 4 axes at most");
        let (mut all, mut axis) = ([UNCUT; AXES], 0);
        while axis < lengths.len() {
            if lengths[axis] > 0 {
                all[axis] = lengths[axis];
            }
            axis += 1;
        }
        Self { cut: Cut::Blocks(all), halo: [0; AXES] }
    }

    /// Makes each slice `each` long (the last may be shorter) instead of making [`PIECES`](Self::PIECES) of them.
    /// Of tiles and blocks it makes ones of the same length along each axis.
    pub const fn of(mut self, each: usize) -> Self {
        self.cut = match self.cut {
            Cut::Axis { axis, .. } => Cut::Axis { axis, by: By::Length(each) },
            Cut::Blocks(mut lengths) => {
                let mut axis = 0;
                while axis < AXES {
                    if lengths[axis] != UNCUT {
                        lengths[axis] = each;
                    }
                    axis += 1;
                }
                Cut::Blocks(lengths)
            }
        };
        self
    }

    /// Cuts one axis into `number` nearly equal slices (fewer if the axis is shorter). Tiles and blocks stay as they are.
    pub const fn into_pieces(mut self, number: usize) -> Self {
        if let Cut::Axis { axis, .. } = self.cut {
            self.cut = Cut::Axis { axis, by: By::Number(number) };
        }
        self
    }

    /// Lets each slice read `cells` further on each side of each axis that is cut, as far as the array goes.
    pub const fn halo(mut self, cells: usize) -> Self {
        self.halo = [cells; AXES];
        self
    }

    /// The same of one axis.
    ///
    /// # Panics
    /// If the axis is not below [`MOST_AXES`](Self::MOST_AXES).
    pub const fn halo_of(mut self, axis: usize, cells: usize) -> Self {
        self.halo[axis] = cells;
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
            Cut::Blocks([height, width, UNCUT, UNCUT]) if height != UNCUT && width != UNCUT => {
                format!("tiles={height}x{width}")
            }
            Cut::Blocks(lengths) => {
                let last = lengths.iter().rposition(|&length| length != UNCUT).unwrap_or(0);
                let lengths: Vec<_> = lengths[..=last]
                    .iter()
                    .map(|&length| if length == UNCUT { 0 } else { length }.to_string())
                    .collect();
                format!("blocks={}", lengths.join("x"))
            }
        };
        f.pad(&match self.cut {
            Cut::Axis { by: By::Length(each), .. } => format!("{name}={each}"),
            Cut::Axis { by: By::Number(number), .. } if number != Self::PIECES => format!("{name}/{number}"),
            _ => name,
        })
    }
}

/// Reads `rows`, `rows=64` (64 rows each), `rows/8` (8 slices); the same with `cols` and `axis2`; `tiles=64x128`; or `blocks=8x0x64`,
/// where an axis with 0 is not cut.
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
            "blocks" => {
                let lengths =
                    rest.strip_prefix('=').map(|sizes| sizes.split('x').map(str::parse).collect::<Result<Vec<_>, _>>());
                let lengths =
                    lengths.and_then(Result::ok).filter(|lengths| lengths.len() <= AXES).ok_or_else(unknown)?;
                return match lengths.iter().any(|&length| length > 0) {
                    true => Ok(Self::blocks(&lengths)),
                    false => Err(SplitError::Empty { text: text.to_owned() }),
                };
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
    #[error(
        "`{text}` is not a way to cut an array. Write rows, rows=64, rows/8, the same with cols, tiles=64x128, or \
             blocks=8x8x64."
    )]
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
    /// Ends of pieces, and not one axis that is cut.
    #[error("bounds say where the pieces of one axis end, and {axes} are cut. Cut one, as rows and cols do.")]
    BoundsOfAxes {
        /// How many are.
        axes: usize,
    },
    /// Ends of pieces that do not ascend, or are not those of the axis.
    #[error(
        "bounds must ascend to {last}, where the axis ends, and slice {slice} would be {before}..{end}. Give the end of each slice, the last \
         one that of the axis."
    )]
    Bounds {
        /// The first slice that cannot be.
        slice: usize,
        /// Where it begins.
        before: usize,
        /// Where it ends.
        end: usize,
        /// Where the axis does.
        last: usize,
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
        for text in [
            "rows",
            "rows=64",
            "rows/8",
            "cols",
            "cols=1",
            "axis2",
            "axis3=7",
            "tiles=5x6",
            "blocks=5",
            "blocks=0x5",
            "blocks=1x2x3x4",
        ] {
            assert_eq!(text.parse::<Split>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn wrong_text_says_what_to_write() {
        for text in ["tiles=0x5", "tiles=5x0", "rows=0", "cols/0", "blocks=0x0"] {
            assert!(matches!(text.parse::<Split>(), Err(SplitError::Empty { .. })), "{text}");
        }
        for text in [
            "",
            "row",
            "tiles",
            "tiles=5",
            "tiles=x",
            "tiles=5x",
            "rows=",
            "rows=-1",
            "axis",
            "axisx",
            "rows=1x2",
            "rows/",
            "blocks",
            "blocks=",
            "blocks=1x",
            "blocks=1x2x3x4x5",
            "blocks=-1",
        ] {
            let error = text.parse::<Split>().unwrap_err();
            assert!(error.to_string().contains("Write rows"), "{text}: {error}");
        }
    }
}
