//! Giving up what the kernel lets a privileged process do, for ever: also root is a user like others then.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_ulong};
use std::io;

use nix::errno::Errno;
use nix::sys::prctl::set_no_new_privs;

/// The version of the records below, `_LINUX_CAPABILITY_VERSION_3` (linux/capability.h).
const VERSION: u32 = 0x2008_0522;

/// The securebits NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each locked (linux/securebits.h).
const SECURE: c_ulong = 0b1110_1111;

/// No capability is left to this process, and none can be gained by it or by what it starts.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn drop_all() -> io::Result<()> {
    set_no_new_privs()?;
    // These two take a capability themselves. Where it is not there, none is to be bounded, and `no_new_privs` keeps it so.
    let mut number: c_ulong = 0;
    while prctl(libc::PR_CAPBSET_DROP, number).is_ok() {
        number += 1;
    }
    match prctl(libc::PR_SET_SECUREBITS, SECURE) {
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong)?;
    let (header, none) = ([VERSION, 0], [0_u32; 6]);
    // SAFETY: records of integers as that version has them, which the kernel reads.
    let dropped = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    Errno::result(dropped)?;
    Ok(())
}

fn prctl(option: c_int, argument: c_ulong) -> nix::Result<()> {
    let none: c_ulong = 0;
    // SAFETY: integers.
    Errno::result(unsafe { libc::prctl(option, argument, none, none, none) }).map(drop)
}
