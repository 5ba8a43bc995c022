//! Which messages producers have added already, so that one that is sent again is not added again.
//!
//! A producer names its messages; a stream remembers under which ID it added each, for so long and so many of each
//! producer. All records stand in one queue as well, in the order in which they were made: since IDs ascend, the
//! oldest are in front, and what is too old leaves from there however many producers there are. A record's age is
//! that of its ID, so that logs and snapshots need not tell more. A producer of whom nothing is known any more is
//! forgotten.
//!
//! Names are shared between the places where they stand. Both maps are ordered, which nobody can flood from outside.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::data::stream::id::Id;

/// What a node of the maps and a place in the queues take with the counts of a shared name, roughly.
const RECORD_BYTES: usize = 160;
/// So many records are freed like one node of a stream.
const RECORDS_PER_UNIT: usize = 16;

/// For how long, and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Seconds for which a message is remembered.
    pub duration_secs: u64,
    /// Messages of one producer that are remembered.
    pub maxsize: u64,
}

impl Window {
    /// No server remembers messages for longer than a day.
    pub const DURATION_SECS_MAX: u64 = 86_400;
    /// Nor more than these of one producer.
    pub const MAXSIZE_MAX: u64 = 10_000;
}

/// The messages of one producer.
#[derive(Clone, Debug, Default)]
struct Producer {
    /// By their names.
    ids: BTreeMap<Arc<[u8]>, Id>,
    /// The oldest first.
    order: VecDeque<(Id, Arc<[u8]>)>,
}

impl Producer {
    /// Forgets the oldest message. Returns the bytes of its name.
    fn forget_first(&mut self) -> Option<usize> {
        let (_, name) = self.order.pop_front()?;
        self.ids.remove(&name);
        Some(name.len())
    }
}

/// Puts something in its place, which is nearly always the end.
fn insert<T>(order: &mut VecDeque<(Id, T)>, id: Id, what: T) {
    let at = match order.back() {
        Some((last, _)) if id < *last => order.partition_point(|(known, _)| *known < id),
        _ => order.len(),
    };
    order.insert(at, (id, what));
}

/// What a stream remembers of messages with names.
#[derive(Clone, Debug)]
pub struct Idempotence {
    window: Window,
    producers: BTreeMap<Arc<[u8]>, Producer>,
    /// All records, the oldest first, with their producers; some of them forgotten already.
    order: VecDeque<(Id, Arc<[u8]>)>,
    tracked: usize,
    name_bytes: usize,
    /// Messages with names that were ever added.
    pub added: u64,
    /// Messages that were not, because they had been.
    pub duplicates: u64,
}

impl Idempotence {
    /// Nothing is known yet.
    pub fn new(window: Window) -> Idempotence {
        Idempotence {
            window,
            producers: BTreeMap::new(),
            order: VecDeque::new(),
            tracked: 0,
            name_bytes: 0,
            added: 0,
            duplicates: 0,
        }
    }

    /// For how long, and how many.
    pub fn window(&self) -> Window {
        self.window
    }

    /// Whether nobody has named a message yet.
    pub fn is_unused(&self) -> bool {
        self.producers.is_empty() && self.added == 0 && self.duplicates == 0
    }

    /// Sets for how long and how many. Another window than before begins with nothing known.
    pub fn set_window(&mut self, window: Window) {
        if self.window != window {
            let counts = (self.added, self.duplicates);
            *self = Idempotence::new(window);
            (self.added, self.duplicates) = counts;
        }
    }

    /// Whether a record under this ID is too old.
    fn is_over(&self, id: Id, now_ms: u64) -> bool {
        id.ms.saturating_add(self.window.duration_secs * 1000) <= now_ms
    }

    /// The ID under which this producer's message of this name was added, if that is known.
    pub fn find(&self, producer: &[u8], name: &[u8], now_ms: u64) -> Option<Id> {
        let id = *self.producers.get(producer)?.ids.get(name)?;
        (!self.is_over(id, now_ms)).then_some(id)
    }

    /// The producer and the name of the message that is known under this ID.
    pub fn known_as(&self, id: Id) -> Option<(&[u8], &[u8])> {
        let from = self.order.partition_point(|(known, _)| *known < id);
        self.order.range(from..).take_while(|(known, _)| *known == id).find_map(|(_, producer)| {
            let order = &self.producers.get(producer)?.order;
            let at = order.binary_search_by_key(&id, |(known, _)| *known).ok()?;
            Some((&**producer, &*order[at].1))
        })
    }

    /// Notes that a message of this name was added under an ID. Neither the name nor the ID is known already. IDs
    /// ascend but where a log tells them in another order.
    pub fn record(&mut self, producer: &[u8], name: &[u8], id: Id) {
        debug_assert!(self.known_as(id).is_none(), "an entry has one name");
        let shared = match self.producers.get_key_value(producer) {
            Some((shared, _)) => shared.clone(),
            None => {
                self.name_bytes += producer.len();
                producer.into()
            }
        };
        let name: Arc<[u8]> = name.into();
        self.name_bytes += name.len();
        let messages = self.producers.entry(shared.clone()).or_default();
        let before = messages.ids.insert(name.clone(), id);
        debug_assert!(before.is_none(), "a name stands for one message");
        insert(&mut messages.order, id, name);
        self.tracked += 1;
        self.added += 1;
        if self.window.maxsize < messages.order.len() as u64 {
            self.name_bytes -= messages.forget_first().unwrap_or(0);
            self.tracked -= 1;
        }
        insert(&mut self.order, id, shared);
        // Half of what stands in the queue may be forgotten already.
        if 2 * self.tracked + RECORDS_PER_UNIT < self.order.len() {
            self.tidy();
        }
    }

    /// Forgets what this name of a producer's stands for, whatever that is.
    pub fn forget(&mut self, producer: &[u8], name: &[u8]) {
        let Some(messages) = self.producers.get_mut(producer) else { return };
        let Some(id) = messages.ids.remove(name) else { return };
        if let Ok(at) = messages.order.binary_search_by_key(&id, |(known, _)| *known) {
            messages.order.remove(at);
        }
        (self.tracked, self.name_bytes) = (self.tracked - 1, self.name_bytes - name.len());
        if messages.order.is_empty() {
            self.producers.remove(producer);
            self.name_bytes -= producer.len();
        }
    }

    /// Drops from the queue what is forgotten.
    fn tidy(&mut self) {
        let producers = &self.producers;
        self.order.retain(|(id, producer)| {
            let messages = producers.get(producer);
            messages.and_then(|it| it.order.front()).is_some_and(|(first, _)| first <= id)
        });
        self.order.shrink_to_fit();
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now_ms: u64) {
        while self.order.front().is_some_and(|(id, _)| self.is_over(*id, now_ms)) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((id, producer)) = self.order.pop_front() else { return };
        let Entry::Occupied(mut entry) = self.producers.entry(producer) else { return };
        // A newer one in front means that this one had to make room already.
        if entry.get().order.front().is_some_and(|(first, _)| *first == id) {
            self.name_bytes -= entry.get_mut().forget_first().unwrap_or(0);
            self.tracked -= 1;
        }
        if entry.get().order.is_empty() {
            self.name_bytes -= entry.key().len();
            entry.remove();
        }
    }

    /// How many producers something is known of, and how many messages.
    pub fn tracked(&self, now_ms: u64) -> (usize, usize) {
        let of = |messages: &Producer| {
            messages.order.iter().rev().take_while(|(id, _)| !self.is_over(*id, now_ms)).count()
        };
        let counts = self.producers.values().map(of).filter(|count| *count != 0);
        counts.fold((0, 0), |(producers, messages), count| (producers + 1, messages + count))
    }

    /// The producers in order of their names, each with its messages, the oldest first.
    pub fn producers(
        &self,
    ) -> impl ExactSizeIterator<Item = (&[u8], impl ExactSizeIterator<Item = (&[u8], Id)>)> {
        self.producers
            .iter()
            .map(|(producer, messages)| (&**producer, messages.order.iter().map(|(id, name)| (&**name, *id))))
    }

    /// All messages, the oldest first, each with producer, name and ID.
    pub fn records(&self) -> Vec<(&[u8], &[u8], Id)> {
        let all = self.producers().flat_map(|(producer, it)| it.map(move |(name, id)| (producer, name, id)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|(.., id)| *id);
        all
    }

    /// Heap bytes, roughly.
    pub(super) fn memory(&self) -> usize {
        size_of::<Idempotence>() + self.tracked * RECORD_BYTES + self.name_bytes
    }

    /// How many blocks there are to be freed, in units of a node's.
    pub(super) fn units(&self) -> usize {
        self.order.len() / RECORDS_PER_UNIT
    }

    /// Frees about `units` nodes' worth of blocks; `true` if some are left.
    pub(super) fn free_some(&mut self, units: usize) -> bool {
        for _ in 0..units.saturating_mul(RECORDS_PER_UNIT).min(self.order.len()) {
            self.forget_first();
        }
        !self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(of: &Idempotence) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let records = of
            .records()
            .into_iter()
            .map(|(producer, name, id)| format!("{}{}{}", text(producer), text(name), id.ms));
        records.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_too_old_or_too_much_is_forgotten() {
        let mut known_of = Idempotence::new(Window { duration_secs: 1, maxsize: 2 });
        for (producer, name, ms) in [("p", "a", 1000), ("q", "a", 1100), ("p", "b", 1200), ("p", "c", 1300)] {
            known_of.record(producer.as_bytes(), name.as_bytes(), Id::new(ms, 0));
        }
        assert_eq!(known(&known_of), "qa1100 pb1200 pc1300");
        assert_eq!(known_of.find(b"p", b"a", 1300), None);
        assert_eq!(known_of.find(b"q", b"a", 2099), Some(Id::new(1100, 0)));
        assert_eq!(known_of.find(b"q", b"a", 2100), None);
        assert_eq!(known_of.tracked(2100), (1, 2));
        known_of.expire(2200);
        assert_eq!((known(&known_of).as_str(), known_of.tracked(0)), ("pc1300", (1, 1)));
        assert_eq!((known_of.name_bytes, known_of.tracked, known_of.added), (2, 1, 4));
        known_of.expire(9999);
        assert_eq!((known_of.name_bytes, known_of.tracked, known_of.producers.len()), (0, 0, 0));
    }

    #[test]
    fn what_had_to_make_room_does_not_stay_in_the_queue() {
        let mut known_of = Idempotence::new(Window { duration_secs: 100, maxsize: 3 });
        for ms in 0..1000_u64 {
            known_of.record(b"p", &ms.to_be_bytes(), Id::new(ms + 1, 0));
            assert!(known_of.order.len() <= 2 * 3 + RECORDS_PER_UNIT + 1);
        }
        assert_eq!((known_of.tracked(0), known_of.name_bytes), ((1, 3), 25));
        while known_of.free_some(1) {}
        assert_eq!((known_of.producers.len(), known_of.name_bytes), (0, 0));
    }

    #[test]
    fn records_come_in_any_order_from_a_log() {
        let mut known_of = Idempotence::new(Window { duration_secs: 100, maxsize: 2 });
        for (name, ms) in [("c", 30), ("a", 10), ("d", 40), ("b", 20)] {
            known_of.record(b"p", name.as_bytes(), Id::new(ms, 0));
        }
        assert_eq!((known(&known_of).as_str(), known_of.added), ("pc30 pd40", 4));
        assert_eq!(known_of.known_as(Id::new(30, 0)), Some((&b"p"[..], &b"c"[..])));
        assert_eq!(known_of.known_as(Id::new(20, 0)), None);
        let other = Window { duration_secs: 100, maxsize: 3 };
        known_of.set_window(other);
        assert_eq!((known(&known_of).as_str(), known_of.added, known_of.window()), ("", 4, other));
    }
}
