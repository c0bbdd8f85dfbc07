//! Resizing with three Lanczos lobes, by `fast_image_resize`.
//!
//! The library computes its weights in floating point from where the part it is asked for starts, so bits may depend
//! on how the result is cut. It is therefore only asked for blocks of a fixed grid, which depends on nothing but the
//! shapes, and given the part of the picture that a block is made from; the rectangle is put together from blocks.

use super::Sample;
use super::picture::{Region, Source};
use fast_image_resize::images::Image;
use fast_image_resize::{MulDiv, PixelType, ResizeOptions, Resizer};
use ndarray::{ArrayView3, s};
use std::ops::Range;

/// Lobes of the kernel to each side, in pixels of the coarser of the two pictures.
pub(super) const LOBES: usize = 3;

/// Rows and columns of a block. Lower blocks would compute the weights of the columns (all of them anew for each
/// block) for too few rows; higher ones would compute too much that a slice of few rows throws away.
const BLOCK: [usize; 2] = [64, 512];

pub(super) fn resize<S: Sample>(shape: [usize; 3], source: &Source<'_, S>, mut region: Region<'_, S>) {
    let [height, width, channels] = shape;
    let mut blocks_of = Blocks::new(pixel_type::<S>(channels));
    for rows in blocks(region.rows.clone(), BLOCK[0], height) {
        let vertical = Span::new(&rows, height, source.height());
        for cols in blocks(region.cols.clone(), BLOCK[1], width) {
            let horizontal = Span::new(&cols, width, source.width());
            let part = s![vertical.read.clone(), horizontal.read.clone(), ..];
            let part = source.pixels.slice(part);
            let block: &[S] = blocks_of.compute(part, &vertical, &horizontal, [rows.len(), cols.len()]);
            let wanted = cols.start.max(region.cols.start)..cols.end.min(region.cols.end);
            for y in rows.start.max(region.rows.start)..rows.end.min(region.rows.end) {
                let start = ((y - rows.start) * cols.len() + wanted.start - cols.start) * channels;
                region.line(y, wanted.clone(), |out| out.copy_from_slice(&block[start..][..out.len()]));
            }
        }
    }
}

/// The resizer and the pictures that it works on.
struct Blocks {
    resizer: Resizer,
    alpha: MulDiv,
    pixel: PixelType,
    /// The part of the source, its colours times alpha if it has any.
    part: Image<'static>,
    /// That, as wide as the block.
    narrow: Image<'static>,
    /// That, as high as the block: the result.
    block: Image<'static>,
}

impl Blocks {
    fn new(pixel: PixelType) -> Self {
        let [part, narrow, block] = [(); 3].map(|()| Image::new(1, 1, pixel));
        Blocks { resizer: Resizer::new(), alpha: MulDiv::new(), pixel, part, narrow, block }
    }

    /// First along the rows, then down the columns, rounded and saturated in between, as Pillow does; the library
    /// would choose the order by itself, and with it how bright edges overshoot.
    fn compute<S: Sample>(
        &mut self,
        part: ArrayView3<'_, S>,
        vertical: &Span,
        horizontal: &Span,
        [rows, cols]: [usize; 2],
    ) -> &[S] {
        let (height, width, channels) = part.dim();
        shape(&mut self.part, height, width, self.pixel);
        shape(&mut self.narrow, height, cols, self.pixel);
        shape(&mut self.block, rows, cols, self.pixel);

        let samples = bytemuck::cast_slice_mut::<u8, S>(self.part.buffer_mut());
        for (line, row) in samples.chunks_exact_mut(width * channels).zip(part.outer_iter()) {
            match row.to_slice() {
                Some(row) => line.copy_from_slice(row),
                None => line.iter_mut().zip(row).for_each(|(sample, value)| *sample = *value),
            }
        }
        let alpha = channels.is_multiple_of(2);
        if alpha {
            self.alpha.multiply_alpha_inplace(&mut self.part).expect("pixels with alpha");
        }
        let options = ResizeOptions::new().use_alpha(false);
        let options_across = options.crop(horizontal.from, 0.0, horizontal.len, height as f64);
        self.resizer.resize(&self.part, &mut self.narrow, &options_across).expect("a crop inside the part");
        let options_down = options.crop(0.0, vertical.from, cols as f64, vertical.len);
        self.resizer.resize(&self.narrow, &mut self.block, &options_down).expect("a crop inside the part");
        if alpha {
            self.alpha.divide_alpha_inplace(&mut self.block).expect("pixels with alpha");
        }
        bytemuck::cast_slice(self.block.buffer())
    }
}

/// Makes `image` one of this shape, if it is not.
fn shape(image: &mut Image<'static>, height: usize, width: usize, pixel: PixelType) {
    if (image.height() as usize, image.width() as usize) != (height, width) {
        *image = Image::new(width as u32, height as u32, pixel);
    }
}

/// The blocks of a grid over `0..len` that `part` touches.
fn blocks(part: Range<usize>, size: usize, len: usize) -> impl Iterator<Item = Range<usize>> {
    let first = part.start / size * size;
    (first..part.end).step_by(size).map(move |start| start..len.min(start + size))
}

/// Along one axis: the pixels of the source that a block of the result is made from.
struct Span {
    /// With the neighbours that the kernel reaches.
    read: Range<usize>,
    /// Where in those the block begins, and how long it is.
    from: f64,
    len: f64,
}

impl Span {
    fn new(block: &Range<usize>, to: usize, from: usize) -> Self {
        let scale = from as f64 / to as f64;
        let (start, end) = (block.start as f64 * scale, (block.end as f64 * scale).min(from as f64));
        let reach = (LOBES as f64 * scale.max(1.0)).ceil() as usize + 1;
        let read = (start as usize).saturating_sub(reach)..from.min(end.ceil() as usize + reach);
        let offset = start - read.start as f64;
        // What is left may be shorter by a rounding error; the library refuses a crop that sticks out by one.
        Span { from: offset, len: (end - start).min(read.len() as f64 - offset), read }
    }
}

fn pixel_type<S: Sample>(channels: usize) -> PixelType {
    use PixelType::{U8, U8x2, U8x3, U8x4, U16, U16x2, U16x3, U16x4};
    let types = if size_of::<S>() == 1 { [U8, U8x2, U8x3, U8x4] } else { [U16, U16x2, U16x3, U16x4] };
    types[channels - 1]
}

#[cfg(test)]
mod tests {
    use super::Span;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_block_and_its_reach_lie_in_the_source(from in 1_usize..5000, to in 1_usize..5000, at in 0_usize..5000) {
            let start = at % to / 64 * 64;
            let span = Span::new(&(start..to.min(start + 64)), to, from);
            prop_assert!(span.read.end <= from && span.from >= 0.0 && span.len > 0.0);
            prop_assert!(span.from + span.len <= span.read.len() as f64);
        }
    }
}
