//! Prefix sums: element i of the result is the sum of the elements up to it, as NumPy's `cumsum` has it.
//!
//! In one pass over memory: a slice is summed, the slice before hands on what all before it come to, and the sums of this one are written
//! while it is in the cache. So that the bits are the same however the result is cut, elements are added in a fixed order: those of a block
//! of [`BLOCK`] in 32 lanes (element i of the block to lane i % 32, then the lanes two by two), and blocks one after the other. A sum is what
//! all blocks before its own come to, plus the elements of its block, eight at a time: the sums within these two by two, added to what
//! stands before them. Integers wrap around, as NumPy's do, so that no order matters.

mod kernel;

use ndarray::{ArrayView1, Ix1};
use pulp::{Simd, WithSimd};

use crate::simd;
use parfork::{Answers, Element, Error, Input, Job, Shared, Slice, Split};

pub use kernel::{Scan, ScanInputError};

/// Elements of a block: 256 KiB of `f64`, half of a second-level cache, the sums included.
pub const BLOCK: usize = 1 << 14;

/// Accumulators of a block's sum.
const LANES: usize = 32;

/// What sums are made of.
pub trait Sum: Element + Default + Send + Sync {
    /// The sum of two.
    fn plus(self, other: Self) -> Self;

    /// About what it is.
    fn approximate(self) -> f64;

    /// How much of a sum rounding may take at most, in parts of it; 0 of what is exact.
    const ROUNDING: f64;
}

/// What can be summed, in the type that NumPy sums it in.
pub trait Summand: Element + Send + Sync {
    /// That type.
    type Sum: Sum;

    /// The number in it.
    fn widen(self) -> Self::Sum;
}

macro_rules! summands {
    ($($number:ty => $sum:ty),*) => {$(
        impl Summand for $number {
            type Sum = $sum;

            #[inline(always)]
            fn widen(self) -> $sum {
                self as $sum
            }
        }
    )*};
}

summands!(f32 => f32, f64 => f64, i8 => i64, i16 => i64, i32 => i64, i64 => i64, u8 => u64, u16 => u64, u32 => u64, u64 => u64);

macro_rules! sums {
    ($($sum:ty, $rounding:expr, $plus:expr;)*) => {$(
        impl Sum for $sum {
            const ROUNDING: f64 = $rounding;

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                let plus: fn(Self, Self) -> Self = $plus;
                plus(self, other)
            }

            fn approximate(self) -> f64 {
                self as f64
            }
        }
    )*};
}

sums! {
    f32, f32::EPSILON as f64, |a, b| a + b;
    f64, f64::EPSILON, |a, b| a + b;
    i64, 0.0, Self::wrapping_add;
    u64, 0.0, Self::wrapping_add;
}

/// The sum of a block.
struct Total<'a, T>(&'a [T]);

impl<T: Summand> WithSimd for Total<'_, T> {
    type Output = T::Sum;

    /// For the compiler to vectorise, with all that it calls in it.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> T::Sum {
        let mut lanes = [T::Sum::default(); LANES];
        let (rounds, rest) = self.0.as_chunks::<LANES>();
        for round in rounds {
            for (lane, &number) in lanes.iter_mut().zip(round) {
                *lane = lane.plus(number.widen());
            }
        }
        for (lane, &number) in lanes.iter_mut().zip(rest) {
            *lane = lane.plus(number.widen());
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for at in 0..width {
                lanes[at] = lanes[at].plus(lanes[at + width]);
            }
        }
        lanes[0]
    }
}

/// The sums of a block's elements from its begin on, after so much before it; the first `skip` are not written.
struct Write<'a, T: Summand> {
    numbers: &'a [T],
    before: T::Sum,
    skip: usize,
    sums: &'a mut [T::Sum],
}

impl<T: Summand> WithSimd for Write<'_, T> {
    type Output = ();

    /// As above.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { numbers, mut before, skip, mut sums } = self;
        // What is not written is summed all the same: what stands before the rest is what it always is.
        let (unwritten, mut numbers) = numbers.split_at(skip / 8 * 8);
        for group in unwritten.as_chunks().0 {
            before = before.plus(within(group)[7]);
        }
        let inside = skip % 8;
        if inside > 0 {
            let group = within(&padded(numbers));
            let (to, rest) = sums.split_at_mut(sums.len().min(8 - inside));
            to.iter_mut().zip(&group[inside..]).for_each(|(to, &sum)| *to = before.plus(sum));
            (before, sums, numbers) = (before.plus(group[7]), rest, &numbers[numbers.len().min(8)..]);
        }
        let (groups, rest) = sums.as_chunks_mut::<8>();
        for (to, group) in groups.iter_mut().zip(numbers.as_chunks().0) {
            let group = within(group);
            for (to, sum) in to.iter_mut().zip(group) {
                *to = before.plus(sum);
            }
            before = before.plus(group[7]);
        }
        let last = within(&padded(&numbers[8 * groups.len()..]));
        rest.iter_mut().zip(last).for_each(|(to, sum)| *to = before.plus(sum));
    }
}

/// The first eight of these numbers, or as many as there are and zeros.
#[inline(always)]
fn padded<T: Summand>(numbers: &[T]) -> [T; 8] {
    let mut group = [T::zeroed(); 8];
    group.iter_mut().zip(numbers).for_each(|(to, &number)| *to = number);
    group
}

/// The sums within eight numbers, two by two.
#[inline(always)]
fn within<T: Summand>(group: &[T; 8]) -> [T::Sum; 8] {
    let [a, b, c, d, e, f, g, h] = group.map(Summand::widen);
    let (ab, cd, ef, gh) = (a.plus(b), c.plus(d), e.plus(f), g.plus(h));
    let (abcd, efgh) = (ab.plus(cd), ef.plus(gh));
    [a, ab, ab.plus(c), abcd, abcd.plus(e), abcd.plus(ef), abcd.plus(ef.plus(g)), abcd.plus(efgh)]
}

/// Writes the prefix sums of `numbers` to `sums`.
///
/// ```
/// use parfork::{Job, Shared};
/// let numbers = Shared::from_array(&ndarray::array![3_u8, 1, 4, 1, 5])?;
/// let mut sums = Shared::zeros(5)?;
/// parfork_workers::scan::run::<u8>(Job::default().workers(2), &numbers, &mut sums)?;
/// assert_eq!(sums.as_slice(), [3, 4, 8, 9, 14]);
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// # Errors
/// If `sums` is not as long; and as [`Job::run`], also if slices are not to be dealt one by one
/// ([`Worker::carry`](parfork::Worker::carry)).
pub fn run<'a, T: Summand>(
    job: Job<'_>,
    numbers: impl Into<Input<'a, T, Ix1>>,
    sums: &mut Shared<T::Sum, Ix1>,
) -> Result<Answers<()>, Error> {
    let numbers = numbers.into();
    if numbers.shape() != sums.shape() {
        return Err(Error::kernel(ScanError { numbers: numbers.shape()[0], sums: sums.len() }));
    }
    let job = job.default_split(Split::rows().of(BLOCK)).body_overwrites();
    job.lend((numbers, sums)).run_with((), |w, (), (numbers, mut sums): (_, Slice<T::Sum, Ix1>)| {
        let numbers: ArrayView1<T> = numbers;
        let numbers = numbers.to_slice().expect("a flat array is in one piece");
        let mine = sums.rows();
        let (begin, end) = (mine.start / BLOCK * BLOCK, mine.end / BLOCK * BLOCK);
        let arch = simd::arch();
        let blocks = numbers[begin..end.max(begin)].chunks(BLOCK);
        let totals: Vec<T::Sum> = blocks.map(|block| arch.dispatch(Total(block))).collect();
        // What all blocks before the one in which the next slice begins come to.
        let mut before =
            w.carry(T::Sum::default(), |before| totals.iter().fold(before, |before, &total| before.plus(total)))?;
        let mut sums = sums.as_slice_mut().expect("a flat array is in one piece");
        let (mut at, mut totals) = (begin, totals.into_iter());
        while !sums.is_empty() {
            let numbers = &numbers[at..numbers.len().min(at + BLOCK)];
            let skip = mine.start.saturating_sub(at);
            let (to, rest) = sums.split_at_mut((numbers.len() - skip).min(sums.len()));
            arch.dispatch(Write { numbers, before, skip, sums: to });
            (sums, at) = (rest, at + BLOCK);
            before = totals.next().map_or(before, |total| before.plus(total));
        }
        Ok::<(), Error>(())
    })
}

/// A result that is not as long as what is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prefix sums of {numbers} elements do not go into {sums}. Give a result as long.")]
pub struct ScanError {
    /// How many elements there are.
    pub numbers: usize,
    /// How many there is room for.
    pub sums: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use parfork::Engine;
    use proptest::prelude::*;

    fn scan<T: Summand>(numbers: &[T], workers: usize, split: Option<Split>) -> Vec<T::Sum> {
        let given = Shared::from_array(&ArrayView1::from(numbers).to_owned()).unwrap();
        let mut sums = Shared::zeros(numbers.len()).unwrap();
        let mut job = Job::default().workers(workers).runner(Engine::Threads);
        job.spec_mut().split = split;
        run::<T>(job, &given, &mut sums).unwrap();
        sums.as_slice().to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        /// The same bits for any cut, and for integers the sums of a naive loop.
        #[test]
        fn sums_do_not_depend_on_the_cut(
            seed in any::<u64>(),
            length in 0..5 * BLOCK,
            of in prop_oneof![1000..3 * BLOCK, Just(BLOCK), Just(2 * BLOCK)],
            workers in 1..5_usize,
        ) {
            let numbers: Vec<f64> = (0..length as u64).map(|at| (seed.wrapping_mul(at + 1) >> 12) as f64 - 1e15).collect();
            let whole = scan(&numbers, 1, None);
            let cut = scan(&numbers, workers, Some(Split::rows().of(of)));
            prop_assert!(whole.iter().map(|sum| sum.to_bits()).eq(cut.iter().map(|sum| sum.to_bits())));
            let ints: Vec<i32> = numbers.iter().map(|&number| number as i64 as i32).collect();
            let naive = ints.iter().scan(0_i64, |sum, &number| {
                *sum += i64::from(number);
                Some(*sum)
            });
            prop_assert!(naive.eq(scan(&ints, workers, Some(Split::rows().of(of)))));
            // Sums of whole numbers that are exact in any order.
            let small: Vec<f32> = ints.iter().map(|number| (number % 8) as f32).collect();
            let naive = small.iter().scan(0.0_f32, |sum, number| {
                *sum += number;
                Some(*sum)
            });
            prop_assert!(naive.eq(scan(&small, workers, Some(Split::rows().of(of)))));
        }
    }

    /// Element by element, as the page at the top says it.
    #[test]
    fn the_order_of_additions_is_the_one_that_is_told() {
        let numbers: Vec<f32> = (0..2 * BLOCK + 21).map(|at| 1.0 / (at + 1) as f32).collect();
        let found = scan(&numbers, 2, None);
        let mut before = 0.0_f32;
        for (block, sums) in numbers.chunks(BLOCK).zip(found.chunks(BLOCK)) {
            let mut group_before = before;
            for (group, sums) in block.chunks(8).zip(sums.chunks(8)) {
                let mut eight = [0.0_f32; 8];
                eight[..group.len()].copy_from_slice(group);
                let [a, b, c, d, e, f, g, h] = eight;
                let four = (a + b) + (c + d);
                let within = [
                    a,
                    a + b,
                    (a + b) + c,
                    four,
                    four + e,
                    four + (e + f),
                    four + ((e + f) + g),
                    four + ((e + f) + (g + h)),
                ];
                assert!(sums.iter().zip(within).all(|(&sum, within)| sum == group_before + within));
                group_before += within[7];
            }
            let mut lanes = [0.0_f32; 32];
            block.iter().enumerate().for_each(|(at, number)| lanes[at % 32] += number);
            for width in [16, 8, 4, 2, 1] {
                (0..width).for_each(|at| lanes[at] += lanes[at + width]);
            }
            before += lanes[0];
        }
    }

    /// NumPy 2.4.6: `np.cumsum(np.array([120, 7, -128], 'i1'))`, `np.cumsum(np.array([2**64 - 1, 2], 'u8'))`.
    #[test]
    fn integers_are_summed_in_the_type_of_numpy_and_wrap_around() {
        assert_eq!(scan(&[120_i8, 7, -128], 2, None), [120, 127, -1]);
        assert_eq!(scan(&[u64::MAX, 2], 1, None), [u64::MAX, 1]);
        assert_eq!(scan::<f64>(&[], 1, None), []);
    }

    #[test]
    fn a_schedule_that_hands_nothing_on_is_refused_with_a_remedy() {
        let (numbers, mut sums) = (Shared::<f64, _>::zeros(9).unwrap(), Shared::zeros(9).unwrap());
        let job = Job::default().runner(Engine::Serial).schedule(parfork::Schedule::Static);
        let refused = run::<f64>(job, &numbers, &mut sums).unwrap_err().to_string();
        assert!(refused.contains("the schedule is static") && refused.contains("Schedule::DYNAMIC"), "{refused}");
    }
}
