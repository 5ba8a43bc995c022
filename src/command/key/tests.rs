//! Scripts: what is said, what comes back, what the log hears. They cover the families of keys, deadlines,
//! scans, whole databases and `OBJECT`, which share one date and one log.

use std::collections::HashSet;
use std::io::IoSlice;

use crate::base::date::UnixMs;
use crate::config::{MaxmemoryPolicy, Settings};
use crate::data::entry::Value;
use crate::data::keyspace::Deadline;
use crate::data::list::{Limits, List};
use crate::engine::Engine;
use crate::resp::request::Request;
use crate::state::session::Session;

/// When the scripts begin.
const START: i64 = 1_700_000_000_000;
const WRONG_TIME: &str = "-ERR invalid expire time in";

struct Client {
    engine: Engine,
    token: usize,
}

impl Client {
    fn new() -> Client {
        let mut engine = Engine::new(Settings::default(), 7);
        engine.state.log.enabled = true;
        engine.set_now(UnixMs(START));
        let token = engine.open_session(Session::default());
        engine.enter(token);
        Client { engine, token }
    }

    /// Runs a line; `''` is an empty argument. Returns the reply with `|` for line ends.
    fn say(&mut self, line: &str) -> String {
        let args: Vec<&[u8]> =
            line.split(' ').map(|arg| if arg == "''" { &b""[..] } else { arg.as_bytes() }).collect();
        let request = Request::new(args);
        let prepared = self.engine.prepare(self.token, request.args());
        self.engine.run(self.token, request.args(), prepared);
        let out = &mut self.engine.reply().out;
        let mut slices = [IoSlice::new(&[]); 64];
        let used = out.slices(usize::MAX, &mut slices);
        let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
        out.advance(bytes.len());
        String::from_utf8(bytes).unwrap().replace("\r\n", "|")
    }

    /// The records since the last call, as lines separated by `;`.
    fn log(&mut self) -> String {
        let bytes = std::mem::take(self.engine.state.log.pending_mut());
        let text = String::from_utf8(bytes).unwrap();
        let mut records = Vec::new();
        for word in text.split("\r\n") {
            if word.starts_with('*') {
                records.push(Vec::new());
            } else if !word.starts_with('$')
                && let Some(record) = records.last_mut()
            {
                record.push(word);
            }
        }
        if let Some(last) = records.last_mut() {
            last.pop();
        }
        records.iter().map(|record| record.join(" ")).collect::<Vec<_>>().join(";")
    }

    /// Lines with their replies and, behind ` # `, the records they leave.
    fn script(&mut self, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            if let Some(ms) = line.strip_prefix("after ") {
                self.engine.now = UnixMs(self.engine.now.0 + ms.parse::<i64>().unwrap());
                continue;
            }
            if let Some(database) = line.strip_prefix("in ") {
                self.engine.state.sessions[self.token].database = database.parse().unwrap();
                continue;
            }
            let reply = self.say(line);
            let records = self.log();
            let said = if records.is_empty() { reply } else { format!("{reply} # {records}") };
            assert_eq!(said, *expected, "{line}");
        }
    }

    /// Puts a list of so many elements under a key, past the commands.
    fn put_list(&mut self, name: &str, len: usize) {
        let mut list = List::new();
        (0..len).for_each(|_| list.push_back(&[b'x'; 1000], Limits::of(-2)));
        let keys = &mut self.engine.keys;
        keys.enter(self.engine.now, 0);
        keys.set(keys.key(name.as_bytes()), Value::List(Box::new(list)), Deadline::Clear);
    }

    fn names(&mut self, reply: &str) -> HashSet<String> {
        reply.split('|').filter(|word| word.starts_with("k")).map(str::to_owned).collect()
    }
}

#[test]
fn deletion_counts_what_was_there() {
    let mut client = Client::new();
    client.script(&[
        ("SET a 1", "+OK| # SELECT 0;SET a 1"),
        ("SET b 2 PX 5", "+OK| # SET b 2 PXAT 1700000000005"),
        ("EXISTS a a b c", ":3|"),
        ("TYPE a", "+string|"),
        ("TYPE c", "+none|"),
        ("TOUCH a b b c", ":3|"),
        ("DEL c", ":0|"),
        ("DEL a a c", ":1| # DEL a a c"),
        ("after 5", ""),
        // Who expired stands before the record of whoever noticed it, and is not counted.
        ("DEL b", ":0| # DEL b"),
        ("SET a 1", "+OK| # SET a 1"),
        ("SET b 1 PX 5", "+OK| # SET b 1 PXAT 1700000000010"),
        ("after 5", ""),
        ("UNLINK a b", ":1| # DEL b;UNLINK a b"),
        ("DBSIZE", ":0|"),
        ("DEL", "-ERR wrong number of arguments for 'del' command|"),
    ]);
}

#[test]
fn names_change_hands_with_their_deadline() {
    let mut client = Client::new();
    client.script(&[
        ("RENAME a b", "-ERR no such key|"),
        ("RENAME a a", "-ERR no such key|"),
        ("RENAMENX a b", "-ERR no such key|"),
        ("SET a 1 PX 100", "+OK| # SELECT 0;SET a 1 PXAT 1700000000100"),
        ("SET b 2 PX 50", "+OK| # SET b 2 PXAT 1700000000050"),
        ("RENAME a a", "+OK|"),
        ("RENAMENX a a", ":0|"),
        ("RENAMENX a b", ":0|"),
        ("RENAME a b", "+OK| # RENAME a b"),
        ("GET b", "$1|1|"),
        ("PTTL b", ":100|"),
        ("EXISTS a", ":0|"),
        ("SET c 3", "+OK| # SET c 3"),
        ("RENAME c b", "+OK| # RENAME c b"),
        ("PTTL b", ":-1|"),
        ("SET old 1 PX 10", "+OK| # SET old 1 PXAT 1700000000010"),
        ("after 10", ""),
        ("RENAMENX b old", ":1| # DEL old;RENAMENX b old"),
        ("SET s 1 PX 10", "+OK| # SET s 1 PXAT 1700000000020"),
        ("after 10", ""),
        ("RENAME s t", "-ERR no such key| # DEL s"),
        ("GET old", "$1|3|"),
    ]);
}

#[test]
fn what_is_renamed_over_is_freed_in_slices() {
    let mut client = Client::new();
    client.put_list("big", 2000);
    client.script(&[("SET a 1", "+OK| # SELECT 0;SET a 1"), ("RENAME a big", "+OK| # RENAME a big")]);
    assert_eq!(client.engine.keys.garbage_len(), 1);
    while client.engine.free_step() {}
    assert_eq!(client.engine.keys.garbage_len(), 0);
    client.put_list("big", 3);
    client.script(&[
        ("TYPE big", "+list|"),
        ("RENAME big a", "+OK| # RENAME big a"),
        ("COPY a c", ":1| # COPY a c"),
        ("TYPE c", "+list|"),
        ("OBJECT ENCODING c", "$8|listpack|"),
    ]);
}

#[test]
fn copies_and_moves_reach_other_databases() {
    let mut client = Client::new();
    client.script(&[
        ("SET a 1 PX 100", "+OK| # SELECT 0;SET a 1 PXAT 1700000000100"),
        ("COPY a a", "-ERR source and destination objects are the same|"),
        ("COPY x x", "-ERR source and destination objects are the same|"),
        ("COPY a a DB 0", "-ERR source and destination objects are the same|"),
        ("COPY a b DB 99", "-ERR DB index is out of range|"),
        ("COPY a b DB -1", "-ERR DB index is out of range|"),
        ("COPY a b DB x", "-ERR value is not an integer or out of range|"),
        ("COPY a b DB", "-ERR syntax error|"),
        ("COPY a b FOO", "-ERR syntax error|"),
        ("COPY x b", ":0|"),
        ("COPY a b", ":1| # COPY a b"),
        ("PTTL b", ":100|"),
        ("COPY a b", ":0|"),
        ("COPY a b REPLACE replace", ":1| # COPY a b REPLACE replace"),
        ("COPY a a DB 3", ":1| # COPY a a DB 3"),
        ("COPY a a REPLACE DB 3", ":1| # COPY a a REPLACE DB 3"),
        ("MOVE a 0", "-ERR source and destination objects are the same|"),
        ("MOVE a 99", "-ERR DB index is out of range|"),
        ("MOVE a x", "-ERR value is not an integer or out of range|"),
        ("MOVE a 99999999999", "-ERR value is out of range, value must between -2147483648 and 2147483647|"),
        ("MOVE x 3", ":0|"),
        ("MOVE a 3", ":0|"),
        ("MOVE b 3", ":1| # MOVE b 3"),
        ("EXISTS b", ":0|"),
        ("in 3", ""),
        ("PTTL b", ":100|"),
        ("GET b", "$1|1|"),
        ("DBSIZE", ":2|"),
        ("after 100", ""),
        ("in 0", ""),
        // The name in the way has expired, in its own database.
        ("SET b 2", "+OK| # SET b 2"),
        ("MOVE b 3", ":1| # SELECT 3;DEL b;SELECT 0;MOVE b 3"),
        ("in 3", ""),
        ("PTTL b", ":-1|"),
    ]);
}

#[test]
fn deadlines_are_logged_as_dates() {
    let mut client = Client::new();
    client.script(&[
        ("SET a 1", "+OK| # SELECT 0;SET a 1"),
        ("TTL a", ":-1|"),
        ("TTL x", ":-2|"),
        ("EXPIRETIME x", ":-2|"),
        ("PEXPIRETIME a", ":-1|"),
        ("EXPIRE x 10", ":0|"),
        ("EXPIRE a 10", ":1| # PEXPIREAT a 1700000010000"),
        ("after 501", ""),
        ("TTL a", ":9|"),
        ("PTTL a", ":9499|"),
        ("EXPIRETIME a", ":1700000010|"),
        ("PEXPIRETIME a", ":1700000010000|"),
        ("PERSIST a", ":1| # PERSIST a"),
        ("PERSIST a", ":0|"),
        ("PERSIST x", ":0|"),
        ("PEXPIRE a 99", ":1| # PEXPIREAT a 1700000000600"),
        ("EXPIREAT a 1700000001", ":1| # PEXPIREAT a 1700000001000"),
        ("PEXPIREAT a 1700000000502", ":1| # PEXPIREAT a 1700000000502"),
        ("after 1", ""),
        ("EXPIRE a 10", ":0| # DEL a"),
        ("SET a 1", "+OK| # SET a 1"),
        ("EXPIRE a 0", ":1| # DEL a"),
        ("SET a 1", "+OK| # SET a 1"),
        ("PEXPIRE a -1", ":1| # DEL a"),
        ("SET a 1", "+OK| # SET a 1"),
        ("EXPIREAT a 1", ":1| # DEL a"),
        ("SET a 1", "+OK| # SET a 1"),
        ("PEXPIREAT a -1", ":1| # DEL a"),
        ("EXISTS a", ":0|"),
    ]);
}

#[test]
fn deadlines_that_cannot_be_are_refused_before_the_key_is_looked_up() {
    let mut client = Client::new();
    let max = i64::MAX.to_string();
    for key in ["a", "x"] {
        client.say("SET a 1");
        for (name, number) in
            [("EXPIRE", &*max), ("pexpire", &max), ("expireat", &max), ("EXPIRE", "-9223372036854775807")]
        {
            let expected = format!("{WRONG_TIME} '{}' command|", name.to_lowercase());
            assert_eq!(client.say(&format!("{name} {key} {number}")), expected);
        }
        assert_eq!(client.say(&format!("EXPIRE {key} x")), "-ERR value is not an integer or out of range|");
    }
    client.script(&[
        ("PTTL a", ":-1| # SELECT 0;SET a 1;SET a 1"),
        ("PEXPIREAT a 9223372036854775807", ":1| # PEXPIREAT a 9223372036854775807"),
        ("PEXPIRETIME a", ":9223372036854775807|"),
        ("EXPIRETIME a", ":9223372036854775|"),
    ]);
}

#[test]
fn deadlines_have_conditions() {
    const NX: &str = "-ERR NX and XX, GT or LT options at the same time are not compatible|";
    let mut client = Client::new();
    client.script(&[
        ("SET a 1", "+OK| # SELECT 0;SET a 1"),
        ("EXPIRE a x NX XX", NX),
        ("EXPIRE a 1 NX GT", NX),
        ("EXPIRE a 1 LT NX", NX),
        ("EXPIRE a 1 GT LT", "-ERR GT and LT options at the same time are not compatible|"),
        ("EXPIRE a x NX Foo XX", "-ERR Unsupported option Foo|"),
        ("PEXPIRE a 10 XX", ":0|"),
        ("PEXPIRE a 10 GT", ":0|"),
        ("PEXPIRE a 10 XX LT", ":0|"),
        ("PEXPIRE a 100 nx NX", ":1| # PEXPIREAT a 1700000000100"),
        ("PEXPIRE a 10 NX", ":0|"),
        ("PEXPIRE a 100 GT", ":0|"),
        ("PEXPIRE a 100 LT", ":0|"),
        ("PEXPIRE a -1 GT", ":0|"),
        ("PEXPIRE a 101 XX GT", ":1| # PEXPIREAT a 1700000000101"),
        ("PEXPIRE a 50 XX LT", ":1| # PEXPIREAT a 1700000000050"),
        ("PEXPIRE a 60 XX", ":1| # PEXPIREAT a 1700000000060"),
        ("PERSIST a", ":1| # PERSIST a"),
        ("PEXPIRE a 60 LT", ":1| # PEXPIREAT a 1700000000060"),
        ("PEXPIRE a -1 LT", ":1| # DEL a"),
    ]);
}

#[test]
fn replay_keeps_what_is_past_and_its_end_sees() {
    let mut client = Client::new();
    let token = client.engine.begin_replay();
    for line in
        ["SET a 1", "PEXPIREAT a 5", "SET b 1 PXAT 6", "RENAME b c", "COPY c d", "SET e 1", "PEXPIREAT e -5"]
    {
        let request = Request::new(line.split(' ').map(str::as_bytes));
        let prepared = client.engine.prepare_replay(token, request.args());
        client.engine.replay(token, request.args(), prepared);
    }
    client.engine.end_replay(token);
    assert_eq!(client.engine.keys.databases()[0].len(), 3);
    client.engine.state.log.enabled = true;
    client.engine.set_now(UnixMs(START));
    client.engine.enter(client.token);
    client.script(&[
        ("KEYS *", "*0|"),
        ("GET c", "$-1| # SELECT 0;DEL c"),
        ("DBSIZE", ":2|"),
        ("GET a", "$-1| # DEL a"),
        ("RANDOMKEY", "$-1| # DEL d"),
    ]);
}

#[test]
fn keys_are_found_by_pattern() {
    let mut client = Client::new();
    client.script(&[
        ("KEYS *", "*0|"),
        ("SET '' 1", "+OK| # SELECT 0;SET  1"),
        ("KEYS *", "*1|$0||"),
        ("KEYS ?*", "*0|"),
        ("KEYS ''", "*1|$0||"),
        ("SET k1 1 PX 5", "+OK| # SET k1 1 PXAT 1700000000005"),
        ("KEYS k1", "*1|$2|k1|"),
        ("KEYS k[1-3]", "*1|$2|k1|"),
        ("KEYS K1", "*0|"),
        ("after 5", ""),
        ("KEYS k*", "*0|"),
        ("SCAN 0 MATCH k*", "*2|$1|0|*0|"),
        ("KEYS k1", "*0| # DEL k1"),
    ]);
    for number in 0..300 {
        client.say(&format!("SET key:{number} 1"));
    }
    let reply = client.say("KEYS key:*");
    assert!(reply.starts_with("*300|$"), "{}", &reply[..20]);
    assert_eq!(client.names(&reply).len(), 300);
    let reply = client.say("KEYS *7");
    assert!(reply.starts_with("*30|$"));
    assert!(client.names(&reply).contains("key:297"));
}

#[test]
fn scan_walks_over_everything_in_small_steps() {
    let mut client = Client::new();
    (0..1000).for_each(|number| drop(client.say(&format!("SET key:{number} 1"))));
    client.put_list("key:list", 3);
    for (options, expected, steps_min) in [
        ("", 1001, 60),
        (" COUNT 100", 1001, 8),
        (" COUNT 9223372036854775807", 1001, 1),
        (" MATCH *", 1001, 60),
        (" match key:1?", 10, 60),
        (" MATCH nothing* COUNT 50", 0, 10),
        (" TYPE LIST", 1, 60),
        (" TYPE string MATCH key:* COUNT 500", 1000, 2),
        (" TYPE hash", 0, 60),
    ] {
        let (mut cursor, mut found, mut steps) = ("0".to_owned(), HashSet::new(), 0);
        loop {
            let reply = client.say(&format!("SCAN {cursor}{options}"));
            found.extend(client.names(&reply));
            steps += 1;
            cursor = reply.split('|').nth(2).unwrap().to_owned();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(found.len(), expected, "{options}");
        assert!(steps_min <= steps && steps <= 120, "{options}: {steps} steps");
    }
}

#[test]
fn scan_refuses_what_it_does_not_understand() {
    let mut client = Client::new();
    for (line, expected) in [
        ("SCAN abc", "-ERR invalid cursor|"),
        ("SCAN abc FOO", "-ERR invalid cursor|"),
        ("SCAN -1", "-ERR invalid cursor|"),
        ("SCAN ''", "-ERR invalid cursor|"),
        ("SCAN -9223372036854775808", "-ERR invalid cursor|"),
        ("SCAN \0", "-ERR invalid cursor|"),
        ("SCAN +1 FOO", "-ERR syntax error|"),
        ("SCAN -01 FOO", "-ERR syntax error|"),
        ("SCAN \t1 FOO", "-ERR syntax error|"),
        ("SCAN 18446744073709551616", "-ERR invalid cursor|"),
        ("SCAN 18446744073709551615", "*2|$1|0|*0|"),
        ("SCAN 00", "*2|$1|0|*0|"),
        ("SCAN 0 COUNT 0", "-ERR syntax error|"),
        ("SCAN 0 COUNT -1", "-ERR syntax error|"),
        ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range|"),
        ("SCAN 0 COUNT", "-ERR syntax error|"),
        ("SCAN 0 MATCH", "-ERR syntax error|"),
        ("SCAN 0 FOO bar", "-ERR syntax error|"),
        ("SCAN 0 TYPE Foo", "-ERR unknown type name 'Foo'|"),
    ] {
        assert_eq!(client.say(line), expected, "{line}");
    }
}

#[test]
fn a_random_key_is_one_of_those_that_live() {
    let mut client = Client::new();
    assert_eq!(client.say("RANDOMKEY"), "$-1|");
    (0..500).for_each(|number| drop(client.say(&format!("SET k{number} 1 PX 5"))));
    client.say("SET kept 1");
    client.script(&[("after 5", "")]);
    for _ in 0..20 {
        assert_eq!(client.say("RANDOMKEY"), "$4|kept|");
    }
}

#[test]
fn databases_are_emptied_and_exchanged() {
    let mut client = Client::new();
    client.script(&[
        ("SET a 1", "+OK| # SELECT 0;SET a 1"),
        ("in 2", ""),
        ("SET b 1 PX 9", "+OK| # SELECT 2;SET b 1 PXAT 1700000000009"),
        ("SWAPDB x y", "-ERR invalid first DB index|"),
        ("SWAPDB 99999999999 0", "-ERR invalid first DB index|"),
        ("SWAPDB 99 y", "-ERR invalid second DB index|"),
        ("SWAPDB 99 0", "-ERR DB index is out of range|"),
        ("SWAPDB 0 -1", "-ERR DB index is out of range|"),
        ("SWAPDB 2 2", "+OK| # SWAPDB 2 2"),
        ("SWAPDB 0 2", "+OK| # SWAPDB 0 2"),
        ("GET a", "$1|1|"),
        ("in 0", ""),
        ("PTTL b", ":9|"),
        ("FLUSHDB FOO", "-ERR syntax error|"),
        ("FLUSHDB ASYNC SYNC", "-ERR syntax error|"),
        ("FLUSHDB async", "+OK| # SELECT 0;FLUSHDB async"),
        ("DBSIZE", ":0|"),
        ("FLUSHDB", "+OK| # FLUSHDB"),
        ("in 2", ""),
        ("DBSIZE", ":1|"),
        ("FLUSHALL SYNC", "+OK| # SELECT 2;FLUSHALL SYNC"),
        ("DBSIZE", ":0|"),
    ]);
    assert_ne!(client.engine.keys.garbage_len(), 0);
    while client.engine.free_step() {}
}

#[test]
fn object_looks_behind_a_key() {
    let mut client = Client::new();
    let lfu_off = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
                   that when switching between policies at runtime LRU and LFU data will take some time to \
                   adjust.|";
    let lfu_on = "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
                  switching between policies at runtime LRU and LFU data will take some time to adjust.|";
    client.script(&[
        ("SET a 9999", "+OK| # SELECT 0;SET a 9999"),
        ("SET b 10000", "+OK| # SET b 10000"),
        ("SET c text", "+OK| # SET c text"),
        ("after 3500", ""),
        ("OBJECT ENCODING a", "$3|int|"),
        ("OBJECT ENCODING c", "$6|embstr|"),
        ("OBJECT ENCODING x", "$-1|"),
        ("OBJECT REFCOUNT a", ":2147483647|"),
        ("OBJECT REFCOUNT b", ":1|"),
        ("OBJECT REFCOUNT x", "$-1|"),
        ("OBJECT IDLETIME a", ":3|"),
        ("EXISTS a", ":1|"),
        ("TTL a", ":-1|"),
        ("OBJECT IDLETIME a", ":3|"),
        ("TOUCH a", ":1|"),
        ("OBJECT IDLETIME a", ":0|"),
        ("OBJECT IDLETIME b", ":3|"),
        ("OBJECT IDLETIME x", "$-1|"),
        ("RENAME b d", "+OK| # RENAME b d"),
        ("OBJECT IDLETIME d", ":0|"),
        ("OBJECT FREQ a", lfu_off),
        ("OBJECT FREQ x", "$-1|"),
        ("OBJECT", "-ERR wrong number of arguments for 'object' command|"),
        ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command|"),
        ("OBJECT FOO", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.|"),
    ]);
    assert!(client.say("OBJECT HELP").starts_with("*11|+OBJECT <subcommand> "));
    client.engine.state.settings.maxmemory_policy = MaxmemoryPolicy::AllkeysLfu;
    client.engine.state.settings.maxmemory = 1 << 30;
    client.engine.apply_settings();
    client.script(&[
        ("SET a 1", "+OK| # SET a 1"),
        ("DEL a", ":1| # DEL a"),
        ("SET a 1", "+OK| # SET a 1"),
        ("OBJECT FREQ a", ":5|"),
        ("OBJECT IDLETIME a", lfu_on),
        ("OBJECT REFCOUNT a", ":1|"),
        ("RENAME a z", "+OK| # RENAME a z"),
        ("OBJECT FREQ z", ":6|"),
    ]);
}

#[test]
fn a_client_that_does_not_touch_may_still_ask_to() {
    let mut client = Client::new();
    client.say("SET a 1");
    client.engine.keys.touching = false;
    client.log();
    client.script(&[
        ("after 2000", ""),
        ("GET a", "$1|1|"),
        ("OBJECT IDLETIME a", ":2|"),
        ("TOUCH a", ":1|"),
        ("OBJECT IDLETIME a", ":0|"),
    ]);
    assert!(!client.engine.keys.touching);
}

#[test]
fn replies_wait_for_the_log_in_whichever_database_it_changed() {
    for (line, database, name) in [("COPY a b DB 3", 3, "b"), ("MOVE a 3", 3, "a"), ("RENAME a b", 0, "b")] {
        let mut client = Client::new();
        client.say("SET a 1");
        let gate = &mut client.engine.state.gate;
        gate.active = true;
        gate.close_batch();
        gate.set_synced(1);
        client.say(line);
        let hash = client.engine.keys.key(name.as_bytes()).hash;
        assert_eq!(client.engine.state.gate.of_key(database, hash), 2, "{line}");
        let gates = &client.engine.state.sessions[client.token].gates;
        assert_eq!(gates.back().map(|gate| gate.1), Some(2), "{line}");
    }
}
