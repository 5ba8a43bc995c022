//! A disk that takes no more, and a log that is switched off and on while it is written.
//!
//! The disk is a limit on the size of files, which `prlimit` sets and takes away while the server runs; and a small file
//! system of its own, where whoever runs the tests may mount one.

use crate::common::client::encode;
use crate::common::server::is_kvick;
use crate::common::{Client, Server, Value, poll_until, run, server, wait_until};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Files may grow to so many bytes, or to any size.
fn limit_files(server: &Server, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let output = run("prlimit", &["--pid", &server.pid().to_string(), &limit], b"");
    assert!(output.status.success(), "prlimit {limit}");
}

fn rewrite_is_over(client: &mut Client) -> bool {
    let info = client.say("INFO persistence").text();
    info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
}

fn has_failed(client: &mut Client) -> bool {
    client.say("INFO persistence").text().contains("aof_last_write_status:err")
}

#[test]
fn a_full_disk_stops_writes_keeps_reads_and_heals_by_itself() {
    if !is_kvick() {
        return println!("skipped: redis-server acknowledges what it could not write, or exits");
    }
    for policy in ["always", "everysec", "no"] {
        let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", policy]);
        let (mut client, mut writer) = (server.client(), server.client());
        assert_eq!(Value::ok(), client.say("SET before v"));
        limit_files(&server, "1000");
        // The first write that does not fit has changed the data: it is answered when it is in the file.
        let value = "x".repeat(2000);
        writer.send_raw(&encode(&["SET", "held", &value]));
        wait_until("the disk has failed", || has_failed(&mut client));
        let refusal = client.say("SET probe v");
        let text = refusal.error().expect("refused");
        assert!(text.starts_with("MISCONF Errors writing to the AOF file: cannot write "), "{text}");
        assert!(text.contains("File too large"), "{text}");
        assert_eq!("v", client.say("GET before").text());
        assert!(!writer.has_reply(), "{policy}: acknowledged without being written");
        limit_files(&server, "unlimited");
        assert_eq!(Value::ok(), writer.read_value());
        wait_until("writes are taken again", || client.say("SET after v").error().is_none());
        server.kill9();
        server.restart();
        let mut client = server.client();
        assert_eq!(Value::Int(3), client.say("EXISTS before held after"), "{policy}");
        assert_eq!(2000, client.say("STRLEN held").int());
    }
}

#[test]
fn a_full_disk_does_not_keep_the_server_from_stopping() {
    if !is_kvick() {
        return println!("skipped: redis-server exits with 0");
    }
    let mut server = Server::start(&["--appendonly", "yes"]);
    let (mut client, mut writer) = (server.client(), server.client());
    assert_eq!(Value::ok(), client.say("SET before v"));
    limit_files(&server, "1000");
    writer.send_raw(&encode(&["SET", "held", &"x".repeat(2000)]));
    wait_until("the disk has failed", || has_failed(&mut client));
    let refusal = client.say("SHUTDOWN");
    assert_eq!(Some("ERR Errors trying to SHUTDOWN. Check logs."), refusal.error());
    // A signal is obeyed; that something was lost, though never acknowledged, is in the code and the log.
    assert_eq!(Some(1), server.stop());
    assert_eq!(b"", &writer.read_to_end()[..]);
    server.restart();
    assert_eq!(Value::Int(1), server.client().say("EXISTS before held"));
}

#[test]
fn a_full_disk_does_not_keep_the_log_on() {
    if !is_kvick() {
        return println!("skipped: redis-server acknowledges what it could not write");
    }
    let server = Server::start(&["--appendonly", "yes"]);
    let (mut client, mut writer) = (server.client(), server.client());
    limit_files(&server, "1000");
    writer.send_raw(&encode(&["SET", "held", &"x".repeat(2000)]));
    wait_until("the disk has failed", || has_failed(&mut client));
    assert_eq!(Value::ok(), client.say("CONFIG SET appendonly no"));
    assert_eq!(Value::ok(), writer.read_value());
    assert_eq!(Value::ok(), client.say("SET probe v"));
}

#[test]
fn the_log_is_switched_off_and_on_and_between_policies_while_it_is_written() {
    let mut server = Server::start(&["--appendonly", "yes"]);
    let stop = AtomicBool::new(false);
    let counts: Vec<i64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (mut client, stop) = (server.client(), &stop);
                scope.spawn(move || {
                    let mut last = 0;
                    while !stop.load(Ordering::Relaxed) {
                        last = client.say(&format!("INCR n{writer}")).int();
                    }
                    last
                })
            })
            .collect();
        let mut client = server.client();
        for round in 0..3 {
            assert_eq!(Value::ok(), client.say("CONFIG SET appendonly no"));
            assert_eq!(Value::ok(), client.say("CONFIG SET appendonly yes"));
            if round == 1 {
                // While the child still writes the first base.
                assert_eq!(Value::ok(), client.say("CONFIG SET appendonly no"));
                assert_eq!(Value::ok(), client.say("CONFIG SET appendonly yes"));
            }
            wait_until("the log has a base", || rewrite_is_over(&mut client));
            for policy in ["always", "no", "everysec", "always", "everysec"] {
                assert_eq!(Value::ok(), client.cmd(&["CONFIG", "SET", "appendfsync", policy]));
                let before = client.say("GET n0");
                wait_until("writes go on", || client.say("GET n0") != before);
            }
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("a writer")).collect()
    });
    server.kill9();
    server.restart();
    let mut client = server.client();
    for (writer, count) in counts.iter().enumerate() {
        assert_eq!(count.to_string(), client.say(&format!("GET n{writer}")).text());
    }
}

/// A file system in memory, gone with the test; to be dropped after the server on it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one; nothing if that is not allowed.
    fn mount(at: &Path) -> Option<SmallDisk> {
        let path = at.to_str().expect("a plain path");
        let mounted = run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", path], b"").status.success();
        mounted.then(|| SmallDisk(at.to_path_buf()))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("a file");
        for size in [64 << 10, 4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.to_str().expect("a plain path")], b"");
    }
}

#[test]
fn a_file_system_without_room_refuses_writes_and_heals_within_a_tick() {
    if !is_kvick() {
        return println!("skipped: redis-server acknowledges what it could not write, or exits");
    }
    for policy in ["always", "everysec", "no"] {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("data")).expect("made");
        let Some(disk) = SmallDisk::mount(&folder.path().join("data")) else {
            return println!("skipped: nothing may be mounted here");
        };
        let args = ["--appendonly", "yes", "--appendfsync", policy];
        let mut server = Server::start_in(&server::binary(), &args, folder);
        let (mut client, mut writer) = (server.client(), server.client());
        assert_eq!(Value::ok(), client.say("SET before v"));
        disk.fill();
        let value = "x".repeat(5000);
        writer.send_raw(&encode(&["SET", "held", &value]));
        wait_until("the disk has failed", || has_failed(&mut client));
        for number in 0..100 {
            let refusal = client.cmd(&["SET", &format!("k{number}"), &value]);
            let text = refusal.error().expect("refused");
            assert!(text.starts_with("MISCONF ") && text.contains("No space left on device"), "{text}");
        }
        assert_eq!("v", client.say("GET before").text());
        let info = client.say("INFO").text();
        let waiting =
            info.lines().find_map(|line| line.strip_prefix("aof_buffer_length:")).expect("a figure");
        assert!(waiting.trim().parse::<usize>().expect("a number") < 6000, "{waiting} bytes wait");
        rewrites_fail_and_back_off(&mut client, &disk);
        assert!(!writer.has_reply(), "{policy}: acknowledged without being written");
        disk.empty();
        let heals = poll_until(Duration::from_secs(1), || client.say("SET after v").error().is_none());
        assert!(heals, "{policy}: there has been room for a second");
        assert_eq!(Value::ok(), writer.read_value());
        server.kill9();
        server.restart();
        assert_eq!(Value::Int(3), server.client().say("EXISTS before held after"), "{policy}");
        drop(server);
    }
}

/// A rewrite on a full disk leaves nothing behind, and is not tried again at once, though the log has grown.
fn rewrites_fail_and_back_off(client: &mut Client, disk: &SmallDisk) {
    assert_eq!(
        Value::ok(),
        client.say("CONFIG SET auto-aof-rewrite-min-size 1 auto-aof-rewrite-percentage 1")
    );
    client.say("BGREWRITEAOF");
    wait_until("the rewrite has failed", || {
        rewrite_is_over(client)
            && client.say("INFO persistence").text().contains("aof_last_bgrewrite_status:err")
    });
    let log = fs::read_dir(disk.0.join("appendonlydir")).expect("the log");
    let names: Vec<_> = log.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.starts_with("temp-")), "{names:?}");
    let failures = failed_rewrites(client);
    assert!(0 < failures);
    // Ten ticks, each of which would try.
    let is_tried = poll_until(Duration::from_secs(1), || failures < failed_rewrites(client));
    assert!(!is_tried, "it is tried again at once");
    assert_eq!(Value::ok(), client.say("CONFIG SET auto-aof-rewrite-percentage 0"));
}

fn failed_rewrites(client: &mut Client) -> u64 {
    let info = client.say("INFO persistence").text();
    let count = info.lines().find_map(|line| line.strip_prefix("aof_rewrites_consecutive_failures:"));
    count.expect("a figure").trim().parse().expect("a number")
}
