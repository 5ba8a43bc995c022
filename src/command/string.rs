//! Strings: bytes and counters.

use crate::base::date::UnixMs;
use crate::base::float::LongDouble;
use crate::command::condition::Condition;
use crate::command::options::{Options, Slot};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::entry::{Str, Value};
use crate::data::keyspace::{Deadline, Key};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

const READ_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const META_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO"])];
const READ_ALL: &[KeySpec] = &[KeySpec::rest(1, 1, &["RO", "ACCESS"])];
const UPDATE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "UPDATE"])];
const INSERT_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "INSERT"])];
const PATCH_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "UPDATE"])];
const STORE_ONE: &[KeySpec] = &[KeySpec::one(1, &["OW", "UPDATE"])];
const TAKE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "DELETE"])];

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "append", arity: 3, flags: WRITE | DENYOOM | FAST, keys: INSERT_ONE, run: append, subcommands: &[],
        doc: Group::String.doc("2.0.0", "O(1)", "key value", "Adds bytes at the end of a string, creating it if there is none.") },
    Command { name: "decr", arity: 2, flags: WRITE | DENYOOM | FAST, keys: UPDATE_ONE, run: decr, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(1)", "key", "Subtracts one from an integer, which is 0 if the key does not exist.") },
    Command { name: "decrby", arity: 3, flags: WRITE | DENYOOM | FAST, keys: UPDATE_ONE, run: decrby, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(1)", "key decrement", "Subtracts a number from an integer, which is 0 if the key does not exist.") },
    Command { name: "get", arity: 2, flags: READONLY | FAST, keys: READ_ONE, run: get, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(1)", "key", "Returns a string.") },
    Command { name: "getdel", arity: 2, flags: WRITE | FAST, keys: TAKE_ONE, run: getdel, subcommands: &[],
        doc: Group::String.doc("6.2.0", "O(1)", "key", "Returns a string and deletes its key.") },
    Command { name: "getex", arity: -2, flags: WRITE | FAST, keys: UPDATE_ONE, run: getex, subcommands: &[],
        doc: Group::String.doc("6.2.0", "O(1)", "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
            "Returns a string and sets or removes its deadline.") },
    Command { name: "getrange", arity: 4, flags: READONLY, keys: READ_ONE, run: getrange, subcommands: &[],
        doc: Group::String.doc("2.4.0", "O(N) of the bytes returned", "key start end", "Returns a part of a string.") },
    Command { name: "getset", arity: 3, flags: WRITE | DENYOOM | FAST, keys: UPDATE_ONE, run: getset, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(1)", "key value", "Sets a string and returns the one before.") },
    Command { name: "incr", arity: 2, flags: WRITE | DENYOOM | FAST, keys: UPDATE_ONE, run: incr, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(1)", "key", "Adds one to an integer, which is 0 if the key does not exist.") },
    Command { name: "incrby", arity: 3, flags: WRITE | DENYOOM | FAST, keys: UPDATE_ONE, run: incrby, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(1)", "key increment", "Adds a number to an integer, which is 0 if the key does not exist.") },
    Command { name: "incrbyfloat", arity: 3, flags: WRITE | DENYOOM | FAST, keys: UPDATE_ONE, run: incrbyfloat, subcommands: &[],
        doc: Group::String.doc("2.6.0", "O(1)", "key increment", "Adds to a floating point number, which is 0 if the key does not exist.") },
    Command { name: "mget", arity: -2, flags: READONLY | FAST, keys: READ_ALL, run: mget, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(N) of the keys", "key [key ...]", "Returns the strings of several keys at one moment.") },
    Command { name: "mset", arity: -3, flags: WRITE | DENYOOM, keys: &[KeySpec::rest(1, 2, &["OW", "UPDATE"])], run: mset, subcommands: &[],
        doc: Group::String.doc("1.0.1", "O(N) of the keys", "key value [key value ...]", "Sets several strings at one moment.") },
    Command { name: "msetex", arity: -4, flags: WRITE | DENYOOM | crate::command::spec::flag::MOVABLE_KEYS,
        keys: &[KeySpec::counted(1, 2, &["OW", "UPDATE"])], run: msetex, subcommands: &[],
        doc: Group::String.doc("8.4.0", "O(N) of the keys", "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
            "Sets several strings at one moment, with one deadline and on one condition.") },
    Command { name: "msetnx", arity: -3, flags: WRITE | DENYOOM, keys: &[KeySpec::rest(1, 2, &["OW", "INSERT"])], run: msetnx, subcommands: &[],
        doc: Group::String.doc("1.0.1", "O(N) of the keys", "key value [key value ...]", "Sets several strings if none of the keys exists.") },
    Command { name: "psetex", arity: 4, flags: WRITE | DENYOOM, keys: STORE_ONE, run: psetex, subcommands: &[],
        doc: Group::String.doc("2.6.0", "O(1)", "key milliseconds value", "Sets a string which expires after some milliseconds.") },
    Command { name: "set", arity: -3, flags: WRITE | DENYOOM, keys: &[KeySpec::one(1, &["RW", "ACCESS", "UPDATE", "VARIABLE_FLAGS"])], run: set, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(1)",
            "key value [NX | XX | IFEQ comparison-value | IFNE comparison-value | IFDEQ comparison-digest | IFDNE comparison-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
            "Sets a string, whatever the key held before.") },
    Command { name: "setex", arity: 4, flags: WRITE | DENYOOM, keys: STORE_ONE, run: setex, subcommands: &[],
        doc: Group::String.doc("2.0.0", "O(1)", "key seconds value", "Sets a string which expires after some seconds.") },
    Command { name: "setnx", arity: 3, flags: WRITE | DENYOOM | FAST, keys: &[KeySpec::one(1, &["OW", "INSERT"])], run: setnx, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(1)", "key value", "Sets a string if the key does not exist.") },
    Command { name: "setrange", arity: 4, flags: WRITE | DENYOOM, keys: PATCH_ONE, run: setrange, subcommands: &[],
        doc: Group::String.doc("2.2.0", "O(N) of the value's length", "key offset value", "Overwrites a part of a string, filling with zero bytes up to it.") },
    Command { name: "strlen", arity: 2, flags: READONLY | FAST, keys: META_ONE, run: strlen, subcommands: &[],
        doc: Group::String.doc("2.2.0", "O(1)", "key", "Returns the length of a string in bytes.") },
    Command { name: "substr", arity: 4, flags: READONLY, keys: READ_ONE, run: getrange, subcommands: &[],
        doc: Group::String.doc("1.0.0", "O(N) of the bytes returned", "key start end", "Returns a part of a string; the old name of GETRANGE.") },
];

/// Replies a string value.
#[inline]
pub fn reply_string(reply: &mut Reply, value: Str<'_>) {
    match value {
        Str::Int(number) => reply.bulk_integer(number),
        Str::Bytes(bytes) => reply.bulk(bytes),
        Str::Shared(bytes) => reply.bulk_shared(bytes),
    }
}

/// What `SET` stores for an argument; one that came in its own buffer is shared rather than copied.
#[inline]
fn value_of(args: Args<'_>, index: usize) -> Value<'_> {
    match args.shared(index) {
        Some(bytes) => Value::Shared(bytes.clone()),
        None => Value::string(args.get(index)),
    }
}

/// The string at a key for reading; `None` if there is no key.
fn read_string<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<Str<'c>>, Error> {
    match ctx.keys.read(key) {
        None => Ok(None),
        Some(entry) => entry.string().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    match ctx.keys.read(key) {
        None => ctx.reply.null(),
        Some(entry) => reply_string(ctx.reply, entry.string().ok_or(Error::WRONG_TYPE)?),
    }
    Ok(Effect::Unchanged)
}

/// How a deadline is given: from now on or as a date, in seconds or milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeadlineUnit {
    /// Milliseconds in one of the unit.
    pub ms: i64,
    /// Counted from now on rather than from the epoch.
    pub relative: bool,
}

impl DeadlineUnit {
    /// The words that `SET`, `GETEX` and others take.
    pub const WORDS: &[(&str, DeadlineUnit)] = &[
        ("EX", DeadlineUnit { ms: 1000, relative: true }),
        ("PX", DeadlineUnit { ms: 1, relative: true }),
        ("EXAT", DeadlineUnit { ms: 1000, relative: false }),
        ("PXAT", DeadlineUnit { ms: 1, relative: false }),
    ];

    /// The date of a deadline that must be positive; `command` names the command in the error.
    pub fn deadline(self, argument: &[u8], now: UnixMs, command: &[u8]) -> Result<UnixMs, Error> {
        let number = crate::base::number::parse_i64(argument).ok_or(Error::NOT_INTEGER)?;
        let date = (0 < number)
            .then(|| number.checked_mul(self.ms))
            .flatten()
            .and_then(|ms| if self.relative { now.0.checked_add(ms) } else { Some(ms) });
        date.map(UnixMs).ok_or_else(|| {
            let name = String::from_utf8_lossy(command).to_lowercase();
            Error::text(format!("ERR invalid expire time in '{name}' command"))
        })
    }
}

/// The options of `SET`.
#[derive(Default)]
struct SetOptions<'a> {
    condition: Slot<Condition<'a>>,
    /// The deadline's unit and argument, or `None` for `KEEPTTL`.
    deadline: Slot<Option<(DeadlineUnit, &'a [u8])>>,
    get: bool,
}

impl<'a> SetOptions<'a> {
    fn parse(args: Args<'a>) -> Result<SetOptions<'a>, Error> {
        let mut found = SetOptions::default();
        let mut options = Options::new(args, 3);
        while options.more() {
            if let Some(condition) = Condition::at(&mut options, true, true)? {
                found.condition.fill_again(condition, Condition::is_word_again)?;
            } else if options.word("GET") {
                found.get = true;
            } else {
                deadline_option(&mut options, &mut found.deadline, Some("KEEPTTL"))?;
            }
        }
        Ok(found)
    }
}

/// Takes `EX …` and its like, or the word that stands for no unit; anything else is a syntax error.
fn deadline_option<'a>(
    options: &mut Options<'a>,
    slot: &mut Slot<Option<(DeadlineUnit, &'a [u8])>>,
    bare: Option<&str>,
) -> Result<(), Error> {
    for (word, unit) in DeadlineUnit::WORDS {
        if options.word_with_value(word) {
            return slot.fill_again(Some((*unit, options.value()?)), same_unit);
        }
    }
    if bare.is_some_and(|word| options.word(word)) {
        return slot.fill_again(None, same_unit);
    }
    Err(Error::SYNTAX)
}

/// `EX 1 EX 2` means the latter, `EX 1 PX 2` nothing.
fn same_unit(a: &Option<(DeadlineUnit, &[u8])>, b: &Option<(DeadlineUnit, &[u8])>) -> bool {
    a.map(|a| a.0) == b.map(|b| b.0)
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    if args.len() == 3 {
        ctx.keys.set(key, value_of(args, 2), Deadline::Clear);
        ctx.changed(Class::String, "set", key);
        ctx.reply.ok();
        return Ok(Effect::Changed);
    }
    let options = SetOptions::parse(args)?;
    let deadline = match options.deadline.get() {
        None => Deadline::Clear,
        Some(None) => Deadline::Keep,
        Some(Some((unit, argument))) => Deadline::At(unit.deadline(argument, ctx.now(), args.get(0))?),
    };
    let condition = options.condition.take();
    let old = ctx.keys.write(key);
    let exists = old.is_some();
    let old = old.map(|entry| entry.string());
    if old.is_some_and(|old| old.is_none())
        && (options.get || condition.as_ref().is_some_and(Condition::needs_string))
    {
        return Err(Error::WRONG_TYPE);
    }
    let old = old.flatten();
    let allowed = condition.is_none_or(|condition| condition.holds(exists, old));
    if options.get {
        match old {
            Some(old) => reply_string(ctx.reply, old),
            None => ctx.reply.null(),
        }
    } else if allowed {
        ctx.reply.ok();
    } else {
        ctx.reply.null();
    }
    if !allowed {
        return Ok(Effect::Unchanged);
    }
    store(ctx, key, value_of(args, 2), deadline);
    Ok(Effect::Logged)
}

/// Stores a string with a deadline and writes the record; a deadline that has come deletes the key.
fn store(ctx: &mut Ctx<'_>, key: Key<'_>, value: Value<'_>, deadline: Deadline) {
    if let Deadline::At(at) = deadline
        && at <= ctx.now()
    {
        if ctx.keys.delete(key) {
            ctx.changed(Class::Generic, "del", key);
            ctx.log(&[b"DEL", key.bytes]);
        }
        return;
    }
    let mut scratch = [0; 20];
    let text: &[u8] = match &value {
        Value::Int(number) => crate::base::number::write_decimal(*number, &mut scratch),
        Value::Bytes { bytes, .. } => bytes,
        Value::Shared(bytes) => &bytes.clone(),
        _ => unreachable!("strings are stored here"),
    };
    match deadline {
        Deadline::Clear => ctx.log(&[b"SET", key.bytes, text]),
        Deadline::Keep => ctx.log(&[b"SET", key.bytes, text, b"KEEPTTL"]),
        Deadline::At(at) => ctx.log(&[b"SET", key.bytes, text, b"PXAT", at.0.to_string().as_bytes()]),
    }
    ctx.keys.set(key, value, deadline);
    ctx.changed(Class::String, "set", key);
    if matches!(deadline, Deadline::At(_)) {
        ctx.changed(Class::Generic, "expire", key);
    }
}

fn set_with_unit(ctx: &mut Ctx<'_>, args: Args<'_>, unit: DeadlineUnit) -> Outcome {
    let at = unit.deadline(args.get(2), ctx.now(), args.get(0))?;
    let key = ctx.key(args, 1);
    store(ctx, key, value_of(args, 3), Deadline::At(at));
    ctx.reply.ok();
    Ok(Effect::Logged)
}

fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_with_unit(ctx, args, DeadlineUnit { ms: 1000, relative: true })
}

fn psetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_with_unit(ctx, args, DeadlineUnit { ms: 1, relative: true })
}

fn setnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    if ctx.keys.write(key).is_some() {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    }
    ctx.keys.set(key, value_of(args, 2), Deadline::Clear);
    ctx.changed(Class::String, "set", key);
    ctx.reply.integer(1);
    Ok(Effect::Changed)
}

fn getset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    match read_string(ctx, key)? {
        None => ctx.reply.null(),
        Some(_) => reply_found(ctx, key),
    }
    ctx.keys.set(key, value_of(args, 2), Deadline::Clear);
    ctx.changed(Class::String, "set", key);
    Ok(Effect::Changed)
}

/// Replies the string of a key that was just found to hold one.
fn reply_found(ctx: &mut Ctx<'_>, key: Key<'_>) {
    if let Some(value) = ctx.keys.stored(key).and_then(|entry| entry.string()) {
        reply_string(ctx.reply, value);
    }
}

fn getdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    if read_string(ctx, key)?.is_none() {
        ctx.reply.null();
        return Ok(Effect::Unchanged);
    }
    reply_found(ctx, key);
    ctx.keys.delete(key);
    ctx.changed(Class::Generic, "del", key);
    ctx.log(&[b"DEL", key.bytes]);
    Ok(Effect::Logged)
}

fn getex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut slot = Slot::default();
    let mut options = Options::new(args, 2);
    while options.more() {
        deadline_option(&mut options, &mut slot, Some("PERSIST"))?;
    }
    let key = ctx.key(args, 1);
    // A missing key is answered before the deadline is looked at, as in Redis.
    if read_string(ctx, key)?.is_none() {
        ctx.reply.null();
        return Ok(Effect::Unchanged);
    }
    let change = match slot.take() {
        None => {
            reply_found(ctx, key);
            return Ok(Effect::Unchanged);
        }
        Some(None) => None,
        Some(Some((unit, argument))) => Some(unit.deadline(argument, ctx.now(), args.get(0))?),
    };
    reply_found(ctx, key);
    match change {
        None => {
            if ctx.keys.stored(key).and_then(|entry| entry.deadline()).is_none() {
                return Ok(Effect::Unchanged);
            }
            ctx.keys.set_deadline(key, None);
            ctx.changed(Class::Generic, "persist", key);
            ctx.log(&[b"PERSIST", key.bytes]);
        }
        Some(at) if at <= ctx.now() => {
            ctx.keys.delete(key);
            ctx.changed(Class::Generic, "del", key);
            ctx.log(&[b"DEL", key.bytes]);
        }
        Some(at) => {
            ctx.keys.set_deadline(key, Some(at));
            ctx.changed(Class::Generic, "expire", key);
            ctx.log(&[b"PEXPIREAT", key.bytes, at.0.to_string().as_bytes()]);
        }
    }
    Ok(Effect::Logged)
}

fn mget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.reply.array(args.len() - 1);
    ctx.fetch_ahead(args, 1..args.len());
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        match ctx.keys.read(key).and_then(|entry| entry.string()) {
            None => ctx.reply.null(),
            Some(value) => reply_string(ctx.reply, value),
        }
    }
    Ok(Effect::Unchanged)
}

fn check_pairs(args: Args<'_>) -> Result<(), Error> {
    if args.len().is_multiple_of(2) {
        let name = String::from_utf8_lossy(args.get(0)).to_lowercase();
        return Err(Error::arity(&name));
    }
    Ok(())
}

fn set_pairs(ctx: &mut Ctx<'_>, args: Args<'_>) {
    ctx.fetch_ahead(args, (1..args.len()).step_by(2));
    for index in (1..args.len()).step_by(2) {
        let key = ctx.key(args, index);
        ctx.keys.set(key, value_of(args, index + 1), Deadline::Clear);
        ctx.changed(Class::String, "set", key);
    }
}

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_pairs(args)?;
    set_pairs(ctx, args);
    ctx.reply.ok();
    Ok(Effect::Changed)
}

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_pairs(args)?;
    for index in (1..args.len()).step_by(2) {
        let key = ctx.key(args, index);
        if ctx.keys.write(key).is_some() {
            ctx.reply.integer(0);
            return Ok(Effect::Unchanged);
        }
    }
    set_pairs(ctx, args);
    ctx.reply.integer(1);
    Ok(Effect::Changed)
}

fn msetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = crate::base::number::parse_i64(args.get(1))
        .filter(|count| (1..=i64::from(i32::MAX)).contains(count))
        .ok_or(Error::of("ERR invalid numkeys value or out of range"))? as usize;
    let end = 2 + count * 2;
    if args.len() < end {
        return Err(Error::SYNTAX);
    }
    let mut condition = Slot::default();
    let mut slot = Slot::default();
    let mut options = Options::new(args, end);
    while options.more() {
        match Condition::at(&mut options, true, false)? {
            Some(given) => condition.fill_again(given, Condition::is_word_again)?,
            None => deadline_option(&mut options, &mut slot, Some("KEEPTTL"))?,
        }
    }
    let deadline = match slot.take() {
        None => Deadline::Clear,
        Some(None) => Deadline::Keep,
        Some(Some((unit, argument))) => Deadline::At(unit.deadline(argument, ctx.now(), args.get(0))?),
    };
    if let Some(condition) = condition.take() {
        for index in (2..end).step_by(2) {
            let key = ctx.key(args, index);
            let exists = ctx.keys.write(key).is_some();
            if !condition.holds(exists, None) {
                ctx.reply.integer(0);
                return Ok(Effect::Unchanged);
            }
        }
    }
    // One transaction, so that a server which reads the log sees all keys or none.
    ctx.log(&[b"MULTI"]);
    for index in (2..end).step_by(2) {
        let key = ctx.key(args, index);
        store(ctx, key, value_of(args, index + 1), deadline);
    }
    ctx.log(&[b"EXEC"]);
    ctx.reply.integer(1);
    Ok(Effect::Logged)
}

fn strlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let len = read_string(ctx, key)?.map_or(0, Str::len);
    ctx.reply.integer(len as i64);
    Ok(Effect::Unchanged)
}

/// Refuses a string that would be longer than `proto-max-bulk-len`.
fn check_len(ctx: &Ctx<'_>, len: Option<usize>) -> Result<(), Error> {
    let max = ctx.state.settings.proto_max_bulk_len as usize;
    match len {
        Some(len) if len <= max => Ok(()),
        _ => Err(Error::STRING_TOO_LONG),
    }
}

fn append(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let tail = args.get(2);
    let old = match ctx.keys.write(key) {
        None => None,
        Some(entry) => Some(entry.string().ok_or(Error::WRONG_TYPE)?.len()),
    };
    let len = old.unwrap_or(0).checked_add(tail.len());
    if old.is_some() {
        check_len(ctx, len)?;
    }
    match old {
        None => {
            ctx.keys.set(key, value_of(args, 2), Deadline::Clear);
        }
        Some(old) => {
            if let Some(entry) = ctx.keys.write(key) {
                entry.write_string(old, tail);
            }
        }
    }
    ctx.changed(Class::String, "append", key);
    ctx.reply.integer(len.unwrap_or(0) as i64);
    Ok(Effect::Changed)
}

fn setrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let offset = ctx.integer(args.get(2))?;
    let offset = usize::try_from(offset).map_err(|_| Error::of("ERR offset is out of range"))?;
    let key = ctx.key(args, 1);
    let patch = args.get(3);
    let old = match ctx.keys.write(key) {
        None => None,
        Some(entry) => Some(entry.string().ok_or(Error::WRONG_TYPE)?.len()),
    };
    if patch.is_empty() {
        ctx.reply.integer(old.unwrap_or(0) as i64);
        return Ok(Effect::Unchanged);
    }
    let end = offset.checked_add(patch.len());
    check_len(ctx, end)?;
    if old.is_none() {
        ctx.keys.set(key, Value::Bytes { bytes: b"", raw: true }, Deadline::Clear);
    }
    if let Some(entry) = ctx.keys.write(key) {
        entry.write_string(offset, patch);
    }
    ctx.changed(Class::String, "setrange", key);
    ctx.reply.integer(old.unwrap_or(0).max(end.unwrap_or(0)) as i64);
    Ok(Effect::Changed)
}

fn getrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (start, end) = (ctx.integer(args.get(2))?, ctx.integer(args.get(3))?);
    let key = ctx.key(args, 1);
    let mut scratch = [0; 20];
    let text = match ctx.keys.read(key) {
        None => &[][..],
        Some(entry) => entry.string().ok_or(Error::WRONG_TYPE)?.bytes(&mut scratch),
    };
    let len = text.len() as i64;
    if start < 0 && end < 0 && end < start {
        ctx.reply.bulk(b"");
        return Ok(Effect::Unchanged);
    }
    let from = |index: i64| if index < 0 { index.saturating_add(len).max(0) } else { index };
    let (start, end) = (from(start), from(end).min(len - 1));
    if end < start || len == 0 {
        ctx.reply.bulk(b"");
    } else {
        ctx.reply.bulk(&text[start as usize..=end as usize]);
    }
    Ok(Effect::Unchanged)
}

fn add(ctx: &mut Ctx<'_>, args: Args<'_>, amount: i64) -> Outcome {
    let key = ctx.key(args, 1);
    let entry = ctx.keys.write(key);
    let old = match &entry {
        None => 0,
        Some(entry) => entry.string().ok_or(Error::WRONG_TYPE)?.integer().ok_or(Error::NOT_INTEGER)?,
    };
    let sum = old.checked_add(amount).ok_or(Error::of("ERR increment or decrement would overflow"))?;
    match entry {
        Some(entry) => entry.set_value(Value::Int(sum)),
        None => {
            ctx.keys.set(key, Value::Int(sum), Deadline::Clear);
        }
    }
    ctx.changed(Class::String, "incrby", key);
    ctx.reply.integer(sum);
    Ok(Effect::Changed)
}

fn incr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args, 1)
}

fn decr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args, -1)
}

fn incrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let amount = ctx.integer(args.get(2))?;
    add(ctx, args, amount)
}

fn decrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let amount = ctx.integer(args.get(2))?.checked_neg().ok_or(Error::of("ERR decrement would overflow"))?;
    add(ctx, args, amount)
}

fn incrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let old = match ctx.keys.write(key) {
        None => b"0".to_vec(),
        Some(entry) => entry.string().ok_or(Error::WRONG_TYPE)?.bytes(&mut [0; 20]).to_vec(),
    };
    let old = LongDouble::parse(&old).ok_or(Error::NOT_FLOAT)?;
    let amount = LongDouble::parse(args.get(2)).ok_or(Error::NOT_FLOAT)?;
    let sum = old.add(amount);
    if sum.is_nan() || sum.is_infinite() {
        return Err(Error::of("ERR increment would produce NaN or Infinity"));
    }
    let text = sum.to_text();
    ctx.log(&[b"SET", key.bytes, &text, b"KEEPTTL"]);
    ctx.keys.set(key, Value::Bytes { bytes: &text, raw: false }, Deadline::Keep);
    ctx.changed(Class::String, "incrbyfloat", key);
    ctx.reply.bulk(&text);
    Ok(Effect::Logged)
}
