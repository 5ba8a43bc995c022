//! Packs: short collections in one block.
//!
//! ```text
//! 0   len    u16, bytes of the elements; LONG if there are so many or more
//! 2   count  u16
//! 4   [len u64, count u64]   if LONG
//!     elements one behind the other, as in data/element.rs
//! ```
//!
//! A [`Pack`] is one pointer wide and its block has no slack: its size is a function of the length of the elements,
//! rounded up to two bytes, or to eight if it is not small, so most changes move what lies behind them and some move
//! all of it, which for the few hundred bytes of a short collection is the same. An empty pack takes no memory.
//!
//! [`Small`] is one word that owns either a pack or, in a box, whatever a type uses for its long collections.
//!
//! # Unsafe
//!
//! Raw memory of a length chosen at run time behind a thin pointer, and a pointer whose lowest bit is a mark.
//! The argument: only [`Pack::resized`] takes blocks, and `len` in the header always says how long header and block
//! are; the empty pack points to a static header that nobody writes, since every writer has made the block bigger
//! first. A pack's pointer is even, as all blocks are; a box's is, too, which [`Small::MARK`] asserts when compiled;
//! so the lowest bit of the word tells which of the two it is, and the mark is taken off before the pointer is
//! used. Both own what they point to and are neither `Send` nor `Sync`.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};

use crate::data::block;
use crate::data::element::{self, Encoded, Item, Needle};

/// What a listpack takes beyond its elements: its header and its end mark. The limits of the configuration count
/// these bytes, so the sizes compared with them must as well.
const LISTPACK_FRAME: usize = 7;

/// What a header begins with.
#[repr(C)]
struct Header {
    len: u16,
    count: u16,
}

/// The length of elements that does not fit into the short header.
const LONG: usize = u16::MAX as usize;
/// Blocks of more bytes than this are multiples of eight, others of two.
const FINE_MAX: usize = 256;

static EMPTY: Header = Header { len: 0, count: 0 };

/// A sequence of elements in one block.
#[repr(transparent)]
pub struct Pack(NonNull<Header>);

/// Where elements of so many bytes begin.
#[inline]
fn head(len: usize) -> usize {
    if len < LONG { size_of::<Header>() } else { size_of::<Header>() + 16 }
}

#[inline]
fn block_size(len: usize) -> usize {
    let size = head(len) + len;
    size.next_multiple_of(if size <= FINE_MAX { 2 } else { 8 })
}

impl Pack {
    /// The empty pack, which takes no heap.
    pub const fn new() -> Pack {
        // SAFETY: a reference is never null. It is only read through, see the head.
        Pack(unsafe { NonNull::new_unchecked(ptr::from_ref(&EMPTY).cast_mut()) })
    }

    /// A pack of elements that are already encoded, `count` of them; see [`element::count`] for bytes of a stranger.
    pub fn from_body(body: &[u8], count: usize) -> Pack {
        let mut pack = Pack::new();
        pack.open(0..0, body.len());
        pack.body_mut().copy_from_slice(body);
        pack.set_count(count);
        pack
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: every block begins with a header, blocks are aligned to two, and the empty pack is one.
        unsafe { self.0.as_ref() }
    }

    /// One of the words of a long header.
    #[inline]
    fn word(&self, index: usize) -> *mut u64 {
        debug_assert!(usize::from(self.header().len) == LONG);
        // SAFETY: the words follow a header that says LONG.
        unsafe { self.0.as_ptr().add(1).cast::<u64>().add(index) }
    }

    /// Bytes of the elements.
    #[inline]
    fn len(&self) -> usize {
        match usize::from(self.header().len) {
            // SAFETY: the word is there.
            LONG => unsafe { self.word(0).read_unaligned() as usize },
            len => len,
        }
    }

    /// The number of elements.
    #[inline]
    pub fn count(&self) -> usize {
        match usize::from(self.header().len) {
            // SAFETY: the word is there.
            LONG => unsafe { self.word(1).read_unaligned() as usize },
            _ => usize::from(self.header().count),
        }
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.header().len == 0
    }

    /// The elements as bytes.
    #[inline]
    pub fn body(&self) -> &[u8] {
        let len = self.len();
        // SAFETY: `len` bytes follow the header.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<u8>().add(head(len)), len) }
    }

    fn body_mut(&mut self) -> &mut [u8] {
        let len = self.len();
        // SAFETY: as above; of the empty pack it is an empty slice.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().cast::<u8>().add(head(len)), len) }
    }

    fn set_count(&mut self, count: usize) {
        if self.is_empty() {
            return;
        }
        debug_assert!(count <= self.len(), "an element takes a byte at least");
        // SAFETY: a pack that is not empty owns its block, and the words are there if the header says so.
        unsafe {
            match usize::from(self.header().len) {
                LONG => self.word(1).write_unaligned(count as u64),
                _ => (*self.0.as_ptr()).count = count as u16,
            }
        }
    }

    /// Writes the length; header and block are long enough for it.
    fn set_len(&mut self, len: usize) {
        // SAFETY: the caller owns the block.
        unsafe {
            (*self.0.as_ptr()).len = len.min(LONG) as u16;
            if LONG <= len {
                self.word(0).write_unaligned(len as u64);
            }
        }
    }

    /// What a listpack of these elements would take; the measure of all limits.
    #[inline]
    pub fn size(&self) -> usize {
        self.len() + LISTPACK_FRAME
    }

    /// Heap bytes.
    pub fn memory(&self) -> usize {
        if self.is_empty() { 0 } else { block_size(self.len()) }
    }

    /// The element at this offset of the body and the offset behind it.
    #[inline]
    pub fn at(&self, offset: usize) -> (Item<'_>, usize) {
        let (item, len) = element::first(&self.body()[offset..]);
        (item, offset + len)
    }

    /// The elements, first to last.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { body: self.body(), front: 0, back: self.body().len() }
    }

    /// The elements that take the bytes `offsets` of the body.
    pub fn iter_between(&self, offsets: Range<usize>) -> Iter<'_> {
        Iter { body: self.body(), front: offsets.start, back: offsets.end }
    }

    /// Where the element `index` begins; the length of the body for `count`.
    pub fn offset(&self, index: usize) -> usize {
        let body = self.body();
        if index <= self.count() / 2 {
            return (0..index).fold(0, |offset, _| offset + element::first_len(&body[offset..]));
        }
        (index..self.count()).fold(body.len(), |offset, _| offset - element::last_len(&body[..offset]))
    }

    /// Where the first element equal to `text` begins, looking at one element of every `step`: 1 for all, 2 for the
    /// first ones of pairs.
    pub fn find(&self, text: &[u8], step: usize) -> Option<usize> {
        let needle = Needle::new(text);
        let body = self.body();
        let mut offset = 0;
        while offset < body.len() {
            let (item, len) = element::first(&body[offset..]);
            if needle.matches(item) {
                return Some(offset);
            }
            offset += len;
            for _ in 1..step {
                offset += element::first_len(&body[offset..]);
            }
        }
        None
    }

    /// Puts elements of these texts in the place of `removed` elements that take the bytes `range` of the body.
    pub fn splice<const N: usize>(&mut self, range: Range<usize>, removed: usize, texts: [&[u8]; N]) {
        let encoded = texts.map(Encoded::new);
        let len = encoded.iter().map(Encoded::len).sum();
        let count = self.count() - removed + N;
        let mut at = range.start;
        self.open(range, len);
        for element in encoded {
            let end = at + element.len();
            element.write_to(&mut self.body_mut()[at..end]);
            at = end;
        }
        self.set_count(count);
    }

    /// Adds elements at the end.
    pub fn push<const N: usize>(&mut self, texts: [&[u8]; N]) {
        let end = self.body().len();
        self.splice(end..end, 0, texts);
    }

    /// Removes `removed` elements that take the bytes `range` of the body.
    pub fn remove(&mut self, range: Range<usize>, removed: usize) {
        self.splice(range, removed, []);
    }

    /// Puts bytes in the place of `range`, after which there are `count` elements: for bodies in an encoding of the
    /// caller's own, such as the sorted integers of a set. The other functions do not understand those.
    pub fn splice_raw(&mut self, range: Range<usize>, bytes: &[u8], count: usize) {
        let at = range.start;
        self.open(range, bytes.len());
        self.body_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        self.set_count(count);
    }

    /// Makes room for `len` bytes in the place of `range`; what they are is the caller's to write.
    fn open(&mut self, range: Range<usize>, len: usize) {
        let old = self.body().len();
        let new = old - range.len() + len;
        assert!(range.start <= range.end && range.end <= old, "a range of the body");
        if new == 0 {
            *self = Pack::new();
            return;
        }
        if self.is_empty() || block_size(old) != block_size(new) || head(old) != head(new) {
            *self = self.resized(&range, len, new);
            return;
        }
        // SAFETY: the block is ours and as long as either body needs.
        unsafe {
            let body = self.0.as_ptr().cast::<u8>().add(head(old));
            ptr::copy(body.add(range.end), body.add(range.start + len), old - range.end);
        }
        self.set_len(new);
    }

    /// A pack of `new` bytes that holds what lies around `range`, with `len` bytes between.
    fn resized(&self, range: &Range<usize>, len: usize, new: usize) -> Pack {
        let mut pack = Pack(block::allocate(block_size(new)).cast::<Header>());
        let body = self.body();
        // SAFETY: the block is new and `new` bytes behind the header long, which is what the parts add up to; the
        // part between them is zeroed, so that nothing unwritten can be read.
        unsafe {
            pack.0.write(Header { len: 0, count: 0 });
            pack.set_len(new);
            let to = pack.0.as_ptr().cast::<u8>().add(head(new));
            ptr::copy_nonoverlapping(body.as_ptr(), to, range.start);
            ptr::write_bytes(to.add(range.start), 0, len);
            let tail = &body[range.end..];
            ptr::copy_nonoverlapping(tail.as_ptr(), to.add(range.start + len), tail.len());
        }
        // As it was, as far as it can be; the caller sets it anew.
        pack.set_count(self.count().min(new));
        pack
    }
}

impl Default for Pack {
    fn default() -> Pack {
        Pack::new()
    }
}

impl Clone for Pack {
    fn clone(&self) -> Pack {
        Pack::from_body(self.body(), self.count())
    }
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Drop for Pack {
    fn drop(&mut self) {
        if !self.is_empty() {
            // SAFETY: the block came from `block::allocate` with this size, which is a function of `len`.
            unsafe { block::release(self.0.cast(), block_size(self.len())) };
        }
    }
}

/// The elements of a pack, from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    body: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iter<'a> {
    /// Where in the body the next element begins.
    pub fn offset(&self) -> usize {
        self.front
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.front == self.back {
            return None;
        }
        let (item, len) = element::first(&self.body[self.front..]);
        self.front += len;
        Some(item)
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    fn next_back(&mut self) -> Option<Item<'a>> {
        if self.front == self.back {
            return None;
        }
        self.back -= element::last_len(&self.body[..self.back]);
        Some(element::first(&self.body[self.back..]).0)
    }
}

/// One word: the owner of a pack or of a box.
pub struct Small<B> {
    word: NonNull<u8>,
    owns: PhantomData<(Pack, Box<B>)>,
}

/// What a [`Small`] owns, for reading.
pub enum View<'a, B> {
    /// A pack.
    Pack(&'a Pack),
    /// What was in the box.
    Big(&'a B),
}

/// What a [`Small`] owns, for changing.
pub enum ViewMut<'a, B> {
    /// A pack.
    Pack(&'a mut Pack),
    /// What was in the box.
    Big(&'a mut B),
}

impl<B> Small<B> {
    /// The lowest bit of a box's pointer, once it is marked.
    const MARK: usize = {
        assert!(align_of::<B>().is_multiple_of(2) && 0 < size_of::<B>());
        1
    };

    /// The owner of a pack.
    pub fn pack(pack: Pack) -> Small<B> {
        let word = pack.0.cast();
        std::mem::forget(pack);
        Small { word, owns: PhantomData }
    }

    /// The owner of a box.
    pub fn big(big: Box<B>) -> Small<B> {
        let word = Box::into_raw(big).cast::<u8>().map_addr(|addr| addr | Self::MARK);
        // SAFETY: a box's pointer is not null.
        Small { word: unsafe { NonNull::new_unchecked(word) }, owns: PhantomData }
    }

    /// Whether it owns a pack.
    #[inline]
    pub fn is_pack(&self) -> bool {
        self.word.addr().get() & Self::MARK == 0
    }

    fn box_ptr(&self) -> *mut B {
        self.word.as_ptr().map_addr(|addr| addr & !Self::MARK).cast()
    }

    /// What it owns.
    #[inline]
    pub fn view(&self) -> View<'_, B> {
        // SAFETY: the mark tells what the word is; a `Pack` is nothing but this pointer.
        unsafe {
            match self.is_pack() {
                true => View::Pack(&*ptr::from_ref(&self.word).cast::<Pack>()),
                false => View::Big(&*self.box_ptr()),
            }
        }
    }

    /// What it owns, for changing.
    #[inline]
    pub fn view_mut(&mut self) -> ViewMut<'_, B> {
        // SAFETY: as above; whatever the pack becomes, its pointer is even, so the word still tells the truth.
        unsafe {
            match self.is_pack() {
                true => ViewMut::Pack(&mut *ptr::from_mut(&mut self.word).cast::<Pack>()),
                false => ViewMut::Big(&mut *self.box_ptr()),
            }
        }
    }
}

impl<B: Clone> Clone for Small<B> {
    fn clone(&self) -> Small<B> {
        match self.view() {
            View::Pack(pack) => Small::pack(pack.clone()),
            View::Big(big) => Small::big(Box::new(big.clone())),
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for Small<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.view() {
            View::Pack(pack) => pack.fmt(f),
            View::Big(big) => big.fmt(f),
        }
    }
}

impl<B> Drop for Small<B> {
    fn drop(&mut self) {
        // SAFETY: the mark tells what the word is, and this is the last that is seen of it.
        unsafe {
            match self.is_pack() {
                true => drop(Pack(self.word.cast())),
                false => drop(Box::from_raw(self.box_ptr())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    fn texts(pack: &Pack) -> Vec<Vec<u8>> {
        pack.iter().map(|item| item.to_vec()).collect()
    }

    #[test]
    fn short_and_long_headers_hold_the_same() {
        let mut pack = Pack::new();
        let text = [b'x'; 1000];
        for count in 1..=100 {
            pack.push([&text[..]]);
            assert_eq!((pack.count(), pack.iter().count()), (count, count));
        }
        assert_eq!(pack.memory(), block_size(pack.body().len()));
        assert_eq!(Pack::from_body(pack.body(), pack.count()).body(), pack.body());
        for count in (0..100).rev() {
            let end = pack.at(0).1;
            pack.remove(0..end, 1);
            assert_eq!((pack.count(), pack.iter().count()), (count, count));
            assert!(pack.iter().all(|item| item.eq_bytes(&text)));
        }
        for len in LONG - 20..LONG + 20 {
            let body = vec![0; len];
            let pack = Pack::from_body(&body, len / 2);
            assert_eq!((pack.body(), pack.count()), (&body[..], len / 2));
        }
    }

    #[test]
    fn a_pack_is_what_a_vector_of_texts_is() {
        let mut random = Random::seeded(3);
        let mut pack = Pack::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for _ in 0..20_000 {
            let index = random.below(model.len() as u64 + 1) as usize;
            let offset = pack.offset(index);
            let long = if random.below(50) == 0 { 5000 } else { 100 };
            let text = match random.below(2) {
                0 => (random.next_u64() >> random.below(64)).to_string().into_bytes(),
                _ => vec![b'x'; random.below(long) as usize],
            };
            match random.below(5) {
                0 | 1 => {
                    pack.splice(offset..offset, 0, [&text]);
                    model.insert(index, text);
                }
                2 if index < model.len() => {
                    let end = pack.at(offset).1;
                    pack.splice(offset..end, 1, [&text, b"7"]);
                    model.splice(index..=index, [text, b"7".to_vec()]);
                }
                3 | 4 if index < model.len() => {
                    let end = pack.offset(model.len().min(index + 3));
                    let gone: Vec<_> = model.drain(index..model.len().min(index + 3)).collect();
                    pack.remove(offset..end, gone.len());
                }
                _ => {}
            }
            assert_eq!((pack.count(), pack.is_empty()), (model.len(), model.is_empty()));
            if random.below(20) == 0 {
                assert_eq!(texts(&pack), model);
                assert_eq!(texts(&pack.clone()), model);
                assert!(pack.iter().rev().map(|item| item.to_vec()).eq(model.iter().rev().cloned()));
            }
            if let Some(text) = model.get(index) {
                let found = pack.find(text, 1).expect("it is there");
                assert_eq!(pack.at(found).0.to_vec(), *text);
            }
        }
    }

    #[test]
    fn a_word_owns_either() {
        let mut small: Small<Vec<u64>> = Small::pack(Pack::new());
        let ViewMut::Pack(pack) = small.view_mut() else { panic!("a pack") };
        pack.push([b"a", b"12"]);
        let copy = small.clone();
        assert!(matches!(copy.view(), View::Pack(pack) if texts(pack) == [b"a".to_vec(), b"12".to_vec()]));
        small = Small::big(Box::new(vec![1, 2]));
        let ViewMut::Big(big) = small.view_mut() else { panic!("a box") };
        big.push(3);
        assert!(!small.is_pack());
        assert!(matches!(small.clone().view(), View::Big(big) if *big == [1, 2, 3]));
    }

    #[test]
    fn only_the_first_ones_of_pairs_are_looked_at() {
        let mut pack = Pack::new();
        pack.push([b"value", b"key"]);
        pack.push([b"key", b"value"]);
        let second = pack.offset(2);
        assert_eq!((pack.find(b"key", 2), pack.find(b"value", 2)), (Some(second), Some(0)));
        assert_eq!((pack.find(b"key", 1), pack.find(b"none", 1)), (Some(pack.offset(1)), None));
    }
}
