//! The least or the greatest element of one block.

use super::Partial;
use super::scan::{Accumulate, LANES, Lanes, Stored, scan};

/// A number that can be compared, and put into a partial.
pub(super) trait Ordered: Copy + PartialOrd {
    fn partial(self) -> Partial;
}

macro_rules! ordered {
    ($($number:ty => $wrap:path),*) => {$(
        impl Ordered for $number {
            fn partial(self) -> Partial {
                $wrap(self.into())
            }
        }
    )*};
}

ordered!(
    i8 => Partial::of_int, i16 => Partial::of_int, i32 => Partial::of_int, i64 => Partial::of_int,
    u8 => Partial::of_int, u16 => Partial::of_int, u32 => Partial::of_int, u64 => Partial::of_int,
    f32 => Partial::of_float, f64 => Partial::of_float
);

/// The best so far of each lane, and the last NaN it saw if any: comparisons alone would forget it.
pub(super) struct Best<V, const GREATEST: bool> {
    best: [V; LANES],
    odd: [V; LANES],
}

impl<V: Ordered, const GREATEST: bool> Best<V, GREATEST> {
    /// Of the first number of each lane.
    pub(super) fn of(first: [V; LANES]) -> Self {
        Self { best: first, odd: first }
    }
}

impl<V: Ordered, const GREATEST: bool> Lanes for Best<V, GREATEST> {
    fn partial(&self, lane: usize) -> Option<Partial> {
        let odd = self.odd[lane];
        Some(if odd.partial_cmp(&odd).is_none() { odd } else { self.best[lane] }.partial())
    }
}

/// Whether `one` is to be kept rather than `other`; never if either is NaN.
#[inline(always)]
fn beats<V: PartialOrd, const GREATEST: bool>(one: V, other: V) -> bool {
    if GREATEST { one > other } else { one < other }
}

impl<V: Ordered, const GREATEST: bool> Accumulate<V> for Best<V, GREATEST> {
    // A number differs from itself only if it is NaN; for integers the compiler drops the line.
    #[inline(always)]
    #[expect(clippy::eq_op, reason = "the test for NaN that every number type has")]
    fn take(&mut self, lane: usize, value: V) {
        self.best[lane] = if beats::<V, GREATEST>(value, self.best[lane]) { value } else { self.best[lane] };
        self.odd[lane] = if value != value { value } else { self.odd[lane] };
    }
}

/// The least (or greatest) element of a block, NaN if there is one; [`Partial::NONE`] without elements.
pub(super) fn extremum<S: Stored<Value: Ordered>, const GREATEST: bool>(bytes: &[u8]) -> Partial {
    let Some(&first) = bytemuck::cast_slice::<u8, S::Bytes>(bytes).first() else {
        return Partial::NONE;
    };
    let first = S::read(first);
    let lanes = scan::<S, _>(bytes, Best::<_, GREATEST>::of([first; LANES]));
    let nan = lanes.odd.into_iter().find(|odd| odd.partial_cmp(odd).is_none());
    let best = lanes.best.into_iter().reduce(|one, other| if beats::<_, GREATEST>(other, one) { other } else { one });
    nan.or(best).unwrap_or(first).partial()
}
