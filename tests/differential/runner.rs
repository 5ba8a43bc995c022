//! Sends both servers the same and tells where they differ.

use crate::common::client::encode;
use crate::common::value::quoted;
use crate::common::{Client, Random, Server, Value};
use crate::compare::{Compare, is_avoided, is_of_later_versions, same};
use crate::grammar::{Made, make, spoil};
use crate::rows::Row;
use std::collections::{BTreeSet, VecDeque};

/// So many commands go out before the replies are read.
const BATCH: usize = 250;
/// So many earlier commands a report shows.
const HISTORY: usize = 30;
/// The databases that the grammar uses.
const DATABASES: [&str; 3] = ["0", "1", "2"];

/// A command on its way, with how its replies will be compared.
struct Step {
    args: Vec<Vec<u8>>,
    compare: Compare,
}

/// Two connections and what was said on them.
pub struct Runner {
    ours: Client,
    theirs: Client,
    random: Random,
    batch: Vec<Step>,
    history: VecDeque<String>,
    reports: Vec<String>,
    reports_max: usize,
    sent: usize,
    /// Whether the other server is newer than 7.0.
    pub newer: bool,
    title: String,
    start: std::time::Instant,
}

impl Runner {
    /// Connects to both, empties both.
    pub fn new(ours: &Server, theirs: &Server, protocol: u8, seed: u64) -> Runner {
        let mut runner = Runner::attach(ours, theirs, protocol, seed);
        for client in [&mut runner.ours, &mut runner.theirs] {
            assert_eq!(Value::ok(), client.say("FLUSHALL"));
        }
        runner
    }

    /// Connects to both as they are.
    pub fn attach(ours: &Server, theirs: &Server, protocol: u8, seed: u64) -> Runner {
        let (mut ours, mut theirs) = (ours.client(), theirs.client());
        for client in [&mut ours, &mut theirs] {
            let hello = client.cmd(&["HELLO", &protocol.to_string()]);
            assert!(hello.error().is_none(), "{hello:?}");
        }
        Runner {
            ours,
            theirs,
            random: Random::new(seed),
            batch: Vec::new(),
            history: VecDeque::new(),
            reports: Vec::new(),
            reports_max: crate::env_number("KVICK_DIFF_MISMATCHES", 1) as usize,
            sent: 0,
            newer: false,
            title: format!("RESP{protocol}, KVICK_DIFF_SEED={seed}"),
            start: std::time::Instant::now(),
        }
    }

    /// Sends `count` calls of `rows` (some calls bring a second one along).
    pub fn run(&mut self, rows: &[Row], count: usize) {
        let total: usize = rows.iter().map(|row| row.0).sum();
        for _ in 0..count {
            let mut draw = self.random.below(total);
            let row = rows
                .iter()
                .find(|row| match draw.checked_sub(row.0) {
                    Some(rest) => {
                        draw = rest;
                        false
                    }
                    None => true,
                })
                .expect("the draw is below the total");
            self.call(row);
            if self.reports_max <= self.reports.len() {
                break;
            }
        }
        self.flush();
    }

    fn call(&mut self, row: &Row) {
        let mut made = make(row.1, &mut self.random);
        let alone = matches!(row.2, Compare::Scan | Compare::RandomKey | Compare::NoReply);
        if !alone {
            spoil(&mut made, &mut self.random);
        }
        if is_avoided(&made.args) || (!self.newer && is_of_later_versions(&made.args)) {
            return;
        }
        match row.2 {
            Compare::Scan => self.scan(made),
            Compare::RandomKey => self.random_key(),
            Compare::Digest => self.digest(&made.args),
            Compare::NoReply => self.silence(made),
            compare => {
                let key = made.args.get(1).cloned();
                self.push(made.args, compare);
                if let (true, Some(key)) = (made.past, key) {
                    // Whoever looks at a key whose deadline is past removes it; before that it may still be counted.
                    self.push(vec![b"EXISTS".to_vec(), key], Compare::Equal);
                }
            }
        }
        if BATCH <= self.batch.len() {
            self.flush();
        }
    }

    fn push(&mut self, args: Vec<Vec<u8>>, compare: Compare) {
        self.batch.push(Step { args, compare });
    }

    /// `SKIP` swallows the next reply, `OFF` all until `ON`, whose own reply comes.
    fn silence(&mut self, made: Made) {
        let off = made.args.ends_with(&[b"OFF".to_vec()]);
        self.push(made.args, Compare::NoReply);
        for line in ["SET s0 silent", "NOSUCH", "LPUSH l0 silent"].iter().take(if off { 3 } else { 1 }) {
            self.push(words(line), Compare::NoReply);
        }
        if off {
            self.push(words("CLIENT REPLY ON"), Compare::Equal);
        }
    }

    /// Sends the batch to both, reads both, compares.
    fn flush(&mut self) {
        let bytes: Vec<u8> = self.batch.iter().flat_map(|step| encode(&step.args)).collect();
        self.ours.send_raw(&bytes);
        self.theirs.send_raw(&bytes);
        for step in std::mem::take(&mut self.batch) {
            self.sent += 1;
            if step.compare == Compare::NoReply {
                self.remember(&step.args, "(no reply)");
                continue;
            }
            let theirs = self.theirs.try_read_value();
            let theirs = theirs.unwrap_or_else(|error| {
                let reports = self.reports.join("\n");
                panic!("{}: the reference says nothing: {error}\n{reports}", line(&step.args))
            });
            let ours = self.ours.try_read_value();
            let ours = ours.unwrap_or_else(|e| Value::Error(format!("(connection lost: {e})")));
            let lost = ours.error().is_some_and(|text| text.starts_with("(connection lost"));
            self.judge(step.compare, &step.args, &ours, &theirs);
            if lost {
                self.reports_max = 0;
                break;
            }
        }
    }

    fn judge(&mut self, compare: Compare, args: &[Vec<u8>], ours: &Value, theirs: &Value) {
        let room = self.reports.len() < self.reports_max.max(1);
        if !same(compare, args, ours, theirs) && room {
            let history: Vec<_> = self.history.iter().map(String::as_str).collect();
            let mut report =
                format!("{}: {}\n  ours   {ours:?}\n  theirs {theirs:?}\n", self.sent, line(args));
            if self.reports.is_empty() {
                report.push_str(&format!("before it, oldest first:\n  {}\n", history.join("\n  ")));
            }
            self.reports.push(report);
        }
        self.remember(args, &format!("{theirs:?}"));
    }

    fn remember(&mut self, args: &[Vec<u8>], reply: &str) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let reply: String = reply.chars().take(100).collect();
        self.history.push_back(format!("{} → {reply}", line(args)));
    }

    /// One command to both right now.
    fn both(&mut self, args: &[Vec<u8>]) -> (Value, Value) {
        self.flush();
        self.sent += 1;
        (self.ours.cmd(args), self.theirs.cmd(args))
    }

    fn scan(&mut self, made: Made) {
        self.flush();
        self.sent += 1;
        let ours = iterate(&mut self.ours, &made.args);
        let theirs = iterate(&mut self.theirs, &made.args);
        self.judge(Compare::Scan, &made.args, &ours, &theirs);
    }

    /// What one server draws must be known to the other.
    fn random_key(&mut self) {
        let args = words("RANDOMKEY");
        let (ours, theirs) = self.both(&args);
        if ours.is_null() || theirs.is_null() {
            return self.judge(Compare::Equal, &args, &ours, &theirs);
        }
        let known = (self.ours.cmd(&["EXISTS".as_bytes(), theirs.bytes()]).int())
            + (self.theirs.cmd(&["EXISTS".as_bytes(), ours.bytes()]).int());
        self.judge(
            Compare::Equal,
            &words("RANDOMKEY (is it known to the other?)"),
            &Value::Int(known),
            &Value::Int(2),
        );
    }

    /// A digest is made of scores as they are printed. Where 7.0 prints one in other digits the numbers are compared.
    fn digest(&mut self, args: &[Vec<u8>]) {
        let (ours, mut theirs) = self.both(args);
        if ours != theirs && self.differ_by_digits_only() {
            theirs = ours.clone();
        }
        self.judge(Compare::Digest, args, &ours, &theirs);
    }

    /// Is each key whose digests differ a sorted set with equal scores? The database that is chosen becomes 0.
    fn differ_by_digits_only(&mut self) -> bool {
        let mut found = 0;
        for database in DATABASES {
            self.both(&words(&format!("SELECT {database}")));
            for key in self.both(&words("KEYS *")).1.items() {
                let with = |line: &str| [words(line), vec![key.bytes().to_vec()]].concat();
                let (ours, theirs) = self.both(&with("DEBUG DIGEST-VALUE"));
                if ours == theirs {
                    continue;
                }
                let range = [with("ZRANGE"), words("0 -1 WITHSCORES")].concat();
                let (ours, theirs) = self.both(&range);
                if ours == theirs || ours.error().is_some() || !same(Compare::Equal, &range, &ours, &theirs) {
                    return false;
                }
                found += 1;
            }
        }
        self.both(&words("SELECT 0"));
        0 < found
    }

    /// Compares everything that is in both servers, key by key, encodings only if asked to.
    pub fn compare_contents(&mut self, encodings: bool) {
        if !self.reports.is_empty() {
            return; // After a difference in a reply the contents differ anyway.
        }
        for database in DATABASES {
            self.look(&["SELECT", database], Compare::Equal);
            let keys = self.look(&["KEYS", "*"], Compare::Sorted);
            self.look(&["DBSIZE"], Compare::Equal);
            for key in keys.items() {
                let key = String::from_utf8(key.bytes().to_vec());
                let Ok(key) = key else { continue }; // The one binary key is covered by the digest.
                let kind = self.look(&["TYPE", &key], Compare::Equal);
                self.contents_of(&kind.text(), &key);
                self.look(&["PTTL", &key], Compare::Deadline(2000));
                if encodings {
                    self.look(&["OBJECT", "ENCODING", &key], Compare::Equal);
                }
            }
        }
        self.digest(&words("DEBUG DIGEST"));
        self.look(&["SELECT", "0"], Compare::Equal);
    }

    /// All that is in one key.
    fn contents_of(&mut self, kind: &str, key: &str) {
        match kind {
            "string" => self.look(&["GET", key], Compare::Equal),
            "list" => self.look(&["LRANGE", key, "0", "-1"], Compare::Equal),
            "set" => self.look(&["SMEMBERS", key], Compare::Sorted),
            "zset" => self.look(&["ZRANGE", key, "0", "-1", "WITHSCORES"], Compare::Equal),
            "hash" => {
                let fields = self.look(&["HKEYS", key], Compare::Sorted);
                let all: Vec<_> = fields.items().iter().map(|field| field.bytes().to_vec()).collect();
                let args = [&[b"HMGET".to_vec(), key.as_bytes().to_vec()], &all[..]].concat();
                let (ours, theirs) = self.both(&args);
                self.judge(Compare::Equal, &args, &ours, &theirs);
                theirs
            }
            "stream" if self.newer => {
                self.look(&["XINFO", "STREAM", key, "FULL", "COUNT", "0"], Compare::Times)
            }
            "stream" => self.look(&["XRANGE", key, "-", "+"], Compare::Equal),
            other => panic!("{key} is of type {other}"),
        };
    }

    fn look(&mut self, args: &[&str], compare: Compare) -> Value {
        let args: Vec<_> = args.iter().map(|a| a.as_bytes().to_vec()).collect();
        let (ours, theirs) = self.both(&args);
        self.judge(compare, &args, &ours, &theirs);
        theirs
    }

    /// Fails the test if there was a difference.
    pub fn finish(self) {
        let took = self.start.elapsed();
        println!("{}: {} commands in {took:.1?}, {} differences", self.title, self.sent, self.reports.len());
        assert!(self.reports.is_empty(), "{}\n{}", self.title, self.reports.join("\n"));
    }
}

/// All keys that a whole SCAN finds, in order and once; an error ends it.
fn iterate(client: &mut Client, args: &[Vec<u8>]) -> Value {
    let mut found = BTreeSet::new();
    let mut args = args.to_vec();
    // Behind the key, for those who walk over the elements of one.
    let at = if args[0] == b"SCAN" { 1 } else { 2 };
    for _ in 0..10_000 {
        let reply = client.cmd(&args);
        let Value::Array(parts) = &reply else { return reply };
        found.extend(parts[1].items().iter().cloned());
        args[at] = parts[0].bytes().to_vec();
        if args[at] == b"0" {
            return Value::Array(found.into_iter().collect());
        }
    }
    Value::Error("(the iteration does not end)".into())
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn line(args: &[Vec<u8>]) -> String {
    args.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(" ")
}
