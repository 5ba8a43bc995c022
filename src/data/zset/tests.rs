//! Random operations against a plain model.

use std::collections::BTreeMap;

use super::*;
use crate::base::random::Random;

fn limits() -> Limits {
    Limits { entries: 128, value: 64, hasher: Hasher::new([1, 2, 3, 4]) }
}

/// The model in order.
fn sorted(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(Vec<u8>, f64)> {
    let mut sorted: Vec<_> = model.iter().map(|(text, score)| (text.clone(), *score)).collect();
    sorted.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no NaN").then_with(|| a.0.cmp(&b.0)));
    sorted
}

fn listed<'a>(members: impl Iterator<Item = (Item<'a>, f64)>) -> Vec<(Vec<u8>, f64)> {
    members.map(|(item, score)| (item.to_vec(), score)).collect()
}

fn compare(zset: &Zset, model: &BTreeMap<Vec<u8>, f64>, random: &mut Random) {
    let all = sorted(model);
    assert_eq!((zset.len(), zset.is_empty()), (all.len(), all.is_empty()));
    assert_eq!(listed(zset.iter()), all);
    assert_eq!(listed(zset.clone().iter().rev()), all.iter().rev().cloned().collect::<Vec<_>>());
    let (from, to) = (random.below(all.len() as u64 + 1), random.below(all.len() as u64 + 1));
    let (from, to) = (from.min(to) as usize, from.max(to) as usize);
    assert_eq!(listed(zset.range(from..to)), all[from..to]);
    assert_eq!(listed(Zset::of(all.iter().map(|(t, s)| (*s, t.clone())).collect(), &limits()).iter()), all);
    for (rank, (text, score)) in all.iter().enumerate().skip(from).take(3) {
        assert_eq!((zset.score(text), zset.rank(text)), (Some(*score), Some((rank, *score))));
    }
    let bound = |random: &mut Random| random.below(40) as f64 - 10.0;
    let (min, max) = (bound(random), bound(random));
    for (min_open, max_open) in [(false, false), (true, true), (false, true)] {
        let range = ScoreRange { min, min_open, max, max_open };
        let found = listed(zset.range(zset.ranks_by_score(&range)));
        let mut expected = all.clone();
        expected.retain(|(_, score)| range.reaches(*score) && range.within(*score));
        assert_eq!(found, expected, "{range:?}");
    }
    let (mut cursor, mut seen) = (0, BTreeMap::new());
    loop {
        cursor = zset.scan(cursor, |item, score| _ = seen.insert(item.to_vec(), score));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, *model);
}

#[test]
fn a_sorted_set_is_what_a_map_is() {
    for (seed, names, steps) in [(1, 100u64, 4000), (2, 3000, 30_000)] {
        let mut random = Random::seeded(seed);
        let (mut zset, mut model) = (Zset::default(), BTreeMap::new());
        for step in 0..steps {
            let name = random.below(names);
            let text = match name % 3 {
                0 => name.to_string(),
                1 => format!("member {name}"),
                _ => format!("-{name}.0"),
            }
            .into_bytes();
            let score = random.below(60) as f64 / 2.0 - 10.0;
            match random.below(10) {
                0..6 => assert_eq!(zset.insert(score, &text, &limits()), model.insert(text, score)),
                6 => {
                    let add = |old: Option<f64>| old.map(|old| old + score);
                    let old = model.get(&text).copied();
                    assert_eq!(zset.update(&text, &limits(), add), (old, add(old)));
                    if let Some(new) = add(old) {
                        model.insert(text, new);
                    }
                }
                7 => assert_eq!(zset.remove(&text), model.remove(&text)),
                _ if random.below(if names < 1000 { 3 } else { 40 }) == 0 && !model.is_empty() => {
                    let from = random.below(model.len() as u64) as usize;
                    let to = (from + random.below(50) as usize).min(model.len());
                    sorted(&model)[from..to].iter().for_each(|(text, _)| _ = model.remove(text));
                    zset.remove_range(from..to);
                }
                _ => assert_eq!(zset.score(&text), model.get(&text).copied()),
            }
            if step % 97 == 0 {
                compare(&zset, &model, &mut random);
            }
        }
        assert_eq!(zset.encoding(), if names < 1000 { "listpack" } else { "skiplist" });
    }
}

#[test]
fn texts_are_found_between_bounds() {
    use LexBound::{Highest, Lowest, With, Without};
    let names = ["", "a", "aa", "b", "c", "cc"];
    let small = Zset::of(names.map(|name| (0.0, name)).to_vec(), &limits());
    let big = Zset::of(names.map(|name| (0.0, name)).to_vec(), &Limits { entries: 1, ..limits() });
    assert_eq!((small.encoding(), big.encoding()), ("listpack", "skiplist"));
    for (min, max, expected) in [
        (Lowest, Highest, 0..6),
        (Highest, Lowest, 0..0),
        (Lowest, Lowest, 0..0),
        (Highest, Highest, 0..0),
        (With(b"a"), With(b"b"), 1..4),
        (Without(b"a"), Without(b"b"), 2..3),
        (With(b"b"), With(b"b"), 3..4),
        (With(b"b"), Without(b"b"), 0..0),
        (With(b"b"), With(b"a"), 0..0),
        (Without(b"cc"), Highest, 6..6),
        (Lowest, Without(b""), 0..0),
        (With(b"bb"), Highest, 4..6),
    ] {
        let range = LexRange { min, max };
        for zset in [&small, &big] {
            for from_end in [false, true] {
                let found = zset.ranks_by_lex(&range, from_end);
                assert!(found == expected || found.is_empty() && expected.is_empty(), "{range:?} {found:?}");
            }
        }
    }
}

#[test]
fn limits_decide_the_form() {
    let limits = limits();
    let mut zset = Zset::default();
    for number in 0..128 {
        zset.insert(f64::from(number) / 3.0, format!("{number}").as_bytes(), &limits);
    }
    assert_eq!(zset.encoding(), "listpack");
    zset.insert(7.0, b"0", &limits);
    assert_eq!(zset.encoding(), "listpack");
    let before = listed(zset.iter());
    zset.insert(1000.0, b"one more", &limits);
    assert_eq!(zset.encoding(), "skiplist");
    assert_eq!(listed(zset.iter())[..128], before);

    let mut zset = Zset::default();
    zset.insert(1.0, &[b'x'; 64], &limits);
    assert_eq!(zset.encoding(), "listpack");
    zset.insert(1.0, &[b'y'; 65], &limits);
    assert_eq!(zset.encoding(), "skiplist");
    zset.remove(&[b'y'; 65]);
    assert_eq!(zset.encoding(), "skiplist");

    let mut zset = Zset::default();
    zset.expect(128, &limits);
    assert_eq!(zset.encoding(), "listpack");
    zset.expect(129, &limits);
    assert_eq!(zset.encoding(), "skiplist");
}

#[test]
fn what_it_weighs_comes_back_in_slices() {
    let limits = limits();
    let mut zset = Zset::default();
    for number in 0..20_000 {
        zset.insert(f64::from(number * 7919 % 20_000), format!("member:{number:09}").as_bytes(), &limits);
    }
    assert!(zset.is_heavy());
    let each = zset.memory() / 20_000;
    assert!((50..75).contains(&each), "{each}");
    let before = zset.memory();
    for number in 0..5000 {
        zset.insert(0.5, format!("another:{number}").as_bytes(), &limits);
    }
    (0..2500).for_each(|number| _ = zset.remove(format!("another:{number}").as_bytes()));
    let ranks = zset.ranks_by_score(&ScoreRange { min: 0.5, min_open: false, max: 0.5, max_open: false });
    zset.remove_range(ranks);
    assert_eq!(zset.len(), 20_000);
    // But for how nodes are filled and how big the table is now.
    assert!(zset.memory().abs_diff(before) < before / 4, "{before} {}", zset.memory());
    let mut slices = 1;
    while zset.free_some(100) {
        slices += 1;
    }
    assert!(10 < slices, "{slices}");
}
