//! Groups of consumers: how far a group has read, and what was delivered to whom and not acknowledged yet.
//!
//! What is pending stands in order of ID twice: with all it says in the group, and as a bare ID with the consumer it
//! was delivered to. Consumers have numbers, by which pending entries name them, and an order by name.

use std::collections::BTreeMap;

use slab::Slab;

use crate::data::stream::id::Id;
use crate::data::stream::ordered::{Keyed, Ordered};

/// An entry that was delivered and is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Which entry; it may be deleted by now.
    pub id: Id,
    /// When it was delivered last, in milliseconds since the epoch.
    pub time_ms: i64,
    /// How often it was delivered.
    pub count: u64,
    /// Number of the consumer it was delivered to; [`NOBODY`] if that one has given it back.
    pub consumer: u32,
}

/// The number of no consumer: what is pending for it was released (`XNACK`), and waits to be claimed.
pub const NOBODY: u32 = u32::MAX;

impl Keyed for Pending {
    fn id(&self) -> Id {
        self.id
    }
}

/// Somebody who reads as part of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last tried to read or claim, in milliseconds since the epoch; 0 = not known.
    pub seen_ms: i64,
    /// When it last got something; -1 = never.
    pub active_ms: i64,
    pending: Ordered<Id>,
}

impl Consumer {
    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries wait for its acknowledgement.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// IDs of the entries that wait for its acknowledgement, from this one on.
    pub fn pending_from(&self, id: Id) -> impl Iterator<Item = Id> {
        self.pending.from(id).copied()
    }
}

/// A group of consumers.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last entry that was delivered to anybody.
    pub last_id: Id,
    /// How many entries there were up to and with that one since the stream began; `None` = not known.
    pub entries_read: Option<u64>,
    pending: Ordered<Pending>,
    /// How much of that is pending for nobody.
    released: usize,
    consumers: Slab<Consumer>,
    /// Numbers of the consumers, by name.
    order: Vec<u32>,
}

impl Group {
    fn new(last_id: Id, entries_read: Option<u64>) -> Group {
        Group {
            last_id,
            entries_read,
            pending: Ordered::default(),
            released: 0,
            consumers: Slab::new(),
            order: Vec::new(),
        }
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.order.binary_search_by(|number| (*self.consumers[*number as usize].name).cmp(name))
    }

    /// Number of the consumer of this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<u32> {
        self.search(name).ok().map(|at| self.order[at])
    }

    /// Number of the consumer of this name, which is made if there is none; and whether it was.
    pub fn ensure_consumer(&mut self, name: &[u8], now_ms: i64) -> (u32, bool) {
        let at = match self.search(name) {
            Ok(at) => return (self.order[at], false),
            Err(at) => at,
        };
        let number = self.consumers.insert(Consumer {
            name: name.into(),
            seen_ms: now_ms,
            active_ms: -1,
            pending: Ordered::default(),
        }) as u32;
        self.order.insert(at, number);
        (number, true)
    }

    /// The consumer of this number, which must exist.
    pub fn consumer(&self, number: u32) -> &Consumer {
        &self.consumers[number as usize]
    }

    /// The name of the consumer of this number, which must exist; empty for nobody.
    pub fn consumer_name(&self, number: u32) -> &[u8] {
        if number == NOBODY { b"" } else { self.consumer(number).name() }
    }

    /// The consumer of this number, which must exist.
    pub fn consumer_mut(&mut self, number: u32) -> &mut Consumer {
        &mut self.consumers[number as usize]
    }

    /// How many consumers there are.
    pub fn consumers_len(&self) -> usize {
        self.order.len()
    }

    /// The consumers in order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.order.iter().map(|number| self.consumer(*number))
    }

    /// Removes a consumer with all that is pending for it; how many entries that was, `None` without such a consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let at = self.search(name).ok()?;
        let consumer = self.consumers.remove(self.order.remove(at) as usize);
        for id in consumer.pending.iter() {
            self.pending.remove(*id);
        }
        Some(consumer.pending.len())
    }

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// How many entries are pending for nobody.
    pub fn released_len(&self) -> usize {
        self.released
    }

    /// What is pending, from this ID on.
    pub fn pending_from(&self, id: Id) -> impl Iterator<Item = &Pending> {
        self.pending.from(id)
    }

    /// What is pending under this ID.
    pub fn pending(&self, id: Id) -> Option<&Pending> {
        self.pending.get(id)
    }

    /// The pending entry of the greatest ID.
    pub fn pending_last(&self) -> Option<&Pending> {
        self.pending.last()
    }

    /// Makes an entry pending, or changes what is known of it: its consumer, which must exist or be nobody, and the rest.
    pub fn assign(&mut self, pending: Pending) {
        let (id, number) = (pending.id, pending.consumer);
        let before = match self.pending.get_mut(id) {
            Some(known) => Some(std::mem::replace(known, pending).consumer),
            None => {
                self.pending.insert(pending);
                None
            }
        };
        if before == Some(number) {
            return;
        }
        if let Some(before) = before {
            self.take_from(before, id);
        }
        match number {
            NOBODY => self.released += 1,
            number => _ = self.consumers[number as usize].pending.insert(id),
        }
    }

    /// An entry is not pending for this consumer any more.
    fn take_from(&mut self, number: u32, id: Id) {
        match number {
            NOBODY => self.released -= 1,
            number => _ = self.consumers[number as usize].pending.remove(id),
        }
    }

    /// Takes an entry off what is pending; whether it was there.
    pub fn acknowledge(&mut self, id: Id) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.take_from(pending.consumer, id);
        true
    }

    fn memory(&self) -> usize {
        let consumers = self.consumers.iter().map(|(_, it)| it.name.len() + it.pending.memory());
        self.pending.memory()
            + self.consumers.capacity() * (size_of::<Consumer>() + size_of::<usize>())
            + self.order.capacity() * size_of::<u32>()
            + consumers.sum::<usize>()
    }
}

/// The groups of a stream.
#[derive(Clone, Default, Debug)]
pub struct Groups(BTreeMap<Box<[u8]>, Group>);

impl Groups {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The group of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.0.get(name)
    }

    /// The group of this name.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.0.get_mut(name)
    }

    /// All groups with their names, in order of these.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.0.iter().map(|(name, group)| (&**name, group))
    }

    /// All groups, for changing.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&[u8], &mut Group)> {
        self.0.iter_mut().map(|(name, group)| (&**name, group))
    }

    /// Whether an entry of some group is pending for nobody.
    pub fn any_released(&self) -> bool {
        self.0.values().any(|group| group.released != 0)
    }

    /// Makes a group that has read up to this ID; `None` if there is one of this name.
    pub fn create(&mut self, name: &[u8], last_id: Id, entries_read: Option<u64>) -> Option<&mut Group> {
        match self.0.contains_key(name) {
            true => None,
            false => Some(self.0.entry(name.into()).or_insert(Group::new(last_id, entries_read))),
        }
    }

    /// Removes a group; whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.0.remove(name).is_some()
    }

    /// Whether some group still wants an entry: it has not got so far, or somebody has not acknowledged it.
    pub fn refer_to(&self, id: Id) -> bool {
        self.0.values().any(|group| group.last_id < id || group.pending.get(id).is_some())
    }

    /// Heap bytes.
    pub fn memory(&self) -> usize {
        // A tree node is about two thirds full.
        let entry = (size_of::<Box<[u8]>>() + size_of::<Group>()) * 3 / 2;
        self.0.iter().map(|(name, group)| entry + name.len() + group.memory()).sum()
    }

    /// Blocks of memory to be freed.
    pub(super) fn units(&self) -> usize {
        self.0.values().map(|group| 2 * group.pending.chunks() + group.order.len()).sum()
    }

    /// Frees about `units` blocks; `true` if some are left.
    pub(super) fn free_some(&mut self, units: usize) -> bool {
        if let Some(mut group) = self.0.last_entry() {
            let group = group.get_mut();
            if group.pending.free_some(units) {
                return true;
            }
            let mut left = units;
            while let Some(number) = group.order.last().map(|number| *number as usize) {
                if left == 0 {
                    return true;
                }
                left -= 1;
                if group.consumers[number].pending.free_some(left) {
                    return true;
                }
                group.consumers.remove(number);
                group.order.pop();
            }
            self.0.pop_last();
        }
        !self.0.is_empty()
    }
}
