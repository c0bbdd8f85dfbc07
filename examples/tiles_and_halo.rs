//! A blur in tiles: each tile reads a halo of its neighbours' cells from the shared input, where they are, and writes only its
//! own.
//!
//! `cargo run --release --example tiles_and_halo`

use ndarray::{Array2, ArrayView2, s};
use parfork::{Job, Shared, Split};

const RADIUS: usize = 2;

/// The mean of the cells around one, as far as the view goes.
fn mean(view: ArrayView2<f32>, i: usize, j: usize) -> f32 {
    let (height, width) = view.dim();
    let rows = i.saturating_sub(RADIUS)..(i + RADIUS + 1).min(height);
    let near = view.slice(s![rows, j.saturating_sub(RADIUS)..(j + RADIUS + 1).min(width)]);
    near.iter().sum::<f32>() / near.len() as f32
}

fn main() -> parfork::Result<()> {
    let image = Shared::from_array(&Array2::from_shape_fn((300, 401), |(i, j)| ((i * 7 + j * j) % 256) as f32))?;
    let expected = Array2::from_shape_fn((300, 401), |(i, j)| mean(image.view(), i, j));
    for (workers, split) in [(1, Split::rows()), (2, Split::tiles(64, 64)), (6, Split::tiles(7, 400))] {
        let mut soft = Shared::<f32, _>::zeros_like(&image)?;
        let job = Job::new((&image, &mut soft)).workers(workers).split(split.halo(RADIUS));
        let done = job.run(|w, (image, mut tile)| {
            let near = w.slice_with_halo(image);
            // Where the tile begins within what it may read: less than the halo at the image's own border.
            let before = |axis| w.region().range(axis).map_or(0, |range| range.start.min(RADIUS));
            tile.indexed_iter_mut().for_each(|((i, j), out)| *out = mean(near, before(0) + i, before(1) + j));
        })?;
        assert_eq!(soft.view(), expected);
        println!("{workers} workers, {:>3} slices of `{split}`: the same {} cells", done.len(), soft.len());
    }
    Ok(())
}
