//! Answers of any length: each slice hands on a list, or a text, and a worker that dies takes with it none that it had finished.
//!
//! `cargo run --release --example lists`

use std::{fs::File, ops::Range, process::abort};

use parfork::{Crew, Engine, Job, Worker};

const MOST: usize = 20_000;

/// The primes among these numbers.
fn primes(_: &Worker<'_>, (): (), mine: Range<usize>) -> Vec<u32> {
    let is_prime = |n: &u32| *n > 1 && (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (mine.start as u32..mine.end as u32).filter(is_prime).collect()
}

fn main() -> parfork::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for workers in [1, 2, 5] {
        for engine in Engine::ALL {
            // A file that can be made once: whoever tries the slice again finds it there.
            let first_try = || File::create_new(folder.path().join(format!("died {workers}"))).is_ok();
            let job = Job::new(0..MOST).workers(workers).runner(engine).retries(1);
            let found = job.run(|w, mine| {
                if engine == Engine::Processes && w.region().index() == 500 && first_try() {
                    abort();
                }
                primes(w, (), mine)
            })?;
            let found = found.concat();
            assert_eq!((found.len(), found.last()), (2262, Some(&19_997)));
        }
        let found = Crew::start(workers)?.run(0..MOST, (), |w, (), mine| primes(w, (), mine))?;
        assert_eq!(found.concat().len(), 2262);
        let texts = parfork::fork(workers, 0..3, |w, mine| format!("slice {mine:?} of {} workers", w.workers()))?;
        println!("{}", texts.join(", "));
    }
    Ok(())
}
