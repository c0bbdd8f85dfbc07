//! The words that say how far answers are handed on, written over while workers are ahead of whom they are handed on to.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use parfork::{Crew, Engine, Job, RetryPolicy, Split, Worker};

use crate::madness::{After, Deed, Scribble};
use crate::support::{Page, control_page, nothing_left};
use crate::{BOTH, LONGEST, right, sampled, try_out, work};

/// Answers that are handed on one by one, with madness all over the page: each once, each right.
pub(crate) fn jobs_whose_answers_are_handed_on() {
    for (kind, in_order, retries) in [(40, true, 0), (41, false, 0), (42, true, 2), (43, false, 2)] {
        let deeds = if retries > 0 { &[Deed::Overwrites] } else { BOTH };
        try_out(kind, deeds, |cells, workers, mad, deed| {
            nothing_left(|| {
                let job = Job::new(cells).workers(workers).retries(retries).body_overwrites().deadline(mad.patience());
                let body = |w: &Worker<'_>, slice: parfork::Slice<'_, u64, ndarray::Ix2>| {
                    vec![work(w, Some(mad), deed, slice); 3]
                };
                let mut answers = Vec::new();
                let each = |slice: usize, answer: Vec<u64>| {
                    assert_eq!(answer, [right(slice); 3], "slice {slice}, {mad:?}");
                    answers.push(slice);
                    ControlFlow::Continue(())
                };
                match in_order {
                    true => job.run_each(body, each)?,
                    false => job.run_each_unordered(body, each)?,
                };
                assert!(!in_order || answers.is_sorted(), "{answers:?}");
                answers.sort_unstable();
                Ok(answers.into_iter().map(right).collect::<Vec<_>>())
            })
        });
    }
}

const SLICES: usize = 80;

/// Bytes of an answer: a prime number, by whose multiples the word is known that counts them.
const LONG: u64 = 1_048_583;

const WORKERS: usize = 4;

/// Where the words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// How many bytes of each worker's are handed on.
    HandedOn,
    /// The bells that ring when those are more.
    Bells,
    /// Which slice all wait for.
    Next,
    All,
}

/// Numbers for a worker of a crew, too.
type Told = [u64; 5];

const TARGETS: [Target; 4] = [Target::HandedOn, Target::Bells, Target::Next, Target::All];
const WHATS: [Scribble; 6] = [
    Scribble::Word(0),
    Scribble::Word(u32::MAX),
    Scribble::Word(1),
    Scribble::Random,
    Scribble::Flips,
    Scribble::Stale,
];
const AFTERS: [After; 3] = [After::GoesOn, After::Dies, After::WritesOn];

thread_local! {
    /// How many slices a worker has begun.
    static BEGUN: Cell<u64> = const { Cell::new(0) };
}

/// Where a worker has found the words.
static WORDS: OnceLock<&'static Words> = OnceLock::new();

/// Of each trial, whether its worker has died.
static DIED: OnceLock<Page> = OnceLock::new();

/// A worker that has found the words by what they say lies in each slice that it does after that.
fn body([number, target, what, after, in_order]: Told, w: &Worker<'_>, mine: Range<usize>) -> Vec<u8> {
    let begun = BEGUN.get() + 1;
    BEGUN.set(begun);
    let answer = vec![mine.start as u8; LONG as usize];
    if w.rank() == 1 && begun > 2 {
        let next = if in_order == 1 { mine.start as u64 } else { u64::MAX };
        let words = *WORDS.get_or_init(|| Box::leak(Box::new(Words::find(w, begun - 1, next))));
        let (target, what) = (TARGETS[target as usize], WHATS[what as usize]);
        let mut chance = Rng::with_seed(sampled::seed() + begun);
        words.write(target, what, &mut chance);
        let died = &DIED.get().expect("it is there before all workers")[number as usize];
        match AFTERS[after as usize] {
            After::Dies if died.swap(1, Ordering::Relaxed) == 0 => {
                // SAFETY: ends this worker.
                unsafe { libc::raise(libc::SIGKILL) };
            }
            After::WritesOn if begun == 3 => drop(std::thread::spawn(move || {
                loop {
                    words.write(target, what, &mut chance);
                    std::thread::yield_now();
                }
            })),
            _ => {}
        }
    }
    answer
}

/// The words, found.
struct Words {
    handed_on: Vec<&'static AtomicU64>,
    bells: Vec<&'static AtomicU64>,
    next: Vec<&'static AtomicU64>,
}

impl Words {
    /// Waits until as many answers of this worker are handed on as it has posted, and this one is the `next`.
    fn find(w: &Worker<'_>, posted: u64, next: u64) -> Self {
        let page = words();
        let [head, slot] = [1, 2].map(|at| page[at].load(Ordering::Relaxed) as usize / 8);
        let holds = |at: usize, value: u64| page[at].load(Ordering::Relaxed) == value;
        let own = head + w.rank() * slot;
        loop {
            let at = (own..own + slot).find(|&at| holds(at, posted * LONG)).map(|at| at - own);
            // Before that is what others are told of the job.
            let next: Vec<_> = (32..head).filter(|&at| holds(at, next)).map(|at| &page[at]).collect();
            let of_all = |at: usize| (0..WORKERS).map(|rank| &page[head + rank * slot + at]).collect();
            match at {
                Some(at) if !next.is_empty() => {
                    return Self { handed_on: of_all(at), bells: of_all(at + 1), next };
                }
                _ => std::thread::yield_now(),
            }
        }
    }

    fn write(&self, target: Target, what: Scribble, chance: &mut Rng) {
        let all = [(Target::HandedOn, &self.handed_on), (Target::Bells, &self.bells), (Target::Next, &self.next)];
        for (_, words) in all.into_iter().filter(|(one, _)| target == *one || target == Target::All) {
            for word in words {
                let now = word.load(Ordering::Relaxed);
                let lie = match what {
                    Scribble::Word(u32::MAX) => u64::MAX,
                    Scribble::Word(lie) => lie.into(),
                    Scribble::Flips => now ^ 1 << chance.u64(..64),
                    // As it was before the last answer.
                    Scribble::Stale => now.saturating_sub(if words.len() == WORKERS { LONG } else { 1 }),
                    _ => chance.u64(..),
                };
                // In the other half of a bell's word a worker says why it cannot go on.
                let kept = if std::ptr::eq(words, &self.bells) { u64::from(u32::MAX) << 32 } else { 0 };
                let lie = now & kept | lie & !kept;
                word.store(lie, Ordering::Relaxed);
            }
        }
    }
}

/// The words of the page, as those that count.
fn words() -> &'static [AtomicU64] {
    let page = control_page();
    // SAFETY: they begin with a page, are as long as before, and all use of them is atomic.
    unsafe { std::slice::from_raw_parts(page.as_ptr().cast(), page.len() / 2) }
}

/// Whoever gets the answers waits until workers have gone as far as they may; so that all look at the words.
pub(crate) fn words_of_the_backlog_hang_nobody() {
    DIED.get_or_init(Page::new);
    let all = (0..TARGETS.len()).flat_map(|target| (0..WHATS.len()).map(move |what| (target, what)));
    let all = all.flat_map(|(target, what)| (0..AFTERS.len()).map(move |after| (target, what, after)));
    let (mut right_ones, mut errors) = (0, 0);
    for (number, (target, what, after)) in sampled::Sampler::new().some(all, 8).into_iter().enumerate() {
        let (in_order, on_crew) = (number % 2 == 0, number % 3 == 2);
        let told = format!(
            "{:?} {:?} {:?}, in order: {in_order}, on a crew: {on_crew}",
            TARGETS[target], WHATS[what], AFTERS[after]
        );
        let argument = [number, target, what, after, usize::from(in_order)].map(|number| number as u64);
        let mut handed = BTreeSet::new();
        let each = |slice: usize, answer: Vec<u8>| {
            assert!(
                handed.insert(slice) && (!in_order || handed.len() == slice + 1),
                "{slice} after {handed:?}, {told}"
            );
            assert_eq!((answer.len() as u64, answer.last()), (LONG, Some(&(slice as u8))), "{told}");
            ControlFlow::Continue(())
        };
        let deadline = if matches!(AFTERS[after], After::WritesOn) { Duration::from_secs(2) } else { Duration::MAX };
        let job = Job::new(0..SLICES).workers(WORKERS).split(Split::rows().of(1)).deadline(deadline);
        let mut job =
            job.schedule([["dynamic", "guided"][number / 2 % 2], "static"][usize::from(on_crew)].parse().unwrap());
        job.spec_mut().retry_policy = RetryPolicy::BodyOverwrites;
        job.spec_mut().retries = 1;
        let began = Instant::now();
        let done = nothing_left(|| {
            let mut crew = on_crew.then(|| Crew::start(WORKERS).unwrap());
            let job = match &mut crew {
                Some(crew) => job.crew(crew),
                None => job.runner(Engine::Processes),
            };
            match in_order {
                true => job.run_each_with(argument, |w, told, mine| body(told, w, mine), each),
                false => job.run_each_with_unordered(argument, |w, told, mine| body(told, w, mine), each),
            }
        });
        match done {
            Ok(_) => {
                right_ones += 1;
                assert_eq!(handed.len(), SLICES, "{told}");
            }
            Err(error) => {
                errors += 1;
                println!("{told}: {error}");
            }
        }
        assert!(began.elapsed() < LONGEST, "it took {:?}, {told}", began.elapsed());
    }
    println!("{right_ones} right, {errors} errors");
}
