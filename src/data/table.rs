//! The hash map: the heart of the server, also inside hashes, sets and sorted sets.
//!
//! # The shape
//!
//! ```text
//!   hash   [ tag: 8 bits | ................ | index: low bits ]
//!
//!   bucket [ chained? | 7 tags ][ 7 slots of one word ]        64 bytes, one cache line
//! ```
//!
//! An element is one word, the owner of an allocation that holds the key. The low bits of the hash choose the bucket;
//! the seven tags are compared in one go and tell which slots are worth following. So a hit costs two cache misses,
//! the bucket and the element, and a miss almost always one. A full bucket that must take an eighth element keeps a
//! child bucket in its last slot.
//!
//! # Growing and shrinking
//!
//! Nothing here ever moves all elements in one stop. While the table is resized there are two arrays, `now` and
//! `next`, and a frontier, `drained`: what hashes to a bucket of `now` below the frontier lives in `next`, the rest
//! still lives in `now`. So **every key has one home at any time**: a lookup looks in one bucket, resizing or not, and
//! a new key that belongs beyond the frontier goes to `now` and is moved with the others. (The alternative, all new
//! keys to the new array, would make each lookup look twice.) Each insertion and removal moves the frontier a bucket
//! or a few, and so does [`Table::step`] from the tick. To move an element its hash is computed again from the key,
//! which would be seven cache misses in a row; instead the elements of the following bucket are prefetched while this
//! one is moved.
//!
//! Big arrays are mapped memory: new ones are untouched zero pages, which the kernel fills in as the frontier reaches
//! them, and the drained part of the old one is given back slice by slice. One big release at the end would be
//! the very stop that moving step by step avoids.
//!
//! # Invariants
//!
//! - There is no `next` without `now`; without `next`, `drained` is zero, except while [`Table::free_some`] is at work
//!   (then the homes below the frontier are in a `next` of no buckets, where nothing is found).
//! - Buckets of `now` below the frontier are empty, and so are buckets of `next` all of whose elements would come from
//!   beyond it (`Table::live` skips both without touching their memory).
//! - `unsafe` is only in `table/bucket.rs`.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;

use ahash::RandomState;

use crate::base::prefetch::prefetch;

mod bucket;
mod walk;
#[cfg(test)]
mod tests;

use bucket::{Array, BUCKET_BYTES, BUCKETS_MAX, COUNTED, SLICE, SLOTS, tag};
pub use walk::{ArrayStats, Iter, TableStats};

/// Bytes that an element takes in its bucket, a share of the bucket's tags included.
pub const SLOT_BYTES: usize = BUCKET_BYTES.div_ceil(SLOTS);

/// Percent of the slots filled at which the table grows.
const GROW_PERCENT: usize = 77;

/// The same while a snapshot child shares the pages: chains of two buckets, but no second array meanwhile.
const GROW_PERCENT_AVOIDED: usize = 200;

/// Percent of the slots filled below which the table shrinks. Far from what [`fitting`] fills, so that a few
/// insertions and removals never make it grow and shrink in turn.
const SHRINK_PERCENT: usize = 10;

/// The same while a snapshot child shares the pages.
const SHRINK_PERCENT_AVOIDED: usize = 2;

/// The most one resizing multiplies or divides the buckets by; what needs more does it in several. It bounds what one
/// call of [`Table::scan`] visits.
const FACTOR_MAX: usize = 8;

/// Buckets moved by one insertion or removal while growing.
const MOVED_GROWING: usize = 1;

/// Buckets moved by one insertion or removal while shrinking: they are nearly empty, and must be gone before the
/// smaller array is full.
const MOVED_SHRINKING: usize = 4;

/// The most elements anybody reserves for.
const RESERVED_MAX: usize = BUCKETS_MAX;

/// What a table stores: the owner of one key, one machine word.
pub trait Element {
    /// The key. It stays the same as long as the element is in a table.
    fn key(&self) -> &[u8];

    /// Where a prefetch should point: the start of what [`Element::key`] reads. Must not itself read memory behind
    /// the element.
    fn address(&self) -> *const u8;
}

/// The keyed hash: without the seed nobody can make keys that collide. All tables with this hasher or a clone of it are
/// told at once when they may be resized, however many they are and wherever they lie.
#[derive(Clone)]
pub struct Hasher {
    state: RandomState,
    resizing: Rc<Cell<Resizing>>,
}

impl Hasher {
    /// A hasher with a secret seed. Tables that are asked with its hashes must be changed with the same hasher.
    pub fn new(seed: [u64; 4]) -> Hasher {
        Hasher {
            state: RandomState::with_seeds(seed[0], seed[1], seed[2], seed[3]),
            resizing: Rc::new(Cell::new(Resizing::Allowed)),
        }
    }

    /// Says when the tables of this hasher and its clones may be resized. What is due because of it is begun by the
    /// next change or step of each.
    pub fn set_resizing(&self, resizing: Resizing) {
        self.resizing.set(resizing);
    }

    /// The hash of a key. All its bits are used: the low ones for the bucket, the top eight for the tag.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = self.state.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

/// When a table may grow and shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resizing {
    /// Whenever it is due.
    Allowed,
    /// Only when the table is far too full or far too empty: a snapshot child shares the pages.
    Avoided,
    /// Never. Chains get as long as they must.
    Forbidden,
}

/// A hash map from keys to elements that contain their keys. See the head of the module.
pub struct Table<E> {
    now: Array<E>,
    next: Array<E>,
    /// How many buckets of `now` have been moved to `next`.
    drained: usize,
    len: usize,
    /// An insertion that finds so many elements calls [`Table::maintain`]: the threshold of growing, or zero while
    /// there is always something to do. So the quick path asks one question; while resizing is avoided, and only then,
    /// the answer may be that there is nothing to do after all.
    ceiling: usize,
    /// A removal that leaves fewer elements calls [`Table::maintain`]: the threshold of shrinking, or the maximum.
    floor: usize,
    /// Child buckets allocated.
    children: usize,
}

/// The number of buckets at which so many elements fill a quarter to a half of the slots.
fn fitting(len: usize) -> usize {
    (len * 2).div_ceil(SLOTS).next_power_of_two()
}

impl Resizing {
    /// How many elements make a table of so many buckets grow.
    fn ceiling(self, buckets: usize) -> usize {
        match self {
            Resizing::Forbidden if 0 < buckets => usize::MAX,
            // A single bucket wastes nothing by being full, and small tables are many.
            Resizing::Allowed if buckets == 1 => SLOTS,
            Resizing::Avoided => buckets * SLOTS * GROW_PERCENT_AVOIDED / 100,
            _ => buckets * SLOTS * GROW_PERCENT / 100,
        }
    }

    /// Fewer elements than this make a table of so many buckets shrink.
    fn floor(self, buckets: usize) -> usize {
        match self {
            _ if buckets <= 1 => 0,
            Resizing::Allowed => (buckets * SLOTS * SHRINK_PERCENT / 100).max(1),
            Resizing::Avoided => (buckets * SLOTS * SHRINK_PERCENT_AVOIDED / 100).max(1),
            Resizing::Forbidden => 0,
        }
    }
}

impl<E> Table<E> {
    /// The empty table, which takes no heap.
    pub const fn new() -> Self {
        Table { now: Array::NONE, next: Array::NONE, drained: 0, len: 0, ceiling: 0, floor: 0, children: 0 }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the buckets, without the elements. While resizing: of the part of each array that is in use, so that
    /// the sum changes as gently as the memory does.
    pub fn memory(&self) -> usize {
        let buckets = self.now.count() - self.drained + self.live_in_next() + self.children;
        buckets * BUCKET_BYTES
    }

    /// Sizes an empty table ahead for `n` elements. A hint: a table with elements grows a part of the way at most, by
    /// steps, and one that is being resized ignores it. Reserving is only for loading: the first removal from, or step
    /// of, a table still nearly empty shrinks it again. Aborts when the kernel refuses the memory, so cap what you ask.
    pub fn reserve(&mut self, n: usize) {
        let n = n.min(RESERVED_MAX);
        let mut buckets = fitting(n);
        if 1 < buckets && n <= Resizing::Allowed.ceiling(buckets / 2) {
            buckets /= 2;
        }
        if n == 0 || self.next.exists() || buckets <= self.now.count() {
            return;
        }
        if self.len == 0 {
            self.now = Array::new(buckets);
            self.drained = 0;
        } else {
            self.next = Array::new(buckets.min(self.now.count() * FACTOR_MAX));
            self.next.count_used(0);
        }
        self.set_thresholds();
    }

    fn set_thresholds(&mut self) {
        let buckets = self.now.count();
        let busy = self.next.exists() || 0 < self.drained;
        self.ceiling = if busy { 0 } else { Resizing::Allowed.ceiling(buckets) };
        self.floor = if busy { usize::MAX } else { Resizing::Allowed.floor(buckets) };
    }

    /// Whether a resizing under way may go on.
    fn may_move(&self, resizing: Resizing) -> bool {
        let (now, next) = (self.now.count(), self.next.count());
        resizing == Resizing::Allowed
            || resizing.ceiling(now.min(next)) <= self.len
            || self.len < resizing.floor(now.max(next))
    }

    /// Begins a resizing if one is due and none is under way.
    fn begin_if_due(&mut self, resizing: Resizing) {
        let buckets = self.now.count();
        if self.next.exists() || buckets == 0 {
            return;
        }
        let full = resizing.ceiling(buckets) <= self.len;
        let sparse = self.len < resizing.floor(buckets);
        // A frontier without `next` is a table half freed; only a `next` makes its lower homes usable again.
        if full || sparse || 0 < self.drained {
            let least = (buckets / FACTOR_MAX).max(1);
            self.next = Array::new(fitting(self.len).clamp(least, buckets * FACTOR_MAX));
            self.next.count_used(0);
            self.set_thresholds();
        }
    }

    /// Moves the frontier over one bucket, which the caller has emptied.
    fn advance(&mut self) {
        self.drained += 1;
        if self.drained.is_multiple_of(COUNTED) {
            let live = self.live_in_next();
            self.next.count_used(live);
        }
        if self.drained.is_multiple_of(SLICE) {
            self.now.release(self.drained - SLICE..self.drained);
        }
    }

    /// `next` becomes `now` when `now` is drained.
    fn finish_if_drained(&mut self) {
        if self.drained == self.now.count() {
            let live = self.next.count();
            self.next.count_used(live);
            self.now = mem::replace(&mut self.next, Array::NONE);
            self.drained = 0;
            self.now.ripe();
            self.set_thresholds();
        }
    }

    /// The bucket where elements with this hash are, if they are anywhere.
    #[inline]
    fn home(&self, hash: u64) -> &bucket::Bucket<E> {
        let index = hash as usize & self.now.mask();
        if index < self.drained { self.next.bucket(hash as usize) } else { self.now.bucket(index) }
    }

    /// As [`Table::home`], to be changed; `None` when there is none yet.
    #[inline]
    fn home_mut(&mut self, hash: u64) -> Option<&mut bucket::Bucket<E>> {
        let index = hash as usize & self.now.mask();
        if index < self.drained { self.next.bucket_mut(hash as usize) } else { self.now.bucket_mut(index) }
    }

    /// The element with this hash for which `wanted` says yes: for those who remember hashes and not keys. `wanted`
    /// is asked about few others, those with an equal tag.
    #[inline]
    pub fn find_by(&self, hash: u64, wanted: impl FnMut(&E) -> bool) -> Option<&E> {
        self.home(hash).find(tag(hash), wanted)
    }

    /// As [`Table::find_by`], to be changed; the key must stay the same.
    #[inline]
    pub fn find_by_mut(&mut self, hash: u64, wanted: impl FnMut(&E) -> bool) -> Option<&mut E> {
        self.home_mut(hash)?.find_mut(tag(hash), wanted)
    }
}

impl<E: Element> Table<E> {
    /// The element with this key.
    #[inline]
    pub fn get(&self, key: &[u8], hash: u64) -> Option<&E> {
        self.find_by(hash, |element| element.key() == key)
    }

    /// As [`Table::get`], to be changed or replaced; the key must stay the same.
    #[inline]
    pub fn get_mut(&mut self, key: &[u8], hash: u64) -> Option<&mut E> {
        self.find_by_mut(hash, |element| element.key() == key)
    }

    /// Adds an element whose key is known to be absent.
    #[inline]
    pub fn insert(&mut self, hash: u64, element: E, hasher: &Hasher) -> &mut E {
        debug_assert_eq!(hash, hasher.hash(element.key()), "one hasher a table");
        debug_assert!(self.get(element.key(), hash).is_none(), "the key is known to be absent");
        if self.ceiling <= self.len {
            if !self.now.exists() {
                self.now = Array::new(1);
                self.set_thresholds();
            }
            self.maintain(hasher);
        }
        self.len += 1;
        let index = hash as usize & self.now.mask();
        let array = if index < self.drained { &mut self.next } else { &mut self.now };
        let home = array.bucket_mut(hash as usize).expect("maintained");
        let (element, adopted) = home.push(tag(hash), element);
        self.children += usize::from(adopted);
        element
    }

    /// Removes the element with this key.
    #[inline]
    pub fn remove(&mut self, key: &[u8], hash: u64, hasher: &Hasher) -> Option<E> {
        self.remove_by(hash, |element| element.key() == key, hasher)
    }

    /// Removes the element with this hash for which `wanted` says yes; see [`Table::find_by`].
    #[inline]
    pub fn remove_by(&mut self, hash: u64, wanted: impl FnMut(&E) -> bool, hasher: &Hasher) -> Option<E> {
        let (element, freed) = self.home_mut(hash)?.remove(tag(hash), wanted)?;
        self.children -= freed;
        self.len -= 1;
        if self.len < self.floor {
            self.maintain(hasher);
        }
        Some(element)
    }

    /// The share of resizing that one change does.
    #[cold]
    #[inline(never)]
    fn maintain(&mut self, hasher: &Hasher) {
        self.begin_if_due(hasher.resizing.get());
        let growing = self.now.count() < self.next.count();
        self.move_some(if growing { MOVED_GROWING } else { MOVED_SHRINKING }, hasher);
    }

    /// Moves up to so many buckets of a growing or shrinking under way, or due. Says whether more is to be done that
    /// may be done now.
    pub fn step(&mut self, buckets: usize, hasher: &Hasher) -> bool {
        self.begin_if_due(hasher.resizing.get());
        self.move_some(buckets, hasher);
        self.begin_if_due(hasher.resizing.get());
        self.next.exists() && self.may_move(hasher.resizing.get())
    }

    fn move_some(&mut self, buckets: usize, hasher: &Hasher) {
        if !self.next.exists() || !self.may_move(hasher.resizing.get()) {
            return;
        }
        for _ in 0..buckets {
            self.move_one(hasher);
            if !self.next.exists() {
                return;
            }
        }
    }

    /// Moves the elements of the bucket at the frontier.
    fn move_one(&mut self, hasher: &Hasher) {
        self.prefetch_move();
        let Some(bucket) = self.now.bucket_mut(self.drained) else { return };
        let mut bucket = bucket.take_all();
        // Before anything is hashed, so that should that panic, elements are lost but none is owned twice.
        self.advance();
        loop {
            while let Some((tag, element)) = bucket.pop() {
                let hash = hasher.hash(element.key()) as usize;
                let home = self.next.bucket_mut(hash).expect("only a table being resized moves");
                let (_, adopted) = home.push(tag, element);
                self.children += usize::from(adopted);
            }
            let Some(child) = bucket.take_child() else { break };
            self.children -= 1;
            bucket = *child;
        }
        self.finish_if_drained();
    }

    /// Prefetches for the move of this bucket and, before all, the following: its elements and where they will go. The
    /// line of the bucket after that comes too, whose tags the next call wants to read.
    #[inline]
    fn prefetch_move(&self) {
        let following = self.drained + 1;
        self.now.bucket(self.drained).prefetch_elements();
        if following < self.now.count() {
            self.now.bucket(following).prefetch_elements();
            self.next.prefetch(following);
            self.next.prefetch(following + self.now.count());
            self.now.prefetch(following + 1);
        }
    }

    /// Prefetches the bucket of a hash.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        prefetch(std::ptr::from_ref(self.home(hash)).cast());
    }

    /// Reads the bucket of a hash, better prefetched before, and prefetches the elements that may be the one.
    #[inline]
    pub fn prefetch_element(&self, hash: u64) {
        self.home(hash).prefetch_tagged(tag(hash));
    }

    /// Drops the elements of up to so many buckets and gives their memory back. Says whether there is more. So a big
    /// table that was flushed away goes in slices. (A table half freed is still a table, of what is left.)
    pub fn free_some(&mut self, buckets: usize) -> bool {
        for _ in 0..buckets {
            self.now.bucket(self.drained + 1).prefetch_elements();
            self.now.prefetch(self.drained + 2);
            let Some(bucket) = self.now.bucket_mut(self.drained) else { break };
            let bucket = bucket.take_all();
            self.advance();
            self.drop_chain(bucket);
            self.finish_if_drained();
        }
        self.set_thresholds();
        self.now.exists()
    }
}

impl<E> Table<E> {
    /// Drops the elements of a chain, without recursion: where resizing is forbidden chains may be very long.
    fn drop_chain(&mut self, mut bucket: bucket::Bucket<E>) {
        loop {
            while let Some((_, element)) = bucket.pop() {
                self.len -= 1;
                drop(element);
            }
            let Some(child) = bucket.take_child() else { return };
            self.children -= 1;
            bucket = *child;
        }
    }
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Table::new()
    }
}

impl<E> Drop for Table<E> {
    fn drop(&mut self) {
        let mut at = 0;
        while let Some(position) = self.live(at) {
            if self.len == 0 {
                return;
            }
            if let Some(bucket) = self.bucket_at_mut(position) {
                let bucket = bucket.take_all();
                self.drop_chain(bucket);
            }
            at = position + 1;
        }
    }
}
