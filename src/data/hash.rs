//! A hash: fields with values, some of them with a deadline of their own.
//!
//! - A short hash is one pack: `field value field value …`. This is nearly all hashes.
//! - A short hash of whose fields one has, or had, a deadline is a pack of threes, `field value deadline …`, sorted by
//!   deadline, those without one (`0`) last. So what falls due first stands first.
//! - A long hash is a table of cells (`cell.rs`), one block a field, with an index of those that have a deadline
//!   (`dict.rs`): the same kind of index that databases have for their keys.
//!
//! A field whose deadline has come is still there until somebody removes it: [`Hash::get`] and the like, which are told
//! the date, pass over it; [`Hash::len`] counts it, as Redis does. A database keeps an index of the hashes that have
//! field deadlines; where it holds one stands in the hash ([`Hash::ticket`]).

mod cell;
mod dict;
mod walk;
#[cfg(test)]
mod tests;

pub use walk::{Iter, Pair};

use self::dict::Dict;
use crate::base::date::UnixMs;
use crate::data::collection::Collection;
use crate::data::element::{Encoded, Item};
use crate::data::expiry::Ticket;
use crate::data::pack::{Pack, Small, View, ViewMut};
use crate::data::table::Hasher;

/// Buckets of a table from which on it is freed in slices.
const HEAVY_FIELDS: usize = 512;
/// Fields up to which a new hash is compared pair by pair for fields that are there twice.
const FEW: usize = 16;
/// No pack becomes bigger, whatever the limits are.
const PACK_MAX: usize = 1 << 30;
/// The last deadline that a field can have, as in Redis: 46 bits of milliseconds.
pub const DEADLINE_MAX: UnixMs = UnixMs((1 << 46) - 1);

/// Up to what a hash stays a pack, and how it hashes when it is none any more.
#[derive(Clone)]
pub struct Limits {
    /// The most fields.
    pub entries: usize,
    /// The most bytes of a field or value.
    pub value: usize,
    /// The hasher of all hashes of a keyspace.
    pub hasher: Hasher,
}

/// A hash.
pub struct Hash {
    body: Small<Big>,
}

/// A hash that is more than a plain pack.
#[derive(Clone)]
struct Big {
    /// Where the database's index of hashes with field deadlines holds it.
    ticket: NoCopy,
    body: Body,
}

/// A ticket that a copy does not have.
#[derive(Default)]
struct NoCopy(Option<Ticket>);

impl Clone for NoCopy {
    fn clone(&self) -> NoCopy {
        NoCopy(None)
    }
}

#[derive(Clone)]
enum Body {
    /// Threes, sorted by deadline.
    Timed(Pack),
    /// A table.
    Table(Box<Dict>),
}

/// What a hash is, for reading.
#[derive(Clone, Copy)]
enum Form<'a> {
    Plain(&'a Pack),
    Timed(&'a Pack),
    Table(&'a Dict),
}

/// The deadline that an element of a pack of threes stands for.
fn deadline_of(item: Item<'_>) -> Option<UnixMs> {
    match item {
        Item::Int(ms) if 0 < ms => Some(UnixMs(ms)),
        _ => None,
    }
}

/// The deadline of the three that begins at `offset`.
fn deadline_at(pack: &Pack, offset: usize) -> Option<UnixMs> {
    let value = pack.at(offset).1;
    deadline_of(pack.at(pack.at(value).1).0)
}

fn is_live(deadline: Option<UnixMs>, now: UnixMs) -> bool {
    deadline.is_none_or(|at| now < at)
}

impl Default for Hash {
    fn default() -> Hash {
        Hash::new()
    }
}

impl Clone for Hash {
    fn clone(&self) -> Hash {
        Hash { body: self.body.clone() }
    }
}

impl Hash {
    /// A hash without fields, which takes no heap.
    pub fn new() -> Hash {
        Hash::from_pack(Pack::new())
    }

    /// A hash whose fields and values are the elements of this pack in turns; the caller has checked that no field is
    /// there twice and that the pack is within the limits.
    pub fn from_pack(pack: Pack) -> Hash {
        debug_assert!(pack.count().is_multiple_of(2));
        Hash { body: Small::pack(pack) }
    }

    /// A hash of fields and values in turns, made at one stroke: if they are few, fit into a pack, and no field is there
    /// twice.
    pub fn of_few<'a>(
        texts: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
        limits: &Limits,
    ) -> Option<Hash> {
        let count = texts.len() / 2;
        let fits = count <= FEW.min(limits.entries) && texts.clone().all(|text| text.len() <= limits.value);
        let fields = texts.clone().step_by(2);
        let mut later = fields.clone();
        let twice = |field| {
            later.next();
            later.clone().any(|other| other == field)
        };
        if !fits || fields.clone().any(twice) {
            return None;
        }
        // Four bytes each are enough for what is around most texts.
        let mut body = Vec::with_capacity(texts.clone().map(|text| text.len() + 4).sum());
        texts.for_each(|text| Encoded::new(text).append_to(&mut body));
        Some(Hash::from_pack(Pack::from_body(&body, count * 2)))
    }

    /// The pack of fields and values in turns, if the hash is one.
    pub fn as_pack(&self) -> Option<&Pack> {
        match self.form() {
            Form::Plain(pack) => Some(pack),
            _ => None,
        }
    }

    #[inline]
    fn form(&self) -> Form<'_> {
        match self.body.view() {
            View::Pack(pack) => Form::Plain(pack),
            View::Big(big) => match &big.body {
                Body::Timed(pack) => Form::Timed(pack),
                Body::Table(dict) => Form::Table(dict),
            },
        }
    }

    fn set_body(&mut self, body: Body) {
        match self.body.view_mut() {
            ViewMut::Big(big) => big.body = body,
            ViewMut::Pack(_) => {
                self.body = Small::big(Box::new(Big { ticket: NoCopy::default(), body }));
            }
        }
    }

    /// How many fields there are, those included that are due and not yet removed.
    #[inline]
    pub fn len(&self) -> usize {
        match self.form() {
            Form::Plain(pack) => pack.count() / 2,
            Form::Timed(pack) => pack.count() / 3,
            Form::Table(dict) => dict.table.len(),
        }
    }

    /// Whether there are no fields.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field that is not due.
    #[inline]
    pub fn get(&self, field: &[u8], now: UnixMs) -> Option<Item<'_>> {
        match self.form() {
            Form::Plain(pack) => {
                let value = pack.at(pack.find(field, 2)?).1;
                Some(pack.at(value).0)
            }
            Form::Timed(pack) => {
                let offset = pack.find(field, 3)?;
                is_live(deadline_at(pack, offset), now).then(|| pack.at(pack.at(offset).1).0)
            }
            Form::Table(dict) => {
                let cell = dict.get(field)?;
                is_live(cell.deadline(), now).then(|| Item::Bytes(cell.value()))
            }
        }
    }

    /// Whether there is a field that is not due.
    #[inline]
    pub fn contains(&self, field: &[u8], now: UnixMs) -> bool {
        self.get(field, now).is_some()
    }

    /// The deadline of a field; `None` if there is no such field. One that is due counts as there.
    pub fn deadline(&self, field: &[u8]) -> Option<Option<UnixMs>> {
        match self.form() {
            Form::Plain(pack) => pack.find(field, 2).map(|_| None),
            Form::Timed(pack) => pack.find(field, 3).map(|offset| deadline_at(pack, offset)),
            Form::Table(dict) => dict.get(field).map(|cell| cell.deadline()),
        }
    }

    /// Sets a field, which has no deadline then. Returns whether it is new.
    #[inline]
    pub fn insert(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.put(field, value, false, limits)
    }

    /// Sets a field, which keeps its deadline. Returns whether it is new.
    pub fn update(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.put(field, value, true, limits)
    }

    #[inline]
    fn put(&mut self, field: &[u8], value: &[u8], keep: bool, limits: &Limits) -> bool {
        if !matches!(self.form(), Form::Table(_)) && !self.fits(field, value, limits) {
            self.make_table(0, limits);
        }
        let (new, count) = match self.body.view_mut() {
            ViewMut::Pack(pack) => (put_plain(pack, field, value), pack.count() / 2),
            ViewMut::Big(Big { body: Body::Timed(pack), .. }) => {
                (put_timed(pack, field, value, keep), pack.count() / 3)
            }
            ViewMut::Big(Big { body: Body::Table(dict), .. }) => return dict.put(field, value, keep),
        };
        if limits.entries < count {
            self.make_table(0, limits);
        }
        new
    }

    /// Whether a pack may hold this pair besides what it holds.
    #[inline]
    fn fits(&self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        let (Form::Plain(pack) | Form::Timed(pack)) = self.form() else { return false };
        field.len().max(value.len()) <= limits.value
            && pack.size().saturating_add(field.len()).saturating_add(value.len()) < PACK_MAX
    }

    /// Says that so many fields are going to be set, perhaps some of them twice: more than a pack may hold go to a
    /// table right away.
    #[inline]
    pub fn expect(&mut self, fields: usize, limits: &Limits) {
        if limits.entries < fields && !matches!(self.form(), Form::Table(_)) {
            self.make_table(fields, limits);
        }
    }

    /// Turns a pack into a table with room for some more fields.
    #[cold]
    fn make_table(&mut self, more: usize, limits: &Limits) {
        let mut dict = Dict::new(limits.hasher.clone(), self.len() + more);
        for Pair { field, value, deadline } in self.iter() {
            field.with_bytes(|field| {
                value.with_bytes(|value| dict.put(field, value, false));
                dict.set_deadline(field, deadline, UnixMs::ZERO);
            });
        }
        self.set_body(Body::Table(Box::new(dict)));
    }

    /// Removes a field; `false` if it was not there. One that is due counts as there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let (pack, step) = match self.body.view_mut() {
            ViewMut::Pack(pack) => (pack, 2),
            ViewMut::Big(Big { body: Body::Timed(pack), .. }) => (pack, 3),
            ViewMut::Big(Big { body: Body::Table(dict), .. }) => return dict.remove(field),
        };
        let Some(offset) = pack.find(field, step) else { return false };
        let end = (0..step).fold(offset, |offset, _| pack.at(offset).1);
        pack.remove(offset..end, step);
        true
    }

    /// Sets or takes off the deadline, from 1 to [`DEADLINE_MAX`], of a field; nothing happens if it is not there.
    /// The owner of the index of hashes with field deadlines is to be told.
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<UnixMs>, now: UnixMs) {
        if let Form::Plain(pack) = self.form() {
            if deadline.is_none() || pack.find(field, 2).is_none() {
                return;
            }
            let timed = with_deadlines(pack);
            self.set_body(Body::Timed(timed));
        }
        match self.body.view_mut() {
            ViewMut::Pack(_) => {}
            ViewMut::Big(Big { body: Body::Timed(pack), .. }) => set_deadline_timed(pack, field, deadline),
            ViewMut::Big(Big { body: Body::Table(dict), .. }) => dict.set_deadline(field, deadline, now),
        }
    }

    /// A date before which no field falls due; `None` if none has a deadline.
    #[inline]
    pub fn next_due(&self) -> Option<UnixMs> {
        match self.form() {
            Form::Plain(_) => None,
            Form::Timed(pack) if pack.is_empty() => None,
            Form::Timed(pack) => deadline_at(pack, 0),
            Form::Table(dict) => dict.next_due(),
        }
    }

    /// Removes about `max` fields that are due at most, and shows them with their deadlines. Returns whether there may
    /// be more.
    pub fn expire_some(&mut self, now: UnixMs, max: usize, mut gone: impl FnMut(&[u8], UnixMs)) -> bool {
        match self.body.view_mut() {
            ViewMut::Pack(_) => false,
            ViewMut::Big(Big { body: Body::Table(dict), .. }) => dict.expire_some(now, max, gone),
            ViewMut::Big(Big { body: Body::Timed(pack), .. }) => {
                let (mut end, mut count) = (0, 0);
                let due = |end: usize| {
                    let at = (end < pack.body().len()).then(|| deadline_at(pack, end)).flatten();
                    at.filter(|at| *at <= now)
                };
                while count < max
                    && let Some(at) = due(end)
                {
                    pack.at(end).0.with_bytes(|field| gone(field, at));
                    end = (0..3).fold(end, |offset, _| pack.at(offset).1);
                    count += 1;
                }
                let more = due(end).is_some();
                pack.remove(0..end, count * 3);
                more
            }
        }
    }

    /// Where the database's index of hashes with field deadlines holds this one.
    #[inline]
    pub fn ticket(&self) -> Option<Ticket> {
        match self.body.view() {
            View::Pack(_) => None,
            View::Big(big) => big.ticket.0,
        }
    }

    /// Notes where that index holds this one; a plain pack is never held.
    pub fn set_ticket(&mut self, ticket: Option<Ticket>) {
        match self.body.view_mut() {
            ViewMut::Pack(_) => debug_assert!(ticket.is_none(), "no field has a deadline"),
            ViewMut::Big(big) => big.ticket = NoCopy(ticket),
        }
    }
}

#[inline]
fn put_plain(pack: &mut Pack, field: &[u8], value: &[u8]) -> bool {
    let Some(offset) = pack.find(field, 2) else {
        pack.push([field, value]);
        return true;
    };
    let start = pack.at(offset).1;
    let end = pack.at(start).1;
    pack.splice(start..end, 1, [value]);
    false
}

fn put_timed(pack: &mut Pack, field: &[u8], value: &[u8], keep: bool) -> bool {
    let Some(offset) = pack.find(field, 3) else {
        pack.push([field, value, b"0"]);
        return true;
    };
    let start = pack.at(offset).1;
    let end = pack.at(start).1;
    if keep || deadline_at(pack, offset).is_none() {
        pack.splice(start..end, 1, [value]);
    } else {
        let end = pack.at(end).1;
        pack.remove(offset..end, 3);
        pack.push([field, value, b"0"]);
    }
    false
}

/// The fields and values of a plain pack with no deadlines.
fn with_deadlines(pack: &Pack) -> Pack {
    let mut body = Vec::with_capacity(pack.body().len() + pack.count() * 2);
    let none = Encoded::new(b"0");
    let mut offset = 0;
    while offset < pack.body().len() {
        let end = pack.at(pack.at(offset).1).1;
        body.extend_from_slice(&pack.body()[offset..end]);
        none.append_to(&mut body);
        offset = end;
    }
    Pack::from_body(&body, pack.count() / 2 * 3)
}

/// Moves a three to where its new deadline belongs.
fn set_deadline_timed(pack: &mut Pack, field: &[u8], deadline: Option<UnixMs>) {
    let Some(offset) = pack.find(field, 3) else { return };
    if deadline_at(pack, offset) == deadline {
        return;
    }
    let value = pack.at(offset).1;
    let value = pack.at(value).0.to_vec();
    let end = (0..3).fold(offset, |offset, _| pack.at(offset).1);
    pack.remove(offset..end, 3);
    let mut text = itoa::Buffer::new();
    let text = text.format(deadline.map_or(0, |at| at.0)).as_bytes();
    let mut place = pack.body().len();
    if let Some(at) = deadline {
        place = 0;
        while place < pack.body().len() && deadline_at(pack, place).is_some_and(|other| other <= at) {
            place = (0..3).fold(place, |offset, _| pack.at(offset).1);
        }
    }
    pack.splice(place..place, 0, [field, &value, text]);
}

impl Collection for Hash {
    fn encoding(&self) -> &'static str {
        match self.form() {
            Form::Plain(_) => "listpack",
            Form::Timed(_) => "listpackex",
            Form::Table(_) => "hashtable",
        }
    }

    fn memory(&self) -> usize {
        match self.form() {
            Form::Plain(pack) => pack.memory(),
            Form::Timed(pack) => size_of::<Big>() + pack.memory(),
            Form::Table(dict) => size_of::<Big>() + dict.memory(),
        }
    }

    fn is_heavy(&self) -> bool {
        matches!(self.form(), Form::Table(dict) if HEAVY_FIELDS < dict.table.len())
    }

    fn free_some(&mut self, units: usize) -> bool {
        match self.body.view_mut() {
            ViewMut::Big(Big { body: Body::Table(dict), .. }) => dict.free_some(units),
            _ => false,
        }
    }
}
