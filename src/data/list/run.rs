//! A run: elements one behind the other in one buffer, with room at both ends.
//!
//! ```text
//!   buf:  | slack | element element ... element | slack |
//!         0       start                     buf.len()   buf.capacity()
//! ```
//!
//! Pushing writes into the slack of its end; popping gives it back. When an end has no slack left the
//! elements move: into a buffer twice as big, or within this one if a good part of it is free. Either way the
//! end that asked gets most of the free bytes, so pushes move each byte a small constant number of times, at
//! the front as at the back. A buffer never outgrows the node limit for slack alone, so a full run wastes
//! next to nothing.

use crate::data::element::{self, Encoded, Item, Needle};

/// What a listpack of the same elements takes beyond them: its header and its end mark. The limits of the
/// configuration count these bytes, so the sizes compared with them must as well.
const LISTPACK_FRAME: usize = 7;

/// Below this a buffer is left as it is: giving back so little is not worth an allocation.
const SHRINK_BYTES_MIN: usize = 128;

/// The two ends of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head: LPUSH, LPOP.
    Front,
    /// The tail: RPUSH, RPOP.
    Back,
}

/// See the head of the file. Invariant: `start <= buf.len()`, and `buf[start..]` is exactly `count` elements.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    buf: Vec<u8>,
    start: u32,
    count: u32,
}

impl Run {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Run { buf: Vec::with_capacity(bytes), start: 0, count: 0 }
    }

    /// Elements that are already encoded, and so many.
    pub(super) fn from_elements(elements: &[u8], count: usize) -> Self {
        Run { buf: elements.to_vec(), start: 0, count: count as u32 }
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements as bytes.
    #[inline]
    pub(super) fn body(&self) -> &[u8] {
        &self.buf[self.start as usize..]
    }

    #[inline]
    fn used(&self) -> usize {
        self.buf.len() - self.start as usize
    }

    /// What a listpack of these elements would take; the measure of all limits.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.used() + LISTPACK_FRAME
    }

    /// What a listpack of the elements of both would take.
    pub(super) fn size_with(&self, other: &Run) -> usize {
        self.size() + other.used()
    }

    /// Heap bytes.
    pub(super) fn memory(&self) -> usize {
        self.buf.capacity()
    }

    /// Adds an element at an end. The buffer grows to more than `bytes_max` only if the elements need it.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: &Encoded<'_>, bytes_max: usize) {
        let len = element.len();
        self.reserve(end, len, bytes_max);
        match end {
            End::Back => element.append_to(&mut self.buf),
            End::Front => {
                let start = self.start as usize;
                element.write_to(&mut self.buf[start - len..start]);
                self.start = (start - len) as u32;
            }
        }
        self.count += 1;
    }

    /// The element at an end, if there is one.
    #[inline]
    pub(super) fn peek(&self, end: End) -> Option<Item<'_>> {
        let body = self.body();
        match end {
            _ if body.is_empty() => None,
            End::Front => Some(element::first(body).0),
            End::Back => Some(element::first(&body[body.len() - element::last_len(body)..]).0),
        }
    }

    /// Removes the element at an end; does nothing to an empty run.
    #[inline]
    pub(super) fn drop_end(&mut self, end: End) {
        match (end, self.count) {
            (_, 0) => {}
            (_, 1) => self.clear(),
            (End::Front, _) => self.start += element::first_len(self.body()) as u32,
            (End::Back, _) => self.buf.truncate(self.buf.len() - element::last_len(self.body())),
        }
        self.count = self.count.saturating_sub(1);
    }

    /// Removes `count` elements, fewer than there are, at an end.
    pub(super) fn drop_many(&mut self, end: End, count: usize) {
        debug_assert!(count < self.count());
        match end {
            End::Front => self.start += self.offset(count) as u32,
            End::Back => {
                let cut = self.offset(self.count() - count);
                self.buf.truncate(self.start as usize + cut);
            }
        }
        self.count -= count as u32;
    }

    /// Keeps the buffer: whoever empties a run is about to fill or to drop it.
    fn clear(&mut self) {
        self.buf.clear();
        self.start = 0;
    }

    /// Where in the body the element `at` begins, walking from the nearer end; the body's length for `count`.
    pub(super) fn offset(&self, at: usize) -> usize {
        let body = self.body();
        if at <= self.count() / 2 {
            return (0..at).fold(0, |offset, _| offset + element::first_len(&body[offset..]));
        }
        (at..self.count()).fold(body.len(), |offset, _| offset - element::last_len(&body[..offset]))
    }

    /// The element `at`, which must exist.
    pub(super) fn get(&self, at: usize) -> Item<'_> {
        element::first(&self.body()[self.offset(at)..]).0
    }

    /// How many bytes the element `at` takes.
    pub(super) fn len_at(&self, at: usize) -> usize {
        element::first_len(&self.body()[self.offset(at)..])
    }

    /// Puts an element before the one `at`; `at` may be `count`.
    pub(super) fn insert(&mut self, at: usize, element: &Encoded<'_>, bytes_max: usize) {
        let offset = self.offset(at);
        self.open(offset, 0, element, bytes_max);
        self.count += 1;
    }

    /// Puts an element in the place of the one `at`.
    pub(super) fn replace(&mut self, at: usize, element: &Encoded<'_>, bytes_max: usize) {
        let offset = self.offset(at);
        let old = element::first_len(&self.body()[offset..]);
        self.open(offset, old, element, bytes_max);
    }

    /// Writes `element` over the `old` bytes at `offset`, moving what stands behind them.
    fn open(&mut self, offset: usize, old: usize, element: &Encoded<'_>, bytes_max: usize) {
        let new = element.len();
        if old < new {
            self.reserve(End::Back, new - old, bytes_max);
        }
        let at = self.start as usize + offset;
        let end = self.buf.len();
        if old < new {
            self.buf.resize(end + (new - old), 0);
        }
        self.buf.copy_within(at + old..end, at + new);
        self.buf.truncate(end - old + new);
        element.write_to(&mut self.buf[at..at + new]);
    }

    /// Removes up to `most` elements that match, the ones nearest to `from` first. Returns how many.
    pub(super) fn remove_matching(&mut self, needle: Needle<'_>, most: usize, from: End) -> usize {
        let mut matches = self.matches(needle, most, from);
        if from == End::Back {
            matches.reverse();
        }
        let Some(&(first, _)) = matches.first() else { return 0 };
        // What is kept moves down stretch by stretch, each byte once.
        let base = self.start as usize;
        let mut to = base + first;
        for (index, &(offset, len)) in matches.iter().enumerate() {
            let begin = base + offset + len;
            let end = matches.get(index + 1).map_or(self.buf.len(), |&(next, _)| base + next);
            self.buf.copy_within(begin..end, to);
            to += end - begin;
        }
        self.buf.truncate(to);
        self.count -= matches.len() as u32;
        if self.is_empty() {
            self.clear();
        }
        matches.len()
    }

    /// Offsets and lengths of up to `most` matching elements, in the order of finding.
    fn matches(&self, needle: Needle<'_>, most: usize, from: End) -> Vec<(usize, usize)> {
        let body = self.body();
        let mut found = Vec::new();
        let (mut begin, mut end) = (0, body.len());
        while begin < end && found.len() < most {
            let (offset, len) = match from {
                End::Front => (begin, element::first_len(&body[begin..])),
                End::Back => {
                    let len = element::last_len(&body[..end]);
                    (end - len, len)
                }
            };
            if needle.matches(element::first(&body[offset..]).0) {
                found.push((offset, len));
            }
            match from {
                End::Front => begin += len,
                End::Back => end -= len,
            }
        }
        found
    }

    /// Cuts the run before the element `at`; what stands behind the cut is returned in a buffer that just
    /// fits.
    pub(super) fn split_off(&mut self, at: usize) -> Run {
        let cut = self.start as usize + self.offset(at);
        let tail = Run { buf: self.buf[cut..].to_vec(), start: 0, count: self.count - at as u32 };
        self.buf.truncate(cut);
        self.count = at as u32;
        if at == 0 {
            self.clear();
        }
        tail
    }

    /// Adds all elements of `other` behind these.
    pub(super) fn append(&mut self, other: &Run, bytes_max: usize) {
        self.reserve(End::Back, other.used(), bytes_max);
        self.buf.extend_from_slice(other.body());
        self.count += other.count;
    }

    /// Gives back the slack of a run that will hardly be pushed to any more, if there is much of it.
    pub(super) fn seal(&mut self) {
        let slack = self.buf.capacity() - self.used();
        if slack > self.used() / 8 + LISTPACK_FRAME {
            self.relocate(self.used(), 0);
        }
    }

    /// Gives back half of the slack or more once three quarters of the buffer are empty.
    #[inline]
    pub(super) fn shrink_if_sparse(&mut self) {
        let capacity = self.buf.capacity();
        if capacity > SHRINK_BYTES_MIN && self.used() < capacity / 4 {
            let new = self.used() * 2;
            self.relocate(new, new / 4);
        }
    }

    /// Makes sure that `len` more bytes fit at an end.
    #[inline]
    fn reserve(&mut self, end: End, len: usize, bytes_max: usize) {
        let free = match end {
            End::Front => self.start as usize,
            End::Back => self.buf.capacity() - self.buf.len(),
        };
        if free < len {
            self.make_room(end, len, bytes_max);
        }
    }

    #[cold]
    fn make_room(&mut self, end: End, len: usize, bytes_max: usize) {
        let (used, capacity) = (self.used(), self.buf.capacity());
        let needed = used + len;
        let fits = needed <= capacity && (used / 4 <= capacity - needed || bytes_max <= capacity);
        let capacity_new = match fits {
            true => capacity,
            false if capacity == 0 => needed.next_multiple_of(16),
            false if bytes_max <= capacity => needed.max(capacity + capacity / 2),
            false => (2 * capacity).min(bytes_max).max(needed),
        };
        let other = match end {
            _ if used == 0 => 0,
            End::Front => capacity - self.buf.len(),
            End::Back => self.start as usize,
        };
        // The other end keeps what it has, but never more than half: neither end can starve the other.
        let keep = other.min((capacity_new - needed) / 2);
        let start = match end {
            End::Front => capacity_new - keep - used,
            End::Back => keep,
        };
        self.relocate(capacity_new, start);
    }

    /// Moves the elements to `start`, into a new buffer if the capacity changes.
    fn relocate(&mut self, capacity: usize, start: usize) {
        let used = self.used();
        if capacity == self.buf.capacity() {
            let from = self.start as usize;
            let end = self.buf.len();
            self.buf.resize(end.max(start + used), 0);
            self.buf.copy_within(from..end, start);
            self.buf.truncate(start + used);
        } else {
            let mut buf = Vec::with_capacity(capacity);
            buf.resize(start, 0);
            buf.extend_from_slice(self.body());
            self.buf = buf;
        }
        self.start = u32::try_from(start).expect("a run is far smaller than 4 GiB");
    }
}
