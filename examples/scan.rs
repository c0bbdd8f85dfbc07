//! Prefix sums in one pass over memory: each slice hands on to the next what all before it come to. `cargo run --example scan`

use std::fs::{File, remove_file};
use std::path::PathBuf;

use ndarray::Array1;
use parfork::{Crew, Engine, Error, Job, Runner, Shared, Split};

fn file(number: u32) -> PathBuf {
    std::env::temp_dir().join(format!("parfork-scan-{number}"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers = Shared::from_array(&Array1::from_iter((0..100_000_u64).map(|n| n * n % 1009)))?;
    let mut right = numbers.as_slice().to_vec();
    (1..right.len()).for_each(|at| right[at] += right[at - 1]);
    let mut crew = Crew::start(5)?;
    for workers in [1, 2, 5] {
        for runner in [Runner::Serial, Engine::Threads.into(), Runner::Processes, Runner::Crew(&mut crew)] {
            let (number, dies) = (std::process::id(), matches!(runner, Runner::Processes | Runner::Crew(_)));
            dies.then(|| File::create_new(file(number))).transpose()?;
            let mut sums = Shared::<u64, _>::zeros(numbers.len())?;
            let job = Job::new((&numbers, &mut sums)).runner(runner).workers(workers).split(Split::rows().of(1000));
            let done = job.retries(1).body_overwrites().run_with(number, |w, number, (numbers, mut sums)| {
                let mine = w.slice_of(numbers);
                let before = w.carry(0, |before| before + mine.sum())?;
                // Who can remove it is the first to come so far; others go on with what it has handed on.
                if w.region().index() == 42 && remove_file(file(number)).is_ok() {
                    std::process::abort();
                }
                sums.assign(&mine);
                sums[0] += before;
                (1..mine.len()).for_each(|at| sums[at] += sums[at - 1]);
                Ok::<_, Error>(())
            })?;
            assert_eq!((sums.as_slice(), done.report().deaths.len()), (&right[..], usize::from(dies)));
        }
    }
    Ok(())
}
