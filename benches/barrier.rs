//! What does a meeting of all workers cost? Crossings of our barrier between processes, of a process-shared pthread barrier
//! between the same kind of processes, and of std's barrier between threads, interleaved in one run; medians.
//!
//! `cargo bench --bench barrier`; method and findings in benches/README.md.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Barrier;
use std::time::Instant;

use parfork::{Engine, Job, Schedule, Shared, Split, Worker};

/// Runs of each barrier. They take turns, so that a noisy moment hits all alike.
const ROUNDS: usize = 11;

/// Meetings of one run, divided by the participants: 10 ms to half a second.
const MEETINGS: usize = 40_000;

fn main() -> parfork::Result<()> {
    let process_shared = PthreadBarrier::share();
    println!("{} CPUs; microseconds a crossing, median of {ROUNDS} interleaved runs (min..max)\n", parfork::cpus());
    println!("| participants | ours, processes | pthread, processes | std, threads | ours/pthread | ours/std |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for participants in [2, 4, 8, 32, 128, 256] {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            let [ours, pthread, std] = &mut times;
            ours.push(time(Engine::Processes, participants, |worker| worker.barrier().expect("all live"))?);
            process_shared.prepare(participants as u32);
            pthread.push(time(Engine::Processes, participants, |_| process_shared.wait())?);
            process_shared.destroy();
            let barrier = Barrier::new(participants);
            std.push(time(Engine::Threads, participants, |_| {
                barrier.wait();
            })?);
        }
        let [ours, pthread, std] = times.each_mut().map(|times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        });
        let [cell, other, third] =
            times.map(|times| format!("{:.2} ({:.2}..{:.2})", times[ROUNDS / 2], times[0], times[ROUNDS - 1]));
        println!("| {participants} | {cell} | {other} | {third} | {:.2} | {:.2} |", ours / pthread, ours / std);
    }
    Ok(())
}

/// Microseconds that a crossing takes worker 0, when all workers of a job do nothing but `barrier`.
fn time(engine: Engine, participants: usize, meet: impl Fn(&Worker<'_>) + Sync) -> parfork::Result<f64> {
    let meetings = MEETINGS / participants;
    let mut line = Shared::<u8, _>::zeros(participants)?;
    let job = Job::new(&mut line).workers(participants).schedule(Schedule::Static).runner(engine);
    let job = job.split(Split::rows().into_pieces(participants));
    let times = job.run(|worker, _| {
        // Births are not timed: all have been forked when the first meeting is over, and most have woken after some.
        (0..meetings / 10).for_each(|_| meet(worker));
        let began = Instant::now();
        (0..meetings).for_each(|_| meet(worker));
        began.elapsed().as_secs_f64() * 1e6 / meetings as f64
    })?;
    Ok(times[0])
}

/// A pthread barrier that processes share.
struct PthreadBarrier(UnsafeCell<MaybeUninit<libc::pthread_barrier_t>>);

// SAFETY: in use it is made for being shared; it is made and destroyed while only this process has it.
unsafe impl Sync for PthreadBarrier {}

impl PthreadBarrier {
    /// Room for one, in memory that processes forked from now on share.
    fn share() -> &'static Self {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: new memory at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Self>(), access, kind, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        // SAFETY: mapped just now, page-aligned and large enough, never unmapped; any bytes are a value of it.
        unsafe { &*base.cast() }
    }

    fn prepare(&self, participants: u32) {
        let mut shared = MaybeUninit::<libc::pthread_barrierattr_t>::uninit();
        // SAFETY: room for attributes, which the call fills.
        assert_eq!(unsafe { libc::pthread_barrierattr_init(shared.as_mut_ptr()) }, 0);
        // SAFETY: attributes made just now.
        let set = unsafe { libc::pthread_barrierattr_setpshared(shared.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED) };
        assert_eq!(set, 0);
        // SAFETY: room for a barrier that nobody uses yet, and attributes made just now.
        assert_eq!(unsafe { libc::pthread_barrier_init(self.0.get().cast(), shared.as_ptr(), participants) }, 0);
    }

    fn wait(&self) {
        // SAFETY: prepared before the workers that wait here were forked.
        let waited = unsafe { libc::pthread_barrier_wait(self.0.get().cast()) };
        assert!(matches!(waited, 0 | libc::PTHREAD_BARRIER_SERIAL_THREAD));
    }

    fn destroy(&self) {
        // SAFETY: prepared before; all who used it are gone.
        assert_eq!(unsafe { libc::pthread_barrier_destroy(self.0.get().cast()) }, 0);
    }
}
