//! Walking through a table: SCAN, random elements, iteration and statistics.
//!
//! A *position* counts the buckets of `now` and, after them, those of `next`. A position is live if its bucket is in
//! use: beyond the frontier in `now`; in `next`, if a bucket that was drained could have left something there.

use super::bucket::{Bucket, Elements};
use super::{Element, Table};

/// How many buckets ahead of the iteration elements are prefetched.
const AHEAD: usize = 3;

/// Draws of [`Table::random`] before it takes the next element it finds.
const DRAWS_MAX: usize = 100;

/// The numbers of a table, for `DEBUG HTSTATS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// The array in use.
    pub now: ArrayStats,
    /// The array that elements are being moved to; all zero unless the table is being resized.
    pub next: ArrayStats,
    /// How many buckets of `now` have been moved.
    pub drained: usize,
}

/// The numbers of one of the arrays of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrayStats {
    /// Buckets, without children.
    pub buckets: usize,
    /// Elements.
    pub elements: usize,
    /// Buckets with at least one element.
    pub filled: usize,
    /// Child buckets.
    pub children: usize,
    /// Buckets of the longest chain.
    pub longest: usize,
}

impl<E> Table<E> {
    /// How many buckets of `next` are live.
    pub(super) fn live_in_next(&self) -> usize {
        let (now, next) = (self.now.count(), self.next.count());
        if next < now { self.drained.min(next) } else { next / now.max(1) * self.drained }
    }

    /// Whether something may be in this bucket of `next`: whether the bucket of `now` it is filled from, or one of
    /// them (the lowest), has been drained.
    fn is_live_in_next(&self, index: usize) -> bool {
        index & self.now.mask() < self.drained
    }

    /// The first live position from here on.
    pub(super) fn live(&self, position: usize) -> Option<usize> {
        let (now, next) = (self.now.count(), self.next.count());
        let position = position.max(self.drained);
        if position < now {
            return Some(position);
        }
        let mut index = position - now;
        if !self.is_live_in_next(index) {
            index = (index | self.now.mask()) + 1;
        }
        (0 < self.drained && index < next).then_some(now + index)
    }

    fn bucket_at(&self, position: usize) -> &Bucket<E> {
        let now = self.now.count();
        if position < now { self.now.bucket(position) } else { self.next.bucket(position - now) }
    }

    pub(super) fn bucket_at_mut(&mut self, position: usize) -> Option<&mut Bucket<E>> {
        let now = self.now.count();
        if position < now { self.now.bucket_mut(position) } else { self.next.bucket_mut(position - now) }
    }

    /// The position of the live bucket of this rank, in the order of positions.
    fn live_of_rank(&self, rank: usize) -> usize {
        let (now, next) = (self.now.count(), self.next.count());
        let live_in_now = now - self.drained;
        if rank < live_in_now {
            return self.drained + rank;
        }
        let (rank, live) = (rank - live_in_now, self.drained.min(next));
        now + rank / live * now + rank % live
    }

    /// Visits each element, to be changed; the keys must stay the same.
    pub fn for_each_mut(&mut self, mut visit: impl FnMut(&mut E)) {
        let mut at = 0;
        while let Some(position) = self.live(at) {
            let mut chain = self.bucket_at_mut(position);
            while let Some(bucket) = chain {
                bucket.each_mut(&mut visit);
                chain = bucket.child_mut();
            }
            at = position + 1;
        }
    }

    /// Counts what is where. Reads every bucket.
    pub fn stats(&self) -> TableStats {
        let mut stats = TableStats { drained: self.drained, ..TableStats::default() };
        (stats.now.buckets, stats.next.buckets) = (self.now.count(), self.next.count());
        let mut at = 0;
        while let Some(position) = self.live(at) {
            let array = if position < self.now.count() { &mut stats.now } else { &mut stats.next };
            let (mut elements, mut length) = (0, 0);
            let mut chain = Some(self.bucket_at(position));
            while let Some(bucket) = chain {
                elements += bucket.count();
                length += 1;
                chain = bucket.child();
            }
            array.elements += elements;
            array.filled += usize::from(0 < elements);
            array.children += length - 1;
            array.longest = array.longest.max(length);
            at = position + 1;
        }
        stats
    }
}

impl<E: Element> Table<E> {
    /// An element at random, each as likely as any other. `below(n)` draws a number below `n`.
    ///
    /// A bucket is drawn and a place in it, and the draw counts if there is an element in that place. With more places
    /// than almost any chain has elements, no element gains by being in a sparse bucket.
    pub fn random(&self, mut below: impl FnMut(u64) -> u64) -> Option<&E> {
        if self.len == 0 {
            return None;
        }
        let buckets = self.now.count() - self.drained + self.live_in_next();
        let places = 5 + 2 * self.len / buckets;
        let mut position = 0;
        for _ in 0..DRAWS_MAX {
            position = self.live_of_rank(below(buckets as u64) as usize);
            let mut place = below(places as u64) as usize;
            let mut chain = Some(self.bucket_at(position));
            while let Some(bucket) = chain {
                if let Some(element) = bucket.elements().nth(place) {
                    return Some(element);
                }
                place -= bucket.count();
                chain = bucket.child();
            }
        }
        // A table emptied faster than it could shrink. Whatever comes next, around the end if need be.
        self.iter_from(position).next().or_else(|| self.iter_from(0).next())
    }

    /// The elements in the order of memory, for those who want all.
    pub fn iter(&self) -> Iter<'_, E> {
        self.iter_from(0)
    }

    fn iter_from(&self, position: usize) -> Iter<'_, E> {
        Iter { table: self, position, elements: Bucket::nothing().elements() }
    }

    /// Visits the elements of one bucket, and gives the cursor of the next; begin with zero and end when it is zero.
    ///
    /// Every element that is in the table from the beginning to the end is visited, perhaps more than once, whatever is
    /// inserted and removed in between and however the table is resized. For the cursor counts with its bits
    /// reversed: from the highest bit of the mask downwards. The buckets whose index ends in the bits counted through
    /// are done, all of them, in an array of any size; so a cursor keeps its meaning when the mask changes. While there
    /// are two arrays, a call visits a bucket of the smaller one and all those of the bigger one whose index ends in the
    /// same bits, between which elements may have moved since.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&E)) -> u64 {
        let now_mask = self.now.mask() as u64;
        if !self.next.exists() {
            self.scan_now(cursor, &mut visit);
            return following(cursor, now_mask);
        }
        let next_mask = self.next.mask() as u64;
        let (small, large) = (now_mask.min(next_mask), now_mask.max(next_mask));
        let grows = now_mask <= next_mask;
        if grows {
            self.scan_now(cursor, &mut visit)
        } else {
            self.scan_next(cursor, &mut visit)
        }
        let mut cursor = cursor;
        loop {
            if grows {
                self.scan_next(cursor, &mut visit)
            } else {
                self.scan_now(cursor, &mut visit)
            }
            cursor = following(cursor, large);
            // The bits that only the bigger mask has are counted through when they are all zero again.
            if cursor & (small ^ large) == 0 {
                return cursor;
            }
        }
    }

    fn scan_now(&self, cursor: u64, visit: &mut impl FnMut(&E)) {
        let index = cursor as usize & self.now.mask();
        if self.drained <= index {
            visit_chain(self.now.bucket(index), visit);
        }
    }

    fn scan_next(&self, cursor: u64, visit: &mut impl FnMut(&E)) {
        let index = cursor as usize & self.next.mask();
        if self.is_live_in_next(index) {
            visit_chain(self.next.bucket(index), visit);
        }
    }
}

/// The cursor after this one: one more, counted from the highest bit of the mask downwards.
fn following(cursor: u64, mask: u64) -> u64 {
    (cursor | !mask).reverse_bits().wrapping_add(1).reverse_bits()
}

fn visit_chain<E: Element>(bucket: &Bucket<E>, visit: &mut impl FnMut(&E)) {
    let mut chain = Some(bucket);
    while let Some(bucket) = chain {
        bucket.prefetch_elements();
        bucket.elements().for_each(&mut *visit);
        chain = bucket.child();
    }
}

/// The elements of a table in the order of memory. What the elements point to is prefetched ahead.
pub struct Iter<'a, E> {
    table: &'a Table<E>,
    /// The first position not begun.
    position: usize,
    elements: Elements<'a, E>,
}

impl<'a, E> Iter<'a, E> {
    /// The bucket after this one: its child, or the next live one.
    fn following(&mut self) -> Option<&'a Bucket<E>> {
        if let Some(child) = self.elements.bucket().child() {
            return Some(child);
        }
        let position = self.table.live(self.position)?;
        self.position = position + 1;
        Some(self.table.bucket_at(position))
    }
}

impl<'a, E: Element> Iterator for Iter<'a, E> {
    type Item = &'a E;

    #[inline]
    fn next(&mut self) -> Option<&'a E> {
        loop {
            if let Some(element) = self.elements.next() {
                return Some(element);
            }
            self.elements = self.following()?.elements();
            let ahead = self.position + AHEAD;
            if self.table.live(ahead) == Some(ahead) {
                self.table.bucket_at(ahead).prefetch_elements();
            }
        }
    }
}
