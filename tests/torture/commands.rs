//! Random commands of every type on a few keys of two databases, and which keys they touch.

use crate::common::Random;

/// Milliseconds that the shortest deadlines take, and the longest of those that come in a story.
const DEADLINE_MS: (i64, i64) = (1, 3000);

/// Something that a client asks for: one request, or all from `MULTI` to `EXEC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The requests.
    pub requests: Vec<Vec<String>>,
    /// What the replies may depend on, with its database; `None`: anything.
    pub keys: Option<Vec<(usize, String)>>,
    /// The database that the client uses afterwards.
    pub database: usize,
}

impl Ask {
    /// One request in database 0.
    fn one(text: &str, keys: &[&str]) -> Ask {
        let keys = keys.iter().map(|key| (0, (*key).to_owned())).collect();
        Ask { requests: vec![words(text)], keys: Some(keys), database: 0 }
    }

    /// One request whose reply may depend on everything.
    fn all(text: &str) -> Ask {
        Ask { keys: None, ..Ask::one(text, &[]) }
    }

    /// The same in another database.
    fn within(mut self, database: usize) -> Ask {
        self.keys.iter_mut().flatten().for_each(|key| key.0 = database);
        Ask { database, ..self }
    }

    /// And then those as well.
    fn then(&mut self, more: Ask) {
        self.requests.extend(more.requests);
        self.keys = self.keys.take().zip(more.keys).map(|(keys, more)| [keys, more].concat());
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// The next thing that client `client` asks for, who uses this database.
pub fn ask(random: &mut Random, client: usize, number: u64, database: usize) -> Ask {
    if random.chance(15) {
        return transaction(random, number, database);
    }
    if random.chance(5) {
        let other = random.below(2);
        return Ask { database: other, ..Ask::one(&format!("SELECT {other}"), &[]) };
    }
    let ask = match random.below(100) {
        0..12 => read(random),
        12..20 => blocking(random),
        20..36 => {
            // What nobody else changes: every loss shows.
            let key = format!("own{client}");
            Ask::one(&format!("RPUSH {key} {number}"), &[&key])
        }
        _ => write(random, number),
    };
    ask.within(database)
}

fn transaction(random: &mut Random, number: u64, database: usize) -> Ask {
    let mut all = Ask { requests: Vec::new(), keys: Some(Vec::new()), database };
    if random.chance(30) {
        let key = name(random, "s");
        all.then(Ask::one(&format!("WATCH {key}"), &[&key]).within(database));
    }
    all.then(Ask::one("MULTI", &[]));
    for key in ["half", "other"] {
        // The two are equal whenever nobody is in the middle.
        all.then(Ask::one(&format!("SET {key} {number}"), &[key]).within(database));
        let elsewhere = if random.chance(30) { 1 - database } else { database };
        if elsewhere != database {
            all.then(Ask::one(&format!("SELECT {elsewhere}"), &[]));
        }
        for _ in 0..random.below(3) {
            let more = match random.below(10) {
                0 | 1 => read(random),
                2 => blocking(random),
                _ => write(random, number),
            };
            if more.keys.is_some() {
                all.then(more.within(elsewhere));
            }
        }
        if elsewhere != database {
            all.then(Ask::one(&format!("SELECT {database}"), &[]));
        }
    }
    if random.chance(5) {
        // Whole databases among the rest: the pair is gone or somewhere else, and still a pair.
        let text = *random.pick(&["SWAPDB 0 1", "FLUSHALL", "FLUSHDB"]);
        all.then(Ask::all(text));
    }
    all.then(Ask::one("EXEC", &[]));
    all
}

/// Requests that wait for what others bring, some of them not for long.
fn blocking(random: &mut Random) -> Ask {
    let (l, other, z, x) = (name(random, "l"), name(random, "l"), name(random, "z"), name(random, "x"));
    let secs = *random.pick(&["0", "0.2", "1"]);
    let ms = *random.pick(&["0", "200", "1000"]);
    match random.below(7) {
        0 => Ask::one(&format!("BLPOP {l} {other} {secs}"), &[&l, &other]),
        1 => Ask::one(&format!("BLMOVE {l} {other} LEFT RIGHT {secs}"), &[&l, &other]),
        2 => Ask::one(&format!("BLMPOP {secs} 2 {l} {other} RIGHT COUNT 2"), &[&l, &other]),
        3 => Ask::one(&format!("BZPOPMIN {z} {secs}"), &[&z]),
        4 => Ask::one(&format!("XREAD BLOCK {ms} STREAMS {x} $"), &[&x]),
        5 => Ask::one(&format!("XREADGROUP GROUP g me BLOCK {ms} STREAMS {x} >"), &[&x]),
        _ => Ask::one(&format!("XREADGROUP GROUP g you COUNT 1 BLOCK {ms} NOACK STREAMS {x} >"), &[&x]),
    }
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
        6 => Ask::all("DBSIZE"),
        _ => Ask::all("KEYS *"),
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
    let soon = random.range(DEADLINE_MS.0, DEADLINE_MS.1);
    match random.below(9) {
        0 | 1 => Ask::one(&format!("HSET {h} f{field} {number}"), &[&h]),
        2 => Ask::one(&format!("HDEL {h} f{field}"), &[&h]),
        3 => Ask::one(&format!("HEXPIRE {h} 100000 FIELDS 1 f{field}"), &[&h]),
        4 => Ask::one(&format!("HPEXPIRE {h} {soon} FIELDS 1 f{field}"), &[&h]),
        5 => Ask::one(&format!("HSETEX {h} PX {soon} FIELDS 1 f{field} {number}"), &[&h]),
        6 => Ask::one(&format!("HGETEX {h} PERSIST FIELDS 1 f{field}"), &[&h]),
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
        0 => Ask::all("FLUSHALL"),
        1 => Ask::all("FLUSHDB ASYNC"),
        2 | 3 => Ask::all("SWAPDB 0 1"),
        4 => {
            let key = name(random, "s");
            Ask::one(&format!("MOVE {key} 1"), &[&key])
        }
        _ => any(random),
    }
}
