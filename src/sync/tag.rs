//! What makes a word on the control page believable: a tag that nobody writes there by chance.
//!
//! A stray write may put anything anywhere: that a slice is done which nobody has worked on, another answer in place of one, what
//! stood there in the job before. So every word that counts carries in its upper bits a hash of the job's key, of where the word
//! stands and of what it says; a word whose tag is wrong is damage, and damage is the job's error. The key is in the private memory
//! of coordinator and workers and never on the page. It is no secret between workers: tags are against accidents, as a keyed
//! hash would be, at a tenth of its cost.

/// How many low bits of a tagged word are what it says.
pub(super) const SAID: u32 = 14;

/// Spreads a number over all bits: murmur's finaliser, which loses nothing.
pub(super) const fn mix(mut number: u64) -> u64 {
    number = (number ^ number >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number = (number ^ number >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ number >> 33
}

/// A word that says so much (in [`SAID`] bits) at a `place`, and is bound to `more` that stands elsewhere.
pub(super) fn tagged(key: u64, place: u64, said: u64, more: u64) -> u64 {
    let place = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(said.wrapping_mul(0xd1b5_4a32_d192_ed03));
    mix((key ^ place).wrapping_add(more)) << SAID | said
}

/// What a word says, if anybody who knew the key wrote it.
pub(super) fn said(word: u64) -> u64 {
    word & ((1 << SAID) - 1)
}

/// A word that says that so many steps are done of what is at a `place`: in the lower half, where there is room for any number.
pub(super) fn counted(key: u64, place: u64, steps: u32) -> u64 {
    let place =
        place.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(steps).wrapping_mul(0xd1b5_4a32_d192_ed03));
    mix(!key ^ place) & !u64::from(u32::MAX) | u64::from(steps)
}

/// A hash of words, in order. Words that differ from these in one place have another.
pub(super) fn hash(words: impl Iterator<Item = u64>) -> u64 {
    mix(words.fold(0, step))
}

/// What a hash becomes with one more word: another for each word, and for each hash before.
pub(super) fn step(hash: u64, word: u64) -> u64 {
    /// Odd, so that to multiply by it loses nothing.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_good_for_its_key_place_and_saying() {
        let word = tagged(7, 3, 20, 0);
        assert_eq!(said(word), 20);
        for other in [tagged(8, 3, 20, 0), tagged(7, 4, 20, 0), tagged(7, 3, 21, 0), tagged(7, 3, 20, 1)] {
            assert_ne!(word >> SAID, other >> SAID);
        }
    }

    #[test]
    fn every_bit_of_what_is_hashed_counts() {
        let words = [3_u64, 0, u64::MAX, 1 << 40];
        let right = hash(words.into_iter());
        for bit in 0..256 {
            let mut wrong = words;
            wrong[bit / 64] ^= 1 << (bit % 64);
            assert_ne!(hash(wrong.into_iter()), right, "bit {bit}");
        }
        assert_ne!(hash([0, 3, u64::MAX, 1 << 40].into_iter()), right);
    }
}
