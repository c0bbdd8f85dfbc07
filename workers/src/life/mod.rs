//! Conway's Life: a cell lives in the next generation if three of its eight neighbours live now, or two and the cell itself.

mod kernel;
mod rle;

use ndarray::{ArrayView2, ArrayViewMut2, Ix2};
use parfork::{Answers, Error, Job, Planes};
use pulp::{Simd, WithSimd};

use crate::bands::in_bands;
use crate::simd;

pub use kernel::{Life, LifeError};

/// Does so many generations on cells that are 0 or 1, with a margin of 1 cell. The answers are how many cells of each slice live in the
/// last.
///
/// # Errors
/// As [`Job::run`].
///
/// ```
/// use ndarray::array;
/// use parfork::{Border, Job, Planes};
/// let blinker = array![[0_u8, 0, 0], [1, 1, 1], [0, 0, 0]];
/// let mut cells = Planes::from_array(&blinker, 1, Border::Constant(0))?;
/// assert_eq!(parfork_workers::life::run(Job::default(), &mut cells, 1)?.sum(), 3);
/// assert_eq!(cells.view()?, blinker.t());
/// # Ok::<(), parfork::Error>(())
/// ```
pub fn run(job: Job<'_>, cells: &mut Planes<u8, Ix2>, generations: u32) -> Result<Answers<u64>, Error> {
    let shape = cells.shape();
    let job = in_bands(job, shape[0], shape[1]).steps(generations).body_overwrites();
    job.lend(cells).run_with(generations.saturating_sub(1), |w, last, (old, mut new)| {
        simd::arch().dispatch(Generation { old, new: new.view_mut() });
        match w.step() == last {
            true => new.iter().map(|&cell| u64::from(cell)).sum(),
            false => 0,
        }
    })
}

struct Generation<'a> {
    old: ArrayView2<'a, u8>,
    new: ArrayViewMut2<'a, u8>,
}

impl WithSimd for Generation<'_> {
    type Output = ();

    /// For the compiler to vectorise, with all that it calls in it.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { old, mut new } = self;
        for (i, mut row) in new.outer_iter_mut().enumerate() {
            let cells = row.as_slice_mut().expect("rows without gaps");
            let count = cells.len();
            let [above, own, below] = [i, i + 1, i + 2].map(|row| {
                let row = old.row(row).to_slice().expect("rows without gaps");
                [&row[..count], &row[1..count + 1], &row[2..count + 2]]
            });
            for (at, cell) in cells.iter_mut().enumerate() {
                let across = [above, below].iter().flatten().fold(0, |sum, row| sum + row[at]);
                let near = across + own[0][at] + own[2][at];
                // Three, or two and itself.
                *cell = u8::from(near | own[1][at] == 3);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, s};
    use parfork::{Border, Engine, Split};

    fn after(start: &Array2<u8>, border: Border<u8>, generations: u32) -> (Array2<u8>, u64) {
        let mut cells = Planes::from_array(start, 1, border).unwrap();
        let job = Job::default().runner(Engine::Serial).split(Split::rows().of(37));
        let living = run(job, &mut cells, generations).unwrap().sum();
        (cells.view().unwrap().to_owned(), living)
    }

    fn on_a_board(text: &str, side: usize) -> Array2<u8> {
        let pattern = rle::pattern(text).unwrap();
        let mut board = Array2::zeros((side, side));
        let (rows, cols) = pattern.dim();
        let (top, left) = ((side - rows) / 2, (side - cols) / 2);
        board.slice_mut(s![top..top + rows, left..left + cols]).assign(&pattern);
        board
    }

    /// It is the same again after 4 generations, one cell further down and to the right: M. Gardner, Scientific American, October 1970.
    #[test]
    fn a_glider_glides_over_the_edge_of_a_ring() {
        let start = on_a_board("x = 3, y = 3\nbob$2bo$3o!", 9);
        let mut right = start.clone();
        for generations in (4..=36).step_by(4) {
            right = Array2::from_shape_fn((9, 9), |(i, j)| right[[(i + 8) % 9, (j + 8) % 9]]);
            assert_eq!(after(&start, Border::Wrap, generations), (right.clone(), 5));
        }
        assert_eq!(right, start);
    }

    /// As many as a loop in NumPy leaves: `p = np.pad(b, 1)`, `s` the sum of the eight slices of `p` around it,
    /// `b = ((s == 3) | (b == 1) & (s == 2)).astype(int)`, 150 times from the pattern at `b[48:51, 48:51]`. On a board of 640 x 640 that
    /// comes to the 116 of generation 1103 which the pattern is known for (LifeWiki, R-pentomino), as docs/command.md has it.
    #[test]
    fn the_r_pentomino_grows_as_in_numpy() {
        let start = on_a_board("#N R-pentomino\nx = 3, y = 3, rule = B3/S23\nb2o$2o$bo!", 100);
        assert_eq!(after(&start, Border::Constant(0), 150).1, 214);
    }

    #[test]
    fn texts_that_are_no_patterns_are_refused() {
        assert_eq!(
            rle::pattern("x = 4, y = 3\n\n2b2o$$ o!rest").unwrap(),
            ndarray::array![[0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
        );
        for (text, what) in [
            ("", "no line with its size"),
            ("y = 3\nbo!", "`y = 3` is no size"),
            ("x = 3, y = 1\n4o!", "row 0 has cells up to column 4"),
            ("x = 3, y = 1\n$o!", "row 1 has cells"),
            ("x = 3, y = 1\n99999999999999999999999o!", "too large a number"),
            ("x = 3, y = 1\n3o", "does not end"),
            ("x = 3, y = 1\n3q!", "`q` is none of"),
            ("x = 9999999999, y = 9999999999\n!", "too many"),
        ] {
            assert!(rle::pattern(text).unwrap_err().contains(what), "{text}");
        }
    }
}
