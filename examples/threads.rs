//! Beside threads a fork could find a lock held for ever: there the workers are forked by this program, started once more.
use parfork::{Crew, Error, Shared};
use rayon::prelude::*;

fn main() -> parfork::Result<()> {
    // Takes over in the program that forks the workers; else it does nothing.
    parfork::serve();
    let squares: u64 = (0..1000_u64).into_par_iter().map(|i| i * i).sum();
    assert!(matches!(Crew::start(2), Err(Error::ThreadsRunning { .. })));

    let mut crew = Crew::in_program(2)?;
    let mut cells = Shared::<u64, _>::zeros(1000)?;
    for _ in 0..100 {
        crew.run(&mut cells, 2, |_, step: u64, mut slice| slice.mapv_inplace(|cell| cell + step))?;
    }
    assert!(cells.as_slice().iter().all(|&cell| cell == 200));
    println!("100 jobs of a crew beside the threads of rayon, which have found {squares}");
    Ok(())
}
