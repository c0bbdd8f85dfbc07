//! The shortest useful job: brighten a picture in worker processes. The closure borrows what it likes; what it writes to its
//! slice is in the coordinator's array when `fork` returns, without a copy.
//!
//! `cargo run --release --example first_fork`

use ndarray::Array2;
use parfork::Shared;

fn main() -> parfork::Result<()> {
    let photo = Shared::from_array(&Array2::from_shape_fn((480, 640), |(i, j)| ((i + j) % 200) as u8))?;
    let gain = 1.25;
    for workers in [1, 2, 5] {
        let mut bright = Shared::<u8, _>::zeros_like(&photo)?;
        let done = parfork::fork(workers, (&photo, &mut bright), |w, (photo, mut slice)| {
            slice.zip_mut_with(&w.slice_of(photo), |out, &value| *out = (f32::from(value) * gain) as u8);
            std::process::id()
        })?;
        let expected = photo.view().mapv(|value| (f32::from(value) * gain) as u8);
        assert_eq!(bright.view(), expected);
        let rows: Vec<_> = done.report().workers.iter().map(|worker| worker.slices.len()).collect();
        println!("{workers} workers brightened {rows:?} rows, the first one in process {}", done[0]);
        assert!(done.iter().all(|&pid| pid != std::process::id()));
    }
    Ok(())
}
