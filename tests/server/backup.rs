//! `BACKUP` and `--load-until`: what kvick has and its peers have not, so it is asked only of kvick; but what it leaves
//! is read by redis-server as well.

use crate::common::server::{binary, is_kvick, reference};
use crate::common::{Client, Server, Value, run, text, wait_until};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tempfile::TempDir;

/// All files of a log, with what they hold.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir.join("appendonlydir")).expect("a log").flatten();
    entries
        .map(|entry| {
            let bytes = fs::read(entry.path()).expect("a file");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect()
}

/// A server on a directory that another one has left.
fn start_on(binary: &str, dir: &Path, more: &[&str]) -> Server {
    let mut args = vec!["--appendonly", "yes", "--dir", dir.to_str().expect("a plain path")];
    args.extend(more);
    Server::start_binary(binary, &args)
}

fn check_aof(dir: &Path) {
    let manifest = dir.join("appendonlydir/appendonly.aof.manifest");
    let output = run(&binary(), &["check-aof", manifest.to_str().expect("a plain path")], b"");
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn a_backup_is_one_moment_and_stays_it() {
    if !is_kvick() {
        return println!("skipped: there is no BACKUP");
    }
    for (policy, preamble) in [("everysec", "no"), ("always", "yes"), ("no", "no")] {
        let args = ["--appendonly", "yes", "--appendfsync", policy, "--aof-use-rdb-preamble", preamble];
        let mut server = Server::start(&args);
        let mut client = server.client();
        client.say("RPUSH list a b c");
        let (stop, told) = (AtomicBool::new(false), AtomicI64::new(0));
        let last = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut writer = server.client();
                while !stop.load(Ordering::Relaxed) {
                    told.store(writer.say("INCR n").int(), Ordering::Release);
                }
            });
            for round in 0..4 {
                wait_until("something is written", || 10 * round < told.load(Ordering::Acquire));
                if round == 2 {
                    client.say("BGREWRITEAOF");
                }
                let before = told.load(Ordering::Acquire);
                assert_eq!(Value::ok(), client.say(&format!("BACKUP backup-{round}")), "{}", server.log());
                let after = told.load(Ordering::Acquire) + 1;
                is_as_then(&server.dir().join(format!("backup-{round}")), before..=after);
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().expect("a writer");
            told.load(Ordering::Acquire)
        });
        server.kill9();
        check_aof(&server.dir());
        server.restart();
        let mut client = server.client();
        assert_eq!(last.to_string(), client.say("GET n").text());
        assert_eq!(Value::Int(0), client.say("EXISTS own"));
    }
}

/// What a backup holds, to whoever reads it; and that its files stay what they are when servers write there.
fn is_as_then(dir: &Path, may_be: std::ops::RangeInclusive<i64>) {
    check_aof(dir);
    let was = files(dir);
    let mut found = Vec::new();
    for (round, binary) in [binary(), reference(), binary()].into_iter().enumerate() {
        let mut server = start_on(&binary, dir, &[]);
        let mut client = server.client();
        found.push(client.say("GET n").text().parse::<i64>().expect("a number"));
        assert_eq!(3, client.say("LLEN list").int());
        assert_eq!(Value::Int(round as i64 + 1), client.say("RPUSH own x"));
        server.stop();
    }
    assert!(may_be.contains(&found[0]), "{found:?} {may_be:?}");
    assert_eq!([found[0]; 3], found[..]);
    let mut now = files(dir);
    now.retain(|name, bytes| was.get(name) == Some(bytes));
    // The manifest may be another one, and an increment was written to.
    assert!(was.len() <= now.len() + 2, "{was:?}");
}

#[test]
fn a_backup_that_cannot_be_is_refused() {
    if !is_kvick() {
        return println!("skipped: there is no BACKUP");
    }
    let server = Server::start(&["--appendonly", "yes", "--enable-protected-configs", "yes"]);
    let mut client = server.client();
    client.say("SET a 1");
    fs::create_dir(server.dir().join("full")).expect("made");
    fs::write(server.dir().join("full/file"), "x").expect("written");
    fs::write(server.dir().join("file"), "x").expect("written");
    // Another file system, where there is one.
    let elsewhere = tempfile::tempdir_in("/dev/shm").ok();
    let elsewhere = elsewhere.as_ref().map(|dir| dir.path().join("b").to_string_lossy().into_owned());
    let mut cases = vec![
        ("full", "ERR Backup failed: full is not empty"),
        ("nowhere/monday", "ERR Backup failed: cannot create nowhere/monday: No such file or directory"),
        ("file", "ERR Backup failed: cannot read file: Not a directory"),
        ("appendonlydir/monday", "ERR BACKUP does not write into the directory of the log itself"),
    ];
    if let Some(elsewhere) = &elsewhere {
        cases.push((elsewhere, "ERR Backup failed: cannot link "));
    }
    for (name, why) in cases {
        let reply = client.cmd(&["BACKUP", name]);
        let error = reply.error().expect("an error");
        assert!(error.starts_with(why), "{name}: {error}");
    }
    client.pipeline(&[vec!["MULTI"], vec!["BACKUP", "monday"], vec!["DISCARD"]]);
    assert!(!server.dir().join("monday").exists());
    // What was left by one that failed is in nobody's way.
    fs::create_dir_all(server.dir().join("again/appendonlydir")).expect("made");
    assert_eq!(Value::ok(), client.say("BACKUP again"));
    assert_eq!(Value::ok(), client.say("BACKUP ./other/"));
    assert_eq!(Value::ok(), client.say("CONFIG SET appendonly no"));
    let reply = client.say("BACKUP monday");
    assert_eq!(
        reply.error(),
        Some("ERR BACKUP needs the append only file: it is off (CONFIG SET appendonly yes)")
    );
}

#[test]
fn who_asks_for_a_backup_is_answered_in_turn_and_two_at_once_are_not_made() {
    if !is_kvick() {
        return println!("skipped: there is no BACKUP");
    }
    let server = Server::start(&["--appendonly", "yes"]);
    let (mut client, mut other) = (server.client(), server.client());
    let replies = client.pipeline(&[
        vec!["SET", "a", "1"],
        vec!["BACKUP", "one"],
        vec!["APPEND", "a", "2"],
        vec!["BACKUP", "two"],
        vec!["GET", "a"],
    ]);
    assert_eq!(replies, [Value::ok(), Value::ok(), Value::Int(2), Value::ok(), Value::bulk("12")]);
    for (name, value) in [("one", "1"), ("two", "12")] {
        let copy = start_on(&binary(), &server.dir().join(name), &[]);
        assert_eq!(value, copy.client().say("GET a").text());
    }
    // In one read, so that the second comes while the first is under way.
    let mut asked = [client.say("CLIENT ID").int(), other.say("CLIENT ID").int()];
    asked.sort_unstable();
    other.send_raw(b"BACKUP three\r\n");
    client.send_raw(b"BACKUP four\r\n");
    let replies = [other.read_value(), client.read_value()];
    let made = replies.iter().filter(|reply| **reply == Value::ok()).count();
    let refused =
        replies.iter().filter_map(Value::error).all(|text| text == "ERR Backup already in progress");
    assert!(0 < made && refused, "{replies:?}");
}

/// The date of a server in milliseconds.
fn date(client: &mut Client) -> i64 {
    let reply = client.say("TIME");
    let [secs, micros] = reply.items() else { panic!("{reply:?}") };
    let number = |value: &Value| value.text().parse::<i64>().expect("a number");
    number(secs) * 1000 + number(micros) / 1000
}

/// The date, which no later record has any more.
fn moment(client: &mut Client) -> i64 {
    let now = date(client);
    wait_until("a millisecond has passed", || now < date(client));
    now
}

const STAMPED: [&str; 4] = ["--appendonly", "yes", "--aof-timestamp-enabled", "yes"];

/// Starts again on the same files, in the past.
fn back_to(server: Server, until: i64) -> Server {
    let until = until.to_string();
    let args: Vec<&str> = STAMPED.into_iter().chain(["--load-until", &until]).collect();
    Server::start_in(&binary(), &args, server.into_folder())
}

fn keys(server: &Server) -> String {
    let mut client = server.client();
    let reply = client.say("KEYS *");
    let mut keys: Vec<String> = reply.items().iter().map(Value::text).collect();
    keys.sort();
    keys.join(" ")
}

#[test]
fn a_start_in_the_past_keeps_what_came_after() {
    if !is_kvick() {
        return println!("skipped: there is no --load-until");
    }
    for rewritten in [false, true] {
        let server = Server::start(&STAMPED);
        let mut client = server.client();
        client.say("SET a 1");
        if rewritten {
            client.say("BGREWRITEAOF");
            wait_until("it is rewritten", || {
                client.say("INFO persistence").text().contains("aof_rewrites:1\r\n")
            });
        }
        client.pipeline(&[vec!["MULTI"], vec!["SET", "b", "1"], vec!["SET", "c", "1"], vec!["EXEC"]]);
        let until = moment(&mut client);
        client.say("SET late 1");
        client.say("DEL a");
        if rewritten {
            assert_eq!(Value::ok(), client.say("BACKUP monday"));
            client.say("SET later 1");
        }
        drop(client);
        let mut server = back_to(server, until);
        assert_eq!("a b c", keys(&server), "{}", server.log());
        check_aof(&server.dir());
        assert_eq!(Value::ok(), server.client().say("SET new 1"));
        let before = server.dir().join(format!("before-load-until-{until}"));
        let copy = start_on(&binary(), &before, &[]);
        assert_eq!(if rewritten { "b c late later" } else { "b c late" }, keys(&copy));
        drop(copy);
        // The option was left where it stands: what was written since stays.
        server.kill9();
        server.restart();
        assert_eq!("a b c new", keys(&server));
        assert!(
            server.log().contains("is ignored: the log was taken back to then already"),
            "{}",
            server.log()
        );
        if rewritten {
            let copy = start_on(&binary(), &server.dir().join("monday"), &[]);
            assert_eq!("b c late", keys(&copy));
        }
        let folder = server.into_folder();
        let mut server = Server::start_in(&reference(), &["--appendonly", "yes"], folder);
        assert_eq!("a b c new", keys(&server), "redis-server reads it, too");
        server.stop();
    }
}

#[test]
fn a_start_in_the_past_reads_the_seconds_of_redis() {
    if !is_kvick() {
        return println!("skipped: there is no --load-until");
    }
    let mut server = Server::start_reference(&STAMPED);
    let mut client = server.client();
    client.say("SET a 1");
    let until = date(&mut client);
    wait_until("a second has passed", || until / 1000 + 1 < date(&mut client) / 1000);
    client.say("SET b 1");
    drop(client);
    server.stop();
    let server = back_to(server, until);
    assert_eq!("a", keys(&server));
}

#[test]
fn a_moment_that_the_log_does_not_know_is_refused() {
    if !is_kvick() {
        return println!("skipped: there is no --load-until");
    }
    let server = Server::start(&STAMPED);
    let mut client = server.client();
    let early = moment(&mut client);
    client.say("SET a 1");
    let known = moment(&mut client);
    assert_eq!(Value::ok(), client.say("CONFIG SET aof-timestamp-enabled no"));
    client.say("SET b 1");
    let unknown = moment(&mut client);
    assert_eq!(Value::ok(), client.say("CONFIG SET aof-timestamp-enabled yes"));
    client.say("SET c 1");
    drop(client);
    let folder = server.into_folder();
    for (until, why) in [
        (early, "what was before it nobody can tell. Start from a backup"),
        (early / 1000, "(It wants milliseconds, and that many are long ago.)"),
        (unknown, "was written without aof-timestamp-enabled, some time after"),
        (known + 1, "was written without aof-timestamp-enabled, some time after"),
    ] {
        let was = files(&folder.path().join("data"));
        is_refused(&folder, &["--appendonly", "yes", "--load-until", &until.to_string()], why);
        assert_eq!(was, files(&folder.path().join("data")));
    }
    is_refused(&folder, &["--load-until", "1", "--appendonly", "no"], "--load-until needs the log");
    is_refused(&folder, &["--load-until", "monday"], "--load-until needs one date, in milliseconds");
    is_refused(&folder, &["--load-until"], "--load-until needs one date, in milliseconds");
    let server = Server::start_in(&binary(), &STAMPED, folder);
    assert_eq!("a b c", keys(&server));
    // Where the last line before it says exactly that.
    let log = fs::read(server.dir().join("appendonlydir/appendonly.aof.1.incr.aof")).expect("a file");
    let log = String::from_utf8_lossy(&log).into_owned();
    let last = log.split("#MS:").nth(1).and_then(|rest| rest.split('\r').next()).expect("a line");
    let server = back_to(server, last.parse().expect("a date"));
    assert_eq!("a", keys(&server));

    let server = Server::start(&["--appendonly", "yes"]);
    server.client().say("SET a 1");
    let now = date(&mut server.client()).to_string();
    let folder = server.into_folder();
    let why = "does not say when its records were written. Set aof-timestamp-enabled yes";
    is_refused(&folder, &["--appendonly", "yes", "--load-until", &now], why);
    let empty = tempfile::tempdir().expect("a directory");
    is_refused(&empty, &["--appendonly", "yes", "--load-until", &now], "there is none yet");
}

fn is_refused(folder: &TempDir, args: &[&str], why: &str) {
    let (code, log) = Server::start_refused(args, folder.path());
    assert!(code == Some(1) && log.contains(why), "{args:?} {code:?}: {log}");
}
