//! What do answers of any length cost? 100,000 answers of 1 KiB, handed on by two workers, beside answers of one length.
//!
//! `cargo bench --bench answers`; method and findings in benches/README.md.

use std::ops::{ControlFlow, Range};
use std::time::Instant;

use parfork::{Answers, Crew, Job, Result, Split, Worker};

const ANSWERS: usize = 100_000;
const ROUNDS: usize = 9;

fn main() -> Result<()> {
    let mut crew = Crew::start(2)?;
    let job = || Job::new(0..ANSWERS).workers(2).split(Split::rows().of(1));
    println!("| {ANSWERS} answers of 1 KiB, 2 workers | ms, median (least) of {ROUNDS} |\n|---|---:|");
    say("Vec, workers forked for the job", || {
        job().run(|_, mine| vec![mine.start as u8; 1024]).map(|all| last(&all, 1024))
    })?;
    say("Vec, a crew", || {
        job().crew(&mut crew).run_with((), |_, (), mine| vec![mine.start as u8; 1024]).map(|all| last(&all, 1024))
    })?;
    say("`run_each`, a crew", || {
        let (mut next, mut last) = (0, 0);
        let body = |_: &Worker<'_>, (), mine: Range<usize>| vec![mine.start as u8; 1024];
        job().crew(&mut crew).run_each_with((), body, |slice, answer| {
            assert!(slice == next && answer.len() == 1024);
            (next, last) = (next + 1, answer[1023]);
            ControlFlow::Continue(())
        })?;
        Ok(last)
    })?;
    say("`run_each_unordered`, a crew", || {
        let mut sum = 0;
        let body = |_: &Worker<'_>, (), mine: Range<usize>| vec![mine.start as u8; 1024];
        job().crew(&mut crew).run_each_with_unordered((), body, |slice, answer| {
            assert!(answer.len() == 1024);
            sum += slice;
            ControlFlow::Continue(())
        })?;
        assert_eq!(sum, ANSWERS * (ANSWERS - 1) / 2);
        Ok((ANSWERS - 1) as u8)
    })?;
    say("[u8; 1024], a crew", || {
        let all = job().crew(&mut crew).run_with((), |_, (), mine| [mine.start as u8; 1024])?;
        Ok(all.last().map_or(0, |last| last[0]))
    })?;
    say("nothing, a crew", || {
        job().crew(&mut crew).run_with((), |_, (), _| ())?;
        Ok((ANSWERS - 1) as u8)
    })
}

fn last(all: &Answers<Vec<u8>>, length: usize) -> u8 {
    assert!(all.len() == ANSWERS && all.iter().all(|answer| answer.len() == length));
    all.last().map_or(0, |last| last[length - 1])
}

fn say(name: &str, mut job: impl FnMut() -> Result<u8>) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        assert_eq!(job()?, (ANSWERS - 1) as u8);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("| {name} | {:.1} ({:.1}) |", times[ROUNDS / 2], times[0]);
    Ok(())
}
