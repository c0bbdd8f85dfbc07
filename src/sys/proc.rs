//! What /proc says of a process.

use std::fs;
use std::io::{self, BufRead, BufReader};

/// How many threads this process has.
pub(crate) fn threads() -> io::Result<usize> {
    // Field 20 of proc_pid_stat(5); the command's name, field 2, may hold spaces, so count from its closing bracket.
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(17).and_then(|n| n.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Pages that only this process maps.
    pub private: u64,
    /// Pages that others map as well.
    pub shared: u64,
    /// Private pages, plus each shared page divided by how many share it. Summed over all processes of a job it is
    /// what the job uses.
    pub proportional: u64,
}

impl Memory {
    /// Reads `/proc/self/smaps_rollup`; the time it takes grows with the pages mapped.
    ///
    /// # Errors
    /// Where /proc is not mounted, or the kernel is older than 4.14.
    pub fn of_this_process() -> io::Result<Self> {
        let mut memory = Self::default();
        for line in BufReader::new(fs::File::open("/proc/self/smaps_rollup")?).lines() {
            let line = line?;
            let mut words = line.split_whitespace();
            let (Some(name), Some(Ok(kib))) = (words.next(), words.next().map(str::parse::<u64>)) else { continue };
            match name {
                "Private_Clean:" | "Private_Dirty:" | "Private_Hugetlb:" => memory.private += kib * 1024,
                "Shared_Clean:" | "Shared_Dirty:" | "Shared_Hugetlb:" => memory.shared += kib * 1024,
                "Pss:" => memory.proportional = kib * 1024,
                _ => {}
            }
        }
        Ok(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_threads() {
        std::thread::scope(|scope| {
            let (hold, held) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || held.recv());
            assert!(threads().unwrap() >= 2);
            drop(hold);
        });
    }

    #[test]
    fn this_process_uses_memory() {
        let memory = Memory::of_this_process().unwrap();
        assert!(memory.private > 0 && memory.proportional >= memory.private);
    }
}
