//! Pi by chance: four times the share of points of a square that lie in the quarter of a circle.
//!
//! Points come in blocks, each with a stream of random numbers of its own, so that the answer has the same bits however the blocks are cut
//! into slices, and whoever counts them.

use std::ops::Range;

use parfork::{Answers, Error, Job, Philox, Report};

use crate::kernel::{
    Arg, ArgValues, Fact, Files, Form, InScale, Kernel, KernelError, Number, Output, Sizes, Step, Steps, Task, whole,
};

/// Points of a block.
const BLOCK: u64 = 1 << 16;

/// How many points of so many lie in the circle, slice by slice; the sum of the answers over all points is a quarter of pi, about.
///
/// The points of block `b`, 65,536 each, are those of `numpy.random.Generator(Philox(key=key, counter=[0, 0, 0, b])).random((65536, 2))`.
///
/// ```
/// use parfork::Job;
/// let hits: u64 = parfork_workers::pi::hits(Job::default().workers(2), 1_000_000, 42)?.sum();
/// assert_eq!(hits, 785_529);
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// # Errors
/// As [`Job::run_with`].
pub fn hits(job: Job<'_>, points: u64, key: u64) -> Result<Answers<u64>, Error> {
    let blocks = usize::try_from(points.div_ceil(BLOCK)).unwrap_or(usize::MAX);
    job.lend(0..blocks).run_with([points, key], |_, [points, key], mine| count(mine, points, key))
}

/// The hits of some blocks of so many points in all.
fn count(blocks: Range<usize>, points: u64, key: u64) -> u64 {
    let of_block = |block: u64| {
        let mut random = Philox::new([key, 0], [0, 0, 0, block]);
        let here = points.saturating_sub(block * BLOCK).min(BLOCK);
        (0..here).filter(|_| random.uniform().powi(2) + random.uniform().powi(2) < 1.0).count() as u64
    };
    blocks.map(|block| of_block(block as u64)).sum()
}

/// `pi`.
pub struct Pi;

impl Kernel for Pi {
    fn name(&self) -> &'static str {
        "pi"
    }

    fn summary(&self) -> &'static str {
        "Pi by chance: points of a square that lie in a circle"
    }

    fn notes(&self) -> String {
        "Examples:
  parfork pi
  parfork pi --points 1000000000 --key 7 -n 4 --verify

Points come in blocks of 65536, of which each has random numbers of its own (those of NumPy's Philox, key KEY, counter [0, 0, 0, block]): the
same answer for every -n, --split and schedule."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::text("points", "N", "How many points", whole::<u64>).or("100000000").in_scale(InScale::Never),
                Arg::text("key", "KEY", "Which random numbers", whole::<u64>).or("42"),
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[1 << 27], lengths: &[1], form: "a number of points", example: "1000000000" }
    }

    fn open(&self, given: &ArgValues, _files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        task(given.read("points"), given)
    }

    fn made_up(
        &self,
        given: &ArgValues,
        size: &[usize],
        _noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        task(size[0] as u64, given)
    }
}

/// No points, of which there is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("0 points were asked for. Ask for 1 or more.")]
pub struct NoPoints;

fn task(points: u64, given: &ArgValues) -> Result<Box<dyn Task>, KernelError> {
    if points == 0 {
        return Err(KernelError::arguments(NoPoints));
    }
    Ok(Box::new(Counting { points, key: given.read("key") }))
}

struct Counting {
    points: u64,
    key: u64,
}

impl Counting {
    fn pi(&self, hits: u64) -> Number {
        Number::Float(4.0 * hits as f64 / self.points as f64)
    }
}

impl Task for Counting {
    fn line(&self) -> String {
        format!("pi by {} points, key {}", self.points, self.key)
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        vec![("points", self.points.into()), ("key", self.key.into())]
    }

    fn form(&self) -> Form {
        Form::Number
    }

    fn output(&self) -> Result<Output, Error> {
        Ok(Output::Number(None))
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let answers = hits(jobs(Step::only("pi")), self.points, self.key)?;
        let report = answers.report().clone();
        *output = Output::Number(Some(self.pi(answers.sum())));
        Ok(vec![report])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parfork::{Engine, Split};

    /// NumPy 2.4.6, for each block b of 65536 points but the last, which has 16960:
    /// `r = numpy.random.Generator(numpy.random.Philox(key=42, counter=[0, 0, 0, b])); p = r.random((n, 2)); ((p ** 2).sum(1) < 1).sum()`.
    #[test]
    fn hits_are_those_of_numpy_however_they_are_counted() {
        for (split, engine) in [
            (Split::rows(), Engine::Serial),
            (Split::rows().of(5), Engine::Threads),
            (Split::rows().into_pieces(3), Engine::Threads),
        ] {
            let job = Job::default().workers(2).split(split).runner(engine);
            assert_eq!(hits(job, 1_000_000, 42).unwrap().sum(), 785_529, "{split}");
        }
        assert_eq!(hits(Job::default().runner(Engine::Serial), 0, 42).unwrap().sum(), 0);
    }
}
