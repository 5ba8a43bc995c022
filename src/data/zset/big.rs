//! A big sorted set: a table that finds members by their texts, and an order that finds them by score and place.

use std::ops::Range;

use super::member::{Link, Member};
use super::order::{self, Order};
use crate::data::table::{Element, Hasher, Table};

/// Members from which on dropping a set is done in slices.
const HEAVY_LEN: usize = 512;

/// Invariant: the order holds the links of the members in the table, with their scores, and no others.
pub(super) struct Big {
    table: Table<Member>,
    order: Order<Link>,
    hasher: Hasher,
    /// Bytes of the members' blocks.
    blocks: usize,
}

impl Big {
    pub(super) fn new(hasher: &Hasher) -> Big {
        Big { table: Table::new(), order: Order::default(), hasher: hasher.clone(), blocks: 0 }
    }

    /// Makes room for so many members.
    pub(super) fn reserve(&mut self, members: usize) {
        self.table.reserve(members);
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn score(&self, text: &[u8]) -> Option<f64> {
        Some(self.table.get(text, self.hasher.hash(text))?.score())
    }

    /// Gives a member the score that `decide` makes of the one it has. Returns both.
    pub(super) fn update(
        &mut self,
        text: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> (Option<f64>, Option<f64>) {
        let hash = self.hasher.hash(text);
        let Some(member) = self.table.get_mut(text, hash) else {
            let new = decide(None);
            if let Some(score) = new {
                self.add(hash, score, text);
            }
            return (None, new);
        };
        let old = member.score();
        let new = decide(Some(old));
        if let Some(score) = new
            && score.to_bits() != old.to_bits()
        {
            let link = member.link();
            member.set_score(score);
            if !self.order.rescore(old, text, score) {
                self.order.remove(old, text);
                self.order.insert(score, link);
            }
        }
        (Some(old), new)
    }

    fn add(&mut self, hash: u64, score: f64, text: &[u8]) {
        let member = self.table.insert(hash, Member::new(score, text), &self.hasher);
        self.blocks += member.memory();
        self.order.insert(score, member.link());
    }

    /// Adds a member that is not there.
    pub(super) fn push(&mut self, score: f64, text: &[u8]) {
        self.add(self.hasher.hash(text), score, text);
    }

    pub(super) fn remove(&mut self, text: &[u8]) -> Option<f64> {
        let hash = self.hasher.hash(text);
        let score = self.table.get(text, hash)?.score();
        self.order.remove(score, text);
        let member = self.table.remove(text, hash, &self.hasher);
        self.blocks -= member.map_or(0, |member| member.memory());
        Some(score)
    }

    /// Removes the member at this place.
    pub(super) fn remove_at(&mut self, index: usize) {
        if let Some(link) = self.order.remove_at(index) {
            let hash = self.hasher.hash(link.text());
            let member = self.table.remove_by(hash, |member| member.link() == link, &self.hasher);
            self.blocks -= member.map_or(0, |member| member.memory());
        }
    }

    /// The others, if that is less work than to remove the members of these ranks one by one.
    pub(super) fn without(&self, ranks: &Range<usize>) -> Option<Big> {
        let left = self.len() - ranks.len();
        if !self.is_heavy() || ranks.len() / 2 < left {
            return None;
        }
        let mut others = Big::new(&self.hasher);
        others.reserve(left);
        let all = self.range(0, ranks.start).chain(self.range(ranks.end, self.len()));
        all.for_each(|(score, link)| others.push(score, link.text()));
        Some(others)
    }

    pub(super) fn rank(&self, text: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(text)?;
        Some((self.order.rank(score, text), score))
    }

    /// How many members stand before; `before` holds for these and for none behind them.
    pub(super) fn partition(&self, before: impl Fn(f64, &Link) -> bool) -> usize {
        self.order.partition(before)
    }

    pub(super) fn range(&self, from: usize, to: usize) -> order::Iter<'_, Link> {
        self.order.range(from, to)
    }

    /// Visits the members of one bucket; see [`Table::scan`].
    pub(super) fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        self.table.scan(cursor, |member| visit(member.key(), member.score()))
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Big>() + self.table.memory() + self.blocks + self.order.memory()
    }

    /// The same without a walk through the order, whose leaves are about two thirds full.
    pub(super) fn rough_memory(&self) -> usize {
        size_of::<Big>() + self.table.memory() + self.blocks + self.len() * 3 * size_of::<u64>()
    }

    pub(super) fn is_heavy(&self) -> bool {
        HEAVY_LEN <= self.len()
    }

    /// Frees a slice; `true` if something is left. Nobody may ask for anything afterwards.
    pub(super) fn free_some(&mut self, units: usize) -> bool {
        let members = self.table.free_some(units);
        let leaves = self.order.free_some(units);
        members || leaves
    }
}

impl Clone for Big {
    fn clone(&self) -> Big {
        let mut copy = Big::new(&self.hasher);
        copy.reserve(self.len());
        self.range(0, self.len()).for_each(|(score, link)| copy.push(score, link.text()));
        copy
    }
}
