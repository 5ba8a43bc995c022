//! Random operations on the engine against a model that anyone can read: a map of texts and vectors with
//! deadlines, in simulated time, with restarts from the log and from snapshots among them.
//!
//! `KVICK_MODEL_SEED` chooses other operations, `KVICK_MODEL_STEPS` how many; a failure names both the seed and
//! the last operations.

mod play;

use std::collections::{BTreeMap, VecDeque};

use kvick::base::quote::quoted;
use kvick::base::random::Random;

use play::{Held, Play, contents, reply_text};

const DATABASES: u64 = 3;
/// Operations that a failure shows.
const SHOWN: usize = 30;
/// Operations between two comparisons of everything.
const COMPARED_EVERY: usize = 64;

const WRONG: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "ERR value is not an integer or out of range";

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    List(Vec<String>),
}

/// What a reply says; `Err` is the text of an error.
type Said = Result<String, &'static str>;

fn bulk(text: &str) -> String {
    quoted(text.as_bytes())
}

fn nil() -> String {
    "(nil)".to_owned()
}

fn array(texts: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", texts.into_iter().collect::<Vec<_>>().join(" "))
}

fn integer(text: &str) -> Result<i64, &'static str> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text).ok_or(NOT_INTEGER)
}

/// The positions from `start` to `stop`, both included, of `len` elements.
fn span(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_head = |index: i64| if index < 0 { index + len } else { index };
    let (start, end) = (from_head(start).max(0), from_head(stop).min(len - 1) + 1);
    if end <= start { 0..0 } else { start as usize..end as usize }
}

/// The plain map.
#[derive(Default)]
struct Model {
    keys: BTreeMap<(usize, String), (Value, Option<i64>)>,
    database: usize,
    now: i64,
}

impl Model {
    fn at(&self, key: &str) -> (usize, String) {
        (self.database, key.to_owned())
    }

    fn get(&self, key: &str) -> Option<&(Value, Option<i64>)> {
        self.keys.get(&self.at(key))
    }

    fn text(&self, key: &str) -> Result<Option<String>, &'static str> {
        match self.get(key) {
            None => Ok(None),
            Some((Value::Text(text), _)) => Ok(Some(text.clone())),
            Some(_) => Err(WRONG),
        }
    }

    fn list(&self, key: &str) -> Result<Option<Vec<String>>, &'static str> {
        match self.get(key) {
            None => Ok(None),
            Some((Value::List(list), _)) => Ok(Some(list.clone())),
            Some(_) => Err(WRONG),
        }
    }

    /// Puts a value, keeping the deadline; an empty list is no list.
    fn put(&mut self, key: &str, value: Value) {
        let at = self.at(key);
        if value == Value::List(Vec::new()) {
            self.keys.remove(&at);
        } else {
            self.keys.entry(at).and_modify(|held| held.0 = value.clone()).or_insert((value, None));
        }
    }

    fn set_deadline(&mut self, key: &str, deadline: Option<i64>) {
        let at = self.at(key);
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            self.keys.remove(&at);
        } else if let Some(held) = self.keys.get_mut(&at) {
            held.1 = deadline;
        }
    }

    /// Does what a request says.
    fn run(&mut self, words: &[&str]) -> String {
        let now = self.now;
        self.keys.retain(|_, (_, deadline)| deadline.is_none_or(|at| now < at));
        let said = match words[0] {
            name if name.contains("PUSH") && name != "RPOPLPUSH" => self.push(words),
            "LPOP" | "RPOP" => self.pop(words),
            "LMOVE" | "RPOPLPUSH" | "LMPOP" => self.transfer(words),
            "LMOVEM" => self.move_several(words),
            name if name.starts_with('L') => self.list_command(words),
            "DEL" | "EXISTS" | "PEXPIRE" | "PERSIST" | "PTTL" | "TYPE" | "RENAME" | "COPY" | "FLUSHDB" => {
                self.key_command(words)
            }
            "SET" => self.set(words),
            _ => self.text_command(words),
        };
        said.unwrap_or_else(|error| format!("(error) {error}"))
    }

    fn set(&mut self, words: &[&str]) -> Said {
        let (key, value) = (words[1], words[2]);
        let exists = self.get(key).is_some();
        let (mut keep, mut deadline) = (false, None);
        match words[3..] {
            ["NX"] if exists => return Ok(nil()),
            ["XX"] if !exists => return Ok(nil()),
            ["KEEPTTL"] => keep = true,
            ["PX", ms] => deadline = Some(self.now + integer(ms)?),
            ["PXAT", at] => deadline = Some(integer(at)?),
            _ => {}
        }
        self.put(key, Value::Text(value.to_owned()));
        if !keep {
            self.set_deadline(key, deadline);
        }
        Ok("OK".to_owned())
    }

    fn text_command(&mut self, words: &[&str]) -> Said {
        let key = words[1];
        if words[0] == "MSET" || words[0] == "MSETNX" {
            let free = words[1..].chunks(2).all(|pair| self.get(pair[0]).is_none());
            if words[0] == "MSETNX" && !free {
                return Ok("0".to_owned());
            }
            for pair in words[1..].chunks(2) {
                self.set(&["SET", pair[0], pair[1]])?;
            }
            return Ok(if words[0] == "MSET" { "OK" } else { "1" }.to_owned());
        }
        let old = self.text(key)?;
        let shown = old.as_deref().map_or_else(nil, bulk);
        match words[0] {
            "GET" => Ok(shown),
            "STRLEN" => Ok(old.map_or(0, |old| old.len()).to_string()),
            "GETSET" => self.set(&["SET", key, words[2]]).map(|_| shown),
            "GETDEL" => {
                self.keys.remove(&self.at(key));
                Ok(shown)
            }
            "GETEX" => {
                let deadline = if words[2] == "PX" { Some(self.now + integer(words[3])?) } else { None };
                self.set_deadline(key, deadline);
                Ok(shown)
            }
            "APPEND" => {
                let text = old.unwrap_or_default() + words[2];
                self.put(key, Value::Text(text.clone()));
                Ok(text.len().to_string())
            }
            "SETRANGE" if words[3].is_empty() => Ok(old.map_or(0, |old| old.len()).to_string()),
            "SETRANGE" => {
                let (offset, mut text) = (integer(words[2])? as usize, old.unwrap_or_default());
                let tail = text.get(offset + words[3].len()..).unwrap_or_default().to_owned();
                text.truncate(offset);
                text.push_str(&"\0".repeat(offset - text.len()));
                text = text + words[3] + &tail;
                self.put(key, Value::Text(text.clone()));
                Ok(text.len().to_string())
            }
            "INCRBY" => {
                let sum = integer(old.as_deref().unwrap_or("0"))?.checked_add(integer(words[2])?);
                let sum = sum.ok_or("ERR increment or decrement would overflow")?.to_string();
                self.put(key, Value::Text(sum.clone()));
                Ok(sum)
            }
            name => panic!("the model does not know {name}"),
        }
    }

    fn push(&mut self, words: &[&str]) -> Said {
        let Some(mut list) = self.list(words[1])?.or_else(|| (!words[0].ends_with('X')).then(Vec::new))
        else {
            return Ok("0".to_owned());
        };
        for value in &words[2..] {
            let at = if words[0].starts_with('L') { 0 } else { list.len() };
            list.insert(at, (*value).to_owned());
        }
        self.put(words[1], Value::List(list.clone()));
        Ok(list.len().to_string())
    }

    /// Takes up to `count` elements from an end of a list that exists.
    fn take(&mut self, key: &str, left: bool, count: usize) -> Result<Vec<String>, &'static str> {
        let mut list = self.list(key)?.unwrap_or_default();
        let count = count.min(list.len());
        let taken = if left {
            list.drain(..count).collect()
        } else {
            list.split_off(list.len() - count).into_iter().rev().collect()
        };
        self.put(key, Value::List(list));
        Ok(taken)
    }

    fn pop(&mut self, words: &[&str]) -> Said {
        let (key, left) = (words[1], words[0] == "LPOP");
        let exists = self.list(key)?.is_some();
        match words.get(2) {
            None => Ok(self.take(key, left, 1)?.first().map_or_else(nil, |text| bulk(text))),
            Some(_) if !exists => Ok("(nil array)".to_owned()),
            Some(count) => {
                let taken = self.take(key, left, integer(count)? as usize)?;
                Ok(array(taken.iter().map(|text| bulk(text))))
            }
        }
    }

    fn transfer(&mut self, words: &[&str]) -> Said {
        if words[0] == "LMPOP" {
            let count = words.get(6).map_or(1, |count| count.parse().expect("a count"));
            for key in &words[2..4] {
                if self.list(key)?.is_some() {
                    let taken = self.take(key, words[4] == "LEFT", count)?;
                    return Ok(array([bulk(key), array(taken.iter().map(|text| bulk(text)))]));
                }
            }
            return Ok("(nil array)".to_owned());
        }
        let (from, to) = if words[0] == "LMOVE" { (words[3], words[4]) } else { ("RIGHT", "LEFT") };
        if self.list(words[1])?.is_none() {
            return Ok(nil());
        }
        self.list(words[2])?;
        // Of a list of one that is turned round, the deadline must stay.
        let deadline = self.get(words[1]).and_then(|held| held.1);
        let element = self.take(words[1], from == "LEFT", 1)?.remove(0);
        let push = if to == "LEFT" { "LPUSH" } else { "RPUSH" };
        self.push(&[push, words[2], &element])?;
        if words[1] == words[2] {
            self.set_deadline(words[1], deadline);
        }
        Ok(bulk(&element))
    }

    fn move_several(&mut self, words: &[&str]) -> Said {
        let [source, destination, from, to] = [1, 2, 3, 4].map(|index| words[index]);
        let (selector, count, order) = match words[5..] {
            [selector, count, order] => (selector, integer(count)? as usize, order),
            _ => ("COUNT", 1, "OBO"),
        };
        let Some(list) = self.list(source)? else { return Ok("(nil array)".to_owned()) };
        self.list(destination)?;
        if selector == "EXACTLY" && list.len() < count {
            return Ok("(nil array)".to_owned());
        }
        let deadline = self.get(source).and_then(|held| held.1);
        let mut moved = self.take(source, from == "LEFT", count)?;
        let turned = match order {
            "OBO" => to == "LEFT",
            _ => from == "RIGHT",
        };
        if turned {
            moved.reverse();
        }
        let mut list = self.list(destination)?.unwrap_or_default();
        let at = if to == "LEFT" { 0 } else { list.len() };
        list.splice(at..at, moved.iter().cloned());
        self.put(destination, Value::List(list));
        if source == destination {
            self.set_deadline(source, deadline);
        }
        Ok(array(moved.iter().map(|text| bulk(text))))
    }

    fn list_command(&mut self, words: &[&str]) -> Said {
        let key = words[1];
        let found = self.list(key)?;
        let exists = found.is_some();
        let mut list = found.unwrap_or_default();
        let said = match words[0] {
            "LLEN" => list.len().to_string(),
            "LINDEX" => {
                let range = span(integer(words[2])?, integer(words[2])?, list.len());
                list.get(range.start..range.end)
                    .and_then(|found| found.first())
                    .map_or_else(nil, |text| bulk(text))
            }
            "LRANGE" => {
                let range = span(integer(words[2])?, integer(words[3])?, list.len());
                array(list[range].iter().map(|text| bulk(text)))
            }
            "LPOS" => array(positions(&list, words[2], integer(words[4])?)),
            "LTRIM" => {
                list = list[span(integer(words[2])?, integer(words[3])?, list.len())].to_vec();
                "OK".to_owned()
            }
            "LSET" if !exists => return Err("ERR no such key"),
            "LSET" => {
                let range = span(integer(words[2])?, integer(words[2])?, list.len());
                let place = list[range].first_mut().ok_or("ERR index out of range")?;
                *place = words[3].to_owned();
                "OK".to_owned()
            }
            "LREM" => {
                let (count, before) = (integer(words[2])?, list.len());
                remove(&mut list, count, words[3]);
                (before - list.len()).to_string()
            }
            "LINSERT" => match list.iter().position(|text| text == words[3]) {
                _ if !exists => "0".to_owned(),
                None => "-1".to_owned(),
                Some(index) => {
                    list.insert(index + usize::from(words[2] == "AFTER"), words[4].to_owned());
                    list.len().to_string()
                }
            },
            name => panic!("the model does not know {name}"),
        };
        self.put(key, Value::List(list));
        Ok(said)
    }

    fn key_command(&mut self, words: &[&str]) -> Said {
        if words[0] == "FLUSHDB" {
            let database = self.database;
            self.keys.retain(|key, _| key.0 != database);
            return Ok("OK".to_owned());
        }
        let key = words[1];
        let held = self.get(key).cloned();
        let done = |done: bool| Ok(i32::from(done).to_string());
        match (words[0], held) {
            ("TYPE", held) => Ok(match held {
                None => "none",
                Some((Value::Text(_), _)) => "string",
                Some((Value::List(_), _)) => "list",
            }
            .to_owned()),
            ("PTTL", None) => Ok("-2".to_owned()),
            ("RENAME", None) => Err("ERR no such key"),
            // Whether there is anything to copy is asked later.
            ("COPY", _) if words[2] == key => Err("ERR source and destination objects are the same"),
            (_, None) => done(false),
            ("PTTL", Some((_, deadline))) => Ok(deadline.map_or(-1, |at| at - self.now).to_string()),
            ("EXISTS", _) => done(true),
            ("DEL", _) => done(self.keys.remove(&self.at(key)).is_some()),
            ("PERSIST", Some((_, deadline))) => {
                self.set_deadline(key, None);
                done(deadline.is_some())
            }
            ("PEXPIRE", _) => {
                let at = self.now + integer(words[2])?;
                self.set_deadline(key, Some(at));
                done(true)
            }
            ("RENAME", Some(held)) => {
                self.keys.remove(&self.at(key));
                self.keys.insert(self.at(words[2]), held);
                Ok("OK".to_owned())
            }
            ("COPY", Some(held)) => {
                let free = self.get(words[2]).is_none();
                if free {
                    self.keys.insert(self.at(words[2]), held);
                }
                done(free)
            }
            (name, _) => panic!("the model does not know {name}"),
        }
    }
}

/// `LPOS … RANK rank COUNT 0`.
fn positions(list: &[String], value: &str, rank: i64) -> Vec<String> {
    let mut found: Vec<usize> = (0..list.len()).filter(|index| list[*index] == value).collect();
    if rank < 0 {
        found.reverse();
    }
    found.iter().skip(rank.unsigned_abs() as usize - 1).map(usize::to_string).collect()
}

fn remove(list: &mut Vec<String>, count: i64, value: &str) {
    let mut left = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let mut keep = |text: &String| {
        let goes = text == value && 0 < left;
        left -= usize::from(goes);
        !goes
    };
    if count < 0 {
        list.reverse();
        list.retain(&mut keep);
        list.reverse();
    } else {
        list.retain(&mut keep);
    }
}

/// Templates of requests: `K` a key, `V` a value, `I` an index, `N` a small number, `D` some milliseconds, `A` a
/// date around now, `E` an end, `O` an order in which elements are moved.
const TEMPLATES: &str = "SET K V|SET K V|SET K V PX D|SET K V PX D|SET K V PXAT A|SET K V NX|SET K V XX|SET K V KEEPTTL|\
    GET K|GETDEL K|GETSET K V|GETEX K PX D|GETEX K PERSIST|STRLEN K|APPEND K V|SETRANGE K N V|INCRBY K I|\
    MSET K V K V|MSETNX K V K V|\
    LPUSH K V|RPUSH K V|LPUSH K V V V|RPUSH K V V V V V V|RPUSH K V V V V V V|LPUSHX K V|RPUSHX K V V|LPOP K|RPOP K|\
    LPOP K N|RPOP K N|LLEN K|LINDEX K I|LRANGE K I I|LRANGE K 0 -1|LSET K I V|LREM K I V|LTRIM K N -N|LTRIM K I I|\
    LINSERT K BEFORE V V|LINSERT K AFTER V V|LPOS K V RANK R COUNT 0|LMOVE K K E E|RPOPLPUSH K K|\
    LMPOP 2 K K E|LMPOP 2 K K E COUNT C|\
    LMOVEM K K E E|LMOVEM K K E E COUNT C O|LMOVEM K K E E EXACTLY C O|\
    DEL K|EXISTS K|PEXPIRE K D|PEXPIRE K I|PERSIST K|PTTL K|TYPE K|RENAME K K|COPY K K|FLUSHDB";

struct Source {
    random: Random,
    templates: Vec<&'static str>,
}

impl Source {
    fn new(seed: u64) -> Source {
        Source { random: Random::seeded(seed), templates: TEMPLATES.split('|').collect() }
    }

    fn below(&mut self, bound: i64) -> i64 {
        self.random.below(bound as u64) as i64
    }

    fn value(&mut self) -> String {
        match self.below(40) {
            0 => "v".repeat(self.below(300) as usize),
            // Beyond what a node takes, and beyond what an entry embeds.
            1 if self.below(8) == 0 => "big".repeat(3000),
            2 => (self.below(2_000_000) - 1_000_000).to_string(),
            3 => i64::MAX.to_string(),
            4..15 => self.below(10).to_string(),
            _ => ["a", "b", "", "007", "a b\r\n"][self.below(5) as usize].to_owned(),
        }
    }

    fn request(&mut self, now: i64) -> Vec<String> {
        let chosen = self.below(self.templates.len() as i64) as usize;
        let template = self.templates[chosen];
        // Lists are emptied by one request in many: they would hardly get long otherwise.
        if template == "FLUSHDB" && self.below(20) != 0 {
            return vec!["LLEN".to_owned(), "k0".to_owned()];
        }
        let words = template.split(' ').map(|word| match word {
            "K" => format!("k{}", self.below(8)),
            "V" => self.value(),
            "I" => (self.below(30) - 15).to_string(),
            "N" => self.below(6).to_string(),
            "-N" => (-1 - self.below(6)).to_string(),
            "C" => (1 + self.below(6)).to_string(),
            "R" => [-2, -1, 1, 2][self.below(4) as usize].to_string(),
            "D" => (1 + self.below(300)).to_string(),
            "A" => (now - 100 + self.below(400)).to_string(),
            "E" => ["LEFT", "RIGHT"][self.below(2) as usize].to_owned(),
            "O" => ["OBO", "BULK"][self.below(2) as usize].to_owned(),
            word => word.to_owned(),
        });
        words.collect()
    }
}

/// The engine beside the model.
struct Pair {
    play: Play,
    model: Model,
    /// `list-max-listpack-size`: small ones make many nodes.
    fill: i32,
    last: VecDeque<String>,
}

impl Pair {
    fn new(seed: u64, fill: i32) -> Pair {
        let mut pair = Pair { play: Play::new(seed), model: Model::default(), fill, last: VecDeque::new() };
        pair.model.now = pair.play.now;
        pair.play.engine.state.settings.list_max_listpack_size = fill;
        pair
    }

    fn note(&mut self, what: String) {
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(what);
    }

    fn request(&mut self, words: &[String], database: usize) {
        self.note(format!("{} [{database}] {words:?}", self.model.now));
        self.model.database = database;
        self.play.engine.state.sessions[0].database = database;
        let bytes = self.play.ask(0, words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let expected = self.model.run(&words);
        let (said, len) = reply_text(&bytes).unwrap_or_else(|| panic!("no reply:\n{:#?}", self.last));
        assert!(len == bytes.len() && said == expected, "{said}, not {expected}:\n{:#?}", self.last);
    }

    fn restart(&mut self, from_snapshot: bool) {
        self.note(format!("restart, from a snapshot: {from_snapshot}"));
        let before = contents(&self.play.engine.keys);
        self.play = if from_snapshot { self.play.rewritten() } else { self.play.restarted() };
        assert!(contents(&self.play.engine.keys) == before, "a restart changed:\n{:#?}", self.last);
        self.play.engine.state.settings.list_max_listpack_size = self.fill;
    }

    /// Everything that has not expired is the same here and there.
    fn compare(&mut self) {
        let now = self.model.now;
        let alive = |deadline: &Option<i64>| deadline.is_none_or(|at| now < at);
        let mut found = contents(&self.play.engine.keys);
        found.retain(|_, held| alive(&held.0));
        let expected = self.model.keys.iter().filter(|(_, held)| alive(&held.1));
        let expected: BTreeMap<(usize, Vec<u8>), Held> = expected
            .map(|((database, key), (value, deadline))| {
                let (kind, texts) = match value {
                    Value::Text(text) => ("string", std::slice::from_ref(text)),
                    Value::List(list) => ("list", &list[..]),
                };
                let texts = texts.iter().map(|text| text.clone().into_bytes()).collect();
                ((*database, key.clone().into_bytes()), (*deadline, kind, texts))
            })
            .collect();
        assert!(found == expected, "{found:?}\nis not\n{expected:?}:\n{:#?}", self.last);
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn the_engine_is_a_map_with_deadlines() {
    let first_seed = from_environment("KVICK_MODEL_SEED", 1);
    let steps = from_environment("KVICK_MODEL_STEPS", 120_000);
    let fills = [-2, 4, -1, 1, 128, -5];
    for (round, fill) in fills.into_iter().enumerate() {
        let seed = first_seed.wrapping_add(round as u64);
        println!("seed {seed}, list-max-listpack-size {fill}");
        let mut source = Source::new(seed);
        let mut pair = Pair::new(seed, fill);
        for step in 0..steps as usize / fills.len() {
            match source.below(300) {
                0..30 => {
                    let ms = if source.below(10) == 0 { 1000 } else { source.below(50) };
                    pair.play.pass(ms);
                    pair.model.now += ms;
                }
                30..45 => pair.play.tick(),
                45 => pair.restart(true),
                46 => pair.restart(false),
                _ => {
                    let request = source.request(pair.model.now);
                    let database = source.below(DATABASES as i64) as usize;
                    pair.request(&request, database);
                }
            }
            if step % COMPARED_EVERY == 0 {
                pair.compare();
            }
        }
        pair.compare();
        pair.restart(false);
        pair.compare();
    }
}
