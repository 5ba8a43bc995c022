use std::collections::BTreeMap;
use std::io::IoSlice;

use crate::base::date::UnixMs;
use crate::config::Settings;
use crate::engine::Engine;
use crate::resp::request::Request;
use crate::state::session::Session;

/// Clients that talk in RESP3 unless they say otherwise.
struct Talk {
    engine: Engine,
    tokens: BTreeMap<char, usize>,
}

impl Talk {
    fn new() -> Talk {
        let mut engine = Engine::new(Settings::default(), 3);
        engine.set_now(UnixMs(1_000_000));
        engine.state.process.now_micros = 1_000_000_000;
        engine.state.process.mono_ms = 50_000;
        Talk { engine, tokens: BTreeMap::new() }
    }

    fn token(&mut self, name: char) -> usize {
        let engine = &mut self.engine;
        *self.tokens.entry(name).or_insert_with(|| {
            let addr = format!("10.0.0.{name}:1000");
            engine.open_session(Session { resp3: true, addr, ..Session::default() })
        })
    }

    /// What a client has been sent, line ends as `|`.
    fn heard(&mut self, token: usize) -> String {
        let output = std::mem::take(&mut self.engine.state.sessions[token].output);
        let mut slices = [IoSlice::new(&[]); 64];
        let used = output.slices(usize::MAX, &mut slices);
        let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
        String::from_utf8_lossy(&bytes).replace("\r\n", "|")
    }

    fn run(&mut self, token: usize, line: &str) {
        let request = Request::new(line.split(' ').map(|word| word.as_bytes()));
        self.engine.enter(token);
        let prepared = self.engine.prepare(token, request.args());
        if self.engine.run(token, request.args(), prepared) {
            while self.engine.run_queued(token).is_some() {}
            self.engine.serve_ready(Some(token));
        }
        self.engine.leave(token);
    }

    /// Runs lines: `1 GET a = $1|x|` says what client 1 hears after its request, `2 = …` what client 2 has heard
    /// meanwhile, `+20` that milliseconds pass, `end` that the turn is over, `close 2` that a client is gone.
    fn check(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(millis) = line.strip_prefix('+') {
                let millis: i64 = millis.parse().expect("milliseconds");
                self.engine.set_now(UnixMs(self.engine.now().0 + millis));
                self.engine.state.process.mono_ms += millis as u64;
                self.engine.end_waits(self.engine.state.process.mono_ms);
                continue;
            }
            if line == "end" {
                self.engine.broadcast_stale();
                continue;
            }
            if let Some(name) = line.strip_prefix("close ") {
                let token = self.tokens.remove(&name.chars().next().unwrap()).expect("a client");
                self.engine.close_session(token);
                continue;
            }
            let (said, expected) = line.split_once('=').expect("what is heard");
            let token = self.token(said.chars().next().unwrap());
            let request = said[1..].trim();
            if !request.is_empty() {
                self.run(token, request);
            }
            assert_eq!(self.heard(token), expected.trim(), "{line}");
        }
    }
}

fn check(script: &str) {
    Talk::new().check(script);
}

#[test]
fn who_has_read_a_key_is_told_once() {
    check(
        "1 CLIENT TRACKING ON = +OK|
         1 GET a = _|
         2 SET a 1 = +OK|
         1 = >2|$10|invalidate|*1|$1|a|
         2 SET a 2 = +OK|
         1 =
         1 GET a = $1|2|
         1 SET a 3 = +OK|>2|$10|invalidate|*1|$1|a|
         1 MGET a b = *2|$1|3|_|
         2 MSET a 1 b 2 c 3 = +OK|
         1 = >2|$10|invalidate|*1|$1|a|>2|$10|invalidate|*1|$1|b|
         1 LPUSH l x = :1|
         1 GET l = -WRONGTYPE Operation against a key holding the wrong kind of value|
         2 LPOP l = $1|x|
         1 = >2|$10|invalidate|*1|$1|l|
         1 GET a = $1|1|
         2 RENAME a z = +OK|
         1 = >2|$10|invalidate|*1|$1|a|
         1 GET z = $1|1|
         2 SELECT 3 = +OK|
         2 SET z other = +OK|
         1 = >2|$10|invalidate|*1|$1|z|
         1 GET z = $1|1|
         2 SWAPDB 0 3 = +OK|
         1 =
         2 FLUSHDB = +OK|
         1 = >2|$10|invalidate|_|
         1 GET z = $5|other|
         1 FLUSHALL = +OK|>2|$10|invalidate|_|
         1 CLIENT TRACKING OFF = +OK|
         1 GET z = _|
         2 SET z x = +OK|
         1 =",
    );
}

#[test]
fn ones_own_changes_come_behind_the_reply_of_a_whole_transaction() {
    check(
        "1 CLIENT TRACKING ON = +OK|
         1 MULTI = +OK|
         1 GET a = +QUEUED|
         1 SET a 1 = +QUEUED|
         1 GET a = +QUEUED|
         1 FLUSHALL = +QUEUED|
         1 PING = +QUEUED|
         1 EXEC = *5|_|+OK|$1|1|+OK|+PONG|>2|$10|invalidate|*1|$1|a|>2|$10|invalidate|_|
         1 GET a = _|
         1 CLIENT REPLY OFF =
         1 SET a 2 = >2|$10|invalidate|*1|$1|a|
         1 CLIENT REPLY ON = +OK|
         1 SUBSCRIBE c = >3|$9|subscribe|$1|c|:1|
         1 PUBLISH c m = :1|>3|$7|message|$1|c|$1|m|
         1 CLIENT TRACKING ON NOLOOP = +OK|
         1 GET a = $1|2|
         1 SET a 3 = +OK|
         1 GET a = $1|3|
         2 SET a 4 = +OK|
         1 = >2|$10|invalidate|*1|$1|a|",
    );
}

#[test]
fn a_key_that_expires_has_changed() {
    check(
        "1 CLIENT TRACKING ON = +OK|
         1 SET a x PX 10 = +OK|
         1 SET b x PX 10 = +OK|
         1 GET a = $1|x|
         1 GET b = $1|x|
         +10
         2 GET a = _|
         1 = >2|$10|invalidate|*1|$1|a|
         1 INCR b = :1|>2|$10|invalidate|*1|$1|b|
         1 HSET h f v = :1|
         1 SET s x PX 10 = +OK|
         1 GET s = $1|x|
         +10
         1 GET s = _|>2|$10|invalidate|*1|$1|s|
         2 SET s x = +OK|
         1 = >2|$10|invalidate|*1|$1|s|",
    );
    let mut talk = Talk::new();
    talk.check("1 CLIENT TRACKING ON = +OK|\n 2 SET a x PX 10 = +OK|\n 1 GET a = $1|x|\n +10");
    talk.engine.expire_step();
    talk.check("1 = >2|$10|invalidate|*1|$1|a|");
}

#[test]
fn an_evicted_key_has_changed() {
    let mut talk = Talk::new();
    talk.check("1 CLIENT TRACKING ON = +OK|\n 2 SET a x = +OK|\n 1 GET a = $1|x|");
    talk.engine.state.settings.maxmemory = 1;
    talk.engine.state.settings.maxmemory_policy = crate::config::MaxmemoryPolicy::AllkeysLru;
    talk.engine.evict_step();
    talk.check("1 = >2|$10|invalidate|*1|$1|a|");
}

#[test]
fn opting_in_and_out_holds_for_one_request_or_transaction() {
    check(
        "1 CLIENT TRACKING ON OPTIN = +OK|
         1 GET a = _|
         2 SET a 1 = +OK|
         1 =
         1 CLIENT CACHING YES = +OK|
         1 CLIENT TRACKINGINFO = %3|$5|flags|~3|$2|on|$5|optin|$11|caching-yes|$8|redirect|:0|$8|prefixes|*0|
         1 GET a = $1|1|
         1 GET b = _|
         2 MSET a 2 b 2 = +OK|
         1 = >2|$10|invalidate|*1|$1|a|
         1 CLIENT CACHING YES = +OK|
         1 MULTI = +OK|
         1 GET a = +QUEUED|
         1 GET b = +QUEUED|
         1 EXEC = *2|$1|2|$1|2|
         1 GET c = _|
         2 MSET a 3 b 3 c 3 = +OK|
         1 = >2|$10|invalidate|*1|$1|a|>2|$10|invalidate|*1|$1|b|
         1 CLIENT CACHING YES = +OK|
         1 NOSUCH = -ERR unknown command 'NOSUCH', with args beginning with: |
         1 GET a = $1|3|
         2 SET a 4 = +OK|
         1 =
         1 CLIENT TRACKING OFF = +OK|
         1 CLIENT TRACKING ON OPTOUT = +OK|
         1 CLIENT CACHING NO = +OK|
         1 GET a = $1|4|
         1 GET b = $1|3|
         2 MSET a 5 b 5 = +OK|
         1 = >2|$10|invalidate|*1|$1|b|",
    );
}

#[test]
fn prefixes_are_told_of_at_the_end_of_the_turn() {
    check(
        "1 CLIENT TRACKING ON BCAST PREFIX a PREFIX b = +OK|
         3 CLIENT TRACKING ON BCAST NOLOOP = +OK|
         1 CLIENT TRACKING ON BCAST PREFIX c = +OK|
         1 CLIENT TRACKINGINFO = %3|$5|flags|~2|$2|on|$5|bcast|$8|redirect|:0|$8|prefixes|*3|$1|a|$1|b|$1|c|
         2 MSET b2 x a2 x z x = +OK|
         1 SET b1 x = +OK|
         3 SET a1 x = +OK|
         1 GET a1 = $1|x|
         1 =
         end
         1 = >2|$10|invalidate|*2|$2|a1|$2|a2|>2|$10|invalidate|*2|$2|b1|$2|b2|
         3 = >2|$10|invalidate|*4|$2|a2|$2|b1|$2|b2|$1|z|
         end
         1 =
         3 SET a1 y = +OK|
         end
         1 = >2|$10|invalidate|*1|$2|a1|
         3 =
         2 FLUSHALL = +OK|
         1 = >2|$10|invalidate|_|
         3 = >2|$10|invalidate|_|
         close 1
         2 SET a1 x = +OK|
         end
         3 = >2|$10|invalidate|*1|$2|a1|
         3 RESET = +RESET|
         2 SET a1 y = +OK|
         end
         3 =",
    );
}

#[test]
fn messages_go_to_another_client() {
    check(
        "1 HELLO 2 = *14|$6|server|$5|redis|$7|version|$5|8.0.0|$5|proto|:2|$2|id|:1|$4|mode|$10|standalone|$4|role|$6|master|$7|modules|*0|
         2 CLIENT TRACKING ON REDIRECT 1 = +OK|
         2 CLIENT GETREDIR = :1|
         2 GET a = _|
         3 SET a 1 = +OK|
         2 =
         1 =
         1 SUBSCRIBE __redis__:invalidate = *3|$9|subscribe|$20|__redis__:invalidate|:1|
         2 GET a = $1|1|
         3 SET a 2 = +OK|
         2 =
         1 = *3|$7|message|$20|__redis__:invalidate|*1|$1|a|
         3 FLUSHALL = +OK|
         1 = *3|$7|message|$20|__redis__:invalidate|$-1|
         2 GET a = _|
         close 1
         3 SET a 3 = +OK|
         2 = >2|$21|tracking-redir-broken|:1|
         2 CLIENT TRACKINGINFO = %3|$5|flags|~2|$2|on|$15|broken_redirect|$8|redirect|:1|$8|prefixes|*0|
         2 CLIENT LIST ID 1 = =4|txt:|
         2 CLIENT TRACKING ON = +OK|
         2 CLIENT GETREDIR = :0|
         2 GET a = $1|3|
         3 SET a 4 = +OK|
         2 = >2|$10|invalidate|*1|$1|a|
         2 CLIENT TRACKING ON REDIRECT 3 = +OK|
         2 GET a = $1|4|
         3 SET a 5 = +OK|>2|$10|invalidate|*1|$1|a|",
    );
}

#[test]
fn the_table_makes_room_at_random() {
    let mut talk = Talk::new();
    talk.engine.state.settings.tracking_table_max_keys = 3;
    talk.check("1 CLIENT TRACKING ON = +OK|\n 1 MGET a b c d e = *5|_|_|_|_|_|");
    assert_eq!((talk.engine.state.tracking.keys(), talk.engine.state.tracking.items()), (5, 5));
    let token = talk.token('1');
    talk.run(token, "PING");
    let heard = talk.heard(token);
    assert!(heard.ends_with("|+PONG|") && heard.matches("invalidate").count() == 2, "{heard}");
    assert_eq!(talk.engine.state.tracking.keys(), 3);
    talk.check("close 1");
    assert_eq!(talk.engine.state.tracking.keys(), 0);
    assert!(!talk.engine.state.attentive);
}

#[test]
fn monitors_see_what_runs() {
    let stamp = "+1000.000000";
    let mut talk = Talk::new();
    talk.check(&format!(
        "1 MONITOR = +OK|
         1 MONITOR =
         2 SET a b\"c = +OK|
         1 = {stamp} [0 10.0.0.2:1000] \"SET\" \"a\" \"b\\\"c\"|
         2 SELECT 3 = +OK|
         1 = {stamp} [3 10.0.0.2:1000] \"SELECT\" \"3\"|
         2 INCR a b = -ERR wrong number of arguments for 'incr' command|
         2 NOSUCH = -ERR unknown command 'NOSUCH', with args beginning with: |
         2 CONFIG GET port = %1|$4|port|$4|6379|
         1 =
         2 LPUSH l 1 = :1|
         2 INCR l = -WRONGTYPE Operation against a key holding the wrong kind of value|
         1 = {stamp} [3 10.0.0.2:1000] \"LPUSH\" \"l\" \"1\"|{stamp} [3 10.0.0.2:1000] \"INCR\" \"l\"|
         2 MULTI = +OK|
         2 set a 1 = +QUEUED|
         2 exec = *1|+OK|
         1 = {stamp} [3 10.0.0.2:1000] \"MULTI\"|{stamp} [3 10.0.0.2:1000] \"set\" \"a\" \"1\"|{stamp} [3 10.0.0.2:1000] \"exec\"|
         2 AUTH secret = -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?|
         1 = {stamp} [3 10.0.0.2:1000] \"AUTH\" \"(redacted)\"|
         2 HELLO 3 AUTH default secret SETNAME n = %7|$6|server|$5|redis|$7|version|$5|8.0.0|$5|proto|:3|$2|id|:2|$4|mode|$10|standalone|$4|role|$6|master|$7|modules|*0|
         1 = {stamp} [3 10.0.0.2:1000] \"HELLO\" \"3\" \"AUTH\" \"(redacted)\" \"(redacted)\" \"SETNAME\" \"n\"|
         1 PING = +PONG|{stamp} [0 10.0.0.1:1000] \"PING\"|
         1 GET a = -ERR Replica can't interact with the keyspace|
         1 RESET = +RESET|
         1 GET a = $3|b\"c|
         2 PING = +PONG|
         1 =
         2 MULTI = +OK|
         2 MONITOR = +QUEUED|
         2 EXEC = *1|-ERR MONITOR isn't allowed for DENY BLOCKING client|"
    ));
    assert!(!talk.engine.state.attentive);
}

#[test]
fn a_pause_holds_up_what_writes() {
    let mut talk = Talk::new();
    talk.check(
        "1 CLIENT PAUSE 100 WRITE = +OK|
         2 GET a = _|
         2 SET a 1 =
         3 MULTI = +OK|
         3 GET a = +QUEUED|
         3 EXEC = *1|_|
         4 PUBLISH c m =
         1 CLIENT PAUSE 10 = +OK|
         +99
         5 GET a =",
    );
    let postponed = |talk: &Talk| {
        let sessions = talk.engine.state.sessions.iter();
        sessions
            .filter(|(_, session)| session.flags() == "b")
            .map(|(_, session)| session.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(postponed(&talk), [2, 4, 5]);
    assert_eq!(talk.engine.next_timeout_ms(), Some(50_100));
    talk.check("+1");
    assert!(postponed(&talk).is_empty());
    assert_eq!(talk.engine.state.waiting.ended, [1, 3, 4]);
    assert!(!talk.engine.state.attentive);
    talk.check(
        "3 MULTI = +OK|
         3 SET a 1 = +QUEUED|
         1 CLIENT PAUSE 1000 WRITE = +OK|
         3 EXEC =
         1 CLIENT UNBLOCK 3 = :0|
         1 CLIENT UNPAUSE = +OK|
         3 EXEC = *1|+OK|
         1 MULTI = +OK|
         1 CLIENT PAUSE 1000 WRITE = +QUEUED|
         1 SET a 2 = +QUEUED|
         1 EXEC = *2|+OK|+OK|
         2 GET a = $1|2|
         2 CLIENT REPLY SKIP =
         2 SET a 3 =
         1 CLIENT UNPAUSE = +OK|
         2 SET a 3 =
         2 PING = +PONG|",
    );
}

#[test]
fn nothing_expires_and_nothing_is_evicted_in_a_pause() {
    let mut talk = Talk::new();
    talk.check(
        "1 SET a x PX 10 = +OK|
         1 SET b x = +OK|
         1 CLIENT PAUSE 1000 WRITE = +OK|
         +10
         1 GET a = _|
         1 EXISTS a b = :1|
         1 TTL a = :-2|
         1 RANDOMKEY = $1|b|
         1 DBSIZE = :2|",
    );
    assert!(!talk.engine.expire_step());
    talk.engine.state.settings.maxmemory = 1;
    talk.engine.state.settings.maxmemory_policy = crate::config::MaxmemoryPolicy::AllkeysLru;
    talk.engine.evict_step();
    talk.check("1 DBSIZE = :2|");
    talk.engine.state.settings.maxmemory = 0;
    talk.check("1 CLIENT UNPAUSE = +OK|\n 1 GET a = _|\n 1 DBSIZE = :1|");
}

#[test]
fn a_place_kept_free_is_for_those_who_look_after_the_server() {
    let mut talk = Talk::new();
    talk.engine.state.settings.maxclients = 1;
    let admin = talk.token('1');
    talk.engine.state.take_reserved(admin);
    talk.token('2');
    talk.check(
        "1 PING = +PONG|
         1 CLIENT KILL ID 99 = :0|
         2 SET a 1 = +OK|",
    );
    talk.check("1 GET a = -ERR max number of clients reached|");
    assert_eq!(talk.engine.state.sessions[admin].closing, crate::state::session::Closing::AfterReply);
    talk.engine.state.sessions[admin].closing = crate::state::session::Closing::No;
    talk.check("close 2\n 1 GET a = $1|1|");
    assert!(!talk.engine.state.attentive && !talk.engine.state.sessions[admin].reserved);
}
