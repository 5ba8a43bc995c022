//! What the commands of streams have in common: how they read IDs, find streams, and reply entries.

use crate::base::number::parse_i64;
use crate::command::list::reply_item;
use crate::command::spec::{Ctx, Error, repeated};
use crate::data::keyspace::Key;
use crate::data::stream::{Entry, Id, Limits, Stream};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

const INVALID_ID: Error = Error::of("ERR Invalid stream ID specified as stream command argument");

/// An ID where an entry is meant: not `-` or `+`. Without a sequence number it gets `missing_seq`.
pub(super) fn strict_id(text: &[u8], missing_seq: u64) -> Result<Id, Error> {
    Id::parse(text, missing_seq).ok_or(INVALID_ID)
}

/// An ID, or `-` for the smallest and `+` for the greatest.
pub(super) fn id(text: &[u8], missing_seq: u64) -> Result<Id, Error> {
    match text {
        b"-" => Ok(Id::ZERO),
        b"+" => Ok(Id::MAX),
        text => strict_id(text, missing_seq),
    }
}

/// An ID of `XADD`, whose sequence number may be left to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NewId {
    /// All of it is the server's to choose.
    Any,
    /// The milliseconds are given.
    At(u64),
    /// All is given.
    Exactly(Id),
}

pub(super) fn new_id(text: &[u8]) -> Result<NewId, Error> {
    if text == b"*" {
        return Ok(NewId::Any);
    }
    let (ms, seq) = Id::parse_parts(text).ok_or(INVALID_ID)?;
    match seq {
        Some(b"*") => Ok(NewId::At(ms)),
        _ => Ok(NewId::Exactly(strict_id(text, 0)?)),
    }
}

/// The beginning of an interval; `(` in front excludes the ID itself.
pub(super) fn start_of(text: &[u8]) -> Result<Id, Error> {
    match text {
        [b'(', open @ ..] if !open.is_empty() => {
            strict_id(open, 0)?.next().ok_or(Error::of("ERR invalid start ID for the interval"))
        }
        text => id(text, 0),
    }
}

/// The end of an interval; `(` in front excludes the ID itself.
pub(super) fn end_of(text: &[u8]) -> Result<Id, Error> {
    match text {
        [b'(', open @ ..] if !open.is_empty() => {
            strict_id(open, u64::MAX)?.prev().ok_or(Error::of("ERR invalid end ID for the interval"))
        }
        text => id(text, u64::MAX),
    }
}

/// Refuses a request whose arguments from `first` on are not all IDs.
pub(super) fn all_ids(args: Args<'_>, first: usize) -> Result<(), Error> {
    (first..args.len()).try_for_each(|index| strict_id(args.get(index), 0).map(|_| ()))
}

/// An integer, with another error than the usual one.
pub(super) fn integer_or(text: &[u8], error: &'static str) -> Result<i64, Error> {
    parse_i64(text).ok_or(Error::of(error))
}

/// The limits of nodes.
#[inline]
pub(super) fn limits(ctx: &Ctx<'_>) -> Limits {
    let settings = &ctx.state.settings;
    Limits { node_bytes: settings.stream_node_max_bytes, node_entries: settings.stream_node_max_entries }
}

/// The stream at a key for reading; `None` if there is no key.
pub(super) fn read_stream<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<&'c Stream>, Error> {
    match ctx.keys.read(key) {
        None => Ok(None),
        Some(entry) => entry.stream().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// The stream at a key for changing; `None` if there is no key.
pub(super) fn write_stream<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<&'c mut Stream>, Error> {
    match ctx.keys.write(key) {
        None => Ok(None),
        Some(entry) => entry.stream_mut().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// Whether a log is being loaded: what another server has written there must not be refused.
pub(super) fn in_replay(ctx: &Ctx<'_>) -> bool {
    ctx.now().0 == 0
}

fn shown(text: &[u8]) -> std::borrow::Cow<'_, str> {
    repeated(text, usize::MAX)
}

/// There is no such group, or no such key.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (shown(key), shown(group));
    Error::text(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

/// The same where `XREADGROUP` looks for them.
pub(super) fn no_group_to_read(key: &[u8], group: &[u8]) -> Error {
    let text = no_key_or_group(key, group);
    Error::text(format!("{text} in XREADGROUP with GROUP option"))
}

/// There is a key, but no such group.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (shown(key), shown(group));
    Error::text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// A subcommand has words that it does not take.
pub(super) fn bad_subcommand(args: Args<'_>, container: &str) -> Error {
    let name = repeated(args.get(1), 128);
    Error::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try {container} HELP."
    ))
}

/// Replies an ID.
#[inline]
pub(super) fn reply_id(reply: &mut Reply, id: Id) {
    reply.bulk(id.text(&mut [0; 41]));
}

/// Replies an entry: its ID, then its fields and values.
#[inline]
pub(super) fn reply_entry(reply: &mut Reply, entry: &Entry<'_>) {
    reply.array(2);
    reply_content(reply, entry);
}

/// Replies an entry with how long it lay idle and how often it was delivered before.
pub(super) fn reply_delivery(reply: &mut Reply, entry: &Entry<'_>, idle_ms: i64, count: u64) {
    reply.array(4);
    reply_content(reply, entry);
    reply.integer(idle_ms);
    reply.integer(count as i64);
}

#[inline]
fn reply_content(reply: &mut Reply, entry: &Entry<'_>) {
    reply_id(reply, entry.id);
    reply.array(2 * entry.len());
    for (field, value) in entry.pairs() {
        reply_item(reply, field);
        reply_item(reply, value);
    }
}

/// Replies entries, at most `count` of them if that is given.
pub(super) fn reply_entries<'e>(
    reply: &mut Reply,
    entries: impl Iterator<Item = Entry<'e>>,
    count: Option<u64>,
) {
    let mark = reply.later();
    let mut replied = 0;
    for entry in entries.take(count.map_or(usize::MAX, |count| count as usize)) {
        reply_entry(reply, &entry);
        replied += 1;
    }
    reply.fill_array(mark, replied);
}
