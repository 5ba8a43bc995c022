//! The index beside a plain map of deadlines, and the promises of its head in numbers.

use std::collections::HashMap;

use super::*;

/// A small generator of random numbers, for draws that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % n
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    deadline: UnixMs,
    ticket: Ticket,
}

/// What the key space is to the index: entries by hash, several of which may have the same.
#[derive(Default)]
struct Owner {
    index: Expiry,
    entries: HashMap<u64, Vec<Entry>>,
}

fn hash_of(key: u64) -> u64 {
    key / 3
}

fn follow(entries: &mut HashMap<u64, Vec<Entry>>, moved: Moved) {
    let same_hash = entries.get_mut(&moved.hash).expect("a moved record has an entry");
    let mut found = same_hash.iter_mut().filter(|entry| entry.ticket == moved.from);
    found.next().expect("one entry has the ticket").ticket = moved.to;
    assert!(found.next().is_none(), "two entries have {:?}", moved.from);
}

impl Owner {
    fn set(&mut self, key: u64, deadline: UnixMs, now: UnixMs) {
        let hash = hash_of(key);
        let place = self.entries.entry(hash).or_default().iter().position(|entry| entry.key == key);
        if let Some(place) = place {
            let old = self.entries.get_mut(&hash).unwrap().swap_remove(place);
            let entries = &mut self.entries;
            let ticket = self.index.change(old.ticket, hash, deadline, now, |moved| follow(entries, moved));
            self.entries.get_mut(&hash).unwrap().push(Entry { key, deadline, ticket });
        } else {
            let ticket = self.index.add(hash, deadline, now);
            self.entries.get_mut(&hash).unwrap().push(Entry { key, deadline, ticket });
        }
    }

    fn delete(&mut self, key: u64) {
        let same_hash = self.entries.entry(hash_of(key)).or_default();
        if let Some(place) = same_hash.iter().position(|entry| entry.key == key) {
            let old = same_hash.swap_remove(place);
            let entries = &mut self.entries;
            self.index.remove(old.ticket, |moved| follow(entries, moved));
        }
    }

    fn advance(&mut self, now: UnixMs, records: usize) -> bool {
        let entries = &mut self.entries;
        let mut steps = 0;
        let more = self.index.advance(now, records, |moved| {
            steps += 1;
            follow(entries, moved);
        });
        assert!(steps <= records);
        more
    }

    /// Expires samples until the index wants no more or `calls` are used up; returns how many keys went.
    fn expire(&mut self, now: UnixMs, calls: usize) -> usize {
        let mut sample = Sample::default();
        let mut expired = 0;
        for _ in 0..calls {
            let entries = &mut self.entries;
            let more = self.index.sample_due(now, &mut sample, |moved| follow(entries, moved));
            for held in sample.iter() {
                assert!(held.deadline <= now);
                let same_hash = &self.entries[&held.hash];
                let entry = same_hash.iter().find(|entry| entry.ticket == held.ticket).copied();
                let entry = entry.expect("the tickets of a sample stay valid in its order");
                assert_eq!(entry.deadline, held.deadline);
                self.delete(entry.key);
                expired += 1;
            }
            if !more {
                break;
            }
        }
        expired
    }

    /// Panics unless index and entries tell the same.
    fn check(&self) {
        let entries = || self.entries.iter().flat_map(|(&hash, same)| same.iter().map(move |e| (hash, e)));
        for (hash, &Entry { deadline, ticket, .. }) in entries() {
            assert_eq!(self.index.get(ticket), Some(Held { ticket, hash, deadline }));
            let period = self.index.groups.get(ticket.group()).unwrap().period;
            assert!(period == OVERDUE || covers(period, deadline), "{deadline:?} is not in {period:?}");
            let mapped = self.index.levels[period.level].get(&period.start);
            assert_eq!(mapped, Some(&(ticket.group() as u32)));
        }
        assert_eq!(self.index.len(), entries().count());
        assert_eq!(self.index.len(), self.index.groups.check());
        let sum: i128 = entries().map(|(_, entry)| i128::from(entry.deadline.0)).sum();
        assert_eq!(self.index.deadline_sum, sum);
    }

    fn soonest(&self) -> Option<UnixMs> {
        self.entries.values().flatten().map(|entry| entry.deadline).min()
    }
}

/// A distance in time of any order of magnitude, mostly short, both ways.
fn any_distance(dice: &mut Dice) -> i64 {
    let bits = [6, 8, 10, 12, 14, 16, 20, 26, 32, 38, 44][dice.below(11) as usize];
    let distance = dice.below(1 << bits) as i64;
    if dice.below(8) == 0 { -distance } else { distance }
}

#[test]
fn agrees_with_a_plain_map_whatever_the_clock_does() {
    for seed in 0..24 {
        let mut dice = Dice(seed);
        let mut owner = Owner::default();
        let mut now = UnixMs(1_700_000_000_000);
        let keys = [30, 400, 5_000][seed as usize % 3];
        for _ in 0..300 {
            for _ in 0..dice.below(keys / 10) {
                let key = dice.below(keys);
                match dice.below(4) {
                    0 => owner.delete(key),
                    // Many keys with one deadline make groups of several chunks.
                    1 => owner.set(key, UnixMs(1_700_000_100_000), now),
                    _ => owner.set(key, UnixMs(now.0 + any_distance(&mut dice)), now),
                }
            }
            match dice.below(30) {
                0 => now.0 += any_distance(&mut dice),
                1 => now.0 -= any_distance(&mut dice),
                _ => now.0 += 100,
            }
            owner.advance(now, dice.below(20) as usize);
            match dice.below(3) {
                0 => drop(owner.expire(now, 1 + dice.below(4) as usize)),
                _ => drop(owner.expire(now, usize::MAX)),
            }
            if dice.below(3) == 0 {
                owner.expire(now, usize::MAX);
                let soonest = owner.soonest();
                assert!(
                    soonest.is_none_or(|s| now.0 < s.0 + width(0)),
                    "{soonest:?} is still here at {now:?}"
                );
            }
            if let (Some(begin), Some(soonest)) = (owner.index.next_due(), owner.soonest()) {
                assert!(begin <= soonest);
            }
        }
        owner.check();
        now.0 += 1 << 50;
        while owner.advance(now, 100) {}
        owner.expire(now, usize::MAX);
        assert_eq!(owner.index.len(), 0);
        owner.check();
    }
}

#[test]
fn checks_hold_after_every_single_step() {
    let mut dice = Dice(7);
    let mut owner = Owner::default();
    let mut now = UnixMs(0);
    for _ in 0..4_000 {
        let key = dice.below(60);
        match dice.below(6) {
            0 => owner.delete(key),
            1 => now.0 += any_distance(&mut dice),
            2 => drop(owner.advance(now, 1)),
            3 => drop(owner.expire(now, 1)),
            _ => owner.set(key, UnixMs(now.0 + any_distance(&mut dice)), now),
        }
        owner.check();
    }
}

#[test]
fn dates_at_the_ends_of_the_range_are_taken() {
    let dates = [i64::MIN, i64::MIN + 1, -1, 0, 1, 1 << 62, i64::MAX - 1, i64::MAX];
    let mut owner = Owner::default();
    for (key, &deadline) in dates.iter().enumerate() {
        for &now in &dates {
            owner.set(key as u64, UnixMs(deadline), UnixMs(now));
            owner.advance(UnixMs(now), 3);
            owner.check();
        }
    }
    for &now in &dates {
        while owner.advance(UnixMs(now), 3) {}
        // Bounded: at the very ends of the range the periods are cut off, so "no more" may never be said.
        owner.expire(UnixMs(now), 100);
        owner.check();
    }
}

#[test]
fn finer_periods_are_for_nearer_deadlines() {
    let now = UnixMs(1 << 41);
    let table = [
        (0, OVERDUE),
        (-5, OVERDUE),
        (1, Period { level: 0, start: 0 }),
        (64, Period { level: 0, start: 64 }),
        (8_191, Period { level: 0, start: 8_128 }),
        (8_192, Period { level: 1, start: 8_192 }),
        (60_000, Period { level: 1, start: 57_344 }),
        (3_600_000, Period { level: 2, start: 3_407_872 }),
        (86_400_000, Period { level: 3, start: 83_886_080 }),
    ];
    for (distance, expected) in table {
        let found = period_of(UnixMs(now.0 + distance), now);
        let start = if expected == OVERDUE { OVERDUE.start } else { now.0 + expected.start };
        assert_eq!(found, Period { level: expected.level, start }, "{distance} ms away");
    }
}

#[test]
fn nothing_is_to_be_advanced_right_after_it_was_added() {
    let mut dice = Dice(1);
    for _ in 0..10_000 {
        let now = UnixMs(dice.below(1 << 41) as i64);
        let mut index = Expiry::default();
        index.add(1, UnixMs(now.0 + any_distance(&mut dice)), now);
        assert!(!index.advance(now, 0, |_| panic!("0 records are allowed")));
    }
}

/// An owner whose hashes are the numbers of its tickets; quick enough for a million keys.
fn follow_number(tickets: &mut [Ticket], moved: Moved) {
    assert_eq!(tickets[moved.hash as usize], moved.from);
    tickets[moved.hash as usize] = moved.to;
}

#[test]
fn the_few_that_fall_due_are_found_in_200_ms_beside_a_million_that_do_not() {
    let (few, many) = (500, 1_000_000);
    let start = UnixMs(1_700_000_000_017);
    let mut dice = Dice(3);
    let mut index = Expiry::default();
    let mut tickets = Vec::new();
    for number in 0..few + many {
        let distance = if number < few { 1 + dice.below(5_000) } else { 3_600_000 + dice.below(60_000) };
        tickets.push(index.add(number, UnixMs(start.0 + distance as i64), start));
    }
    let mut sample = Sample::default();
    let mut calls = 0;
    for tick in 1..=52 {
        let now = UnixMs(start.0 + tick * 100);
        index.advance(now, 1_000, |moved| follow_number(&mut tickets, moved));
        loop {
            calls += 1;
            let more = index.sample_due(now, &mut sample, |moved| follow_number(&mut tickets, moved));
            for held in sample.iter() {
                assert!(now.0 - held.deadline.0 < 200, "{} ms late", now.0 - held.deadline.0);
                assert_eq!(tickets[held.hash as usize], held.ticket);
                index.remove(held.ticket, |moved| follow_number(&mut tickets, moved));
            }
            if !more {
                break;
            }
        }
    }
    assert_eq!(index.len() as u64, many);
    assert!(calls < 300, "{calls} calls for {few} keys");
}

#[test]
fn a_million_at_one_instant_drain_without_moving_anything() {
    let many = 1_000_000;
    let start = UnixMs(1_700_000_000_000);
    let due = UnixMs(start.0 + 5_000);
    let mut index = Expiry::default();
    for number in 0..many {
        index.add(number, due, start);
    }
    assert_eq!(index.average_ttl_ms(start), 5_000);
    let full = index.memory();
    assert!(full < many as usize * 17);
    let now = UnixMs(due.0 + 64);
    let mut sample = Sample::default();
    let mut calls = 0;
    while index.sample_due(now, &mut sample, |_| panic!("all are due")) {
        calls += 1;
        for held in sample.iter() {
            index.remove(held.ticket, |_| panic!("each is the last"));
        }
    }
    assert_eq!(index.len(), 0);
    assert_eq!(calls, many / SAMPLE_MAX as u64);
    assert!(index.memory() < 1_000, "{} bytes are kept", index.memory());
}

#[test]
fn a_year_forward_and_back_is_one_look_a_group() {
    let start = UnixMs(1_700_000_000_000);
    let year = UnixMs(start.0 + 365 * 86_400_000);
    let mut owner = Owner::default();
    for key in 0..1_000 {
        owner.set(key, UnixMs(start.0 + 1_000 + key as i64 * 1_000), start);
    }
    // Back: what is overdue in a year is put aside as such, and found not to be due after the clock is put right.
    for key in 1_000..1_100 {
        owner.set(key, UnixMs(start.0 + 3_600_000), year);
    }
    assert_eq!(owner.expire(start, 100), 0);
    owner.check();
    assert_eq!(owner.expire(UnixMs(start.0 + 500_100), 200), 500);
    assert!(!owner.advance(year, 0), "groups that have ended need not be emptied");
    assert_eq!(owner.expire(year, 300), 600);
    owner.check();
}

#[test]
fn a_coarse_group_is_empty_before_it_begins() {
    let start = UnixMs(1_700_000_000_000);
    let mut owner = Owner::default();
    for key in 0..3_000 {
        owner.set(key, UnixMs(start.0 + 3_600_000 + key as i64), start);
    }
    for tick in 0..35_999 {
        let now = UnixMs(start.0 + tick * 100);
        owner.advance(now, 100);
        let coarse_begun = owner.index.first_groups().any(|(p, _)| 0 < p.level && p.start <= now.0);
        assert!(!coarse_begun, "tick {tick}");
    }
    owner.check();
    assert_eq!(owner.expire(UnixMs(start.0 + 3_600_000 + 3_100), 1_000), 3_000);
}

#[test]
fn random_draws_every_record_alike() {
    let start = UnixMs(0);
    let mut index = Expiry::default();
    for number in 0..64 {
        // Groups of 1, 2, 4 … records.
        index.add(number, UnixMs(1_000 << (2 * (64 - number).ilog2())), start);
    }
    let mut dice = Dice(5);
    let mut drawn = [0; 64];
    for _ in 0..64_000 {
        drawn[index.random(|n| dice.below(n)).unwrap().hash as usize] += 1;
    }
    assert!(drawn.iter().all(|&times| (800..1_200).contains(&times)), "{drawn:?}");
    assert_eq!(Expiry::default().random(|_| 0), None);
}

#[test]
fn soonest_finds_the_near_among_the_far() {
    let start = UnixMs(0);
    let mut dice = Dice(6);
    let mut index = Expiry::default();
    assert_eq!(index.soonest(|_| 0), None);
    for number in 0..10_000 {
        index.add(number, UnixMs(100_000 + dice.below(10_000_000) as i64), start);
    }
    for near in [90_000, 30_000, 500] {
        index.add(10_000, UnixMs(near), start);
        assert_eq!(index.soonest(|n| dice.below(n)).unwrap().deadline, UnixMs(near));
    }
}

#[test]
fn a_deadline_that_stays_in_its_period_changes_in_place() {
    let start = UnixMs(0);
    let mut index = Expiry::default();
    let ticket = index.add(1, UnixMs(60_000), start);
    index.add(2, UnixMs(60_000), start);
    let same = index.change(ticket, 1, UnixMs(61_000), UnixMs(900), |_| panic!("nothing moves"));
    assert_eq!(same, ticket);
    assert_eq!(index.average_ttl_ms(start), 60_500);
    let mut filled = None;
    let other = index.change(ticket, 1, UnixMs(70_000), UnixMs(900), |moved| filled = Some(moved));
    assert_ne!(other, ticket);
    assert_eq!(filled.map(|moved| (moved.hash, moved.to)), Some((2, ticket)));
    assert_eq!(Ticket::from_bits(other.to_bits()), other);
    assert_eq!(size_of::<Ticket>(), 8);
}

#[test]
fn memory_is_taken_as_needed_and_given_back() {
    let start = UnixMs(0);
    let mut index = Expiry::default();
    assert_eq!(index.memory(), 0);
    for number in 0..100 {
        index.add(number, UnixMs(64 * number as i64 + 1), start);
    }
    assert!(index.memory() < 100 * 300, "{} bytes for 100 groups of one", index.memory());
    let tickets: Vec<Ticket> = (0..50_000).map(|n| index.add(n, UnixMs(1 << 40), start)).collect();
    let full = index.memory();
    for ticket in tickets[1_000..].iter().rev() {
        index.remove(*ticket, |_| panic!("each is the last"));
    }
    assert!(index.memory() < full / 10);
    let mut calls = 1;
    while index.free_some(100) {
        assert_eq!(index.len(), 0);
        calls += 1;
    }
    assert!((3..=101).contains(&calls), "{calls}");
    assert_eq!(index.memory(), 0);
}
