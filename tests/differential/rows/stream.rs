//! Rows of the family `stream`.
//!
//! No row adds under an ID that the server chooses by its clock, and none waits (`BLOCK`).

use crate::compare::Compare::{Digest, Equal, Times};
use crate::rows::Row;

/// What Redis 7.0 has and we have.
pub const ROWS: &[Row] = &[
    (40, "XADD $x $xid f $v", Equal),
    (20, "XADD $x $xid $field $v {$field $v}*", Equal),
    (10, "XADD $x $xid f1 $v f2 $v", Equal),
    (6, "XADD $x $xid f $long", Equal),
    (
        6,
        "XADD $x {NOMKSTREAM|MAXLEN $xlen|MAXLEN = $xlen|MAXLEN ~ $xlen|MINID $xold|MINID ~ $xold} $xid f $v",
        Equal,
    ),
    (4, "XADD $x {NOMKSTREAM|MAXLEN ~ $xlen|MINID ~ $xold|MAXLEN $xlen|LIMIT $n}* $xid f $v", Equal),
    (2, "XADD $k $xold {f|f $v|f $v f}", Equal),
    (4, "XLEN $x", Equal),
    (10, "XRANGE $x $xold $xold [COUNT $n]", Equal),
    (6, "XRANGE $x {-|$xold|(|$xopen} {+|$xold} [COUNT $n]", Equal),
    (4, "XRANGE $x - + COUNT $num", Equal),
    (10, "XREVRANGE $x $xold $xold [COUNT $n]", Equal),
    (6, "XREVRANGE $x + - [COUNT $n]", Equal),
    (10, "XREAD [COUNT $n] STREAMS $x {$xold|$last}", Equal),
    (6, "XREAD [COUNT $n] STREAMS $x $x {$xold|$last|0} $xold", Equal),
    (2, "XREAD {COUNT $n|NOACK|GROUP g c}* STREAMS $x {$x}* $xold", Equal),
    (10, "XDEL $x $xold {$xold}*", Equal),
    (4, "XTRIM $x {MAXLEN|MAXLEN =|MAXLEN ~} $xlen", Equal),
    (4, "XTRIM $x {MINID|MINID =|MINID ~} $xold", Equal),
    (4, "XTRIM $x {MAXLEN ~ $xlen|MINID ~ $xold} LIMIT {$n|100|20}", Equal),
    (3, "XTRIM $x {MAXLEN|MINID|LIMIT $n|=|~|$xlen|$xold}+", Equal),
    (8, "XINFO STREAM $x", Equal),
    (1, "XINFO {STREAM $x BAD|STREAM $k|GROUPS $s|CONSUMERS $x|BAD|STREAM}", Equal),
    (10, "XGROUP CREATE $x $g {$xold|$last|0} {MKSTREAM|ENTRIESREAD $n}*", Equal),
    (4, "XGROUP SETID $x $g {$xold|$last|0|-|+} [ENTRIESREAD $n]", Equal),
    (3, "XGROUP CREATECONSUMER $x $g $c", Equal),
    (3, "XGROUP DELCONSUMER $x $g $c", Equal),
    (2, "XGROUP DESTROY $x $g", Equal),
    (1, "XGROUP {CREATE $x|SETID $x $g|BAD $x $g|DESTROY $k $g $g|CREATECONSUMER $k $g $c}", Equal),
    (25, "XREADGROUP GROUP $g $c [COUNT $n] STREAMS $x >", Equal),
    (6, "XREADGROUP GROUP $g $c [COUNT $n] NOACK STREAMS $x >", Equal),
    (10, "XREADGROUP GROUP $g $c [COUNT $n] STREAMS $x {0|$xold}", Equal),
    (6, "XREADGROUP GROUP $g $c [COUNT $n] STREAMS $x $x {>|$xold|0} {>|$xold}", Equal),
    (2, "XREADGROUP {GROUP $g $c|COUNT $n|NOACK|GROUP $g}* STREAMS $x {>|$last|$xold|-}", Equal),
    (14, "XACK $x $g $xold {$xold}*", Equal),
    (4, "XPENDING $x $g", Equal),
    (8, "XPENDING $x $g {-|$xold|$xopen} {+|$xold} $n [$c]", Times),
    (6, "XPENDING $x $g [IDLE {0|100000}] - + 20 [$c]", Times),
    (2, "XPENDING $x $g {IDLE|$n|-|+|$c}*", Times),
    (
        14,
        "XCLAIM $x $g $c {0|0|0|100000|-5} $xold {$xold}* {FORCE|JUSTID|IDLE 1000000|IDLE 0|RETRYCOUNT $n}*",
        Equal,
    ),
    (
        6,
        "XCLAIM $x $g $c 0 $xold {FORCE|TIME $past|TIME $badtime|LASTID $xold|IDLE $badtime|BAD|JUSTID}*",
        Equal,
    ),
    (10, "XAUTOCLAIM $x $g $c {0|0|100000|-5} {-|0|$xold|$xopen} {COUNT $num|JUSTID|COUNT 20}*", Equal),
    (2, "XAUTOCLAIM $x $g $c {0|100000|$badtime} $xold {COUNT 0|COUNT -1|COUNT|BAD|JUSTID}*", Equal),
    (2, "DEL $x", Equal),
    (2, "COPY $x $x REPLACE", Equal),
    (4, "OBJECT ENCODING $x", Equal),
    (6, "DEBUG DIGEST-VALUE $x", Digest),
];

/// What came after 7.0, by the peer that has it.
pub const NEWER: &[(&str, &[Row])] = &[
    ("redis8", ROWS),
    (
        "redis8",
        &[
            (10, "XADD $x $xid f $v", Equal),
            (6, "XREAD [COUNT $n] STREAMS $x {$x}* {+|$xold}+", Equal),
            (20, "XINFO GROUPS $x", Equal),
            (20, "XINFO STREAM $x FULL [COUNT {0|2|50|-1|$badtime}]", Times),
            (10, "XINFO CONSUMERS $x $g", Times),
            (2, "XINFO STREAM $x {FULL|COUNT|$n|BAD}+", Times),
            (20, "XADD $x $xid f $v", Equal),
            (10, "XADD $x $xid f $v {f $v}*", Equal),
            (5, "XDEL $x $xold", Equal),
            (3, "XTRIM $x {MAXLEN|MAXLEN ~} $xlen", Equal),
            (3, "XTRIM $x {MINID|MINID ~} $xold", Equal),
            (10, "XGROUP CREATE $x $g {$xold|$last|0} [ENTRIESREAD $n]", Equal),
            (4, "XGROUP SETID $x $g {$xold|$last|0|-|+} [ENTRIESREAD $n]", Equal),
            (25, "XREADGROUP GROUP $g $c [COUNT $n] STREAMS $x >", Equal),
            (5, "XREADGROUP GROUP $g $c [COUNT $n] STREAMS $x {0|$xold|+}", Equal),
            (5, "XCLAIM $x $g $c 0 $xold {FORCE|JUSTID|LASTID $xold}*", Equal),
            (4, "XSETID $x {$xid|$xold} {ENTRIESADDED $n|ENTRIESADDED 400|MAXDELETEDID $xold}*", Equal),
            (6, "XACK $x $g $xold {$xold}*", Equal),
        ],
    ),
];
