//! The only calls into the operating system: memory, futex, fork, limits.
//!
//! Everything here is a thin, checked wrapper whose contract is safe unless the name says otherwise;
//! no file above this room names a system call. Linux only (5.14 or later; 5.16 for the fast wait).

pub(crate) mod child;
pub(crate) mod cpu;
mod descriptors;
pub(crate) mod file;
pub(crate) mod fork_stamp;
pub(crate) mod futex;
#[cfg(feature = "named")]
pub(crate) mod holders;
pub(crate) mod image;
pub(crate) mod lease;
pub(crate) mod limits;
#[cfg(feature = "named")]
pub(crate) mod lock;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod oom;
pub(crate) mod page;
pub(crate) mod pidfd;
pub(crate) mod pipe;
pub(crate) mod pools;
pub(crate) mod proc;
#[cfg(feature = "exec")]
pub(crate) mod program;
pub(crate) mod reserve;
pub(crate) mod robust_lock;
#[cfg(feature = "sandbox")]
pub(crate) mod sandbox;
#[cfg(not(feature = "sandbox"))]
#[path = "sandbox/absent.rs"]
pub(crate) mod sandbox;
pub(crate) mod server_program;
pub(crate) mod signals;
pub(crate) mod subreaper;
#[cfg(feature = "symbols")]
pub(crate) mod symbol;
#[cfg(not(feature = "symbols"))]
pub(crate) mod symbol {
    /// What is at an address of this program, which nobody here can tell.
    pub(crate) fn at(_: u64) -> Option<String> {
        None
    }
}
pub(crate) mod exit;
pub(crate) mod fault_handler;
pub(crate) mod fork_exclusions;
pub(crate) mod usage;
