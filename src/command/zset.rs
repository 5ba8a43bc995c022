//! Sorted sets: members with scores, in the order of the scores.
//!
//! A sorted set is never empty: whoever takes the last member deletes the key ([`settle`]). How members lie in memory
//! is the type's business (`data/zset.rs`). Here are adding, removing and looking up; `range.rs` has what goes by ranges
//! of ranks, scores or texts, `pop.rs` what takes from the ends or at random, `combine.rs` unions and their like.

mod combine;
mod pop;
pub mod blocking;
mod range;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::base::number::parse_f64;
use crate::command::list::reply_item;
use crate::command::options::Options;
use crate::command::spec::flag::{DENYOOM, FAST, MOVABLE_KEYS, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::element::Item;
use crate::data::entry::Value;
use crate::data::keyspace::{Deadline, Key, Keyspace};
use crate::data::zset::{Limits, Zset};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

const READ_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const META_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO"])];
const PATCH_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "UPDATE"])];
const ADD_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "UPDATE"])];
const DELETE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "DELETE"])];
const TAKE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "DELETE"])];
const READ_ALL: &[KeySpec] = &[KeySpec::counted(1, 1, &["RO", "ACCESS"])];
const STORE_ALL: &[KeySpec] =
    &[KeySpec::one(1, &["OW", "UPDATE"]), KeySpec::counted(2, 1, &["RO", "ACCESS"])];
const STORE_ONE: &[KeySpec] = &[KeySpec::one(1, &["OW", "UPDATE"]), KeySpec::one(2, &["RO", "ACCESS"])];

const SEARCH: &str = "O(log(N)) of the members";
const SEARCH_AND_COUNT: &str = "O(log(N)+M) of the members and those returned";
const SEARCH_AND_REMOVE: &str = "O(log(N)*M) of the members and those removed";
const OF_ALL: &str = "O(N*log(N)) of the members of all sets";

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "zadd", arity: -4, flags: WRITE | DENYOOM | FAST, keys: PATCH_ONE, run: zadd, subcommands: &[],
        doc: Group::SortedSet.doc("1.2.0", "O(log(N)) of the members for each one added",
            "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
            "Adds members to a sorted set or changes their scores, creating the set if there is none.") },
    Command { name: "zcard", arity: 2, flags: READONLY | FAST, keys: META_ONE, run: zcard, subcommands: &[],
        doc: Group::SortedSet.doc("1.2.0", "O(1)", "key", "Returns how many members a sorted set has.") },
    Command { name: "zcount", arity: 4, flags: READONLY | FAST, keys: READ_ONE, run: range::zcount, subcommands: &[],
        doc: Group::SortedSet.doc("2.0.0", SEARCH, "key min max", "Counts the members with scores in a range.") },
    Command { name: "zdiff", arity: -3, flags: READONLY | MOVABLE_KEYS, keys: READ_ALL, run: combine::zdiff, subcommands: &[],
        doc: Group::SortedSet.doc("6.2.0", OF_ALL, "numkeys key [key ...] [WITHSCORES]",
            "Returns the members of the first sorted set that none of the others has.") },
    Command { name: "zdiffstore", arity: -4, flags: WRITE | DENYOOM | MOVABLE_KEYS, keys: STORE_ALL, run: combine::zdiffstore, subcommands: &[],
        doc: Group::SortedSet.doc("6.2.0", OF_ALL, "destination numkeys key [key ...]",
            "Stores the members of the first sorted set that none of the others has.") },
    Command { name: "zincrby", arity: 4, flags: WRITE | DENYOOM | FAST, keys: ADD_ONE, run: zincrby, subcommands: &[],
        doc: Group::SortedSet.doc("1.2.0", SEARCH, "key increment member", "Adds to the score of a member, which begins at zero.") },
    Command { name: "zinter", arity: -3, flags: READONLY | MOVABLE_KEYS, keys: READ_ALL, run: combine::zinter, subcommands: &[],
        doc: Group::SortedSet.doc("6.2.0", OF_ALL,
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>] [WITHSCORES]",
            "Returns the members that all sorted sets have.") },
    Command { name: "zintercard", arity: -3, flags: READONLY | MOVABLE_KEYS, keys: READ_ALL, run: combine::zintercard, subcommands: &[],
        doc: Group::SortedSet.doc("7.0.0", "O(N*K) of the members of the smallest set and the sets", "numkeys key [key ...] [LIMIT limit]",
            "Counts the members that all sorted sets have.") },
    Command { name: "zinterstore", arity: -4, flags: WRITE | DENYOOM | MOVABLE_KEYS, keys: STORE_ALL, run: combine::zinterstore, subcommands: &[],
        doc: Group::SortedSet.doc("2.0.0", OF_ALL,
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>]",
            "Stores the members that all sorted sets have.") },
    Command { name: "zlexcount", arity: 4, flags: READONLY | FAST, keys: READ_ONE, run: range::zlexcount, subcommands: &[],
        doc: Group::SortedSet.doc("2.8.9", SEARCH, "key min max", "Counts the members with texts in a range.") },
    Command { name: "zmpop", arity: -4, flags: WRITE | MOVABLE_KEYS, keys: &[KeySpec::counted(1, 1, &["RW", "ACCESS", "DELETE"])],
        run: pop::zmpop, subcommands: &[],
        doc: Group::SortedSet.doc("7.0.0", "O(K)+O(M*log(N)) of the keys, the members returned and those of the set",
            "numkeys key [key ...] <MIN | MAX> [COUNT count]",
            "Takes the lowest or highest members of the first sorted set that exists.") },
    Command { name: "zmscore", arity: -3, flags: READONLY | FAST, keys: READ_ONE, run: zmscore, subcommands: &[],
        doc: Group::SortedSet.doc("6.2.0", "O(N) of the members asked for", "key member [member ...]", "Returns the scores of members.") },
    Command { name: "zpopmax", arity: -2, flags: WRITE | FAST, keys: TAKE_ONE, run: pop::zpopmax, subcommands: &[],
        doc: Group::SortedSet.doc("5.0.0", SEARCH_AND_REMOVE, "key [count]", "Takes the members with the highest scores.") },
    Command { name: "zpopmin", arity: -2, flags: WRITE | FAST, keys: TAKE_ONE, run: pop::zpopmin, subcommands: &[],
        doc: Group::SortedSet.doc("5.0.0", SEARCH_AND_REMOVE, "key [count]", "Takes the members with the lowest scores.") },
    Command { name: "zrandmember", arity: -2, flags: READONLY, keys: READ_ONE, run: pop::zrandmember, subcommands: &[],
        doc: Group::SortedSet.doc("6.2.0", "O(N) of the members returned", "key [count [WITHSCORES]]", "Returns members drawn at random.") },
    Command { name: "zrange", arity: -4, flags: READONLY, keys: READ_ONE, run: range::zrange, subcommands: &[],
        doc: Group::SortedSet.doc("1.2.0", SEARCH_AND_COUNT, "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
            "Returns the members in a range of ranks, scores or texts.") },
    Command { name: "zrangebylex", arity: -4, flags: READONLY, keys: READ_ONE, run: range::zrangebylex, subcommands: &[],
        doc: Group::SortedSet.doc("2.8.9", SEARCH_AND_COUNT, "key min max [LIMIT offset count]", "Returns the members with texts in a range.") },
    Command { name: "zrangebyscore", arity: -4, flags: READONLY, keys: READ_ONE, run: range::zrangebyscore, subcommands: &[],
        doc: Group::SortedSet.doc("1.0.5", SEARCH_AND_COUNT, "key min max [WITHSCORES] [LIMIT offset count]",
            "Returns the members with scores in a range.") },
    Command { name: "zrangestore", arity: -5, flags: WRITE | DENYOOM, keys: STORE_ONE, run: range::zrangestore, subcommands: &[],
        doc: Group::SortedSet.doc("6.2.0", "O(log(N)+M*log(M)) of the members and those stored",
            "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
            "Stores the members in a range of ranks, scores or texts.") },
    Command { name: "zrank", arity: -3, flags: READONLY | FAST, keys: READ_ONE, run: zrank, subcommands: &[],
        doc: Group::SortedSet.doc("2.0.0", SEARCH, "key member [WITHSCORE]", "Returns the rank of a member, from the lowest score.") },
    Command { name: "zrem", arity: -3, flags: WRITE | FAST, keys: DELETE_ONE, run: zrem, subcommands: &[],
        doc: Group::SortedSet.doc("1.2.0", SEARCH_AND_REMOVE, "key member [member ...]", "Removes members from a sorted set.") },
    Command { name: "zremrangebylex", arity: 4, flags: WRITE, keys: DELETE_ONE, run: range::zremrangebylex, subcommands: &[],
        doc: Group::SortedSet.doc("2.8.9", SEARCH_AND_REMOVE, "key min max", "Removes the members with texts in a range.") },
    Command { name: "zremrangebyrank", arity: 4, flags: WRITE, keys: DELETE_ONE, run: range::zremrangebyrank, subcommands: &[],
        doc: Group::SortedSet.doc("2.0.0", SEARCH_AND_REMOVE, "key start stop", "Removes the members in a range of ranks.") },
    Command { name: "zremrangebyscore", arity: 4, flags: WRITE, keys: DELETE_ONE, run: range::zremrangebyscore, subcommands: &[],
        doc: Group::SortedSet.doc("1.2.0", SEARCH_AND_REMOVE, "key min max", "Removes the members with scores in a range.") },
    Command { name: "zrevrange", arity: -4, flags: READONLY, keys: READ_ONE, run: range::zrevrange, subcommands: &[],
        doc: Group::SortedSet.doc("1.2.0", SEARCH_AND_COUNT, "key start stop [WITHSCORES]",
            "Returns the members in a range of ranks, from the highest score down.") },
    Command { name: "zrevrangebylex", arity: -4, flags: READONLY, keys: READ_ONE, run: range::zrevrangebylex, subcommands: &[],
        doc: Group::SortedSet.doc("2.8.9", SEARCH_AND_COUNT, "key max min [LIMIT offset count]",
            "Returns the members with texts in a range, from the last one back.") },
    Command { name: "zrevrangebyscore", arity: -4, flags: READONLY, keys: READ_ONE, run: range::zrevrangebyscore, subcommands: &[],
        doc: Group::SortedSet.doc("2.2.0", SEARCH_AND_COUNT, "key max min [WITHSCORES] [LIMIT offset count]",
            "Returns the members with scores in a range, from the highest down.") },
    Command { name: "zrevrank", arity: -3, flags: READONLY | FAST, keys: READ_ONE, run: zrevrank, subcommands: &[],
        doc: Group::SortedSet.doc("2.0.0", SEARCH, "key member [WITHSCORE]", "Returns the rank of a member, from the highest score.") },
    Command { name: "zscan", arity: -3, flags: READONLY, keys: READ_ONE, run: pop::zscan, subcommands: &[],
        doc: Group::SortedSet.doc("2.8.0", "O(1) for a step, O(N) of the members for all steps together",
            "key cursor [MATCH pattern] [COUNT count] [NOSCORES]", "Walks over the members of a sorted set, a few in each step.") },
    Command { name: "zscore", arity: 3, flags: READONLY | FAST, keys: READ_ONE, run: zscore, subcommands: &[],
        doc: Group::SortedSet.doc("1.2.0", "O(1)", "key member", "Returns the score of a member.") },
    Command { name: "zunion", arity: -3, flags: READONLY | MOVABLE_KEYS, keys: READ_ALL, run: combine::zunion, subcommands: &[],
        doc: Group::SortedSet.doc("6.2.0", OF_ALL,
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>] [WITHSCORES]",
            "Returns the members that any of the sorted sets has.") },
    Command { name: "zunionstore", arity: -4, flags: WRITE | DENYOOM | MOVABLE_KEYS, keys: STORE_ALL, run: combine::zunionstore, subcommands: &[],
        doc: Group::SortedSet.doc("2.0.0", OF_ALL,
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>]",
            "Stores the members that any of the sorted sets has.") },
];

/// Up to where sorted sets are packs.
#[inline]
pub fn limits(ctx: &Ctx<'_>) -> Limits {
    let settings = &ctx.state.settings;
    Limits {
        entries: settings.zset_max_listpack_entries,
        value: settings.zset_max_listpack_value,
        hasher: ctx.keys.hasher().clone(),
    }
}

/// The sorted set at a key for reading; `None` if there is no key.
#[inline]
pub fn read<'c>(keys: &'c mut Keyspace, key: Key<'_>) -> Result<Option<&'c Zset>, Error> {
    match keys.read(key) {
        None => Ok(None),
        Some(entry) => entry.zset().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// The sorted set at a key for changing; `None` if there is no key.
#[inline]
pub fn write<'c>(keys: &'c mut Keyspace, key: Key<'_>) -> Result<Option<&'c mut Zset>, Error> {
    match keys.write(key) {
        None => Ok(None),
        Some(entry) => entry.zset_mut().map(Some).ok_or(Error::WRONG_TYPE),
    }
}

/// Removes the members of these ranks from a sorted set that is there; not all, for that is left to the deletion of the
/// key. Where few members stay they move out, and what they leave is freed in slices.
fn remove_ranks(keys: &mut Keyspace, key: Key<'_>, ranks: Range<usize>) {
    let Some(zset) = keys.write(key).and_then(|entry| entry.zset_mut()) else { return };
    match zset.without(&ranks) {
        None => zset.remove_range(ranks),
        Some(others) => {
            keys.set(key, Value::Zset(others), Deadline::Keep);
        }
    }
}

/// Puts a result under a key, in the place of whatever is there; an empty one deletes the key. Replies its length.
pub fn store(ctx: &mut Ctx<'_>, key: Key<'_>, result: Zset, event: &'static str) -> Outcome {
    let len = result.len();
    ctx.reply.integer(len as i64);
    if 0 < len {
        ctx.keys.set(key, Value::Zset(result), Deadline::Clear);
        ctx.changed(Class::Zset, event, key);
    } else if ctx.keys.delete(key) {
        ctx.changed(Class::Generic, "del", key);
    } else {
        return Ok(Effect::Unchanged);
    }
    Ok(Effect::Changed)
}

/// Replies the header of `count` members: with scores these are pairs, for which RESP2 has no form of its own.
fn reply_header(reply: &mut Reply, count: usize, scores: bool) {
    reply.array(if scores && !reply.resp3() { 2 * count } else { count });
}

/// Replies a member, with its score if so wished.
#[inline]
fn reply_member(reply: &mut Reply, item: Item<'_>, score: f64, scores: bool) {
    if scores && reply.resp3() {
        reply.array(2);
    }
    reply_item(reply, item);
    if scores {
        reply.double(score);
    }
}

/// The options of `ZADD`.
#[derive(Clone, Copy, Default, Debug)]
pub struct AddOptions {
    /// Leaves members that are there as they are.
    pub nx: bool,
    /// Leaves out members that are not there.
    pub xx: bool,
    /// Leaves scores that would not grow as they are.
    pub gt: bool,
    /// Leaves scores that would not fall as they are.
    pub lt: bool,
    /// Counts changed scores as well.
    pub ch: bool,
    /// Adds to the score and replies the sum.
    pub incr: bool,
}

impl AddOptions {
    /// Reads the options; returns also where the scores begin.
    fn parse(args: Args<'_>) -> Result<(AddOptions, usize), Error> {
        let mut found = AddOptions::default();
        let mut options = Options::new(args, 2);
        loop {
            // Most calls have none, which the first byte tells.
            if options.peek().is_none_or(|word| !word.first().is_some_and(u8::is_ascii_alphabetic)) {
                break;
            }
            let place = match () {
                () if options.word("NX") => &mut found.nx,
                () if options.word("XX") => &mut found.xx,
                () if options.word("GT") => &mut found.gt,
                () if options.word("LT") => &mut found.lt,
                () if options.word("CH") => &mut found.ch,
                () if options.word("INCR") => &mut found.incr,
                () => break,
            };
            *place = true;
        }
        let (first, left) = (options.position(), options.left());
        if left == 0 || left % 2 != 0 {
            return Err(Error::SYNTAX);
        }
        if found.nx && found.xx {
            return Err(Error::of("ERR XX and NX options at the same time are not compatible"));
        }
        if (found.nx && (found.gt || found.lt)) || (found.gt && found.lt) {
            return Err(Error::of("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if found.incr && 2 < left {
            return Err(Error::of("ERR INCR option supports a single increment-element pair"));
        }
        Ok((found, first))
    }

    /// The score that a member gets; `None` if it is left as it is, or out.
    #[inline]
    fn decide(&self, old: Option<f64>, score: f64) -> Option<f64> {
        let Some(old) = old else { return (!self.xx).then_some(score) };
        let new = if self.incr { old + score } else { score };
        let refused = self.nx || (self.gt && new <= old) || (self.lt && old <= new);
        (!refused).then_some(new)
    }
}

/// What adding some members came to.
#[derive(Default)]
struct Added {
    added: usize,
    updated: usize,
    /// The score of the last member, if it was not left as it was.
    score: Option<f64>,
}

/// Adds members with their scores.
#[inline]
fn add_pairs<'a>(
    zset: &mut Zset,
    pairs: impl Iterator<Item = (f64, &'a [u8])>,
    options: AddOptions,
    limits: &Limits,
) -> Result<Added, Error> {
    let mut sum = Added::default();
    for (score, text) in pairs {
        let mut new = None;
        let (old, _) = zset.update(text, limits, |old| {
            new = options.decide(old, score);
            // A score that stays the same keeps even the sign of a zero.
            let same = old.filter(|old| new == Some(*old));
            same.or(new.filter(|new| !new.is_nan()))
        });
        if new.is_some_and(f64::is_nan) {
            // Only an increment gets here, and it is the only pair.
            return Err(Error::of("ERR resulting score is not a number (NaN)"));
        }
        sum.added += usize::from(old.is_none() && new.is_some());
        sum.updated += usize::from(old.is_some() && new.is_some() && new != old);
        sum.score = new;
    }
    Ok(sum)
}

/// `ZADD`: adds members with their scores to the sorted set at a key.
///
/// # Errors
///
/// The key holds another type; or a score that is incremented, the only one then, would be no number.
#[inline]
pub fn add<'a>(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    options: AddOptions,
    pairs: impl Iterator<Item = (f64, &'a [u8])> + Clone,
) -> Outcome {
    let limits = limits(ctx);
    let sum = match write(ctx.keys, key)? {
        Some(zset) => {
            zset.expect(pairs.size_hint().1.unwrap_or(0), &limits);
            add_pairs(zset, pairs, options, &limits)?
        }
        None if options.xx => Added::default(),
        None => {
            let longest = pairs.clone().map(|(_, text)| text.len()).max().unwrap_or(0);
            let mut zset = Zset::for_members(pairs.clone().count(), longest, &limits);
            let sum = add_pairs(&mut zset, pairs, options, &limits)?;
            ctx.keys.set(key, Value::Zset(zset), Deadline::Clear);
            sum
        }
    };
    match sum.score {
        None if options.incr => ctx.reply.null(),
        Some(score) if options.incr => ctx.reply.double(score),
        _ => ctx.reply.integer((sum.added + if options.ch { sum.updated } else { 0 }) as i64),
    }
    if sum.added + sum.updated == 0 {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Zset, if options.incr { "zincr" } else { "zadd" }, key);
    Ok(Effect::Changed)
}

/// Adds the scores and members of a request from `first` on.
fn add_args(ctx: &mut Ctx<'_>, args: Args<'_>, first: usize, options: AddOptions) -> Outcome {
    let places = (first..args.len()).step_by(2);
    for at in places.clone() {
        parse_f64(args.get(at)).ok_or(Error::NOT_FLOAT)?;
    }
    let key = ctx.key(args, 1);
    add(ctx, key, options, places.map(|at| (parse_f64(args.get(at)).unwrap_or(0.0), args.get(at + 1))))
}

fn zadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (options, first) = AddOptions::parse(args)?;
    add_args(ctx, args, first, options)
}

fn zincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    // As in Redis an increment may not look like an option of `ZADD`.
    let (options, first) = AddOptions::parse(args)?;
    add_args(ctx, args, first, AddOptions { incr: true, ..options })
}

fn zrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let (removed, is_empty) = match write(ctx.keys, key)? {
        None => (0, false),
        Some(zset) => {
            let members = (2..args.len()).map(|index| args.get(index));
            (members.filter(|member| zset.remove(member).is_some()).count(), zset.is_empty())
        }
    };
    ctx.reply.integer(removed as i64);
    if removed == 0 {
        return Ok(Effect::Unchanged);
    }
    ctx.settle(Class::Zset, "zrem", key, is_empty);
    Ok(Effect::Changed)
}

fn zcard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let len = read(ctx.keys, key)?.map_or(0, Zset::len);
    ctx.reply.integer(len as i64);
    Ok(Effect::Unchanged)
}

/// Replies a score, or that there is none.
pub fn reply_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        None => reply.null(),
        Some(score) => reply.double(score),
    }
}

fn zscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let score = read(ctx.keys, key)?.and_then(|zset| zset.score(args.get(2)));
    reply_score(ctx.reply, score);
    Ok(Effect::Unchanged)
}

fn zmscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let zset = read(ctx.keys, key)?;
    ctx.reply.array(args.len() - 2);
    for index in 2..args.len() {
        reply_score(ctx.reply, zset.and_then(|zset| zset.score(args.get(index))));
    }
    Ok(Effect::Unchanged)
}

fn rank(ctx: &mut Ctx<'_>, args: Args<'_>, reverse: bool) -> Outcome {
    if 4 < args.len() {
        return Err(Error::arity(if reverse { "zrevrank" } else { "zrank" }));
    }
    let with_score = args.len() == 4;
    if with_score && !args.get(3).eq_ignore_ascii_case(b"withscore") {
        return Err(Error::SYNTAX);
    }
    let key = ctx.key(args, 1);
    let zset = read(ctx.keys, key)?;
    match zset.and_then(|zset| Some((zset.rank(args.get(2))?, zset.len()))) {
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
        Some(((rank, score), len)) => {
            if with_score {
                ctx.reply.array(2);
            }
            ctx.reply.integer(if reverse { len - 1 - rank } else { rank } as i64);
            if with_score {
                ctx.reply.double(score);
            }
        }
    }
    Ok(Effect::Unchanged)
}

fn zrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    rank(ctx, args, false)
}

fn zrevrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    rank(ctx, args, true)
}
