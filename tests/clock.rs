//! The machine's clock is set while the server runs: nothing that goes by time stops or hurries, and what does go by
//! dates is what the README says.
//!
//! `DEBUG SHIFT-CLOCK` is where the clock is set: one line below what reads the machine's, above all who use it (only
//! `src/io/clock.rs` may read a clock, which `tests/tidy.rs` checks). To set the machine's own would need its
//! administrator and disturb everybody on it, and no namespace has a date of its own.

mod common;

use std::time::{Duration, Instant};

use common::client::encode;
use common::{Client, Random, Server, Value, wait_until};

const HOUR_MS: i64 = 3_600_000;
const LOGGED: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "everysec",
    "--enable-debug-command",
    "yes",
    "--latency-monitor-threshold",
    "0",
];

fn figure(client: &mut Client, name: &str) -> i64 {
    let info = client.say("INFO").text();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {info}"))
}

fn shift(client: &mut Client, by_ms: i64) {
    assert_eq!(Value::ok(), client.say(&format!("DEBUG SHIFT-CLOCK {by_ms}")));
}

fn date_ms(client: &mut Client) -> i64 {
    let time = client.say("TIME");
    let part = |index: usize| time.items()[index].text().parse::<i64>().expect("a number");
    part(0) * 1000 + part(1) / 1000
}

/// Ticks go on: only they take a key away that nobody asks for.
fn await_ticks(client: &mut Client) {
    let before = figure(client, "expired_keys");
    assert_eq!(Value::ok(), client.say("SET short-lived v PX 120"));
    wait_until("a tick expires a key", || before < figure(client, "expired_keys"));
}

/// Two clients that wait half a second each.
fn begin_waits(server: &Server) -> (Client, Client, Instant) {
    let (mut blocked, mut waiting) = (server.client(), server.client());
    let begun = Instant::now();
    blocked.send_raw(&encode(&["BLPOP", "nothing", "0.5"]));
    waiting.send_raw(&encode(&["WAIT", "1", "500"]));
    wait_until("they wait", || figure(&mut server.client(), "blocked_clients") == 2);
    (blocked, waiting, begun)
}

#[test]
fn nothing_that_goes_by_time_stops_or_hurries() {
    for by_ms in [HOUR_MS, -HOUR_MS] {
        let mut server = Server::start(&[LOGGED, &["--timeout", "3600"]].concat());
        let mut client = server.client();
        let (mut idle, before_ms) = (server.client(), date_ms(&mut client));
        assert_eq!(Value::Status("PONG".into()), idle.say("PING"));
        let first = client.say("XADD stream * a 1").text();
        let (mut blocked, mut waiting, begun) = begin_waits(&server);
        shift(&mut client, by_ms);
        assert!((date_ms(&mut client) - before_ms - by_ms).abs() < 60_000);

        // Timeouts: neither at once nor an hour later; and nobody was idle for an hour.
        assert!(blocked.read_value().is_null());
        assert_eq!(Value::Int(0), waiting.read_value());
        assert!(Duration::from_millis(500) <= begun.elapsed());
        assert_eq!(Value::Status("PONG".into()), idle.say("PING"));
        // Syncs go on, and ticks.
        for number in 0..3 {
            assert_eq!(Value::ok(), client.say(&format!("SET k{number} {by_ms}")));
            assert_eq!(Value::Int(1), client.say("WAITAOF 1 0 30000").items()[0]);
        }
        wait_until("everything is synced", || figure(&mut client, "kvick_aof_unsynced_bytes") == 0);
        await_ticks(&mut client);
        // A rewrite begins and ends; identifiers only grow; nothing looks old, or used in the future.
        assert!(client.say("BGREWRITEAOF").error().is_none());
        wait_until("a rewrite", || figure(&mut client, "aof_rewrites") == 1);
        let id = |text: &str| {
            text.split_once('-').map(|(ms, seq)| [ms, seq].map(|part| part.parse::<u64>().expect("a number")))
        };
        assert!(id(&first) < id(&client.say("XADD stream * a 2").text()));
        let Value::Int(idle_secs) = client.say("OBJECT IDLETIME k0") else { panic!("no number") };
        assert!(idle_secs < 120, "{idle_secs}");
        let jumps = ["forward", "back"].map(|way| figure(&mut client, &format!("kvick_clock_jumps_{way}")));
        assert_eq!(jumps, if 0 < by_ms { [1, 0] } else { [0, 1] });
        assert!((figure(&mut client, "kvick_clock_last_jump_ms") - by_ms).abs() < 10);
        assert!(figure(&mut client, "kvick_clock_last_jump_ago_sec") < 120);
        let way = if 0 < by_ms { "forward by 3" } else { "back by 3" };
        assert!(server.log().contains(&format!("The clock was set {way}")), "{}", server.log());
        same_after_a_crash(&mut server, &mut client);
    }
}

fn same_after_a_crash(server: &mut Server, client: &mut Client) {
    wait_until("what was short-lived is gone", || client.say("EXISTS short-lived") == Value::Int(0));
    let before = client.say("DEBUG DIGEST");
    server.kill9();
    server.restart();
    assert_eq!(before, server.client().say("DEBUG DIGEST"));
}

#[test]
fn deadlines_are_dates_and_what_expires_by_a_jump_is_counted() {
    let mut server = Server::start(LOGGED);
    let mut client = server.client();
    for line in [
        "SET hour v EX 3000",
        "SET day v EX 86400",
        "SET ever v",
        "HSET h a 1 b 2",
        "HEXPIRE h 3000 FIELDS 1 a",
    ] {
        assert!(client.say(line).error().is_none(), "{line}");
    }
    shift(&mut client, HOUR_MS);
    wait_until("it expires", || figure(&mut client, "kvick_clock_jump_expired_keys") == 1);
    wait_until("the field too", || figure(&mut client, "kvick_clock_jump_expired_subkeys") == 1);
    assert_eq!(Value::Int(2), client.say("EXISTS day ever"));
    assert!(client.say("TTL day").int() <= 86400 - 3600);
    await_ticks(&mut client);
    assert_eq!(1, figure(&mut client, "kvick_clock_jump_expired_keys"), "that one had lived its time");
    // Back again: what is gone is gone, what is there lives an hour longer.
    shift(&mut client, -2 * HOUR_MS);
    assert_eq!(Value::Int(0), client.say("EXISTS hour"));
    assert!(86400 < client.say("TTL day").int());
    same_after_a_crash(&mut server, &mut client);
    assert!(server.client().say("TTL day").int() <= 86400);
}

#[test]
fn save_points_go_by_time_and_not_by_dates() {
    let args = ["--enable-debug-command", "yes", "--save", "1800 1"];
    let server = Server::start(&args);
    let mut client = server.client();
    let started = client.say("LASTSAVE").int();
    assert_eq!(Value::ok(), client.say("SET a 1"));
    shift(&mut client, HOUR_MS);
    await_ticks(&mut client);
    assert_eq!(0, figure(&mut client, "rdb_saves"), "half an hour has not passed");
    shift(&mut client, -2 * HOUR_MS);
    assert_eq!(Value::ok(), client.cmd(&["CONFIG", "SET", "save", "1 1"]));
    wait_until("a second has passed", || figure(&mut client, "rdb_saves") == 1);
    wait_until("it is saved", || figure(&mut client, "rdb_bgsave_in_progress") == 0);
    // LASTSAVE is a date, and so one of the clock that was set.
    let saved = client.say("LASTSAVE").int();
    assert!(saved < started, "{saved} {started}");
}

/// An hour to and fro under load, then a crash: what was acknowledged is there.
#[test]
fn whatever_the_clock_does_the_log_holds_what_was_acknowledged() {
    let mut server = Server::start(LOGGED);
    let mut client = server.client();
    let mut random = Random::new(Random::seed_from_env("KVICK_CLOCK_SEED"));
    for round in 0..60 {
        shift(&mut client, random.range(-HOUR_MS, HOUR_MS));
        let mut commands: Vec<Vec<String>> = Vec::new();
        for number in 0..50 {
            let line = match random.below(5) {
                0 => format!("SET s{number} {round}"),
                1 => format!("SET s{number} {round} EX 1000000"),
                2 => "INCR count".to_owned(),
                3 => format!("XADD stream * round {round}"),
                _ => format!("RPUSH list{} {round}", number % 7),
            };
            commands.push(line.split(' ').map(str::to_owned).collect());
        }
        for reply in client.pipeline(&commands) {
            assert_eq!(None, reply.error());
        }
        if random.chance(10) {
            assert_eq!(Value::Int(1), client.say("WAITAOF 1 0 30000").items()[0]);
        }
    }
    let jumps =
        figure(&mut client, "kvick_clock_jumps_forward") + figure(&mut client, "kvick_clock_jumps_back");
    assert!((55..=60).contains(&jumps), "{jumps}");
    same_after_a_crash(&mut server, &mut client);
}
