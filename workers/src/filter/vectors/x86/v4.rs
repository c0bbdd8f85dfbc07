//! AVX-512.

use super::{Known, each, joined};
use crate::filter::vectors::{SUMS, Vectors, Work};
use pulp::cast;
use pulp::x86::V4;
use std::arch::x86_64::{__m128i, __m256i, __m512i};

/// The nearest whole numbers to the roots, at most 255. The estimate is good to 14 bits, a fiftieth; less by a tenth, it
/// rounds to the nearest or the one below.
#[inline(always)]
fn roots(cpu: V4, squares: __m256i) -> __m128i {
    let squares = cpu.avx512f._mm512_cvtepu16_epi32(squares);
    let floats = cpu.avx512f._mm512_cvtepi32_ps(squares);
    let positive = cpu.avx512f._mm512_max_ps(floats, cpu.avx512f._mm512_set1_ps(1.0));
    let inverse = cpu.avx512f._mm512_rsqrt14_ps(positive);
    let less = cpu.avx512f._mm512_set1_ps(-0.1);
    let root = cpu.avx512f._mm512_cvtps_epi32(cpu.avx512f._mm512_fmadd_ps(floats, inverse, less));
    // Above r² + r, which is less than (r + 1/2)² by a quarter.
    let next = cpu.avx512f._mm512_add_epi32(root, cpu.avx512bw._mm512_madd_epi16(root, root));
    let above = cpu.avx512f._mm512_cmpgt_epi32_mask(squares, next);
    let root = cpu.avx512f._mm512_mask_add_epi32(root, above, root, cpu.avx512f._mm512_set1_epi32(1));
    cpu.avx512f._mm512_cvtusepi32_epi8(root)
}

/// In the lower half of each of the words: what a table of bytes, by pairs in four registers, has for its lower half.
#[inline(always)]
fn find(cpu: V4, [a, b, c, d]: [__m512i; 4], words: __m512i) -> __m512i {
    // Bits 1 to 6 choose a pair in two registers, bit 7 one of two of them, bit 0 a byte.
    let pairs = cpu.avx512bw._mm512_srli_epi16::<1>(words);
    let low = cpu.avx512bw._mm512_permutex2var_epi16(a, pairs, b);
    let high = cpu.avx512bw._mm512_permutex2var_epi16(c, pairs, d);
    let upper = cpu.avx512bw._mm512_test_epi16_mask(words, cpu.avx512f._mm512_set1_epi16(0x80));
    let pair = cpu.avx512bw._mm512_mask_blend_epi16(upper, low, high);
    let odd = cpu.avx512bw._mm512_test_epi16_mask(words, cpu.avx512f._mm512_set1_epi16(1));
    cpu.avx512bw._mm512_mask_srli_epi16::<8>(pair, odd, pair)
}

impl Vectors for V4 {
    const FUSES: bool = true;
    const CHOOSES: bool = true;
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
        let [one, other] = each(
            [one, other],
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
        let [a, b, c, d] = each(
            sums,
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
    fn roots(self, squares: &[u16; 2 * SUMS]) -> [u8; 2 * SUMS] {
        let [low, high]: [__m256i; 2] = cast(*squares);
        cast([roots(self, low), roots(self, high)])
    }

    #[inline(always)]
    fn look_up(self, table: &[u8; 256], bytes: &[u8; 4 * SUMS]) -> [u8; 4 * SUMS] {
        let [a, b, c, d]: [__m512i; 4] = cast(*table);
        let bytes = cast(*bytes);
        let even = find(self, [a, b, c, d], bytes);
        let odd = find(self, [a, b, c, d], self.avx512bw._mm512_srli_epi16::<8>(bytes));
        let even = self.avx512f._mm512_and_si512(even, self.avx512f._mm512_set1_epi16(0xff));
        cast(self.avx512f._mm512_or_si512(even, self.avx512bw._mm512_slli_epi16::<8>(odd)))
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
