//! Progress that is told, and jobs that end because their time is up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parfork::{Crew, Engine, Error, Job, JobSpec, Schedule, Shared, Split};

use crate::support::{Page, nothing_left};

pub(crate) fn progress_rises_to_all() {
    for engine in Engine::ALL {
        for slices in [0, 1, 200] {
            let mut line = Shared::<u8, _>::zeros(slices).unwrap();
            let mut told = Vec::new();
            let job = Job::new(&mut line).workers(3).runner(engine).progress(|done, all| told.push((done, all)));
            job.run(|_, mut slice| slice.fill(1)).unwrap();
            assert!(told.iter().all(|&(_, all)| all == slices), "{told:?}");
            assert!(told.is_sorted(), "{told:?}");
            assert_eq!(told.last(), Some(&(slices, slices)), "{engine}");
        }
    }
    // What is told in between comes while the job runs: the body waits for it.
    let mut line = Shared::<u8, _>::zeros(2).unwrap();
    let heard = Page::new();
    let hear = |done, _| heard[0].store(done as u64, Ordering::Release);
    let job = Job::new(&mut line).workers(2).schedule(Schedule::Static).progress(hear);
    job.run(|w, _| {
        while w.rank() == 1 && heard[0].load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
    })
    .unwrap();
}

pub(crate) fn a_deadline_ends_processes_in_the_middle_of_a_slice() {
    for workers in [1, 2, 8] {
        let mut line = Shared::<u8, _>::zeros(20).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut line).workers(workers).deadline(Duration::from_millis(30));
            job.run(|w, mut slice| {
                slice.fill(1);
                while w.region().index() == 3 {
                    std::hint::spin_loop();
                }
            })
            .unwrap_err()
        });
        let Error::Deadline { deadline, done, slices: 20, steps: 0 } = error else { panic!("{error:?}") };
        assert!(deadline == Duration::from_millis(30) && done < 20, "{error}");
        assert!(error.to_string().contains("after its deadline of 30ms with"), "{error}");
        Job::new(&mut line).workers(workers).deadline(Duration::from_secs(3600)).run(|_, _| ()).unwrap();
    }
    // No time at all, and workers asleep at a meeting that the last never comes to.
    let mut line = Shared::<u8, _>::zeros(3).unwrap();
    for deadline in [Duration::ZERO, Duration::from_millis(20)] {
        let job = Job::new(&mut line).workers(3).schedule(Schedule::Static).deadline(deadline);
        let error =
            nothing_left(|| job.run(|w, _| if w.rank() == 2 { wait_for_ever() } else { w.barrier() }).unwrap_err());
        assert!(matches!(error, Error::Deadline { .. }), "{error}");
    }
}

fn wait_for_ever<T>() -> T {
    loop {
        // SAFETY: waits for a signal, touches nothing.
        unsafe { libc::pause() };
    }
}

pub(crate) fn a_deadline_ends_threads_before_their_next_slice() {
    let (begun, ended) = (AtomicU32::new(0), AtomicU32::new(0));
    let mut line = Shared::<u8, _>::zeros(50).unwrap();
    // On a busy machine the time may be up before a thread has begun, and then there is nothing to be seen.
    while begun.load(Ordering::Relaxed) == 0 {
        let started = std::time::Instant::now();
        let error = nothing_left(|| {
            let job = Job::new(&mut line).workers(2).deadline(Duration::from_millis(20)).runner(Engine::Threads);
            job.run(|_, _| {
                begun.fetch_add(1, Ordering::Relaxed);
                // Until well past the deadline, so that the watch has seen it.
                while started.elapsed() < Duration::from_millis(200) {
                    std::thread::yield_now();
                }
                ended.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap_err()
        });
        assert!(matches!(error, Error::Deadline { done: 0..=2, slices: 50, .. }), "{error}");
    }
    assert_eq!(begun.into_inner(), ended.into_inner(), "a thread ends the slice it has begun");
}

/// Memory for answers and undo copies is made before any worker is at work.
pub(crate) fn a_deadline_ends_what_comes_before_the_workers() {
    const BYTES: usize = 512 << 20;
    // With one CPU the kernel gives it to one thread, which looks at the clock eight times.
    let mut one = nix::sched::CpuSet::new();
    one.set(0).unwrap();
    let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &one);
    let mut large = Shared::<u8, _>::zeros(BYTES).unwrap();
    let mut small = Shared::<u8, _>::zeros(BYTES >> 12).unwrap();
    let split = Split::rows().of(1);
    ends_in_time("answers", |deadline| {
        let only_slice = deadline.is_none().then_some(0);
        let spec = JobSpec { workers: Some(1), split: Some(split), deadline, only_slice, ..JobSpec::default() };
        Job::with(&mut small, spec).run(|_, _| [0_u8; 1 << 12]).map(drop)
    });
    ends_in_time("undo copies", |deadline| {
        let only_slice = deadline.is_none().then_some(0);
        let spec = JobSpec { workers: Some(1), retries: 1, deadline, only_slice, ..JobSpec::default() };
        Job::with(&mut large, spec).restore_outputs().run(|_, _| ()).map(drop)
    });
    ends_in_time("answers of a crew", |deadline| {
        let only_slice = deadline.is_none().then_some(0);
        // It keeps the memory for its next job.
        let mut crew = Crew::start(1).unwrap();
        let spec = JobSpec { split: Some(split), deadline, only_slice, ..JobSpec::default() };
        Job::with(&mut small, spec).crew(&mut crew).run_with((), |_, (), _| [0_u8; 1 << 12]).map(drop)
    });
}

/// With much memory of its own in this process, of pages of 4 KiB, each fork takes some milliseconds.
pub(crate) fn a_deadline_ends_the_forking_of_workers() {
    const BYTES: usize = 128 << 20;
    let mut own = Vec::<u8>::with_capacity(BYTES);
    let first = own.as_mut_ptr().map_addr(|at| at.next_multiple_of(4096));
    // SAFETY: whole pages of this vector's, which holds nothing yet.
    unsafe { libc::madvise(first.cast(), BYTES - 4096, libc::MADV_NOHUGEPAGE) };
    own.resize(BYTES, 1);
    let mut line = Shared::<u8, _>::zeros(24).unwrap();
    ends_in_time("forks", |deadline| {
        let spec = JobSpec { workers: Some(24), deadline, ..JobSpec::default() };
        Job::with(&mut line, spec).run(|_, _| ()).map(drop)
    });
    drop(own);
}

/// Runs jobs with a deadline of a quarter of what one takes without, which have no more than the beginning of its work to do then.
/// Work is the CPU time of this process: others that keep the machine busy have no part in it.
fn ends_in_time(what: &str, mut job: impl FnMut(Option<Duration>) -> Result<(), Error>) {
    let mut run = |deadline: Option<Duration>| {
        let (clock, work) = (std::time::Instant::now(), cpu_time());
        let done = job(deadline);
        (clock.elapsed(), cpu_time() - work, done)
    };
    let whole: Vec<_> = (0..3).map(|_| run(None)).collect();
    let deadline = whole.iter().map(|run| run.0).min().unwrap() / 4;
    let work = whole.iter().map(|run| run.1).max().unwrap();
    let short: Vec<_> = (0..5).map(|_| run(Some(deadline))).collect();
    assert!(short.iter().all(|(_, _, done)| matches!(done, Err(Error::Deadline { .. }))), "{what}: {short:?}");
    assert!(short.iter().any(|run| run.1 < work * 3 / 4), "{what}: {short:?}, and {whole:?} without a deadline");
}

/// What all threads of this process have computed so far.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time to a place of its own.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The serial engine does not look at the clock: time is up for certain when its answers are gathered.
pub(crate) fn a_deadline_ends_the_gathering_of_answers() {
    const SLICES: usize = 1 << 17;
    let line = Shared::<u8, _>::zeros(SLICES).unwrap();
    let deadline = Duration::from_secs(3);
    let job = Job::new(&line).runner(Engine::Serial).split(Split::rows().of(1)).deadline(deadline);
    let done = job.run(|w, _| {
        if w.region().index() + 1 == SLICES {
            std::thread::sleep(deadline);
        }
        1_u64
    });
    assert!(matches!(done, Err(Error::Deadline { done: SLICES, slices: SLICES, .. })), "{:?}", done.map(drop));
}

pub(crate) fn any_deadline_can_be_given() {
    for (engine, deadline) in
        Engine::ALL.into_iter().flat_map(|e| [Duration::MAX, Duration::from_secs(1 << 40)].map(|d| (e, d)))
    {
        let mut line = Shared::<u8, _>::zeros(5).unwrap();
        Job::new(&mut line).workers(2).deadline(deadline).runner(engine).run(|_, mut slice| slice.fill(1)).unwrap();
        assert_eq!(line.as_slice(), [1; 5]);
    }
}
