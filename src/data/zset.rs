//! Sorted sets: members with scores, in the order of the scores, and of their bytes where scores are equal.
//!
//! A short sorted set is one pack of members and scores in turns, in order ([`small`]); a long one is a table and an
//! order over the same members ([`big`]). Which of them it is depends on [`Limits`], as in Redis; a set that has become
//! long stays so. What a member's place is called here is its rank from the lowest, from 0 on.

mod order;
mod member;
mod range;
mod small;
mod big;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::Range;

pub use range::{LexBound, LexRange, ScoreRange};

use big::Big;
use member::Link;

use crate::data::collection::Collection;
use crate::data::element::Item;
use crate::data::pack::{Pack, Small, View, ViewMut};
use crate::data::table::Hasher;

/// How long a sorted set may be as one pack, and what finds the members of a longer one.
#[derive(Clone)]
pub struct Limits {
    /// Members of a pack (`zset-max-listpack-entries`).
    pub entries: u64,
    /// Bytes of a member of a pack (`zset-max-listpack-value`).
    pub value: u64,
    /// The hash of the keyspace.
    pub hasher: Hasher,
}

impl Limits {
    /// Whether so many members, the longest of so many bytes, make a pack.
    pub fn fit(&self, members: usize, longest: usize) -> bool {
        members as u64 <= self.entries && longest as u64 <= self.value
    }
}

/// A pack takes at most so many bytes, whatever the limits say.
const PACK_MAX: usize = 1 << 30;

/// A sorted set.
#[derive(Clone)]
pub struct Zset(Small<Big>);

impl Default for Zset {
    fn default() -> Zset {
        Zset(Small::pack(Pack::new()))
    }
}

impl Zset {
    /// The empty sorted set, in the form for so many members, the longest of so many bytes.
    pub fn for_members(members: usize, longest: usize, limits: &Limits) -> Zset {
        let mut zset = Zset::default();
        if !limits.fit(members, longest) {
            zset.make_big(0, limits);
        }
        zset
    }

    /// A sorted set of these members, each of which is there once, in whatever order.
    pub fn of<T: AsRef<[u8]>>(mut members: Vec<(f64, T)>, limits: &Limits) -> Zset {
        members.sort_unstable_by(|(a, x), (b, y)| {
            // There is no NaN, and zeros of either sign are equal.
            let by_score = a.partial_cmp(b).unwrap_or(Ordering::Equal);
            by_score.then_with(|| x.as_ref().cmp(y.as_ref()))
        });
        let longest = members.iter().map(|(_, text)| text.as_ref().len()).max().unwrap_or(0);
        let mut zset = Zset::for_members(members.len(), longest, limits);
        match zset.0.view_mut() {
            ViewMut::Pack(pack) => *pack = small::gather(&members),
            ViewMut::Big(big) => {
                big.reserve(members.len());
                members.iter().for_each(|(score, text)| big.push(*score, text.as_ref()));
            }
        }
        zset
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self.0.view() {
            View::Pack(pack) => pack.count() / 2,
            View::Big(big) => big.len(),
        }
    }

    /// Whether there is no member.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    pub fn score(&self, text: &[u8]) -> Option<f64> {
        match self.0.view() {
            View::Pack(pack) => small::score(pack, text),
            View::Big(big) => big.score(text),
        }
    }

    /// Gives a member the score that `decide` makes of the one it has; `None` leaves it, or leaves it out. Returns the
    /// score before and what was decided. The new score must not be NaN.
    pub fn update(
        &mut self,
        text: &[u8],
        limits: &Limits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> (Option<f64>, Option<f64>) {
        let pack = match self.0.view_mut() {
            ViewMut::Big(big) => return big.update(text, decide),
            ViewMut::Pack(pack) => pack,
        };
        if let Some(found) = small::find(pack, text) {
            let new = decide(Some(found.score));
            if let Some(score) = new
                && score != found.score
            {
                small::rescore(pack, &found, score, text);
            }
            return (Some(found.score), new);
        }
        let new = decide(None);
        if let Some(score) = new {
            let fits = limits.fit(pack.count() / 2 + 1, text.len()) && pack.size() + text.len() < PACK_MAX;
            match fits {
                true => small::insert(pack, score, text),
                false => self.make_big(1, limits).push(score, text),
            }
        }
        (None, new)
    }

    /// Gives a member this score. Returns the one it had.
    pub fn insert(&mut self, score: f64, text: &[u8], limits: &Limits) -> Option<f64> {
        self.update(text, limits, |_| Some(score)).0
    }

    /// Takes the form for so many members that are about to come.
    pub fn expect(&mut self, members: usize, limits: &Limits) {
        if self.0.is_pack() && limits.entries < members as u64 {
            self.make_big(members, limits);
        }
    }

    /// Takes the form of a long set, with room for so many more members.
    fn make_big(&mut self, more: usize, limits: &Limits) -> &mut Big {
        if let View::Pack(pack) = self.0.view() {
            let mut big = Big::new(&limits.hasher);
            big.reserve(pack.count() / 2 + more);
            small::pairs(pack, 0..pack.count() / 2)
                .for_each(|(item, score)| item.with_bytes(|text| big.push(score, text)));
            self.0 = Small::big(Box::new(big));
        }
        match self.0.view_mut() {
            ViewMut::Big(big) => big,
            ViewMut::Pack(_) => unreachable!("just made"),
        }
    }

    /// The same members as a pack, if they are few and short enough.
    pub fn compact(self, limits: &Limits) -> Zset {
        if self.0.is_pack() || !limits.fit(self.len(), 0) {
            return self;
        }
        let longest = self.iter().map(|(item, _)| item.len_bytes()).max().unwrap_or(0);
        if !limits.fit(self.len(), longest) {
            return self;
        }
        let members: Vec<_> = self.iter().map(|(item, score)| (score, item.to_vec())).collect();
        Zset(Small::pack(small::gather(&members)))
    }

    /// Removes a member. Returns its score if it was there.
    pub fn remove(&mut self, text: &[u8]) -> Option<f64> {
        match self.0.view_mut() {
            ViewMut::Pack(pack) => {
                let found = small::find(pack, text)?;
                pack.remove(found.bytes(), 2);
                Some(found.score)
            }
            ViewMut::Big(big) => big.remove(text),
        }
    }

    /// Removes the members of these ranks.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        match self.0.view_mut() {
            ViewMut::Pack(pack) => {
                let bytes = pack.offset(2 * ranks.start)..pack.offset(2 * ranks.end);
                pack.remove(bytes, 2 * ranks.len());
            }
            // From behind, so that the ranks of what is still to go stay the same.
            ViewMut::Big(big) => ranks.rev().for_each(|rank| big.remove_at(rank)),
        }
    }

    /// A set of the others, if it is long and most of it goes: a copy of few members is less work than the removal of
    /// many, and what is copied from can be freed in slices.
    pub fn without(&self, ranks: &Range<usize>) -> Option<Zset> {
        match self.0.view() {
            View::Pack(_) => None,
            View::Big(big) => Some(Zset(Small::big(Box::new(big.without(ranks)?)))),
        }
    }

    /// The rank of a member, and its score.
    pub fn rank(&self, text: &[u8]) -> Option<(usize, f64)> {
        match self.0.view() {
            View::Pack(pack) => {
                let needle = crate::data::element::Needle::new(text);
                small::pairs(pack, 0..pack.count() / 2)
                    .enumerate()
                    .find(|(_, (item, _))| needle.matches(*item))
                    .map(|(rank, (_, score))| (rank, score))
            }
            View::Big(big) => big.rank(text),
        }
    }

    /// The ranks of the members whose scores lie in a range.
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        let (from, to) = match self.0.view() {
            View::Pack(pack) => small::partition_by_score(pack, range),
            View::Big(big) => (
                big.partition(|score, _| !range.reaches(score)),
                big.partition(|score, _| range.within(score)),
            ),
        };
        from..to.max(from)
    }

    /// The ranks of the members whose texts lie in a range. If the scores are not all equal the texts are in no
    /// order; then it is the first run of such members, or the last one if `from_end`.
    pub fn ranks_by_lex(&self, range: &LexRange<'_>, from_end: bool) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        match self.0.view() {
            View::Pack(pack) => small::ranks_by_lex(pack, range, from_end),
            View::Big(big) => {
                let from = big.partition(|_, link| !range.reaches(link.text()));
                let to = big.partition(|_, link| range.within(link.text()));
                from..to.max(from)
            }
        }
    }

    /// The members of these ranks with their scores, from either end.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        match self.0.view() {
            View::Pack(pack) => Iter(Pairs::Small(small::pairs(pack, ranks))),
            View::Big(big) => Iter(Pairs::Big(big.range(ranks.start, ranks.end))),
        }
    }

    /// All members with their scores, in order.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len())
    }

    /// Visits some members in whatever order, and gives the cursor of the next ones; see `Table::scan`.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Item<'_>, f64)) -> u64 {
        match self.0.view() {
            View::Pack(_) => {
                self.iter().for_each(|(item, score)| visit(item, score));
                0
            }
            View::Big(big) => big.scan(cursor, |text, score| visit(Item::Bytes(text), score)),
        }
    }

    /// A sorted set of a pack of members and scores in turns, which must be in order.
    pub fn from_pack(pack: Pack) -> Zset {
        Zset(Small::pack(pack))
    }

    /// The pack of a short sorted set: members and scores in turns, in order.
    pub fn as_pack(&self) -> Option<&Pack> {
        match self.0.view() {
            View::Pack(pack) => Some(pack),
            View::Big(_) => None,
        }
    }
}

impl std::fmt::Debug for Zset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Members with their scores, in order, from either end.
pub struct Iter<'a>(Pairs<'a>);

enum Pairs<'a> {
    Small(small::Pairs<'a>),
    Big(order::Iter<'a, Link>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Item<'a>, f64)> {
        match &mut self.0 {
            Pairs::Small(pairs) => pairs.next(),
            Pairs::Big(iter) => iter.next().map(|(score, link)| (Item::Bytes(link.text()), score)),
        }
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<(Item<'a>, f64)> {
        match &mut self.0 {
            Pairs::Small(pairs) => pairs.next_back(),
            Pairs::Big(iter) => iter.next_back().map(|(score, link)| (Item::Bytes(link.text()), score)),
        }
    }
}

impl Collection for Zset {
    fn encoding(&self) -> &'static str {
        if self.0.is_pack() { "listpack" } else { "skiplist" }
    }

    fn memory(&self) -> usize {
        match self.0.view() {
            View::Pack(pack) => pack.memory(),
            View::Big(big) => big.memory(),
        }
    }

    fn rough_memory(&self) -> usize {
        match self.0.view() {
            View::Pack(pack) => pack.memory(),
            View::Big(big) => big.rough_memory(),
        }
    }

    fn is_heavy(&self) -> bool {
        match self.0.view() {
            View::Pack(_) => false,
            View::Big(big) => big.is_heavy(),
        }
    }

    fn free_some(&mut self, units: usize) -> bool {
        match self.0.view_mut() {
            ViewMut::Pack(_) => false,
            ViewMut::Big(big) => big.free_some(units),
        }
    }
}
