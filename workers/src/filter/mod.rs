//! Picture filters: pure functions from a whole picture to any rectangle of the filtered one.
//!
//! A picture is a (height, width, channels) array of `u8` or `u16`; channels are 1 gray, 2 gray + alpha, 3 RGB,
//! 4 RGBA. [`Filter::apply`] computes a rectangle of the result and reads the neighbours it needs straight from the
//! whole input, so that workers share the picture and no halo is ever copied between them.
//!
//! **The same bits, however the result is cut**: every output sample comes from the same sequence of scalar
//! operations wherever it stands in the rectangle. Rows pass through a window of a few padded rows that stays in
//! the cache, in loops without dependencies between samples, which the compiler vectorises for the CPU at hand;
//! rustc never fuses or reorders floating-point operations, so SIMD changes speed, not bits.
//!
//! ```
//! use ndarray::Array3;
//! use parfork_workers::filter::{Border, Filter};
//!
//! let photo = Array3::from_shape_fn((40, 60, 3), |(y, x, c)| (y * x + c) as u8);
//! let soft: Filter = "gaussian:1.5".parse()?;
//! let [height, width, channels] = soft.output_shape([40, 60, 3])?;
//!
//! let mut whole = Array3::zeros((height, width, channels));
//! soft.apply(photo.view(), Border::Reflect101, 0..height, 0..width, whole.view_mut());
//!
//! let mut part = Array3::zeros((5, 7, channels));
//! soft.apply(photo.view(), Border::Reflect101, 10..15, 50..57, part.view_mut());
//! assert_eq!(part, whole.slice(ndarray::s![10..15, 50..57, ..]));
//! # Ok::<(), parfork_workers::filter::FilterError>(())
//! ```

/// Runs `$body` with `$C` as a constant number of channels, so that loops over a pixel's samples unroll.
macro_rules! with_channels {
    ($channels:expr, $C:ident => $body:expr) => {
        match $channels {
            1 => {
                const $C: usize = 1;
                $body
            }
            2 => {
                const $C: usize = 2;
                $body
            }
            3 => {
                const $C: usize = 3;
                $body
            }
            4 => {
                const $C: usize = 4;
                $body
            }
            other => unreachable!("{other} channels, where output_shape allows 1 to 4"),
        }
    };
}

mod border;
mod convolve;
mod crop;
mod equalize;
mod error;
mod fixed;
mod geometry;
mod image;
mod job;
mod lanczos;
mod luma;
mod mean;
mod median;
mod parse;
mod picture;
mod point;
mod resize;
mod run;
mod sample;
mod sharpen;
mod size;
mod sobel;
mod sums;
#[cfg(test)]
mod tests;
mod transpose;
mod vectors;
mod window;

pub use border::Border;
pub use crop::Crop;
pub use error::FilterError;
pub use image::Image;
pub use job::{chain, run, run_together};
pub use run::Run;
pub use sample::{Sample, Wide};
pub use size::Size;

use ndarray::{ArrayView3, ArrayViewMut3};
use picture::{Region, Source};
use std::ops::Range;

/// A picture filter and its parameters. Its text form is that of the command line: `gaussian:3`, `resize:800x600`;
/// [`FILTERS`] lists them.
///
/// Colour filters leave an alpha channel as it is; resizing weighs colours by it; flipping and rotating move it.
/// 8-bit results are within one level of OpenCV's; resized ones are Pillow's, bit for bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Filter {
    /// Blur with weights exp(-x²/2σ²) over ceil(3σ) pixels to each side, normalised
    /// (`cv2.GaussianBlur` with `ksize = 2*ceil(3*sigma)+1`); for 8-bit pictures in OpenCV's 1/256, which is some
    /// two levels from the true ones at worst.
    Gaussian {
        /// σ in pixels: above 0, at most 5461.
        sigma: f32,
    },
    /// Mean of the (2R+1)x(2R+1) pixels around (`cv2.blur`).
    Box {
        /// R in pixels: 1 to 16383.
        radius: usize,
    },
    /// The middle one of the (2R+1)x(2R+1) samples around, by channel (`cv2.medianBlur` with another border). Of 8-bit pictures R does
    /// not matter to the time; of 16-bit ones it grows with R.
    Median {
        /// R in pixels: 1 to 127.
        radius: usize,
    },
    /// The kernel 0 -1 0 / -1 5 -1 / 0 -1 0 (`cv2.filter2D`).
    Sharpen,
    /// Edges: sqrt(gx² + gy²) of the 3x3 Sobel derivatives of the luma, saturated; gray (and alpha, if it had any).
    Sobel,
    /// BT.601 luma, 0.299 R + 0.587 G + 0.114 B, rounded (`cv2.cvtColor`); keeps alpha.
    Gray,
    /// `MAX - v`.
    Invert,
    /// `v + B`, where B is in 8-bit levels (16-bit pictures: times 257) and rounded.
    Brightness(f32),
    /// `(v - MAX/2) * C + MAX/2`.
    Contrast(f32),
    /// `MAX * (v / MAX)^(1/G)`: above 1 brightens the middle.
    Gamma(f32),
    /// White where `v >= T`, else black; T is in 8-bit levels (16-bit pictures: times 257).
    Threshold(f32),
    /// Levels spread evenly by how often each is in the whole picture, each channel by itself: `cv2.equalizeHist`, bit for bit, and by
    /// channels as Pillow's `ImageOps.equalize`. A rectangle alone takes as long as counting the whole.
    Equalize,
    /// Lanczos with three lobes, antialiased (Pillow's `LANCZOS`, in the order of passes that it has since 13.0).
    Resize(Size),
    /// A rectangle of it.
    Crop(Crop),
    /// Mirrored.
    Flip(Flip),
    /// Turned clockwise.
    Rotate(Turn),
}

/// Which way a picture is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flip {
    /// Top to bottom, as ImageMagick's `-flip` and Pillow's `ImageOps.flip`.
    Vertical,
    /// Left to right, as ImageMagick's `-flop` and Pillow's `ImageOps.mirror`.
    Horizontal,
}

/// How far a picture is turned, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// 90°: the left column becomes the top row.
    Quarter,
    /// 180°.
    Half,
    /// 270°: the right column becomes the top row.
    ThreeQuarters,
}

/// What a user has to know about a filter in order to ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The name, as typed.
    pub name: &'static str,
    /// How its parameter is written after a colon, e.g. `SIGMA`; empty: it takes none; in brackets: optional.
    pub parameter: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
}

const fn define(name: &'static str, parameter: &'static str, summary: &'static str) -> Definition {
    Definition { name, parameter, summary }
}

/// Every filter there is; help texts and error messages are made from it.
pub const FILTERS: &[Definition] = &[
    define("gaussian", "SIGMA", "Gaussian blur, sigma in pixels, out to 3 sigma"),
    define("box", "R", "mean of the (2R+1)x(2R+1) pixels around"),
    define("median", "R", "middle one of the (2R+1)x(2R+1) samples around, R up to 127"),
    define("sharpen", "", "kernel 0 -1 0 / -1 5 -1 / 0 -1 0"),
    define("sobel", "", "edges: length of the gradient of the luma; the result is gray"),
    define("gray", "", "BT.601 luma: 0.299 R + 0.587 G + 0.114 B"),
    define("invert", "", "negative"),
    define("brightness", "B", "adds B, in 8-bit levels (-255 to 255)"),
    define("contrast", "C", "multiplies the distance to middle gray by C"),
    define("gamma", "G", "raises to the power 1/G: above 1 brightens the middle"),
    define("threshold", "T", "white from T on, in 8-bit levels (0 to 255), else black"),
    define("equalize", "", "spreads the levels of the whole picture evenly, each channel by itself"),
    define(
        "resize",
        "WxH|Wx|xH|P%",
        "to W columns, H rows (one alone keeps the shape) or P percent; Lanczos, antialiased",
    ),
    define("crop", "WxH+X+Y", "W columns from X on, H rows from Y on"),
    define("flip", "[vertical|horizontal]", "mirrors top to bottom (default) or left to right"),
    define("rotate", "90|180|270", "turns clockwise by so many degrees"),
];

/// Panics unless the rectangle `rows` x `cols` lies in a result of this shape and `out` is what it takes.
fn fit(shape: Result<[usize; 3], FilterError>, rows: &Range<usize>, cols: &Range<usize>, out: (usize, usize, usize)) {
    let [height, width, channels] = shape.unwrap_or_else(|refusal| panic!("{refusal}"));
    assert!(
        rows.end <= height && cols.end <= width,
        "rows {rows:?} x columns {cols:?} do not lie in a result of {height}x{width} pixels",
    );
    assert_eq!(out, (rows.len(), cols.len(), channels), "the shape of `out` for {rows:?} x {cols:?}");
}

impl Filter {
    /// (height, width, channels) of the result for an input of such a shape.
    ///
    /// ```
    /// use parfork_workers::filter::{Filter, Turn};
    /// assert_eq!(Filter::Rotate(Turn::Quarter).output_shape([40, 60, 3]), Ok([60, 40, 3]));
    /// assert_eq!(Filter::Sobel.output_shape([40, 60, 4]), Ok([40, 60, 2]));
    /// assert!(Filter::Sobel.output_shape([0, 60, 4]).is_err());
    /// ```
    ///
    /// # Errors
    /// A parameter out of range, a picture without pixels or with a number of channels other than 1 to 4, or more
    /// pixels in the result than can be addressed.
    pub fn output_shape(&self, input: [usize; 3]) -> Result<[usize; 3], FilterError> {
        self.check()?;
        let [height, width, channels] = input;
        let refuse = |problem: &str, remedy: &str| {
            Err(FilterError::Picture {
                what: self.to_string(),
                height,
                width,
                channels,
                problem: problem.to_owned(),
                remedy: remedy.to_owned(),
            })
        };
        if height == 0 || width == 0 {
            return refuse("it has no pixels", "Give a picture of at least 1x1");
        }
        let luma = match channels {
            1 | 3 => 1,
            2 | 4 => 2,
            _ => return refuse("a pixel has 1 to 4", "Convert it to gray, gray + alpha, RGB or RGBA"),
        };
        let output = match *self {
            Filter::Sobel | Filter::Gray => [height, width, luma],
            Filter::Resize(size) => {
                let [height, width] = size.of(height, width);
                [height, width, channels]
            }
            Filter::Crop(crop) if !crop.lies_in(height, width) => {
                return refuse("it does not reach so far", "Give a rectangle in it, as in crop:800x600+0+0");
            }
            Filter::Crop(Crop { width, height, .. }) => [height, width, channels],
            Filter::Rotate(Turn::Quarter | Turn::ThreeQuarters) => [width, height, channels],
            _ => input,
        };
        let bytes = output.iter().try_fold(size_of::<u16>(), |product, &n| product.checked_mul(n));
        if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            return refuse("the result would exceed the address space", "Ask for a smaller one");
        }
        let sides = [height, width, output[0], output[1]];
        if matches!(self, Filter::Resize(_)) && sides.iter().any(|&side| u32::try_from(side).is_err()) {
            return refuse("resizing counts rows and columns in 32 bits", "Cut the picture into parts");
        }
        Ok(output)
    }

    /// How many rows (and columns) of neighbours to each side an output pixel is made from. For resizing the unit is
    /// the larger of an input and an output pixel.
    pub fn halo(&self) -> usize {
        match *self {
            Filter::Gaussian { sigma } => convolve::radius(sigma),
            Filter::Box { radius } | Filter::Median { radius } => radius,
            Filter::Sharpen | Filter::Sobel => 1,
            Filter::Resize(_) => lanczos::LOBES,
            _ => 0,
        }
    }

    /// Computes the rectangle `rows` x `cols` of the filtered picture into `out`, of shape
    /// (`rows.len()`, `cols.len()`, channels of the result). `src` is the whole picture; both may have any strides.
    /// A rectangle holds the same bits as that part of the whole result.
    ///
    /// Scratch memory is a few rows, in strips sized for the second-level cache; with the largest radius 32 MiB.
    /// Resizing computes 16 rows of the source, or of the result, together: slices of fewer rows take longer for each.
    ///
    /// # Panics
    /// If [`output_shape`](Self::output_shape) refuses this filter on `src`, or the rectangle or the shape of `out`
    /// do not fit the result.
    pub fn apply<S: Sample>(
        &self,
        src: ArrayView3<'_, S>,
        border: Border,
        rows: Range<usize>,
        cols: Range<usize>,
        out: ArrayViewMut3<'_, S>,
    ) {
        fit(self.output_shape(src.dim().into()), &rows, &cols, out.dim());
        if out.is_empty() {
            return;
        }
        S::compute(self, &Source::new(src, border), Region::new(rows, cols, out));
    }

    /// What [`apply`](Self::apply) does when all is checked. Generic code is compiled in the crate that names the types;
    /// [`Sample::compute`] names them here, so that users of this crate do not compile every filter again.
    fn compute<S: Sample>(&self, source: &Source<'_, S>, region: Region<'_, S>) {
        match *self {
            Filter::Gaussian { sigma } => convolve::blur(sigma, source, region),
            Filter::Box { radius } => mean::mean(radius, source, region),
            Filter::Median { radius } => median::median(radius, source, region),
            Filter::Sharpen => sharpen::sharpen(source, region),
            Filter::Sobel => sobel::edges(source, region),
            Filter::Gray => luma::gray(source, region),
            Filter::Invert => point::invert(source, region),
            Filter::Brightness(by) => point::brightness(by, source, region),
            Filter::Contrast(by) => point::contrast(by, source, region),
            Filter::Gamma(gamma) => point::gamma(gamma, source, region),
            Filter::Threshold(level) => point::threshold(level, source, region),
            Filter::Equalize => equalize::equalize(source, region),
            Filter::Resize(size) => {
                let [height, width] = size.of(source.height(), source.width());
                resize::resize([height, width, source.channels()], source, region);
            }
            Filter::Crop(crop) => crop::crop(crop, source, region),
            Filter::Flip(flip) => geometry::flip(flip, source, region),
            Filter::Rotate(turn) => geometry::rotate(turn, source, region),
        }
    }
}
