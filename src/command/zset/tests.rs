//! Scripts of commands of sorted sets: what is said, what comes back, what the log hears. What other servers reply to
//! all of them is compared by `tests/differential`.

use crate::command::tests::{SYNTAX, WRONG, check, follow, opened, say};

const NO_FLOAT: &str = "-ERR value is not a valid float|";

#[test]
fn adding_is_logged_if_it_changed_something() {
    check(
        false,
        &[
            ("ZADD z 1 a 2 b", ":2| / ZADD z 1 a 2 b"),
            ("ZADD z 1 a 2 b", ":0|"),
            ("ZADD z CH 1 a 3 b 4 c", ":2| / ZADD z CH 1 a 3 b 4 c"),
            ("ZADD z NX 9 a", ":0|"),
            ("ZADD z XX 9 n", ":0|"),
            ("ZADD z GT 2 b", ":0|"),
            ("ZADD z LT CH 2 b", ":1| / ZADD z LT CH 2 b"),
            ("ZADD z INCR 0.5 b", "$3|2.5| / ZADD z INCR 0.5 b"),
            ("ZADD z NX INCR 0.5 b", "$-1|"),
            ("ZINCRBY z -2.5 b", "$1|0| / ZINCRBY z -2.5 b"),
            ("ZINCRBY z 0 b", "$1|0|"),
            ("ZINCRBY z inf b", "$3|inf| / ZINCRBY z inf b"),
            ("ZINCRBY z -inf b", "-ERR resulting score is not a number (NaN)|"),
            ("ZADD z 5 d x e", NO_FLOAT),
            ("ZADD z nan d", NO_FLOAT),
            ("ZCARD z", ":3|"),
            ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible|"),
            ("ZADD z NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible|"),
            ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair|"),
            ("ZADD none XX 1 a", ":0|"),
            ("ZADD s 1 a", WRONG),
            ("ZADD z 1 a 2", SYNTAX),
            ("ZINCRBY z NX b", SYNTAX),
        ],
    );
}

#[test]
fn the_last_member_takes_the_key_along() {
    check(
        false,
        &[
            ("ZADD z 1 a 2 b 3 c", ":3| / ZADD z 1 a 2 b 3 c"),
            ("ZREM z a x", ":1| / ZREM z a x"),
            ("ZREM z x", ":0|"),
            ("ZPOPMAX z", "*2|$1|c|$1|3| / ZPOPMAX z"),
            ("ZMPOP 2 none z MIN COUNT 5", "*2|$1|z|*1|*2|$1|b|$1|2| / ZPOPMIN z 1"),
            ("EXISTS z", ":0|"),
            ("ZADD z 1 a 2 b", ":2| / ZADD z 1 a 2 b"),
            ("ZREMRANGEBYSCORE z (2 5", ":0|"),
            ("ZREMRANGEBYRANK z 0 -1", ":2| / ZREMRANGEBYRANK z 0 -1"),
            ("EXISTS z", ":0|"),
            ("ZPOPMIN z", "*0|"),
            ("ZPOPMIN z -1", "-ERR value is out of range, must be positive|"),
            ("ZMPOP 1 z MIN", "*-1|"),
        ],
    );
}

#[test]
fn results_are_stored_or_delete_what_was_there() {
    check(
        false,
        &[
            ("ZADD a 1 x 2 y", ":2| / ZADD a 1 x 2 y"),
            ("ZADD b 5 y 7 z", ":2| / ZADD b 5 y 7 z"),
            ("SADD set y q", ":2| / SADD set y q"),
            ("ZUNIONSTORE d 2 a set", ":3| / ZUNIONSTORE d 2 a set"),
            ("ZRANGE d 0 -1 WITHSCORES", "*6|$1|q|$1|1|$1|x|$1|1|$1|y|$1|3|"),
            (
                "ZINTERSTORE d 2 a b WEIGHTS 2 1 AGGREGATE MAX",
                ":1| / ZINTERSTORE d 2 a b WEIGHTS 2 1 AGGREGATE MAX",
            ),
            ("ZRANGE d 0 -1 WITHSCORES", "*2|$1|y|$1|5|"),
            ("ZDIFF 2 a b WITHSCORES", "*2|$1|x|$1|1|"),
            ("ZINTERCARD 2 a b LIMIT 1", ":1|"),
            ("ZRANGESTORE d a (1 +inf BYSCORE", ":1| / ZRANGESTORE d a (1 +inf BYSCORE"),
            ("ZRANGESTORE d a 5 9", ":0| / ZRANGESTORE d a 5 9"),
            ("EXISTS d", ":0|"),
            ("ZDIFFSTORE d 2 a a", ":0|"),
            ("ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command|"),
            ("ZUNION 2 a s", WRONG),
            ("ZUNION 1 a WEIGHTS x", "-ERR weight value is not a float|"),
        ],
    );
}

/// Scores do not count, only in how many sets a member is and what those weigh.
#[test]
fn aggregate_count_says_in_how_many_sets_a_member_is() {
    check(
        false,
        &[
            ("ZADD a 1 x 2 y", ":2| / ZADD a 1 x 2 y"),
            ("ZADD b 5 y -inf z", ":2| / ZADD b 5 y -inf z"),
            ("SADD set y q", ":2| / SADD set y q"),
            ("ZUNION 3 a b set AGGREGATE COUNT WITHSCORES", "*8|$1|q|$1|1|$1|x|$1|1|$1|z|$1|1|$1|y|$1|3|"),
            ("ZINTER 3 a b set WITHSCORES aggregate count", "*2|$1|y|$1|3|"),
            ("ZINTER 2 a a AGGREGATE COUNT WITHSCORES", "*4|$1|x|$1|2|$1|y|$1|2|"),
            (
                "ZUNIONSTORE d 2 a b WEIGHTS 2 0.5 AGGREGATE COUNT",
                ":3| / ZUNIONSTORE d 2 a b WEIGHTS 2 0.5 AGGREGATE COUNT",
            ),
            ("ZRANGE d 0 -1 WITHSCORES", "*6|$1|z|$3|0.5|$1|x|$1|2|$1|y|$3|2.5|"),
            (
                "ZINTERSTORE d 2 a b WEIGHTS inf -inf AGGREGATE COUNT",
                ":1| / ZINTERSTORE d 2 a b WEIGHTS inf -inf AGGREGATE COUNT",
            ),
            ("ZRANGE d 0 -1 WITHSCORES", "*2|$1|y|$1|0|"),
            ("ZUNION 1 a AGGREGATE COUNT AGGREGATE MAX WITHSCORES", "*4|$1|x|$1|1|$1|y|$1|2|"),
            ("ZDIFF 2 a b AGGREGATE COUNT", SYNTAX),
            ("ZINTERCARD 2 a b AGGREGATE COUNT", SYNTAX),
        ],
    );
}

#[test]
fn pairs_have_their_form_in_each_version() {
    check(
        true,
        &[
            ("ZADD z 1 a 2.5 b", ":2| / ZADD z 1 a 2.5 b"),
            ("ZRANGE z 0 -1 WITHSCORES", "*2|*2|$1|a|,1|*2|$1|b|,2.5|"),
            ("ZRANGE z + - BYLEX REV", "*2|$1|b|$1|a|"),
            ("ZRANK z b WITHSCORE", "*2|:1|,2.5|"),
            ("ZRANK z x WITHSCORE", "_|"),
            ("ZMSCORE z a x", "*2|,1|_|"),
            ("ZRANDMEMBER z 5 WITHSCORES", "*2|*2|$1|b|,2.5|*2|$1|a|,1|"),
            ("ZSCAN z 0", "*2|$1|0|*4|$1|a|$1|1|$1|b|$3|2.5|"),
            ("ZSCAN z 0 NOSCORES MATCH b", "*2|$1|0|*1|$1|b|"),
            ("ZPOPMIN z", "*2|$1|a|,1| / ZPOPMIN z"),
            ("ZPOPMIN z 1", "*1|*2|$1|b|,2.5| / ZPOPMIN z 1"),
        ],
    );
}

/// Draws are of members, as many as were asked for, and different ones unless repetitions are wanted.
#[test]
fn draws() {
    let (mut engine, token) = opened(false, "s");
    for number in 0..300 {
        say(&mut engine, token, &format!("ZADD z {number} m{number}"));
    }
    for (count, expected) in [("7", 7), ("299", 299), ("300", 300), ("500", 300), ("0", 0), ("-500", 500)] {
        let reply = say(&mut engine, token, &format!("ZRANDMEMBER z {count}"));
        let mut members: Vec<&str> = reply.split('|').filter(|word| word.starts_with('m')).collect();
        assert_eq!(members.len(), expected, "{count}");
        members.sort_unstable();
        members.dedup();
        assert!(members.len() == expected || count == "-500" && 200 < members.len());
    }
    assert!(say(&mut engine, token, "ZRANDMEMBER z").contains("|m"));
}

/// A walk over a long sorted set finds every member, with its score.
#[test]
fn walks() {
    let (mut engine, token) = opened(false, "s");
    for number in 0..1000 {
        say(&mut engine, token, &format!("ZADD z {number} m{number}"));
    }
    let (mut cursor, mut found) = ("0".to_owned(), std::collections::BTreeMap::new());
    loop {
        let reply = say(&mut engine, token, &format!("ZSCAN z {cursor} COUNT 50"));
        let words: Vec<&str> = reply.split('|').filter(|word| !word.starts_with(['*', '$'])).collect();
        cursor = words[0].to_owned();
        for pair in words[1..].chunks_exact(2) {
            found.insert(pair[0].to_owned(), pair[1].to_owned());
        }
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 1000);
    assert!(found.iter().all(|(member, score)| member[1..] == *score));
}

#[test]
fn where_few_stay_they_move_out() {
    for (line, left) in [
        ("ZREMRANGEBYRANK z 3 1996", ["m0", "m1", "m2", "m1997", "m1998", "m1999"]),
        ("ZREMRANGEBYSCORE z 6 +inf", ["m0", "m1", "m2", "m3", "m4", "m5"]),
        ("ZPOPMIN z 1994", ["m1994", "m1995", "m1996", "m1997", "m1998", "m1999"]),
        ("ZPOPMAX z 1994", ["m0", "m1", "m2", "m3", "m4", "m5"]),
    ] {
        let (mut engine, token) = opened(false, "s");
        let pairs: Vec<String> = (0..2000).map(|number| format!("{number} m{number}")).collect();
        say(&mut engine, token, &format!("ZADD z {}", pairs.join(" ")));
        say(&mut engine, token, "PEXPIREAT z 4000000000000");
        assert!(say(&mut engine, token, line).ends_with(&format!(" / {line}")));
        assert_eq!(1, engine.keys.garbage_len(), "{line}: what they leave is freed in slices");
        let all: Vec<String> = left.iter().map(|member| format!("${}|{member}|", member.len())).collect();
        assert_eq!(format!("*6|{}", all.concat()), say(&mut engine, token, "ZRANGE z 0 -1"), "{line}");
        let script = [
            ("PEXPIRETIME z", ":4000000000000|"),
            ("OBJECT ENCODING z", "$8|skiplist|"),
            ("ZADD z 2.5 new", ":1| / ZADD z 2.5 new"),
            ("ZCARD z", ":7|"),
        ];
        follow(&mut engine, token, &script);
    }
}

/// Among members of different scores the texts are in no order, and which of them lie in a range depends on how the set
/// is stored. So the log hears of ranks.
#[test]
fn changes_by_texts_are_logged_by_ranks() {
    check(
        false,
        &[
            ("ZADD z 0 c 1 b 2 e 3 a", ":4| / ZADD z 0 c 1 b 2 e 3 a"),
            ("ZRANGESTORE y z [x [y BYLEX", ":0|"),
            ("ZRANGESTORE y z [a [d BYLEX LIMIT 1 5", ":1| / ZRANGESTORE y z 1 1"),
            ("ZREMRANGEBYLEX z [a [d", ":2| / ZREMRANGEBYRANK z 0 1"),
            ("ZREMRANGEBYLEX z [x (y", ":0|"),
            ("ZRANGESTORE y z [x [y BYLEX", ":0| / ZRANGESTORE y z 1 0"),
            ("ZREMRANGEBYLEX z - +", ":2| / ZREMRANGEBYRANK z 0 1"),
        ],
    );
}
