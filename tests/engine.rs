//! The engine as scripts: what is said and what comes back, what the log hears, and when. No socket, no sleep.
//!
//! A script is a text of lines (see [`check`]):
//!
//! ```text
//! > SET k v PX 100          a request of the client
//! < OK                      its next reply, in the notation of `play::reply_text`
//! log: SELECT 0             the next record of the log
//! log: SET k v PXAT 1100
//! +50ms                     time passes
//! tick                      the engine's tick, at this date
//! restart                   the server is started anew from its log
//! client 2                  the lines that follow are this client's
//! ```
//!
//! Every reply and every record has to be named: whatever is left over when the next thing happens is an error.
//! Under `always` replies may be held back: `< (held)` says that there is one which may not leave yet; `write`
//! closes the batch of records, `sync` puts all that was written on disk.

mod play;

use std::collections::{BTreeMap, VecDeque};

use kvick::base::date::UnixMs;
use kvick::base::quote::split_words;
use kvick::base::random::Random;
use kvick::command::registry::commands;
use kvick::config::Settings;
use kvick::data::entry::Value;
use kvick::data::keyspace::Deadline;
use kvick::engine::Engine;
use kvick::state::session::Session;

use play::{Play, STEPS_PER_TICK, contents, fresh, reply_text};

/// Keys that one step of expiry may remove from a database: eight cycles of twenty.
const KEYS_PER_STEP_MAX: usize = 160;

struct Script {
    play: Play,
    /// Tokens of the clients by the numbers in the script.
    clients: BTreeMap<u32, usize>,
    token: usize,
    /// Bytes sent to each token that no line has named yet.
    unread: BTreeMap<usize, Vec<u8>>,
    records: VecDeque<String>,
    written: u64,
}

impl Script {
    fn new() -> Script {
        Script {
            play: Play::new(42),
            clients: BTreeMap::from([(1, 0)]),
            token: 0,
            unread: BTreeMap::new(),
            records: VecDeque::new(),
            written: 0,
        }
    }

    /// Takes replies and records out of the engine.
    fn collect(&mut self) {
        for token in self.clients.values() {
            let bytes = self.play.sent(*token);
            self.unread.entry(*token).or_default().extend(bytes);
        }
        self.records.extend(self.play.records());
    }

    /// Nothing may be left that the script has not named.
    fn settle(&self) {
        for (token, bytes) in &self.unread {
            assert!(bytes.is_empty(), "client {token} heard more: {:?}", String::from_utf8_lossy(bytes));
        }
        assert!(self.records.is_empty(), "records not named: {:?}", self.records);
    }

    fn next_reply(&mut self) -> String {
        let bytes = self.unread.entry(self.token).or_default();
        if let Some((text, len)) = reply_text(bytes) {
            bytes.drain(..len);
            return text;
        }
        let waits = !self.play.engine.state.sessions[self.token].output.is_empty();
        if waits { "(held)" } else { "(none)" }.to_owned()
    }

    fn restart(&mut self) {
        self.play = self.play.restarted();
        (self.clients, self.token, self.written) = (BTreeMap::from([(1, 0)]), 0, 0);
        self.unread.clear();
    }

    fn client(&mut self, number: u32) {
        let engine = &mut self.play.engine;
        self.token = *self.clients.entry(number).or_insert_with(|| engine.open_session(Session::default()));
    }

    /// Runs one line.
    fn line(&mut self, line: &str) {
        if let Some(expected) = line.strip_prefix("< ") {
            assert_eq!(self.next_reply().trim_end(), expected);
            return;
        }
        if let Some(expected) = line.strip_prefix("log: ") {
            assert_eq!(self.records.pop_front().as_deref(), Some(expected), "then {:?}", self.records);
            return;
        }
        if let Some(number) = line.strip_prefix("client ") {
            return self.client(number.parse().expect("a client's number"));
        }
        self.settle();
        let gate = &mut self.play.engine.state.gate;
        if let Some(request) = line.strip_prefix("> ") {
            let words = split_words(request.as_bytes()).expect("balanced quotes");
            self.play.run(self.token, &words);
        } else if let Some(ms) = line.strip_prefix('+').and_then(|time| time.strip_suffix("ms")) {
            self.play.pass(ms.parse().expect("milliseconds"));
        } else {
            match line {
                "tick" => self.play.tick(),
                "restart" => self.restart(),
                "always" => gate.active = true,
                "write" => self.written = gate.close_batch(),
                "sync" => gate.set_synced(self.written),
                _ => panic!("not a line of a script"),
            }
        }
        self.collect();
    }
}

/// Runs a script; see the head of the file.
fn check(script: &str) {
    let mut state = Script::new();
    for (number, line) in script.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        // A test that fails prints this, and with it where.
        println!("{}: {line}", number + 1);
        state.line(line);
    }
    state.settle();
}

#[test]
fn a_deadline_is_logged_as_a_date_and_kept_to_the_millisecond() {
    check(
        "> SET k v PX 100
         < OK
         log: SELECT 0
         log: SET k v PXAT 1100
         +99ms
         > GET k
         < \"v\"
         +1ms
         > GET k
         < (nil)
         log: DEL k",
    );
}

/// Whoever notices that a key has expired writes its record behind the key's `DEL`, however it writes it.
#[test]
fn lazy_expiry_is_logged_before_the_record_of_who_noticed() {
    for (command, reply, record) in [
        ("SET k new", "OK", "SET k new"),
        ("SET k new NX", "OK", "SET k new"),
        ("SET k new KEEPTTL", "OK", "SET k new KEEPTTL"),
        ("SET k new PX 10", "OK", "SET k new PXAT 1110"),
        ("APPEND k x", "1", "APPEND k x"),
        ("INCR k", "1", "INCR k"),
        ("INCRBYFLOAT k 1.5", "\"1.5\"", "SET k 1.5 KEEPTTL"),
        ("SETRANGE k 2 x", "3", "SETRANGE k 2 x"),
        ("GETSET k x", "(nil)", "GETSET k x"),
        ("MSET a 1 k 2", "OK", "MSET a 1 k 2"),
        ("MSETNX a 1 k 2", "1", "MSETNX a 1 k 2"),
        ("LPUSH k x", "1", "LPUSH k x"),
        ("RPOPLPUSH full k", "\"z\"", "RPOPLPUSH full k"),
        ("LMPOP 2 k full LEFT", "[\"full\" [\"x\"]]", "LPOP full 1"),
    ] {
        check(&format!(
            "> RPUSH full x y z
             < 3
             log: SELECT 0
             log: RPUSH full x y z
             > SET k old PX 100
             < OK
             log: SET k old PXAT 1100
             +100ms
             > {command}
             < {reply}
             log: DEL k
             log: {record}"
        ));
    }
    for (command, reply) in [
        ("GET k", "(nil)"),
        ("SET k new XX", "(nil)"),
        ("STRLEN k", "0"),
        ("MGET k k", "[(nil) (nil)]"),
        ("LRANGE k 0 -1", "[]"),
        ("LPUSHX k x", "0"),
        ("LSET k 0 x", "(error) ERR no such key"),
        ("GETDEL k", "(nil)"),
        ("GETEX k PERSIST", "(nil)"),
    ] {
        check(&format!(
            "> SET k old PX 100
             < OK
             log: SELECT 0
             log: SET k old PXAT 1100
             +5000ms
             > {command}
             < {reply}
             log: DEL k
             > GET k
             < (nil)"
        ));
    }
}

#[test]
fn ticks_remove_what_is_due_and_log_it() {
    check(
        "> SET a 1 PX 100
         < OK
         log: SELECT 0
         log: SET a 1 PXAT 1100
         > SET b 1 PX 250
         < OK
         log: SET b 1 PXAT 1250
         > SET c 1
         < OK
         log: SET c 1
         +99ms
         tick
         +101ms
         tick
         log: DEL a
         +200ms
         tick
         log: DEL b
         +1000000000ms
         tick
         > MGET a b c
         < [(nil) (nil) \"1\"]",
    );
}

#[test]
fn persisting_never_revives() {
    check(
        "> SET k v PX 100
         < OK
         log: SELECT 0
         log: SET k v PXAT 1100
         > GETEX k PERSIST
         < \"v\"
         log: PERSIST k
         +200ms
         tick
         > GETEX k PX 100
         < \"v\"
         log: PEXPIREAT k 1300
         +100ms
         > GETEX k PERSIST
         < (nil)
         log: DEL k
         > GET k
         < (nil)",
    );
    check(
        "> SET k v PX 100
         < OK
         log: SELECT 0
         log: SET k v PXAT 1100
         > PERSIST k
         < 1
         log: PERSIST k
         +200ms
         > PTTL k
         < -1
         > PEXPIRE k 50
         < 1
         log: PEXPIREAT k 1250
         +50ms
         > PERSIST k
         < 0
         log: DEL k
         > GET k
         < (nil)",
    );
}

#[test]
fn a_deadline_in_the_past_deletes() {
    check(
        "> SET k v
         < OK
         log: SELECT 0
         log: SET k v
         > SET k w PXAT 1000
         < OK
         log: DEL k
         > GET k
         < (nil)
         > SET k w PXAT 1
         < OK
         > SET k w EXAT 0
         < (error) ERR invalid expire time in 'set' command
         > RPUSH k x
         < 1
         log: RPUSH k x
         > SET k w PXAT 999
         < OK
         log: DEL k
         > LLEN k
         < 0",
    );
}

#[test]
fn each_record_knows_its_database() {
    check(
        "> SET a 1 PX 100
         < OK
         log: SELECT 0
         log: SET a 1 PXAT 1100
         > SELECT 9
         < OK
         > GET a
         < (nil)
         > SET b 1 PX 300
         < OK
         log: SELECT 9
         log: SET b 1 PXAT 1300
         > INCR n
         < 1
         log: INCR n
         client 2
         > INCR n
         < 1
         log: SELECT 0
         log: INCR n
         +150ms
         tick
         log: DEL a
         +300ms
         client 1
         > GET b
         < (nil)
         log: SELECT 9
         log: DEL b
         restart
         > GET n
         < \"1\"
         > INCR n
         < 2
         log: SELECT 0
         log: INCR n",
    );
}

/// Replay runs at date zero: what the log does not say did not happen.
#[test]
fn a_restart_brings_nothing_back_and_expires_nothing() {
    // The record of a write to a key whose deadline has come and gone by the time of the replay.
    let mut play = Play::new(1);
    play.run(0, &["SET", "n", "5", "PX", "100"]);
    play.run(0, &["INCR", "n"]);
    play.pass(1_000_000);
    let restarted = play.restarted();
    let held = (Some(1100), "string", vec![b"6".to_vec()]);
    assert_eq!(contents(&restarted.engine.keys), BTreeMap::from([((0, b"n".to_vec()), held)]));
    check(
        "> SET gone v PX 100
         < OK
         log: SELECT 0
         log: SET gone v PXAT 1100
         > SET due v PX 200
         < OK
         log: SET due v PXAT 1200
         > RPUSH list a b
         < 2
         log: RPUSH list a b
         +100ms
         > APPEND gone x
         < 1
         log: DEL gone
         log: APPEND gone x
         +1000000000ms
         restart
         > GET gone
         < \"x\"
         > LRANGE list 0 -1
         < [\"a\" \"b\"]
         > GET due
         < (nil)
         log: SELECT 0
         log: DEL due
         restart
         > MGET gone due
         < [\"x\" (nil)]",
    );
}

#[test]
fn silence_is_kept_where_asked_for() {
    check(
        "> CLIENT REPLY SKIP
         > SET a 1
         log: SELECT 0
         log: SET a 1
         > GET a
         < \"1\"
         > CLIENT REPLY SKIP
         > NOSUCH
         > GET a
         < \"1\"
         > CLIENT REPLY OFF
         > GET a
         > NOSUCH
         > CLIENT REPLY SKIP
         > INCR a
         log: INCR a
         > INCR a
         log: INCR a
         client 2
         > GET a
         < \"3\"
         client 1
         > CLIENT REPLY ON
         < OK
         > GET a
         < \"3\"
         > CLIENT REPLY MAYBE
         < (error) ERR syntax error",
    );
    // The words that follow a SKIP are not silenced by it as others are.
    check(
        "> CLIENT REPLY SKIP
         > CLIENT REPLY SKIP
         > GET a
         > GET a
         < (nil)
         > CLIENT REPLY SKIP
         > CLIENT REPLY ON
         < OK
         > GET a
         < (nil)
         > CLIENT REPLY SKIP
         > CLIENT REPLY OFF
         > GET a
         > GET a
         > CLIENT REPLY ON
         < OK",
    );
}

/// Clients know the new names only, the log the old ones: it outlives the configuration.
#[test]
fn renamed_commands_are_logged_under_their_own_names() {
    let renames = [("SET", "put"), ("get", "Set"), ("FLUSHALL", ""), ("CLIENT", "c")];
    let owned = renames.map(|(old, new)| (old.to_owned(), new.to_owned()));
    let mut settings = Settings::default();
    settings.rename_command = owned.to_vec();
    let mut play = Play::new(1);
    play.engine = Engine::new(settings, 1);
    play.engine.state.log.enabled = true;
    play.engine.open_session(Session::default());
    play.engine.set_now(UnixMs(play.now));
    for (request, reply, records) in [
        ("PUT k v", "OK", &["SELECT 0", "set k v"][..]),
        ("put k w PX 50", "OK", &["SET k w PXAT 1050"]),
        ("set k", "\"w\"", &[]),
        ("get k", "(error) ERR unknown command 'get', with args beginning with: 'k' ", &[]),
        ("flushall", "(error) ERR unknown command 'flushall', with args beginning with: ", &[]),
        ("put k", "(error) ERR wrong number of arguments for 'set' command", &[]),
        ("C GETNAME", "(nil)", &[]),
        ("c nosuch", "(error) ERR unknown subcommand 'nosuch'. Try CLIENT HELP.", &[]),
        ("rpush l a b", "2", &["rpush l a b"]),
        ("acl dryrun default put k v", "OK", &[]),
        ("acl dryrun default get k", "(error) ERR Command 'get' not found", &[]),
        ("acl dryrun default flushall", "(error) ERR Command 'flushall' not found", &[]),
        ("command getkeys PUT k v", "[\"k\"]", &[]),
        ("command getkeys get k", "(error) ERR Invalid command specified", &[]),
        ("command info get flushall", "[(nil) (nil)]", &[]),
        ("command list filterby pattern flushall", "[]", &[]),
        ("command list filterby pattern [gs]et", "[\"get\" \"set\"]", &[]),
    ] {
        let bytes = play.ask(0, &request.split(' ').collect::<Vec<_>>());
        assert_eq!(reply_text(&bytes).map(|found| found.0).as_deref(), Some(reply), "{request}");
        assert_eq!(play.records(), records, "{request}");
    }
    let before = contents(&play.engine.keys);
    assert_eq!(contents(&play.restarted().engine.keys), before);
}

/// Under `always` nobody hears of what a power cut could take back, and nobody else waits.
#[test]
fn replies_wait_for_the_batch_they_depend_on() {
    check(
        "always
         > SET a 1
         < (held)
         log: SELECT 0
         log: SET a 1
         > GET b
         < (held)
         client 2
         > GET b
         < (nil)
         > GET a
         < (held)
         client 3
         > MGET c d
         < [(nil) (nil)]
         > NOSUCH
         < (error) ERR unknown command 'NOSUCH', with args beginning with:
         > SET d
         < (error) ERR wrong number of arguments for 'set' command
         write
         > SET c 1
         < (held)
         log: SET c 1
         client 4
         > MGET x c
         < (held)
         client 5
         > GET a
         < (held)
         > LPUSH a x
         < (held)
         client 6
         > LPUSH a
         < (error) ERR wrong number of arguments for 'lpush' command
         client 5
         sync
         < \"1\"
         < (error) WRONGTYPE Operation against a key holding the wrong kind of value
         client 1
         < OK
         < (nil)
         client 2
         < \"1\"
         client 4
         < (held)
         write
         < (held)
         sync
         < [(nil) \"1\"]
         client 3
         < OK
         > GET a
         < \"1\"",
    );
}

/// What a request may be made of: keys of every type, numbers of every size, words of many commands.
const WORDS: &str = "str|n|list|dated|none|0|1|2|3|-1|99999999999999999999|9223372036854775807|\
    -9223372036854775808|1.5|nan|x|a||*|NX|XX|GT|GET|EX|PX|PXAT|IFEQ|PERSIST|KEEPTTL|LEFT|RIGHT|COUNT|BEFORE|\
    RANK|MAXLEN|IDX|LEN|ASYNC|DB|REPLACE|MATCH|TYPE|string|LIMIT|on|off|yes|no|maxmemory|databases|\
    appendfsync|always|foo bar|\u{e9}\r\n";

/// How often each command is tried.
const TRIES: usize = 150;

/// Keys of every type, with and without a deadline, in two databases.
fn furnished() -> Play {
    let mut play = Play::new(5);
    for line in ["SET str text", "SET n 7", "RPUSH list a b 1", "SET dated v PX 5000"] {
        play.run(0, &line.split(' ').collect::<Vec<_>>());
    }
    play.engine.state.sessions[0].database = 3;
    play.run(0, &["SET", "a", "elsewhere"]);
    play.engine.state.sessions[0].database = 0;
    play.sent(0);
    play.records();
    play
}

/// What an error must leave as it was: keys, log, settings, session.
fn state_of(play: &mut Play) -> impl PartialEq + use<> {
    let session = &play.engine.state.sessions[0];
    let session = (
        (session.name.clone(), session.lib_name.clone(), session.lib_ver.clone()),
        (session.database, session.resp3, session.authenticated, session.reply_mode, session.closing),
        (session.no_evict, session.no_touch),
    );
    let state = &play.engine.state;
    let rest = (state.log.records(), state.dirty, state.settings.clone(), state.ask.is_some());
    (contents(&play.engine.keys), session, rest, play.engine.keys.garbage_len())
}

fn random_request(random: &mut Random, names: &[&str], arity: i16) -> Vec<String> {
    let choice: Vec<&str> = WORDS.split('|').collect();
    let least = arity.unsigned_abs() as usize;
    let len = (least + random.below(6) as usize).saturating_sub(1).max(names.len());
    let mut words: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    while words.len() < len {
        // Mostly a key where keys usually are, and mostly neighbours of it elsewhere.
        let choices = if words.len() == 1 && random.below(3) != 0 { 5 } else { choice.len() as u64 };
        words.push(choice[random.below(choices) as usize].to_owned());
    }
    words
}

/// Every command with arguments of every kind: an error changes nothing and is the only reply; what reads leaves
/// the keys alone; what succeeds is done again by its record.
#[test]
fn an_error_leaves_no_trace_and_a_record_does_it_again() {
    use kvick::command::spec::flag::READONLY;
    fresh(0);
    let mut random = Random::seeded(11);
    let mut play = furnished();
    let (mut errors, mut successes) = (0, 0);
    for row in commands().rows() {
        // As many keys as the number says, which may be more than fit.
        if row.full_name == "debug|populate" {
            continue;
        }
        let names: Vec<&str> = row.full_name.split('|').collect();
        for _ in 0..TRIES {
            let request = random_request(&mut random, &names, row.command.arity);
            let before = state_of(&mut play);
            let bytes = play.ask(0, &request);
            if bytes.first() == Some(&b'-') {
                errors += 1;
                let (text, len) = reply_text(&bytes).expect("a whole reply");
                assert_eq!(len, bytes.len(), "{request:?} says more than {text}");
                assert!(state_of(&mut play) == before, "{request:?} fails ({text}) and leaves a trace");
                assert_eq!(play.records(), [""; 0], "{request:?}");
                continue;
            }
            successes += 1;
            if row.command.has(READONLY) {
                assert!(state_of(&mut play) == before, "{request:?} changes something");
            }
            let records = play.records();
            if !records.is_empty() {
                let copy = play.restarted();
                let (copy, now) = (contents(&copy.engine.keys), contents(&play.engine.keys));
                assert!(copy == now, "{request:?} is not what {records:?} does:\n{now:?}\n{copy:?}");
            }
            play = furnished();
        }
    }
    assert!(500 < errors && 500 < successes, "{errors} errors, {successes} successes");
}

/// What is due leaves memory within two ticks, however many others have far deadlines; and no tick does more
/// than a bounded number of steps for it.
#[test]
fn what_is_due_goes_in_time_beside_a_million_that_are_not() {
    const FAR: usize = 1_000_000;
    const SOON: i64 = 500;
    let mut play = Play::new(3);
    let start = play.now;
    let keys = &mut play.engine.keys;
    keys.enter(UnixMs(start), 0);
    for number in 0..FAR {
        let name = (number as u64).to_le_bytes();
        let key = keys.key(&name);
        keys.set(key, Value::Int(0), Deadline::At(UnixMs(start + 3_600_000)));
    }
    for number in 0..SOON {
        let name = format!("soon:{number}");
        let key = keys.key(name.as_bytes());
        keys.set(key, Value::Int(0), Deadline::At(UnixMs(start + 1 + number * 10)));
    }
    let mut gone = 0;
    for _ in 0..53 {
        play.pass(100);
        play.tick();
        for record in play.records().iter().filter(|record| record.starts_with("DEL ")) {
            let number: i64 = record["DEL soon:".len()..].parse().expect("one of those that are due");
            let late = play.now - (start + 1 + number * 10);
            assert!((0..200).contains(&late), "soon:{number} left {late} ms after its deadline");
            gone += 1;
        }
        let due_long_ago = ((play.now - 200 - start) / 10).clamp(0, SOON);
        assert!(due_long_ago <= gone, "{gone} of {due_long_ago} are gone {} ms on", play.now - start);
    }
    assert_eq!((gone, play.engine.keys.databases()[0].len()), (SOON, FAR));
    assert_eq!(play.engine.keys.counters.expired, SOON as u64);
}

/// A burst of as many as may be due at once takes several ticks, each as short as any other.
#[test]
fn a_burst_is_worked_off_in_bounded_steps() {
    let mut play = Play::new(3);
    for number in 0..10_000 {
        play.run(
            0,
            &["SET".to_owned(), format!("k{number}"), "v".to_owned(), "PX".to_owned(), "50".to_owned()],
        );
    }
    play.records();
    play.pass(100);
    let most = STEPS_PER_TICK * KEYS_PER_STEP_MAX;
    let mut ticks = 0;
    while !play.engine.keys.databases()[0].is_empty() {
        let before = play.engine.keys.databases()[0].len();
        play.tick();
        let removed = before - play.engine.keys.databases()[0].len();
        assert!(0 < removed && removed <= most, "tick {ticks} removed {removed}");
        ticks += 1;
    }
    assert!(10_000 / most <= ticks);
}
