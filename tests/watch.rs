//! Looking at jobs from outside, and from inside: what is seen is what is, and nobody notices.

mod support;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ndarray::Array1;
use parfork::watch::{self, State, WatchedJob};
use parfork::{Border, Crew, Engine, Job, Planes, Schedule, Shared, Split};
use support::{Page, cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            workers_see_their_own_job,
            steps_are_what_is_to_do,
            threads_and_serial_jobs_are_seen,
            a_crew_is_idle_between_jobs,
            one_slice_alone_is_seen_as_one,
            a_job_is_gone_when_it_is_over,
            a_look_takes_no_memory_from_a_crew,
            who_was_killed_is_replaced,
            a_worker_that_is_gone_is_not_killed,
            a_dead_worker_is_seen_as_gone,
        ],
        &[],
    )
}

/// The jobs of a coordinator.
fn jobs_of(pid: u32) -> Vec<WatchedJob> {
    watch::list().unwrap().jobs.into_iter().filter(|job| job.pid == pid).collect()
}

/// Of a job of steps all steps of all slices are what there is to do, and not slices, of which none is done before the last step.
fn steps_are_what_is_to_do() {
    let coordinator = std::process::id();
    nothing_left(|| {
        let mut ring = Planes::from_array(&Array1::<u64>::zeros(12), 1, Border::Wrap).unwrap();
        let job = Job::new(&mut ring).workers(1).split(Split::rows().of(3)).steps(5);
        job.run(|w, _| {
            let [seen] = &jobs_of(coordinator)[..] else { panic!("one job") };
            let done = 4 * u64::from(w.step()) + w.region().index() as u64;
            assert_eq!((seen.steps, seen.steps_done, seen.progress(), seen.slices), (5, done, (done, 20), 4));
            assert_eq!((seen.schedule, seen.time_left().is_none()), (Schedule::Static, done == 0));
        })
        .unwrap();
    });
}

fn workers_see_their_own_job() {
    let coordinator = std::process::id();
    nothing_left(|| {
        let source = Shared::<u8, _>::zeros(5000).unwrap();
        let mut cells = Shared::<u64, _>::zeros(60).unwrap();
        let began = std::time::Instant::now();
        let job = Job::new((&source, &mut cells)).workers(3).split(Split::rows().of(10)).schedule(Schedule::Guided);
        job.name("a job\twith a name that is far longer than the sixty-four bytes that are kept of it, so it is cut")
            .run(|w, (_, mut slice)| {
                let jobs = jobs_of(coordinator);
                let [job] = jobs.as_slice() else { panic!("one job, not {jobs:?}") };
                assert_eq!(job.name.len(), 64);
                assert!(job.name.starts_with("a job?with a name"));
                assert_eq!((job.engine, job.schedule, job.running), (Engine::Processes, Schedule::Guided, true));
                assert_eq!((job.slices, job.shared, job.jobs), (6, 5000 + 60 * 8, 1));
                assert!(job.done + job.taken <= 6 && job.taken >= 1 && job.left() + job.done == 6);
                assert!(job.elapsed <= began.elapsed() && (job.done == 0) == job.time_left().is_none());
                let own = &job.workers[w.rank()];
                assert_eq!((own.rank, own.pid, own.state), (w.rank(), Some(std::process::id()), State::Working));
                assert_eq!(own.slice, Some(w.region().index()));
                assert!(own.since <= job.elapsed && job.workers.len() == 3);
                assert!(own.memory().unwrap().private > 0);
                // Others may not have begun, or may be dead: whoever is seen is no stranger.
                assert!(job.workers.iter().filter_map(|worker| worker.slice).all(|slice| slice < 6));
                slice.fill(1);
            })
            .unwrap();
        assert!(cells.view().iter().all(|&cell| cell == 1));
    });
}

fn threads_and_serial_jobs_are_seen() {
    for engine in [Engine::Threads, Engine::Serial] {
        let mut cells = Shared::<u64, _>::zeros(8).unwrap();
        let seen = Mutex::new(Vec::new());
        let job = Job::new(&mut cells).workers(2).runner(engine);
        job.run(|w, _| {
            let jobs = jobs_of(std::process::id());
            assert_eq!(jobs.len(), 1);
            let own = &jobs[0].workers[w.rank()];
            assert_eq!((own.pid, own.state, own.slice), (None, State::Working, Some(w.region().index())));
            seen.lock().unwrap().extend(jobs);
        })
        .unwrap();
        let seen = seen.into_inner().unwrap();
        assert!(seen.len() == 8 && seen.iter().all(|job| job.engine == engine && job.slices == 8));
        // The name of this program, if it has no other.
        let program = std::env::current_exe().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(seen.iter().all(|job| job.name == program[..program.len().min(64)]));
        // Each slice is looked at before it is done.
        assert!(engine != Engine::Serial || seen.iter().map(|job| job.done).eq(0..8));
    }
}

fn a_crew_is_idle_between_jobs() {
    nothing_left(|| {
        let mut crew = Crew::start(3).unwrap();
        assert!(jobs_of(std::process::id()).is_empty(), "a crew without a job has nothing to show");
        let mut cells = Shared::<u64, _>::zeros(12).unwrap();
        for round in 1..=4 {
            // One worker has no part in every second job.
            let job = Job::new(&mut cells).crew(&mut crew).workers(3 - round % 2).name(format!("round {round}"));
            job.run_with((), |_, (), mut slice| slice.fill(7)).unwrap();
            let jobs = jobs_of(std::process::id());
            let [seen] = jobs.as_slice() else { panic!("one crew, not {jobs:?}") };
            assert_eq!(
                (seen.running, seen.jobs, seen.name.as_str()),
                (false, round as u64, &*format!("round {round}"))
            );
            assert_eq!((seen.slices, seen.done, seen.left(), seen.time_left()), (12, 12, 0, None));
            assert_eq!(seen.workers.len(), 3 - round % 2);
            let pids: Vec<_> = seen.workers.iter().filter_map(|worker| worker.pid).collect();
            assert!(pids.len() == seen.workers.len() && seen.workers.iter().all(|worker| worker.state == State::Idle));
        }
        // The coordinator works too.
        crew.coordinator_works(true);
        let coordinator = std::process::id();
        Job::new(&mut cells)
            .crew(&mut crew)
            .run_with(coordinator, |w, coordinator, mut slice| {
                let jobs = jobs_of(coordinator);
                assert_eq!((jobs[0].workers.len(), jobs[0].workers[w.rank()].slice), (4, Some(w.region().index())));
                slice.fill(8);
            })
            .unwrap();
    });
}

fn one_slice_alone_is_seen_as_one() {
    let coordinator = std::process::id();
    let mut cells = Shared::<u64, _>::zeros(12).unwrap();
    let job = Job::new(&mut cells).only_slice(7);
    job.run(|_, mut slice| {
        let jobs = jobs_of(coordinator);
        assert_eq!((jobs[0].slices, jobs[0].left(), jobs[0].workers.len()), (1, 1, 1));
        assert_eq!(jobs[0].workers[0].slice, Some(7));
        slice.fill(7);
    })
    .unwrap();
}

fn a_job_is_gone_when_it_is_over() {
    let mut cells = Shared::<u64, _>::zeros(12).unwrap();
    parfork::fork(2, &mut cells, |_, mut slice| slice.fill(7)).unwrap();
    let failed = Job::new(&mut cells).workers(2).run(|_, _| -> () { panic!("of no use") });
    assert!(failed.is_err());
    assert!(nothing_left(|| jobs_of(std::process::id())).is_empty());
}

/// The control page of a crew has addresses for a gigabyte, and memory for little of it.
fn a_look_takes_no_memory_from_a_crew() {
    let mut crew = Crew::start(2).unwrap();
    let mut cells = Shared::<u64, _>::zeros(1000).unwrap();
    crew.run(&mut cells, (), |_, (), mut slice| slice.fill(7)).unwrap();
    let board = || {
        let folder = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let is_board = |path: &std::path::Path| {
            std::fs::read_link(path).is_ok_and(|leads| leads.to_string_lossy().contains("memfd:parfork-board"))
        };
        let path = folder.map(|entry| entry.path()).find(|path| is_board(path)).unwrap();
        std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(path).unwrap())
    };
    let before = board();
    for _ in 0..10 {
        assert_eq!(jobs_of(std::process::id()).len(), 1);
    }
    assert_eq!(board(), before);
}

fn who_was_killed_is_replaced() {
    let coordinator = std::process::id();
    nothing_left(|| {
        let page = Page::new();
        let mut cells = Shared::<u64, _>::zeros(2).unwrap();
        let done = Job::new(&mut cells).workers(2).retries(1).body_overwrites().run(|w, mut slice| {
            let tries = page[w.region().index()].fetch_add(1, Ordering::AcqRel);
            if w.region().index() == 1 && tries == 0 {
                // Waits to be killed.
                loop {
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
            if w.region().index() == 0 && tries == 0 {
                let victim = loop {
                    let jobs = jobs_of(coordinator);
                    let victim = jobs[0].workers.iter().find(|worker| worker.slice == Some(1) && worker.pid.is_some());
                    if let Some(rank) = victim.map(|worker| worker.rank) {
                        break (jobs[0].clone(), rank);
                    }
                };
                victim.0.kill(victim.1).unwrap();
            }
            slice.fill(7);
        });
        let done = done.unwrap();
        assert_eq!(done.report().deaths.len(), 1);
        assert_eq!((page[0].load(Ordering::Acquire), page[1].load(Ordering::Acquire)), (1, 2));
        assert_eq!(cells.as_slice(), [7, 7]);
    });
}

fn a_worker_that_is_gone_is_not_killed() {
    let mut crew = Crew::start(2).unwrap();
    let mut cells = Shared::<u64, _>::zeros(2).unwrap();
    crew.run(&mut cells, (), |_, (), mut slice| slice.fill(7)).unwrap();
    let seen = jobs_of(std::process::id()).remove(0);
    drop(crew);
    let refused = seen.kill(1).unwrap_err().to_string();
    assert!(refused.contains("refused to kill a worker"), "{refused}");
    // Nor anybody who has its number: here the coordinator itself.
    let mut wrong = seen.clone();
    wrong.workers[0].pid = Some(std::process::id());
    assert!(wrong.kill(0).is_err());
    // Nor a child that has no part in the job.
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    wrong.workers[0].pid = Some(child.id());
    let refused = wrong.kill(0).unwrap_err().to_string();
    assert!(refused.contains("no part in the job") && child.try_wait().unwrap().is_none(), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn a_dead_worker_is_seen_as_gone() {
    let coordinator = std::process::id();
    let mut cells = Shared::<u64, _>::zeros(2).unwrap();
    let job = Job::new(&mut cells).workers(2).split(Split::rows().into_pieces(2)).schedule(Schedule::Static);
    let failed = job.continue_after_death(true).run(|w, _| {
        if w.rank() == 0 {
            std::process::abort();
        }
        let gone = || jobs_of(coordinator)[0].workers[0].state == State::Gone;
        while !gone() {
            std::thread::yield_now();
        }
    });
    assert!(failed.is_err());
}
