//! Workers that are faster than whom their answers are handed on to.

use std::hint::spin_loop;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::Ordering;

use parfork::{Crew, Engine, Job, RetryPolicy, Split, Worker};

use crate::kill_me;
use crate::support::{Page, nothing_left};

const SLICES: usize = 100;

/// Bytes of an answer.
const LONG: usize = 1 << 20;

/// How many answers two workers may leave: 32 MiB each, and the one with which each has passed that. And one that all wait for.
const MOST: usize = 2 * 33 + 1;

fn job(workers: usize) -> Job<'static, Range<usize>> {
    Job::new(0..SLICES).workers(workers).split(Split::rows().of(1))
}

/// However long whoever gets the answers takes, workers have begun no more slices than there is room for.
pub(crate) fn who_is_too_far_ahead_waits() {
    for (engine, schedule, in_order) in [
        (Engine::Processes, "dynamic", true),
        (Engine::Processes, "static", true),
        (Engine::Processes, "guided", false),
        (Engine::Threads, "dynamic", false),
    ] {
        let (page, mut handed) = (Page::new(), 0);
        let body = |_: &Worker<'_>, mine: Range<usize>| {
            page[0].fetch_add(1, Ordering::Relaxed);
            vec![mine.start as u8; LONG]
        };
        let each = |slice: usize, answer: Vec<u8>| {
            // They go on as far as they may. With a static schedule one has what comes first.
            while handed == 0 && page[0].load(Ordering::Relaxed) < MOST as u64 - 1 {
                spin_loop();
            }
            // Its hash was looked at: to look at each byte takes unoptimised code seconds.
            assert_eq!((answer.len(), answer.last()), (LONG, Some(&(slice as u8))));
            assert!(!in_order || slice == handed);
            let begun = page[0].load(Ordering::Relaxed) as usize;
            assert!(begun <= handed + MOST, "{begun} when {handed} are handed on: {engine} {schedule}");
            handed += 1;
            ControlFlow::Continue(())
        };
        nothing_left(|| {
            let job = job(2).runner(engine).schedule(schedule.parse().unwrap());
            match in_order {
                true => job.run_each(body, each),
                false => job.run_each_unordered(body, each),
            }
        })
        .unwrap();
        assert_eq!(handed, SLICES, "{engine} {schedule}");
    }
}

/// The first slice takes until all others wait for it, and then its worker dies.
pub(crate) fn a_slice_for_which_all_wait_is_done_though_its_worker_dies() {
    for schedule in ["dynamic", "static"] {
        let (page, mut handed) = (Page::new(), Vec::new());
        let body = |_: &Worker<'_>, mine: Range<usize>| {
            if mine.start == 0 && page[1].load(Ordering::Relaxed) == 0 {
                while page[0].load(Ordering::Relaxed) < 33 {
                    spin_loop();
                }
                page[1].store(1, Ordering::Relaxed);
                kill_me();
            }
            page[0].fetch_add(1, Ordering::Relaxed);
            vec![mine.start as u8; LONG]
        };
        let mut job = job(2).runner(Engine::Processes).schedule(schedule.parse().unwrap()).retries(1);
        job.spec_mut().retry_policy = RetryPolicy::BodyOverwrites;
        let report = nothing_left(|| {
            job.run_each(body, |slice, answer| {
                assert_eq!((answer.len(), answer.last()), (LONG, Some(&(slice as u8))));
                handed.push(slice);
                ControlFlow::Continue(())
            })
        });
        assert_eq!(report.unwrap().deaths.len(), 1, "{schedule}");
        assert!(handed.into_iter().eq(0..SLICES), "{schedule}");
    }
}

/// What was handed on in one job is nothing to the next.
pub(crate) fn a_crew_begins_each_job_anew() {
    let mut crew = Crew::start(2).unwrap();
    for _ in 0..2 {
        let mut handed = 0;
        let body = |_: &Worker<'_>, (), mine: Range<usize>| vec![mine.start as u8; LONG];
        let job = job(2).crew(&mut crew);
        job.run_each_with((), body, |slice, answer| {
            assert!(slice == handed && answer.len() == LONG);
            handed += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(handed, SLICES);
    }
}
