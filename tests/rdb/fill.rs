//! Data of all types and encodings, as commands that any server takes.

use crate::common::{Client, Random};

/// What a server has beyond Redis 7.0.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Newer {
    Nothing,
    /// Deadlines of fields as Redis has them.
    Redis,
    /// Deadlines of fields as Valkey has them.
    Valkey,
}

/// A command.
pub type Words = Vec<Vec<u8>>;

fn words<const N: usize>(words: [&[u8]; N]) -> Words {
    words.map(<[u8]>::to_vec).to_vec()
}

fn many(name: &str, key: &str, rest: impl IntoIterator<Item = Vec<u8>>) -> Words {
    let mut all = words([name.as_bytes(), key.as_bytes()]);
    all.extend(rest);
    all
}

/// Texts of all shapes, each another one.
fn texts(count: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let text = |number: usize, random: &mut Random| match number % 7 {
        0 => number.to_string().into_bytes(),
        1 => format!("-{}", number * 1_000_003).into_bytes(),
        2 => format!("text {number} text text text text text text").into_bytes(),
        3 => [&number.to_le_bytes()[..], b"\xff\x00\r\n"].concat(),
        4 => (number as u64).wrapping_mul(9_007_199_254_740_993).to_string().into_bytes(),
        5 => format!("{number:030}").into_bytes(),
        _ => {
            let mut text = number.to_string().into_bytes();
            text.extend((0..random.below(40)).map(|_| random.next() as u8));
            text
        }
    };
    (0..count).map(|number| text(number, random)).collect()
}

fn strings(random: &mut Random) -> Vec<Words> {
    let noise: Vec<u8> = (0..5000).map(|_| random.next() as u8).collect();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("int 8", b"-128".to_vec()),
        ("int 16", b"32767".to_vec()),
        ("int 32", b"-2147483648".to_vec()),
        ("int 64", b"9223372036854775807".to_vec()),
        ("like an int", b"007".to_vec()),
        ("short", b"hello".to_vec()),
        ("44", vec![b'e'; 44]),
        ("compressible", b"abc".repeat(1000)),
        ("nearly compressible", (0..30).collect()),
        ("noise", noise.clone()),
        ("big", noise.repeat(20)),
        ("\u{ff}\r\n key", b"x".to_vec()),
        ("12345", b"a key that is a number".to_vec()),
    ];
    rows.into_iter().map(|(key, value)| words([b"SET", format!("s {key}").as_bytes(), &value])).collect()
}

fn lists(random: &mut Random) -> Vec<Words> {
    let texts = texts(3000, random);
    let mut huge = texts[..20].to_vec();
    huge.insert(10, vec![b'L'; 20_000]);
    vec![
        many("RPUSH", "l small", texts[..20].to_vec()),
        many("RPUSH", "l long", texts),
        many("RPUSH", "l huge element", huge),
        many("RPUSH", "l one", [vec![]]),
    ]
}

fn sets(random: &mut Random) -> Vec<Words> {
    let integers = |count: i64, step: i64| (-5..count - 5).map(move |n| (n * step).to_string().into_bytes());
    vec![
        many("SADD", "t int 16", integers(20, 7)),
        many("SADD", "t int 32", integers(20, 70_000)),
        many("SADD", "t int 64", integers(20, 70_000_000_000)),
        many("SADD", "t many ints", integers(1000, 3)),
        many("SADD", "t small", texts(20, random)),
        many("SADD", "t long member", [vec![b'm'; 100], b"1".to_vec()]),
        many("SADD", "t long", texts(1000, random)),
    ]
}

fn hashes(random: &mut Random) -> Vec<Words> {
    let pairs = |count: usize, random: &mut Random| {
        let (fields, values) = (texts(count, random), texts(count, random));
        fields.into_iter().zip(values).flat_map(|(field, value)| [field, value]).collect::<Vec<_>>()
    };
    vec![
        many("HSET", "h small", pairs(10, random)),
        many("HSET", "h long value", [b"f".to_vec(), vec![b'v'; 100]]),
        many("HSET", "h long", pairs(1000, random)),
    ]
}

fn zsets(random: &mut Random) -> Vec<Words> {
    // Those whose digits are the same whoever prints them; the digest of 7.0 has seventeen of any other.
    let scores = ["0", "-1", "1.5", "-inf", "inf", "3", "4503599627370497.5", "-1024.125"];
    let pairs = |count: usize, random: &mut Random| {
        let members = texts(count, random);
        let score = |number: usize| match number < scores.len() {
            true => scores[number].to_owned(),
            false => (number as f64 / 8.0 - 20.0).to_string(),
        };
        let pairs = members.into_iter().enumerate();
        pairs.flat_map(|(number, member)| [score(number).into_bytes(), member]).collect::<Vec<_>>()
    };
    vec![
        many("ZADD", "z small", pairs(15, random)),
        many("ZADD", "z long member", [b"1".to_vec(), vec![b'm'; 100]]),
        many("ZADD", "z long", pairs(1000, random)),
    ]
}

fn streams() -> Vec<Words> {
    let mut all = Vec::new();
    let mut say = |line: &str| all.push(line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
    for number in 0..300 {
        match number % 5 {
            0..3 => say(&format!("XADD x {}-{} a {number} b text{number}", 1000 + number / 2, number + 1)),
            3 => say(&format!("XADD x {}-{} other field{number}", 1000 + number / 2, number + 1)),
            _ => say(&format!("XADD x {}-{} a 1", 1000 + number / 2, number + 1)),
        }
    }
    for number in [1, 2, 7, 250, 251] {
        say(&format!("XDEL x {}-{}", 1000 + number / 2, number + 1));
    }
    say("XGROUP CREATE x g1 0");
    say("XGROUP CREATE x g2 1100-0 ENTRIESREAD 5");
    say("XGROUP CREATE x g3 $");
    say("XREADGROUP GROUP g1 alice COUNT 20 STREAMS x >");
    say("XREADGROUP GROUP g1 bob COUNT 10 STREAMS x >");
    say("XREADGROUP GROUP g2 carol COUNT 3 STREAMS x >");
    say("XACK x g1 1001-4 1002-5");
    say("XDEL x 1004-9");
    say("XGROUP CREATECONSUMER x g3 idle");
    say("XADD emptied 5-5 a b");
    say("XDEL emptied 5-5");
    say("XGROUP CREATE fresh g 0 MKSTREAM");
    say("XADD trimmed MAXLEN 2 1-1 a b");
    say("XADD trimmed 1-2 a b");
    say("XADD trimmed MAXLEN 2 1-3 a b");
    all
}

/// Date of all deadlines: 2033, rather late.
const DEADLINE: &str = "2000000000000";

fn deadlines(newer: Newer) -> Vec<Words> {
    let mut all: Vec<Words> = ["s short", "l small", "t small", "h small", "z small", "x"]
        .map(|key| words([b"PEXPIREAT", key.as_bytes(), DEADLINE.as_bytes()]))
        .to_vec();
    if newer == Newer::Nothing {
        return all;
    }
    all.push(words([b"ZADD", b"z fractions", b"0.1", b"a", b"1e300", b"b", b"-1e-10", b"c", b"0.3", b"d"]));
    for (key, count) in [("h timed", 10), ("h timed long", 1000)] {
        let fields = (0..count).flat_map(|number| {
            [format!("field {number}").into_bytes(), format!("value {number}").into_bytes()]
        });
        all.push(many("HSET", key, fields));
        for (number, date) in [(3, "2000000000000"), (5, "2000000000001"), (7, "2000000700000")] {
            let field = format!("field {number}");
            let date = date.as_bytes();
            all.push(words([b"HPEXPIREAT", key.as_bytes(), date, b"FIELDS", b"1", field.as_bytes()]));
        }
    }
    all
}

/// All of it, as commands, the last of which are for database 3.
pub fn commands(newer: Newer) -> Vec<Words> {
    let seed = Random::seed_from_env("KVICK_RDB_SEED");
    // Shown with a test that fails.
    println!("KVICK_RDB_SEED={seed}");
    let random = &mut Random::new(seed);
    let mut all = strings(random);
    all.extend(lists(random));
    all.extend(sets(random));
    all.extend(hashes(random));
    all.extend(zsets(random));
    all.extend(streams());
    all.extend(deadlines(newer));
    for line in ["SELECT 3", "SET a 1", "RPUSH l x y", "SET b 2 PXAT 2000000000000", "SELECT 0"] {
        all.push(line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
    }
    all
}

/// All of it, into a server. Returns the keys in database 0.
pub fn fill(client: &mut Client, newer: Newer) -> Vec<Vec<u8>> {
    let all = commands(newer);
    for (words, reply) in all.iter().zip(client.pipeline(&all)) {
        assert!(reply.error().is_none(), "{:?}: {reply:?}", words[..2].to_vec());
    }
    client.say("KEYS *").items().iter().map(|key| key.bytes().to_vec()).collect()
}
