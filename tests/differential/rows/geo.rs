//! Rows of the family `geo`.

use crate::compare::Compare::Equal;
use crate::rows::Row;

/// What Redis 7.0 has and we have. Positions are drawn from so many that no two members are equally far from anything.
pub const ROWS: &[Row] = &[
    (20, "GEOADD $geo $lon $lat $member {$lon $lat $member}*", Equal),
    (10, "GEOADD $geo {NX|XX|CH|ch|nx}* $lon $lat $member {$lon $lat $member}*", Equal),
    (2, "GEOADD $geo {181|-180|x|inf|0} {86|-85.05112878|x|-90|0} $member", Equal),
    (6, "GEODIST $geo $member $member [{m|km|FT|mi|x}]", Equal),
    (5, "GEOHASH $geo $member {$member}*", Equal),
    (
        20,
        "GEOSEARCH $geo FROMLONLAT $lon $lat BYRADIUS $radius {m|km|ft|mi} {ASC|DESC|COUNT $n|WITHDIST|WITHHASH}*",
        Equal,
    ),
    (
        20,
        "GEOSEARCH $geo FROMLONLAT $lon $lat BYBOX $radius $radius {m|km|ft|mi} {ASC|DESC|COUNT $n|WITHDIST|WITHHASH}*",
        Equal,
    ),
    (
        12,
        "GEOSEARCH $geo {FROMMEMBER $member|FROMLONLAT $lon $lat} {BYRADIUS $radius km|BYBOX $radius $radius km} \
         {ASC|COUNT $n ANY|ANY|WITHDIST|WITHHASH|BYRADIUS 1 m|FROMLONLAT 1 1|STOREDIST}*",
        Equal,
    ),
    (
        10,
        "GEOSEARCHSTORE $k $geo {FROMMEMBER $member|FROMLONLAT $lon $lat} {BYRADIUS $radius km|BYBOX $radius $radius km} \
         {ASC|DESC|COUNT $n|COUNT $n ANY|WITHDIST}*",
        Equal,
    ),
    (
        8,
        "GEORADIUS $geo $lon $lat $radius {m|km|x} {ASC|DESC|COUNT $n|WITHDIST|WITHHASH|STORE $k|ANY}*",
        Equal,
    ),
    (6, "GEORADIUS_RO $geo $lon $lat $radius {m|km} {ASC|DESC|COUNT $n|WITHDIST|WITHHASH|STORE $k}*", Equal),
    (8, "GEORADIUSBYMEMBER $geo $member $radius {m|km} {ASC|DESC|COUNT $n|WITHDIST|STORE $k|STORE}*", Equal),
    (4, "GEORADIUSBYMEMBER_RO $geo $member $radius {m|km} {ASC|DESC|COUNT $n|WITHDIST}*", Equal),
    (4, "ZRANGE $geo 0 -1 WITHSCORES", Equal),
    (3, "ZREM $geo $member", Equal),
    (
        1,
        "COMMAND GETKEYS {GEORADIUS $geo 1 1 1 m STORE $k|GEORADIUSBYMEMBER $geo a 1 m STOREDIST $k|\
         GEOSEARCHSTORE $k $geo FROMLONLAT 1 1 BYRADIUS 1 m|GEOADD $geo 1 1 a}",
        Equal,
    ),
];

/// What came after 7.0, by the peer that has it. From 8.0 on coordinates are printed with fewer digits.
pub const NEWER: &[(&str, &[Row])] = &[
    (
        "redis8",
        &[
            (20, "GEOADD $geo $lon $lat $member {$lon $lat $member}*", Equal),
            (10, "GEOPOS $geo $member {$member}*", Equal),
            (
                10,
                "GEOSEARCH $geo FROMLONLAT $lon $lat BYRADIUS $radius km {ASC|WITHCOORD|WITHDIST|WITHHASH}*",
                Equal,
            ),
            (5, "GEOSEARCHSTORE $k $geo FROMLONLAT $lon $lat BYRADIUS $radius km STOREDIST", Equal),
            (5, "GEORADIUS $geo $lon $lat $radius km STOREDIST z3", Equal),
            (5, "ZRANGE z3 0 -1 WITHSCORES", Equal),
        ],
    ),
    (
        "valkey9",
        &[
            (20, "GEOADD $geo $lon $lat $member {$lon $lat $member}*", Equal),
            (
                20,
                "GEOSEARCH $geo BYPOLYGON 3 $corner $corner $corner $corner $corner $corner {ASC|DESC|COUNT $n|WITHDIST|WITHHASH}*",
                Equal,
            ),
            (
                10,
                "GEOSEARCH $geo BYPOLYGON 4 $corner $corner $corner $corner $corner $corner $corner $corner {ASC|DESC|WITHDIST}*",
                Equal,
            ),
            (
                5,
                "GEOSEARCH $geo BYPOLYGON {2|4|x|-1|3} $corner $corner $corner $corner $corner $corner {FROMLONLAT 1 1|BYRADIUS 1 m}*",
                Equal,
            ),
            (
                5,
                "GEOSEARCHSTORE $k $geo BYPOLYGON 3 $corner $corner $corner $corner $corner $corner {ASC|DESC}*",
                Equal,
            ),
        ],
    ),
];
