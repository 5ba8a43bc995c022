//! Scripts of stream commands: what is said, what comes back, what the log hears.

use crate::base::date::UnixMs;
use crate::command::tests::{SYNTAX, WRONG, ask, opened};
use crate::data::digest::Digest;
use crate::data::stream::{Id, Idempotence, Window};
use crate::engine::Engine;
use crate::state::session::Session;

struct Client {
    engine: Engine,
    token: usize,
}

impl Client {
    fn new(resp3: bool) -> Client {
        let (engine, token) = opened(resp3, "s");
        Client { engine, token }
    }

    /// Runs a line and returns its reply, line ends as `|`, and behind ` / ` the records it wrote.
    fn say(&mut self, line: &str) -> String {
        let reply = ask(&mut self.engine, self.token, line);
        let log = std::mem::take(self.engine.state.log.pending_mut());
        let mut text = reply.replace("\r\n", "|");
        if !log.is_empty() {
            let words = String::from_utf8_lossy(&log).into_owned();
            let mut records = words.replace("\r\n", " ");
            // Lengths go, and each record begins behind a semicolon.
            let kept: Vec<&str> = records
                .split(' ')
                .filter(|word| !(word.starts_with('$') && 1 < word.len()))
                .map(|word| if word.starts_with('*') && 1 < word.len() { ";" } else { word })
                .collect();
            records = kept.join(" ");
            text.push_str(" /");
            text.push_str(records.trim_start_matches(';').trim_end());
        }
        text
    }
}

fn check(resp3: bool, script: &[(&str, &str)]) {
    let mut client = Client::new(resp3);
    for (line, expected) in script {
        assert_eq!(client.say(line), *expected, "{line}");
    }
}

const INVALID: &str = "-ERR Invalid stream ID specified as stream command argument|";
const NOT_ABOVE: &str = "-ERR The ID specified in XADD is equal or smaller than the target stream top item|";

#[test]
fn adding() {
    check(
        false,
        &[
            ("XADD x * f v", "$9|1000000-0| / XADD x 1000000-0 f v"),
            ("XADD x * f v", "$9|1000000-1| / XADD x 1000000-1 f v"),
            ("XADD x 1000000-* f v", "$9|1000000-2| / XADD x 1000000-2 f v"),
            ("XADD x 1000001-* f v", "$9|1000001-0| / XADD x 1000001-0 f v"),
            ("XADD x 1000001 f v", NOT_ABOVE),
            ("XADD x 1000000-* f v", NOT_ABOVE),
            ("XADD x 2000000 f v g w", "$9|2000000-0| / XADD x 2000000 f v g w"),
            ("XADD x * f v", "$9|2000000-1| / XADD x 2000000-1 f v"),
            ("XADD x 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0|"),
            ("XADD y 0-* f v", "$3|0-1| / XADD y 0-1 f v"),
            ("XADD x - f v", INVALID),
            ("XADD x 1-2-3 f v", INVALID),
            ("XADD x * f", "-ERR wrong number of arguments for 'xadd' command|"),
            ("XADD x * f v g", "-ERR wrong number of arguments for 'xadd' command|"),
            ("XADD s * f v", WRONG),
            ("XADD none NOMKSTREAM * f v", "$-1|"),
            ("XADD x NOMKSTREAM * f v", "$9|2000000-2| / XADD x 2000000-2 f v"),
            ("XLEN x", ":7|"),
            (
                "XADD x 18446744073709551615-18446744073709551615 f v",
                "$41|18446744073709551615-18446744073709551615| / XADD x 18446744073709551615-18446744073709551615 f v",
            ),
            ("XADD x * f v", "-ERR The stream has exhausted the last possible ID, unable to add more items|"),
            (
                "XADD y 1-18446744073709551615 f v",
                "$22|1-18446744073709551615| / XADD y 1-18446744073709551615 f v",
            ),
            ("XADD y 1-* f v", NOT_ABOVE),
        ],
    );
}

#[test]
fn trimming() {
    let without = "-ERR syntax error, LIMIT cannot be used without the special ~ option|";
    let both = "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible|";
    check(
        false,
        &[
            ("XADD x MAXLEN 2 1-1 f v", "$3|1-1| / XADD x MAXLEN = 2 1-1 f v"),
            ("XADD x MAXLEN = 2 2-1 f v", "$3|2-1| / XADD x MAXLEN = 2 2-1 f v"),
            ("XADD x MAXLEN 2 3-1 f v", "$3|3-1| / XADD x MAXLEN = 2 3-1 f v"),
            ("XADD x MAXLEN ~ 2 4-1 f v", "$3|4-1| / XADD x MAXLEN = 3 4-1 f v"),
            ("XADD x MINID ~ 5 LIMIT 7 5-1 f v", "$3|5-1| / XADD x MINID = 2-1 5-1 f v"),
            ("XADD x MINID 4 6-1 f v", "$3|6-1| / XADD x MINID = 4-0 6-1 f v"),
            ("XLEN x", ":3|"),
            ("XTRIM x MAXLEN 2", ":1| / XTRIM x MAXLEN = 2"),
            ("XTRIM x MAXLEN 2", ":0|"),
            ("XTRIM x MINID ~ 9-9", ":2| / XTRIM x MINID = 18446744073709551615-18446744073709551615"),
            ("XLEN x", ":0|"),
            ("EXISTS x", ":1|"),
            ("XTRIM none MAXLEN 2", ":0|"),
            ("XTRIM s MAXLEN 2", WRONG),
            ("XTRIM x MAXLEN -1", "-ERR The MAXLEN argument must be >= 0.|"),
            ("XTRIM x MAXLEN ~ 1 LIMIT -1", "-ERR The LIMIT argument must be >= 0.|"),
            ("XTRIM x MAXLEN 1 LIMIT 1", without),
            ("XTRIM x MAXLEN = 1 LIMIT 0", without),
            ("XTRIM x LIMIT 1 MAXLEN", SYNTAX),
            ("XTRIM x MAXLEN 1 MINID 1", both),
            ("XTRIM x MAXLEN 1 MAXLEN 1", both),
            ("XTRIM x LIMIT 0", "-ERR syntax error, XTRIM must be called with a trimming strategy|"),
            (
                "XADD x LIMIT 1 9-9 f v",
                "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy|",
            ),
        ],
    );
}

#[test]
fn ranges() {
    check(
        false,
        &[
            ("XADD x 1-1 f v", "$3|1-1| / XADD x 1-1 f v"),
            ("XADD x 1-2 f 300 g 007", "$3|1-2| / XADD x 1-2 f 300 g 007"),
            ("XADD x 2-1 f w", "$3|2-1| / XADD x 2-1 f w"),
            ("XRANGE x - + COUNT 1", "*1|*2|$3|1-1|*2|$1|f|$1|v|"),
            ("XRANGE x 1 1", "*2|*2|$3|1-1|*2|$1|f|$1|v|*2|$3|1-2|*4|$1|f|$3|300|$1|g|$3|007|"),
            ("XREVRANGE x + (1-2", "*1|*2|$3|2-1|*2|$1|f|$1|w|"),
            ("XRANGE x (1-2 (2-1", "*0|"),
            ("XRANGE x + -", "*0|"),
            ("XRANGE x (- +", INVALID),
            ("XRANGE x ( +", INVALID),
            (
                "XRANGE x (18446744073709551615-18446744073709551615 +",
                "-ERR invalid start ID for the interval|",
            ),
            ("XRANGE x - (0-0", "-ERR invalid end ID for the interval|"),
            ("XRANGE x - + COUNT 0", "*-1|"),
            ("XRANGE x - + COUNT -1", "*-1|"),
            ("XRANGE none - + COUNT 0", "*0|"),
            ("XRANGE x - + COUNT", SYNTAX),
            ("XRANGE x - + NUMBER 1", SYNTAX),
            ("XRANGE s - +", WRONG),
            ("XDEL x 1-2 9-9", ":1| / XDEL x 1-2 9-9"),
            ("XDEL x 1-2", ":0|"),
            ("XDEL x 1-1 x", INVALID),
            ("XDEL none x", ":0|"),
            ("XDEL s 1", WRONG),
            ("XSETID x 1-9", "-ERR The ID specified in XSETID is smaller than the target stream top item|"),
            ("XSETID x 1-1", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id|"),
            (
                "XSETID x 3 ENTRIESADDED 1",
                "-ERR The entries_added specified in XSETID is smaller than the target stream length|",
            ),
            ("XSETID x 3 ENTRIESADDED -1", "-ERR entries_added must be positive|"),
            (
                "XSETID x 3 MAXDELETEDID 4",
                "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id|",
            ),
            ("XSETID x 3 MAXDELETEDID", SYNTAX),
            (
                "XSETID x 3-3 ENTRIESADDED 9 MAXDELETEDID 2-5",
                "+OK| / XSETID x 3-3 ENTRIESADDED 9 MAXDELETEDID 2-5",
            ),
            ("XSETID none 3", "-ERR no such key|"),
            (
                "XINFO STREAM x",
                "*32|$6|length|:2|$15|radix-tree-keys|:1|$16|radix-tree-nodes|:2|\
                $17|last-generated-id|$3|3-3|$20|max-deleted-entry-id|$3|2-5|$13|entries-added|:9|\
                $23|recorded-first-entry-id|$3|1-1|$13|idmp-duration|:100|$12|idmp-maxsize|:100|\
                $12|pids-tracked|:0|$12|iids-tracked|:0|$10|iids-added|:0|$15|iids-duplicates|:0|$6|groups|:0|$11|first-entry|*2|$3|1-1|*2|$1|f|$1|v|\
                $10|last-entry|*2|$3|2-1|*2|$1|f|$1|w|",
            ),
        ],
    );
}

#[test]
fn reading_without_a_group() {
    let script = |map: &str, open: &str| {
        [
            ("XADD x 1-1 f v".to_owned(), "$3|1-1| / XADD x 1-1 f v".to_owned()),
            ("XADD y 2-1 f v".into(), "$3|2-1| / XADD y 2-1 f v".into()),
            (
                "XREAD STREAMS x y 0 0".into(),
                format!(
                    "{map}2|{open}$1|x|*1|*2|$3|1-1|*2|$1|f|$1|v|\
                {open}$1|y|*1|*2|$3|2-1|*2|$1|f|$1|v|"
                ),
            ),
            (
                "XREAD COUNT 0 STREAMS x y 1-1 +".into(),
                format!("{map}1|{open}$1|y|*1|*2|$3|2-1|*2|$1|f|$1|v|"),
            ),
            ("XREAD BLOCK 0 STREAMS x 0".into(), format!("{map}1|{open}$1|x|*1|*2|$3|1-1|*2|$1|f|$1|v|")),
        ]
    };
    for (resp3, map, open) in [(false, "*", "*2|"), (true, "%", "")] {
        let script = script(map, open);
        let script: Vec<(&str, &str)> = script.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        check(resp3, &script);
    }
    check(
        false,
        &[
            ("XREAD STREAMS x $", "*-1|"),
            ("XREAD BLOCK x STREAMS x 0", "-ERR timeout is not an integer or out of range|"),
            ("XREAD BLOCK -1 STREAMS x 0", "-ERR timeout is negative|"),
            ("XREAD BLOCK 9223372036854775807 STREAMS x 0", "-ERR timeout is out of range|"),
            (
                "XREAD STREAMS x y 0",
                "-ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or \
                '$' must be specified.|",
            ),
            ("XREAD COUNT 1 x 0", SYNTAX),
            ("XREAD COUNT 1 STREAMS", SYNTAX),
            ("XREAD STREAMS s 0", WRONG),
            ("XREAD STREAMS x -", INVALID),
            (
                "XREAD GROUP a b STREAMS x 0",
                "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.|",
            ),
            (
                "XREAD NOACK STREAMS x 0",
                "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.|",
            ),
            (
                "XREAD STREAMS x >",
                "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                <group> <consumer> option.|",
            ),
        ],
    );
}

#[test]
fn reading_as_a_group() {
    check(
        false,
        &[
            (
                "XGROUP CREATE x g 0",
                "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you \
                may want to use the MKSTREAM option to create an empty stream automatically.|",
            ),
            ("XGROUP CREATE x g $ MKSTREAM", "+OK| / XGROUP CREATE x g $ MKSTREAM"),
            ("XGROUP CREATE x g 0", "-BUSYGROUP Consumer Group name already exists|"),
            ("XADD x 1-1 f v", "$3|1-1| / XADD x 1-1 f v"),
            ("XADD x 1-2 f v", "$3|1-2| / XADD x 1-2 f v"),
            ("XADD x 1-3 f v", "$3|1-3| / XADD x 1-3 f v"),
            (
                "XREADGROUP GROUP g c COUNT 2 STREAMS x >",
                "*1|*2|$1|x|*2|*2|$3|1-1|*2|$1|f|$1|v|*2|$3|1-2|*2|$1|f|$1|v| \
                / XGROUP CREATECONSUMER x g c ; XCLAIM x g c 0 1-1 1-2 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-2 \
                ; XGROUP SETID x g 1-2 ENTRIESREAD 2",
            ),
            (
                "XREADGROUP GROUP g c BLOCK 1 NOACK STREAMS x >",
                "*1|*2|$1|x|*1|*2|$3|1-3|*2|$1|f|$1|v| \
                / XGROUP SETID x g 1-3 ENTRIESREAD 3",
            ),
            ("XREADGROUP GROUP g d STREAMS x >", "*-1| / XGROUP CREATECONSUMER x g d"),
            ("XREADGROUP GROUP g d STREAMS x 0", "*1|*2|$1|x|*0|"),
            ("XDEL x 1-1", ":1| / XDEL x 1-1"),
            (
                "XREADGROUP GROUP g c STREAMS x 0",
                "*1|*2|$1|x|*2|*2|$3|1-1|*-1|*2|$3|1-2|*2|$1|f|$1|v| \
                / XCLAIM x g c 0 1-2 TIME 1000000 RETRYCOUNT 2 FORCE JUSTID LASTID 1-3",
            ),
            ("XPENDING x g", "*4|:2|$3|1-1|$3|1-2|*1|*2|$1|c|$1|2|"),
            ("XPENDING x g - + 10", "*2|*4|$3|1-1|$1|c|:0|:1|*4|$3|1-2|$1|c|:0|:2|"),
            ("XPENDING x g (1-1 + 10 c", "*1|*4|$3|1-2|$1|c|:0|:2|"),
            ("XPENDING x g IDLE 1 - + 10", "*0|"),
            ("XPENDING x g - + 10 d", "*0|"),
            ("XPENDING x g - + -1", "*0|"),
            ("XPENDING x g -", SYNTAX),
            ("XPENDING x g IDLE 1 - +", SYNTAX),
            ("XPENDING x nog", "-NOGROUP No such key 'x' or consumer group 'nog'|"),
            (
                "XCLAIM x g d 0 1-1 1-2 1-3",
                "*1|*2|$3|1-2|*2|$1|f|$1|v| / XACK x g 1-1 ; \
                XCLAIM x g d 0 1-2 TIME 1000000 RETRYCOUNT 3 FORCE JUSTID LASTID 1-3",
            ),
            (
                "XCLAIM x g e 0 1-3 FORCE JUSTID TIME 5 LASTID 1-1",
                "*1|$3|1-3| / XGROUP CREATECONSUMER x g e ; \
                XCLAIM x g e 0 1-3 TIME 5 RETRYCOUNT 1 FORCE JUSTID LASTID 1-3",
            ),
            ("XCLAIM x g e 9999999 1-3", "*0|"),
            ("XCLAIM x g e 0 9-9 LASTID 2", "*0| / XGROUP SETID x g 2-0 ENTRIESREAD 3"),
            ("XCLAIM x g e x 1-3", "-ERR Invalid min-idle-time argument for XCLAIM|"),
            ("XCLAIM x g e 0 1-3 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM|"),
            ("XCLAIM x g e 0 1-3 BAD", "-ERR Unrecognized XCLAIM option 'BAD'|"),
            ("XCLAIM x g e 0 1-3 RETRYCOUNT", "-ERR Unrecognized XCLAIM option 'RETRYCOUNT'|"),
            (
                "XAUTOCLAIM x g c 1000 - COUNT 1",
                "*3|$3|0-0|*1|*2|$3|1-3|*2|$1|f|$1|v|*0| \
                / XCLAIM x g c 0 1-3 TIME 1000000 RETRYCOUNT 2 FORCE JUSTID LASTID 2-0",
            ),
            ("XDEL x 1-2", ":1| / XDEL x 1-2"),
            ("XAUTOCLAIM x g c 0 0 COUNT 1 JUSTID", "*3|$3|1-3|*0|*1|$3|1-2| / XACK x g 1-2"),
            ("XAUTOCLAIM x g c 0 0 COUNT 0", "-ERR COUNT must be > 0|"),
            ("XAUTOCLAIM x g c 0 0 FORCE", SYNTAX),
            ("XACK x g 1-3 1-3 7", ":1| / XACK x g 1-3 1-3 7"),
            ("XACK x g x", INVALID),
            ("XACK x nog x", ":0|"),
            ("XACK s g 1", WRONG),
            ("XGROUP CREATECONSUMER x g c", ":0|"),
            ("XGROUP CREATECONSUMER x nog c", "-NOGROUP No such consumer group 'nog' for key name 'x'|"),
            ("XGROUP DELCONSUMER x g c", ":0| / XGROUP DELCONSUMER x g c"),
            ("XGROUP DELCONSUMER x g c", ":0|"),
            ("XGROUP SETID x g $ ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1|"),
            ("XGROUP SETID x g +", "+OK| / XGROUP SETID x g +"),
            ("XGROUP DESTROY x g", ":1| / XGROUP DESTROY x g"),
            ("XGROUP DESTROY x g", ":0|"),
            (
                "XREADGROUP GROUP g c STREAMS x >",
                "-NOGROUP No such key 'x' or consumer group 'g' in XREADGROUP with GROUP option|",
            ),
            ("XGROUP BAD x", "-ERR unknown subcommand 'BAD'. Try XGROUP HELP.|"),
        ],
    );
}

#[test]
fn deleting_with_references() {
    let mut client = Client::new(false);
    let pending = |client: &mut Client, group: &str| client.say(&format!("XPENDING x {group} - + 9"));
    for n in 1..=4 {
        client.say(&format!("XADD x {n}-0 f v"));
    }
    for group in ["a", "b"] {
        client.say(&format!("XGROUP CREATE x {group} 0"));
        client.say(&format!("XREADGROUP GROUP {group} c COUNT 3 STREAMS x >"));
    }
    for (line, expected) in [
        ("XACKDEL x a ACKED IDS 2 1-0 9-0", "*2|:2|:-1| / XACK x a 1-0"),
        ("XACKDEL x b ACKED IDS 1 1-0", "*1|:1| / XACK x b 1-0 ; XDEL x 1-0"),
        ("XACKDEL x a IDS 1 2-0", "*1|:1| / XACK x a 2-0 ; XDEL x 2-0"),
        ("XACKDEL x b KEEPREF IDS 1 2-0", "*1|:1| / XACK x b 2-0 ; XDEL x 2-0"),
        ("XDELEX x ACKED IDS 2 3-0 4-0", "*2|:2|:2|"),
        ("XACKDEL x b DELREF IDS 1 3-0", "*1|:1| / XACK x b 3-0 ; XACK x a 3-0 ; XDEL x 3-0"),
        ("XDELEX x IDS 2 4-0 4-0", "*2|:1|:-1| / XDEL x 4-0"),
        ("XDELEX none IDS 2 4-0 4-0", "*2|:-1|:-1|"),
        ("XACKDEL none g IDS 1 4-0", "*1|:-1|"),
        ("XACKDEL x nog IDS 1 4-0", "*1|:-1|"),
        ("XDELEX s IDS 1 4-0", WRONG),
        ("XDELEX x IDS 0 1-1", "-ERR Number of IDs must be a positive integer|"),
        ("XDELEX x IDS abc 1-1", "-ERR Number of IDs must be a positive integer|"),
        ("XDELEX x IDS 3 1-1 2-2", "-ERR The `numids` parameter must match the number of arguments|"),
        ("XDELEX x IDS 1 1-1 2-2", SYNTAX),
        ("XDELEX x KEEPREF ACKED IDS 1 1-1", SYNTAX),
        ("XDELEX x IDS 1 x", INVALID),
    ] {
        assert_eq!(client.say(line), expected, "{line}");
    }
    assert_eq!(pending(&mut client, "a"), "*0|");
    assert_eq!(pending(&mut client, "b"), "*0|");
}

#[test]
fn trimming_with_references() {
    let mut client = Client::new(false);
    for n in 1..=6 {
        client.say(&format!("XADD x {n}-0 f v"));
    }
    client.say("XGROUP CREATE x g 0");
    client.say("XREADGROUP GROUP g c COUNT 4 STREAMS x >");
    for (line, expected) in [
        ("XTRIM x MAXLEN 0 ACKED", ":0|"),
        ("XACK x g 2-0", ":1| / XACK x g 2-0"),
        ("XTRIM x ACKED MAXLEN 0", ":1| / XDEL x 2-0"),
        ("XTRIM x MAXLEN 4 DELREF", ":1| / XACK x g 1-0 ; XTRIM x MAXLEN = 4"),
        ("XADD x DELREF MINID 4 7-0 f v", "$3|7-0| / XADD x 7-0 f v ; XACK x g 3-0 ; XTRIM x MINID = 4-0"),
        ("XADD x ACKED MAXLEN 1 8-0 f v", "$3|8-0| / XADD x 8-0 f v"),
        ("XADD x KEEPREF MAXLEN 4 9-0 f v", "$3|9-0| / XADD x MAXLEN = 4 9-0 f v"),
        ("XADD x KEEPREF ACKED 10-0 f v", SYNTAX),
        ("XTRIM x MAXLEN 1 KEEPREF", ":3| / XTRIM x MAXLEN = 1"),
        ("XPENDING x g", "*4|:1|$3|4-0|$3|4-0|*1|*2|$1|c|$1|1|"),
    ] {
        assert_eq!(client.say(line), expected, "{line}");
    }
}

/// Groups' figures after holes, trimming and setting of IDs, as redis-server 8.0.6 replies them.
#[test]
fn lag() {
    let figures = |client: &mut Client| {
        let info = client.say("XINFO GROUPS x");
        info.split("entries-read|").nth(1).expect("one group").replace("$3|lag|", "")
    };
    let mut client = Client::new(false);
    for (lines, expected) in [
        ("XGROUP CREATE x g $ MKSTREAM", "$-1|:0|"),
        ("XADD x 1-0 d a;XADD x 2-0 d b;XADD x 3-0 d c;XADD x 4-0 d d;XADD x 5-0 d e", "$-1|:5|"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS x >", ":1|:4|"),
        ("XTRIM x MAXLEN 1", ":1|:1|"),
        ("XREADGROUP GROUP g c STREAMS x >", ":5|:0|"),
        ("XADD x 6-0 d f", ":5|:1|"),
        ("XTRIM x MAXLEN 0", ":5|:0|"),
        ("XADD x 7-0 d a;XADD x 8-0 d a;XADD x 9-0 d a;XDEL x 8-0", ":5|$-1|"),
    ] {
        lines.split(';').for_each(|line| drop(client.say(line)));
        assert_eq!(figures(&mut client), expected, "{lines}");
    }
}

/// The digest is what redis-server 7.0.15 replies to `DEBUG DIGEST-VALUE` of the same stream.
#[test]
fn digest() {
    let mut client = Client::new(false);
    client.say("XADD x 1-1 f v g 12");
    client.say("XADD x 3-0 f v2");
    let key = client.engine.keys.key(b"x");
    let digest = Digest::of_value(client.engine.keys.stored(key).expect("just added"));
    assert_eq!(digest.to_string(), DIGEST);
}

const DIGEST: &str = "4f8e5066cc979088553d2f276d1aa07cbafe37d5";

#[test]
fn what_lay_idle_is_claimed_before_anything_new_is_read() {
    let mut client = Client::new(false);
    for line in ["XGROUP CREATE x g 0 MKSTREAM", "XADD x 1-1 a 1", "XADD x 1-2 a 2", "XADD x 1-3 a 3"] {
        client.say(line);
    }
    client.say("XREADGROUP GROUP g c COUNT 2 STREAMS x >");
    // One of the two lies idle for longer than the other.
    client.say("XCLAIM x g c 0 1-2 TIME 999000 JUSTID");
    client.engine.set_now(UnixMs(1_000_100));
    let third = "*4|$3|1-3|*2|$1|a|$1|3|:0|:0|";
    for (line, expected) in [
        (
            "XREADGROUP GROUP g d CLAIM -1 STREAMS x >",
            "-ERR min-idle-time must be a positive integer|".into(),
        ),
        ("XREADGROUP GROUP g d CLAIM -0 STREAMS x >", "-ERR min-idle-time is not an integer|".into()),
        ("XREADGROUP GROUP g d CLAIM STREAMS x >", "-ERR min-idle-time is not an integer|".into()),
        (
            "XREAD CLAIM 0 STREAMS x 0",
            "-ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.|".into(),
        ),
        (
            "XREADGROUP CLAIM 1000 GROUP g d COUNT 2 STREAMS x >",
            format!(
                "*1|*2|$1|x|*2|*4|$3|1-2|*2|$1|a|$1|2|:1100|:1|{third} / XGROUP CREATECONSUMER x g d \
                ; XCLAIM x g d 0 1-2 TIME 1000100 RETRYCOUNT 2 FORCE JUSTID LASTID 1-3 \
                ; XCLAIM x g d 0 1-3 TIME 1000100 RETRYCOUNT 1 FORCE JUSTID LASTID 1-3 \
                ; XGROUP SETID x g 1-3 ENTRIESREAD 3"
            ),
        ),
        ("XREADGROUP GROUP g d CLAIM 101 STREAMS x >", "*-1|".into()),
        // Without acknowledgement only what is new is let go.
        (
            "XREADGROUP GROUP g d NOACK CLAIM 100 STREAMS x >",
            "*1|*2|$1|x|*1|*4|$3|1-1|*2|$1|a|$1|1|:100|:1| \
            / XCLAIM x g d 0 1-1 TIME 1000100 RETRYCOUNT 2 FORCE JUSTID LASTID 1-3"
                .into(),
        ),
        ("XPENDING x g", "*4|:3|$3|1-1|$3|1-3|*1|*2|$1|d|$1|3|".into()),
        // What is gone cannot be claimed, and history is read as ever.
        ("XDEL x 1-1 1-2", ":2| / XDEL x 1-1 1-2".into()),
        (
            "XREADGROUP GROUP g d CLAIM 0 STREAMS x 1-2",
            "*1|*2|$1|x|*1|*2|$3|1-3|*2|$1|a|$1|3| \
            / XCLAIM x g d 0 1-3 TIME 1000100 RETRYCOUNT 2 FORCE JUSTID LASTID 1-3"
                .into(),
        ),
        (
            "XREADGROUP GROUP g e CLAIM 0 STREAMS x >",
            "*1|*2|$1|x|*1|*4|$3|1-3|*2|$1|a|$1|3|:0|:2| / XGROUP CREATECONSUMER x g e \
            ; XCLAIM x g e 0 1-3 TIME 1000100 RETRYCOUNT 3 FORCE JUSTID LASTID 1-3"
                .into(),
        ),
        ("XREADGROUP GROUP g e CLAIM 9223372036854775807 STREAMS x >", "*-1|".into()),
    ] {
        assert_eq!(client.say(line), expected, "{line}");
    }
}

#[test]
fn who_waits_claims_what_comes_to_lie_idle_for_long_enough() {
    let mut client = Client::new(false);
    for line in ["XGROUP CREATE x g 0 MKSTREAM", "XADD x 1-1 a 1", "XREADGROUP GROUP g c STREAMS x >"] {
        client.say(line);
    }
    assert_eq!(
        "",
        client.say("XREADGROUP GROUP g d BLOCK 500 CLAIM 100 STREAMS x >").split(" /").next().unwrap_or("?")
    );
    let began_ms = client.engine.state.process.mono_ms;
    assert_eq!(Some(began_ms + 101), client.engine.next_timeout_ms());
    // Delivered once more meanwhile, it has to lie idle anew.
    client.engine.set_now(UnixMs(1_000_060));
    client.engine.state.process.mono_ms += 60;
    let other = client.engine.open_session(Session::default());
    ask(&mut client.engine, other, "XCLAIM x g c 0 1-1");
    client.engine.end_waits(began_ms + 101);
    assert!(client.engine.state.waiting.ended.is_empty());
    assert_eq!(Some(began_ms + 161), client.engine.next_timeout_ms());
    client.engine.set_now(UnixMs(1_000_161));
    client.engine.state.process.mono_ms += 101;
    client.engine.end_waits(began_ms + 161);
    assert_eq!([client.token], *client.engine.state.waiting.ended);
    assert_eq!(None, client.engine.next_timeout_ms());
}

/// As after a log was run again, which does not tell when.
#[test]
fn a_consumer_of_whom_nobody_knows_counts_as_just_seen() {
    let mut client = Client::new(false);
    client.say("XGROUP CREATE x g 0 MKSTREAM");
    client.say("XGROUP CREATECONSUMER x g c");
    let key = client.engine.keys.key(b"x");
    let stream = client.engine.keys.write(key).and_then(|entry| entry.stream_mut()).expect("a stream");
    let group = stream.groups.get_mut(b"g").expect("a group");
    let number = group.find_consumer(b"c").expect("a consumer");
    group.consumer_mut(number).seen_ms = 0;
    assert!(client.say("XINFO STREAM x FULL").contains("|$9|seen-time|:1000000|$11|active-time|:-1|"));
    assert!(client.say("XINFO CONSUMERS x g").ends_with("|$4|idle|:0|$8|inactive|:-1|"));
}

/// It is seen, but has nothing in its hands.
#[test]
fn who_reads_without_confirming_is_not_active() {
    let mut client = Client::new(false);
    client.say("XADD x 1-1 f v");
    client.say("XADD x 1-2 f v");
    client.say("XGROUP CREATE x g 0");
    client.say("XREADGROUP GROUP g c COUNT 1 NOACK STREAMS x >");
    assert!(client.say("XINFO CONSUMERS x g").ends_with("|$8|inactive|:-1|"));
    client.say("XREADGROUP GROUP g c STREAMS x >");
    assert!(client.say("XINFO CONSUMERS x g").ends_with("|$8|inactive|:0|"));
}

/// Runs a script and returns the client, for what comes after it.
fn after(script: &[(&str, &str)]) -> Client {
    let mut client = Client::new(false);
    for (line, expected) in script {
        assert_eq!(client.say(line), *expected, "{line}");
    }
    client
}

#[test]
fn a_message_that_is_sent_again_is_not_added_again() {
    let first = "/ XADD x 1000000-0 a 1 ; XCFGSET x IDMP-DURATION 100 IDMP-MAXSIZE 100 ; XIDMPRECORD x p one 1000000-0";
    let mut client = after(&[
        ("XADD x IDMP p one * a 1", &format!("$9|1000000-0| {first}")),
        ("XADD x IDMP p one * b 2", "$9|1000000-0|"),
        ("XADD x MAXLEN ~ 5 IDMP p one * b 2", "$9|1000000-0|"),
        ("XADD x IDMP q one * b 2", "$9|1000000-1| / XADD x 1000000-1 b 2 ; XIDMPRECORD x q one 1000000-1"),
        (
            "XADD x NOMKSTREAM IDMP p two MAXLEN = 2 * c 3",
            "$9|1000000-2| / XADD x MAXLEN = 2 1000000-2 c 3 ; XIDMPRECORD x p two 1000000-2",
        ),
        ("XADD none NOMKSTREAM IDMP p one * a 1", "$-1|"),
        ("XADD x IDMP p one * b 2", "$9|1000000-0|"),
        ("XADD s IDMP p one * b 2", WRONG),
        ("XLEN x", ":2|"),
        ("XADD x IDMP p 7 * f v", "$9|1000000-3| / XADD x 1000000-3 f v ; XIDMPRECORD x p 7 1000000-3"),
        ("XADD x IDMP p * * f v", "$9|1000000-4| / XADD x 1000000-4 f v ; XIDMPRECORD x p * 1000000-4"),
    ]);
    client.engine.set_now(UnixMs(1_099_999));
    assert_eq!(client.say("XADD x IDMP p one * b 2"), "$9|1000000-0|");
    client.engine.set_now(UnixMs(1_100_000));
    let again = client.say("XADD x IDMP p one * b 2");
    assert_eq!(again, "$9|1100000-0| / XADD x 1100000-0 b 2 ; XIDMPRECORD x p one 1100000-0");
}

#[test]
fn a_message_without_a_name_is_called_by_what_it_says() {
    let mut client = Client::new(false);
    assert!(client.say("XADD x IDMPAUTO p * a 1 b 2").starts_with("$9|1000000-0|"));
    assert_eq!(client.say("XADD x IDMPAUTO p * b 2 a 1"), "$9|1000000-0|");
    for (line, id) in [
        ("XADD x IDMPAUTO q * a 1 b 2", "$9|1000000-1|"),
        ("XADD x IDMPAUTO p * a 1 b 3", "$9|1000000-2|"),
        ("XADD x IDMPAUTO p * a 1", "$9|1000000-3|"),
        ("XADD x IDMPAUTO p * a1 b", "$9|1000000-4|"),
    ] {
        assert!(client.say(line).starts_with(id), "{line}");
    }
}

#[test]
fn names_of_messages_are_checked() {
    const TWICE: &str = "-ERR IDMP/IDMPAUTO specified multiple times|";
    const AUTO: &str = "-ERR IDMP/IDMPAUTO can be used only with auto-generated IDs|";
    after(&[
        ("XADD x IDMP p * f v", INVALID),
        ("XADD x IDMP p", "-ERR wrong number of arguments for 'xadd' command|"),
        ("XADD x IDMP p one 1-1 f v", AUTO),
        ("XADD x IDMP p one 1-* f v", AUTO),
        ("XADD x IDMPAUTO p 1-1 f v", AUTO),
        ("XADD x IDMP p one IDMP q two * f v", TWICE),
        ("XADD x IDMPAUTO p IDMP q two * f v", TWICE),
        ("XADD x IDMP p one IDMPAUTO q * f v", TWICE),
        ("XADD x IDMP  one * f v", "-ERR IDMP requires a non-empty producer ID|"),
        ("XADD x IDMP p  * f v", "-ERR IDMP requires a non-empty idempotent ID|"),
        ("XADD x IDMPAUTO  * f v", "-ERR IDMPAUTO requires a non-empty producer ID|"),
        ("XTRIM x IDMP p one MAXLEN 3", SYNTAX),
        ("EXISTS x", ":0|"),
    ]);
}

#[test]
fn how_many_and_how_long_are_set_for_each_stream() {
    const SECS: &str = "-ERR IDMP-DURATION must be between 1 and 86400 seconds|";
    const SIZE: &str = "-ERR IDMP-MAXSIZE must be between 1 and 10000 entries|";
    const NUMBER: &str = "-ERR value is not an integer or out of range|";
    let mut client = after(&[
        ("XADD x 1-1 f v", "$3|1-1| / XADD x 1-1 f v"),
        ("XCFGSET x", "-ERR At least one parameter must be specified|"),
        ("XCFGSET x IDMP-DURATION", SYNTAX),
        ("XCFGSET x IDMP-DURATION a", NUMBER),
        ("XCFGSET x IDMP-DURATION 00", NUMBER),
        ("XCFGSET x IDMP-DURATION 0", SECS),
        ("XCFGSET x IDMP-DURATION 86401", SECS),
        ("XCFGSET x IDMP-MAXSIZE 0", SIZE),
        ("XCFGSET x IDMP-MAXSIZE 10001", SIZE),
        ("XCFGSET x SIZE 1", SYNTAX),
        ("XCFGSET none IDMP-MAXSIZE 1", "-ERR no such key|"),
        ("XCFGSET s IDMP-MAXSIZE 1", WRONG),
        ("XCFGSET x IDMP-MAXSIZE 2", "+OK| / XCFGSET x IDMP-DURATION 100 IDMP-MAXSIZE 2"),
    ]);
    for name in ["a", "b", "c"] {
        client.say(&format!("XADD x IDMP p {name} * f v"));
    }
    let told = "$13|idmp-duration|:100|$12|idmp-maxsize|:2|$12|pids-tracked|:1|$12|iids-tracked|:2|$10|iids-added|:3|\
        $15|iids-duplicates|:0|";
    assert!(client.say("XINFO STREAM x").contains(told), "{}", client.say("XINFO STREAM x"));
    assert!(client.say("XINFO STREAM x FULL").contains(told));
    assert_eq!(client.say("XADD x IDMP p b * f v"), "$9|1000000-1|");
    client.say("XCFGSET x IDMP-MAXSIZE 2 IDMP-DURATION 100");
    assert_eq!(client.say("XADD x IDMP p b * f v"), "$9|1000000-1|");
    client.say("XCFGSET x IDMP-DURATION 5");
    let told = told.replace("100|$12|idmp", "5|$12|idmp").replace("tracked|:1", "tracked|:0");
    let told = told.replace("iids-tracked|:2", "iids-tracked|:0").replace("duplicates|:0", "duplicates|:2");
    assert!(client.say("XINFO STREAM x").contains(&told), "{}", client.say("XINFO STREAM x"));
}

#[test]
fn entries_are_given_names_afterwards() {
    after(&[
        ("XADD x 1-1 f v", "$3|1-1| / XADD x 1-1 f v"),
        ("XADD x 1-2 f v", "$3|1-2| / XADD x 1-2 f v"),
        ("XIDMPRECORD none p a 1-1", "-ERR no such key|"),
        ("XIDMPRECORD s p a 1-1", WRONG),
        ("XIDMPRECORD x p a 1", "-ERR The specified stream ID was deleted or doesn't exist|"),
        ("XIDMPRECORD x p a x", INVALID),
        ("XIDMPRECORD x  a 1-1", "-ERR XIDMPRECORD requires a non-empty producer ID|"),
        ("XIDMPRECORD x p  1-1", "-ERR XIDMPRECORD requires a non-empty idempotent ID|"),
        (
            "XIDMPRECORD x p a 1-2",
            "+OK| / XCFGSET x IDMP-DURATION 100 IDMP-MAXSIZE 100 ; XIDMPRECORD x p a 1-2",
        ),
        ("XIDMPRECORD x p a 1-2", "+OK|"),
        (
            "XIDMPRECORD x p a 1-1",
            "-ERR The specified IDMP producer-id/idempotent-id pair maps to a different stream ID|",
        ),
        ("XIDMPRECORD x p b 1-2", "-ERR The specified stream ID has another idempotent ID|"),
        ("XIDMPRECORD x p b 1-1", "+OK| / XIDMPRECORD x p b 1-1"),
    ]);
}

#[test]
fn what_is_remembered_goes_with_a_copy_and_a_payload() {
    let mut client = Client::new(false);
    client.say("XADD x IDMP p one * a 1");
    client.say("COPY x y");
    assert_eq!(client.say("XADD y IDMP p one * a 1"), "$9|1000000-0|");
    let token = client.token;
    client.say("SELECT 0");
    client.say("DEL z");
    let entry = client.engine.keys.read(client.engine.keys.key(b"x")).expect("it is there");
    let payload = crate::data::rdb::payload::seal(entry, true);
    assert_eq!(payload[0], 26);
    let words: [&[u8]; 4] = [b"RESTORE", b"z", b"0", &payload];
    assert_eq!(crate::command::tests::ask_words(&mut client.engine, token, words), "+OK\r\n");
    assert_eq!(client.say("XADD z IDMP p one * a 1").split(" / ").next(), Some("$9|1000000-0|"));
    assert!(client.engine.state.persistence.named_messages);
}

/// A snapshot names what is remembered in commands, which take nothing else.
#[test]
fn a_payload_remembers_nothing_that_a_command_could_not_name() {
    let bad: [fn(&mut Idempotence); 3] = [
        |known| known.record(b"p", b"", Id::new(1, 1)),
        |known| known.record(b"", b"one", Id::new(1, 1)),
        |known| known.set_window(Window { duration_secs: 100, maxsize: Window::MAXSIZE_MAX + 1 }),
    ];
    for spoil in bad {
        let mut client = Client::new(false);
        client.say("XADD x IDMP p one * a 1");
        let key = client.engine.keys.key(b"x");
        let entry = client.engine.keys.write(key).expect("it is there");
        let stream = entry.stream_mut().expect("a stream");
        spoil(stream.idempotence.as_mut().expect("it remembers"));
        let payload = crate::data::rdb::payload::seal(entry, true);
        let words: [&[u8]; 4] = [b"RESTORE", b"z", b"0", &payload];
        let reply = crate::command::tests::ask_words(&mut client.engine, client.token, words);
        assert_eq!(reply, "-ERR Bad data format\r\n");
    }
}

/// A snapshot names the counts in commands, which take no greater ones.
#[test]
fn counts_stay_what_a_command_can_name() {
    let mut client = Client::new(false);
    for line in [
        "XADD x 1-0 f v",
        "XGROUP CREATE x g 0 ENTRIESREAD 9223372036854775807",
        "XSETID x 1-0 ENTRIESADDED 9223372036854775807",
        "XADD x 2-0 f v",
        "XREADGROUP GROUP g c STREAMS x >",
        "XCLAIM x g c 0 1-0 RETRYCOUNT 9223372036854775807",
        "XCLAIM x g c 0 1-0",
    ] {
        client.say(line);
    }
    let info = client.say("XINFO STREAM x FULL");
    assert_eq!(info.matches(":9223372036854775807|").count(), 4, "{info}");
}
