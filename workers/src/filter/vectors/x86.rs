//! The vectors of x86-64: SSE2, AVX2 with its kin, and AVX-512.

use super::{Vectors, Work};
use pulp::{NullaryFnOnce, cast};

mod v1;
mod v3;
mod v4;

pulp::simd_type! {
    /// AVX-512 as CPUs have it since Ice Lake and Zen 4. The compiler then makes one instruction of a product of pairs
    /// and its addition to a sum, and moves bytes over whole registers.
    pub(super) struct Later {
        avx512f: "avx512f",
        avx512bw: "avx512bw",
        avx512cd: "avx512cd",
        avx512dq: "avx512dq",
        avx512vl: "avx512vl",
        avx512vbmi: "avx512vbmi",
        avx512vbmi2: "avx512vbmi2",
        avx512vnni: "avx512vnni",
        avx2: "avx2",
        bmi1: "bmi1",
        bmi2: "bmi2",
        fma: "fma",
        lzcnt: "lzcnt",
        popcnt: "popcnt",
    }
}

/// A [`Work`] that knows its vectors.
pub(super) struct Known<W, V>(pub(super) W, pub(super) V);

impl<W: Work, V: Vectors> NullaryFnOnce for Known<W, V> {
    type Output = W::Output;

    #[inline(always)]
    fn call(self) -> W::Output {
        self.0.with(self.1)
    }
}

/// What `of` makes of each. Not `array::map`: that is compiled without these instructions wherever it is not inlined,
/// and every intrinsic in the closure then is a call.
#[inline(always)]
fn each<T: Copy, U: Copy, const N: usize>(values: [T; N], of: impl Fn(T) -> U) -> [U; N] {
    let mut results = [of(values[0]); N];
    for n in 1..N {
        results[n] = of(values[n]);
    }
    results
}

/// Two weights in a lane of 32 bits.
#[inline(always)]
fn joined(weights: [i16; 2]) -> i32 {
    cast(weights)
}
