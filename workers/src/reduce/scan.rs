//! One pass over the bytes of a block: decode, deal to lanes, take.
//!
//! Element i of a block goes to lane i % [`LANES`], on every CPU, so the bits are the same whatever its vectors are.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::Partial;
use crate::simd;

use crate::sys::prefetch::prefetch;

/// Independent accumulators: four AVX-512 registers of `f64`, enough to hide the latency of an addition.
pub(super) const LANES: usize = 32;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Bytes that are asked for at a time, whole rounds of lanes of any element.
const BURST: usize = 512;

/// How far ahead of what is computed memory is asked for, over the end of a block into the next. A core that is to have as many
/// reads under way as it can must look further ahead than instructions are, and keeping what rounding loses takes many of
/// them. Without this a core sums 9.5 GB/s where adding alone reads 17; with it 17. 1.5 to 2.5 KiB are alike; 3 and more, and
/// bursts of 256 or more than 1024 bytes, give 12 to 14.
const AHEAD: usize = 2048;

/// The same where registers do not hold all lanes: a line at a time then, for each round has more instructions than a core looks ahead.
/// An EPYC (Zen 2) with AVX2 sums 25 GB/s so on two cores, which is what it reads; without it 21, in bursts of 2 KiB, 2 KiB ahead, 12.
const NEAR: usize = 1024;

/// Elements that are put into the order of bytes that is scanned at a time: whole rounds, and few enough to stay in the first cache.
const PIECE: usize = 64 * LANES;

/// What turns the bytes of an element as stored into those that are scanned.
type Turn<S> = fn(<S as Stored>::Bytes) -> <<S as Stored>::Scanned as Stored>::Bytes;

/// An element type as stored: how its bytes become a number.
pub(super) trait Stored: Sized {
    /// The bytes of one element, without alignment.
    type Bytes: bytemuck::Pod;
    /// The number.
    type Value: Copy;
    /// The same numbers as they are scanned. Others are turned into these first: a scan of its own for each order of bytes was a
    /// quarter of the machine code of all kernels.
    type Scanned: Stored<Value = Self::Value>;
    /// How, or not at all.
    const TURN: Option<Turn<Self>> = None;

    fn read(bytes: Self::Bytes) -> Self::Value;
}

/// `T`, least significant byte first.
pub(super) struct Little<T>(PhantomData<T>);

/// `T`, most significant byte first.
pub(super) struct Big<T>(PhantomData<T>);

macro_rules! stored {
    ($($number:ty),*) => {$(
        impl Stored for Little<$number> {
            type Bytes = [u8; size_of::<$number>()];
            type Value = $number;
            type Scanned = Self;
            #[inline(always)]
            fn read(bytes: Self::Bytes) -> $number {
                <$number>::from_le_bytes(bytes)
            }
        }

        impl Stored for Big<$number> {
            type Bytes = [u8; size_of::<$number>()];
            type Value = $number;
            type Scanned = Little<$number>;
            const TURN: Option<Turn<Self>> = Some(reversed);
            #[inline(always)]
            fn read(bytes: Self::Bytes) -> $number {
                <$number>::from_be_bytes(bytes)
            }
        }
    )*};
}

stored!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

impl Stored for Little<half::f16> {
    type Bytes = [u8; 2];
    type Value = f32;
    type Scanned = Self;
    #[inline(always)]
    fn read(bytes: [u8; 2]) -> f32 {
        widen(u16::from_le_bytes(bytes))
    }
}

impl Stored for Big<half::f16> {
    type Bytes = [u8; 2];
    type Value = f32;
    type Scanned = Little<half::f16>;
    const TURN: Option<Turn<Self>> = Some(reversed);
    #[inline(always)]
    fn read(bytes: [u8; 2]) -> f32 {
        widen(u16::from_be_bytes(bytes))
    }
}

impl Stored for bool {
    type Bytes = u8;
    type Value = u8;
    type Scanned = Little<u8>;
    const TURN: Option<Turn<Self>> = Some(|byte| [Self::read(byte)]);
    #[inline(always)]
    fn read(byte: u8) -> u8 {
        u8::from(byte != 0)
    }
}

#[inline(always)]
fn reversed<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    bytes.reverse();
    bytes
}

/// Half to single precision, exactly and without a branch, so that it vectorizes; `half` asks the CPU at every call.
#[inline(always)]
fn widen(half: u16) -> f32 {
    let magnitude = u32::from(half & 0x7fff);
    // Below 2^-14 a half is a plain count of 2^-24; taken as bits it would be a subnormal, slow to compute with.
    let small = (magnitude as f32 * f32::from_bits((127 - 24) << 23)).to_bits();
    // Else its fields move into place, and its exponent changes by the difference of the biases: twice for 31, the
    // exponent of infinity and NaN, to make it 255.
    let rebias = if magnitude >= 0x7c00 { 2 * (112 << 23) } else { 112 << 23 };
    let bits = if magnitude < 0x0400 { small } else { (magnitude << 13) + rebias };
    f32::from_bits(bits | u32::from(half & 0x8000) << 16)
}

/// Accumulators that take one number at a time into one of their lanes.
pub(super) trait Accumulate<V> {
    fn take(&mut self, lane: usize, value: V);
}

/// Accumulators of which each lane may be looked at: where lanes are columns.
pub(super) trait Lanes {
    /// What a lane has; `None` if its column has to be looked at in another way.
    fn partial(&self, lane: usize) -> Option<Partial>;
}

/// Runs all elements of `bytes` through `taker`, in the widest vectors that the CPU has.
pub(super) fn scan<S: Stored, T: Accumulate<S::Value>>(bytes: &[u8], mut taker: T) -> T {
    let Some(turn) = S::TURN else {
        return widest::<S::Scanned, T>(bytemuck::cast_slice(bytes), taker);
    };
    let mut piece = [bytemuck::Zeroable::zeroed(); PIECE];
    for elements in bytemuck::cast_slice::<u8, S::Bytes>(bytes).chunks(PIECE) {
        piece.iter_mut().zip(elements).for_each(|(turned, &bytes)| *turned = turn(bytes));
        taker = widest::<S::Scanned, T>(&piece[..elements.len()], taker);
    }
    taker
}

fn widest<S: Stored, T: Accumulate<S::Value>>(elements: &[S::Bytes], taker: T) -> T {
    simd::arch().dispatch(Scan { elements, taker, stored: PhantomData::<S> })
}

struct Scan<'a, S: Stored, T> {
    elements: &'a [S::Bytes],
    taker: T,
    stored: PhantomData<S>,
}

impl<S: Stored, T: Accumulate<S::Value>> WithSimd for Scan<'_, S, T> {
    type Output = T;

    #[inline(always)]
    fn with_simd<V: Simd>(self, _: V) -> T {
        let mut taker = self.taker;
        let (rounds, rest) = self.elements.as_chunks::<LANES>();
        // Half of the registers at most: numbers on their way need some as well.
        let fit = size_of::<T>() <= V::REGISTER_COUNT / 2 * size_of::<V::f64s>();
        if !fit && size_of::<S::Bytes>() == 8 {
            for round in rounds {
                for line in (0..size_of_val(round)).step_by(LINE) {
                    prefetch(round, NEAR + line);
                }
                deal::<S, T>(round, &mut taker);
            }
        } else {
            let bursts = rounds.chunks_exact(BURST / (LANES * size_of::<S::Bytes>()));
            let after = bursts.remainder();
            for burst in bursts {
                for line in (0..BURST).step_by(LINE) {
                    prefetch(burst, AHEAD + line);
                }
                for round in burst {
                    deal::<S, T>(round, &mut taker);
                }
            }
            for round in after {
                deal::<S, T>(round, &mut taker);
            }
        }
        for (lane, &bytes) in rest.iter().enumerate() {
            taker.take(lane, S::read(bytes));
        }
        taker
    }
}

/// A number for each lane.
#[inline(always)]
pub(super) fn deal<S: Stored, T: Accumulate<S::Value>>(round: &[S::Bytes; LANES], taker: &mut T) {
    if size_of::<S::Bytes>() == 8 {
        // Taken one by one as they are decoded: the compiler loads a whole round backwards otherwise, and memory that is read
        // in rising order comes at 17 GB/s a core, not 13.
        for (lane, &bytes) in round.iter().enumerate() {
            taker.take(lane, S::read(bytes));
        }
        return;
    }
    // Decoded in a loop of its own: in one with the taking, some types stay scalar (f4 norms: 9 GB/s, not 30).
    let mut values = [S::read(round[0]); LANES];
    for (value, &bytes) in values.iter_mut().zip(round) {
        *value = S::read(bytes);
    }
    for (lane, &value) in values.iter().enumerate() {
        taker.take(lane, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_widened_exactly() {
        for bits in 0..=u16::MAX {
            let want = half::f16::from_bits(bits).to_f32_const();
            let got = widen(bits);
            assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{bits:#x}: {got} for {want}");
        }
    }
}
