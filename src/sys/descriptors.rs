//! The descriptors that a process has.

use std::fs;
use std::os::fd::RawFd;

use nix::sys::resource::{Resource, getrlimit};

/// Where /proc does not list them, no more are looked for than anybody has.
const MOST: u64 = 1 << 20;

/// Those of this process; there may be some among them that are none any more.
pub(super) fn all() -> Vec<RawFd> {
    match fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => {
            let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((MOST, MOST));
            (0..most.min(MOST) as RawFd).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_is_open_is_among_them() {
        let file = fs::File::open("/proc/self/exe").unwrap();
        let all = all();
        assert!([0, 1, 2, file.as_raw_fd()].iter().all(|fd| all.contains(fd)), "{all:?}");
    }
}
