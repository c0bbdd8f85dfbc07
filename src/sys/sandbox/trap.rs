//! What becomes of a worker that would open a file: it is noted, and told that it may not. That is an answer like any other, so it does not
//! matter to whom a worker gives the signal that it comes by.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr::null_mut;

use nix::errno::Errno;

use super::super::fault_handler;

/// `si_code` of a call that a filter has trapped (asm-generic/siginfo.h).
const SYS_SECCOMP: c_int = 1;

/// From now on calls that a filter traps are noted where this worker notes its faults.
pub(super) fn set() -> io::Result<()> {
    // SAFETY: integers and pointers, for which all zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_call as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler is one for SA_SIGINFO, and uses nothing but atomics and calls that signal handlers may make.
    Errno::result(unsafe { libc::sigaction(libc::SIGSYS, &raw const action, null_mut()) })?;
    Ok(())
}

extern "C" fn on_call(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a record of the signal.
    let code = unsafe { (*info).si_code };
    // One that somebody sent is none of ours.
    if code == SYS_SECCOMP {
        // SAFETY: and one of the CPU as it was, which it takes back from there.
        let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
        fault_handler::note_call(number(context));
        answer(context, -libc::EACCES);
    }
}

/// The number of the call that was trapped.
#[cfg(target_arch = "x86_64")]
fn number(context: &libc::ucontext_t) -> c_int {
    context.uc_mcontext.gregs[libc::REG_RAX as usize] as c_int
}

#[cfg(target_arch = "aarch64")]
fn number(context: &libc::ucontext_t) -> c_int {
    context.uc_mcontext.regs[8] as c_int
}

/// Lets the call have returned that.
#[cfg(target_arch = "x86_64")]
fn answer(context: &mut libc::ucontext_t, value: c_int) {
    context.uc_mcontext.gregs[libc::REG_RAX as usize] = i64::from(value);
}

#[cfg(target_arch = "aarch64")]
fn answer(context: &mut libc::ucontext_t, value: c_int) {
    context.uc_mcontext.regs[0] = i64::from(value) as u64;
}
