//! What `COMMAND INFO` says beyond the rows: categories, tips for proxies, and the keys as old clients want them.

use crate::command::registry::Row;
use crate::command::spec::flag::{ADMIN, BLOCKING, DANGEROUS, FAST, PUBSUB, READONLY, WRITE};
use crate::command::spec::{Find, Group, KeySpec};

/// Names of the categories, in the order in which they are listed.
pub const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// Categories that neither group nor flags lead to, in the place of the group's. A name stands for its subcommands
/// too.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    ("asking", &["connection"]),
    ("command", &["connection"]),
    ("dbsize", &["keyspace"]),
    ("flushall", &["keyspace"]),
    ("flushdb", &["keyspace"]),
    ("lastsave", &["admin", "dangerous"]),
    ("readonly", &["connection"]),
    ("readwrite", &["connection"]),
    ("role", &["admin", "dangerous"]),
    ("sort", &["set", "sortedset", "list", "dangerous"]),
    ("sort_ro", &["set", "sortedset", "list", "dangerous"]),
    ("swapdb", &["keyspace"]),
    ("wait", &["connection"]),
    ("waitaof", &["connection"]),
];

const SAME_EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const SUM_OF_KEYS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const SHARDS_DIFFER: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
const NODES_DIFFER: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
const LOG_GET: &[&str] = &["request_policy:all_nodes", "nondeterministic_output"];
const LOG_LEN: &[&str] = &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"];
const SLOWEST_SHARD: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];
const VARIES: &[&str] = &["nondeterministic_output"];
const ORDER_VARIES: &[&str] = &["nondeterministic_output_order"];

/// What whoever spreads commands over several servers should know.
const TIPS: &[(&[&str], &[&str])] = &[
    (
        SAME_EVERYWHERE,
        &["client|setinfo", "client|setname", "commandlog|reset", "config|resetstat", "config|rewrite"],
    ),
    (SAME_EVERYWHERE, &["acl|deluser", "acl|save", "acl|setuser", "config|set", "slowlog|reset"]),
    (SUM_OF_KEYS, &["del", "exists", "touch", "unlink"]),
    (ALL_SHARDS, &["flushall", "flushdb", "memory|purge", "ping"]),
    (SHARDS_DIFFER, &["info", "memory|doctor", "memory|malloc-stats", "memory|stats"]),
    (
        NODES_DIFFER,
        &["latency|doctor", "latency|graph", "latency|histogram", "latency|history", "latency|latest"],
    ),
    (LOG_GET, &["commandlog|get", "slowlog|get"]),
    (LOG_LEN, &["commandlog|len", "slowlog|len"]),
    (SLOWEST_SHARD, &["wait", "waitaof"]),
    (ORDER_VARIES, &["command", "command|docs", "command|info", "command|list", "module|list"]),
    (ORDER_VARIES, &["sdiff", "sinter", "smembers", "sunion"]),
    (VARIES, &["spop", "srandmember", "sscan"]),
    (VARIES, &["client|info", "client|list", "cluster|bumpepoch", "cluster|count-failure-reports"]),
    (
        VARIES,
        &["cluster|getkeysinslot", "cluster|info", "cluster|links", "cluster|myshardid", "cluster|nodes"],
    ),
    (VARIES, &["cluster|replicas", "cluster|shards", "cluster|slaves", "cluster|slots", "dump", "lastsave"]),
    (
        VARIES,
        &[
            "migrate",
            "object|encoding",
            "object|freq",
            "object|idletime",
            "object|refcount",
            "pttl",
            "time",
            "ttl",
        ],
    ),
    (VARIES, &["zrandmember", "zscan"]),
    (VARIES, &["hpttl", "hrandfield", "hscan", "httl"]),
    (ORDER_VARIES, &["hgetall", "hkeys", "hvals"]),
    (VARIES, &["xadd", "xautoclaim", "xclaim", "xinfo|consumers", "xpending", "xtrim"]),
    (&["request_policy:all_nodes", "response_policy:agg_sum"], &["latency|reset"]),
    (&["request_policy:all_shards", "nondeterministic_output_order"], &["keys"]),
    (&["request_policy:all_shards", "response_policy:agg_sum"], &["dbsize"]),
    (&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"], &["randomkey"]),
    (&["nondeterministic_output", "request_policy:special", "response_policy:special"], &["scan"]),
    (&["request_policy:multi_shard"], &["mget"]),
    (&["request_policy:multi_shard", "response_policy:all_succeeded"], &["mset", "msetex"]),
];

/// The tips for a command.
pub fn tips(full_name: &str) -> &'static [&'static str] {
    TIPS.iter().find(|(_, names)| names.contains(&full_name)).map_or(&[], |(tips, _)| *tips)
}

/// The categories of a command, in their order.
pub fn categories(row: &Row) -> Vec<&'static str> {
    let command = row.command;
    let top = row.full_name.split('|').next().unwrap_or_default();
    let explicit = match EXCEPTIONS.iter().find(|(name, _)| *name == top) {
        Some((_, categories)) => *categories,
        // A container by itself does nothing.
        None if !command.subcommands.is_empty() => &[],
        None => match command.doc.group {
            Group::String => &["string"][..],
            Group::List => &["list"],
            Group::Set => &["set"],
            Group::Hash => &["hash"],
            Group::SortedSet => &["sortedset"],
            Group::Stream => &["stream"],
            Group::Bitmap => &["bitmap"],
            Group::Hyperloglog => &["hyperloglog"],
            Group::Geo => &["geo"],
            Group::Transactions => &["transaction"],
            Group::Generic => &["keyspace"],
            Group::Connection => &["connection"],
            Group::Pubsub | Group::Server | Group::Cluster => &[],
        },
    };
    let has = |flags: u32| command.flags & flags != 0;
    let holds = |category: &str| {
        explicit.contains(&category)
            || match category {
                "read" => has(READONLY),
                "write" => has(WRITE),
                "pubsub" => has(PUBSUB),
                "admin" => has(ADMIN),
                "fast" => has(FAST),
                "slow" => !has(FAST),
                "blocking" => has(BLOCKING),
                "dangerous" => has(ADMIN | DANGEROUS),
                _ => false,
            }
    };
    CATEGORIES.iter().copied().filter(|category| holds(category)).collect()
}

/// First key, last key and step: what `COMMAND INFO` said of keys before there were key specifications. Only ranges
/// count, and only as long as they lie side by side.
pub fn legacy_range(specs: &[KeySpec]) -> [i64; 3] {
    let mut range: Option<[i64; 3]> = None;
    for spec in specs {
        let Find::Range { last, step, .. } = spec.find else { continue };
        if spec.keyword.is_some() {
            continue;
        }
        let begin = spec.begin as i64;
        let last = if 0 <= last { begin + i64::from(last) } else { i64::from(last) };
        range = match range {
            None => Some([begin, last, step as i64]),
            Some([first, before, step]) if before + 1 == begin => Some([first, last, step]),
            Some(range) => Some(range),
        };
    }
    range.unwrap_or([0; 3])
}
