//! Random numbers belong to slices and not to workers: the same dice whoever throws them, for any number of workers, also when one dies.
//!
//! `cargo run --release --example random`

use std::{f64::consts::PI, fs::File, ops::Range, process::abort};

use parfork::{Crew, Engine, Job, Worker};

const DARTS: usize = 1_000_000;

/// How many of a slice's darts hit the circle. It captures nothing, so that a crew can throw them too.
fn hits(w: &Worker<'_>, seed: u64, mine: Range<usize>) -> usize {
    let mut random = w.random(seed);
    mine.filter(|_| random.uniform().powi(2) + random.uniform().powi(2) < 1.0).count()
}

fn main() -> parfork::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for workers in [1, 2, 5] {
        for engine in Engine::ALL {
            // A file that can be made once: whoever tries the slice again finds it there.
            let first_try = || File::create_new(folder.path().join(format!("died {workers}"))).is_ok();
            let job = Job::new(0..DARTS).workers(workers).runner(engine).retries(1);
            let thrown = job.run(|w, mine| {
                if engine == Engine::Processes && w.region().index() == 300 && first_try() {
                    abort();
                }
                hits(w, 2026, mine)
            })?;
            // NumPy's Generator(Philox(key=2026, counter=[0, 0, 0, slice])).random((len, 2)) makes the same throws.
            assert_eq!(thrown.sum(), 785_859);
        }
        let thrown = Crew::start(workers)?.run(0..DARTS, 2026, |w, seed, mine| hits(w, seed, mine))?.sum();
        assert_eq!(thrown, 785_859);
        println!("{workers} workers: pi is {}, or {PI}", 4.0 * thrown as f64 / DARTS as f64);
    }
    Ok(())
}
