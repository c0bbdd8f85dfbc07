//! Deflate (RFC 1951), written for filtered rows of pictures: each piece is one block with a Huffman code of its own, of
//! bytes and of runs of zeros.
//!
//! What filters leave of a photograph has hardly any repetitions but zeros, and to look for others is what takes the time:
//! zlib's levels that get as small take five to ten times as long. A piece ends at a byte, so that pieces follow each
//! other in one stream whoever wrote them.

use super::huffman::{Word, code};

/// What a stream begins with (RFC 1950): deflate with a window of 32 KiB, made by a fast algorithm.
pub(super) const BEGIN: [u8; 2] = [0x78, 0x01];

/// What follows the last piece: an empty block, marked as the last. Then comes the Adler-32 of all bytes.
pub(super) const END: [u8; 5] = [1, 0, 0, 0xFF, 0xFF];

/// An empty block that is not the last, from a byte's beginning on; its first three bits stand before.
const ALIGN: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// The most that a block takes which is not coded.
const STORED: usize = 65_535;

/// Zeros are looked for so many at a time. Fewer find shorter runs, which makes smooth photographs no smaller and coding them
/// half as slow again; twice as many make drawings larger by a tenth.
const WORD: usize = 16;

/// The longest repetition that one symbol stands for.
const LONGEST: usize = 258;

/// The symbol after the bytes: the end of the block.
const LAST: usize = 256;
const SYMBOLS: usize = 286;

/// No word is longer, so that four of them and seven bits more go into 64.
const MOST_BITS: u8 = 14;

/// The order in which lengths of the words for lengths are written, and how many bits they have (RFC 1951, 3.2.7).
const LENGTHS_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LENGTHS_BITS: u8 = 7;

/// Bytes that a piece of `len` bytes takes at most, and that [`piece`] must be given.
pub(super) fn most(len: usize) -> usize {
    // A coded piece is taken only if it is shorter than a stored one; what comes before that is known is the table of its
    // code, 8 bytes at a time.
    len + 5 * len.div_ceil(STORED) + 1024
}

/// Writes one piece to the beginning of `out`; its length there.
///
/// # Panics
/// If `out` is shorter than [`most`] says.
pub(super) fn piece(data: &[u8], out: &mut [u8]) -> usize {
    assert!(out.len() >= most(data.len()));
    let mut counts = Counts::default();
    scan(data, &mut counts);
    let counts = counts.total();
    let code = code(&counts, MOST_BITS);
    let mut bits = Bits { out, at: 0, held: 0, count: 0 };
    write_code(&code, &mut bits);
    let symbols = counts.iter().zip(&code).enumerate();
    let body: u64 = symbols.map(|(symbol, (count, word))| count * (u64::from(word.len) + more_bits(symbol))).sum();
    let coded = bits.at as u64 + (u64::from(bits.count) + body).div_ceil(8) + 1 + ALIGN.len() as u64;
    if coded > (data.len() + 5 * data.len().div_ceil(STORED)) as u64 {
        return store(data, bits.out);
    }
    let mut coder = Coder {
        bytes: std::array::from_fn(|byte| (code[byte].bits.into(), code[byte].len.into())),
        runs: runs(&code),
        bits,
    };
    scan(data, &mut coder);
    coder.bits.put(code[LAST]);
    coder.bits.align()
}

/// As blocks that are not coded: what no code makes shorter.
fn store(data: &[u8], out: &mut [u8]) -> usize {
    let mut at = 0;
    for some in data.chunks(STORED) {
        let len = (some.len() as u16).to_le_bytes();
        out[at..at + 5].copy_from_slice(&[0, len[0], len[1], !len[0], !len[1]]);
        out[at + 5..][..some.len()].copy_from_slice(some);
        at += 5 + some.len();
    }
    at
}

/// What is told of bytes that are coded.
trait Sink {
    /// These bytes, as they are.
    fn bytes<const N: usize>(&mut self, bytes: [u8; N]);
    /// So many zeros after another.
    fn zeros(&mut self, run: usize);
}

#[inline(always)]
fn scan(data: &[u8], sink: &mut impl Sink) {
    let mut rest = data;
    while let Some((word, others)) = rest.split_first_chunk::<WORD>() {
        if *word == [0; WORD] {
            let run = leading_zeros(rest);
            sink.zeros(run);
            rest = &rest[run..];
        } else {
            sink.bytes(*word);
            rest = others;
        }
    }
    for &byte in rest {
        sink.bytes([byte]);
    }
}

fn leading_zeros(bytes: &[u8]) -> usize {
    let words = bytes.chunks_exact(WORD).take_while(|word| *word == [0; WORD]).count();
    words * WORD + bytes[words * WORD..].iter().take_while(|&&byte| byte == 0).count()
}

/// A run as symbols: a zero, repetitions of as many zeros as go into a symbol, and zeros where less is left.
struct Repetitions {
    longest: usize,
    rest: usize,
    zeros: usize,
}

impl Repetitions {
    fn of(run: usize) -> Self {
        let repeated = run - 1;
        let (longest, rest) = (repeated / LONGEST, repeated % LONGEST);
        if rest < 3 { Self { longest, rest: 0, zeros: 1 + rest } } else { Self { longest, rest, zeros: 1 } }
    }
}

/// How often each symbol occurs. Equal bytes that follow each other count in different rows, or each addition would wait
/// for the one before.
struct Counts {
    bytes: [[u64; 256]; 4],
    others: [u64; SYMBOLS],
}

impl Default for Counts {
    fn default() -> Self {
        let mut others = [0; SYMBOLS];
        others[LAST] = 1;
        Self { bytes: [[0; 256]; 4], others }
    }
}

impl Counts {
    fn total(self) -> [u64; SYMBOLS] {
        let mut all = self.others;
        for row in self.bytes {
            all.iter_mut().zip(row).for_each(|(all, count)| *all += count);
        }
        all
    }
}

impl Sink for Counts {
    #[inline(always)]
    fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        for (at, byte) in bytes.into_iter().enumerate() {
            self.bytes[at % 4][usize::from(byte)] += 1;
        }
    }

    fn zeros(&mut self, run: usize) {
        let Repetitions { longest, rest, zeros } = Repetitions::of(run);
        self.others[0] += zeros as u64;
        self.others[length_symbol(LONGEST).0] += longest as u64;
        if rest > 0 {
            self.others[length_symbol(rest).0] += 1;
        }
    }
}

/// The symbol for a repetition of 3 to 258 bytes, and the bits after it with their number (RFC 1951, 3.2.5).
fn length_symbol(len: usize) -> (usize, Word) {
    match len {
        LONGEST => (285, Word::default()),
        3..=10 => (254 + len, Word::default()),
        // From here on four symbols for each doubling.
        _ => {
            let beyond = len - 3;
            let more = beyond.ilog2() as usize - 2;
            let symbol = LAST + 1 + 4 * more + (beyond >> more);
            (symbol, Word { bits: (beyond & ((1 << more) - 1)) as u16, len: more as u8 })
        }
    }
}

/// How many bits follow a symbol: for repetitions more of their length, and one that says that they repeat the last byte.
fn more_bits(symbol: usize) -> u64 {
    match symbol {
        0..=LAST => 0,
        265..285 => 1 + (symbol as u64 - 261) / 4,
        _ => 1,
    }
}

/// For each length of a repetition the whole of what is written: symbol, more of the length, and how far back.
fn runs(code: &[Word]) -> Vec<(u64, u32)> {
    let run = |len: usize| {
        let (symbol, more) = length_symbol(len.max(3));
        let Word { bits, len } = code[symbol];
        (u64::from(bits) | u64::from(more.bits) << len, u32::from(len + more.len) + 1)
    };
    (0..=LONGEST).map(run).collect()
}

struct Coder<'a> {
    /// The words of the bytes.
    bytes: [(u32, u32); 256],
    runs: Vec<(u64, u32)>,
    bits: Bits<'a>,
}

impl Sink for Coder<'_> {
    #[inline(always)]
    fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        for some in bytes.chunks(4) {
            // Put together apart from what is held, so that nothing waits for the four before.
            let (mut bits, mut count) = (0, 0);
            for &byte in some {
                let (word, len) = self.bytes[usize::from(byte)];
                bits |= u64::from(word) << count;
                count += len;
            }
            self.bits.add((bits, count));
        }
    }

    fn zeros(&mut self, run: usize) {
        let Repetitions { longest, rest, zeros } = Repetitions::of(run);
        for _ in 0..zeros {
            self.bytes([0]);
        }
        for _ in 0..longest {
            self.bits.add(self.runs[LONGEST]);
        }
        if rest > 0 {
            self.bits.add(self.runs[rest]);
        }
    }
}

/// The head of a block and its code: lengths of words, themselves coded, with runs of equal ones in one.
fn write_code(code: &[Word], bits: &mut Bits<'_>) {
    let used = code.iter().rposition(|word| word.len > 0).unwrap_or(LAST) + 1;
    // One distance, 1, which has a word of one bit.
    let lengths: Vec<u8> = code[..used].iter().map(|word| word.len).chain([1]).collect();
    let mut symbols: Vec<(usize, u64, u32)> = Vec::new();
    for run in lengths.chunk_by(|one, other| one == other) {
        let mut left = run.len();
        if run[0] > 0 {
            symbols.push((usize::from(run[0]), 0, 0));
            left -= 1;
        }
        while left > 0 {
            let (symbol, some, more) = match (run[0], left) {
                (_, ..3) => (usize::from(run[0]), 1, (0, 0)),
                (0, ..11) => (17, left, (left as u64 - 3, 3)),
                (0, _) => (18, left.min(138), (left.min(138) as u64 - 11, 7)),
                (_, _) => (16, left.min(6), (left.min(6) as u64 - 3, 2)),
            };
            symbols.push((symbol, more.0, more.1));
            left -= some;
        }
    }
    let mut counts = [0; 19];
    symbols.iter().for_each(|&(symbol, ..)| counts[symbol] += 1);
    let of_lengths = self::code(&counts, LENGTHS_BITS);
    let named = LENGTHS_ORDER.iter().rposition(|&symbol| of_lengths[symbol].len > 0).unwrap_or(0).max(3) + 1;
    bits.add((0b100, 3)); // not the last block; a code of its own
    bits.add((used as u64 - 257, 5));
    bits.add((0, 5)); // one distance
    bits.add((named as u64 - 4, 4));
    for symbol in &LENGTHS_ORDER[..named] {
        bits.add((of_lengths[*symbol].len.into(), 3));
    }
    for (symbol, more, count) in symbols {
        bits.put(of_lengths[symbol]);
        bits.add((more, count));
    }
}

/// Bits on their way to bytes, the first of them lowest.
struct Bits<'a> {
    out: &'a mut [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// Up to 56 bits, with their number.
    #[inline(always)]
    fn add(&mut self, (bits, count): (u64, u32)) {
        self.held |= bits << self.count;
        self.count += count;
        self.out[self.at..self.at + 8].copy_from_slice(&self.held.to_le_bytes());
        // Fewer than 8 bits stay.
        self.at += self.count as usize / 8;
        self.held >>= self.count & !7;
        self.count &= 7;
    }

    fn put(&mut self, word: Word) {
        self.add((word.bits.into(), word.len.into()));
    }

    /// Ends at a byte, by an empty block; how many bytes there are.
    fn align(mut self) -> usize {
        self.add((0, 3));
        self.add((0, self.count.wrapping_neg() & 7));
        self.out[self.at..self.at + ALIGN.len()].copy_from_slice(&ALIGN);
        self.at + ALIGN.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::ZlibDecoder;
    use proptest::prelude::*;
    use std::io::Read;

    /// The pieces after each other as one stream, read by another's decoder.
    fn there_and_back(pieces: &[&[u8]]) -> usize {
        let mut stream = BEGIN.to_vec();
        let (mut all, mut sum) = (Vec::new(), simd_adler32::Adler32::new());
        for data in pieces {
            let mut out = vec![0xAA; most(data.len())];
            let len = piece(data, &mut out);
            stream.extend_from_slice(&out[..len]);
            all.extend_from_slice(data);
            sum.write(data);
        }
        stream.extend(END);
        stream.extend(sum.finish().to_be_bytes());
        let mut got = Vec::new();
        ZlibDecoder::new(&stream[..]).read_to_end(&mut got).unwrap();
        assert!(got == all);
        stream.len()
    }

    #[test]
    fn zeros_noise_and_nothing() {
        assert!(there_and_back(&[&[]]) < 40);
        assert!(there_and_back(&[&[0; 1_000_000]]) < 1100);
        let noise: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
        let len = there_and_back(&[&noise]);
        assert!(len <= BEGIN.len() + most(noise.len()) - 1024 + END.len() + 4, "{len}");
        there_and_back(&[&noise[..1], &[], &noise[..70_000], &[0; 9], &noise[5..6]]);
    }

    #[test]
    fn runs_of_every_length() {
        for run in (0..1100).chain([65_535, 65_536]) {
            let mut data = vec![7; 9];
            data.resize(9 + run, 0);
            data.extend([1, 2, 3]);
            there_and_back(&[&data]);
        }
    }

    #[test]
    fn words_stay_short_where_counts_grow_as_they_can_grow_fastest() {
        let (mut one, mut other) = (1, 1);
        let mut data = Vec::new();
        for symbol in 1..26 {
            data.extend(std::iter::repeat_n(symbol, one));
            (one, other) = (other, one + other);
        }
        there_and_back(&[&data]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_bytes(
            parts in prop::collection::vec((any::<u8>(), 1_usize..300, any::<bool>()), 0..60),
            cut in any::<prop::sample::Index>(),
        ) {
            let part = |(byte, len, zero): (u8, usize, bool)| {
                (0..len).map(move |at| if zero { 0 } else { byte.wrapping_mul(at as u8) >> (byte % 8) })
            };
            let data: Vec<u8> = parts.into_iter().flat_map(part).collect();
            let (one, other) = data.split_at(cut.index(data.len() + 1));
            there_and_back(&[one, other]);
        }
    }
}
