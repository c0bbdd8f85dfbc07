//! Deaths of workers and of the process that forks them, between jobs and in them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{Answers, Cause, Crew, Error, Job, JobSpec, RetryPolicy, Shared, Split, Worker};

use super::support::Watched;
use super::{
    children, count, death, end, fork_server, fork_servers, is_sound, kill_me, nothing_left, page, pids, send, soon,
    start, with_crew,
};

pub(crate) fn a_worker_killed_between_jobs_is_replaced() {
    with_crew(3, |crew| {
        for victim in [0, 1, 2, 1] {
            let before = pids(crew);
            end(before[victim]);
            is_sound(crew);
            assert!(!pids(crew).contains(&before[victim]));
        }
        // While it dies, nobody knows of it: the job has lost a worker, or not.
        for step in 0..50_usize {
            let before = pids(crew);
            send(before[step % 3], libc::SIGKILL);
            let mut cells = Shared::<u64, _>::zeros(30).unwrap();
            let job = Job::new(&mut cells).crew(crew).retries(1).body_overwrites();
            job.run_with(step as u64, |_, step, mut slice| slice.fill(step)).unwrap();
            assert!(cells.as_slice().iter().all(|&cell| cell == step as u64));
        }
    });
}

const KILL: u8 = 0;
const PANIC: u8 = 1;
const EXIT: u8 = 2;
const REFUSE: u8 = 3;
const CRASH: u8 = 4;

/// What befalls a worker.
fn deed(deed: u8) -> Result<(), &'static str> {
    match deed {
        KILL => kill_me(),
        PANIC => panic!("at slice {}", "five"),
        EXIT => std::process::exit(3),
        REFUSE => return Err("not five"),
        _ => {
            // SAFETY: none: nothing is there, and this must end the worker.
            unsafe { std::hint::black_box(64 as *mut u64).write_volatile(1) };
        }
    }
    Ok(())
}

pub(crate) fn a_worker_that_fails_in_a_job_is_named() {
    for workers in [1, 2, 5] {
        with_crew(workers, |crew| {
            let given = Shared::<u64, _>::zeros(20).unwrap();
            let mut made = Shared::<u64, _>::zeros(20).unwrap();
            for (step, what) in [KILL, PANIC, EXIT, REFUSE, CRASH].into_iter().cycle().take(12).enumerate() {
                let before = pids(crew);
                let error = crew.run((&given, &mut made), what, |w, what, (_, mut slice)| {
                    slice.fill(1);
                    if w.region().index() == 5 {
                        return deed(what);
                    }
                    Ok(())
                });
                match error.unwrap_err() {
                    Error::BodyFailed(refusal) => {
                        assert_eq!((what, &refusal.reason[..]), (REFUSE, "not five"));
                        assert_eq!(refusal.slice.unwrap().0.index(), 5);
                    }
                    error => {
                        let death = death(error);
                        assert_eq!((death.slice.unwrap().0.index(), death.pid), (5, before[death.rank]), "{step}");
                        let right = match &death.cause {
                            Cause::Signalled { signal } => what == KILL && *signal == libc::SIGKILL,
                            Cause::Panicked { message, location } => {
                                what == PANIC && message == "at slice five" && location.contains("crews/faults.rs")
                            }
                            Cause::Exited { status } => what == EXIT && *status == 3,
                            Cause::Faulted(fault) => what == CRASH && fault.signal == libc::SIGSEGV,
                            _ => false,
                        };
                        assert!(right, "{what} {death:?}");
                    }
                }
                if step % 2 == 0 {
                    is_sound(crew);
                }
            }
        });
    }
}

/// Runs a job of 40 slices on which those that `[every, times]` says die so many times each.
fn run(crew: &mut Crew, every: usize, times: u64, spec: JobSpec) -> (Vec<u64>, parfork::Result<Answers<u64>>) {
    page().iter().for_each(|word| word.store(0, Ordering::Relaxed));
    let mut cells = Shared::<u64, _>::zeros(40).unwrap();
    cells.as_mut_slice().fill(1000);
    let job = Job::from(JobSpec { split: Some(Split::rows().of(1)), ..spec }).crew(crew);
    let done = job.lend(&mut cells).run_with([every as u64, times], |w, [every, times], mut slice| {
        let number = w.region().index();
        slice[0] += number as u64;
        if (number as u64).is_multiple_of(every) && count(number) < times {
            kill_me();
        }
        number as u64
    });
    (cells.as_slice().to_vec(), done)
}

fn is_right(made: &[u64], done: &Answers<u64>) {
    assert!(made.iter().copied().eq(1000..1040), "{made:?}");
    assert!(done.iter().copied().eq(0..40));
}

fn undo() -> JobSpec {
    JobSpec { retries: 2, retry_policy: RetryPolicy::RestoreOutputs, ..JobSpec::default() }
}

pub(crate) fn retries_complete_jobs() {
    for workers in [1, 2, 3, 8] {
        with_crew(workers, |crew| {
            for schedule in ["static", "dynamic", "guided"].map(|name| Some(name.parse().unwrap())) {
                let (made, done) = run(crew, 17, 1, JobSpec { schedule, ..undo() });
                let done = done.unwrap();
                is_right(&made, &done);
                assert!((1..=3).contains(&done.report().deaths.len()), "{:?}", done.report().deaths);
                let (made, done) = run(crew, 5, 2, JobSpec { schedule, ..undo() });
                is_right(&made, &done.unwrap());
                is_sound(crew);
            }
            let (made, done) = run(crew, 39, 99, undo());
            let death = death(done.unwrap_err());
            assert_eq!((death.tries, death.done), (3, 38));
            assert!(made[1..39].iter().copied().eq(1001..1039));
            is_sound(crew);
        });
    }
}

pub(crate) fn restored_outputs_put_slices_back() {
    with_crew(3, |crew| {
        for step in 0..10 {
            for guard in [false, true] {
                let (made, done) = run(crew, 7, step % 3, JobSpec { guard, ..undo() });
                is_right(&made, &done.unwrap());
            }
        }
        is_sound(crew);
    });
}

pub(crate) fn the_fork_server_may_die_between_jobs() {
    with_crew(3, |crew| {
        for _ in 0..3 {
            let workers = pids(crew).into_iter().map(|pid| Watched::new(pid).unwrap()).collect::<Vec<_>>();
            end(fork_server());
            assert!(workers.iter().all(|worker| worker.ends_within(Duration::from_secs(60))));
            is_sound(crew);
        }
        // While they die.
        for _ in 0..10 {
            // None while nobody has found out that the last one is gone.
            fork_servers().into_iter().for_each(|pid| send(pid, libc::SIGKILL));
            let (made, done) = run(crew, 100, 0, undo());
            is_right(&made, &done.unwrap());
        }
    });
}

pub(crate) fn the_fork_server_may_die_in_a_job() {
    with_crew(3, |crew| {
        for retries in [0, 1, 0, 1] {
            let mut cells = Shared::<u64, _>::zeros(40).unwrap();
            page()[0].store(u64::from(fork_server()), Ordering::Relaxed);
            let job = Job::new(&mut cells).crew(crew).retries(retries).body_overwrites();
            let done = job.run_with((), |w, (), mut slice| {
                slice.fill(w.region().index() as u64);
                if w.region().index() == 11 && page()[0].load(Ordering::Relaxed) > 0 {
                    send(page()[0].swap(0, Ordering::Relaxed) as u32, libc::SIGKILL);
                    std::thread::sleep(Duration::from_secs(5));
                }
            });
            match done {
                Ok(_) => assert!(retries > 0 && cells.as_slice().iter().copied().eq(0..40)),
                Err(error) => {
                    assert_eq!(retries, 0);
                    assert_eq!(death(error).cause, Cause::ForkServerDied);
                }
            }
            is_sound(crew);
        }
    });
}

/// Nobody else could say how they ended, and each was waited for.
pub(crate) fn the_fork_server_may_die_with_a_hundred_workers() {
    with_crew(100, |crew| {
        page()[1].store(u64::from(fork_server()), Ordering::Relaxed);
        let mut cells = Shared::<u64, _>::zeros(300).unwrap();
        let job = Job::new(&mut cells).crew(crew).retries(1).body_overwrites();
        let done = job.run_with((), |w, (), mut slice| {
            slice.fill(w.region().index() as u64);
            if w.region().index() == 200 && count(0) == 0 {
                send(page()[1].load(Ordering::Relaxed) as u32, libc::SIGKILL);
                std::thread::sleep(Duration::from_secs(5));
            }
        });
        assert!(done.unwrap().report().deaths.iter().all(|death| death.cause == Cause::ForkServerDied));
        assert!(cells.as_slice().iter().copied().eq(0..300));
    });
}

pub(crate) fn a_stopped_fork_server_is_continued() {
    with_crew(2, |crew| {
        for _ in 0..3 {
            send(fork_server(), libc::SIGSTOP);
            is_sound(crew);
            end(pids(crew)[0]);
            is_sound(crew);
            send(fork_server(), libc::SIGSTOP);
            let (made, done) = run(crew, 6, 2, undo());
            is_right(&made, &done.unwrap());
        }
        // While it could say how a worker has ended.
        page()[1].store(u64::from(fork_server()), Ordering::Relaxed);
        let mut cells = Shared::<u64, _>::zeros(4).unwrap();
        let job = Job::new(&mut cells).crew(crew).split(Split::rows().of(1));
        let error = job.run_with((), |w, (), _| {
            if w.region().index() == 2 {
                send(page()[1].load(Ordering::Relaxed) as u32, libc::SIGSTOP);
                kill_me();
            }
        });
        assert_eq!(death(error.unwrap_err()).cause, Cause::Signalled { signal: libc::SIGKILL });
        // Also when it is to leave.
        send(fork_server(), libc::SIGSTOP);
    });
}

pub(crate) fn replacements_come_though_there_are_threads() {
    with_crew(2, |crew| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || stopped.recv().is_err());
        end(pids(crew)[1]);
        is_sound(crew);
        let (made, done) = run(crew, 4, 2, undo());
        is_right(&made, &done.unwrap());
        crew.resize(5).unwrap();
        is_sound(crew);
        drop(stop);
        assert!(thread.join().unwrap());
    });
}

pub(crate) fn without_a_fork_server_and_with_threads_there_are_none() {
    with_crew(2, |crew| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || stopped.recv().is_err());
        let workers = pids(crew);
        end(fork_server());
        workers.into_iter().for_each(|pid| {
            assert!(soon(|| std::fs::read(format!("/proc/{pid}/maps")).map_or(true, |it| it.is_empty())))
        });
        let mut cells = Shared::<u64, _>::zeros(40).unwrap();
        for _ in 0..2 {
            let error = crew.run(&mut cells, (), |_, (), mut slice| slice.fill(1)).unwrap_err();
            assert!(matches!(error, Error::ThreadsRunning { threads: 2 }), "{error:?}");
            assert!(matches!(crew.resize(3), Err(Error::ThreadsRunning { .. })));
        }
        drop(stop);
        assert!(thread.join().unwrap());
        // The kernel still counts a thread that was joined just now.
        assert!(soon(|| crew.resize(3).is_ok()));
        is_sound(crew);
        assert_eq!(crew.workers(), 3);
    });
}

/// Where a worker has the control page, and how many words of it a job may use.
fn board() -> (*mut u32, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ranges = maps.lines().filter(|line| line.contains("memfd:parfork") && line.contains("rw-s")).map(|line| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        [start, end].map(|text| usize::from_str_radix(text, 16).unwrap())
    });
    let [start, end] = ranges.max_by_key(|[start, end]| end - start).unwrap();
    assert!(end - start >= 1 << 29, "no array is as large as the control page");
    (start as *mut u32, (3 << 20) / 4)
}

/// What is written over the control page: zeros, ones, the same odd number, noise.
fn scribble(kind: u64, words: usize) {
    let (board, most) = board();
    let mut noise = kind;
    for word in 0..words.min(most) {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = match kind {
            0 => 0,
            1 => u32::MAX,
            // Not 5: that is what the slice table says of a slice which worker 1 has done, and who writes that is believed.
            2 => 0x5555_5555,
            _ => (noise >> 33) as u32,
        };
        // SAFETY: none: the control page is the library's, which must bear this.
        unsafe { board.wrapping_add(word).write_volatile(value) };
    }
}

fn scribbled(crew: &mut Crew, kind: u64, words: u64, linger: u64) -> String {
    let mut cells = Shared::<u64, _>::zeros(40).unwrap();
    let job = Job::new(&mut cells).crew(crew).split(Split::rows().of(1)).deadline(Duration::from_secs(3));
    let done = job.run_with([kind, words, linger], |w: &Worker<'_>, [kind, words, linger], mut slice| {
        if w.region().index() == 9 && count(0) == 0 {
            scribble(kind, words as usize);
            std::thread::sleep(Duration::from_millis(linger));
        }
        slice.fill(w.region().index() as u64);
    });
    if done.is_ok() {
        assert!(cells.as_slice().iter().copied().eq(0..40));
    }
    page()[0].store(0, Ordering::Relaxed);
    done.map_or_else(|error| error.to_string(), |_| "right".to_owned())
}

/// A job that nothing befell may still fail by what was written before it, once.
fn is_sound_at_last(crew: &mut Crew) {
    let mut cells = Shared::<u64, _>::zeros(40).unwrap();
    let done = crew.run(&mut cells, 5_u64, |_, five, mut slice| slice.fill(five));
    if let Err(error) = done {
        println!("the next: {error}");
    } else {
        assert_eq!(cells.as_slice(), [5; 40]);
    }
    is_sound(crew);
}

pub(crate) fn whoever_scribbles_on_the_board_hangs_nobody() {
    for workers in [1, 2, 4] {
        with_crew(workers, |crew| {
            for kind in [0, 1, 2, 3, 4, 5] {
                for words in [u64::MAX, 256, 16] {
                    let first = scribbled(crew, kind, words, 0);
                    println!("{workers} workers, kind {kind}, {words} words: {first}");
                    is_sound_at_last(crew);
                }
            }
        });
    }
}

/// The fork server looks up twice a second and takes what it finds for an order.
pub(crate) fn an_order_that_nobody_gave_brings_no_second_worker_of_a_rank() {
    nothing_left(|| {
        let mut crew = start(2);
        for kind in [2, 5, 7] {
            scribbled(&mut crew, kind, u64::MAX, 1200);
            is_sound_at_last(&mut crew);
            let mut alive = children(fork_server());
            alive.retain(|&pid| std::fs::read(format!("/proc/{pid}/maps")).is_ok_and(|maps| !maps.is_empty()));
            assert_eq!(alive.len(), 2, "{alive:?}");
            let pids = pids(&mut crew);
            assert!(alive.iter().all(|pid| pids.contains(pid)), "{alive:?}, {pids:?}");
        }
    });
}
