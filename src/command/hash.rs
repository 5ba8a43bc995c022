//! Hashes: fields and their values.
//!
//! How fields lie in memory is the type's business (`data/hash.rs`); replies are written straight from where they lie.
//! Fields with a deadline of their own: `hash/expire.rs` (deadlines alone) and `hash/extended.rs` (with values). A field
//! whose deadline has come does not exist for any command but `HLEN`, which counts what is there, as Redis does; a
//! command that changes a hash removes the fields it names first, if they are due ([`expire_named`]).
//!
//! A hash is never empty: whoever removes the last field deletes the key ([`settle`]).
//!
//! [`expire_named`]: crate::data::keyspace::Keyspace::expire_named

mod expire;
mod extended;
mod random;
#[cfg(test)]
mod tests;

use crate::base::float::LongDouble;
use crate::base::number::parse_i64;
use crate::command::cursor::{WalkOptions, cursor};
use crate::command::list::reply_item;
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::element::Item;
use crate::data::entry::{Entry, Value};
use crate::data::hash::{Hash, Limits, Pair};
use crate::data::keyspace::{Key, Keyspace};
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::state::log::push_bulk;

const READ: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const META: &[KeySpec] = &[KeySpec::one(1, &["RO"])];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, &["RW", "UPDATE"])];
const EXCHANGE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "UPDATE"])];
const INSERT: &[KeySpec] = &[KeySpec::one(1, &["RW", "INSERT"])];
const DELETE: &[KeySpec] = &[KeySpec::one(1, &["RW", "DELETE"])];
const TAKE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "DELETE"])];

const SET_FAST: u32 = WRITE | DENYOOM | FAST;
const PER_FIELD: &str = "O(N) of the fields named";

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "hdel", arity: -3, flags: WRITE | FAST, keys: DELETE, run: hdel, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", PER_FIELD, "key field [field ...]", "Removes fields of a hash.") },
    Command { name: "hexists", arity: 3, flags: READONLY | FAST, keys: META, run: hexists, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", "O(1)", "key field", "Tells whether a hash has a field.") },
    Command { name: "hexpire", arity: -6, flags: WRITE | FAST, keys: UPDATE, run: expire::hexpire, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
            "Lets fields of a hash expire after some seconds.") },
    Command { name: "hexpireat", arity: -6, flags: WRITE | FAST, keys: UPDATE, run: expire::hexpireat, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
            "Lets fields of a hash expire at a date in seconds.") },
    Command { name: "hexpiretime", arity: -5, flags: READONLY | FAST, keys: READ, run: expire::hexpiretime, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key FIELDS numfields field [field ...]",
            "Returns the dates in seconds at which fields of a hash expire.") },
    Command { name: "hget", arity: 3, flags: READONLY | FAST, keys: READ, run: hget, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", "O(1)", "key field", "Returns the value of a field.") },
    Command { name: "hgetall", arity: 2, flags: READONLY, keys: READ, run: hgetall, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", "O(N) of the fields", "key", "Returns all fields of a hash with their values.") },
    Command { name: "hgetdel", arity: -5, flags: WRITE | FAST, keys: TAKE, run: extended::hgetdel, subcommands: &[],
        doc: Group::Hash.doc("8.0.0", PER_FIELD, "key FIELDS numfields field [field ...]",
            "Returns the values of fields and removes them.") },
    Command { name: "hgetex", arity: -5, flags: WRITE | FAST, keys: EXCHANGE, run: extended::hgetex, subcommands: &[],
        doc: Group::Hash.doc("8.0.0", PER_FIELD, "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
            "Returns the values of fields and sets or takes off their deadline.") },
    Command { name: "hincrby", arity: 4, flags: SET_FAST, keys: EXCHANGE, run: hincrby, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", "O(1)", "key field increment",
            "Adds a number to the integer in a field, which is 0 if there is no such field.") },
    Command { name: "hincrbyfloat", arity: 4, flags: SET_FAST, keys: EXCHANGE, run: hincrbyfloat, subcommands: &[],
        doc: Group::Hash.doc("2.6.0", "O(1)", "key field increment",
            "Adds to the floating point number in a field, which is 0 if there is no such field.") },
    Command { name: "hkeys", arity: 2, flags: READONLY, keys: READ, run: hkeys, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", "O(N) of the fields", "key", "Returns the names of all fields of a hash.") },
    Command { name: "hlen", arity: 2, flags: READONLY | FAST, keys: META, run: hlen, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", "O(1)", "key", "Returns how many fields a hash has.") },
    Command { name: "hmget", arity: -3, flags: READONLY | FAST, keys: READ, run: hmget, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", PER_FIELD, "key field [field ...]", "Returns the values of several fields.") },
    Command { name: "hmset", arity: -4, flags: SET_FAST, keys: UPDATE, run: hmset, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", PER_FIELD, "key field value [field value ...]", "Sets several fields; the old form of HSET.") },
    Command { name: "hpersist", arity: -5, flags: WRITE | FAST, keys: UPDATE, run: expire::hpersist, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key FIELDS numfields field [field ...]", "Takes the deadline off fields of a hash.") },
    Command { name: "hpexpire", arity: -6, flags: WRITE | FAST, keys: UPDATE, run: expire::hpexpire, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
            "Lets fields of a hash expire after some milliseconds.") },
    Command { name: "hpexpireat", arity: -6, flags: WRITE | FAST, keys: UPDATE, run: expire::hpexpireat, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
            "Lets fields of a hash expire at a date in milliseconds.") },
    Command { name: "hpexpiretime", arity: -5, flags: READONLY | FAST, keys: READ, run: expire::hpexpiretime, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key FIELDS numfields field [field ...]",
            "Returns the dates in milliseconds at which fields of a hash expire.") },
    Command { name: "hpttl", arity: -5, flags: READONLY | FAST, keys: READ, run: expire::hpttl, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key FIELDS numfields field [field ...]",
            "Returns the milliseconds left to fields of a hash.") },
    Command { name: "hrandfield", arity: -2, flags: READONLY, keys: READ, run: random::hrandfield, subcommands: &[],
        doc: Group::Hash.doc("6.2.0", "O(N) of the fields returned", "key [count [WITHVALUES]]", "Returns fields drawn at random.") },
    Command { name: "hscan", arity: -3, flags: READONLY, keys: READ, run: hscan, subcommands: &[],
        doc: Group::Hash.doc("2.8.0", "O(1) for a step, O(N) of the fields for all steps together",
            "key cursor [MATCH pattern] [COUNT count] [NOVALUES]", "Walks over the fields of a hash, a few in each step.") },
    Command { name: "hset", arity: -4, flags: SET_FAST, keys: UPDATE, run: hset, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", PER_FIELD, "key field value [field value ...]", "Sets fields of a hash, creating it if there is none.") },
    Command { name: "hsetex", arity: -6, flags: SET_FAST, keys: UPDATE, run: extended::hsetex, subcommands: &[],
        doc: Group::Hash.doc("8.0.0", PER_FIELD, "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]",
            "Sets fields with a common deadline, on conditions.") },
    Command { name: "hsetnx", arity: 4, flags: SET_FAST, keys: INSERT, run: hsetnx, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", "O(1)", "key field value", "Sets a field unless it is there.") },
    Command { name: "hstrlen", arity: 3, flags: READONLY | FAST, keys: META, run: hstrlen, subcommands: &[],
        doc: Group::Hash.doc("3.2.0", "O(1)", "key field", "Returns the length of a field's value.") },
    Command { name: "httl", arity: -5, flags: READONLY | FAST, keys: READ, run: expire::httl, subcommands: &[],
        doc: Group::Hash.doc("7.4.0", PER_FIELD, "key FIELDS numfields field [field ...]", "Returns the seconds left to fields of a hash.") },
    Command { name: "hvals", arity: 2, flags: READONLY, keys: READ, run: hvals, subcommands: &[],
        doc: Group::Hash.doc("2.0.0", "O(N) of the fields", "key", "Returns the values of all fields of a hash.") },
];

#[inline]
fn limits(ctx: &Ctx<'_>) -> Limits {
    let settings = &ctx.state.settings;
    Limits {
        entries: settings.hash_max_listpack_entries as usize,
        value: settings.hash_max_listpack_value as usize,
        hasher: ctx.keys.hasher().clone(),
    }
}

/// The hash at a key for reading; `None` if there is no key.
#[inline]
fn to_read<'k>(keys: &'k mut Keyspace, key: Key<'_>) -> Result<Option<&'k Hash>, Error> {
    match keys.read(key) {
        None => Ok(None),
        Some(entry) => entry.hash().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// The hash at a key for changing; `None` if there is no key.
#[inline]
fn to_write<'k>(keys: &'k mut Keyspace, key: Key<'_>) -> Result<Option<&'k mut Hash>, Error> {
    match keys.write(key) {
        None => Ok(None),
        Some(entry) => entry.hash_mut().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

#[inline]
fn reply_option(reply: &mut Reply, item: Option<Item<'_>>) {
    match item {
        Some(item) => reply_item(reply, item),
        None => reply.null(),
    }
}

/// Says that fields have been removed, and deletes the key if nothing is left.
fn settle(ctx: &mut Ctx<'_>, key: Key<'_>, is_empty: bool) {
    ctx.settle(Class::Hash, "hdel", key, is_empty);
    if !is_empty {
        ctx.keys.field_deadlines_changed(key);
    }
}

/// Sets what stands behind each other as field and value; a deadline stays if it is to be `keep`-ed. Returns how many
/// fields are new.
#[inline]
fn set_pairs(ctx: &mut Ctx<'_>, key: Key<'_>, pairs: Args<'_>, keep: bool) -> Result<usize, Error> {
    let limits = limits(ctx);
    let count = pairs.len() / 2;
    let put = |hash: &mut Hash| {
        hash.expect(count, &limits);
        let mut new = 0;
        for index in (0..pairs.len()).step_by(2) {
            let (field, value) = (pairs.get(index), pairs.get(index + 1));
            let is_new = match keep {
                true => hash.update(field, value, &limits),
                false => hash.insert(field, value, &limits),
            };
            new += usize::from(is_new);
        }
        new
    };
    ctx.keys.expire_named(key, pairs.iter().step_by(2));
    if let Some(hash) = to_write(ctx.keys, key)? {
        let new = put(hash);
        if hash.ticket().is_some() {
            ctx.keys.field_deadlines_changed(key);
        }
        return Ok(new);
    }
    let (hash, new) = match Hash::of_few(pairs.iter(), &limits) {
        Some(hash) => (hash, count),
        None => {
            let mut hash = Hash::new();
            let new = put(&mut hash);
            (hash, new)
        }
    };
    ctx.keys.insert(key.hash, Entry::new(key.bytes, Value::Hash(hash)));
    Ok(new)
}

#[inline]
fn set_all(ctx: &mut Ctx<'_>, args: Args<'_>, name: &str) -> Result<usize, Error> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::arity(name));
    }
    let key = ctx.key(args, 1);
    let new = set_pairs(ctx, key, args.from(2), false)?;
    ctx.changed(Class::Hash, "hset", key);
    Ok(new)
}

fn hset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let new = set_all(ctx, args, "hset")?;
    ctx.reply.integer(new as i64);
    Ok(Effect::Changed)
}

fn hmset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_all(ctx, args, "hmset")?;
    ctx.reply.ok();
    Ok(Effect::Changed)
}

fn hsetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let now = ctx.now();
    if to_write(ctx.keys, key)?.is_some_and(|hash| hash.contains(args.get(2), now)) {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    }
    set_pairs(ctx, key, args.from(2), false)?;
    ctx.changed(Class::Hash, "hset", key);
    ctx.reply.integer(1);
    Ok(Effect::Changed)
}

fn hincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let amount = ctx.integer(args.get(3))?;
    let (key, field, now) = (ctx.key(args, 1), args.get(2), ctx.now());
    let old = match to_write(ctx.keys, key)?.and_then(|hash| hash.get(field, now)) {
        None => Some(0),
        Some(Item::Int(number)) => Some(number),
        Some(item) => item.with_bytes(parse_i64),
    };
    let old = old.ok_or(Error::of("ERR hash value is not an integer"))?;
    let sum = old.checked_add(amount).ok_or(Error::of("ERR increment or decrement would overflow"))?;
    put(ctx, key, field, itoa::Buffer::new().format(sum).as_bytes())?;
    ctx.changed(Class::Hash, "hincrby", key);
    ctx.reply.integer(sum);
    Ok(Effect::Changed)
}

/// Sets one field, which keeps its deadline.
fn put(ctx: &mut Ctx<'_>, key: Key<'_>, field: &[u8], value: &[u8]) -> Result<(), Error> {
    let limits = limits(ctx);
    ctx.keys.expire_named(key, std::iter::once(field));
    if let Some(hash) = to_write(ctx.keys, key)? {
        hash.update(field, value, &limits);
        return Ok(());
    }
    let mut hash = Hash::new();
    hash.insert(field, value, &limits);
    ctx.keys.insert(key.hash, Entry::new(key.bytes, Value::Hash(hash)));
    Ok(())
}

fn hincrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let amount = LongDouble::parse(args.get(3)).ok_or(Error::NOT_FLOAT)?;
    if amount.is_nan() || amount.is_infinite() {
        return Err(Error::of("ERR value is NaN or Infinity"));
    }
    let (key, field, now) = (ctx.key(args, 1), args.get(2), ctx.now());
    let hash = to_write(ctx.keys, key)?;
    let has_deadline =
        hash.as_ref().is_some_and(|hash| hash.deadline(field).flatten().is_some_and(|at| now < at));
    let old = match hash.and_then(|hash| hash.get(field, now)) {
        None => Some(LongDouble::from_i64(0)),
        Some(item) => item.with_bytes(LongDouble::parse),
    };
    let sum = old.ok_or(Error::of("ERR hash value is not a float"))?.add(amount);
    if sum.is_nan() || sum.is_infinite() {
        return Err(Error::of("ERR increment would produce NaN or Infinity"));
    }
    let text = sum.to_text();
    put(ctx, key, field, &text)?;
    match has_deadline {
        true => ctx.log(&[b"HSETEX", key.bytes, b"KEEPTTL", b"FIELDS", b"1", field, &text]),
        false => ctx.log(&[b"HSET", key.bytes, field, &text]),
    }
    ctx.changed(Class::Hash, "hincrbyfloat", key);
    ctx.reply.bulk(&text);
    Ok(Effect::Logged)
}

fn hdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    ctx.keys.expire_named(key, args.from(2).iter());
    let Some(hash) = to_write(ctx.keys, key)? else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    let removed = args.from(2).iter().filter(|field| hash.remove(field)).count();
    let is_empty = hash.is_empty();
    ctx.reply.integer(removed as i64);
    if removed == 0 {
        return Ok(Effect::Unchanged);
    }
    settle(ctx, key, is_empty);
    Ok(Effect::Changed)
}

fn hget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let value = to_read(ctx.keys, key)?.and_then(|hash| hash.get(args.get(2), now));
    reply_option(ctx.reply, value);
    Ok(Effect::Unchanged)
}

fn hmget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let hash = to_read(ctx.keys, key)?;
    ctx.reply.array(args.len() - 2);
    for field in args.from(2).iter() {
        reply_option(ctx.reply, hash.and_then(|hash| hash.get(field, now)));
    }
    Ok(Effect::Unchanged)
}

fn hlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let len = to_read(ctx.keys, key)?.map_or(0, Hash::len);
    ctx.reply.integer(len as i64);
    Ok(Effect::Unchanged)
}

fn hexists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let found = to_read(ctx.keys, key)?.is_some_and(|hash| hash.contains(args.get(2), now));
    ctx.reply.integer(i64::from(found));
    Ok(Effect::Unchanged)
}

fn hstrlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let value = to_read(ctx.keys, key)?.and_then(|hash| hash.get(args.get(2), now));
    ctx.reply.integer(value.map_or(0, |item| item.len_bytes() as i64));
    Ok(Effect::Unchanged)
}

/// Replies with something of all fields: what comes before them, given their number, and what of each.
fn reply_all(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    head: fn(&mut Reply, usize),
    show: fn(&mut Reply, Pair<'_>),
) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let Some(hash) = to_read(ctx.keys, key)? else {
        head(ctx.reply, 0);
        return Ok(Effect::Unchanged);
    };
    if hash.next_due().is_none_or(|due| now < due) {
        head(ctx.reply, hash.len());
        hash.iter().for_each(|pair| show(ctx.reply, pair));
        return Ok(Effect::Unchanged);
    }
    let live = || hash.iter().filter(|pair| pair.is_live(now));
    head(ctx.reply, live().count());
    live().for_each(|pair| show(ctx.reply, pair));
    Ok(Effect::Unchanged)
}

fn hgetall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_all(ctx, args, Reply::map, |reply, pair| {
        reply_item(reply, pair.field);
        reply_item(reply, pair.value);
    })
}

fn hkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_all(ctx, args, Reply::array, |reply, pair| reply_item(reply, pair.field))
}

fn hvals(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    reply_all(ctx, args, Reply::array, |reply, pair| reply_item(reply, pair.value))
}

fn hscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let from = cursor(args.get(2))?;
    let (key, now) = (ctx.key(args, 1), ctx.now());
    // The cursor stands before the fields in the reply, but is known after them.
    let (mut next, mut found, mut texts) = (0, 0, Vec::new());
    // A missing key is answered before the options are looked at, as in Redis.
    if let Some(hash) = to_read(ctx.keys, key)? {
        let options = WalkOptions::parse(args, true)?;
        next = options.walk(from, |cursor| {
            let mut seen = 0;
            let next = hash.scan(cursor, |pair| {
                seen += 1;
                if pair.is_live(now) && pair.field.with_bytes(|field| options.wants(field)) {
                    pair.field.with_bytes(|field| push_bulk(&mut texts, field));
                    found += 1;
                    if !options.fields_only {
                        pair.value.with_bytes(|value| push_bulk(&mut texts, value));
                        found += 1;
                    }
                }
            });
            (next, seen)
        });
    }
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(found);
    ctx.reply.raw(&texts);
    Ok(Effect::Unchanged)
}
