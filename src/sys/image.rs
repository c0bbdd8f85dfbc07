//! Which files are mapped where, and among them the code of this program. A fork of it has it at the same addresses; the same program,
//! started again, has it elsewhere, at the same distances from each other.

use std::fs;
use std::io;
use std::ops::Range;

/// A piece of a file that a process has mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    addresses: Range<u64>,
    /// Which file it is: device and inode.
    file: [u64; 2],
    /// Where in it the piece begins.
    at: u64,
}

/// An address in the code of this crate, from which others are counted.
pub(crate) fn anchor() -> u64 {
    offset_of as fn(u64) -> u64 as usize as u64
}

/// How far behind the anchor an address is.
pub(crate) fn offset_of(address: u64) -> u64 {
    address.wrapping_sub(anchor())
}

/// The address that is as far behind the anchor in this process.
pub(crate) fn address_of(offset: u64) -> u64 {
    offset.wrapping_add(anchor())
}

impl Image {
    /// The one that the code of this crate is in: the program, or a library that it has loaded.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn own() -> io::Result<Self> {
        let found = Self::at("self", anchor())?;
        found.ok_or_else(|| io::Error::other("/proc/self/maps does not list this program's code"))
    }

    /// What a process, by its number or `self`, has mapped at an address.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn at(process: &str, address: u64) -> io::Result<Option<Self>> {
        let text = fs::read_to_string(format!("/proc/{process}/maps"))?;
        Ok(text.lines().filter_map(Self::of_line).find(|image| image.holds(address)))
    }

    /// The number of its file.
    pub(crate) fn inode(&self) -> u64 {
        self.file[1]
    }

    /// Whether an address is in it.
    pub(crate) fn holds(&self, address: u64) -> bool {
        self.addresses.contains(&address)
    }

    /// What is the same in each process that has the same file mapped.
    pub(crate) fn file(&self) -> [u64; 4] {
        [self.file[0], self.file[1], self.at, offset_of(self.addresses.start)]
    }

    /// Reads `start-end permissions offset major:minor inode path` (proc_pid_maps(5)).
    fn of_line(line: &str) -> Option<Self> {
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let _permissions = words.next()?;
        let at = hexadecimal(words.next()?)?;
        let (major, minor) = words.next()?.split_once(':')?;
        let device = hexadecimal(major)? << 32 | hexadecimal(minor)?;
        let addresses = hexadecimal(start)?..hexadecimal(end)?;
        Some(Self { addresses, file: [device, words.next()?.parse().ok()?], at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_code_is_in_this_program() {
        let own = Image::own().unwrap();
        let here = this_code_is_in_this_program as fn() as usize as u64;
        assert!(own.holds(here));
        assert_eq!(address_of(offset_of(here)), here);
        assert!(!own.holds(std::ptr::from_ref(&own).addr() as u64));
        let program = std::os::unix::fs::MetadataExt::ino(&fs::metadata("/proc/self/exe").unwrap());
        assert_eq!(own.file()[1], program);
    }

    #[test]
    fn lines_are_read() {
        let image = Image::of_line("55d0a000-55d0b000 r-xp 00001000 fe:01 1234   /usr/bin/a b").unwrap();
        assert_eq!(image, Image { addresses: 0x55d0_a000..0x55d0_b000, file: [0xfe << 32 | 1, 1234], at: 0x1000 });
        for other in ["", "55 r-xp 0 0:0 0", "1-2 r-xp x 0:0 0", "1-2 r-xp 0 0 0", "1-2 r-xp 0 0:0 x", "1-2"] {
            assert_eq!(Image::of_line(other), None, "{other}");
        }
    }
}
