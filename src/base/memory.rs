//! The allocator and the count of what it has handed out.
//!
//! [`Counting`] passes every call on to mimalloc and keeps one number: the bytes handed out and not yet taken
//! back, by the sizes that were asked for. `maxmemory`, `INFO memory` and eviction read it.
//!
//! # The count
//!
//! It changes with a relaxed load and a relaxed store, not with an atomic addition: the latter locks a cache
//! line, which each command would pay for twice and more. Only one thread of the server allocates (the loop;
//! the helper that syncs the log never does), so no change can get lost there. Were several to allocate, the
//! count would drift: a wrong number but never undefined behaviour, and below zero it reads as zero. The tests
//! of this crate do so, and count by atomic addition.
//!
//! # Another allocator
//!
//! With the feature `system-allocator` the system's own stands in the place of mimalloc, and of the pages of
//! [`crate::data::block`]: valgrind and the sanitizers watch each block of that one.
//!
//! # Why the unsafe code is sound
//!
//! `GlobalAlloc` is an unsafe trait. Its promises are kept because each of its functions hands the very
//! arguments it got to the function of the same name of mimalloc (or of `System`), which keeps them, and returns the very pointer
//! that came back. What is added, the count, touches only two atomics, allocates nothing and cannot panic:
//! all of its arithmetic wraps.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[cfg(not(feature = "system-allocator"))]
use mimalloc::MiMalloc as Inner;
#[cfg(feature = "system-allocator")]
use std::alloc::System as Inner;

/// The allocator of the server: mimalloc, counted.
pub struct Counting;

static GAUGE: Gauge = Gauge::new();

/// Bytes handed out and not yet taken back.
#[inline]
pub fn used() -> usize {
    GAUGE.used()
}

/// The most that was ever noted to be in use (see [`note_peak`]), and no less than what is in use now.
pub fn peak() -> usize {
    GAUGE.peak()
}

/// Counts bytes that were taken past the allocator: mapped memory, blocks of a page.
#[inline]
pub fn add(len: usize) {
    GAUGE.change(len, 0);
}

/// Bytes that were counted by [`add`] are given back.
#[inline]
pub fn sub(len: usize) {
    GAUGE.change(0, len);
}

/// Remembers what is in use if it is more than ever before. The tick calls it: ten times a second shows every
/// peak that lasts, and the allocator is spared a comparison a call.
pub fn note_peak() {
    GAUGE.note_peak();
}

/// Forgets earlier peaks.
pub fn reset_peak() {
    GAUGE.reset_peak();
}

/// The size of the block that a request of `len` bytes gets, `len` or a little more. Whoever asks for this
/// size right away pays no more memory and may use all of it. It holds for alignments up to 8.
///
/// Blocks up to 512 KiB have sizes in classes: multiples of 16 up to 64 bytes, then four classes to each
/// doubling, so that less than a fifth of a block is slack. Bigger ones are made of whole pages. A test
/// compares this with the allocator's own answer.
#[inline]
pub fn usable_size(len: usize) -> usize {
    const WORD: usize = size_of::<usize>();
    let words = len.div_ceil(WORD);
    if words <= 1 {
        WORD
    } else if words <= 8 {
        words.next_multiple_of(2) * WORD
    } else if len <= CLASS_LEN_MAX {
        // The top three bits of the last word's index name the class.
        let class_step = 1 << ((words - 1).ilog2() - 2);
        words.next_multiple_of(class_step) * WORD
    } else {
        len.checked_next_multiple_of(PAGE_LEN).unwrap_or(len)
    }
}

/// The longest block that has a size class.
const CLASS_LEN_MAX: usize = 512 << 10;
const PAGE_LEN: usize = 4096;

// SAFETY: see the head of the file; everything is passed on to `Gauge`, and from there to mimalloc.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: our caller's promises about the arguments are passed on with the arguments.
        unsafe { GAUGE.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { GAUGE.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { GAUGE.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { GAUGE.realloc(block, layout, len) }
    }
}

/// The count, and the allocator in front of it. A type of its own so that tests can have one to themselves.
struct Gauge {
    /// Modulo 2^64, so that lost changes lead below zero and back instead of to a panic.
    used: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    const fn new() -> Gauge {
        Gauge { used: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    fn used(&self) -> usize {
        let used = self.used.load(Relaxed);
        if (used as isize) < 0 { 0 } else { used }
    }

    fn peak(&self) -> usize {
        self.peak.load(Relaxed).max(self.used())
    }

    fn note_peak(&self) {
        self.peak.store(self.peak(), Relaxed);
    }

    fn reset_peak(&self) {
        self.peak.store(self.used(), Relaxed);
    }

    #[inline]
    fn change(&self, taken: usize, given_back: usize) {
        let change = taken.wrapping_sub(given_back);
        if cfg!(test) {
            self.used.fetch_add(change, Relaxed);
        } else {
            self.used.store(self.used.load(Relaxed).wrapping_add(change), Relaxed);
        }
    }
}

// SAFETY: see the head of the file; mimalloc gets every argument as it came, and its pointers go back as they
// came.
unsafe impl GlobalAlloc for Gauge {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: our caller's promises about the arguments are passed on with the arguments.
        let block = unsafe { Inner.alloc(layout) };
        if !block.is_null() {
            self.change(layout.size(), 0);
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { Inner.alloc_zeroed(layout) };
        if !block.is_null() {
            self.change(layout.size(), 0);
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.change(0, layout.size());
        // SAFETY: as above.
        unsafe { Inner.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { Inner.realloc(block, layout, len) };
        // When it fails, the old block stays as it was, and so does the count.
        if !moved.is_null() {
            self.change(len, layout.size());
        }
        moved
    }
}

/// When memory that is freed goes back to the system, unless it is used again before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GiveBack {
    /// After a second. Then everything goes that has been free for so long, in one stop: a gigabyte takes 100 ms.
    Late,
    /// After a millisecond, as above.
    Soon,
    /// At once, page by page: for who frees much, and in slices, and does not want it back.
    AtOnce,
}

/// Says when memory that is freed from now on goes back.
pub fn give_back(when: GiveBack) {
    own::give_back(when);
}

/// Gives memory that is free back to the system, as far as whole pages of it are.
pub fn collect() {
    own::collect();
}

/// What mimalloc can do besides.
#[cfg(not(feature = "system-allocator"))]
mod own {
    use std::ffi::{c_int, c_long};

    use super::GiveBack;

    /// Number of the option `mi_option_purge_delay`: milliseconds for which pages that are free wait to be used again
    /// before they go back to the system.
    pub const PURGE_DELAY: c_int = 15;
    /// Its default in version 3.
    pub const PURGE_DELAY_MS: c_long = 1000;

    unsafe extern "C" {
        fn mi_option_set(option: c_int, value: c_long);
        fn mi_collect(force: bool);
    }

    pub fn give_back(when: GiveBack) {
        let delay_ms = match when {
            GiveBack::Late => PURGE_DELAY_MS,
            GiveBack::Soon => 1,
            GiveBack::AtOnce => 0,
        };
        // SAFETY: to be called at any time; the option is a number that the allocator reads.
        unsafe { mi_option_set(PURGE_DELAY, delay_ms) }
    }

    pub fn collect() {
        // SAFETY: to be called at any time; it touches free memory only.
        unsafe { mi_collect(true) }
    }
}

/// The system's allocator has no such functions that are everywhere.
#[cfg(feature = "system-allocator")]
mod own {
    pub fn give_back(_when: super::GiveBack) {}

    pub fn collect() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "system-allocator"))]
    #[test]
    fn the_option_is_the_one_that_is_meant() {
        use super::own::{PURGE_DELAY, PURGE_DELAY_MS};
        unsafe extern "C" {
            fn mi_option_get(option: std::ffi::c_int) -> std::ffi::c_long;
        }
        // SAFETY: as in `give_back`.
        let delay_ms = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay_ms(), PURGE_DELAY_MS, "another version has other numbers or defaults");
        for (when, expected) in [(GiveBack::Soon, 1), (GiveBack::AtOnce, 0), (GiveBack::Late, PURGE_DELAY_MS)]
        {
            give_back(when);
            assert_eq!(delay_ms(), expected);
        }
    }

    #[test]
    fn the_count_follows_every_call() {
        let gauge = Gauge::new();
        let layout = |len| Layout::from_size_align(len, 8).unwrap();
        // SAFETY: every block is used with the layout it was taken with, within its length, and given back
        // once.
        unsafe {
            let a = gauge.alloc(layout(100));
            assert_eq!(gauge.used(), 100);
            let b = gauge.alloc_zeroed(layout(1000));
            assert_eq!(gauge.used(), 1100);
            assert!((0..1000).all(|at| *b.add(at) == 0));
            a.write_bytes(7, 100);
            let a = gauge.realloc(a, layout(100), 5000);
            assert_eq!(gauge.used(), 6000);
            assert!((0..100).all(|at| *a.add(at) == 7));
            gauge.note_peak();
            let a = gauge.realloc(a, layout(5000), 50);
            assert_eq!((gauge.used(), gauge.peak()), (1050, 6000));
            gauge.reset_peak();
            assert_eq!(gauge.peak(), 1050);
            gauge.dealloc(b, layout(1000));
            assert_eq!((gauge.used(), gauge.peak()), (50, 1050));
            gauge.dealloc(a, layout(50));
        }
        assert_eq!(gauge.used(), 0);
    }

    #[test]
    fn a_refused_request_is_not_counted() {
        let gauge = Gauge::new();
        let layout = Layout::from_size_align(64, 8).unwrap();
        let giant = isize::MAX as usize - 4096;
        // SAFETY: the sizes are legal for a layout; no machine has that much memory, and null is never
        // written to.
        unsafe {
            assert!(gauge.alloc(Layout::from_size_align(giant, 8).unwrap()).is_null());
            assert!(gauge.alloc_zeroed(Layout::from_size_align(giant, 8).unwrap()).is_null());
            assert_eq!(gauge.used(), 0);
            let block = gauge.alloc(layout);
            assert!(gauge.realloc(block, layout, giant).is_null());
            assert_eq!(gauge.used(), 64);
            gauge.dealloc(block, layout);
        }
        assert_eq!(gauge.used(), 0);
    }

    #[test]
    fn a_count_that_drifted_below_zero_reads_as_zero() {
        let gauge = Gauge::new();
        gauge.change(0, 10);
        assert_eq!((gauge.used(), gauge.peak()), (0, 0));
        gauge.note_peak();
        gauge.change(15, 0);
        assert_eq!((gauge.used(), gauge.peak()), (5, 5));
    }

    #[test]
    fn alignment_is_kept() {
        // SAFETY: each block is given back with the layout it was taken with.
        unsafe {
            for align in [1, 2, 16, 64, 4096] {
                let layout = Layout::from_size_align(40, align).unwrap();
                let block = Counting.alloc(layout);
                assert_eq!(block as usize % align, 0);
                Counting.dealloc(block, layout);
            }
        }
    }

    #[cfg(not(feature = "system-allocator"))]
    #[test]
    fn usable_sizes_are_the_allocators_own() {
        unsafe extern "C" {
            fn mi_good_size(size: usize) -> usize;
        }
        let lens = (0..10_000).chain((10_000..2 << 20).step_by(61)).chain([
            CLASS_LEN_MAX - 1,
            CLASS_LEN_MAX,
            CLASS_LEN_MAX + 1,
            1 << 40,
        ]);
        for len in lens {
            // SAFETY: it computes from its argument alone, and mimalloc is linked into this very binary.
            let want = unsafe { mi_good_size(len) };
            assert_eq!(usable_size(len), want, "{len}");
            assert_eq!(usable_size(want), want, "{len}");
        }
        assert_eq!(usable_size(usize::MAX), usize::MAX);
    }
}
