//! The unit in which the kernel maps memory.

use nix::unistd::{SysconfVar, sysconf};

/// Bytes in a page of memory.
pub(crate) fn page_size() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |bytes| bytes as usize)
}
