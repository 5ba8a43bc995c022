//! Scripts of HyperLogLog commands: what is said, what comes back, what the log hears.

use crate::base::date::UnixMs;
use crate::command::tests::{WRONG, check, say};
use crate::config::Settings;
use crate::engine::Engine;
use crate::state::session::Session;

const INVALID: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.|";
const CORRUPT: &str = "-INVALIDOBJ Corrupted HLL object detected|";

#[test]
fn adding_counting_and_merging() {
    check(
        false,
        &[
            ("PFCOUNT a", ":0|"),
            ("PFADD a", ":1| / PFADD a"),
            ("PFADD a", ":0|"),
            // The estimate is noted, which is a change, once.
            ("PFCOUNT a", ":0| / PFCOUNT a"),
            ("PFCOUNT a", ":0|"),
            ("PFADD a x y z", ":1| / PFADD a x y z"),
            ("PFADD a y x", ":0|"),
            ("PFCOUNT a", ":3| / PFCOUNT a"),
            ("PFCOUNT a", ":3|"),
            ("PFADD b z w", ":1| / PFADD b z w"),
            ("PFCOUNT a b none", ":4|"),
            ("PFCOUNT a b none", ":4|"),
            ("PFMERGE c", "+OK| / PFMERGE c"),
            ("PFCOUNT c", ":0| / PFCOUNT c"),
            ("PEXPIREAT c 99999999", ":1| / PEXPIREAT c 99999999"),
            ("PFMERGE c a none b", "+OK| / PFMERGE c a none b"),
            ("PTTL c", ":98999999|"),
            ("PFCOUNT c", ":4| / PFCOUNT c"),
            ("OBJECT ENCODING c", "$3|raw|"),
            ("RPUSH l x", ":1| / RPUSH l x"),
            ("PFADD l x", WRONG),
            ("PFCOUNT l", WRONG),
            ("PFCOUNT none l", WRONG),
            ("PFMERGE c l", WRONG),
            ("PFMERGE l c", WRONG),
            ("SET n 12", "+OK| / SET n 12"),
            ("PFADD n x", INVALID),
            ("PFCOUNT n", INVALID),
            ("PFCOUNT c n", INVALID),
            ("PFMERGE new n", INVALID),
            ("EXISTS new", ":0|"),
            ("PFSELFTEST", "+OK|"),
        ],
    );
}

#[test]
fn debugging() {
    check(
        false,
        &[
            ("PFADD h a", ":1| / PFADD h a"),
            ("PFDEBUG DECODE h", "$20|Z:12711 v:2,1 Z:3672|"),
            ("PFDEBUG encoding h", "+sparse|"),
            ("PFDEBUG TODENSE h", ":1| / PFDEBUG TODENSE h"),
            ("PFDEBUG TODENSE h", ":0|"),
            ("PFDEBUG ENCODING h", "+dense|"),
            ("PFDEBUG DECODE h", "-ERR HLL encoding is not sparse|"),
            ("PFCOUNT h", ":1| / PFCOUNT h"),
            ("PFADD h a", ":0|"),
            ("PFADD h b c", ":1| / PFADD h b c"),
            ("PFCOUNT h", ":3| / PFCOUNT h"),
            ("PFMERGE h", "+OK| / PFMERGE h"),
            ("PFCOUNT h", ":3| / PFCOUNT h"),
            ("STRLEN h", ":12304|"),
            ("PFMERGE g h", "+OK| / PFMERGE g h"),
            ("PFDEBUG ENCODING g", "+dense|"),
            ("PFDEBUG ENCODING none", "-ERR The specified key does not exist|"),
            ("PFDEBUG x h", "-ERR Unknown PFDEBUG subcommand 'x'|"),
            ("PFDEBUG SIMD on", "+disabled|"),
            ("PFDEBUG SIMD x", "-ERR Argument must be ON or OFF|"),
            ("PFDEBUG DECODE", "-ERR wrong number of arguments for 'pfdebug' command|"),
        ],
    );
}

#[test]
fn registers_are_listed() {
    let mut engine = Engine::new(Settings::default(), 7);
    let token = engine.open_session(Session::default());
    engine.set_now(UnixMs(1_000_000));
    say(&mut engine, token, "PFADD h a");
    let reply = say(&mut engine, token, "PFDEBUG GETREG h");
    let registers: Vec<&str> = reply.trim_end_matches('|').split('|').collect();
    assert_eq!("*16384", registers[0]);
    assert_eq!(":2", registers[1 + 12711]);
    assert_eq!(16383, registers.iter().filter(|it| **it == ":0").count());
    assert_eq!("+dense|", say(&mut engine, token, "PFDEBUG ENCODING h"));
}

#[test]
fn corrupt_strings_are_refused_and_stay_as_they_are() {
    check(
        false,
        &[
            ("PFADD h", ":1| / PFADD h"),
            // One register too few.
            ("SETRANGE h 17 ~", ":18| / SETRANGE h 17 ~"),
            ("PFCOUNT h", CORRUPT),
            ("PFCOUNT none h", CORRUPT),
            ("PFMERGE new h", CORRUPT),
            ("PFMERGE h", CORRUPT),
            ("PFDEBUG TODENSE h", CORRUPT),
            ("PFDEBUG GETREG h", CORRUPT),
            ("PFDEBUG DECODE h", "$7|Z:16255|"),
            ("EXISTS new", ":0|"),
            ("SETRANGE h 4 x", ":18| / SETRANGE h 4 x"),
            ("PFCOUNT h", INVALID),
            ("PFDEBUG DECODE h", INVALID),
        ],
    );
}

/// What cannot be logged is not changed; the reply is the same.
#[test]
fn an_estimate_is_not_noted_while_the_log_is_broken() {
    let mut engine = Engine::new(Settings::default(), 7);
    let token = engine.open_session(Session::default());
    engine.set_now(UnixMs(1_000_000));
    engine.state.log.enabled = true;
    say(&mut engine, token, "PFADD h a");
    engine.state.persistence.last_write_ok = false;
    assert_eq!(":1|", say(&mut engine, token, "PFCOUNT h"));
    engine.state.persistence.last_write_ok = true;
    assert_eq!(":1| / PFCOUNT h", say(&mut engine, token, "PFCOUNT h"));
}

#[test]
fn the_limit_of_sparse_strings_is_the_directives() {
    let mut engine = Engine::new(Settings::default(), 7);
    let token = engine.open_session(Session::default());
    engine.set_now(UnixMs(1_000_000));
    engine.state.settings.hll_sparse_max_bytes = 0;
    say(&mut engine, token, "PFADD h a");
    assert_eq!("+dense|", say(&mut engine, token, "PFDEBUG ENCODING h"));
    engine.state.settings.hll_sparse_max_bytes = 16_000;
    for number in 0..6000 {
        say(&mut engine, token, &format!("PFADD g {number}"));
    }
    // Longer than what an entry holds itself.
    assert_eq!("+sparse|", say(&mut engine, token, "PFDEBUG ENCODING g"));
    let count = say(&mut engine, token, "PFCOUNT g");
    say(&mut engine, token, "PFMERGE h g");
    say(&mut engine, token, "PFMERGE f g");
    assert_eq!("+sparse|", say(&mut engine, token, "PFDEBUG ENCODING f"));
    assert_eq!(count, say(&mut engine, token, "PFCOUNT f"));
    assert_eq!("+dense|", say(&mut engine, token, "PFDEBUG ENCODING h"));
}
