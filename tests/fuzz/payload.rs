//! What `RESTORE` takes: refused, or a value in proportion to its payload that every command of its type can work on
//! and that is dumped and restored as the same.

use kvick::data::digest::Digest;
use kvick::data::rdb::{Limits, crc64, payload};

use super::commands::small;
use super::play::{Play, contents};

/// A reference of three bytes in a compressed string may stand for 264, and a short text for an entry in a table.
pub const PROPORTION: usize = 400;

/// What is said of a value of any type; most of it is an error for most.
const TOUCHES: &[&str] = &[
    "TYPE k",
    "OBJECT ENCODING k",
    "MEMORY USAGE k SAMPLES 0",
    "GET k",
    "STRLEN k",
    "BITCOUNT k",
    "LRANGE k 0 -1",
    "LPOS k a RANK -1",
    "LINDEX k -1",
    "SMEMBERS k",
    "SINTERCARD 2 k k",
    "SISMEMBER k a",
    "HGETALL k",
    "HGET k a",
    "HSCAN k 0 COUNT 100",
    "HTTL k FIELDS 1 a",
    "SSCAN k 0",
    "ZRANGE k 0 -1 WITHSCORES",
    "ZRANGEBYSCORE k -inf +inf",
    "ZRANK k a",
    "ZSCAN k 0",
    "ZCOUNT k (1 5",
    "XRANGE k - +",
    "XINFO STREAM k FULL",
    "XLEN k",
    "XPENDING k g",
    "DUMP k",
    "COPY k copy",
    "APPEND k x",
    "SETRANGE k 3 abc",
    "SETBIT k 70 1",
    "INCR k",
    "LPUSH k head 1",
    "RPUSH k 12345678901 tail",
    "LINSERT k BEFORE a b",
    "LSET k 1 other",
    "LREM k 2 a",
    "LTRIM k 1 -2",
    "SADD k 7 a text",
    "SREM k a 1",
    "SPOP k 2",
    "HSET k a 1 field value",
    "HDEL k a",
    "HINCRBY k n 3",
    "HPEXPIRE k 50 FIELDS 1 a",
    "HPERSIST k FIELDS 1 field",
    "ZADD k 1 a 2.5 b -inf c",
    "ZINCRBY k 3 a",
    "ZREM k b",
    "ZREMRANGEBYRANK k 0 1",
    "ZPOPMIN k 2",
    "XADD k * a 1 b 2",
    "XADD k * a 3 b 4",
    "XDEL k 1-1",
    "XTRIM k MAXLEN 3",
    "XGROUP CREATE k fresh 0",
    "XREADGROUP GROUP fresh me STREAMS k >",
    "XAUTOCLAIM k g me 0 0",
    "XACK k g 1-1",
    "XSETID k 99999999999999-1",
    "SORT k ALPHA",
];

/// Makes a payload of type and value.
pub fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = [body, &version.to_le_bytes()].concat();
    bytes.extend_from_slice(&crc64::update(0, &bytes).to_le_bytes());
    bytes
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let Some((version, body)) = data.split_first() else { return };
    let bytes = sealed(body, [10, 12, 80, 5][usize::from(*version) % 4]);
    payload::open(data);
    let Some((body, version)) = payload::open(&bytes) else { panic!("just sealed") };
    let Ok(Some(entry)) = payload::read(body, version, b"k", &Limits::default()) else { return };
    let memory = entry.memory();
    assert!(memory <= 4096 + PROPORTION * bytes.len(), "{memory} bytes of {}", bytes.len());
    let again = payload::seal(&entry, true);
    let (body, version) = payload::open(&again).expect("just sealed");
    let Ok(Some(back)) = payload::read(body, version, b"k", &Limits::default()) else {
        panic!("{} is written {}", bytes.escape_ascii(), again.escape_ascii());
    };
    assert!(Digest::of_value(&entry) == Digest::of_value(&back), "{}", bytes.escape_ascii());
    touch(&bytes);
}

/// Works on a value, and compares what a log and a snapshot make of it.
fn touch(bytes: &[u8]) {
    let mut play = small(usize::from(bytes[0]));
    play.ask(0, &[b"RESTORE", &b"k"[..], b"0", bytes]);
    compare(&mut play);
    for words in TOUCHES {
        play.pass(7);
        play.ask(0, &words.split(' ').collect::<Vec<_>>());
    }
    compare(&mut play);
}

/// The data is what its log and its snapshot say.
pub fn compare(play: &mut Play) {
    let log = play.restarted();
    same(play, &log, "the log");
    let snapshot = play.rewritten();
    same(play, &snapshot, "the snapshot");
}

/// Both hold the same. Whether a zero in a sorted set has a sign depends on how the set is stored, as in Redis; sets with
/// one are left out.
fn same(one: &Play, other: &Play, what: &str) {
    let (mut found, mut expected) = (contents(&other.engine.keys), contents(&one.engine.keys));
    for (number, database) in one.engine.keys.databases().iter().enumerate() {
        for entry in database.table().iter() {
            if entry.zset().is_some_and(|zset| zset.iter().any(|(_, score)| score == 0.0)) {
                let key = (number, entry.key().to_vec());
                assert_eq!(found.remove(&key).is_some(), expected.remove(&key).is_some(), "{what}");
            }
        }
    }
    assert_eq!(found, expected, "{what}");
}

/// Examples: a value of each type and encoding.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut play = Play::new(1);
    let long = "0123456789abcdef".repeat(8);
    for words in [
        "SET s hello",
        "SET n 123456",
        &format!("SET c {long}"),
        "RPUSH l a b 3",
        &format!("RPUSH long {long} x"),
        "SADD i 1 2 300000",
        "SADD t a b",
        "HSET h a 1 b 2",
        "HSET he a 1 b 2",
        "HPEXPIRE he 99999 FIELDS 1 a",
        "ZADD z 1 a 2.5 b inf c",
        "XADD x 1-1 a 1 b 2",
        "XADD x 1-2 a 3 b 4",
        "XADD x 2-1 f v",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g me COUNT 2 STREAMS x >",
        "XDEL x 1-2",
    ] {
        play.ask(0, &words.split(' ').collect::<Vec<_>>());
    }
    for (name, add) in [("many-z", "ZADD"), ("many-h", "HSET"), ("many-t", "SADD")] {
        for number in 0..if add == "SADD" { 150 } else { 530 } {
            let pair = [number.to_string(), format!("m{number}")];
            let words = [add, name].into_iter().chain(pair.iter().map(String::as_str));
            play.ask(0, &words.collect::<Vec<_>>());
        }
    }
    let entries = play.engine.keys.databases()[0].table().iter();
    let all = entries.flat_map(|entry| [payload::seal(entry, true), payload::seal(entry, false)]);
    let mut seeds: Vec<Vec<u8>> = all
        .map(|payload| {
            let version = if payload[payload.len() - 10] == 12 { 1 } else { 0 };
            [&[version], &payload[..payload.len() - 10]].concat()
        })
        .collect();
    seeds.extend(old());
    seeds
}

/// Forms that other versions wrote.
fn old() -> [Vec<u8>; 6] {
    let ziplist = b"\x13\x00\x00\x00\x0e\x00\x00\x00\x02\x00\x00\x02\x61\x62\x04\xf3\xff\x00\x00\xff";
    let listpack = b"\x0d\x00\x00\x00\x02\x00\x82ab\x03\x01\x01\xff";
    let with = |kind: u8, text: &[u8]| [&[3, kind, text.len() as u8], text].concat();
    [
        with(10, ziplist),
        with(13, ziplist),
        with(16, listpack),
        with(20, listpack),
        with(9, b"\x01\x01a\x01\x00b\xff"),
        b"\x03\x03\x01\x01a\x031.5".to_vec(),
    ]
}
