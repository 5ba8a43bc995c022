//! Asking the processor for memory before it is needed.
//!
//! # Unsafe
//!
//! One instruction. The argument: a prefetch is a hint; it neither faults nor changes anything a program sees.
#![allow(unsafe_code)]

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks the processor to have a cache line at hand soon. Any address will do, even one of no memory.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: see the head of this file.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: see the head of this file.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

/// The same for all of these bytes, which are about to be copied: left to itself, the processor finds out line by line
/// that it will need the next one, and begins anew at every page.
#[inline]
pub fn prefetch_all(bytes: &[u8]) {
    bytes.iter().step_by(LINE).for_each(|byte| prefetch(byte));
}
