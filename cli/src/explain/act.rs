//! The job that is explained: B is A turned over its diagonal, by two workers, two rows each, who then tell each other the sums of their
//! rows.

use ndarray::Ix2;
use parfork::{Job, Schedule, Shared, Split};

use crate::calls;

/// Rows, and columns, of both arrays.
pub const N: usize = 4;
pub const WORKERS: usize = 2;

/// What the job says of itself. All are addresses and numbers of the real thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The coordinator's process.
    pub coordinator: u64,
    /// Where the coordinator has A and B.
    pub own: [u64; 2],
    /// For each worker its process, and where it has A and B.
    pub workers: [[u64; 3]; WORKERS],
    /// What each worker was told at the barrier: the sums of its rows of all workers.
    pub sums: [[u64; WORKERS]; WORKERS],
    /// What is in them at the end, row by row.
    pub a: [u64; N * N],
    pub b: [u64; N * N],
}

/// What a text begins with that is an error instead of facts.
pub const FAILED: &str = "failed: ";

const FACTS: &str = "facts:";

impl Facts {
    /// As one line.
    pub fn to_text(&self) -> String {
        let numbers = [self.coordinator].into_iter().chain(self.own).chain(self.workers.into_iter().flatten());
        let numbers = numbers.chain(self.sums.into_iter().flatten());
        let numbers = numbers.chain(self.a).chain(self.b).map(|number| format!(" {number}"));
        format!("{FACTS}{}", numbers.collect::<String>())
    }

    /// What a line says, or why there are no facts.
    pub fn of_text(text: &str) -> Result<Self, String> {
        let Some(numbers) = text.strip_prefix(FACTS) else {
            return Err(text.strip_prefix(FAILED).unwrap_or("the job ended without a word. Run it again.").to_owned());
        };
        let mut numbers = numbers.split_whitespace().map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Ok(Self {
            coordinator: next(),
            own: std::array::from_fn(|_| next()),
            workers: std::array::from_fn(|_| std::array::from_fn(|_| next())),
            sums: std::array::from_fn(|_| std::array::from_fn(|_| next())),
            a: std::array::from_fn(|_| next()),
            b: std::array::from_fn(|_| next()),
        })
    }
}

/// Where the acts begin, as the coordinator marks them; and what happens in a body, as the workers do.
pub const MAKE_A: &str = "make A";
pub const FILL_A: &str = "fill A";
pub const MAKE_B: &str = "make B";
pub const JOB: &str = "job";
pub const BODY: &str = "body";
pub const WRITTEN: &str = "written";
pub const MET: &str = "met";
pub const GATHER: &str = "gather";
pub const DROP: &str = "drop";
pub const END: &str = "end";

/// Runs it. `mark` is told where in it the coordinator is.
pub fn play(mark: &dyn Fn(&str)) -> parfork::Result<Facts> {
    let coordinator = std::process::id().into();
    mark(MAKE_A);
    let mut a = Shared::<u64, Ix2>::zeros((N, N))?;
    mark(FILL_A);
    a.as_mut_slice().iter_mut().zip(0..).for_each(|(cell, number)| *cell = number);
    mark(MAKE_B);
    let mut b = Shared::<u64, Ix2>::zeros((N, N))?;
    mark(JOB);
    let job = Job::new((&a, &mut b)).name("explain").workers(WORKERS).schedule(Schedule::Static);
    let done = job.split(Split::rows().into_pieces(WORKERS)).run(|w, (a, mut rows)| {
        calls::mark(BODY);
        let first = rows.rows().start;
        for ((row, column), cell) in rows.indexed_iter_mut() {
            *cell = a[[column, first + row]];
        }
        calls::mark(WRITTEN);
        let sums = w.all(rows.iter().sum::<u64>())?;
        calls::mark(MET);
        Ok::<_, parfork::Error>([std::process::id().into(), sums[0], sums[1]])
    })?;
    mark(GATHER);
    let mut facts = Facts { coordinator, ..Facts::default() };
    facts.a.copy_from_slice(a.as_slice());
    facts.b.copy_from_slice(b.as_slice());
    facts.own = std::array::from_fn(|array| done.report().addresses[array] as u64);
    facts.workers = std::array::from_fn(|rank| {
        let addresses = &done.report().workers[rank].addresses;
        [done[rank][0], addresses[0] as u64, addresses[1] as u64]
    });
    facts.sums = std::array::from_fn(|rank| [done[rank][1], done[rank][2]]);
    mark(DROP);
    drop((a, b));
    mark(END);
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_there_and_back() {
        fn numbers<const N: usize>(start: u64) -> [u64; N] {
            std::array::from_fn(|at| start + at as u64)
        }
        let facts = Facts {
            coordinator: 4711,
            own: [0x7f00_0000_0000, 2],
            workers: [numbers(3), numbers(6)],
            sums: [numbers(9), numbers(11)],
            a: numbers(100),
            b: numbers(200),
        };
        assert_eq!(Facts::of_text(&facts.to_text()), Ok(facts));
        assert_eq!(Facts::of_text("failed: no memory. Buy some."), Err("no memory. Buy some.".to_owned()));
        assert!(Facts::of_text("drop").unwrap_err().contains("without a word"));
    }
}
