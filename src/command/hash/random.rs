//! `HRANDFIELD`: fields drawn at random.

use std::collections::HashSet;

use super::{reply_option, to_read};
use crate::base::date::UnixMs;
use crate::base::number::parse_i64;
use crate::base::random::Random;
use crate::command::list::reply_item;
use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::data::hash::{Hash, Pair};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

/// Beyond these bounds Redis refuses a count that may be negative, so that its sign can be turned.
const BEYOND_SIGN: Error =
    Error::of("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");

/// A hash of which this many times the wanted fields are there is drawn from; others are gone through.
const DRAWN_FROM: usize = 3;

/// Draws for one field, of which the hash has some that are not due; after so many misses the fields are gone through.
const DRAWS_MAX: usize = 32;

pub(super) fn hrandfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() == 2 {
        return one(ctx, args);
    }
    let count = parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    if count == i64::MIN {
        return Err(BEYOND_SIGN);
    }
    let with_values = match args.len() {
        3 => false,
        4 if args.get(3).eq_ignore_ascii_case(b"WITHVALUES") => true,
        _ => return Err(Error::SYNTAX),
    };
    if with_values && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(Error::OUT_OF_RANGE);
    }
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let mut random = ctx.keys.random.clone();
    let hash = to_read(ctx.keys, key)?;
    match (hash, usize::try_from(count)) {
        (None, _) | (_, Ok(0)) => ctx.reply.array(0),
        (Some(hash), Ok(count)) => distinct(ctx.reply, hash, now, count, with_values, &mut random),
        (Some(hash), Err(_)) => {
            repeated(ctx.reply, hash, now, count.unsigned_abs(), with_values, &mut random);
        }
    }
    ctx.keys.random = random;
    Ok(Effect::Unchanged)
}

fn one(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let mut random = ctx.keys.random.clone();
    let pair = to_read(ctx.keys, key)?.and_then(|hash| draw(hash, now, &mut random));
    reply_option(ctx.reply, pair.map(|pair| pair.field));
    ctx.keys.random = random;
    Ok(Effect::Unchanged)
}

/// A field that is not due.
fn draw<'a>(hash: &'a Hash, now: UnixMs, random: &mut Random) -> Option<Pair<'a>> {
    let mut draws = (0..DRAWS_MAX).map_while(|_| hash.random(|n| random.below(n)));
    draws.find(|pair| pair.is_live(now)).or_else(|| hash.iter().find(|pair| pair.is_live(now)))
}

fn show(reply: &mut Reply, pair: Pair<'_>, with_values: bool) {
    if with_values && reply.resp3() {
        reply.array(2);
    }
    reply_item(reply, pair.field);
    if with_values {
        reply_item(reply, pair.value);
    }
}

/// The head of a reply of so many fields.
fn head(reply: &mut Reply, fields: usize, with_values: bool) {
    reply.array(if with_values && !reply.resp3() { fields * 2 } else { fields });
}

/// Any fields, the same ones perhaps again.
fn repeated(reply: &mut Reply, hash: &Hash, now: UnixMs, count: u64, with_values: bool, random: &mut Random) {
    if draw(hash, now, random).is_none() {
        return reply.array(0);
    }
    head(reply, count as usize, with_values);
    for _ in 0..count {
        if let Some(pair) = draw(hash, now, random) {
            show(reply, pair, with_values);
        }
    }
}

/// Fields that differ, all of them if there are not more.
fn distinct(
    reply: &mut Reply,
    hash: &Hash,
    now: UnixMs,
    count: usize,
    with_values: bool,
    random: &mut Random,
) {
    let is_clean = hash.next_due().is_none_or(|due| now < due);
    if is_clean && count < hash.len() / DRAWN_FROM {
        return drawn(reply, hash, count, with_values, random);
    }
    let live = match is_clean {
        true => hash.len(),
        false => hash.iter().filter(|pair| pair.is_live(now)).count(),
    };
    let mut wanted = count.min(live);
    head(reply, wanted, with_values);
    // Each of those left is taken with the chance that makes every choice as likely as any other.
    for (gone, pair) in hash.iter().filter(|pair| pair.is_live(now)).enumerate() {
        if random.below((live - gone) as u64) < wanted as u64 {
            show(reply, pair, with_values);
            wanted -= 1;
        }
    }
}

/// So many different fields of a hash that has many more, none of them due.
fn drawn(reply: &mut Reply, hash: &Hash, count: usize, with_values: bool, random: &mut Random) {
    head(reply, count, with_values);
    let mut seen: HashSet<Vec<u8>> = HashSet::with_capacity(count);
    while seen.len() < count {
        let Some(pair) = hash.random(|n| random.below(n)) else { return };
        if seen.insert(pair.field.to_vec()) {
            show(reply, pair, with_values);
        }
    }
}
