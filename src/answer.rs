//! What a body may return for each slice, and all of it together.

use std::fmt::Display;
use std::ops::{Add, Deref};

use bytemuck::Pod;

use crate::report::Report;

/// What a body returns for each slice: nothing, a number, an array of plain data, or a `Result` of plain data.
///
/// An answer crosses from worker to coordinator as bytes in shared memory, so it is [`Pod`]. A type of your own that
/// derives `Pod` goes inside of `Ok`. An error crosses as text, and ends the job.
///
/// ```
/// # use parfork::Shared;
/// # let a = Shared::from_array(&ndarray::Array1::<f64>::ones(10))?;
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Moments { sum: f64, squares: f64 }
///
/// let moments = parfork::fork(2, &a, |w, a| {
///     let mine = w.slice_of(a);
///     if mine.is_empty() { return Err("nothing here") }
///     Ok(Moments { sum: mine.sum(), squares: mine.iter().map(|x| x * x).sum() })
/// })?;
/// assert_eq!(moments.iter().map(|m| m.sum).sum::<f64>(), 10.0);
/// # Ok::<(), parfork::Error>(())
/// ```
pub trait Answer {
    /// What the coordinator gets.
    type Value: Pod;

    /// The value, or why there is none.
    ///
    /// # Errors
    /// What the body gave as its error, as text.
    fn into_answer(self) -> Result<Self::Value, String>;
}

impl<A: Pod, E: Display> Answer for Result<A, E> {
    type Value = A;

    fn into_answer(self) -> Result<A, String> {
        self.map_err(|error| error.to_string())
    }
}

impl<A: Pod, const N: usize> Answer for [A; N]
where
    [A; N]: Pod,
{
    type Value = Self;

    fn into_answer(self) -> Result<Self, String> {
        Ok(self)
    }
}

macro_rules! plain_answers {
    ($($plain:ty)+) => {$(
        impl Answer for $plain {
            type Value = Self;

            fn into_answer(self) -> Result<Self, String> {
                Ok(self)
            }
        }
    )+};
}

plain_answers!(() u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

/// The answers of a job, one for each slice, in the order of slices, whoever worked on them. Reads as a slice `[A]`.
#[derive(Clone, Debug)]
pub struct Answers<A> {
    answers: Vec<A>,
    report: Report,
}

impl<A> Answers<A> {
    pub(crate) fn new(answers: Vec<A>, report: Report) -> Self {
        Self { answers, report }
    }

    /// Folds the answers in the order of slices: the same bits for any number of workers and any schedule.
    pub fn fold<B>(self, start: B, with: impl FnMut(B, A) -> B) -> B {
        self.answers.into_iter().fold(start, with)
    }

    /// The sum of the answers, added in the order of slices to the first; the default value if there are none.
    pub fn sum(self) -> A
    where
        A: Add<Output = A> + Default,
    {
        self.answers.into_iter().reduce(A::add).unwrap_or_default()
    }

    /// The answers.
    pub fn into_vec(self) -> Vec<A> {
        self.answers
    }

    /// Who did what, and what it cost.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

impl<A> Deref for Answers<A> {
    type Target = [A];

    fn deref(&self) -> &[A] {
        &self.answers
    }
}
