//! Huge pages that are taken ahead of their first use, by a thread that has nothing else to do.
//!
//! The first touch of a huge page makes the kernel find and clear 2 MiB: a quarter of a millisecond, and five where a
//! virtual machine gets its memory from its host only then. Whoever is about to need one asks for it here, a while
//! before; the thread takes it, and the touch costs nothing. All of this is a hint. A page that was not taken in time
//! is taken by the touch, and where nobody serves, asking does nothing.
//!
//! Asked for are addresses, not memory: the thread may come to one after it was unmapped, or mapped for something
//! else. It therefore touches nothing itself but has the kernel populate the range, which changes no content and is
//! refused where there is no mapping.
//!
//! # Unsafe
//!
//! One system call, `madvise` with `MADV_POPULATE_WRITE` (Linux 5.14): for the reason just given it needs nothing of
//! the address.
#![allow(unsafe_code)]

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::base::pages::HUGE;

/// Pages that may be asked for and not yet be taken; a power of two. What is asked beyond is forgotten.
const ASKED_MAX: usize = 64;

struct Ahead {
    /// Addresses of pages, the oldest at `taken`, the next one to be filled in at `asked`; both count on for ever.
    pages: [AtomicUsize; ASKED_MAX],
    asked: AtomicUsize,
    taken: AtomicUsize,
    served: AtomicBool,
}

static AHEAD: Ahead = Ahead::new();

/// Asks for the huge page at this address, which a mapping of the caller holds whole.
pub fn ask(page: *const u8) {
    AHEAD.ask(page);
}

/// Whether pages were asked for that are not taken yet.
#[inline]
pub fn is_behind() -> bool {
    AHEAD.is_behind()
}

/// From now on there is a thread that calls [`take`] whenever [`is_behind`].
pub fn serve() {
    AHEAD.served.store(true, Ordering::Relaxed);
}

/// Whether there is such a thread.
pub fn is_served() -> bool {
    AHEAD.served.load(Ordering::Relaxed)
}

/// Takes the page that was asked for first. False if there is none. Neither allocates nor locks.
pub fn take() -> bool {
    AHEAD.take()
}

impl Ahead {
    const fn new() -> Ahead {
        Ahead {
            pages: [const { AtomicUsize::new(0) }; ASKED_MAX],
            asked: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            served: AtomicBool::new(false),
        }
    }

    fn ask(&self, page: *const u8) {
        let asked = self.asked.load(Ordering::Relaxed);
        let open = asked.wrapping_sub(self.taken.load(Ordering::Relaxed));
        if !self.served.load(Ordering::Relaxed) || ASKED_MAX <= open {
            return;
        }
        self.pages[asked % ASKED_MAX].store(page.addr(), Ordering::Relaxed);
        self.asked.store(asked.wrapping_add(1), Ordering::Release);
    }

    fn is_behind(&self) -> bool {
        self.asked.load(Ordering::Acquire) != self.taken.load(Ordering::Acquire)
    }

    fn take(&self) -> bool {
        if !self.is_behind() {
            return false;
        }
        let taken = self.taken.load(Ordering::Relaxed);
        let page = ptr::without_provenance_mut(self.pages[taken % ASKED_MAX].load(Ordering::Relaxed));
        // SAFETY: populating changes no content, whatever is mapped there.
        let result = unsafe { libc::madvise(page, HUGE, libc::MADV_POPULATE_WRITE) };
        if result != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
            // An older kernel: nobody shall wait for what does not come.
            self.served.store(false, Ordering::Relaxed);
        }
        self.taken.store(taken.wrapping_add(1), Ordering::Release);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::pages;

    #[test]
    fn what_is_asked_for_is_taken_once_and_what_is_too_much_is_forgotten() {
        let ahead = Ahead::new();
        let memory = pages::map(2 * HUGE).expect("there is memory").as_ptr();
        ahead.ask(memory);
        assert!(!ahead.is_behind(), "nobody serves yet");
        ahead.served.store(true, Ordering::Relaxed);
        for _ in 0..ASKED_MAX + 10 {
            ahead.ask(memory);
        }
        let taken = std::iter::repeat_with(|| ahead.take()).take_while(|taken| *taken).count();
        assert_eq!(taken, ASKED_MAX);
        // An address where nothing is mapped is no harm.
        ahead.ask(ptr::without_provenance(HUGE));
        assert!(ahead.take() && !ahead.is_behind());
        // SAFETY: the mapping is ours; it is still all zeros.
        assert_eq!(unsafe { (memory.read(), memory.add(HUGE).read()) }, (0, 0));
    }
}
