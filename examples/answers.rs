//! Each slice has an answer, and answers are folded in the order of slices: the sum of a million floats has the same bits for
//! any number of workers and any schedule, because the grid of slices depends on the array alone.
//!
//! `cargo run --release --example answers`

use ndarray::Array1;
use parfork::{Job, Schedule, Shared};

/// What a worker returns for its slice; any plain data will do.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Moments {
    sum: f64,
    squares: f64,
}

fn main() -> parfork::Result<()> {
    let values = Shared::from_array(&Array1::from_iter((0..1_000_000).map(|i| f64::from(i).sin() * 1e3)))?;
    let mut first = None;
    for workers in [1, 2, 3, 8] {
        for schedule in [Schedule::Static, Schedule::DYNAMIC, Schedule::Guided] {
            let job = Job::new(&values).workers(workers).schedule(schedule);
            let answers = job.run(|w, values| {
                let mine = w.slice_of(values);
                Ok::<_, String>(Moments { sum: mine.sum(), squares: mine.iter().map(|x| x * x).sum() })
            })?;
            let (sum, squares) = answers.fold((0.0, 0.0), |all, m| (all.0 + m.sum, all.1 + m.squares));
            let bits = (sum.to_bits(), squares.to_bits());
            println!("{workers} workers, {schedule:<8} sum {sum:.12} ({:016x}), squares {squares:.6}", bits.0);
            assert_eq!(*first.get_or_insert(bits), bits);
        }
    }
    Ok(())
}
