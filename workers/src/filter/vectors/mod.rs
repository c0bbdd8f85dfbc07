//! What the filters ask of vector registers that the compiler does not find in a loop by itself.
//!
//! Each operation is exact, so that every CPU gives the same bits; the plain loops of [`Scalar`] say what it computes.

use pulp::Scalar;

use crate::simd;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Samples that [`Vectors::Sums`] holds sums of.
pub(super) const SUMS: usize = 16;

/// A set of vector instructions that this CPU has.
pub(super) trait Vectors: Copy {
    /// Whether registers hold eight [`Sums`](Self::Sums) and what is added to them.
    const MANY: bool;

    /// Whether [`choose`](Self::choose) is one instruction.
    const CHOOSES: bool;

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

    /// The whole numbers nearest to the square roots, at most 255.
    fn roots(self, squares: &[u16; 2 * SUMS]) -> [u8; 2 * SUMS];

    /// Changes each byte to what the table holds for it.
    fn look_up(self, table: &[u8; 256], bytes: &[u8; 4 * SUMS]) -> [u8; 4 * SUMS];

    /// The bytes that stand at these places, each of which is below [`SUMS`].
    fn choose(self, bytes: &[u8; SUMS], places: &[u8; SUMS]) -> [u8; SUMS];

    /// Runs `work`, and everything inlined into it, with these instructions.
    fn have<W: Work>(self, work: W) -> W::Output;
}

/// Something that is compiled for each set of instructions.
pub(super) trait Work {
    type Output;
    fn with<V: Vectors>(self, vectors: V) -> Self::Output;
}

/// Runs `work` with the vectors of the current [level](crate::simd).
pub(super) fn vectors<W: Work>(work: W) -> W::Output {
    match simd::arch() {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(v4) => match x86::Later::try_new() {
            Some(later) => later.vectorize(x86::Known(work, v4)),
            None => v4.have(work),
        },
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(v3) => v3.have(work),
        #[cfg(target_arch = "x86_64")]
        _ => match pulp::x86::V1::try_new() {
            Some(v1) => v1.have(work),
            None => Scalar.have(work),
        },
        #[cfg(not(target_arch = "x86_64"))]
        _ => Scalar.have(work),
    }
}

/// Runs `work`, and everything inlined into it, with the vectors of the current [level](crate::simd).
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    match simd::arch() {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(v4) => match x86::Later::try_new() {
            Some(later) => later.vectorize(work),
            None => v4.vectorize(work),
        },
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(v3) => v3.vectorize(work),
        // Those of every CPU of this kind; NEON is among them.
        _ => work(),
    }
}

/// Fills rows, all of the same length, with what `values` gives for each place; of the last as much as there is room for.
#[inline(always)]
pub(super) fn fill<S: Copy, const LANES: usize, const ROWS: usize>(
    rows: [&mut [S]; ROWS],
    values: impl Fn(usize) -> [[S; LANES]; ROWS],
) {
    let len = rows[0].len();
    for n in 0..len / LANES {
        let values = values(n);
        for r in 0..ROWS {
            *rows[r][n * LANES..].first_chunk_mut().expect("whole chunks") = values[r];
        }
    }
    // Apart from the loop, lest all chunks are of unknown length to the compiler, and copied by calls.
    let done = len - len % LANES;
    if done < len {
        let values = values(len / LANES);
        for r in 0..ROWS {
            rows[r][done..].copy_from_slice(&values[r][..len - done]);
        }
    }
}

impl Vectors for Scalar {
    const MANY: bool = false;
    const CHOOSES: bool = false;
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
    fn roots(self, squares: &[u16; 2 * SUMS]) -> [u8; 2 * SUMS] {
        squares.map(|square| f32::from(square).sqrt().round().min(255.0) as u8)
    }

    #[inline(always)]
    fn look_up(self, table: &[u8; 256], bytes: &[u8; 4 * SUMS]) -> [u8; 4 * SUMS] {
        bytes.map(|byte| table[usize::from(byte)])
    }

    #[inline(always)]
    fn choose(self, bytes: &[u8; SUMS], places: &[u8; SUMS]) -> [u8; SUMS] {
        places.map(|place| bytes[usize::from(place)])
    }

    #[inline(always)]
    fn have<W: Work>(self, work: W) -> W::Output {
        work.with(self)
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
            let places = std::array::from_fn(|i| turned[i] % SUMS as u8);
            let chosen = vectors.choose(&turned.as_chunks().0[3], &places);
            for (i, other) in vectors.settle::<22>(sums).into_iter().enumerate() {
                settled[i] ^= other ^ lanes[i % SUMS] as u8 ^ chosen[i % SUMS];
            }
            settled
        }
    }

    /// All square roots, and all bytes through a table.
    #[derive(Clone)]
    struct Whole;

    impl Work for Whole {
        type Output = (Vec<u8>, Vec<u8>);

        #[inline(always)]
        fn with<V: Vectors>(self, vectors: V) -> Self::Output {
            let squares: Vec<u16> = (0..=u16::MAX).collect();
            let roots = squares.as_chunks().0.iter().flat_map(|squares| vectors.roots(squares)).collect();
            let bytes: Vec<u8> = (0..=255).collect();
            let table = std::array::from_fn(|i| (i * i * 77 / 100 + 13 * i) as u8);
            (roots, bytes.as_chunks().0.iter().flat_map(|bytes| vectors.look_up(&table, bytes)).collect())
        }
    }

    fn agree<W: Work<Output: PartialEq + std::fmt::Debug> + Clone>(work: W) -> W::Output {
        let expected = Scalar.have(work.clone());
        assert_eq!(vectors(work.clone()), expected);
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(v1) = pulp::x86::V1::try_new() {
                assert_eq!(v1.have(work.clone()), expected);
            }
            if let Some(v3) = pulp::x86::V3::try_new() {
                assert_eq!(v3.have(work.clone()), expected);
            }
            if let Some(v4) = pulp::x86::V4::try_new() {
                assert_eq!(v4.have(work), expected);
            }
        }
        expected
    }

    #[test]
    fn roots_are_the_nearest_whole_numbers() {
        let (roots, _) = agree(Whole);
        for (square, &root) in (0_u32..).zip(&roots) {
            // (2r - 1)^2 < 4s < (2r + 1)^2: r is less than a half off.
            let twice = 2 * u32::from(root);
            assert!(root == 255 && square > 65_280 || 4 * square < (twice + 1).pow(2), "{square}: {root}");
            assert!(root == 0 || 4 * square > (twice - 1).pow(2), "{square}: {root}");
        }
    }

    #[test]
    fn all_instructions_agree() {
        for seed in 0..200 {
            let work = Everything(std::array::from_fn(|i| ((i + 1) * (seed * 77 + 31) % 257) as u8));
            agree(work);
        }
    }
}
