//! Jobs of steps: each cell becomes something of itself and all around it, again and again.

use bytemuck::Pod;
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use parfork::{Answers, Border, Crew, Job, Planes, Slice, Worker};

use crate::body::{Cell, Context, answer};
use crate::offspring::Who;
use crate::page::Words;
use crate::plan::Plan;
use crate::rng::mix;
use crate::trial::{in_danger, told};

/// The borders of all planes, an axis each.
const BORDERS: [[Border<u8>; 2]; 2] = [[Border::Wrap, Border::Wrap], [Border::Replicate, Border::Constant(3)]];

/// What a cell becomes in a step, of the cells around it in the order of memory, itself included.
fn next<'c, T: Cell>(salt: u64, step: u32, near: impl Iterator<Item = &'c T>) -> T {
    T::of(near.fold(salt ^ u64::from(step), |sum, cell| mix(sum ^ cell.bits())))
}

/// The same steps by a loop, each neighbour looked up by itself.
pub(crate) fn right<T: Cell>(plan: &Plan, start: &ArrayD<T>) -> ArrayD<T> {
    (0..plan.steps).fold(start.clone(), |now, step| {
        ArrayD::from_shape_fn(now.raw_dim(), |index| {
            let index = ndarray::Dimension::slice(&index);
            let near: Vec<T> = offsets(index.len()).map(|offset| at(&now, index, &offset)).collect();
            next(plan.salt, step, near.iter())
        })
    })
}

/// All ways to go one cell on, or none, along each axis.
fn offsets(axes: usize) -> impl Iterator<Item = Vec<isize>> {
    (0..3_usize.pow(axes as u32)).map(move |number| {
        (0..axes).map(|axis| (number / 3_usize.pow((axes - 1 - axis) as u32) % 3) as isize - 1).collect()
    })
}

fn at<T: Cell>(now: &ArrayD<T>, index: &[usize], offset: &[isize]) -> T {
    let mut there = Vec::new();
    for (axis, (&index, &offset)) in index.iter().zip(offset).enumerate() {
        let (at, length) = (index as isize + offset, now.shape()[axis] as isize);
        let inside = (0..length).contains(&at);
        match BORDERS[axis][usize::from(at >= 0)] {
            _ if inside => there.push(at as usize),
            Border::Wrap => there.push(at.rem_euclid(length) as usize),
            Border::Constant(value) => return T::of(u64::from(value)),
            _ => there.push(at.clamp(0, length - 1) as usize),
        }
    }
    now[&there[..]]
}

/// Runs the steps; what they left, if they came to the end.
///
/// # Errors
/// The job's.
pub(crate) fn run<T: Cell, const N: usize>(
    plan: &Plan,
    words: &Words,
    job: Job<'_>,
    start: &ArrayD<T>,
    crew: Option<&mut Crew>,
) -> parfork::Result<(ArrayD<T>, Answers<[u64; N]>)>
where
    [u64; N]: Pod,
{
    let border = |border: Border<u8>| match border {
        Border::Constant(value) => Border::Constant(T::of(u64::from(value))),
        Border::Wrap => Border::Wrap,
        _ => Border::Replicate,
    };
    let edges: Vec<_> = BORDERS.iter().take(start.ndim()).map(|&[low, high]| (1, border(low), border(high))).collect();
    let mut planes = Planes::with_edges(start, &edges)?;
    let job = job.steps(plan.steps).depth(plan.depth);
    let answers = match crew {
        None => job.lend(&mut planes).run(|w, (old, new)| labour::<T, N>(plan, words, w, &old, new))?,
        Some(crew) => job.crew(crew).lend(&mut planes).run_with(plan.salt, |w, salt, (old, new)| {
            let (plan, words) = told();
            labour::<T, N>(&Plan { salt, ..plan.clone() }, words, w, &old, new)
        })?,
    };
    Ok((planes.view()?.to_owned(), answers))
}

/// The body.
fn labour<T: Cell, const N: usize>(
    plan: &Plan,
    words: &Words,
    w: &Worker<'_>,
    old: &ArrayViewD<'_, T>,
    mut new: Slice<'_, T, IxDyn>,
) -> Result<[u64; N], String> {
    let context =
        Context { plan, words, rank: w.rank(), region: *w.region(), in_danger: in_danger(plan), step: w.step() };
    let value = |here: &[usize], _: &[usize], _: T| {
        let mut near = old.view();
        here.iter()
            .enumerate()
            .for_each(|(axis, &at)| near.slice_axis_inplace(ndarray::Axis(axis), (at..at + 3).into()));
        next(plan.salt, w.step(), near.iter())
    };
    if let Who::Child(end) = context.work(&mut new, value)? {
        return end.come_back().map(|()| [!0; N]);
    }
    Ok(answer(plan, w.region().index(), new.iter()))
}
