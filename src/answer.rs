//! What a body may return for each slice, and all of it together.

use std::fmt::Display;
use std::ops::{Add, Deref};

use bytemuck::{Pod, Zeroable};

use crate::report::Report;

/// What a body returns for each slice: nothing, a number, an array of plain data, a `Vec` of it, a `String`, or a `Result` of plain data, a
/// `Vec` or a `String`.
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
///
/// What has no fixed length, `Vec<T>` or `String`, is handed on through a file in memory that no process has mapped; it may be as long as
/// half of the memory that is free when the job begins, all answers together, for they are gathered while it is there.
///
/// ```
/// let primes = parfork::fork(2, 0..100, |_, mine| {
///     mine.filter(|&n| n > 1 && (2..n).all(|d| n % d > 0)).collect::<Vec<_>>()
/// })?;
/// assert_eq!(primes.concat().len(), 25);
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// The parameter is for the compiler to find: whether all answers have one length, [`Fixed`], or each its own, [`Growing`].
pub trait Answer<Length = Fixed> {
    /// What the coordinator gets.
    type Value;

    /// Whether each has its own length.
    #[doc(hidden)]
    const GROWS: bool;

    /// Bytes of one, or of one of its elements if it grows.
    #[doc(hidden)]
    const SIZE: usize;

    /// The value, or why there is none.
    ///
    /// # Errors
    /// What the body gave as its error, as text.
    fn into_answer(self) -> Result<Self::Value, String>;

    /// The bytes of a value.
    #[doc(hidden)]
    fn bytes(value: &Self::Value) -> &[u8];

    /// How many elements it has.
    #[doc(hidden)]
    fn elements(value: &Self::Value) -> usize;

    /// The value of so many elements, whose bytes are filled in; `None` if they are none.
    ///
    /// # Errors
    /// Of filling them in.
    #[doc(hidden)]
    fn read<E>(elements: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Option<Self::Value>, E>;
}

/// All answers have one length: see [`Answer`].
#[derive(Clone, Copy, Debug)]
pub struct Fixed;

/// Each answer has its own length: see [`Answer`].
#[derive(Clone, Copy, Debug)]
pub struct Growing;

/// What an answer of one length is made of.
macro_rules! fixed {
    ($value:ty) => {
        type Value = $value;
        const GROWS: bool = false;
        const SIZE: usize = size_of::<$value>();

        fn bytes(value: &$value) -> &[u8] {
            bytemuck::bytes_of(value)
        }

        fn elements(_value: &$value) -> usize {
            1
        }

        fn read<F>(_: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), F>) -> Result<Option<$value>, F> {
            let mut value = <$value as Zeroable>::zeroed();
            fill(bytemuck::bytes_of_mut(&mut value))?;
            Ok(Some(value))
        }
    };
}

/// What an answer that grows is made of: elements, and how they become it.
macro_rules! growing {
    ($value:ty, $element:ty, $from:expr) => {
        type Value = $value;
        const GROWS: bool = true;
        const SIZE: usize = size_of::<$element>();

        fn bytes(value: &$value) -> &[u8] {
            bytemuck::cast_slice::<$element, u8>(value.as_ref())
        }

        fn elements(value: &$value) -> usize {
            value.len()
        }

        fn read<F>(elements: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), F>) -> Result<Option<$value>, F> {
            let mut value = bytemuck::zeroed_vec::<$element>(elements);
            fill(bytemuck::cast_slice_mut(&mut value))?;
            Ok($from(value))
        }
    };
}

/// The value as it is.
macro_rules! as_it_is {
    () => {
        fn into_answer(self) -> Result<Self, String> {
            Ok(self)
        }
    };
}

impl<A: Pod, E: Display> Answer for Result<A, E> {
    fixed!(A);

    fn into_answer(self) -> Result<A, String> {
        self.map_err(|error| error.to_string())
    }
}

impl<A: Pod, const N: usize> Answer for [A; N]
where
    [A; N]: Pod,
{
    fixed!(Self);
    as_it_is!();
}

impl<T: Pod> Answer<Growing> for Vec<T> {
    growing!(Self, T, Some);
    as_it_is!();
}

impl Answer<Growing> for String {
    growing!(Self, u8, |bytes| Self::from_utf8(bytes).ok());
    as_it_is!();
}

impl<T: Pod, E: Display> Answer<Growing> for Result<Vec<T>, E> {
    growing!(Vec<T>, T, Some);

    fn into_answer(self) -> Result<Vec<T>, String> {
        self.map_err(|error| error.to_string())
    }
}

impl<E: Display> Answer<Growing> for Result<String, E> {
    growing!(String, u8, |bytes| String::from_utf8(bytes).ok());

    fn into_answer(self) -> Result<String, String> {
        self.map_err(|error| error.to_string())
    }
}

macro_rules! plain_answers {
    ($($plain:ty)+) => {$(
        impl Answer for $plain {
            fixed!(Self);
            as_it_is!();
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

    pub(crate) fn into_report(self) -> Report {
        self.report
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
