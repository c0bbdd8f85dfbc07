//! What lies beyond the edge of a picture.

use super::{FilterError, parse::number};
use std::{fmt, ops::Range, str::FromStr};

/// Which pixels a filter sees beyond the edge of the picture. For a row `abcd`:
///
/// | border | left | row | right | OpenCV |
/// |---|---|---|---|---|
/// | `reflect101` | `dcb` | `abcd` | `cba` | `BORDER_REFLECT_101` |
/// | `replicate` | `aaa` | `abcd` | `ddd` | `BORDER_REPLICATE` |
/// | `constant:V` | `VVV` | `abcd` | `VVV` | `BORDER_CONSTANT` |
/// | `wrap` | `bcd` | `abcd` | `abc` | `BORDER_WRAP` |
///
/// All of them reach as far as a filter asks, also many times the size of the picture. Resizing does not look
/// beyond the edge: there the weights are normalised over the pixels that exist, as in Pillow.
///
/// ```
/// use parfork_workers::filter::Border;
/// assert_eq!("constant:16".parse(), Ok(Border::Constant(16.0)));
/// assert_eq!(Border::default().to_string(), "reflect101");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Border {
    /// Mirrored about the edge pixel, which is not repeated.
    #[default]
    Reflect101,
    /// The edge pixel, again and again.
    Replicate,
    /// This value in every channel, in 8-bit levels (16-bit pictures: times 257); rounded and saturated.
    Constant(f32),
    /// The picture, again and again.
    Wrap,
}

impl Border {
    /// Where position `at` of a line of `len > 0` pixels is found; `None`: it is the constant.
    pub(super) fn locate(self, at: isize, len: usize) -> Option<usize> {
        let last = len as isize - 1;
        if (0..=last).contains(&at) {
            return Some(at as usize);
        }
        Some(match self {
            Border::Constant(_) => return None,
            Border::Replicate => at.clamp(0, last),
            Border::Wrap => at.rem_euclid(len as isize),
            Border::Reflect101 if last == 0 => 0,
            Border::Reflect101 => {
                let there_and_back = 2 * last;
                let at = at.rem_euclid(there_and_back);
                at.min(there_and_back - at)
            }
        } as usize)
    }
}

impl Border {
    /// The shortest stretch of a line of `len > 0` pixels in which all is found that lies at most `halo` from `stretch`.
    pub(super) fn reach(self, stretch: Range<usize>, halo: usize, len: usize) -> Range<usize> {
        let around = stretch.start as isize - halo as isize..stretch.end as isize + halo as isize;
        let found = || around.clone().filter_map(|at| self.locate(at, len));
        let (first, last) = (found().min().unwrap_or(0), found().max().unwrap_or(0));
        first..last + 1
    }
}

impl fmt::Display for Border {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Border::Reflect101 => f.write_str("reflect101"),
            Border::Replicate => f.write_str("replicate"),
            Border::Constant(value) => write!(f, "constant:{value}"),
            Border::Wrap => f.write_str("wrap"),
        }
    }
}

impl FromStr for Border {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("reflect101", "") => Ok(Border::Reflect101),
            ("replicate", "") => Ok(Border::Replicate),
            ("wrap", "") => Ok(Border::Wrap),
            ("constant", value) => {
                number(text, value, "a level, 0 is black and 255 white, as in constant:0").map(Border::Constant)
            }
            _ => Err(FilterError::UnknownBorder { name: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Border;

    /// `[cv2.borderInterpolate(i, 4, mode) for i in range(-8, 12)]` with OpenCV 5.0.
    #[test]
    fn positions_are_opencvs() {
        let all = |border: Border| (-8..12).map(|at| border.locate(at, 4)).collect::<Vec<_>>();
        let some = |digits: &str| digits.bytes().map(|d| Some(usize::from(d - b'0'))).collect::<Vec<_>>();
        assert_eq!(all(Border::Reflect101), some("21012321012321012321"));
        assert_eq!(all(Border::Replicate), some("00000000012333333333"));
        assert_eq!(all(Border::Wrap), some("01230123012301230123"));
        assert_eq!(Border::Constant(1.0).locate(-1, 4), None);
        assert_eq!(Border::Constant(1.0).locate(3, 4), Some(3));
    }

    #[test]
    fn a_line_of_one_pixel_reflects_to_itself() {
        for at in -3..4 {
            assert_eq!(Border::Reflect101.locate(at, 1), Some(0));
            assert_eq!(Border::Wrap.locate(at, 1), Some(0));
        }
    }

    #[test]
    fn text_goes_there_and_back() {
        for border in [Border::Reflect101, Border::Replicate, Border::Constant(-0.5), Border::Wrap] {
            assert_eq!(border.to_string().parse(), Ok(border));
        }
        for wrong in ["", "mirror", "wrap:1", "constant", "constant:", "constant:x", "constant:nan"] {
            let error = wrong.parse::<Border>().expect_err(wrong).to_string();
            assert!(error.matches(". ").count() == 1 && error.ends_with('.'), "{error}");
        }
    }
}
