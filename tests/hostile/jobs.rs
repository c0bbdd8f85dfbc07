//! Trials of each kind of job: a worker goes mad in a slice that chance has chosen, in a way that chance has chosen.

use parfork::{Answers, Crew, Error, Job, Schedule, Split};

use crate::madness::{Deed, Madness, SLICES, told, untold};
use crate::support::nothing_left;
use crate::{BOTH, Cells, check, try_out, work};

pub(crate) fn plain_jobs() {
    try_out(1, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| {
            Job::new(cells).workers(workers).deadline(mad.patience()).run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

pub(crate) fn guarded_jobs() {
    try_out(8, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells).workers(workers).guard(true).deadline(mad.patience());
            job.run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

pub(crate) fn jobs_with_retries() {
    try_out(2, &[Deed::Overwrites], |cells, workers, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells)
                .workers(workers)
                .retries(2)
                .body_overwrites()
                .deadline(mad.patience())
                .schedule(Schedule::Guided);
            job.run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

pub(crate) fn jobs_with_undo() {
    try_out(9, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells).workers(workers).retries(2).restore_outputs().deadline(mad.patience());
            job.run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

pub(crate) fn jobs_with_undo_and_guard() {
    try_out(3, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| {
            let job =
                Job::new(cells).workers(workers).retries(1).restore_outputs().guard(true).deadline(mad.patience());
            job.run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

pub(crate) fn jobs_that_meet() {
    try_out(4, BOTH, |cells, _, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells).workers(SLICES).split(Split::default().into_pieces(SLICES));
            // Of as many slices as workers each has one, and they can meet.
            job.schedule(Schedule::Static).deadline(mad.patience()).run(|w, slice| {
                let answer = work(w, Some(mad), deed, slice);
                w.barrier().map_err(|error| error.to_string())?;
                Ok::<_, String>(answer)
            })
        })
    });
}

/// What is carried decides the answers: each is right only if all before it are.
pub(crate) fn jobs_that_carry() {
    for retries in [0, 2] {
        try_out(20 + u64::from(retries), &[Deed::Overwrites], |cells, workers, mad, deed| {
            nothing_left(|| {
                let job = Job::new(cells).workers(workers).retries(retries).body_overwrites();
                job.deadline(mad.patience()).run(|w, slice| {
                    let before = w.carry(0, |before: u64| before + 1)?;
                    work(w, Some(mad), deed, slice);
                    Ok::<_, parfork::Error>((before + 1) * 1_000_003)
                })
            })
        });
    }
}

pub(crate) fn recorded_jobs() {
    try_out(5, &[Deed::Overwrites], |cells, workers, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells)
                .workers(workers)
                .retries(2)
                .body_overwrites()
                .record(true)
                .measure_memory(true)
                .deadline(mad.patience());
            let done = job.run(|w, slice| work(w, Some(mad), deed, slice))?;
            let record = done.report().record().expect("it was recorded");
            // Whatever the event logs say, the views are made.
            assert!(
                record.timelines().len() + serde_json::to_string(&record).unwrap().len() + record.summary(80).len() > 0
            );
            Ok(done)
        })
    });
}

pub(crate) fn jobs_of_a_crew() {
    let mut crew = Crew::start(3).unwrap();
    try_out(6, BOTH, |cells, workers, mad, deed| run_on(&mut crew, cells, workers.min(3), mad, deed));
}

pub(crate) fn jobs_of_a_crew_in_a_program() {
    let mut crew = Crew::in_program(3).unwrap();
    try_out(11, BOTH, |cells, workers, mad, deed| run_on(&mut crew, cells, workers.min(3), mad, deed));
}

pub(crate) fn jobs_of_a_crew_that_starts_anew() {
    try_out(7, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| run_on(&mut Crew::start(workers).unwrap(), cells, workers, mad, deed))
    });
}

pub(crate) fn jobs_of_a_crew_whose_coordinator_works_too() {
    let mut crew = Crew::start(2).unwrap();
    crew.coordinator_works(true);
    // The coordinator itself stays sane: what it writes over, and who it ends, is its own. The mad slice is another's, which one
    // that works faster must not take.
    let coordinator = std::process::id();
    try_out(10, BOTH, |cells, _, mad, deed| {
        let mad = Madness { slice: mad.slice % (SLICES / 3 * 2), ..mad };
        let job = Job::new(&mut *cells).crew(&mut crew).workers(3).schedule(Schedule::Static).deadline(mad.patience());
        job.run_with(told(coordinator, mad, deed), |w, argument, slice| {
            let (coordinator, mad, deed) = untold(argument);
            let mad = Some(mad).filter(|_| std::process::id() != coordinator);
            work(w, mad, deed, slice)
        })
    });
}

/// A mad job, then one that must be right.
fn run_on(
    crew: &mut Crew,
    cells: &mut Cells,
    workers: usize,
    mad: Madness,
    deed: Deed,
) -> parfork::Result<Answers<u64>> {
    // With retries where they are safe: an error that nobody survives, a death that others make up for, or an undo copy put back.
    let job = Job::new(&mut *cells).crew(&mut *crew).workers(workers).deadline(mad.patience());
    let job = match (deed, mad.seed % 3) {
        (Deed::Overwrites, 1) => job.retries(1).body_overwrites(),
        (_, 2) => job.retries(1).restore_outputs(),
        _ => job,
    };
    let done = job.run_with(told(0, mad, deed), |w, argument, slice| {
        let (_, mad, deed) = untold(argument);
        work(w, Some(mad), deed, slice)
    });
    let mut next = || {
        let mut cells = Cells::zeros((SLICES, 512)).unwrap();
        let job = Job::new(&mut cells).crew(&mut *crew).workers(workers).deadline(mad.patience());
        let answers = job.run_with((), |w, (), slice| work(w, None, Deed::Modifies, slice))?;
        check(&cells, &answers, "the job after it");
        Ok::<_, Error>(())
    };
    // After a job that went well the mad one may still be there, and at it. After one that failed all are new.
    if done.is_ok() && next().is_ok() {
        return done;
    }
    next().expect("a job of new workers");
    done
}
