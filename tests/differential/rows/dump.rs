//! Rows of the family `dump`. What a payload must look like is told by the tests of RDB, which give it to real servers:
//! the bytes differ with how a value came to be.

use crate::compare::Compare::{Equal, Shape};
use crate::rows::Row;

/// What Redis 7.0 has and we have.
pub const ROWS: &[Row] = &[
    (2, "DUMP $k", Shape),
    (2, "RESTORE $k {0|$ms|$badtime} $v", Equal),
    (
        2,
        "RESTORE $k 0 $v {REPLACE|ABSTTL|IDLETIME $num|FREQ $num|IDLETIME $badtime|FREQ $badtime|$v}*",
        Equal,
    ),
    (1, "RESTORE $k 0 $v {REPLACE|ABSTTL|IDLETIME|FREQ}+", Equal),
    (3, "RESTORE $k {0|$ms} $payload {REPLACE|IDLETIME $num|FREQ $num}*", Equal),
    (3, "RESTORE $k {$pxat|$pastms} $payload ABSTTL {REPLACE}*", Equal),
    (1, "RESTORE-ASKING $k 0 $payload {REPLACE}*", Equal),
];

/// What came after 7.0, by the peer that has it.
pub const NEWER: &[(&str, &[Row])] = &[];
