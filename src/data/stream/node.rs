//! A node: some entries, one behind the other in one buffer.
//!
//! ```text
//!   fields   number of fields, then each field
//!   entry    flags, milliseconds, sequence number, then
//!              of an entry with the node's fields   each value
//!              of any other                         number of fields, then each field and its value
//!   entry ...
//! ```
//!
//! The fields in front are those of the entry with which the node began; as most streams have entries of one shape,
//! names are stored once a node. Milliseconds count from the node's base, the ID of that first entry; the sequence
//! number counts from the base's if the milliseconds are the same. Numbers are in groups of seven bits, the lowest
//! first, with the top bit set where more follow. Fields and values are elements (`data/element.rs`).
//!
//! It is Redis's listpack of a stream with the fat off: what a typical small entry takes here, eight or nine bytes,
//! is about three fifths of what it takes there. But which entries share a node is visible to clients (`XTRIM` with
//! `~` removes whole nodes), so each node also knows how long Redis's listpack of the same entries would be, and
//! goes by that. `listpack.rs` makes the one from the other.
//!
//! A deleted entry is marked and stays, as in Redis. A node whose last living entry is deleted goes with it; only
//! trimming may leave one behind in which nothing lives.

use crate::data::element::{self, Encoded, Item};
use crate::data::stream::id::Id;

/// The entry is deleted.
pub(super) const DELETED: u8 = 1;
/// The entry has the node's fields.
pub(super) const SAME_FIELDS: u8 = 2;

/// What a listpack takes beyond its elements.
const LISTPACK_FRAME: usize = 7;
/// What a one-digit integer takes in a listpack.
const SMALL_INT: usize = 2;

/// See the head of the file. Invariants: `first` is where the first living entry begins, or the end of the bytes; IDs
/// ascend from `base` on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) base: Id,
    bytes: Vec<u8>,
    first: u32,
    live: u32,
    deleted: u32,
    /// Bytes of the elements of Redis's listpack but for its two counters.
    size: u32,
}

/// The beginning of an entry, and where its parts lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) id: Id,
    pub(super) flags: u8,
    /// Number of fields.
    pub(super) count: usize,
    /// Where its values, or its fields and values, begin.
    pub(super) body: usize,
}

impl Head {
    pub(super) fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    pub(super) fn same_fields(&self) -> bool {
        self.flags & SAME_FIELDS != 0
    }

    /// How many elements lie at `body`.
    fn elements(&self) -> usize {
        if self.same_fields() { self.count } else { 2 * self.count }
    }
}

#[inline]
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at `at`, which moves behind it.
#[inline]
pub(super) fn number(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

/// What an integer takes in a listpack.
#[inline]
pub(super) fn integer_len(value: i64) -> usize {
    match value {
        0..=127 => SMALL_INT,
        -4096..=4095 => 3,
        -0x8000..=0x7fff => 4,
        -0x80_0000..=0x7f_ffff => 5,
        -0x8000_0000..=0x7fff_ffff => 6,
        _ => 10,
    }
}

/// Whether the stored element is this text.
#[inline]
fn is_text(item: Item<'_>, text: &[u8]) -> bool {
    match item {
        // An integer would not be stored as bytes.
        Item::Bytes(bytes) => bytes == text,
        other => other.eq_bytes(text),
    }
}

impl Node {
    /// A node without entries, to which one with these fields will be added at once.
    pub(super) fn new<'p>(
        base: Id,
        pairs: impl ExactSizeIterator<Item = (&'p [u8], &'p [u8])>,
        capacity: usize,
    ) -> Node {
        let mut bytes = Vec::with_capacity(capacity);
        let mut size = integer_len(pairs.len() as i64) + SMALL_INT;
        push_number(&mut bytes, pairs.len() as u64);
        for (field, _) in pairs {
            let field = Encoded::new(field);
            size += field.len();
            field.append_to(&mut bytes);
        }
        Node { base, first: bytes.len() as u32, bytes, live: 0, deleted: 0, size: size as u32 }
    }

    /// Living entries.
    #[inline]
    pub(super) fn live(&self) -> u64 {
        u64::from(self.live)
    }

    /// Entries, those included that are deleted.
    #[inline]
    pub(super) fn entries(&self) -> u64 {
        u64::from(self.live) + u64::from(self.deleted)
    }

    /// Bytes of Redis's listpack of these entries.
    #[inline]
    pub(super) fn listpack_len(&self) -> u64 {
        let counters = integer_len(i64::from(self.live)) + integer_len(i64::from(self.deleted));
        (self.size as usize + counters + LISTPACK_FRAME) as u64
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Heap bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Where the first living entry begins.
    #[inline]
    pub(super) fn first(&self) -> usize {
        self.first as usize
    }

    /// Nothing will be added any more.
    pub(super) fn close(&mut self) {
        // The allocator does not shrink a block by less than a half, so the bytes move to one of their own length.
        if self.bytes.len() + self.bytes.len() / 8 < self.bytes.capacity() {
            self.bytes = self.bytes.to_vec();
        }
    }

    /// The node's fields: their number and where they begin.
    #[inline]
    pub(super) fn fields(&self) -> (usize, usize) {
        let mut at = 0;
        let count = number(&self.bytes, &mut at);
        (count as usize, at)
    }

    fn has_fields<'p>(&self, pairs: impl ExactSizeIterator<Item = (&'p [u8], &'p [u8])>) -> bool {
        let (count, mut at) = self.fields();
        count == pairs.len()
            && pairs.into_iter().all(|(field, _)| {
                let (item, len) = element::first(&self.bytes[at..]);
                at += len;
                is_text(item, field)
            })
    }

    /// Adds an entry behind all others.
    #[inline]
    pub(super) fn push<'p>(
        &mut self,
        id: Id,
        pairs: impl ExactSizeIterator<Item = (&'p [u8], &'p [u8])> + Clone,
    ) {
        let same = self.has_fields(pairs.clone());
        let ms = id.ms - self.base.ms;
        let seq = if ms == 0 { id.seq - self.base.seq } else { id.seq };
        self.bytes.push(if same { SAME_FIELDS } else { 0 });
        push_number(&mut self.bytes, ms);
        push_number(&mut self.bytes, seq);
        let count = pairs.len();
        // In the listpack: flags, both differences, and behind the elements how many they are.
        let mut size = SMALL_INT + integer_len(ms as i64);
        size += integer_len(id.seq.wrapping_sub(self.base.seq) as i64);
        if same {
            size += integer_len(count as i64 + 3);
        } else {
            push_number(&mut self.bytes, count as u64);
            size += integer_len(count as i64) + integer_len(2 * count as i64 + 4);
        }
        for (field, value) in pairs {
            if !same {
                let field = Encoded::new(field);
                size += field.len();
                field.append_to(&mut self.bytes);
            }
            let value = Encoded::new(value);
            size += value.len();
            value.append_to(&mut self.bytes);
        }
        self.live += 1;
        self.size += size as u32;
    }

    /// The entry at an offset that is less than the length of the bytes.
    #[inline]
    pub(super) fn head(&self, mut at: usize) -> Head {
        let flags = self.bytes[at];
        at += 1;
        let ms = number(&self.bytes, &mut at);
        let seq = number(&self.bytes, &mut at);
        let id = Id { ms: self.base.ms + ms, seq: if ms == 0 { self.base.seq + seq } else { seq } };
        let count = match flags & SAME_FIELDS {
            0 => number(&self.bytes, &mut at) as usize,
            _ => self.fields().0,
        };
        Head { id, flags, count, body: at }
    }

    /// Where the entry of this head ends.
    #[inline]
    pub(super) fn end(&self, head: &Head) -> usize {
        (0..head.elements()).fold(head.body, |at, _| at + element::first_len(&self.bytes[at..]))
    }

    /// Where the living entry of this ID begins.
    pub(super) fn find(&self, id: Id) -> Option<usize> {
        let mut at = self.first();
        while at < self.bytes.len() {
            let head = self.head(at);
            if id <= head.id {
                return (id == head.id && !head.is_deleted()).then_some(at);
            }
            at = self.end(&head);
        }
        None
    }

    /// The ID of the first living entry.
    pub(super) fn first_id(&self) -> Option<Id> {
        (self.first() < self.bytes.len()).then(|| self.head(self.first()).id)
    }

    /// The ID of the last entry, even if it is deleted.
    pub(super) fn last_id(&self) -> Id {
        let (mut at, mut id) = (self.first(), self.base);
        if at == self.bytes.len() {
            let (fields, begin) = self.fields();
            at = (0..fields).fold(begin, |at, _| at + element::first_len(&self.bytes[at..]));
        }
        while at < self.bytes.len() {
            let head = self.head(at);
            id = head.id;
            at = self.end(&head);
        }
        id
    }

    /// Marks the living entry at an offset as deleted.
    pub(super) fn delete(&mut self, at: usize) {
        self.bytes[at] |= DELETED;
        self.live -= 1;
        self.deleted += 1;
        if at != self.first() {
            return;
        }
        let mut next = at;
        while next < self.bytes.len() {
            let head = self.head(next);
            if !head.is_deleted() {
                break;
            }
            next = self.end(&head);
        }
        self.first = next as u32;
    }

    /// Counts deleted entries that are not here, so that the node is as full as the one it was read from.
    pub(super) fn count_deleted(&mut self, deleted: u32) {
        self.deleted += deleted;
    }
}
