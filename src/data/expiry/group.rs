//! Where the records of the index lie: groups of chunks, addressed by tickets. When a group is due is not known here.
//!
//! A group is a sequence without order. Taking a record out lets the last one fill the gap, so both ends of a
//! record's life cost the same however big the group is. It is cut into chunks because one vector of tens of
//! millions of records would stop the server each time it doubled; here only the list of chunks is ever copied,
//! 24 bytes for each 512 records. The first chunk starts at four records and doubles, since most groups of a
//! quiet server hold one or two.

use slab::Slab;

use crate::base::date::UnixMs;

/// Records of a full chunk: 8 KiB.
const CHUNK: usize = 512;

/// A chunk's first capacity, which is also the smallest it shrinks to.
const CHUNK_MIN: usize = 4;

/// Groups whose lengths are summed up together, so that a random draw skips them in one step.
const BLOCK: usize = 16;

/// Bits of a ticket that hold the position. The 24 above them are the group's: about 1,300 groups are in use
/// with a steady clock, while one group may well hold more records than 32 bits count.
const POSITION_BITS: u32 = 40;

/// Where a record lies. Valid until the record is removed or reported as [`Moved`].
///
/// The bits are never all ones, so an owner may use that for "no ticket".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(u64);

impl Ticket {
    pub(super) fn new(group: usize, position: usize) -> Ticket {
        Ticket((group as u64) << POSITION_BITS | position as u64)
    }

    pub(super) fn group(self) -> usize {
        (self.0 >> POSITION_BITS) as usize
    }

    pub(super) fn position(self) -> usize {
        (self.0 & ((1 << POSITION_BITS) - 1)) as usize
    }

    /// The ticket as eight bytes, for the entry that keeps it.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The ticket that [`Ticket::to_bits`] gave.
    pub fn from_bits(bits: u64) -> Ticket {
        Ticket(bits)
    }
}

/// A record lies elsewhere now: the entry of `hash` whose ticket is `from` must keep `to` instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The hash of the key. Several keys may have it; only one of them has the ticket.
    pub hash: u64,
    /// The ticket until now.
    pub from: Ticket,
    /// The ticket from now on.
    pub to: Ticket,
}

/// What the index knows of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub hash: u64,
    pub deadline: UnixMs,
}

/// The period that a group covers: `start` is a multiple of the width of its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Period {
    pub level: usize,
    pub start: i64,
}

/// Records that fall due in one period.
pub(super) struct Group {
    pub period: Period,
    len: usize,
    /// Invariant: all are full except the last, and none is empty.
    chunks: Vec<Vec<Record>>,
}

impl Group {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, position: usize) -> Record {
        self.chunks[position / CHUNK][position % CHUNK]
    }

    pub fn get_mut(&mut self, position: usize) -> &mut Record {
        &mut self.chunks[position / CHUNK][position % CHUNK]
    }

    fn push(&mut self, record: Record) -> usize {
        let position = self.len;
        if position.is_multiple_of(CHUNK) {
            let capacity = if position == 0 { CHUNK_MIN } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(record);
        }
        self.len += 1;
        position
    }

    /// Takes the last record out.
    fn pop(&mut self) -> Option<Record> {
        let only = self.chunks.len() == 1;
        let chunk = self.chunks.last_mut()?;
        let record = chunk.pop();
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.pop();
            if self.chunks.len() * 4 < self.chunks.capacity() {
                self.chunks.shrink_to(self.chunks.len() * 2);
            }
        } else if only && CHUNK_MIN < chunk.capacity() && chunk.len() * 4 <= chunk.capacity() {
            chunk.shrink_to(chunk.capacity() / 2);
        }
        record
    }

    fn memory(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        let last = self.chunks.last().map_or(0, Vec::capacity);
        self.chunks.capacity() * size_of::<Vec<Record>>() + (full + last) * size_of::<Record>()
    }
}

/// All groups that hold something, by a number that stays while the group lives.
#[derive(Default)]
pub(super) struct Groups {
    slab: Slab<Group>,
    /// Records of each [`BLOCK`] of numbers.
    block_lens: Vec<usize>,
}

impl Groups {
    /// A new group. It must be given a record before anything else happens.
    pub fn open(&mut self, period: Period) -> usize {
        let id = self.slab.insert(Group { period, len: 0, chunks: Vec::new() });
        assert!(id < (1 << (u64::BITS - POSITION_BITS)) - 1, "the expiry index is out of group numbers");
        if self.block_lens.len() <= id / BLOCK {
            self.block_lens.resize(id / BLOCK + 1, 0);
        }
        id
    }

    pub fn get(&self, id: usize) -> Option<&Group> {
        self.slab.get(id)
    }

    pub fn get_mut(&mut self, id: usize) -> Option<&mut Group> {
        self.slab.get_mut(id)
    }

    pub fn push(&mut self, id: usize, record: Record) -> Ticket {
        self.block_lens[id / BLOCK] += 1;
        Ticket::new(id, self.slab[id].push(record))
    }

    /// Takes a record out: the record, which record filled its gap, and the group's period if that was its last
    /// one, in which case the number is free again.
    pub fn take(&mut self, ticket: Ticket) -> Option<(Record, Option<Moved>, Option<Period>)> {
        let id = ticket.group();
        let position = ticket.position();
        let group = self.slab.get_mut(id)?;
        if group.len <= position {
            return None;
        }
        let last = group.pop()?;
        self.block_lens[id / BLOCK] -= 1;
        if group.len == position {
            let emptied = (position == 0).then(|| self.slab.remove(id).period);
            return Some((last, None, emptied));
        }
        let gone = std::mem::replace(group.get_mut(position), last);
        let from = Ticket::new(id, group.len);
        Some((gone, Some(Moved { hash: last.hash, from, to: ticket }), None))
    }

    /// The ticket of the record that is the `index`th of all, in an order that means nothing.
    pub fn nth(&self, index: usize) -> Option<Ticket> {
        let mut left = index;
        let block = self.block_lens.iter().position(|&len| skip(&mut left, len))?;
        let mut ids = block * BLOCK..(block + 1) * BLOCK;
        let id = ids.find(|&id| skip(&mut left, self.slab.get(id).map_or(0, Group::len)))?;
        Some(Ticket::new(id, left))
    }

    /// Gives whole chunks back until `records` are freed; `true` if some are left.
    pub fn free_some(&mut self, records: usize) -> bool {
        let mut freed = 0;
        while freed < records {
            let Some((id, group)) = self.slab.iter_mut().next() else {
                break;
            };
            match group.chunks.pop() {
                Some(chunk) => {
                    freed += chunk.len();
                    group.len -= chunk.len();
                    self.block_lens[id / BLOCK] -= chunk.len();
                }
                None => drop(self.slab.remove(id)),
            }
        }
        !self.slab.is_empty()
    }

    pub fn memory(&self) -> usize {
        let groups: usize = self.slab.iter().map(|(_, group)| group.memory()).sum();
        groups + self.slab.capacity() * size_of::<Group>() + self.block_lens.capacity() * size_of::<usize>()
    }

    /// Panics if the sums or the chunks contradict each other; returns the number of records.
    #[cfg(test)]
    pub fn check(&self) -> usize {
        let mut lens = vec![0; self.block_lens.len()];
        for (id, group) in &self.slab {
            assert_eq!(group.len, group.chunks.iter().map(Vec::len).sum::<usize>());
            assert_ne!(group.len, 0);
            lens[id / BLOCK] += group.len;
        }
        assert_eq!(lens, self.block_lens);
        lens.iter().sum()
    }
}

/// Whether the `left`th record is among the next `len`; if not, they are counted off.
fn skip(left: &mut usize, len: usize) -> bool {
    let found = *left < len;
    if !found {
        *left -= len;
    }
    found
}
