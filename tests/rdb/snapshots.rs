//! Snapshots: by whom they are written, when, and what becomes of them when something goes wrong.

use std::fs;

use crate::common::{Client, Server, Value, wait_until};
use crate::{ARGS, digest, figure, ours, with};

/// A child that takes long: it rests after each key.
const SLOW: &[&str] = &["--rdb-key-save-delay", "1000000"];

fn filled(args: &[&str], keys: usize) -> (Server, Client) {
    let server = ours(args);
    let mut client = server.client();
    client.say(&format!("DEBUG POPULATE {keys}"));
    (server, client)
}

fn names(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(server.dir()).expect("a directory");
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[test]
fn saving_and_its_figures() {
    let (mut server, mut client) = filled(ARGS, 100);
    assert_eq!(figure(&mut client, "rdb_changes_since_last_save"), "100");
    let started = client.say("LASTSAVE").int();
    assert_eq!(client.say("SAVE"), Value::ok());
    assert!(started <= client.say("LASTSAVE").int());
    assert_eq!(figure(&mut client, "rdb_changes_since_last_save"), "0");
    client.say("SET a 1");
    assert_eq!(client.say("BGSAVE"), Value::Status("Background saving started".into()));
    wait_until("the child ends", || figure(&mut client, "rdb_bgsave_in_progress") == "0");
    assert_eq!(figure(&mut client, "rdb_last_bgsave_status"), "ok");
    assert_eq!(figure(&mut client, "rdb_changes_since_last_save"), "0");
    assert_eq!(figure(&mut client, "rdb_saves"), "2");
    assert_eq!(names(&server), ["dump.rdb"]);
    let expected = digest(&mut client);
    server.kill9();
    server.restart();
    let mut client = server.client();
    assert_eq!(digest(&mut client), expected);
    assert_eq!(figure(&mut client, "rdb_last_load_keys_loaded"), "101");
    assert_eq!(client.say("BGSAVE NOW").error(), Some("ERR syntax error"));
    assert_eq!(client.say("SAVE x").error(), Some("ERR wrong number of arguments for 'save' command"));
}

#[test]
fn one_child_at_a_time() {
    let (server, mut client) = filled(&with(SLOW), 100);
    let none = "ERR Background saving is currently not in progress or scheduled";
    assert_eq!(client.say("BGSAVE CANCEL").error(), Some(none));
    client.say("BGSAVE");
    let busy = Some("ERR Background save already in progress");
    assert_eq!(client.say("BGSAVE").error(), busy);
    assert_eq!(client.say("BGSAVE SCHEDULE").error(), busy);
    assert_eq!(client.say("SAVE").error(), busy);
    assert_eq!(figure(&mut client, "rdb_bgsave_in_progress"), "1");
    assert_eq!(client.say("BGSAVE CANCEL"), Value::Status("Background saving cancelled".into()));
    assert_eq!(figure(&mut client, "rdb_bgsave_in_progress"), "0");
    assert_eq!(figure(&mut client, "rdb_last_bgsave_status"), "ok");
    assert_eq!(names(&server), Vec::<String>::new());
}

/// The process numbers of the children of a process.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_child_that_is_killed_leaves_the_old_file_whole() {
    let (mut server, mut client) = filled(ARGS, 100);
    client.say("SAVE");
    let expected = digest(&mut client);
    let old = fs::read(server.dir().join("dump.rdb")).expect("a dump");
    client.say("CONFIG SET rdb-key-save-delay 1000000");
    client.say("SET a 1");
    client.say("BGSAVE");
    let is_written = |server: &Server| names(server).iter().any(|name| name.starts_with("temp-"));
    wait_until("it writes", || is_written(&server));
    for child in children(server.pid()) {
        crate::common::server::signal(child, "KILL");
    }
    wait_until("it is noticed", || figure(&mut client, "rdb_bgsave_in_progress") == "0");
    assert_eq!(figure(&mut client, "rdb_last_bgsave_status"), "err");
    assert_eq!(names(&server), ["dump.rdb"]);
    assert_eq!(fs::read(server.dir().join("dump.rdb")).expect("a dump"), old);
    // Now the server itself, with its child.
    client.say("BGSAVE");
    wait_until("it writes", || is_written(&server));
    server.kill9();
    server.restart();
    assert_eq!(digest(&mut server.client()), expected);
}

#[test]
fn writes_are_refused_after_a_snapshot_that_failed() {
    let args = with(&["--save", "3600 1", "--enable-protected-configs", "yes"]);
    let (server, mut client) = filled(&args, 10);
    // A directory under the name of the file: nothing can be put in its place.
    let blocked = server.dir().join("blocked");
    fs::create_dir_all(blocked.join("x")).expect("created");
    client.say("CONFIG SET dbfilename blocked");
    client.say("BGSAVE");
    wait_until("the child ends", || figure(&mut client, "rdb_bgsave_in_progress") == "0");
    assert_eq!(figure(&mut client, "rdb_last_bgsave_status"), "err");
    let refused = |reply: Value| {
        reply.error().is_some_and(|text| text.starts_with("MISCONF Redis is configured to save"))
    };
    assert!(refused(client.say("SET a 1")) && refused(client.say("PING")));
    assert!(client.say("GET a").is_null());
    assert_eq!(client.say("SAVE").error(), Some("ERR"));
    client.say("CONFIG SET stop-writes-on-bgsave-error no");
    assert_eq!(client.say("SET a 1"), Value::ok());
    client.say("CONFIG SET stop-writes-on-bgsave-error yes");
    assert!(refused(client.say("SET a 1")));
    assert_eq!(client.say("SHUTDOWN").error(), Some("ERR Errors trying to SHUTDOWN. Check logs."));
    client.say("CONFIG SET dbfilename dump.rdb");
    assert_eq!(client.say("SAVE"), Value::ok());
    assert_eq!(client.say("SET a 1"), Value::ok());
}

#[test]
fn who_shuts_down_saves_as_the_points_and_the_words_say() {
    for (save, words, kept) in [
        ("", "SHUTDOWN", false),
        ("", "SHUTDOWN SAVE", true),
        ("3600 1", "SHUTDOWN", true),
        ("3600 1", "SHUTDOWN NOSAVE", false),
        ("3600 1", "SIGTERM", true),
        ("", "SIGTERM", false),
    ] {
        let args = with(&[]).into_iter().chain(["--save", save]).collect::<Vec<_>>();
        let (mut server, mut client) = filled(&args, 10);
        match words {
            "SIGTERM" => assert_eq!(server.stop(), Some(0)),
            words => {
                client.send_raw(&crate::common::client::encode(&words.split(' ').collect::<Vec<_>>()));
                assert!(server.wait().success());
            }
        }
        assert_eq!(server.dir().join("dump.rdb").exists(), kept, "{save:?} {words}");
        server.restart();
        assert_eq!(server.client().say("DBSIZE"), Value::Int(if kept { 10 } else { 0 }));
    }
}

#[test]
fn save_points_are_kept() {
    let (server, mut client) = filled(&with(&["--save", "1 5"]), 4);
    client.say("SET a 1");
    wait_until("a snapshot is due and written", || server.dir().join("dump.rdb").exists());
    wait_until("the child ends", || figure(&mut client, "rdb_changes_since_last_save") == "0");
    // Points that are set later count what has changed before.
    assert_eq!(client.say("CONFIG SET save "), Value::ok());
    client.say("SET a 2");
    assert_eq!(client.cmd(&["CONFIG", "SET", "save", "3600 100 1 1"]), Value::ok());
    wait_until("the second point is due", || figure(&mut client, "rdb_changes_since_last_save") == "0");
    assert_eq!(figure(&mut client, "rdb_saves"), "2");
}

#[test]
fn reload_keeps_everything() {
    for more in [&["--appendonly", "yes"][..], &["--appendonly", "no"]] {
        let server = ours(&with(more));
        let mut client = server.client();
        crate::fill::fill(&mut client, crate::fill::Newer::Redis);
        let expected = digest(&mut client);
        assert_eq!(client.say("DEBUG RELOAD"), Value::ok());
        assert_eq!(digest(&mut client), expected);
    }
    let server = ours(ARGS);
    let mut client = server.client();
    client.say("SET a 1");
    assert!(client.say("DEBUG RELOAD NOSAVE").error().is_some());
    assert_eq!(client.say("GET a"), Value::bulk("1"));
    client.say("SAVE");
    client.say("SET a 2");
    assert_eq!(client.say("DEBUG RELOAD NOSAVE"), Value::ok());
    assert_eq!(client.say("GET a"), Value::bulk("1"));
}
