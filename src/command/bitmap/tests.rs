//! Scripts of bit commands, and long strings changed in place.

use crate::base::date::UnixMs;
use crate::command::tests::{NOT_INTEGER, SYNTAX, WRONG, check, say};
use crate::config::Settings;
use crate::engine::Engine;
use crate::state::session::Session;

const OFFSET: &str = "-ERR bit offset is not an integer or out of range|";
const BIT: &str = "-ERR bit is not an integer or out of range|";
const TYPE: &str =
    "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.|";

#[test]
fn single_bits() {
    check(
        false,
        &[
            ("SETBIT b 7 1", ":0| / SETBIT b 7 1"),
            ("GET b", "$1|\u{1}|"),
            ("OBJECT ENCODING b", "$3|raw|"),
            ("SETBIT b 7 1", ":1|"),
            ("SETBIT b 7 0", ":1| / SETBIT b 7 0"),
            // Growing alone is a change.
            ("SETBIT b 16 0", ":0| / SETBIT b 16 0"),
            ("STRLEN b", ":3|"),
            ("SETBIT new 3 0", ":0| / SETBIT new 3 0"),
            ("STRLEN new", ":1|"),
            ("GETBIT b 1000000", ":0|"),
            ("GETBIT none 4294967295", ":0|"),
            ("SET n 12345", "+OK| / SET n 12345"),
            ("GETBIT n 2", ":1|"),
            ("SETBIT n 7 0", ":1| / SETBIT n 7 0"),
            ("GET n", "$5|02345|"),
            ("SETBIT b 4294967296 1", OFFSET),
            ("GETBIT b 4294967296", OFFSET),
            ("SETBIT b -1 1", OFFSET),
            ("SETBIT b #1 1", OFFSET),
            ("SETBIT b x 7", OFFSET),
            ("SETBIT b 1 2", BIT),
            ("SETBIT b 1 -1", BIT),
            ("SETBIT b 1 x", BIT),
            ("RPUSH l a", ":1| / RPUSH l a"),
            ("SETBIT l 1 1", WRONG),
            ("GETBIT l 1", WRONG),
        ],
    );
}

#[test]
fn counting_and_finding() {
    check(
        false,
        &[
            ("SET s foobar", "+OK| / SET s foobar"),
            ("RPUSH l a", ":1| / RPUSH l a"),
            ("BITCOUNT s", ":26|"),
            ("BITCOUNT s 0 0", ":4|"),
            ("BITCOUNT s 1 1 byte", ":6|"),
            ("BITCOUNT s 5 30 BIT", ":17|"),
            ("BITCOUNT s -2", ":7|"),
            ("BITCOUNT s -1 -2", ":0|"),
            ("BITCOUNT s -100 -90", ":4|"),
            ("BITCOUNT s -90 -100", ":0|"),
            ("BITCOUNT s 6 7", ":0|"),
            ("BITCOUNT s 0 9223372036854775807 BIT", ":26|"),
            ("BITCOUNT s -9223372036854775808 -1 BIT", ":26|"),
            ("BITCOUNT none 0 -1", ":0|"),
            ("BITCOUNT s x 1 y", NOT_INTEGER),
            ("BITCOUNT none 0 1 y", SYNTAX),
            ("BITCOUNT s 0 1 BIT x", SYNTAX),
            ("BITCOUNT l", WRONG),
            ("SET f \u{0}\u{0}a", "+OK| / SET f \u{0}\u{0}a"),
            ("BITPOS f 1", ":17|"),
            ("BITPOS f 0 2", ":16|"),
            ("BITPOS f 1 18 -1 BIT", ":18|"),
            ("BITPOS f 1 19 22 BIT", ":-1|"),
            ("BITPOS f 0 17 18 BIT", ":-1|"),
            ("BITPOS f 1 3", ":-1|"),
            ("BITPOS f 0 3", ":-1|"),
            ("BITPOS none 0 5 6", ":0|"),
            ("BITPOS none 1", ":-1|"),
            ("BITPOS s 2 x", "-ERR The bit argument must be 1 or 0.|"),
            ("BITPOS s x", NOT_INTEGER),
            ("BITPOS s 1 x", NOT_INTEGER),
            ("BITPOS s 1 0 BIT", NOT_INTEGER),
            ("BITPOS s 1 0 x y", SYNTAX),
            ("BITPOS s 1 0 1 BIT x", SYNTAX),
            ("BITPOS l 1", WRONG),
            // All bits set: without an end the string goes on in zeros.
            ("SETBIT o 7 0", ":0| / SETBIT o 7 0"),
            ("BITFIELD o SET i8 0 -1", "*1|:0| / BITFIELD o SET i8 0 -1"),
            ("BITPOS o 0", ":8|"),
            ("BITPOS o 0 0", ":8|"),
            ("BITPOS o 0 0 -1", ":-1|"),
            ("SET e ", "+OK| / SET e"),
            ("BITPOS e 0", ":-1|"),
            ("BITCOUNT e 0 -1", ":0|"),
        ],
    );
}

#[test]
fn combining() {
    check(
        false,
        &[
            ("SET a abc", "+OK| / SET a abc"),
            ("SET b aB", "+OK| / SET b aB"),
            ("RPUSH l a", ":1| / RPUSH l a"),
            ("BITOP AND d a b", ":3| / BITOP AND d a b"),
            ("GET d", "$3|aB\u{0}|"),
            ("BITOP or d a b none", ":3| / BITOP or d a b none"),
            ("GET d", "$3|abc|"),
            ("BITOP XOR d a b", ":3| / BITOP XOR d a b"),
            ("GET d", "$3|\u{0} c|"),
            ("BITOP DIFF d a b", ":3| / BITOP DIFF d a b"),
            ("GET d", "$3|\u{0} c|"),
            ("BITOP DIFF1 d b a", ":3| / BITOP DIFF1 d b a"),
            ("GET d", "$3|\u{0} c|"),
            ("BITOP ANDOR d a none b", ":3| / BITOP ANDOR d a none b"),
            ("GET d", "$3|aB\u{0}|"),
            ("BITOP ONE d a b b", ":3| / BITOP ONE d a b b"),
            ("GET d", "$3|\u{0} c|"),
            ("OBJECT ENCODING d", "$3|raw|"),
            ("BITOP NOT a d", ":3| / BITOP NOT a d"),
            ("BITCOUNT a", ":19|"),
            // A source may be the destination; its deadline goes.
            ("PEXPIREAT b 99999999", ":1| / PEXPIREAT b 99999999"),
            ("BITOP NOT b b", ":2| / BITOP NOT b b"),
            ("PTTL b", ":-1|"),
            ("BITOP AND d none none", ":0| / BITOP AND d none none"),
            ("EXISTS d", ":0|"),
            ("BITOP AND d none none", ":0|"),
            ("BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key.|"),
            ("BITOP diff d a", "-ERR BITOP DIFF must be called with at least two source keys.|"),
            ("BITOP ANDOR d a", "-ERR BITOP ANDOR must be called with at least two source keys.|"),
            ("BITOP NAND d a", SYNTAX),
            ("BITOP AND d a l", WRONG),
            ("SET n 12", "+OK| / SET n 12"),
            ("BITOP OR l n none", ":2| / BITOP OR l n none"),
            ("GET l", "$2|12|"),
        ],
    );
}

#[test]
fn fields() {
    check(
        false,
        &[
            ("BITFIELD f", "*0|"),
            ("EXISTS f", ":0|"),
            ("BITFIELD f GET u8 0 GET i64 #9", "*2|:0|:0|"),
            ("EXISTS f", ":0|"),
            ("BITFIELD f SET u8 #1 255 GET u8 8", "*2|:0|:255| / BITFIELD f SET u8 #1 255 GET u8 8"),
            ("BITFIELD f GET i8 8 GET u4 6 GET u63 0", "*3|:-1|:3|:35888059530608640|"),
            ("BITFIELD f SET i8 8 -1", "*1|:-1|"),
            (
                "BITFIELD f INCRBY u8 8 1 OVERFLOW SAT INCRBY u8 8 300 INCRBY u8 8 1 OVERFLOW FAIL INCRBY u8 8 1 SET u8 8 3",
                "*5|:0|:255|:255|$-1|:255| / BITFIELD f INCRBY u8 8 1 OVERFLOW SAT INCRBY u8 8 300 INCRBY u8 8 1 OVERFLOW FAIL INCRBY u8 8 1 SET u8 8 3",
            ),
            ("BITFIELD f OVERFLOW FAIL INCRBY u2 8 7", "*1|$-1|"),
            // What fails still makes the string longer.
            (
                "BITFIELD g OVERFLOW FAIL INCRBY u2 100 7",
                "*1|$-1| / BITFIELD g OVERFLOW FAIL INCRBY u2 100 7",
            ),
            ("STRLEN g", ":13|"),
            ("BITFIELD_RO f GET u8 8", "*1|:3|"),
            ("BITFIELD_RO none GET u8 8", "*1|:0|"),
            ("BITFIELD_RO f OVERFLOW SAT", "*0|"),
            ("BITFIELD_RO f SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand|"),
            ("BITFIELD_RO f SET u8 0 x", NOT_INTEGER),
            ("BITFIELD f GET u64 0", TYPE),
            ("BITFIELD f GET i65 0", TYPE),
            ("BITFIELD f GET I8 0", TYPE),
            ("BITFIELD f GET u0 0", TYPE),
            ("BITFIELD f GET u08 0", TYPE),
            ("BITFIELD f GET  0", TYPE),
            ("BITFIELD f GET u8 #", OFFSET),
            ("BITFIELD f GET u8 -1", OFFSET),
            ("BITFIELD f GET u8 #536870912", OFFSET),
            ("BITFIELD f GET u8 #9223372036854775807", OFFSET),
            ("BITFIELD f GET u8", SYNTAX),
            ("BITFIELD f SET u8 0", SYNTAX),
            ("BITFIELD f OVERFLOW", SYNTAX),
            ("BITFIELD f OVERFLOW never", "-ERR Invalid OVERFLOW type specified|"),
            ("BITFIELD f SET u8 0 1 GET x 0", TYPE),
            ("GETBIT f 7", ":0|"),
            ("RPUSH l a", ":1| / RPUSH l a"),
            ("BITFIELD l GET u8 0", WRONG),
            ("BITFIELD l SET u8 0 1", WRONG),
        ],
    );
}

#[test]
fn long_strings_grow_by_zeros_and_change_in_place() {
    let mut engine = Engine::new(Settings::default(), 7);
    let token = engine.open_session(Session::default());
    engine.set_now(UnixMs(1_000_000));
    let mut at_end = 0;
    // Across the length up to which strings are embedded, and far beyond it at once.
    for len in [10, 4000, 4096, 4097, 5000, 9000, 100_000, 100_001, 1 << 20] {
        let bit = len * 8 - 3;
        assert_eq!(":0|", say(&mut engine, token, &format!("SETBIT k {bit} 1")));
        at_end += 1;
        assert_eq!(format!(":{len}|"), say(&mut engine, token, "STRLEN k"));
        assert_eq!(format!(":{at_end}|"), say(&mut engine, token, "BITCOUNT k"));
    }
    let address = |engine: &Engine| {
        let entry = engine.keys.stored(engine.keys.key(b"k")).expect("it was just set");
        entry.string().expect("a string").bytes(&mut [0; 20]).as_ptr() as usize
    };
    let before = address(&engine);
    for bit in 0..100 {
        say(&mut engine, token, &format!("SETBIT k {} 1", bit * 1000));
    }
    assert_eq!(before, address(&engine));
    assert_eq!(":0|", say(&mut engine, token, "SETBIT other 419430400 1"));
    assert_eq!(":52428801|", say(&mut engine, token, "STRLEN other"));
}
