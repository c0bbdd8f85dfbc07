//! Deaths between, in, before and after steps: finished steps are kept, and the result is the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ndarray::{Array1, ArrayD, IxDyn};
use parfork::{Border, Cause, ControlPageDamage, Crew, Error, Job, JobSpec, Planes, RetryPolicy, Split, StepsError};

use super::results::{Edges, naive, start, step};
use super::support::{Page, control_page, nothing_left};

const STEPS: u32 = 30;

fn ring() -> (ArrayD<u64>, Edges) {
    (start(&[24, 3]), vec![(1, Border::Wrap, Border::Wrap), (1, Border::Reflect101, Border::Constant(9))])
}

fn kill_me() {
    // SAFETY: a signal to this process, a worker.
    unsafe { libc::kill(std::process::id() as i32, libc::SIGKILL) };
}

fn spec(retries: u32) -> JobSpec {
    let (split, retry_policy) = (Some(Split::rows().of(2)), RetryPolicy::BodyOverwrites);
    JobSpec { workers: Some(3), steps: Some(STEPS), split, retries, retry_policy, ..JobSpec::default() }
}

/// Depths with which the same befalls workers: one step after the other, and along diagonals.
const DEPTHS: [u32; 2] = [1, 8];

/// Workers that die on (slice, step), each once, before, in the middle of, or after its work.
pub(super) fn at_any_moment_cost_nothing_but_time() {
    nothing_left(|| {
        let (start, edges) = ring();
        let right = naive(&start, &edges, STEPS);
        let plans: [&[(usize, u32)]; 6] = [
            &[(0, 0)],
            &[(5, STEPS - 1)],
            &[(3, 7), (4, 7), (11, 20)],
            &[(0, 5), (0, 6), (0, 7), (0, 8)],
            &[(11, 0), (0, STEPS - 1)],
            &[(2, 10), (2, 20)],
        ];
        let all = plans.into_iter().flat_map(|plan| (0..3).map(move |when| (plan, when)));
        for (depth, (plan, when)) in DEPTHS.into_iter().flat_map(|depth| all.clone().map(move |it| (depth, it))) {
            let died = Page::new();
            let mut planes = Planes::<u64, IxDyn>::with_edges(&start, &edges).unwrap();
            let job = Job::with(&mut planes, spec(2)).depth(depth);
            let answers = job.run(|w, (old, mut new)| {
                let number = plan.iter().position(|&(slice, step)| (slice, step) == (w.region().index(), w.step()));
                let dies = number.is_some_and(|number| died[number].fetch_add(1, Ordering::Relaxed) == 0);
                if dies && when == 0 {
                    kill_me();
                }
                if dies && when == 1 {
                    new.fill(u64::MAX);
                    kill_me();
                }
                step(w.step(), &old, &mut new);
                if dies {
                    kill_me();
                }
            });
            let answers = answers.unwrap_or_else(|error| panic!("{plan:?}, depth {depth}: {error}"));
            assert_eq!(planes.view().unwrap(), right, "{plan:?}, {when}, depth {depth}");
            let deaths = &answers.report().deaths;
            assert!(deaths.len() <= plan.len() && !deaths.is_empty(), "{deaths:?}");
            assert!(deaths.iter().all(|death| plan.contains(&(death.slice.unwrap().0.index(), death.step.unwrap()))));
        }
    });
}

pub(super) fn on_a_crew_cost_nothing_but_time() {
    static KILLED: std::sync::OnceLock<Page> = std::sync::OnceLock::new();
    KILLED.get_or_init(Page::new);
    let (start, edges) = ring();
    let mut crew = Crew::start(3).unwrap();
    let mut now = start.clone();
    let mut planes = Planes::with_edges(&start, &edges).unwrap();
    for round in 0..6_u64 {
        let job = Job::with(&mut planes, spec(1)).depth(DEPTHS[round as usize % 2]).crew(&mut crew);
        let answers = job.run_with(round, |w, round, (old, mut new)| {
            let is_due = w.region().index() as u64 == 2 * round && w.step() as u64 == 5 * round;
            step(w.step(), &old, &mut new);
            if is_due && KILLED.get().unwrap()[round as usize].fetch_add(1, Ordering::Relaxed) == 0 {
                kill_me();
            }
        });
        assert_eq!(answers.unwrap().report().deaths.len(), 1, "round {round}");
        now = naive(&now, &edges, STEPS);
        assert_eq!(planes.view().unwrap(), now, "round {round}");
    }
}

pub(super) fn a_slice_that_kills_all_ends_the_job_with_its_step() {
    nothing_left(|| {
        let (start, edges) = ring();
        let mut planes = Planes::<u64, IxDyn>::with_edges(&start, &edges).unwrap();
        let error = Job::with(&mut planes, spec(2)).run(|w, (old, mut new)| {
            step(w.step(), &old, &mut new);
            if (w.region().index(), w.step()) == (4, 17) {
                kill_me();
            }
        });
        let error = error.unwrap_err();
        let Error::WorkerDied(death) = &error else { panic!("{error}") };
        assert_eq!((death.slice.unwrap().0.index(), death.step, death.tries), (4, Some(17), 3));
        assert!(error.to_string().contains("step 17 of slice 4 [8..10, ..], the last of 3 workers"), "{error}");
        assert!(
            error.to_string().contains(&format!("; {} of 360 steps of 12 slices were done", death.done)),
            "{error}"
        );
        assert!(matches!(planes.view(), Err(Error::Steps(StepsError::Torn))));
    });
}

pub(super) fn without_retries_end_the_job() {
    nothing_left(|| {
        let (start, edges) = ring();
        let mut planes = Planes::<u64, IxDyn>::with_edges(&start, &edges).unwrap();
        let error = Job::with(&mut planes, spec(0)).run(|w, _| {
            if (w.region().index(), w.step()) == (11, 3) {
                kill_me();
            }
        });
        let error = error.unwrap_err();
        let Error::WorkerDied(death) = &error else { panic!("{error}") };
        assert_eq!((death.slice.unwrap().0.index(), death.step), (11, Some(3)));
        assert!(matches!(death.cause, Cause::Signalled { signal: libc::SIGKILL }));
    });
}

pub(super) fn a_panic_and_an_error_name_the_step() {
    nothing_left(|| {
        let ring = Array1::<u64>::zeros(12);
        let mut planes = Planes::from_array(&ring, 1, Border::Wrap).unwrap();
        let error = Job::new(&mut planes).workers(2).steps(9).run(|w, _| assert!(w.step() < 4, "too far")).unwrap_err();
        let Error::WorkerDied(death) = &error else { panic!("{error}") };
        assert_eq!(death.step, Some(4), "{error}");
        planes.assign(&ring).unwrap();
        let job = Job::new(&mut planes).workers(2).steps(9);
        let error = job.run(|w, _| if w.step() < 4 { Ok(0) } else { Err("far enough") }).unwrap_err();
        assert!(error.to_string().contains("far enough"), "{error}");
        assert!(error.to_string().contains("step 4 of slice"), "{error}");
    });
}

/// Somebody writes over the words that count steps: no wrong result, no endless wait.
pub(super) fn a_word_that_counts_steps_written_over_is_an_error() {
    nothing_left(|| {
        let (start, edges) = ring();
        for (retries, depth) in [(0, 1), (2, 1), (0, 8), (2, 8)] {
            let mut planes = Planes::<u64, IxDyn>::with_edges(&start, &edges).unwrap();
            let error = Job::with(&mut planes, spec(retries)).depth(depth).run(|w, (old, mut new)| {
                step(w.step(), &old, &mut new);
                if (w.region().index(), w.step()) == (6, 10) {
                    let words = control_page();
                    // All but the head and the slots, of which the first word is never the same twice.
                    words[words.len() / 2..].iter().for_each(|word| word.store(0x0101_0101, Ordering::Relaxed));
                }
            });
            let error = error.unwrap_err();
            assert!(matches!(error, Error::ControlPageDamaged { .. }), "{error}");
            if let Error::ControlPageDamaged { what: ControlPageDamage::Steps { slice } } = error {
                assert!(slice < 12);
            }
        }
    });
}

/// Who is told that it was ended hears of steps, and not that no slice is done.
pub(super) fn a_job_that_is_ended_says_how_many_steps_were_done() {
    nothing_left(|| {
        let (start, edges) = ring();
        let mut planes = Planes::<u64, IxDyn>::with_edges(&start, &edges).unwrap();
        let spec = JobSpec { deadline: Some(Duration::from_millis(300)), ..spec(0) };
        let error = Job::with(&mut planes, spec).run(|w, _| {
            while w.step() == 5 {
                std::hint::spin_loop();
            }
        });
        let error = error.unwrap_err();
        let Error::Deadline { done, slices: 12, steps: STEPS, .. } = error else { panic!("{error}") };
        assert!((1..=60).contains(&done), "{error}");
        assert!(error.to_string().contains(&format!("with {done} of 360 steps of 12 slices done")), "{error}");
    });
}

pub(super) fn a_body_that_stands_still_meets_its_deadline() {
    nothing_left(|| {
        let (start, edges) = ring();
        let right = naive(&start, &edges, STEPS);
        let stood = Page::new();
        let mut planes = Planes::<u64, IxDyn>::with_edges(&start, &edges).unwrap();
        let spec = JobSpec { slice_deadline: Some(Duration::from_millis(300)), ..spec(1) };
        let answers = Job::with(&mut planes, spec).run(|w, (old, mut new)| {
            step(w.step(), &old, &mut new);
            if (w.region().index(), w.step()) == (6, 10) && stood[0].fetch_add(1, Ordering::Relaxed) == 0 {
                // SAFETY: a signal to this process, a worker.
                unsafe { libc::kill(std::process::id() as i32, libc::SIGSTOP) };
            }
        });
        assert_eq!(answers.unwrap().report().deaths.len(), 1);
        assert_eq!(planes.view().unwrap(), right);
    });
}
