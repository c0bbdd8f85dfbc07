//! The process that forks replacements comes to harm itself: it can make no more, or is killed when those that it made have begun.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parfork::{Cause, Crew, Error, Job, Schedule, Shared};

use crate::raise;
use crate::support::{Page, control_page, nothing_left};

/// The coordinator's pid: who else forks is a fork server.
static COORDINATOR: AtomicI32 = AtomicI32::new(0);

/// How many more processes a fork server can make.
static ROOM: AtomicU32 = AtomicU32::new(u32::MAX);

/// Lets fork servers, from now on, make so many processes and no more, as a limit of processes does (which root has not).
fn limit_fork_servers(room: u32) {
    extern "C" fn count() {
        if is_coordinator(std::process::id() as i32) {
            return;
        }
        match ROOM.load(Ordering::Relaxed) {
            0 => refuse_forks(),
            room => ROOM.store(room - 1, Ordering::Relaxed),
        }
    }
    COORDINATOR.store(std::process::id() as i32, Ordering::Relaxed);
    ROOM.store(room, Ordering::Relaxed);
    // SAFETY: the handler uses atomics and system calls.
    assert_eq!(unsafe { libc::pthread_atfork(Some(count), None, None) }, 0);
}

fn parent() -> i32 {
    // SAFETY: asks for a number.
    unsafe { libc::getppid() }
}

fn is_coordinator(pid: i32) -> bool {
    pid == COORDINATOR.load(Ordering::Relaxed)
}

/// Lets the kernel say EAGAIN to whatever fork this process tries.
fn refuse_forks() {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_clone as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EAGAIN as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: integers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the kernel copies the filter, which is live.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
}

/// Those that it had made are ended: none takes slices as if it counted, and none is left.
pub(crate) fn a_job_whose_replacements_cannot_all_be_made_ends_with_the_reason() {
    limit_fork_servers(1);
    let begun = Page::new();
    let mut cells = Shared::<u64, _>::zeros(8).unwrap();
    let job = Job::new(&mut cells).workers(4).schedule(Schedule::Static).retries(1).body_overwrites();
    let error = nothing_left(|| {
        let body = |w: &parfork::Worker<'_>, mut slice: parfork::Slice<'_, u64, _>| {
            if begun[w.region().index()].fetch_add(1, Ordering::Relaxed) == 0 {
                raise(libc::SIGKILL);
            }
            slice.fill(1);
        };
        job.run(body).unwrap_err()
    });
    assert!(matches!(error, Error::Fork { started: 1, asked: 4, .. }), "{error:?}");
    assert!(error.to_string().contains("made only 1 of 4 worker processes"), "{error}");
}

pub(crate) fn a_crew_whose_replacements_cannot_all_be_made_says_so_and_tries_again() {
    limit_fork_servers(5);
    nothing_left(|| {
        let mut crew = Crew::start(4).unwrap();
        let mut cells = Shared::<u64, _>::zeros(8).unwrap();
        let died = crew.run(&mut cells, (), |_, (), _| raise(libc::SIGKILL)).unwrap_err();
        assert!(matches!(died, Error::WorkerDied(_)), "{died:?}");
        for made in [1, 0, 0] {
            let error = crew.run(&mut cells, (), |_, (), mut slice| slice.fill(1)).unwrap_err();
            assert!(matches!(error, Error::Fork { started, asked: 4, .. } if started == made), "{error:?}");
        }
        assert!(cells.as_slice().iter().all(|&cell| cell == 0), "somebody works whom nobody has asked");
    });
}

/// Between hearing that they are held and the fork server's word that this was told they take slices, which are nobody's if those
/// workers do not count.
pub(crate) fn a_fork_server_killed_by_whom_it_made_costs_no_slice() {
    extern "C" fn be_born() {
        let parent = parent();
        if !is_coordinator(parent) && !is_coordinator(std::process::id() as i32) {
            let lowest = libc::sched_param { sched_priority: 0 };
            // SAFETY: a live record. Should it fail, the fork server is slow enough less often.
            unsafe { libc::sched_setscheduler(parent, libc::SCHED_IDLE, &lowest) };
        }
    }
    COORDINATOR.store(std::process::id() as i32, Ordering::Relaxed);
    // SAFETY: the handler uses an atomic and system calls.
    assert_eq!(unsafe { libc::pthread_atfork(None, None, Some(be_born)) }, 0);
    for _ in 0..50 {
        let begun = Page::new();
        let mut cells = Shared::<u64, _>::zeros(8).unwrap();
        let job = Job::new(&mut cells).workers(2).retries(3).body_overwrites();
        let done = nothing_left(|| {
            job.run(|w, mut slice| {
                let slice_number = w.region().index();
                let parent = parent();
                if !is_coordinator(parent) {
                    // SAFETY: a signal to the fork server, whose child this is.
                    unsafe { libc::kill(parent, libc::SIGKILL) };
                }
                if slice_number == 3 && begun[0].fetch_add(1, Ordering::Relaxed) == 0 {
                    raise(libc::SIGKILL);
                }
                slice.fill(slice_number as u64);
            })
        });
        done.unwrap();
        assert!(cells.as_slice().iter().copied().eq(0..8));
    }
}

/// One that has much to copy takes its time for each fork.
pub(crate) fn a_slow_fork_server_does_not_keep_a_job_beyond_its_deadline() {
    extern "C" fn be_slow() {
        if !is_coordinator(std::process::id() as i32) {
            // The time that it takes is what this is about.
            std::thread::sleep(Duration::from_secs(5));
        }
    }
    COORDINATOR.store(std::process::id() as i32, Ordering::Relaxed);
    // SAFETY: the handler uses an atomic and system calls.
    assert_eq!(unsafe { libc::pthread_atfork(Some(be_slow), None, None) }, 0);
    let deadline = Duration::from_millis(200);
    let in_time = |error: Error, began: Instant| {
        assert!(matches!(error, Error::Deadline { .. }), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    };
    nothing_left(|| {
        let mut cells = Shared::<u64, _>::zeros(8).unwrap();
        let began = Instant::now();
        let job = Job::new(&mut cells).workers(2).retries(1).body_overwrites().deadline(deadline);
        in_time(job.run(|_, _| raise(libc::SIGKILL)).unwrap_err(), began);
    });
}

/// A worker marks the fork server as dead which is not. Whether the coordinator believes it is a matter of moments; that the next job
/// has workers is not.
pub(crate) fn a_fork_server_said_to_be_dead_is_replaced() {
    nothing_left(|| {
        let mut crew = Crew::start(2).unwrap();
        for _ in 0..100 {
            let mut cells = Shared::<u64, _>::zeros(8).unwrap();
            let told = crew.run(&mut cells, (), |_, (), _| {
                let parent = parent() as u32;
                const DEAD: u32 = 0x4000_0000;
                let lock = control_page().iter().find(|word| word.load(Ordering::Relaxed) & (DEAD - 1) == parent);
                lock.expect("its lock is there").fetch_or(DEAD, Ordering::Relaxed);
                Err::<(), _>("it is told")
            });
            told.unwrap_err();
            crew.run(&mut cells, (), |_, (), mut slice| slice.fill(1)).unwrap();
            assert!(cells.as_slice().iter().all(|&cell| cell == 1));
        }
    });
}

/// A worker turns a bit of the fork server's lock, so that the kernel writes nothing there when it dies. Jobs that fail for its end say
/// so all the same: it is replaced before the next job, or its end is seen in another way.
pub(crate) fn a_fork_server_whose_lock_was_written_over_still_dies_by_name() {
    /// A bit of the number of its holder.
    const BIT: u32 = 0x20_0000;
    fn turn_a_bit() {
        let parent = parent() as u32;
        let lock = control_page().iter().find(|word| word.load(Ordering::Relaxed) & 0x3fff_ffff == parent);
        lock.expect("its lock is there").fetch_xor(BIT, Ordering::Relaxed);
    }
    fn kill_it() {
        // SAFETY: a signal to the fork server, whose child this is.
        unsafe { libc::kill(parent(), libc::SIGKILL) };
        loop {
            std::thread::park();
        }
    }
    let died = |error: Error| match error {
        Error::WorkerDied(death) => assert!(matches!(death.cause, Cause::ForkServerDied), "{death:?}"),
        other => panic!("{other:?}"),
    };
    nothing_left(|| {
        let mut crew = Crew::start(2).unwrap();
        for _ in 0..20 {
            let mut cells = Shared::<u64, _>::zeros(2).unwrap();
            // In the next job.
            crew.run(&mut cells, (), |w, (), _| {
                if w.region().index() == 0 {
                    turn_a_bit()
                }
            })
            .unwrap();
            died(crew.run(&mut cells, (), |_, (), _| kill_it()).unwrap_err());
            // In the same.
            let both = crew.run(&mut cells, (), |w, (), _| {
                if w.region().index() == 0 {
                    turn_a_bit();
                    kill_it();
                }
            });
            died(both.unwrap_err());
        }
    });
}
