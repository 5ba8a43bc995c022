//! Clients that keep what they read, that see what others do, and that hold others up.

use std::time::{Duration, Instant};

use super::common::{Server, wait_until};
use super::{ARGS, same, transcript};

/// Pushes have no form in RESP2 but that of a subscriber, so only RESP3 is compared here.
fn same_in_resp3(script: &str) {
    let (ours, theirs) = (Server::start(ARGS), Server::start_reference(ARGS));
    let (ours, theirs) = (transcript(&ours, script, 3), transcript(&theirs, script, 3));
    assert_eq!(ours.join("\n"), theirs.join("\n"));
}

#[test]
fn keys_that_clients_keep() {
    same_in_resp3(
        "2 FLUSHALL
         1 CLIENT TRACKING ON
         1 GET a
         2 SET a 1
         1<
         2 SET a 2
         1-
         1 GET a
         1 SET a 3
         1<
         1 MULTI
         1 GET a
         1 INCR a
         1 GET b
         1 EXEC
         1<
         2 SET b 1
         1<
         1 LRANGE l 0 -1
         1 BLPOP l 0.01
         2 RPUSH l x y
         1<
         1 LRANGE l 0 -1
         2 LPOP l
         1<
         1 EXISTS l
         2 LPOP l
         1<
         1 HGETALL h
         2 HSET h f v
         1<
         1 SUNION s t
         2 SADD s x
         1<
         2 SADD t x
         1<
         1 SORT t BY nosort GET #
         1 TYPE t
         2 SADD t y
         1<
         1 GET t
         2 DEL t
         1<
         1 PTTL c
         2 SET c 1 PX 1000000
         1<
         1 GET c
         2 PEXPIREAT c 1
         1<
         1 GET z
         2 COPY s z
         1<
         2 FLUSHDB
         1<
         1 CLIENT TRACKING OFF
         1 GET a
         2 SET a 1
         1-",
    );
}

#[test]
fn prefixes_and_choices_of_keys() {
    same_in_resp3(
        "2 FLUSHALL
         1 CLIENT TRACKING ON BCAST PREFIX user: PREFIX x
         2 MSET user:2 a user:1 b other c
         1<
         3 CLIENT TRACKING ON BCAST NOLOOP
         2 MSET z 1 y 2
         3<
         3 SET z 2
         3-
         1-
         3 FLUSHALL
         3<
         1<
         1 CLIENT TRACKING OFF
         1 CLIENT TRACKING ON OPTIN NOLOOP
         1 GET z
         1 CLIENT CACHING YES
         1 MGET y x
         1 GET w
         2 MSET z 1 y 1 x 1 w 1
         1<
         1<
         1-
         1 CLIENT CACHING YES
         1 GET y
         1 SET y 2
         1-
         1 CLIENT TRACKINGINFO
         1 CLIENT CACHING NO",
    );
}

/// One client tracks for another, and is told when that one is gone.
#[test]
fn keys_that_are_kept_for_another() {
    for server in [Server::start(ARGS), Server::start_reference(ARGS)] {
        let (mut tracker, mut listener, mut other) = (server.client(), server.client(), server.client());
        let id = listener.say("CLIENT ID").int();
        listener.say("SUBSCRIBE __redis__:invalidate");
        assert!(tracker.say("HELLO 3").error().is_none());
        assert_eq!(tracker.say(&format!("CLIENT TRACKING ON REDIRECT {id}")).text(), "OK");
        assert_eq!(tracker.say("CLIENT GETREDIR").int(), id);
        tracker.say("GET a");
        other.say("SET a 1");
        let message = listener.read_value();
        assert_eq!(message.items()[1].text(), "__redis__:invalidate");
        assert_eq!(message.items()[2].items()[0].text(), "a");
        other.say("FLUSHALL");
        assert!(listener.read_value().items()[2].is_null());
        tracker.say("GET a");
        drop(listener);
        wait_until("it is gone", || !other.say("CLIENT LIST").text().contains(&format!("id={id} ")));
        other.say("SET a 2");
        let broken = tracker.read_value();
        assert_eq!((broken.items()[0].text(), broken.items()[1].int()), ("tracking-redir-broken".into(), id));
        assert!(tracker.say("CLIENT LIST").text().contains(" flags=tR "));
    }
}

#[test]
fn pauses() {
    same(
        "1 FLUSHALL
         1 CLIENT PAUSE 100000 WRITE
         2 GET a
         2~ SET a 1
         3 MULTI
         3 GET a
         3 EXEC
         3~ PUBLISH c m
         2-
         3-
         1 CLIENT PAUSE 10 WRITE
         1 CLIENT UNPAUSE
         2<
         3<
         4 MULTI
         4 SET a 2
         1 CLIENT PAUSE 100000 WRITE
         4~ EXEC
         1 CLIENT UNPAUSE
         4<
         1~ BLPOP l 0
         2 CLIENT PAUSE 100000 WRITE
         3~ RPUSH l x
         1-
         2 CLIENT UNPAUSE
         3<
         1<
         1 CLIENT PAUSE 50 ALL
         1 PING
         2 MULTI
         2 CLIENT PAUSE 100000 WRITE
         2 SET a 3
         2 CLIENT UNPAUSE
         2 EXEC
         2 GET a",
    );
}

#[test]
fn a_pause_ends_in_time() {
    let server = Server::start(ARGS);
    let (mut client, start) = (server.client(), Instant::now());
    assert_eq!(client.say("CLIENT PAUSE 50").text(), "OK");
    // What is sent meanwhile is run afterwards, in order, and silence is kept where it was asked for.
    client.send_raw(b"INCR n\r\nCLIENT REPLY SKIP\r\nINCR n\r\nINCR n\r\n");
    assert_eq!((client.read_value().int(), client.read_value().int()), (1, 3));
    assert!(Duration::from_millis(50) <= start.elapsed());
    assert!(server.client().say("INFO clients").text().contains("paused_reason:none"));
}

/// Lines of `MONITOR` without the moment and the port.
#[test]
fn what_monitors_see() {
    let lines = |server: Server| -> Vec<String> {
        let mut monitor = server.client();
        assert_eq!(monitor.say("MONITOR").text(), "OK");
        let mut client = server.client();
        for line in [
            "SET a \"b\\x00\\n\"",
            "SELECT 2",
            "LPUSH l x",
            "INCR l",
            "CONFIG GET port",
            "AUTH u p",
            "HELLO 2 AUTH default p",
            "MULTI",
            "set q 1",
            "exec",
            "NOSUCH",
            "BLPOP none 0.01",
            "EVAL",
            "PING",
        ] {
            client.say(line);
        }
        let mut seen = Vec::new();
        while seen.last().is_none_or(|line: &String| !line.ends_with("\"PING\"")) {
            let line = monitor.read_value().text();
            let (_, rest) = line.split_once(' ').expect("a moment");
            let (place, words) = rest.split_once("] ").expect("who");
            seen.push(format!("{} {words}", place.split(' ').next().unwrap_or_default()));
        }
        seen
    };
    assert_eq!(lines(Server::start(ARGS)), lines(Server::start_reference(ARGS)));
}
