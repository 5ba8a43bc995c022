//! The binary as a process: what a user, an init system and the tools that come with Redis see of it.

mod common;
#[path = "server/backup.rs"]
mod backup;
#[path = "server/disk.rs"]
mod disk;
#[path = "server/memory.rs"]
mod memory;
#[path = "server/network.rs"]
mod network;
#[path = "server/syncs.rs"]
mod syncs;
#[path = "server/tools.rs"]
mod tools;

use common::server::{binary, free_port, is_kvick, signal};
use common::{Client, Server, Value, run, text, wait_until};
use std::fs;

const LOGGED: &[&str] = &["--appendonly", "yes", "--appendfsync", "everysec"];

#[test]
fn the_log_tells_version_port_pid_and_readiness_in_this_order() {
    let server = Server::start(&["--always-show-logo", "yes"]);
    let log = server.log();
    let marks = [
        "version".to_string(),
        format!("Port: {}", server.port()),
        format!("PID: {}", server.pid()),
        "Server initialized".to_string(),
        "Ready to accept connections".to_string(),
    ];
    let places: Vec<_> =
        marks.iter().map(|m| log.find(m.as_str()).unwrap_or_else(|| panic!("no {m:?} in\n{log}"))).collect();
    assert!(places.is_sorted(), "{marks:?} are at {places:?} in\n{log}");
    let lines = log.lines().filter(|line| line.contains("Ready to accept connections"));
    for line in lines {
        let prefix = format!("{}:M ", server.pid());
        assert!(line.starts_with(&prefix), "a log line begins with pid and role: {line}");
        assert!(line.contains(" * "), "a notice is marked with a star: {line}");
    }
}

#[test]
fn sigterm_ends_it_with_code_0_and_the_data_are_there_after_it() {
    let mut server = Server::start(LOGGED);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.say("SET k v"));
    assert_eq!(Value::Int(2), client.say("RPUSH l a b"));
    assert_eq!(Value::ok(), client.say("SELECT 3"));
    assert_eq!(Value::ok(), client.say("SET third v3"));
    assert_eq!(Some(0), server.stop());
    let log = server.log();
    assert!(log.contains("User requested shutdown..."), "{log}");
    assert!(log.contains("bye bye..."), "{log}");
    server.restart();
    let mut client = server.client();
    assert_eq!("v", client.say("GET k").text());
    assert_eq!(2, client.say("LLEN l").int());
    client.say("SELECT 3");
    assert_eq!("v3", client.say("GET third").text());
}

#[test]
fn sigint_twice_ends_it_in_any_case() {
    let mut server = Server::start(LOGGED);
    assert_eq!(Value::ok(), server.client().say("SET k v"));
    // The first one may end it before the second one arrives, so the second may fail to be sent.
    let pid = server.pid().to_string();
    run("sh", &["-c", "kill -INT $0; kill -INT $0", &pid], b"");
    let status = server.wait();
    assert!(matches!(status.code(), Some(0 | 1)), "{status:?}");
    server.restart();
    assert_eq!("v", server.client().say("GET k").text());
}

#[test]
fn shutdown_closes_all_connections_and_ends_with_code_0() {
    let mut server = Server::start(LOGGED);
    let (mut client, mut other) = (server.client(), server.client());
    other.say("SET k v");
    client.send_raw(b"SHUTDOWN NOSAVE\r\n");
    assert_eq!(b"", &client.read_to_end()[..]);
    assert_eq!(b"", &other.read_to_end()[..]);
    assert_eq!(Some(0), server.wait().code());
    server.restart();
    assert_eq!("v", server.client().say("GET k").text());
}

#[test]
fn an_unknown_directive_is_fatal_with_the_line_and_code_1() {
    let folder = tempfile::tempdir().expect("a directory");
    let (code, log) = Server::start_refused(&["--nosuch", "1"], folder.path());
    assert_eq!(Some(1), code, "{log}");
    for part in
        ["*** FATAL CONFIG FILE ERROR", ">>> 'nosuch \"1\"'", "Bad directive or wrong number of arguments"]
    {
        assert!(log.contains(part), "no {part:?} in\n{log}");
    }
}

#[test]
fn wrong_values_are_fatal_with_the_reason_and_code_1() {
    for (directive, value, reason) in [
        ("--port", "abc", "argument couldn't be parsed into an integer"),
        ("--port", "70000", "argument must be between 0 and 65535 inclusive"),
        ("--appendfsync", "sometimes", "argument(s) must be one of the following: "),
        ("--appendonly", "maybe", "argument must be 'yes' or 'no'"),
        ("--maxmemory", "12zb", "argument must be a memory value"),
    ] {
        let folder = tempfile::tempdir().expect("a directory");
        let (code, log) = Server::start_refused(&[directive, value], folder.path());
        assert_eq!(Some(1), code, "{directive} {value}: {log}");
        assert!(log.contains(reason), "{directive} {value}: no {reason:?} in\n{log}");
    }
}

#[test]
fn a_configuration_file_that_is_not_there_is_fatal() {
    let folder = tempfile::tempdir().expect("a directory");
    let (code, log) = Server::start_refused(&["/nonexistent/kvick.conf"], folder.path());
    assert_eq!(Some(1), code, "{log}");
    assert!(log.contains("Fatal error, can't open config file '/nonexistent/kvick.conf'"), "{log}");
    assert!(log.contains("No such file or directory"), "{log}");
}

#[test]
fn an_unknown_directive_in_a_file_is_told_with_its_line_number() {
    let folder = tempfile::tempdir().expect("a directory");
    let config = folder.path().join("kvick.conf");
    fs::write(&config, "# a comment\n\nhz 10\nbogus yes\n").expect("a file");
    let (code, log) = Server::start_refused(&[config.to_str().expect("utf-8")], folder.path());
    assert_eq!(Some(1), code, "{log}");
    assert!(log.contains("at line 4\n>>> 'bogus yes'\n"), "{log}");
}

#[test]
fn a_configuration_file_is_read_and_arguments_override_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let config = folder.path().join("kvick.conf");
    fs::write(&config, "timeout 77\nport 1\nMaxMemory 5mb # is 5242880\nrequirepass \"p w\\x21\"\n").ok();
    let text = fs::read_to_string(&config).expect("a file").replace(" # is 5242880", "");
    fs::write(&config, text).expect("a file");
    let server = Server::start_in(&binary(), &[config.to_str().expect("utf-8"), "--timeout", "78"], folder);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.cmd(&["AUTH", "p w!"]));
    let settings = [("timeout", "78"), ("maxmemory", "5242880"), ("port", &server.port().to_string())];
    for (name, value) in settings {
        let pair = Value::Array(vec![Value::bulk(name), Value::bulk(value)]);
        assert_eq!(pair, client.cmd(&["CONFIG", "GET", name]));
    }
}

#[test]
fn a_dash_reads_the_configuration_from_standard_input() {
    let folder = tempfile::tempdir().expect("a directory");
    fs::write(folder.path().join("stdin"), "timeout 76\n").expect("a file");
    let server = Server::start_in(&binary(), &["-"], folder);
    let pair = Value::Array(vec![Value::bulk("timeout"), Value::bulk("76")]);
    assert_eq!(pair, server.client().say("CONFIG GET timeout"));
}

#[test]
fn the_stock_configuration_of_debian_is_taken() {
    const STOCK: &str = "/etc/redis/redis.conf";
    if fs::metadata(STOCK).is_err() {
        return println!("skipped: no {STOCK} here");
    }
    let args = ["--daemonize", "no", "--logfile", "", "--pidfile", "redis.pid", "--appendonly", "yes"];
    let mut server = Server::start(&[&[STOCK], &args[..]].concat());
    assert_eq!(Value::ok(), server.client().say("SET k v"));
    server.kill9();
    server.restart();
    assert_eq!("v", server.client().say("GET k").text());
}

#[test]
fn the_pid_file_is_there_while_it_runs() {
    let mut server = Server::start(&["--pidfile", "kvick.pid"]);
    let path = server.dir().join("kvick.pid");
    // Its place is relative to the directory it was started in or to `dir`, as Redis has it: after the change to `dir`.
    assert_eq!(server.pid().to_string(), fs::read_to_string(&path).expect("a pid file").trim());
    assert_eq!(Some(0), server.stop());
    assert!(!path.exists(), "the pid file is still there");
}

#[test]
fn the_log_file_takes_the_log() {
    let server = Server::start(&["--logfile", "here.log"]);
    let path = server.dir().join("here.log");
    let found = |what: &str| fs::read_to_string(&path).is_ok_and(|log| log.contains(what));
    wait_until("the log file tells of readiness", || found("Ready to accept connections"));
    assert!(!server.log().contains("Ready to accept connections"), "it still logs to standard output");
}

#[test]
fn daemonize_leaves_a_server_behind_and_returns() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name).to_str().expect("utf-8").to_string();
    let port = free_port().to_string();
    let (pid_file, log_file) = (path("pid"), path("log"));
    let args =
        ["--daemonize", "yes", "--port", &port, "--dir", &path(""), "--save", "", "--bind", "127.0.0.1"];
    let files = ["--pidfile", &pid_file, "--logfile", &log_file];
    let output = run(&binary(), &[&args[..], &files[..]].concat(), b"");
    assert_eq!(Some(0), output.status.code(), "{}", text(&output.stderr));
    let port = port.parse().expect("a number");
    let mut client = None;
    wait_until("the daemon listens", || {
        client = Client::try_connect("127.0.0.1", port).ok();
        client.is_some()
    });
    let mut client = client.expect("connected");
    assert_eq!(Value::Status("PONG".into()), client.say("PING"));
    let pid: u32 = text(&fs::read(&pid_file).expect("a pid file")).parse().expect("a pid");
    signal(pid, "TERM");
    assert_eq!(b"", &client.read_to_end()[..]);
    wait_until("the pid file is gone", || !fs::exists(&pid_file).expect("a directory to look into"));
}

#[test]
fn version_and_help_are_told_without_a_server() {
    for option in ["--version", "-v"] {
        let output = run(&binary(), &[option], b"");
        assert_eq!(Some(0), output.status.code());
        assert!(text(&output.stdout).contains("v="), "{}", text(&output.stdout));
    }
    let output = run(&binary(), &["--help"], b"");
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(all.contains("Usage:") && all.contains("--port"), "{all}");
}

#[test]
fn data_are_in_the_layout_that_redis_has() {
    let mut server = Server::start(LOGGED);
    server.client().say("SET k v");
    let folder = server.dir().join("appendonlydir");
    let manifest = fs::read_to_string(folder.join("appendonly.aof.manifest")).expect("a manifest");
    // What begins in # is a comment there; ours is the checksum.
    for line in manifest.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        assert!(matches!(words[..], ["file", _, "seq", _, "type", "b" | "i"]), "{line}");
        assert!(folder.join(words[1]).exists(), "{line}");
    }
    assert_eq!(Some(0), server.stop());
}

#[test]
fn either_server_takes_over_the_directory_of_the_other() {
    let reference = common::server::reference();
    for (first, second) in [(binary(), reference.clone()), (reference, binary())] {
        // A base in text, not in the format of a dump, is what both read.
        let args: Vec<&str> = LOGGED.iter().copied().chain(["--aof-use-rdb-preamble", "no"]).collect();
        let server = Server::start_binary(&first, &args);
        let mut client = server.client();
        for n in 0..100 {
            client.say(&format!("SET k{n} {n}"));
            client.say(&format!("RPUSH l {n}"));
        }
        client.say("EXPIRE k1 100000");
        client.say("BGREWRITEAOF");
        wait_until("the rewrite is done", || {
            let info = client.say("INFO persistence").text();
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
        });
        client.say("SELECT 2");
        client.say("SET late v");
        let deadline = client.say("SELECT 0").error().is_none().then(|| client.say("PEXPIRETIME k1"));
        let server = Server::start_in(&second, &args, server.into_folder());
        let mut client = server.client();
        assert_eq!(101, client.say("DBSIZE").int(), "{first} to {second}");
        assert_eq!(100, client.say("LLEN l").int());
        assert_eq!(deadline, Some(client.say("PEXPIRETIME k1")));
        client.say("SELECT 2");
        assert_eq!("v", client.say("GET late").text());
    }
}

/// What a server with a log and one key has left behind.
fn folder_with_one_key() -> tempfile::TempDir {
    let server = Server::start(LOGGED);
    server.client().say("SET k v");
    server.into_folder()
}

#[test]
fn an_empty_directory_beside_our_data_is_refused() {
    if !is_kvick() {
        return println!("skipped: only kvick looks for data that it would leave behind");
    }
    let folder = folder_with_one_key();
    // The same directory, another name for the log: nothing is there under it, but data that look like ours are.
    let args = [LOGGED, &["--appenddirname", "elsewhere"]].concat();
    let (code, log) = Server::start_refused(&args, folder.path());
    assert_eq!(Some(1), code, "{log}");
    assert!(log.contains("appendonlydir"), "the log does not tell where the data are\n{log}");
}

#[test]
fn a_log_whose_manifest_is_gone_is_refused_with_the_way_out() {
    if !is_kvick() {
        return println!("skipped: redis-server begins a new log beside the data");
    }
    let folder = folder_with_one_key();
    let manifest = folder.path().join("data/appendonlydir/appendonly.aof.manifest");
    let text = fs::read(&manifest).expect("a manifest");
    fs::remove_file(&manifest).expect("removed");
    let (code, log) = Server::start_refused(LOGGED, folder.path());
    assert_eq!(Some(1), code, "{log}");
    assert!(log.contains("is there but the manifest") && log.contains("Restore"), "{log}");
    fs::write(&manifest, text).expect("restored");
    let server = Server::start_in(&binary(), LOGGED, folder);
    assert_eq!(1, server.client().say("DBSIZE").int());
}

#[test]
fn a_log_is_not_switched_on_over_another_data_set() {
    if !is_kvick() {
        return println!("skipped: redis-server replaces the other log");
    }
    let folder = folder_with_one_key();
    let mut server = Server::start_in(&binary(), &["--appendonly", "no"], folder);
    let reply = server.client().say("CONFIG SET appendonly yes");
    let text = reply.error().expect("refused");
    assert!(text.contains("that this server has not loaded") && text.contains("Restart with"), "{text}");
    server.kill9();
    let server = Server::start_in(&binary(), LOGGED, server.into_folder());
    assert_eq!(1, server.client().say("DBSIZE").int());
}

#[test]
fn who_creates_the_directory_of_a_new_log_means_it() {
    if !is_kvick() {
        return println!("skipped: only kvick looks for data that it would leave behind");
    }
    let folder = folder_with_one_key();
    fs::create_dir(folder.path().join("data/elsewhere")).expect("a directory");
    let args = [LOGGED, &["--appenddirname", "elsewhere"]].concat();
    let server = Server::start_in(&binary(), &args, folder);
    assert_eq!(0, server.client().say("DBSIZE").int());
}

#[test]
fn two_servers_do_not_write_one_log() {
    if !is_kvick() {
        return println!("skipped: redis-server takes any directory");
    }
    let mut server = Server::start(LOGGED);
    server.client().say("SET k v");
    let folder = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(server.dir(), folder.path().join("data")).expect("a link");
    let (code, log) = Server::start_refused(LOGGED, folder.path());
    assert_eq!(Some(1), code, "{log}");
    assert!(log.contains("another server is using the log in"), "{log}");
    // Neither the other's attempt nor a child of ours leaves a claim behind.
    server.client().say("BGREWRITEAOF");
    server.kill9();
    server.restart();
    assert_eq!("v", server.client().say("GET k").text());
    // A log of its own beside that of a running server is no mistake.
    let args = [LOGGED, &["--appenddirname", "second"]].concat();
    let second = Server::start_in(&binary(), &args, folder);
    assert_eq!(0, second.client().say("DBSIZE").int());
}
