//! Scripts of set commands: what is said, what comes back, what the log hears.

use std::collections::BTreeSet;

use crate::command::tests::{NOT_INTEGER, POSITIVE, SIGN, SYNTAX, WRONG, ask, follow, opened, say};

fn check(resp3: bool, script: &[(&str, &str)]) {
    let (mut engine, token) = opened(resp3, "str");
    follow(&mut engine, token, script);
}

#[test]
fn members_come_and_go() {
    check(
        false,
        &[
            ("SADD s 3 1 2 1", ":3| / SADD s 3 1 2 1"),
            ("SADD s 1", ":0|"),
            ("SMEMBERS s", "*3|$1|1|$1|2|$1|3|"),
            ("OBJECT ENCODING s", "$6|intset|"),
            ("sadd s x", ":1| / sadd s x"),
            ("OBJECT ENCODING s", "$8|listpack|"),
            ("SMEMBERS s", "*4|$1|1|$1|2|$1|3|$1|x|"),
            ("SCARD s", ":4|"),
            ("SCARD none", ":0|"),
            ("SCARD str", WRONG),
            ("SISMEMBER s x", ":1|"),
            ("SISMEMBER s y", ":0|"),
            ("SISMEMBER none y", ":0|"),
            ("SISMEMBER str y", WRONG),
            ("SMISMEMBER s x y 1", "*3|:1|:0|:1|"),
            ("SMISMEMBER none x y", "*2|:0|:0|"),
            ("SMISMEMBER str x", WRONG),
            ("SREM s y", ":0|"),
            ("SREM s 1 1 x", ":2| / SREM s 1 1 x"),
            ("SREM none 1", ":0|"),
            ("SREM str 1", WRONG),
            ("SADD str 1", WRONG),
            ("SMEMBERS str", WRONG),
            ("SMEMBERS none", "*0|"),
            ("SREM s 2 3 4", ":2| / SREM s 2 3 4"),
            ("EXISTS s", ":0|"),
            ("SADD s", "-ERR wrong number of arguments for 'sadd' command|"),
            ("SADD t a", ":1| / SADD t a"),
            ("TYPE t", "+set|"),
        ],
    );
}

#[test]
fn moving() {
    check(
        false,
        &[
            ("SADD a 1 x", ":2| / SADD a 1 x"),
            ("SMOVE a b 1", ":1| / SMOVE a b 1"),
            ("OBJECT ENCODING b", "$6|intset|"),
            ("SMOVE a b 1", ":0|"),
            ("SMOVE a a x", ":1|"),
            ("SMOVE a a y", ":0|"),
            ("SMOVE a str x", WRONG),
            ("SMOVE str a x", WRONG),
            ("SMOVE none str x", ":0|"),
            ("SADD b x", ":1| / SADD b x"),
            ("SMOVE a b x", ":1| / SMOVE a b x"),
            ("EXISTS a", ":0|"),
            ("SMEMBERS b", "*2|$1|1|$1|x|"),
        ],
    );
}

#[test]
fn several_sets() {
    check(
        false,
        &[
            ("SADD a 1 2 3 4", ":4| / SADD a 1 2 3 4"),
            ("SADD b 3 4 x", ":3| / SADD b 3 4 x"),
            ("SADD c 4", ":1| / SADD c 4"),
            ("SINTER a b", "*2|$1|3|$1|4|"),
            ("SINTER a b c", "*1|$1|4|"),
            ("SINTER a none", "*0|"),
            ("SINTER none str", WRONG),
            ("SINTER a", "*4|$1|1|$1|2|$1|3|$1|4|"),
            ("SUNION a c", "*4|$1|1|$1|2|$1|3|$1|4|"),
            ("SUNION none none2", "*0|"),
            ("SUNION b none b", "*3|$1|3|$1|4|$1|x|"),
            ("SUNION a str", WRONG),
            ("SDIFF a b", "*2|$1|1|$1|2|"),
            ("SDIFF a b a", "*0|"),
            ("SDIFF none a", "*0|"),
            ("SDIFF a none str", WRONG),
            ("SDIFF b a c c c c c c c", "*1|$1|x|"),
            ("SINTERCARD 2 a b", ":2|"),
            ("SINTERCARD 2 a b LIMIT 1", ":1|"),
            ("SINTERCARD 2 a b limit 0", ":2|"),
            ("SINTERCARD 2 a none", ":0|"),
            ("SINTERCARD 2 a str", WRONG),
            ("SINTERCARD 0 a", "-ERR numkeys should be greater than 0|"),
            ("SINTERCARD x a", "-ERR numkeys should be greater than 0|"),
            ("SINTERCARD 9 a b", "-ERR Number of keys can't be greater than number of args|"),
            ("SINTERCARD 1 a LIMIT", SYNTAX),
            ("SINTERCARD 1 a b", SYNTAX),
            ("SINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative|"),
            ("SINTERCARD 1 a LIMIT x", "-ERR LIMIT can't be negative|"),
        ],
    );
}

#[test]
fn unions_and_differences_are_counted() {
    const NUMKEYS: &str = "-ERR numkeys should be greater than 0|";
    const TOO_MANY: &str = "-ERR Number of keys can't be greater than number of args|";
    const LIMIT: &str = "-ERR LIMIT can't be negative|";
    check(
        false,
        &[
            ("SADD a 1 2 3 4", ":4| / SADD a 1 2 3 4"),
            ("SADD b 3 4 x", ":3| / SADD b 3 4 x"),
            ("SET str y", "+OK| / SET str y"),
            ("SUNIONCARD 2 a b", ":5|"),
            ("SUNIONCARD 3 b none b", ":3|"),
            ("SUNIONCARD 2 a b LIMIT 0", ":5|"),
            ("SUNIONCARD 2 a b LIMIT 3", ":3|"),
            ("SUNIONCARD 2 a b limit 4", ":4|"),
            ("SUNIONCARD 2 b a limit 5", ":5|"),
            ("SUNIONCARD 2 a b LIMIT 9", ":5|"),
            ("SUNIONCARD 2 a b APPROX", ":5|"),
            ("SUNIONCARD 2 a b APPROX LIMIT 3", ":3|"),
            ("SUNIONCARD 2 a b LIMIT 9 approx", ":5|"),
            ("SUNIONCARD 2 none none", ":0|"),
            ("SUNIONCARD 1 none APPROX LIMIT 2", ":0|"),
            ("SUNIONCARD 2 a str", WRONG),
            ("SUNIONCARD 2 str none", WRONG),
            ("SUNIONCARD 0 a", NUMKEYS),
            ("SUNIONCARD x a", NUMKEYS),
            ("SUNIONCARD 3 a b", TOO_MANY),
            ("SUNIONCARD 1 a b", SYNTAX),
            ("SUNIONCARD 1 a LIMIT", SYNTAX),
            ("SUNIONCARD 1 a LIMIT -1", LIMIT),
            ("SUNIONCARD 1 a LIMIT x", LIMIT),
            ("SDIFFCARD 2 a b", ":2|"),
            ("SDIFFCARD 2 b a", ":1|"),
            ("SDIFFCARD 1 a", ":4|"),
            ("SDIFFCARD 2 a a", ":0|"),
            ("SDIFFCARD 2 none a", ":0|"),
            ("SDIFFCARD 2 a none LIMIT 3", ":3|"),
            ("SDIFFCARD 2 a b LIMIT 0", ":2|"),
            ("SDIFFCARD 2 a b limit 1", ":1|"),
            ("SDIFFCARD 2 a b LIMIT 7", ":2|"),
            ("SDIFFCARD 2 none str", WRONG),
            ("SDIFFCARD 0 a", NUMKEYS),
            ("SDIFFCARD 2 a", TOO_MANY),
            ("SDIFFCARD 1 a APPROX", SYNTAX),
            ("SDIFFCARD 1 a LIMIT -1", LIMIT),
        ],
    );
}

/// The same numbers from big sets, where a difference is counted in the other way; an estimate lies close by.
#[test]
fn big_unions_and_differences_are_counted() {
    let (mut engine, token) = opened(false, "s");
    for (key, from, to) in [("a", 0, 3000), ("b", 2000, 9000), ("c", 8000, 12_000), ("d", 0, 2500)] {
        let members: Vec<String> = (from..to).map(|number| format!("member:{number}")).collect();
        ask(&mut engine, token, &format!("SADD {key} {}", members.join(" ")));
    }
    assert_eq!(ask(&mut engine, token, "SUNIONCARD 4 a b c d"), ":12000\r\n");
    assert_eq!(ask(&mut engine, token, "SUNIONCARD 4 a b c d LIMIT 11999"), ":11999\r\n");
    assert_eq!(ask(&mut engine, token, "SDIFFCARD 3 b a c"), ":5000\r\n");
    assert_eq!(ask(&mut engine, token, "SDIFFCARD 9 b a c d none a c d a LIMIT 4999"), ":4999\r\n");
    let estimate = ask(&mut engine, token, "SUNIONCARD 4 a b c d APPROX");
    let estimate: i64 = estimate[1..].trim_end().parse().expect("a number");
    assert!((11_500..12_500).contains(&estimate), "{estimate}");
    assert_eq!(ask(&mut engine, token, "SUNIONCARD 4 a b c d APPROX LIMIT 5000"), ":5000\r\n");
}

#[test]
fn results_are_stored() {
    check(
        false,
        &[
            ("SADD a 1 2 3 4", ":4| / SADD a 1 2 3 4"),
            ("SADD b 3 4 x", ":3| / SADD b 3 4 x"),
            ("SINTERSTORE str a b", ":2| / SINTERSTORE str a b"),
            ("SMEMBERS str", "*2|$1|3|$1|4|"),
            ("OBJECT ENCODING str", "$6|intset|"),
            ("EXPIRE a 100", ":1| / PEXPIREAT a 1100000"),
            ("SUNIONSTORE a a b", ":5| / SUNIONSTORE a a b"),
            ("SMEMBERS a", "*5|$1|1|$1|2|$1|3|$1|4|$1|x|"),
            ("TTL a", ":-1|"),
            ("SDIFFSTORE a a b", ":2| / SDIFFSTORE a a b"),
            ("SDIFFSTORE a a a", ":0| / SDIFFSTORE a a a"),
            ("EXISTS a", ":0|"),
            ("SDIFFSTORE a a b", ":0|"),
            ("SINTERSTORE b b none", ":0| / SINTERSTORE b b none"),
            ("SUNIONSTORE none none", ":0|"),
            ("SET str x", "+OK| / SET str x"),
            ("SUNIONSTORE d str", WRONG),
            ("SINTERSTORE d none str", WRONG),
            ("SDIFFSTORE d none str", WRONG),
        ],
    );
}

#[test]
fn drawing_says_what_is_wrong() {
    check(
        false,
        &[
            ("SADD s 7", ":1| / SADD s 7"),
            ("SRANDMEMBER s", "$1|7|"),
            ("SRANDMEMBER s 3", "*1|$1|7|"),
            ("SRANDMEMBER s -3", "*3|$1|7|$1|7|$1|7|"),
            ("SRANDMEMBER s 0", "*0|"),
            ("SRANDMEMBER none", "$-1|"),
            ("SRANDMEMBER none -5", "*0|"),
            ("SRANDMEMBER str", WRONG),
            ("SRANDMEMBER str 0", WRONG),
            ("SRANDMEMBER s x", NOT_INTEGER),
            ("SRANDMEMBER s 1 2", SYNTAX),
            ("SRANDMEMBER s -9223372036854775808", SIGN),
            ("SRANDMEMBER s -9223372036854775807", "-ERR value is out of range|"),
            ("SPOP none", "$-1|"),
            ("SPOP none 3", "*0|"),
            ("SPOP s 0", "*0|"),
            ("SPOP s -1", POSITIVE),
            ("SPOP s x", POSITIVE),
            ("SPOP s 1 2", SYNTAX),
            ("SPOP str", WRONG),
            ("SPOP str 0", WRONG),
            ("SPOP s", "$1|7| / SREM s 7"),
            ("EXISTS s", ":0|"),
            ("SADD s a b", ":2| / SADD s a b"),
            ("SPOP s 2", "*2|$1|a|$1|b| / DEL s"),
            ("EXISTS s", ":0|"),
        ],
    );
    check(
        true,
        &[
            ("SADD s 7", ":1| / SADD s 7"),
            ("SMEMBERS s", "~1|$1|7|"),
            ("SMEMBERS none", "~0|"),
            ("SINTER s none", "~0|"),
            ("SUNION s none", "~1|$1|7|"),
            ("SDIFF s none", "~1|$1|7|"),
            ("SRANDMEMBER s 1", "*1|$1|7|"),
            ("SRANDMEMBER none", "_|"),
            ("SRANDMEMBER none 1", "*0|"),
            ("SPOP none", "_|"),
            ("SPOP none 1", "~0|"),
            ("SPOP s 1", "~1|$1|7| / DEL s"),
        ],
    );
}

/// The words of a reply or record in this notation, without lengths.
fn words(text: &str) -> BTreeSet<String> {
    text.split(['|', ' ']).filter(|word| word.starts_with('m')).map(str::to_owned).collect()
}

#[test]
fn what_is_popped_is_what_is_logged() {
    for (len, count) in [(10, 3), (100, 99), (100, 60), (1000, 10), (1000, 900), (3000, 2000)] {
        let (mut engine, token) = opened(false, "str");
        let members: Vec<String> = (0..len).map(|number| format!("m{number}")).collect();
        say(&mut engine, token, &format!("SADD s {}", members.join(" ")));
        say(&mut engine, token, "PEXPIREAT s 2000000");
        let said = say(&mut engine, token, &format!("SPOP s {count}"));
        let (reply, log) = said.split_once(" / ").expect("a record");
        assert_eq!(words(reply).len(), count);
        assert_eq!(words(reply), words(log));
        let records = log.split(' ').filter(|word| *word == "SREM").count();
        assert_eq!(records, count.div_ceil(1024));
        assert_eq!(say(&mut engine, token, "SCARD s"), format!(":{}|", len - count));
        assert_eq!(say(&mut engine, token, "PEXPIRETIME s"), ":2000000|");
        let left = words(&say(&mut engine, token, "SMEMBERS s"));
        assert!(left.is_disjoint(&words(reply)) && left.len() == len - count);
    }
}

#[test]
fn members_drawn_with_a_count_are_different() {
    let (mut engine, token) = opened(false, "str");
    for len in [5, 100, 1000] {
        let members: Vec<String> = (0..len).map(|number| format!("m{number}")).collect();
        say(&mut engine, token, &format!("SADD s{len} {}", members.join(" ")));
        for count in [1, 2, 4, 50, 99, 300, 500, 999, 1000, 2000] {
            let drawn = say(&mut engine, token, &format!("SRANDMEMBER s{len} {count}"));
            assert!(drawn.starts_with(&format!("*{}|", count.min(len))));
            assert_eq!(words(&drawn).len(), count.min(len));
            let drawn = say(&mut engine, token, &format!("SRANDMEMBER s{len} -{count}"));
            assert!(drawn.starts_with(&format!("*{count}|")));
            assert!(words(&drawn).iter().all(|word| members.contains(word)));
        }
    }
}

#[test]
fn scanning() {
    check(
        false,
        &[
            ("SADD s 1 2 30", ":3| / SADD s 1 2 30"),
            ("SSCAN s 0", "*2|$1|0|*3|$1|1|$1|2|$2|30|"),
            ("SSCAN s 7 COUNT 1 MATCH 3*", "*2|$1|0|*1|$2|30|"),
            ("SSCAN none 0 BAD", "*2|$1|0|*0|"),
            ("SSCAN none x", "-ERR invalid cursor|"),
            ("SSCAN str 0", WRONG),
            ("SSCAN s 0 COUNT 0", SYNTAX),
            ("SSCAN s 0 COUNT x", NOT_INTEGER),
            ("SSCAN s 0 COUNT", SYNTAX),
            ("SSCAN s 0 TYPE set", SYNTAX),
            ("SSCAN s 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN|"),
        ],
    );
    let (mut engine, token) = opened(false, "str");
    let members: Vec<String> = (0..1000).map(|number| format!("m{number}")).collect();
    say(&mut engine, token, &format!("SADD s {}", members.join(" ")));
    let (mut found, mut cursor, mut steps) = (BTreeSet::new(), "0".to_owned(), 0);
    loop {
        let step = say(&mut engine, token, &format!("SSCAN s {cursor} COUNT 50"));
        found.extend(words(&step));
        steps += 1;
        cursor = step.split('|').nth(2).expect("a cursor").to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((found.len(), 10 < steps), (1000, true), "{steps} steps");
}
