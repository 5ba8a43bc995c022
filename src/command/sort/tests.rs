//! Scripts of `SORT`: what is said, what comes back, what the log hears.

use crate::base::date::UnixMs;
use crate::command::tests::{NOT_INTEGER, SYNTAX, WRONG, say};
use crate::config::Settings;
use crate::data::entry::Value;
use crate::data::hash::{Hash, Limits};
use crate::data::keyspace::Deadline;
use crate::engine::Engine;
use crate::state::session::Session;

/// Puts a hash under a key: `key field value …`.
fn put_hash(engine: &mut Engine, words: &str) {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    let limits = Limits { entries: 10, value: 10, hasher: engine.keys.hasher().clone() };
    let mut hash = Hash::new();
    for pair in words[1..].chunks(2) {
        hash.insert(pair[0], pair[1], &limits);
    }
    let key = engine.keys.key(words[0]);
    engine.keys.set(key, Value::Hash(hash), Deadline::Clear);
}

/// Runs `given`, or puts hashes, and then the script.
fn check(given: &[&str], script: &[(&str, &str)]) {
    let mut engine = Engine::new(Settings::default(), 7);
    let token = engine.open_session(Session::default());
    engine.set_now(UnixMs(1_000_000));
    engine.state.log.enabled = true;
    for line in given {
        if let Some(words) = line.strip_prefix("hash ") {
            put_hash(&mut engine, words);
            continue;
        }
        let said = say(&mut engine, token, line);
        assert!(!said.starts_with('-'), "{line}: {said}");
    }
    for (line, expected) in script {
        let is_whole = ["*", ":", "-ERR", "-WRONG"].iter().any(|start| expected.starts_with(start));
        let expected = if is_whole { (*expected).to_owned() } else { array(expected) };
        assert_eq!(say(&mut engine, token, line), expected, "{line}");
    }
}

/// Words as the array they are; `~` stands for a null.
fn array(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let item = |word: &&str| match *word {
        "~" => "$-1|".to_owned(),
        word => format!("${}|{word}|", word.len()),
    };
    format!("*{}|{}", words.len(), words.iter().map(item).collect::<String>())
}

const NO_NUMBER: &str = "-ERR One or more scores can't be converted into double|";

#[test]
fn elements_by_number_and_by_text() {
    check(
        &["RPUSH l 10 9 -1.5 2e1 +3", "SADD s 3 1 2", "ZADD z 1 c 2 a 3 b", "RPUSH t b a B c", "SET str x"],
        &[
            ("SORT l", "-1.5 +3 9 10 2e1"),
            ("sort l desc", "2e1 10 9 +3 -1.5"),
            ("SORT l DESC ASC", "-1.5 +3 9 10 2e1"),
            ("SORT l ALPHA", "+3 -1.5 10 2e1 9"),
            ("SORT s", "1 2 3"),
            ("SORT_RO s DESC", "3 2 1"),
            ("SORT z ALPHA", "a b c"),
            ("SORT z", NO_NUMBER),
            ("SORT t", NO_NUMBER),
            ("SORT t ALPHA", "B a b c"),
            ("SORT t ALPHA DESC", "c b a B"),
            ("SORT none", "*0|"),
            ("SORT str", WRONG),
            ("SORT_RO str", WRONG),
            ("SORT", "-ERR wrong number of arguments for 'sort' command|"),
            ("SORT l BAD", SYNTAX),
            ("SORT l BY", SYNTAX),
            ("SORT l GET", SYNTAX),
            ("SORT l STORE", SYNTAX),
            ("SORT l LIMIT 1", SYNTAX),
            ("SORT l LIMIT a 1", NOT_INTEGER),
            ("SORT l LIMIT 1 a", NOT_INTEGER),
            ("SORT_RO l STORE x", SYNTAX),
        ],
    );
}

#[test]
fn limits() {
    check(
        &["RPUSH l 3 1 2 5 4", "ZADD z 1 c 2 a 3 b", "SADD s 9"],
        &[
            ("SORT l LIMIT 1 2", "2 3"),
            ("SORT l DESC LIMIT 1 2", "4 3"),
            ("SORT l LIMIT -3 2", "1 2"),
            ("SORT l LIMIT 3 -1", "4 5"),
            ("SORT l LIMIT 5 1", "*0|"),
            ("SORT l LIMIT 0 0", "*0|"),
            ("SORT l LIMIT 9223372036854775807 9223372036854775807", "*0|"),
            ("SORT l LIMIT 4 9223372036854775807", "5"),
            ("SORT l LIMIT 0 1 LIMIT 1 1", "2"),
            ("SORT l BY nosort", "3 1 2 5 4"),
            ("SORT l BY nosort DESC", "4 5 2 1 3"),
            ("SORT l BY nosort LIMIT 1 2", "1 2"),
            ("SORT l BY nosort DESC LIMIT 1 2", "5 2"),
            ("SORT z BY nosort", "c a b"),
            ("SORT z BY nosort DESC", "b a c"),
            ("SORT z BY nosort LIMIT 1 5", "a b"),
            ("SORT z BY nosort DESC LIMIT 1 5", "a c"),
            ("SORT s BY nosort LIMIT 0 1", "9"),
            ("SORT s BY nosort LIMIT 1 1", "*0|"),
        ],
    );
}

#[test]
fn what_other_keys_say() {
    check(
        &[
            "RPUSH l 1 2 3",
            "MSET w_1 30 w_2 20 n_1 one n_3 three",
            "hash h_1 f 7 g x",
            "hash h_2 f 6",
            "hash h_3 f 5",
            "RPUSH w_3 list",
        ],
        &[
            ("SORT l BY w_*", "3 2 1"),
            ("SORT l BY w_* DESC", "1 2 3"),
            ("SORT l BY h_*->f", "3 2 1"),
            ("SORT l BY h_*->none", "1 2 3"),
            ("SORT l BY n_*", NO_NUMBER),
            ("SORT l BY n_* ALPHA", "2 1 3"),
            ("SORT l BY n_* ALPHA DESC", "3 1 2"),
            ("SORT l GET n_*", "one ~ three"),
            ("SORT l GET # GET w_* GET h_*->g", "1 30 x 2 20 ~ 3 ~ ~"),
            ("SORT l GET fixed", "~ ~ ~"),
            ("SORT l BY # GET #", "1 2 3"),
            ("SORT l BY nosort GET w_* LIMIT 1 1", "20"),
            ("SORT none GET # GET #", "*0|"),
        ],
    );
}

#[test]
fn results_are_stored() {
    check(
        &["RPUSH l 3 1 2", "SADD s b a c", "SET n_1 one", "hash h_1 f 7", "SET d x PX 100000"],
        &[
            ("SORT l STORE d", ":3| / SORT l STORE d"),
            ("LRANGE d 0 -1", "1 2 3"),
            ("TTL d", ":-1|"),
            ("SORT l GET n_* STORE d", ":3| / SORT l GET n_* STORE d"),
            ("LRANGE d 0 -1", "*3|$3|one|$0||$0||"),
            ("SORT s BY nosort STORE d", ":3| / SORT s BY nosort STORE d"),
            ("LRANGE d 0 -1", "a b c"),
            ("SORT s BY nosort DESC STORE d", ":3| / SORT s BY nosort DESC STORE d"),
            ("LRANGE d 0 -1", "c b a"),
            ("SORT s BY w_* ALPHA STORE d", ":3| / SORT s BY w_* ALPHA STORE d"),
            ("LRANGE d 0 -1", "a b c"),
            ("SORT l GET h_*->f STORE d", ":3| / DEL d RPUSH d 7"),
            ("LRANGE d 0 -1", "*3|$1|7|$0||$0||"),
            ("SORT l STORE x STORE l", ":3| / SORT l STORE x STORE l"),
            ("LRANGE l 0 -1", "1 2 3"),
            ("EXISTS x", ":0|"),
            ("SORT s STORE d", NO_NUMBER),
            ("SORT none STORE d", ":0| / DEL d"),
            ("EXISTS d", ":0|"),
            ("SORT l LIMIT 5 1 STORE d", ":0|"),
            ("COMMAND GETKEYS SORT l STORE a BY store GET x STORE b", "l b"),
            ("COMMAND GETKEYS SORT l BY store GET x", "l"),
            ("COMMAND GETKEYS SORT l LIMIT STORE x STORE", "l"),
            ("COMMAND GETKEYS SORT_RO l STORE x", "l"),
        ],
    );
}

#[test]
fn weights_are_read_as_the_newest_servers_read_them() {
    let numbers =
        ["", "\0", "0", "-0", "1\0x", "inf", "-INFINITY", "1e400", "1e-400", ".5", "5.", "+7", "1E3"];
    let others = [" 1", "1 ", "0x10", "nan", "abc", "-", "--1", "1_0", "infin", "1 \0", "e5", "."];
    for text in numbers {
        assert!(super::number(text.as_bytes()).is_some(), "{text:?}");
    }
    for text in others {
        assert!(super::number(text.as_bytes()).is_none(), "{text:?}");
    }
    assert_eq!(super::number(b"12345678901234567890"), Some(12_345_678_901_234_567_890.0));
}
