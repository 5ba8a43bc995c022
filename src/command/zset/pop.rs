//! Members from the ends, at random, and step by step.

use std::collections::BTreeSet;

use super::{read, remove_ranks, reply_header, reply_member, write};
use crate::base::double::push_double;
use crate::base::number::{parse_i64, push_f64};
use crate::base::random::Random;
use crate::command::cursor::{WalkOptions, cursor};
use crate::command::list::reply_item;
use crate::command::options::PopWords;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::data::keyspace::Key;
use crate::data::zset::Zset;
use crate::resp::request::Args;

/// Replies and removes `count` members of a sorted set that has at least so many, from one end, in an array. `pairs`:
/// each member and its score are an array, too.
fn take_array(ctx: &mut Ctx<'_>, key: Key<'_>, highest: bool, count: usize, pairs: bool) {
    ctx.reply.array(if pairs { count } else { 2 * count });
    take_pairs(ctx, key, highest, count, pairs);
}

/// As [`take_array`], but only the members and scores.
pub(super) fn take(ctx: &mut Ctx<'_>, key: Key<'_>, highest: bool, count: usize) {
    take_pairs(ctx, key, highest, count, false);
}

fn take_pairs(ctx: &mut Ctx<'_>, key: Key<'_>, highest: bool, count: usize, pairs: bool) {
    let Some(zset) = ctx.keys.write(key).and_then(|entry| entry.zset_mut()) else { return };
    let len = zset.len();
    let ranks = if highest { len - count..len } else { 0..count };
    let mut members = zset.range(ranks.clone());
    while let Some((item, score)) = if highest { members.next_back() } else { members.next() } {
        if pairs {
            ctx.reply.array(2);
        }
        reply_item(ctx.reply, item);
        ctx.reply.double(score);
    }
    // What goes as a whole is left to the deletion of the key, which frees a long set in slices.
    if count < len {
        remove_ranks(ctx.keys, key, ranks);
    }
    ctx.settle(Class::Zset, if highest { "zpopmax" } else { "zpopmin" }, key, count == len);
}

fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, highest: bool) -> Outcome {
    if 3 < args.len() {
        return Err(Error::SYNTAX);
    }
    let counted = args.len() == 3;
    let count = if counted { parse_i64(args.get(2)) } else { Some(1) };
    let count = count.and_then(|count| usize::try_from(count).ok()).ok_or(Error::MUST_BE_POSITIVE)?;
    let key = ctx.key(args, 1);
    let len = write(ctx.keys, key)?.map_or(0, |zset| zset.len());
    let count = count.min(len);
    if count == 0 {
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    }
    let pairs = counted && ctx.reply.resp3();
    take_array(ctx, key, highest, count, pairs);
    Ok(Effect::Changed)
}

pub(super) fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, false)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, true)
}

pub(super) fn zmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(effect) = mpop(ctx, args, 1)? {
        return Ok(effect);
    }
    ctx.reply.null_array();
    Ok(Effect::Unchanged)
}

/// `ZMPOP` from its number of keys on, which is argument `at`; `None` if all sorted sets are empty.
pub(super) fn mpop(ctx: &mut Ctx<'_>, args: Args<'_>, at: usize) -> Result<Option<Effect>, Error> {
    let words = PopWords::parse(args, at, |word| match word.eq_ignore_ascii_case(b"MAX") {
        true => Ok(true),
        false if word.eq_ignore_ascii_case(b"MIN") => Ok(false),
        false => Err(Error::SYNTAX),
    })?;
    let highest = words.end;
    for index in words.keys {
        let key = ctx.key(args, index);
        let Some(zset) = write(ctx.keys, key)? else { continue };
        let count = words.count.min(zset.len());
        let name: &[u8] = if highest { b"ZPOPMAX" } else { b"ZPOPMIN" };
        ctx.log(&[name, key.bytes, itoa::Buffer::new().format(count).as_bytes()]);
        ctx.reply.array(2);
        ctx.reply.bulk(key.bytes);
        take_array(ctx, key, highest, count, true);
        return Ok(Some(Effect::Logged));
    }
    Ok(None)
}

/// Draws of one `ZRANDMEMBER` with repetitions at most; the reply to more would fit no memory.
const DRAWS_MAX: u64 = 1 << 32;

/// `count` different ranks below `len`, which is more than that.
fn distinct(count: usize, len: usize, random: &mut Random) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(count);
    let mut drawn = BTreeSet::new();
    // For each of the last `count` ranks draws one up to it, and takes it itself where that was drawn before: every
    // choice is as likely as any other, and there are never more draws than ranks wanted.
    for last in len - count..len {
        let rank = random.below(last as u64 + 1) as usize;
        let rank = if drawn.insert(rank) { rank } else { last };
        drawn.insert(rank);
        ranks.push(rank);
    }
    random.shuffle(&mut ranks);
    ranks
}

fn reply_ranks(ctx: &mut Ctx<'_>, key: Key<'_>, ranks: impl Iterator<Item = usize>, scores: bool) {
    let Some(zset) = ctx.keys.stored(key).and_then(|entry| entry.zset()) else { return };
    for rank in ranks {
        if let Some((item, score)) = zset.range(rank..rank + 1).next() {
            reply_member(ctx.reply, item, score, scores);
        }
    }
}

pub(super) fn zrandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    const BEYOND_SIGN: Error = Error::of(
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    let key = ctx.key(args, 1);
    let mut random = Random::seeded(ctx.keys.random.next_u64());
    if args.len() == 2 {
        match read(ctx.keys, key)?.map(Zset::len) {
            None => ctx.reply.null(),
            Some(len) => {
                let rank = random.below(len as u64) as usize;
                reply_ranks(ctx, key, std::iter::once(rank), false);
            }
        }
        return Ok(Effect::Unchanged);
    }
    let count = ctx.integer(args.get(2))?;
    if count == i64::MIN {
        return Err(BEYOND_SIGN);
    }
    let scores = 3 < args.len();
    if 4 < args.len() || (scores && !args.get(3).eq_ignore_ascii_case(b"withscores")) {
        return Err(Error::SYNTAX);
    }
    if scores && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(Error::OUT_OF_RANGE);
    }
    let len = read(ctx.keys, key)?.map_or(0, Zset::len);
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if len == 0 || wanted == 0 {
        ctx.reply.array(0);
    } else if count < 0 {
        if DRAWS_MAX < count.unsigned_abs() {
            return Err(Error::OUT_OF_RANGE);
        }
        reply_header(ctx.reply, wanted, scores);
        let draws = std::iter::repeat_with(|| random.below(len as u64) as usize);
        reply_ranks(ctx, key, draws.take(wanted), scores);
    } else if len <= wanted {
        // All of them, as in Redis from the highest down.
        reply_header(ctx.reply, len, scores);
        if let Some(zset) = ctx.keys.stored(key).and_then(|entry| entry.zset()) {
            zset.iter().rev().for_each(|(item, score)| reply_member(ctx.reply, item, score, scores));
        }
    } else {
        reply_header(ctx.reply, wanted, scores);
        reply_ranks(ctx, key, distinct(wanted, len, &mut random).into_iter(), scores);
    }
    Ok(Effect::Unchanged)
}

pub(super) fn zscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let cursor = cursor(args.get(2))?;
    let key = ctx.key(args, 1);
    let Some(zset) = read(ctx.keys, key)? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    };
    let options = WalkOptions::parse_with(args, "NOSCORES")?;
    // The cursor stands before the members in the reply, but is known after them.
    let mut found: Vec<(Vec<u8>, f64)> = Vec::new();
    let next = options.walk(cursor, |cursor| {
        let mut seen = 0;
        let next = zset.scan(cursor, |item, score| {
            seen += 1;
            item.with_bytes(|text| {
                if options.wants(text) {
                    found.push((text.to_vec(), score));
                }
            });
        });
        (next, seen)
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(if options.fields_only { found.len() } else { 2 * found.len() });
    // Redis prints the scores of a long set with more digits here than anywhere else.
    let push = if zset.as_pack().is_some() { push_double } else { push_f64 };
    let mut digits = Vec::new();
    for (text, score) in found {
        ctx.reply.bulk(&text);
        if !options.fields_only {
            digits.clear();
            push(&mut digits, score);
            ctx.reply.bulk(&digits);
        }
    }
    Ok(Effect::Unchanged)
}
