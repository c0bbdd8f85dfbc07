//! Barrier, first meeting, end, call, dealer, slice table, steps, what slices hand on and the fork server's word, the files of `src/sync` themselves, in every order in which two
//! and three participants can be
//! interrupted, with a death before every step that one of them takes.
//!
//! `cargo test --test loom` tries fewer of them than there are, as [`explore`] and [`at_every_step`] say, and `PARFORK_TESTS=all` all
//! that the models name.
//! `LOOM_LOG=trace` and `LOOM_LOCATION=1` tell the story of a failure.

#![allow(clippy::arc_with_non_send_sync, reason = "loom's threads take turns on one")]

mod atomic;
mod barriers;
mod calls;
mod carries;
mod ends;
mod fork_server;
mod meetings;
mod rounds;
mod steps;

// With their unit tests, which are not for loom's atomics and not called here.
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/barrier.rs"]
mod barrier;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/carried.rs"]
mod carried;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/dealer.rs"]
mod dealer;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/doorbell.rs"]
mod doorbell;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/end.rs"]
mod end;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/first_meeting.rs"]
mod first_meeting;
#[path = "../../src/sync/held.rs"]
mod held;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/job_waiter.rs"]
mod job_waiter;
#[path = "../support/sampled.rs"]
mod sampled;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/slice_table.rs"]
mod slice_table;
#[allow(dead_code, unused_imports)]
#[path = "../../src/slices/schedule.rs"]
mod slices;
#[allow(dead_code, clippy::absurd_extreme_comparisons)]
#[path = "../../src/sync/spin_policy.rs"]
mod spin_policy;
#[allow(dead_code)]
#[path = "../../src/sync/step_count.rs"]
mod step_count;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/tag.rs"]
mod tag;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libtest_mimic::{Arguments, Trial};
use loom::thread::JoinHandle;

fn main() -> ExitCode {
    let trials = barriers::MODELS.iter().chain(calls::MODELS).chain(ends::MODELS).chain(rounds::MODELS);
    let trials = trials
        .chain(steps::MODELS)
        .chain(carries::MODELS)
        .chain(meetings::MODELS)
        .chain(fork_server::MODELS)
        .chain(atomic::MODELS);
    let trials = trials.map(|&(name, model)| {
        Trial::test(name, move || {
            model();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// A name and what to check.
type Model = (&'static str, fn());

/// Models named after their functions.
macro_rules! models {
    ($($model:ident),* $(,)?) => { &[$((stringify!($model), $model as fn())),*] };
}
use models;

/// Tries every order in which threads can be interrupted, or those with at most so many interruptions where they had not
/// themselves given way.
///
/// With more than one interruption, that is one fewer than was said, unless the environment has `PARFORK_TESTS=all`: each multiplies
/// the orders by ten and more, and all of them take minutes, so that they are for who changes `src/sync`, and for `.ci/run`.
fn explore(interruptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound =
        interruptions.map(|most| if sampled::all() { most } else { (most - 1).max(1) }).or(builder.preemption_bound);
    builder.check(model);
}

/// Explores the model with a death before its doomed process's first step, its second, and so on until it outlives them all.
/// The model is given before which, and says whether it died. Where interruptions are bounded, so that a step takes long, that is
/// every second step, as [`is_tried`] says.
fn at_every_step(interruptions: Option<usize>, model: impl Fn(usize) -> bool + Send + Sync + 'static) {
    at_every_step_from(0, interruptions, model);
}

/// The same, but for the steps before `first`.
fn at_every_step_from(
    first: usize,
    interruptions: Option<usize>,
    model: impl Fn(usize) -> bool + Send + Sync + 'static,
) {
    let model = Arc::new(model);
    for steps in (first..).filter(|&steps| interruptions.is_none() || is_tried(steps)) {
        let died = Arc::new(AtomicBool::new(false));
        let (model, noted) = (model.clone(), died.clone());
        explore(interruptions, move || {
            if model(steps) {
                noted.store(true, Ordering::Relaxed);
            }
        });
        if !died.load(Ordering::Relaxed) {
            assert!(steps > 3, "nobody died at all");
            return;
        }
    }
}

/// Whether a death before this step is tried: of every second one, as the seed says, or of all.
fn is_tried(step: usize) -> bool {
    sampled::all() || (step as u64).wrapping_add(sampled::seed()).is_multiple_of(2)
}

/// A process that does `life` and dies before step `doom`, if it comes so far. Whether it died.
fn spawn(doom: Option<usize>, life: impl FnOnce() + 'static) -> JoinHandle<bool> {
    spawn_watched(doom, life, || ())
}

/// Such a process, and what the coordinator does at any time after its death.
fn spawn_watched(
    doom: Option<usize>,
    life: impl FnOnce() + 'static,
    retire: impl FnOnce() + 'static,
) -> JoinHandle<bool> {
    loom::thread::spawn(move || {
        atomic::doom(doom);
        let lived = catch_unwind(AssertUnwindSafe(life));
        atomic::doom(None);
        match lived {
            Ok(()) => false,
            Err(end) if end.is::<atomic::Dead>() => {
                retire();
                true
            }
            Err(failure) => resume_unwind(failure),
        }
    })
}
