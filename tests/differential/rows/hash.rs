//! Rows of the family `hash`.
//!
//! The order of fields is not compared: in a table it is each server's own. What is drawn at random is compared by its
//! kind. Deadlines of fields came with 7.4; Redis 8 and Valkey 9 speak of mistakes in different words, and ours are
//! Redis's, so that with Valkey only what is right is compared. Values on conditions are short: Redis makes room for
//! long ones before it looks whether the condition holds.

use crate::compare::Compare::{Deadlines, Digest, Equal, Scan, Shape, Sorted};
use crate::rows::Row;

/// What Redis 7.0 has and we have.
pub const ROWS: &[Row] = &[
    (20, "HSET $h $field $v {$field $v}*", Equal),
    (4, "HSET $h $v $v $v $v $v $v $v $v $v $v {$field $v}*", Equal),
    (4, "HMSET $h $field $v {$field $v}*", Equal),
    (6, "HSETNX $h $field $v", Equal),
    (8, "HGET $h $field", Equal),
    (6, "HMGET $h {$field|$v}+", Equal),
    (6, "HGETALL $h", Sorted),
    (3, "HKEYS $h", Sorted),
    (3, "HVALS $h", Sorted),
    (4, "HLEN $h", Equal),
    (4, "HEXISTS $h {$field|$v}", Equal),
    (4, "HSTRLEN $h $field", Equal),
    (10, "HDEL $h {$field|$v}+", Equal),
    (2, "HDEL $h f1 f2 f3 f4 f5 7 -1", Equal),
    (12, "HINCRBY $h $field $i", Equal),
    (12, "HINCRBYFLOAT $h $field $f", Equal),
    (4, "HRANDFIELD $h", Shape),
    (4, "HRANDFIELD $h $n", Shape),
    (4, "HRANDFIELD $h $n WITHVALUES", Shape),
    (4, "HRANDFIELD $h 100000 [WITHVALUES]", Sorted),
    (2, "HRANDFIELD $h {0|abc|1 2||9223372036854775808|1 WITHVALUE|1 WITHVALUES x|x WITHVALUES}", Shape),
    (2, "HRANDFIELD $h {4611686018427387904|9223372036854775807|-4611686018427387904} WITHVALUES", Shape),
    (3, "HSCAN $h 0 {MATCH $pattern|MATCH f*|COUNT $num}*", Scan),
    (2, "HSCAN $h {0|5|$badcursor} {MATCH *|COUNT 10000|COUNT|COUNT 0|COUNT abc|BAD|TYPE hash}*", Shape),
    (1, "DEBUG DIGEST-VALUE $h {$h}*", Digest),
    (2, "OBJECT ENCODING $h", Equal),
];

/// What came after 7.0, by the peer that has it.
pub const NEWER: &[(&str, &[Row])] = &[("redis8", REDIS), ("valkey9", VALKEY)];

const REDIS: &[Row] = &[
    (40, "HSET $h $field $v {$field $v}*", Equal),
    (4, "HSET $h $v $v $v $v $v $v $v $v $v $v {$field $v}*", Equal),
    (5, "HSETNX $h $field $v", Equal),
    (10, "HDEL $h $field", Equal),
    (10, "HINCRBY $h $field $i", Equal),
    (10, "HINCRBYFLOAT $h $field $f", Equal),
    (8, "HGETALL $h", Sorted),
    (4, "HKEYS $h", Sorted),
    (4, "HVALS $h", Sorted),
    (4, "HLEN $h", Equal),
    (8, "HMGET $h $field $field $field", Equal),
    (3, "HRANDFIELD $h 100000 [WITHVALUES]", Sorted),
    (4, "HSCAN $h 0 {MATCH f*|NOVALUES|COUNT $num}*", Scan),
    (4, "HSCAN $h {0|5|$badcursor} {NOVALUES|MATCH *|COUNT 10000|COUNT|COUNT 0|BAD}*", Shape),
    (10, "HEXPIRE $h $sec {NX|XX|GT|LT|nx} FIELDS 1 $field", Equal),
    (10, "HEXPIRE $h $sec FIELDS 2 $field $field", Equal),
    (10, "HPEXPIRE $h $ms [{NX|XX|GT|LT}] FIELDS 3 $field $field $field", Equal),
    (10, "HEXPIREAT $h $exat [{NX|XX|GT|LT}] FIELDS 2 $field $field", Equal),
    (10, "HPEXPIREAT $h $pxat [{NX|XX|GT|LT}] FIELDS 2 $field $field", Equal),
    (5, "HPEXPIREAT $h {$pxat|$pastms} [{NX|XX|GT|LT}] FIELDS 1 $field", Equal),
    (5, "HEXPIREAT $h {$past|0} FIELDS 1 $field", Equal),
    (4, "HPEXPIREAT $h {70368744177663|70368744177664|9223372036854775807} FIELDS 1 $field", Equal),
    (4, "HEXPIREAT $h {70368744177|70368744178|9223372036854775807} FIELDS 1 $field", Equal),
    (4, "HEXPIRE $h $badtime FIELDS 1 $field", Equal),
    (4, "HPEXPIRE $h $badtime FIELDS 1 $field", Equal),
    (4, "HEXPIREAT $h $badtime FIELDS 1 $field", Equal),
    (4, "HPEXPIREAT $h $badtime FIELDS 1 $field", Equal),
    (4, "HEXPIRE $h $sec {NX|XX|BAD|FIELDS}* {FIELDS|fields|BAD} {$num|$badtime} {$field}+", Equal),
    (4, "HPEXPIRE $h $sec {NX|XX|BAD|FIELDS}* {FIELDS|fields|BAD} {$num|$badtime} {$field}+", Equal),
    (12, "HTTL $h FIELDS 3 $field $field $field", Deadlines(2)),
    (12, "HPTTL $h FIELDS 3 $field $field $field", Deadlines(2000)),
    (10, "HEXPIRETIME $h FIELDS 3 $field $field $field", Deadlines(2)),
    (10, "HPEXPIRETIME $h FIELDS 3 $field $field $field", Deadlines(2000)),
    (4, "HTTL $h {FIELDS|BAD} {$num|$badtime} {$field}+", Deadlines(2000)),
    (4, "HPTTL $h {FIELDS|BAD} {$num|$badtime} {$field}+", Deadlines(2000)),
    (4, "HEXPIRETIME $h {FIELDS|BAD} {$num|$badtime} {$field}+", Deadlines(2000)),
    (4, "HPEXPIRETIME $h {FIELDS|BAD} {$num|$badtime} {$field}+", Deadlines(2000)),
    (4, "HPERSIST $h {FIELDS|BAD} {$num|$badtime} {$field}+", Deadlines(2000)),
    (4, "HGETDEL $h {FIELDS|BAD} {$num|$badtime} {$field}+", Deadlines(2000)),
    (10, "HPERSIST $h FIELDS 2 $field $field", Equal),
    (10, "HGETEX $h FIELDS 2 $field $field", Equal),
    (15, "HGETEX $h {EX $sec|PX $ms|EXAT $exat|PXAT $pxat|PERSIST} FIELDS 2 $field $field", Equal),
    (5, "HGETEX $h {EXAT $past|PXAT $pastms|EX 0|EX $badtime} FIELDS 1 $field", Equal),
    (5, "HGETEX $h {EX $sec|PX $ms|PERSIST|KEEPTTL|EX}* {FIELDS|BAD} {$num|$badtime} {$field}+", Equal),
    (10, "HGETDEL $h FIELDS 2 $field $field", Equal),
    (
        15,
        "HSETEX $h [{FNX|FXX}] [{EX $sec|PX $ms|EXAT $exat|PXAT $pxat|KEEPTTL}] FIELDS 2 $field $tiny $field $tiny",
        Equal,
    ),
    (
        15,
        "HSETEX $h [{EX $sec|PX $ms|EXAT $exat|PXAT $pxat|KEEPTTL}] [{FNX|FXX}] FIELDS 1 $field $tiny",
        Equal,
    ),
    (10, "HSETEX $h [{EX $sec|PX $ms|EXAT $exat|PXAT $pxat|KEEPTTL}] FIELDS 2 $field $v $field $v", Equal),
    (5, "HSETEX $h {EXAT $past|PXAT $pastms|EX 0|EX $badtime} FIELDS 1 $field $tiny", Equal),
    (
        5,
        "HSETEX $h {FNX|FXX|EX $sec|PX $ms|KEEPTTL|PERSIST|EX}* {FIELDS|BAD} {$num|$badtime} {$field $tiny}+",
        Equal,
    ),
    (10, "OBJECT ENCODING $h", Equal),
    (4, "COPY $h $h [REPLACE]", Equal),
    (4, "RENAME $h $h", Equal),
    (2, "MOVE $h $db", Equal),
    (1, "SWAPDB $db $db", Equal),
    (1, "FLUSHDB", Equal),
    (2, "SELECT $db", Equal),
    (4, "DEBUG DIGEST-VALUE $h {$h}*", Digest),
    (2, "DEBUG DIGEST", Equal),
];

/// Deadlines do not count in Valkey's digest, and are left to the rows above.
const VALKEY: &[Row] = &[
    (30, "HSET $h $field $v {$field $v}*", Equal),
    (10, "HDEL $h $field", Equal),
    (10, "HGETALL $h", Sorted),
    (20, "HSETEX $h [{nx|xx}] [{FNX|FXX}] [KEEPTTL] FIELDS 2 $field $v $field $v", Equal),
    (20, "HSETEX $h {nx|xx} FIELDS 1 $field $v", Equal),
];
