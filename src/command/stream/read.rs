//! `XREAD` and `XREADGROUP`.
//!
//! Both look at all streams twice: first whether everything is as it should be, so that an error leaves no trace, then
//! to reply. With `BLOCK` a request that finds nothing waits, and is run again when there may be something; what `$`
//! means is settled before.

use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome, Timeout};
use crate::command::stream::budget::{Budget, Limits, OPEN_BETWEEN_STREAMS};
use crate::command::stream::claim::{Deliveries, log_consumer, log_group_id};
use crate::command::stream::parse::{
    no_group_to_read, read_stream, reply_delivery, reply_entry, reply_id, strict_id,
};
use crate::data::entry::Kind;
use crate::data::keyspace::Key;
use crate::data::stream::{Entries, Group, Id, Pending, Stream, one_more};
use crate::resp::reply::Reply;
use crate::resp::request::{Args, Request as Waiting};

/// What was asked for.
struct Request<'a> {
    args: Args<'a>,
    limits: Limits,
    /// How long to wait, if at all.
    block: Option<Timeout>,
    no_ack: bool,
    /// What has been pending for so long is claimed before anything new is read.
    claim_ms: Option<i64>,
    /// The group and the consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    /// Where the first key stands.
    keys_at: usize,
    streams: usize,
}

/// From where on a stream is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// What follows this ID; for a consumer of a group, of what is pending for it.
    Id(Id),
    /// What the group has not got yet.
    New,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, now_ms: i64, in_group: bool) -> Result<Request<'a>, Error> {
        let mut found = Request {
            args,
            limits: Limits::default(),
            block: None,
            no_ack: false,
            claim_ms: None,
            group: None,
            keys_at: 0,
            streams: 0,
        };
        let mut options = Options::new(args, 1);
        while options.more() && found.keys_at == 0 {
            if options.word_with_value("BLOCK") {
                found.block = Some(timeout(options.value()?, now_ms)?);
            } else if found.limits.take(&mut options)? {
                continue;
            } else if options.word_with_value("STREAMS") {
                if !options.left().is_multiple_of(2) {
                    return Err(unbalanced(in_group));
                }
                (found.keys_at, found.streams) = (options.position(), options.left() / 2);
            } else if 2 < options.left() && options.word("GROUP") {
                only_in_group(in_group, "GROUP")?;
                found.group = Some((options.value()?, options.value()?));
            } else if options.word("NOACK") {
                only_in_group(in_group, "NOACK")?;
                found.no_ack = true;
            } else if options.word_with_value("CLAIM") {
                only_in_group(in_group, "CLAIM")?;
                found.claim_ms = Some(min_idle(options.value()?)?);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if found.keys_at == 0 {
            return Err(Error::SYNTAX);
        }
        if in_group && found.group.is_none() {
            return Err(Error::of("ERR Missing GROUP option for XREADGROUP"));
        }
        found.limits.check()?;
        Ok(found)
    }

    fn key(&self, ctx: &Ctx<'_>, index: usize) -> Key<'a> {
        ctx.key(self.args, self.keys_at + index)
    }

    /// From where on the stream at `index` is read.
    fn after(&self, index: usize, stream: Option<&Stream>) -> Result<After, Error> {
        let text = self.args.get(self.keys_at + self.streams + index);
        let in_group = self.group.is_some();
        Ok(match text {
            b"$" | b"+" if in_group => return Err(meaningless(text[0] as char)),
            b"$" => After::Id(stream.map_or(Id::ZERO, |stream| stream.entries.last_id())),
            // Behind the last but one, whatever that may be.
            b"+" => {
                let last = stream.map_or(Id::ZERO, |stream| stream.entries.last_present());
                After::Id(last.prev().unwrap_or(Id::ZERO))
            }
            b">" if in_group => After::New,
            b">" => {
                return Err(Error::of(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
                     <consumer> option.",
                ));
            }
            text => match strict_id(text, 0)? {
                Id::MAX if in_group => After::New,
                id => After::Id(id),
            },
        })
    }

    /// Looks whether all is well with all streams. Returns whether there is anything to reply.
    fn check(&self, ctx: &mut Ctx<'_>) -> Result<bool, Error> {
        let mut ready = false;
        for index in 0..self.streams {
            let key = self.key(ctx, index);
            let stream = read_stream(ctx, key)?;
            let after = match self.group {
                None => self.after(index, stream)?,
                Some((name, _)) => {
                    let missing = || no_group_to_read(key.bytes, name);
                    let group = stream.and_then(|stream| stream.groups.get(name)).ok_or_else(missing)?;
                    match self.after(index, stream)? {
                        After::New => After::Id(group.last_id),
                        After::Id(_) => {
                            ready = true;
                            continue;
                        }
                    }
                }
            };
            let After::Id(after) = after else { continue };
            ready |= stream.is_some_and(|stream| has_after(stream, after));
        }
        Ok(ready)
    }
}

impl Request<'_> {
    /// There is nothing: the client waits, or hears so at once.
    fn wait(&self, ctx: &mut Ctx<'_>) -> Outcome {
        let Some(timeout) = self.block else {
            ctx.reply.null_array();
            return Ok(Effect::Unchanged);
        };
        let mut words: Vec<Vec<u8>> = self.args.iter().map(<[u8]>::to_vec).collect();
        if self.group.is_none() {
            // What follows the last entry of now, whatever comes meanwhile.
            for index in 0..self.streams {
                let key = self.key(ctx, index);
                let stream = ctx.keys.stored(key).and_then(|entry| entry.stream());
                if let After::Id(id) = self.after(index, stream)? {
                    words[self.keys_at + self.streams + index] = id.text(&mut [0; 41]).to_vec();
                }
            }
        }
        let request = Waiting::new(words.iter().map(|word| &word[..]));
        let keys = (0..self.streams).map(|index| self.args.get(self.keys_at + index));
        let outcome = ctx.block(request, keys, Kind::Stream, timeout);
        let idle_in_ms = self.idle_in(ctx);
        let mono_ms = ctx.state.process.mono_ms;
        if let (Some(block), Some(_)) = (&mut ctx.state.block, self.group) {
            // Without the key there is no group to read for.
            block.even_without = true;
            block.again_ms = idle_in_ms.map_or(u64::MAX, |ms| mono_ms.saturating_add(ms).saturating_add(1));
        }
        outcome
    }

    /// What has been pending for long enough to be claimed and is still there, the longest idle first.
    fn longest_idle(&self, stream: &Stream, group: &[u8], now_ms: i64) -> Vec<Pending> {
        let (Some(claim_ms), Some(group)) = (self.claim_ms, stream.groups.get(group)) else {
            return Vec::new();
        };
        let since_ms = now_ms.saturating_sub(claim_ms);
        let idle = group.pending_from(Id::ZERO).filter(|pending| pending.time_ms <= since_ms);
        let mut idle: Vec<Pending> = idle.copied().collect();
        idle.sort_by_key(|pending| pending.time_ms);
        let present = idle.into_iter().filter(|pending| stream.entries.contains(pending.id));
        present.take(self.limits.count.map_or(usize::MAX, |count| count as usize)).collect()
    }

    /// In how many milliseconds something that is pending will have been so for long enough to be claimed.
    fn idle_in(&self, ctx: &mut Ctx<'_>) -> Option<u64> {
        let ((name, _), claim_ms) = (self.group?, self.claim_ms?);
        let now_ms = ctx.now().0;
        let of = |index: usize| {
            let stream = ctx.keys.stored(self.key(ctx, index))?.stream()?;
            let pending = stream.groups.get(name)?.pending_from(Id::ZERO);
            let present = pending.filter(|pending| stream.entries.contains(pending.id));
            let since_ms = present.map(|pending| pending.time_ms).min()?;
            u64::try_from(since_ms.saturating_add(claim_ms).saturating_sub(now_ms)).ok()
        };
        (0..self.streams).filter_map(of).min()
    }
}

fn only_in_group(in_group: bool, option: &str) -> Result<(), Error> {
    if in_group {
        return Ok(());
    }
    Err(Error::text(format!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    )))
}

fn min_idle(text: &[u8]) -> Result<i64, Error> {
    match parse_i64(text) {
        None => Err(Error::of("ERR min-idle-time is not an integer")),
        Some(..0) => Err(Error::of("ERR min-idle-time must be a positive integer")),
        Some(min_idle_ms) => Ok(min_idle_ms),
    }
}

fn unbalanced(in_group: bool) -> Error {
    Error::of(if in_group {
        "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
    } else {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
    })
}

fn meaningless(sign: char) -> Error {
    Error::text(format!(
        "ERR The {sign} ID is meaningless in the context of XREADGROUP: you want to read the history of this \
         consumer by specifying a proper ID, or use the > ID to get new messages. The {sign} ID would just return \
         an empty result set."
    ))
}

fn timeout(text: &[u8], now_ms: i64) -> Result<Timeout, Error> {
    let timeout = Timeout::millis(text)?;
    match parse_i64(text).and_then(|millis| millis.checked_add(now_ms)) {
        Some(_) => Ok(timeout),
        None => Err(Error::of("ERR timeout is out of range")),
    }
}

/// Whether there is an entry behind this ID.
fn has_after(stream: &Stream, id: Id) -> bool {
    id < stream.entries.last_id()
        && id.next().is_some_and(|start| stream.entries.range(start, Id::MAX).next().is_some())
}

/// Begins what is replied of a stream.
fn begin(reply: &mut Reply, key: Key<'_>) {
    if !reply.resp3() {
        reply.array(2);
    }
    reply.bulk(key.bytes);
}

pub(super) fn xread(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let request = Request::parse(args, ctx.now().0, false)?;
    if !request.check(ctx)? {
        return request.wait(ctx);
    }
    let mut budget = Budget::new(&request.limits, ctx.reply);
    let (mark, mut replied) = (ctx.reply.later(), 0);
    for index in 0..request.streams {
        if !budget.has_room(ctx.reply, OPEN_BETWEEN_STREAMS) {
            break;
        }
        let key = request.key(ctx, index);
        let Some(stream) = ctx.keys.stored(key).and_then(|entry| entry.stream()) else { continue };
        let After::Id(after) = request.after(index, Some(stream))? else { continue };
        if !has_after(stream, after) {
            continue;
        }
        replied += 1;
        begin(ctx.reply, key);
        let start = after.next().unwrap_or(Id::MAX);
        let (mark, mut entries) = (ctx.reply.later(), 0);
        for entry in stream.entries.range(start, Id::MAX) {
            if !budget.take_behind(entries, ctx.reply) {
                break;
            }
            reply_entry(ctx.reply, &entry);
            entries += 1;
        }
        ctx.reply.fill_array(mark, entries);
    }
    finish(ctx, mark, replied);
    Ok(Effect::Unchanged)
}

fn finish(ctx: &mut Ctx<'_>, mark: crate::resp::reply::Mark, replied: usize) {
    match ctx.reply.resp3() {
        true => ctx.reply.fill_map(mark, replied),
        false => ctx.reply.fill_array(mark, replied),
    }
}

pub(super) fn xreadgroup(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let request = Request::parse(args, ctx.now().0, true)?;
    request.check(ctx)?;
    ctx.log_expired();
    let mark = ctx.reply.mark();
    let mut budget = Budget::new(&request.limits, ctx.reply);
    let later = ctx.reply.later();
    let (mut replied, mut changed) = (0, false);
    for index in 0..request.streams {
        if !budget.has_room(ctx.reply, OPEN_BETWEEN_STREAMS) {
            break;
        }
        let key = request.key(ctx, index);
        let read = read_as_consumer(ctx, &request, &mut budget, index)?;
        replied += usize::from(read.replied);
        if let Some(event) = read.event {
            changed = true;
            ctx.changed(Class::Stream, event, key);
        }
    }
    if replied == 0 {
        ctx.reply.rollback(mark);
        request.wait(ctx)?;
    } else {
        finish(ctx, later, replied);
    }
    Ok(if changed { Effect::Logged } else { Effect::Unchanged })
}

/// What became of one stream.
#[derive(Default)]
struct Read {
    replied: bool,
    /// What happened, if something did.
    event: Option<&'static str>,
}

fn read_as_consumer(
    ctx: &mut Ctx<'_>,
    request: &Request<'_>,
    budget: &mut Budget,
    index: usize,
) -> Result<Read, Error> {
    let key = request.key(ctx, index);
    let (now_ms, database) = (ctx.now().0, ctx.keys.selected());
    let log = &mut ctx.state.log;
    let (Some((group_name, consumer_name)), Some(stream)) =
        (request.group, ctx.keys.write(key).and_then(|entry| entry.stream_mut()))
    else {
        return Ok(Read::default());
    };
    let after = request.after(index, Some(stream))?;
    let Some(group) = stream.groups.get_mut(group_name) else { return Ok(Read::default()) };
    let (consumer, created) = group.ensure_consumer(consumer_name, now_ms);
    let mut read = Read { replied: false, event: created.then_some("xgroup-createconsumer") };
    if created {
        log_consumer(log, database, key.bytes, group_name, consumer_name);
    }
    group.consumer_mut(consumer).seen_ms = now_ms;
    let mut deliveries = Deliveries::new(key.bytes, group_name, consumer_name);
    if let After::Id(after) = after {
        begin(ctx.reply, key);
        read.replied = true;
        let again = history(ctx.reply, stream, group_name, (consumer, after), budget, now_ms);
        let last_id = stream.groups.get(group_name).map_or(Id::ZERO, |group| group.last_id);
        again.iter().for_each(|pending| deliveries.add(log, database, last_id, pending));
        deliveries.write(log, database, last_id);
        if !again.is_empty() {
            read.event = read.event.or(Some(""));
        }
        return Ok(read);
    }
    let last_id = group.last_id;
    let idle = request.longest_idle(stream, group_name, now_ms);
    if !has_after(stream, last_id) && idle.is_empty() {
        return Ok(read);
    }
    begin(ctx.reply, key);
    read.replied = true;
    let Stream { entries, groups, .. } = stream;
    let Some(group) = groups.get_mut(group_name) else { return Ok(read) };
    let mark = ctx.reply.later();
    let claimed = claim(ctx.reply, entries, group, idle, budget, (consumer, now_ms));
    claimed.iter().for_each(|pending| deliveries.add(log, database, last_id, pending));
    let delivered = deliver(
        ctx.reply,
        (entries, group),
        request,
        (budget, claimed.len()),
        |pending| {
            deliveries.add(log, database, pending.id, &pending);
        },
        (consumer, now_ms),
    );
    ctx.reply.fill_array(mark, delivered);
    // Who is given entries without having to confirm them is seen, but not active.
    if !request.no_ack || !claimed.is_empty() {
        group.consumer_mut(consumer).active_ms = now_ms;
    }
    deliveries.write(log, database, group.last_id);
    if group.last_id != last_id {
        log_group_id(log, database, key.bytes, group_name, group);
    }
    read.event = read.event.or(Some(""));
    Ok(read)
}

/// Replies what the group has not got yet, behind `delivered` entries of the same stream, and makes it pending for this
/// consumer. Returns how many entries there are of the stream now; `note` hears of each that is pending.
fn deliver(
    reply: &mut Reply,
    (entries, group): (&Entries, &mut Group),
    request: &Request<'_>,
    (budget, mut delivered): (&mut Budget, usize),
    mut note: impl FnMut(Pending),
    (consumer, now_ms): (u32, i64),
) -> usize {
    let start = group.last_id.next().unwrap_or(Id::MAX);
    for entry in entries.range(start, Id::MAX) {
        if !budget.take_behind(delivered, reply) {
            break;
        }
        group.entries_read = entries.count_read(group, entry.id);
        group.last_id = entry.id;
        match request.claim_ms {
            None => reply_entry(reply, &entry),
            Some(_) => reply_delivery(reply, &entry, 0, 0),
        }
        delivered += 1;
        if !request.no_ack {
            let pending = Pending { id: entry.id, time_ms: now_ms, count: 1, consumer };
            group.assign(pending);
            note(pending);
        }
    }
    delivered
}

/// Replies what lay idle, and makes it this consumer's. Returns what is known of it now.
fn claim(
    reply: &mut Reply,
    entries: &Entries,
    group: &mut Group,
    idle: Vec<Pending>,
    budget: &mut Budget,
    (consumer, now_ms): (u32, i64),
) -> Vec<Pending> {
    let mut claimed = Vec::with_capacity(idle.len());
    for known in idle {
        let Some(entry) = entries.get(known.id) else { continue };
        if !budget.take_behind(claimed.len(), reply) {
            break;
        }
        reply_delivery(reply, &entry, now_ms.saturating_sub(known.time_ms).max(0), known.count);
        let pending = Pending { time_ms: now_ms, count: one_more(known.count), consumer, ..known };
        group.assign(pending);
        claimed.push(pending);
    }
    claimed
}

/// Replies what is pending for a consumer behind an ID, and counts those entries that are still there as delivered once
/// more. Returns these.
fn history(
    reply: &mut Reply,
    stream: &mut Stream,
    group: &[u8],
    (consumer, after): (u32, Id),
    budget: &mut Budget,
    now_ms: i64,
) -> Vec<Pending> {
    let Stream { entries, groups, .. } = stream;
    let (mut again, mut replied) = (Vec::new(), 0);
    let Some(group) = groups.get_mut(group) else { return again };
    let mark = reply.later();
    let start = after.next().unwrap_or(Id::MAX);
    let ids = group.consumer(consumer).pending_from(start);
    for id in ids {
        if !budget.take_behind(replied, reply) {
            break;
        }
        replied += 1;
        match (entries.get(id), group.pending(id)) {
            (Some(entry), Some(known)) => {
                reply_entry(reply, &entry);
                let count = one_more(known.count);
                again.push(Pending { time_ms: now_ms, count, ..*known });
            }
            _ => {
                reply.array(2);
                reply_id(reply, id);
                reply.null_array();
            }
        }
    }
    reply.fill_array(mark, replied);
    again.iter().for_each(|pending| group.assign(*pending));
    again
}
