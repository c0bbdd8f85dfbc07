//! Parameters of kernels as plain data, which is what a crew's workers can be handed.

use std::fmt::Display;
use std::str::FromStr;

use bytemuck::{Pod, Zeroable};

/// Parameters in their own words: what they are shown as, and read from.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct TextArg {
    text: [u8; TextArg::ROOM],
    length: u64,
}

impl TextArg {
    /// Bytes that words may have: a number takes 343 at most, and no kernel has more than eight.
    const ROOM: usize = 4096;

    /// # Panics
    /// If the words do not fit.
    pub(crate) fn of(parameters: &impl Display) -> Self {
        let words = parameters.to_string();
        let mut told = Self { text: [0; Self::ROOM], length: words.len() as u64 };
        told.text[..words.len()].copy_from_slice(words.as_bytes());
        told
    }

    /// The parameters.
    ///
    /// # Panics
    /// If these are not words that such parameters are shown as.
    pub(crate) fn read<P: FromStr>(&self) -> P {
        let words = self.text.get(..self.length as usize).and_then(|words| std::str::from_utf8(words).ok());
        words.and_then(|words| words.parse().ok()).expect("told by the coordinator in the same words")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        for number in [0.1, -5e-324, f64::MAX, 2.5] {
            assert_eq!(TextArg::of(&number).read::<f64>(), number);
        }
        assert_eq!(TextArg::of(&"x".repeat(4096)).read::<String>(), "x".repeat(4096));
    }
}
