//! A file with some of its bytes replaced as it is read.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// A file whose readers find other bytes at some places, and if so told the bits of each byte in reversed order.
pub(super) struct Rewritten<R> {
    file: R,
    /// Where reading goes on.
    place: u64,
    /// Where there is something else, and what.
    others: Vec<(u64, Vec<u8>)>,
    reverses: bool,
}

impl<R: Read + Seek> Rewritten<R> {
    pub(super) fn new(mut file: R, others: Vec<(u64, Vec<u8>)>) -> io::Result<Self> {
        let place = file.stream_position()?;
        Ok(Self { file, place, others, reverses: false })
    }

    /// Whether the bits of each byte that is read from now on are to be reversed.
    pub(super) fn reverse_bits(&mut self, reverses: bool) {
        self.reverses = reverses;
    }
}

impl<R: Read> Read for Rewritten<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes)?;
        let read = self.place..self.place + count as u64;
        for (at, other) in &self.others {
            let replaced = *at..at.saturating_add(other.len() as u64);
            let both = read.start.max(replaced.start)..read.end.min(replaced.end);
            if both.start < both.end {
                let within = |all: &Range<u64>| (both.start - all.start) as usize..(both.end - all.start) as usize;
                bytes[within(&read)].copy_from_slice(&other[within(&replaced)]);
            }
        }
        if self.reverses {
            bytes[..count].iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        }
        self.place = read.end;
        Ok(count)
    }
}

impl<R: Seek> Seek for Rewritten<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.place = self.file.seek(to)?;
        Ok(self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn bytes_are_replaced_wherever_reading_begins_and_ends() {
        for (from, length) in (0..10).flat_map(|from| (0..=10 - from).map(move |length| (from, length))) {
            let mut file = Rewritten::new(Cursor::new([1_u8; 10]), vec![(3, vec![7, 8]), (5, vec![9])]).unwrap();
            file.seek(SeekFrom::Start(from as u64)).unwrap();
            let mut read = vec![0; length];
            file.read_exact(&mut read).unwrap();
            assert_eq!(read, [1, 1, 1, 7, 8, 9, 1, 1, 1, 1][from..from + length]);
        }
        let mut file = Rewritten::new(Cursor::new([1_u8, 0xA0]), vec![]).unwrap();
        file.reverse_bits(true);
        let mut read = [0; 2];
        file.read_exact(&mut read).unwrap();
        assert_eq!(read, [0x80, 5]);
    }
}
