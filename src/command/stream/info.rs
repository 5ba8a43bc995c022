//! `XINFO`: what there is to know about streams, groups and consumers.

use crate::command::options::Options;
use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::command::stream::idempotent::default_window;
use crate::command::stream::parse::{bad_subcommand, no_group, reply_entries, reply_entry, reply_id};
use crate::data::stream::{Consumer, Entries, Group, Id, Idempotence, Stream, Window};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

/// Entries that `FULL` shows of each kind unless told otherwise.
const SHOWN_DEFAULT: u64 = 10;

/// The stream of a request that must exist.
fn find<'c>(ctx: &'c mut Ctx<'_>, args: Args<'_>) -> Result<(&'c mut Reply, &'c Stream), Error> {
    let key = ctx.key(args, 2);
    let entry = ctx.keys.read(key).ok_or(Error::NO_SUCH_KEY)?;
    let stream = entry.stream().ok_or(Error::WRONG_TYPE)?;
    Ok((ctx.reply, stream))
}

fn label(reply: &mut Reply, name: &str) {
    reply.bulk(name.as_bytes());
}

fn number(reply: &mut Reply, name: &str, value: u64) {
    label(reply, name);
    reply.integer(value as i64);
}

fn shown_id(reply: &mut Reply, name: &str, id: Id) {
    label(reply, name);
    reply_id(reply, id);
}

/// Two figures of a group which may not be known.
fn progress(reply: &mut Reply, entries: &Entries, group: &Group) {
    let figures = [("entries-read", group.entries_read.map(|read| read as i64)), ("lag", entries.lag(group))];
    for (name, figure) in figures {
        label(reply, name);
        match figure {
            None => reply.null(),
            Some(figure) => reply.integer(figure),
        }
    }
}

/// How many entries of each kind are to be shown; `None` = no `FULL`.
fn shown(args: Args<'_>) -> Result<Option<u64>, Error> {
    let mut options = Options::new(args, 3);
    if !options.more() {
        return Ok(None);
    }
    let complete = matches!(options.left(), 1 | 3) && options.word("FULL");
    if !complete || (options.more() && !options.word("COUNT")) {
        return Err(bad_subcommand(args, "XINFO"));
    }
    let count = if options.more() { options.integer()? } else { SHOWN_DEFAULT as i64 };
    Ok(Some(u64::try_from(count).unwrap_or(SHOWN_DEFAULT)))
}

pub(super) fn stream(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let now_ms = ctx.now().0;
    let window = default_window(ctx);
    let (reply, stream) = find(ctx, args)?;
    let shown = shown(args)?;
    let entries = &stream.entries;
    reply.map(if shown.is_some() { 15 } else { 16 });
    number(reply, "length", entries.len());
    number(reply, "radix-tree-keys", entries.nodes() as u64);
    number(reply, "radix-tree-nodes", entries.radix_nodes() as u64);
    shown_id(reply, "last-generated-id", entries.last_id());
    shown_id(reply, "max-deleted-entry-id", entries.max_deleted());
    number(reply, "entries-added", entries.added());
    shown_id(reply, "recorded-first-entry-id", entries.first_id());
    idempotence(reply, stream, window, now_ms as u64);
    let Some(shown) = shown else {
        number(reply, "groups", stream.groups.len() as u64);
        let (all, back) = (entries.iter().next(), entries.range_rev(Id::ZERO, Id::MAX).next());
        for (name, entry) in [("first-entry", all), ("last-entry", back)] {
            label(reply, name);
            match entry {
                None => reply.null(),
                Some(entry) => reply_entry(reply, &entry),
            }
        }
        return Ok(Effect::Unchanged);
    };
    // Nought means all.
    let shown = Some(shown).filter(|shown| *shown != 0);
    label(reply, "entries");
    reply_entries(reply, entries.iter(), shown);
    label(reply, "groups");
    reply.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        full_group(reply, entries, (name, group), shown, now_ms);
    }
    Ok(Effect::Unchanged)
}

/// What is remembered of messages that producers name.
fn idempotence(reply: &mut Reply, stream: &Stream, default: Window, now_ms: u64) {
    let known = stream.idempotence.as_deref();
    let window = known.map_or(default, Idempotence::window);
    let (producers, messages) = known.map_or((0, 0), |known| known.tracked(now_ms));
    number(reply, "idmp-duration", window.duration_secs);
    number(reply, "idmp-maxsize", window.maxsize);
    number(reply, "pids-tracked", producers as u64);
    number(reply, "iids-tracked", messages as u64);
    number(reply, "iids-added", known.map_or(0, |known| known.added));
    number(reply, "iids-duplicates", known.map_or(0, |known| known.duplicates));
}

fn full_group(
    reply: &mut Reply,
    entries: &Entries,
    (name, group): (&[u8], &Group),
    shown: Option<u64>,
    now_ms: i64,
) {
    let shown = shown.map_or(usize::MAX, |shown| shown as usize);
    reply.map(8);
    label(reply, "name");
    reply.bulk(name);
    shown_id(reply, "last-delivered-id", group.last_id);
    progress(reply, entries, group);
    number(reply, "pel-count", group.pending_len() as u64);
    number(reply, "nacked-count", group.released_len() as u64);
    label(reply, "pending");
    reply.array(shown.min(group.pending_len()));
    for pending in group.pending_from(Id::ZERO).take(shown) {
        reply.array(4);
        reply_id(reply, pending.id);
        reply.bulk(group.consumer_name(pending.consumer));
        reply.integer(pending.time_ms);
        reply.integer(pending.count as i64);
    }
    label(reply, "consumers");
    reply.array(group.consumers_len());
    for consumer in group.consumers() {
        reply.map(5);
        label(reply, "name");
        reply.bulk(consumer.name());
        label(reply, "seen-time");
        reply.integer(match consumer.seen_ms {
            0 => now_ms - idle_ms(consumer, now_ms),
            seen_ms => seen_ms,
        });
        label(reply, "active-time");
        reply.integer(consumer.active_ms);
        number(reply, "pel-count", consumer.pending_len() as u64);
        label(reply, "pending");
        reply.array(shown.min(consumer.pending_len()));
        for id in consumer.pending_from(Id::ZERO).take(shown) {
            let known = group.pending(id);
            reply.array(3);
            reply_id(reply, id);
            reply.integer(known.map_or(0, |known| known.time_ms));
            reply.integer(known.map_or(0, |known| known.count as i64));
        }
    }
}

pub(super) fn groups(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (reply, stream) = find(ctx, args)?;
    reply.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        reply.map(6);
        label(reply, "name");
        reply.bulk(name);
        number(reply, "consumers", group.consumers_len() as u64);
        number(reply, "pending", group.pending_len() as u64);
        shown_id(reply, "last-delivered-id", group.last_id);
        progress(reply, &stream.entries, group);
    }
    Ok(Effect::Unchanged)
}

pub(super) fn consumers(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let now_ms = ctx.now().0;
    let (reply, stream) = find(ctx, args)?;
    let group = stream.groups.get(args.get(3)).ok_or_else(|| no_group(args.get(2), args.get(3)))?;
    reply.array(group.consumers_len());
    for consumer in group.consumers() {
        reply.map(4);
        label(reply, "name");
        reply.bulk(consumer.name());
        number(reply, "pending", consumer.pending_len() as u64);
        label(reply, "idle");
        reply.integer(idle_ms(consumer, now_ms));
        label(reply, "inactive");
        reply.integer(match consumer.active_ms {
            -1 => -1,
            active_ms => now_ms.wrapping_sub(active_ms).max(0),
        });
    }
    Ok(Effect::Unchanged)
}

/// How long a consumer has not been seen. A log does not tell when; then it counts as seen last when it was active, or
/// just now.
fn idle_ms(consumer: &Consumer, now_ms: i64) -> i64 {
    match consumer.seen_ms.max(consumer.active_ms) {
        seen_ms if 0 < seen_ms => now_ms.wrapping_sub(seen_ms).max(0),
        _ => 0,
    }
}

pub(super) fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.help(&[
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    The consumers of the group.",
        "GROUPS <key>",
        "    The groups of the stream.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    The stream itself; FULL shows entries, and what is pending, <count> of each.",
        "HELP",
        "    These lines.",
    ])
}
