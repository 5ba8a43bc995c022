//! The memory of the table: a bucket of one cache line, and the array of buckets.
//!
//! # The argument for `unsafe` in this file
//!
//! Everything rests on two invariants, and nothing outside this file can break them:
//!
//! 1. **A slot holds a live element exactly when its tag byte is not zero.** Tags come from [`tag`], which never
//!    gives zero. The one exception is the last slot of a chained bucket: its tag is zero and it owns the child.
//!    `put`, `take` and `adopt` change tag and slot together, with nothing that may panic in between.
//! 2. **Sixty-four zero bytes are a valid, empty bucket.** So fresh memory from the allocator or from the kernel is
//!    an array of empty buckets, and so is memory given back with `MADV_DONTNEED`: it reads as zeros again.
//!
//! An [`Array`] owns its memory alone, masks every index it is given, and never lends more than Rust's own borrow
//! of the array allows. It does not drop elements: whoever drops a filled array leaks them, which is safe. The
//! array that does not exist yet points to one read-only empty bucket, so that looking something up needs no
//! question first; it is never lent for writing.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::{self, NonNull};

use super::Element;
use crate::base::prefetch::prefetch;
use crate::base::{memory, pages};

/// Slots of a bucket.
pub(super) const SLOTS: usize = 7;

/// Bytes of a bucket: one cache line.
pub(super) const BUCKET_BYTES: usize = 64;

/// Buckets whose memory is given back at once: 2 MiB, the size of a huge page.
pub(super) const SLICE: usize = 32 * 1024;

/// Where the end of an element of a common size is.
const SPAN: usize = 48;

/// Buckets from which on an array is mapped (1 MiB). Smaller ones come from the allocator, which is quicker; bigger
/// ones must come as untouched zero pages and must go slice by slice, and no allocator promises either.
const MAPPED_FROM: usize = 16 * 1024;

/// Buckets of the biggest array there may be, 256 GiB.
pub(super) const BUCKETS_MAX: usize = 1 << 32;

/// Buckets in which the use of a mapping is counted: a page of them.
pub(super) const COUNTED: usize = 64;

/// The flag in the lowest byte of the metadata: the last slot owns a child.
const CHAINED: u64 = 1;

/// The slot that holds the child of a chained bucket.
const LAST: usize = SLOTS - 1;

/// The highest bit of each byte that holds a tag.
const HIGH: u64 = 0x8080_8080_8080_8000;

/// The seven lower bits of every byte.
const LOWER: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// One in every byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The tag of a hash: its top eight bits, with zero, which marks an empty slot, made one.
#[inline]
pub(super) fn tag(hash: u64) -> u8 {
    let tag = (hash >> 56) as u8;
    tag + u8::from(tag == 0)
}

/// The high bits of the tag bytes of `word` that are zero. Exact: no byte borrows from its neighbour.
#[inline]
fn zero_tags(word: u64) -> u64 {
    !(((word & LOWER) + LOWER) | word) & HIGH
}

/// Numbers of slots, from the high bits of their tag bytes.
#[derive(Clone, Copy)]
pub(super) struct SlotSet(u64);

impl Iterator for SlotSet {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = (self.0.trailing_zeros() / 8) as usize - 1;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// What a slot holds; the metadata of its bucket knows which.
union Slot<E> {
    empty: u64,
    element: ManuallyDrop<E>,
    child: ManuallyDrop<Box<Bucket<E>>>,
}

/// One cache line: eight bytes of metadata and seven slots.
///
/// The lowest byte of the metadata says whether the bucket is chained; the others are the tags of the slots, zero
/// for an empty one. A full bucket that must take one more moves its last element into a child and keeps the child
/// in that slot. Children hold at least two elements, and every bucket of a chain but the last is full.
#[repr(C, align(64))]
pub(super) struct Bucket<E> {
    meta: u64,
    slots: [Slot<E>; SLOTS],
}

impl<E> Bucket<E> {
    fn empty() -> Self {
        Bucket { meta: 0, slots: [const { Slot { empty: 0 } }; SLOTS] }
    }

    /// An empty bucket that takes no memory.
    pub(super) fn nothing<'a>() -> &'a Self {
        // SAFETY: `NOTHING` is 64 zero bytes, aligned, immutable and eternal; by invariant 2 an empty bucket.
        unsafe { nothing().as_ref() }
    }

    #[inline]
    fn tag_at(&self, slot: usize) -> u8 {
        (self.meta >> (8 * (slot + 1))) as u8
    }

    #[inline]
    fn set_tag(&mut self, slot: usize, tag: u8) {
        let shift = 8 * (slot + 1);
        self.meta = self.meta & !(0xff << shift) | u64::from(tag) << shift;
    }

    #[inline]
    pub(super) fn is_chained(&self) -> bool {
        self.meta & CHAINED != 0
    }

    #[inline]
    fn occupied(&self) -> SlotSet {
        SlotSet(!zero_tags(self.meta) & HIGH)
    }

    /// How many elements are in this bucket, without its children.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.occupied().0.count_ones() as usize
    }

    #[inline]
    fn free_slot(&self) -> Option<usize> {
        let free = SlotSet(zero_tags(self.meta)).next()?;
        // While chained, the last slot has no tag but is not free.
        (free < LAST || !self.is_chained()).then_some(free)
    }

    /// The element of an occupied slot.
    ///
    /// # Safety
    /// `slot` must be in `self.occupied()`.
    #[inline]
    unsafe fn element(&self, slot: usize) -> &E {
        // SAFETY: the slot exists and, by invariant 1, holds a live element.
        unsafe { &self.slots.get_unchecked(slot).element }
    }

    /// As [`Bucket::element`], to be changed.
    ///
    /// # Safety
    /// `slot` must be in `self.occupied()`.
    #[inline]
    unsafe fn element_mut(&mut self, slot: usize) -> &mut E {
        // SAFETY: the slot exists and, by invariant 1, holds a live element.
        unsafe { &mut self.slots.get_unchecked_mut(slot).element }
    }

    /// The first slot with this tag whose element is wanted.
    #[inline]
    fn position(&self, tag: u8, wanted: &mut impl FnMut(&E) -> bool) -> Option<usize> {
        assert_ne!(tag, 0, "zero marks empty slots");
        let mut hits = SlotSet(zero_tags(self.meta ^ (ONES * u64::from(tag))));
        // SAFETY: the tag is not zero, so a slot with this tag is occupied.
        hits.find(|&slot| wanted(unsafe { self.element(slot) }))
    }

    /// The elements of this bucket, without its children.
    #[inline]
    pub(super) fn elements(&self) -> Elements<'_, E> {
        Elements { bucket: self, slots: self.occupied() }
    }

    /// The elements of this bucket, without its children, to be changed.
    pub(super) fn each_mut(&mut self, visit: &mut impl FnMut(&mut E)) {
        for slot in self.occupied() {
            // SAFETY: the slot is occupied.
            visit(unsafe { self.element_mut(slot) });
        }
    }

    #[inline]
    pub(super) fn child(&self) -> Option<&Bucket<E>> {
        // SAFETY: by invariant 1 the last slot of a chained bucket owns its child.
        self.is_chained().then(|| unsafe { &**self.slots[LAST].child })
    }

    #[inline]
    pub(super) fn child_mut(&mut self) -> Option<&mut Bucket<E>> {
        // SAFETY: by invariant 1 the last slot of a chained bucket owns its child.
        self.is_chained().then(|| unsafe { &mut **self.slots[LAST].child })
    }

    /// Fills a free slot.
    #[inline]
    fn put(&mut self, slot: usize, tag: u8, element: E) {
        debug_assert!(self.tag_at(slot) == 0 && tag != 0);
        debug_assert!(slot < LAST || !self.is_chained());
        self.slots[slot].element = ManuallyDrop::new(element);
        self.set_tag(slot, tag);
    }

    /// Empties an occupied slot.
    ///
    /// # Safety
    /// `slot` must be in `self.occupied()`.
    #[inline]
    unsafe fn take(&mut self, slot: usize) -> E {
        self.set_tag(slot, 0);
        // SAFETY: the element was live, and without its tag nobody takes it a second time.
        unsafe { ManuallyDrop::take(&mut self.slots[slot].element) }
    }

    /// Takes any element of this bucket, with its tag; `None` when it has none. Leaves its children alone.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(u8, E)> {
        let slot = self.occupied().next()?;
        let tag = self.tag_at(slot);
        // SAFETY: the slot is occupied.
        Some((tag, unsafe { self.take(slot) }))
    }

    /// Gives a full bucket a child, which takes over the last element.
    #[cold]
    fn adopt(&mut self) {
        let mut child = Box::new(Bucket::empty());
        let tag = self.tag_at(LAST);
        debug_assert!(tag != 0 && !self.is_chained());
        // SAFETY: only a full bucket adopts, so its last slot is occupied.
        child.put(0, tag, unsafe { self.take(LAST) });
        self.slots[LAST].child = ManuallyDrop::new(child);
        self.meta |= CHAINED;
    }

    /// Cuts the child off.
    pub(super) fn take_child(&mut self) -> Option<Box<Bucket<E>>> {
        if !self.is_chained() {
            return None;
        }
        self.meta &= !CHAINED;
        // SAFETY: the child was owned by the last slot, and without the flag nobody takes it a second time.
        Some(unsafe { ManuallyDrop::take(&mut self.slots[LAST].child) })
    }

    /// Takes the whole bucket with its chain and leaves an empty one.
    #[inline]
    pub(super) fn take_all(&mut self) -> Bucket<E> {
        let mut taken = Bucket::empty();
        // Swapping keeps it plain that each element has one owner.
        std::mem::swap(self, &mut taken);
        taken
    }

    /// The element of this chain with the tag that is wanted.
    #[inline]
    pub(super) fn find(&self, tag: u8, mut wanted: impl FnMut(&E) -> bool) -> Option<&E> {
        let mut bucket = self;
        loop {
            if let Some(slot) = bucket.position(tag, &mut wanted) {
                // SAFETY: `position` gives occupied slots.
                return Some(unsafe { bucket.element(slot) });
            }
            bucket = bucket.child()?;
        }
    }

    /// As [`Bucket::find`], to be changed.
    #[inline]
    pub(super) fn find_mut(&mut self, tag: u8, mut wanted: impl FnMut(&E) -> bool) -> Option<&mut E> {
        let mut bucket = self;
        loop {
            if let Some(slot) = bucket.position(tag, &mut wanted) {
                // SAFETY: `position` gives occupied slots.
                return Some(unsafe { bucket.element_mut(slot) });
            }
            bucket = bucket.child_mut()?;
        }
    }

    /// Adds an element to this chain; says also whether that took a new child.
    #[inline]
    pub(super) fn push(&mut self, tag: u8, element: E) -> (&mut E, bool) {
        let mut bucket = self;
        while bucket.is_chained() {
            bucket = bucket.child_mut().expect("a chained bucket has a child");
        }
        let (slot, adopted) = match bucket.free_slot() {
            Some(slot) => (slot, false),
            None => {
                bucket.adopt();
                bucket = bucket.child_mut().expect("just adopted");
                (1, true)
            }
        };
        bucket.put(slot, tag, element);
        // SAFETY: the slot was filled just now.
        (unsafe { bucket.element_mut(slot) }, adopted)
    }

    /// Removes the wanted element from this chain; says also how many children that freed (none or one).
    pub(super) fn remove(&mut self, tag: u8, mut wanted: impl FnMut(&E) -> bool) -> Option<(E, usize)> {
        let mut depth = 0;
        let mut bucket = &mut *self;
        let slot = loop {
            if let Some(slot) = bucket.position(tag, &mut wanted) {
                break slot;
            }
            bucket = bucket.child_mut()?;
            depth += 1;
        };
        // SAFETY: `position` gives occupied slots.
        let element = unsafe { bucket.take(slot) };
        if bucket.is_chained() {
            let freed = bucket.refill(slot);
            return Some((element, freed));
        }
        let freed = if depth == 0 { 0 } else { self.descend(depth - 1).shorten() };
        Some((element, freed))
    }

    /// The bucket so many steps down the chain.
    fn descend(&mut self, depth: usize) -> &mut Bucket<E> {
        let mut bucket = self;
        for _ in 0..depth {
            bucket = bucket.child_mut().expect("the chain is that long");
        }
        bucket
    }

    /// Fills the hole of a chained bucket from the end of its chain.
    fn refill(&mut self, hole: usize) -> usize {
        let mut parent = &mut *self;
        while parent.child().is_some_and(Bucket::is_chained) {
            parent = parent.child_mut().expect("a chained bucket has a child");
        }
        let moved = parent.child_mut().and_then(Bucket::pop);
        let freed = parent.shorten();
        if let Some((tag, element)) = moved {
            self.put(hole, tag, element);
        }
        freed
    }

    /// Takes back the element of a last child that holds only one; says how many children that freed.
    fn shorten(&mut self) -> usize {
        if self.child().is_none_or(|child| child.is_chained() || 1 < child.count()) {
            return 0;
        }
        let last = self.take_child().and_then(|mut child| child.pop());
        if let Some((tag, element)) = last {
            self.put(LAST, tag, element);
        }
        1
    }
}

impl<E: Element> Bucket<E> {
    /// Prefetches what the elements of this bucket point to.
    #[inline]
    pub(super) fn prefetch_elements(&self) {
        for element in self.elements() {
            prefetch(element.address());
        }
    }

    /// Prefetches what is needed to find an element with this tag.
    #[inline]
    pub(super) fn prefetch_tagged(&self, tag: u8) {
        let found = self.position(tag, &mut |element| {
            let address = element.address();
            prefetch(address);
            // An element of a common size lies in two lines more often than in one.
            prefetch(address.wrapping_add(SPAN));
            false
        });
        debug_assert!(found.is_none());
        if let Some(child) = self.child() {
            prefetch(ptr::from_ref(child).cast());
        }
    }
}

/// The elements of one bucket.
pub(super) struct Elements<'a, E> {
    bucket: &'a Bucket<E>,
    slots: SlotSet,
}

impl<'a, E> Elements<'a, E> {
    #[inline]
    pub(super) fn bucket(&self) -> &'a Bucket<E> {
        self.bucket
    }
}

impl<'a, E> Iterator for Elements<'a, E> {
    type Item = &'a E;

    #[inline]
    fn next(&mut self) -> Option<&'a E> {
        let slot = self.slots.next()?;
        // SAFETY: the slots were the occupied ones, and the bucket is borrowed since.
        Some(unsafe { self.bucket.element(slot) })
    }
}

/// What an array that does not exist points to.
#[repr(align(64))]
struct Nothing(#[expect(dead_code, reason = "read as a bucket")] [u8; BUCKET_BYTES]);

static NOTHING: Nothing = Nothing([0; BUCKET_BYTES]);

const fn nothing<E>() -> NonNull<Bucket<E>> {
    NonNull::new((&raw const NOTHING).cast_mut().cast()).expect("a static has an address")
}

/// A power of two of buckets in one piece, or none.
///
/// One piece, not many segments: finding a bucket is then one addition. What segments would buy, memory that comes
/// when touched and goes in slices, the kernel gives just as well to a mapping.
pub(super) struct Array<E> {
    buckets: NonNull<Bucket<E>>,
    /// Half a word, so that an array is two words with what follows.
    mask: u32,
    /// How much of a mapping counts as used memory, in units of [`COUNTED`] buckets. The allocator counts its arrays
    /// itself.
    counted: u32,
    owns: PhantomData<Bucket<E>>,
}

impl<E> Array<E> {
    /// The array of no buckets.
    pub(super) const NONE: Self = Array { buckets: nothing(), mask: 0, counted: 0, owns: PhantomData };

    /// An array of empty buckets; `count` is a power of two. Aborts, as all allocation, when there is no memory.
    pub(super) fn new(count: usize) -> Self {
        const { assert!(size_of::<Bucket<E>>() == BUCKET_BYTES, "an element is one word") };
        const { assert!(!std::mem::needs_drop::<Bucket<E>>()) };
        assert!(count.is_power_of_two() && count <= BUCKETS_MAX, "{count} buckets");
        let Ok(layout) = Layout::array::<Bucket<E>>(count) else {
            panic!("{count} buckets exceed the address space")
        };
        let memory = if count < MAPPED_FROM {
            // SAFETY: the layout is not empty.
            NonNull::new(unsafe { alloc_zeroed(layout) })
        } else {
            pages::map(layout.size())
        };
        let Some(memory) = memory else { handle_alloc_error(layout) };
        let mut array =
            Array { buckets: memory.cast(), mask: (count - 1) as u32, counted: 0, owns: PhantomData };
        array.count_used(count);
        array
    }

    /// Says how many buckets are in use, for the count of used memory: the pages of a mapping that nobody has
    /// touched yet are not there.
    pub(super) fn count_used(&mut self, buckets: usize) {
        if self.count() < MAPPED_FROM {
            return;
        }
        let used = (buckets / COUNTED) as u32;
        if self.counted < used {
            memory::add((used - self.counted) as usize * COUNTED * BUCKET_BYTES);
        } else {
            memory::sub((self.counted - used) as usize * COUNTED * BUCKET_BYTES);
        }
        self.counted = used;
    }

    /// Bytes of this array in the count of used memory, if it is mapped.
    #[cfg(test)]
    pub(super) fn counted(&self) -> usize {
        self.counted as usize * COUNTED * BUCKET_BYTES
    }

    #[inline]
    pub(super) fn exists(&self) -> bool {
        !ptr::addr_eq(self.buckets.as_ptr(), &raw const NOTHING)
    }

    /// How many buckets there are.
    #[inline]
    pub(super) fn count(&self) -> usize {
        if self.exists() { self.mask() + 1 } else { 0 }
    }

    /// The bits of a hash that choose the bucket.
    #[inline]
    pub(super) fn mask(&self) -> usize {
        self.mask as usize
    }

    /// The bucket of an index or hash, of which the bits above the mask do not matter.
    #[inline]
    pub(super) fn bucket(&self, index: usize) -> &Bucket<E> {
        // SAFETY: the masked index is inside (of one bucket, when there is only `NOTHING`); invariant 2.
        unsafe { self.buckets.add(index & self.mask()).as_ref() }
    }

    /// As [`Array::bucket`], to be changed; `None` when the array does not exist.
    #[inline]
    pub(super) fn bucket_mut(&mut self, index: usize) -> Option<&mut Bucket<E>> {
        if !self.exists() {
            return None;
        }
        // SAFETY: the masked index is inside; the array owns its memory and is borrowed for change.
        Some(unsafe { self.buckets.add(index & self.mask()).as_mut() })
    }

    /// Prefetches the line of a bucket.
    #[inline]
    pub(super) fn prefetch(&self, index: usize) {
        prefetch(ptr::from_ref(self.bucket(index)).cast());
    }

    /// All buckets are in use now.
    pub(super) fn ripe(&self) {
        if MAPPED_FROM <= self.count() {
            pages::ripe(self.buckets.cast(), self.count() * BUCKET_BYTES);
        }
    }

    /// Gives the memory of emptied buckets back; they stay empty and usable. Does nothing in small arrays. The range
    /// begins and ends at multiples of [`SLICE`].
    pub(super) fn release(&mut self, emptied: Range<usize>) {
        assert!(emptied.start.is_multiple_of(SLICE) && emptied.end.is_multiple_of(SLICE));
        if self.count() < MAPPED_FROM || self.count() < emptied.end {
            return;
        }
        pages::unripe(self.buckets.cast(), self.count() * BUCKET_BYTES);
        // SAFETY: the range lies inside our own mapping, begins at a page, and will read as zeros: invariant 2.
        let result = unsafe {
            let start = self.buckets.add(emptied.start).as_ptr();
            libc::madvise(start.cast(), emptied.len() * BUCKET_BYTES, libc::MADV_DONTNEED)
        };
        debug_assert_eq!(result, 0, "the range is ours");
        self.count_used((self.counted as usize * COUNTED).saturating_sub(emptied.len()));
    }
}

impl<E> Drop for Array<E> {
    fn drop(&mut self) {
        if !self.exists() {
            return;
        }
        let bytes = self.count() * BUCKET_BYTES;
        if self.count() < MAPPED_FROM {
            // SAFETY: `new` allocated it with this very layout, which was valid then.
            unsafe {
                dealloc(self.buckets.as_ptr().cast(), Layout::from_size_align_unchecked(bytes, BUCKET_BYTES))
            };
        } else {
            self.count_used(0);
            pages::unripe(self.buckets.cast(), bytes);
            // SAFETY: `new` mapped it with this very length, and nobody borrows it any more.
            let result = unsafe { libc::munmap(self.buckets.as_ptr().cast(), bytes) };
            debug_assert_eq!(result, 0, "the mapping is ours");
        }
    }
}

// SAFETY: an array owns its buckets, and they own their elements; nothing is shared with another thread.
unsafe impl<E: Send> Send for Array<E> {}
