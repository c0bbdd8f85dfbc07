//! The only calls into the operating system: memory, futex, fork, limits.
//!
//! Everything here is a thin, checked wrapper whose contract is safe unless the name says otherwise;
//! no file above this room names a system call. Linux only (5.14 or later; 5.16 for the fast wait).

pub(crate) mod child;
pub(crate) mod cpu;
pub(crate) mod file;
pub(crate) mod fork_stamp;
pub(crate) mod futex;
pub(crate) mod gemm;
pub(crate) mod holders;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod obituary;
pub(crate) mod orphans;
pub(crate) mod pidfd;
pub(crate) mod pools;
pub(crate) mod prefetch;
pub(crate) mod proc;
pub(crate) mod program;
#[cfg(feature = "cli")]
pub(crate) mod ptrace;
mod reserve;
pub(crate) mod sandbox;
pub(crate) mod shortage;
pub(crate) mod signals;
pub(crate) mod symbol;
pub(crate) mod usage;
pub(crate) mod withheld;
pub(crate) mod witness;
