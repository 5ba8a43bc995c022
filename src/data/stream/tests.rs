//! Streams against plain models, and against listpacks that redis-server wrote.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::base::random::Random;

const LIMITS: Limits = Limits { node_bytes: 4096, node_entries: 10 };

type Texts = Vec<(Vec<u8>, Vec<u8>)>;

fn append(entries: &mut Entries, id: Id, texts: &Texts, limits: Limits) {
    entries.append(id, texts.iter().map(|(field, value)| (&field[..], &value[..])), limits);
}

fn texts(entry: &Entry<'_>) -> Texts {
    entry.pairs().map(|(field, value)| (field.to_vec(), value.to_vec())).collect()
}

/// Stream of `1-0` to `len-0` with one field.
fn counting(len: u64, limits: Limits) -> Stream {
    let mut stream = Stream::new();
    for ms in 1..=len {
        append(
            &mut stream.entries,
            Id::new(ms, 0),
            &vec![(b"f".to_vec(), ms.to_string().into_bytes())],
            limits,
        );
    }
    stream
}

fn random_texts(random: &mut Random) -> Texts {
    let count = 1 + random.below(3);
    (0..count)
        .map(|n| {
            let field = format!("field{}", if random.below(4) == 0 { random.below(9) } else { n });
            let value = match random.below(4) {
                0 => (random.next_u64() >> random.below(64)).to_string().into_bytes(),
                1 => format!("-{}", random.below(70_000)).into_bytes(),
                _ => vec![b'v'; random.below(90) as usize],
            };
            (field.into_bytes(), value)
        })
        .collect()
}

fn random_trim(random: &mut Random, last: Id) -> Trim {
    let measure = match random.below(2) {
        0 => Measure::Len(random.below(150)),
        _ => Measure::First(Id::new(last.ms.saturating_sub(random.below(100)), random.below(3))),
    };
    Trim { measure, approximate: random.below(2) == 0, limit: random.below(2) * random.below(40) }
}

#[test]
fn entries_are_what_an_ordered_map_is() {
    let mut random = Random::seeded(11);
    let mut entries = Entries::default();
    let mut model: BTreeMap<Id, Texts> = BTreeMap::new();
    let (mut last, mut max_deleted) = (Id::ZERO, Id::ZERO);
    for turn in 0..20_000 {
        match random.below(20) {
            0..13 => {
                last = match random.below(3) {
                    0 => Id::new(last.ms, last.seq + 1 + random.below(2)),
                    1 => Id::new(last.ms + 1 + random.below(300), random.below(3)),
                    _ => entries.next_id(last.ms + random.below(2)).expect("some are left"),
                };
                let texts = random_texts(&mut random);
                append(&mut entries, last, &texts, LIMITS);
                model.insert(last, texts);
            }
            13..18 => {
                let nth = random.below(model.len() as u64 + 1) as usize;
                let id = model.keys().nth(nth).copied().unwrap_or(Id::new(last.ms, 77));
                assert_eq!(entries.get(id).map(|entry| texts(&entry)), model.get(&id).cloned());
                let was_there = model.remove(&id).is_some();
                assert_eq!(entries.delete(id), was_there);
                if was_there {
                    max_deleted = max_deleted.max(id);
                }
            }
            18 if turn % 7 == 0 => {
                let trim = random_trim(&mut random, last);
                let removed = entries.trim(&trim) as usize;
                let gone: Vec<Id> = model.keys().take(removed).copied().collect();
                gone.iter().for_each(|id| drop(model.remove(id)));
                match trim.measure {
                    Measure::Len(max) if !trim.approximate && trim.limit == 0 => {
                        assert!(entries.len() <= max);
                    }
                    Measure::First(id) => {
                        assert!(gone.iter().all(|gone| *gone < id));
                        assert!(
                            trim.approximate
                                || trim.limit != 0
                                || entries.first_id() >= id
                                || model.is_empty()
                        );
                    }
                    Measure::Len(max) => assert!(gone.is_empty() || max <= entries.len()),
                }
                assert!(trim.limit == 0 || trim.approximate || removed as u64 <= trim.limit + 10);
            }
            _ => {
                let (a, b) = (last.ms.saturating_sub(random.below(2000)), random.below(2000));
                let (start, end) = (Id::new(a, random.below(3)), Id::new(a + b, random.below(3)));
                let found: Vec<Id> = entries.range(start, end).map(|entry| entry.id).collect();
                assert!(start <= end || found.is_empty());
                if start <= end {
                    assert!(found.iter().eq(model.range(start..=end).map(|(id, _)| id)));
                    assert!(entries.range_rev(start, end).map(|it| it.id).eq(found.iter().rev().copied()));
                }
            }
        }
        assert_eq!((entries.len(), entries.last_id()), (model.len() as u64, last));
        assert_eq!(entries.max_deleted(), max_deleted);
        assert_eq!(entries.first_id(), model.keys().next().copied().unwrap_or(Id::ZERO));
        if turn % 200 == 0 {
            assert!(entries.iter().map(|entry| (entry.id, texts(&entry))).eq(model.clone()));
            assert!(entries.range_rev(Id::ZERO, Id::MAX).map(|it| it.id).eq(model.keys().rev().copied()));
            assert_eq!(entries.last_present(), model.keys().last().copied().unwrap_or(Id::ZERO));
        }
    }
}

#[test]
fn what_trimming_would_remove_is_what_it_removes() {
    let mut random = Random::seeded(3);
    for _ in 0..300 {
        let mut stream = counting(random.below(200), LIMITS);
        for _ in 0..random.below(30) {
            stream.entries.delete(Id::new(random.below(200), 0));
        }
        let trim = random_trim(&mut random, Id::new(150, 0));
        let expected = stream.trimmed(&trim, References::Keep);
        let before: Vec<Id> = stream.entries.iter().map(|entry| entry.id).collect();
        let removed = stream.entries.trim(&trim) as usize;
        assert_eq!(before[..removed], expected, "{trim:?}");
    }
}

#[test]
fn entries_that_somebody_needs_stay() {
    let mut stream = counting(30, LIMITS);
    let group = stream.groups.create(b"g", Id::new(20, 0), None).expect("a new name");
    let (consumer, _) = group.ensure_consumer(b"c", 1);
    group.assign(Pending { id: Id::new(2, 0), time_ms: 1, count: 1, consumer });
    let trim = |measure, approximate| Trim { measure, approximate, limit: 0 };
    let ids = |range: std::ops::RangeInclusive<u64>| {
        range.map(|ms| Id::new(ms, 0)).filter(|id| id.ms != 2).collect::<Vec<_>>()
    };
    let acked = References::Acknowledged;
    assert_eq!(stream.trimmed(&trim(Measure::Len(25), false), acked), ids(1..=6));
    assert_eq!(stream.trimmed(&trim(Measure::Len(0), false), acked), ids(1..=20));
    assert_eq!(stream.trimmed(&trim(Measure::Len(15), true), acked), ids(1..=10));
    assert_eq!(stream.trimmed(&trim(Measure::First(Id::new(15, 0)), false), acked), ids(1..=14));
}

/// What redis-server 7.0.15 says of `XINFO STREAM` after the same: the number of keys and nodes of its radix tree.
#[test]
fn nodes_begin_where_those_of_redis_do() {
    let fill = |len, texts: &Texts, limits| {
        let mut entries = Entries::default();
        (1..=len).for_each(|ms| append(&mut entries, Id::new(ms, 1), texts, limits));
        (entries.nodes(), entries.radix_nodes())
    };
    let limits = Limits { node_bytes: 4096, node_entries: 100 };
    let small = vec![(b"field".to_vec(), b"value".to_vec())];
    assert_eq!(fill(0, &small, limits), (0, 1));
    assert_eq!(fill(100, &small, limits), (1, 2));
    assert_eq!(fill(101, &small, limits), (2, 6));
    assert_eq!(fill(1000, &small, limits), (10, 26));
    let alone = vec![(b"f".to_vec(), vec![b'x'; 5000])];
    assert_eq!(fill(3, &alone, limits), (3, 8));
    assert_eq!(fill(70_000, &small, limits), (700, 1677));
}

#[test]
fn entries_of_one_shape_take_few_bytes() {
    let mut entries = Entries::default();
    let texts = vec![(b"field".to_vec(), b"xxx".to_vec())];
    let limits = Limits { node_bytes: 4096, node_entries: 100 };
    for n in 0..200_000 {
        append(&mut entries, Id::new(1_700_000_000_000 + n / 500, n % 500), &texts, limits);
    }
    let bytes = entries.memory() as u64;
    assert!(bytes / 200_000 < 11, "{bytes} bytes");
}

#[test]
fn listpacks_both_ways() {
    let mut random = Random::seeded(8);
    let mut entries = Entries::default();
    let mut id = Id::new(5, 5);
    for _ in 0..500 {
        append(&mut entries, id, &random_texts(&mut random), LIMITS);
        id = Id::new(id.ms + random.below(3) * random.below(1 << 40), id.seq + 1);
    }
    for n in 0..300 {
        let ids: Vec<Id> = entries.iter().map(|entry| entry.id).collect();
        entries.delete(ids[(n * 7919) % ids.len()]);
    }
    let mut copy = Entries::default();
    let mut node = 0;
    let mut bytes = Vec::new();
    while let Some((base, elements)) = entries.listpack(node, &mut bytes) {
        assert_eq!(crate::data::element::count(&bytes), Some(elements));
        assert_eq!(copy.push_listpack(base, &bytes), Some(()));
        // Damaged in any byte or cut anywhere it may be refused, but does no harm.
        for at in 0..bytes.len().min(80) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << random.below(8);
            let mut other = Entries::default();
            other.push_listpack(base, &damaged);
            other.iter().for_each(|entry| drop(texts(&entry)));
            let cut = Entries::default().push_listpack(base, &bytes[..at]);
            assert_eq!(cut, None);
        }
        bytes.clear();
        node += 1;
    }
    let all = |entries: &Entries| entries.iter().map(|it| (it.id, texts(&it))).collect::<Vec<_>>();
    assert_eq!(all(&copy), all(&entries));
    assert_eq!((copy.len(), copy.nodes()), (entries.len(), entries.nodes()));
}

/// The elements that redis-server 7.0 stores for `XADD x 1-1 f v`, `XADD x 1-2 f 300`, `XADD x 2-0 a 1 b 2`.
#[test]
fn a_listpack_is_the_one_of_redis() {
    let elements: &[u8] = &[
        3, 1, 0, 1, 1, 1, 0x81, b'f', 2, 0, 1, 2, 1, 0, 1, 0, 1, 0x81, b'v', 2, 4, 1, 2, 1, 0, 1, 1, 1, 0xc1,
        0x2c, 2, 4, 1, 0, 1, 1, 1, 0xdf, 0xff, 2, 2, 1, 0x81, b'a', 2, 1, 1, 0x81, b'b', 2, 2, 1, 8, 1,
    ];
    let mut entries = Entries::default();
    let pair = |field: &str, value: &str| (field.as_bytes().to_vec(), value.as_bytes().to_vec());
    append(&mut entries, Id::new(1, 1), &vec![pair("f", "v")], LIMITS);
    append(&mut entries, Id::new(1, 2), &vec![pair("f", "300")], LIMITS);
    append(&mut entries, Id::new(2, 0), &vec![pair("a", "1"), pair("b", "2")], LIMITS);
    let mut bytes = Vec::new();
    assert_eq!(entries.listpack(0, &mut bytes).map(|(base, _)| base), Some(Id::new(1, 1)));
    assert_eq!(bytes, elements);
    assert_eq!(entries.nodes[0].listpack_len(), bytes.len() as u64 + 7);
}

#[test]
fn what_is_pending_stands_in_both_indexes() {
    let mut random = Random::seeded(21);
    let mut stream = Stream::new();
    let group = stream.groups.create(b"g", Id::ZERO, Some(0)).expect("a new name");
    let mut model: BTreeMap<Id, (Vec<u8>, u64)> = BTreeMap::new();
    for _ in 0..20_000 {
        let name = format!("c{}", random.below(5)).into_bytes();
        let id = Id::new(random.below(400), 0);
        match random.below(100) {
            0 => {
                let pending = model.values().filter(|(owner, _)| *owner == name).count();
                assert_eq!(group.remove_consumer(&name).unwrap_or(0), pending);
                model.retain(|_, (owner, _)| *owner != name);
            }
            1..50 => {
                let (consumer, _) = group.ensure_consumer(&name, 5);
                let count = random.below(9);
                group.assign(Pending { id, time_ms: 7, count, consumer });
                model.insert(id, (name, count));
            }
            _ => assert_eq!(group.acknowledge(id), model.remove(&id).is_some()),
        }
        assert_eq!(group.pending_len(), model.len());
    }
    let owner = |pending: &Pending| group.consumer(pending.consumer).name().to_vec();
    assert!(group.pending_from(Id::ZERO).map(|it| (it.id, (owner(it), it.count))).eq(model.clone()));
    let names: Vec<&[u8]> = group.consumers().map(Consumer::name).collect();
    assert!(names.is_sorted());
    for consumer in group.consumers() {
        let own: BTreeSet<Id> =
            model.iter().filter(|(_, (owner, _))| *owner == consumer.name()).map(|(id, _)| *id).collect();
        assert!(consumer.pending_from(Id::ZERO).eq(own.iter().copied()));
    }
}

#[test]
fn a_big_stream_goes_in_slices() {
    let mut stream = counting(5000, LIMITS);
    for name in [b"a", b"b"] {
        let group = stream.groups.create(name, Id::ZERO, None).expect("a new name");
        for n in 0..3000 {
            let (consumer, _) = group.ensure_consumer(format!("c{}", n % 50).as_bytes(), 1);
            group.assign(Pending { id: Id::new(n, 0), time_ms: 1, count: 1, consumer });
        }
    }
    assert!(stream.is_heavy() && !Stream::new().is_heavy());
    let mut slices = 0;
    while stream.free_some(20) {
        slices += 1;
        assert!(slices < 1000, "it comes to an end");
    }
    assert!(20 < slices);
}

#[test]
fn what_cannot_be_known_beyond_the_entries_becomes_what_can() {
    let mut stream = Stream::new();
    stream.entries.append(Id::new(1, 1), [(&b"f"[..], &b"v"[..])].into_iter(), LIMITS);
    stream.entries.set_ids(Id::new(2, 0), 0, Id::new(9, 9));
    assert_eq!((stream.entries.added(), stream.entries.max_deleted()), (1, Id::new(2, 0)));
    stream.entries.set_ids(Id::new(2, 0), u64::MAX, Id::ZERO);
    assert_eq!(stream.entries.added(), i64::MAX as u64);
}
