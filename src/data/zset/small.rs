//! A short sorted set: one pack of members and scores in turns, in order.
//!
//! A score is the integer it is, or the text in which replies print it; a negative zero becomes zero, as in Redis.

use std::cmp::Ordering;
use std::ops::Range;

use super::range::{LexRange, ScoreRange};
use crate::base::double::{integer, push_double};
use crate::base::number::parse_f64;
use crate::data::element::{Encoded, Item};
use crate::data::pack::{self, Pack};

/// The longest text of a score is 24 bytes.
const SCORE_TEXT_MAX: usize = 32;

/// The number that an element stands for.
#[inline]
fn number(item: Item<'_>) -> f64 {
    match item {
        Item::Int(number) => number as f64,
        Item::Bytes(text) => parse_f64(text).unwrap_or(0.0),
        Item::Shared(text) => parse_f64(text).unwrap_or(0.0),
    }
}

/// Hands over the text of a score.
#[inline]
fn with_text<R>(score: f64, f: impl FnOnce(&[u8]) -> R) -> R {
    match integer(score) {
        Some(number) => f(itoa::Buffer::new().format(number).as_bytes()),
        None => {
            let mut text = Vec::with_capacity(SCORE_TEXT_MAX);
            push_double(&mut text, score);
            f(&text)
        }
    }
}

/// A pack of members that are in order.
pub(super) fn gather<T: AsRef<[u8]>>(members: &[(f64, T)]) -> Pack {
    let mut body = Vec::new();
    for (score, text) in members {
        Encoded::new(text.as_ref()).append_to(&mut body);
        with_text(*score, |score| Encoded::new(score).append_to(&mut body));
    }
    if body.is_empty() { Pack::new() } else { Pack::from_body(&body, 2 * members.len()) }
}

/// Members with their scores, from either end.
pub(super) struct Pairs<'a>(pack::Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Item<'a>, f64)> {
        let member = self.0.next()?;
        Some((member, number(self.0.next()?)))
    }
}

impl<'a> DoubleEndedIterator for Pairs<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<(Item<'a>, f64)> {
        let score = number(self.0.next_back()?);
        Some((self.0.next_back()?, score))
    }
}

/// The members of these ranks.
pub(super) fn pairs(pack: &Pack, ranks: Range<usize>) -> Pairs<'_> {
    let all = pack.count() / 2;
    let (from, to) = (ranks.start.min(all), ranks.end.min(all));
    let from = if from == 0 { 0 } else { pack.offset(2 * from) };
    let to = if to == all { pack.body().len() } else { pack.offset(2 * to) };
    Pairs(pack.iter_between(from..to.max(from)))
}

/// A member and where it is.
pub(super) struct Found {
    /// Where the member, its score, and what follows them begin.
    offsets: [usize; 3],
    pub(super) score: f64,
}

impl Found {
    /// The bytes of the member and its score.
    pub(super) fn bytes(&self) -> Range<usize> {
        self.offsets[0]..self.offsets[2]
    }
}

pub(super) fn find(pack: &Pack, text: &[u8]) -> Option<Found> {
    let start = pack.find(text, 2)?;
    let middle = pack.at(start).1;
    let (score, end) = pack.at(middle);
    Some(Found { offsets: [start, middle, end], score: number(score) })
}

pub(super) fn score(pack: &Pack, text: &[u8]) -> Option<f64> {
    find(pack, text).map(|found| found.score)
}

/// How a member of the pack stands to another one.
fn compare(member: (Item<'_>, f64), score: f64, text: &[u8]) -> Ordering {
    let by_score = member.1.partial_cmp(&score).unwrap_or(Ordering::Equal);
    by_score.then_with(|| member.0.with_bytes(|other| other.cmp(text)))
}

/// Adds a member that is not there.
pub(super) fn insert(pack: &mut Pack, score: f64, text: &[u8]) {
    let mut pairs = pairs(pack, 0..usize::MAX);
    let mut at = pack.body().len();
    loop {
        let offset = pairs.0.offset();
        match pairs.next() {
            None => break,
            Some(pair) if compare(pair, score, text) == Ordering::Less => {}
            Some(_) => {
                at = offset;
                break;
            }
        }
    }
    with_text(score, |score| pack.splice(at..at, 0, [text, score]));
}

/// Gives a member another score.
pub(super) fn rescore(pack: &mut Pack, found: &Found, score: f64, text: &[u8]) {
    let [start, middle, end] = found.offsets;
    let before = pack.iter_between(0..start);
    let follows = Pairs(before).next_back().is_none_or(|pair| compare(pair, score, text) == Ordering::Less);
    let after = pack.iter_between(end..pack.body().len());
    let leads = Pairs(after).next().is_none_or(|pair| compare(pair, score, text) == Ordering::Greater);
    if follows && leads {
        with_text(score, |score| pack.splice(middle..end, 1, [score]));
    } else {
        pack.remove(start..end, 2);
        insert(pack, score, text);
    }
}

/// How many members are below a range, and how many are not above it.
pub(super) fn partition_by_score(pack: &Pack, range: &ScoreRange) -> (usize, usize) {
    let (mut below, mut within) = (0, 0);
    for (_, score) in pairs(pack, 0..usize::MAX) {
        below += usize::from(!range.reaches(score));
        if !range.within(score) {
            break;
        }
        within += 1;
    }
    (below, within)
}

/// The ranks of members whose texts lie in a range, found step by step from one end, so that even members whose
/// scores differ, and whose texts hence are in no order, give what they give in Redis.
pub(super) fn ranks_by_lex(pack: &Pack, range: &LexRange<'_>, from_end: bool) -> Range<usize> {
    let reaches = |item: Item<'_>| item.with_bytes(|text| range.reaches(text));
    let within = |item: Item<'_>| item.with_bytes(|text| range.within(text));
    let all = || pairs(pack, 0..usize::MAX).map(|(item, _)| item);
    let (Some(first), Some(last)) = (all().next(), all().next_back()) else { return 0..0 };
    if !reaches(last) || !within(first) {
        return 0..0;
    }
    if from_end {
        let skipped = all().rev().take_while(|item| !within(*item)).count();
        let taken = all().rev().skip(skipped).take_while(|item| reaches(*item)).count();
        let end = pack.count() / 2 - skipped;
        return end - taken..end;
    }
    let skipped = all().take_while(|item| !reaches(*item)).count();
    let taken = all().skip(skipped).take_while(|item| within(*item)).count();
    skipped..skipped + taken
}
