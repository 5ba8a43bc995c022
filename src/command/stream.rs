//! Streams: entries in the order of their IDs, and groups of consumers that read them.
//!
//! The rows stand here; the functions in one file for each thing one does with a stream. A stream that becomes empty
//! stays, other than any other collection. What a group notes of deliveries (`XREADGROUP`, `XCLAIM`, `XAUTOCLAIM`) is
//! logged as what it came to, see `claim.rs`.
//!
//! Changes that Redis tells nobody of by a keyspace event are reported with an empty name of the event.

mod parse;
mod delete;
mod idempotent;
mod add;
mod range;
mod claim;
mod budget;
mod read;
mod group;
mod nack;
mod info;
#[cfg(test)]
mod tests;

use crate::command::spec::flag::{BLOCKING, DENYOOM, FAST, LOADING, MOVABLE_KEYS, READONLY, STALE, WRITE};
use crate::command::spec::{Command, Ctx, Error, Find, Group, KeySpec, Outcome};
use crate::resp::request::Args;

const READ_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const META_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO"])];
const PATCH_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "UPDATE"])];
const DELETE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "DELETE"])];
const PATCH_DELETE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "UPDATE", "DELETE"])];
const READ_TWO: &[KeySpec] = &[KeySpec::one(2, &["RO", "ACCESS"])];
const INSERT_TWO: &[KeySpec] = &[KeySpec::one(2, &["RW", "INSERT"])];
const PATCH_TWO: &[KeySpec] = &[KeySpec::one(2, &["RW", "UPDATE"])];
const DELETE_TWO: &[KeySpec] = &[KeySpec::one(2, &["RW", "DELETE"])];

/// The keys behind the word `STREAMS`, which is looked for from `begin` on: the first half of what follows it.
const fn streams(begin: usize) -> KeySpec {
    let find = Find::Range { last: -1, step: 1, limit: 2 };
    KeySpec { begin, keyword: Some("STREAMS"), find, flags: &["RO", "ACCESS"] }
}

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "xack", arity: -4, flags: WRITE | FAST, keys: PATCH_ONE, run: group::xack, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(log N) per ID of what is pending", "key group id [id ...]",
            "Takes entries off what is pending in a group.") },
    Command { name: "xackdel", arity: -6, flags: WRITE | FAST, keys: PATCH_DELETE_ONE, run: delete::xackdel, subcommands: &[],
        doc: Group::Stream.doc("8.2.0", "O(log N) per ID", "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
            "Takes entries off what is pending in a group and deletes them from the stream.") },
    Command { name: "xadd", arity: -5, flags: WRITE | DENYOOM | FAST, keys: PATCH_ONE, run: add::xadd, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(1), and O(N) of the entries trimmed",
            "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer-id | IDMP producer-id idempotent-id] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
            "Adds an entry at the end of a stream, creating it if there is none.") },
    Command { name: "xautoclaim", arity: -6, flags: WRITE | FAST, keys: DELETE_ONE, run: claim::xautoclaim, subcommands: &[],
        doc: Group::Stream.doc("6.2.0", "O(N) of COUNT", "key group consumer min-idle-time start [COUNT count] [JUSTID]",
            "Gives a consumer what was delivered to others and lay idle too long, found by an iteration.") },
    Command { name: "xcfgset", arity: -2, flags: WRITE | FAST, keys: PATCH_ONE, run: idempotent::xcfgset, subcommands: &[],
        doc: Group::Stream.doc("8.6.0", "O(1)", "key [IDMP-DURATION duration] [IDMP-MAXSIZE maxsize]",
            "Sets how long and how many messages of a producer a stream remembers.") },
    Command { name: "xclaim", arity: -6, flags: WRITE | FAST, keys: PATCH_ONE, run: claim::xclaim, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(log N) per ID of what is pending",
            "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
            "Gives a consumer entries that were delivered to others.") },
    Command { name: "xdel", arity: -3, flags: WRITE | FAST, keys: DELETE_ONE, run: delete::xdel, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(log N) per ID", "key id [id ...]", "Deletes entries of a stream.") },
    Command { name: "xdelex", arity: -5, flags: WRITE | FAST, keys: DELETE_ONE, run: delete::xdelex, subcommands: &[],
        doc: Group::Stream.doc("8.2.0", "O(log N) per ID", "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
            "Deletes entries of a stream, minding the groups that refer to them.") },
    Command { name: "xgroup", arity: -2, flags: 0, keys: &[], run: container, subcommands: XGROUP,
        doc: Group::Stream.doc("5.0.0", "Depends on the subcommand", "", "Makes, changes and removes groups of consumers.") },
    Command { name: "xidmprecord", arity: 5, flags: WRITE | DENYOOM | FAST, keys: PATCH_ONE, run: idempotent::xidmprecord,
        subcommands: &[],
        doc: Group::Stream.doc("8.8.0", "O(log N)", "key pid iid stream-id",
            "Says what a producer called an entry; for logs.") },
    Command { name: "xinfo", arity: -2, flags: 0, keys: &[], run: container, subcommands: XINFO,
        doc: Group::Stream.doc("5.0.0", "Depends on the subcommand", "", "Tells about streams, groups and consumers.") },
    Command { name: "xlen", arity: 2, flags: READONLY | FAST, keys: META_ONE, run: range::xlen, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(1)", "key", "Returns how many entries a stream has.") },
    Command { name: "xnack", arity: -7, flags: WRITE | FAST, keys: PATCH_ONE, run: nack::xnack, subcommands: &[],
        doc: Group::Stream.doc("8.8.0", "O(log N) per ID of what is pending",
            "key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]",
            "Gives what is pending for a consumer back to the group, for others to claim.") },
    Command { name: "xpending", arity: -3, flags: READONLY, keys: READ_ONE, run: group::xpending, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(N) of the entries returned, of the consumers for a summary",
            "key group [[IDLE min-idle-time] start end count [consumer]]",
            "Tells what was delivered to a group and is not acknowledged.") },
    Command { name: "xrange", arity: -4, flags: READONLY, keys: READ_ONE, run: range::xrange, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(log N+M) of all entries and those returned", "key start end [COUNT count]",
            "Returns the entries between two IDs.") },
    Command { name: "xread", arity: -4, flags: READONLY | BLOCKING | MOVABLE_KEYS, keys: &[streams(1)], run: read::xread,
        subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(log N+M) of all entries and those returned",
            "[COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
            "Returns the entries of streams that follow given IDs.") },
    Command { name: "xreadgroup", arity: -7, flags: WRITE | BLOCKING | MOVABLE_KEYS, keys: &[streams(4)],
        run: read::xreadgroup, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(M log N) of the entries returned and those pending",
            "GROUP group consumer [COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]",
            "Delivers entries of streams to a consumer of a group, new ones or those it has not acknowledged.") },
    Command { name: "xrevrange", arity: -4, flags: READONLY, keys: READ_ONE, run: range::xrevrange, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(log N+M) of all entries and those returned", "key end start [COUNT count]",
            "Returns the entries between two IDs, the last one first.") },
    Command { name: "xsetid", arity: -3, flags: WRITE | DENYOOM | FAST, keys: PATCH_ONE, run: add::xsetid, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(1)", "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
            "Sets what a stream knows beyond its entries; for replicas and logs.") },
    Command { name: "xtrim", arity: -4, flags: WRITE, keys: DELETE_ONE, run: add::xtrim, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(N) of the entries removed",
            "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]",
            "Removes the oldest entries of a stream.") },
];

#[rustfmt::skip]
static XGROUP: &[Command] = &[
    Command { name: "create", arity: -5, flags: WRITE | DENYOOM, keys: INSERT_TWO, run: group::create, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(log N)", "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]", "Makes a group.") },
    Command { name: "createconsumer", arity: 5, flags: WRITE | DENYOOM, keys: INSERT_TWO, run: group::create_consumer,
        subcommands: &[],
        doc: Group::Stream.doc("6.2.0", "O(log N)", "key group consumer", "Makes a consumer of a group.") },
    Command { name: "delconsumer", arity: 5, flags: WRITE, keys: DELETE_TWO, run: group::delete_consumer, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(N) of what is pending for the consumer", "key group consumer",
            "Removes a consumer with what is pending for it.") },
    Command { name: "destroy", arity: 4, flags: WRITE, keys: DELETE_TWO, run: group::destroy, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(N) of what is pending", "key group", "Removes a group.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: group::help, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "setid", arity: -5, flags: WRITE, keys: PATCH_TWO, run: group::set_id, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(1)", "key group <id | $> [ENTRIESREAD entries-read]", "Sets how far a group has read.") },
];

#[rustfmt::skip]
static XINFO: &[Command] = &[
    Command { name: "consumers", arity: 4, flags: READONLY, keys: READ_TWO, run: info::consumers, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(N) of the consumers", "key group", "Tells about the consumers of a group.") },
    Command { name: "groups", arity: 3, flags: READONLY, keys: READ_TWO, run: info::groups, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(N) of the groups", "key", "Tells about the groups of a stream.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: info::help, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "stream", arity: -3, flags: READONLY, keys: READ_TWO, run: info::stream, subcommands: &[],
        doc: Group::Stream.doc("5.0.0", "O(N) of the nodes", "key [FULL [COUNT count]]", "Tells about a stream.") },
];

/// Never reached: without a subcommand the number of arguments is wrong.
fn container(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    Err(Error::SYNTAX)
}
