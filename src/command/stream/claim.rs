//! Claiming: entries that were delivered to one consumer go to another.
//!
//! Records. Whatever a group notes of deliveries is logged as `XCLAIM … FORCE JUSTID` with date and number of
//! deliveries, as Redis does it; several entries with the same figures share a record. The last ID of the group stands
//! with them. What is no longer pending is logged as `XACK`.

use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome, repeated};
use crate::command::stream::delete::log_ids;
use crate::command::stream::parse::{
    in_replay, integer_or, no_key_or_group, reply_entry, reply_id, start_of, strict_id,
};
use crate::data::keyspace::Key;
use crate::data::stream::{Group, Id, Pending, Stream, one_more};
use crate::resp::request::Args;
use crate::state::log::{Log, push_bulk, push_header};

/// Entries of one record of deliveries.
const RECORDED_TOGETHER_MAX: usize = 64;

/// Collects what was delivered to one consumer, and writes the records.
pub(super) struct Deliveries<'a> {
    key: &'a [u8],
    group: &'a [u8],
    consumer: &'a [u8],
    ids: [Id; RECORDED_TOGETHER_MAX],
    len: usize,
    time_ms: i64,
    count: u64,
}

impl<'a> Deliveries<'a> {
    pub(super) fn new(key: &'a [u8], group: &'a [u8], consumer: &'a [u8]) -> Deliveries<'a> {
        Deliveries {
            key,
            group,
            consumer,
            ids: [Id::ZERO; RECORDED_TOGETHER_MAX],
            len: 0,
            time_ms: 0,
            count: 0,
        }
    }

    /// Adds a delivery; `last_id` is the group's.
    pub(super) fn add(&mut self, log: &mut Log, database: usize, last_id: Id, pending: &Pending) {
        let alike = (self.time_ms, self.count) == (pending.time_ms, pending.count);
        if self.len == RECORDED_TOGETHER_MAX || !alike {
            self.write(log, database, last_id);
        }
        (self.time_ms, self.count) = (pending.time_ms, pending.count);
        self.ids[self.len] = pending.id;
        self.len += 1;
    }

    /// Writes the record of what was added since the last one.
    pub(super) fn write(&mut self, log: &mut Log, database: usize, last_id: Id) {
        if self.len == 0 {
            return;
        }
        let ids = &self.ids[..std::mem::take(&mut self.len)];
        log.with(database, |out| {
            push_header(out, b'*', 13 + ids.len());
            for word in [&b"XCLAIM"[..], self.key, self.group, self.consumer, b"0"] {
                push_bulk(out, word);
            }
            ids.iter().for_each(|id| push_bulk(out, id.text(&mut [0; 41])));
            push_bulk(out, b"TIME");
            push_bulk(out, itoa::Buffer::new().format(self.time_ms).as_bytes());
            push_bulk(out, b"RETRYCOUNT");
            push_bulk(out, itoa::Buffer::new().format(self.count).as_bytes());
            for word in [&b"FORCE"[..], b"JUSTID", b"LASTID", last_id.text(&mut [0; 41])] {
                push_bulk(out, word);
            }
        });
    }
}

/// Writes the record of how far a group has read.
pub(super) fn log_group_id(log: &mut Log, database: usize, key: &[u8], name: &[u8], group: &Group) {
    let mut digits = itoa::Buffer::new();
    let read = match group.entries_read {
        None => b"-1",
        Some(read) => digits.format(read).as_bytes(),
    };
    let mut text = [0; 41];
    let words = [&b"XGROUP"[..], b"SETID", key, name, group.last_id.text(&mut text), b"ENTRIESREAD", read];
    log.record(database, &words);
}

/// Writes the record of a new consumer.
pub(super) fn log_consumer(log: &mut Log, database: usize, key: &[u8], group: &[u8], consumer: &[u8]) {
    log.record(database, &[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
}

/// The stream of this key and its group, for claiming.
fn find<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>, group: &[u8]) -> Result<&'c mut Stream, Error> {
    let entry = ctx.keys.write(key).ok_or_else(|| no_key_or_group(key.bytes, group))?;
    let stream = entry.stream_mut().ok_or(Error::WRONG_TYPE)?;
    match stream.groups.get(group) {
        Some(_) => Ok(stream),
        None => Err(no_key_or_group(key.bytes, group)),
    }
}

/// The options of `XCLAIM`.
struct Request {
    min_idle_ms: i64,
    /// Where the IDs end.
    ids_end: usize,
    time_ms: i64,
    count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: Id,
}

impl Request {
    fn parse(args: Args<'_>, now_ms: i64, in_replay: bool) -> Result<Request, Error> {
        let min_idle_ms = integer_or(args.get(4), "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
        let ids = (5..args.len()).take_while(|index| strict_id(args.get(*index), 0).is_ok());
        let ids_end = 5 + ids.count();
        let (mut time, mut count, mut force, mut just_id) = (None, None, false, false);
        let mut last_id = Id::ZERO;
        let mut options = Options::new(args, ids_end);
        while options.more() {
            if options.word("FORCE") {
                force = true;
            } else if options.word("JUSTID") {
                just_id = true;
            } else if options.word_with_value("IDLE") {
                let idle = integer_or(options.value()?, "ERR Invalid IDLE option argument for XCLAIM")?;
                time = Some(now_ms.wrapping_sub(idle));
            } else if options.word_with_value("TIME") {
                time = Some(integer_or(options.value()?, "ERR Invalid TIME option argument for XCLAIM")?);
            } else if options.word_with_value("RETRYCOUNT") {
                let text = options.value()?;
                let given = integer_or(text, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                // A negative number is as good as none.
                count = u64::try_from(given).ok();
            } else if options.word_with_value("LASTID") {
                last_id = strict_id(options.value()?, 0)?;
            } else {
                let option = repeated(options.value()?, usize::MAX);
                return Err(Error::text(format!("ERR Unrecognized XCLAIM option '{option}'")));
            }
        }
        // A date that cannot be is taken for now, since clients reckon it from their own clocks.
        let possible = |time: &i64| 0 <= *time && (in_replay || *time <= now_ms);
        let time_ms = time.filter(possible).unwrap_or(now_ms);
        Ok(Request { min_idle_ms, ids_end, time_ms, count, force, just_id, last_id })
    }
}

pub(super) fn xclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let (group_name, consumer_name) = (args.get(2), args.get(3));
    find(ctx, key, group_name)?;
    let request = Request::parse(args, ctx.now().0, in_replay(ctx))?;
    ctx.log_expired();
    // A log tells dates only by its deliveries.
    let now_ms = ctx.now().0.max(if in_replay(ctx) { request.time_ms } else { 0 });
    let (database, log) = (ctx.keys.selected(), &mut ctx.state.log);
    let Some(stream) = ctx.keys.write(key).and_then(|entry| entry.stream_mut()) else {
        return Err(Error::NO_SUCH_KEY);
    };
    let Stream { entries, groups, .. } = stream;
    let group = groups.get_mut(group_name).ok_or(Error::NO_SUCH_KEY)?;
    let moved = group.last_id < request.last_id;
    group.last_id = group.last_id.max(request.last_id);
    let (consumer, created) = group.ensure_consumer(consumer_name, now_ms);
    let event = if created { "xgroup-createconsumer" } else { "" };
    if created {
        log_consumer(log, database, key.bytes, group_name, consumer_name);
    }
    group.consumer_mut(consumer).seen_ms = now_ms;
    let mut deliveries = Deliveries::new(key.bytes, group_name, consumer_name);
    let (mark, mut claimed, mut noted) = (ctx.reply.later(), 0, false);
    for index in 5..request.ids_end {
        let id = strict_id(args.get(index), 0)?;
        let known = group.pending(id).copied();
        let Some(entry) = entries.get(id) else {
            if group.acknowledge(id) {
                log_ids(log, database, &[b"XACK", key.bytes, group_name], &[id]);
                noted = true;
            }
            continue;
        };
        let idle_enough = |known: &Pending| {
            request.min_idle_ms == 0 || request.min_idle_ms <= now_ms.wrapping_sub(known.time_ms)
        };
        let count = match known {
            None if !request.force => continue,
            // What is made pending by force counts as delivered once before.
            None => 1,
            Some(known) if !idle_enough(&known) => continue,
            Some(known) => known.count,
        };
        let count = request.count.unwrap_or(if request.just_id { count } else { one_more(count) });
        let pending = Pending { id, time_ms: request.time_ms, count, consumer };
        group.assign(pending);
        group.consumer_mut(consumer).active_ms = now_ms;
        deliveries.add(log, database, group.last_id, &pending);
        claimed += 1;
        match request.just_id {
            true => reply_id(ctx.reply, id),
            false => reply_entry(ctx.reply, &entry),
        }
    }
    deliveries.write(log, database, group.last_id);
    if moved && claimed == 0 {
        log_group_id(log, database, key.bytes, group_name, group);
    }
    ctx.reply.fill_array(mark, claimed);
    if !created && !moved && claimed == 0 && !noted {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Stream, event, key);
    Ok(Effect::Logged)
}

/// Entries that `XAUTOCLAIM` looks at, for each that it may claim.
const ATTEMPTS_PER_CLAIM: u64 = 10;

/// The options of `XAUTOCLAIM`.
struct AutoRequest {
    min_idle_ms: i64,
    start: Id,
    count: u64,
    just_id: bool,
}

impl AutoRequest {
    fn parse(args: Args<'_>) -> Result<AutoRequest, Error> {
        const COUNT: Error = Error::of("ERR COUNT must be > 0");
        let min_idle_ms =
            integer_or(args.get(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
        let start = start_of(args.get(5))?;
        let (mut count, mut just_id) = (100, false);
        let mut options = Options::new(args, 6);
        while options.more() {
            if options.word_with_value("COUNT") {
                let given = parse_i64(options.value()?).ok_or(COUNT)?;
                // So many IDs of sixteen bytes are as many as there can be.
                count = u64::try_from(given)
                    .ok()
                    .filter(|n| (1..=i64::MAX as u64 / 16).contains(n))
                    .ok_or(COUNT)?;
            } else if options.word("JUSTID") {
                just_id = true;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(AutoRequest { min_idle_ms, start, count, just_id })
    }
}

/// What an iteration over pending entries came to.
struct Swept {
    claimed: Vec<Id>,
    gone: Vec<Id>,
    /// Where the next one begins; `0-0` at the end.
    next: Id,
}

/// Finds what lay idle long enough, and what is pending but no longer there.
fn sweep(stream: &Stream, group: &Group, request: &AutoRequest, now_ms: i64) -> Swept {
    let mut swept = Swept { claimed: Vec::new(), gone: Vec::new(), next: Id::ZERO };
    let (mut left, mut attempts) = (request.count, request.count.saturating_mul(ATTEMPTS_PER_CLAIM));
    for pending in group.pending_from(request.start) {
        if attempts == 0 || left == 0 {
            swept.next = pending.id;
            break;
        }
        attempts -= 1;
        if !stream.entries.contains(pending.id) {
            swept.gone.push(pending.id);
            left -= 1;
        } else if request.min_idle_ms == 0 || request.min_idle_ms <= now_ms.wrapping_sub(pending.time_ms) {
            swept.claimed.push(pending.id);
            left -= 1;
        }
    }
    swept
}

pub(super) fn xautoclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let request = AutoRequest::parse(args)?;
    let key = ctx.key(args, 1);
    let (group_name, consumer_name) = (args.get(2), args.get(3));
    let now_ms = ctx.now().0;
    let stream = find(ctx, key, group_name)?;
    let group = stream.groups.get(group_name).ok_or(Error::NO_SUCH_KEY)?;
    let swept = sweep(stream, group, &request, now_ms);
    ctx.log_expired();
    let (database, log) = (ctx.keys.selected(), &mut ctx.state.log);
    let Some(stream) = ctx.keys.write(key).and_then(|entry| entry.stream_mut()) else {
        return Err(Error::NO_SUCH_KEY);
    };
    let Stream { entries, groups, .. } = stream;
    let group = groups.get_mut(group_name).ok_or(Error::NO_SUCH_KEY)?;
    let (consumer, created) = group.ensure_consumer(consumer_name, now_ms);
    if created {
        log_consumer(log, database, key.bytes, group_name, consumer_name);
    }
    group.consumer_mut(consumer).seen_ms = now_ms;
    log_ids(log, database, &[b"XACK", key.bytes, group_name], &swept.gone);
    swept.gone.iter().for_each(|id| {
        group.acknowledge(*id);
    });
    ctx.reply.array(3);
    reply_id(ctx.reply, swept.next);
    ctx.reply.array(swept.claimed.len());
    let mut deliveries = Deliveries::new(key.bytes, group_name, consumer_name);
    for id in &swept.claimed {
        let (Some(known), Some(entry)) = (group.pending(*id).copied(), entries.get(*id)) else { continue };
        let count = if request.just_id { known.count } else { one_more(known.count) };
        let pending = Pending { id: *id, time_ms: now_ms, count, consumer };
        group.assign(pending);
        group.consumer_mut(consumer).active_ms = now_ms;
        deliveries.add(log, database, group.last_id, &pending);
        match request.just_id {
            true => reply_id(ctx.reply, *id),
            false => reply_entry(ctx.reply, &entry),
        }
    }
    deliveries.write(log, database, group.last_id);
    ctx.reply.array(swept.gone.len());
    swept.gone.iter().for_each(|id| reply_id(ctx.reply, *id));
    if !created && swept.claimed.is_empty() && swept.gone.is_empty() {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Stream, if created { "xgroup-createconsumer" } else { "" }, key);
    Ok(Effect::Logged)
}
