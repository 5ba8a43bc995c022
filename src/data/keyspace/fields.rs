//! Deadlines of single fields: which hashes have some, and how fields go when theirs has come.
//!
//! Each database holds an index of its hashes with field deadlines, of the same kind as that of its keys. The date in
//! a record is one before which no field of the hash falls due; when it has come, active expiry looks into the hash,
//! removes some fields that are due, and puts the record to the next such date. So the hash need be looked at only now
//! and then, and a hash with a million deadlines is one record here.
//!
//! Readers pass over fields that are due and leave them where they are. A command that changes a hash first removes
//! those fields it names which are due ([`Keyspace::expire_named`]), so that for it, and for whoever replays the log,
//! they do not exist. What is removed is kept in [`Keyspace::take_expired_fields`] for the log.
//!
//! Invariant: a hash has a ticket exactly if this index holds a record with it, and if it has a field deadline.

use super::{Database, Key, Keyspace};
use crate::base::date::UnixMs;
use crate::data::entry::Entry;
use crate::data::expiry::{Expiry, Moved, SAMPLE_MAX, Ticket};
use crate::data::hash::Hash;
use crate::data::table::Table;

/// Milliseconds after which a hash is looked into again whose next field is about to fall due: the finest period
/// that an index tells apart.
const AGAIN_AFTER_MS: i64 = 64;

/// Fields of one hash that were removed because their deadline had come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiredFields {
    /// Index of the database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// The names of the fields.
    pub fields: Vec<Box<[u8]>>,
    /// No field was left, and the key is gone too.
    pub emptied: bool,
}

impl Database {
    /// The index of hashes with field deadlines.
    pub fn fields(&self) -> &Expiry {
        &self.fields
    }

    /// An entry has been taken out, or its value is about to be: takes it off the index.
    pub(super) fn forget_fields(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            let Database { table, fields, .. } = self;
            fields.remove(ticket, |moved| renew(table, moved));
        }
    }

    /// An entry is about to come in: takes it up if it is a hash with field deadlines.
    pub(super) fn take_up_fields(&mut self, hash: u64, entry: &mut Entry, now: UnixMs) {
        if let Some(value) = entry.hash_mut() {
            let due = value.next_due();
            value.set_ticket(due.map(|due| self.fields.add(hash, due, now)));
        }
    }

    /// Makes the record of a hash agree with it; `due` instead of what the hash says, if given.
    fn settle_fields(&mut self, key: Key<'_>, due: Option<UnixMs>, now: UnixMs) {
        let Database { table, fields, .. } = self;
        let Some(value) = table.get(key.bytes, key.hash).and_then(Entry::hash) else { return };
        let ticket = match (value.ticket(), due.or_else(|| value.next_due())) {
            (None, None) => return,
            (None, Some(due)) => Some(fields.add(key.hash, due, now)),
            (Some(ticket), Some(due)) => {
                Some(fields.change(ticket, key.hash, due, now, |moved| renew(table, moved)))
            }
            (Some(ticket), None) => {
                set_ticket(table, key, None);
                fields.remove(ticket, |moved| renew(table, moved));
                return;
            }
        };
        set_ticket(table, key, ticket);
    }
}

fn set_ticket(table: &mut Table<Entry>, key: Key<'_>, ticket: Option<Ticket>) {
    if let Some(value) = table.get_mut(key.bytes, key.hash).and_then(Entry::hash_mut) {
        value.set_ticket(ticket);
    }
}

/// A record of the index has moved: its hash learns the new ticket.
fn renew(table: &mut Table<Entry>, moved: Moved) {
    let has_it = |entry: &Entry| entry.hash().and_then(Hash::ticket) == Some(moved.from);
    let entry = table.find_by_mut(moved.hash, has_it);
    debug_assert!(entry.is_some(), "a record of the index belongs to a hash");
    if let Some(value) = entry.and_then(Entry::hash_mut) {
        value.set_ticket(Some(moved.to));
    }
}

impl Keyspace {
    /// Whoever has changed deadlines of a hash's fields, or removed fields that had some, says so here.
    pub fn field_deadlines_changed(&mut self, key: Key<'_>) {
        let now = self.now;
        self.databases[self.selected].settle_fields(key, None, now);
    }

    /// Removes those of the named fields whose deadline has come, and the key if nothing is left.
    #[inline]
    pub fn expire_named<'f>(&mut self, key: Key<'_>, fields: impl Iterator<Item = &'f [u8]>) {
        let database = &self.databases[self.selected];
        if database.fields.is_empty() {
            return;
        }
        let value = database.table.get(key.bytes, key.hash).and_then(Entry::hash);
        if value.and_then(Hash::next_due).is_some_and(|due| due <= self.now) {
            self.expire_named_now(key, fields);
        }
    }

    #[cold]
    fn expire_named_now<'f>(&mut self, key: Key<'_>, fields: impl Iterator<Item = &'f [u8]>) {
        let now = self.now;
        let table = &mut self.databases[self.selected].table;
        let Some(value) = table.get_mut(key.bytes, key.hash).and_then(Entry::hash_mut) else { return };
        let mut gone = Vec::new();
        for field in fields {
            if let Some(at) = value.deadline(field).flatten().filter(|at| *at <= now) {
                self.counters.expired_by_jump[1] += u64::from(self.jumps.skip(at));
                value.remove(field);
                gone.push(Box::from(field));
            }
        }
        self.note_expired_fields(key, gone, None);
    }

    /// What is to be done when fields of a hash have been removed because they were due.
    fn note_expired_fields(&mut self, key: Key<'_>, gone: Vec<Box<[u8]>>, due: Option<UnixMs>) {
        let now = self.now;
        let database = &mut self.databases[self.selected];
        let left = database.table.get(key.bytes, key.hash).and_then(Entry::hash).map_or(0, Hash::len);
        if gone.is_empty() || 0 < left {
            database.settle_fields(key, due, now);
        } else {
            self.delete_stored(key);
        }
        if !gone.is_empty() {
            self.counters.expired_fields += gone.len() as u64;
            let (database, key) = (self.selected, Box::from(key.bytes));
            self.expired_fields.push(ExpiredFields { database, key, fields: gone, emptied: left == 0 });
        }
    }

    /// One cycle of active expiry of fields in a database: looks into hashes that may have fields that are due, and
    /// removes about 20 of those. Returns whether another cycle would find more.
    pub fn expire_fields_sample(&mut self, database: usize) -> bool {
        let before = self.select(database);
        let mut sample = std::mem::take(&mut self.sample);
        let Database { table, fields, .. } = &mut self.databases[database];
        let mut more = fields.sample_due(self.now, &mut sample, |moved| renew(table, moved));
        let mut left = SAMPLE_MAX;
        for held in sample.iter() {
            if left == 0 {
                more = true;
                break;
            }
            let table = &mut self.databases[database].table;
            let has_it = |entry: &Entry| entry.hash().and_then(Hash::ticket) == Some(held.ticket);
            let Some(entry) = table.find_by_mut(held.hash, has_it) else { continue };
            let name = Box::<[u8]>::from(entry.key());
            let Some(value) = entry.hash_mut() else { continue };
            let mut gone = Vec::new();
            let again = value.expire_some(self.now, left, |field, at| {
                self.counters.expired_by_jump[1] += u64::from(self.jumps.skip(at));
                gone.push(Box::from(field));
            });
            left = left.saturating_sub(gone.len());
            more |= again;
            // A date that has come although nothing is due now: that of a period which has just begun.
            let soon = self.now.plus_ms(AGAIN_AFTER_MS);
            let next = value.next_due().filter(|_| !again);
            let due = next.and_then(|next| soon.map(|soon| if next <= self.now { soon } else { next }));
            self.note_expired_fields(Key { bytes: &name, hash: held.hash }, gone, due);
        }
        self.sample = sample;
        self.selected = before;
        more
    }

    /// Moves up to `records` records of a database's index of hashes inward. Returns whether there is more to move.
    pub fn advance_field_expiry(&mut self, database: usize, records: usize) -> bool {
        let now = self.now;
        let Database { table, fields, .. } = &mut self.databases[database];
        fields.advance(now, records, |moved| renew(table, moved))
    }

    /// The fields that have expired since the last call, in order.
    pub fn take_expired_fields(&mut self) -> Vec<ExpiredFields> {
        std::mem::take(&mut self.expired_fields)
    }
}
