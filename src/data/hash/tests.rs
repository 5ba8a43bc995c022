//! Random operations against a plain map.

use std::collections::BTreeMap;

use super::*;
use crate::base::random::Random;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn limits(entries: usize) -> Limits {
    Limits { entries, value: 64, hasher: Hasher::new([1, 2, 3, 4]) }
}

fn contents(hash: &Hash) -> Model {
    let all = hash
        .iter()
        .map(|pair| (pair.field.to_vec(), (pair.value.to_vec(), pair.deadline.map(|deadline| deadline.0))));
    all.collect()
}

/// Everything that can be asked, asked.
fn check(hash: &Hash, model: &Model, now: UnixMs, random: &mut Random) {
    assert_eq!(hash.len(), model.len());
    assert_eq!(&contents(hash), model);
    for (field, (value, deadline)) in model {
        let live = deadline.is_none_or(|at| now.0 < at);
        let found = hash.get(field, now).map(|item| item.to_vec());
        assert_eq!(found, live.then(|| value.clone()));
        assert_eq!(hash.deadline(field), Some(deadline.map(UnixMs)));
    }
    assert!(hash.get(b"never", now).is_none() && hash.deadline(b"never").is_none());
    let earliest = model.values().filter_map(|(_, deadline)| *deadline).min();
    let next = hash.next_due().map(|at| at.0);
    assert_eq!(next.is_some(), earliest.is_some());
    assert!(next <= earliest, "{next:?} is later than {earliest:?}");
    match hash.random(|n| random.below(n)) {
        None => assert!(model.is_empty()),
        Some(pair) => assert_eq!(model[&pair.field.to_vec()].0, pair.value.to_vec()),
    }
    let (mut cursor, mut seen) = (0, Model::new());
    loop {
        cursor = hash.scan(cursor, |pair| {
            seen.insert(pair.field.to_vec(), (pair.value.to_vec(), pair.deadline.map(|at| at.0)));
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&seen, model);
}

#[test]
fn a_hash_is_what_a_map_is() {
    for (seed, fields, entries) in [(1, 8, 512), (2, 100, 512), (3, 100, 20), (4, 3000, 128), (5, 30, 0)] {
        let mut random = Random::seeded(seed);
        let limits = limits(entries);
        let (mut hash, mut model, mut now) = (Hash::new(), Model::new(), 1_000_000);
        for round in 0..20_000 {
            let field = random.below(fields).to_string().into_bytes();
            let long = if entries == 512 || random.below(500) != 0 { 30 } else { 400 };
            let value = match random.below(2) {
                0 => vec![b'v'; random.below(long) as usize],
                _ => random.below(1 << 40).to_string().into_bytes(),
            };
            match random.below(100) {
                0..40 => {
                    let new = hash.insert(&field, &value, &limits);
                    assert_eq!(new, model.insert(field, (value, None)).is_none());
                }
                40..50 => {
                    let deadline = model.get(&field).and_then(|(_, deadline)| *deadline);
                    let new = hash.update(&field, &value, &limits);
                    assert_eq!(new, model.insert(field, (value, deadline)).is_none());
                }
                50..65 => assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                65..90 if seed != 2 => {
                    let far = [10, 1000, 100_000, 1 << 35][random.below(4) as usize];
                    let at = now + 1 + random.below(far) as i64;
                    let deadline = (random.below(4) != 0).then_some(at);
                    hash.set_deadline(&field, deadline.map(UnixMs), UnixMs(now));
                    model.entry(field).and_modify(|(_, old)| *old = deadline);
                }
                90..95 => {
                    now += random.below(200) as i64;
                    let mut gone = Vec::new();
                    let more = hash.expire_some(UnixMs(now), 40, |field, _| gone.push(field.to_vec()));
                    for field in gone {
                        let (_, deadline) = model.remove(&field).expect("a field that was there");
                        assert!(deadline.is_some_and(|at| at <= now));
                    }
                    let left = model.values().any(|(_, deadline)| deadline.is_some_and(|at| at + 64 <= now));
                    assert!(more || !left, "something due is left and nobody says so");
                }
                _ => {}
            }
            if round % 64 == 0 {
                check(&hash, &model, UnixMs(now), &mut random);
                let copy = hash.clone();
                assert!(copy.ticket().is_none());
                assert_eq!(contents(&copy), model);
            }
            if random.below(4000) == 0 {
                (hash, model) = (Hash::new(), Model::new());
            }
        }
    }
}

#[test]
fn encodings_go_by_the_limits() {
    let of = |count: usize, len: usize, entries: usize| {
        let mut hash = Hash::new();
        for number in 0..count {
            hash.insert(format!("{number}").as_bytes(), &vec![b'v'; len], &limits(entries));
        }
        hash.encoding()
    };
    assert_eq!((of(512, 64, 512), of(513, 64, 512)), ("listpack", "hashtable"));
    assert_eq!((of(1, 64, 512), of(1, 65, 512)), ("listpack", "hashtable"));
    assert_eq!((of(1, 1, 1), of(1, 1, 0)), ("listpack", "hashtable"));
    let mut hash = Hash::new();
    hash.insert(b"f", b"v", &limits(2));
    hash.set_deadline(b"f", Some(UnixMs(5)), UnixMs(1));
    assert_eq!(hash.encoding(), "listpackex");
    hash.set_deadline(b"f", None, UnixMs(1));
    assert_eq!((hash.encoding(), hash.next_due()), ("listpackex", None));
    let mut hash = Hash::new();
    hash.expect(2, &limits(2));
    assert_eq!(hash.encoding(), "listpack");
    hash.expect(3, &limits(2));
    assert_eq!(hash.encoding(), "hashtable");
}

#[test]
fn memory_is_what_is_held() {
    let mut hash = Hash::new();
    assert_eq!(hash.memory(), 0);
    for number in 0..2000 {
        hash.insert(format!("field:{number:04}").as_bytes(), &[b'v'; 20], &limits(128));
        hash.set_deadline(format!("field:{number:04}").as_bytes(), Some(UnixMs(number + 5)), UnixMs(1));
    }
    let with_deadlines = hash.memory();
    for number in 0..2000 {
        hash.set_deadline(format!("field:{number:04}").as_bytes(), None, UnixMs(1));
    }
    let table = 2000 * 34 + size_of::<Big>() + size_of::<Dict>();
    assert!(hash.memory() < table + 2000 * 64 / 3 && with_deadlines - hash.memory() > 2000 * 32);
    while hash.free_some(10) {}
    assert!(hash.is_empty());
}

#[test]
fn a_few_pairs_at_one_stroke_are_what_one_after_the_other_is() {
    let table: [(&[&str], bool); 6] = [
        (&["f", "v", "g", "1"], true),
        (&["f", "v", "g", "1", "f", "2"], false),
        (&["f", "v"], true),
        (&["f", "v", "g", "1", "h", "1", "i", "-7"], false),
        (&["f", "a text that is longer than the sixty-four bytes which a pack is allowed to hold"], false),
        (&["", ""], true),
    ];
    for (texts, possible) in table {
        let limits = limits(3);
        let made = Hash::of_few(texts.iter().map(|text| text.as_bytes()), &limits);
        assert_eq!(made.is_some(), possible, "{texts:?}");
        let mut hash = Hash::new();
        texts.chunks(2).for_each(|pair| _ = hash.insert(pair[0].as_bytes(), pair[1].as_bytes(), &limits));
        assert!(made.is_none_or(|made| contents(&made) == contents(&hash)));
    }
}
