//! Rows of the family `bitmap`.

use crate::compare::Compare::Equal;
use crate::rows::Row;

/// What Redis 7.0 has and we have.
pub const ROWS: &[Row] = &[
    (12, "SETBIT $s $bit {0|1}", Equal),
    (2, "SETBIT $k {$bit|$badbit} {0|1|2|-1|x}", Equal),
    (8, "GETBIT $s $bit", Equal),
    (2, "GETBIT $k $badbit", Equal),
    (4, "BITCOUNT $s", Equal),
    (8, "BITCOUNT $s $n $n", Equal),
    (8, "BITCOUNT $s {$n|$bit|-20} {$n|$bit|-5} {BYTE|BIT|bit|BAD}", Equal),
    (2, "BITCOUNT $k $i $i {BIT|BYTE}", Equal),
    (5, "BITPOS $s {0|1} [$n]", Equal),
    (8, "BITPOS $s {0|1} $n $n", Equal),
    (8, "BITPOS $s {0|1} {$n|$bit|-20} {$n|$bit|-5} {BYTE|BIT|byte|BAD}", Equal),
    (2, "BITPOS $k {0|1|2|x} $i $i {BIT|BYTE}", Equal),
    (6, "BITOP {AND|OR|XOR} $s $s {$s}*", Equal),
    (3, "BITOP NOT $s $s", Equal),
    (2, "BITOP {AND|OR|XOR|NOT|and|BAD} $k $k {$k}*", Equal),
    (10, "BITFIELD $s {GET $width $field_at|SET $width $field_at $i|INCRBY $width $field_at $i}+", Equal),
    (
        10,
        "BITFIELD $s OVERFLOW {WRAP|SAT|FAIL} {SET $width $field_at $i|INCRBY $width $field_at {$i|$n}|GET $width $field_at|OVERFLOW {SAT|FAIL|sat}}+",
        Equal,
    ),
    (
        3,
        "BITFIELD $k {GET {u64|i65|u0|I8|8|$v} $bit|SET u8 $badbit 1|SET i8 0 {x|1.5}|OVERFLOW BAD|SET u4|BAD|GET u63 #1}+",
        Equal,
    ),
    (5, "BITFIELD_RO $s {GET $width $field_at}*", Equal),
    (1, "BITFIELD_RO $k {GET $width $field_at|SET u8 0 1|OVERFLOW SAT}+", Equal),
];

/// What came after 7.0, by the peer that has it.
pub const NEWER: &[(&str, &[Row])] = &[
    (
        "redis8",
        &[
            (20, "SETBIT $s $bit {0|1}", Equal),
            (10, "BITCOUNT $k {$n|x} {$n|x} {BYTE|BIT|BAD}", Equal),
            (10, "BITPOS $k {0|1} {$n|x} {$n|x} {BYTE|BIT|BAD}", Equal),
        ],
    ),
    (
        "valkey9",
        &[
            (20, "SETBIT $s $bit {0|1}", Equal),
            (10, "BITCOUNT $k $n", Equal),
            (10, "BITCOUNT $k {$n|x} {$n|x} {BYTE|BIT|BAD}", Equal),
            (
                10,
                "BITFIELD $s {GET $width $field_at|SET $width $field_at $i|INCRBY $width $field_at $i}+",
                Equal,
            ),
        ],
    ),
];
