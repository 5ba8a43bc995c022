//! Several clients, one conversation: transactions, messages, and waiting for keys. Each script is run against the
//! server under test and against a real `redis-server`, and both must say the same.
//!
//! ```text
//! 1 SET a 1      client 1 sends a request; its reply is the next line of the transcript
//! 2~ BLPOP q 0   client 2 sends a request whose reply may take its time
//! 2<             the next reply of client 2
//! 2-             client 2 has heard nothing
//! ```

mod common;
#[path = "sessions/onlookers.rs"]
mod onlookers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::{Client, Random, Server, env_number, server, wait_until};

const ARGS: &[&str] = &["--enable-debug-command", "yes", "--notify-keyspace-events", "KEA"];

/// What a server says to a script.
fn transcript(server: &Server, script: &str, protocol: u8) -> Vec<String> {
    let mut clients: BTreeMap<char, Client> = BTreeMap::new();
    let mut said = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let name = line.chars().next().expect("a client's number");
        let client = clients.entry(name).or_insert_with(|| {
            let mut client = server.client();
            assert!(client.say(&format!("HELLO {protocol}")).error().is_none());
            client
        });
        let rest = &line[1..];
        said.push(match rest {
            "<" => format!("{line} {:?}", client.read_value()),
            "-" => {
                assert!(!client.has_reply(), "{line}: {:?}", client.read_value());
                continue;
            }
            _ if rest.starts_with('~') => {
                let before = blocked(server);
                client.send_raw(format!("{}\r\n", &rest[1..].trim()).as_bytes());
                // The next line is for when the request has arrived, whether it waits or not.
                wait_until("the request arrives", || before < blocked(server) || client.has_reply());
                continue;
            }
            _ => format!("{line} → {:?}", client.say(rest.trim())),
        });
    }
    said
}

fn blocked(server: &Server) -> u64 {
    // In INFO kvick counts on its tick; the client list is exact in both.
    let list = server.client().say("CLIENT LIST").text();
    let flags = |line: &str| line.split(" flags=").nth(1)?.split(' ').next().map(|flags| flags.contains('b'));
    list.lines().filter(|line| flags(line) == Some(true)).count() as u64
}

fn same(script: &str) {
    let (ours, theirs) = (Server::start(ARGS), Server::start_reference(ARGS));
    for protocol in [2, 3] {
        let (ours, theirs) = (transcript(&ours, script, protocol), transcript(&theirs, script, protocol));
        assert!(!ours.is_empty());
        assert_eq!(ours.join("\n"), theirs.join("\n"), "RESP{protocol}");
    }
}

#[test]
fn transactions() {
    same(
        "1 FLUSHALL
         1 MULTI
         1 SET a 1
         1 INCR a
         1 LPUSH a x
         1 GET a
         1 EXEC
         1 EXEC
         1 DISCARD
         1 MULTI
         1 MULTI
         1 WATCH a
         1 SET b 2
         1 DISCARD
         1 GET b
         1 MULTI
         1 NOSUCH
         1 SET b 3
         1 EXEC
         1 GET b
         1 MULTI
         1 SET b
         1 EXEC
         1 MULTI
         1 SELECT 3
         1 SET c 1
         1 EXEC
         1 GET c
         1 SELECT 0
         1 MULTI
         1 EXEC
         1 MULTI
         1 BLPOP none 0
         1 BLMOVE none other LEFT RIGHT 0
         1 PING
         1 CONFIG SET maxmemory-samples 6
         1 WAIT 1 0
         1 EXEC
         1 MULTI
         1 SET r 1
         1 RESET
         1 EXEC
         1 GET r",
    );
}

#[test]
fn watched_keys() {
    same(
        "1 FLUSHALL
         1 WATCH a
         2 SET a 1
         1 MULTI
         1 GET a
         1 EXEC
         1 MULTI
         1 GET a
         1 EXEC
         1 WATCH a b
         1 UNWATCH
         2 SET a 2
         1 MULTI
         1 GET a
         1 EXEC
         1 WATCH none
         2 FLUSHALL
         1 MULTI
         1 PING
         1 EXEC
         1 SET a 1
         1 WATCH a
         2 FLUSHALL
         1 MULTI
         1 PING
         1 EXEC
         1 SET a 1
         1 WATCH a
         2 SWAPDB 0 1
         1 MULTI
         1 PING
         1 EXEC
         2 SWAPDB 0 1
         1 WATCH none
         2 SWAPDB 0 1
         1 MULTI
         1 PING
         1 EXEC
         2 SWAPDB 0 1
         1 WATCH a
         1 SET a 5
         1 MULTI
         1 PING
         1 EXEC
         1 WATCH a
         2 SELECT 1
         2 SET a 9
         1 MULTI
         1 PING
         1 EXEC
         1 WATCH a
         2 SELECT 0
         2 RENAME a z
         1 MULTI
         1 PING
         1 EXEC
         1 WATCH z
         2 EXPIRE z 1000
         1 MULTI
         1 PING
         1 EXEC
         1 WATCH z
         2 PEXPIREAT z 1
         1 MULTI
         1 PING
         1 EXEC",
    );
}

#[test]
fn messages() {
    same(
        "1 SUBSCRIBE news
         2 PUBLISH news one
         1<
         2 PUBLISH other one
         1~ PSUBSCRIBE n*s h?llo
         1<
         1<
         2 PUBLISH news two
         1<
         1<
         2 PUBLISH hello three
         1<
         2 PUBSUB CHANNELS
         2 PUBSUB CHANNELS n*
         2 PUBSUB NUMPAT
         2 PUBSUB NUMSUB news none
         2 PUBSUB NUMSUB
         1 PING
         1 PING x
         1~ UNSUBSCRIBE
         1<
         1~ PUNSUBSCRIBE n*s
         1<
         1~ PUNSUBSCRIBE
         1<
         1 UNSUBSCRIBE
         1 SET a 1
         1 SSUBSCRIBE shard
         2 SPUBLISH shard x
         1<
         2 PUBSUB SHARDCHANNELS
         2 PUBSUB SHARDNUMSUB shard none
         1 SUNSUBSCRIBE
         2 PUBLISH news x
         2 PUBSUB CHANNELS x y",
    );
}

#[test]
fn subscribers_in_resp2_may_say_little() {
    let (ours, theirs) = (Server::start(ARGS), Server::start_reference(ARGS));
    let script = "1 SUBSCRIBE a
                  1 GET x
                  1 PUBLISH a b
                  1 MULTI
                  1 NOSUCH
                  1 RESET
                  1 GET x";
    assert_eq!(transcript(&ours, script, 2), transcript(&theirs, script, 2));
}

#[test]
fn events_of_keys() {
    same(
        "1 FLUSHALL
         2~ PSUBSCRIBE __key*
         2<
         1 SET a 1
         2<
         2<
         1 LPUSH l x
         2<
         2<
         1 LPOP l
         2<
         2<
         2<
         2<
         1 EXPIRE a 100
         2<
         2<
         1 RENAME a b
         2<
         2<
         2<
         2<
         1 DEL b none
         2<
         2<
         1 GET none
         2-",
    );
}

#[test]
fn lists_that_are_waited_for() {
    same(
        "1 FLUSHALL
         1~ BLPOP q 0
         2~ BRPOP other q 0
         3 RPUSH q a b c
         1<
         2<
         3 LRANGE q 0 -1
         3 DEL q
         1~ BLMOVE q to LEFT RIGHT 0
         3 RPUSH q x
         1<
         3 LRANGE to 0 -1
         1~ BLMPOP 0 2 p q RIGHT COUNT 2
         3 RPUSH q 1 2 3
         1<
         3 DEL q
         1~ BLPOP q 0
         3 SET q text
         1-
         3 DEL q
         3 RPUSH q y
         1<
         1~ BLPOP q 0
         3 MULTI
         3 RPUSH q 1
         3 DEL q
         3 RPUSH q 2
         3 EXEC
         1<
         1~ BLPOP q 0
         3 RPUSH away z
         3 RENAME away q
         1<
         1~ BRPOPLPUSH q q2 0
         2~ BLPOP q2 0
         3 RPUSH q chain
         1<
         2<
         1 BLPOP q 0.01
         1 BLMOVE q to LEFT LEFT 0.01
         1 BLPOP q -1
         1 BLPOP q abc
         1 BLMPOP 0 0 q LEFT
         3 SET s 1
         1 BLPOP s 0
         1~ BLPOP q 0
         3 RPUSH q2 w
         3 COPY q2 q
         1<
         1~ BLPOP q 0
         3 SELECT 1
         3 RPUSH q elsewhere
         3 SWAPDB 0 1
         1<",
    );
}

#[test]
fn new_and_missed_keys() {
    let args = ["--notify-keyspace-events", "EAnm"];
    let (ours, theirs) = (Server::start(&args), Server::start_reference(&args));
    let script = "2~ PSUBSCRIBE __key*
                  2<
                  1 SET a 1
                  2<
                  2<
                  1 SET a 2
                  2<
                  1 GET none
                  2<
                  1 RPUSH l x
                  2<
                  2<
                  1 EXISTS a none
                  2<
                  1 COPY a b
                  2<
                  2<
                  1 RENAME a c
                  2<
                  2<
                  2<
                  1 HGET none f
                  2<
                  1 DEL none
                  2-";
    assert_eq!(transcript(&ours, script, 2), transcript(&theirs, script, 2));
}

#[test]
fn sorted_sets_that_are_waited_for() {
    same(
        "1 FLUSHALL
         1~ BZPOPMIN z 0
         2~ BZPOPMAX other z 0
         3 ZADD z 1 a 2 b 3 c
         1<
         2<
         3 ZRANGE z 0 -1 WITHSCORES
         1 BZPOPMIN other z 0
         1~ BZMPOP 0 2 y z MAX COUNT 2
         3 ZADD z 1.5 a 2 b 3 c
         1<
         3 ZRANGE z 0 -1
         3 DEL z
         1~ BZPOPMIN z 0
         3 RPUSH z list
         1-
         3 DEL z
         3 ZUNIONSTORE z 1 none
         1-
         3 ZADD y 7 m
         3 ZUNIONSTORE z 1 y
         1<
         1 BZPOPMIN z 0.01
         1 BZPOPMAX z -1
         1 BZMPOP 0.01 1 z MIN
         1 BZMPOP 0 1 z
         1 MULTI
         1 BZPOPMIN z 0
         1 BZMPOP 0 1 z MIN
         1 EXEC",
    );
}

#[test]
fn streams_that_are_waited_for() {
    same(
        "1 FLUSHALL
         1~ XREAD BLOCK 0 STREAMS x $
         2~ XREAD BLOCK 0 COUNT 1 STREAMS y x 0 0
         3 XADD x 1-1 f v
         1<
         2<
         1~ XREAD BLOCK 0 STREAMS x $
         3 XDEL x 1-1
         1-
         3 XADD x 1-2 f w
         1<
         1 XREAD BLOCK 10 STREAMS x $
         1 XREAD BLOCK -1 STREAMS x $
         3 XGROUP CREATE x g $
         1~ XREADGROUP GROUP g c BLOCK 0 STREAMS x >
         2~ XREADGROUP GROUP g d BLOCK 0 STREAMS x >
         3 XADD x 1-3 f 1
         1<
         2-
         3 XADD x 1-4 f 2
         2<
         3 XPENDING x g
         1 XREADGROUP GROUP g c BLOCK 0 STREAMS x 0
         1 XREADGROUP GROUP g c BLOCK 10 STREAMS x >
         1 MULTI
         1 XREAD BLOCK 0 STREAMS x $
         1 EXEC",
    );
}

/// `CLIENT UNBLOCK` needs the number of the client, which is each server's own.
#[test]
fn waits_are_ended_from_outside() {
    let server = Server::start(ARGS);
    let (mut waiter, mut other) = (server.client(), server.client());
    let id = waiter.say("CLIENT ID").int();
    for (how, expected) in [("", "*-1"), (" TIMEOUT", "*-1"), (" ERROR", "-UNBLOCKED")] {
        waiter.send_raw(b"BLPOP q 0\r\n");
        wait_until("it waits", || other.say(&format!("CLIENT UNBLOCK {id}{how}")).int() == 1);
        let said = waiter.read_value();
        assert_eq!(said.is_null(), expected == "*-1", "{said:?}");
        assert_eq!(said.error().is_some(), expected == "-UNBLOCKED");
    }
    // What it sends while it waits is run afterwards.
    waiter.send_raw(b"BLPOP q 0\r\nPING\r\nPING x\r\n");
    wait_until("it waits", || blocked(&server) == 1);
    assert_eq!(other.say("RPUSH q v").int(), 1);
    assert_eq!(waiter.read_value().items().len(), 2);
    assert_eq!((waiter.read_value().text(), waiter.read_value().text()), ("PONG".into(), "x".into()));
    // An element is not given to somebody who is gone.
    waiter.send_raw(b"BLPOP q 0\r\n");
    wait_until("it waits", || blocked(&server) == 1);
    drop(waiter);
    wait_until("it is gone", || blocked(&server) == 0);
    other.say("RPUSH q kept");
    assert_eq!(other.say("LLEN q").int(), 1);
}

/// The end of the connection arrives together with the request, or the client is killed just before it is served: in
/// either case the element stays.
#[test]
fn nothing_is_given_to_who_has_left() {
    const LEAVING: usize = 20;
    for server in [Server::start(ARGS), Server::start_reference(ARGS)] {
        let mut other = server.client();
        let info = other.say("INFO stats").text();
        let count = info.split("total_connections_received:").nth(1).and_then(|rest| rest.split('\r').next());
        let before: usize = count.expect("a figure").parse().expect("a number");
        for _ in 0..LEAVING {
            server.client().send_raw(b"BLPOP q 0\r\n");
        }
        let came = format!("total_connections_received:{}\r", before + LEAVING);
        wait_until("all have come and gone", || {
            let info = other.say("INFO").text();
            info.contains(&came) && info.contains("connected_clients:1\r")
        });
        assert_eq!((other.say("RPUSH q kept").int(), other.say("LPOP q").text()), (1, "kept".into()));
        let mut waiter = server.client();
        let id = waiter.say("CLIENT ID").int();
        waiter.send_raw(b"BLPOP q 0\r\n");
        wait_until("it waits", || blocked(&server) == 1);
        other.send_raw(format!("CLIENT KILL ID {id}\r\nRPUSH q kept\r\nLLEN q\r\n").as_bytes());
        assert_eq!([(); 3].map(|()| other.read_value().int()), [1, 1, 1]);
    }
}

#[test]
fn what_is_to_be_silent_is_when_its_wait_ends() {
    for server in [Server::start(ARGS), Server::start_reference(ARGS)] {
        for waiting in ["WAIT 1 20", "BLPOP none 0.02", "XREAD BLOCK 20 STREAMS none $"] {
            for (silence, speech) in [("SKIP", ""), ("OFF", "CLIENT REPLY ON\r\n")] {
                let mut client = server.client();
                let lines = format!("CLIENT REPLY {silence}\r\n{waiting}\r\nPING\r\n{speech}PING x\r\n");
                client.send_raw(lines.as_bytes());
                let first = if silence == "SKIP" { "PONG" } else { "OK" };
                assert_eq!(
                    (client.read_value().text(), client.read_value().text()),
                    (first.into(), "x".into())
                );
            }
        }
        // A confirmation is no reply.
        let mut client = server.client();
        client.send_raw(b"CLIENT REPLY SKIP\r\nSUBSCRIBE c\r\nCLIENT REPLY OFF\r\n");
        assert_eq!(client.read_value().items()[1].text(), "c");
    }
}

#[test]
fn waits_end_in_time() {
    let server = Server::start(ARGS);
    let mut client = server.client();
    client.set_read_timeout(Duration::from_secs(20));
    let start = Instant::now();
    assert!(client.say("BLPOP q 0.05").is_null());
    // Counted from when the turn began in which the request was read, on a busy machine a little earlier.
    assert!(Duration::from_millis(40) <= start.elapsed());
}

/// Redis has this since 8.4.
#[test]
fn who_waits_to_claim_is_served_without_anything_new() {
    if !server::is_kvick() {
        return println!("skipped: the server need not have XREADGROUP CLAIM");
    }
    let server = Server::start(ARGS);
    let mut client = server.client();
    for line in ["XGROUP CREATE x g 0 MKSTREAM", "XADD x 1-1 f v", "XREADGROUP GROUP g c STREAMS x >"] {
        assert_eq!(None, client.say(line).error(), "{line}");
    }
    let claimed = client.say("XREADGROUP GROUP g d BLOCK 0 CLAIM 50 STREAMS x >");
    let entry = &claimed.items()[0].items()[1].items()[0];
    assert!(50 <= entry.items()[2].int(), "{entry:?}");
    assert_eq!(1, entry.items()[3].int());
    // The wait is over before the entry has lain idle for so long again.
    assert!(client.say("XREADGROUP GROUP g e BLOCK 20 CLAIM 100000 STREAMS x >").is_null());
}

#[test]
fn a_transaction_is_logged_as_one() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut client = server.client();
    let mut waiter = server.client();
    waiter.send_raw(b"BLPOP q 0\r\n");
    wait_until("it waits", || blocked(&server) == 1);
    for line in ["MULTI", "SET a 1", "INCR a", "RPUSH q x y", "EXEC"] {
        assert!(client.say(line).error().is_none(), "{line}");
    }
    assert_eq!(waiter.read_value().items().len(), 2);
    let log = std::fs::read(server.dir().join("appendonlydir/appendonly.aof.1.incr.aof")).expect("a log");
    let text = String::from_utf8_lossy(&log).replace("\r\n", " ");
    let (multi, exec) = (text.find("MULTI").expect("MULTI"), text.find("EXEC").expect("EXEC"));
    assert!(
        multi < text.find("INCR").unwrap_or(0) && text.find("RPUSH").unwrap_or(usize::MAX) < exec,
        "{text}"
    );
    assert!(exec < text.find("LPOP").expect("LPOP"), "{text}");
    server.kill9();
    server.restart();
    let mut client = server.client();
    assert_eq!((client.say("GET a").text(), client.say("LLEN q").int()), ("2".into(), 1));
}

/// Random requests of three clients, transactions among them: nothing here depends on time.
#[test]
fn random_conversations() {
    let (ours, theirs) = (Server::start(ARGS), Server::start_reference(ARGS));
    let seed = Random::seed_from_env("KVICK_SESSIONS_SEED");
    for round in 0..env_number("KVICK_SESSIONS_ROUNDS", 20) {
        let mut random = Random::new(seed + round);
        let mut script = String::from("1 FLUSHALL\n");
        for _ in 0..120 {
            let client = 1 + random.below(3);
            let key = random.pick(&["a", "b", "l"]);
            let line = match random.below(14) {
                0 | 1 => "MULTI".to_owned(),
                2 | 3 => "EXEC".to_owned(),
                4 => "DISCARD".to_owned(),
                5 => format!("WATCH {key}"),
                6 => "UNWATCH".to_owned(),
                7 => format!("SET {key} {}", random.below(5)),
                8 => format!("INCR {key}"),
                9 => format!("RPUSH {key} x"),
                10 => format!("DEL {key}"),
                11 => format!("LPOP {key}"),
                12 => format!("EXPIRE {key} 100"),
                _ => format!("GET {key}"),
            };
            script.push_str(&format!("{client} {line}\n"));
        }
        let (ours, theirs) = (transcript(&ours, &script, 2), transcript(&theirs, &script, 2));
        assert_eq!(ours.join("\n"), theirs.join("\n"), "KVICK_SESSIONS_SEED={}", seed + round);
    }
}
