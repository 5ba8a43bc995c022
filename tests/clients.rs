//! The `redis` crate, a client that knows nothing of us, against the binary: what a program does on an ordinary day.
//! Clients of other languages are tried by `scripts/clients.sh`.

mod common;

use std::collections::{BTreeSet, HashMap};

use common::Server;
use redis::{Commands, Connection, ErrorKind, RedisResult, ServerErrorKind};

/// A connection that speaks RESP2 or RESP3, to a database of its own.
fn connect(server: &Server, protocol: u8) -> RedisResult<Connection> {
    let port = server.port();
    redis::Client::open(format!("redis://127.0.0.1:{port}/{protocol}?protocol=resp{protocol}"))?
        .get_connection()
}

/// The same test over both protocols.
fn check(test: fn(&mut Connection) -> RedisResult<()>) {
    let server = Server::start(&[]);
    for protocol in [2, 3] {
        let mut connection = connect(&server, protocol).expect("a connection");
        test(&mut connection).unwrap_or_else(|error| panic!("RESP{protocol}: {error}"));
    }
}

#[test]
fn strings_are_set_read_and_counted() {
    check(|connection| {
        let () = connection.set("text", "kvick\r\n\0é")?;
        assert_eq!(connection.get::<_, String>("text")?, "kvick\r\n\0é");
        assert_eq!(connection.get::<_, Option<String>>("nosuch")?, None);
        assert_eq!(connection.incr::<_, _, i64>("number", 41)?, 41);
        assert_eq!(connection.incr::<_, _, i64>("number", 1)?, 42);
        assert_eq!(connection.incr::<_, _, f64>("fraction", 0.5)?, 0.5);
        let () = connection.mset(&[("a", 1), ("b", 2)])?;
        assert_eq!(connection.mget::<_, Vec<Option<i64>>>(&["a", "nosuch", "b"])?, [Some(1), None, Some(2)]);
        let big = vec![b'x'; 10 << 20];
        let () = connection.set("big", &big)?;
        assert!(connection.get::<_, Vec<u8>>("big")? == big, "ten megabytes come back as they were");
        Ok(())
    });
}

#[test]
fn lists_are_pushed_and_ranged() {
    check(|connection| {
        assert_eq!(connection.lpush::<_, _, i64>("list", &["c", "b", "a"])?, 3);
        assert_eq!(connection.rpush::<_, _, i64>("list", "d")?, 4);
        assert_eq!(connection.lrange::<_, Vec<String>>("list", 0, -1)?, ["a", "b", "c", "d"]);
        assert_eq!(connection.lpop::<_, String>("list", None)?, "a");
        assert_eq!(connection.rpop::<_, Vec<String>>("list", 2.try_into().ok())?, ["d", "c"]);
        assert_eq!(connection.llen::<_, i64>("list")?, 1);
        assert_eq!(connection.lpop::<_, Option<String>>("nosuch", None)?, None);
        Ok(())
    });
}

#[test]
fn deadlines_are_set_and_taken_back() {
    check(|connection| {
        let () = connection.set_ex("key", "value", 100)?;
        assert!((99..=100).contains(&connection.ttl::<_, i64>("key")?));
        assert!(connection.expire::<_, bool>("key", 1000)?);
        assert!((999_000..=1_000_000).contains(&connection.pttl::<_, i64>("key")?));
        assert!(connection.persist::<_, bool>("key")?);
        assert_eq!(connection.ttl::<_, i64>("key")?, -1);
        assert!(connection.expire_at::<_, bool>("key", 1)?);
        assert!(!connection.exists::<_, bool>("key")?);
        Ok(())
    });
}

#[test]
fn a_scan_finds_every_key_once() {
    check(|connection| {
        let expected: BTreeSet<String> = (0..1000).map(|number| format!("key:{number}")).collect();
        for key in &expected {
            let () = connection.set(key, 1)?;
        }
        let () = connection.set("other", 1)?;
        let found: Vec<String> = connection.scan_match::<_, String>("key:*")?.collect::<RedisResult<_>>()?;
        assert_eq!(found.len(), expected.len());
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
        Ok(())
    });
}

#[test]
fn a_pipeline_is_answered_in_order() {
    check(|connection| {
        let mut pipeline = redis::pipe();
        for number in 0..10_000 {
            pipeline.set(number, number * 2).ignore().get(number);
        }
        let replies: Vec<i64> = pipeline.query(connection)?;
        assert!(replies.iter().enumerate().all(|(number, reply)| *reply == number as i64 * 2));
        assert_eq!(replies.len(), 10_000);
        Ok(())
    });
}

#[test]
fn errors_have_the_kinds_that_programs_look_at() {
    check(|connection| {
        let () = connection.set("text", "x")?;
        let wrong = connection.lpush::<_, _, i64>("text", 1).expect_err("a string is no list");
        assert_eq!(wrong.code(), Some("WRONGTYPE"));
        let number = connection.incr::<_, _, i64>("text", 1).expect_err("no number");
        assert_eq!(number.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
        let unknown = redis::cmd("NOSUCH").query::<()>(connection).expect_err("no such command");
        assert!(unknown.to_string().contains("unknown command"), "{unknown}");
        assert_eq!(redis::cmd("PING").query::<String>(connection)?, "PONG", "the connection goes on");
        Ok(())
    });
}

#[test]
fn the_server_tells_about_itself() {
    check(|connection| {
        let info: redis::InfoDict = redis::cmd("INFO").query(connection)?;
        assert_eq!(info.get::<String>("role").as_deref(), Some("master"));
        assert_eq!(info.get::<i64>("connected_clients"), Some(1));
        assert_eq!(info.get::<i64>("loading"), Some(0));
        let config: HashMap<String, String> =
            redis::cmd("CONFIG").arg("GET").arg("maxclients").arg("appendfsync").query(connection)?;
        assert_eq!(config["appendfsync"], "everysec");
        let () = redis::cmd("CLIENT").arg("SETNAME").arg("smoke").query(connection)?;
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(connection)?;
        assert!(clients.contains(" name=smoke ") && clients.contains(" lib-name=redis-rs "), "{clients}");
        assert!(clients.lines().count() == 1, "{clients}");
        Ok(())
    });
}

#[test]
fn messages_reach_a_subscriber() {
    let server = Server::start(&[]);
    let mut subscriber = connect(&server, 2).expect("a connection");
    let mut sender = connect(&server, 3).expect("a connection");
    let mut messages = subscriber.as_pubsub();
    messages.subscribe("news").expect("subscribed");
    messages.psubscribe("n?ws").expect("subscribed");
    assert_eq!(sender.publish::<_, _, i64>("news", "hello").expect("sent"), 2);
    let got: Vec<redis::Msg> = (0..2).map(|_| messages.get_message().expect("a message")).collect();
    let patterns: Vec<bool> = got.iter().map(redis::Msg::from_pattern).collect();
    assert_eq!((patterns, got[0].get_channel_name()), (vec![false, true], "news"));
    assert!(got.iter().all(|message| message.get_payload::<String>().is_ok_and(|text| text == "hello")));
}

#[test]
fn a_transaction_is_tried_again_if_a_watched_key_has_changed() {
    let server = Server::start(&[]);
    for protocol in [2, 3] {
        let mut connection = connect(&server, protocol).expect("a connection");
        let mut other = connect(&server, protocol).expect("a connection");
        let () = connection.set("n", 1).expect("set");
        let mut tries = 0;
        let (sum,): (i64,) = redis::transaction(&mut connection, &["n"], |connection, pipe| {
            let n: i64 = connection.get("n")?;
            tries += 1;
            if tries == 1 {
                let () = other.set("n", 10)?;
            }
            pipe.set("n", n + 1).ignore().get("n").query(connection)
        })
        .expect("the second try succeeds");
        assert_eq!((tries, sum), (2, 11));
    }
}

#[test]
fn a_client_waits_for_work() {
    let server = Server::start(&[]);
    for protocol in [2, 3] {
        let mut worker = connect(&server, protocol).expect("a connection");
        let mut sender = connect(&server, protocol).expect("a connection");
        let waiting =
            std::thread::spawn(move || worker.blpop::<_, (String, String)>(&["none", "jobs"], 20.0));
        let () = sender.rpush("jobs", "one").expect("pushed");
        assert_eq!(waiting.join().expect("no panic").expect("an element"), ("jobs".into(), "one".into()));
        assert_eq!(sender.blpop::<_, Option<(String, String)>>("jobs", 0.01).expect("in time"), None);
    }
}
