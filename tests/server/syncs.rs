//! Syncs of the real server that take as long as the test wants, or fail.
//!
//! The server runs with a library of a few lines before the C library, which asks the files of a directory what is to
//! become of a sync: while `held.PID` is there the syncs of that process wait, and while `fail` is there all fail.

use crate::common::client::encode;
use crate::common::server::is_kvick;
use crate::common::{Client, Server, Value, run, server, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static int sync_as_told(long number, int fd) {
    char path[4096];
    snprintf(path, sizeof path, "%s/held.%d", FOLDER, getpid());
    while (access(path, F_OK) == 0) usleep(1000);
    snprintf(path, sizeof path, "%s/fail", FOLDER);
    if (access(path, F_OK) == 0) { errno = EIO; return -1; }
    return syscall(number, fd);
}

int fsync(int fd) { return sync_as_told(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_as_told(SYS_fdatasync, fd); }
"#;

/// Reads while a sync is waited for; each would wait as well if the loop did.
const READS: usize = 1000;

/// A server and what becomes of its syncs.
struct Syncs {
    server: Server,
    orders: PathBuf,
}

impl Syncs {
    /// Nothing if there is no compiler.
    fn start(policy: &str) -> Option<Syncs> {
        let folder = tempfile::tempdir().expect("a directory");
        let orders = folder.path().join("orders");
        fs::create_dir(&orders).expect("made");
        let (source, library) = (folder.path().join("syncs.c"), folder.path().join("syncs.so"));
        fs::write(&source, LIBRARY).expect("written");
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let define = format!("-DFOLDER=\"{}\"", text(&orders));
        let args = ["-shared", "-fPIC", "-o", &text(&library), &define, &text(&source)];
        let is_there = std::process::Command::new("cc").arg("--version").output().is_ok();
        if !is_there {
            println!("skipped: there is no C compiler");
            return None;
        }
        assert!(run("cc", &args, b"").status.success());
        let script = folder.path().join("server.sh");
        let line = format!("#!/bin/sh\nLD_PRELOAD={} exec {} \"$@\"\n", text(&library), server::binary());
        fs::write(&script, line).expect("written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("made to run");
        let args = ["--appendonly", "yes", "--appendfsync", policy];
        let server = Server::start_in(&text(&script), &args, folder);
        Some(Syncs { server, orders })
    }

    fn order(&self, name: &str) {
        fs::write(self.orders.join(name), "").expect("ordered");
    }

    fn revoke(&self, name: &str) {
        fs::remove_file(self.orders.join(name)).expect("revoked");
    }

    /// The order that has the syncs of the server wait, but not those of its children.
    fn held(&self) -> String {
        format!("held.{}", self.server.pid())
    }
}

fn says(client: &mut Client, what: &str) -> bool {
    client.say("INFO persistence").text().contains(what)
}

#[test]
fn a_sync_that_hangs_stops_nobody_who_reads_and_is_shown() {
    if !is_kvick() {
        return println!("skipped: redis-server waits for its disk");
    }
    for policy in ["always", "everysec"] {
        let Some(syncs) = Syncs::start(policy) else { return };
        let (mut client, mut writer) = (syncs.server.client(), syncs.server.client());
        assert_eq!(Value::ok(), client.say("SET before v"));
        syncs.order(&syncs.held());
        writer.send_raw(&encode(&["SET", "held", "v"]));
        wait_until("a sync hangs", || says(&mut client, "aof_pending_bio_fsync:1"));
        for _ in 0..READS {
            assert_eq!("v", client.say("GET before").text());
        }
        let info = client.say("INFO persistence").text();
        assert!(info.contains("aof_pending_bio_fsync:1"), "it is the same sync");
        wait_until("it is shown since when", || {
            let info = client.say("INFO persistence").text();
            let since = info.lines().find_map(|line| line.strip_prefix("kvick_aof_fsync_running_ms:"));
            20 < since.expect("a figure").trim().parse::<u64>().expect("a number")
        });
        assert_eq!(policy == "everysec", writer.has_reply(), "{policy}");
        syncs.revoke(&syncs.held());
        assert_eq!(Value::ok(), writer.read_value());
    }
}

#[test]
fn a_failed_sync_is_not_acknowledged_before_it_is_healed_and_nobody_who_reads_waits_for_that() {
    if !is_kvick() {
        return println!("skipped: redis-server ends when a sync fails");
    }
    let Some(mut syncs) = Syncs::start("always") else { return };
    let (mut client, mut writer) = (syncs.server.client(), syncs.server.client());
    assert_eq!(Value::ok(), client.say("SET before v"));
    syncs.order("fail");
    writer.send_raw(&encode(&["SET", "held", "v"]));
    wait_until("the disk has failed", || says(&mut client, "aof_last_write_status:err"));
    let refusal = client.say("SET probe v");
    let text = refusal.error().expect("refused");
    assert!(text.starts_with("MISCONF ") && text.contains("Input/output error"), "{text}");
    wait_until("a child has failed, too", || says(&mut client, "aof_last_bgrewrite_status:err"));
    // The disk is well again, only very slow for the server itself.
    syncs.order(&syncs.held());
    syncs.revoke("fail");
    wait_until("it heals", || {
        says(&mut client, "aof_pending_bio_fsync:1") && says(&mut client, "aof_rewrite_in_progress:1")
    });
    for _ in 0..READS {
        assert_eq!("v", client.say("GET before").text());
    }
    assert!(!writer.has_reply(), "acknowledged before it is on disk");
    assert!(says(&mut client, "aof_last_write_status:err"));
    syncs.revoke(&syncs.held());
    assert_eq!(Value::ok(), writer.read_value());
    wait_until("writes are taken again", || client.say("SET after v").error().is_none());
    syncs.server.kill9();
    syncs.server.restart();
    assert_eq!(Value::Int(3), syncs.server.client().say("EXISTS before held after"));
}
