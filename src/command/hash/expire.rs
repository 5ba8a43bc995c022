//! Deadlines of fields. The log hears of dates only: `HPEXPIREAT` in milliseconds, or `HDEL` where the date has come.

use super::{settle, to_read, to_write};
use crate::base::date::UnixMs;
use crate::base::number::parse_i64;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::command::string::DeadlineUnit;
use crate::data::hash::DEADLINE_MAX;
use crate::data::keyspace::Key;
use crate::resp::request::Args;

/// Replies where there is no such field, and no deadline.
const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;

const FIELDS_MISSING: Error =
    Error::of("ERR Mandatory argument FIELDS is missing or not at the right position");
const FIELDS_MISMATCH: Error = Error::of("ERR The `numfields` parameter must match the number of arguments");
/// What most commands say of a bad number of fields.
pub(super) const NOT_A_COUNT: Error = Error::of("ERR Number of fields must be a positive integer");

/// The fields of `FIELDS numfields field…`, where the word stands at `index` and nothing follows; `not_a_count` is the
/// error for a bad number.
pub(super) fn fields<'a>(args: Args<'a>, index: usize, not_a_count: Error) -> Result<Args<'a>, Error> {
    if !args.get(index).eq_ignore_ascii_case(b"FIELDS") {
        return Err(FIELDS_MISSING);
    }
    let count = parse_i64(args.get(index + 1)).filter(|count| 0 < *count).ok_or(not_a_count)?;
    if count as u64 != (args.len() - index - 2) as u64 {
        return Err(FIELDS_MISMATCH);
    }
    Ok(args.from(index + 2))
}

/// The date that an argument stands for; `name` is the command's.
pub(super) fn date(now: UnixMs, argument: &[u8], unit: DeadlineUnit, name: &str) -> Result<UnixMs, Error> {
    let number = parse_i64(argument).ok_or(Error::NOT_INTEGER)?;
    if number < 0 {
        return Err(Error::of("ERR invalid expire time, must be >= 0"));
    }
    let start = if unit.relative { now.0 } else { 0 };
    let date = number.checked_mul(unit.ms).and_then(|ms| ms.checked_add(start)).map(UnixMs);
    date.filter(|date| *date <= DEADLINE_MAX)
        .ok_or_else(|| Error::text(format!("ERR invalid expire time in '{name}' command")))
}

/// Writes `HPEXPIREAT key ms FIELDS n field…`.
pub(super) fn log_deadline(ctx: &mut Ctx<'_>, key: Key<'_>, at: UnixMs, fields: &[&[u8]]) {
    let mut buffer = itoa::Buffer::new();
    log_fields(ctx, &[b"HPEXPIREAT", key.bytes, buffer.format(at.0).as_bytes()], fields);
}

/// Writes a record that ends in `FIELDS n field…`.
fn log_fields(ctx: &mut Ctx<'_>, head: &[&[u8]], fields: &[&[u8]]) {
    let mut buffer = itoa::Buffer::new();
    let count: [&[u8]; 2] = [b"FIELDS", buffer.format(fields.len()).as_bytes()];
    let words: Vec<&[u8]> = head.iter().chain(&count).chain(fields).copied().collect();
    ctx.log(&words);
}

/// Writes `HDEL key field…`.
pub(super) fn log_removed(ctx: &mut Ctx<'_>, key: Key<'_>, fields: &[&[u8]]) {
    let head: [&[u8]; 2] = [b"HDEL", key.bytes];
    let words: Vec<&[u8]> = head.iter().chain(fields).copied().collect();
    ctx.log(&words);
}

/// Under which condition a deadline is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    Absent,
    Present,
    Later,
    Earlier,
}

impl Condition {
    const WORDS: [(&str, Condition); 4] = [
        ("NX", Condition::Absent),
        ("XX", Condition::Present),
        ("GT", Condition::Later),
        ("LT", Condition::Earlier),
    ];

    fn of(word: &[u8]) -> Condition {
        let found = Condition::WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map_or(Condition::Always, |(_, condition)| *condition)
    }

    /// Whether it lets `new` take the place of `old`; a field without a deadline expires later than any other.
    fn holds(self, old: Option<UnixMs>, new: UnixMs) -> bool {
        match self {
            Condition::Always => true,
            Condition::Absent => old.is_none(),
            Condition::Present => old.is_some(),
            Condition::Later => old.is_some_and(|old| old < new),
            Condition::Earlier => old.is_none_or(|old| new < old),
        }
    }
}

fn set_deadlines(ctx: &mut Ctx<'_>, args: Args<'_>, unit: DeadlineUnit, name: &str) -> Outcome {
    const BAD_COUNT: Error = Error::of("ERR Parameter `numFields` should be greater than 0");
    let (key, now) = (ctx.key(args, 1), ctx.now());
    to_write(ctx.keys, key)?;
    let at = date(now, args.get(2), unit, name)?;
    let condition = Condition::of(args.get(3));
    let named = fields(args, if condition == Condition::Always { 3 } else { 4 }, BAD_COUNT)?;
    ctx.keys.expire_named(key, named.iter());
    ctx.reply.array(named.len());
    let Some(hash) = to_write(ctx.keys, key)? else {
        named.iter().for_each(|_| ctx.reply.integer(NO_FIELD));
        return Ok(Effect::Unchanged);
    };
    let mut changed = Vec::new();
    for field in named.iter() {
        let reply = match hash.deadline(field) {
            None => NO_FIELD,
            Some(old) if !condition.holds(old, at) => 0,
            Some(_) => {
                changed.push(field);
                if at <= now {
                    hash.remove(field);
                    2
                } else {
                    hash.set_deadline(field, Some(at), now);
                    1
                }
            }
        };
        ctx.reply.integer(reply);
    }
    let is_empty = hash.is_empty();
    if changed.is_empty() {
        return Ok(Effect::Unchanged);
    }
    if at <= now {
        log_removed(ctx, key, &changed);
        settle(ctx, key, is_empty);
    } else {
        ctx.keys.field_deadlines_changed(key);
        log_deadline(ctx, key, at, &changed);
        ctx.changed(Class::Hash, "hexpire", key);
    }
    Ok(Effect::Logged)
}

pub(super) fn hexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_deadlines(ctx, args, DeadlineUnit { ms: 1000, relative: true }, "hexpire")
}

pub(super) fn hpexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_deadlines(ctx, args, DeadlineUnit { ms: 1, relative: true }, "hpexpire")
}

pub(super) fn hexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_deadlines(ctx, args, DeadlineUnit { ms: 1000, relative: false }, "hexpireat")
}

pub(super) fn hpexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_deadlines(ctx, args, DeadlineUnit { ms: 1, relative: false }, "hpexpireat")
}

/// `HPERSIST key FIELDS n field…`, and what `HGETEX … PERSIST` does: `each` hears what became of each field.
///
/// Redis takes no deadline off that has come, even while it loads a log, in which the deadline was still to come. So
/// the log first hears of a deadline that will not come.
pub(super) fn persist(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    named: Args<'_>,
    mut each: impl FnMut(&mut Ctx<'_>, i64),
) -> Outcome {
    let now = ctx.now();
    let mut changed = Vec::new();
    for field in named.iter() {
        let found = match to_write(ctx.keys, key)? {
            None => NO_FIELD,
            Some(hash) => match hash.deadline(field) {
                None => NO_FIELD,
                Some(None) => NO_DEADLINE,
                Some(Some(_)) => {
                    hash.set_deadline(field, None, now);
                    changed.push(field);
                    1
                }
            },
        };
        each(ctx, found);
    }
    if changed.is_empty() {
        return Ok(Effect::Unchanged);
    }
    ctx.keys.field_deadlines_changed(key);
    log_deadline(ctx, key, DEADLINE_MAX, &changed);
    log_fields(ctx, &[b"HPERSIST", key.bytes], &changed);
    ctx.changed(Class::Hash, "hpersist", key);
    Ok(Effect::Logged)
}

pub(super) fn hpersist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    to_write(ctx.keys, key)?;
    let named = fields(args, 2, NOT_A_COUNT)?;
    ctx.keys.expire_named(key, named.iter());
    ctx.reply.array(named.len());
    persist(ctx, key, named, |ctx, found| ctx.reply.integer(found))
}

/// Replies what `show` makes of each field's deadline and the date of now.
fn reply_deadlines(ctx: &mut Ctx<'_>, args: Args<'_>, show: fn(UnixMs, UnixMs) -> i64) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let hash = to_read(ctx.keys, key)?;
    let named = fields(args, 2, NOT_A_COUNT)?;
    ctx.reply.array(named.len());
    for field in named.iter() {
        let number = match hash.and_then(|hash| hash.deadline(field)) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(at)) if at <= now => NO_FIELD,
            Some(Some(at)) => show(at, now),
        };
        ctx.reply.integer(number);
    }
    Ok(Effect::Unchanged)
}

/// Whole seconds, begun ones counted.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(999) / 1000
}

pub(super) fn httl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_deadlines(ctx, args, |at, now| seconds(now.ms_until(at)))
}

pub(super) fn hpttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_deadlines(ctx, args, |at, now| now.ms_until(at))
}

pub(super) fn hexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_deadlines(ctx, args, |at, _| seconds(at.0))
}

pub(super) fn hpexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_deadlines(ctx, args, |at, _| at.0)
}
