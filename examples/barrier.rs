//! Workers that meet: each walks its part of a line step by step, and none begins a step before all have ended the last.
//! A worker that dies or returns instead of coming ends the meeting for all, with an error; nobody waits for the dead.
//!
//! `cargo run --release --example barrier`

use parfork::{Error, Job, Schedule, Shared, Split};

const STEPS: u64 = 10_000;

fn main() -> parfork::Result<()> {
    for workers in [1, 2, 5] {
        let mut walked = Shared::<u64, _>::zeros(workers)?;
        // In step: as many slices as workers, one each, fixed beforehand.
        let split = Split::rows().into_pieces(workers);
        let done =
            Job::new(&mut walked).workers(workers).split(split).schedule(Schedule::Static).run(|w, mut slice| {
                for _ in 0..STEPS {
                    slice[0] += 1;
                    w.barrier()?;
                }
                Ok::<_, Error>(())
            })?;
        assert!(walked.as_slice().iter().all(|&steps| steps == STEPS));
        println!("{workers} workers met {STEPS} times, {:.2?} each", done.report().wall / STEPS as u32);
    }

    let mut line = Shared::<u64, _>::zeros(3)?;
    let job = Job::new(&mut line).workers(3).schedule(Schedule::Static);
    let error = job.run(|w, _| if w.rank() == 1 { Ok(()) } else { w.barrier() }).unwrap_err();
    println!("one returned early: {error}");
    assert!(error.to_string().contains("worker 1 will not come"));
    Ok(())
}
