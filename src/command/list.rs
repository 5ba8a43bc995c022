//! Lists: elements in order, taken and given at both ends.
//!
//! A list is never empty: whoever takes the last element deletes the key ([`settle`]). How elements lie in memory
//! is the type's business (`data/list.rs`); here is only which of them a command means, and replies are written
//! straight from where they lie.

use bytes::Bytes;

use crate::base::number::parse_i64;
use crate::command::options::{Options, PopWords};
use crate::command::spec::flag::{DENYOOM, FAST, MOVABLE_KEYS, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::entry::Value;
use crate::data::keyspace::{Deadline, Key};
use crate::data::list::{End, Growth, Item, Limits, List};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

mod several;
pub mod blocking;
#[cfg(test)]
pub(super) mod tests;

const READ_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const META_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO"])];
const INSERT_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "INSERT"])];
const PATCH_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "UPDATE"])];
const DELETE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "DELETE"])];
const TAKE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "DELETE"])];
const MOVE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "DELETE"]), KeySpec::one(2, &["RW", "INSERT"])];

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "lindex", arity: 3, flags: READONLY, keys: READ_ONE, run: lindex, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(N) of the nodes up to the element, O(1) at both ends", "key index",
            "Returns the element at a position, which counts from the tail if it is negative.") },
    Command { name: "linsert", arity: 5, flags: WRITE | DENYOOM, keys: INSERT_ONE, run: linsert, subcommands: &[],
        doc: Group::List.doc("2.2.0", "O(N) of the elements up to the pivot", "key <BEFORE | AFTER> pivot element",
            "Adds an element next to the first one that equals the pivot.") },
    Command { name: "llen", arity: 2, flags: READONLY | FAST, keys: META_ONE, run: llen, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(1)", "key", "Returns how many elements a list has.") },
    Command { name: "lmove", arity: 5, flags: WRITE | DENYOOM, keys: MOVE, run: lmove, subcommands: &[],
        doc: Group::List.doc("6.2.0", "O(1)", "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
            "Takes an element from an end of one list, adds it at an end of another and returns it.") },
    Command { name: "lmovem", arity: -5, flags: WRITE | DENYOOM, keys: MOVE, run: several::lmovem, subcommands: &[],
        doc: Group::List.doc("8.10.0", "O(N) of the elements moved",
            "source destination <LEFT | RIGHT> <LEFT | RIGHT> [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
            "Takes elements from an end of one list, adds them at an end of another and returns them.") },
    Command { name: "lmpop", arity: -4, flags: WRITE | MOVABLE_KEYS,
        keys: &[KeySpec::counted(1, 1, &["RW", "ACCESS", "DELETE"])], run: lmpop, subcommands: &[],
        doc: Group::List.doc("7.0.0", "O(N+M) of the keys and the elements returned", "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
            "Takes elements from an end of the first list that exists.") },
    Command { name: "lpop", arity: -2, flags: WRITE | FAST, keys: TAKE_ONE, run: lpop, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(N) of the elements returned", "key [count]", "Takes elements from the head of a list.") },
    Command { name: "lpos", arity: -3, flags: READONLY, keys: READ_ONE, run: lpos, subcommands: &[],
        doc: Group::List.doc("6.0.6", "O(N) of the elements compared", "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
            "Returns the positions at which an element stands.") },
    Command { name: "lpush", arity: -3, flags: WRITE | DENYOOM | FAST, keys: INSERT_ONE, run: lpush, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(1) per element", "key element [element ...]",
            "Adds elements at the head of a list, creating it if there is none.") },
    Command { name: "lpushx", arity: -3, flags: WRITE | DENYOOM | FAST, keys: INSERT_ONE, run: lpushx, subcommands: &[],
        doc: Group::List.doc("2.2.0", "O(1) per element", "key element [element ...]", "Adds elements at the head of a list that exists.") },
    Command { name: "lrange", arity: 4, flags: READONLY, keys: READ_ONE, run: lrange, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(S+N) of the nodes up to the first element and the elements returned", "key start stop",
            "Returns the elements between two positions, both included.") },
    Command { name: "lrem", arity: 4, flags: WRITE, keys: DELETE_ONE, run: lrem, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(N+M) of the elements compared and removed", "key count element",
            "Removes elements that equal a value: some from the head, some from the tail, or all.") },
    Command { name: "lset", arity: 4, flags: WRITE | DENYOOM, keys: PATCH_ONE, run: lset, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(N) of the nodes up to the element, O(1) at both ends", "key index element",
            "Replaces the element at a position.") },
    Command { name: "ltrim", arity: 4, flags: WRITE, keys: DELETE_ONE, run: ltrim, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(N) of the elements removed", "key start stop",
            "Removes all elements but those between two positions, both included.") },
    Command { name: "rpop", arity: -2, flags: WRITE | FAST, keys: TAKE_ONE, run: rpop, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(N) of the elements returned", "key [count]", "Takes elements from the tail of a list.") },
    Command { name: "rpoplpush", arity: 3, flags: WRITE | DENYOOM, keys: MOVE, run: rpoplpush, subcommands: &[],
        doc: Group::List.doc("1.2.0", "O(1)", "source destination",
            "Takes the element at the tail of one list, adds it at the head of another and returns it.") },
    Command { name: "rpush", arity: -3, flags: WRITE | DENYOOM | FAST, keys: INSERT_ONE, run: rpush, subcommands: &[],
        doc: Group::List.doc("1.0.0", "O(1) per element", "key element [element ...]",
            "Adds elements at the tail of a list, creating it if there is none.") },
    Command { name: "rpushx", arity: -3, flags: WRITE | DENYOOM | FAST, keys: INSERT_ONE, run: rpushx, subcommands: &[],
        doc: Group::List.doc("2.2.0", "O(1) per element", "key element [element ...]", "Adds elements at the tail of a list that exists.") },
];

/// Beyond these bounds Redis refuses a count or rank that may be negative, so that its sign can be turned.
pub const BEYOND_SIGN: Error =
    Error::of("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");

/// Replies an element.
#[inline]
pub fn reply_item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(number) => reply.bulk_integer(number),
        Item::Bytes(bytes) => reply.bulk(bytes),
        Item::Shared(bytes) => reply.bulk_shared(bytes),
    }
}

/// Up to where lists and their nodes stay small.
#[inline]
pub fn limits(ctx: &Ctx<'_>) -> Limits {
    Limits {
        fill: ctx.state.settings.list_max_listpack_size,
        // Larger thresholds than fit are larger than any run, hence without effect.
        alone_from: u32::try_from(ctx.state.debug.quicklist_packed_threshold).unwrap_or(0),
    }
}

/// The list at a key for reading; `None` if there is no key.
#[inline]
fn read_list<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<&'c List>, Error> {
    match ctx.keys.read(key) {
        None => Ok(None),
        Some(entry) => entry.list().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// The list at a key for changing; `None` if there is no key.
#[inline]
fn write_list<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<&'c mut List>, Error> {
    match ctx.keys.write(key) {
        None => Ok(None),
        Some(entry) => entry.list_mut().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// An end by its word.
fn end(word: &[u8]) -> Result<End, Error> {
    if word.eq_ignore_ascii_case(b"left") {
        Ok(End::Front)
    } else if word.eq_ignore_ascii_case(b"right") {
        Ok(End::Back)
    } else {
        Err(Error::SYNTAX)
    }
}

fn push_event(end: End) -> &'static str {
    match end {
        End::Front => "lpush",
        End::Back => "rpush",
    }
}

fn pop_event(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

/// Adds the values of a request to a list; one that came in its own buffer is kept rather than copied.
#[inline]
fn push_values(list: &mut List, args: Args<'_>, end: End, limits: Limits) {
    let values = args.from(2);
    let bytes = values.iter().map(<[u8]>::len).sum();
    let mut growth: Growth<'_> = list.grow(bytes, values.len(), limits);
    for index in 0..values.len() {
        match values.shared(index) {
            Some(bytes) => growth.push_shared(end, bytes.clone()),
            None => growth.push(end, values.get(index)),
        }
    }
}

#[inline]
fn push(ctx: &mut Ctx<'_>, args: Args<'_>, end: End, create: bool) -> Outcome {
    let limits = limits(ctx);
    let key = ctx.key(args, 1);
    let len = match write_list(ctx, key)? {
        Some(list) => {
            push_values(list, args, end, limits);
            list.len()
        }
        None if create => {
            let mut list = Box::new(List::new());
            push_values(&mut list, args, end, limits);
            ctx.keys.set(key, Value::List(list), Deadline::Clear);
            args.len() - 2
        }
        None => {
            ctx.reply.integer(0);
            return Ok(Effect::Unchanged);
        }
    };
    ctx.changed(Class::List, push_event(end), key);
    ctx.reply.integer(len as i64);
    Ok(Effect::Changed)
}

fn lpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Front, true)
}

fn rpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Back, true)
}

fn lpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Front, false)
}

fn rpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Back, false)
}

#[inline]
fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Outcome {
    if args.len() != 2 {
        return pop_count(ctx, args, end);
    }
    let limits = limits(ctx);
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.keys.write(key) else {
        ctx.reply.null();
        return Ok(Effect::Unchanged);
    };
    let list = entry.list_mut().ok_or(Error::WRONG_TYPE)?;
    list.pop(end, limits, |item| reply_item(ctx.reply, item));
    let is_empty = list.is_empty();
    ctx.settle(Class::List, pop_event(end), key, is_empty);
    Ok(Effect::Changed)
}

/// `LPOP key count` and `RPOP key count`.
fn pop_count(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Outcome {
    if args.len() != 3 {
        return Err(Error::arity(pop_event(end)));
    }
    let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(Error::MUST_BE_POSITIVE)?;
    let key = ctx.key(args, 1);
    let Some(list) = write_list(ctx, key)? else {
        ctx.reply.null_array();
        return Ok(Effect::Unchanged);
    };
    let count = count.min(list.len());
    if count == 0 {
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    }
    take(ctx, key, end, count);
    Ok(Effect::Changed)
}

/// Replies and removes `count` elements of a list that has at least so many.
fn take(ctx: &mut Ctx<'_>, key: Key<'_>, end: End, count: usize) {
    let limits = limits(ctx);
    let Some(list) = ctx.keys.write(key).and_then(|entry| entry.list_mut()) else { return };
    let len = list.len();
    ctx.reply.array(count);
    let keep = match end {
        End::Front => {
            list.range(0, count).for_each(|item| reply_item(ctx.reply, item));
            count..len
        }
        End::Back => {
            list.iter_rev().take(count).for_each(|item| reply_item(ctx.reply, item));
            0..len - count
        }
    };
    // A list that goes as a whole is left as it is: deleting the key frees a long one in slices.
    let is_empty = keep.is_empty();
    if !is_empty {
        list.trim(keep, limits);
    }
    ctx.settle(Class::List, pop_event(end), key, is_empty);
}

fn lpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Front)
}

fn rpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Back)
}

fn lmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(effect) = mpop(ctx, args, 1)? {
        return Ok(effect);
    }
    ctx.reply.null_array();
    Ok(Effect::Unchanged)
}

/// `LMPOP` from its number of keys on, which is argument `at`; `None` if all lists are empty.
fn mpop(ctx: &mut Ctx<'_>, args: Args<'_>, at: usize) -> Result<Option<Effect>, Error> {
    let words = PopWords::parse(args, at, end)?;
    for index in words.keys {
        let key = ctx.key(args, index);
        let Some(list) = write_list(ctx, key)? else { continue };
        let count = words.count.min(list.len());
        let name: &[u8] = match words.end {
            End::Front => b"LPOP",
            End::Back => b"RPOP",
        };
        ctx.log(&[name, key.bytes, itoa::Buffer::new().format(count).as_bytes()]);
        ctx.reply.array(2);
        ctx.reply.bulk(key.bytes);
        take(ctx, key, words.end, count);
        return Ok(Some(Effect::Logged));
    }
    Ok(None)
}

fn llen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let len = read_list(ctx, key)?.map_or(0, List::len);
    ctx.reply.integer(len as i64);
    Ok(Effect::Unchanged)
}

fn lindex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    // A missing key is answered before the index is looked at, as in Redis.
    let item = match ctx.keys.read(key) {
        None => None,
        Some(entry) => {
            let list = entry.list().ok_or(Error::WRONG_TYPE)?;
            list.get(parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?)
        }
    };
    match item {
        None => ctx.reply.null(),
        Some(item) => reply_item(ctx.reply, item),
    }
    Ok(Effect::Unchanged)
}

/// The positions between two indexes, both included, of a list of `len` elements: `(first, count)`.
fn span(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let from_head = |index: i64| if index < 0 { index + len } else { index };
    let (first, last) = (from_head(start).max(0), from_head(stop).min(len - 1));
    if last < first { (0, 0) } else { (first as usize, (last - first + 1) as usize) }
}

fn lrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (start, stop) = (ctx.integer(args.get(2))?, ctx.integer(args.get(3))?);
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.keys.read(key) else {
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    };
    let list = entry.list().ok_or(Error::WRONG_TYPE)?;
    let (first, count) = span(start, stop, list.len());
    ctx.reply.array(count);
    for item in list.range(first, count) {
        reply_item(ctx.reply, item);
    }
    Ok(Effect::Unchanged)
}

fn linsert(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let after = if args.get(2).eq_ignore_ascii_case(b"after") {
        true
    } else if args.get(2).eq_ignore_ascii_case(b"before") {
        false
    } else {
        return Err(Error::SYNTAX);
    };
    let limits = limits(ctx);
    let key = ctx.key(args, 1);
    let Some(list) = write_list(ctx, key)? else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    if !list.insert_beside(args.get(3), after, args.get(4), limits) {
        ctx.reply.integer(-1);
        return Ok(Effect::Unchanged);
    }
    let len = list.len();
    ctx.changed(Class::List, "linsert", key);
    ctx.reply.integer(len as i64);
    Ok(Effect::Changed)
}

fn lset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let limits = limits(ctx);
    let key = ctx.key(args, 1);
    let list = write_list(ctx, key)?.ok_or(Error::NO_SUCH_KEY)?;
    let index = parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let found = match args.shared(3) {
        Some(bytes) => list.set_shared(index, bytes.clone(), limits),
        None => list.set(index, args.get(3), limits),
    };
    if !found {
        return Err(Error::INDEX_OUT_OF_RANGE);
    }
    ctx.changed(Class::List, "lset", key);
    ctx.reply.ok();
    Ok(Effect::Changed)
}

fn lrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = ctx.integer(args.get(2))?;
    if count == i64::MIN {
        return Err(BEYOND_SIGN);
    }
    let from = if count < 0 { End::Back } else { End::Front };
    let limits = limits(ctx);
    let key = ctx.key(args, 1);
    let (removed, is_empty) = match write_list(ctx, key)? {
        None => (0, false),
        Some(list) => {
            let removed = list.remove_matching(args.get(3), count.unsigned_abs() as usize, from, limits);
            (removed, list.is_empty())
        }
    };
    ctx.reply.integer(removed as i64);
    if removed == 0 {
        return Ok(Effect::Unchanged);
    }
    ctx.settle(Class::List, "lrem", key, is_empty);
    Ok(Effect::Changed)
}

fn ltrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (start, stop) = (ctx.integer(args.get(2))?, ctx.integer(args.get(3))?);
    let limits = limits(ctx);
    let key = ctx.key(args, 1);
    let Some(list) = write_list(ctx, key)? else {
        ctx.reply.ok();
        return Ok(Effect::Unchanged);
    };
    let (first, count) = span(start, stop, list.len());
    if count == list.len() {
        ctx.reply.ok();
        return Ok(Effect::Unchanged);
    }
    // What goes as a whole is left to the deletion of the key, which frees a long list in slices.
    if 0 < count {
        list.trim(first..first + count, limits);
    }
    ctx.settle(Class::List, "ltrim", key, count == 0);
    ctx.reply.ok();
    Ok(Effect::Changed)
}

/// The options of `LPOS`.
struct PositionOptions {
    rank: i64,
    /// How many matches to reply as an array, 0 = all; without it the first one alone.
    count: Option<usize>,
    /// How many elements to compare, 0 = all.
    compared: usize,
}

impl PositionOptions {
    fn parse(args: Args<'_>) -> Result<PositionOptions, Error> {
        let limit = |arg: &[u8], error: Error| {
            parse_i64(arg).and_then(|limit| usize::try_from(limit).ok()).ok_or(error)
        };
        let mut found = PositionOptions { rank: 1, count: None, compared: 0 };
        let mut options = Options::new(args, 3);
        while options.more() {
            if options.word_with_value("RANK") {
                found.rank = options.integer()?;
                if found.rank == i64::MIN {
                    return Err(BEYOND_SIGN);
                }
                if found.rank == 0 {
                    return Err(Error::of(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                         or use negative to start from the end of the list",
                    ));
                }
            } else if options.word_with_value("COUNT") {
                let count = limit(options.value()?, Error::of("ERR COUNT can't be negative"))?;
                found.count = Some(count);
            } else if options.word_with_value("MAXLEN") {
                found.compared = limit(options.value()?, Error::of("ERR MAXLEN can't be negative"))?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(found)
    }
}

fn lpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = PositionOptions::parse(args)?;
    let key = ctx.key(args, 1);
    let list = match ctx.keys.read(key) {
        None => &List::new(),
        Some(entry) => entry.list().ok_or(Error::WRONG_TYPE)?,
    };
    let element = args.get(2);
    let Some(count) = options.count else {
        let mut first = None;
        list.position(element, options.rank, 1, options.compared, |index| first = Some(index));
        match first {
            None => ctx.reply.null(),
            Some(index) => ctx.reply.integer(index as i64),
        }
        return Ok(Effect::Unchanged);
    };
    let mark = ctx.reply.later();
    let mut matches = 0;
    list.position(element, options.rank, count, options.compared, |index| {
        ctx.reply.integer(index as i64);
        matches += 1;
    });
    ctx.reply.fill_array(mark, matches);
    Ok(Effect::Unchanged)
}

/// Elements up to this length are moved over the stack.
const CARRIED_MAX: usize = 128;

/// An element on its way from one list to another.
enum Carried {
    Short([u8; CARRIED_MAX], usize),
    Long(Vec<u8>),
    Shared(Bytes),
}

impl Carried {
    #[inline]
    fn of(item: Item<'_>) -> Carried {
        if let Item::Shared(bytes) = item {
            return Carried::Shared(bytes.clone());
        }
        item.with_bytes(|text| {
            if CARRIED_MAX < text.len() {
                return Carried::Long(text.to_vec());
            }
            let mut short = [0; CARRIED_MAX];
            short[..text.len()].copy_from_slice(text);
            Carried::Short(short, text.len())
        })
    }

    #[inline]
    fn push_to(self, list: &mut List, end: End, limits: Limits) {
        match self {
            Carried::Short(text, len) => list.push(end, &text[..len], limits),
            Carried::Long(text) => list.push(end, &text, limits),
            Carried::Shared(bytes) => list.grow(bytes.len(), 1, limits).push_shared(end, bytes),
        }
    }
}

/// Moves an element between two lists, which may be the same; `Unchanged`, and no reply, if there is none.
fn carry(ctx: &mut Ctx<'_>, args: Args<'_>, from: End, to: End) -> Outcome {
    let limits = limits(ctx);
    let (source, destination) = (ctx.key(args, 1), ctx.key(args, 2));
    let there = ctx.keys.peek(destination).map(|entry| entry.list().is_some());
    let Some(entry) = ctx.keys.write(source) else { return Ok(Effect::Unchanged) };
    let list = entry.list_mut().ok_or(Error::WRONG_TYPE)?;
    if there == Some(false) {
        return Err(Error::WRONG_TYPE);
    }
    let carried = list.pop(from, limits, |item| {
        reply_item(ctx.reply, item);
        Carried::of(item)
    });
    let carried = carried.expect("a list at a key is never empty");
    // Looked at before the element arrives: of a list that is turned round, something is left.
    let is_empty = list.is_empty() && source.bytes != destination.bytes;
    if there.is_none() {
        let mut list = Box::new(List::new());
        carried.push_to(&mut list, to, limits);
        ctx.keys.set(destination, Value::List(list), Deadline::Clear);
    } else if let Some(list) = write_list(ctx, destination)? {
        carried.push_to(list, to, limits);
    }
    ctx.changed(Class::List, push_event(to), destination);
    ctx.settle(Class::List, pop_event(from), source, is_empty);
    Ok(Effect::Changed)
}

fn lmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (from, to) = (end(args.get(3))?, end(args.get(4))?);
    carry_or_null(ctx, args, from, to)
}

fn rpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    carry_or_null(ctx, args, End::Back, End::Front)
}

fn carry_or_null(ctx: &mut Ctx<'_>, args: Args<'_>, from: End, to: End) -> Outcome {
    let effect = carry(ctx, args, from, to)?;
    if effect == Effect::Unchanged {
        ctx.reply.null();
    }
    Ok(effect)
}
