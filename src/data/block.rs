//! Blocks for entries: an allocator of small sizes without waste.
//!
//! ```text
//! chunk   2 MiB, a huge page where the system has them, cut into pages
//! page    64 KiB, aligned to its size: a header, then blocks of one size
//! ```
//!
//! General allocators round small sizes up to multiples of 16; the typical entry, a key of 16 bytes with a value of
//! 32, would pay 10 bytes for it. Here sizes are multiples of 2. A block's page is found by its address, so a block
//! has no header. A page with free blocks stands in the list of its size; a full one in none; an empty one goes
//! back: its memory to the system at once, beyond a few that are kept, its address to the next page of any size.
//! Blocks of more than [`SMALL_MAX`] bytes come from the general allocator.
//!
//! What was not chosen: one arena per keyspace, which every entry would have to name when it is freed; handles of
//! 32 bits instead of addresses, which cost a look-up for each access.
//!
//! # Unsafe
//!
//! Raw memory, handed out by hand. The argument: an arena belongs to one thread, and so do the entries in it,
//! which are not `Send`. Pages are made by [`Arena::take_page`] only, out of memory that is mapped for good; the
//! header of a page is written before its first block is handed out and nothing else writes it. A free block holds
//! the offset of the next free one in its first four bytes, which its owner gave up; every size is at least that.
//! Blocks of a page lie one behind the other, so they never overlap, and where their size is a multiple of 8 they
//! are aligned to 8, as the header of the page is.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use crate::base::{memory, pages};

/// Bigger blocks come from the general allocator.
pub const SMALL_MAX: usize = 1024;
/// All blocks come from the general allocator, so that whoever watches that one sees each of them.
const ALL_BIG: bool = cfg!(feature = "system-allocator");
const GRAIN: usize = 2;
/// The least size: a free block holds an offset.
const SIZE_MIN: usize = 4;
/// The alignment of blocks whose size is a multiple of it.
const ALIGN: usize = 8;
const PAGE: usize = 64 << 10;
const CHUNK: usize = pages::HUGE;
const HEADER: usize = size_of::<Page>().next_multiple_of(ALIGN);
/// Empty pages whose memory is kept, so that a page that fills and empties costs no system calls.
const IDLE_RESIDENT_MAX: usize = 16;

/// The header of a page.
struct Page {
    next: *mut Page,
    prev: *mut Page,
    /// Offset of the first block that was freed; 0 = none.
    free: u32,
    /// Offset of the first block that was never handed out.
    fresh: u32,
    used: u32,
    size: u32,
}

impl Page {
    fn is_full(&self) -> bool {
        self.free == 0 && PAGE < self.fresh as usize + self.size as usize
    }
}

struct Arena {
    /// For each size in units of [`GRAIN`], a page with free blocks.
    partial: [*mut Page; SMALL_MAX / GRAIN + 1],
    /// Pages without blocks; the last [`IDLE_RESIDENT_MAX`] may have memory behind them.
    idle: ManuallyDrop<Vec<NonNull<u8>>>,
    /// The chunk whose pages are handed out.
    chunk: Option<NonNull<u8>>,
}

thread_local! {
    static ARENA: UnsafeCell<Arena> = const {
        UnsafeCell::new(Arena { partial: [ptr::null_mut(); SMALL_MAX / GRAIN + 1], idle: ManuallyDrop::new(Vec::new()), chunk: None })
    };
}

/// A block of `size` bytes, an even number of at least 4; aligned to 8 if the size is a multiple of 8.
#[inline]
pub fn allocate(size: usize) -> NonNull<u8> {
    debug_assert!(SIZE_MIN <= size && size.is_multiple_of(GRAIN));
    if ALL_BIG || SMALL_MAX < size {
        return allocate_big(size);
    }
    memory::add(size);
    // SAFETY: the arena is this thread's, and nothing below calls back into this function.
    ARENA.with(|arena| unsafe { (*arena.get()).allocate(size) })
}

/// Gives a block back.
///
/// # Safety
///
/// `block` came from [`allocate`] with the same size in this thread and is not used any more.
#[inline]
pub unsafe fn release(block: NonNull<u8>, size: usize) {
    if ALL_BIG || SMALL_MAX < size {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(block.as_ptr(), layout(size)) };
        return;
    }
    memory::sub(size);
    // SAFETY: as above; the block lies in a page of this arena.
    ARENA.with(|arena| unsafe { (*arena.get()).release(block) });
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, ALIGN).expect("a block is smaller than the address space")
}

#[cold]
fn allocate_big(size: usize) -> NonNull<u8> {
    // SAFETY: the size is not 0.
    NonNull::new(unsafe { alloc(layout(size)) }).unwrap_or_else(|| handle_alloc_error(layout(size)))
}

impl Arena {
    #[inline]
    unsafe fn allocate(&mut self, size: usize) -> NonNull<u8> {
        let mut page = self.partial[size / GRAIN];
        if page.is_null() {
            page = self.new_page(size);
        }
        // SAFETY: pages in the list have a header and a free block.
        unsafe {
            let header = &mut *page;
            let offset = if header.free != 0 {
                let offset = header.free;
                header.free = page.cast::<u8>().add(offset as usize).cast::<u32>().read_unaligned();
                offset
            } else {
                let offset = header.fresh;
                header.fresh += header.size;
                offset
            };
            header.used += 1;
            if header.is_full() {
                self.unlink(page);
            }
            NonNull::new_unchecked(page.cast::<u8>().add(offset as usize))
        }
    }

    #[inline]
    unsafe fn release(&mut self, block: NonNull<u8>) {
        let offset = block.addr().get() % PAGE;
        // SAFETY: pages are aligned to their size, so the header stands where the block's offset is taken off.
        unsafe {
            let page = block.as_ptr().sub(offset).cast::<Page>();
            let header = &mut *page;
            let was_full = header.is_full();
            block.as_ptr().cast::<u32>().write_unaligned(header.free);
            header.free = offset as u32;
            header.used -= 1;
            if header.used == 0 {
                if !was_full {
                    self.unlink(page);
                }
                self.retire(page);
            } else if was_full {
                self.link(page);
            }
        }
    }

    unsafe fn link(&mut self, page: *mut Page) {
        // SAFETY: the page has a header and stands in no list.
        unsafe {
            let first = &mut self.partial[(*page).size as usize / GRAIN];
            (*page).prev = ptr::null_mut();
            (*page).next = *first;
            if !first.is_null() {
                (**first).prev = page;
            }
            *first = page;
        }
    }

    unsafe fn unlink(&mut self, page: *mut Page) {
        // SAFETY: the page stands in the list of its size.
        unsafe {
            let (prev, next) = ((*page).prev, (*page).next);
            if prev.is_null() {
                self.partial[(*page).size as usize / GRAIN] = next;
            } else {
                (*prev).next = next;
            }
            if !next.is_null() {
                (*next).prev = prev;
            }
        }
    }

    #[cold]
    fn new_page(&mut self, size: usize) -> *mut Page {
        let page = self.take_page().as_ptr().cast::<Page>();
        // SAFETY: the page is ours, writable, and aligned far beyond the header's needs.
        unsafe {
            page.write(Page {
                next: ptr::null_mut(),
                prev: ptr::null_mut(),
                free: 0,
                fresh: HEADER as u32,
                used: 0,
                size: size as u32,
            });
            self.link(page);
        }
        page
    }

    fn take_page(&mut self) -> NonNull<u8> {
        if let Some(page) = self.idle.pop() {
            return page;
        }
        let chunk = pages::map(CHUNK).unwrap_or_else(|| handle_alloc_error(layout(CHUNK)));
        pages::settle(chunk, CHUNK);
        if let Some(full) = self.chunk.replace(chunk) {
            pages::ripe(full, CHUNK);
        }
        // The pages of a chunk are handed out in the order of their addresses.
        for index in (0..CHUNK / PAGE).rev() {
            // SAFETY: the offset lies within the chunk.
            self.idle.push(unsafe { chunk.add(index * PAGE) });
        }
        self.idle.pop().expect("a chunk has pages")
    }

    #[cold]
    fn retire(&mut self, page: *mut Page) {
        // SAFETY: the page came from a chunk and holds nothing that anyone needs.
        unsafe {
            if IDLE_RESIDENT_MAX <= self.idle.len() {
                libc::madvise(page.cast(), PAGE, libc::MADV_DONTNEED);
                if pages::any_ripe() {
                    let chunk = page.map_addr(|address| address & !(CHUNK - 1));
                    pages::unripe(NonNull::new_unchecked(chunk.cast()), CHUNK);
                }
            }
            self.idle.push(NonNull::new_unchecked(page.cast()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    #[test]
    fn blocks_never_overlap() {
        let mut random = Random::seeded(7);
        let mut held: Vec<(NonNull<u8>, usize, u8)> = Vec::new();
        for round in 0..200_000u32 {
            if random.below(100) < 55 || round < 1000 {
                let size = SIZE_MIN + random.below(700) as usize * GRAIN;
                let block = allocate(size);
                assert!(!size.is_multiple_of(ALIGN) || block.addr().get().is_multiple_of(ALIGN));
                let mark = random.below(256) as u8;
                // SAFETY: the block is ours and `size` long.
                unsafe { block.as_ptr().write_bytes(mark, size) };
                held.push((block, size, mark));
            } else if !held.is_empty() {
                let index = random.below(held.len() as u64) as usize;
                let (block, size, mark) = held.swap_remove(index);
                // SAFETY: the block is ours, `size` long and written above; it is given up once.
                unsafe {
                    let bytes = std::slice::from_raw_parts(block.as_ptr(), size);
                    assert!(bytes.iter().all(|byte| *byte == mark));
                    release(block, size);
                }
            }
        }
        for (block, size, _) in held {
            // SAFETY: as above.
            unsafe { release(block, size) };
        }
    }
}
