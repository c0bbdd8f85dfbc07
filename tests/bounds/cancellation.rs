//! Jobs that are asked to stop, by a token or by signals.

use std::process::Child;
use std::sync::atomic::Ordering;

use parfork::{CancelToken, Engine, Error, Job, Shared};

use crate::support::{Page, nothing_left};
use crate::{at_work, loop_for_ever, sleep_for_ever};

pub(crate) fn a_stop_ends_jobs_on_every_engine() {
    for engine in Engine::ALL {
        let (stop, begun) = (CancelToken::new(), Page::new());
        let mut cells = Shared::<u64, _>::zeros(1000).unwrap();
        // Threads and the serial engine are told by a body, which shares their memory; processes by the coordinator.
        let job = Job::new(&mut cells).workers(2).runner(engine).cancel_token(&stop).progress(|_, _| {
            if begun[0].load(Ordering::Relaxed) > 5 {
                stop.cancel();
            }
        });
        let error = nothing_left(|| {
            job.run(|_, _| {
                if begun[0].fetch_add(1, Ordering::Relaxed) > 5 {
                    stop.cancel();
                    if engine == Engine::Processes {
                        sleep_for_ever();
                    }
                }
            })
            .unwrap_err()
        });
        assert!(
            matches!(error, Error::Stopped { signal: None, done, slices: 1000, .. } if done < 1000),
            "{engine}: {error}"
        );
        // The request stays.
        let again = Job::new(&mut cells).workers(2).runner(engine).cancel_token(&stop).run(|_, _| ());
        assert!(matches!(again, Err(Error::Stopped { .. })), "{engine}: {again:?}");
    }
}

/// Threads cannot be ended, so the job goes on when it is asked to stop.
pub(crate) fn work_on_a_thread_for_ever() {
    let mut cell = Shared::<u64, _>::zeros(1).unwrap();
    let job = Job::new(&mut cell).workers(1).runner(Engine::Threads).cancel_token(CancelToken::at_signals().unwrap());
    let ran = job.run(|_, _| {
        println!("at work");
        loop_for_ever();
    });
    unreachable!("{ran:?}");
}

pub(crate) fn hold_nothing() {
    CancelToken::at_signals().unwrap();
    println!("at work");
    sleep_for_ever();
}

fn send(child: &Child, signal: i32) {
    // SAFETY: a signal to a child that has not been reaped.
    unsafe { libc::kill(child.id() as i32, signal) };
}

pub(crate) fn the_second_signal_ends_at_once() {
    let (mut child, _) = at_work("cancellation::work_on_a_thread_for_ever");
    send(&child, libc::SIGINT);
    // The first has been noted when it is no longer pending; it leaves no other trace.
    let pending = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let bits = |name| status.lines().find_map(|line| line.strip_prefix(name)?.trim().chars().last());
        [bits("SigPnd:"), bits("ShdPnd:")] != [Some('0'); 2]
    };
    while pending() {
        std::thread::yield_now();
    }
    assert_eq!(child.try_wait().unwrap(), None);
    send(&child, libc::SIGTERM);
    // Two threads may have taken one signal each, and then either is the second.
    let code = child.wait().unwrap().code();
    assert!(code == Some(128 + libc::SIGTERM) || code == Some(128 + libc::SIGINT), "{code:?}");
}

pub(crate) fn a_signal_while_no_job_runs_ends_at_once() {
    let (mut child, _) = at_work("cancellation::hold_nothing");
    send(&child, libc::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGINT));
}
