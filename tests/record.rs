//! Records of real jobs: whatever the engine, the schedule and the deaths, what is recorded fits together and adds up.
#![allow(unsafe_code)]

mod support;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::record::{Part, Record};
use parfork::{Answers, Crew, Engine, Job, Schedule, Shared, Split, Worker};
use support::{Page as Words, cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            every_engine_and_schedule_is_recorded,
            a_crew_is_recorded_job_by_job,
            deaths_and_retries_are_recorded,
            meetings_are_recorded,
            one_slice_alone_is_recorded,
            a_mad_worker_spoils_no_more_than_its_record,
            memory_and_faults_are_those_of_the_worker,
            what_is_not_recorded_has_no_record,
            jobs_that_fail_are_recorded_too,
            a_crew_that_fails_is_recorded_too,
        ],
        cases![],
    )
}

const SLICES: usize = 60;

fn schedules() -> [Schedule; 4] {
    ["static", "dynamic", "dynamic=7", "guided"].map(|name| name.parse().unwrap())
}

fn recorded(workers: usize, schedule: Schedule, engine: Engine) -> Job<'static> {
    let job = Job::default().workers(workers).schedule(schedule).runner(engine).split(Split::rows().of(1));
    job.record(true).body_overwrites()
}

/// What must hold of every record.
fn is_consistent<A>(done: &Answers<A>) -> Record<'_> {
    let report = done.report();
    let record = report.record().expect("it was recorded");
    assert_eq!(record.lost_marks, 0);
    assert_eq!((record.workers.len(), record.deaths.len()), (report.workers.len(), report.deaths.len()));
    let mut numbers = vec![0; report.grid.slices()];
    for attempt in &record.attempts {
        assert!(attempt.begin <= attempt.end && attempt.end <= report.wall, "{attempt:?}");
        numbers[attempt.slice] += 1;
        assert_eq!(attempt.number, numbers[attempt.slice], "{attempt:?}");
        let inside = |span: &parfork::record::Span| attempt.begin <= span.begin && span.end <= attempt.end;
        assert!(attempt.meetings.iter().all(inside), "{attempt:?}");
    }
    let mut done_by = vec![Vec::new(); record.workers.len()];
    record.attempts.iter().filter(|it| it.done).for_each(|it| done_by[it.worker].push(it.slice));
    for (rank, (slices, worker)) in done_by.iter_mut().zip(&report.workers).enumerate() {
        slices.sort_unstable();
        assert_eq!(*slices, worker.slices, "each slice is finished once, by the worker that the journal names");
        let mine: Vec<_> = record.attempts.iter().filter(|attempt| attempt.worker == rank).collect();
        assert!(mine.windows(2).all(|two| two[0].end <= two[1].begin), "worker {rank} was at two slices at a time");
        let lives = &record.workers[rank].lives;
        assert!(lives.windows(2).all(|two| two[0].born <= two[1].born));
        assert!(!lives.is_empty(), "worker {rank} was never born");
        for life in lives {
            let measured = life.measured.map(|span| [span.begin, span.end]);
            let moments = [Some(life.born), life.began, life.left].into_iter().flatten();
            let moments: Vec<Duration> = moments.chain(measured.into_iter().flatten()).collect();
            assert!(moments.is_sorted() && moments.iter().all(|&at| at <= report.wall), "{life:?}");
            assert!(life.left.is_some() != life.died.is_some() || life.left <= life.died, "{life:?}");
        }
        let mut at = Duration::ZERO;
        for piece in record.timeline(rank) {
            assert!(piece.begin == at && piece.end > at, "a lane has no gaps: {piece:?}");
            at = piece.end;
        }
        assert_eq!(at, report.wall);
    }
    assert!(record.coordinator.windows(2).all(|two| two[0].end == two[1].begin));
    let waterfall = record.waterfall();
    assert_eq!(waterfall.total, report.wall * record.workers.len() as u32);
    assert_eq!(waterfall.parts().map(|(_, time)| time).sum::<Duration>(), waterfall.total);
    assert_eq!(record.arrays.len(), report.addresses.len());
    // None of the views fails on it.
    assert!(serde_json::to_string(&record).unwrap().starts_with('{') && !record.summary(80).is_empty());
    assert_eq!(record.timelines().len(), record.workers.len());
    record
}

fn fill(w: &Worker<'_>, mut slice: parfork::Slice<'_, u64, ndarray::Ix2>) {
    slice.fill(w.region().index() as u64);
}

fn every_engine_and_schedule_is_recorded() {
    for engine in Engine::ALL {
        for (workers, schedule) in [1, 2, 3, 8].into_iter().flat_map(|workers| schedules().map(|it| (workers, it))) {
            for retries in [0, 2] {
                let input = Shared::<u8, _>::zeros(100_000).unwrap();
                let mut rows = Shared::<u64, _>::zeros((SLICES, 300)).unwrap();
                let job = recorded(workers, schedule, engine).retries(retries);
                let done = nothing_left(|| job.lend((&input, &mut rows)).run(|w, (_, slice)| fill(w, slice)));
                let done = done.unwrap();
                let record = is_consistent(&done);
                assert_eq!((record.attempts.len(), record.report.engine), (SLICES, engine));
                assert!(record.attempts.iter().all(|attempt| attempt.done && attempt.number == 1));
                let [input, output] = &record.arrays[..] else { panic!("{:?}", record.arrays) };
                assert_eq!((input.dtype, input.output, output.dtype, output.output), ("u8", false, "u64", true));
                assert_eq!((&output.shape[..], output.bytes), (&[SLICES, 300][..], SLICES * 300 * 8));
                let pids: BTreeSet<u32> = record.workers.iter().flat_map(|it| &it.lives).map(|life| life.pid).collect();
                match engine {
                    Engine::Processes => {
                        assert!(pids.len() == record.workers.len() && !pids.contains(&std::process::id()))
                    }
                    _ => assert!(pids.into_iter().eq([std::process::id()])),
                }
            }
        }
    }
}

fn a_crew_is_recorded_job_by_job() {
    nothing_left(|| {
        let mut crew = Crew::start(3).unwrap();
        let mut rows = Shared::<u64, _>::zeros((SLICES, 10)).unwrap();
        for (coordinator_works, record) in [(false, true), (false, false), (true, true), (false, true), (true, true)] {
            crew.coordinator_works(coordinator_works);
            for schedule in schedules() {
                let job = recorded(3 + usize::from(coordinator_works), schedule, Engine::Processes).record(record);
                let done = job.crew(&mut crew).lend(&mut rows).run_with((), |w, (), slice| fill(w, slice)).unwrap();
                if !record {
                    assert!(done.report().record().is_none());
                    continue;
                }
                let record = is_consistent(&done);
                assert_eq!(record.attempts.len(), SLICES);
                assert!(record.report.crew);
            }
        }
    });
}

fn kill_me() {
    // SAFETY: a signal to this process, a worker.
    unsafe { libc::kill(std::process::id() as i32, libc::SIGKILL) };
}

fn deaths_and_retries_are_recorded() {
    for (workers, schedule) in [1, 2, 5].into_iter().flat_map(|workers| schedules().map(|it| (workers, it))) {
        let begun = Words::new();
        let mut rows = Shared::<u64, _>::zeros((SLICES, 3)).unwrap();
        let job = recorded(workers, schedule, Engine::Processes).retries(2);
        let deadly = [7, 8, 41];
        let done = nothing_left(|| {
            job.lend(&mut rows).run(|w, slice| {
                let number = w.region().index();
                if deadly.contains(&number) && begun[number].fetch_add(1, Ordering::Relaxed) == 0 {
                    kill_me();
                }
                fill(w, slice);
            })
        });
        let done = done.unwrap();
        let record = is_consistent(&done);
        assert_eq!(record.attempts.len(), SLICES + deadly.len());
        for slice in deadly {
            let tries: Vec<_> = record.attempts.iter().filter(|attempt| attempt.slice == slice).collect();
            let [failed, done] = tries[..] else { panic!("{tries:?}") };
            assert!(!failed.done && done.done && failed.end <= done.begin, "{tries:?}");
            let death = record.deaths.iter().find(|death| death.slice == Some(slice)).expect("a death on it");
            assert_eq!((death.worker, death.at), (failed.worker, failed.end));
            assert!(death.cause.contains("signal 9"), "{death:?}");
            let life = record.workers[death.worker].lives.iter().find(|life| life.pid == death.pid).unwrap();
            assert_eq!(life.died, Some(death.at));
            assert!(life.usage.is_none_or(|usage| usage.minor_faults > 0), "{life:?}");
        }
        assert!(!record.waterfall().of(Part::ThrownAway).is_zero());
        // The fork server may have reaped those that it has made, but not the first.
        let first = record.deaths[0].pid;
        let mut lives = record.workers.iter().flat_map(|worker| &worker.lives);
        assert!(lives.any(|life| life.pid == first && life.usage.is_some()), "{:?}", record.workers);
    }
}

fn meetings_are_recorded() {
    for engine in [Engine::Threads, Engine::Processes] {
        let mut cells = Shared::<u64, _>::zeros(3).unwrap();
        let split = Split::rows().into_pieces(3);
        let job = recorded(3, Schedule::Static, engine).split(split);
        let meet = |w: &Worker<'_>, _: parfork::Slice<'_, u64, ndarray::Ix1>| (0..20).try_for_each(|_| w.barrier());
        let done = job.lend(&mut cells).run(meet).unwrap();
        let record = is_consistent(&done);
        assert!(record.attempts.iter().all(|attempt| attempt.meetings.len() == 20), "{engine}");
        assert!(!record.waterfall().of(Part::Meetings).is_zero());
        // More than there is room for: counted, and the rest is as it should be.
        let mut cells = Shared::<u64, _>::zeros(3).unwrap();
        let job = recorded(3, Schedule::Static, engine).split(split);
        let meet = |w: &Worker<'_>, _: parfork::Slice<'_, u64, ndarray::Ix1>| (0..5000).try_for_each(|_| w.barrier());
        let done = job.lend(&mut cells).run(meet).unwrap();
        let record = done.report().record().unwrap();
        assert!(record.lost_marks >= 3 * 9000, "{}", record.lost_marks);
        let waterfall = record.waterfall();
        assert_eq!(waterfall.parts().map(|(_, time)| time).sum::<Duration>(), waterfall.total);
    }
}

fn one_slice_alone_is_recorded() {
    let mut rows = Shared::<u64, _>::zeros((SLICES, 3)).unwrap();
    let job = recorded(4, Schedule::DYNAMIC, Engine::Processes).only_slice(17);
    let done = job.lend(&mut rows).run(fill).unwrap();
    let record = is_consistent(&done);
    assert_eq!(record.attempts.iter().map(|attempt| attempt.slice).collect::<Vec<_>>(), [17]);
}

/// Where the control page ends, which is what a worker has at the coordinator's own address.
fn end_of_board() -> usize {
    let segments = |pid: String| -> BTreeSet<String> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let lines = maps.lines().filter(|line| line.contains("memfd:parfork") && line.contains("rw-s"));
        lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    let (own, coordinators) = (segments("self".to_owned()), segments(std::os::unix::process::parent_id().to_string()));
    let range = own.intersection(&coordinators).next().expect("the control page");
    usize::from_str_radix(range.split_once('-').unwrap().1, 16).unwrap()
}

/// Writes over the end of the control page, where the event logs are: more than these bytes, and nothing follows them.
fn a_mad_worker_spoils_no_more_than_its_record() {
    for lie in [0, 1, 77, u64::MAX] {
        let mut rows = Shared::<u64, _>::zeros((4, 3)).unwrap();
        let job = recorded(2, Schedule::Static, Engine::Processes);
        let done = nothing_left(|| {
            job.lend(&mut rows).run(|w, slice| {
                if w.region().index() == 3 {
                    let end = end_of_board();
                    for word in (end - 8192..end).step_by(8) {
                        // SAFETY: none. It is mapped, and what it is for is to be spoilt.
                        unsafe { (word as *mut u64).write_volatile(lie) };
                    }
                }
                fill(w, slice);
            })
        });
        // Whatever that was, the job is done or says why not.
        if let Ok(done) = done {
            let record = done.report().record().unwrap();
            let waterfall = record.waterfall();
            assert_eq!(waterfall.parts().map(|(_, time)| time).sum::<Duration>(), waterfall.total);
            let _ = (record.timelines(), serde_json::to_string(&record).unwrap());
        }
    }
}

fn memory_and_faults_are_those_of_the_worker() {
    const PAGES: usize = 4096;
    let mut rows = Shared::<u64, _>::zeros((2, 3)).unwrap();
    let job = recorded(2, Schedule::Static, Engine::Processes).measure_memory(true);
    let done = job.lend(&mut rows).run(|w, slice| {
        if w.rank() == 1 {
            let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap().unwrap() as usize;
            let own = Box::leak(vec![0_u8; PAGES * page].into_boxed_slice());
            own.iter_mut().step_by(page).for_each(|byte| *byte = std::hint::black_box(1));
        }
        fill(w, slice);
    });
    let done = done.unwrap();
    let record = is_consistent(&done);
    let usage = |rank| record.usage(rank).unwrap();
    let private = |rank: usize| record.report.workers[rank].memory.unwrap().private;
    assert!(private(1) > private(0) + (PAGES * 4096 / 2) as u64, "{:?}", record.workers);
    assert!(usage(1).minor_faults > usage(0).minor_faults, "{:?}", record.workers);
    assert!(usage(1).peak_resident > usage(0).peak_resident);
    assert!(record.attempts.iter().map(|it| it.faults).sum::<u64>() <= usage(0).minor_faults + usage(1).minor_faults);
    assert!(record.coordinator_memory.is_some());
}

fn what_is_not_recorded_has_no_record() {
    for engine in Engine::ALL {
        let mut rows = Shared::<u64, _>::zeros((SLICES, 3)).unwrap();
        let job = recorded(2, Schedule::DYNAMIC, engine).record(false);
        assert!(job.lend(&mut rows).run(fill).unwrap().report().record().is_none());
    }
}

/// Slice 7 kills whoever takes it, and is set aside after three deaths; all other slices are done.
fn jobs_that_fail_are_recorded_too() {
    for schedule in schedules() {
        let mut cells = Shared::<u64, _>::zeros((SLICES, 3)).unwrap();
        let mut told = None;
        let error = nothing_left(|| {
            let job = recorded(3, schedule, Engine::Processes)
                .retries(2)
                .record(false)
                .on_failure(|report| told = Some(report));
            let body = |w: &Worker<'_>, slice: parfork::Slice<'_, u64, ndarray::Ix2>| match w.region().index() {
                7 => kill_me(),
                _ => fill(w, slice),
            };
            job.lend(&mut cells).run(body).unwrap_err()
        });
        let report = told.expect("a report");
        let record = report.record().expect("a record");
        assert_eq!(report.failure.as_deref(), Some(&*error.to_string()));
        let at = |slice| record.attempts.iter().filter(move |attempt| attempt.slice == slice);
        assert_eq!(
            at(7).map(|attempt| (attempt.number, attempt.done)).collect::<Vec<_>>(),
            [(1, false), (2, false), (3, false)]
        );
        assert!((0..SLICES).filter(|slice| *slice != 7).all(|slice| at(slice).any(|attempt| attempt.done)));
        assert_eq!(record.deaths.len(), 3, "{:?}", record.deaths);
        assert!(record.deaths.iter().all(|death| death.slice == Some(7) && death.pid > 0), "{:?}", record.deaths);
        assert!(record.deaths[2].cause.contains("signal 9"), "{:?}", record.deaths);
        let waterfall = record.waterfall();
        assert_eq!(waterfall.parts().map(|(_, time)| time).sum::<Duration>(), waterfall.total);
        assert!(serde_json::to_string(&record).unwrap().contains("\"failure\":\""));
    }
    // One that a body ends, and one that never began.
    let mut cells = Shared::<u64, _>::zeros((SLICES, 3)).unwrap();
    for engine in [Engine::Serial, Engine::Threads, Engine::Processes] {
        let mut told = None;
        let job = Job::new(&mut cells).runner(engine).workers(2).on_failure(|report| told = Some(report));
        job.run(|w, _| if w.region().index() == 30 { Err("no") } else { Ok(()) }).unwrap_err();
        let report = told.expect("a report");
        let record = report.record().expect("a record");
        assert!(
            report.failure.as_ref().is_some_and(|why| why.contains("no"))
                && record.attempts.iter().any(|it| it.slice == 30)
        );
        let mut told = None;
        let job = Job::new(&mut cells).runner(engine).workers(0).on_failure(|report| told = Some(report));
        job.run(|_, _| ()).unwrap_err();
        assert!(told.is_none());
    }
}

fn a_crew_that_fails_is_recorded_too() {
    nothing_left(|| {
        let mut crew = Crew::start(2).unwrap();
        let mut cells = Shared::<u64, _>::zeros((SLICES, 3)).unwrap();
        for slice in [3, 50] {
            let mut told = None;
            let job = Job::new(&mut cells).crew(&mut crew).on_failure(|report| told = Some(report));
            let body = |w: &Worker<'_>, slice, _: parfork::Slice<'_, u64, ndarray::Ix2>| {
                if w.region().index() == slice {
                    kill_me();
                }
            };
            let error = job.run_with(slice, body).unwrap_err();
            let report = told.expect("a report");
            let record = report.record().expect("a record");
            assert_eq!(report.failure, Some(error.to_string()));
            assert!(record.attempts.iter().any(|attempt| attempt.slice == slice && !attempt.done));
            assert_eq!((record.deaths.len(), record.deaths[0].slice), (1, Some(slice)));
        }
    });
}
