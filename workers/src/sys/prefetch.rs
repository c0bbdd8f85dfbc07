//! Asking for memory before it is needed.
#![allow(unsafe_code)]

/// Asks for the cache line `ahead` bytes after `from`, into the second-level cache, and does not wait. There need be nothing
/// there. It does nothing on CPUs other than x86-64.
#[inline(always)]
pub(crate) fn prefetch<T: ?Sized>(from: &T, ahead: usize) {
    let place = std::ptr::from_ref(from).cast::<i8>().wrapping_add(ahead);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which reads nothing that the program could see and never faults, whatever the address (Intel 64 and
    // IA-32 Architectures Software Developer's Manual, vol. 2B, PREFETCHh). SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(place);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
