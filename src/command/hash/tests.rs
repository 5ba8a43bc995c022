//! Scripts of hash commands: what is said, what comes back, what the log hears, and when.

use crate::base::date::UnixMs;
use crate::base::random::Random;
use crate::command::tests::{WRONG, opened, records, say};
use crate::config::Settings;
use crate::data::digest::Digest;
use crate::data::entry::Entry;
use crate::data::hash::Hash;
use crate::engine::Engine;
use crate::engine::replay::Replayed;
use crate::engine::snapshot::write_snapshot;
use crate::resp::request::Request;

fn check(resp3: bool, script: &[(&str, &str)]) {
    let (mut engine, token) = opened(resp3, "s");
    for (line, expected) in script {
        match *line {
            "tick" => {
                while engine.expire_step() {}
                assert_eq!(records(&mut engine), *expected, "tick");
            }
            line if line.starts_with('+') => {
                let ms: i64 = line[1..].parse().expect("milliseconds");
                engine.set_now(UnixMs(engine.now().0 + ms));
            }
            line => assert_eq!(say(&mut engine, token, line), *expected, "{line}"),
        }
    }
}

#[test]
fn setting_and_getting() {
    check(
        false,
        &[
            ("HSET a f 1 g two", ":2| / HSET a f 1 g two"),
            ("hset a f 2 h 3", ":1| / hset a f 2 h 3"),
            ("HSET a f", "-ERR wrong number of arguments for 'hset' command|"),
            ("HSET a f 1 g", "-ERR wrong number of arguments for 'hset' command|"),
            ("HMSET a f 1 g", "-ERR wrong number of arguments for 'hmset' command|"),
            ("HSET s f 1", WRONG),
            ("HMSET a f x", "+OK| / HMSET a f x"),
            ("HSETNX a f y", ":0|"),
            ("HSETNX a n y", ":1| / HSETNX a n y"),
            ("HSETNX s n y", WRONG),
            ("HGET a f", "$1|x|"),
            ("HGET a none", "$-1|"),
            ("HGET none f", "$-1|"),
            ("HGET s f", WRONG),
            ("HMGET a f none g", "*3|$1|x|$-1|$3|two|"),
            ("HMGET none f g", "*2|$-1|$-1|"),
            ("HGETALL a", "*8|$1|f|$1|x|$1|g|$3|two|$1|h|$1|3|$1|n|$1|y|"),
            ("HKEYS a", "*4|$1|f|$1|g|$1|h|$1|n|"),
            ("HVALS a", "*4|$1|x|$3|two|$1|3|$1|y|"),
            ("HLEN a", ":4|"),
            ("HLEN none", ":0|"),
            ("HEXISTS a g", ":1|"),
            ("HEXISTS a none", ":0|"),
            ("HSTRLEN a g", ":3|"),
            ("HSTRLEN a none", ":0|"),
            ("HDEL a none f f", ":1| / HDEL a none f f"),
            ("HDEL a none", ":0|"),
            ("HDEL a g h n", ":3| / HDEL a g h n"),
            ("EXISTS a", ":0|"),
            ("HGETALL a", "*0|"),
        ],
    );
    check(true, &[("HGETALL a", "%0|"), ("HSET a f 1", ":1| / HSET a f 1"), ("HGETALL a", "%1|$1|f|$1|1|")]);
}

#[test]
fn counting() {
    check(
        false,
        &[
            ("HINCRBY a n 5", ":5| / HINCRBY a n 5"),
            ("HINCRBY a n -7", ":-2| / HINCRBY a n -7"),
            ("HINCRBY a n x", "-ERR value is not an integer or out of range|"),
            ("HINCRBY a n -9223372036854775807", "-ERR increment or decrement would overflow|"),
            ("HSET a t text", ":1| / HSET a t text"),
            ("HINCRBY a t 1", "-ERR hash value is not an integer|"),
            ("HINCRBY s n 1", WRONG),
            ("HINCRBYFLOAT a n 0.5", "$4|-1.5| / HSET a n -1.5"),
            ("HINCRBYFLOAT a t 1", "-ERR hash value is not a float|"),
            ("HINCRBYFLOAT a n x", "-ERR value is not a valid float|"),
            ("HINCRBYFLOAT a n inf", "-ERR value is NaN or Infinity|"),
            ("HPEXPIREAT a 9000000 FIELDS 1 n", "*1|:1| / HPEXPIREAT a 9000000 FIELDS 1 n"),
            ("HINCRBYFLOAT a n 0.5", "$2|-1| / HSETEX a KEEPTTL FIELDS 1 n -1"),
            ("HINCRBY a n 3", ":2| / HINCRBY a n 3"),
            ("HPEXPIRETIME a FIELDS 1 n", "*1|:9000000|"),
        ],
    );
}

#[test]
fn drawing_and_walking() {
    let out_of_range = "-ERR value is out of range|";
    check(
        false,
        &[
            ("HSET a f 1", ":1| / HSET a f 1"),
            ("HRANDFIELD a", "$1|f|"),
            ("HRANDFIELD none", "$-1|"),
            ("HRANDFIELD a 5", "*1|$1|f|"),
            ("HRANDFIELD a -3", "*3|$1|f|$1|f|$1|f|"),
            ("HRANDFIELD a -2 withvalues", "*4|$1|f|$1|1|$1|f|$1|1|"),
            ("HRANDFIELD a 0", "*0|"),
            ("HRANDFIELD none 1", "*0|"),
            ("HRANDFIELD a 1 x", "-ERR syntax error|"),
            ("HRANDFIELD a 4611686018427387904 WITHVALUES", out_of_range),
            ("HRANDFIELD s 1", WRONG),
            ("HSCAN a 0", "*2|$1|0|*2|$1|f|$1|1|"),
            ("HSCAN a 0 NOVALUES", "*2|$1|0|*1|$1|f|"),
            ("HSCAN a 0 MATCH g*", "*2|$1|0|*0|"),
            ("HSCAN none 0 BAD", "*2|$1|0|*0|"),
            ("HSCAN a 0 BAD", "-ERR syntax error|"),
            ("HSCAN a x", "-ERR invalid cursor|"),
            ("HSCAN s 0", WRONG),
        ],
    );
    check(true, &[("HSET a f 1", ":1| / HSET a f 1"), ("HRANDFIELD a 1 WITHVALUES", "*1|*2|$1|f|$1|1|")]);
}

#[test]
fn draws_are_fair_and_different() {
    let (mut engine, token) = opened(false, "s");
    for field in 0..100 {
        say(&mut engine, token, &format!("HSET a {field} {field}"));
        say(&mut engine, token, &format!("HSET b {field} {}", "long ".repeat(20).replace(' ', "-")));
    }
    for (key, count) in [("a", 10), ("b", 10), ("a", 60), ("b", 60)] {
        let mut drawn = [0; 100];
        for _ in 0..1000 {
            let reply = say(&mut engine, token, &format!("HRANDFIELD {key} {count}"));
            let mut fields: Vec<usize> = reply.split('|').filter_map(|word| word.parse().ok()).collect();
            assert_eq!(fields.len(), count);
            fields.sort_unstable();
            fields.dedup();
            assert_eq!(fields.len(), count, "fields differ");
            fields.iter().for_each(|field| drawn[*field] += 1);
        }
        let expected = count as i32 * 10;
        assert!(drawn.iter().all(|times| (times - expected).abs() < expected / 2 + 60), "{drawn:?}");
    }
}

#[test]
fn deadlines_are_set_shown_and_taken_off() {
    check(
        false,
        &[
            ("HSET a f 1 g 2 h 3", ":3| / HSET a f 1 g 2 h 3"),
            ("HEXPIRE a 10 FIELDS 2 f none", "*2|:1|:-2| / HPEXPIREAT a 1010000 FIELDS 1 f"),
            ("HPEXPIRE a 10500 NX FIELDS 2 f g", "*2|:0|:1| / HPEXPIREAT a 1010500 FIELDS 1 g"),
            ("HEXPIREAT a 1011 GT FIELDS 2 f h", "*2|:1|:0| / HPEXPIREAT a 1011000 FIELDS 1 f"),
            ("HPEXPIREAT a 1010200 LT FIELDS 2 f h", "*2|:1|:1| / HPEXPIREAT a 1010200 FIELDS 2 f h"),
            ("HPEXPIREAT a 1010300 XX FIELDS 1 h", "*1|:1| / HPEXPIREAT a 1010300 FIELDS 1 h"),
            ("HTTL a FIELDS 3 f g none", "*3|:11|:11|:-2|"),
            ("HPTTL a FIELDS 2 f g", "*2|:10200|:10500|"),
            ("HEXPIRETIME a FIELDS 1 f", "*1|:1011|"),
            ("HPEXPIRETIME a FIELDS 1 f", "*1|:1010200|"),
            (
                "HPERSIST a FIELDS 2 f none",
                "*2|:1|:-2| / HPEXPIREAT a 70368744177663 FIELDS 1 f HPERSIST a FIELDS 1 f",
            ),
            ("HPERSIST a FIELDS 1 f", "*1|:-1|"),
            ("HTTL a FIELDS 1 f", "*1|:-1|"),
            ("HSET a g 5", ":0| / HSET a g 5"),
            ("HTTL a FIELDS 1 g", "*1|:-1|"),
            ("HPEXPIREAT a 1 FIELDS 2 g none", "*2|:2|:-2| / HDEL a g"),
            ("HEXPIRE a 0 FIELDS 2 f h", "*2|:2|:2| / HDEL a f h"),
            ("EXISTS a", ":0|"),
            ("HEXPIRE none 1 FIELDS 1 f", "*1|:-2|"),
            ("HTTL none FIELDS 2 f g", "*2|:-2|:-2|"),
            ("HTTL s FIELDS 2 f g", WRONG),
            ("HEXPIRE s x FIELDS 1 f", WRONG),
        ],
    );
}

#[test]
fn mistakes_about_deadlines_have_names() {
    let missing = "-ERR Mandatory argument FIELDS is missing or not at the right position|";
    let mismatch = "-ERR The `numfields` parameter must match the number of arguments|";
    let count = "-ERR Number of fields must be a positive integer|";
    check(
        false,
        &[
            ("HEXPIRE a x FIELDS 1 f", "-ERR value is not an integer or out of range|"),
            ("HEXPIRE a -1 FIELDS 1 f", "-ERR invalid expire time, must be >= 0|"),
            ("HPEXPIREAT a 70368744177664 FIELDS 1 f", "-ERR invalid expire time in 'hpexpireat' command|"),
            ("HEXPIRE a 9223372036854775807 FIELDS 1 f", "-ERR invalid expire time in 'hexpire' command|"),
            ("HEXPIRE a 1 BAD 1 f", missing),
            ("HEXPIRE a 1 NX XX FIELDS 1 f", missing),
            ("HEXPIRE a 1 FIELDS x f", "-ERR Parameter `numFields` should be greater than 0|"),
            ("HEXPIRE a 1 FIELDS 2 f", mismatch),
            ("HTTL a BAD 1 f", missing),
            ("HTTL a FIELDS 0 f", count),
            ("HPERSIST a FIELDS 2 f", mismatch),
            ("HGETDEL a FIELDS 9223372036854775807 f", mismatch),
            ("HGETEX a EX 1 f", "-ERR wrong number of arguments for 'hgetex' command|"),
            ("HGETEX a EX 1 PX 1 FIELDS 1 f", missing),
            ("HSETEX a FNX FXX FIELDS 1 f v", "-ERR Only one of FXX or FNX arguments can be specified|"),
            ("HSETEX a NX XX FIELDS 1 f v", "-ERR Only one of XX or NX arguments can be specified|"),
            (
                "HSETEX a EX 1 KEEPTTL FIELDS 1 f v",
                "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified|",
            ),
            ("HSETEX a BAD FIELDS 1 f v", "-ERR unknown argument: BAD|"),
            ("HSETEX a FIELDS 2 f v x", "-ERR wrong number of arguments for 'hsetex' command|"),
            ("HSETEX a FIELDS 0 f v", "-ERR invalid number of fields|"),
        ],
    );
}

#[test]
fn values_with_deadlines() {
    check(
        false,
        &[
            ("HSETEX a EX 5 FIELDS 2 f 1 g 2", ":1| / HSETEX a PXAT 1005000 FIELDS 2 f 1 g 2"),
            ("HSETEX a FNX FIELDS 2 f 9 h 9", ":0|"),
            ("HSETEX a FXX FIELDS 2 f 9 h 9", ":0|"),
            ("HSETEX a FXX KEEPTTL FIELDS 1 f 7", ":1| / HSETEX a KEEPTTL FIELDS 1 f 7"),
            ("HPTTL a FIELDS 1 f", "*1|:5000|"),
            ("HSETEX a FIELDS 1 f 8", ":1| / HSET a f 8"),
            ("HPTTL a FIELDS 2 f g", "*2|:-1|:5000|"),
            ("HSETEX a NX FIELDS 1 f 9", ":0|"),
            ("HSETEX none XX FIELDS 1 f 9", ":0|"),
            ("HSETEX b NX KEEPTTL FIELDS 1 f 9", ":1| / HSET b f 9"),
            ("HSETEX b PXAT 1 FIELDS 2 f 1 g 2", ":1| / HDEL b f"),
            ("EXISTS b", ":0|"),
            ("HSETEX b PXAT 1 FIELDS 1 f 1", ":1|"),
            ("HGETEX a FIELDS 2 g none", "*2|$1|2|$-1|"),
            ("HGETEX a PX 100 FIELDS 2 g none", "*2|$1|2|$-1| / HPEXPIREAT a 1000100 FIELDS 1 g"),
            (
                "HGETEX a PERSIST FIELDS 2 g f",
                "*2|$1|2|$1|8| / HPEXPIREAT a 70368744177663 FIELDS 1 g HPERSIST a FIELDS 1 g",
            ),
            ("HGETEX a EXAT 0 FIELDS 2 g g", "*2|$1|2|$1|2| / HDEL a g"),
            ("HGETEX none EX 1 FIELDS 1 g", "*1|$-1|"),
            ("HGETDEL a FIELDS 3 f f none", "*3|$1|8|$-1|$-1| / HDEL a f"),
            ("EXISTS a", ":0|"),
            ("HGETDEL a FIELDS 1 f", "*1|$-1|"),
            ("HGETDEL s FIELDS 1 f", WRONG),
        ],
    );
}

#[test]
fn what_is_due_is_gone_for_readers_and_removed_by_writers() {
    check(
        false,
        &[
            ("HSET a f 1 g 2 h 3", ":3| / HSET a f 1 g 2 h 3"),
            ("HPEXPIRE a 100 FIELDS 2 f g", "*2|:1|:1| / HPEXPIREAT a 1000100 FIELDS 2 f g"),
            ("+100", ""),
            ("HGET a f", "$-1|"),
            ("HGETALL a", "*2|$1|h|$1|3|"),
            ("HKEYS a", "*1|$1|h|"),
            ("HRANDFIELD a 5", "*1|$1|h|"),
            ("HSCAN a 0", "*2|$1|0|*2|$1|h|$1|3|"),
            ("HTTL a FIELDS 1 f", "*1|:-2|"),
            ("HLEN a", ":3|"),
            ("HINCRBY a f 5", ":5| / HDEL a f HINCRBY a f 5"),
            ("HLEN a", ":3|"),
            ("HSETNX a g 9", ":1| / HDEL a g HSETNX a g 9"),
            ("tick", ""),
            ("HPEXPIRE a 10 FIELDS 3 f g h", "*3|:1|:1|:1| / HPEXPIREAT a 1000110 FIELDS 3 f g h"),
            ("+10", ""),
            ("HDEL a f none", ":0| / HDEL a f"),
            ("HGETALL a", "*0|"),
            ("EXISTS a", ":1|"),
            ("tick", "HDEL a g h"),
            ("EXISTS a", ":0|"),
            ("HSETEX b PX 10 FIELDS 1 f v", ":1| / HSETEX b PXAT 1000120 FIELDS 1 f v"),
            ("+10", ""),
            ("HSET b f w", ":1| / HDEL b f HSET b f w"),
            ("HTTL b FIELDS 1 f", "*1|:-1|"),
        ],
    );
}

#[test]
fn the_tick_removes_fields_wherever_the_hash_has_gone() {
    let info = "HSETEX a PX 100 FIELDS 1 f v";
    check(
        false,
        &[
            (info, ":1| / HSETEX a PXAT 1000100 FIELDS 1 f v"),
            ("COPY a b", ":1| / COPY a b"),
            ("RENAME a c", "+OK| / RENAME a c"),
            ("COPY c d DB 2", ":1| / COPY c d DB 2"),
            ("MOVE d 2", ":0|"),
            ("COPY c e", ":1| / COPY c e"),
            ("MOVE e 2", ":1| / MOVE e 2"),
            ("COPY c f", ":1| / COPY c f"),
            ("SET f x", "+OK| / SET f x"),
            ("COPY c g", ":1| / COPY c g"),
            ("DEL g", ":1| / DEL g"),
            ("+100", ""),
            ("tick", "HDEL c f HDEL b f SELECT 2 HDEL e f HDEL d f"),
        ],
    );
}

/// Every hash of every database is held by the index exactly if it has field deadlines, under its own ticket.
fn check_index(engine: &Engine) {
    for database in engine.keys.databases() {
        let mut held = 0;
        for entry in database.table().iter() {
            let Some(hash) = entry.hash() else { continue };
            assert_eq!(hash.ticket().is_some(), hash.next_due().is_some(), "{hash:?}");
            if let Some(ticket) = hash.ticket() {
                held += 1;
                let record = database.fields().get(ticket).expect("a record with the ticket");
                assert_eq!(record.hash, engine.keys.key(entry.key()).hash);
                let earliest = hash.iter().filter_map(|pair| pair.deadline).min();
                let soon = UnixMs(engine.now().0 + 64);
                assert!(record.deadline <= earliest.expect("a deadline").max(soon), "not looked at in time");
            }
            assert!(!hash.is_empty());
        }
        assert_eq!(database.fields().len(), held);
    }
}

/// Runs what the log has as whoever loads it would.
fn replay(engine: &mut Engine, token: usize, log: &[u8]) {
    let text = String::from_utf8(log.to_vec()).expect("text");
    let mut lines = text.split("\r\n");
    while let Some(head) = lines.next().filter(|head| !head.is_empty()) {
        if head.starts_with('#') {
            continue;
        }
        let count: usize = head[1..].parse().expect("a number of words");
        let words: Vec<&[u8]> =
            (0..count).map(|_| (lines.next(), lines.next().expect("a word").as_bytes()).1).collect();
        let request = Request::new(words.iter().copied());
        let prepared = engine.prepare_replay(token, request.args());
        assert_eq!(engine.replay(token, request.args(), prepared), Replayed::Done, "{words:?}");
    }
}

#[test]
fn random_commands_keep_index_and_log_true() {
    for seed in 0..4 {
        let (mut engine, token) = opened(false, "s");
        let mut random = Random::seeded(seed);
        let mut copy = Engine::new(Settings::default(), 9);
        let loader = copy.begin_replay();
        replay(&mut copy, loader, b"*3\r\n$3\r\nSET\r\n$1\r\ns\r\n$1\r\nx\r\n");
        let mut log = Vec::new();
        for round in 0..6000 {
            let mut pick = |words: &[&str]| words[random.below(words.len() as u64) as usize].to_owned();
            let (a, b) = (pick(&["a", "b", "c"]), pick(&["a", "b", "c"]));
            let (f, g) = (pick(&["f", "g", "h", "i", "j"]), pick(&["f", "g", "h", "i", "j"]));
            let value = pick(&["1", "2", "text", &"long".repeat(20)]);
            let ms = pick(&["1", "50", "300", "5000", "9000000"]);
            let line = match random.below(24) {
                0..4 => format!("HSET {a} {f} {value} {g} 1"),
                4..7 => format!("HPEXPIRE {a} {ms} FIELDS 2 {f} {g}"),
                7 => format!("HSETEX {a} PX {ms} FIELDS 1 {f} {value}"),
                8 => format!("HSETEX {a} KEEPTTL FIELDS 1 {f} {value}"),
                9 => format!("HGETEX {a} PX {ms} FIELDS 1 {f}"),
                10 => format!("HPERSIST {a} FIELDS 2 {f} {g}"),
                11 => format!("HDEL {a} {f} {g}"),
                12 => format!("HINCRBY {a} {f} 3"),
                13 => format!("HINCRBYFLOAT {a} {f} 0.5"),
                14 => format!("RENAME {a} {b}"),
                15 => format!("COPY {a} {b} REPLACE"),
                16 => format!("MOVE {a} 1"),
                17 => "SWAPDB 0 1".to_owned(),
                18 => format!("SET {a} x PX 100"),
                19 => format!("HGETDEL {a} FIELDS 1 {f}"),
                20 => format!("PEXPIRE {a} 400"),
                21 if random.below(20) == 0 => "FLUSHDB".to_owned(),
                22 if random.below(10) == 0 => format!("DEL {a}"),
                _ => format!("HSETNX {a} {f} {value}"),
            };
            engine.set_now(UnixMs(engine.now().0 + random.below(30) as i64));
            let request = Request::new(line.split(' ').map(str::as_bytes));
            engine.enter(token);
            let prepared = engine.prepare(token, request.args());
            engine.run(token, request.args(), prepared);
            engine.leave(token);
            drop(std::mem::take(&mut engine.state.sessions[token].output));
            if random.below(10) == 0 {
                while engine.expire_step() {}
            }
            log.append(engine.state.log.pending_mut());
            if round % 50 == 0 {
                check_index(&engine);
                replay(&mut copy, loader, &log);
                log.clear();
                check_index(&copy);
                assert_eq!(Digest::of_all(&copy.keys), Digest::of_all(&engine.keys), "round {round}");
            }
        }
        engine.set_now(UnixMs(engine.now().0 + 10_000_000));
        while engine.expire_step() {}
        check_index(&engine);
        let left = |engine: &Engine| {
            let hashes = engine.keys.databases().iter().flat_map(|database| database.table().iter());
            hashes.filter_map(Entry::hash).filter_map(Hash::next_due).count()
        };
        assert_eq!(left(&engine), 0, "everything has fallen due");
    }
}

#[test]
fn many_fields_go_in_slices() {
    let (mut engine, token) = opened(false, "s");
    for field in 0..3000 {
        say(&mut engine, token, &format!("HSETEX a PX 1000 FIELDS 1 {field} v"));
    }
    engine.set_now(UnixMs(engine.now().0 + 2000));
    let mut steps = 0;
    while engine.expire_step() {
        steps += 1;
        let removed = engine.keys.counters.expired_fields;
        assert!(removed <= steps * 8 * 40, "{removed} fields in {steps} steps");
    }
    assert_eq!(engine.keys.counters.expired_fields, 3000);
    assert_eq!(say(&mut engine, token, "EXISTS a").split(' ').next(), Some(":0|"));
}

#[test]
fn a_snapshot_replayed_is_the_same_data() {
    let (mut engine, token) = opened(false, "s");
    for field in 0..700 {
        for (key, count) in [("small", 5), ("chunk", 64), ("chunk+1", 65), ("table", 600), ("timed", 300)] {
            if field < count {
                say(&mut engine, token, &format!("HSET {key} field:{field} {field}"));
            }
        }
        say(&mut engine, token, &format!("HSETEX both PXAT {} FIELDS 1 {field} v", 2_000_000 + field / 100));
    }
    say(&mut engine, token, "HPEXPIREAT timed 3000000 FIELDS 3 field:1 field:7 field:299");
    say(&mut engine, token, "HPEXPIREAT timed 3000001 FIELDS 1 field:2");
    say(&mut engine, token, "PEXPIREAT timed 4000000");
    let mut bytes = Vec::new();
    write_snapshot(&engine, &mut bytes, |_| ()).expect("writing to memory");
    let mut copy = Engine::new(Settings::default(), 3);
    let loader = copy.begin_replay();
    replay(&mut copy, loader, &bytes);
    copy.end_replay(loader);
    assert_eq!(Digest::of_all(&copy.keys), Digest::of_all(&engine.keys));
    check_index(&copy);
    let dates = |engine: &Engine| {
        let mut dates: Vec<(Vec<u8>, UnixMs)> = Vec::new();
        for entry in engine.keys.databases()[0].table().iter() {
            let pairs = entry.hash().into_iter().flat_map(Hash::iter);
            dates.extend(pairs.filter_map(|pair| Some((pair.field.to_vec(), pair.deadline?))));
        }
        dates.sort();
        dates
    };
    assert_eq!(dates(&copy), dates(&engine));
    let text = String::from_utf8(bytes).expect("text");
    assert!(text.contains("HPEXPIREAT\r\n$5\r\ntimed\r\n$7\r\n3000000\r\n$6\r\nFIELDS\r\n$1\r\n3\r\n"));
}
