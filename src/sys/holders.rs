//! Which processes have a file open, as /proc shows it to this user.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::lock::Lock;
use super::proc;

/// A process that has a file open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// What lock it has on the first byte.
    pub(crate) lock: Option<Lock>,
    /// Whether it may write.
    pub(crate) writes: bool,
    /// Bytes of the file's pages that it has mapped, each divided by how many have; `None` where the kernel does not tell.
    pub(crate) proportional: Option<u64>,
}

/// All who have this file open, as far as this user may look.
pub(crate) fn of(file: &Metadata) -> io::Result<Vec<Holder>> {
    Ok(proc::all()?.filter_map(|pid| holder(pid, file)).collect())
}

/// The process that has locked this file or folder as a whole (flock), where the kernel tells.
pub(crate) fn who_locked(file: &Metadata) -> Option<u32> {
    // `1: FLOCK  ADVISORY  WRITE 1234 00:1a:77 0 EOF`
    let (major, minor) = (nix::sys::stat::major(file.dev()), nix::sys::stat::minor(file.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", file.ino());
    fs::read_to_string("/proc/locks").ok()?.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, pid, found, ..] if found == place => pid.parse().ok(),
            _ => None,
        }
    })
}

fn holder(pid: u32, file: &Metadata) -> Option<Holder> {
    let is_it = |entry: &fs::DirEntry| {
        fs::metadata(entry.path()).is_ok_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
    };
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().filter(is_it);
    let infos: Vec<String> = entries
        .filter_map(|entry| fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_str()?)).ok())
        .collect();
    let locks = infos.iter().flat_map(|info| info.lines().filter_map(lock_of_first_byte));
    let lock = locks.reduce(|one, other| if one == Lock::Alone { one } else { other });
    let writes = infos.iter().any(|info| flags(info).is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY));
    (!infos.is_empty()).then(|| Holder { pid, lock, writes, proportional: proportional(pid, file) })
}

/// `lock: 1: OFDLCK ADVISORY WRITE -1 00:1a:77 0 0`
fn lock_of_first_byte(line: &str) -> Option<Lock> {
    let words: Vec<&str> = line.strip_prefix("lock:")?.split_whitespace().collect();
    match words[..] {
        [_, _, _, kind, _, _, "0", "0"] => Some(if kind == "WRITE" { Lock::Alone } else { Lock::Shared }),
        _ => None,
    }
}

fn flags(info: &str) -> Option<i32> {
    i32::from_str_radix(info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim(), 8).ok()
}

fn proportional(pid: u32, file: &Metadata) -> Option<u64> {
    let (major, minor) = (nix::sys::stat::major(file.dev()), nix::sys::stat::minor(file.dev()));
    let (device, inode) = (format!("{major:02x}:{minor:02x}"), file.ino().to_string());
    let (mut own, mut sum) = (false, 0);
    for line in fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            // Addresses, permissions, offset, device, inode, path.
            [addresses, _, _, found, number, ..] if addresses.contains('-') => own = found == device && number == inode,
            ["Pss:", kib, _] if own => sum += kib.parse::<u64>().ok()? * 1024,
            _ => {}
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::lock;

    #[test]
    fn this_process_is_seen_with_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        assert!(lock::take(&file, 0..1, Lock::Alone).unwrap() && lock::take(&file, 2..3, Lock::Shared).unwrap());
        let seen = of(&file.metadata().unwrap()).unwrap();
        let own = seen.iter().find(|holder| holder.pid == std::process::id()).unwrap();
        assert_eq!((own.lock, own.writes, own.proportional), (Some(Lock::Alone), true, Some(0)));
    }
}
