//! Sets at random against plain ones, with restarts from the log and from a snapshot in between: what was drawn by
//! chance before a restart must be gone after it, and whatever form a set has, its digest is that of its members.

mod play;

use std::collections::{BTreeMap, BTreeSet};

use kvick::base::random::Random;
use play::{Play, contents};

type Model = BTreeMap<String, BTreeSet<Vec<u8>>>;

/// The bulk strings of a reply.
fn bulks(reply: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = reply;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        rest = after;
        if let Some(len) = line.strip_prefix(b"$").filter(|len| *len != b"-1") {
            let len: usize = std::str::from_utf8(len).expect("digits").parse().expect("a length");
            found.push(after[..len].to_vec());
            rest = &after[len + 2..];
        }
    }
    found
}

/// A member; of some keys all are numbers.
fn member(random: &mut Random, key: u64) -> Vec<u8> {
    let number = random.below(400);
    match (key % 3, number % 4) {
        (0, _) => (number as i64 * 7_000_001 - 900_000).to_string().into_bytes(),
        (1, 0) => vec![b'x'; number as usize],
        (_, 1) => number.to_string().into_bytes(),
        _ => format!("member {number}").into_bytes(),
    }
}

fn combined(model: &Model, command: &str, keys: &[String]) -> BTreeSet<Vec<u8>> {
    let mut sets = keys.iter().map(|key| model.get(key).cloned().unwrap_or_default());
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |left, right| match command {
        "SINTERSTORE" => &left & &right,
        "SUNIONSTORE" => &left | &right,
        _ => &left - &right,
    })
}

fn step(play: &mut Play, model: &mut Model, random: &mut Random) {
    let number = random.below(6);
    let key = format!("set{number}");
    let other = format!("set{}", random.below(6));
    let text = member(random, number);
    match random.below(20) {
        0..9 => {
            let more: Vec<_> = (0..random.below(30)).map(|_| member(random, number)).collect();
            let words = [b"SADD".to_vec(), key.clone().into_bytes(), text.clone()];
            play.ask(0, &words.into_iter().chain(more.clone()).collect::<Vec<_>>());
            model.entry(key).or_default().extend(more.into_iter().chain([text]));
        }
        9..12 => {
            play.ask(0, &[b"SREM", key.as_bytes(), &text]);
            model.entry(key).or_default().remove(&text);
        }
        12..14 => {
            play.ask(0, &[b"SMOVE", key.as_bytes(), other.as_bytes(), &text]);
            if model.entry(key).or_default().remove(&text) {
                model.entry(other).or_default().insert(text);
            }
        }
        14..17 => {
            let bits = random.below(9);
            let count = random.below(1 << bits).to_string();
            let gone = match random.below(2) {
                0 => play.ask(0, &["SPOP", &key]),
                _ => play.ask(0, &["SPOP", &key, &count]),
            };
            for member in bulks(&gone) {
                assert!(model.entry(key.clone()).or_default().remove(&member), "{member:?} was no member");
            }
        }
        _ => {
            let command = ["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"][random.below(3) as usize];
            let third = format!("set{}", random.below(6));
            play.ask(0, &[command, &key, &other, &third]);
            let result = combined(model, command, &[other, third]);
            model.insert(key, result);
        }
    }
    model.retain(|_, set| !set.is_empty());
}

fn compare(play: &mut Play, model: &Model) {
    let keys: BTreeSet<_> = contents(&play.engine.keys).into_keys().map(|(_, key)| key).collect();
    assert_eq!(keys, model.keys().map(|key| key.clone().into_bytes()).collect());
    for (key, expected) in model {
        let members = bulks(&play.ask(0, &["SMEMBERS", key]));
        assert_eq!(members.len(), expected.len(), "{key}");
        assert_eq!(&members.into_iter().collect::<BTreeSet<_>>(), expected, "{key}");
    }
}

#[test]
fn sets_are_what_plain_sets_are_and_outlive_restarts() {
    for seed in 0..10 {
        let mut random = Random::seeded(seed);
        let (mut play, mut model) = (Play::new(seed), Model::new());
        for round in 0..12 {
            for _ in 0..100 {
                step(&mut play, &mut model, &mut random);
            }
            compare(&mut play, &model);
            let before = contents(&play.engine.keys);
            play = if round % 2 == 0 { play.restarted() } else { play.rewritten() };
            assert!(contents(&play.engine.keys) == before, "seed {seed}, round {round}");
        }
    }
}
