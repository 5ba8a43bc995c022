//! How often and how long ago keys were used, in dumps that go from one server to another.

use crate::common::{Client, Server, Value, server};
use crate::{figure, ours, peers, with};

/// Puts a string under `key` that has been used so often, or is idle so long.
fn used(client: &mut Client, key: &str, how: &str, amount: &str) {
    client.say("SET source value");
    let payload = client.say("DUMP source").bytes().to_vec();
    let words: [&[u8]; 6] = [b"RESTORE", key.as_bytes(), b"0", &payload, how.as_bytes(), amount.as_bytes()];
    assert_eq!(Value::ok(), client.cmd(&words), "{key}");
}

fn asked(client: &mut Client, what: &str, keys: &[&str]) -> Vec<i64> {
    keys.iter().map(|key| client.say(&format!("OBJECT {what} {key}")).int()).collect()
}

#[test]
fn counters_of_use_go_both_ways() {
    let counters = [("never", "0"), ("some", "77"), ("most", "255")];
    let names = counters.map(|(key, _)| key);
    // A counter that decays would be another one a minute later.
    let args = with(&["--maxmemory-policy", "allkeys-lfu", "--lfu-decay-time", "0"]);
    for (binary, _) in peers() {
        let theirs = Server::start_binary(&binary, &args);
        let mut client = theirs.client();
        counters.iter().for_each(|(key, counter)| used(&mut client, key, "FREQ", counter));
        assert_eq!([0, 77, 255], *asked(&mut client, "FREQ", &names), "{binary}");
        client.say("SAVE");
        let kvick = Server::start_in(&server::binary(), &args, theirs.into_folder());
        let mut client = kvick.client();
        assert_eq!([0, 77, 255], *asked(&mut client, "FREQ", &names), "from {binary}");
        client.say("SAVE");
        let theirs = Server::start_in(&binary, &args, kvick.into_folder());
        assert_eq!([0, 77, 255], *asked(&mut theirs.client(), "FREQ", &names), "to {binary}");
    }
}

#[test]
fn idle_times_go_both_ways() {
    let idle = [("now", "0"), ("hour", "3600"), ("month", "2600000")];
    let names = idle.map(|(key, _)| key);
    let args = with(&["--maxmemory-policy", "allkeys-lru"]);
    // Some seconds pass while servers start and stop, and a server that has just started does not count them all.
    let near = |found: Vec<i64>, what: &str| {
        for ((key, seconds), found) in idle.iter().zip(found) {
            let seconds: i64 = seconds.parse().expect("a number");
            assert!((seconds - 5..seconds + 60).contains(&found), "{what}: {key} is idle for {found} s");
        }
    };
    for (binary, _) in peers() {
        let theirs = Server::start_binary(&binary, &args);
        let mut client = theirs.client();
        idle.iter().for_each(|(key, seconds)| used(&mut client, key, "IDLETIME", seconds));
        near(asked(&mut client, "IDLETIME", &names), &binary);
        client.say("SAVE");
        let kvick = Server::start_in(&server::binary(), &args, theirs.into_folder());
        let mut client = kvick.client();
        near(asked(&mut client, "IDLETIME", &names), &format!("from {binary}"));
        client.say("SAVE");
        let theirs = Server::start_in(&binary, &args, kvick.into_folder());
        near(asked(&mut theirs.client(), "IDLETIME", &names), &format!("to {binary}"));
    }
}

/// What a dump says of the other policy, or to a server without one, is read over.
#[test]
fn the_other_policy_reads_over_it() {
    for (written, how, read, asks) in [
        ("allkeys-lfu", "FREQ", "allkeys-lru", "IDLETIME"),
        ("volatile-lru", "IDLETIME", "volatile-lfu", "FREQ"),
        ("allkeys-lfu", "FREQ", "noeviction", "IDLETIME"),
        ("noeviction", "IDLETIME", "allkeys-lru", "IDLETIME"),
    ] {
        let server = ours(&with(&["--maxmemory-policy", written]));
        let mut client = server.client();
        used(&mut client, "k", how, "200");
        client.say("SAVE");
        let server =
            Server::start_in(&server::binary(), &with(&["--maxmemory-policy", read]), server.into_folder());
        let mut client = server.client();
        assert_eq!("2", figure(&mut client, "rdb_last_load_keys_loaded"));
        let fresh = client.say(&format!("OBJECT {asks} k")).int();
        assert!(fresh < 60, "{written} to {read}: {fresh}");
        assert_eq!("value", client.say("GET k").text());
    }
}
