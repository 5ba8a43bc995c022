//! A member of a set's table: one word.
//!
//! ```text
//! up to 7 bytes     the word itself: length * 2 + 1 in its lowest byte, the text in the others
//! up to 254 bytes   -> [len u8][text]
//! longer            -> [255][len u64][text]
//! ```
//!
//! So the members of a set of numbers below ten million take nothing beyond their slot in the table, and looking one
//! up costs one cache miss instead of two. Other members are one block without slack, its length a function of theirs.
//!
//! # Unsafe
//!
//! A pointer that may be no pointer, and raw memory of a length chosen at run time. The argument: blocks come from
//! [`Member::new`] only and lie at even addresses, so the lowest bit of the word tells which of the two it is, and it
//! never changes; the head of a block is written before the member exists and says how long the text is, from which
//! [`block_size`] derives the size for whoever releases it. The text inside a word is read through the member's own
//! reference, so it lives as long as it may be looked at. A member owns its block and, holding a raw pointer, is
//! neither `Send` nor `Sync`.
#![allow(unsafe_code)]

use std::ptr;
use std::slice;

use crate::data::block;
use crate::data::table::Element;

/// Texts up to this length live in the word.
const INLINE_MAX: usize = 7;
/// From here on the length takes a word of its own.
const LONG: usize = 255;

/// The text stands in the bytes behind the lowest one.
const _: () = assert!(cfg!(target_endian = "little") && size_of::<*mut u8>() == INLINE_MAX + 1);

/// The owner of one member's text.
pub(super) struct Member(*mut u8);

/// Bytes in front of the text in its block.
#[inline]
fn head(len: usize) -> usize {
    if len < LONG { 1 } else { 9 }
}

#[inline]
fn block_size(len: usize) -> usize {
    (head(len) + len).next_multiple_of(2)
}

impl Member {
    /// The owner of a copy of this text.
    #[inline]
    pub(super) fn new(text: &[u8]) -> Member {
        let len = text.len();
        if len <= INLINE_MAX {
            let mut word = [0; INLINE_MAX + 1];
            word[0] = (len as u8) << 1 | 1;
            word[1..=len].copy_from_slice(text);
            return Member(ptr::without_provenance_mut(usize::from_le_bytes(word)));
        }
        let block = block::allocate(block_size(len)).as_ptr();
        debug_assert!(block.addr().is_multiple_of(2));
        // SAFETY: the block is as long as head and text, by the definition of `block_size`.
        unsafe {
            block.write(len.min(LONG) as u8);
            if LONG <= len {
                block.add(1).cast::<u64>().write_unaligned(len as u64);
            }
            ptr::copy_nonoverlapping(text.as_ptr(), block.add(head(len)), len);
        }
        Member(block)
    }

    #[inline]
    fn is_inline(&self) -> bool {
        self.0.addr() & 1 == 1
    }

    /// The length of a text in a block.
    #[inline]
    fn block_len(&self) -> usize {
        debug_assert!(!self.is_inline());
        // SAFETY: the word is a pointer to a block, whose head says whether a long length follows.
        unsafe {
            match usize::from(self.0.read()) {
                LONG => self.0.add(1).cast::<u64>().read_unaligned() as usize,
                len => len,
            }
        }
    }

    /// The text.
    #[inline]
    pub(super) fn text(&self) -> &[u8] {
        // SAFETY: a word that is no pointer is eight initialised bytes, of which the length counts at most seven
        // behind the first; a block holds as many bytes of text as its head says, and is not changed while it lives.
        unsafe {
            if self.is_inline() {
                let len = (self.0.addr() as u8 >> 1) as usize;
                return slice::from_raw_parts(ptr::from_ref(&self.0).cast::<u8>().add(1), len);
            }
            let len = self.block_len();
            slice::from_raw_parts(self.0.add(head(len)), len)
        }
    }

    /// Bytes of its block.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        if self.is_inline() { 0 } else { block_size(self.block_len()) }
    }
}

impl Element for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        self.text()
    }

    #[inline]
    fn address(&self) -> *const u8 {
        if self.is_inline() { ptr::from_ref(self).cast() } else { self.0 }
    }
}

impl Drop for Member {
    #[inline]
    fn drop(&mut self) {
        if !self.is_inline() {
            let size = block_size(self.block_len());
            // SAFETY: the block came from `block::allocate` with this size, and this is the last that is seen of it.
            unsafe { block::release(ptr::NonNull::new_unchecked(self.0), size) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_its_text_whatever_the_length() {
        for len in (0..=600).chain([1023, 1024, 65_535, 65_536, 1_000_000]) {
            let text: Vec<u8> = (0..len).map(|at| (at * 31 + len) as u8).collect();
            let member = Member::new(&text);
            assert!(member.text() == text, "{len} bytes");
            assert_eq!(member.memory() == 0, len <= 7);
            assert!(len <= 7 || (len..len + 11).contains(&member.memory()));
            let moved = Box::new(member);
            assert!(moved.text() == text, "{len} bytes, elsewhere");
            assert!(!moved.address().is_null());
        }
    }
}
