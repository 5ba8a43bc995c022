//! What is said and what comes back: the commands about the server itself, from `CONFIG` to `SHUTDOWN`.

use std::io::IoSlice;

use crate::base::date::UnixMs;
use crate::base::quote::split_words;
use crate::config::Settings;
use crate::engine::Engine;
use crate::resp::request::Request;
use crate::state::ask::Ask;
use crate::state::session::Session;

/// A server with one client.
struct Talk {
    engine: Engine,
    token: usize,
}

impl Talk {
    fn new() -> Talk {
        let mut engine = Engine::new(Settings::default(), 7);
        engine.set_now(UnixMs(1_700_000_000_000));
        let token = engine.open_session(Session::default());
        Talk { engine, token }
    }

    /// The reply, with bars for line ends.
    fn say(&mut self, line: &str) -> String {
        let words = split_words(line.as_bytes()).expect("a line");
        let request = Request::new(words.iter().map(Vec::as_slice));
        self.engine.enter(self.token);
        let prepared = self.engine.prepare(self.token, request.args());
        self.engine.run(self.token, request.args(), prepared);
        self.engine.leave(self.token);
        let output = std::mem::take(&mut self.engine.state.sessions[self.token].output);
        let mut slices = [IoSlice::new(&[]); 64];
        let used = output.slices(usize::MAX, &mut slices);
        let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
        String::from_utf8_lossy(&bytes).replace("\r\n", "|")
    }

    fn check(&mut self, script: &[(&str, &str)]) {
        for (line, reply) in script {
            assert_eq!(self.say(line), *reply, "{line}");
        }
    }

    /// What the line asks of the floor `io`; it must not have replied then.
    fn wish(&mut self, line: &str) -> Ask {
        assert_eq!(self.say(line), "", "{line}");
        self.engine.state.ask.take().expect("a wish")
    }

    fn resp3(&mut self) {
        self.engine.state.sessions[self.token].resp3 = true;
    }
}

#[test]
fn saving_stopping_modules_users() {
    let mut talk = Talk::new();
    talk.check(&[
        ("BGSAVE SCHEDULE x", "-ERR syntax error|"),
        ("BGSAVE x", "-ERR syntax error|"),
        ("LASTSAVE", ":0|"),
        ("SAVE x", "-ERR wrong number of arguments for 'save' command|"),
        ("BGREWRITEAOF x", "-ERR wrong number of arguments for 'bgrewriteaof' command|"),
        ("BGREWRITEAOF schedule x", "-ERR wrong number of arguments for 'bgrewriteaof' command|"),
        ("SHUTDOWN x", "-ERR syntax error|"),
        ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error|"),
        ("SHUTDOWN ABORT NOW", "-ERR syntax error|"),
        ("SHUTDOWN ABORT", "-ERR No shutdown in progress.|"),
        ("MODULE LIST", "*0|"),
        ("MODULE LOAD x", "-ERR MODULE LOAD is not supported by kvick: there are no modules|"),
        ("MODULE foo", "-ERR unknown subcommand 'foo'. Try MODULE HELP.|"),
        ("ACL WHOAMI", "$7|default|"),
        ("ACL NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try ACL HELP.|"),
    ]);
    assert!(talk.wish("SAVE") == Ask::Save);
    assert!(talk.wish("BGSAVE") == Ask::SaveInBackground { schedule: false });
    assert!(talk.wish("bgsave schedule") == Ask::SaveInBackground { schedule: true });
    assert!(talk.wish("BGSAVE CANCEL") == Ask::CancelSave);
    assert!(talk.wish("SHUTDOWN SAVE") == Ask::Shutdown { save: Some(true), now: false, force: false });
    assert!(talk.wish("BGREWRITEAOF") == Ask::RewriteLog { schedule: false });
    assert!(talk.wish("BGREWRITEAOF schedule") == Ask::RewriteLog { schedule: true });
    assert!(talk.wish("SHUTDOWN") == Ask::Shutdown { save: None, now: false, force: false });
    let all = Ask::Shutdown { save: Some(false), now: true, force: true };
    assert!(talk.wish("shutdown nosave NOW FORCE NOSAVE") == all);
    talk.engine.state.shutting_down = true;
    assert!(talk.wish("SHUTDOWN ABORT") == Ask::AbortShutdown);
}

#[test]
fn every_container_has_its_help() {
    let mut talk = Talk::new();
    for name in ["ACL", "COMMANDLOG", "CONFIG", "LATENCY", "MEMORY", "MODULE", "SLOWLOG"] {
        let help = talk.say(&format!("{name} HELP"));
        let start = format!("|+{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:|+");
        assert!(help.contains(&start) && help.contains("|+HELP|+    Print this help."), "{help}");
        assert_eq!(
            talk.say(name),
            format!("-ERR wrong number of arguments for '{}' command|", name.to_lowercase())
        );
    }
}

#[test]
fn config_get() {
    let mut talk = Talk::new();
    talk.check(&[
        ("CONFIG GET MaxMemory", "*2|$9|MaxMemory|$1|0|"),
        ("CONFIG GET maxmemory-s* hz HZ", "*4|$17|maxmemory-samples|$1|5|$2|hz|$2|10|"),
        ("CONFIG GET nosuch \"\\xff\"", "*0|"),
        ("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command|"),
    ]);
    talk.resp3();
    talk.check(&[("CONFIG GET hz", "%1|$2|hz|$2|10|")]);
}

#[test]
fn config_set_changes_all_or_nothing_and_asks_for_the_rest() {
    let mut talk = Talk::new();
    talk.check(&[
        ("CONFIG SET hz", "-ERR wrong number of arguments for 'config|set' command|"),
        ("CONFIG SET hz 20 timeout", "-ERR syntax error|"),
        ("CONFIG SET hz 20 foo 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'|"),
        (
            "CONFIG SET hz 20 hz 30",
            "-ERR CONFIG SET failed (possibly related to argument 'hz') - duplicate parameter|",
        ),
        (
            "CONFIG SET dir /tmp",
            "-ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config|",
        ),
        (
            "CONFIG SET requirepass \"\\xff\"",
            "-ERR CONFIG SET failed (possibly related to argument 'requirepass') - argument must be UTF-8|",
        ),
        ("CONFIG SET hz 10", "+OK|"),
        ("CONFIG GET hz", "*2|$2|hz|$2|10|"),
    ]);
    assert!(talk.engine.state.ask.is_none());
    let Ask::ApplySettings { changed, before } = talk.wish("CONFIG SET hz 20 Timeout 5 maxmemory 0") else {
        panic!("a change of settings")
    };
    assert_eq!((changed, before.timeout), (vec!["hz", "timeout"], 0));
    talk.check(&[("CONFIG GET hz timeout", "*4|$2|hz|$2|20|$7|timeout|$1|5|")]);
}

#[test]
fn protected_directives_are_for_this_machine_only() {
    let mut settings = Settings::default();
    settings.enable_protected_configs = crate::config::Access::Local;
    for (addr, unix, allowed) in [
        ("127.0.0.1:5", false, true),
        ("[::1]:5", false, true),
        ("/run/kvick.sock:0", true, true),
        ("10.0.0.1:5", false, false),
        ("[fe80::1]:5", false, false),
    ] {
        let mut talk = Talk::new();
        talk.engine.state.settings = settings.clone();
        talk.engine.state.sessions[talk.token].addr = addr.to_owned();
        talk.engine.state.sessions[talk.token].unix = unix;
        assert_eq!(talk.say("CONFIG SET dir /tmp").is_empty(), allowed, "{addr}");
    }
}

#[test]
fn config_rewrite_needs_a_file() {
    let mut talk = Talk::new();
    talk.check(&[("CONFIG REWRITE", "-ERR The server is running without a config file|")]);
    talk.engine.state.identity.config_file = String::from("/etc/kvick.conf");
    assert!(talk.wish("CONFIG REWRITE") == Ask::RewriteConfig);
}

#[test]
fn config_resetstat_leaves_the_slow_log() {
    let mut talk = Talk::new();
    talk.say("GET missing");
    talk.say("nosuch");
    let state = &mut talk.engine.state;
    state.stats.count_call(0, 1000, true);
    state.slowlog.add(1, 2, [&b"x"[..]].into_iter(), ("", b""), 10);
    state.persistence.delayed_fsync = 3;
    assert_eq!(talk.engine.keys.counters.misses, 1);
    talk.check(&[("CONFIG RESETSTAT", "+OK|"), ("SLOWLOG LEN", ":1|")]);
    let state = &talk.engine.state;
    assert_eq!((state.stats.error_replies, state.stats.commands_processed), (0, 0));
    assert!(state.stats.errors.is_empty() && state.stats.commands[0].histogram.is_none());
    assert_eq!((talk.engine.keys.counters.misses, state.persistence.delayed_fsync), (0, 0));
}

#[test]
fn slow_log() {
    let mut talk = Talk::new();
    for n in 0..12 {
        let args: [&[u8]; 2] = [b"GET", b"k"];
        talk.engine.state.slowlog.add(100 + n, 20_000, args.into_iter(), ("10.0.0.1:7", b"me"), 128);
    }
    let entry = "*6|:11|:111|:20000|*2|$3|GET|$1|k|$10|10.0.0.1:7|$2|me|";
    let range = "-ERR count should be greater than or equal to -1|";
    let types = "-ERR type should be one of the following: slow, large-request, large-reply|";
    talk.check(&[
        ("SLOWLOG LEN", ":12|"),
        ("SLOWLOG GET 1", &format!("*1|{entry}")),
        ("COMMANDLOG GET 1 Slow", &format!("*1|{entry}")),
        ("SLOWLOG GET 0", "*0|"),
        ("SLOWLOG GET -2", range),
        ("SLOWLOG GET x", range),
        ("COMMANDLOG GET x foo", range),
        (
            "SLOWLOG get 1 2",
            "-ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.|",
        ),
        ("COMMANDLOG GET 1", "-ERR wrong number of arguments for 'commandlog|get' command|"),
        ("COMMANDLOG GET 1 foo", types),
        ("COMMANDLOG LEN foo", types),
        ("COMMANDLOG RESET foo", types),
        ("COMMANDLOG LEN LARGE-reply", ":0|"),
        ("COMMANDLOG LEN slow", ":12|"),
    ]);
    let word = [&b"x"[..]];
    talk.engine.state.large_requests.add(1, 71, word.into_iter(), ("", b""), 9);
    talk.engine.state.large_replies.add(2, 72, word.into_iter(), ("", b""), 9);
    talk.check(&[
        ("COMMANDLOG GET -1 Large-Request", "*1|*6|:0|:1|:71|*1|$1|x|$0||$0||"),
        ("COMMANDLOG GET 1 large-reply", "*1|*6|:0|:2|:72|*1|$1|x|$0||$0||"),
        ("COMMANDLOG RESET LARGE-REQUEST", "+OK|"),
        ("COMMANDLOG LEN large-request", ":0|"),
        ("COMMANDLOG LEN large-reply", ":1|"),
        ("COMMANDLOG RESET large-reply", "+OK|"),
        ("COMMANDLOG GET 1 large-reply", "*0|"),
    ]);
    assert!(talk.say("SLOWLOG GET").starts_with("*10|*6|:11|"));
    assert!(talk.say("SLOWLOG GET -1").starts_with("*12|*6|:11|"));
    talk.check(&[("SLOWLOG RESET", "+OK|"), ("SLOWLOG GET", "*0|"), ("COMMANDLOG RESET slow", "+OK|")]);
}

#[test]
fn latency() {
    let mut talk = Talk::new();
    talk.check(&[
        ("LATENCY LATEST", "*0|"),
        ("LATENCY HISTORY x", "*0|"),
        ("LATENCY RESET", ":0|"),
        ("LATENCY GRAPH x", "-ERR No samples available for event 'x'|"),
        ("LATENCY HISTOGRAM", "*0|"),
        ("LATENCY HISTOGRAM get nosuch", "*0|"),
        ("LATENCY GRAPH", "-ERR wrong number of arguments for 'latency|graph' command|"),
    ]);
    assert!(talk.say("LATENCY DOCTOR").contains("latency monitoring is off"));
    talk.engine.state.settings.latency_monitor_threshold = 5;
    assert!(talk.say("LATENCY DOCTOR").contains("Nothing has taken 5 ms or longer so far."));
    let latency = &mut talk.engine.state.latency;
    [(1, 10), (1, 30), (1, 20), (9, 7)].iter().for_each(|(at, ms)| latency.add("command", *at, *ms));
    latency.add("fork", 5, 8);
    talk.check(&[
        ("LATENCY LATEST", "*2|*4|$7|command|:9|:7|:30|*4|$4|fork|:5|:8|:8|"),
        ("LATENCY HISTORY COMMAND", "*2|*2|:1|:30|*2|:9|:7|"),
    ]);
    talk.resp3();
    assert!(
        talk.say("LATENCY GRAPH Fork").contains("|txt:fork - high 8 ms, low 8 ms (all time high 8 ms)\n---")
    );
    assert!(talk.say("LATENCY DOCTOR").contains("lower slowlog-log-slower-than"));
    talk.check(&[("LATENCY RESET a Fork fork", ":1|"), ("LATENCY RESET", ":1|"), ("LATENCY LATEST", "*0|")]);
}

#[test]
fn latency_histogram() {
    let mut talk = Talk::new();
    let number =
        |name: &str| crate::command::registry::commands().by_full_name(name.as_bytes()).expect("known");
    let stats = &mut talk.engine.state.stats;
    for nanos in [900, 1500, 1600, 5_000_000] {
        stats.count_call(number("get"), nanos, true);
    }
    stats.count_call(number("config|get"), 30_000, true);
    stats.count_call(number("set"), 30_000, false);
    let get = "$3|get|*4|$5|calls|:4|$14|histogram_usec|*6|:1|:1|:2|:3|:8454|:4|";
    let config = "$10|config|get|*4|$5|calls|:1|$14|histogram_usec|*2|:33|:1|";
    talk.check(&[
        ("LATENCY HISTOGRAM GET nosuch set", &format!("*2|{get}")),
        ("LATENCY HISTOGRAM config", &format!("*2|{config}")),
        ("LATENCY HISTOGRAM config|get get", &format!("*4|{config}{get}")),
        ("LATENCY HISTOGRAM", &format!("*4|{get}{config}")),
    ]);
    talk.resp3();
    talk.check(&[(
        "LATENCY HISTOGRAM config",
        "%1|$10|config|get|%2|$5|calls|:1|$14|histogram_usec|%1|:33|:1|",
    )]);
}

#[test]
fn memory_usage() {
    let mut talk = Talk::new();
    talk.say("SET key value");
    talk.say("SET later value PX 1000");
    talk.check(&[
        ("MEMORY USAGE missing", "$-1|"),
        ("MEMORY USAGE", "-ERR wrong number of arguments for 'memory|usage' command|"),
        ("MEMORY USAGE key SAMPLES", "-ERR syntax error|"),
        ("MEMORY USAGE key SAMPLES -1", "-ERR syntax error|"),
        ("MEMORY USAGE key SAMPLES x", "-ERR value is not an integer or out of range|"),
        ("MEMORY USAGE key foo 1", "-ERR syntax error|"),
        ("MEMORY USAGE key SAMPLES 0 x", "-ERR syntax error|"),
    ]);
    let mut bytes = |line: &str| {
        let reply = talk.say(line);
        reply.trim_matches([':', '|']).parse::<usize>().unwrap_or_else(|_| panic!("{line}: {reply}"))
    };
    let plain = bytes("MEMORY USAGE key");
    assert!((24..64).contains(&plain), "{plain}");
    assert_eq!(bytes("MEMORY USAGE key SAMPLES 0 samples 5"), plain);
    assert!(plain + 16 <= bytes("MEMORY USAGE later"));
    let misses = talk.engine.keys.counters.misses;
    talk.say("MEMORY USAGE missing");
    assert_eq!(talk.engine.keys.counters.misses, misses, "it is no read");
    talk.engine.set_now(UnixMs(1_700_000_001_000));
    talk.check(&[("MEMORY USAGE later", "$-1|")]);
}

#[test]
fn memory_reports() {
    let mut talk = Talk::new();
    talk.say("SET key value");
    talk.engine.state.process.rss_bytes = 1 << 20;
    let stats = talk.say("MEMORY STATS");
    for field in ["total.allocated|:", "keys.count|:1|", "db.0|*4|$23|overhead.hashtable.main|:64|"] {
        assert!(stats.contains(field), "{field}: {stats}");
    }
    assert!(talk.wish("MEMORY PURGE") == Ask::Purge);
    talk.check(&[("MEMORY MALLOC-STATS", "$45|Stats not supported for the current allocator|")]);
    talk.resp3();
    let stats = talk.say("MEMORY STATS");
    assert!(stats.starts_with("%23|$14|peak.allocated|:") && stats.contains("peak.percentage|,"), "{stats}");
    assert!(talk.say("MEMORY DOCTOR").contains("|txt:"));
}

#[test]
fn info_shows_sections_once_and_in_its_own_order() {
    let mut talk = Talk::new();
    let mut titles = |line: &str| {
        let reply = talk.say(line);
        let titles: Vec<String> =
            reply.split('|').filter_map(|part| Some(part.strip_prefix("# ")?.to_lowercase())).collect();
        titles.join(" ")
    };
    let default =
        "server clients memory persistence threads stats replication cpu modules errorstats cluster keyspace";
    let all = default.replace("errorstats", "commandstats errorstats latencystats turns");
    for line in ["INFO", "INFO default", "INFO nosuch DEFAULT server"] {
        assert_eq!(titles(line), default, "{line}");
    }
    for line in ["INFO ALL", "info cpu everything"] {
        assert_eq!(titles(line), all, "{line}");
    }
    assert_eq!(titles("INFO keyspace CPU cpu"), "cpu keyspace");
    talk.check(&[
        ("INFO nosuch", "$0||"),
        ("INFO cluster", "$30|# Cluster|cluster_enabled:0||"),
        ("INFO modules", "$11|# Modules||"),
    ]);
    talk.resp3();
    talk.check(&[("INFO cluster", "=34|txt:# Cluster|cluster_enabled:0||")]);
}
