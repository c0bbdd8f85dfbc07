//! The filters of PNG undone, four rows at a time.
//!
//! A byte is guessed from those to its left and above, so within a row each waits for the one before, which takes most of
//! the time. But a row can begin as soon as the one above is a pixel ahead: four rows go side by side, each a pixel behind
//! the one above, in one vector.

use pulp::NullaryFnOnce;
use pulp::x86::V3;
use std::arch::x86_64::__m128i;

/// Rows side by side.
pub(super) const ROWS: usize = 4;

/// Bytes after the end of a row that may be read and written with its last pixel.
pub(super) const SLACK: usize = 4;

/// Undoes filters, with the vectors that it takes.
#[derive(Clone, Copy)]
pub(super) struct Unfilter(V3);

impl Unfilter {
    /// `None` where the CPU does not have them.
    pub(super) fn new() -> Option<Self> {
        V3::try_new().map(Self)
    }

    /// Undoes [`ROWS`] rows of `width` pixels of `PIXEL` bytes, 1 to 4. `raw` has them as the file does, a byte for the filter
    /// before each, and [`SLACK`] bytes more. Of `plain`, the first line is the row above, and the others become the
    /// rows; each line ends with [`SLACK`] bytes that mean nothing. False if there is no such filter.
    pub(super) fn rows<const PIXEL: usize>(self, raw: &[u8], plain: &mut [Vec<u8>; ROWS + 1], width: usize) -> bool {
        let len = 1 + width * PIXEL;
        let filters: [u8; ROWS] = std::array::from_fn(|row| raw[row * len]);
        let raw: [&[u8]; ROWS] = std::array::from_fn(|row| &raw[row * len + 1..][..width * PIXEL + SLACK]);
        match filters.iter().max() {
            Some(0..=2) => {
                for row in 0..ROWS {
                    let [above, plain] = &mut plain[row..row + 2] else { return false };
                    simple::<PIXEL>(filters[row], raw[row], above, plain);
                }
                return true;
            }
            Some(3 | 4) => {}
            _ => return false,
        }
        self.0.vectorize(Rows::<PIXEL> { simd: self.0, filters, raw, plain, width });
        true
    }
}

/// One row, whose filter is none, that of the left or that of the one above: these are quicker one by one.
fn simple<const PIXEL: usize>(filter: u8, raw: &[u8], above: &[u8], plain: &mut [u8]) {
    let plain = &mut plain[..raw.len()];
    plain.copy_from_slice(raw);
    match filter {
        1 => {
            let mut left = [0_u8; PIXEL];
            for pixel in plain.as_chunks_mut::<PIXEL>().0 {
                for (byte, left) in pixel.iter_mut().zip(&mut left) {
                    *left = byte.wrapping_add(*left);
                    *byte = *left;
                }
            }
        }
        2 => plain.iter_mut().zip(above).for_each(|(byte, above)| *byte = byte.wrapping_add(*above)),
        _ => {}
    }
}

struct Rows<'a, const PIXEL: usize> {
    simd: V3,
    filters: [u8; ROWS],
    raw: [&'a [u8]; ROWS],
    plain: &'a mut [Vec<u8>; ROWS + 1],
    width: usize,
}

impl<const PIXEL: usize> NullaryFnOnce for Rows<'_, PIXEL> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, filters, raw, plain, width } = self;
        let [above, plain @ ..] = plain;
        let above = &above[..width * PIXEL + SLACK];
        let mut plain = plain.each_mut().map(|row| &mut row[..width * PIXEL + SLACK]);
        let mut step = Step::new(simd, filters);
        for at in 0..ROWS - 1 {
            step_of_some::<PIXEL>(at, width, &mut step, raw, above, &mut plain);
        }
        for at in ROWS - 1..width {
            let byte = (at - (ROWS - 1)) * PIXEL;
            let pixel = |row: usize| word(raw[row], byte + (ROWS - 1 - row) * PIXEL);
            let now = step.take([pixel(0), pixel(1), pixel(2), pixel(3)], word(above, at * PIXEL));
            for (row, pixel) in now.into_iter().enumerate() {
                plain[row][byte + (ROWS - 1 - row) * PIXEL..][..SLACK].copy_from_slice(&pixel.to_le_bytes());
            }
        }
        for at in width.max(ROWS - 1)..width + ROWS - 1 {
            step_of_some::<PIXEL>(at, width, &mut step, raw, above, &mut plain);
        }
    }
}

/// A step in which not all rows have a pixel: those that have not take zeros, of which every filter makes zeros. Not a closure, which
/// would be compiled without the vectors' instructions where it is not inlined.
#[inline(always)]
fn step_of_some<const PIXEL: usize>(
    at: usize,
    width: usize,
    step: &mut Step,
    raw: [&[u8]; ROWS],
    above: &[u8],
    plain: &mut [&mut [u8]; ROWS],
) {
    let within = |row: usize| at.checked_sub(row).filter(|&at| at < width);
    let pixel = |row: usize| within(row).map_or(0, |at| word(raw[row], at * PIXEL));
    let now = step.take([pixel(0), pixel(1), pixel(2), pixel(3)], within(0).map_or(0, |at| word(above, at * PIXEL)));
    for (row, pixel) in now.into_iter().enumerate() {
        if let Some(at) = within(row) {
            plain[row][at * PIXEL..][..SLACK].copy_from_slice(&pixel.to_le_bytes());
        }
    }
}

/// Four bytes from `at` on.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The pixels of a step, of which each row has its own in a quarter of a vector.
struct Step {
    simd: V3,
    /// All ones in the rows that have the filter: none but the byte itself, left, above, average, Paeth's.
    left: __m128i,
    above: __m128i,
    average: __m128i,
    paeth: __m128i,
    /// Whether some row has Paeth's filter, and whether some row has another.
    with_paeth: bool,
    with_others: bool,
    /// The pixels before, and those above them.
    a: __m128i,
    c: __m128i,
}

impl Step {
    #[inline(always)]
    fn new(simd: V3, filters: [u8; ROWS]) -> Self {
        let rows_of = |filter: u8| {
            let [e0, e1, e2, e3] = filters.map(|other| if other == filter { -1 } else { 0 });
            simd.sse2._mm_set_epi32(e3, e2, e1, e0)
        };
        let zeros = simd.sse2._mm_setzero_si128();
        Self {
            simd,
            left: rows_of(1),
            above: rows_of(2),
            average: rows_of(3),
            paeth: rows_of(4),
            with_paeth: filters.contains(&4),
            with_others: filters != [4; ROWS],
            a: zeros,
            c: zeros,
        }
    }

    /// The pixels of the next step, where `x` are the filtered ones and `above` is that above the first row's.
    #[inline(always)]
    fn take(&mut self, [x0, x1, x2, x3]: [u32; ROWS], above: u32) -> [u32; ROWS] {
        let (sse2, sse41) = (self.simd.sse2, self.simd.sse4_1);
        let x = sse2._mm_set_epi32(x3.cast_signed(), x2.cast_signed(), x1.cast_signed(), x0.cast_signed());
        let (a, c) = (self.a, self.c);
        // What a row had in the step before stands above what the next row has in this one.
        let b = sse2._mm_or_si128(sse2._mm_slli_si128::<4>(a), sse2._mm_cvtsi32_si128(above.cast_signed()));
        let mut guess = if self.with_paeth { self.nearest(a, b, c) } else { a };
        if self.with_others {
            let odd = sse2._mm_and_si128(sse2._mm_xor_si128(a, b), sse2._mm_set1_epi8(1));
            let average = sse2._mm_sub_epi8(sse2._mm_avg_epu8(a, b), odd);
            let one = sse2._mm_or_si128(sse2._mm_and_si128(self.left, a), sse2._mm_and_si128(self.above, b));
            let other =
                sse2._mm_or_si128(sse2._mm_and_si128(self.average, average), sse2._mm_and_si128(self.paeth, guess));
            guess = sse2._mm_or_si128(one, other);
        }
        self.a = sse2._mm_add_epi8(x, guess);
        self.c = b;
        [
            sse2._mm_cvtsi128_si32(self.a),
            sse41._mm_extract_epi32::<1>(self.a),
            sse41._mm_extract_epi32::<2>(self.a),
            sse41._mm_extract_epi32::<3>(self.a),
        ]
        .map(i32::cast_unsigned)
    }

    /// The one of the three that is nearest to a + b - c, as in `filter.rs`.
    #[inline(always)]
    fn nearest(&self, a: __m128i, b: __m128i, c: __m128i) -> __m128i {
        let (sse2, sse41) = (self.simd.sse2, self.simd.sse4_1);
        let (above_c, below_c) = (sse2._mm_subs_epu8(b, c), sse2._mm_subs_epu8(c, b));
        let (right_c, left_c) = (sse2._mm_subs_epu8(a, c), sse2._mm_subs_epu8(c, a));
        let (to_a, to_b) = (sse2._mm_or_si128(above_c, below_c), sse2._mm_or_si128(right_c, left_c));
        let between = sse2._mm_or_si128(sse2._mm_subs_epu8(to_a, to_b), sse2._mm_subs_epu8(to_b, to_a));
        let same_side = sse2._mm_or_si128(sse2._mm_min_epu8(above_c, right_c), sse2._mm_min_epu8(below_c, left_c));
        let zeros = sse2._mm_setzero_si128();
        let opposite = sse2._mm_cmpeq_epi8(same_side, zeros);
        let to_c = sse2._mm_or_si128(between, sse2._mm_cmpeq_epi8(opposite, zeros));
        let b_or_c = sse2._mm_min_epu8(to_b, to_c);
        let takes_b = sse2._mm_cmpeq_epi8(b_or_c, to_b);
        let takes_a = sse2._mm_cmpeq_epi8(sse2._mm_min_epu8(to_a, b_or_c), to_a);
        sse41._mm_blendv_epi8(sse41._mm_blendv_epi8(c, b, takes_b), a, takes_a)
    }
}
