//! Payloads and files that are cut, altered or made up: refused, or read as something, but never a panic, and never
//! memory out of proportion.

use kvick::base::memory;
use kvick::data::rdb::file::{File, Item};
use kvick::data::rdb::{Limits, Slice, crc64, payload};
use kvick::engine::snapshot::rdb::write_rdb;

use crate::common::Random;
use crate::fill::{Newer, commands};
use crate::play::Play;

/// Payloads up to this length are cut and altered everywhere, longer ones at random places.
const EVERYWHERE_BYTES_MAX: usize = 300;
/// Random alterations of a longer one.
const ALTERATIONS: usize = 50;
/// A reference of three bytes in a compressed string may stand for 264; and a short text for an entry in a table.
const PROPORTION: usize = 400;

fn play() -> Play {
    let mut play = Play::new(1);
    for words in commands(Newer::Redis) {
        let reply = play.ask(0, &words);
        assert!(!reply.starts_with(b"-"), "{}: {}", words[0].escape_ascii(), reply.escape_ascii());
    }
    play
}

/// The payloads of all keys.
fn payloads(play: &Play) -> Vec<Vec<u8>> {
    let entries = play.engine.keys.databases()[0].table().iter();
    entries.flat_map(|entry| [payload::seal(entry, true), payload::seal(entry, false)]).collect()
}

/// Makes the checksum fit again.
fn fix(payload: &mut [u8]) {
    let end = payload.len() - 8;
    let crc = crc64::update(0, &payload[..end]);
    payload[end..].copy_from_slice(&crc.to_le_bytes());
}

/// Reads what has a good footer; what comes must be in proportion to it.
fn read(payload: &[u8], limits: &Limits) {
    let Some((body, version)) = payload::open(payload) else { return };
    if let Ok(Some(entry)) = payload::read(body, version, b"key", limits) {
        assert!(
            entry.memory() <= 4096 + PROPORTION * payload.len(),
            "{} bytes of {}",
            entry.memory(),
            payload.len()
        );
        // What was read can be written, and read again.
        let again = payload::seal(&entry, true);
        let (body, version) = payload::open(&again).expect("just sealed");
        let back = payload::read(body, version, b"key", limits);
        assert!(
            matches!(back, Ok(Some(_))),
            "{} is written as {}",
            payload.escape_ascii(),
            again.escape_ascii()
        );
    }
}

#[test]
fn payloads_that_are_cut_or_altered() {
    let play = play();
    let (limits, random) = (Limits::default(), &mut Random::new(Random::seed_from_env("KVICK_RDB_SEED")));
    for whole in payloads(&play) {
        assert!(payload::open(&whole).is_some());
        let everywhere = whole.len() <= EVERYWHERE_BYTES_MAX;
        let places: Vec<usize> = match everywhere {
            true => (0..whole.len()).collect(),
            false => (0..ALTERATIONS).map(|_| random.below(whole.len())).collect(),
        };
        for place in places {
            assert!(payload::open(&whole[..place]).is_none());
            let mut cut = whole[..place].to_vec();
            cut.extend_from_slice(&whole[whole.len() - 10..]);
            fix(&mut cut);
            read(&cut, &limits);
            for alteration in [1, 0x80, 0xff, 1 << random.below(8)] {
                let mut altered = whole.clone();
                altered[place] ^= alteration;
                assert!(payload::open(&altered).is_none());
                fix(&mut altered);
                read(&altered, &limits);
            }
        }
    }
}

#[test]
fn payloads_that_are_mixed() {
    let play = play();
    let (limits, random) = (Limits::default(), &mut Random::new(Random::seed_from_env("KVICK_RDB_SEED")));
    let all = payloads(&play);
    for _ in 0..20_000 {
        let (one, other) = (random.pick(&all), random.pick(&all));
        let mut mixed = one[..random.below(one.len().min(400))].to_vec();
        let tail = &other[random.below(other.len())..];
        mixed.extend_from_slice(&tail[..tail.len().min(400)]);
        if random.chance(30) && !mixed.is_empty() {
            mixed[0] = random.below(26) as u8;
        }
        mixed.extend_from_slice(&[if random.chance(50) { 10 } else { 80 }, 0]);
        mixed.extend_from_slice(&[0; 8]);
        fix(&mut mixed);
        read(&mixed, &limits);
    }
}

/// Every type, announcing more than there is.
#[test]
fn lengths_that_lie() {
    let limits = Limits::default();
    let lengths: [&[u8]; 6] = [
        &[0x3f],
        &[0x7f, 0xff],
        &[0x80, 0xff, 0xff, 0xff, 0xff],
        &[0x81, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    let before = memory::used();
    for of in 0..=30u8 {
        for length in lengths {
            for tail in [&b""[..], b"\x01a\x01b", &[0xc3, 3], &[0; 40]] {
                let mut bodies = vec![[&[of][..], length, tail].concat()];
                // LZF of three bytes that says it is long.
                bodies.push([&[of, 0xc3, 3][..], length, &[0xff; 3], tail].concat());
                bodies.push([&[of, 1][..], length, tail].concat());
                for mut body in bodies {
                    body.extend_from_slice(&[80, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                    fix(&mut body);
                    read(&body, &limits);
                }
            }
        }
    }
    assert!(memory::used() < before + (64 << 20));
}

/// Reads a whole file; true if it is whole.
fn read_file(bytes: &[u8], limits: &Limits) -> bool {
    let mut source = Slice::new(bytes);
    let Ok(mut file) = File::begin(&mut source) else { return false };
    loop {
        match file.next(&mut source, limits, true) {
            Ok(Item::End) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[test]
fn files_that_are_cut_or_altered() {
    let mut play = Play::new(1);
    // The small ones of all types, so that every byte can be tried.
    let mut entries = 0;
    for words in commands(Newer::Redis) {
        let is_short = words.iter().map(Vec::len).sum::<usize>() < 400 && words.len() < 40;
        entries += usize::from(words[0] == b"XADD");
        if is_short && !words[1].ends_with(b"long") && (words[0] != b"XADD" || entries < 25) {
            play.ask(0, &words);
        }
    }
    let mut whole = Vec::new();
    let keys = write_rdb(&play.engine, false, &mut whole, |_| {}).expect("writing to memory");
    assert!(15 < keys && whole.len() < 6000, "{keys} keys, {} bytes", whole.len());
    let (limits, random) = (Limits::default(), &mut Random::new(Random::seed_from_env("KVICK_RDB_SEED")));
    assert!(read_file(&whole, &limits));
    for place in 0..whole.len() {
        assert!(!read_file(&whole[..place], &limits), "cut at {place}");
        let mut altered = whole.clone();
        altered[place] ^= 1 << random.below(8);
        assert!(!read_file(&altered, &limits), "altered at {place}");
        fix(&mut altered);
        read_file(&altered, &limits);
        let mut cut = whole[..place].to_vec();
        cut.push(0xff);
        cut.extend_from_slice(&crc64::update(0, &cut).to_le_bytes());
        read_file(&cut, &limits);
    }
}
