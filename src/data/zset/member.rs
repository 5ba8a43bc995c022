//! One member of a big sorted set: a block with its score and its text.
//!
//! ```text
//! 0   score  f64
//! 8   len    one byte; 255: eight bytes with the length follow
//! .   text
//! ```
//!
//! The table of the set owns the blocks, one [`Member`] each; the order of the set refers to the same blocks by
//! [`Link`]s. So a member is in memory once, though it is found both by its text and by its place.
//!
//! # Unsafe
//!
//! Raw memory of a length chosen at run time, and links to it that the compiler does not check. The argument: only
//! [`Member::new`] takes blocks, and `len` never changes, so a block is always as long as it says. Links leave
//! `data/zset` nowhere, and within it [`super::big::Big`] alone has both kinds: it takes the link of a member out of
//! the order before it drops the member, and it lends what links lead to no longer than itself is borrowed. While a
//! set is freed in slices its members go first, but then nobody asks its order for anything. Neither type is `Send`
//! or `Sync`. A score is changed through the owner only, and read by value.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use crate::base::prefetch::prefetch;
use crate::data::block;
use crate::data::table::Element;

use super::order::Place;

/// Where the length stands.
const LEN: usize = size_of::<f64>();
/// The length byte of a text of 255 bytes or more.
const LONG: u8 = 0xff;

/// Where the text of so many bytes begins.
fn text_at(len: usize) -> usize {
    if len < usize::from(LONG) { LEN + 1 } else { LEN + 1 + size_of::<u64>() }
}

fn block_size(len: usize) -> usize {
    (text_at(len) + len).next_multiple_of(2)
}

/// The owner of a member.
#[repr(transparent)]
pub(super) struct Member(NonNull<u8>);

/// A reference to a member, good as long as the member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(super) struct Link(NonNull<u8>);

/// The text in a block.
///
/// # Safety
///
/// The block is a member's, and stays one for as long as `'a`.
#[inline]
unsafe fn text<'a>(block: NonNull<u8>) -> &'a [u8] {
    // SAFETY: the caller's, and the layout of the head.
    unsafe {
        let at = block.as_ptr();
        let len = match at.add(LEN).read() {
            LONG => at.add(LEN + 1).cast::<u64>().read_unaligned() as usize,
            short => usize::from(short),
        };
        std::slice::from_raw_parts(at.add(text_at(len)), len)
    }
}

impl Member {
    /// A member of this text and score.
    pub(super) fn new(score: f64, text: &[u8]) -> Member {
        let len = text.len();
        let block = block::allocate(block_size(len));
        // SAFETY: the block is new and as long as the three parts.
        unsafe {
            let at = block.as_ptr();
            at.cast::<f64>().write_unaligned(score);
            if len < usize::from(LONG) {
                at.add(LEN).write(len as u8);
            } else {
                at.add(LEN).write(LONG);
                at.add(LEN + 1).cast::<u64>().write_unaligned(len as u64);
            }
            ptr::copy_nonoverlapping(text.as_ptr(), at.add(text_at(len)), len);
        }
        Member(block)
    }

    /// The score.
    #[inline]
    pub(super) fn score(&self) -> f64 {
        // SAFETY: every block begins with a score.
        unsafe { self.0.as_ptr().cast::<f64>().read_unaligned() }
    }

    /// Changes the score.
    #[inline]
    pub(super) fn set_score(&mut self, score: f64) {
        // SAFETY: every block begins with a score.
        unsafe { self.0.as_ptr().cast::<f64>().write_unaligned(score) };
    }

    /// A reference to this member.
    #[inline]
    pub(super) fn link(&self) -> Link {
        Link(self.0)
    }

    /// Bytes of the block.
    pub(super) fn memory(&self) -> usize {
        block_size(self.key().len())
    }
}

impl Element for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        // SAFETY: the block is ours as long as we are borrowed.
        unsafe { text(self.0) }
    }

    #[inline]
    fn address(&self) -> *const u8 {
        self.0.as_ptr()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // SAFETY: the block came from `allocate` with this size, which is a function of the length in it.
        unsafe { block::release(self.0, block_size(self.key().len())) };
    }
}

impl Link {
    /// The text of the member, for whoever keeps the set borrowed.
    #[inline]
    pub(super) fn text<'a>(self) -> &'a [u8] {
        // SAFETY: by the argument of the head the member lives.
        unsafe { text(self.0) }
    }
}

impl Place for Link {
    #[inline]
    fn text(&self) -> &[u8] {
        (*self).text()
    }

    #[inline]
    fn prefetch(&self) {
        prefetch(self.0.as_ptr());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_its_score_and_its_text() {
        for len in [0, 1, 7, 8, 254, 255, 256, 1000, 70_000] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut member = Member::new(1.5, &bytes);
            assert_eq!((member.score(), member.key()), (1.5, &bytes[..]));
            member.set_score(-2.0);
            assert_eq!((member.score(), member.link().text()), (-2.0, &bytes[..]));
            assert!(LEN + len < member.memory() && member.memory() <= LEN + len + 10);
        }
    }
}
