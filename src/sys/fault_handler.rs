//! What a worker sees of the fault that ends it: which signal, at which address, in which instruction.
//!
//! A handler for the signals of faults stores that as plain atomics in memory shared with the coordinator ([`FaultRecord`]), then
//! hands over to whatever would have had the signal without it: it allocates, locks and waits for nothing. The last fault
//! stays: a body that mends its faults itself (a JIT, a garbage collector) has had many before the one that ends it. The
//! note counts only if the process then really died by that signal.
//!
//! 1. The handler has a stack of its own, or a stack that overflowed would leave it nowhere to stand.
//! 2. An overflow is not handed over: std's handler would print, abort, and so hide the cause.
//! 3. A signal that somebody sent (`kill`, `raise`) does not come again by itself when the handler returns, as a fault does.
//!    Where nobody else took it, it is sent once more to end the process as it would have.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use nix::errno::Errno;

use super::image::{self, Image};

/// The signals of faults.
const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// Bytes of the handler's stack: the kernel's record of a CPU with wide registers is 11 KiB, and handlers that were there
/// before run on it too.
const STACK: usize = 64 << 10;

/// How far from the stack pointer an overflow faults: calls and frames touch what is next to it.
const REACH: u64 = 64 << 10;

/// One per worker, in memory shared with the coordinator.
#[repr(C)]
pub(crate) struct FaultRecord {
    /// 0 nothing, 1 being written, 2 all is there.
    state: AtomicU32,
    signal: AtomicI32,
    code: AtomicI32,
    /// 0 unknown, 1 read, 2 write, 3 instruction fetch.
    access: AtomicU32,
    address: AtomicU64,
    instruction: AtomicU64,
    /// [`image::anchor`] of the worker.
    anchor: AtomicU64,
    stack: AtomicU64,
    /// The number of the last system call that a sandbox refused it, + 1; 0 for none.
    call: AtomicU32,
}

/// What an instruction did to the address at which it faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessKind {
    /// The CPU does not tell.
    Unknown,
    /// It read.
    Read,
    /// It wrote.
    Write,
    /// It went there to go on.
    Execute,
}

/// A fault as its worker noted it. Numbers from the control page: anything is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultReading {
    pub(crate) signal: i32,
    /// The address that was touched; of SIGILL and SIGFPE the instruction's. `None` where the CPU does not tell, because it
    /// is none that could exist.
    pub(crate) address: Option<u64>,
    pub(crate) touch: AccessKind,
    /// Where that is in this process; 0 where it cannot be told.
    pub(crate) instruction: u64,
    /// Whether the address is right at the stack pointer, where a stack overflows.
    pub(crate) at_stack: bool,
}

impl FaultRecord {
    /// Forgets what was noted.
    pub(crate) fn forget(&self) {
        self.state.store(0, Ordering::Relaxed);
        self.call.store(0, Ordering::Relaxed);
    }

    /// The number of the last system call that a sandbox refused it, if it did.
    pub(crate) fn refused(&self) -> Option<u32> {
        self.call.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The fault that was noted, if it is of this signal and not one that somebody sent.
    pub(crate) fn of(&self, signal: i32) -> Option<FaultReading> {
        let whole = self.state.load(Ordering::Acquire) == 2;
        let code = self.code.load(Ordering::Relaxed);
        if !whole || self.signal.load(Ordering::Relaxed) != signal || code <= 0 {
            return None;
        }
        let address = self.address.load(Ordering::Relaxed);
        let touch = match self.access.load(Ordering::Relaxed) {
            1 => AccessKind::Read,
            2 => AccessKind::Write,
            3 => AccessKind::Execute,
            _ => AccessKind::Unknown,
        };
        Some(FaultReading {
            signal,
            address: (code != SI_KERNEL).then_some(address),
            touch,
            instruction: self.instruction_here(),
            at_stack: is_overflow(signal, code, address, self.stack.load(Ordering::Relaxed)),
        })
    }

    /// A worker of a program that was started again has other libraries' code elsewhere, nobody knows where.
    fn instruction_here(&self) -> u64 {
        let [there, anchor] = [&self.instruction, &self.anchor].map(|word| word.load(Ordering::Relaxed));
        let here = image::address_of(there.wrapping_sub(anchor));
        match anchor == image::anchor() || Image::own().is_ok_and(|image| image.holds(here)) {
            true => here,
            false => 0,
        }
    }

    /// Enters a fault. Should two threads have one at the same time, either is the cause.
    fn enter(&self, signal: c_int, code: c_int, address: u64, place: CodeLocation) {
        if self.state.swap(1, Ordering::Acquire) == 1 {
            return;
        }
        self.signal.store(signal, Ordering::Relaxed);
        self.code.store(code, Ordering::Relaxed);
        self.access.store(place.access, Ordering::Relaxed);
        self.address.store(address, Ordering::Relaxed);
        self.instruction.store(place.instruction, Ordering::Relaxed);
        self.anchor.store(image::anchor(), Ordering::Relaxed);
        self.stack.store(place.stack, Ordering::Relaxed);
        self.state.store(2, Ordering::Release);
    }
}

/// `si_code` of a fault without an address (asm-generic/siginfo.h): general protection on x86-64.
const SI_KERNEL: c_int = 0x80;

fn is_overflow(signal: c_int, code: c_int, address: u64, stack: u64) -> bool {
    signal == libc::SIGSEGV && code > 0 && code != SI_KERNEL && address.abs_diff(stack) <= REACH
}

/// What stood before for each of [`SIGNALS`].
struct Inherited {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static INHERITED: [Inherited; SIGNALS.len()] =
    [const { Inherited { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) } }; SIGNALS.len()];

/// Where this process's worker notes, and which process that is: its own children inherit the handler but are no workers.
static NOTE: AtomicPtr<FaultRecord> = AtomicPtr::new(null_mut());
static WORKER: AtomicI32 = AtomicI32::new(0);

/// Memory that the kernel alone uses, as the handler's stack; a worker's copy of it exists once it is touched.
#[repr(align(64))]
struct Stack(UnsafeCell<[MaybeUninit<u8>; STACK]>);

// SAFETY: no Rust code ever reads or writes it: only its address is given to the kernel, once in each process.
unsafe impl Sync for Stack {}

static ON_STACK: Stack = Stack(UnsafeCell::new([MaybeUninit::uninit(); STACK]));

/// From now on faults of this process are noted. To be called once, by the worker that the note stands for, before it has
/// threads.
///
/// # Safety
/// The note stays where it is until this process ends.
///
/// # Errors
/// The kernel's, of which there are none for these calls.
pub(crate) unsafe fn install(note: &FaultRecord) -> io::Result<()> {
    NOTE.store(std::ptr::from_ref(note).cast_mut(), Ordering::Relaxed);
    WORKER.store(std::process::id() as i32, Ordering::Relaxed);
    let stack = libc::stack_t { ss_sp: ON_STACK.0.get().cast(), ss_flags: 0, ss_size: STACK };
    // SAFETY: the memory is this process's copy of a static, which nothing else uses.
    Errno::result(unsafe { libc::sigaltstack(&raw const stack, null_mut()) })?;
    for (signal, inherited) in SIGNALS.into_iter().zip(&INHERITED) {
        // SAFETY: integers and pointers, for which all zero is a value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: `action` is live for the kernel to fill.
        Errno::result(unsafe { libc::sigaction(signal, null(), &raw mut action) })?;
        // A worker of a worker's own job is born with this very handler, and with what stood before it.
        if action.sa_sigaction == on_fault as *const () as usize {
            continue;
        }
        inherited.handler.store(action.sa_sigaction, Ordering::Relaxed);
        inherited.flags.store(action.sa_flags, Ordering::Relaxed);
        // The mask stays, and whether the signal is blocked meanwhile: the other handler may leave by a long jump.
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | (action.sa_flags & libc::SA_NODEFER);
        // SAFETY: the handler is one for SA_SIGINFO, and uses nothing but atomics and calls that signal handlers may make.
        Errno::result(unsafe { libc::sigaction(signal, &raw const action, null_mut()) })?;
    }
    Ok(())
}

/// What the CPU was at.
#[derive(Clone, Copy)]
struct CodeLocation {
    instruction: u64,
    stack: u64,
    access: u32,
}

impl CodeLocation {
    #[cfg(target_arch = "x86_64")]
    fn of(context: &libc::ucontext_t) -> Self {
        /// The trap that is a page fault, whose error code tells what was done.
        const PAGE_FAULT: i64 = 14;
        let register = |number: c_int| context.uc_mcontext.gregs[number as usize];
        let error = register(libc::REG_ERR);
        let access = match register(libc::REG_TRAPNO) {
            PAGE_FAULT if error & 0x10 != 0 => 3,
            PAGE_FAULT if error & 0x2 != 0 => 2,
            PAGE_FAULT => 1,
            _ => 0,
        };
        Self { instruction: register(libc::REG_RIP) as u64, stack: register(libc::REG_RSP) as u64, access }
    }

    #[cfg(target_arch = "aarch64")]
    fn of(context: &libc::ucontext_t) -> Self {
        Self { instruction: context.uc_mcontext.pc, stack: context.uc_mcontext.sp, access: 0 }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn of(_: &libc::ucontext_t) -> Self {
        Self { instruction: 0, stack: 0, access: 0 }
    }
}

/// Notes, and hands over.
extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a record of the signal.
    let record = unsafe { &*info };
    // SAFETY: and one of the CPU as it was.
    let place = CodeLocation::of(unsafe { &*context.cast::<libc::ucontext_t>() });
    let code = record.si_code;
    // SAFETY: for a fault that is the field there is; for others it is not used.
    let address = unsafe { record.si_addr() }.addr() as u64;
    // SAFETY: takes nothing, gives an integer, and may be called in a handler.
    let this = unsafe { libc::getpid() };
    // SAFETY: null, or the note that the caller of `install` vouches for.
    if let Some(note) = unsafe { NOTE.load(Ordering::Relaxed).as_ref() }
        && this == WORKER.load(Ordering::Relaxed)
    {
        note.enter(signal, code, address, place);
    }
    if is_overflow(signal, code, address, place.stack) {
        return restore(signal);
    }
    hand_over(signal, info, context);
    if code <= 0 && is_default(signal) {
        end_by(signal);
    }
}

/// Notes that a sandbox refused this process's worker a system call.
pub(super) fn note_call(number: c_int) {
    // SAFETY: null, or the note that the caller of `install` vouches for.
    if let Some(note) = unsafe { NOTE.load(Ordering::Relaxed).as_ref() } {
        note.call.store((number as u32).wrapping_add(1), Ordering::Relaxed);
    }
}

/// Ends this process by a signal whose handler runs, as soon as it returns.
fn end_by(signal: c_int) {
    restore(signal);
    // SAFETY: takes nothing and gives an integer.
    let this = unsafe { libc::getpid() };
    // SAFETY: takes nothing and gives an integer.
    let thread = unsafe { libc::gettid() };
    // SAFETY: integers; the signal is blocked, or ends the process here, and else when this handler returns.
    unsafe { libc::syscall(libc::SYS_tgkill, this, thread, signal) };
}

/// Does what would have been done without us; returns if that does.
fn hand_over(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(inherited) = SIGNALS.iter().position(|&known| known == signal).map(|at| &INHERITED[at]) else { return };
    // SAFETY: as in `on_fault`.
    let sent = unsafe { (*info).si_code } <= 0;
    match inherited.handler.load(Ordering::Relaxed) {
        libc::SIG_IGN if sent => {}
        // Nobody can ignore a fault.
        libc::SIG_DFL | libc::SIG_IGN => restore(signal),
        handler if inherited.flags.load(Ordering::Relaxed) & libc::SA_SIGINFO != 0 => {
            // SAFETY: the address was installed as a handler of this kind.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: as above, of the kind without records.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// Makes the signal end the process, when the instruction is tried again.
fn restore(signal: c_int) {
    // SAFETY: integers and pointers, for which all zero is a value: SIG_DFL with an empty mask.
    let action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: no handler is installed.
    unsafe { libc::sigaction(signal, &raw const action, null_mut()) };
}

/// Whether the signal ends the process if it comes.
fn is_default(signal: c_int) -> bool {
    // SAFETY: integers and pointers, for which all zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` is live for the kernel to fill.
    unsafe { libc::sigaction(signal, null(), &raw mut action) };
    action.sa_sigaction == libc::SIG_DFL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> FaultRecord {
        // SAFETY: integers, for which all zero is a value.
        unsafe { std::mem::zeroed() }
    }

    #[test]
    fn the_last_fault_counts_and_only_for_its_signal() {
        let (note, place) = (note(), CodeLocation { instruction: 7, stack: 1 << 40, access: 2 });
        assert_eq!(note.of(libc::SIGSEGV), None);
        note.enter(libc::SIGSEGV, 1, 0x1000, place);
        note.enter(libc::SIGBUS, 2, 0x2000, place);
        assert_eq!(note.of(libc::SIGSEGV), None);
        let seen = FaultReading {
            signal: libc::SIGBUS,
            address: Some(0x2000),
            touch: AccessKind::Write,
            instruction: 7,
            at_stack: false,
        };
        assert_eq!(note.of(libc::SIGBUS), Some(seen));
        note.forget();
        assert_eq!(note.of(libc::SIGBUS), None);
    }

    #[test]
    fn what_was_sent_is_no_fault_and_half_a_note_is_none() {
        let (note, place) = (note(), CodeLocation { instruction: 7, stack: 0x9000, access: 0 });
        note.enter(libc::SIGSEGV, -6, 0, place);
        assert_eq!(note.of(libc::SIGSEGV), None);
        note.state.store(1, Ordering::Relaxed);
        note.enter(libc::SIGSEGV, 1, 0x1000, place);
        assert_eq!(note.of(libc::SIGSEGV), None);
    }

    #[test]
    fn an_address_that_cannot_be_has_no_number_and_one_at_the_stack_pointer_is_an_overflow() {
        let (note, place) = (note(), CodeLocation { instruction: 7, stack: 0x9000_0000, access: 1 });
        note.enter(libc::SIGSEGV, SI_KERNEL, 0, place);
        assert_eq!(note.of(libc::SIGSEGV).map(|seen| (seen.address, seen.at_stack)), Some((None, false)));
        note.enter(libc::SIGSEGV, 2, 0x9000_0000 - 8, place);
        assert!(note.of(libc::SIGSEGV).unwrap().at_stack);
        note.enter(libc::SIGSEGV, 2, 0x9000_0000 - REACH - 1, place);
        assert!(!note.of(libc::SIGSEGV).unwrap().at_stack);
    }
}
