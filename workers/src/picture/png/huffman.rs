//! Huffman codes: how long each word is, and which bits it has (RFC 1951, 3.2.2).

use std::cmp::Reverse;

/// One word: its bits, the first to be written lowest, and how many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) bits: u16,
    pub(super) len: u8,
}

/// The words of a code for symbols that occur as often as counted, none longer than `most` bits; those that do not occur
/// have none. With one symbol alone, or none, there is nothing to tell apart, and no code.
///
/// Where the best code has longer words, all counts are halved until it has not: the words of rare symbols get shorter at
/// the cost of a fraction of a bit elsewhere.
///
/// # Panics
/// If there are more than 2^`most` symbols.
pub(super) fn code(counts: &[u64], most: u8) -> Vec<Word> {
    assert!(counts.len() <= 1 << most);
    let mut counts = counts.to_vec();
    loop {
        let lengths = lengths(&counts);
        if lengths.iter().all(|&len| len <= u32::from(most)) {
            return words(&lengths);
        }
        for count in &mut counts {
            *count = count.div_ceil(2);
        }
    }
}

/// How long the words of the best code are (Huffman 1952): the two rarest of symbols and groups become a group, until all
/// are one; a symbol's word is as long as it is deep in groups. Groups come out in the order of their counts, so two rows
/// that each are in order do for a queue.
fn lengths(counts: &[u64]) -> Vec<u32> {
    let mut symbols: Vec<usize> = (0..counts.len()).filter(|&symbol| counts[symbol] > 0).collect();
    // The rarest last, to be popped.
    symbols.sort_by_key(|&symbol| Reverse((counts[symbol], symbol)));
    let leaves = symbols.clone();
    let mut groups: Vec<(u64, [Member; 2])> = Vec::new();
    let mut next_group = 0;
    for _ in 1..leaves.len() {
        let mut count = 0;
        let pair = [(); 2].map(|()| {
            let symbol = symbols.last().map(|&symbol| counts[symbol]);
            let group = groups.get(next_group).map(|&(count, _)| count);
            if symbol.is_some_and(|symbol| group.is_none_or(|group| symbol <= group)) {
                count += symbol.unwrap_or(0);
                Member::Symbol(symbols.pop().unwrap_or(0))
            } else {
                count += group.unwrap_or(0);
                next_group += 1;
                Member::Group(next_group - 1)
            }
        });
        groups.push((count, pair));
    }
    let (mut lengths, mut depths) = (vec![0; counts.len()], vec![0; groups.len()]);
    // A group is made after its members, so that from the last to the first each knows its depth.
    for (at, (_, pair)) in groups.iter().enumerate().rev() {
        for member in pair {
            match *member {
                Member::Symbol(symbol) => lengths[symbol] = depths[at] + 1,
                Member::Group(group) => depths[group] = depths[at] + 1,
            }
        }
    }
    lengths
}

/// What a group is made of.
enum Member {
    Symbol(usize),
    Group(usize),
}

/// The canonical code of these lengths: words of one length are consecutive numbers in the order of symbols.
fn words(lengths: &[u32]) -> Vec<Word> {
    let mut next = [0_u32; 17];
    for &len in lengths.iter().filter(|&&len| len > 0) {
        next[len as usize + 1] += 1;
    }
    for len in 1..next.len() {
        next[len] = (next[len - 1] + next[len]) << 1;
    }
    // `next[len]` counts the words up to `len - 1`, doubled once a length: the first word of `len`.
    let word = |&len: &u32| {
        if len == 0 {
            return Word::default();
        }
        let bits = next[len as usize] as u16;
        next[len as usize] += 1;
        Word { bits: bits.reverse_bits() >> (16 - len), len: len as u8 }
    };
    lengths.iter().map(word).collect()
}
