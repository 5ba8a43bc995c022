//! An engine to play with: requests in, replies and records out as text, time by hand, restarts from the log.

// Each test that uses this module uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::IoSlice;

use kvick::base::date::UnixMs;
use kvick::base::quote::quoted;
use kvick::config::Settings;
use kvick::data::digest::Digest;
use kvick::data::entry::Entry;
use kvick::data::keyspace::Keyspace;
use kvick::engine::Engine;
use kvick::engine::replay::Replayed;
use kvick::engine::snapshot::write_snapshot;
use kvick::resp::request::{Args, Batch, Input, Limits, Parser, Request};
use kvick::state::session::Session;

/// Steps of expiry that a tick may take; the work of a tick is bounded whatever there is to do.
pub const STEPS_PER_TICK: usize = 8;

/// A key's deadline and values; of a string, one value; of a hash a value for each field in their order, which says its
/// deadline ([`field_deadline`]).
pub type Held = (Option<i64>, &'static str, Vec<Vec<u8>>);

/// An engine, its log so far, and the date.
pub struct Play {
    /// The engine.
    pub engine: Engine,
    /// All records so far.
    pub history: Vec<u8>,
    /// The date, in milliseconds since the epoch.
    pub now: i64,
}

impl Play {
    /// An empty engine that keeps a log, with the client of token 0.
    pub fn new(seed: u64) -> Play {
        let mut play = Play { engine: fresh(seed), history: Vec::new(), now: 1000 };
        play.engine.set_now(UnixMs(play.now));
        play
    }

    /// Time passes.
    pub fn pass(&mut self, ms: i64) {
        self.now += ms;
        self.engine.set_now(UnixMs(self.now));
    }

    /// One tick of the clock.
    pub fn tick(&mut self) {
        for _ in 0..STEPS_PER_TICK {
            if !self.engine.expire_step() {
                break;
            }
        }
        self.engine.table_step();
        self.engine.free_step();
    }

    /// Runs a request; its reply is with the client, its records in the log.
    pub fn run<A: AsRef<[u8]>>(&mut self, token: usize, args: &[A]) {
        let request = Request::new(args.iter().map(AsRef::as_ref));
        self.engine.enter(token);
        let prepared = self.engine.prepare(token, request.args());
        self.engine.prefetch(token, prepared);
        self.engine.run(token, request.args(), prepared);
        while self.engine.run_queued(token).is_some() {}
        self.engine.serve_ready(Some(token));
        self.engine.leave(token);
    }

    /// Runs a request and returns what may be sent of the reply, in bytes.
    pub fn ask<A: AsRef<[u8]>>(&mut self, token: usize, args: &[A]) -> Vec<u8> {
        self.run(token, args);
        self.sent(token)
    }

    /// Sends what may be sent to a client, and returns it.
    pub fn sent(&mut self, token: usize) -> Vec<u8> {
        let synced = self.engine.state.gate.synced();
        let session = &mut self.engine.state.sessions[token];
        let count = session.sendable(synced);
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let mut slices = [IoSlice::new(&[]); 16];
            let used = session.output.slices(count - bytes.len(), &mut slices);
            slices[..used].iter().for_each(|slice| bytes.extend_from_slice(slice));
            let taken = slices[..used].iter().map(|slice| slice.len()).sum();
            session.output.advance(taken);
        }
        session.output_bytes += count as u64;
        bytes
    }

    /// The records written since the last call, as text.
    pub fn records(&mut self) -> Vec<String> {
        let pending = std::mem::take(self.engine.state.log.pending_mut());
        self.history.extend_from_slice(&pending);
        let mut texts = Vec::new();
        for_each_request(&pending, |args| texts.push(command_text(args)));
        texts
    }

    /// A server that was started from this one's log, at the same date, with no client but token 0.
    pub fn restarted(&mut self) -> Play {
        self.records();
        self.started_from(&self.history.clone())
    }

    /// A server that was started from a snapshot of this one.
    pub fn rewritten(&mut self) -> Play {
        let mut snapshot = Vec::new();
        write_snapshot(&self.engine, &mut snapshot, |_| {}).expect("memory takes everything");
        self.started_from(&snapshot)
    }

    fn started_from(&self, log: &[u8]) -> Play {
        let mut engine = replayed(log, &self.engine.state.settings);
        engine.set_now(UnixMs(self.now));
        Play { engine, history: log.to_vec(), now: self.now }
    }
}

/// An empty engine with a log and one client.
pub fn fresh(seed: u64) -> Engine {
    let mut engine = Engine::new(Settings::default(), seed);
    engine.state.log.enabled = true;
    assert_eq!(engine.open_session(Session::default()), 0);
    engine
}

/// An engine with these settings that has replayed a log, every record of which must be good.
pub fn replayed(log: &[u8], settings: &Settings) -> Engine {
    let mut engine = Engine::new(settings.clone(), 99);
    engine.apply_settings();
    let token = engine.begin_replay();
    for_each_request(log, |args| {
        if args.get(0).starts_with(b"#") {
            // A note, which the reader of files keeps from the engine.
            return;
        }
        let prepared = engine.prepare_replay(token, args);
        assert_eq!(engine.replay(token, args, prepared), Replayed::Done, "{}", command_text(args));
    });
    engine.end_replay(token);
    assert!(engine.state.log.pending().is_empty(), "a replay is not logged");
    engine.state.log.enabled = true;
    assert_eq!(engine.open_session(Session::default()), 0);
    engine
}

/// Hands over every request of these bytes, which must be whole ones.
pub fn for_each_request(mut bytes: &[u8], mut each: impl FnMut(Args<'_>)) {
    let (mut parser, mut input, mut batch) = (Parser::default(), Input::new(16 << 10), Batch::default());
    while !bytes.is_empty() {
        parser.begin(&mut input);
        let taken = parser.feed(&mut input, bytes);
        bytes = &bytes[taken..];
        loop {
            let parsed = parser.parse(&mut input, &mut batch, 64, &Limits::default());
            parsed.iter().for_each(&mut each);
            assert_eq!(parsed.error(), None);
            if !parsed.more() {
                break;
            }
        }
        parser.finish(&mut input);
    }
    assert_eq!(parser.buffered(), 0, "half a request");
}

/// A command as one would type it.
pub fn command_text(args: Args<'_>) -> String {
    let plain =
        |arg: &[u8]| !arg.is_empty() && arg.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"');
    let words = args
        .iter()
        .map(|arg| if plain(arg) { String::from_utf8_lossy(arg).into_owned() } else { quoted(arg) });
    words.collect::<Vec<_>>().join(" ")
}

/// The first reply in these bytes as text, and its length: `OK` a status, `3` an integer, `"3"` a bulk string,
/// `(nil)` and `(nil array)`, `["a" 1]` an array, `{…}` a map, `~[…]` a set, `(error) …`; of RESP3 further `_`,
/// `#t`, `,1.5` and what else is one line, as it stands. `None` if there is no whole reply.
pub fn reply_text(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[1..end]).expect("these tests speak ASCII");
    let next = end + 2;
    let count = || line.parse::<usize>().expect("a length");
    match bytes[0] {
        b'+' | b':' => Some((line.to_owned(), next)),
        b'-' => Some((format!("(error) {line}"), next)),
        b'$' if line == "-1" => Some(("(nil)".to_owned(), next)),
        b'*' if line == "-1" => Some(("(nil array)".to_owned(), next)),
        b'$' | b'=' => {
            let text = bytes.get(next..next + count())?;
            Some((quoted(text), next + count() + 2))
        }
        b'*' => aggregate(bytes, next, count(), "[", "]"),
        b'~' => aggregate(bytes, next, count(), "~[", "]"),
        b'>' => aggregate(bytes, next, count(), ">[", "]"),
        b'%' => aggregate(bytes, next, 2 * count(), "{", "}"),
        sigil => Some((format!("{}{line}", char::from(sigil)), next)),
    }
}

fn aggregate(bytes: &[u8], mut at: usize, count: usize, open: &str, close: &str) -> Option<(String, usize)> {
    let mut elements = Vec::new();
    for _ in 0..count {
        let (text, len) = reply_text(bytes.get(at..)?)?;
        elements.push(text);
        at += len;
    }
    Some((format!("{open}{}{close}", elements.join(" ")), at))
}

/// Everything that is there, whether its deadline has come or not.
pub fn contents(keys: &Keyspace) -> BTreeMap<(usize, Vec<u8>), Held> {
    let mut found = BTreeMap::new();
    for (number, database) in keys.databases().iter().enumerate() {
        for entry in database.table().iter() {
            let values = match (entry.string(), entry.list()) {
                (Some(text), _) => vec![text.bytes(&mut [0; 20]).to_vec()],
                (None, Some(list)) => list.iter().map(|item| item.to_vec()).collect(),
                (None, None) if entry.hash().is_some() => fields(entry),
                (None, None) => vec![Digest::of_value(entry).to_string().into_bytes()],
            };
            let held = (entry.deadline().map(|at| at.0), entry.kind().name(), values);
            assert!(found.insert((number, entry.key().to_vec()), held).is_none(), "a key twice");
        }
        let dated = database.table().iter().filter(|entry| entry.deadline().is_some()).count();
        assert_eq!(dated, database.expiry().len(), "the index of database {number}");
    }
    found
}

/// The fields of a hash, in order: a deadline or nothing, field and value.
fn fields(entry: &Entry) -> Vec<Vec<u8>> {
    let pairs = entry.hash().into_iter().flat_map(|hash| hash.iter());
    let mut fields: Vec<_> = pairs
        .map(|pair| {
            let mut text = pair.deadline.map(|at| at.0.to_string()).unwrap_or_default().into_bytes();
            text.push(b' ');
            pair.field.with_bytes(|field| text.extend_from_slice(quoted(field).as_bytes()));
            text.push(b' ');
            pair.value.with_bytes(|value| text.extend_from_slice(value));
            text
        })
        .collect();
    fields.sort_by(|one, other| after_deadline(one).cmp(after_deadline(other)));
    fields
}

fn after_deadline(field: &[u8]) -> &[u8] {
    &field[field.iter().position(|byte| *byte == b' ').unwrap_or(0)..]
}

/// The deadline of a field that [`contents`] has brought.
pub fn field_deadline(field: &[u8]) -> Option<i64> {
    let digits = &field[..field.len() - after_deadline(field).len()];
    std::str::from_utf8(digits).ok()?.parse().ok()
}
