//! Children that write bases and snapshots: none hangs for ever, none outlives its server, none leaves anything behind.
//!
//! Environment: `KVICK_FORKS` (rewrites under churn, default 40; `scripts/forks.sh` runs thousands), `KVICK_FORKS_SECONDS`
//! (no more of them after so many seconds), `KVICK_FORKS_SEED`.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::server::{binary, signal};
use common::{Client, PATIENCE, Random, Server, Value, env_number, poll_until, wait_until};

const LOGGED: &[&str] = &[
    "--appendonly",
    "yes",
    "--auto-aof-rewrite-percentage",
    "0",
    "--enable-debug-command",
    "yes",
    "--child-progress-timeout",
    "1",
];
/// Keys that keep a child busy for long enough to be caught.
const MANY: &str = "DEBUG POPULATE 50000";

fn text_of(client: &mut Client, name: &str) -> String {
    let info = client.say("INFO persistence").text();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {info}")).trim().to_owned()
}

fn figure(client: &mut Client, name: &str) -> u64 {
    text_of(client, name).parse().expect("a number")
}

/// The process numbers of the children of a process.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Whether a process is no more, whoever is to be told of its end.
fn is_gone(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

fn names_in(folder: &std::path::Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a directory");
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Files that a child leaves when it is killed.
fn litter(server: &Server) -> Vec<String> {
    let mut names = names_in(&server.dir());
    names.extend(names_in(&server.dir().join("appendonlydir")));
    names.into_iter().filter(|name| name.starts_with("temp-")).collect()
}

/// Begins a rewrite and stops its child in the middle of it.
fn stop_a_rewrite(server: &Server, client: &mut Client) -> u32 {
    for _ in 0..20 {
        assert!(client.say("BGREWRITEAOF").error().is_none());
        let mut child = None;
        let is_over = |client: &mut Client| {
            text_of(client, "aof_rewrite_in_progress") == "0"
                && text_of(client, "aof_rewrite_scheduled") == "0"
        };
        poll_until(PATIENCE, || {
            child = children(server.pid()).first().copied();
            child.is_some() || is_over(client)
        });
        if let Some(child) = child {
            signal(child, "STOP");
            if !is_gone(child) && !litter(server).is_empty() {
                return child;
            }
            signal(child, "CONT");
        }
        wait_until("one that was not caught is over", || is_over(client));
    }
    panic!("no child was caught");
}

fn await_rewrite(client: &mut Client, status: &str) {
    wait_until("the rewrite is over", || figure(client, "aof_rewrite_in_progress") == 0);
    assert_eq!(status, text_of(client, "aof_last_bgrewrite_status"));
}

fn same_after_a_crash(server: &mut Server, client: &mut Client) {
    let before = client.say("DEBUG DIGEST");
    server.kill9();
    server.restart();
    assert_eq!(before, server.client().say("DEBUG DIGEST"));
    assert_eq!(Vec::<String>::new(), litter(server));
}

#[test]
fn a_rewrite_that_stands_still_is_ended_and_the_next_one_works() {
    let mut server = Server::start(LOGGED);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.say(MANY));
    let child = stop_a_rewrite(&server, &mut client);
    assert_eq!(Value::ok(), client.say("SET meanwhile 1"));
    wait_until("the watchdog counts", || 0 < figure(&mut client, "kvick_child_stalled_ms"));
    wait_until("the child is ended", || figure(&mut client, "kvick_children_ended_stalled") == 1);
    await_rewrite(&mut client, "err");
    assert!(is_gone(child));
    assert_eq!(0, figure(&mut client, "kvick_child_stalled_ms"));
    assert_eq!(1, figure(&mut client, "aof_rewrites_consecutive_failures"));
    for part in ["has made no progress for 1 s: it is ended", "the child was ended, as it made no progress"] {
        assert!(server.log().contains(part), "{}", server.log());
    }
    assert_eq!(Vec::<String>::new(), litter(&server));
    assert!(client.say("BGREWRITEAOF").error().is_none());
    wait_until("the next one succeeds", || figure(&mut client, "aof_rewrites_consecutive_failures") == 0);
    assert_eq!("ok", text_of(&mut client, "aof_last_bgrewrite_status"));
    same_after_a_crash(&mut server, &mut client);
}

#[test]
fn a_snapshot_that_stands_still_is_ended_and_a_slow_one_is_not() {
    let slow = ["--rdb-key-save-delay", "400000"];
    let server = Server::start(
        &[&["--enable-debug-command", "yes", "--child-progress-timeout", "1"], &slow[..]].concat(),
    );
    let mut client = server.client();
    assert_eq!(Value::ok(), client.say("DEBUG POPULATE 8"));
    // Three seconds, but a key each four tenths of one.
    assert!(client.say("BGSAVE").error().is_none());
    wait_until("it is written", || figure(&mut client, "rdb_bgsave_in_progress") == 0);
    assert_eq!("ok", text_of(&mut client, "rdb_last_bgsave_status"));
    assert!(client.say("BGSAVE").error().is_none());
    let child = children(server.pid())[0];
    signal(child, "STOP");
    wait_until("the child is ended", || figure(&mut client, "rdb_bgsave_in_progress") == 0);
    assert_eq!("err", text_of(&mut client, "rdb_last_bgsave_status"));
    assert_eq!(1, figure(&mut client, "kvick_children_ended_stalled"));
    assert!(is_gone(child));
    assert_eq!(BTreeSet::from(["dump.rdb".to_owned()]), names_in(&server.dir()));
    assert_eq!(Value::ok(), client.say("CONFIG SET rdb-key-save-delay 0"));
    assert!(client.say("BGSAVE").error().is_none());
    wait_until("the next one succeeds", || text_of(&mut client, "rdb_last_bgsave_status") == "ok");
}

#[test]
fn a_server_that_stops_in_the_middle_of_a_rewrite_leaves_nothing_of_it() {
    let mut server = Server::start(LOGGED);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.say(MANY));
    let before = client.say("DEBUG DIGEST");
    let child = stop_a_rewrite(&server, &mut client);
    assert_eq!(Some(0), server.stop());
    assert!(is_gone(child));
    assert_eq!(Vec::<String>::new(), litter(&server));
    server.restart();
    assert_eq!(before, server.client().say("DEBUG DIGEST"));
}

#[test]
fn a_server_that_is_killed_takes_its_child_along() {
    let mut server = Server::start(LOGGED);
    assert_eq!(Value::ok(), server.client().say(MANY));
    for round in 0..4 {
        let mut client = server.client();
        assert_eq!(Value::ok(), client.say(&format!("SET round {round}")));
        let before = client.say("DEBUG DIGEST");
        // Stopped, or wherever it is.
        let child = stop_a_rewrite(&server, &mut client);
        if round % 2 == 1 {
            signal(child, "CONT");
        }
        let port = server.port();
        server.kill9();
        wait_until("the child is gone", || is_gone(child));
        drop(TcpListener::bind(("127.0.0.1", port)).expect("nobody holds the port"));
        server.restart();
        assert_eq!(before, server.client().say("DEBUG DIGEST"));
        assert_eq!(Vec::<String>::new(), litter(&server));
    }
}

/// A second server on a port that is taken.
fn start_on(port: u16, folder: &std::path::Path) -> std::process::Child {
    let log = fs::File::create(folder.join("log")).expect("a log file");
    let port = port.to_string();
    Command::new(binary())
        .args(["--port", &port, "--bind", "127.0.0.1", "--appendonly", "no", "--save", "", "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .spawn()
        .expect("it starts")
}

#[test]
fn a_port_that_is_taken_is_waited_for_a_little() {
    for is_let_go in [true, false] {
        let folder = tempfile::tempdir().expect("a directory");
        let log = || fs::read_to_string(folder.path().join("log")).expect("the log");
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = holder.local_addr().expect("an address").port();
        let begun = Instant::now();
        let mut child = start_on(port, folder.path());
        wait_until("it waits", || log().contains("is in use: waiting up to 2 s for whoever has it to end"));
        if is_let_go {
            drop(holder);
            wait_until("it listens", || Client::try_connect("127.0.0.1", port).is_ok());
            assert_eq!(Value::Status("PONG".into()), Client::connect(port).say("PING"));
            child.kill().expect("killed");
            child.wait().expect("ended");
            continue;
        }
        assert_eq!(Some(1), child.wait().expect("it ends").code());
        assert!(Duration::from_secs(2) <= begun.elapsed());
        for part in [
            &format!(
                "Warning: Could not create server TCP listening socket 127.0.0.1:{port}: bind: Address already in use"
            ),
            &format!("Failed listening on port {port} (tcp), aborting."),
        ] {
            assert!(log().contains(part), "no {part:?} in {}", log());
        }
    }
}

/// A client that writes without pause; ends with how many of its `INCR` were acknowledged.
fn churn(server: &Server, seed: u64, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let (mut client, mut random, stop) = (server.client(), Random::new(seed), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            let mut commands: Vec<Vec<String>> = vec![vec!["INCR".to_owned(), format!("done{seed}")]];
            for _ in 0..random.below(16) {
                let (key, number) = (random.below(40), random.below(1000));
                let line = match random.below(8) {
                    0 => format!("SET s{key} {number} PX {}", 1 + random.below(300)),
                    1 => format!("SET s{key} {number}"),
                    2 => format!("DEL s{key} l{key} h{key}"),
                    3 => format!("RPUSH l{key} {number} b c"),
                    4 => format!("HSET h{key} f{number} v"),
                    5 => format!("ZADD z{key} {number} m{number}"),
                    6 => format!("XADD x{key} MAXLEN 20 * f {number}"),
                    _ => format!("UNLINK z{key} h{key} x{key}"),
                };
                commands.push(line.split(' ').map(str::to_owned).collect());
            }
            for reply in client.pipeline(&commands) {
                assert_eq!(None, reply.error());
            }
            done += 1;
        }
        done
    })
}

/// What may not grow however many children there were.
fn weight(server: &Server) -> [usize; 2] {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("a process").count();
    let mappings =
        fs::read_to_string(format!("/proc/{}/maps", server.pid())).expect("a process").lines().count();
    [descriptors, mappings]
}

/// How a rewrite ended, or none yet: how many succeeded, how many failed since.
fn ended(client: &mut Client) -> (u64, u64) {
    let info = client.say("INFO persistence").text();
    let figure = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok()).expect("a number")
    };
    (figure("aof_rewrites:"), figure("aof_rewrites_consecutive_failures:"))
}

/// No child is left, and no file of one.
fn check_leftovers(server: &Server, client: &mut Client) {
    wait_until("no child is left", || children(server.pid()).is_empty());
    wait_until("no litter is left", || litter(server).is_empty());
    let names = names_in(&server.dir().join("appendonlydir"));
    // Each rewrite that failed has begun an increment.
    let failed = figure(client, "aof_rewrites_consecutive_failures") as usize;
    assert_eq!(3 + failed, names.len(), "a manifest, a base, an increment: {names:?}");
    assert_eq!(0, figure(client, "rdb_bgsave_in_progress") + figure(client, "aof_rewrite_in_progress"));
}

#[test]
fn many_rewrites_under_churn_and_none_hangs() {
    let (count, seed) = (env_number("KVICK_FORKS", 40), Random::seed_from_env("KVICK_FORKS_SEED"));
    let limit = Duration::from_secs(env_number("KVICK_FORKS_SECONDS", 36_000));
    let mut server = Server::start(LOGGED);
    let (mut client, mut random) = (server.client(), Random::new(seed));
    assert_eq!(Value::ok(), client.say("CONFIG SET child-progress-timeout 30"));
    let (begun, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (1..=2).map(|number| churn(&server, seed + number, &stop)).collect();
    let (mut longest, mut killed, mut snapshots, mut first) = (Duration::ZERO, 0, 0, None);
    for number in 0..count {
        let policy = *random.pick(&["always", "always", "everysec", "no"]);
        assert_eq!(Value::ok(), client.say(&format!("CONFIG SET appendfsync {policy}")));
        let (before, rewrite_begun) = (ended(&mut client), Instant::now());
        if random.chance(10) {
            snapshots += u64::from(client.say("BGSAVE").error().is_none());
        }
        assert_eq!(None, client.say("BGREWRITEAOF").error());
        let is_last = number + 1 == count || limit < begun.elapsed();
        let looks = number % 50 == 0 || is_last;
        // A child that is killed after it has committed leaves to the next one what it would have deleted.
        let kills = !looks && random.chance(10);
        wait_until("the rewrite ends", || {
            for child in children(server.pid()).into_iter().filter(|_| kills) {
                killed +=
                    u64::from(common::run("kill", &["-KILL", &child.to_string()], b"").status.success());
            }
            ended(&mut client) != before
        });
        longest = longest.max(rewrite_begun.elapsed());
        if looks {
            wait_until("no snapshot runs", || figure(&mut client, "rdb_bgsave_in_progress") == 0);
            check_leftovers(&server, &mut client);
            let weight = weight(&server);
            let first = *first.get_or_insert(weight);
            assert!(weight[0] <= first[0] + 4 && weight[1] <= first[1] + 100, "{first:?} {weight:?}");
        }
        if is_last {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let done: Vec<u64> =
        writers.into_iter().map(|writer| writer.join().expect("no write was refused")).collect();
    assert_eq!(0, figure(&mut client, "kvick_children_ended_stalled"));
    let rewrites = figure(&mut client, "aof_rewrites");
    let written = done.iter().sum::<u64>();
    server.kill9();
    server.restart();
    let mut client = server.client();
    for (number, done) in (1..).zip(&done) {
        assert_eq!(done.to_string(), client.say(&format!("GET done{}", seed + number)).text());
    }
    println!(
        "forks: rewrites: {rewrites} killed: {killed} snapshots: {snapshots} pipelines: {written} longest_ms: {} \
         seconds: {}",
        longest.as_millis(),
        begun.elapsed().as_secs()
    );
}
