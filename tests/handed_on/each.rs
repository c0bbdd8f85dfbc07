//! Answers that are handed on while workers work.

use std::collections::BTreeSet;
use std::fs;
use std::hint::spin_loop;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parfork::{CancelToken, Crew, CrewError, Engine, Error, Job, Worker};

use crate::kill_me;
use crate::support::{Page, no_children, nothing_left};

const SLICES: usize = 40;

fn list(slice: usize) -> Vec<u64> {
    vec![slice as u64; slice * 100]
}

fn wait_for(word: &AtomicU64) {
    while word.load(Ordering::Relaxed) == 0 {
        spin_loop();
    }
}

fn for_ever() -> ! {
    loop {
        spin_loop();
    }
}

fn jobs() -> impl Iterator<Item = (Engine, usize, &'static str)> {
    let workers = Engine::ALL.into_iter().flat_map(|engine| [1, 2, 5].map(|workers| (engine, workers)));
    workers.flat_map(|(engine, workers)| ["static", "dynamic=3", "guided"].map(|schedule| (engine, workers, schedule)))
}

fn job(engine: Engine, workers: usize, schedule: &str) -> Job<'static, Range<usize>> {
    Job::new(0..SLICES).workers(workers).runner(engine).schedule(schedule.parse().unwrap())
}

/// The last slice waits for the first one's answer to be handed on.
pub(crate) fn in_the_order_of_slices_while_others_work() {
    for (engine, workers, schedule) in jobs() {
        let (page, mut handed) = (Page::new(), Vec::new());
        let body = |_: &Worker<'_>, mine: Range<usize>| {
            if mine.start == SLICES - 1 {
                wait_for(&page[0]);
            }
            list(mine.start)
        };
        let report = nothing_left(|| {
            job(engine, workers, schedule).run_each(body, |slice, answer| {
                assert_eq!(answer, list(slice));
                page[0].store(1, Ordering::Relaxed);
                handed.push(slice);
                ControlFlow::Continue(())
            })
        });
        assert!(handed.into_iter().eq(0..SLICES), "{engine} {workers} {schedule}");
        assert_eq!(report.unwrap().workers.iter().map(|worker| worker.slices.len()).sum::<usize>(), SLICES);
    }
    let mut alone = Vec::new();
    let job = Job::new(0..SLICES).only_slice(7);
    job.run_each(
        |_, mine| mine.start,
        |slice, answer| {
            alone.push((slice, answer));
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(alone, [(7, 7)]);
}

/// The first slice waits for another one's answer to be handed on.
pub(crate) fn as_they_come() {
    for (engine, workers, schedule) in jobs() {
        let (page, mut handed) = (Page::new(), BTreeSet::new());
        let waits = workers > 1 && engine != Engine::Serial;
        let body = |_: &Worker<'_>, mine: Range<usize>| {
            if waits && mine.start == 0 {
                wait_for(&page[0]);
            }
            mine.start
        };
        let report = nothing_left(|| {
            job(engine, workers, schedule).run_each_unordered(body, |slice, answer| {
                assert!(slice == answer && handed.insert(slice));
                page[0].store(1, Ordering::Relaxed);
                ControlFlow::Continue(())
            })
        });
        report.unwrap();
        assert!(handed.into_iter().eq(0..SLICES), "{engine} {workers} {schedule}");
    }
}

/// Which is the first hit in the order of slices does not depend on who is fast. The slice after it never ends where that can be.
pub(crate) fn a_break_ends_the_job_well() {
    for (engine, workers, schedule) in jobs() {
        let mut handed = Vec::new();
        let endless = engine == Engine::Processes;
        let body = |_: &Worker<'_>, mine: Range<usize>| {
            if endless && mine.start > 10 {
                for_ever();
            }
            (mine.start * mine.start).to_string()
        };
        let done = nothing_left(|| {
            job(engine, workers, schedule).run_each(body, |slice, answer| {
                handed.push(answer);
                if slice == 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        let how = format!("{engine} {workers} {schedule}");
        // By a fixed schedule of several workers slices before it may come after those that never end.
        assert!(done.unwrap().failure.is_none(), "{how}");
        assert!(handed.len() == 10 && handed[9] == "81", "{how}: {handed:?}");
    }
}

pub(crate) fn a_panic_ends_the_job_first() {
    for (engine, in_order) in Engine::ALL.into_iter().flat_map(|engine| [true, false].map(|order| (engine, order))) {
        let each = |slice: usize, _: Vec<u64>| if slice == 3 { panic!("not three") } else { ControlFlow::Continue(()) };
        let panic = nothing_left(|| {
            catch_unwind(AssertUnwindSafe(|| match in_order {
                true => job(engine, 2, "dynamic").run_each(|_, mine| list(mine.start), each),
                false => job(engine, 2, "dynamic").run_each_unordered(|_, mine| list(mine.start), each),
            }))
            .unwrap_err()
        });
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"not three"), "{engine}");
        no_children();
    }
}

pub(crate) fn each_once_though_workers_die() {
    for (workers, schedule) in [1, 2, 5].into_iter().flat_map(|n| ["static", "dynamic=3", "guided"].map(|s| (n, s))) {
        for in_order in [true, false] {
            let (begun, mut handed) = (Page::new(), Vec::new());
            let body = |_: &Worker<'_>, mine: Range<usize>| {
                if begun[mine.start].fetch_add(1, Ordering::Relaxed) < 2 && mine.start % 10 == 7 {
                    kill_me();
                }
                list(mine.start)
            };
            let mut each = |slice, answer| {
                assert_eq!(answer, list(slice));
                handed.push(slice);
                ControlFlow::Continue(())
            };
            let job = job(Engine::Processes, workers, schedule).retries(2);
            let done = nothing_left(|| match in_order {
                true => job.run_each(body, &mut each),
                false => job.run_each_unordered(body, &mut each),
            });
            assert_eq!(done.unwrap().deaths.len(), 8);
            assert!(!in_order || handed.is_sorted(), "{handed:?}");
            handed.sort_unstable();
            assert!(handed.into_iter().eq(0..SLICES), "{workers} {schedule} {in_order}");
        }
    }
}

/// What is left by a dead worker comes first: the others are called back.
pub(crate) fn a_death_does_not_keep_those_after_it_waiting() {
    for (workers, retries) in [2, 5].into_iter().flat_map(|workers| [1, 3].map(|retries| (workers, retries))) {
        let begun = Page::new();
        let body = |_: &Worker<'_>, mine: Range<usize>| {
            let before = if mine.start == 2 { begun[0].fetch_add(1, Ordering::Relaxed) } else { u64::MAX };
            if before < u64::from(retries) {
                kill_me();
            }
            begun[1].fetch_add(1, Ordering::Relaxed);
            std::thread::yield_now();
            mine.start
        };
        let job = Job::new(0..100_000).workers(workers).split(parfork::Split::rows().of(1)).retries(retries);
        let report = nothing_left(|| {
            job.run_each(body, |slice, answer| {
                assert_eq!(slice, answer);
                if slice == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        assert_eq!(report.unwrap().deaths.len(), retries as usize);
        assert!(begun[1].load(Ordering::Relaxed) < 90_000, "all were done before slice 2 was tried again");
    }
}

pub(crate) fn deadlines_stops_and_errors_end_it() {
    let go_on = |_: usize, _: usize| ControlFlow::Continue(());
    let never = |_: &Worker<'_>, mine: Range<usize>| {
        if mine.start == 9 {
            for_ever();
        }
        mine.start
    };
    let late = nothing_left(|| {
        job(Engine::Processes, 2, "dynamic").deadline(Duration::from_millis(50)).run_each(never, go_on).unwrap_err()
    });
    assert!(matches!(late, Error::Deadline { .. }), "{late}");
    let stop = CancelToken::new();
    let stopped = nothing_left(|| {
        job(Engine::Processes, 2, "dynamic").cancel_token(&stop).run_each(never, |slice, _| {
            if slice == 3 {
                stop.cancel();
            }
            ControlFlow::Continue(())
        })
    });
    assert!(matches!(stopped, Err(Error::Stopped { .. })), "{stopped:?}");
    for engine in Engine::ALL {
        let fails = |_: &Worker<'_>, mine: Range<usize>| if mine.start == 9 { Err("nine") } else { Ok(mine.start) };
        let failed = nothing_left(|| job(engine, 2, "dynamic").run_each(fails, go_on).unwrap_err());
        assert!(matches!(&failed, Error::BodyFailed(_)), "{engine} {failed}");
    }
}

pub(crate) fn a_crew_hands_on_and_stays() {
    let mut crew = Crew::start(2).unwrap();
    for turn in 0..6 {
        let (mut handed, enough) = (Vec::new(), if turn % 3 == 2 { 12 } else { usize::MAX });
        let each = |slice: usize, answer: Vec<u64>| {
            assert_eq!(answer, list(slice));
            handed.push(slice);
            if handed.len() == enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let job = Job::new(0..SLICES).crew(&mut crew);
        match turn % 2 {
            0 => job.run_each_with((), |_, (), mine| list(mine.start), each).unwrap(),
            _ => job.run_each_with_unordered((), |_, (), mine| list(mine.start), each).unwrap(),
        };
        handed.sort_unstable();
        handed.dedup();
        assert_eq!(handed.len(), SLICES.min(enough));
        // A job that does not, in between.
        assert_eq!(crew.run(0..9, turn, |_, turn, mine| mine.start * turn).unwrap().sum(), 36 * turn);
    }
    crew.coordinator_works(true);
    let job = Job::new(0..SLICES).crew(&mut crew);
    let refused = job.run_each_with((), |_, (), mine| mine.start, |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(refused, Error::Crew(CrewError::HandsOn)), "{refused}");
    let refused = Job::new(0..9).crew(&mut crew).run_each(|_, _| (), |_, ()| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(refused, Error::Crew(CrewError::BodyCaptures)), "{refused}");
}

/// One worker that is not ahead: 64 MiB of answers are never there at once, whether one fills pages or not.
pub(crate) fn their_memory_is_given_back() {
    for (slices, length) in [(64, 1 << 20), (8192, 8000)] {
        let mut most = 0;
        let job = Job::new(0..slices).split(parfork::Split::rows().of(1)).runner(Engine::Serial);
        job.run_each(
            |_, _| vec![1_u8; length],
            |_, answer| {
                assert!(answer.iter().all(|&byte| byte == 1) && answer.len() == length);
                let files = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
                let ours =
                    files.filter(|path| fs::read_link(path).is_ok_and(|to| to.starts_with("/memfd:parfork (deleted)")));
                most = most.max(ours.map(|path| fs::metadata(path).map_or(0, |file| file.blocks() * 512)).sum());
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        assert!(most < 10 << 20, "{most} bytes of {slices} answers of {length}");
    }
}
