//! Makes up calls of commands from templates.
//!
//! A template is words with single spaces. `$x` is a made-up argument (see [`argument`]), `{a|b c|$x}` one of several
//! alternatives, with `*` behind it none to three of them, with `+` one to three; `[a b]` is there half of the time. An
//! empty alternative is an empty argument.
//!
//! Deadlines are far away or long past, never near: no reply may depend on which server is a moment slower. For the same
//! reason relative deadlines are drawn from so many that two of them hardly ever meet (GT and LT would tell).

use crate::common::Random;

/// A made-up call.
pub struct Made {
    /// The words.
    pub args: Vec<Vec<u8>>,
    /// Does it contain a deadline long past? Then the key may linger in memory until somebody looks at it.
    pub past: bool,
}

const HASH_KEYS: &[&[u8]] = &[b"h0", b"h1", b"h2", b"h3"];
const SET_KEYS: &[&[u8]] = &[b"set0", b"set1", b"set2", b"set3"];
const ZSET_KEYS: &[&[u8]] = &[b"z0", b"z1", b"z2", b"z3"];
const GEO_KEYS: &[&[u8]] = &[b"geo0", b"geo1"];
const STREAM_KEYS: &[&[u8]] = &[b"x0", b"x1", b"x2"];
const STRING_KEYS: &[&[u8]] = &[b"s0", b"s1", b"s2", b"s3", b"s4", b"s5", b"s6", b"a key with spaces"];
const LIST_KEYS: &[&[u8]] = &[b"l0", b"l1", b"l2", b"l3", b"l4", b"l5", b"\x00\xff\r\n*"];
const MIXED_KEYS: &[&[u8]] = &[b"m0", b"m1", b"m[2]*", b"", b"{tag}x"];

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "10",
    "-10",
    "99",
    "100",
    "9999",
    "10000",
    "12345678",
    "2147483647",
    "-2147483648",
    "4294967296",
    "9223372036854775806",
    "9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775807",
];
const FLOATS: &[&str] = &[
    "0",
    "1.5",
    "-1.5",
    "0.1",
    "0.2",
    "3.0e3",
    "1e-10",
    "5.0",
    "-0",
    "-0.0",
    "1e17",
    "123456789.123456789",
    "0.0001",
    "1e300",
    "-1e300",
    "3.14159265358979",
    ".5",
    "5.",
    "1e4000",
    "99999999999999999",
    "0x1p3",
    "0x10",
    "1e+2",
    "1E2",
];
/// Scores that every version prints alike: short in binary and in decimal.
const SCORES: &[&str] = &[
    "0", "1", "2", "3", "-1", "-2", "10", "2.5", "-0.5", "0.25", "1e3", "inf", "-inf", "+1", "4.", ".5",
    "100000", "1234567",
];
const SCORE_BOUNDS: &[&str] = &[
    "-inf", "inf", "+inf", "0", "1", "2", "3", "(1", "(2", "(-inf", "(inf", "-1", "10", "(0.25", "2.5", "(0",
    "1e400", "", "(", "a", "((1", "1a", "nan",
];
const MEMBERS: &[&str] =
    &["a", "b", "c", "d", "e", "aa", "ab", "bb", "7", "10", "-1", "1.5", "a b", "", "Z", "zz", "f", "g"];
const TEXT_BOUNDS: &[&str] = &[
    "-", "+", "[a", "(a", "[b", "(b", "[c", "(c", "[aa", "(zz", "[", "(", "[7", "[Z", "a", "", "+x", "-x",
    "[a b",
];
/// What is no number, or only nearly one. No small positive integers: as a deadline they would be near.
const JUNK: &[&str] = &[
    "",
    " ",
    "abc",
    "-1",
    "0",
    "1.5",
    "+1",
    " 1",
    "1 ",
    "01",
    "0x10",
    "1e3",
    "nan",
    "inf",
    "-inf",
    "-",
    "--1",
    "1a",
    "-0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "\0",
    "1\0",
    "NX",
    "XX",
    "GET",
    "EX",
    "COUNT",
    "*",
];
const PATTERNS: &[&str] = &[
    "*",
    "s*",
    "?0",
    "l[0-3]",
    "l[^0-3]",
    "*[*",
    "m\\[2\\]\\*",
    "[a-z]*",
    "[z-a]*",
    "**0",
    "",
    "s",
    "s1",
    "[",
    "[s",
    "\\",
    "a*s",
    "*?*",
    "[^s]*",
    "?",
    "[sl]?",
    "{tag}*",
    "*\\",
    "[]*",
    "[\\s]1",
    "nosuch",
];

/// One call after `template`.
pub fn make(template: &str, random: &mut Random) -> Made {
    let mut made = Made { args: Vec::new(), past: false };
    sequence(template, random, &mut made);
    made
}

/// With some probability makes the call a wrong one: too few or too many words, junk for a word, odd letters.
pub fn spoil(made: &mut Made, random: &mut Random) {
    // `CLIENT REPLY` decides how many replies come; a shorter COMMAND or a `*` for CONFIG GET lists all that a server has.
    if [&b"CLIENT"[..], b"COMMAND", b"CONFIG"].contains(&&made.args[0][..]) {
        return;
    }
    match random.below(100) {
        0..2 if 1 < made.args.len() => drop(made.args.pop()),
        2..4 => made.args.push(random.pick(JUNK).as_bytes().to_vec()),
        4..6 if 1 < made.args.len() => {
            let at = 1 + random.below(made.args.len() - 1);
            made.args[at] = random.pick(JUNK).as_bytes().to_vec();
        }
        6 if 1 < made.args.len() => drop(made.args.remove(1 + random.below(made.args.len() - 1))),
        7 => {
            for byte in made.args[0].iter_mut().filter(|_| random.chance(50)) {
                *byte = byte.to_ascii_lowercase();
            }
        }
        8 if 2 < made.args.len() => made.args.truncate(1),
        9 => {
            for word in made.args[1..].iter_mut().filter(|w| w.iter().all(u8::is_ascii_uppercase)) {
                word.make_ascii_lowercase();
            }
        }
        _ => {}
    }
}

/// Walks a template, group by group and word by word.
fn sequence(mut rest: &str, random: &mut Random, made: &mut Made) {
    while !rest.is_empty() {
        let end = match rest.as_bytes()[0] {
            b'{' | b'[' if closing(rest).is_some() => {
                let close = closing(rest).expect("just found");
                let inner = &rest[1..close];
                let repeat = rest[close + 1..].chars().next().filter(|c| matches!(c, '*' | '+'));
                group(rest.as_bytes()[0], inner, repeat, random, made);
                close + 1 + repeat.map_or(0, char::len_utf8)
            }
            _ => {
                let end = rest.find(' ').unwrap_or(rest.len());
                let word = argument(&rest[..end], random, made);
                made.args.push(word);
                end
            }
        };
        rest = rest[end..].strip_prefix(' ').unwrap_or(&rest[end..]);
    }
}

fn group(open: u8, inner: &str, repeat: Option<char>, random: &mut Random, made: &mut Made) {
    if open == b'[' {
        if random.chance(50) {
            sequence(inner, random, made);
        }
        return;
    }
    let times = match repeat {
        None => 1,
        Some('+') => 1 + random.below(3),
        Some(_) => *random.pick(&[0, 0, 1, 1, 1, 2, 2, 3]),
    };
    let alternatives = split(inner);
    for _ in 0..times {
        match *random.pick(&alternatives) {
            "" => made.args.push(Vec::new()),
            alternative => sequence(alternative, random, made),
        }
    }
}

/// Where the bracket that `rest` opens is closed.
fn closing(rest: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Splits at the bars that stand outside of inner brackets.
fn split(inner: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'|' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    parts
}

/// One word of a template as an argument.
fn argument(word: &str, random: &mut Random, made: &mut Made) -> Vec<u8> {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
            as i64;
    let far = random.range(10_000, 100_000_000);
    let number = match word {
        "$s" => return key(STRING_KEYS, random),
        "$l" => return key(LIST_KEYS, random),
        "$h" => return key(HASH_KEYS, random),
        "$set" => return key(SET_KEYS, random),
        "$z" => return key(ZSET_KEYS, random),
        "$x" => return key(STREAM_KEYS, random),
        "$xid" => return new_id(random),
        "$xold" => return old_id(random),
        "$xopen" => return [&b"("[..], &old_id(random)].concat(),
        "$last" => return b"$".to_vec(),
        "$xlen" => *random.pick(&[0, 1, 5, 20, 99, 100, 101, 150, 250]),
        "$g" => return random.pick(&["g1", "g1", "g2", "g2", "nog"]).as_bytes().to_vec(),
        "$c" => return random.pick(&["c1", "c2", "c3"]).as_bytes().to_vec(),
        "$geo" => return key(GEO_KEYS, random),
        // All members have one score: where scores differ, ranges of texts depend on how a skip list has grown.
        "$lex" => return random.pick(&["lex0", "lex1"]).as_bytes().to_vec(),
        // Mostly near each other, sometimes anywhere.
        "$lon" if random.chance(80) => {
            return (random.range(-20_000, 20_000) as f64 / 1e4).to_string().into_bytes();
        }
        "$lon" => return (random.range(-18_000_000, 18_000_000) as f64 / 1e5).to_string().into_bytes(),
        "$lat" if random.chance(80) => {
            return (random.range(-20_000, 20_000) as f64 / 1e4).to_string().into_bytes();
        }
        "$lat" => return (random.range(-8_500_000, 8_500_000) as f64 / 1e5).to_string().into_bytes(),
        // Corners of polygons: where the middle of one comes near a pole, Valkey finds nothing.
        "$corner" => return (random.range(-300_000, 300_000) as f64 / 1e5).to_string().into_bytes(),
        "$radius" => {
            return random
                .pick(&["0", "1", "10.5", "100", "200", "1000", "5000", "10000", "30000", "-1", "x"])
                .as_bytes()
                .to_vec();
        }
        "$field" => {
            return random.pick(&["f1", "f2", "f3", "f4", "f5", "7", "-1", "a b", ""]).as_bytes().to_vec();
        }
        "$score" => return mostly_of(SCORES, random),
        "$min" | "$max" => return random.pick(SCORE_BOUNDS).as_bytes().to_vec(),
        "$lexmin" | "$lexmax" => return random.pick(TEXT_BOUNDS).as_bytes().to_vec(),
        "$member" if random.chance(97) => return random.pick(MEMBERS).as_bytes().to_vec(),
        "$member" => return value(random),
        "$k" => return key(any_keys(random), random),
        "$v" => return value(random),
        "$payload" => return payload(random),
        "$tiny" => return random.pick(&["a", "b", "1"]).as_bytes().to_vec(),
        "$long" => return vec![b'x'; random.below(400)],
        "$f" => return mostly(FLOATS, random),
        "$i" => return mostly(INTEGERS, random),
        "$badtime" => return random.pick(JUNK).as_bytes().to_vec(),
        "$pattern" => return random.pick(PATTERNS).as_bytes().to_vec(),
        "$badcursor" => {
            return random.pick(&["abc", "1.5", "1a", " 0", "18446744073709551616"]).as_bytes().to_vec();
        }
        "$baddb" => {
            return random.pick(&["-1", "16", "999999999999", "abc", "", "1.5", "99999"]).as_bytes().to_vec();
        }
        "$off" => *random.pick(&[0, 1, 5, 30, 200, -1, 536_870_912, i64::MAX]),
        "$n" if random.chance(5) => return random.pick(INTEGERS).as_bytes().to_vec(),
        "$n" => random.range(-6, 12),
        "$num" => random.range(1, 4),
        "$db" => random.range(0, 3),
        "$sec" => far,
        "$ms" => far * 1000 + random.range(0, 1000),
        "$exat" => now + far,
        "$pxat" => (now + far) * 1000 + random.range(0, 1000),
        "$past" | "$pastms" => {
            made.past = true;
            random.range(1, 1_000_000)
        }
        plain => {
            assert!(!plain.starts_with('$'), "the grammar has no {plain}");
            return plain.as_bytes().to_vec();
        }
    };
    number.to_string().into_bytes()
}

thread_local! {
    /// How many IDs were made up for new entries: these have to ascend.
    static NEW_IDS: std::cell::Cell<i64> = const { std::cell::Cell::new(8) };
}

/// The ID of a new entry, mostly one that follows all before it.
fn new_id(random: &mut Random) -> Vec<u8> {
    let made = NEW_IDS.get() + 1;
    NEW_IDS.set(made);
    let ms = made / 4 * if random.chance(1) { 1000 } else { 1 };
    match random.below(20) {
        0..10 => format!("{ms}-*").into_bytes(),
        10..12 => format!("{ms}").into_bytes(),
        12..19 => format!("{ms}-{}", random.range(0, 4)).into_bytes(),
        _ => random.pick(JUNK).as_bytes().to_vec(),
    }
}

/// An ID that an entry may well have.
fn old_id(random: &mut Random) -> Vec<u8> {
    let back = *random.pick(&[4, 20, 100, 400]);
    let ms = (NEW_IDS.get() - random.range(0, back)).max(0) / 4;
    match random.below(20) {
        0..5 => format!("{ms}").into_bytes(),
        5..7 => b"0".to_vec(),
        7 => random.pick(JUNK).as_bytes().to_vec(),
        _ => format!("{ms}-{}", random.range(0, 3)).into_bytes(),
    }
}

fn any_keys(random: &mut Random) -> &'static [&'static [u8]] {
    let kinds = [STRING_KEYS, LIST_KEYS, MIXED_KEYS, HASH_KEYS, SET_KEYS, ZSET_KEYS, STREAM_KEYS];
    kinds[random.below(kinds.len())]
}

/// What DUMP might have replied: a short value of some type, now and then with a checksum that is wrong.
fn payload(random: &mut Random) -> Vec<u8> {
    let values: &[&[u8]] = &[
        b"\x00\x05hello",
        b"\x00\xc0\x2a",
        b"\x00\x00",
        b"\x01\x02\x01a\xc1\x05\x01",
        b"\x12\x01\x02\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x81b\x02\xff",
        b"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x05\x00",
        b"\x02\x02\x01a\x02bc",
        b"\x10\x0d\x0d\x00\x00\x00\x02\x00\x81f\x02\x81v\x02\xff",
        b"\x04\x01\x01f\x01v",
        b"\x05\x01\x01m\x00\x00\x00\x00\x00\x00\xf8\x3f",
        b"\x03\x02\x01m\x031.5\x01n\xfe",
    ];
    let mut payload = random.pick(values).to_vec();
    payload.extend_from_slice(&[10, 0]);
    let crc = kvick::data::rdb::crc64::update(0, &payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    if random.chance(5) {
        let last = payload.len() - 1;
        payload[last] ^= 1;
    }
    payload
}

/// Mostly a key of the wanted kind, so that commands often find their own type.
fn key(wanted: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let from = if random.chance(88) { wanted } else { any_keys(random) };
    random.pick(from).to_vec()
}

/// Mostly one of `good`, sometimes junk.
fn mostly(good: &[&str], random: &mut Random) -> Vec<u8> {
    let from = if random.chance(80) { good } else { JUNK };
    random.pick(from).as_bytes().to_vec()
}

/// Nearly always one of `good`: junk among scores comes by spoiling as well.
fn mostly_of(good: &[&str], random: &mut Random) -> Vec<u8> {
    let from = if random.chance(97) { good } else { JUNK };
    random.pick(from).as_bytes().to_vec()
}

fn value(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0..6 => random.pick(INTEGERS).as_bytes().to_vec(),
        6..8 => random.pick(FLOATS).as_bytes().to_vec(),
        8..10 => random.pick(JUNK).as_bytes().to_vec(),
        10..15 => {
            random.pick(&["a", "b", "abc", "abcabc", "ohmytext", "mynewtext", "x y"]).as_bytes().to_vec()
        }
        15 => (0..random.below(20)).map(|_| random.next() as u8).collect(),
        // Around the lengths where encodings change.
        16 => vec![b'e'; *random.pick(&[20, 21, 43, 44, 45, 46, 63, 64, 65])],
        17 => (0..random.below(60)).map(|_| *random.pick(b"abcd")).collect(),
        18 => random.range(-1000, 1000).to_string().into_bytes(),
        _ if random.chance(5) => vec![b'L'; 1000 + random.below(2000)],
        _ => random.next().to_string().into_bytes(),
    }
}
