//! Sets: members without order, each once.
//!
//! A set is never empty: whoever takes the last member deletes the key ([`settle`]). How members lie in memory is the
//! type's business (`data/set.rs`). Here are the commands about single members; `set/draw.rs` has those that choose at
//! random, `set/algebra.rs` those of several sets.

use crate::command::cursor::{WalkOptions, cursor};
use crate::command::list::reply_item;
use crate::command::spec::flag::{DENYOOM, FAST, MOVABLE_KEYS, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::entry::Value;
use crate::data::keyspace::{Deadline, Key};
use crate::data::set::{Limits, Set};
use crate::resp::request::Args;
use crate::state::log::push_bulk;

mod algebra;
mod draw;
#[cfg(test)]
mod tests;

use algebra::{
    sdiff, sdiffcard, sdiffstore, sinter, sintercard, sinterstore, sunion, sunioncard, sunionstore,
};
use draw::{spop, srandmember};

const META_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO"])];
const READ_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const READ_ALL: &[KeySpec] = &[KeySpec::rest(1, 1, &["RO", "ACCESS"])];
const READ_COUNTED: &[KeySpec] = &[KeySpec::counted(1, 1, &["RO", "ACCESS"])];
const INSERT_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "INSERT"])];
const DELETE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "DELETE"])];
const TAKE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "DELETE"])];
const MOVE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "DELETE"]), KeySpec::one(2, &["RW", "INSERT"])];
const STORE: &[KeySpec] = &[KeySpec::one(1, &["OW", "UPDATE"]), KeySpec::rest(2, 1, &["RO", "ACCESS"])];

const OF_ALL: &str = "O(N) of the members of all sets";
const OF_SMALLEST: &str = "O(N*M) of the members of the smallest set and the number of sets";

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "sadd", arity: -3, flags: WRITE | DENYOOM | FAST, keys: INSERT_ONE, run: sadd, subcommands: &[],
        doc: Group::Set.doc("1.0.0", "O(1) per member", "key member [member ...]",
            "Adds members to a set, creating it if there is none.") },
    Command { name: "scard", arity: 2, flags: READONLY | FAST, keys: META_ONE, run: scard, subcommands: &[],
        doc: Group::Set.doc("1.0.0", "O(1)", "key", "Returns how many members a set has.") },
    Command { name: "sdiff", arity: -2, flags: READONLY, keys: READ_ALL, run: sdiff, subcommands: &[],
        doc: Group::Set.doc("1.0.0", OF_ALL, "key [key ...]", "Returns the members of the first set that are in none of the others.") },
    Command { name: "sdiffcard", arity: -3, flags: READONLY | MOVABLE_KEYS, keys: READ_COUNTED, run: sdiffcard, subcommands: &[],
        doc: Group::Set.doc("8.10.0", OF_ALL, "numkeys key [key ...] [LIMIT limit]",
            "Counts the members of the first set that are in none of the others, up to a limit.") },
    Command { name: "sdiffstore", arity: -3, flags: WRITE | DENYOOM, keys: STORE, run: sdiffstore, subcommands: &[],
        doc: Group::Set.doc("1.0.0", OF_ALL, "destination key [key ...]",
            "Stores the members of the first set that are in none of the others.") },
    Command { name: "sinter", arity: -2, flags: READONLY, keys: READ_ALL, run: sinter, subcommands: &[],
        doc: Group::Set.doc("1.0.0", OF_SMALLEST, "key [key ...]", "Returns the members that all sets have.") },
    Command { name: "sintercard", arity: -3, flags: READONLY | MOVABLE_KEYS, keys: READ_COUNTED, run: sintercard, subcommands: &[],
        doc: Group::Set.doc("7.0.0", OF_SMALLEST, "numkeys key [key ...] [LIMIT limit]",
            "Counts the members that all sets have, up to a limit.") },
    Command { name: "sinterstore", arity: -3, flags: WRITE | DENYOOM, keys: STORE, run: sinterstore, subcommands: &[],
        doc: Group::Set.doc("1.0.0", OF_SMALLEST, "destination key [key ...]", "Stores the members that all sets have.") },
    Command { name: "sismember", arity: 3, flags: READONLY | FAST, keys: META_ONE, run: sismember, subcommands: &[],
        doc: Group::Set.doc("1.0.0", "O(1)", "key member", "Tells whether a set has a member.") },
    Command { name: "smembers", arity: 2, flags: READONLY, keys: READ_ONE, run: smembers, subcommands: &[],
        doc: Group::Set.doc("1.0.0", "O(N) of the members", "key", "Returns all members of a set.") },
    Command { name: "smismember", arity: -3, flags: READONLY | FAST, keys: READ_ONE, run: smismember, subcommands: &[],
        doc: Group::Set.doc("6.2.0", "O(1) per member", "key member [member ...]", "Tells of each member whether a set has it.") },
    Command { name: "smove", arity: 4, flags: WRITE | FAST, keys: MOVE, run: smove, subcommands: &[],
        doc: Group::Set.doc("1.0.0", "O(1)", "source destination member", "Takes a member out of one set and adds it to another.") },
    Command { name: "spop", arity: -2, flags: WRITE | FAST, keys: TAKE_ONE, run: spop, subcommands: &[],
        doc: Group::Set.doc("1.0.0", "O(N) of the members returned", "key [count]", "Takes members at random out of a set.") },
    Command { name: "srandmember", arity: -2, flags: READONLY, keys: READ_ONE, run: srandmember, subcommands: &[],
        doc: Group::Set.doc("1.0.0", "O(N) of the members returned", "key [count]",
            "Returns members at random, each once, or perhaps several times if the count is negative.") },
    Command { name: "srem", arity: -3, flags: WRITE | FAST, keys: DELETE_ONE, run: srem, subcommands: &[],
        doc: Group::Set.doc("1.0.0", "O(1) per member", "key member [member ...]", "Removes members from a set.") },
    Command { name: "sscan", arity: -3, flags: READONLY, keys: READ_ONE, run: sscan, subcommands: &[],
        doc: Group::Set.doc("2.8.0", "O(1) for a step, O(N) of the members for all steps together",
            "key cursor [MATCH pattern] [COUNT count]", "Walks over the members of a set, a few in each step.") },
    Command { name: "sunion", arity: -2, flags: READONLY, keys: READ_ALL, run: sunion, subcommands: &[],
        doc: Group::Set.doc("1.0.0", OF_ALL, "key [key ...]", "Returns the members that any of the sets has.") },
    Command { name: "sunioncard", arity: -3, flags: READONLY | MOVABLE_KEYS, keys: READ_COUNTED, run: sunioncard, subcommands: &[],
        doc: Group::Set.doc("8.10.0", OF_ALL, "numkeys key [key ...] [APPROX] [LIMIT limit]",
            "Counts the members that any of the sets has, up to a limit, or estimates how many they are.") },
    Command { name: "sunionstore", arity: -3, flags: WRITE | DENYOOM, keys: STORE, run: sunionstore, subcommands: &[],
        doc: Group::Set.doc("1.0.0", OF_ALL, "destination key [key ...]", "Stores the members that any of the sets has.") },
];

/// Up to where sets stay compact.
#[inline]
pub(super) fn limits(ctx: &Ctx<'_>) -> Limits {
    let settings = &ctx.state.settings;
    Limits {
        intset_entries: settings.set_max_intset_entries as usize,
        listpack_entries: settings.set_max_listpack_entries as usize,
        listpack_value: settings.set_max_listpack_value as usize,
        hasher: ctx.keys.hasher().clone(),
    }
}

/// The set at a key for reading; `None` if there is no key.
#[inline]
fn read_set<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<&'c Set>, Error> {
    match ctx.keys.read(key) {
        None => Ok(None),
        Some(entry) => entry.set().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// The set at a key for changing; `None` if there is no key.
#[inline]
fn write_set<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<&'c mut Set>, Error> {
    match ctx.keys.write(key) {
        None => Ok(None),
        Some(entry) => entry.set_mut().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// Replies all members.
fn reply_members(ctx: &mut Ctx<'_>, key: Key<'_>) {
    let Some(set) = ctx.keys.stored(key).and_then(|entry| entry.set()) else { return ctx.reply.set(0) };
    ctx.reply.set(set.len());
    set.iter().for_each(|member| reply_item(ctx.reply, member));
}

/// Adds the members of a request to a set and counts those that are new.
#[inline]
fn add_members(set: &mut Set, args: Args<'_>, limits: &Limits) -> usize {
    (2..args.len()).filter(|index| set.insert(args.get(*index), limits)).count()
}

fn sadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let limits = limits(ctx);
    let key = ctx.key(args, 1);
    let expected = args.len() - 2;
    let added = match write_set(ctx, key)? {
        Some(set) => {
            set.grow(expected, &limits);
            add_members(set, args, &limits)
        }
        None => {
            let mut set = Set::expecting(args.get(2), expected, &limits);
            let added = add_members(&mut set, args, &limits);
            ctx.keys.set(key, Value::Set(set), Deadline::Clear);
            added
        }
    };
    ctx.reply.integer(added as i64);
    if added == 0 {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Set, "sadd", key);
    Ok(Effect::Changed)
}

fn srem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let (removed, is_empty) = match write_set(ctx, key)? {
        None => (0, false),
        Some(set) => {
            let mut removed = 0;
            for index in 2..args.len() {
                removed += usize::from(set.remove(args.get(index)));
                if set.is_empty() {
                    break;
                }
            }
            (removed, set.is_empty())
        }
    };
    ctx.reply.integer(removed as i64);
    if removed == 0 {
        return Ok(Effect::Unchanged);
    }
    ctx.settle(Class::Set, "srem", key, is_empty);
    Ok(Effect::Changed)
}

fn smove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let limits = limits(ctx);
    let (source, destination, member) = (ctx.key(args, 1), ctx.key(args, 2), args.get(3));
    let there = ctx.keys.peek(destination).map(|entry| entry.set().is_some());
    let Some(set) = write_set(ctx, source)? else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    if there == Some(false) {
        return Err(Error::WRONG_TYPE);
    }
    if source.bytes == destination.bytes {
        let found = set.contains(member);
        ctx.reply.integer(i64::from(found));
        return Ok(Effect::Unchanged);
    }
    if !set.remove(member) {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    }
    let is_empty = set.is_empty();
    ctx.settle(Class::Set, "srem", source, is_empty);
    let added = match write_set(ctx, destination)? {
        Some(set) => set.insert(member, &limits),
        None => {
            let mut set = Set::expecting(member, 1, &limits);
            set.insert(member, &limits);
            ctx.keys.set(destination, Value::Set(set), Deadline::Clear);
            true
        }
    };
    if added {
        ctx.changed(Class::Set, "sadd", destination);
    }
    ctx.reply.integer(1);
    Ok(Effect::Changed)
}

fn scard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let len = read_set(ctx, key)?.map_or(0, Set::len);
    ctx.reply.integer(len as i64);
    Ok(Effect::Unchanged)
}

fn sismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let found = read_set(ctx, key)?.is_some_and(|set| set.contains(args.get(2)));
    ctx.reply.integer(i64::from(found));
    Ok(Effect::Unchanged)
}

fn smismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let set = match ctx.keys.read(key) {
        None => None,
        Some(entry) => Some(entry.set().ok_or(Error::WRONG_TYPE)?),
    };
    ctx.reply.array(args.len() - 2);
    for index in 2..args.len() {
        let found = set.is_some_and(|set| set.contains(args.get(index)));
        ctx.reply.integer(i64::from(found));
    }
    Ok(Effect::Unchanged)
}

fn smembers(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    read_set(ctx, key)?;
    reply_members(ctx, key);
    Ok(Effect::Unchanged)
}

fn sscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let cursor = cursor(args.get(2))?;
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.keys.read(key) else {
        // A missing key is answered before the options are looked at, as in Redis.
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    };
    let set = entry.set().ok_or(Error::WRONG_TYPE)?;
    let options = WalkOptions::parse(args, false)?;
    // The cursor stands before the members in the reply, but is known after them.
    let (mut members, mut found) = (Vec::new(), 0);
    let next = options.walk(cursor, |cursor| {
        let mut seen = 0;
        let next = set.scan(cursor, |member| {
            seen += 1;
            member.with_bytes(|text| {
                if options.wants(text) {
                    push_bulk(&mut members, text);
                    found += 1;
                }
            });
        });
        (next, seen)
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(found);
    ctx.reply.raw(&members);
    Ok(Effect::Unchanged)
}
