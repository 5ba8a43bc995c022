//! Deadlines of keys. The log hears of dates only: `PEXPIREAT` in milliseconds, or `DEL` where the date has
//! come.

use crate::base::date::UnixMs;
use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::flag::{FAST, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Doc, Effect, Error, Group, KeySpec, Outcome, repeated};
use crate::command::string::DeadlineUnit;
use crate::resp::request::Args;

const READ: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, &["RW", "UPDATE"])];

const fn doc(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    Group::Generic.doc(since, "O(1)", syntax, summary)
}

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "expire", arity: -3, flags: WRITE | FAST, keys: UPDATE, run: expire, subcommands: &[],
        doc: doc("1.0.0", "key seconds [NX | XX | GT | LT]", "Lets a key expire after some seconds.") },
    Command { name: "expireat", arity: -3, flags: WRITE | FAST, keys: UPDATE, run: expireat, subcommands: &[],
        doc: doc("1.2.0", "key unix-time-seconds [NX | XX | GT | LT]", "Lets a key expire at a date in seconds.") },
    Command { name: "expiretime", arity: 2, flags: READONLY | FAST, keys: READ, run: expiretime, subcommands: &[],
        doc: doc("7.0.0", "key", "Returns the date in seconds at which a key expires.") },
    Command { name: "persist", arity: 2, flags: WRITE | FAST, keys: UPDATE, run: persist, subcommands: &[],
        doc: doc("2.2.0", "key", "Takes the deadline off a key.") },
    Command { name: "pexpire", arity: -3, flags: WRITE | FAST, keys: UPDATE, run: pexpire, subcommands: &[],
        doc: doc("2.6.0", "key milliseconds [NX | XX | GT | LT]", "Lets a key expire after some milliseconds.") },
    Command { name: "pexpireat", arity: -3, flags: WRITE | FAST, keys: UPDATE, run: pexpireat, subcommands: &[],
        doc: doc("2.6.0", "key unix-time-milliseconds [NX | XX | GT | LT]", "Lets a key expire at a date in milliseconds.") },
    Command { name: "pexpiretime", arity: 2, flags: READONLY | FAST, keys: READ, run: pexpiretime, subcommands: &[],
        doc: doc("7.0.0", "key", "Returns the date in milliseconds at which a key expires.") },
    Command { name: "pttl", arity: 2, flags: READONLY | FAST, keys: READ, run: pttl, subcommands: &[],
        doc: doc("2.6.0", "key", "Returns the milliseconds left to a key.") },
    Command { name: "ttl", arity: 2, flags: READONLY | FAST, keys: READ, run: ttl, subcommands: &[],
        doc: doc("1.0.0", "key", "Returns the seconds left to a key.") },
];

/// Under which conditions a deadline is set. `XX` goes together with `GT` or `LT`, nothing else does.
#[derive(Default)]
struct Conditions {
    absent: bool,
    present: bool,
    later: bool,
    earlier: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Conditions, Error> {
        let mut found = Conditions::default();
        let mut options = Options::new(args, 3);
        while let Some(word) = options.peek() {
            if options.word("NX") {
                found.absent = true;
            } else if options.word("XX") {
                found.present = true;
            } else if options.word("GT") {
                found.later = true;
            } else if options.word("LT") {
                found.earlier = true;
            } else {
                let word = repeated(word, usize::MAX);
                return Err(Error::text(format!("ERR Unsupported option {word}")));
            }
        }
        if found.absent && (found.present || found.later || found.earlier) {
            return Err(Error::of("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if found.later && found.earlier {
            return Err(Error::of("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(found)
    }

    /// Whether they let `new` take the place of `old`; a key without a deadline expires later than any other.
    fn hold(&self, old: Option<UnixMs>, new: UnixMs) -> bool {
        let refused = match old {
            None => self.present || self.later,
            Some(old) => self.absent || self.later && new <= old || self.earlier && old <= new,
        };
        !refused
    }
}

fn set_deadline(ctx: &mut Ctx<'_>, args: Args<'_>, unit: DeadlineUnit, name: &str) -> Outcome {
    let conditions = Conditions::parse(args)?;
    let number = parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let start = if unit.relative { ctx.now().0 } else { 0 };
    let at = number
        .checked_mul(unit.ms)
        .and_then(|ms| ms.checked_add(start))
        .map(UnixMs)
        .ok_or_else(|| Error::text(format!("ERR invalid expire time in '{name}' command")))?;
    let key = ctx.key(args, 1);
    let allowed = ctx.keys.write(key).is_some_and(|entry| conditions.hold(entry.deadline(), at));
    ctx.reply.integer(i64::from(allowed));
    if !allowed {
        return Ok(Effect::Unchanged);
    }
    // In replay, at date zero, no date has come but those before the epoch, which no server logs.
    if at <= ctx.now() {
        ctx.keys.delete(key);
        ctx.changed(Class::Generic, "del", key);
        ctx.log(&[b"DEL", key.bytes]);
    } else {
        ctx.keys.set_deadline(key, Some(at));
        ctx.changed(Class::Generic, "expire", key);
        ctx.log(&[b"PEXPIREAT", key.bytes, itoa::Buffer::new().format(at.0).as_bytes()]);
    }
    Ok(Effect::Logged)
}

fn expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_deadline(ctx, args, DeadlineUnit { ms: 1000, relative: true }, "expire")
}

fn pexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_deadline(ctx, args, DeadlineUnit { ms: 1, relative: true }, "pexpire")
}

fn expireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_deadline(ctx, args, DeadlineUnit { ms: 1000, relative: false }, "expireat")
}

fn pexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_deadline(ctx, args, DeadlineUnit { ms: 1, relative: false }, "pexpireat")
}

fn persist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    if ctx.keys.write(key).is_none_or(|entry| entry.deadline().is_none()) {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    }
    ctx.keys.set_deadline(key, None);
    ctx.changed(Class::Generic, "persist", key);
    ctx.reply.integer(1);
    Ok(Effect::Changed)
}

/// Replies what `show` makes of the deadline and the date of now; -2 without a key, -1 without a deadline.
fn reply_deadline(ctx: &mut Ctx<'_>, args: Args<'_>, show: fn(UnixMs, UnixMs) -> i64) -> Outcome {
    let key = ctx.key(args, 1);
    let now = ctx.now();
    let number = match ctx.keys.read_untouched(key) {
        None => -2,
        Some(entry) => entry.deadline().map_or(-1, |at| show(at, now)),
    };
    ctx.reply.integer(number);
    Ok(Effect::Unchanged)
}

/// Whole seconds, rounded to the nearest.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

fn ttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_deadline(ctx, args, |at, now| seconds(now.ms_until(at)))
}

fn pttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_deadline(ctx, args, |at, now| now.ms_until(at))
}

fn expiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_deadline(ctx, args, |at, _| seconds(at.0))
}

fn pexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_deadline(ctx, args, |at, _| at.0)
}
