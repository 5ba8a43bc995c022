//! `XGROUP`, `XACK` and `XPENDING`.

use crate::command::options::Options;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::command::stream::claim::log_consumer;
use crate::command::stream::parse::{
    all_ids, bad_subcommand, end_of, id, no_group, no_key_or_group, read_stream, reply_id, start_of,
    strict_id, write_stream,
};
use crate::data::entry::Value;
use crate::data::keyspace::{Deadline, Key};
use crate::data::stream::{Group, Id, NOBODY, Pending, Stream};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

const NO_KEY: Error = Error::of(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
     option to create an empty stream automatically.",
);

/// The options behind the ID of `CREATE` and `SETID`.
struct GroupOptions {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl GroupOptions {
    fn parse(args: Args<'_>, creating: bool) -> Result<GroupOptions, Error> {
        let mut found = GroupOptions { make_stream: false, entries_read: None };
        let mut options = Options::new(args, 5);
        while options.more() {
            if creating && options.word("MKSTREAM") {
                found.make_stream = true;
            } else if options.word_with_value("ENTRIESREAD") {
                found.entries_read = match options.integer()? {
                    -1 => None,
                    read => Some(
                        u64::try_from(read)
                            .map_err(|_| Error::of("ERR value for ENTRIESREAD must be positive or -1"))?,
                    ),
                };
            } else {
                return Err(bad_subcommand(args, "XGROUP"));
            }
        }
        Ok(found)
    }
}

/// The group of a request that must exist, as its stream must.
fn group_of<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>, name: &[u8]) -> Result<&'c mut Group, Error> {
    let stream = write_stream(ctx, key)?.ok_or(NO_KEY)?;
    stream.groups.get_mut(name).ok_or_else(|| no_group(key.bytes, name))
}

pub(super) fn create(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = GroupOptions::parse(args, true)?;
    let (key, name) = (ctx.key(args, 2), args.get(3));
    let last_id = |stream: Option<&Stream>| match args.get(4) {
        b"$" => Ok(stream.map_or(Id::ZERO, |stream| stream.entries.last_id())),
        text => strict_id(text, 0),
    };
    // Eight words are those of all options given once; with more of them it is another subcommand to Redis.
    let too_many = || if 8 < args.len() { Err(bad_subcommand(args, "XGROUP")) } else { Ok(()) };
    match write_stream(ctx, key)? {
        Some(stream) => {
            too_many()?;
            let last_id = last_id(Some(stream))?;
            if stream.groups.create(name, last_id, options.entries_read).is_none() {
                return Err(Error::of("BUSYGROUP Consumer Group name already exists"));
            }
        }
        None if options.make_stream => {
            too_many()?;
            let mut stream = Box::new(Stream::new());
            stream.groups.create(name, last_id(None)?, options.entries_read);
            ctx.keys.set(key, Value::Stream(stream), Deadline::Clear);
        }
        None => return Err(NO_KEY),
    }
    ctx.changed(Class::Stream, "xgroup-create", key);
    ctx.reply.ok();
    Ok(Effect::Changed)
}

pub(super) fn set_id(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = GroupOptions::parse(args, false)?;
    let (key, name) = (ctx.key(args, 2), args.get(3));
    group_of(ctx, key, name)?;
    if 7 < args.len() {
        return Err(bad_subcommand(args, "XGROUP"));
    }
    let stream = write_stream(ctx, key)?.ok_or(NO_KEY)?;
    let last_id = match args.get(4) {
        b"$" => stream.entries.last_id(),
        text => id(text, 0)?,
    };
    if let Some(group) = stream.groups.get_mut(name) {
        (group.last_id, group.entries_read) = (last_id, options.entries_read);
    }
    ctx.changed(Class::Stream, "xgroup-setid", key);
    ctx.reply.ok();
    Ok(Effect::Changed)
}

pub(super) fn destroy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 2);
    let stream = write_stream(ctx, key)?.ok_or(NO_KEY)?;
    let removed = stream.groups.remove(args.get(3));
    ctx.reply.integer(i64::from(removed));
    if !removed {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Stream, "xgroup-destroy", key);
    Ok(Effect::Changed)
}

pub(super) fn create_consumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now_ms) = (ctx.key(args, 2), ctx.now().0);
    let (name, consumer) = (args.get(3), args.get(4));
    let (_, created) = group_of(ctx, key, name)?.ensure_consumer(consumer, now_ms);
    ctx.reply.integer(i64::from(created));
    if !created {
        return Ok(Effect::Unchanged);
    }
    let database = ctx.keys.selected();
    ctx.log_expired();
    log_consumer(&mut ctx.state.log, database, key.bytes, name, consumer);
    ctx.changed(Class::Stream, "xgroup-createconsumer", key);
    Ok(Effect::Logged)
}

pub(super) fn delete_consumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 2);
    let removed = group_of(ctx, key, args.get(3))?.remove_consumer(args.get(4));
    ctx.reply.integer(removed.unwrap_or(0) as i64);
    if removed.is_none() {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Stream, "xgroup-delconsumer", key);
    Ok(Effect::Changed)
}

pub(super) fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.help(&[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Make a group that has read up to <id>, or all there is. Options are:",
        "    * MKSTREAM",
        "      Make the stream, too, if there is none.",
        "    * ENTRIESREAD entries_read",
        "      How many entries it counts as read, for its lag.",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Make a consumer of the group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove a consumer with what is pending for it.",
        "DESTROY <key> <groupname>",
        "    Remove the group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set how far the group has read.",
        "HELP",
        "    These lines.",
    ])
}

pub(super) fn xack(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let group = write_stream(ctx, key)?.and_then(|stream| stream.groups.get_mut(args.get(2)));
    let Some(group) = group else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    all_ids(args, 3)?;
    let mut acknowledged = 0;
    for index in 3..args.len() {
        acknowledged += i64::from(group.acknowledge(strict_id(args.get(index), 0)?));
    }
    ctx.reply.integer(acknowledged);
    if acknowledged == 0 {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Stream, "", key);
    Ok(Effect::Changed)
}

/// The range of `XPENDING`.
struct PendingRange<'a> {
    min_idle_ms: i64,
    start: Id,
    end: Id,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> PendingRange<'a> {
    /// `None` if a summary is asked for.
    fn parse(args: Args<'a>) -> Result<Option<PendingRange<'a>>, Error> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(Error::SYNTAX);
        }
        let mut options = Options::new(args, 3);
        let mut min_idle_ms = 0;
        if options.word("IDLE") {
            min_idle_ms = options.integer()?;
            if args.len() < 8 {
                return Err(Error::SYNTAX);
            }
        }
        let first = options.position();
        let count = Options::new(args, first + 2).integer()?;
        let (start, end) = (start_of(args.get(first))?, end_of(args.get(first + 1))?);
        let consumer = (first + 3 < args.len()).then(|| args.get(first + 3));
        Ok(Some(PendingRange { min_idle_ms, start, end, count: count.max(0) as usize, consumer }))
    }
}

pub(super) fn xpending(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let range = PendingRange::parse(args)?;
    let (key, name, now_ms) = (ctx.key(args, 1), args.get(2), ctx.now().0);
    read_stream(ctx, key)?;
    let stream = ctx.keys.stored(key).and_then(|entry| entry.stream());
    let group = stream.and_then(|stream| stream.groups.get(name));
    let group = group.ok_or_else(|| no_key_or_group(key.bytes, name))?;
    match range {
        None => summary(ctx.reply, group),
        Some(range) => range.reply(ctx.reply, group, now_ms),
    }
    Ok(Effect::Unchanged)
}

/// Replies how many entries are pending, the first and the last of them, and for whom.
fn summary(reply: &mut Reply, group: &Group) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let (Some(first), Some(last)) = (group.pending_from(Id::ZERO).next(), group.pending_last()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(reply, first.id);
    reply_id(reply, last.id);
    let busy = || group.consumers().filter(|consumer| consumer.pending_len() != 0);
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
    }
}

impl PendingRange<'_> {
    /// Replies the entries of the range.
    fn reply(&self, reply: &mut Reply, group: &Group, now_ms: i64) {
        let (mark, mut replied) = (reply.later(), 0);
        let mut show = |pending: &Pending| {
            replied += 1;
            reply.array(4);
            reply_id(reply, pending.id);
            reply.bulk(group.consumer_name(pending.consumer));
            reply.integer(match pending.consumer {
                NOBODY => -1,
                _ => now_ms.wrapping_sub(pending.time_ms).max(0),
            });
            reply.integer(pending.count as i64);
        };
        let idle_enough = |pending: &&Pending| {
            self.min_idle_ms == 0 || self.min_idle_ms <= now_ms.wrapping_sub(pending.time_ms)
        };
        match self.consumer.map(|name| group.find_consumer(name)) {
            None => {
                let all = group.pending_from(self.start).take_while(|pending| pending.id <= self.end);
                all.filter(idle_enough).take(self.count).for_each(&mut show);
            }
            Some(None) => {}
            Some(Some(consumer)) => {
                let ids = group.consumer(consumer).pending_from(self.start);
                let own = ids.take_while(|id| *id <= self.end).filter_map(|id| group.pending(id));
                own.filter(idle_enough).take(self.count).for_each(&mut show);
            }
        }
        reply.fill_array(mark, replied);
    }
}
