//! Files: dumps and directories of logs that go from one server to another.

use std::fs;
use std::path::Path;

use crate::common::{Client, Server, Value, server, wait_until};
use crate::fill::{Newer, fill};
use crate::{ARGS, digest, figure, ours, peers, with};

const LOGGED: &[&str] = &["--appendonly", "yes", "--aof-use-rdb-preamble", "yes"];

/// Starts a server in the directory of one that is killed.
fn take_over(server: Server, binary: &str, args: &[&str]) -> Server {
    Server::start_in(binary, args, server.into_folder())
}

fn rewrite(client: &mut Client) {
    let before: u64 = figure(client, "aof_rewrites").parse().expect("a number");
    client.say("BGREWRITEAOF");
    wait_until("the rewrite ends", || {
        figure(client, "aof_rewrite_in_progress") == "0"
            && before < figure(client, "aof_rewrites").parse().expect("a number")
    });
    assert_eq!(figure(client, "aof_last_bgrewrite_status"), "ok");
}

/// What a server that has only what Redis 7.0 has can take.
fn readable_by(newer: Newer) -> Newer {
    match newer {
        Newer::Valkey => Newer::Nothing,
        other => other,
    }
}

/// Valkey has another digest of fields with deadlines, and does not read how they are written here.
fn drop_timed(client: &mut Client, newer: Newer) {
    if newer == Newer::Valkey {
        assert_eq!(
            client.cmd(&["HPEXPIRETIME", "h timed", "FIELDS", "1", "field 5"]).items()[0].int(),
            2_000_000_000_001
        );
        assert_eq!(client.cmd(&["DEL", "h timed", "h timed long"]).int(), 2);
    }
}

#[test]
fn dumps_go_both_ways() {
    for (binary, newer) in peers() {
        for more in [&["--rdbcompression", "yes"][..], &["--rdbcompression", "no", "--rdbchecksum", "no"]] {
            let args = with(more);
            let theirs = Server::start_binary(&binary, &args);
            let mut client = theirs.client();
            fill(&mut client, newer);
            client.say("SET gone 1 PX 1");
            wait_until("it expires", || client.say("GET gone").is_null());
            assert_eq!(client.say("SAVE"), Value::ok());
            drop_timed(&mut client, newer);
            let expected = digest(&mut client);
            let kvick = take_over(theirs, &server::binary(), &args);
            let mut client = kvick.client();
            drop_timed(&mut client, newer);
            assert_eq!(digest(&mut client), expected, "{binary} {more:?}");
            let expected = digest(&mut client);
            assert_eq!(client.say("SAVE"), Value::ok());
            let theirs = take_over(kvick, &binary, &args);
            assert_eq!(digest(&mut theirs.client()), expected, "back to {binary} {more:?}");
        }
    }
}

#[test]
fn default_directories_of_logs_go_both_ways() {
    for (binary, newer) in peers() {
        let args = with(LOGGED);
        let mut theirs = Server::start_binary(&binary, &args);
        let mut client = theirs.client();
        fill(&mut client, readable_by(newer));
        rewrite(&mut client);
        client.say("RPUSH l more");
        client.say("SET s short2");
        let expected = digest(&mut client);
        // Stopped, not killed: it puts off writing its log while a sync is under way.
        theirs.stop();
        let kvick = take_over(theirs, &server::binary(), &args);
        let mut client = kvick.client();
        assert_eq!(digest(&mut client), expected, "{binary}");
        client.say("RPUSH l more");
        rewrite(&mut client);
        client.say("RPUSH l even more");
        let expected = digest(&mut client);
        let log = kvick.dir().join("appendonlydir");
        let bases: Vec<_> = fs::read_dir(&log)
            .expect("a directory")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.contains(".base."))
            .collect();
        assert_eq!(bases, ["appendonly.aof.3.base.rdb"], "{binary}");
        let theirs = take_over(kvick, &binary, &args);
        assert_eq!(digest(&mut theirs.client()), expected, "back to {binary}");
    }
}

/// A server from before there were manifests writes one file, whose beginning may be an RDB file.
#[test]
fn a_single_log_with_a_preamble_is_taken_in() {
    let theirs = Server::start_reference(ARGS);
    let mut client = theirs.client();
    fill(&mut client, Newer::Nothing);
    client.say("SAVE");
    client.say("RPUSH l more");
    client.say("SELECT 3");
    client.say("SET a 2");
    let expected = digest(&mut client);
    let folder = theirs.into_folder();
    let data = folder.path().join("data");
    let mut log = fs::read(data.join("dump.rdb")).expect("a dump");
    for line in ["SELECT 0", "RPUSH l more", "SELECT 3", "SET a 2"] {
        log.extend(crate::common::client::encode(&line.split(' ').collect::<Vec<_>>()));
    }
    fs::remove_file(data.join("dump.rdb")).expect("removed");
    fs::write(data.join("appendonly.aof"), log).expect("written");
    let args = with(LOGGED);
    let mut kvick = Server::start_in(&server::binary(), &args, folder);
    assert_eq!(digest(&mut kvick.client()), expected);
    kvick.restart();
    assert_eq!(digest(&mut kvick.client()), expected);
    rewrite(&mut kvick.client());
    kvick.restart();
    assert_eq!(digest(&mut kvick.client()), expected);
}

/// Redis would begin with nothing, and write over the dump some time later.
#[test]
fn a_log_that_begins_beside_a_dump_begins_with_its_data() {
    let kvick = ours(ARGS);
    let mut client = kvick.client();
    client.say("RPUSH l x y z");
    client.say("SET soon 1 PX 50");
    client.say("SAVE");
    let folder = kvick.into_folder();
    let args = with(&["--appendonly", "yes"]);
    let mut kvick = Server::start_in(&server::binary(), &args, folder);
    let mut client = kvick.client();
    assert_eq!(client.say("LLEN l"), Value::Int(3));
    // What had expired in the dump is told of in the log, so that what follows under its name stands.
    wait_until("it expires", || client.say("GET soon").is_null());
    client.say("RPUSH soon list");
    client.say("RPUSH l more");
    let expected = digest(&mut client);
    assert!(kvick.dir().join("dump.rdb").exists());
    assert!(kvick.dir().join("appendonlydir/appendonly.aof.1.base.rdb").exists());
    kvick.kill9();
    kvick.restart();
    assert_eq!(digest(&mut kvick.client()), expected);
    // Now that there is a log the dump is not looked at.
    let mut client = kvick.client();
    client.say("DEL l");
    let expected = digest(&mut client);
    kvick.restart();
    assert_eq!(digest(&mut kvick.client()), expected);
}

/// The base of a log that is an RDB file ends in a checksum: it is whole or refused, and stays as it is.
#[test]
fn a_base_that_is_damaged_is_refused() {
    let args = with(LOGGED);
    let kvick = ours(&args);
    let mut client = kvick.client();
    client.say("RPUSH l x y z");
    rewrite(&mut client);
    client.say("RPUSH l more");
    let expected = digest(&mut client);
    let base = kvick.dir().join("appendonlydir/appendonly.aof.1.base.rdb");
    let folder = kvick.into_folder();
    let whole = fs::read(&base).expect("a base");
    for cut in [0, 3, 9, 20, whole.len() - 9, whole.len() - 1] {
        fs::write(&base, &whole[..cut]).expect("written");
        let (code, log) = Server::start_refused(&args, folder.path());
        assert_eq!(code, Some(1), "cut at {cut}: {log}");
        assert_eq!(fs::read(&base).expect("still there"), whole[..cut]);
    }
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    fs::write(&base, &altered).expect("written");
    let (code, log) = Server::start_refused(&args, folder.path());
    assert!(code == Some(1) && log.contains("opens with an RDB file that cannot be loaded"), "{log}");
    fs::write(&base, &whole).expect("written");
    let kvick = Server::start_in(&server::binary(), &args, folder);
    assert_eq!(digest(&mut kvick.client()), expected);
    // The tools that come with the real server agree, and ours.
    let manifest = kvick.dir().join("appendonlydir/appendonly.aof.manifest");
    for (program, words) in [("redis-check-aof", &[][..]), (&server::binary(), &["check-aof"])] {
        let words: Vec<&str> = words.iter().copied().chain([manifest.to_str().expect("text")]).collect();
        let output = crate::common::run(program, &words, b"");
        assert!(output.status.success(), "{program}: {}", crate::common::text(&output.stdout));
    }
    let output = crate::common::run("redis-check-rdb", &[base.to_str().expect("text")], b"");
    assert!(output.status.success(), "{}", crate::common::text(&output.stdout));
}

#[test]
fn what_is_not_here_is_refused_by_name() {
    let header = b"REDIS0010";
    let module = [&[0xf7, 0x81][..], &0x1234_5678_9abc_def0u64.to_be_bytes(), &[2, 0]].concat();
    let rows: [(Vec<u8>, &str); 6] = [
        ([&header[..], &[0xf5, 3], b"lib"].concat(), "a library of functions"),
        ([&header[..], &module].concat(), "data of the module type"),
        ([&header[..], &[7, 1], b"k", &module[1..]].concat(), "data of the module type"),
        (b"REDIS0099\xff".to_vec(), "version 99"),
        (b"REDIS00x1\xff".to_vec(), "no RDB file begins so"),
        ([&header[..], &[0xfe, 40, 0], b"\x01k\x01v"].concat(), "it has a database 40, but only 16"),
    ];
    for (bytes, text) in rows {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("data")).expect("created");
        fs::write(folder.path().join("data/dump.rdb"), &bytes).expect("written");
        let (code, log) = Server::start_refused(ARGS, folder.path());
        assert!(code == Some(1) && log.contains(text), "{text}: {log}");
        assert_eq!(fs::read(folder.path().join("data/dump.rdb")).expect("still there"), bytes);
        assert!(!Path::new(&folder.path().join("data/appendonlydir")).exists());
    }
}
