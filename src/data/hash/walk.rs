//! Walking a hash: all fields, step by step, at random.

use std::fmt;

use super::cell::Cell;
use super::{Form, Hash, deadline_of};
use crate::base::date::UnixMs;
use crate::data::element::Item;
use crate::data::{pack, table};

/// A field as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// Its name.
    pub field: Item<'a>,
    /// Its value.
    pub value: Item<'a>,
    /// When it falls due.
    pub deadline: Option<UnixMs>,
}

impl Pair<'_> {
    /// Whether its deadline has not come yet.
    pub fn is_live(&self, now: UnixMs) -> bool {
        super::is_live(self.deadline, now)
    }
}

impl<'a> From<&'a Cell> for Pair<'a> {
    fn from(cell: &'a Cell) -> Pair<'a> {
        let (field, value) = (Item::Bytes(cell.field()), Item::Bytes(cell.value()));
        Pair { field, value, deadline: cell.deadline() }
    }
}

/// The fields of a hash, those that are due among them; made by [`Hash::iter`].
pub struct Iter<'a>(Walk<'a>);

enum Walk<'a> {
    Plain(pack::Iter<'a>),
    Timed(pack::Iter<'a>),
    Table(table::Iter<'a, Cell>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        match &mut self.0 {
            Walk::Plain(items) => Some(Pair { field: items.next()?, value: items.next()?, deadline: None }),
            Walk::Timed(items) => {
                let (field, value) = (items.next()?, items.next()?);
                Some(Pair { field, value, deadline: deadline_of(items.next()?) })
            }
            Walk::Table(cells) => cells.next().map(Pair::from),
        }
    }
}

impl Hash {
    /// All fields with values and deadlines, those that are due among them; of a short hash those with a deadline
    /// come first, in the order in which they fall due.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match self.form() {
            Form::Plain(pack) => Walk::Plain(pack.iter()),
            Form::Timed(pack) => Walk::Timed(pack.iter()),
            Form::Table(dict) => Walk::Table(dict.table.iter()),
        })
    }

    /// One step of a scan, with the promise of [`table::Table::scan`]; a short hash is visited as a whole. Fields that
    /// are due are visited too.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Pair<'_>)) -> u64 {
        match self.form() {
            Form::Table(dict) => dict.table.scan(cursor, |cell| visit(Pair::from(cell))),
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }

    /// A field at random, perhaps one that is due. `below(n)` draws a number below `n`.
    pub fn random(&self, mut below: impl FnMut(u64) -> u64) -> Option<Pair<'_>> {
        let (pack, step) = match self.form() {
            Form::Plain(pack) => (pack, 2),
            Form::Timed(pack) => (pack, 3),
            Form::Table(dict) => return dict.table.random(below).map(Pair::from),
        };
        if pack.is_empty() {
            return None;
        }
        let index = below((pack.count() / step) as u64) as usize;
        let (field, next) = pack.at(pack.offset(index * step));
        let (value, next) = pack.at(next);
        let deadline = if step == 3 { deadline_of(pack.at(next).0) } else { None };
        Some(Pair { field, value, deadline })
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
