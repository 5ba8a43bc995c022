//! The index of keys with a deadline.
//!
//! It holds a *record* (hash of the key, deadline) for each such key, in *groups* by the period in which the
//! deadline lies. A group of level 0 covers 64 ms, one of each further level 64 times as much (4 s, 4.4 min,
//! 4.7 h, 12 d, 2.2 y …), and the further off a deadline is, the coarser its group. So a hundred groups or two
//! hold any number of keys, and what is due is found without looking at what is not.
//!
//! - A record goes to the finest level of which fewer than 128 groups reach from now to its deadline. This is
//!   at least one whole width before its group begins.
//! - During that last width the group is emptied into finer ones, a bounded number of records at a time
//!   ([`Expiry::advance`]). Nobody ever moves a whole group in one stop.
//! - A group of level 0 that has ended holds only what is due. [`Expiry::sample_due`] takes from its end, where
//!   removal makes no other record move.
//! - A coarse group that has begun without having been emptied (little time, or a clock that jumped) is gone
//!   through by `sample_due` as well: what is due is reported, what is not moves inward. So slowness of
//!   `advance` costs time, never correctness.
//! - What is overdue when it comes goes to one group of its own, which has always ended.
//!
//! The draws need no luck, and therefore no random numbers: where every record is due, any twenty of them are as
//! good as any others; where not, each is looked at once.
//!
//! Dates are compared with the periods of groups, never counted on from an earlier date. Thus there is no
//! "current slot" that a clock jumping forward would have to walk after or that one jumping backward would
//! overtake: a group begins when the clock says so, as often as it says so. The price is an ordered map for each
//! level instead of a ring; it is some dozens of keys big.
//!
//! Entries are unknown here. An entry keeps the [`Ticket`] of its record, so removal is O(1), and the owner is
//! told with [`Moved`] whenever a record lies elsewhere.
//!
//! Not chosen: a heap (each move inside it would be a table look-up, and there are log n of them a removal) and
//! Redis's plain sampling (which hardly ever draws the few due keys among millions of far ones).

mod group;

use std::collections::BTreeMap;
use std::ops::Bound::Excluded;

use self::group::{Groups, Period, Record};
pub use self::group::{Moved, Ticket};
use crate::base::date::UnixMs;

/// Bits of the finest width, 64 ms, and bits that each further level adds.
const LEVEL_BITS: u32 = 6;

/// Enough for the coarsest groups, 2^60 ms wide, to cover every date in 16 of them.
const LEVELS: usize = 10;

/// The group of what was overdue when it came.
const OVERDUE: Period = Period { level: 0, start: i64::MIN };

/// Bytes that a key with a deadline takes in the index.
pub const RECORD_BYTES: usize = size_of::<Record>();

/// Records that one sample holds.
pub const SAMPLE_MAX: usize = 20;

/// Records that one call of [`Expiry::sample_due`] looks at.
const LOOK_MAX: usize = 2 * SAMPLE_MAX;

/// Records of one group among which [`Expiry::soonest`] chooses.
const SOONEST_LOOK_MAX: usize = 16;

/// A record as the index tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Where it lies: the ticket that the entry of the key keeps.
    pub ticket: Ticket,
    /// The hash of the key.
    pub hash: u64,
    /// When the key falls due.
    pub deadline: UnixMs,
}

/// What [`Expiry::sample_due`] found; made once and filled again and again.
#[derive(Default)]
pub struct Sample {
    due: [Option<Held>; SAMPLE_MAX],
    len: usize,
}

impl Sample {
    /// The records found due. Removing them *in this order* keeps the tickets of those still to come valid.
    pub fn iter(&self) -> impl Iterator<Item = Held> + '_ {
        self.due[..self.len].iter().flatten().copied()
    }

    /// How many there are, at most [`SAMPLE_MAX`].
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was found due.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn push(&mut self, held: Held) {
        self.due[self.len] = Some(held);
        self.len += 1;
    }
}

/// The index of the keys with a deadline of one database. An empty one takes no heap.
#[derive(Default)]
pub struct Expiry {
    groups: Groups,
    /// Of each level the numbers of its groups, by the date at which they begin.
    ///
    /// Invariant: a group is in here exactly while it holds a record, and no record of it has a deadline before
    /// its start or, except in [`OVERDUE`], after its end.
    levels: [BTreeMap<i64, u32>; LEVELS],
    len: usize,
    /// Of all records, for their average.
    deadline_sum: i128,
}

impl Expiry {
    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes up a key. Its entry must keep the ticket.
    pub fn add(&mut self, hash: u64, deadline: UnixMs, now: UnixMs) -> Ticket {
        self.len += 1;
        self.deadline_sum += i128::from(deadline.0);
        self.put(Record { hash, deadline }, now)
    }

    /// Forgets a key. `moved` is called if another record fills the gap.
    pub fn remove(&mut self, ticket: Ticket, moved: impl FnOnce(Moved)) {
        let Some((record, filler)) = self.take(ticket) else {
            debug_assert!(false, "no record has {ticket:?}");
            return;
        };
        self.len -= 1;
        self.deadline_sum -= i128::from(record.deadline.0);
        if let Some(filler) = filler {
            moved(filler);
        }
    }

    /// Gives a key another deadline and returns its ticket from now on. As long as the deadline stays in the
    /// period of its group this only writes the record; else `moved` is called if another record fills the gap.
    pub fn change(
        &mut self,
        ticket: Ticket,
        hash: u64,
        deadline: UnixMs,
        now: UnixMs,
        moved: impl FnOnce(Moved),
    ) -> Ticket {
        if let Some(group) = self.groups.get_mut(ticket.group())
            && ticket.position() < group.len()
            && (covers(group.period, deadline) || group.period == period_of(deadline, now))
        {
            let record = group.get_mut(ticket.position());
            debug_assert_eq!(record.hash, hash, "{ticket:?} is another key's");
            self.deadline_sum += i128::from(deadline.0) - i128::from(record.deadline.0);
            record.deadline = deadline;
            return ticket;
        }
        self.remove(ticket, moved);
        self.add(hash, deadline, now)
    }

    /// What a ticket stands for; `None` if no record has it.
    pub fn get(&self, ticket: Ticket) -> Option<Held> {
        let group = self.groups.get(ticket.group())?;
        let position = ticket.position();
        if group.len() <= position {
            return None;
        }
        let Record { hash, deadline } = group.get(position);
        Some(Held { ticket, hash, deadline })
    }

    /// Fills `sample` with up to 20 records whose deadline is not after `now`, for the caller to remove in the
    /// order of the sample. Records of coarse groups that turn out not to be due move inward on the way.
    ///
    /// `true` asks to be called again as soon as there is time, even if the sample is empty: there are groups that
    /// have ended or are to be gone through, or more than a quarter of those just looked at was due. If the
    /// caller removes what is found, this turns `false` after finitely many calls.
    pub fn sample_due(&mut self, now: UnixMs, sample: &mut Sample, mut moved: impl FnMut(Moved)) -> bool {
        sample.len = 0;
        match self.first_to_go_through(now) {
            Some(id) => {
                self.go_through(id, now, sample, &mut moved);
                true
            }
            None => self.look_at_current(now, sample),
        }
    }

    /// Moves up to `records` records inward, out of coarse groups that begin within their own width. The most
    /// urgent go first. `true` if there is more to do.
    pub fn advance(&mut self, now: UnixMs, records: usize, mut moved: impl FnMut(Moved)) -> bool {
        let mut left = records;
        while let Some(id) = self.first_to_empty(now) {
            while let Some(group) = self.groups.get(id) {
                if left == 0 {
                    return true;
                }
                left -= 1;
                self.move_last(id, group.len() - 1, now, &mut moved);
            }
        }
        false
    }

    /// A date before which [`Expiry::sample_due`] finds nothing: when the first group begins.
    pub fn next_due(&self) -> Option<UnixMs> {
        self.first_groups().map(|(period, _)| UnixMs(period.start)).min()
    }

    /// Any record, each with the same chance. `below(n)` draws a number less than `n`.
    pub fn random(&self, mut below: impl FnMut(u64) -> u64) -> Option<Held> {
        if self.is_empty() {
            return None;
        }
        self.groups.nth(below(self.len as u64) as usize).and_then(|ticket| self.get(ticket))
    }

    /// A record that falls due as soon as hardly any other: the soonest of a few from the first group of each
    /// level. `below(n)` draws a number less than `n`.
    pub fn soonest(&self, mut below: impl FnMut(u64) -> u64) -> Option<Held> {
        let candidates = self.first_groups().flat_map(|(_, id)| {
            let len = self.groups.get(id).map_or(0, |group| group.len());
            let spare = len.saturating_sub(SOONEST_LOOK_MAX);
            let start = below(spare as u64 + 1) as usize;
            (start..len.min(start + SOONEST_LOOK_MAX)).map(move |position| Ticket::new(id, position))
        });
        candidates.filter_map(|ticket| self.get(ticket)).min_by_key(|held| held.deadline)
    }

    /// The average time left, in milliseconds; 0 without keys, negative if most are overdue.
    pub fn average_ttl_ms(&self, now: UnixMs) -> i64 {
        if self.is_empty() {
            return 0;
        }
        let average = self.deadline_sum / self.len as i128 - i128::from(now.0);
        average.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Bytes of heap, the nodes of the ordered maps estimated. Walks over the groups.
    pub fn memory(&self) -> usize {
        let nodes: usize = self.levels.iter().map(|level| level.len() * 2 * size_of::<(i64, u32)>()).sum();
        nodes + self.groups.memory()
    }

    /// Forgets all keys and frees everything at once. For a big index see [`Expiry::free_some`].
    pub fn clear(&mut self) {
        *self = Expiry::default();
    }

    /// Frees about `records` records of an index that is no longer wanted; `true` if some are left. All tickets
    /// are void from the first call on, and nothing may be added until it has returned `false`.
    pub fn free_some(&mut self, records: usize) -> bool {
        let more = self.groups.free_some(records);
        if more {
            self.levels.iter_mut().for_each(BTreeMap::clear);
            self.len = 0;
            self.deadline_sum = 0;
        } else {
            self.clear();
        }
        more
    }

    /// Stores a record in the group where it belongs, which is opened if need be.
    fn put(&mut self, record: Record, now: UnixMs) -> Ticket {
        let period = period_of(record.deadline, now);
        let groups = &mut self.groups;
        let id = *self.levels[period.level].entry(period.start).or_insert_with(|| groups.open(period) as u32);
        self.groups.push(id as usize, record)
    }

    /// Takes a record out, and its group off the map if it was the last one in it.
    fn take(&mut self, ticket: Ticket) -> Option<(Record, Option<Moved>)> {
        let (record, filler, emptied) = self.groups.take(ticket)?;
        if let Some(period) = emptied {
            self.levels[period.level].remove(&period.start);
        }
        Some((record, filler))
    }

    /// Moves the last record of a group, at `position`, to where it belongs now.
    fn move_last(&mut self, id: usize, position: usize, now: UnixMs, moved: &mut impl FnMut(Moved)) {
        let from = Ticket::new(id, position);
        let Some(Held { hash, deadline, .. }) = self.get(from) else {
            return;
        };
        // Stored before it is taken, so that the number of a group that becomes empty is not given to the next
        // one while callers still hold it.
        let to = self.put(Record { hash, deadline }, now);
        let taken = self.take(from);
        debug_assert!(matches!(taken, Some((_, None))), "the last record leaves no gap");
        moved(Moved { hash, from, to });
    }

    /// Of each level the group that begins first, coarse levels first.
    fn first_groups(&self) -> impl Iterator<Item = (Period, usize)> + '_ {
        self.levels.iter().enumerate().rev().filter_map(|(level, groups)| {
            let (&start, &id) = groups.first_key_value()?;
            Some((Period { level, start }, id as usize))
        })
    }

    /// The group to be gone through next: one that has ended (all levels), else a coarse one that has begun.
    fn first_to_go_through(&self, now: UnixMs) -> Option<usize> {
        let ended = |period: Period| last(period) < now.0;
        let coarse_begun = |period: Period| 0 < period.level && period.start <= now.0;
        self.first_groups()
            .filter(|&(period, _)| ended(period) || coarse_begun(period))
            .min_by_key(|&(period, _)| last(period))
            .map(|(_, id)| id)
    }

    /// Goes through a group from its end. It stops at what is not due once the sample holds something: to move
    /// that away would change the tickets of those in the sample.
    fn go_through(&mut self, id: usize, now: UnixMs, sample: &mut Sample, moved: &mut impl FnMut(Moved)) {
        for _ in 0..LOOK_MAX {
            let len = self.groups.get(id).map_or(0, |group| group.len());
            if len <= sample.len || sample.len == SAMPLE_MAX {
                return;
            }
            let position = len - 1 - sample.len;
            match self.get(Ticket::new(id, position)) {
                Some(held) if held.deadline <= now => sample.push(held),
                Some(_) if sample.is_empty() => self.move_last(id, position, now, moved),
                _ => return,
            }
        }
    }

    /// Looks at the end of the 64 ms that are just passing, so that a few lonely keys need not wait for the end of
    /// them. Whoever is not due stays: the group ends before the next tick anyway.
    fn look_at_current(&self, now: UnixMs, sample: &mut Sample) -> bool {
        let Some((_, &id)) = self.levels[0].first_key_value().filter(|(start, _)| **start <= now.0) else {
            return false;
        };
        let id = id as usize;
        let len = self.groups.get(id).map_or(0, |group| group.len());
        let looked_at = len.min(SAMPLE_MAX);
        for position in (len - looked_at..len).rev() {
            if let Some(held) = self.get(Ticket::new(id, position)).filter(|held| held.deadline <= now) {
                sample.push(held);
            }
        }
        looked_at < sample.len * 4
    }

    /// The coarse group to be emptied next: the one that begins first, of several the coarsest, since its records
    /// have the longest way. Groups that have ended are left to [`Expiry::sample_due`].
    fn first_to_empty(&self, now: UnixMs) -> Option<usize> {
        let of_level = |level: usize| {
            let width = width(level);
            let from = now.0.saturating_sub(width);
            let until = now.0.saturating_add(width);
            self.levels[level].range((Excluded(from), Excluded(until))).next()
        };
        (1..LEVELS).rev().filter_map(of_level).min_by_key(|(start, _)| **start).map(|(_, &id)| id as usize)
    }
}

/// Milliseconds that a group of this level covers.
fn width(level: usize) -> i64 {
    1 << (LEVEL_BITS * (level as u32 + 1))
}

/// The last millisecond of a period. Not the first after it, which the last period of all does not have.
fn last(period: Period) -> i64 {
    period.start + (width(period.level) - 1)
}

fn covers(period: Period, deadline: UnixMs) -> bool {
    period.start <= deadline.0 && deadline.0 <= last(period)
}

/// Where a deadline belongs: to the finest level of which it is less than 128 widths away.
///
/// Twice the 64 of a wheel, so that a record that is 1 to 2 widths away is not put into a group which `advance`
/// would have to empty at once.
fn period_of(deadline: UnixMs, now: UnixMs) -> Period {
    let distance = deadline.0.saturating_sub(now.0);
    if distance <= 0 {
        return OVERDUE;
    }
    let level = distance.ilog2().div_ceil(LEVEL_BITS).saturating_sub(2) as usize;
    Period { level, start: deadline.0 & -width(level) }
}

#[cfg(test)]
mod tests;
