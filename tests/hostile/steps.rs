//! Workers gone mad in jobs of steps, along diagonals or not: a job that comes to its end has the cells of a loop.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use ndarray::{Array2, ArrayView2, Ix2};
use parfork::{Border, Crew, Job, Planes, RetryPolicy, Slice, Split, Worker};

use crate::madness::{After, Deed, Madness, SLICES, Scribble, snapshot, states, told, untold};
use crate::support::{Page, control_page, nothing_left};
use crate::{LONGEST, sampled, trials};

const STEPS: u32 = 20;

type Ring = Planes<u64, Ix2>;

fn start() -> Array2<u64> {
    Array2::from_shape_fn((SLICES, 64), |(row, column)| (row * 1009 + column * 31) as u64)
}

/// What a cell becomes of those above and below it, on a ring of rows.
fn next(step: u32, [above, own, below]: [u64; 3]) -> u64 {
    let sum = above.rotate_left(9) ^ own.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ below.rotate_right(13);
    sum.wrapping_add(u64::from(step))
}

fn right() -> Array2<u64> {
    (0..STEPS).fold(start(), |now, step| {
        Array2::from_shape_fn(now.raw_dim(), |(row, column)| {
            next(step, [SLICES - 1, 0, 1].map(|by| now[[(row + by) % SLICES, column]]))
        })
    })
}

/// Does a slice's step in two halves, and in between what it is asked to do there.
fn step(w: &Worker<'_>, old: &ArrayView2<'_, u64>, new: &mut Slice<'_, u64, Ix2>, mut in_between: impl FnMut()) -> u64 {
    let columns = new.ncols();
    for column in 0..columns {
        for row in 0..new.nrows() {
            new[[row, column]] = next(w.step(), [0, 1, 2].map(|by| old[[row + by, column]]));
        }
        if column == columns / 2 {
            in_between();
        }
    }
    (w.region().index() as u64 + 1) * u64::from(w.step() + 1)
}

fn plate() -> Ring {
    Planes::with_edges(&start(), &[(1, Border::Wrap, Border::Wrap), (0, Border::Keep, Border::Keep)]).unwrap()
}

/// One trial: done and right, or an error, in time. Whether it was done.
fn judge(told: &str, mut plate: Ring, run: impl FnOnce(&mut Ring) -> parfork::Result<Vec<u64>>) -> bool {
    let began = Instant::now();
    let done = run(&mut plate);
    assert!(began.elapsed() < LONGEST, "it took {:?}, {told}", began.elapsed());
    match done {
        Ok(answers) => {
            assert!(plate.view().unwrap() == right(), "wrong cells, {told}");
            assert!(answers.into_iter().eq((1..=SLICES as u64).map(|slice| slice * u64::from(STEPS))), "{told}");
            true
        }
        Err(error) => {
            assert!(error.to_string().len() > 20, "{error:?}, {told}");
            println!("{told}: {error}");
            false
        }
    }
}

fn job<'j>(workers: usize, depth: u32, retries: u32, patience: Duration) -> Job<'j> {
    let mut job = Job::default().workers(workers).split(Split::rows().of(1)).steps(STEPS).depth(depth);
    (job.spec_mut().retries, job.spec_mut().retry_policy) = (retries, RetryPolicy::BodyOverwrites);
    job.deadline(patience)
}

/// Madness all over the page, in a step that chance has chosen.
pub(crate) fn jobs_of_steps() {
    let (trials, seed) = trials();
    let mut right_ones = 0;
    for trial in 0..4 * trials {
        let mut chance = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(trial).wrapping_mul(31) + 50);
        let (workers, mad) = ([2, 3, 8][chance.usize(..3)], Madness::by(&mut chance));
        let (depth, retries, on_crew) = ([1, 3, 8, 30][chance.usize(..4)], chance.u32(..3), chance.bool());
        let text =
            format!("trial {trial} of seed {seed}: {workers}, depth {depth}, {retries} retries, {on_crew}, {mad:?}");
        right_ones += u64::from(judge(&text, plate(), |plate| {
            nothing_left(|| {
                let mut crew = on_crew.then(|| Crew::start(workers).unwrap());
                let job = job(workers, depth, retries, mad.patience());
                let job = if let Some(crew) = &mut crew { job.crew(crew) } else { job };
                let argument = told(0, mad, Deed::Overwrites);
                let done = job.lend(plate).run_with(argument, |w, argument, (old, mut new)| {
                    let (_, mad, _) = untold(argument);
                    let is_mad = mad.slice == w.region().index() && mad.seed % u64::from(STEPS) == u64::from(w.step());
                    let stale = if is_mad { snapshot() } else { Vec::new() };
                    step(w, &old, &mut new, || {
                        if is_mad {
                            mad.act(&stale);
                        }
                    })
                })?;
                Ok(done.to_vec())
            })
        }));
    }
    println!("{} trials: {right_ones} right", 4 * trials);
}

/// Whose words.
const OWN: u64 = 0;
const OTHERS: u64 = 1;
const NEXT: u64 = 2;
const ALL: u64 = 3;

const WHATS: [Scribble; 6] =
    [Scribble::Word(0), Scribble::Word(u32::MAX), Scribble::Random, Scribble::Flips, Scribble::Moved, Scribble::Stale];
const AFTERS: [After; 3] = [After::GoesOn, After::Dies, After::WritesOn];

/// Of each trial, whether its worker has died.
static DIED: OnceLock<Page> = OnceLock::new();

/// The words that count steps, two halves each: after those of slices and of answers.
fn counts() -> &'static [AtomicU32] {
    &control_page()[states() / 4 + 4 * SLICES..][..2 * SLICES]
}

/// What stood there some steps ago.
fn before() -> &'static OnceLock<Vec<u32>> {
    static BEFORE: OnceLock<Vec<u32>> = OnceLock::new();
    &BEFORE
}

/// The deed of a worker that looks at the words in one step, and writes over them a few steps later.
fn lie([number, whose, what, after]: [u64; 4], slice: usize, at: u32) {
    let (what, words) = (WHATS[what as usize], counts());
    match at {
        3 => drop(before().set(words.iter().map(|word| word.load(Ordering::Relaxed)).collect())),
        9 => {}
        _ => return,
    }
    let (Some(before), 9) = (before().get(), at) else { return };
    let write = move |chance: &mut Rng| {
        for (one, pair) in words.chunks(2).enumerate() {
            let is_meant = match whose {
                OWN => one == slice,
                OTHERS => one != slice,
                NEXT => one == (slice + 1) % SLICES,
                _ => true,
            };
            for half in (0..2).filter(|_| is_meant) {
                let lie = match what {
                    Scribble::Word(lie) => lie,
                    Scribble::Flips => pair[half].load(Ordering::Relaxed) ^ 1 << chance.u32(..32),
                    Scribble::Stale => before[2 * one + half],
                    Scribble::Moved => words[(2 * one + half + 2) % words.len()].load(Ordering::Relaxed),
                    Scribble::Random => chance.u32(..),
                };
                pair[half].store(lie, Ordering::Relaxed);
            }
        }
    };
    let mut chance = Rng::with_seed(sampled::seed());
    write(&mut chance);
    match AFTERS[after as usize] {
        After::Dies if DIED.get().unwrap()[number as usize].swap(1, Ordering::Relaxed) == 0 => {
            // SAFETY: ends this worker.
            unsafe { libc::raise(libc::SIGKILL) };
        }
        After::WritesOn => drop(std::thread::spawn(move || {
            loop {
                write(&mut chance);
                std::thread::yield_now();
            }
        })),
        _ => {}
    }
}

/// Nothing but the words that count steps, in ways that look most like what was meant.
pub(crate) fn words_that_count_steps_hang_nobody() {
    DIED.get_or_init(Page::new);
    let all = (OWN..=ALL).flat_map(|whose| (0..WHATS.len()).map(move |what| (whose, what as u64)));
    let all = all.flat_map(|(whose, what)| (0..AFTERS.len()).map(move |after| (whose, what, after as u64)));
    let mut right_ones = 0;
    for (number, (whose, what, after)) in sampled::Sampler::new().some(all, 24).into_iter().enumerate() {
        let (depth, workers) = ([8, 1][number % 2], [2, 3, 5][number / 2 % 3]);
        let (what_name, after_name) = (WHATS[what as usize], AFTERS[after as usize]);
        let text = format!("{whose} {what_name:?} {after_name:?}, depth {depth}, {workers} workers");
        let patience = if matches!(after_name, After::WritesOn) { Duration::from_secs(2) } else { Duration::MAX };
        let done = judge(&text, plate(), |plate| {
            nothing_left(|| {
                let job = job(workers, depth, 1, patience).lend(plate);
                let done = job.run(|w, (old, mut new)| {
                    let (slice, at) = (w.region().index(), w.step());
                    step(w, &old, &mut new, || {
                        if slice == SLICES / 2 {
                            lie([number as u64, whose, what, after], slice, at);
                        }
                    })
                })?;
                Ok(done.to_vec())
            })
        });
        right_ones += u64::from(done);
        println!("{text}: {}", if done { "right" } else { "an error" });
    }
    println!("{right_ones} right");
}
