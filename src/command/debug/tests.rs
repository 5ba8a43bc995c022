//! What is said, what comes back, and what the log hears.

use super::serialized::{serialized_len, uncompressed_len};
use super::*;
use crate::base::date::UnixMs;
use crate::command::tests::ask_words;
use crate::config::{Access, Settings};
use crate::data::entry::Entry;
use crate::data::list::{End, Limits, List};
use crate::engine::Engine;

/// A server with `DEBUG` on, its log on, and one client from elsewhere.
struct Server {
    engine: Engine,
    token: usize,
}

impl Server {
    fn new(access: Access, addr: &str) -> Server {
        let mut settings = Settings::default();
        settings.enable_debug_command = access;
        let mut engine = Engine::new(settings, 1);
        engine.state.log.enabled = true;
        engine.set_now(UnixMs(1_000_000));
        let token = engine.open_session(Session { addr: addr.to_owned(), ..Session::default() });
        Server { engine, token }
    }

    fn open() -> Server {
        Server::new(Access::Yes, "10.0.0.1:1000")
    }

    /// Runs one request, whose words stand between blanks.
    fn say(&mut self, line: &str) -> String {
        self.run(line.split(' ').map(str::as_bytes))
    }

    fn run<'a>(&mut self, args: impl IntoIterator<Item = &'a [u8]>) -> String {
        ask_words(&mut self.engine, self.token, args).replace("\r\n", "|")
    }

    fn check(&mut self, table: &[(&str, &str)]) {
        for (line, expected) in table {
            assert_eq!(self.say(line), *expected, "{line}");
        }
    }

    fn asked(&mut self, line: &str) -> Ask {
        assert_eq!(self.say(line), "", "{line} leaves the reply to io");
        self.engine.state.ask.take().expect("a wish")
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(self.engine.state.log.pending()).replace("\r\n", " ")
    }

    fn list(&mut self, name: &[u8], elements: &[Vec<u8>]) {
        let list = list_of(elements);
        let hash = self.engine.keys.key(name).hash;
        self.engine.keys.insert(hash, Entry::new(name, Value::List(Box::new(list))));
    }
}

/// What one RPUSH of all elements makes.
fn list_of(elements: &[Vec<u8>]) -> List {
    let limits = Limits::of(-2);
    let mut list = List::new();
    let mut growth = list.grow(elements.iter().map(Vec::len).sum(), elements.len(), limits);
    elements.iter().for_each(|element| growth.push(End::Back, element));
    list
}

fn unknown_text(name: &str) -> String {
    format!("-ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP.|")
}

#[test]
fn the_setting_decides_who_may() {
    let refused = format!("-{NOT_ALLOWED}|");
    for (access, addr, allowed) in [
        (Access::No, "127.0.0.1:5", false),
        (Access::Local, "127.0.0.1:5", true),
        (Access::Local, "[::1]:5", true),
        (Access::Local, "10.0.0.1:5", false),
        (Access::Local, "127.0.0.10:5", false),
        (Access::Yes, "10.0.0.1:5", true),
    ] {
        let expected = if allowed { "+OK|" } else { &refused };
        assert_eq!(Server::new(access, addr).say("DEBUG PAUSE-CRON 0"), expected, "{access:?} {addr}");
    }
    let mut server = Server::new(Access::Local, "/tmp/socket:0");
    let token = server.token;
    server.engine.state.sessions[token].unix = true;
    assert_eq!(server.say("DEBUG PAUSE-CRON 0"), "+OK|");
    assert_eq!(
        Server::new(Access::No, "").say("DEBUG"),
        "-ERR wrong number of arguments for 'debug' command|"
    );
}

#[test]
fn names_and_numbers_of_arguments() {
    let mut server = Server::open();
    for line in [
        "FOO",
        "FOO bar",
        "SHIFT-CLOCK",
        "SLEEP",
        "SLEEP 1 2",
        "OBJECT",
        "DIGEST a",
        "ERROR",
        "LOG a b",
        "HTSTATS",
        "HELP me",
        "PROTOCOL",
        "REPLYBUFFER RESIZING",
        "REPLYBUFFER FOO 1",
        "POPULATE",
        "POPULATE 1 2 3 4",
        "JMAP",
        "STRINGMATCH-LEN 10 a*b",
    ] {
        let name = line.split(' ').next().expect("a name");
        assert_eq!(server.say(&format!("DEBUG {line}")), unknown_text(name));
    }
    assert_eq!(server.say(&format!("DEBUG {}", "x".repeat(200))), unknown_text(&"x".repeat(128)));
    for name in REFUSED {
        let expected = format!("-ERR DEBUG {name} is not supported by kvick|");
        assert_eq!(server.say(&format!("debug {}", name.to_lowercase())), expected);
    }
    let mut names: Vec<_> = SUBCOMMANDS.iter().map(|row| row.name).chain(REFUSED.iter().copied()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "no name stands twice");
    let help = server.say("DEBUG HELP");
    assert!(
        help.contains("+DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:|+ASSERT|"),
        "{help}"
    );
    let lines = SUBCOMMANDS.iter().map(|row| row.help.len()).sum::<usize>() + 1;
    assert!(help.starts_with(&format!("*{lines}|")) && help.ends_with("|+HELP|+    Print this help.|"));
}

#[test]
fn wishes_are_left_to_the_floor_with_files_and_clocks() {
    let mut server = Server::open();
    server.engine.state.persistence.aof_enabled = true;
    let sleep = |micros| Ask::Sleep { micros };
    let reload = |save, flush| Ask::Reload { save, flush };
    let restart = |crash, delay_ms| Ask::Restart { crash, delay_ms };
    for (line, wish) in [
        ("SLEEP 1.5", sleep(1_500_000)),
        ("SLEEP 0.001s", sleep(1000)),
        ("SLEEP abc", sleep(0)),
        ("SLEEP -1", sleep(0)),
        ("SLEEP inf", sleep(0)),
        ("SEGFAULT", Ask::Crash { fault: true }),
        ("PANIC", Ask::Crash { fault: false }),
        ("ASSERT", Ask::Crash { fault: false }),
        ("RESTART", restart(false, 0)),
        ("RESTART 25", restart(false, 25)),
        ("CRASH-AND-RECOVER -1", restart(true, 0)),
        ("RELOAD", reload(true, true)),
        ("RELOAD nosave", reload(false, true)),
        ("RELOAD MERGE NOFLUSH NOSAVE", reload(false, false)),
        ("LOADAOF", reload(false, true)),
        ("SHIFT-CLOCK 3600000", Ask::ShiftClock { by_ms: 3_600_000 }),
        ("SHIFT-CLOCK -1", Ask::ShiftClock { by_ms: -1 }),
    ] {
        assert!(server.asked(&format!("DEBUG {line}")) == wish, "{line}");
    }
    let cannot_load = "-ERR Error trying to load the AOF files, check server logs.|";
    server.check(&[
        ("DEBUG RELOAD foo", "-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.|"),
        ("DEBUG RELOAD NOFLUSH", "-ERR DEBUG RELOAD NOFLUSH without MERGE is not supported by kvick|"),
        ("DEBUG SHIFT-CLOCK soon", "-ERR value is not an integer or out of range|"),
        ("DEBUG SHIFT-CLOCK 9223372036854775807", "-ERR the clock is set by ten years at most|"),
        ("DEBUG SHIFT-CLOCK -9223372036854775808", "-ERR the clock is set by ten years at most|"),
        ("DEBUG RESTART soon", "-ERR value is not an integer or out of range|"),
    ]);
    server.engine.state.persistence.aof_enabled = false;
    server.check(&[("DEBUG LOADAOF", cannot_load)]);
    assert!(server.asked("DEBUG RELOAD NOSAVE") == reload(false, true), "it loads the snapshot");
}

#[test]
fn samples_of_the_protocol() {
    let mut server = Server::open();
    let attribute = "|1|$14|key-popularity|*2|$7|key:123|:90|";
    let attributed = "$39|Some real reply following the attribute|";
    let no_push = "-ERR RESP2 is not supported by this command|";
    let push = "$40|Some real reply following the push reply|>2|$16|server-cpu-usage|:42|";
    for (name, resp2, resp3) in [
        ("string", "$11|Hello World|", "$11|Hello World|"),
        ("integer", ":12345|", ":12345|"),
        ("DOUBLE", "$5|3.141|", ",3.141|"),
        ("null", "$-1|", "_|"),
        ("array", "*3|:0|:1|:2|", "*3|:0|:1|:2|"),
        ("set", "*3|:0|:1|:2|", "~3|:0|:1|:2|"),
        ("map", "*6|:0|:0|:1|:1|:2|:0|", "%3|:0|#f|:1|#t|:2|#f|"),
        ("attrib", attributed, &format!("{attribute}{attributed}")),
        ("push", no_push, push),
        ("verbatim", "$25|This is a verbatim\nstring|", "=29|txt:This is a verbatim\nstring|"),
        ("true", ":1|", "#t|"),
        ("false", ":0|", "#f|"),
        ("bignum", "$37|1234567999999999999999999999999999999|", "(1234567999999999999999999999999999999|"),
    ] {
        for (resp3, expected) in [(false, resp2), (true, resp3)] {
            let token = server.token;
            server.engine.state.sessions[token].resp3 = resp3;
            assert_eq!(server.say(&format!("DEBUG PROTOCOL {name}")), expected);
        }
    }
    let wrong = server.say("DEBUG PROTOCOL foo");
    assert_eq!(
        wrong,
        "-ERR Wrong protocol type name. Please use one of the following: \
         string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false|"
    );
}

#[test]
fn an_error_on_demand_is_no_failure() {
    let mut server = Server::open();
    server.check(&[("DEBUG ERROR foo", "-foo|"), ("DEBUG ERROR -x", "--x|"), ("DEBUG LOG hello", "+OK|")]);
    assert_eq!(server.run([&b"DEBUG"[..], b"ERROR", b"OUCH a\r\nb\n"]), "-OUCH a  b |");
    assert_eq!(server.run([&b"DEBUG"[..], b"ERROR", b""]), "-|");
    assert!(server.engine.state.stats.errors.is_empty());
}

#[test]
fn switches() {
    let mut server = Server::open();
    let bad_size = "-ERR argument must be a memory value bigger than 1 and smaller than 4gb|";
    server.check(&[
        ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK|"),
        ("DEBUG PAUSE-CRON 1", "+OK|"),
        ("DEBUG DICT-RESIZING abc", "+OK|"),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD 4gb", bad_size),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD -1", bad_size),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD 4294967295", bad_size),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD abc", bad_size),
        ("DEBUG QUICKLIST-PACKED-THRESHOLD 2kb", "+OK|"),
        ("DEBUG REPLYBUFFER RESIZING 0", "+OK|"),
        ("DEBUG REPLYBUFFER PEAK-RESET-TIME abc", "-ERR value is not an integer or out of range|"),
        ("DEBUG REPLYBUFFER PEAK-RESET-TIME 70", "+OK|"),
    ]);
    let debug = server.engine.state.debug.clone();
    assert!(!debug.active_expire && debug.pause_cron && !debug.dict_resizing && !debug.reply_buffer_resizing);
    assert_eq!((debug.quicklist_packed_threshold, debug.reply_buffer_peak_reset_ms), (2048, Some(70)));
    for (time, expected) in [("never", None), ("RESET", Some(5000)), ("-1", None), ("0", Some(0))] {
        assert_eq!(server.say(&format!("DEBUG REPLYBUFFER PEAK-RESET-TIME {time}")), "+OK|");
        assert_eq!(server.engine.state.debug.reply_buffer_peak_reset_ms, expected);
    }
    for (text, number) in [("12", 12), (" -3x", -3), ("x", 0), ("", 0), ("+7", 7)] {
        assert_eq!(atoi(text.as_bytes()), number, "{text:?}");
    }
}

#[test]
fn tables_neither_grow_nor_shrink_while_they_may_not() {
    let mut server = Server::open();
    server.check(&[("DEBUG POPULATE 1", "+OK|"), ("DEBUG DICT-RESIZING 0", "+OK|")]);
    let buckets = |server: &Server| server.engine.keys.database().table().stats().now.buckets;
    let before = buckets(&server);
    server.check(&[("DEBUG POPULATE 1000", "+OK|")]);
    assert_eq!(buckets(&server), before);
    assert!(
        server
            .say("DEBUG HTSTATS 0")
            .contains(&format!(" table size: {}\n number of elements: 1000\n", 7 * before))
    );
    server.check(&[("DEBUG DICT-RESIZING 1", "+OK|")]);
    while server.engine.table_step() {}
    assert!(before < buckets(&server));
}

#[test]
fn populate_adds_what_is_missing_and_logs_it() {
    let mut server = Server::open();
    let positive = "-ERR value is out of range, must be positive|";
    server.check(&[
        ("DEBUG POPULATE abc", positive),
        ("DEBUG POPULATE -1", positive),
        ("DEBUG POPULATE 1 a -1", positive),
        ("DEBUG POPULATE 1 a x", positive),
        (
            "DEBUG POPULATE 1 a 1000000000000",
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|",
        ),
        ("DEBUG POPULATE 0", "+OK|"),
    ]);
    assert_eq!(server.log(), "");
    server.check(&[
        ("SET key:1 mine", "+OK|"),
        ("DEBUG POPULATE 3", "+OK|"),
        ("DEBUG POPULATE 1 a 3", "+OK|"),
        ("DEBUG POPULATE 1 b 9", "+OK|"),
        ("GET key:0", "$7|value:0|"),
        ("GET key:1", "$4|mine|"),
        ("GET key:2", "$7|value:2|"),
        ("GET a:0", "$3|val|"),
        ("GET b:0", "$9|value:0\0\0|"),
    ]);
    assert_eq!(
        server.log(),
        "*2 $6 SELECT $1 0 *3 $3 SET $5 key:1 $4 mine *3 $3 SET $5 key:0 $7 value:0 *3 $3 SET $5 key:2 $7 value:2 \
         *3 $3 SET $3 a:0 $3 val *3 $3 SET $3 b:0 $9 value:0\0\0 "
    );
    assert_eq!(server.engine.state.dirty, 5);
    // Keys that a long prefix makes equal are one key.
    server.check(&[(&format!("DEBUG POPULATE 5 {}", "p".repeat(200)), "+OK|")]);
    assert_eq!(server.engine.keys.database().len(), 6);
    server.engine.state.persistence.last_write_ok = false;
    server.engine.state.persistence.last_write_error = "disk full".to_owned();
    server.check(&[("DEBUG POPULATE 9", "-MISCONF Errors writing to the AOF file: disk full|")]);
    assert_eq!(server.engine.keys.database().len(), 6);
}

#[test]
fn digests() {
    let mut server = Server::open();
    let nothing = "0".repeat(40);
    server.check(&[
        ("DEBUG DIGEST", &format!("+{nothing}|")),
        ("DEBUG DIGEST-VALUE", "*0|"),
        ("SET key value", "+OK|"),
        ("DEBUG DIGEST", "+f149f3abd419a8d7d8c5673c73a100bb87404213|"),
        ("SET Q:1 x PX 10", "+OK|"),
    ]);
    let before = server.say("DEBUG DIGEST");
    let values = server.say("DEBUG DIGEST-VALUE none Q:1");
    assert!(values.starts_with(&format!("*2|+{nothing}|+")) && !values.ends_with(&format!("{nothing}|")));
    // A deadline that has come changes nothing until somebody looks.
    server.engine.set_now(UnixMs(2_000_000));
    assert_eq!(server.say("DEBUG DIGEST"), before);
    server.check(&[("GET Q:1", "$-1|"), ("DEBUG DIGEST", "+f149f3abd419a8d7d8c5673c73a100bb87404213|")]);
}

/// The lengths are what redis-server says; 7.0.15 for strings, 8.0 for lists.
#[test]
fn lengths_are_those_of_an_rdb_file() {
    let bytes = |range: std::ops::Range<u8>, times| range.collect::<Vec<u8>>().repeat(times);
    let fox = b"the quick brown fox jumps over the lazy dog";
    let shells = b"she sells sea shells by the sea shore, she sells";
    let mut every_byte = bytes(0..255, 1);
    every_byte.push(255);
    for (text, expected) in [
        (b"0".to_vec(), 2),
        (b"127".to_vec(), 2),
        (b"128".to_vec(), 3),
        (b"-129".to_vec(), 3),
        (b"32768".to_vec(), 5),
        (b"2147483648".to_vec(), 11),
        (b"-9223372036854775808".to_vec(), 21),
        (b"007".to_vec(), 4),
        (b"12345678901".to_vec(), 12),
        (vec![b'a'; 20], 21),
        (vec![b'a'; 21], 9),
        (vec![b'z'; 22], 11),
        (vec![b'a'; 1000], 22),
        (b"ab".repeat(500), 23),
        (fox.to_vec(), 44),
        (shells.to_vec(), 42),
        (bytes(0..200, 1), 202),
        (vec![b'x'; 100_000], 1151),
        (every_byte.repeat(100), 579),
    ] {
        let entry = Entry::new(b"key", Value::string(&text));
        assert_eq!(serialized_len(&entry, true), expected, "{}", text.escape_ascii());
    }
    let texts =
        |count, prefix: &str| (0..count).map(|n| format!("{prefix}{n}").into_bytes()).collect::<Vec<_>>();
    for (elements, expected, uncompressed) in [
        (vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()], 19, 16),
        (texts(20, ""), 50, 47),
        (texts(3000, "element "), 15043, 40932),
        (vec![vec![b'y'; 10_000], b"1".to_vec(), vec![b'z'; 20_000]], 381, 30009),
    ] {
        let list = list_of(&elements);
        assert_eq!(uncompressed_len(&list), uncompressed);
        assert_eq!(serialized_len(&Entry::new(b"key", Value::List(Box::new(list))), true), expected);
    }
}

#[test]
fn how_a_key_is_stored() {
    let mut server = Server::open();
    server.list(b"small", &[b"a".to_vec(), b"b".to_vec()]);
    server.list(b"large", &(0..3000).map(|n| format!("element {n}").into_bytes()).collect::<Vec<_>>());
    server.say("SET s hello");
    server.engine.set_now(UnixMs(1_005_000));
    let no_key = "-ERR no such key|";
    server.check(&[
        ("DEBUG OBJECT none", no_key),
        ("DEBUG OBJECT s foo", "-ERR syntax error|"),
        ("DEBUG LISTPACK none", no_key),
        ("DEBUG LISTPACK s", "-ERR Not a listpack encoded object.|"),
        ("DEBUG LISTPACK large", "-ERR Not a listpack encoded object.|"),
        ("DEBUG LISTPACK small", "+Listpack structure printed on stdout|"),
        ("DEBUG QUICKLIST small", "-ERR Not a quicklist encoded object.|"),
        ("DEBUG QUICKLIST large 1", "+Quicklist structure printed on stdout|"),
        ("DEBUG HTSTATS-KEY none", no_key),
        (
            "DEBUG HTSTATS-KEY small full",
            "-ERR The value stored at the specified key is not represented using an hash table|",
        ),
    ]);
    let nodes = " ql_nodes:6 ql_avg_node:500.00 ql_listpack_max:-2 ql_compressed:0";
    for (line, expected) in [
        ("DEBUG OBJECT s", "encoding:embstr serializedlength:6 lru:1000 lru_seconds_idle:5|".to_owned()),
        ("DEBUG OBJECT s FAST", "encoding:embstr lru:1000 lru_seconds_idle:5|".to_owned()),
        ("DEBUG OBJECT small fast", "encoding:listpack lru:1000 lru_seconds_idle:5|".to_owned()),
        ("DEBUG OBJECT large fast", format!("encoding:quicklist lru:1000 lru_seconds_idle:5{nodes}|")),
        (
            "DEBUG OBJECT large",
            format!(
                "encoding:quicklist serializedlength:15043 lru:1000 lru_seconds_idle:5{nodes} \
                 ql_uncompressed_size:40932|"
            ),
        ),
    ] {
        let reply = server.say(line);
        let (head, tail) = reply.split_once(" refcount:1 ").expect("a count of references");
        assert!(head.starts_with("+Value at:0x"), "{reply}");
        assert_eq!(tail, expected, "{line}");
    }
}

#[test]
fn figures_of_a_table() {
    let mut server = Server::open();
    server.check(&[
        ("DEBUG HTSTATS -1", "-ERR Out of range database|"),
        ("DEBUG HTSTATS 16", "-ERR Out of range database|"),
        ("DEBUG HTSTATS abc", "-ERR value is not an integer or out of range|"),
        ("DEBUG HTSTATS 1 full", "$29|[Dictionary HT]\n[Expires HT]\n|"),
        ("SET a 1 PX 100", "+OK|"),
        ("SET b 1", "+OK|"),
    ]);
    let plain =
        "[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: 7\n number of elements: 2\n";
    let chains = " buckets: 1\n child buckets: 0\n different slots: 1\n max chain length: 1\n \
                  avg chain length (counted): 1.00\n avg elements per chain: 2.00\n Chain length distribution:\n   \
                  0: 0 (0.00%)\n   1+: 1 (100.00%)\n";
    let expires = "[Expires HT]\nExpiry index stats:\n number of elements: 1\n";
    for (line, middle) in [("DEBUG HTSTATS 0", ""), ("DEBUG HTSTATS 0 FULL", chains)] {
        let text = format!("{plain}{middle}{expires}");
        assert_eq!(server.say(line), format!("${}|{text}|", text.len()));
    }
}
