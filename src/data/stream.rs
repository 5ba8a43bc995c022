//! Streams: entries in the order of their IDs, and the groups that read them.
//!
//! [`Entries`] is a deque of nodes, each about a hundred entries in one buffer ([`node`]): adding one is appending some
//! bytes to the last node, finding one is a bisection over nodes and a walk through one. [`Groups`] stand beside them
//! ([`group`]); the two are fields of [`Stream`], so that entries can be read while a group notes them.
//!
//! Unlike other collections a stream may be empty: it still knows its last ID and its groups.

mod id;
mod ordered;
mod node;
mod iter;
mod group;
mod trim;
mod listpack;
mod shape;
mod idempotence;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use self::group::{Consumer, Group, Groups, NOBODY, Pending};
pub use self::id::{Id, IdText};
pub use self::idempotence::{Idempotence, Window};
pub use self::iter::{Entry, Pairs, Range, RangeRev};
pub use self::trim::{Measure, References, Trim};

use self::iter::node_of;
use self::node::Node;
use crate::data::collection::{Collection, ROUGH_NODES};

/// Fields and values of one entry may not have more bytes than this together, and no node grows beyond it.
pub const ENTRY_BYTES_MAX: u64 = 1 << 30;

/// More nodes or blocks than these are freed in slices.
const HEAVY_UNITS: usize = 64;
/// A new node is expected to become as long as the last one, or by this many bytes longer.
const CAPACITY_SPARE: usize = 16;
/// Deques of nodes grow by at least this many places, and by a quarter.
const NODES_STEP_MIN: usize = 1;

/// How much goes into a node; 0 = no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes, counted as Redis's listpack counts them.
    pub node_bytes: u64,
    /// Entries, deleted ones included.
    pub node_entries: u64,
}

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The entries.
    pub entries: Entries,
    /// The groups that read them.
    pub groups: Groups,
    /// Which messages of producers were added already, if any producer names them.
    pub idempotence: Option<Box<Idempotence>>,
}

/// The entries of a stream, and what is known of those that are gone.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    nodes: VecDeque<Node>,
    len: u64,
    last_id: Id,
    max_deleted: Id,
    added: u64,
}

impl Entries {
    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The greatest ID that the stream ever had.
    pub fn last_id(&self) -> Id {
        self.last_id
    }

    /// The ID of the first entry; `0-0` if there is none.
    pub fn first_id(&self) -> Id {
        self.nodes.iter().find_map(Node::first_id).unwrap_or(Id::ZERO)
    }

    /// The greatest ID that was deleted one by one; `0-0` = none.
    pub fn max_deleted(&self) -> Id {
        self.max_deleted
    }

    /// How many entries were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Sets what is known beyond the entries themselves. The caller has checked that no entry has a greater ID than
    /// `last_id`. What cannot be, because a peer's payload says it, becomes what can.
    pub fn set_ids(&mut self, last_id: Id, added: u64, max_deleted: Id) {
        let added = added.max(self.len).min(COUNT_MAX);
        (self.last_id, self.added, self.max_deleted) = (last_id, added, max_deleted.min(last_id));
    }

    /// The ID that an entry gets which is added at this date; `None` if there is none left.
    pub fn next_id(&self, now_ms: u64) -> Option<Id> {
        if self.last_id.ms < now_ms { Some(Id { ms: now_ms, seq: 0 }) } else { self.last_id.next() }
    }

    /// Adds an entry of at least one field behind all others. Its ID must be greater than [`Entries::last_id`], its
    /// texts together no longer than [`ENTRY_BYTES_MAX`].
    pub fn append<'p>(
        &mut self,
        id: Id,
        pairs: impl ExactSizeIterator<Item = (&'p [u8], &'p [u8])> + Clone,
        limits: Limits,
    ) {
        debug_assert!(self.last_id < id && 0 < pairs.len(), "IDs ascend");
        let text_len = pairs.clone().map(|(field, value)| (field.len() + value.len()) as u64).sum::<u64>();
        match self.nodes.back_mut() {
            Some(node) if has_room(node, text_len, limits) => node.push(id, pairs),
            before => {
                let capacity = before.map_or(0, |node| {
                    node.close();
                    (node.bytes().len() + CAPACITY_SPARE).min(limits.node_bytes as usize)
                });
                let mut node = Node::new(id, pairs.clone(), capacity);
                node.push(id, pairs);
                self.push_node(node);
            }
        }
        self.len += 1;
        self.added = one_more(self.added);
        self.last_id = id;
    }

    fn push_node(&mut self, node: Node) {
        if self.nodes.len() == self.nodes.capacity() {
            self.nodes.reserve_exact(NODES_STEP_MIN.max(self.nodes.len() / 4));
        }
        self.nodes.push_back(node);
    }

    /// Gives back what the deque of nodes does not need any more.
    fn shrink(&mut self) {
        if 2 * self.nodes.len() + HEAVY_UNITS < self.nodes.capacity() {
            self.nodes.shrink_to_fit();
        }
    }

    fn find(&self, id: Id) -> Option<(usize, usize)> {
        let number = node_of(&self.nodes, id);
        let node = self.nodes.get(number).filter(|node| node.base <= id)?;
        Some((number, node.find(id)?))
    }

    /// Whether there is an entry of this ID.
    pub fn contains(&self, id: Id) -> bool {
        self.find(id).is_some()
    }

    /// The entry of this ID.
    pub fn get(&self, id: Id) -> Option<Entry<'_>> {
        let (number, at) = self.find(id)?;
        let node = &self.nodes[number];
        Some(Entry::of(node, &node.head(at)))
    }

    /// All entries in order.
    pub fn iter(&self) -> Range<'_> {
        self.range(Id::ZERO, Id::MAX)
    }

    /// The entries between two IDs, both included, in ascending order.
    pub fn range(&self, start: Id, end: Id) -> Range<'_> {
        Range::new(&self.nodes, start, end)
    }

    /// The entries between two IDs, both included, in descending order.
    pub fn range_rev(&self, start: Id, end: Id) -> RangeRev<'_> {
        RangeRev::new(&self.nodes, start, end)
    }

    /// The ID of the last entry that is there; `0-0` if there is none.
    pub fn last_present(&self) -> Id {
        self.range_rev(Id::ZERO, Id::MAX).next().map_or(Id::ZERO, |entry| entry.id)
    }

    /// Removes an entry, whoever refers to it; whether it was there. Not to be told from trimming afterwards.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some((number, at)) = self.find(id) else { return false };
        self.nodes[number].delete(at);
        if self.nodes[number].live() == 0 {
            self.nodes.remove(number);
            self.shrink();
        }
        self.len -= 1;
        true
    }

    /// Deletes an entry by its ID, whoever refers to it; whether it was there. The stream remembers the greatest ID
    /// that was deleted so.
    pub fn delete(&mut self, id: Id) -> bool {
        let deleted = self.remove(id);
        if deleted {
            self.max_deleted = self.max_deleted.max(id);
        }
        deleted
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Whether an entry from `start` on was deleted by its ID, among the entries that are there.
    pub fn has_holes_from(&self, start: Id) -> bool {
        !self.is_empty()
            && self.max_deleted != Id::ZERO
            && self.first_id() <= self.max_deleted
            && start <= self.max_deleted
    }

    /// How many entries were added up to and with this ID; `None` if that cannot be known.
    pub fn count_up_to(&self, id: Id) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id {
            return Some(self.added);
        }
        if self.last_id <= id {
            return (id == self.last_id).then_some(self.added);
        }
        let first = self.first_id();
        let whole = self.max_deleted == Id::ZERO || self.max_deleted < first;
        match id.cmp(&first) {
            _ if !whole => None,
            std::cmp::Ordering::Less => Some(self.added.saturating_sub(self.len)),
            std::cmp::Ordering::Equal => Some(self.added.saturating_sub(self.len) + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many entries a group has not got yet; `None` if that cannot be known.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.added == 0 || self.is_empty() {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if self.counts_on(group.last_id) => read,
            _ => self.count_up_to(group.last_id)?,
        };
        Some((self.added as i64).wrapping_sub(read as i64))
    }

    /// Whether a group's count of entries read goes on from this ID by adding one an entry.
    fn counts_on(&self, last_id: Id) -> bool {
        self.first_id() <= last_id && !self.has_holes_from(last_id)
    }

    /// A group's count of entries read, after the next entry it gets is this one.
    pub fn count_read(&self, group: &Group, id: Id) -> Option<u64> {
        match group.entries_read {
            Some(read) if self.counts_on(group.last_id) => Some(one_more(read)),
            read if self.added == 0 => read,
            _ => self.count_up_to(id),
        }
    }

    /// Heap bytes.
    pub fn memory(&self) -> usize {
        let nodes: usize = self.nodes.iter().map(Node::memory).sum();
        nodes + self.nodes.capacity() * size_of::<Node>()
    }
}

/// The greatest count that a command can name, hence the greatest of which a log can tell.
pub const COUNT_MAX: u64 = i64::MAX as u64;

/// The count after this one, which stays where it is at the greatest.
pub fn one_more(count: u64) -> u64 {
    count.saturating_add(1).min(COUNT_MAX)
}

#[inline]
fn has_room(node: &Node, text_len: u64, limits: Limits) -> bool {
    let bytes_max = match limits.node_bytes {
        0 => ENTRY_BYTES_MAX,
        max => max.min(ENTRY_BYTES_MAX),
    };
    node.listpack_len() + text_len < bytes_max
        && (limits.node_entries == 0 || node.entries() < limits.node_entries)
}

impl Stream {
    /// A stream without entries and groups.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// What is known of messages with names; from now on they are remembered so, if they were not before.
    pub fn idempotence_in(&mut self, window: Window) -> &mut Idempotence {
        self.idempotence.get_or_insert_with(|| Box::new(Idempotence::new(window)))
    }
}

impl Collection for Stream {
    fn encoding(&self) -> &'static str {
        "stream"
    }

    fn memory(&self) -> usize {
        let idempotence = self.idempotence.as_ref().map_or(0, |it| it.memory());
        size_of::<Stream>() + self.entries.memory() + self.groups.memory() + idempotence
    }

    /// As if all nodes were like the first ones, and without the groups.
    fn rough_memory(&self) -> usize {
        let nodes = &self.entries.nodes;
        let some: usize = nodes.iter().take(ROUGH_NODES).map(Node::memory).sum();
        let seen = nodes.len().clamp(1, ROUGH_NODES);
        let all = (some as u128 * nodes.len() as u128 / seen as u128) as usize;
        size_of::<Stream>() + all + nodes.capacity() * size_of::<Node>()
    }

    fn is_heavy(&self) -> bool {
        let idempotence = self.idempotence.as_ref().map_or(0, |it| it.units());
        HEAVY_UNITS < self.entries.nodes.len() + self.groups.units() + idempotence
    }

    fn free_some(&mut self, units: usize) -> bool {
        let nodes = &mut self.entries.nodes;
        if !nodes.is_empty() {
            nodes.truncate(nodes.len().saturating_sub(units));
            return true;
        }
        if self.idempotence.as_mut().is_some_and(|it| it.free_some(units)) {
            return true;
        }
        self.groups.free_some(units)
    }
}
