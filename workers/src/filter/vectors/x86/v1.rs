//! SSE2, which every CPU of this kind has: no product of pairs of bytes, and no shuffle by a register.

use super::{each, joined};
use crate::filter::vectors::{SUMS, Vectors, Work};
use pulp::x86::V1;
use pulp::{Scalar, cast};
use std::arch::x86_64::__m128i;

impl Vectors for V1 {
    const MANY: bool = false;
    const CHOOSES: bool = false;
    type Sums = [__m128i; 4];
    type Words = [__m128i; 4];

    #[inline(always)]
    fn words_of(self, value: u16) -> Self::Words {
        [self.sse2._mm_set1_epi16(value as i16); 4]
    }

    /// Even bytes and odd ones by themselves: products fit the 16 bits in which a pair stands.
    #[inline(always)]
    fn add_byte_pairs(self, words: Self::Words, pairs: &[u8; 4 * SUMS], weights: [i8; 2]) -> Self::Words {
        let [even, odd] = [self.sse2._mm_set1_epi16(weights[0].into()), self.sse2._mm_set1_epi16(weights[1].into())];
        let (lower, pairs): (_, [__m128i; 4]) = (self.sse2._mm_set1_epi16(255), cast(*pairs));
        each(
            [0, 1, 2, 3],
            #[inline(always)]
            |n| {
                let evens = self.sse2._mm_mullo_epi16(self.sse2._mm_and_si128(pairs[n], lower), even);
                let odds = self.sse2._mm_mullo_epi16(self.sse2._mm_srli_epi16::<8>(pairs[n]), odd);
                self.sse2._mm_add_epi16(words[n], self.sse2._mm_add_epi16(evens, odds))
            },
        )
    }

    #[inline(always)]
    fn pair_up(self, one: Self::Words, other: Self::Words) -> [i16; 4 * SUMS] {
        let sign = self.sse2._mm_set1_epi16(i16::MIN);
        cast(each(
            [0, 1, 2, 3],
            #[inline(always)]
            |n| {
                let (one, other) = (self.sse2._mm_xor_si128(one[n], sign), self.sse2._mm_xor_si128(other[n], sign));
                [self.sse2._mm_unpacklo_epi16(one, other), self.sse2._mm_unpackhi_epi16(one, other)]
            },
        ))
    }

    #[inline(always)]
    fn sums_of(self, value: i32) -> Self::Sums {
        [self.sse2._mm_set1_epi32(value); 4]
    }

    #[inline(always)]
    fn add_pairs(self, sums: Self::Sums, pairs: &[i16; 2 * SUMS], weights: [i16; 2]) -> Self::Sums {
        let (weights, pairs): (_, [__m128i; 4]) = (self.sse2._mm_set1_epi32(joined(weights)), cast(*pairs));
        each(
            [0, 1, 2, 3],
            #[inline(always)]
            |n| self.sse2._mm_add_epi32(sums[n], self.sse2._mm_madd_epi16(pairs[n], weights)),
        )
    }

    #[inline(always)]
    fn narrow(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
        cast(each(
            sums,
            #[inline(always)]
            |sums| {
                let words = each(
                    sums,
                    #[inline(always)]
                    |sums| self.sse2._mm_srli_epi32::<16>(sums),
                );
                packed(self, words)
            },
        ))
    }

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; SUMS] {
        cast(sums)
    }

    #[inline(always)]
    fn add_256_times(self, sums: Self::Sums, coarse: Self::Sums) -> Self::Sums {
        each(
            [0, 1, 2, 3],
            #[inline(always)]
            |n| self.sse2._mm_add_epi32(sums[n], self.sse2._mm_slli_epi32::<8>(coarse[n])),
        )
    }

    #[inline(always)]
    fn interleave(self, one: &[u8; SUMS], other: &[u8; SUMS]) -> [i16; 2 * SUMS] {
        let (one, other, zero) = (cast(*one), cast(*other), self.sse2._mm_setzero_si128());
        let (low, high) = (self.sse2._mm_unpacklo_epi8(one, other), self.sse2._mm_unpackhi_epi8(one, other));
        cast([
            self.sse2._mm_unpacklo_epi8(low, zero),
            self.sse2._mm_unpackhi_epi8(low, zero),
            self.sse2._mm_unpacklo_epi8(high, zero),
            self.sse2._mm_unpackhi_epi8(high, zero),
        ])
    }

    #[inline(always)]
    fn beside(self, one: &[u8; 4 * SUMS], other: &[u8; 4 * SUMS]) -> [[i16; 2 * SUMS]; 4] {
        let (one, other): ([[u8; SUMS]; 4], [[u8; SUMS]; 4]) = (cast(*one), cast(*other));
        each(
            [0, 1, 2, 3],
            #[inline(always)]
            |n| self.interleave(&one[n], &other[n]),
        )
    }

    #[inline(always)]
    fn settle<const BITS: u32>(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
        let by = cast([u64::from(BITS), 0]);
        cast(each(
            sums,
            #[inline(always)]
            |sums| {
                let whole = each(
                    sums,
                    #[inline(always)]
                    |sums| self.sse2._mm_sra_epi32(sums, by),
                );
                packed(self, whole)
            },
        ))
    }

    /// No root is so near to a half that rounding it to `f32` could take it there.
    #[inline(always)]
    fn roots(self, squares: &[u16; 2 * SUMS]) -> [u8; 2 * SUMS] {
        let (zero, squares): (_, [[__m128i; 2]; 2]) = (self.sse2._mm_setzero_si128(), cast(*squares));
        cast(each(
            squares,
            #[inline(always)]
            |[one, other]| {
                let squares = [
                    self.sse2._mm_unpacklo_epi16(one, zero),
                    self.sse2._mm_unpackhi_epi16(one, zero),
                    self.sse2._mm_unpacklo_epi16(other, zero),
                    self.sse2._mm_unpackhi_epi16(other, zero),
                ];
                let roots = each(
                    squares,
                    #[inline(always)]
                    |squares| self.sse2._mm_cvtps_epi32(self.sse._mm_sqrt_ps(self.sse2._mm_cvtepi32_ps(squares))),
                );
                packed(self, roots)
            },
        ))
    }

    #[inline(always)]
    fn look_up(self, table: &[u8; 256], bytes: &[u8; 4 * SUMS]) -> [u8; 4 * SUMS] {
        Scalar.look_up(table, bytes)
    }

    #[inline(always)]
    fn choose(self, bytes: &[u8; SUMS], places: &[u8; SUMS]) -> [u8; SUMS] {
        Scalar.choose(bytes, places)
    }

    #[inline(always)]
    fn have<W: Work>(self, work: W) -> W::Output {
        work.with(self)
    }
}

/// Numbers of 32 bits as bytes, in order, from 0 to 255.
#[inline(always)]
fn packed(vectors: V1, [a, b, c, d]: [__m128i; 4]) -> __m128i {
    vectors.sse2._mm_packus_epi16(vectors.sse2._mm_packs_epi32(a, b), vectors.sse2._mm_packs_epi32(c, d))
}
