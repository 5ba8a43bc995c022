//! Rows of the family `hyperloglog`. `GET` compares the strings byte by byte.

use crate::compare::Compare::Equal;
use crate::rows::Row;

/// What Redis 7.0 has and we have.
pub const ROWS: &[Row] = &[
    (12, "PFADD $hll {$v}*", Equal),
    (12, "PFADD $hll $v $v $v $v $v $v $v $v $v $v $v $v $v $v {$v}*", Equal),
    (2, "PFADD $k [$v]", Equal),
    (6, "PFCOUNT $hll {$hll}*", Equal),
    (1, "PFCOUNT $k {$k}*", Equal),
    (4, "PFMERGE $hll {$hll}*", Equal),
    (1, "PFMERGE $k {$k}*", Equal),
    (6, "GET $hll", Equal),
    (2, "STRLEN $hll", Equal),
    (1, "PFDEBUG {GETREG|TODENSE} $hll", Equal),
    (3, "PFDEBUG {DECODE|ENCODING|decode|BAD} $hll", Equal),
    (1, "PFDEBUG {GETREG|DECODE|ENCODING|TODENSE|BAD} $k", Equal),
    (2, "DEL $hll", Equal),
    (1, "COPY $hll $hll REPLACE", Equal),
    // Corrupt ones: another byte in the header or among the runs of one that nothing is added to. For in Redis what
    // PFADD has added before the corruption was noticed stays, though the reply is an error. So nothing but the rows
    // of this family touches the keys to which several elements are added.
    (2, "COPY $hll broken REPLACE", Equal),
    (2, "SETRANGE broken {16|17|18|20} 1", Equal),
    (1, "SETRANGE broken {4|5|8|15} {$tiny|}", Equal),
    (2, "PFCOUNT {$hll}* broken", Equal),
    (1, "PFMERGE {broken|$hll broken}", Equal),
    (2, "PFDEBUG {GETREG|TODENSE|DECODE} broken", Equal),
    (1, "SET $hll {HYLL|12}", Equal),
];

/// What came after 7.0, by the peer that has it.
pub const NEWER: &[(&str, &[Row])] = &[(
    "redis8",
    &[
        (20, "PFADD $hll $v $v $v $v $v $v $v $v $v $v $v $v $v $v {$v}*", Equal),
        (10, "PFCOUNT $hll {$hll}*", Equal),
        (10, "PFMERGE $hll {$hll}*", Equal),
        (10, "GET $hll", Equal),
        (1, "PFDEBUG TODENSE $hll", Equal),
        (3, "DEL $hll", Equal),
    ],
)];
