//! The job on arrays, and the ways in which its answers come to the coordinator and values from slice to slice.

use std::ops::ControlFlow;

use bytemuck::Pod;
use ndarray::{ArrayViewD, IxDyn};
use parfork::{Answers, Crew, Job, Report, Schedule, Shared, Slice, Worker};

use crate::body::{Cell, Context, answer, value};
use crate::engine::Engine;
use crate::offspring::Who;
use crate::page::Words;
use crate::plan::{Body, Plan};
use crate::rng::{TrialRng, mix};
use crate::trial::{in_danger, told};

/// How answers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All at the end, as arrays.
    AtTheEnd,
    /// The same, as arrays, by workers each of which has made something before its first slice.
    WithState,
    /// The same, of any length.
    Grown,
    /// The same, as text.
    Text,
    /// Of any length, while others work, in order.
    InOrder,
    /// The same, as they come.
    AsTheyCome,
}

/// When a body carries: before its work, with its work in it, or after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carry {
    Before,
    Around,
    After,
}

impl Delivery {
    pub(crate) fn of(rng: &mut TrialRng, plan: &Plan) -> Self {
        let end = [Self::AtTheEnd, Self::AtTheEnd, Self::AtTheEnd, Self::WithState];
        let own = [Self::Grown, Self::Text, Self::InOrder, Self::AsTheyCome];
        match rng.one(&[end, own].concat()) {
            // They answer nothing, or have answers of the last step alone.
            _ if plan.body == Body::Steps || matches!(plan.engine, Engine::Programs) => Self::AtTheEnd,
            delivery => delivery,
        }
    }

    /// Whether answers come while others work.
    pub(crate) fn is_early(self) -> bool {
        matches!(self, Self::InOrder | Self::AsTheyCome)
    }
}

impl Carry {
    pub(crate) fn of(rng: &mut TrialRng, plan: &Plan) -> Option<Self> {
        let carry = rng.one(&[Self::Before, Self::Around, Self::After]);
        let can = plan.schedule == Schedule::DYNAMIC && !matches!(plan.engine, Engine::Programs);
        (can && plan.body != Body::Steps && rng.in_a_hundred(60)).then_some(carry)
    }
}

/// Answers in the order of slices, and the report.
pub(crate) type Done<const N: usize> = (Vec<[u64; N]>, Report);

/// Runs the job.
///
/// # Errors
/// The job's.
pub(crate) fn run<T: Cell, const N: usize>(
    plan: &Plan,
    words: &Words,
    job: Job<'_>,
    (input, output): (&Shared<T, IxDyn>, &mut Shared<T, IxDyn>),
    crew: Option<&mut Crew>,
) -> parfork::Result<Done<N>>
where
    [u64; N]: Pod,
{
    let mut early = Vec::new();
    let each = |slice: usize, answer: Vec<u64>| {
        early.push((slice, answer));
        ControlFlow::Continue(())
    };
    let body = |w: &Worker<'_>, (input, slice): (ArrayViewD<'_, T>, Slice<'_, T, IxDyn>)| {
        labour::<T, N>(plan, words, w, input, slice)
    };
    let grown = |w: &Worker<'_>, (input, slice): (ArrayViewD<'_, T>, Slice<'_, T, IxDyn>)| {
        body(w, (input, slice)).map(|answer| answer.to_vec())
    };
    fn of_crew<T: Cell, const N: usize>(
        w: &Worker<'_>,
        salt: u64,
        (input, slice): (ArrayViewD<'_, T>, Slice<'_, T, IxDyn>),
    ) -> Result<Vec<u64>, String> {
        let (plan, words) = told();
        labour::<T, N>(&Plan { salt, ..plan.clone() }, words, w, input, slice).map(|answer| answer.to_vec())
    }
    let report = match (crew, plan.delivery) {
        (None, Delivery::WithState) => {
            // What a worker was forked with, and for whom.
            let init = |w: &Worker<'_>| (w.rank(), plan.salt);
            return Ok(gathered(job.lend((input, output)).run_init(init, |w, state, part| match *state {
                own if own == (w.rank(), plan.salt) => body(w, part),
                other => Err(format!("worker {} has {other:?}, which it has not made", w.rank())),
            })?));
        }
        (None, Delivery::Text) => {
            let done = job.lend((input, output)).run(|w, part| body(w, part).map(|answer| text(&answer)))?;
            let report = done.report().clone();
            early.extend(done.into_vec().iter().map(|text| numbers(text)).enumerate());
            report
        }
        (None, Delivery::AtTheEnd) => return Ok(gathered(job.lend((input, output)).run(body)?)),
        (None, Delivery::Grown) => {
            let done = job.lend((input, output)).run(grown)?;
            let report = done.report().clone();
            early.extend(done.into_vec().into_iter().enumerate());
            report
        }
        (None, Delivery::InOrder) => job.lend((input, output)).run_each(grown, each)?,
        (None, Delivery::AsTheyCome) => job.lend((input, output)).run_each_unordered(grown, each)?,
        (Some(crew), delivery) => {
            let job = job.crew(crew).lend((input, output));
            match delivery {
                Delivery::WithState => {
                    // Some of a crew's jobs go on with what the one before made, and others do not.
                    let seed = plan.salt % 2;
                    let init = |w: &Worker<'_>, seed: u64| (w.rank(), seed, std::process::id());
                    return Ok(gathered(job.run_init_with(
                        seed,
                        init,
                        plan.salt,
                        |w, salt, state, (input, slice)| {
                            let (plan, words) = told();
                            match *state {
                                own if own == (w.rank(), salt % 2, std::process::id()) => {
                                    labour::<T, N>(&Plan { salt, ..plan.clone() }, words, w, input, slice)
                                }
                                other => Err(format!("worker {} has {other:?}, which it has not made", w.rank())),
                            }
                        },
                    )?));
                }
                Delivery::AtTheEnd => {
                    return Ok(gathered(job.run_with(plan.salt, |w, salt, (input, slice)| {
                        let (plan, words) = told();
                        labour::<T, N>(&Plan { salt, ..plan.clone() }, words, w, input, slice)
                    })?));
                }
                Delivery::Grown => {
                    let done = job.run_with(plan.salt, of_crew::<T, N>)?;
                    let report = done.report().clone();
                    early.extend(done.into_vec().into_iter().enumerate());
                    report
                }
                Delivery::Text => {
                    let done = job.run_with(plan.salt, |w, salt, part| {
                        of_crew::<T, N>(w, salt, part).map(|answer| text(&answer))
                    })?;
                    let report = done.report().clone();
                    early.extend(done.into_vec().iter().map(|text| numbers(text)).enumerate());
                    report
                }
                Delivery::InOrder => job.run_each_with(plan.salt, of_crew::<T, N>, each)?,
                Delivery::AsTheyCome => job.run_each_with_unordered(plan.salt, of_crew::<T, N>, each)?,
            }
        }
    };
    if plan.delivery == Delivery::AsTheyCome {
        early.sort_by_key(|(slice, _)| *slice);
    }
    // One that is missing, or comes twice, or too early, is no right answer.
    let own = |(at, (slice, answer)): (usize, (usize, Vec<u64>))| {
        <[u64; N]>::try_from(answer).ok().filter(|_| at == slice).unwrap_or([!7; N])
    };
    Ok((early.into_iter().enumerate().map(own).collect(), report))
}

/// An answer as text.
fn text(answer: &[u64]) -> String {
    answer.iter().map(|number| format!("{number},")).collect()
}

/// The answer that a text is; none that is right of any other text.
fn numbers(text: &str) -> Vec<u64> {
    text.split_terminator(',').map(|number| number.parse().unwrap_or(!7)).collect()
}

/// Answers that came at the end.
pub(crate) fn gathered<const N: usize>(answers: Answers<[u64; N]>) -> Done<N> {
    let report = answers.report().clone();
    (answers.into_vec(), report)
}

/// The body.
fn labour<T: Cell, const N: usize>(
    plan: &Plan,
    words: &Words,
    w: &Worker<'_>,
    input: ArrayViewD<'_, T>,
    mut slice: Slice<'_, T, IxDyn>,
) -> Result<[u64; N], String> {
    let meet = || (0..plan.meets).try_for_each(|meeting| come(w, meeting));
    meet()?;
    let context = Context { plan, words, rank: w.rank(), region: *w.region(), in_danger: in_danger(plan), step: 0 };
    let value = |_: &[usize], index: &[usize], before| value(plan, index, input[index], before);
    if plan.carry == Some(Carry::Before) {
        carry(plan, w, || ())?;
    }
    let who = match plan.carry {
        Some(Carry::Around) => {
            let mut who = Ok(Who::Parent);
            carry(plan, w, || who = context.work(&mut slice, value))?;
            who?
        }
        _ => context.work(&mut slice, value)?,
    };
    if let Who::Child(end) = who {
        return end.come_back().map(|()| [!0; N]);
    }
    if plan.carry == Some(Carry::After) {
        carry(plan, w, || ())?;
    }
    meet()?;
    Ok(answer(plan, w.region().index(), slice.iter()))
}

/// Meets the others, every second time with a value.
fn come(w: &Worker<'_>, meeting: usize) -> Result<(), String> {
    if meeting.is_multiple_of(2) {
        return w.barrier().map_err(|error| error.to_string());
    }
    let all = w.all(w.rank()).map_err(|error| error.to_string())?;
    if all.into_iter().eq(0..w.workers()) { Ok(()) } else { Err("values of a meeting are others'".to_owned()) }
}

/// Is given what the slice before has handed on, and hands on what the next one is to be given; in between does `work`.
fn carry(plan: &Plan, w: &Worker<'_>, work: impl FnOnce()) -> Result<(), String> {
    let slice = w.region().index();
    // The first slice is given what one before it would have handed on.
    let of = |slice: usize| [slice as u64, mix(plan.salt ^ !(slice as u64)), plan.salt];
    let right = of(slice.wrapping_sub(1));
    let given = w.carry(right, |given| {
        work();
        if given == right { of(slice) } else { given }
    });
    match given {
        Ok(given) if given == right => Ok(()),
        Ok(given) => Err(format!("slice {slice} is given {given:?} and not {right:?}")),
        Err(error) => Err(error.to_string()),
    }
}
