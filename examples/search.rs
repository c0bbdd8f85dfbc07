//! Answers are handed on while workers work, in the order of slices: the first hit ends the search, and is the same for any number of
//! workers.
//!
//! `cargo run --release --example search`

use std::{fs::File, ops::ControlFlow, ops::Range, process::abort};

use parfork::{Crew, Engine, Job, Split, Worker};

/// Perfect numbers: each is the sum of its divisors.
fn perfect(mine: Range<usize>) -> Vec<usize> {
    mine.filter(|&n| n > 1 && (1..=n / 2).filter(|&d| n.is_multiple_of(d)).sum::<usize>() == n).collect()
}

fn main() -> parfork::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for workers in [1, 2, 5] {
        let job = || Job::new(0..1_000_000).workers(workers).split(Split::rows().of(100)).retries(1);
        let mut found: Vec<usize> = Vec::new();
        let mut first_four = |_slice: usize, more: Vec<usize>| {
            found.extend(&more);
            if more.contains(&8128) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        for engine in Engine::ALL {
            // A file that can be made once: whoever tries the slice again finds it there.
            let first_try = || File::create_new(folder.path().join(format!("died {workers}"))).is_ok();
            let body = |w: &Worker<'_>, mine| {
                if engine == Engine::Processes && w.region().index() == 2 && first_try() {
                    abort();
                }
                perfect(mine)
            };
            job().runner(engine).run_each(body, &mut first_four)?;
        }
        job().crew(&mut Crew::start(workers)?).run_each_with((), |_, (), mine| perfect(mine), &mut first_four)?;
        println!("{workers} workers: {:?}", &found[..4]);
        assert_eq!(found, [6, 28, 496, 8128].repeat(4));
    }
    Ok(())
}
