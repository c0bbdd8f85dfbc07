//! How much of a picture a JPEG keeps.

use std::fmt;
use std::str::FromStr;

use crate::picture::PictureError;

/// How much of a picture a JPEG keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JpegSettings {
    /// From 1, the smallest file, to 100, the best picture, on libjpeg's scale: its tables of quantization are the same. What is
    /// beyond counts as the nearest.
    pub quality: u8,
    /// How many samples of colour are kept; of no matter for gray.
    pub sampling: Sampling,
}

impl JpegSettings {
    /// Quality 95, of which nothing lost is seen, and sampling 4:2:0: as OpenCV writes it.
    pub const DEFAULT: Self = Self { quality: 95, sampling: Sampling::Quarter };
}

impl Default for JpegSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// For how many pixels a JPEG keeps one sample of each of its two differences of colours; brightness has one for each pixel.
///
/// ```
/// use parfork_workers::picture::Sampling;
/// assert_eq!("4:2:2".parse(), Ok(Sampling::Half));
/// assert_eq!(Sampling::Quarter.to_string(), "4:2:0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// 4:4:4: each.
    Full,
    /// 4:2:2: two side by side.
    Half,
    /// 4:2:0: a square of four.
    Quarter,
}

impl Sampling {
    /// What [`from_str`](FromStr::from_str) knows.
    pub const NAMES: [&str; 3] = ["4:4:4", "4:2:2", "4:2:0"];

    const ALL: [Self; 3] = [Self::Full, Self::Half, Self::Quarter];

    /// Pixels across and down.
    pub(super) fn factors(self) -> [usize; 2] {
        match self {
            Self::Full => [1, 1],
            Self::Half => [2, 1],
            Self::Quarter => [2, 2],
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

impl FromStr for Sampling {
    type Err = PictureError;

    fn from_str(name: &str) -> Result<Self, PictureError> {
        let found = Self::ALL.into_iter().find(|sampling| sampling.to_string() == name);
        found.ok_or_else(|| PictureError::UnknownSampling { name: name.to_owned() })
    }
}
