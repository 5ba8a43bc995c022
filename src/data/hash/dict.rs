//! Long hashes: a table of cells, and an index of those that have a deadline.

use super::cell::Cell;
use crate::base::date::UnixMs;
use crate::data::expiry::{Expiry, Moved, SAMPLE_MAX, Sample};
use crate::data::table::{Hasher, Table};

/// Fields by name.
pub(super) struct Dict {
    pub(super) table: Table<Cell>,
    /// The fields with a deadline; nothing if there is none.
    ///
    /// Invariant: a cell has a deadline exactly if the index holds a record with its ticket.
    expiry: Option<Box<Expiry>>,
    hasher: Hasher,
    /// Bytes of all cells.
    bytes: usize,
}

impl Dict {
    /// An empty one with room for so many fields.
    pub fn new(hasher: Hasher, fields: usize) -> Dict {
        let mut table = Table::new();
        table.reserve(fields);
        Dict { table, expiry: None, hasher, bytes: 0 }
    }

    pub fn get(&self, field: &[u8]) -> Option<&Cell> {
        self.table.get(field, self.hasher.hash(field))
    }

    /// Sets a field, whose deadline stays if it is to be kept. Returns whether it is new.
    pub fn put(&mut self, field: &[u8], value: &[u8], keep: bool) -> bool {
        let hash = self.hasher.hash(field);
        let Some(cell) = self.table.get_mut(field, hash) else {
            let cell = Cell::new(field, value);
            self.bytes += cell.memory();
            self.table.insert(hash, cell, &self.hasher);
            return true;
        };
        let before = cell.memory();
        cell.set_value(value);
        self.bytes = self.bytes - before + cell.memory();
        if !keep && cell.ticket().is_some() {
            self.set_deadline(field, None, UnixMs::ZERO);
        }
        false
    }

    pub fn remove(&mut self, field: &[u8]) -> bool {
        let hash = self.hasher.hash(field);
        let Some(cell) = self.table.remove(field, hash, &self.hasher) else { return false };
        self.bytes -= cell.memory();
        if let (Some(ticket), Some(expiry)) = (cell.ticket(), &mut self.expiry) {
            expiry.remove(ticket, |moved| renew(&mut self.table, moved));
        }
        self.drop_idle_index();
        true
    }

    /// Sets or takes off the deadline of a field that is there; zero is as good as any date for `now`, but moves
    /// records more often.
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<UnixMs>, now: UnixMs) {
        let hash = self.hasher.hash(field);
        let Dict { table, expiry, .. } = self;
        let Some(ticket) = table.get(field, hash).map(Cell::ticket) else { return };
        let due = match (ticket, deadline) {
            (None, None) => return,
            (Some(ticket), None) => {
                if let Some(expiry) = expiry {
                    // The cell first, so that what fills the gap is not mistaken for it.
                    let cell = table.get_mut(field, hash).expect("just seen");
                    self.bytes -= cell.memory();
                    cell.set_due(None);
                    self.bytes += cell.memory();
                    expiry.remove(ticket, |moved| renew(table, moved));
                }
                self.drop_idle_index();
                return;
            }
            (None, Some(at)) => (at, expiry.get_or_insert_default().add(hash, at, now)),
            (Some(ticket), Some(at)) => {
                let expiry = expiry.get_or_insert_default();
                (at, expiry.change(ticket, hash, at, now, |moved| renew(table, moved)))
            }
        };
        if let Some(cell) = table.get_mut(field, hash) {
            self.bytes -= cell.memory();
            cell.set_due(Some(due));
            self.bytes += cell.memory();
        }
    }

    /// A date before which no field falls due; `None` if none has a deadline.
    pub fn next_due(&self) -> Option<UnixMs> {
        self.expiry.as_ref()?.next_due()
    }

    /// Removes about `max` fields that are due at most, and shows them with their deadlines. Returns whether there may
    /// be more.
    pub fn expire_some(&mut self, now: UnixMs, max: usize, mut gone: impl FnMut(&[u8], UnixMs)) -> bool {
        let Dict { table, expiry: Some(expiry), hasher, bytes } = self else { return false };
        let (mut sample, mut more) = (Sample::default(), true);
        for _ in 0..max.div_ceil(SAMPLE_MAX) {
            more = expiry.sample_due(now, &mut sample, |moved| renew(table, moved));
            for held in sample.iter() {
                let cell = table.remove_by(held.hash, |cell| cell.ticket() == Some(held.ticket), hasher);
                debug_assert!(cell.is_some(), "a record of the index belongs to a field");
                expiry.remove(held.ticket, |moved| renew(table, moved));
                if let Some(cell) = cell {
                    *bytes -= cell.memory();
                    gone(cell.field(), held.deadline);
                }
            }
            if !more {
                break;
            }
        }
        self.drop_idle_index();
        more && self.expiry.is_some()
    }

    fn drop_idle_index(&mut self) {
        if self.expiry.as_ref().is_some_and(|expiry| expiry.is_empty()) {
            self.expiry = None;
        }
    }

    pub fn memory(&self) -> usize {
        let index = self.expiry.as_ref().map_or(0, |expiry| size_of::<Expiry>() + expiry.memory());
        size_of::<Dict>() + self.table.memory() + self.bytes + index
    }

    pub fn free_some(&mut self, units: usize) -> bool {
        self.table.free_some(units) || self.expiry.as_mut().is_some_and(|expiry| expiry.free_some(units))
    }
}

impl Clone for Dict {
    fn clone(&self) -> Dict {
        let mut copy = Dict::new(self.hasher.clone(), self.table.len());
        for cell in self.table.iter() {
            copy.put(cell.field(), cell.value(), false);
            copy.set_deadline(cell.field(), cell.deadline(), UnixMs::ZERO);
        }
        copy
    }
}

/// A record of the index has moved: its cell learns the new ticket.
fn renew(table: &mut Table<Cell>, moved: Moved) {
    let cell = table.find_by_mut(moved.hash, |cell| cell.ticket() == Some(moved.from));
    debug_assert!(cell.is_some(), "a record of the index belongs to a field");
    if let Some(cell) = cell
        && let Some(deadline) = cell.deadline()
    {
        cell.set_due(Some((deadline, moved.to)));
    }
}
