//! AVX2 with its kin.

use super::{Known, each, joined};
use crate::filter::vectors::{SUMS, Vectors, Work};
use pulp::cast;
use pulp::x86::V3;
use std::arch::x86_64::{__m128i, __m256i};

impl Vectors for V3 {
    const FUSES: bool = true;
    const CHOOSES: bool = true;
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
        let [low, high] = each(
            [low, high],
            #[inline(always)]
            |pairs| self.avx2._mm256_maddubs_epi16(pairs, weights),
        );
        [self.avx2._mm256_add_epi16(words[0], low), self.avx2._mm256_add_epi16(words[1], high)]
    }

    #[inline(always)]
    fn pair_up(self, one: Self::Words, other: Self::Words) -> [i16; 4 * SUMS] {
        let sign = self.avx._mm256_set1_epi16(i16::MIN);
        let [one, other] = each(
            [one, other],
            #[inline(always)]
            |words| {
                each(
                    words,
                    #[inline(always)]
                    |words| self.avx2._mm256_xor_si256(words, sign),
                )
            },
        );
        cast(each(
            [0, 1],
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
        let [low, high] = each(
            [low, high],
            #[inline(always)]
            |pairs| self.avx2._mm256_madd_epi16(pairs, weights),
        );
        [self.avx2._mm256_add_epi32(sums[0], low), self.avx2._mm256_add_epi32(sums[1], high)]
    }

    #[inline(always)]
    fn narrow(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
        let words = each(
            sums,
            #[inline(always)]
            |[low, high]| {
                let (low, high) = (self.avx2._mm256_srli_epi32::<16>(low), self.avx2._mm256_srli_epi32::<16>(high));
                self.avx2._mm256_packus_epi32(low, high)
            },
        );
        let bytes = each(
            [[words[0], words[1]], [words[2], words[3]]],
            #[inline(always)]
            |[low, high]| {
                let bytes = self.avx2._mm256_packus_epi16(low, high);
                self.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(bytes)
            },
        );
        cast(bytes)
    }

    /// The estimate is good to a tenth at most; less by a fifth, it rounds to the nearest or the one below.
    #[inline(always)]
    fn roots(self, squares: &[u16; 2 * SUMS]) -> [u8; 2 * SUMS] {
        let parts: [__m128i; 4] = cast(*squares);
        let roots: [__m256i; 4] = each(
            parts,
            #[inline(always)]
            |squares| {
                let squares = self.avx2._mm256_cvtepu16_epi32(squares);
                let floats = self.avx._mm256_cvtepi32_ps(squares);
                let positive = self.avx._mm256_max_ps(floats, self.avx._mm256_set1_ps(1.0));
                let inverse = self.avx._mm256_rsqrt_ps(positive);
                let less = self.avx._mm256_set1_ps(-0.2);
                let root = self.avx._mm256_cvtps_epi32(self.fma._mm256_fmadd_ps(floats, inverse, less));
                let next = self.avx2._mm256_add_epi32(root, self.avx2._mm256_madd_epi16(root, root));
                // A comparison leaves -1 where it holds.
                self.avx2._mm256_sub_epi32(root, self.avx2._mm256_cmpgt_epi32(squares, next))
            },
        );
        let low = self.avx2._mm256_packus_epi32(roots[0], roots[1]);
        let high = self.avx2._mm256_packus_epi32(roots[2], roots[3]);
        let bytes = self.avx2._mm256_packus_epi16(low, high);
        cast(self.avx2._mm256_permutevar8x32_epi32(bytes, cast([0, 4, 1, 5, 2, 6, 3, 7])))
    }

    /// The lower half of a byte chooses in each sixteenth of the table, its upper bits one after the other between those.
    #[inline(always)]
    fn look_up(self, table: &[u8; 256], bytes: &[u8; 4 * SUMS]) -> [u8; 4 * SUMS] {
        let bytes: [__m256i; 2] = cast(*bytes);
        let parts: [[__m128i; 2]; 8] = cast(*table);
        cast(each(
            bytes,
            #[inline(always)]
            |bytes| {
                let low = self.avx2._mm256_and_si256(bytes, self.avx._mm256_set1_epi8(15));
                // Blending looks at the highest bit of each byte: here the fifth, sixth and seventh.
                let [fifth, sixth, seventh] = [
                    self.avx2._mm256_slli_epi16::<3>(bytes),
                    self.avx2._mm256_slli_epi16::<2>(bytes),
                    self.avx2._mm256_slli_epi16::<1>(bytes),
                ];
                let pairs = each(
                    parts,
                    #[inline(always)]
                    |pair| {
                        let [one, other] = each(
                            pair,
                            #[inline(always)]
                            |part| self.avx2._mm256_shuffle_epi8(self.avx2._mm256_broadcastsi128_si256(part), low),
                        );
                        self.avx2._mm256_blendv_epi8(one, other, fifth)
                    },
                );
                let fours = each(
                    [0, 2, 4, 6],
                    #[inline(always)]
                    |n| self.avx2._mm256_blendv_epi8(pairs[n], pairs[n + 1], sixth),
                );
                let upper = self.avx2._mm256_blendv_epi8(fours[2], fours[3], seventh);
                let lower = self.avx2._mm256_blendv_epi8(fours[0], fours[1], seventh);
                self.avx2._mm256_blendv_epi8(lower, upper, bytes)
            },
        ))
    }

    #[inline(always)]
    fn choose(self, bytes: &[u8; SUMS], places: &[u8; SUMS]) -> [u8; SUMS] {
        cast(self.ssse3._mm_shuffle_epi8(cast(*bytes), cast(*places)))
    }

    #[inline(always)]
    fn have<W: Work>(self, work: W) -> W::Output {
        self.vectorize(Known(work, self))
    }
}
