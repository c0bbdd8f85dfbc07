//! Deaths at moments of all kinds: at birth, between two steps of saying so, several at once, when all is done, and none at all where
//! a worker only stops.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parfork::{Cause, Error, Job, Schedule, Shared};

use crate::support::{Page, Watched, nothing_left};
use crate::{BAD, SLICES, WORKERS, all_is_well, raise};

pub(crate) fn a_stopped_worker_ends_at_the_deadline() {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).deadline(Duration::from_millis(50));
            job.run(|w, _| {
                if w.region().index() == BAD {
                    raise(libc::SIGSTOP)
                }
            })
            .unwrap_err()
        });
        assert!(matches!(error, Error::Deadline { slices: SLICES, .. }), "{error}");
        all_is_well();
    }
}

pub(crate) fn the_death_of_several_at_once_is_one_error() {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(workers).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).schedule(Schedule::Static);
            job.run(|w, _| -> parfork::Result<()> {
                w.barrier()?;
                raise([libc::SIGKILL, libc::SIGSEGV][w.rank() % 2]);
                Ok(())
            })
            .unwrap_err()
        });
        let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
        // Whoever is named has its own end told, unless the coordinator's SIGKILL came first.
        let own = [libc::SIGKILL, libc::SIGSEGV][death.rank % 2];
        assert_eq!(death.cause, Cause::Signalled { signal: own }, "{error}");
        all_is_well();
    }
}

/// Which fork from now on is to end at once, before any code of this crate runs in it; 0 for none.
static STILLBORN: AtomicU64 = AtomicU64::new(0);

pub(crate) fn a_death_at_birth_is_noticed() {
    extern "C" fn count_down() {
        STILLBORN.fetch_sub(u64::from(STILLBORN.load(Ordering::Relaxed) > 0), Ordering::Relaxed);
    }
    extern "C" fn be_born() {
        if STILLBORN.load(Ordering::Relaxed) == 1 {
            raise(libc::SIGKILL);
        }
    }
    // SAFETY: both handlers only use an atomic and a system call.
    assert_eq!(unsafe { libc::pthread_atfork(None, Some(count_down), Some(be_born)) }, 0);
    for (workers, nth) in [(1, 1), (2, 1), (2, 2), (8, 1), (8, 5), (8, 8), (200, 150)] {
        let mut array = Shared::<u8, _>::zeros(workers * 2).unwrap();
        STILLBORN.store(nth, Ordering::Relaxed);
        // Static, or the others would do its share, and nothing would be missing.
        let error = nothing_left(|| {
            Job::new(&mut array).workers(workers).schedule(Schedule::Static).run(|_, _| ()).unwrap_err()
        });
        let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
        assert_eq!((death.rank as u64, death.slice), (nth - 1, None), "{error}");
        assert_eq!(death.cause, Cause::Signalled { signal: libc::SIGKILL });
        assert!(error.to_string().contains("while it worked on no slice"), "{error}");
        STILLBORN.store(0, Ordering::Relaxed);
        all_is_well();
    }
}

/// Whether the next robust lock taken in this process is its last deed.
static LAST_DEED: AtomicU64 = AtomicU64::new(0);

/// Stands before the C library's, for [`a_death_between_lock_and_mark_is_noticed`].
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_mutex_trylock(mutex: *mut libc::pthread_mutex_t) -> c_int {
    type Lock = unsafe extern "C" fn(*mut libc::pthread_mutex_t) -> c_int;
    static REAL: AtomicU64 = AtomicU64::new(0);
    if REAL.load(Ordering::Relaxed) == 0 {
        // SAFETY: a name that ends in 0; the next library that has it is the C library.
        let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_mutex_trylock".as_ptr()) };
        REAL.store(real.addr() as u64, Ordering::Relaxed);
    }
    let real = std::ptr::with_exposed_provenance::<()>(REAL.load(Ordering::Relaxed) as usize);
    // SAFETY: the C library's function of this name has this type.
    let real: Lock = unsafe { std::mem::transmute(real) };
    // SAFETY: passed on to the caller.
    let taken = unsafe { real(mutex) };
    let coordinator = LAST_DEED.load(Ordering::Relaxed);
    if coordinator != 0 && coordinator != u64::from(std::process::id()) {
        wait_until_asleep(coordinator);
        raise(libc::SIGKILL);
    }
    taken
}

/// Until that process has seen the lock taken: it sleeps without a limit, or has slept some rounds more.
fn wait_until_asleep(pid: u64) {
    let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let sleeps = || {
        let status = read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let first = sleeps();
    loop {
        // Number, words, how many, flags, limit: a wait for futexes with no limit lasts until somebody wakes it.
        let call = read("syscall");
        let call: Vec<_> = call.split_whitespace().collect();
        if sleeps() > first + 5 || (call.first() == Some(&"449") && call.get(4) == Some(&"0x0")) {
            return;
        }
        std::thread::yield_now();
    }
}

/// One worker is killed when its slices are done, and the last slice becomes done between the coordinator's notice of that
/// and the end of the others.
pub(crate) fn a_death_after_which_nothing_is_missing_is_no_error() {
    let page = Page::new();
    let (pids, go) = (&page[..2], &page[2]);
    let mut array = Shared::<u64, _>::zeros(2).unwrap();
    let mut killed = false;
    let progress = |done, _| {
        let first = pids[1].load(Ordering::Acquire) as u32;
        if !killed && done == 1 && first > 0 {
            let watched = Watched::new(first).unwrap();
            // SAFETY: a signal to a child that has not been reaped.
            unsafe { libc::kill(first as i32, libc::SIGKILL) };
            assert!(watched.ends_within(Duration::from_secs(60)));
            killed = true;
        } else if killed && go.load(Ordering::Relaxed) == 0 {
            go.store(1, Ordering::Release);
        }
    };
    nothing_left(|| {
        let job = Job::new(&mut array).workers(2).schedule(Schedule::Static).progress(progress);
        job.run(|w, mut slice| {
            pids[w.rank()].store(u64::from(std::process::id()), Ordering::Release);
            while w.rank() == 0 && go.load(Ordering::Acquire) == 0 {
                std::thread::yield_now();
            }
            slice.fill(7);
        })
        .unwrap();
    });
    assert!(killed);
    assert_eq!(array.as_slice(), [7, 7]);
}

/// A worker signs its robust lock in two steps: it takes the lock, then marks it so that the kernel wakes the coordinator.
pub(crate) fn a_death_between_lock_and_mark_is_noticed() {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        LAST_DEED.store(u64::from(std::process::id()), Ordering::Relaxed);
        let error = nothing_left(|| parfork::fork(workers, &mut array, |_, _| ()).unwrap_err());
        LAST_DEED.store(0, Ordering::Relaxed);
        assert!(error.to_string().contains("SIGKILL") && error.to_string().contains("on no slice"), "{error}");
        all_is_well();
    }
}
