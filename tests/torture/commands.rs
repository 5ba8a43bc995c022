//! Random commands of every type on a few keys, and which keys they touch.

use crate::common::Random;

/// Milliseconds that the shortest deadlines take, and the longest of those that come in a story.
const DEADLINE_MS: (i64, i64) = (1, 3000);

/// Something that a client asks for: one request, or all from `MULTI` to `EXEC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The requests.
    pub requests: Vec<Vec<String>>,
    /// What the replies may depend on; nothing: on anything.
    pub keys: Vec<String>,
}

impl Ask {
    fn one(text: &str, keys: &[&str]) -> Ask {
        let words = text.split(' ').map(str::to_owned).collect();
        Ask { requests: vec![words], keys: keys.iter().map(|key| (*key).to_owned()).collect() }
    }
}

/// The next thing that client `client` asks for.
pub fn ask(random: &mut Random, client: usize, number: u64) -> Ask {
    if random.chance(15) {
        return transaction(random, number);
    }
    if random.chance(12) {
        return read(random);
    }
    if random.chance(20) {
        // What nobody else changes: every loss shows.
        let key = format!("own{client}");
        return Ask::one(&format!("RPUSH {key} {number}"), &[&key]);
    }
    write(random, number)
}

fn transaction(random: &mut Random, number: u64) -> Ask {
    let mut all = Ask { requests: Vec::new(), keys: Vec::new() };
    if random.chance(30) {
        let key = name(random, "s");
        all.requests.push(vec!["WATCH".to_owned(), key.clone()]);
        all.keys.push(key);
    }
    all.requests.push(vec!["MULTI".to_owned()]);
    let pair = number.to_string();
    for key in ["half", "other"] {
        // The two are equal whenever nobody is in the middle.
        all.requests.push(["SET", key, &pair].map(str::to_owned).to_vec());
        all.keys.push(key.to_owned());
        for _ in 0..random.below(3) {
            let more = if random.chance(20) { read(random) } else { write(random, number) };
            if more.keys.is_empty() {
                continue;
            }
            all.requests.extend(more.requests);
            all.keys.extend(more.keys);
        }
    }
    all.requests.push(vec!["EXEC".to_owned()]);
    all
}

fn name(random: &mut Random, kind: &str) -> String {
    format!("{kind}{}", random.below(3))
}

fn read(random: &mut Random) -> Ask {
    let (s, l, h, z) = (name(random, "s"), name(random, "l"), name(random, "h"), name(random, "z"));
    match random.below(8) {
        0 => Ask::one(&format!("GET {s}"), &[&s]),
        1 => Ask::one(&format!("MGET {s} half other"), &[&s, "half", "other"]),
        2 => Ask::one(&format!("LRANGE {l} 0 -1"), &[&l]),
        3 => Ask::one(&format!("HGETALL {h}"), &[&h]),
        4 => Ask::one(&format!("ZRANGE {z} 0 -1"), &[&z]),
        5 => Ask::one(&format!("EXISTS {s} {l} {h}"), &[&s, &l, &h]),
        6 => Ask::one("DBSIZE", &[]),
        _ => Ask::one("KEYS *", &[]),
    }
}

fn write(random: &mut Random, number: u64) -> Ask {
    match random.below(12) {
        0..3 => string(random, number),
        3 => list(random, number),
        4 => set(random),
        5 => hash(random, number),
        6 => sorted(random),
        7 => stream(random, number),
        8..11 => any(random),
        _ => rare(random),
    }
}

fn string(random: &mut Random, number: u64) -> Ask {
    let (s, n) = (name(random, "s"), name(random, "n"));
    let soon = random.range(DEADLINE_MS.0, DEADLINE_MS.1);
    match random.below(10) {
        0 | 1 => Ask::one(&format!("SET {s} {number}"), &[&s]),
        2 => Ask::one(&format!("SET {s} {number} PX {soon}"), &[&s]),
        3 => Ask::one(&format!("SET {s} {}", "x".repeat(random.below(2000))), &[&s]),
        4 => Ask::one(&format!("APPEND {s} {number}"), &[&s]),
        5 => Ask::one(&format!("SETRANGE {s} {} {number}", random.below(50)), &[&s]),
        6 => Ask::one(&format!("GETDEL {s}"), &[&s]),
        7 => Ask::one(&format!("MSET {s} {number} {n} {number}"), &[&s, &n]),
        8 => Ask::one(&format!("INCRBYFLOAT {n} 0.5"), &[&n]),
        _ => Ask::one(&format!("INCR {n}"), &[&n]),
    }
}

fn list(random: &mut Random, number: u64) -> Ask {
    let (l, other) = (name(random, "l"), name(random, "l"));
    match random.below(5) {
        0 | 1 => Ask::one(&format!("RPUSH {l} {number} again"), &[&l]),
        2 => Ask::one(&format!("LPOP {l} 2"), &[&l]),
        3 => Ask::one(&format!("LTRIM {l} -5 -1"), &[&l]),
        _ => Ask::one(&format!("LMOVE {l} {other} LEFT RIGHT"), &[&l, &other]),
    }
}

fn set(random: &mut Random) -> Ask {
    let t = name(random, "t");
    let member = random.below(20);
    match random.below(4) {
        0 | 1 => Ask::one(&format!("SADD {t} {member} m{member}"), &[&t]),
        2 => Ask::one(&format!("SPOP {t} 2"), &[&t]),
        _ => Ask::one(&format!("SREM {t} {member}"), &[&t]),
    }
}

fn hash(random: &mut Random, number: u64) -> Ask {
    let h = name(random, "h");
    let field = random.below(10);
    match random.below(5) {
        0 | 1 => Ask::one(&format!("HSET {h} f{field} {number}"), &[&h]),
        2 => Ask::one(&format!("HDEL {h} f{field}"), &[&h]),
        // Further than any story goes.
        3 => Ask::one(&format!("HPEXPIRE {h} 100000000 FIELDS 1 f{field}"), &[&h]),
        _ => Ask::one(&format!("HINCRBY {h} n{field} 1"), &[&h]),
    }
}

fn sorted(random: &mut Random) -> Ask {
    let z = name(random, "z");
    let member = random.below(10);
    match random.below(4) {
        0 | 1 => Ask::one(&format!("ZADD {z} {member} m{member}"), &[&z]),
        2 => Ask::one(&format!("ZINCRBY {z} 1.5 m{member}"), &[&z]),
        _ => Ask::one(&format!("ZPOPMIN {z}"), &[&z]),
    }
}

fn stream(random: &mut Random, number: u64) -> Ask {
    let x = name(random, "x");
    match random.below(6) {
        0..3 => Ask::one(&format!("XADD {x} MAXLEN 20 * f {number}"), &[&x]),
        3 => Ask::one(&format!("XGROUP CREATE {x} g 0 MKSTREAM"), &[&x]),
        4 => Ask::one(&format!("XREADGROUP GROUP g me COUNT 1 STREAMS {x} >"), &[&x]),
        _ => Ask::one(&format!("XTRIM {x} MAXLEN 3"), &[&x]),
    }
}

fn any(random: &mut Random) -> Ask {
    let kind = *random.pick(&["s", "n", "l", "t", "h", "z", "x"]);
    let (key, other) = (name(random, kind), name(random, kind));
    let soon = random.range(DEADLINE_MS.0, DEADLINE_MS.1);
    match random.below(8) {
        0 => Ask::one(&format!("DEL {key} {other}"), &[&key, &other]),
        1 => Ask::one(&format!("UNLINK {key}"), &[&key]),
        2 | 3 => Ask::one(&format!("PEXPIRE {key} {soon}"), &[&key]),
        4 => Ask::one(&format!("PERSIST {key}"), &[&key]),
        5 => Ask::one(&format!("RENAME {key} {other}"), &[&key, &other]),
        6 => Ask::one(&format!("COPY {key} {other} REPLACE"), &[&key, &other]),
        _ => Ask::one(&format!("EXPIRE {key} 100"), &[&key]),
    }
}

fn rare(random: &mut Random) -> Ask {
    match random.below(12) {
        0 => Ask::one("FLUSHALL", &[]),
        1 => Ask::one("FLUSHDB ASYNC", &[]),
        _ => any(random),
    }
}
