//! Rows of the family `sort`.
//!
//! Where texts are equal up to a zero byte, or nothing is sorted, chance or the order in a table decides; such rows are
//! compared sorted, and what is stored, which knows no ties, tells whether the order is right. 7.0 reads some numbers
//! that later versions refuse and the reverse, so nothing that was sorted by numbers is stored there.

use crate::compare::Compare::{Equal, Shape, Sorted};
use crate::rows::Row;

/// What Redis 7.0 has and we have.
pub const ROWS: &[Row] = &[
    (6, "SORT {$l|$set|$z} {ASC|DESC|LIMIT $n $n|asc|desc}*", Equal),
    (6, "SORT {$l|$set|$z} {ASC|DESC|ALPHA|alpha|GET #|GET s*|GET $k|GET h*->f1|GET *}*", Sorted),
    (2, "SORT {$l|$set|$z} ALPHA LIMIT $n $n {DESC|GET #}*", Shape),
    (2, "SORT {$l|$set|$z} BY nosort {ASC|DESC|ALPHA}*", Sorted),
    (2, "SORT {$l|$set|$z} BY nosort LIMIT $n $n {DESC|GET #}*", Shape),
    (2, "SORT {$l|$z} BY {s*|h*->f1|*|h*->|x*->f2} {ALPHA|DESC|GET #|GET s*}*", Shape),
    (6, "SORT {$l|$set|$z} ALPHA STORE {$l|$k} {DESC|LIMIT $n $n|GET #|GET s*|GET h*->f1}*", Equal),
    (4, "SORT {$l|$set|$z} BY nosort STORE $l {DESC|GET #|LIMIT $n $n}*", Equal),
    (2, "SORT $k {BY|GET|LIMIT|LIMIT 1|LIMIT a 1|LIMIT 1 a|STORE|BAD|BY x BAD}", Sorted),
    (3, "SORT_RO {$l|$set|$z} ALPHA {ASC|DESC|GET #|STORE $l}*", Sorted),
    (3, "SORT_RO {$l|$set|$z} {ASC|DESC|LIMIT $n $n|STORE $l}*", Equal),
    (1, "SORT_RO $k {STORE x|BY|GET|ALPHA}", Sorted),
    (1, "COMMAND GETKEYS SORT $l {STORE a|BY store|GET store|LIMIT 1 store|STORE b STORE c|STORE}*", Equal),
];

/// What came after 7.0, by the peer that has it: how numbers are read.
pub const NEWER: &[(&str, &[Row])] = &[(
    "redis8",
    &[
        (4, "RPUSH $l $f {$f}*", Equal),
        (3, "LTRIM $l 0 2", Equal),
        (15, "SORT $l {ASC|DESC|LIMIT $n $n|STORE l5}*", Equal),
    ],
)];
