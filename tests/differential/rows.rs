//! The commands, one row each: weight, template (see `grammar`), how replies are compared.

#[path = "rows/bitmap.rs"]
mod bitmap;
#[path = "rows/dump.rs"]
mod dump;
#[path = "rows/geo.rs"]
mod geo;
#[path = "rows/hash.rs"]
mod hash;
#[path = "rows/hyperloglog.rs"]
mod hyperloglog;
#[path = "rows/set.rs"]
mod set;
#[path = "rows/sort.rs"]
mod sort;
#[path = "rows/stream.rs"]
mod stream;
#[path = "rows/zset.rs"]
mod zset;

use crate::compare::Compare;
use crate::compare::Compare::{Deadline, Digest, Equal, Hello, NoReply, RandomKey, Scan, Shape, Sorted};

/// Weight, template, comparison.
pub type Row = (usize, &'static str, Compare);

/// All that Redis 7.0 has and we have.
pub fn all() -> Vec<Row> {
    let families = [
        hash::ROWS,
        set::ROWS,
        zset::ROWS,
        geo::ROWS,
        stream::ROWS,
        bitmap::ROWS,
        hyperloglog::ROWS,
        sort::ROWS,
        dump::ROWS,
    ];
    ROWS.iter().chain(families.into_iter().flatten()).copied().collect()
}

/// All that came after 7.0, by the peer that has it.
pub fn newer() -> impl Iterator<Item = (&'static str, &'static [Row])> {
    let families = [
        hash::NEWER,
        set::NEWER,
        zset::NEWER,
        geo::NEWER,
        stream::NEWER,
        bitmap::NEWER,
        hyperloglog::NEWER,
        sort::NEWER,
        dump::NEWER,
    ];
    NEWER.iter().chain(families.into_iter().flatten()).copied()
}

/// Strings, lists, keys and what stands around them.
const ROWS: &[Row] = &[
    // Strings.
    (30, "SET $s $v", Equal),
    (
        30,
        "SET $s $v {NX|XX|GET|KEEPTTL|EX $sec|PX $ms|EXAT $exat|PXAT $pxat|EXAT $past|PXAT $pastms}*",
        Equal,
    ),
    (8, "SET $k $v {NX|XX|GET|KEEPTTL|EX $badtime|PX $badtime|EXAT $badtime|PXAT $badtime}*", Equal),
    (20, "GET $s", Equal),
    (
        12,
        "GETEX $s {EX $sec|PX $ms|EXAT $exat|PXAT $pxat|EXAT $past|PXAT $pastms|PERSIST|EX $badtime}*",
        Equal,
    ),
    (5, "GETDEL $s", Equal),
    (6, "GETSET $s $v", Equal),
    (10, "GETRANGE $s $n $n", Equal),
    (3, "SUBSTR $s $n $n", Equal),
    (8, "SETRANGE $s $off $v", Equal),
    (6, "MGET $k {$k}*", Equal),
    (6, "MSET $s $v {$s $v}*", Equal),
    (4, "MSETNX $s $v {$s $v}*", Equal),
    (5, "SETNX $s $v", Equal),
    (6, "SETEX $s $sec $v", Equal),
    (4, "SETEX $s $badtime $v", Equal),
    (6, "PSETEX $s $ms $v", Equal),
    (4, "PSETEX $s $badtime $v", Equal),
    (8, "APPEND $s $v", Equal),
    (6, "STRLEN $s", Equal),
    (8, "INCR $s", Equal),
    (8, "DECR $s", Equal),
    (10, "INCRBY $s $i", Equal),
    (10, "DECRBY $s $i", Equal),
    (14, "INCRBYFLOAT $s $f", Equal),
    (4, "LCS $s $s {LEN|IDX|MINMATCHLEN $n|WITHMATCHLEN}*", Equal),
    // Lists.
    (20, "LPUSH $l $v {$v}*", Equal),
    (20, "RPUSH $l $v {$v}*", Equal),
    (4, "RPUSH $l $v $v $v $v $v $v $v $v $v $v $v $v {$v}*", Equal),
    (4, "LPUSHX $l $v {$v}*", Equal),
    (4, "RPUSHX $l $v {$v}*", Equal),
    (8, "LPOP $l [$n]", Equal),
    (8, "RPOP $l [$n]", Equal),
    (6, "LLEN $l", Equal),
    (8, "LINDEX $l $n", Equal),
    (8, "LINSERT $l {BEFORE|AFTER|before|$v} $v $v", Equal),
    (14, "LRANGE $l $n $n", Equal),
    (3, "LRANGE $l 0 -1", Equal),
    (8, "LSET $l $n $v", Equal),
    (8, "LREM $l $n $v", Equal),
    (6, "LTRIM $l $n $n", Equal),
    (10, "LPOS $l $v {RANK $n|COUNT $n|MAXLEN $n}*", Equal),
    (8, "LMOVE $l $l {LEFT|RIGHT|left|$v} {LEFT|RIGHT|right|$v}", Equal),
    (6, "RPOPLPUSH $l $l", Equal),
    (6, "LMPOP $num {$l}+ {LEFT|RIGHT} [COUNT $n]", Equal),
    (6, "LMPOP 2 $l $l {LEFT|RIGHT|left|UP} [COUNT $n]", Equal),
    // Keys.
    (8, "DEL $k {$k}*", Equal),
    (4, "UNLINK $k {$k}*", Equal),
    (6, "EXISTS $k {$k}*", Equal),
    (4, "TOUCH $k {$k}*", Equal),
    (6, "TYPE $k", Equal),
    (4, "KEYS $pattern", Sorted),
    (1, "RANDOMKEY", RandomKey),
    (1, "SCAN 0 {MATCH $pattern|COUNT $num|TYPE string|TYPE list|TYPE LIST}*", Scan),
    (2, "SCAN $badcursor", Shape),
    (1, "SCAN 0 {MATCH|COUNT|TYPE|COUNT 0|COUNT -1|COUNT abc|BAD}", Shape),
    (6, "RENAME $k $k", Equal),
    (4, "RENAMENX $k $k", Equal),
    (8, "COPY $k $k {DB $db|REPLACE|DB $baddb}*", Equal),
    (5, "MOVE $k {$db|$baddb}", Equal),
    (2, "SWAPDB $db $db", Equal),
    (1, "SWAPDB {$db|$baddb} {$db|$baddb}", Equal),
    (6, "SELECT $db", Equal),
    (1, "SELECT $baddb", Equal),
    (8, "EXPIRE $k $sec {NX|XX|GT|LT|gt}*", Equal),
    (8, "PEXPIRE $k $ms {NX|XX|GT|LT|lt}*", Equal),
    (8, "EXPIREAT $k $exat {NX|XX|GT|LT|nx}*", Equal),
    (8, "PEXPIREAT $k $pxat {NX|XX|GT|LT|xx}*", Equal),
    (3, "EXPIRE $k $badtime {NX|XX|GT|LT|EX}*", Equal),
    (3, "PEXPIRE $k $badtime {NX|XX|GT|LT}*", Equal),
    (3, "EXPIREAT $k {$badtime|$past} {NX|XX|GT|LT}*", Equal),
    (3, "PEXPIREAT $k {$badtime|$pastms} {NX|XX|GT|LT}*", Equal),
    (6, "TTL $k", Deadline(2)),
    (6, "PTTL $k", Deadline(2000)),
    (4, "EXPIRETIME $k", Deadline(2)),
    (4, "PEXPIRETIME $k", Deadline(2000)),
    (5, "PERSIST $k", Equal),
    (3, "DBSIZE", Equal),
    (1, "FLUSHDB [{ASYNC|SYNC|NOW}]", Equal),
    (1, "FLUSHALL {ASYNC NOW|BAD|SYNC ASYNC}", Equal),
    (8, "OBJECT ENCODING $k", Equal),
    (3, "OBJECT REFCOUNT $k", Equal),
    (1, "OBJECT FREQ $k", Equal),
    (1, "OBJECT {BAD|ENCODING|REFCOUNT $k $k}", Equal),
    // Connection and server.
    (2, "PING [$v]", Equal),
    (2, "ECHO $v", Equal),
    (1, "HELLO {1|4|abc|99999999999999999999|-1|$v}", Equal),
    (1, "HELLO", Hello),
    (1, "HELLO {AUTH|SETNAME abc|BAD}", Equal),
    (1, "AUTH {$v|default $v}", Equal),
    (1, "CLIENT GETNAME", Equal),
    (1, "CLIENT SETNAME {abc||two words|x}", Equal),
    (1, "CLIENT SETINFO {LIB-NAME|LIB-VER|BAD} {abc|two words}", Equal),
    (1, "CLIENT SETINFO [LIB-NAME]", Equal),
    (1, "CLIENT {NO-EVICT|NO-TOUCH} {ON|OFF|on|BAD}", Equal),
    (1, "CLIENT {GETNAME x|SETNAME|NO-EVICT|REPLY BAD|REPLY|BAD|REPLY ON ON}", Equal),
    (1, "CLIENT REPLY ON", Equal),
    (1, "CLIENT REPLY SKIP", NoReply),
    (1, "CLIENT REPLY OFF", NoReply),
    (
        1,
        "COMMAND GETKEYS {GET $k|SET $k $v|MSET $k $v $k $v|MGET $k $k|LMPOP 2 $l $l LEFT|COPY $k $k}",
        Equal,
    ),
    (
        1,
        "COMMAND GETKEYS {LMOVE $l $l LEFT LEFT|PING|BAD x|GET|DEL $k $k $k|RENAME $k $k|LMPOP 0 $l LEFT}",
        Equal,
    ),
    (1, "COMMAND {GETKEYS|BAD|COUNT x}", Equal),
    (
        1,
        "CONFIG GET {maxmemory|MAXMEMORY-POLICY|appendfsync|databases|timeout|nosuch|proto-max-bulk-len|hz}",
        Equal,
    ),
    (
        1,
        "CONFIG GET {maxmemory-pol*y|append[f]sync|list-max-listpack-size|tcp-keepalive|save|appendonly|maxclients}",
        Equal,
    ),
    (1, "CONFIG GET {maxmemory timeout|hz timeout nosuch|maxmemory maxmemory}", Sorted),
    (1, "CONFIG SET {nosuch 1|maxmemory abc|timeout -1|timeout abc|databases 3|maxmemory-policy bad}", Equal),
    (1, "CONFIG SET {timeout|timeout 0 hz|maxmemory 0 maxmemory 0|appendfsync sometimes|port abc|hz}", Equal),
    (
        1,
        "CONFIG SET {timeout 0|maxmemory 0|maxmemory 0 timeout 0|lazyfree-lazy-expire maybe|maxclients 0}",
        Equal,
    ),
    (1, "CONFIG {BAD|GET|SET|RESETSTAT x}", Equal),
    (1, "DEBUG DIGEST", Digest),
    (2, "DEBUG DIGEST-VALUE $k {$k}*", Digest),
    (2, "NOSUCH {$v}*", Equal),
    (1, "NOSUCHCOMMAND $long {$v|$long}*", Equal),
    (1, "nosuch|command {$v}*", Equal),
];

/// What the newer rows need around them: keys of both types with and without deadlines.
pub const FOUNDATION: &[Row] = &[
    (30, "SET $s $v", Equal),
    (20, "SET $s $tiny", Equal),
    (5, "SET $s $v EX $sec", Equal),
    (5, "RPUSH $l $v", Equal),
    (10, "GET $s", Equal),
    (5, "TTL $k", Deadline(2)),
    (3, "DEL $k", Equal),
];

/// What came after 7.0, by the peer that has it.
const NEWER: &[(&str, &[Row])] = &[
    (
        "valkey81",
        &[
            (40, "SET $s $tiny IFEQ $tiny", Equal),
            (40, "SET $s $v {IFEQ $tiny|NX|XX|GET|KEEPTTL|EX $sec|PX $ms|EXAT $exat|PXAT $pastms}*", Equal),
            (5, "SET $k $v {IFEQ|IFEQ $tiny IFEQ $tiny|IFEQ $tiny NX}", Equal),
        ],
    ),
    (
        "valkey9",
        &[
            (20, "SET $s $tiny IFEQ $tiny", Equal),
            (20, "SET $s $v {IFEQ $tiny|XX|GET|KEEPTTL|EX $sec}*", Equal),
            (40, "DELIFEQ $s $tiny", Equal),
            (10, "DELIFEQ $k $v", Equal),
            (
                30,
                "MSETEX $num $s $v {$s $v}* {NX|XX|EX $sec|PX $ms|EXAT $exat|PXAT $pxat|KEEPTTL|EX $badtime}*",
                Equal,
            ),
            (30, "MSETEX 1 $s $v {NX|XX|EX $sec|PX $ms|EXAT $exat|PXAT $pxat|KEEPTTL}*", Equal),
            (30, "MSETEX 2 $s $v $s $v {NX|XX|EX $sec|PX $ms|EXAT $exat|PXAT $pxat|KEEPTTL}*", Equal),
        ],
    ),
    ("redis8", &[(5, "OBJECT ENCODING $k", Equal), (5, "LPOS $l $v {RANK $n|COUNT $n|MAXLEN $n}*", Equal)]),
];
