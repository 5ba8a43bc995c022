//! Memory from the system: mappings for the big arrays of tables and for the chunks of entries.
//!
//! A key is found by two jumps into memory that nobody has touched lately. With pages of 4 KiB each jump misses the
//! processor's table of addresses as well as its cache, and the walk that follows, two walks in one on a virtual
//! machine, cannot be hidden by a prefetch: the prefetch itself waits for it. So these mappings, and only these, ask
//! for huge pages. What speaks against huge pages elsewhere does not hold here: the memory is used whole, and since
//! Linux 5.8 a write after a fork splits a huge page and copies 4 KiB of it, not 2 MiB.
//!
//! # Unsafe
//!
//! System calls that map, unmap and advise. The argument: [`map`] unmaps nothing but the two ends of what it has
//! mapped itself a moment before; a fresh anonymous mapping touches no memory that exists; advice changes no content.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

/// The size of a huge page, and the alignment of mappings that are at least as big.
pub const HUGE: usize = 2 << 20;

/// Fresh zero pages, none of them touched yet; `None` if the system refuses. Aligned to [`HUGE`] if `bytes` is at
/// least that.
pub fn map(bytes: usize) -> Option<NonNull<u8>> {
    if bytes < HUGE {
        return map_any(bytes);
    }
    let whole = bytes.checked_add(HUGE)?;
    let start = map_any(whole)?;
    let head = start.as_ptr().align_offset(HUGE);
    // SAFETY: both ends lie in the mapping just made, and nobody else knows of it yet.
    unsafe {
        let memory = start.add(head);
        if 0 < head {
            libc::munmap(start.as_ptr().cast(), head);
        }
        if head < HUGE {
            libc::munmap(memory.add(bytes).as_ptr().cast(), HUGE - head);
        }
        // Refused where there are no huge pages, which is as good.
        libc::madvise(memory.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
        Some(memory)
    }
}

/// Takes the pages of a fresh mapping now, as huge ones if there are any, and asks that none be made later: what its
/// owner gives back in small pieces must not be filled up again behind its back.
pub fn settle(memory: NonNull<u8>, bytes: usize) {
    for offset in (0..bytes).step_by(HUGE) {
        // SAFETY: the byte lies in the mapping, which the caller owns and nobody else uses yet.
        unsafe { memory.add(offset).write_volatile(0) };
    }
    // SAFETY: advice changes no content.
    unsafe { libc::madvise(memory.as_ptr().cast(), bytes, libc::MADV_NOHUGEPAGE) };
}

fn map_any(bytes: usize) -> Option<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping touches no memory that exists.
    let memory = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if memory == libc::MAP_FAILED { None } else { NonNull::new(memory.cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_mappings_are_aligned_and_zero() {
        for bytes in [4096, HUGE, HUGE + 4096, 3 * HUGE] {
            let memory = map(bytes).expect("there is memory");
            assert!(bytes < HUGE || memory.addr().get().is_multiple_of(HUGE));
            // SAFETY: the mapping is `bytes` long, ours, and given back once.
            unsafe {
                assert_eq!((memory.read(), memory.add(bytes - 1).read()), (0, 0));
                memory.add(bytes - 1).write(1);
                assert_eq!(libc::munmap(memory.as_ptr().cast(), bytes), 0);
            }
        }
    }
}
