//! Memory from the system: mappings for the big arrays of tables and for the chunks of entries.
//!
//! A key is found by two jumps into memory that nobody has touched lately. With pages of 4 KiB each jump misses the
//! processor's table of addresses as well as its cache, and the walk that follows, two walks in one on a virtual
//! machine, cannot be hidden by a prefetch: the prefetch itself waits for it. So these mappings, and only these, are
//! put on huge pages. What speaks against huge pages elsewhere does not hold here: the memory is used whole, and since
//! Linux 5.8 a write after a fork splits a huge page and copies 4 KiB of it, not 2 MiB.
//!
//! Not by touching them, though. The first touch of a huge page takes and clears 2 MiB in one stop: a quarter of a
//! millisecond, and five where a virtual machine gets its memory from its host only then. So memory comes in small
//! pages as it is needed, and what is full is [`ripe`]: its pages are exchanged for a huge one when nobody waits
//! ([`ripen_one`]). While data is loaded nobody waits at all, and huge pages are taken at once ([`be_eager`]).
//!
//! # Unsafe
//!
//! System calls that map, unmap and advise. The argument: [`map`] unmaps nothing but the two ends of what it has
//! mapped itself a moment before; a fresh anonymous mapping touches no memory that exists; the advice given here
//! changes no content.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};

/// The size of a huge page, and the alignment of mappings that are at least as big.
pub const HUGE: usize = 2 << 20;

thread_local! {
    static EAGER: Cell<bool> = const { Cell::new(false) };
    /// Addresses of what may be exchanged for a huge page.
    static RIPE: RefCell<Vec<NonNull<u8>>> = const { RefCell::new(Vec::new()) };
}

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
        if EAGER.get() {
            // Refused where there are no huge pages, which is as good.
            libc::madvise(memory.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
        }
        Some(memory)
    }
}

/// Says how the pages of a fresh mapping come, which will be given back in small pieces: those must not be filled up
/// again behind its owner's back, so no huge pages are made of it but here: now, if eager, or when it is ripe.
pub fn settle(memory: NonNull<u8>, bytes: usize) {
    for offset in (0..bytes).step_by(HUGE).take_while(|_| EAGER.get()) {
        // SAFETY: the byte lies in the mapping, which the caller owns and nobody else uses yet.
        unsafe { memory.add(offset).write_volatile(0) };
    }
    // SAFETY: advice changes no content.
    unsafe { libc::madvise(memory.as_ptr().cast(), bytes, libc::MADV_NOHUGEPAGE) };
}

/// Whether mappings made from now on by this thread take huge pages at once.
pub fn be_eager(eager: bool) {
    EAGER.set(eager);
}

/// The memory, from a mapping of this module, is in use whole and will stay so for a while.
pub fn ripe(memory: NonNull<u8>, bytes: usize) {
    if !EAGER.get() {
        let huge = (0..bytes / HUGE).rev();
        // SAFETY: the offsets lie in the mapping.
        RIPE.with_borrow_mut(|ripe| ripe.extend(huge.map(|index| unsafe { memory.add(index * HUGE) })));
    }
}

/// The memory goes, or is to be used in parts: takes back what [`ripe`] said.
pub fn unripe(memory: NonNull<u8>, bytes: usize) {
    let range = memory.addr().get()..memory.addr().get() + bytes;
    RIPE.with_borrow_mut(|ripe| ripe.retain(|page| !range.contains(&page.addr().get())));
}

/// Whether [`ripen_one`] has something to do.
pub fn any_ripe() -> bool {
    RIPE.with_borrow(|ripe| !ripe.is_empty())
}

/// Exchanges 2 MiB of small pages for a huge one, if there are any that are ripe: a stop of a fraction of a
/// millisecond, or of several on memory that is new to the machine. Where the kernel cannot (before Linux 6.1), its
/// own thread is asked to do it in time.
pub fn ripen_one() {
    let Some(page) = RIPE.with_borrow_mut(Vec::pop) else { return };
    let page = page.as_ptr().cast();
    // SAFETY: advice changes no content.
    unsafe {
        libc::madvise(page, HUGE, libc::MADV_HUGEPAGE);
        if libc::madvise(page, HUGE, libc::MADV_COLLAPSE) == 0 {
            libc::madvise(page, HUGE, libc::MADV_NOHUGEPAGE);
        }
    }
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

    #[test]
    fn what_is_ripe_keeps_its_content_and_what_goes_is_forgotten() {
        let memory = map(3 * HUGE).expect("there is memory");
        settle(memory, 3 * HUGE);
        // SAFETY: the mapping is ours and so long.
        let bytes = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr(), 3 * HUGE) };
        bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = (index % 251) as u8);
        ripe(memory, 2 * HUGE);
        ripen_one();
        assert!(any_ripe());
        unripe(memory, 3 * HUGE);
        assert!(!any_ripe());
        ripen_one();
        assert!(bytes.iter().enumerate().all(|(index, byte)| *byte == (index % 251) as u8));
        be_eager(true);
        ripe(memory, 3 * HUGE);
        assert!(!any_ripe(), "it is on huge pages already");
        be_eager(false);
    }
}
