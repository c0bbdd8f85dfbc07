//! What to do when the system says no: what its number stands for, with the limit that was met.

use std::io;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};

use crate::sys::limits;

/// A sentence or two, without the last full stop.
pub(crate) fn advice(source: &io::Error) -> String {
    limit(source).unwrap_or_else(|| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "This process is not allowed that call: look at the seccomp profile of its container, at file permissions, and at the \
             kernel, which must be 5.14 or later"
                .to_owned()
        }
        _ => "Look at the limits of this process (ulimit -a) and of the machine".to_owned(),
    })
}

/// The same where a limit was met, or the call or /proc is not there, whatever was asked of the system.
pub(crate) fn limit(source: &io::Error) -> Option<String> {
    Some(match source.raw_os_error()? {
        libc::EMFILE => {
            let most =
                getrlimit(Resource::RLIMIT_NOFILE).map_or_else(|_| "no more".to_owned(), |(soft, _)| soft.to_string());
            format!(
                "This process may have {most} descriptors (ulimit -n), and has them all. Close some, or raise the limit"
            )
        }
        libc::ENFILE => {
            "The machine has as many files open as it may (fs.file-max). Close some, or raise that".to_owned()
        }
        libc::ENOMEM => {
            let most = limits::most_mappings().map(|most| format!(" ({most})")).unwrap_or_default();
            format!(
                "Memory or addresses are used up (ulimit -v), or this process has as many mappings as vm.max_map_count allows{most}. Use \
                 fewer or smaller arrays, or raise the limit"
            )
        }
        libc::ENOSYS => {
            "This process is not allowed that call, or its kernel has none: look at the seccomp profile of its container, and at the \
             kernel, which must be 5.14 or later"
                .to_owned()
        }
        libc::ENOSPC => "The file system is full. Free some space there".to_owned(),
        libc::EFBIG => {
            let most = limits::file_room().map(|room| format!("{} bytes (ulimit -f)", room.bytes));
            let most = most.unwrap_or_else(|| "what its file system takes".to_owned());
            format!(
                "A file of this process, shared memory included, must not be longer than {most}. Use less, or raise the limit"
            )
        }
        libc::EAGAIN => {
            let most = limits::process_limit().map(|most| format!(" ({most})")).unwrap_or_default();
            format!(
                "This user has as many processes and threads as it may{most} (ulimit -u, or the container's pids.max). Ask for fewer \
                 workers, or raise the limit"
            )
        }
        libc::ENOENT if !Path::new("/proc/self").exists() => {
            "There is no /proc, which jobs need. Mount it (mount -t proc proc /proc), or let the container have it"
                .to_owned()
        }
        _ => return None,
    })
}
