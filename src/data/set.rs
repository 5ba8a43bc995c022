//! Sets: members in no order that anybody was promised, each once.
//!
//! Three forms, named and chosen as in Redis: few integers are sorted in one block ([`ints`]), few members of any kind
//! are elements of a [`Pack`] in the order in which they came, many are a [`Table`] of words ([`member`]). A set only
//! ever goes from one form to a later one.

use std::fmt;

use crate::base::number::parse_i64;
use crate::base::random::Random;
use crate::data::collection::Collection;
use crate::data::element::{Encoded, Item};
use crate::data::pack::{self, Pack, Small, View, ViewMut};
use crate::data::table::{self, Element, Hasher, Table, TableStats};

mod ints;
mod member;
#[cfg(test)]
mod tests;

use ints::Ints;
use member::Member;

/// Packs stay below this many bytes whatever the configuration allows.
const PACK_BYTES_MAX: usize = 1 << 30;

/// More than an integer ever takes as an element of a pack.
const INTEGER_BYTES_MAX: usize = 11;

/// Sets of more members than this are freed in slices.
const HEAVY: usize = 512;

/// Up to where a set keeps a compact form, and how it hashes its members beyond.
#[derive(Clone)]
pub struct Limits {
    /// The most members of a set of integers.
    pub intset_entries: usize,
    /// The most members of a pack.
    pub listpack_entries: usize,
    /// The longest member of a pack, in bytes.
    pub listpack_value: usize,
    /// The hasher of tables.
    pub hasher: Hasher,
}

impl Limits {
    fn ints_max(&self) -> usize {
        self.intset_entries.min(ints::COUNT_MAX)
    }
}

/// The members of a set that is a table.
struct Members {
    table: Table<Member>,
    hasher: Hasher,
    /// Bytes of the members' blocks.
    blocks: usize,
}

impl Members {
    fn new(hasher: &Hasher, expected: usize) -> Members {
        let mut table = Table::new();
        table.reserve(expected);
        Members { table, hasher: hasher.clone(), blocks: 0 }
    }

    #[inline]
    fn contains(&self, text: &[u8]) -> bool {
        self.table.get(text, self.hasher.hash(text)).is_some()
    }

    #[inline]
    fn insert(&mut self, text: &[u8]) -> bool {
        let hash = self.hasher.hash(text);
        if self.table.get(text, hash).is_some() {
            return false;
        }
        let member = Member::new(text);
        self.blocks += member.memory();
        self.table.insert(hash, member, &self.hasher);
        true
    }

    #[inline]
    fn remove(&mut self, text: &[u8]) -> bool {
        let hash = self.hasher.hash(text);
        let removed = self.table.remove(text, hash, &self.hasher);
        self.blocks -= removed.as_ref().map_or(0, Member::memory);
        removed.is_some()
    }

    /// Takes out a member at random.
    #[inline]
    fn take_random(&mut self, random: &mut Random) -> Option<Member> {
        let chosen = self.table.random(|n| random.below(n))?;
        let (hash, address) = (self.hasher.hash(chosen.text()), std::ptr::from_ref(chosen));
        let member = self.table.remove_by(hash, |member| std::ptr::eq(member, address), &self.hasher)?;
        self.blocks -= member.memory();
        Some(member)
    }
}

impl Clone for Members {
    fn clone(&self) -> Members {
        let mut copy = Members::new(&self.hasher, self.table.len());
        for member in self.table.iter() {
            let hash = self.hasher.hash(member.text());
            copy.table.insert(hash, Member::new(member.text()), &self.hasher);
        }
        copy.blocks = self.blocks;
        copy
    }
}

/// A set of byte strings.
#[derive(Clone)]
pub struct Set(Small<Members>);

/// What a set is, for reading.
enum Form<'a> {
    /// `intset`.
    Ints(Ints<'a>),
    /// `listpack`.
    Pack(&'a Pack),
    /// `hashtable`.
    Table(&'a Members),
}

impl Default for Set {
    fn default() -> Self {
        Set::new()
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Set {
    /// An empty set, which begins as one of integers.
    pub fn new() -> Set {
        Set(Small::pack(ints::empty()))
    }

    /// An empty set that begins as a pack; allocates nothing.
    pub fn new_pack() -> Set {
        Set(Small::pack(Pack::new()))
    }

    /// An empty set that is a table with room for so many members.
    pub fn new_table(hasher: &Hasher, expected: usize) -> Set {
        Set(Small::big(Box::new(Members::new(hasher, expected))))
    }

    /// An empty set in the form that suits `expected` members like this one.
    pub fn expecting(first: &[u8], expected: usize, limits: &Limits) -> Set {
        if expected <= limits.ints_max() && parse_i64(first).is_some() {
            Set::new()
        } else if expected <= limits.listpack_entries {
            Set::new_pack()
        } else {
            Set::new_table(&limits.hasher, expected)
        }
    }

    /// The set of these members; some may come twice.
    pub fn from_members<'a>(members: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Set {
        let mut set = Set::new();
        for member in members {
            set.insert(member, limits);
        }
        set
    }

    /// The set of these integers, which ascend. They are as many as the caller likes: no limit is looked at but that of
    /// a pack, beyond which there is no set.
    pub fn from_sorted_integers(values: &[i64]) -> Option<Set> {
        (values.len() <= ints::COUNT_MAX).then(|| Set(Small::pack(ints::from_sorted(values))))
    }

    /// The set whose members are the elements of this pack. That none comes twice is the caller's to know.
    pub fn from_pack(pack: Pack) -> Set {
        Set(Small::pack(pack))
    }

    #[inline]
    fn form(&self) -> Form<'_> {
        match self.0.view() {
            View::Big(members) => Form::Table(members),
            View::Pack(pack) => match Ints::of(pack) {
                Some(ints) => Form::Ints(ints),
                None => Form::Pack(pack),
            },
        }
    }

    /// The number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self.form() {
            Form::Ints(ints) => ints.len(),
            Form::Pack(pack) => pack.count(),
            Form::Table(members) => members.table.len(),
        }
    }

    /// Whether there are no members.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a set of integers by its form.
    pub fn is_ints(&self) -> bool {
        matches!(self.form(), Form::Ints(_))
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        !self.0.is_pack()
    }

    /// The pack of a set that is one of elements.
    pub fn as_pack(&self) -> Option<&Pack> {
        match self.form() {
            Form::Pack(pack) => Some(pack),
            Form::Ints(_) | Form::Table(_) => None,
        }
    }

    /// The figures of the table, if it is one, for `DEBUG HTSTATS-KEY`.
    pub fn table_stats(&self) -> Option<TableStats> {
        match self.form() {
            Form::Table(members) => Some(members.table.stats()),
            Form::Ints(_) | Form::Pack(_) => None,
        }
    }

    /// Whether this is a member.
    #[inline]
    pub fn contains(&self, text: &[u8]) -> bool {
        match self.form() {
            Form::Ints(ints) => parse_i64(text).is_some_and(|value| ints.find(value).is_ok()),
            Form::Pack(pack) => pack.find(text, 1).is_some(),
            Form::Table(members) => members.contains(text),
        }
    }

    /// Whether the text of an item is a member.
    #[inline]
    pub fn contains_item(&self, item: Item<'_>) -> bool {
        match (self.form(), item) {
            (Form::Ints(ints), Item::Int(value)) => ints.find(value).is_ok(),
            _ => item.with_bytes(|text| self.contains(text)),
        }
    }

    /// Prepares for a command that is going to add so many members: the form is decided once for all of them, as
    /// Redis does.
    pub fn grow(&mut self, more: usize, limits: &Limits) {
        let fits = match self.form() {
            Form::Ints(_) => more <= limits.ints_max(),
            Form::Pack(_) => more <= limits.listpack_entries,
            Form::Table(_) => true,
        };
        if !fits {
            self.make_table(&limits.hasher, more);
        }
    }

    /// Adds a member; `false` if it was there.
    #[inline]
    pub fn insert(&mut self, text: &[u8], limits: &Limits) -> bool {
        match self.0.view_mut() {
            ViewMut::Big(members) => members.insert(text),
            ViewMut::Pack(pack) if Ints::of(pack).is_none() => {
                if pack.find(text, 1).is_some() {
                    return false;
                }
                if may_pack(pack.count(), text.len(), pack.size(), limits) {
                    pack.push([text]);
                    return true;
                }
                self.make_table(&limits.hasher, 0);
                self.insert(text, limits)
            }
            ViewMut::Pack(pack) => match parse_i64(text) {
                None => {
                    self.leave_ints(text, limits);
                    self.insert(text, limits)
                }
                Some(value) => {
                    let is_new = ints::insert(pack, value);
                    if is_new && limits.ints_max() < pack.count() {
                        self.make_table(&limits.hasher, 0);
                    }
                    is_new
                }
            },
        }
    }

    /// A set of integers gets a form that can take this text.
    fn leave_ints(&mut self, text: &[u8], limits: &Limits) {
        let Form::Ints(ints) = self.form() else { return };
        let len = ints.len();
        let ends = if len == 0 { [0; 2] } else { [ints.get(0), ints.get(len - 1)] };
        let longest = ends.map(|value| Item::Int(value).len_bytes()).into_iter().max().unwrap_or(0);
        let bytes = len * INTEGER_BYTES_MAX;
        if longest <= limits.listpack_value && may_pack(len, text.len(), bytes, limits) {
            let mut body = Vec::with_capacity(bytes);
            for index in 0..len {
                Item::Int(ints.get(index)).with_bytes(|text| Encoded::new(text).append_to(&mut body));
            }
            *self = Set(Small::pack(Pack::from_body(&body, len)));
        } else {
            self.make_table(&limits.hasher, 0);
        }
    }

    fn make_table(&mut self, hasher: &Hasher, more: usize) {
        let mut members = Members::new(hasher, self.len() + more.max(1));
        for item in self.iter() {
            item.with_bytes(|text| members.insert(text));
        }
        *self = Set(Small::big(Box::new(members)));
    }

    /// Gives a set of nothing but integers the form for it, if they are few enough.
    pub fn make_ints(&mut self, limits: &Limits) {
        if self.is_ints() || limits.ints_max() < self.len() {
            return;
        }
        let mut values = Vec::with_capacity(self.len());
        for item in self.iter() {
            match item {
                Item::Int(value) => values.push(value),
                Item::Bytes(text) => match parse_i64(text) {
                    Some(value) => values.push(value),
                    None => return,
                },
                Item::Shared(_) => return,
            }
        }
        values.sort_unstable();
        *self = Set(Small::pack(ints::from_sorted(&values)));
    }

    /// Removes a member; `false` if it was not there.
    #[inline]
    pub fn remove(&mut self, text: &[u8]) -> bool {
        match self.0.view_mut() {
            ViewMut::Big(members) => members.remove(text),
            ViewMut::Pack(pack) => match Ints::of(pack) {
                Some(ints) => {
                    let found = parse_i64(text).and_then(|value| ints.find(value).ok());
                    found.inspect(|index| ints::remove_at(pack, *index)).is_some()
                }
                None => {
                    let found = pack.find(text, 1);
                    found.inspect(|offset| remove_element(pack, *offset)).is_some()
                }
            },
        }
    }

    /// A member at random, each as likely as any other.
    #[inline]
    pub fn random(&self, random: &mut Random) -> Option<Item<'_>> {
        if self.is_empty() {
            return None;
        }
        let mut below = |n: usize| random.below(n as u64) as usize;
        match self.form() {
            Form::Ints(ints) => Some(Item::Int(ints.get(below(ints.len())))),
            Form::Pack(pack) => Some(pack.at(pack.offset(below(pack.count()))).0),
            Form::Table(members) => {
                members.table.random(|n| random.below(n)).map(|member| Item::Bytes(member.text()))
            }
        }
    }

    /// Takes out a member at random and hands it to `use_it`; `None` if there is none.
    #[inline]
    pub fn pop_random<R>(&mut self, random: &mut Random, use_it: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        if self.is_empty() {
            return None;
        }
        match self.0.view_mut() {
            ViewMut::Big(members) => {
                members.take_random(random).map(|member| use_it(Item::Bytes(member.text())))
            }
            ViewMut::Pack(pack) => {
                let index = random.below(Ints::of(pack).map_or(pack.count(), Ints::len) as u64) as usize;
                if let Some(ints) = Ints::of(pack) {
                    let value = ints.get(index);
                    ints::remove_at(pack, index);
                    return Some(use_it(Item::Int(value)));
                }
                let offset = pack.offset(index);
                let result = use_it(pack.at(offset).0);
                remove_element(pack, offset);
                Some(result)
            }
        }
    }

    /// The members: integers ascending, those of a pack in the order in which they came, those of a table in the order
    /// of memory.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter(match self.form() {
            Form::Ints(ints) => Walk::Ints(ints, 0),
            Form::Pack(pack) => Walk::Pack(pack.iter()),
            Form::Table(members) => Walk::Table(members.table.iter()),
        })
    }

    /// Visits some members and gives the cursor with which to go on, zero at the end; see [`Table::scan`]. A compact set
    /// is visited as a whole.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Item<'_>)) -> u64 {
        match self.form() {
            Form::Ints(_) | Form::Pack(_) => {
                self.iter().for_each(visit);
                0
            }
            Form::Table(members) => members.table.scan(cursor, |member| visit(Item::Bytes(member.text()))),
        }
    }
}

/// Whether a pack of `count` members in `bytes` may take one of `len` bytes.
fn may_pack(count: usize, len: usize, bytes: usize, limits: &Limits) -> bool {
    count < limits.listpack_entries
        && len <= limits.listpack_value
        && bytes.saturating_add(len) < PACK_BYTES_MAX
}

/// Removes the element that begins at this offset.
fn remove_element(pack: &mut Pack, offset: usize) {
    let end = pack.at(offset).1;
    pack.remove(offset..end, 1);
}

impl Collection for Set {
    fn encoding(&self) -> &'static str {
        match self.form() {
            Form::Ints(_) => "intset",
            Form::Pack(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    fn memory(&self) -> usize {
        match self.0.view() {
            View::Pack(pack) => pack.memory(),
            View::Big(members) => size_of::<Members>() + members.table.memory() + members.blocks,
        }
    }

    fn is_heavy(&self) -> bool {
        match self.0.view() {
            View::Pack(_) => false,
            View::Big(members) => HEAVY < members.table.len(),
        }
    }

    fn free_some(&mut self, units: usize) -> bool {
        match self.0.view_mut() {
            ViewMut::Pack(_) => false,
            ViewMut::Big(members) => members.table.free_some(units),
        }
    }
}

/// The members of a set.
pub struct Iter<'a>(Walk<'a>);

enum Walk<'a> {
    /// With the place of the next one.
    Ints(Ints<'a>, usize),
    Pack(pack::Iter<'a>),
    Table(table::Iter<'a, Member>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            Walk::Ints(ints, at) => {
                if *at == ints.len() {
                    return None;
                }
                *at += 1;
                Some(Item::Int(ints.get(*at - 1)))
            }
            Walk::Pack(elements) => elements.next(),
            Walk::Table(members) => members.next().map(|member| Item::Bytes(member.key())),
        }
    }
}
