//! Rows of the family `zset`.

use crate::compare::Compare::{Digest, Equal, Shape};
use crate::rows::Row;

/// What Redis 7.0 has and we have. Results of unions go where they are seldom an input again, lest scores grow beyond
/// what all versions print alike.
pub const ROWS: &[Row] = &[
    (40, "ZADD $z $score $member {$score $member}*", Equal),
    (30, "ZADD $z {NX|XX|GT|LT|CH|INCR|ch|nx}* $score $member {$score $member}*", Equal),
    (8, "ZADD $z $score $member $score $member $score $member $score $member $score $member", Equal),
    (6, "ZADD $lex 0 $member 0 $member 0 $member 0 $member 0 $member", Equal),
    (15, "ZINCRBY $z $score $member", Equal),
    (8, "ZSCORE $z $member", Equal),
    (5, "ZMSCORE $z $member {$member}*", Equal),
    (5, "ZCARD $z", Equal),
    (8, "ZCOUNT $z $min $max", Equal),
    (8, "ZLEXCOUNT $lex $lexmin $lexmax", Equal),
    (10, "ZRANGE $z $n $n {WITHSCORES|REV}*", Equal),
    (10, "ZRANGE $z $min $max BYSCORE {WITHSCORES|REV|LIMIT $n $n}*", Equal),
    (10, "ZRANGE $lex $lexmin $lexmax BYLEX {REV|LIMIT $n $n}*", Equal),
    (6, "ZRANGE $z $n $n {WITHSCORES|REV|LIMIT $n $n|BYSCORE|LIMIT|rev}*", Equal),
    (5, "ZREVRANGE $z $n $n {WITHSCORES|withscores|REV}*", Equal),
    (6, "ZRANGEBYSCORE $z $min $max {WITHSCORES|LIMIT $n $n}*", Equal),
    (6, "ZREVRANGEBYSCORE $z $max $min {WITHSCORES|LIMIT $n $n}*", Equal),
    (6, "ZRANGEBYLEX $lex $lexmin $lexmax {LIMIT $n $n|WITHSCORES}*", Equal),
    (6, "ZREVRANGEBYLEX $lex $lexmax $lexmin {LIMIT $n $n|WITHSCORES}*", Equal),
    (5, "ZRANGESTORE $z $z $n $n {REV|LIMIT $n $n|WITHSCORES}*", Equal),
    (5, "ZRANGESTORE $z $z $min $max BYSCORE {REV|LIMIT $n $n}*", Equal),
    (3, "ZRANGESTORE $k $lex $lexmin $lexmax BYLEX {REV|LIMIT $n $n}*", Equal),
    (1, "ZRANGE {$s|nosuch} $lexmin $lexmax BYLEX", Equal),
    (3, "ZREM $lex $member", Equal),
    (8, "ZRANK $z $member", Equal),
    (8, "ZREVRANK $z $member", Equal),
    (12, "ZREM $z $member {$member}*", Equal),
    (3, "ZREMRANGEBYRANK $z $n $n", Equal),
    (3, "ZREMRANGEBYSCORE $z $min $max", Equal),
    (3, "ZREMRANGEBYLEX $lex $lexmin $lexmax", Equal),
    (6, "ZPOPMIN $z [$n]", Equal),
    (6, "ZPOPMAX $z [$n]", Equal),
    (4, "ZMPOP $num {$z}+ {MIN|MAX} [COUNT $n]", Equal),
    (4, "ZMPOP 2 $z $z {MIN|MAX|max|UP} {COUNT $n}*", Equal),
    (4, "ZUNION $num {$z}+ {WITHSCORES|AGGREGATE SUM|AGGREGATE MIN|AGGREGATE MAX|WEIGHTS 2}*", Equal),
    (
        10,
        "ZUNION 2 {$z|$set|$k} {$z|$set} {WITHSCORES|AGGREGATE {SUM|MIN|max|UP}|WEIGHTS {1|0.5|-1} {2|0|inf|x}}*",
        Equal,
    ),
    (
        10,
        "ZINTER 2 {$z|$set|$k} {$z|$set} {WITHSCORES|AGGREGATE {SUM|MIN|max|UP}|WEIGHTS {1|0.5|-1} {2|0|inf|x}}*",
        Equal,
    ),
    (6, "ZINTER 3 $z $z $z {WITHSCORES|AGGREGATE {SUM|MIN|max}|WEIGHTS 1 2 3}*", Equal),
    (8, "ZDIFF $num {$z|$set}+ {WITHSCORES|AGGREGATE MIN}*", Equal),
    (
        4,
        "ZUNIONSTORE {m0|m1|l6} 2 {$z|$set} {$z|$set} {AGGREGATE {SUM|MIN|MAX}|WEIGHTS {1|0.5|-1} {2|0|inf}|WITHSCORES}*",
        Equal,
    ),
    (
        4,
        "ZINTERSTORE {m0|m1|l6} 2 {$z|$set} {$z|$set} {AGGREGATE {SUM|MIN|MAX}|WEIGHTS {1|0.5|-1} {2|0|inf}}*",
        Equal,
    ),
    (4, "ZDIFFSTORE {m0|m1|$z} $num {$z|$set}+", Equal),
    (8, "ZINTERCARD $num {$z|$set}+ {LIMIT $n}*", Equal),
    (1, "ZUNION {0|-1|abc} $z", Equal),
    (1, "ZINTERCARD {0|-1|abc} $z", Equal),
    (5, "ZRANDMEMBER $z [$n {WITHSCORES|withscores|x}*]", Shape),
    (4, "ZSCAN $z {0|$badcursor} {MATCH $pattern|COUNT $num|COUNT 0|BAD}*", Shape),
    (4, "OBJECT ENCODING $z", Equal),
    (4, "COPY $z $z REPLACE", Equal),
    (4, "EXPIRE $z $sec", Equal),
    (
        1,
        "COMMAND GETKEYS {ZADD $z 1 a|ZUNIONSTORE $z 2 $z $z|ZINTER 2 $z $z|ZRANGESTORE $z $z 0 1|ZMPOP 1 $z MIN}",
        Equal,
    ),
];

/// What came after 7.0, by the peer that has it; and scores of all kinds, which later versions print in their own way.
pub const NEWER: &[(&str, &[Row])] = &[("redis8", NEWER_ROWS), ("valkey9", NEWER_VALKEY)];

const NEWER_ROWS: &[Row] = &[
    (30, "ZADD $z $f $member {$f $member}*", Equal),
    (20, "ZADD $z {NX|XX|GT|LT|CH|INCR}* $f $member", Equal),
    (10, "ZADD $z $score $member {$score $member}*", Equal),
    (20, "ZINCRBY $z {$f|$score} $member", Equal),
    (10, "ZSCORE $z $member", Equal),
    (10, "ZRANK $z $member [{WITHSCORE|withscore|BAD}]", Equal),
    (10, "ZREVRANK $z $member [{WITHSCORE|withscore|BAD}]", Equal),
    (20, "ZRANGE $z 0 -1 WITHSCORES", Equal),
    (10, "ZCOUNT $z {$min|$f| 1|0x10|(0x1} {$max|$f|(1e4000|-1e400}", Equal),
    (10, "ZRANGEBYSCORE $z {$min|$f| 1|0x10|(0x1} {$max|$f|(1e4000|-1e400} {WITHSCORES|LIMIT $n $n}*", Equal),
    (10, "ZUNION 2 $z $z {WITHSCORES|AGGREGATE {SUM|MIN|MAX}|WEIGHTS $f $f}*", Equal),
    (10, "ZINTER 2 $z $z {WITHSCORES|AGGREGATE {SUM|MIN|MAX}|WEIGHTS $f $f}*", Equal),
    (4, "ZPOPMIN $z [$n]", Equal),
    (5, "DEBUG DIGEST-VALUE $z {$z}*", Digest),
    (3, "ZRANDMEMBER $z 1000 {WITHSCORES}*", Equal),
];

const NEWER_VALKEY: &[Row] = &[
    (30, "ZADD $z $score $member {$score $member}*", Equal),
    (20, "ZSCAN $z 0 {NOSCORES|noscores|MATCH $pattern|NOVALUES}*", Shape),
    (
        20,
        "ZADD $z {NX|XX|GT|LT|CH|INCR}* {0.1|1e-10|123456789.123456789|1e300|3.14159265358979} $member",
        Equal,
    ),
    (20, "ZRANGE $z 0 -1 WITHSCORES", Equal),
];
