//! The table against `std`'s maps, at every stage of growing and shrinking.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use super::*;

thread_local! {
    /// Items alive: every test ends with none.
    static ALIVE: Cell<isize> = const { Cell::new(0) };
}

struct Content {
    key: Vec<u8>,
    value: u64,
}

/// A small element: a box of key and value.
struct Item(Box<Content>);

impl Item {
    fn new(key: u64, value: u64) -> Item {
        ALIVE.set(ALIVE.get() + 1);
        Item(Box::new(Content { key: name(key), value }))
    }

    fn number(&self) -> u64 {
        std::str::from_utf8(&self.0.key[4..]).unwrap().parse().unwrap()
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

impl Element for Item {
    fn key(&self) -> &[u8] {
        &self.0.key
    }

    fn address(&self) -> *const u8 {
        std::ptr::from_ref(&*self.0).cast()
    }
}

fn name(key: u64) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

/// Numbers that look random and are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31) % n
    }
}

fn hasher() -> Hasher {
    Hasher::new([1, 2, 3, 4])
}

/// How much a test does: the interpreters that check memory are a hundred times slower.
fn effort(full: u64) -> u64 {
    if cfg!(miri) { full / 50 } else { full }
}

/// A table and the map it must equal.
struct Pair {
    table: Table<Item>,
    model: HashMap<u64, u64>,
    hasher: Hasher,
}

impl Pair {
    fn new() -> Pair {
        Pair { table: Table::new(), model: HashMap::new(), hasher: hasher() }
    }

    fn with(count: u64) -> Pair {
        let mut pair = Pair::new();
        (0..count).for_each(|key| pair.put(key, key));
        pair
    }

    fn hash(&self, key: u64) -> u64 {
        self.hasher.hash(&name(key))
    }

    fn put(&mut self, key: u64, value: u64) {
        let hash = self.hash(key);
        match self.table.get_mut(&name(key), hash) {
            Some(item) => item.0.value = value,
            None => {
                let item = self.table.insert(hash, Item::new(key, 0), &self.hasher);
                item.0.value = value;
            }
        }
        self.model.insert(key, value);
    }

    fn remove(&mut self, key: u64) {
        let hash = self.hash(key);
        let removed = self.table.remove(&name(key), hash, &self.hasher);
        assert_eq!(removed.map(|item| item.0.value), self.model.remove(&key));
    }

    fn check_one(&self, key: u64) {
        let hash = self.hash(key);
        self.table.prefetch(hash);
        self.table.prefetch_element(hash);
        let found = self.table.get(&name(key), hash).map(|item| item.0.value);
        assert_eq!(found, self.model.get(&key).copied(), "key {key}");
        let found = self.table.find_by(hash, |item| item.number() == key).map(|item| item.0.value);
        assert_eq!(found, self.model.get(&key).copied(), "key {key} by its hash");
    }

    fn check_all(&mut self) {
        assert_eq!(self.table.len(), self.model.len());
        assert_eq!(self.table.is_empty(), self.model.is_empty());
        let items: Vec<u64> = self.table.iter().map(Item::number).collect();
        assert_eq!(items.len(), self.model.len(), "iteration visits each once");
        assert!(items.iter().all(|key| self.model.contains_key(key)));
        for &key in self.model.keys() {
            self.check_one(key);
        }
        let mut visited = 0;
        self.table.for_each_mut(|item| visited += usize::from(self.model[&item.number()] == item.0.value));
        assert_eq!(visited, self.model.len());
        let stats = self.table.stats();
        assert_eq!(stats.now.elements + stats.next.elements, self.model.len());
        assert_eq!(stats.now.children + stats.next.children, self.table.children);
    }
}

fn assert_nothing_leaked() {
    assert_eq!(ALIVE.get(), 0, "each element is dropped once");
}

#[test]
fn an_empty_table_answers_and_takes_no_heap() {
    let mut pair = Pair::new();
    pair.check_one(1);
    pair.remove(1);
    pair.check_all();
    assert_eq!(pair.table.memory(), 0);
    assert_eq!(pair.table.scan(0, |_| panic!("nothing to visit")), 0);
    assert!(pair.table.random(|_| 0).is_none());
    assert!(!pair.table.step(100, &pair.hasher));
    assert!(!pair.table.free_some(100));
    assert_eq!(size_of::<Table<Item>>(), 72);
    assert_eq!(size_of::<Table<Item>>(), size_of::<Option<Table<Item>>>());
}

#[test]
fn sizes_fit() {
    let cases = [(0, 1), (1, 1), (3, 1), (4, 2), (7, 2), (8, 4), (14, 4), (15, 8), (1 << 40, 1 << 39)];
    for (len, buckets) in cases {
        assert_eq!(fitting(len), buckets, "{len}");
    }
    for mode in [Resizing::Allowed, Resizing::Avoided] {
        for buckets in (0..39).map(|bits| 1 << bits) {
            let (floor, ceiling) = (mode.floor(buckets), mode.ceiling(buckets));
            assert!(fitting(ceiling) > buckets, "growing grows");
            assert!(buckets == 1 || fitting(floor - 1) < buckets, "shrinking shrinks");
            let grown = fitting(ceiling);
            assert!(
                mode.floor(grown) < ceiling / 2 && ceiling < mode.ceiling(grown),
                "and stays so for a while"
            );
        }
    }
}

#[test]
fn tags_are_never_zero() {
    let cases = [(0, 1), (1 << 56, 1), (2 << 56, 2), (u64::MAX, 255), (u64::MAX >> 8, 1)];
    for (hash, expected) in cases {
        assert_eq!(tag(hash), expected);
    }
}

#[test]
fn equals_the_model_under_random_operations() {
    for seed in 0..effort(150).max(4) {
        let mut draw = Draw(seed);
        let mut pair = Pair::new();
        let keys = [10, 100, 1000, 5000][seed as usize % 4];
        // The share of insertions wanders, so that the table grows and shrinks.
        let mut insertions = 80;
        for operation in 0..effort(3000) {
            let key = draw.below(keys);
            match draw.below(100) {
                0 => insertions = 10 + draw.below(80),
                1 => {
                    pair.table.step(draw.below(20) as usize, &pair.hasher);
                }
                2 => pair.table.reserve(draw.below(2 * keys) as usize),
                3 => {
                    let modes = [Resizing::Allowed, Resizing::Avoided, Resizing::Forbidden];
                    pair.hasher.set_resizing(modes[draw.below(3) as usize]);
                }
                4..20 => pair.check_one(key),
                _ if draw.below(100) < insertions => pair.put(key, operation),
                _ => pair.remove(key),
            }
            if operation % 500 == 0 {
                pair.check_all();
            }
        }
        pair.check_all();
        drop(pair);
        assert_nothing_leaked();
    }
}

#[test]
fn scan_misses_nothing_that_stays() {
    for seed in 0..effort(250).max(6) {
        let mut draw = Draw(1000 + seed);
        let mut pair = Pair::with(draw.below(effort(3000)));
        let mut staying: HashSet<u64> = (0..draw.below(100)).map(|_| 100_000 + draw.below(100_000)).collect();
        staying.iter().for_each(|&key| pair.put(key, 0));
        let insertions = draw.below(101);
        let (mut cursor, mut calls) = (0, 0);
        loop {
            cursor = pair.table.scan(cursor, |item| {
                staying.remove(&item.number());
            });
            calls += 1;
            if cursor == 0 || 20_000 < calls {
                break;
            }
            for _ in 0..draw.below(60) {
                let key = draw.below(5000);
                if draw.below(100) < insertions { pair.put(key, 0) } else { pair.remove(key) }
            }
            match draw.below(8) {
                0 => drop(pair.table.step(draw.below(200) as usize, &pair.hasher)),
                1 => {
                    let modes =
                        [Resizing::Allowed, Resizing::Allowed, Resizing::Avoided, Resizing::Forbidden];
                    pair.hasher.set_resizing(modes[draw.below(4) as usize]);
                }
                _ => {}
            }
        }
        assert_eq!(cursor, 0, "a scan ends");
        assert!(staying.is_empty(), "seed {seed}: {} missed", staying.len());
    }
    assert_nothing_leaked();
}

#[test]
fn scan_takes_any_cursor() {
    let mut pair = Pair::with(1000);
    let mut draw = Draw(7);
    for _ in 0..200 {
        let cursor = draw.below(u64::MAX);
        let stays = pair.table.scan(cursor, |_| {});
        assert!(stays < 4096, "a cursor is at most the mask");
        pair.remove(draw.below(1000));
        pair.table.step(1, &pair.hasher);
    }
}

#[test]
fn growing_moves_one_bucket_an_insertion() {
    let mut pair = Pair::new();
    let mut drained = 0;
    for key in 0..effort(120_000) {
        pair.put(key, key);
        let moved = pair.table.drained;
        assert!(moved <= drained + 1);
        drained = moved;
    }
    let stats = pair.table.stats();
    assert_eq!(stats.next.buckets, 0, "long done");
    assert!(stats.now.buckets * SLOTS * 80 / 100 > pair.table.len());
}

#[test]
fn shrinks_to_one_bucket_by_steps_alone() {
    let mut pair = Pair::with(effort(50_000));
    for key in 0..effort(50_000) {
        pair.remove(key);
    }
    while pair.table.step(10, &pair.hasher) {}
    assert_eq!(pair.table.memory(), BUCKET_BYTES);
    pair.check_all();
}

#[test]
fn avoided_grows_only_past_the_hard_limit_and_forbidden_never() {
    let mut pair = Pair::with(100);
    while pair.table.step(100, &pair.hasher) {}
    let buckets = pair.table.stats().now.buckets;
    pair.hasher.set_resizing(Resizing::Avoided);
    let limit = (buckets * SLOTS * 2) as u64;
    (0..limit).for_each(|key| pair.put(key, key));
    assert_eq!(pair.table.stats().next.buckets, 0);
    pair.put(limit, 0);
    assert_ne!(pair.table.stats().next.buckets, 0);
    pair.hasher.set_resizing(Resizing::Forbidden);
    let before = pair.table.stats();
    (0..effort(5000)).for_each(|key| pair.put(key, key));
    assert!(!pair.table.step(1000, &pair.hasher));
    let after = pair.table.stats();
    assert_eq!((before.now.buckets, before.drained), (after.now.buckets, after.drained));
    pair.check_all();
    pair.hasher.set_resizing(Resizing::Allowed);
    while pair.table.step(10, &pair.hasher) {}
    assert!(pair.table.stats().now.longest <= 4);
    pair.check_all();
}

#[test]
fn long_chains_are_dropped_without_recursion() {
    let mut pair = Pair::new();
    pair.hasher.set_resizing(Resizing::Forbidden);
    // By the table alone: looking each key up in such a chain is quadratic work.
    for key in 0..20_000 {
        let item = Item::new(key, 0);
        pair.table.len += 1;
        if key == 0 {
            pair.table.now = Array::new(1);
        }
        let (_, adopted) = pair.table.now.bucket_mut(0).unwrap().push(1, item);
        pair.table.children += usize::from(adopted);
    }
    assert!(3000 < pair.table.children);
    drop(pair);
    assert_nothing_leaked();
}

#[test]
fn chains_stay_compact() {
    let hasher = hasher();
    let mut draw = Draw(5);
    let mut chain = Array::<Item>::new(1);
    let (mut children, mut keys) = (0, Vec::new());
    for operation in 0..effort(20_000) {
        let bucket = chain.bucket_mut(0).unwrap();
        if draw.below(100) < if operation / 1000 % 2 == 0 { 60 } else { 40 } {
            keys.push(operation);
            let item = Item::new(operation, 0);
            let (_, adopted) = bucket.push(tag(hasher.hash(item.key())), item);
            children += usize::from(adopted);
        } else if !keys.is_empty() {
            let key = keys.swap_remove(draw.below(keys.len() as u64) as usize);
            let hash = hasher.hash(&name(key));
            let (item, freed) = bucket.remove(tag(hash), |item| item.number() == key).unwrap();
            assert_eq!(item.number(), key);
            children -= freed;
        }
        assert_eq!(children, keys.len().saturating_sub(2) / (SLOTS - 1), "as few as can be");
    }
    for key in keys {
        let hash = hasher.hash(&name(key));
        assert!(chain.bucket_mut(0).unwrap().remove(tag(hash), |item| item.number() == key).is_some());
    }
    assert_nothing_leaked();
}

#[test]
fn random_is_fair_at_rest_and_while_resizing() {
    let mut draw = Draw(11);
    for (count, steps) in [(64, 0), (90, 0), (180, 10), (345, 0), (345, 20), (400, 0)] {
        let mut pair = Pair::with(count);
        pair.table.step(steps, &pair.hasher);
        let draws = effort(200) * count;
        let mut seen = HashMap::new();
        for _ in 0..draws {
            let item = pair.table.random(|n| draw.below(n)).unwrap();
            *seen.entry(item.number()).or_insert(0_u64) += 1;
        }
        let expected = draws as f64 / count as f64;
        let error = |key| (*seen.get(&key).unwrap_or(&0) as f64 - expected).powi(2) / expected;
        let chi: f64 = (0..count).map(error).sum();
        // Mean `count`, deviation `sqrt(2 count)`.
        let most = count as f64 + 6.0 * (2.0 * count as f64).sqrt();
        assert!(chi < most, "{count} elements: {chi} is more than {most}");
    }
}

#[test]
fn random_finds_the_only_element_of_a_big_table() {
    let mut pair = Pair::new();
    pair.table.reserve(effort(1_000_000) as usize);
    pair.put(1, 1);
    let mut draw = Draw(3);
    for _ in 0..3 {
        assert_eq!(pair.table.random(|n| draw.below(n)).map(Item::number), Some(1));
    }
}

#[test]
fn reserve_spares_the_growing() {
    for n in [1, 7, 8, 100, 1000, 10_000] {
        let mut pair = Pair::new();
        pair.table.reserve(n as usize);
        let buckets = pair.table.stats().now.buckets;
        (0..n).for_each(|key| pair.put(key, key));
        let stats = pair.table.stats();
        assert_eq!((stats.now.buckets, stats.next.buckets), (buckets, 0), "{n}");
        assert!(n <= 7 || buckets as u64 <= n / 2, "{n}: {buckets}");
    }
}

#[test]
fn mapped_arrays_grow_shrink_and_are_given_back() {
    if cfg!(miri) {
        return;
    }
    let mut pair = Pair::with(500_000);
    pair.check_all();
    for key in 0..499_000 {
        pair.remove(key);
    }
    while pair.table.step(1000, &pair.hasher) {}
    assert!(pair.table.memory() < 100_000);
    pair.check_all();
    drop(pair);
    assert_nothing_leaked();
}

#[test]
fn a_table_is_freed_in_slices() {
    for count in [0, 1, 6, 100, 5000, 12_345, effort(400_000)] {
        let mut pair = Pair::with(effort(count));
        let mut calls = 0;
        let mut len = pair.table.len();
        while pair.table.free_some(64) {
            calls += 1;
            assert!(pair.table.len() <= len);
            len = pair.table.len();
        }
        assert!(calls * 64 <= effort(count) as usize);
        pair.model.clear();
        pair.check_all();
        assert_eq!(pair.table.memory(), 0);
        assert_nothing_leaked();
        pair.put(1, 1);
        pair.check_all();
    }
    assert_nothing_leaked();
}

#[test]
fn a_table_half_freed_is_a_table_of_what_is_left() {
    for seed in 0..effort(200).max(4) {
        let mut draw = Draw(seed);
        let mut pair = Pair::with(1 + draw.below(effort(4000)));
        pair.hasher.set_resizing([Resizing::Allowed, Resizing::Forbidden][seed as usize % 2]);
        pair.table.free_some(draw.below(300) as usize);
        let left: HashSet<u64> = pair.table.iter().map(Item::number).collect();
        pair.model.retain(|key, _| left.contains(key));
        pair.check_all();
        for operation in 0..effort(1000) {
            let key = draw.below(5000);
            if draw.below(2) == 0 {
                pair.put(key, operation)
            } else {
                pair.remove(key)
            }
            assert_eq!(pair.table.random(|n| draw.below(n)).is_some(), !pair.model.is_empty());
        }
        pair.check_all();
        drop(pair);
        assert_nothing_leaked();
    }
}

#[test]
fn half_freed_tables_drop_the_rest() {
    for freed in [0, 1, 50, 100] {
        let mut pair = Pair::with(1000);
        pair.table.free_some(freed);
        drop(pair);
        assert_nothing_leaked();
    }
}

/// Arrays that are mapped enter the count of used memory as they come into use, not when they are mapped.
#[test]
fn mapped_arrays_are_counted_as_they_are_used() {
    let hasher = hasher();
    let mut table = Table::new();
    let mut both = 0;
    let mut check = |table: &Table<Item>| {
        let counted = table.now.counted() + table.next.counted();
        let mapped = |array: &Array<Item>| 1 << 20 <= array.count() * BUCKET_BYTES;
        let in_use = match (mapped(&table.now), mapped(&table.next)) {
            (false, false) => 0,
            (true, false) => table.now.count() * BUCKET_BYTES,
            (false, true) => table.live_in_next() * BUCKET_BYTES,
            (true, true) => table.memory() - table.children * BUCKET_BYTES,
        };
        // What is drained is given back by the slice; what comes into use is counted by the page, times four.
        let slack = if table.next.exists() { SLICE * BUCKET_BYTES + 4 * 64 * BUCKET_BYTES } else { 0 };
        assert!(counted.abs_diff(in_use) <= slack, "{counted} instead of {in_use}");
        both += usize::from(mapped(&table.now) && mapped(&table.next));
    };
    for key in 0..600_000 {
        let item = Item::new(key, 0);
        table.insert(hasher.hash(item.key()), item, &hasher);
        if key % 50 == 0 {
            check(&table);
        }
    }
    for key in 0..600_000u64 {
        let item = Item::new(key, 0);
        assert!(table.remove(item.key(), hasher.hash(item.key()), &hasher).is_some());
        if key % 50 == 0 {
            check(&table);
        }
    }
    assert!(1000 < both, "{both} looks at a table with two mapped arrays");
    while table.step(1000, &hasher) {}
    assert_eq!(table.now.counted() + table.next.counted(), 0);
}
