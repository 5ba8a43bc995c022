//! A disk that takes no more, and a log that is switched off and on while it is written.
//!
//! The disk is a limit on the size of files, which `prlimit` sets and takes away while the server runs.

use crate::common::client::encode;
use crate::common::server::is_kvick;
use crate::common::{Client, Server, Value, run, wait_until};
use std::sync::atomic::{AtomicBool, Ordering};

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
