//! Settings against Redis's words: recorded ones always, and those of a real `redis-server` where there is
//! one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kvick::config::{self, AppendFsync, Mode, Problem, SavePoint, SetError, Settings, Share};

/// What Debian's `/etc/redis/redis.conf` sets.
const DEBIAN: &str = r#"
bind 127.0.0.1 -::1
protected-mode yes
port 6379
tcp-backlog 511
timeout 0
tcp-keepalive 300
daemonize yes
pidfile /run/redis/redis-server.pid
loglevel notice
logfile /var/log/redis/redis-server.log
databases 16
always-show-logo no
set-proc-title yes
proc-title-template "{title} {listen-addr} {server-mode}"
stop-writes-on-bgsave-error yes
rdbcompression yes
rdbchecksum yes
dbfilename dump.rdb
rdb-del-sync-files no
dir /var/lib/redis
replica-serve-stale-data yes
replica-read-only yes
repl-diskless-sync yes
repl-diskless-sync-delay 5
repl-diskless-sync-max-replicas 0
repl-diskless-load disabled
repl-disable-tcp-nodelay no
replica-priority 100
acllog-max-len 128
lazyfree-lazy-eviction no
lazyfree-lazy-expire no
lazyfree-lazy-server-del no
replica-lazy-flush no
lazyfree-lazy-user-del no
lazyfree-lazy-user-flush no
oom-score-adj no
oom-score-adj-values 0 200 800
disable-thp yes
appendonly no
appendfilename "appendonly.aof"
appenddirname "appendonlydir"
appendfsync everysec
no-appendfsync-on-rewrite no
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
aof-load-truncated yes
aof-use-rdb-preamble yes
aof-timestamp-enabled no
slowlog-log-slower-than 10000
slowlog-max-len 128
latency-monitor-threshold 0
notify-keyspace-events ""
hash-max-listpack-entries 512
hash-max-listpack-value 64
list-max-listpack-size -2
list-compress-depth 0
set-max-intset-entries 512
zset-max-listpack-entries 128
zset-max-listpack-value 64
hll-sparse-max-bytes 3000
stream-node-max-bytes 4096
stream-node-max-entries 100
activerehashing yes
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit replica 256mb 64mb 60
client-output-buffer-limit pubsub 32mb 8mb 60
hz 10
dynamic-hz yes
aof-rewrite-incremental-fsync yes
rdb-save-incremental-fsync yes
jemalloc-bg-thread yes
"#;

/// What Redis 8.0, Valkey 8.1 and Valkey 9.1 know and Redis 7.0 does not show, with their defaults.
const NEWER_OR_HIDDEN: &str = r#"
active-defrag-cycle-us 500
aof-rewrite-cpulist ""
availability-zone ""
bgsave-cpulist ""
bio-cpulist ""
cluster-announce-client-ipv4 ""
cluster-announce-client-ipv6 ""
cluster-announce-client-port 0
cluster-announce-client-tls-port 0
cluster-announce-human-nodename ""
cluster-blacklist-ttl 60
cluster-compatibility-sample-ratio 0
cluster-config-save-behavior sync
cluster-databases 1
cluster-manual-failover-timeout 5000
cluster-slot-migration-log-max-len 1000
cluster-slot-stats-enabled no
commandlog-execution-slower-than 10000
commandlog-large-reply-max-len 128
commandlog-large-request-max-len 128
commandlog-reply-larger-than 1048576
commandlog-request-larger-than 1048576
commandlog-slow-execution-max-len 128
dual-channel-replication-enabled no
extended-redis-compatibility no
hash-seed ""
hide-user-data-from-log no
import-mode no
locale-collate ""
log-format legacy
log-timestamp-format legacy
max-new-connections-per-cycle 10
max-new-tls-connections-per-cycle 1
mptcp no
prefetch-batch-max-size 16
primaryauth ""
primaryuser ""
rdb-version-check strict
rdma-bind ""
rdma-completion-vector -1
rdma-port 0
rdma-rx-size 1048576
repl-mptcp no
replica-full-sync-buffer-limit 0
server-cpulist ""
set-max-listpack-entries 128
set-max-listpack-value 64
slot-migration-max-failover-repl-bytes 0
tls-auth-clients-user off
tls-auto-reload-interval 0
unixsocketgroup ""
cluster-message-gossip-perc 10
cluster-ping-interval 0
debug-context ""
enable-debug-assert no
events-per-io-thread 2
io-threads-always-active no
key-load-delay 0
loading-process-events-interval-bytes 524288
lua-enable-deprecated-api no
lua-enable-insecure-api no
min-io-threads-avoid-copy-reply 7
min-string-size-avoid-copy-reply 16384
min-string-size-avoid-copy-reply-threaded 65536
rdb-key-save-delay 0
repl-rdb-channel yes
use-exit-on-panic no
watchdog-period 0
list-max-ziplist-entries 5
list-max-ziplist-value 5
lua-replicate-commands yes
"#;

fn no_include(path: &str) -> Result<String, String> {
    Err(format!("nothing to include: {path}"))
}

fn load(text: &str) -> Result<Settings, Problem> {
    let mut settings = Settings::default();
    config::load(text, &mut settings, &mut no_include).map(|_| settings)
}

fn loaded(text: &str) -> Settings {
    load(text).unwrap_or_else(|problem| panic!("{problem}"))
}

fn get(settings: &Settings, name: &str) -> String {
    let found = settings.get(&[name]);
    assert_eq!(found.len(), 1, "{name}");
    found[0].1.clone()
}

#[test]
fn the_stock_file_of_debian_loads() {
    let mut settings = Settings::default();
    let notices = config::load(DEBIAN, &mut settings, &mut no_include).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(settings.bind, ["127.0.0.1", "-::1"]);
    assert_eq!(settings.dir, "/var/lib/redis");
    assert!(settings.daemonize && !settings.appendonly);
    assert_eq!(settings.appendfsync, AppendFsync::Everysec);
    assert_eq!(settings.client_output_buffer_limit.replica.hard, 256 << 20);
    let reasons: Vec<&str> = notices.iter().map(|notice| notice.reason).collect();
    let mut once = reasons.clone();
    once.dedup();
    assert_eq!(reasons, once);
    assert!(notices.iter().any(|notice| notice.names.contains(&"replica-priority")));
    assert!(!notices.iter().any(|notice| notice.names.contains(&"port")));
}

#[test]
fn what_other_versions_know_is_known() {
    loaded(NEWER_OR_HIDDEN);
}

#[test]
fn values_are_typed() {
    let settings = loaded(
        "PORT 7000\n  maxmemory\t1gb \nsave 900 1\nsave 300 10\nunixsocketperm 770\nmaxmemory-clients 5%\n\
         lua-time-limit 7\nrename-command KEYS \"\"\nrename-command get 'GETX'\nrequirepass \"a\\x41 b\"\n\
         shutdown-on-sigint nosave force\nclient-output-buffer-limit slave 1mb 2kb 3\nhz 9999\n\
         latency-tracking-info-percentiles 50 99.95\nbind \"\"\ntimeout 5\ntimeout 6\n",
    );
    assert_eq!((settings.port, settings.maxmemory, settings.timeout), (7000, 1 << 30, 6));
    assert_eq!(get(&settings, "hz"), "500");
    assert_eq!(settings.save, [(900, 1), (300, 10)].map(|(seconds, changes)| SavePoint { seconds, changes }));
    assert_eq!(settings.unixsocketperm, Mode(0o770));
    assert_eq!(settings.maxmemory_clients, Share::Percent(5));
    assert_eq!(get(&settings, "busy-reply-threshold"), "7");
    assert_eq!(settings.requirepass, "aA b");
    assert_eq!(get(&settings, "shutdown-on-sigint"), "nosave force");
    assert_eq!(settings.client_output_buffer_limit.replica.soft, 2048);
    assert_eq!(settings.latency_tracking_info_percentiles, [50.0, 99.95]);
    assert!(settings.bind.is_empty());
    let renamed: Vec<(&str, &str)> =
        settings.rename_command.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(renamed, [("KEYS", ""), ("get", "GETX")]);
}

#[test]
fn save_points_replace_the_default_then_add_up() {
    assert_eq!(get(&loaded(""), "save"), "3600 1 300 100 60 10000");
    assert_eq!(get(&loaded("save 1 2\nsave 3 4"), "save"), "1 2 3 4");
    assert_eq!(get(&loaded("save 1 2\nsave \"\"\nsave \"5 6\""), "save"), "5 6");
    assert_eq!(get(&loaded("save"), "save"), "");
}

#[test]
fn a_problem_reads_as_redis_says_it() {
    let problem = load("# one\n\n  portt 7000  \nport 1").err().expect("a problem");
    assert_eq!(
        problem.to_string(),
        format!(
            "\n*** FATAL CONFIG FILE ERROR (kvick {}) ***\nReading the configuration file, at line 3\n\
             >>> 'portt 7000'\nBad directive or wrong number of arguments\nDid you mean 'port'?",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[test]
fn a_problem_leaves_the_settings_alone() {
    let mut settings = Settings::default();
    assert!(config::load("port 1\nport x", &mut settings, &mut no_include).is_err());
    assert!(settings == Settings::default());
}

/// Lines that Redis 7.0 refuses, with its words.
const BAD_LINES: &[(&str, &str)] = &[
    ("completely-else 5", "Bad directive or wrong number of arguments"),
    ("\"\" foo", "Bad directive or wrong number of arguments"),
    ("include", "Bad directive or wrong number of arguments"),
    ("rename-command a", "Bad directive or wrong number of arguments"),
    ("port", "wrong number of arguments"),
    ("port 1 2", "wrong number of arguments"),
    ("port abc", "argument couldn't be parsed into an integer"),
    ("port \"\"", "argument couldn't be parsed into an integer"),
    ("port 070", "argument couldn't be parsed into an integer"),
    ("port +7", "argument couldn't be parsed into an integer"),
    ("port 70000", "argument must be between 0 and 65535 inclusive"),
    ("daemonize maybe", "argument must be 'yes' or 'no'"),
    ("maxmemory foo", "argument must be a memory value"),
    ("maxmemory -5", "argument must be a memory value"),
    ("maxmemory 1.5gb", "argument must be a memory value"),
    ("maxmemory-clients 200%", "percentage argument must be less or equal to 100"),
    ("maxmemory-clients x", "argument must be a memory or percent value"),
    ("logfile \"abc", "Unbalanced quotes in configuration line"),
    ("port \"70\"x", "Unbalanced quotes in configuration line"),
    ("save 1", "Invalid save parameters"),
    ("save a b", "Invalid save parameters"),
    ("save 0 1", "Invalid save parameters"),
    ("save 1 2 3", "Invalid save parameters"),
    ("client-output-buffer-limit normal 0 0", "Wrong number of arguments in buffer limit configuration."),
    ("client-output-buffer-limit foo 0 0 0", "Invalid client class specified in buffer limit configuration."),
    (
        "client-output-buffer-limit normal 0 0 -1",
        "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
    ),
    ("bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "Too many bind addresses specified."),
    ("unixsocketperm 999", "argument couldn't be parsed as an octal number"),
    ("unixsocketperm 1777", "argument must be between 0 and 777 inclusive"),
    ("notify-keyspace-events Q", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
    ("replicaof 1", "wrong number of arguments"),
    ("replicaof h 99999", "Invalid master port"),
    ("oom-score-adj-values 1", "wrong number of arguments"),
    (
        "oom-score-adj-values 0 1 3000",
        "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
    ),
    ("appendfsync x", "argument(s) must be one of the following: everysec, always, no"),
    ("enable-debug-command x", "argument(s) must be one of the following: no, yes, local"),
    (
        "maxmemory-policy x",
        "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, \
         volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction",
    ),
    ("shutdown-on-sigint x", "argument(s) must be one of the following: default, save, nosave, now, force"),
    ("shutdown-on-sigint save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
    ("appendfilename a/b", "appendfilename can't be a path, just a filename"),
    ("appendfilename \"\"", "appendfilename can't be empty"),
    ("appenddirname a/b", "appenddirname can't be a path, just a dirname"),
    ("dbfilename a/b", "dbfilename can't be a path, just a filename"),
    ("proc-title-template {foo}", "template format is invalid or contains unknown variables"),
    ("latency-tracking-info-percentiles a", "Invalid latency-tracking-info-percentiles parameters"),
    (
        "latency-tracking-info-percentiles 101",
        "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
    ),
    ("proto-max-bulk-len 0", "argument must be between 1048576 and 9223372036854775807 inclusive"),
    ("slowlog-max-len -1", "argument must be between 0 and 9223372036854775807 inclusive"),
    ("list-max-ziplist-size 99999999999", "argument must be between -2147483648 and 2147483647 inclusive"),
];

#[test]
fn bad_lines_are_refused_in_the_words_of_redis() {
    for (line, reason) in BAD_LINES {
        let problem = load(&format!("# first\n{line}")).err().unwrap_or_else(|| panic!("{line} loads"));
        assert_eq!((problem.line, problem.text.as_str(), problem.reason.as_str()), (2, *line, *reason));
    }
}

#[test]
fn what_is_refused_and_what_is_harmless() {
    for line in [
        "cluster-enabled yes",
        "replicaof 10.0.0.1 6379",
        "rdma-port 6380",
        "tls-key-file-pass hush",
        "tls-auth-clients-user CN",
        "loadmodule /x.so",
        "min-replicas-to-write 1",
    ] {
        let problem = load(line).err().unwrap_or_else(|| panic!("{line} loads"));
        assert!(problem.reason.contains("is not supported by kvick: "), "{}", problem.reason);
    }
    for line in ["cluster-enabled no", "slaveof NO one", "rdma-port 0", "tls-key-file-pass \"\""] {
        loaded(line);
    }
}

#[test]
fn included_text_is_read_where_it_stands() {
    let mut asked = Vec::new();
    let mut include = |path: &str| {
        asked.push(path.to_owned());
        Ok(String::from("port 2\ntimeout 20"))
    };
    let mut settings = Settings::default();
    let text = "port 1\ninclude \"conf.d/*.conf\"\ntimeout 30";
    assert!(config::load(text, &mut settings, &mut include).is_ok());
    assert_eq!((settings.port, settings.timeout, asked), (2, 30, vec![String::from("conf.d/*.conf")]));

    let mut endless = |_: &str| Ok(String::from("include again"));
    let problem = config::load("include again", &mut settings, &mut endless).expect_err("endless");
    assert_eq!(problem.reason, "too many files include each other");
    let problem = config::load("include x", &mut settings, &mut |_: &str| Ok(String::from("\nport x")));
    let problem = problem.expect_err("a bad line");
    assert_eq!((problem.file.as_deref(), problem.line), (Some("x"), 2));
}

#[test]
fn get_takes_patterns() {
    let settings = Settings::default();
    let names = |patterns: &[&str]| -> Vec<String> {
        settings.get(patterns).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&["MaxMemory"]), ["MaxMemory"]);
    assert_eq!(names(&["maxmemory", "MAXMEMORY"]), ["maxmemory"]);
    assert_eq!(names(&["list-max-*"]), ["list-max-listpack-size", "list-max-ziplist-size"]);
    assert_eq!(names(&["watchdog*"]), [""; 0]);
    assert_eq!(names(&["watchdog-period"]), ["watchdog-period"]);
    assert_eq!(names(&["user", "rename-command", "nosuch"]), [""; 0]);
    assert!(200 < names(&["*"]).len());
}

/// What `CONFIG SET` of these pairs says, the first error first; recorded from Redis 7.0 and the same in 8.0.
const SETS: &[(&[(&str, &str)], &str)] = &[
    (&[("auto-aof-rewrite-min-size", "1mb"), ("hz", "20")], ""),
    (&[("save", "60 1")], ""),
    (&[("save", "")], ""),
    (&[("client-output-buffer-limit", "replica 1mb 1mb 5 pubsub 2kb 1 1")], ""),
    (&[("slave-priority", "5")], ""),
    (&[("list-max-ziplist-size", "5")], ""),
    (&[("latency-tracking-info-percentiles", "")], ""),
    (&[("nosuch", "1")], "Unknown option or number of arguments for CONFIG SET - 'nosuch'"),
    (&[("loadmodule", "x")], "Unknown option or number of arguments for CONFIG SET - 'loadmodule'"),
    (
        &[("maxclients", "5"), ("MAXCLIENTS", "6")],
        "CONFIG SET failed (possibly related to argument 'MAXCLIENTS') - duplicate parameter",
    ),
    (
        &[("daemonize", "yes")],
        "CONFIG SET failed (possibly related to argument 'daemonize') - can't set immutable config",
    ),
    (
        &[("dbfilename", "x")],
        "CONFIG SET failed (possibly related to argument 'dbfilename') - can't set protected config",
    ),
    (
        &[("lfu-decay-time", "5"), ("HZ", "abc")],
        "CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
    ),
    (
        &[("maxmemory", "0"), ("nosuch", "2"), ("daemonize", "yes")],
        "Unknown option or number of arguments for CONFIG SET - 'nosuch'",
    ),
    (
        &[("save", "  60   1 ")],
        "CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters",
    ),
    (
        &[("timeout", " 5")],
        "CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an \
         integer",
    ),
    (
        &[("replicaof", "a b")],
        "CONFIG SET failed (possibly related to argument 'replicaof') - can't set immutable config",
    ),
];

fn said(result: Result<config::Changes, SetError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn set_answers_in_the_words_of_redis_and_changes_all_or_nothing() {
    for (pairs, reply) in SETS {
        let mut settings = Settings::default();
        assert_eq!(said(settings.set(pairs, true)), *reply, "{pairs:?}");
        assert!(reply.is_empty() || settings == Settings::default(), "{pairs:?}");
    }
}

#[test]
fn set_tells_what_changed() {
    let mut settings = Settings::default();
    let pairs = [("port", "6379"), ("lua-time-limit", "9"), ("replica-priority", "5")];
    let changes = settings.set(&pairs, false).expect("all fine");
    assert_eq!(changes.names, ["busy-reply-threshold", "replica-priority"]);
    assert_eq!(changes.ignored.iter().map(|ignored| ignored.0).collect::<Vec<_>>(), changes.names);
    assert_eq!(get(&settings, "slave-priority"), "5");
}

#[test]
fn what_is_not_there_yet_is_never_silently_accepted() {
    let mut settings = Settings::default();
    for (name, value) in [("sanitize-dump-payload", "yes"), ("lazyfree-lazy-user-del", "yes")] {
        let changes = settings.set(&[(name, value)], true).expect("fine");
        assert_eq!(changes.ignored.iter().map(|ignored| ignored.0).collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn protected_directives_need_permission() {
    for (access, local, allowed) in
        [("no", true, false), ("yes", false, true), ("local", true, true), ("local", false, false)]
    {
        let mut settings = loaded(&format!("enable-protected-configs {access}"));
        assert_eq!(settings.set(&[("dir", "/tmp")], local).is_ok(), allowed, "{access} {local}");
    }
}

#[test]
fn a_rewritten_file_loads_to_the_same_settings() {
    let texts = ["", DEBIAN, "save \"\"\nmasterauth \"a b\"\n"];
    for (text, bind) in texts.into_iter().flat_map(|text| [(text, "::1"), (text, "-\"0 ::1 a\u{b}b")]) {
        let mut settings = loaded(text);
        let pairs =
            [("proto-max-bulk-len", "1536mb"), ("requirepass", "a \"b\""), ("save", "5 5"), ("bind", bind)];
        assert!(settings.set(&pairs, true).is_ok());
        let once = config::rewrite(text, &settings, &[]);
        assert!(loaded(&once) == settings, "{once}");
        assert_eq!(config::rewrite(&once, &settings, &[]), once);
    }
}

#[test]
fn addresses_in_quotes_are_counted_one_by_one() {
    let refused = config::load(
        "bind \"1 2 3 4 5 6 7\\t8 9\" \"1 2 3 4 5 6 7 8\"\n",
        &mut Settings::default(),
        &mut no_include,
    );
    assert!(refused.is_err_and(|problem| problem.to_string().contains("Too many bind addresses specified.")));
}

#[test]
fn lines_of_users_are_kept_as_bytes_and_rewritten_in_place() {
    let text = "USER ann on >p \"~a\\xff\" (~b +get)\nport 1\nuser bob off\n";
    let settings = loaded(text);
    let words: Vec<Vec<&[u8]>> =
        settings.user.iter().map(|line| line.words.iter().map(Vec::as_slice).collect()).collect();
    assert_eq!(words, [vec![&b"ann"[..], b"on", b">p", b"~a\xff", b"(~b", b"+get)"], vec![b"bob", b"off"]]);
    assert_eq!((settings.user[1].at.line, settings.user[1].at.text.as_str()), (3, "user bob off"));
    let rewrite = |users: &[&str]| {
        let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
        config::rewrite(text, &settings, &users)
    };
    let without = rewrite(&[]);
    assert!(without.starts_with("port 1\n\n# Generated by CONFIG REWRITE\n"), "{without}");
    let rest = &without["port 1\n".len()..];
    assert_eq!(rewrite(&["user a"]), format!("user a\nport 1\n{rest}"));
    assert_eq!(rewrite(&["user a", "user b"]), format!("user a\nport 1\nuser b\n{rest}"));
    assert_eq!(rewrite(&["user a", "user b", "user c"]), format!("user a\nport 1\nuser b\n{rest}user c\n"));
}

#[test]
fn a_line_of_a_user_is_one_in_quotes_too() {
    let settings = loaded("port 1\n");
    let text = config::rewrite("\"user\" bob on\nport 1\n", &settings, &["user bob off".to_owned()]);
    assert!(text.starts_with("user bob off\nport 1\n") && !text.contains("bob on"), "{text}");
}

#[test]
fn a_rewrite_keeps_the_file_of_the_user() {
    let old = "# head\n\n\n   # comment\nMaxClients   500\nmaxmemory 100mb\ntimeout 5\ntimeout 7\n\
               include a.conf\nwhat is this\nrename-command KEYS \"\"\nslave-priority 50\nlogfile \"\"\n\
               appendonly yes\nsave 1 1\nsave 2 2\ndir /x\n\n";
    let mut settings = Settings::default();
    let text = old.replace("include a.conf\nwhat is this\n", "");
    assert!(config::load(&text, &mut settings, &mut no_include).is_ok());
    assert!(settings.set(&[("timeout", "0"), ("save", "9 9"), ("hz", "20")], true).is_ok());
    assert_eq!(
        config::rewrite(old, &settings, &[]),
        "# head\n\n# comment\nmaxclients 500\nmaxmemory 100mb\ntimeout 0\ninclude a.conf\n# ??? what is this\n\
         rename-command KEYS \"\"\nreplica-priority 50\nlogfile \"\"\nappendonly yes\nsave 9 9\n\
         dir \"/x\"\n\n\
         # Generated by CONFIG REWRITE\nhz 20\n"
    );
}

/// A real server on a socket in a directory of its own.
struct Redis {
    child: Child,
    stream: BufReader<UnixStream>,
    dir: tempfile::TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().expect("the server is ours to kill");
        self.child.wait().expect("a killed server ends");
    }
}

fn real_server() -> Option<&'static str> {
    ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].into_iter().find(|path| Path::new(path).exists())
}

impl Redis {
    fn start(program: &str, config: &str) -> Redis {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("s");
        let text = format!("{config}\nport 0\nunixsocket {}\n", socket.display());
        fs::write(dir.path().join("r.conf"), text).expect("a file");
        let mut command = Command::new(program);
        command.arg("r.conf").current_dir(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let log = BufReader::new(child.stdout.take().expect("piped"));
        let ready = log.lines().map_while(Result::ok).any(|line| {
            line.contains("ready to accept connections") || line.contains("Ready to accept connections")
        });
        assert!(ready, "the real server does not start on {config}");
        let stream = BufReader::new(UnixStream::connect(&socket).expect("it listens"));
        Redis { child, stream, dir }
    }

    fn send(&mut self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(request.as_bytes()).expect("it reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("it answers");
        line.trim_end().to_owned()
    }

    fn status(&mut self, words: &[&str]) -> String {
        self.send(words);
        let line = self.line();
        line.strip_prefix("-ERR ").map(str::to_owned).unwrap_or_else(|| {
            assert_eq!(line, "+OK", "{words:?}");
            String::new()
        })
    }

    fn pairs(&mut self, words: &[&str]) -> BTreeMap<String, String> {
        self.send(words);
        let count: usize = self.line()[1..].parse().expect("an array");
        let mut texts = Vec::new();
        for _ in 0..count {
            let len: usize = self.line()[1..].parse().expect("a bulk");
            let mut bytes = vec![0; len + 2];
            self.stream.read_exact(&mut bytes).expect("it answers");
            bytes.truncate(len);
            texts.push(String::from_utf8(bytes).expect("text"));
        }
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }
}

#[test]
fn the_real_server_says_the_same_of_bad_lines() {
    let Some(program) = real_server() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    for (line, reason) in BAD_LINES {
        fs::write(dir.path().join("r.conf"), format!("# first\n{line}\nzzz stop\n")).expect("a file");
        let mut command = Command::new(program);
        let output = command.arg("r.conf").current_dir(dir.path()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = format!("***\nReading the configuration file, at line 2\n>>> '{line}'\n{reason}\n");
        assert!(said.ends_with(&expected), "{line}: {said}");
    }
}

#[test]
fn the_real_server_says_the_same_of_sets() {
    let Some(program) = real_server() else { return };
    let mut redis = Redis::start(program, "");
    for (pairs, reply) in SETS {
        let mut words = vec!["CONFIG", "SET"];
        words.extend(pairs.iter().flat_map(|(name, value)| [*name, *value]));
        assert_eq!(redis.status(&words), *reply, "{pairs:?}");
    }
}

/// Directives whose default differs on purpose, and those by which the test makes the real server listen.
const OTHER_DEFAULTS: &[&str] = &["appendonly", "aof-use-rdb-preamble", "dir", "port", "unixsocket"];

#[test]
fn every_directive_of_the_real_server_is_known_with_its_default() {
    let Some(program) = real_server() else { return };
    let settings = Settings::default();
    for (name, value) in Redis::start(program, "").pairs(&["CONFIG", "GET", "*"]) {
        if !OTHER_DEFAULTS.contains(&name.as_str()) {
            assert_eq!(get(&settings, &name), value, "{name}");
        }
    }
}

#[test]
fn the_real_server_rewrites_in_the_same_way() {
    let Some(program) = real_server() else { return };
    let files = [
        "maxmemory 100mb\n# c\nMaxClients 500\ntimeout 5\ntimeout 7\nslave-priority 50\nsave 900 1\n\
         save 300 10\nhash-max-ziplist-entries 5\nbind 127.0.0.1\nlogfile \"\"\nlua-time-limit 77\nhz 10\n",
        "save 1 1\n# c\nsave 2 2\n# d\nsave 3 3\nclient-output-buffer-limit normal 1 1 1\n\
         client-output-buffer-limit normal 2 2 2\nclient-output-buffer-limit pubsub 32mb 8mb 60\n\
         maxmemory-clients 5%\nshutdown-on-sigint now force\nnotify-keyspace-events gx\nbind 127.0.0.1 ::1\n",
        "save \"\"\nproc-title-template \"{title} \\\"x\\\"\"\noom-score-adj-values 1 2 3\n\
         enable-debug-command local\n",
        "",
    ];
    let sets: &[(&str, &str)] = &[
        ("timeout", "0"),
        ("auto-aof-rewrite-min-size", "1500"),
        ("save", "1 2"),
        ("list-max-ziplist-size", "7"),
        ("client-query-buffer-limit", "1073741825"),
        ("proto-max-bulk-len", "3145728"),
        ("slave-read-only", "no"),
        ("latency-tracking-info-percentiles", "50 99"),
    ];
    for text in files {
        let mut redis = Redis::start(program, text);
        let mut settings = loaded(text);
        for pair in sets {
            assert_eq!(redis.status(&["CONFIG", "SET", pair.0, pair.1]), "");
            assert!(settings.set(&[*pair], true).is_ok());
        }
        assert_eq!(redis.status(&["CONFIG", "REWRITE"]), "");
        let theirs = fs::read_to_string(redis.dir.path().join("r.conf")).expect("a file");
        // The place, the users and the default that differs are ours and theirs alone; order of added lines
        // is free.
        let own = ["dir ", "user ", "port ", "unixsocket ", "appendonly "];
        let lines = |text: &str| -> (Vec<String>, Vec<String>) {
            let comparable = |line: &&str| !line.is_empty() && !own.iter().any(|name| line.starts_with(name));
            let lines: Vec<String> = text.lines().filter(comparable).map(str::to_owned).collect();
            let sign = lines.iter().position(|line| line.starts_with("# Generated")).unwrap_or(lines.len());
            let mut added = lines[sign..].to_vec();
            added.sort();
            (lines[..sign].to_vec(), added)
        };
        assert_eq!(lines(&config::rewrite(text, &settings, &[])), lines(&theirs));
    }
}
