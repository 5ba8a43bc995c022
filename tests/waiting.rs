//! Several clients that watch keys, queue requests and wait, against a model that anyone can read; in simulated time,
//! without sockets. What each client hears, and when, must be the same, and so must the data after a restart from the
//! log.
//!
//! `KVICK_WAITING_SEED` chooses other histories, `KVICK_WAITING_ROUNDS` how many; a failure names the seed and shows the
//! last operations.

mod play;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kvick::base::quote::quoted;
use kvick::base::random::Random;
use kvick::state::session::Session;

use play::{Play, contents, reply_text};

const CLIENTS: usize = 5;
const STEPS: usize = 400;
const SHOWN: usize = 25;
const KEYS: &[&str] = &["a", "b", "c"];

const WRONG: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_NUMBER: &str = "(error) ERR value is not an integer or out of range";
const UNBLOCKED: &str = "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK";

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    List(VecDeque<String>),
}

/// A client as the model sees it.
#[derive(Default)]
struct Person {
    multi: Option<Vec<Vec<String>>>,
    /// Watched keys, with the deadlines that they had.
    watched: BTreeMap<String, Option<i64>>,
    broken: bool,
    /// The request that waits, its keys, and until when.
    waits: Option<(Vec<String>, Vec<String>, i64)>,
}

/// The plain server.
#[derive(Default)]
struct Model {
    keys: BTreeMap<String, (Value, Option<i64>)>,
    now: i64,
    people: Vec<Person>,
    /// Those who wait, in the order in which they began.
    line: Vec<usize>,
    /// Keys that have changed since somebody was last served.
    changed: Vec<String>,
    heard: Vec<Vec<String>>,
}

/// What a request that may wait does.
enum Outcome {
    Said(String),
    Waits(Vec<String>, i64),
}

fn bulk(text: &str) -> String {
    quoted(text.as_bytes())
}

impl Model {
    fn value(&mut self, key: &str) -> Option<&mut Value> {
        let now = self.now;
        self.keys.retain(|_, (_, deadline)| deadline.is_none_or(|at| now < at));
        self.keys.get_mut(key).map(|(value, _)| value)
    }

    /// A key has changed: whoever watches it is out.
    fn touch(&mut self, key: &str) {
        for person in &mut self.people {
            person.broken |= person.watched.contains_key(key);
        }
        if !self.changed.iter().any(|known| known == key) {
            self.changed.push(key.to_owned());
        }
    }

    fn push(&mut self, key: &str, text: &str, left: bool) -> Result<usize, String> {
        let len = match self.value(key) {
            Some(Value::Text(_)) => return Err(WRONG.to_owned()),
            Some(Value::List(list)) => {
                if left {
                    list.push_front(text.to_owned())
                } else {
                    list.push_back(text.to_owned())
                }
                list.len()
            }
            None => {
                self.keys.insert(key.to_owned(), (Value::List([text.to_owned()].into()), None));
                1
            }
        };
        self.touch(key);
        Ok(len)
    }

    fn pop(&mut self, key: &str, left: bool) -> Result<Option<String>, String> {
        let (text, empty) = match self.value(key) {
            None => return Ok(None),
            Some(Value::Text(_)) => return Err(WRONG.to_owned()),
            Some(Value::List(list)) => {
                let text = if left { list.pop_front() } else { list.pop_back() };
                (text, list.is_empty())
            }
        };
        if empty {
            self.keys.remove(key);
        }
        self.touch(key);
        Ok(text)
    }

    /// Moves an element of a list to an end of the same list, which never goes away meanwhile.
    fn rotate(&mut self, key: &str, from_left: bool, to_left: bool) -> String {
        let Some(Value::List(list)) = self.value(key) else { unreachable!("a list") };
        let text = if from_left { list.pop_front() } else { list.pop_back() }.expect("an element");
        if to_left {
            list.push_front(text.clone())
        } else {
            list.push_back(text.clone())
        }
        self.touch(key);
        bulk(&text)
    }

    /// Requests that are done at once.
    fn simple(&mut self, words: &[String]) -> Result<String, String> {
        let (name, key) = (words[0].as_str(), words.get(1).map_or("", String::as_str));
        Ok(match name {
            "SET" => {
                self.keys.insert(key.to_owned(), (Value::Text(words[2].clone()), None));
                self.touch(key);
                "OK".to_owned()
            }
            "GET" => match self.value(key) {
                None => "(nil)".to_owned(),
                Some(Value::Text(text)) => bulk(text),
                Some(Value::List(_)) => return Err(WRONG.to_owned()),
            },
            "INCR" => {
                let number = match self.value(key) {
                    None => 0,
                    Some(Value::Text(text)) => text.parse::<i64>().map_err(|_| NO_NUMBER.to_owned())?,
                    Some(Value::List(_)) => return Err(WRONG.to_owned()),
                };
                let text = (number + 1).to_string();
                let deadline = self.keys.get(key).and_then(|(_, deadline)| *deadline);
                self.keys.insert(key.to_owned(), (Value::Text(text.clone()), deadline));
                self.touch(key);
                text
            }
            "DEL" => {
                let was_there = self.value(key).is_some();
                if was_there {
                    self.keys.remove(key);
                    self.touch(key);
                }
                i64::from(was_there).to_string()
            }
            "PEXPIRE" => {
                let was_there = self.value(key).is_some();
                if was_there {
                    let millis: i64 = words[2].parse().expect("milliseconds");
                    let deadline = self.now + millis;
                    if millis <= 0 {
                        self.keys.remove(key);
                    } else if let Some(held) = self.keys.get_mut(key) {
                        held.1 = Some(deadline);
                    }
                    self.touch(key);
                }
                i64::from(was_there).to_string()
            }
            "RPUSH" => self.push(key, &words[2], false)?.to_string(),
            "LPUSH" => self.push(key, &words[2], true)?.to_string(),
            "LPOP" => self.pop(key, true)?.map_or("(nil)".to_owned(), |text| bulk(&text)),
            "FLUSHALL" => {
                let all: Vec<String> = self.keys.keys().cloned().collect();
                all.iter().for_each(|key| self.touch(key));
                self.keys.clear();
                "OK".to_owned()
            }
            // Within a transaction, which is over as far as watching goes.
            "UNWATCH" => "OK".to_owned(),
            _ => unreachable!("{name}"),
        })
    }

    /// Any request that may run in a transaction.
    fn run(&mut self, words: &[String]) -> Outcome {
        let waits = |keys: &[String], millis: &str| {
            let seconds: f64 = millis.parse().expect("seconds");
            Outcome::Waits(keys.to_vec(), (seconds * 1000.0).round() as i64)
        };
        match words[0].as_str() {
            "BLPOP" | "BRPOP" => {
                let keys = &words[1..words.len() - 1];
                for key in keys {
                    match self.pop(key, words[0] == "BLPOP") {
                        Err(error) => return Outcome::Said(error),
                        Ok(None) => {}
                        Ok(Some(text)) => return Outcome::Said(format!("[{} {}]", bulk(key), bulk(&text))),
                    }
                }
                waits(keys, &words[words.len() - 1])
            }
            "BLMOVE" => {
                if matches!(self.value(&words[1]), Some(Value::Text(_))) {
                    return Outcome::Said(WRONG.to_owned());
                }
                if self.value(&words[1]).is_none() {
                    return waits(&words[1..2], &words[5]);
                }
                if matches!(self.value(&words[2]), Some(Value::Text(_))) {
                    return Outcome::Said(WRONG.to_owned());
                }
                if words[1] == words[2] {
                    return Outcome::Said(self.rotate(&words[1], words[3] == "LEFT", words[4] == "LEFT"));
                }
                let text = self.pop(&words[1], words[3] == "LEFT").ok().flatten().expect("an element");
                self.push(&words[2], &text, words[4] == "LEFT").expect("a list");
                Outcome::Said(bulk(&text))
            }
            "BLMOVEM" => self.move_several(words),
            _ => Outcome::Said(self.simple(words).unwrap_or_else(|error| error)),
        }
    }

    /// `BLMOVEM source destination from to timeout <COUNT | EXACTLY> count BULK`, which waits for as many as it wants.
    fn move_several(&mut self, words: &[String]) -> Outcome {
        let (source, destination) = (&words[1], &words[2]);
        let len = match self.value(source) {
            Some(Value::Text(_)) => return Outcome::Said(WRONG.to_owned()),
            Some(Value::List(list)) => list.len(),
            None => 0,
        };
        if 0 < len && matches!(self.value(destination), Some(Value::Text(_))) {
            return Outcome::Said(WRONG.to_owned());
        }
        let count: usize = words[7].parse().expect("a count");
        if len == 0 || words[6] == "EXACTLY" && len < count {
            let seconds: f64 = words[5].parse().expect("seconds");
            return Outcome::Waits(words[1..2].to_vec(), (seconds * 1000.0).round() as i64);
        }
        // A list that is its own destination keeps its deadline even if all of it moves.
        let deadline = self.keys.get(source).and_then(|held| held.1);
        let take = |_| self.pop(source, words[3] == "LEFT").ok().flatten().expect("an element");
        let mut moved: Vec<String> = (0..count.min(len)).map(take).collect();
        if words[3] == "RIGHT" {
            moved.reverse();
        }
        let mut arriving = moved.clone();
        if words[4] == "LEFT" {
            arriving.reverse();
        }
        for text in &arriving {
            self.push(destination, text, words[4] == "LEFT").expect("a list");
        }
        if let Some(held) = self.keys.get_mut(source).filter(|_| source == destination) {
            held.1 = deadline;
        }
        let moved: Vec<String> = moved.iter().map(|text| bulk(text)).collect();
        Outcome::Said(format!("[{}]", moved.join(" ")))
    }

    fn say(&mut self, who: usize, text: impl Into<String>) {
        self.heard[who].push(text.into());
    }

    fn unwatch(&mut self, who: usize) {
        self.people[who].watched.clear();
        self.people[who].broken = false;
    }

    /// A request of a client that does not wait.
    fn request(&mut self, who: usize, words: &[String]) {
        self.value("");
        match words[0].as_str() {
            "MULTI" if self.people[who].multi.is_some() => {
                self.say(who, "(error) ERR MULTI calls can not be nested")
            }
            "MULTI" => {
                self.people[who].multi = Some(Vec::new());
                self.say(who, "OK");
            }
            "EXEC" => self.exec(who),
            "DISCARD" if self.people[who].multi.take().is_none() => {
                self.say(who, "(error) ERR DISCARD without MULTI")
            }
            "DISCARD" => {
                self.unwatch(who);
                self.say(who, "OK");
            }
            "WATCH" if self.people[who].multi.is_some() => {
                self.say(who, "(error) ERR WATCH inside MULTI is not allowed");
            }
            "WATCH" => {
                for key in &words[1..] {
                    let deadline = self.keys.get(key).and_then(|(_, deadline)| *deadline);
                    self.people[who].watched.entry(key.clone()).or_insert(deadline);
                }
                self.say(who, "OK");
            }
            _ if self.people[who].multi.is_some() => {
                self.people[who].multi.as_mut().expect("a queue").push(words.to_vec());
                self.say(who, "QUEUED");
            }
            "UNWATCH" => {
                self.unwatch(who);
                self.say(who, "OK");
            }
            _ => match self.run(words) {
                Outcome::Said(text) => self.say(who, text),
                Outcome::Waits(keys, millis) => {
                    // Nobody waits for less than was asked, and the millisecond that it is has begun already.
                    let until = if millis == 0 { i64::MAX } else { self.now + millis + 1 };
                    self.people[who].waits = Some((words.to_vec(), keys, until));
                    self.line.push(who);
                }
            },
        }
        self.serve();
    }

    fn exec(&mut self, who: usize) {
        let Some(queue) = self.people[who].multi.take() else {
            return self.say(who, "(error) ERR EXEC without MULTI");
        };
        let now = self.now;
        let expired = self.people[who].watched.values().any(|deadline| deadline.is_some_and(|at| at <= now));
        let broken = self.people[who].broken || expired;
        self.unwatch(who);
        if broken {
            return self.say(who, "(nil array)");
        }
        let mut replies = Vec::new();
        for words in queue {
            replies.push(match self.run(&words) {
                Outcome::Said(text) => text,
                Outcome::Waits(..) if words[0] == "BLMOVE" => "(nil)".to_owned(),
                Outcome::Waits(..) => "(nil array)".to_owned(),
            });
        }
        self.say(who, format!("[{}]", replies.join(" ")));
    }

    /// Whoever waits for a key that has become a list is served, the longest waiting first.
    fn serve(&mut self) {
        while !self.changed.is_empty() {
            let key = self.changed.remove(0);
            for who in self.line.clone() {
                let Some((words, keys, _)) = self.people[who].waits.clone() else { continue };
                if !keys.contains(&key) || !matches!(self.value(&key), Some(Value::List(_))) {
                    continue;
                }
                if let Outcome::Said(text) = self.run(&words) {
                    self.end_wait(who, text);
                }
            }
        }
    }

    fn end_wait(&mut self, who: usize, text: impl Into<String>) {
        self.people[who].waits = None;
        self.line.retain(|other| *other != who);
        self.say(who, text);
    }

    fn pass(&mut self, millis: i64) {
        self.now += millis;
        let due = |person: &Person| person.waits.as_ref().map(|(_, _, until)| *until);
        let over: BTreeSet<(i64, usize)> = (0..self.people.len())
            .filter_map(|who| due(&self.people[who]).map(|until| (until, who)))
            .filter(|(until, _)| *until <= self.now)
            .collect();
        over.into_iter().for_each(|(_, who)| self.end_wait(who, "(nil array)"));
    }
}

/// One history: the engine and the model side by side.
struct History {
    play: Play,
    tokens: Vec<usize>,
    model: Model,
    shown: VecDeque<String>,
    random: Random,
}

impl History {
    fn new(seed: u64) -> History {
        let mut play = Play::new(seed);
        let engine = &mut play.engine;
        let more = (1..CLIENTS).map(|_| engine.open_session(Session::default()));
        let tokens: Vec<usize> = std::iter::once(0).chain(more).collect();
        let people = (0..CLIENTS).map(|_| Person::default()).collect();
        let model = Model { now: play.now, people, heard: vec![Vec::new(); CLIENTS], ..Model::default() };
        let random = Random::seeded(seed);
        let mut history = History { play, tokens, model, shown: VecDeque::new(), random };
        history.set_clock();
        history
    }

    fn set_clock(&mut self) {
        let now = self.play.now as u64;
        self.play.engine.state.process.mono_ms = now;
        self.play.engine.end_waits(now);
        self.play.engine.state.waiting.ended.clear();
    }

    fn pick(&mut self, of: &[&str]) -> String {
        of[self.random.below(of.len() as u64) as usize].to_owned()
    }

    fn words(&mut self) -> Vec<String> {
        let (key, other) = (self.pick(KEYS), self.pick(KEYS));
        let text = self.random.below(100).to_string();
        let wait = self.pick(&["0", "0.005", "0.02"]);
        let (from, to) = (self.pick(&["LEFT", "RIGHT"]), self.pick(&["LEFT", "RIGHT"]));
        let line = match self.random.below(27) {
            0 | 1 => "MULTI".to_owned(),
            2..=4 => "EXEC".to_owned(),
            5 => self.pick(&["DISCARD", "UNWATCH"]),
            6 => format!("WATCH {key} {other}"),
            7 => format!("SET {key} {text}"),
            8 => format!("GET {key}"),
            9 => format!("INCR {key}"),
            10 | 11 => format!("DEL {key}"),
            12 => format!("PEXPIRE {key} {}", self.random.below(30)),
            13..=15 => format!("RPUSH {key} {text}"),
            16 => format!("LPUSH {key} {text}"),
            17 => format!("LPOP {key}"),
            18 | 19 => format!("BLPOP {key} {other} {wait}"),
            20 => format!("BRPOP {key} {wait}"),
            21 | 22 => format!("BLMOVE {key} {other} {from} {to} {wait}"),
            23..=25 => {
                let (selector, count) = (self.pick(&["COUNT", "EXACTLY"]), 1 + self.random.below(4));
                format!("BLMOVEM {key} {other} {from} {to} {wait} {selector} {count} BULK")
            }
            _ => "FLUSHALL".to_owned(),
        };
        line.split(' ').map(str::to_owned).collect()
    }

    fn step(&mut self) {
        let who = self.random.below(CLIENTS as u64) as usize;
        match self.random.below(20) {
            0..=2 => {
                let millis = 1 + self.random.below(12) as i64;
                self.shown.push_back(format!("+{millis}ms"));
                self.play.pass(millis);
                self.model.pass(millis);
                self.set_clock();
                if self.random.below(2) == 0 {
                    self.play.tick();
                }
            }
            3 => self.leave(who),
            4 if self.model.people[who].waits.is_some() => self.unblock(who),
            _ if self.model.people[who].waits.is_some() => {}
            _ => {
                let words = self.words();
                self.shown.push_back(format!("{who} {}", words.join(" ")));
                self.model.request(who, &words);
                self.play.run(self.tokens[who], &words);
                self.set_clock();
            }
        }
        if SHOWN < self.shown.len() {
            self.shown.pop_front();
        }
    }

    /// A client goes, and another comes in its place.
    fn leave(&mut self, who: usize) {
        self.shown.push_back(format!("{who} leaves"));
        self.play.engine.close_session(self.tokens[who]);
        self.tokens[who] = self.play.engine.open_session(Session::default());
        self.model.people[who] = Person::default();
        self.model.line.retain(|other| *other != who);
    }

    fn unblock(&mut self, who: usize) {
        let Some(other) = (0..CLIENTS).find(|other| {
            self.model.people[*other].waits.is_none() && self.model.people[*other].multi.is_none()
        }) else {
            return;
        };
        let failing = self.random.below(2) == 0;
        let id = self.play.engine.state.sessions[self.tokens[who]].id.to_string();
        self.shown.push_back(format!("{other} CLIENT UNBLOCK {who} ERROR={failing}"));
        let how = if failing { "ERROR" } else { "TIMEOUT" };
        self.play.run(self.tokens[other], &["CLIENT", "UNBLOCK", &id, how]);
        self.set_clock();
        self.model.say(other, "1");
        self.model.end_wait(who, if failing { UNBLOCKED } else { "(nil array)" });
    }

    /// What each client has heard is the same.
    fn compare(&mut self, seed: u64) {
        for who in 0..CLIENTS {
            let mut bytes = self.play.sent(self.tokens[who]);
            let mut heard = Vec::new();
            while let Some((text, len)) = reply_text(&bytes) {
                heard.push(text);
                bytes.drain(..len);
            }
            let expected = std::mem::take(&mut self.model.heard[who]);
            assert_eq!(heard, expected, "KVICK_WAITING_SEED={seed}, client {who} after {:#?}", self.shown);
        }
    }

    /// The data is the same, also after a restart.
    fn compare_data(&mut self, seed: u64) {
        let now = self.play.now;
        self.model.value("");
        let restarted = self.play.restarted();
        for engine in [&self.play.engine, &restarted.engine] {
            let mut found = contents(&engine.keys);
            found.retain(|_, (deadline, _, _)| deadline.is_none_or(|at| now < at));
            let found: BTreeMap<String, (Option<i64>, Vec<String>)> = found
                .into_iter()
                .map(|((_, key), (deadline, _, values))| {
                    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
                    (text(key), (deadline, values.into_iter().map(text).collect()))
                })
                .collect();
            let expected = self.model.keys.iter().map(|(key, (value, deadline))| {
                let values = match value {
                    Value::Text(text) => vec![text.clone()],
                    Value::List(list) => list.iter().cloned().collect(),
                };
                (key.clone(), (*deadline, values))
            });
            assert_eq!(found, expected.collect(), "KVICK_WAITING_SEED={seed} after {:#?}", self.shown);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn clients_hear_what_the_model_says() {
    let first = number("KVICK_WAITING_SEED").unwrap_or(1);
    let (mut waited, mut ran, mut broken) = (0, 0, 0);
    for seed in first..first + number("KVICK_WAITING_ROUNDS").unwrap_or(150) {
        let mut history = History::new(seed);
        for _ in 0..STEPS {
            history.step();
            let heard = history.model.heard.iter().flatten();
            for text in heard {
                ran += usize::from(text.starts_with('['));
                broken += usize::from(text == "(nil array)");
            }
            waited = waited.max(history.model.line.len());
            history.compare(seed);
        }
        history.compare_data(seed);
    }
    assert!(3 <= waited && 0 < ran && 0 < broken, "the histories are about waiting: {waited} {ran} {broken}");
}
