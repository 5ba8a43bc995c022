//! Scripts of list commands: what is said, what comes back, what the log hears.

use crate::command::tests::{NOT_INTEGER, POSITIVE, SIGN, SYNTAX, WRONG, ask, check, heard, opened, records};
use crate::config::{Events, Settings};
use crate::engine::Engine;
use crate::state::session::Session;

#[test]
fn pushing_and_popping() {
    check(
        false,
        &[
            ("LPUSH a 1 b 3", ":3| / LPUSH a 1 b 3"),
            ("RPUSH a 4", ":4| / RPUSH a 4"),
            ("LRANGE a 0 -1", "*4|$1|3|$1|b|$1|1|$1|4|"),
            ("lpushx a x y", ":6| / lpushx a x y"),
            ("RPUSHX a z", ":7| / RPUSHX a z"),
            ("LPUSHX none x", ":0|"),
            ("RPUSHX s x", WRONG),
            ("LPUSH s x", WRONG),
            ("LPUSH a", "-ERR wrong number of arguments for 'lpush' command|"),
            ("LLEN a", ":7|"),
            ("LLEN none", ":0|"),
            ("LLEN s", WRONG),
            ("LPOP a", "$1|y| / LPOP a"),
            ("RPOP a 2", "*2|$1|z|$1|4| / RPOP a 2"),
            ("LPOP a 0", "*0|"),
            ("LPOP a -1", POSITIVE),
            ("LPOP a x", POSITIVE),
            ("LPOP a 9223372036854775808", POSITIVE),
            ("LPOP s -1", POSITIVE),
            ("LPOP s 0", WRONG),
            ("RPOP s", WRONG),
            ("LPOP a 1 2", "-ERR wrong number of arguments for 'lpop' command|"),
            ("RPOP a 1 2", "-ERR wrong number of arguments for 'rpop' command|"),
            ("LPOP none", "$-1|"),
            ("LPOP none 0", "*-1|"),
            ("LPOP none 5", "*-1|"),
            ("LPOP a 9223372036854775807", "*4|$1|x|$1|3|$1|b|$1|1| / LPOP a 9223372036854775807"),
            ("LLEN a", ":0|"),
            ("LPOP a", "$-1|"),
        ],
    );
    check(true, &[("LPOP none", "_|"), ("LPOP none 0", "_|"), ("LMPOP 1 none LEFT", "_|")]);
}

#[test]
fn reading() {
    check(
        false,
        &[
            ("RPUSH a a b c 1 2 3 c b a", ":9| / RPUSH a a b c 1 2 3 c b a"),
            ("LINDEX a 0", "$1|a|"),
            ("LINDEX a -9", "$1|a|"),
            ("LINDEX a 4", "$1|2|"),
            ("LINDEX a -10", "$-1|"),
            ("LINDEX a 9", "$-1|"),
            ("LINDEX a x", NOT_INTEGER),
            ("LINDEX none x", "$-1|"),
            ("LINDEX s x", WRONG),
            ("LRANGE a x y", NOT_INTEGER),
            ("LRANGE none x y", NOT_INTEGER),
            ("LRANGE s x y", NOT_INTEGER),
            ("LRANGE s 0 0", WRONG),
            ("LRANGE none 0 -1", "*0|"),
            ("LRANGE a 5 2", "*0|"),
            ("LRANGE a 9 20", "*0|"),
            ("LRANGE a -100 -10", "*0|"),
            ("LRANGE a 7 100", "*2|$1|b|$1|a|"),
            ("LRANGE a -9223372036854775808 0", "*1|$1|a|"),
            ("LRANGE a 8 9223372036854775807", "*1|$1|a|"),
            ("LRANGE a 2 -6", "*2|$1|c|$1|1|"),
        ],
    );
}

#[test]
fn positions() {
    let zero = "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                negative to start from the end of the list|";
    check(
        false,
        &[
            ("RPUSH a a b c 1 2 3 c b a", ":9| / RPUSH a a b c 1 2 3 c b a"),
            ("LPOS a c", ":2|"),
            ("LPOS a c RANK 2", ":6|"),
            ("LPOS a c RANK -1", ":6|"),
            ("LPOS a c RANK 3", "$-1|"),
            ("LPOS a c COUNT 0", "*2|:2|:6|"),
            ("LPOS a c COUNT 0 RANK -1", "*2|:6|:2|"),
            ("LPOS a c COUNT 1 rank -2", "*1|:2|"),
            ("LPOS a c COUNT 0 RANK -1 RANK 1 COUNT 1", "*1|:2|"),
            ("LPOS a c MAXLEN 2", "$-1|"),
            ("LPOS a c MAXLEN 3", ":2|"),
            ("LPOS a c COUNT 0 MAXLEN 3 RANK -1", "*1|:6|"),
            ("LPOS a 1", ":3|"),
            ("LPOS a 01", "$-1|"),
            ("LPOS a zz COUNT 0", "*0|"),
            ("LPOS none a", "$-1|"),
            ("LPOS none a COUNT 1", "*0|"),
            ("LPOS none a RANK 0", zero),
            ("LPOS a a RANK -9223372036854775808", SIGN),
            ("LPOS a a RANK -9223372036854775807", "$-1|"),
            ("LPOS s a RANK x", NOT_INTEGER),
            ("LPOS a a COUNT -1", "-ERR COUNT can't be negative|"),
            ("LPOS a a COUNT x", "-ERR COUNT can't be negative|"),
            ("LPOS a a MAXLEN -1", "-ERR MAXLEN can't be negative|"),
            ("LPOS a a COUNT", SYNTAX),
            ("LPOS a a FOO 1", SYNTAX),
            ("LPOS s a", WRONG),
        ],
    );
}

#[test]
fn changing() {
    check(
        false,
        &[
            ("RPUSH a a b c b a", ":5| / RPUSH a a b c b a"),
            ("LINSERT a BEFORE b X", ":6| / LINSERT a BEFORE b X"),
            ("LINSERT a after b Y", ":7| / LINSERT a after b Y"),
            ("LINSERT a AFTER zz c", ":-1|"),
            ("LINSERT none BEFORE b c", ":0|"),
            ("LINSERT s x b c", SYNTAX),
            ("LINSERT s before b c", WRONG),
            ("LRANGE a 0 -1", "*7|$1|a|$1|X|$1|b|$1|Y|$1|c|$1|b|$1|a|"),
            ("LSET a -2 12", "+OK| / LSET a -2 12"),
            ("LSET a 7 y", "-ERR index out of range|"),
            ("LSET a -8 y", "-ERR index out of range|"),
            ("LSET a x y", NOT_INTEGER),
            ("LSET s x y", WRONG),
            ("LSET none x y", "-ERR no such key|"),
            ("LREM a -1 a", ":1| / LREM a -1 a"),
            ("LREM a 0 12", ":1| / LREM a 0 12"),
            ("LREM a 0 12", ":0|"),
            ("LREM none 0 12", ":0|"),
            ("LREM none x y", NOT_INTEGER),
            ("LREM a -9223372036854775808 y", SIGN),
            ("LREM s 0 y", WRONG),
            ("LRANGE a 0 -1", "*5|$1|a|$1|X|$1|b|$1|Y|$1|c|"),
            ("LTRIM a 0 -1", "+OK|"),
            ("LTRIM a 1 -2", "+OK| / LTRIM a 1 -2"),
            ("LRANGE a 0 -1", "*3|$1|X|$1|b|$1|Y|"),
            ("LTRIM s x y", NOT_INTEGER),
            ("LTRIM s 0 1", WRONG),
            ("LTRIM none 0 1", "+OK|"),
            ("LTRIM a 5 4", "+OK| / LTRIM a 5 4"),
            ("LTRIM a 0 0", "+OK|"),
            ("RPUSH a a a", ":2| / RPUSH a a a"),
            ("LREM a 2 a", ":2| / LREM a 2 a"),
            ("LPUSHX a x", ":0|"),
        ],
    );
}

#[test]
fn moving() {
    let long = "v".repeat(300);
    let push_long = format!("RPUSH a {long}");
    let logged = format!(":3| / RPUSH a {long}");
    let moved = format!("$300|{long}| / RPOPLPUSH a b");
    check(
        false,
        &[
            ("RPUSH a 1 2", ":2| / RPUSH a 1 2"),
            (&push_long, &logged),
            ("RPOPLPUSH a b", &moved),
            ("LMOVE a b LEFT RIGHT", "$1|1| / LMOVE a b LEFT RIGHT"),
            ("LINDEX b -1", "$1|1|"),
            ("LMOVE a a left right", "$1|2| / LMOVE a a left right"),
            ("LRANGE a 0 -1", "*1|$1|2|"),
            ("RPUSH a 3", ":2| / RPUSH a 3"),
            ("RPOPLPUSH a a", "$1|3| / RPOPLPUSH a a"),
            ("LRANGE a 0 -1", "*2|$1|3|$1|2|"),
            ("RPOPLPUSH none s", "$-1|"),
            ("RPOPLPUSH a s", WRONG),
            ("RPOPLPUSH s a", WRONG),
            ("LMOVE none s LEFTX RIGHT", SYNTAX),
            ("LMOVE none s LEFT RIGHT", "$-1|"),
            ("LMOVE a b RIGHT LEFT", "$1|2| / LMOVE a b RIGHT LEFT"),
            ("LMOVE a b RIGHT LEFT", "$1|3| / LMOVE a b RIGHT LEFT"),
            ("LMOVE a b RIGHT LEFT", "$-1|"),
            ("LRANGE b 0 1", "*2|$1|3|$1|2|"),
            ("LLEN a", ":0|"),
        ],
    );
}

#[test]
fn moving_several() {
    let count = "-ERR count should be greater than 0|";
    check(
        false,
        &[
            ("RPUSH a 1 2 3 4 5 6 7 8 9", ":9| / RPUSH a 1 2 3 4 5 6 7 8 9"),
            ("LMOVEM a b LEFT LEFT COUNT 3 OBO", "*3|$1|3|$1|2|$1|1| / LMOVEM a b LEFT LEFT COUNT 3 OBO"),
            ("LMOVEM a b left left exactly 2 bulk", "*2|$1|4|$1|5| / LMOVEM a b left left exactly 2 bulk"),
            ("LRANGE b 0 -1", "*5|$1|4|$1|5|$1|3|$1|2|$1|1|"),
            ("LMOVEM b c RIGHT RIGHT COUNT 2 OBO", "*2|$1|1|$1|2| / LMOVEM b c RIGHT RIGHT COUNT 2 OBO"),
            ("LMOVEM b c RIGHT RIGHT COUNT 2 BULK", "*2|$1|5|$1|3| / LMOVEM b c RIGHT RIGHT COUNT 2 BULK"),
            ("LRANGE c 0 -1", "*4|$1|1|$1|2|$1|5|$1|3|"),
            ("LMOVEM b c RIGHT LEFT", "*1|$1|4| / LMOVEM b c RIGHT LEFT"),
            ("EXISTS b", ":0|"),
            ("LMOVEM c a RIGHT LEFT EXACTLY 6 BULK", "*-1|"),
            ("LMOVEM c a RIGHT LEFT COUNT 2 OBO", "*2|$1|5|$1|3| / LMOVEM c a RIGHT LEFT COUNT 2 OBO"),
            ("LRANGE a 0 -1", "*6|$1|5|$1|3|$1|6|$1|7|$1|8|$1|9|"),
            // All of them leave before the first arrives.
            ("PEXPIRE c 1000", ":1| / PEXPIREAT c 1001000"),
            ("LMOVEM c c LEFT LEFT COUNT 9 OBO", "*3|$1|2|$1|1|$1|4| / LMOVEM c c LEFT LEFT COUNT 9 OBO"),
            ("LMOVEM c c RIGHT RIGHT COUNT 2 BULK", "*2|$1|1|$1|4| / LMOVEM c c RIGHT RIGHT COUNT 2 BULK"),
            ("LMOVEM c c RIGHT LEFT COUNT 2 BULK", "*2|$1|1|$1|4| / LMOVEM c c RIGHT LEFT COUNT 2 BULK"),
            ("LRANGE c 0 -1", "*3|$1|1|$1|4|$1|2|"),
            ("PTTL c", ":1000|"),
            ("LMOVEM none s LEFT RIGHT COUNT 2 BULK", "*-1|"),
            ("LMOVEM none s LEFT RIGHT", "*-1|"),
            ("LMOVEM a s LEFT RIGHT", WRONG),
            ("LMOVEM s a LEFT RIGHT", WRONG),
            ("LMOVEM a b LEFT", "-ERR wrong number of arguments for 'lmovem' command|"),
            ("LMOVEM a b LEFT RIGHT COUNT 2", SYNTAX),
            ("LMOVEM a b LEFT RIGHT COUNT 2 OBO x", SYNTAX),
            ("LMOVEM a b LEFT RIGHT UPTO 2 OBO", SYNTAX),
            ("LMOVEM a b LEFT RIGHT COUNT 2 ALL", SYNTAX),
            ("LMOVEM a b LEFT MIDDLE COUNT 2 OBO", SYNTAX),
            ("LMOVEM a b LEFT RIGHT COUNT 0 ALL", count),
            ("LMOVEM s b LEFT RIGHT EXACTLY -1 OBO", count),
            ("LMOVEM a b LEFT RIGHT COUNT x OBO", count),
            ("BLMOVEM a b LEFT RIGHT 0", "*1|$1|5| / LMOVEM a b LEFT RIGHT EXACTLY 1 BULK"),
            ("BLMOVEM a b left LEFT 1 count 2 obo", "*2|$1|6|$1|3| / LMOVEM a b left LEFT EXACTLY 2 OBO"),
            ("BLMOVEM a b LEFT RIGHT -1 COUNT 0 OBO", "-ERR timeout is negative|"),
            ("BLMOVEM a b LEFT RIGHT 0 COUNT 0 OBO", count),
            ("BLMOVEM a b LEFT RIGHT 0 COUNT 2", SYNTAX),
            ("BLMOVEM a s LEFT RIGHT 0", WRONG),
        ],
    );
    check(true, &[("LMOVEM none s LEFT RIGHT", "_|")]);
}

/// Who wants several at once gets them as soon as they are together, and keeps its turn until then.
#[test]
fn several_are_waited_for() {
    let (mut engine, token) = opened(false, "s");
    let mut wait = |line: &str| {
        let waiting = engine.open_session(Session::default());
        assert_eq!(ask(&mut engine, waiting, line), "", "{line}");
        waiting
    };
    let several = wait("BLMOVEM q to LEFT RIGHT 0 EXACTLY 3 BULK");
    let one = wait("BLPOP q 0");
    let two = wait("BLMOVEM to end RIGHT LEFT 0 COUNT 2 BULK");
    let mut push = |line: &str| {
        ask(&mut engine, token, line);
        engine.serve_ready(None);
        let replies = [several, one, two].map(|waiting| heard(&mut engine, waiting).replace("\r\n", "|"));
        (replies.concat(), records(&mut engine))
    };
    let expect = |(replies, records): (String, String), expected: (&str, &str)| {
        assert_eq!((&*replies, &*records), expected);
    };
    expect(push("RPUSH q a"), ("*2|$1|q|$1|a|", "RPUSH q a LPOP q"));
    expect(push("RPUSH q b d"), ("", "RPUSH q b d"));
    expect(
        push("LINSERT q AFTER b c"),
        (
            "*3|$1|b|$1|c|$1|d|*2|$1|c|$1|d|",
            "LINSERT q AFTER b c LMOVEM q to LEFT RIGHT EXACTLY 3 BULK LMOVEM to end RIGHT LEFT EXACTLY 2 BULK",
        ),
    );
    assert_eq!(0, engine.state.blocked_clients());
}

/// Where they have arrived is told first, as `LMOVE` tells it.
#[test]
fn moving_several_is_one_event_for_each_list() {
    let (mut engine, token) = opened(false, "s");
    let listener = engine.open_session(Session::default());
    engine.state.settings.notify_keyspace_events =
        Events(Events::KEYEVENT.0 | Events::LIST.0 | Events::GENERIC.0);
    engine.state.set_attentive();
    ask(&mut engine, listener, "PSUBSCRIBE *");
    let mut events = |line: &str| {
        ask(&mut engine, token, line);
        let messages = heard(&mut engine, listener);
        let words: Vec<&str> = messages.split("\r\n").filter_map(|word| word.split("__:").nth(1)).collect();
        words.join(" ")
    };
    assert_eq!(events("RPUSH a 1 2 3 4"), "rpush");
    assert_eq!(events("LMOVEM a a LEFT RIGHT COUNT 2 BULK"), "rpush lpop");
    assert_eq!(events("LMOVEM a b RIGHT LEFT EXACTLY 3 OBO"), "lpush rpop");
    assert_eq!(events("LMOVEM a b LEFT LEFT EXACTLY 3 OBO"), "");
    assert_eq!(events("BLMOVEM a b LEFT LEFT 0 COUNT 3 OBO"), "lpush lpop del");
}

#[test]
fn popping_from_one_of_several() {
    let numkeys = "-ERR numkeys should be greater than 0|";
    let count = "-ERR count should be greater than 0|";
    check(
        false,
        &[
            ("RPUSH a 1 2 3 4 5", ":5| / RPUSH a 1 2 3 4 5"),
            ("LMPOP 0 a LEFT", numkeys),
            ("LMPOP x a LEFT", numkeys),
            ("LMPOP -1 a LEFT", numkeys),
            ("LMPOP 99999999999999999999 a LEFT", numkeys),
            ("LMPOP 9223372036854775807 a LEFT", SYNTAX),
            ("LMPOP 2 a LEFT", SYNTAX),
            ("LMPOP 1 a LEFT COUNT 0", count),
            ("LMPOP 1 a LEFT COUNT x", count),
            ("LMPOP 1 a LEFT COUNT", SYNTAX),
            ("LMPOP 1 a LEFT COUNT 1 COUNT 1", SYNTAX),
            ("LMPOP 1 a MIDDLE", SYNTAX),
            ("LMPOP 1 a", "-ERR wrong number of arguments for 'lmpop' command|"),
            ("LMPOP 3 none a s RIGHT", "*2|$1|a|*1|$1|5| / RPOP a 1"),
            ("LMPOP 3 none s a RIGHT", WRONG),
            ("LMPOP 1 none RIGHT", "*-1|"),
            ("lmpop 2 none a left count 2", "*2|$1|a|*2|$1|1|$1|2| / LPOP a 2"),
            ("LMPOP 1 a RIGHT COUNT 99999999999999", "*2|$1|a|*2|$1|4|$1|3| / RPOP a 2"),
            ("LLEN a", ":0|"),
        ],
    );
}

/// An element that came in a buffer of its own is neither copied in nor out.
#[test]
fn big_elements_are_shared() {
    use crate::resp::request::{Batch, Input, Limits, Parser};
    let mut engine = Engine::new(Settings::default(), 7);
    let token = engine.open_session(Session::default());
    let (mut parser, mut input, mut batch) = (Parser::default(), Input::new(64 << 10), Batch::default());
    let mut bytes = b"*3\r\n$5\r\nLPUSH\r\n$1\r\na\r\n$200000\r\n".to_vec();
    bytes.resize(bytes.len() + 200_000, b'x');
    bytes.extend_from_slice(b"\r\n*3\r\n$9\r\nRPOPLPUSH\r\n$1\r\na\r\n$1\r\nb\r\n");
    let mut rest = &bytes[..];
    engine.enter(token);
    let mut address = None;
    while !rest.is_empty() {
        parser.begin(&mut input);
        let taken = parser.feed(&mut input, rest);
        rest = &rest[taken..];
        loop {
            let parsed = parser.parse(&mut input, &mut batch, 1, &Limits::default());
            for args in parsed.iter() {
                if let Some(shared) = args.iter().enumerate().find_map(|(index, _)| args.shared(index)) {
                    address = Some(shared.as_ptr());
                }
                let prepared = engine.prepare(token, args);
                engine.run(token, args, prepared);
            }
            if !parsed.more() {
                break;
            }
        }
        parser.finish(&mut input);
    }
    engine.leave(token);
    let key = engine.keys.key(b"b");
    let entry = engine.keys.peek(key).expect("the list that the element was moved to");
    match entry.list().and_then(|list| list.get(0)) {
        Some(super::Item::Shared(bytes)) => assert_eq!(Some(bytes.as_ptr()), address),
        other => panic!("not shared: {other:?}"),
    }
}
