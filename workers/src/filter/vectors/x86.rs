//! The vectors of x86-64: AVX2 with its kin, and AVX-512.

use super::{SUMS, Vectors, Work};
use pulp::x86::{V3, V4};
use pulp::{NullaryFnOnce, cast};
use std::arch::x86_64::{__m128i, __m256i, __m512i};

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
    const MANY: bool = true;
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
        let [a, b, c, d] = each(
            sums,
            #[inline(always)]
            |sums| self.avx512f._mm512_srai_epi32::<BITS>(sums),
        );
        let (low, high) = (self.avx512bw._mm512_packs_epi32(a, b), self.avx512bw._mm512_packs_epi32(c, d));
        cast(self.avx512bw._mm512_packus_epi16(low, high))
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
    fn have<W: Work>(self, work: W) -> W::Output {
        self.vectorize(Known(work, self))
    }
}

impl Vectors for V3 {
    const MANY: bool = false;
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

    #[inline(always)]
    fn lanes(self, sums: Self::Sums) -> [i32; SUMS] {
        cast(sums)
    }

    #[inline(always)]
    fn add_256_times(self, sums: Self::Sums, coarse: Self::Sums) -> Self::Sums {
        each(
            [0, 1],
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
        let [left, right] = each(
            [0, 1],
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
        each(
            [0, 1, 2, 3],
            #[inline(always)]
            |n| cast([left[n], right[n]]),
        )
    }

    #[inline(always)]
    fn settle<const BITS: u32>(self, sums: [Self::Sums; 4]) -> [u8; 4 * SUMS] {
        cast(each(
            [0, 1],
            #[inline(always)]
            |n| {
                let [a, b, c, d] = each(
                    sums,
                    #[inline(always)]
                    |sums| self.avx2._mm256_sra_epi32(sums[n], cast([u64::from(BITS), 0])),
                );
                let (low, high) = (self.avx2._mm256_packs_epi32(a, b), self.avx2._mm256_packs_epi32(c, d));
                self.avx2._mm256_packus_epi16(low, high)
            },
        ))
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

    /// Sixteen at a time: a shuffle gives nothing for bytes whose highest bit is set.
    #[inline(always)]
    fn look_up(self, table: &[u8; 256], bytes: &[u8; 4 * SUMS]) -> [u8; 4 * SUMS] {
        let bytes: [__m256i; 2] = cast(*bytes);
        let parts: [__m128i; 16] = cast(*table);
        cast(each(
            bytes,
            #[inline(always)]
            |mut bytes| {
                let mut found = self.avx._mm256_setzero_si256();
                for part in parts {
                    let here = self.avx2._mm256_adds_epu8(bytes, self.avx._mm256_set1_epi8(0x70));
                    let values = self.avx2._mm256_shuffle_epi8(self.avx2._mm256_broadcastsi128_si256(part), here);
                    found = self.avx2._mm256_or_si256(found, values);
                    bytes = self.avx2._mm256_sub_epi8(bytes, self.avx._mm256_set1_epi8(16));
                }
                found
            },
        ))
    }

    #[inline(always)]
    fn have<W: Work>(self, work: W) -> W::Output {
        self.vectorize(Known(work, self))
    }
}
