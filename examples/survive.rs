//! One worker crashes in the middle of a change, one runs in circles, one writes where it must not. The job goes on without
//! them, and the result is as if nothing had been.
//!
//! `cargo run --release --example survive`

#![allow(unsafe_code)]

use std::{fs::File, process::abort, time::Duration};

use parfork::{Job, Shared, Split};

fn main() -> parfork::Result<()> {
    for workers in [1, 2, 6] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A file that can be made once: whoever tries the slice again finds it there.
        let first_try = |name: &str| File::create_new(folder.path().join(name)).is_ok();

        let mut balance = Shared::<i64, _>::from_array(&ndarray::Array2::from_elem((40, 1024), 7))?;
        let job = Job::new(&mut balance).workers(workers).split(Split::rows().of(2));
        // What a dead worker has changed is put back; nobody writes beyond its slice, nor takes longer for it than this.
        let job = job.retries(1).restore_outputs().guard(true).slice_deadline(Duration::from_millis(200));
        let done = job.run(|w, mut slice| {
            slice.row_mut(0).mapv_inplace(|each| each + 100);
            match w.region().index() {
                3 if first_try("crash") => abort(),
                8 if first_try("circles") => loop {
                    std::hint::spin_loop();
                },
                // SAFETY: none. This is another's slice, and the guard is there to say so.
                15 if first_try("stray") => unsafe { slice.as_mut_ptr().wrapping_sub(1).write_volatile(0) },
                _ => slice.row_mut(1).mapv_inplace(|each| each + 100),
            }
        })?;
        assert!(balance.view().iter().all(|&each| each == 107));
        assert_eq!(done.report().deaths.len(), 3);
        done.report().deaths.iter().for_each(|death| println!("{death:#}\n"));
    }
    Ok(())
}
