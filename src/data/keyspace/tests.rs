use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::*;
use crate::data::list::{Limits, List};

const DATABASES: usize = 3;
const NAMES: u64 = 60;

fn name(number: u64) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn list(len: usize) -> Value<'static> {
    let mut list = List::new();
    (0..len).for_each(|_| list.push_back(&[b'x'; 3000], Limits::of(-2)));
    Value::List(Box::new(list))
}

fn text(entry: &Entry) -> Vec<u8> {
    match (entry.string(), entry.list()) {
        (Some(value), _) => value.bytes(&mut [0; 20]).to_vec(),
        (None, list) => format!("list of {}", list.map_or(0, List::len)).into_bytes(),
    }
}

/// Sets a string in a database.
fn put(keys: &mut Keyspace, database: usize, name: &str, value: &str, deadline: Deadline) {
    keys.select(database);
    keys.set(keys.key(name.as_bytes()), Value::string(value.as_bytes()), deadline);
}

fn names_of(expired: &[(usize, Box<[u8]>)]) -> Vec<(usize, &str)> {
    expired.iter().map(|(database, name)| (*database, std::str::from_utf8(name).unwrap())).collect()
}

/// Every entry with a deadline has a record of its own, and there are no other records.
fn check_tickets(keys: &Keyspace) {
    for database in keys.databases() {
        let mut records = 0;
        for entry in database.table().iter() {
            assert_eq!(entry.ticket().is_some(), entry.deadline().is_some());
            let Some(ticket) = entry.ticket() else { continue };
            let held = database.expiry().get(ticket).expect("the ticket is good");
            assert_eq!((held.hash, Some(held.deadline)), (keys.key(entry.key()).hash, entry.deadline()));
            records += 1;
        }
        assert_eq!(database.expiry().len(), records);
    }
}

/// A value as text, and its deadline.
type Plain = (Vec<u8>, Option<UnixMs>);

/// What a keyspace should hold. Keys whose deadline has come stay until they are reported.
struct Model {
    keys: Keyspace,
    plain: Vec<BTreeMap<Vec<u8>, Plain>>,
    now: UnixMs,
    random: Random,
    lists: usize,
}

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            keys: Keyspace::new(DATABASES, seed),
            plain: vec![BTreeMap::new(); DATABASES],
            now: UnixMs(1_700_000_000_000),
            random: Random::seeded(seed),
            lists: 0,
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random.below(n)
    }

    fn name(&mut self) -> Vec<u8> {
        name(self.random.below(NAMES))
    }

    /// A deadline: soon, far, or past.
    fn deadline(&mut self) -> UnixMs {
        let ms = match self.below(4) {
            0 => self.below(100) as i64 + 1,
            1 => self.below(10_000) as i64 + 1,
            2 => self.below(1 << 40) as i64 + 1,
            _ => -(self.below(50) as i64),
        };
        UnixMs(self.now.0 + ms)
    }

    fn is_due(&self, database: usize, name: &[u8]) -> bool {
        let deadline = self.plain[database].get(name).and_then(|value| value.1);
        deadline.is_some_and(|at| at <= self.now)
    }

    /// The names that were reported as expired were due, and are gone.
    fn settle(&mut self) -> Vec<(usize, Box<[u8]>)> {
        let expired = self.keys.take_expired();
        for (database, name) in &expired {
            assert!(self.is_due(*database, name), "{} was not due", name.escape_ascii());
            self.plain[*database].remove(&**name);
        }
        assert!(!self.keys.has_expired());
        expired
    }

    /// A key that is due is reported by whoever looks it up, once.
    fn look_up(&mut self, database: usize, name: &[u8], look: impl FnOnce(&mut Keyspace, Key<'_>)) {
        let due = self.is_due(database, name);
        self.keys.enter(self.now, database);
        let key = self.keys.key(name);
        look(&mut self.keys, key);
        let expired = self.settle();
        assert_eq!(expired.len(), usize::from(due));
    }

    fn set(&mut self, database: usize) {
        let name = self.name();
        let deadline = match self.below(3) {
            0 => Deadline::Keep,
            1 => Deadline::Clear,
            _ => Deadline::At(self.deadline()),
        };
        let number = self.below(1 << 20);
        let (value, shown) = match self.below(12) {
            0 => {
                self.lists += 1;
                let len = [1, 300][self.lists % 2];
                (list(len), format!("list of {len}"))
            }
            1 => (Value::Shared(Bytes::from(vec![b'v'; 5000])), "v".repeat(5000)),
            _ => (Value::Int(number as i64), number.to_string()),
        };
        let due = self.is_due(database, &name);
        let there = !due && self.plain[database].contains_key(&name);
        self.look_up(database, &name, |keys, key| assert_eq!(keys.set(key, value, deadline), there));
        let before = self.plain[database].get(&name).and_then(|value| value.1);
        let after = match deadline {
            Deadline::Keep => before,
            Deadline::Clear => None,
            Deadline::At(at) => Some(at),
        };
        self.plain[database].insert(name, (shown.into_bytes(), after));
    }

    fn read(&mut self, database: usize) {
        let name = self.name();
        let expected = self.plain[database].get(&name).filter(|_| !self.is_due(database, &name)).cloned();
        let way = self.below(4);
        self.look_up(database, &name, |keys, key| {
            let found = match way {
                0 => keys.read(key),
                1 => keys.peek(key),
                2 => keys.write(key).map(|entry| &*entry),
                _ => keys.read_untouched(key),
            };
            let found = found.map(|entry| (text(entry), entry.deadline()));
            assert_eq!(found, expected);
        });
    }

    fn delete(&mut self, database: usize) {
        let name = self.name();
        let there = self.plain[database].contains_key(&name) && !self.is_due(database, &name);
        self.look_up(database, &name, |keys, key| assert_eq!(keys.delete(key), there));
        self.plain[database].remove(&name);
    }

    fn set_deadline(&mut self, database: usize) {
        let name = self.name();
        let at = if self.below(3) == 0 { None } else { Some(self.deadline()) };
        self.look_up(database, &name, |keys, key| {
            keys.peek(key);
            keys.set_deadline(key, at);
        });
        if let Some(value) = self.plain[database].get_mut(&name) {
            value.1 = at;
        }
    }

    /// Renames, moves (to another database) or copies.
    fn carry(&mut self, from: usize, to: usize, copies: bool) {
        let (source, target) = (self.name(), self.name());
        if from == to && source == target {
            return;
        }
        self.keys.enter(self.now, from);
        let (source_key, target_key) = (self.keys.key(&source), self.keys.key(&target));
        let entry = if copies {
            self.keys.peek(source_key).map(|entry| (entry.deadline(), entry.copied(&target)))
        } else {
            self.keys.remove(source_key).map(|entry| (entry.deadline(), entry.renamed(&target)))
        };
        self.settle();
        let expected = match copies {
            true => self.plain[from].get(&source).cloned(),
            false => self.plain[from].remove(&source),
        };
        assert_eq!(entry.as_ref().map(|entry| entry.0), expected.as_ref().map(|value| value.1));
        if let (Some((deadline, entry)), Some(value)) = (entry, expected) {
            self.keys.select(to);
            self.keys.put(target_key, entry, deadline);
            self.settle();
            self.plain[to].insert(target, value);
        }
    }

    /// Names of a database that have not expired.
    fn live(&self, database: usize) -> BTreeSet<Vec<u8>> {
        self.plain[database].keys().filter(|name| !self.is_due(database, name)).cloned().collect()
    }

    fn walk(&mut self, database: usize) {
        self.keys.enter(self.now, database);
        let (mut scanned, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = self.keys.scan(cursor, |entry| scanned.extend([entry.key().to_vec()]));
            if cursor == 0 {
                break;
            }
        }
        let mut visited = BTreeSet::new();
        self.keys.for_each(|entry| assert!(visited.insert(entry.key().to_vec()), "visited twice"));
        let live = self.live(database);
        assert_eq!((&scanned, &visited), (&live, &live));
        let random = self.keys.random_key();
        self.settle();
        assert!(random.map_or(live.is_empty(), |name| live.contains(&name)));
    }

    fn tick(&mut self) {
        for database in 0..DATABASES {
            self.keys.enter(self.now, database);
            self.keys.advance_expiry(database, 8);
            let (looked, removed, _) = self.keys.expire_sample(database);
            assert!(removed <= looked);
            assert_eq!(self.settle().len(), removed);
        }
        self.keys.step_tables(4);
        self.keys.free_some(16);
    }

    fn step(&mut self) {
        let database = self.below(DATABASES as u64) as usize;
        let other = self.below(DATABASES as u64) as usize;
        match self.below(100) {
            0..30 => self.set(database),
            30..50 => self.read(database),
            50..60 => self.delete(database),
            60..72 => self.set_deadline(database),
            72..78 => self.carry(database, database, false),
            78..82 => self.carry(database, other, false),
            82..86 => self.carry(database, other, true),
            86..90 => self.tick(),
            90..92 => self.walk(database),
            92 if self.below(4) == 0 => {
                assert_eq!(self.keys.flush(database), self.plain[database].len());
                self.plain[database].clear();
            }
            93 => {
                self.keys.swap(database, other);
                self.plain.swap(database, other);
            }
            94 => self.now.0 += self.random.below(1 << 30) as i64,
            // Clocks are set back, too.
            95 => self.now.0 -= self.random.below(2000) as i64,
            _ => self.now.0 += self.random.below(40) as i64,
        }
    }
}

#[test]
fn it_is_a_map_with_deadlines_whatever_happens() {
    for seed in 0..6 {
        let mut model = Model::new(seed);
        for round in 0..4000 {
            model.step();
            if round % 50 == 0 {
                check_tickets(&model.keys);
                for database in 0..DATABASES {
                    assert_eq!(model.keys.databases()[database].len(), model.plain[database].len());
                }
            }
        }
        for database in 0..DATABASES {
            model.walk(database);
        }
        // Everything with a deadline falls due and goes, without anybody looking it up.
        model.now = UnixMs(model.now.0 + (1 << 41));
        (0..200).for_each(|_| model.tick());
        for database in 0..DATABASES {
            assert_eq!(model.keys.databases()[database].expiry().len(), 0);
            assert_eq!(model.keys.databases()[database].len(), model.live(database).len());
        }
        while model.keys.free_some(64) {}
        assert_eq!(model.keys.garbage_len(), 0);
    }
}

#[test]
fn expired_keys_are_reported_in_the_order_in_which_they_were_found() {
    let mut keys = Keyspace::new(2, 1);
    keys.enter(UnixMs(10), 0);
    for name in ["a", "b", "c"] {
        put(&mut keys, 0, name, "1", Deadline::At(UnixMs(20)));
        put(&mut keys, 1, name, "1", Deadline::At(UnixMs(20)));
    }
    keys.enter(UnixMs(19), 0);
    assert!(keys.read(keys.key(b"a")).is_some() && !keys.has_expired());
    keys.enter(UnixMs(20), 0);
    for (database, name) in [(0, "c"), (1, "c"), (1, "b"), (0, "a"), (0, "c")] {
        keys.select(database);
        assert!(keys.read(keys.key(name.as_bytes())).is_none());
    }
    assert!(keys.has_expired());
    assert_eq!(names_of(&keys.take_expired()), [(0, "c"), (1, "c"), (1, "b"), (0, "a")]);
    assert!(!keys.has_expired() && keys.take_expired().is_empty());
    assert_eq!((keys.counters.expired, keys.counters.hits, keys.counters.misses), (4, 1, 5));
    let (looked, removed, _) = keys.expire_sample(0);
    assert_eq!((looked, removed), (1, 1));
    assert_eq!(keys.selected(), 0);
    assert_eq!(names_of(&keys.take_expired()), [(0, "b")]);
}

#[test]
fn nothing_expires_at_date_zero() {
    let mut keys = Keyspace::new(1, 1);
    put(&mut keys, 0, "a", "1", Deadline::At(UnixMs(1)));
    assert!(keys.read(keys.key(b"a")).is_some());
    assert!(!keys.advance_expiry(0, 100));
    assert_eq!(keys.expire_sample(0), (0, 0, false));
    keys.enter(UnixMs(1), 0);
    assert!(keys.read(keys.key(b"a")).is_none());
}

#[test]
fn a_name_that_expired_unseen_does_not_stand_in_the_way() {
    let mut keys = Keyspace::new(1, 1);
    put(&mut keys, 0, "a", "1", Deadline::At(UnixMs(50)));
    put(&mut keys, 0, "b", "2", Deadline::At(UnixMs(5)));
    keys.enter(UnixMs(5), 0);
    let (a, b) = (keys.key(b"a"), keys.key(b"b"));
    let entry = keys.remove(a).unwrap();
    let deadline = entry.deadline();
    keys.put(b, entry.renamed(b.bytes), deadline);
    assert_eq!(names_of(&keys.take_expired()), [(0, "b")]);
    assert_eq!(keys.peek(b).map(|entry| (text(entry), entry.deadline())), Some((b"1".to_vec(), deadline)));
    check_tickets(&keys);
    // And what is deleted past its deadline without having been looked up does not count as expired.
    keys.enter(UnixMs(50), 0);
    keys.delete_stored(b);
    assert!(!keys.has_expired() && keys.database().is_empty());
    check_tickets(&keys);
}

#[test]
fn garbage_goes_in_slices_and_all_of_it() {
    let held = Bytes::from(vec![b'v'; 10_000]);
    let mut keys = Keyspace::new(2, 1);
    for number in 0..2000 {
        keys.set(keys.key(&name(number)), Value::Shared(held.clone()), Deadline::At(UnixMs(9)));
    }
    keys.set(keys.key(b"list"), list(1000), Deadline::Clear);
    keys.delete(keys.key(b"list"));
    keys.set(keys.key(b"list"), list(1000), Deadline::Clear);
    keys.set(keys.key(b"list"), Value::Int(1), Deadline::Clear);
    assert_eq!((keys.garbage_len(), keys.flush(1), keys.flush(0)), (2, 0, 2001));
    assert_eq!((keys.garbage_len(), keys.database().len(), keys.database().expiry().len()), (4, 0, 0));
    let mut slices = 0;
    while keys.free_some(32) {
        // What is written meanwhile is not in the way.
        keys.set(keys.key(&name(slices)), Value::Int(1), Deadline::At(UnixMs(9)));
        slices += 1;
    }
    assert!(30 < slices, "{slices} slices");
    assert!(held.is_unique());
    assert_eq!((keys.garbage_len(), keys.database().len()), (0, slices as usize));
    check_tickets(&keys);
}

#[test]
fn tables_that_a_flush_makes_resize_as_they_were_told() {
    let mut keys = Keyspace::new(1, 1);
    put(&mut keys, 0, "a", "1", Deadline::Clear);
    keys.set_resizing(Resizing::Forbidden);
    keys.flush(0);
    for number in 0..500 {
        keys.set(keys.key(&name(number)), Value::Int(1), Deadline::Clear);
    }
    assert_eq!(keys.database().table().stats().now.buckets, 1);
    keys.set_resizing(Resizing::Allowed);
    while keys.step_tables(4) {}
    assert!(1 < keys.database().table().stats().now.buckets);
}

#[test]
fn access_bits_follow_the_policy() {
    let mut keys = Keyspace::new(1, 1);
    keys.enter(UnixMs(1_000_000), 0);
    put(&mut keys, 0, "a", "1", Deadline::Clear);
    let a = keys.key(b"a");
    keys.enter(UnixMs(1_009_000), 0);
    let idle = |keys: &Keyspace| keys.idle_seconds(keys.stored(a).unwrap());
    keys.read_untouched(a);
    keys.peek(a);
    assert_eq!(idle(&keys), 9);
    keys.touching = false;
    keys.read(a);
    keys.write(a);
    assert_eq!(idle(&keys), 9);
    keys.touching = true;
    keys.read(a);
    assert_eq!(idle(&keys), 0);
    keys.access_policy = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
    put(&mut keys, 0, "b", "1", Deadline::Clear);
    let b = keys.key(b"b");
    assert_eq!(keys.frequency(keys.stored(b).unwrap()), LFU_INITIAL);
    for _ in 0..10_000 {
        keys.read(b);
    }
    let often = keys.frequency(keys.stored(b).unwrap());
    assert!((20..120).contains(&often), "{often}");
    let renamed = keys.remove(b).unwrap().renamed(b"c");
    let c = keys.key(b"c");
    keys.put(c, renamed, None);
    assert_eq!(keys.frequency(keys.stored(c).unwrap()), often);
    keys.enter(UnixMs(1_009_000 + 3 * 60_000), 0);
    assert_eq!(keys.frequency(keys.stored(c).unwrap()), often - 3);
}

#[test]
fn a_random_key_is_found_among_thousands_that_expired() {
    let mut keys = Keyspace::new(1, 1);
    for number in 0..3000 {
        keys.set(keys.key(&name(number)), Value::Int(1), Deadline::At(UnixMs(5)));
    }
    put(&mut keys, 0, "kept", "1", Deadline::Clear);
    keys.enter(UnixMs(5), 0);
    assert_eq!(keys.random_key().as_deref(), Some(&b"kept"[..]));
    keys.delete(keys.key(b"kept"));
    assert_eq!(keys.random_key(), None);
}

#[test]
fn eviction_goes_on_until_nothing_is_left_that_may_go() {
    for choice in [Choice::Idle, Choice::Seldom, Choice::Random, Choice::Soonest] {
        for volatile in [false, true] {
            if choice == Choice::Soonest && !volatile {
                continue;
            }
            let mut keys = Keyspace::new(DATABASES, 11);
            for number in 0..900i64 {
                keys.enter(UnixMs(1000 + number * 50), number as usize % DATABASES);
                let deadline = if number % 5 < 3 {
                    Deadline::At(UnixMs(1_000_000 * (1 + number % 7)))
                } else {
                    Deadline::Clear
                };
                keys.set(keys.key(&name(number as u64)), Value::string(b"v"), deadline);
            }
            let eviction = Eviction { volatile, choice, samples: 5 };
            let mut names = BTreeSet::new();
            while let Some(evicted) = keys.evict(eviction) {
                assert_eq!(keys.key(evicted.key().bytes).hash, evicted.hash);
                assert!(!volatile || evicted.entry.deadline().is_some());
                assert!(names.insert((evicted.database, evicted.key().bytes.to_vec())));
                keys.discard_evicted(evicted);
                if names.len() % 50 == 0 {
                    check_tickets(&keys);
                }
            }
            let left: usize = keys.databases().iter().map(Database::len).sum();
            assert_eq!((names.len(), left), if volatile { (540, 360) } else { (900, 0) }, "{choice:?}");
        }
    }
}
