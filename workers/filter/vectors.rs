//! What the filters ask of vector registers that the compiler does not find in a loop by itself.
//!
//! Each operation is exact, so that every CPU gives the same bits; the plain loops of [`Scalar`] say what it computes.

use pulp::{NullaryFnOnce, Scalar};

/// Samples that [`Vectors::Sums`] holds sums of.
pub(super) const SUMS: usize = 16;

/// A set of vector instructions that this CPU has.
pub(super) trait Vectors: Copy {
    /// [`SUMS`] integers of 32 bits.
    type Sums: Copy;

    /// Twice as many integers of 16 bits.
    type Words: Copy;

    /// The same in every lane.
    fn words_of(self, value: u16) -> Self::Words;

    /// Lane i gets `pairs[2i] * weights[0] + pairs[2i+1] * weights[1]` more; words wrap. Weights add up to at most 128.
    fn add_byte_pairs(self, words: Self::Words, pairs: &[u8; 4 * SUMS], weights: [i8; 2]) -> Self::Words;

    /// Stands the lanes of two side by side, less by 2^15 each, in an order that [`narrow`](Self::narrow) knows.
    fn pair_up(self, one: Self::Words, other: Self::Words) -> [i16; 4 * SUMS];

    /// The same in every lane.
    fn sums_of(self, value: i32) -> Self::Sums;

    /// Lane i gets `pairs[2i] * weights[0] + pairs[2i+1] * weights[1]` more; sums wrap.
    fn add_pairs(self, sums: Self::Sums, pairs: &[i16; 2 * SUMS], weights: [i16; 2]) -> Self::Sums;

    /// Bits 16 to 31 of sums of what [`pair_up`](Self::pair_up) gave, in order, or 255 if that is less; the sums
    /// must not be negative.
    fn narrow(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS];

    /// The lanes in order.
    fn lanes(self, sums: Self::Sums) -> [i32; SUMS];

    /// `sums + 256 * coarse`; sums wrap.
    fn add_256_times(self, sums: Self::Sums, coarse: Self::Sums) -> Self::Sums;

    /// Stands bytes side by side, in order.
    fn interleave(self, one: &[u8; SUMS], other: &[u8; SUMS]) -> [i16; 2 * SUMS];

    /// Stands the bytes of two rows side by side, in an order that [`settle`](Self::settle) knows.
    fn beside(self, one: &[u8; 4 * SUMS], other: &[u8; 4 * SUMS]) -> [[i16; 2 * SUMS]; 4];

    /// Sums of what [`beside`](Self::beside) gave, divided by 2^`BITS` and rounded down, in order, from 0 to 255.
    fn settle<const BITS: u32>(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS];

    /// Runs `work`, and everything inlined into it, with these instructions.
    fn have<W: Work>(self, work: W) -> W::Output;
}

/// Something that is compiled for each set of instructions.
pub(super) trait Work {
    type Output;
    fn with<V: Vectors>(self, vectors: V) -> Self::Output;
}

/// Runs `work` with the widest vectors of this CPU.
pub(super) fn vectors<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(v4) = pulp::x86::V4::try_new() {
            return match x86::Later::try_new() {
                Some(later) => later.vectorize(Known(work, v4)),
                None => v4.have(work),
            };
        }
        if let Some(v3) = pulp::x86::V3::try_new() {
            return v3.have(work);
        }
    }
    Scalar.have(work)
}

/// Runs `work`, and everything inlined into it, with the widest vectors of this CPU.
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if let Some(later) = x86::Later::try_new() {
        return later.vectorize(work);
    }
    pulp::Arch::new().dispatch(work)
}

/// A [`Work`] that knows its vectors.
struct Known<W, V>(W, V);

impl<W: Work, V: Vectors> NullaryFnOnce for Known<W, V> {
    type Output = W::Output;

    #[inline(always)]
    fn call(self) -> W::Output {
        self.0.with(self.1)
    }
}

impl Vectors for Scalar {
    type Sums = [i32; SUMS];
    type Words = [u16; 2 * SUMS];

    #[inline(always)]
    fn words_of(self, value: u16) -> Self::Words {
        [value; 2 * SUMS]
    }

    #[inline(always)]
    fn add_byte_pairs(self, words: Self::Words, pairs: &[u8; 4 * SUMS], weights: [i8; 2]) -> Self::Words {
        let [even, odd] = weights.map(|weight| weight as u16);
        std::array::from_fn(|i| {
            let sum = words[i].wrapping_add(u16::from(pairs[2 * i]) * even);
            sum.wrapping_add(u16::from(pairs[2 * i + 1]) * odd)
        })
    }

    #[inline(always)]
    fn pair_up(self, one: Self::Words, other: Self::Words) -> [i16; 4 * SUMS] {
        std::array::from_fn(|i| ([one, other][i % 2][i / 2] ^ 0x8000) as i16)
    }

    #[inline(always)]
    fn sums_of(self, value: i32) -> Self::Sums {
        [value; SUMS]
    }

    #[inline(always)]
    fn add_pairs(self, sums: Self::Sums, pairs: &[i16; 2 * SUMS], weights: [i16; 2]) -> Self::Sums {
        let [even, odd] = weights.map(i32::from);
        std::array::from_fn(|i| {
            let sum = sums[i].wrapping_add(i32::from(pairs[2 * i]) * even);
            sum.wrapping_add(i32::from(pairs[2 * i + 1]) * odd)
        })
    }

    #[inline(always)]
    fn narrow(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
        std::array::from_fn(|i| (sums[i / SUMS][i % SUMS] as u32 >> 16).min(255) as u8)
    }

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; SUMS] {
        sums
    }

    #[inline(always)]
    fn add_256_times(self, sums: Self::Sums, coarse: Self::Sums) -> Self::Sums {
        std::array::from_fn(|i| sums[i].wrapping_add(coarse[i] << 8))
    }

    #[inline(always)]
    fn interleave(self, one: &[u8; SUMS], other: &[u8; SUMS]) -> [i16; 2 * SUMS] {
        std::array::from_fn(|i| i16::from([one, other][i % 2][i / 2]))
    }

    #[inline(always)]
    fn beside(self, one: &[u8; 4 * SUMS], other: &[u8; 4 * SUMS]) -> [[i16; 2 * SUMS]; 4] {
        std::array::from_fn(|n| std::array::from_fn(|i| i16::from([one, other][i % 2][n * SUMS + i / 2])))
    }

    #[inline(always)]
    fn settle<const BITS: u32>(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
        std::array::from_fn(|i| (sums[i / SUMS][i % SUMS] >> BITS).clamp(0, 255) as u8)
    }

    #[inline(always)]
    fn have<W: Work>(self, work: W) -> W::Output {
        pulp::Arch::new().dispatch(Known(work, self))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Known, SUMS, Vectors, Work};
    use pulp::cast;
    use pulp::x86::{V3, V4};
    use std::arch::x86_64::{__m256i, __m512i};

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

    /// Two weights in a lane of 32 bits.
    #[inline(always)]
    fn joined(weights: [i16; 2]) -> i32 {
        cast(weights)
    }

    impl Vectors for V4 {
        type Sums = __m512i;
        type Words = __m512i;

        #[inline(always)]
        fn words_of(self, value: u16) -> Self::Words {
            self.avx512f._mm512_set1_epi16(value as i16)
        }

        #[inline(always)]
        fn add_byte_pairs(self, words: Self::Words, pairs: &[u8; 4 * SUMS], weights: [i8; 2]) -> Self::Words {
            let weights = self.avx512f._mm512_set1_epi16(cast(weights));
            self.avx512bw._mm512_add_epi16(words, self.avx512bw._mm512_maddubs_epi16(cast(*pairs), weights))
        }

        #[inline(always)]
        fn pair_up(self, one: Self::Words, other: Self::Words) -> [i16; 4 * SUMS] {
            let sign = self.avx512f._mm512_set1_epi16(i16::MIN);
            let [one, other] = [one, other].map(
                #[inline(always)]
                |words| self.avx512f._mm512_xor_si512(words, sign),
            );
            cast([self.avx512bw._mm512_unpacklo_epi16(one, other), self.avx512bw._mm512_unpackhi_epi16(one, other)])
        }

        #[inline(always)]
        fn sums_of(self, value: i32) -> Self::Sums {
            self.avx512f._mm512_set1_epi32(value)
        }

        #[inline(always)]
        fn add_pairs(self, sums: Self::Sums, pairs: &[i16; 2 * SUMS], weights: [i16; 2]) -> Self::Sums {
            let weights = self.avx512f._mm512_set1_epi32(joined(weights));
            self.avx512f._mm512_add_epi32(sums, self.avx512bw._mm512_madd_epi16(cast(*pairs), weights))
        }

        #[inline(always)]
        fn narrow(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
            let [a, b, c, d] = sums.map(
                #[inline(always)]
                |sums| self.avx512f._mm512_srli_epi32::<16>(sums),
            );
            let (low, high) = (self.avx512bw._mm512_packus_epi32(a, b), self.avx512bw._mm512_packus_epi32(c, d));
            // More than a byte holds is little more: no sign bit.
            let bytes = self.avx512bw._mm512_packus_epi16(low, high);
            let order = cast([0_u64, 2, 4, 6, 1, 3, 5, 7]);
            cast(self.avx512f._mm512_permutexvar_epi64(order, bytes))
        }

        #[inline(always)]
        fn lanes(self, sums: Self::Sums) -> [i32; SUMS] {
            cast(sums)
        }

        #[inline(always)]
        fn add_256_times(self, sums: Self::Sums, coarse: Self::Sums) -> Self::Sums {
            self.avx512f._mm512_add_epi32(sums, self.avx512f._mm512_slli_epi32::<8>(coarse))
        }

        #[inline(always)]
        fn interleave(self, one: &[u8; SUMS], other: &[u8; SUMS]) -> [i16; 2 * SUMS] {
            let one = self.avx512f._mm512_cvtepu8_epi32(cast(*one));
            let other = self.avx512f._mm512_cvtepu8_epi32(cast(*other));
            cast(self.avx512f._mm512_or_si512(one, self.avx512f._mm512_slli_epi32::<16>(other)))
        }

        #[inline(always)]
        fn beside(self, one: &[u8; 4 * SUMS], other: &[u8; 4 * SUMS]) -> [[i16; 2 * SUMS]; 4] {
            let (one, other, zero) = (cast(*one), cast(*other), self.avx512f._mm512_setzero_si512());
            let (low, high) =
                (self.avx512bw._mm512_unpacklo_epi8(one, other), self.avx512bw._mm512_unpackhi_epi8(one, other));
            cast([
                self.avx512bw._mm512_unpacklo_epi8(low, zero),
                self.avx512bw._mm512_unpackhi_epi8(low, zero),
                self.avx512bw._mm512_unpacklo_epi8(high, zero),
                self.avx512bw._mm512_unpackhi_epi8(high, zero),
            ])
        }

        #[inline(always)]
        fn settle<const BITS: u32>(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
            let [a, b, c, d] = sums.map(
                #[inline(always)]
                |sums| self.avx512f._mm512_srai_epi32::<BITS>(sums),
            );
            let (low, high) = (self.avx512bw._mm512_packs_epi32(a, b), self.avx512bw._mm512_packs_epi32(c, d));
            cast(self.avx512bw._mm512_packus_epi16(low, high))
        }

        #[inline(always)]
        fn have<W: Work>(self, work: W) -> W::Output {
            self.vectorize(Known(work, self))
        }
    }

    impl Vectors for V3 {
        type Sums = [__m256i; 2];
        type Words = [__m256i; 2];

        #[inline(always)]
        fn words_of(self, value: u16) -> Self::Words {
            [self.avx._mm256_set1_epi16(value as i16); 2]
        }

        #[inline(always)]
        fn add_byte_pairs(self, words: Self::Words, pairs: &[u8; 4 * SUMS], weights: [i8; 2]) -> Self::Words {
            let weights = self.avx._mm256_set1_epi16(cast(weights));
            let [low, high]: [__m256i; 2] = cast(*pairs);
            let [low, high] = [low, high].map(
                #[inline(always)]
                |pairs| self.avx2._mm256_maddubs_epi16(pairs, weights),
            );
            [self.avx2._mm256_add_epi16(words[0], low), self.avx2._mm256_add_epi16(words[1], high)]
        }

        #[inline(always)]
        fn pair_up(self, one: Self::Words, other: Self::Words) -> [i16; 4 * SUMS] {
            let sign = self.avx._mm256_set1_epi16(i16::MIN);
            let [one, other] = [one, other].map(
                #[inline(always)]
                |words| {
                    words.map(
                        #[inline(always)]
                        |words| self.avx2._mm256_xor_si256(words, sign),
                    )
                },
            );
            cast([0, 1].map(
                #[inline(always)]
                |n| {
                    let (one, other) = (one[n], other[n]);
                    [self.avx2._mm256_unpacklo_epi16(one, other), self.avx2._mm256_unpackhi_epi16(one, other)]
                },
            ))
        }

        #[inline(always)]
        fn sums_of(self, value: i32) -> Self::Sums {
            [self.avx._mm256_set1_epi32(value); 2]
        }

        #[inline(always)]
        fn add_pairs(self, sums: Self::Sums, pairs: &[i16; 2 * SUMS], weights: [i16; 2]) -> Self::Sums {
            let weights = self.avx._mm256_set1_epi32(joined(weights));
            let [low, high]: [__m256i; 2] = cast(*pairs);
            let [low, high] = [low, high].map(
                #[inline(always)]
                |pairs| self.avx2._mm256_madd_epi16(pairs, weights),
            );
            [self.avx2._mm256_add_epi32(sums[0], low), self.avx2._mm256_add_epi32(sums[1], high)]
        }

        #[inline(always)]
        fn narrow(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
            let words = sums.map(
                #[inline(always)]
                |[low, high]| {
                    let (low, high) = (self.avx2._mm256_srli_epi32::<16>(low), self.avx2._mm256_srli_epi32::<16>(high));
                    self.avx2._mm256_packus_epi32(low, high)
                },
            );
            let bytes = [[words[0], words[1]], [words[2], words[3]]].map(
                #[inline(always)]
                |[low, high]| {
                    let bytes = self.avx2._mm256_packus_epi16(low, high);
                    self.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(bytes)
                },
            );
            cast(bytes)
        }

        #[inline(always)]
        fn lanes(self, sums: Self::Sums) -> [i32; SUMS] {
            cast(sums)
        }

        #[inline(always)]
        fn add_256_times(self, sums: Self::Sums, coarse: Self::Sums) -> Self::Sums {
            [0, 1].map(
                #[inline(always)]
                |n| self.avx2._mm256_add_epi32(sums[n], self.avx2._mm256_slli_epi32::<8>(coarse[n])),
            )
        }

        #[inline(always)]
        fn interleave(self, one: &[u8; SUMS], other: &[u8; SUMS]) -> [i16; 2 * SUMS] {
            let (one, other) = (cast(*one), cast(*other));
            let (low, high) = (self.sse2._mm_unpacklo_epi8(one, other), self.sse2._mm_unpackhi_epi8(one, other));
            cast([self.avx2._mm256_cvtepu8_epi16(low), self.avx2._mm256_cvtepu8_epi16(high)])
        }

        #[inline(always)]
        fn beside(self, one: &[u8; 4 * SUMS], other: &[u8; 4 * SUMS]) -> [[i16; 2 * SUMS]; 4] {
            let (one, other): ([__m256i; 2], [__m256i; 2]) = (cast(*one), cast(*other));
            let zero = self.avx._mm256_setzero_si256();
            let [left, right] = [0, 1].map(
                #[inline(always)]
                |n| {
                    let low = self.avx2._mm256_unpacklo_epi8(one[n], other[n]);
                    let high = self.avx2._mm256_unpackhi_epi8(one[n], other[n]);
                    [
                        self.avx2._mm256_unpacklo_epi8(low, zero),
                        self.avx2._mm256_unpackhi_epi8(low, zero),
                        self.avx2._mm256_unpacklo_epi8(high, zero),
                        self.avx2._mm256_unpackhi_epi8(high, zero),
                    ]
                },
            );
            [0, 1, 2, 3].map(
                #[inline(always)]
                |n| cast([left[n], right[n]]),
            )
        }

        #[inline(always)]
        fn settle<const BITS: u32>(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
            cast([0, 1].map(
                #[inline(always)]
                |n| {
                    let [a, b, c, d] = sums.map(
                        #[inline(always)]
                        |sums| self.avx2._mm256_sra_epi32(sums[n], cast([u64::from(BITS), 0])),
                    );
                    let (low, high) = (self.avx2._mm256_packs_epi32(a, b), self.avx2._mm256_packs_epi32(c, d));
                    self.avx2._mm256_packus_epi16(low, high)
                },
            ))
        }

        #[inline(always)]
        fn have<W: Work>(self, work: W) -> W::Output {
            self.vectorize(Known(work, self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each operation on the same bytes.
    #[derive(Clone)]
    struct Everything([u8; 4 * SUMS]);

    impl Work for Everything {
        type Output = [u8; 4 * SUMS];

        #[inline(always)]
        fn with<V: Vectors>(self, vectors: V) -> Self::Output {
            let mut turned = self.0;
            turned.reverse();
            let words = [self.0, turned].map(|bytes| {
                let words = vectors.add_byte_pairs(vectors.words_of(40_000), &bytes, [127, 1]);
                vectors.add_byte_pairs(words, &bytes, [3, 90])
            });
            let pairs = [vectors.pair_up(words[0], words[1]), vectors.pair_up(words[1], words[0])];
            let mut sums = [vectors.sums_of(272 << 15); 4];
            for (sums, pairs) in sums.iter_mut().zip(pairs.as_flattened().as_chunks().0) {
                *sums = vectors.add_pairs(*sums, pairs, [100, 156]);
                *sums = vectors.add_pairs(*sums, pairs, [7, 9]);
            }
            let mut settled = vectors.narrow(sums);
            let mut sums = [vectors.sums_of(1 << 9); 4];
            for (sums, pairs) in sums.iter_mut().zip(vectors.beside(&self.0, &turned)) {
                *sums = vectors.add_pairs(*sums, &pairs, [-700, 3000]);
                *sums = vectors.add_256_times(*sums, vectors.add_pairs(*sums, &pairs, [-5, 7]));
            }
            let lanes = vectors.interleave(&self.0.as_chunks().0[1], &turned.as_chunks().0[2]);
            let lanes = vectors.lanes(vectors.add_pairs(vectors.sums_of(3), &lanes, [2, 4]));
            for (i, other) in vectors.settle::<22>(sums).into_iter().enumerate() {
                settled[i] ^= other ^ lanes[i % SUMS] as u8;
            }
            settled
        }
    }

    #[test]
    fn all_instructions_agree() {
        for seed in 0..200 {
            let work = Everything(std::array::from_fn(|i| ((i + 1) * (seed * 77 + 31) % 257) as u8));
            let expected = Scalar.have(work.clone());
            assert_eq!(vectors(work.clone()), expected);
            #[cfg(target_arch = "x86_64")]
            {
                if let Some(v3) = pulp::x86::V3::try_new() {
                    assert_eq!(v3.have(work.clone()), expected);
                }
                if let Some(v4) = pulp::x86::V4::try_new() {
                    assert_eq!(v4.have(work), expected);
                }
            }
        }
    }
}
