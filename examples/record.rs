//! Who did what when: a job of uneven slices under two schedules, recorded. Prints a bar for each worker.
//!
//! `cargo run --release --example record`

use std::time::Duration;

use parfork::record::Part;
use parfork::{Job, Schedule, Shared, Split};

/// The longer, the later.
fn work(slice: usize) -> u64 {
    (0..(slice as u64).pow(3) * 20).fold(0, |sum, step| std::hint::black_box(sum ^ step))
}

fn main() -> parfork::Result<()> {
    let mut sums = Shared::<u64, _>::zeros(48)?;
    for schedule in [Schedule::Static, Schedule::DYNAMIC] {
        let job = Job::new(&mut sums).workers(2).split(Split::rows().of(1)).schedule(schedule);
        let done = job.record(true).run(|w, mut slice| slice.fill(work(w.region().index())))?;
        let record = done.report().record().expect("it was asked for");
        let waterfall = record.waterfall();
        println!("{schedule}: imbalance {:?} of {:?}", waterfall.of(Part::Imbalance), waterfall.total);
        print!("{}", record.summary(80));
        // Every nanosecond is in one part.
        assert_eq!(waterfall.parts().map(|(_, time)| time).sum::<Duration>(), waterfall.total);
        assert!(
            record.attempts.iter().map(|attempt| attempt.slice).collect::<std::collections::BTreeSet<_>>().len() == 48
        );
        // What each worker was at when, without gaps, for whoever draws it.
        assert!(record.timelines().iter().all(|lane| lane.windows(2).all(|two| two[0].end == two[1].begin)));
    }
    Ok(())
}
