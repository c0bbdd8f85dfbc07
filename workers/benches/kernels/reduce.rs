//! Reductions of 1 GiB, beside rayon with 32 accumulators and beside the least that reading takes.

use std::error::Error;
use std::hint::black_box;

use parfork::Shared;
use parfork_workers::reduce::{self, Op};
use rayon::prelude::*;

use super::contest::{at_levels, contest, timed};
use super::{Hands, Run, WORKERS, wanted};

/// Of `f64`.
const ELEMENTS: usize = 1 << 27;

const OPS: [Op; 4] = [Op::Sum, Op::Min, Op::Max, Op::Norm];

pub fn section(words: &[&str]) -> Result<(), Box<dyn Error>> {
    let ours = at_levels("crew");
    let ours_first = ours.iter().map(String::as_str);
    let who: Vec<&str> =
        ours_first.chain(["crew", "rayon-32-lanes", "reading", "processes", "threads", "serial"]).collect();
    for op in OPS.into_iter().filter(|op| wanted(words, OPS.map(Op::name), op.name())) {
        let outcome = contest("reduce", &[op.name()], &who, 15)?;
        outcome.print(&format!("{op} of 1 GiB f64"), "crew", |times| {
            format!("{:>5.1} GB/s", (ELEMENTS * size_of::<f64>()) as f64 / times.least / 1e6)
        });
        let engines = ["crew", "processes", "threads", "serial"];
        outcome.judge(&ours, |name| !engines.contains(&name.split('@').next().unwrap_or(name)), 1.05);
    }
    Ok(())
}

pub fn contestant(case: &[&str], who: &str) -> Result<Run, Box<dyn Error>> {
    let op = OPS.into_iter().find(|op| op.name() == case[0]).ok_or("no such reduction")?;
    let mut bytes = Shared::<u8, _>::zeros(ELEMENTS * size_of::<f64>())?;
    for (i, number) in bytemuck::cast_slice_mut::<u8, f64>(bytes.as_mut_slice()).iter_mut().enumerate() {
        // Within -1..1, without a pattern.
        *number = f64::from((i as u32).wrapping_mul(0x9e37_79b9) >> 8) / f64::from(1 << 23) - 1.0;
    }
    if let Some(mut hands) = Hands::named(who)? {
        let dtype = "=f8".parse()?;
        return Ok(Box::new(move || {
            let (done, time) = timed(|| reduce::run(hands.job(), op, dtype, &bytes));
            black_box(done?);
            Ok(time)
        }));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
    let reading = who == "reading";
    Ok(Box::new(move || {
        let numbers = bytemuck::cast_slice(bytes.as_slice());
        Ok(timed(|| pool.install(|| black_box(if reading { read(numbers) } else { rayon_lanes(op, numbers) }))).1)
    }))
}

/// What rayon's users write who know of vectors: tasks of 64 Ki elements, 32 accumulators in each, in the widest vectors.
fn rayon_lanes(op: Op, numbers: &[f64]) -> f64 {
    fn folded(numbers: &[f64], start: f64, take: impl Fn(f64, f64) -> f64 + Copy + Send + Sync) -> f64 {
        let lanes = |chunk: &[f64]| {
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    let mut lanes = [start; 32];
                    let (rounds, rest) = chunk.as_chunks::<32>();
                    for round in rounds {
                        for (lane, &value) in lanes.iter_mut().zip(round) {
                            *lane = take(*lane, value);
                        }
                    }
                    (lanes, rest.iter().fold(start, |one, &other| take(one, other)))
                },
            )
        };
        let tasks: Vec<_> = numbers.par_chunks(65_536).map(lanes).collect();
        tasks.iter().map(|(lanes, rest)| lanes.iter().fold(*rest, |one, &other| one + other)).sum()
    }
    // Each with the operation that costs least: no look at NaN, nothing kept of what rounding loses. Lanes are put together
    // by addition in all of them, which is wrong for two and costs nothing.
    match op {
        Op::Min => folded(numbers, f64::INFINITY, |one, other| if other < one { other } else { one }),
        Op::Max => folded(numbers, f64::NEG_INFINITY, |one, other| if other > one { other } else { one }),
        Op::Norm => folded(numbers, 0.0, |one, other| one + other * other).sqrt(),
        _ => folded(numbers, 0.0, |one, other| one + other),
    }
}

/// Reads: half of the bytes on each CPU, from front to back, with next to nothing done with them.
fn read(numbers: &[f64]) -> f64 {
    let halves: Vec<f64> = numbers
        .par_chunks(numbers.len() / WORKERS)
        .map(|half| {
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    let mut lanes = [0_u64; 64];
                    for round in half.as_chunks::<64>().0 {
                        for (lane, &value) in lanes.iter_mut().zip(round) {
                            *lane |= value.to_bits();
                        }
                    }
                    f64::from_bits(lanes.iter().fold(0, |one, &other| one | other))
                },
            )
        })
        .collect();
    halves.iter().sum()
}
