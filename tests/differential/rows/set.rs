//! Rows of the family `set`.
//!
//! The order of a reply is not compared: 7.0 has no packs of members, which keep theirs. What is drawn at random is
//! compared by its kind, and `SPOP` takes all or nothing, so that both servers go on with equal sets.

use crate::compare::Compare::{Equal, Scan, Shape, Sorted};
use crate::rows::Row;

/// What Redis 7.0 has and we have.
pub const ROWS: &[Row] = &[
    (25, "SADD $set $v {$v}*", Equal),
    (10, "SADD $set $i {$i}*", Equal),
    (6, "SADD $set $n $n $n $n $n {$v}*", Equal),
    (4, "SADD $set $v $v $v $v $v $v $v $v $v $v $v $v {$v}*", Equal),
    (12, "SREM $set {$v|$i|$n}+", Equal),
    (6, "SMEMBERS $set", Sorted),
    (5, "SISMEMBER $set $v", Equal),
    (5, "SMISMEMBER $set {$v|$n}+", Equal),
    (4, "SCARD $set", Equal),
    (10, "SMOVE $set $set {$v|$n}", Equal),
    (1, "SPOP $set 100000", Sorted),
    (2, "SPOP $set {0|-1|abc|1000000 1||9223372036854775808}", Sorted),
    (4, "SRANDMEMBER $set", Shape),
    (4, "SRANDMEMBER $set 100000", Sorted),
    (4, "SRANDMEMBER $set $n", Shape),
    (1, "SRANDMEMBER $set {0|abc|1 2||9223372036854775808}", Shape),
    (8, "SINTER $set {$set}*", Sorted),
    (8, "SUNION $set {$set}*", Sorted),
    (8, "SDIFF $set {$set}*", Sorted),
    (4, "SINTERSTORE {$set|$s} $set {$set}*", Equal),
    (4, "SUNIONSTORE {$set|$s} $set {$set}*", Equal),
    (4, "SDIFFSTORE {$set|$s} $set {$set}*", Equal),
    (6, "SINTERCARD $num {$set}+ {LIMIT $n}*", Equal),
    (4, "SINTERCARD 2 $set $set {LIMIT $n|LIMIT|LIMIT abc|BAD}*", Equal),
    (1, "SINTERCARD {$badtime|$n} $set $set", Equal),
    (2, "SSCAN $set 0 {MATCH $pattern|COUNT $num}*", Scan),
    (2, "SSCAN $set {0|5|$badcursor} {MATCH *|COUNT 10000|COUNT|COUNT 0|COUNT abc|BAD|TYPE set}*", Shape),
    (
        1,
        "COMMAND GETKEYS {SINTERCARD 2 $set $set LIMIT 1|SUNIONSTORE $set $set $set|SMOVE $set $set x}",
        Equal,
    ),
];

/// What came after 7.0, by the peer that has it.
pub const NEWER: &[(&str, &[Row])] = &[(
    "redis8",
    &[
        (20, "SADD $set $v {$v}*", Equal),
        (15, "SADD $set $i {$i}*", Equal),
        (5, "SADD $set $n $n $n $n $n {$v}*", Equal),
        (15, "SREM $set {$v|$i|$n}+", Equal),
        (10, "SMOVE $set $set {$v|$n}", Equal),
        (3, "SPOP $set 100000", Sorted),
        (5, "SINTERSTORE $set $set {$set}*", Equal),
        (5, "SUNIONSTORE $set $set {$set}*", Equal),
        (5, "SDIFFSTORE $set $set {$set}*", Equal),
        (10, "SMEMBERS $set", Sorted),
        (20, "OBJECT ENCODING $set", Equal),
        (4, "SSCAN $set 0 {MATCH $pattern|COUNT $num}*", Scan),
        (4, "SSCAN $set {0|$badcursor} {NOVALUES|COUNT 10000|MATCH *}*", Shape),
        (3, "SRANDMEMBER $set {9223372036854775807|-9223372036854775808}", Sorted),
    ],
)];
