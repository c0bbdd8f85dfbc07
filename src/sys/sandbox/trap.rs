//! What becomes of a worker that makes a call which is not let through: the call is noted, then it ends; or, for a file that it
//! would have opened, is told that it may not.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr::null_mut;

use nix::errno::Errno;

use super::super::witness;

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

extern "C" fn on_call(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a record of the signal.
    let code = unsafe { (*info).si_code };
    if code == SYS_SECCOMP {
        // SAFETY: and one of the CPU as it was, which it takes back from there.
        let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
        let call = number(context);
        witness::note_call(call);
        if super::is_open(call) {
            return answer(context, -libc::EACCES);
        }
    }
    witness::end_by(signal);
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
