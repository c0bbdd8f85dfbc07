//! The only calls into the operating system: memory, futex, fork, limits.
//!
//! Everything here is a thin, checked wrapper whose contract is safe unless the name says otherwise;
//! no file above this room names a system call. Linux only (5.14 or later; 5.16 for the fast wait).

pub(crate) mod child;
pub(crate) mod cpu;
pub(crate) mod file;
pub(crate) mod fork_stamp;
pub(crate) mod futex;
#[cfg(feature = "named")]
pub(crate) mod holders;
pub(crate) mod lease;
pub(crate) mod limits;
#[cfg(feature = "named")]
pub(crate) mod lock;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod obituary;
pub(crate) mod orphans;
pub(crate) mod pidfd;
pub(crate) mod pools;
pub(crate) mod proc;
#[cfg(feature = "exec")]
pub(crate) mod program;
mod reserve;
#[cfg(feature = "sandbox")]
pub(crate) mod sandbox;
#[cfg(not(feature = "sandbox"))]
#[path = "sandbox/absent.rs"]
pub(crate) mod sandbox;
pub(crate) mod shortage;
pub(crate) mod signals;
#[cfg(feature = "symbols")]
pub(crate) mod symbol;
#[cfg(not(feature = "symbols"))]
pub(crate) mod symbol {
    /// What is at an address of this program, which nobody here can tell.
    pub(crate) fn at(_: u64) -> Option<String> {
        None
    }
}
pub(crate) mod usage;
pub(crate) mod withheld;
pub(crate) mod witness;
