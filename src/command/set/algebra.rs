//! What several sets have in common, what only the first has, what any has: replied, counted or stored.

use crate::base::number::parse_i64;
use crate::command::list::reply_item;
use crate::command::options::Options;
use crate::command::set::limits;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::data::element::Item;
use crate::data::entry::Value;
use crate::data::hyperloglog::{Mark, REGISTERS, estimate_of};
use crate::data::keyspace::{Deadline, Keyspace};
use crate::data::set::{Limits, Set};
use crate::resp::request::Args;

/// The sets at the keys `first..end` of a request; `None` for a key that is not there.
fn sets<'c>(
    ctx: &'c mut Ctx<'_>,
    args: Args<'_>,
    first: usize,
    end: usize,
) -> Result<(Vec<Option<&'c Set>>, &'c mut crate::resp::reply::Reply), Error> {
    if 2 < end - first {
        ctx.fetch_ahead(args, first..end);
    }
    for index in first..end {
        let key = ctx.key(args, index);
        if ctx.keys.read(key).is_some_and(|entry| entry.set().is_none()) {
            return Err(Error::WRONG_TYPE);
        }
    }
    let keys: &Keyspace = ctx.keys;
    let stored = (first..end).map(|index| keys.stored(keys.key(args.get(index)))?.set());
    Ok((stored.collect(), ctx.reply))
}

/// Sorts sets by size, the smallest first; `None` if there is one without members, with which no set has anything in
/// common.
fn smallest_first<'s>(sets: &[Option<&'s Set>]) -> Option<Vec<&'s Set>> {
    let mut sets: Vec<&Set> = sets.iter().copied().collect::<Option<_>>()?;
    sets.sort_by_key(|set| set.len());
    Some(sets)
}

/// Hands over what all sets have, which are sorted by size, until `use_it` has had enough.
fn intersection(sets: &[&Set], mut use_it: impl FnMut(Item<'_>) -> bool) {
    let Some((smallest, others)) = sets.split_first() else { return };
    for member in smallest.iter() {
        let is_common =
            others.iter().all(|other| std::ptr::eq(*other, *smallest) || other.contains_item(member));
        if is_common && !use_it(member) {
            return;
        }
    }
}

/// Hands over what the first set has and none of the others, until `use_it` has had enough.
///
/// Either each member of the first is looked for in all others, or all members of the others are taken out of a copy of
/// the first, whichever promises less work; half of what the former may need, since it stops where it finds something.
fn difference(sets: &[Option<&Set>], limits: &Limits, use_it: impl FnMut(Item<'_>) -> bool) {
    let Some((&Some(first), others)) = sets.split_first() else { return };
    let mut others: Vec<&Set> = others.iter().copied().flatten().collect();
    if others.iter().any(|other| std::ptr::eq(*other, first)) {
        return;
    }
    let each = first.len() * (1 + others.len()) / 2;
    let all = first.len() + others.iter().map(|other| other.len()).sum::<usize>();
    if each <= all {
        // In a bigger one it is likelier to be found.
        others.sort_by_key(|other| std::cmp::Reverse(other.len()));
        let mut left = first.iter().filter(|member| !others.iter().any(|other| other.contains_item(*member)));
        left.all(use_it);
        return;
    }
    let mut left = Set::new_table(&limits.hasher, first.len());
    first.iter().for_each(|member| add(&mut left, member, limits));
    for other in others {
        for member in other.iter() {
            member.with_bytes(|text| left.remove(text));
        }
        if left.is_empty() {
            return;
        }
    }
    left.iter().all(use_it);
}

/// Adds the text of an item to a set.
fn add(set: &mut Set, member: Item<'_>, limits: &Limits) {
    member.with_bytes(|text| set.insert(text, limits));
}

pub(super) fn sinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (sets, reply) = sets(ctx, args, 1, args.len())?;
    let mark = reply.later();
    let mut found = 0;
    if let Some(sets) = smallest_first(&sets) {
        intersection(&sets, |member| {
            reply_item(reply, member);
            found += 1;
            true
        });
    }
    reply.fill_set(mark, found);
    Ok(Effect::Unchanged)
}

/// What a command that counts asks for: `numkeys key [key ...] [APPROX] [LIMIT limit]`.
struct Count {
    /// Behind the last key.
    end: usize,
    /// An estimate will do.
    approximate: bool,
    /// How far to count; 0 = to the end.
    limit: usize,
}

impl Count {
    fn parse(args: Args<'_>, may_estimate: bool) -> Result<Count, Error> {
        const NUMKEYS: Error = Error::of("ERR numkeys should be greater than 0");
        const TOO_MANY: Error = Error::of("ERR Number of keys can't be greater than number of args");
        const LIMIT: Error = Error::of("ERR LIMIT can't be negative");
        let number = |arg: &[u8]| parse_i64(arg).and_then(|number| usize::try_from(number).ok());
        let keys = number(args.get(1)).filter(|keys| 0 < *keys).ok_or(NUMKEYS)?;
        if args.len() - 2 < keys {
            return Err(TOO_MANY);
        }
        let mut found = Count { end: 2 + keys, approximate: false, limit: 0 };
        let mut options = Options::new(args, found.end);
        while options.more() {
            if may_estimate && options.word("APPROX") {
                found.approximate = true;
            } else if options.word_with_value("LIMIT") {
                found.limit = number(options.value()?).ok_or(LIMIT)?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(found)
    }

    /// A number of members, but not more than was asked for.
    fn capped(&self, members: usize) -> usize {
        if self.limit == 0 { members } else { members.min(self.limit) }
    }
}

pub(super) fn sintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = Count::parse(args, false)?;
    let (sets, reply) = sets(ctx, args, 2, count.end)?;
    let mut found = 0;
    if let Some(sets) = smallest_first(&sets) {
        intersection(&sets, |_| {
            found += 1;
            found != count.limit
        });
    }
    reply.integer(found as i64);
    Ok(Effect::Unchanged)
}

/// How many members any of the sets has, up to a limit.
fn union_len(sets: &[&Set], limits: &Limits, limit: usize) -> usize {
    let Some((first, others)) = sets.split_first() else { return 0 };
    if others.is_empty() || limit != 0 && limit <= first.len() {
        return first.len();
    }
    let of_ints = sets.iter().all(|set| set.is_ints());
    let mut union = if of_ints { Set::new() } else { Set::new_table(&limits.hasher, first.len()) };
    for member in sets.iter().flat_map(|set| set.iter()) {
        add(&mut union, member, limits);
        if union.len() == limit {
            break;
        }
    }
    union.len()
}

/// About how many members any of the sets has, in as much memory as a HyperLogLog takes.
fn union_estimate(sets: &[&Set]) -> usize {
    let mut registers = [0; REGISTERS];
    for member in sets.iter().flat_map(|set| set.iter()) {
        let mark = member.with_bytes(Mark::of);
        registers[mark.index] = mark.rank.max(registers[mark.index]);
    }
    estimate_of(&registers) as usize
}

pub(super) fn sunioncard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = Count::parse(args, true)?;
    let limits = limits(ctx);
    let (sets, reply) = sets(ctx, args, 2, count.end)?;
    // The biggest first: it may be enough, and what is in it is not new in any other.
    let mut sets: Vec<&Set> = sets.into_iter().flatten().collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    sets.dedup_by(|set, other| std::ptr::eq(*set, *other));
    let found =
        if count.approximate { union_estimate(&sets) } else { union_len(&sets, &limits, count.limit) };
    reply.integer(count.capped(found) as i64);
    Ok(Effect::Unchanged)
}

pub(super) fn sdiffcard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = Count::parse(args, false)?;
    let limits = limits(ctx);
    let (sets, reply) = sets(ctx, args, 2, count.end)?;
    let mut found = 0;
    difference(&sets, &limits, |_| {
        found += 1;
        found != count.limit
    });
    reply.integer(found as i64);
    Ok(Effect::Unchanged)
}

pub(super) fn sunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let limits = limits(ctx);
    let (sets, reply) = sets(ctx, args, 1, args.len())?;
    let mut sets = sets.into_iter().flatten();
    let Some(first) = sets.next() else {
        reply.set(0);
        return Ok(Effect::Unchanged);
    };
    let others: Vec<&Set> = sets.filter(|other| !std::ptr::eq(*other, first)).collect();
    if others.is_empty() {
        reply.set(first.len());
        first.iter().for_each(|member| reply_item(reply, member));
        return Ok(Effect::Unchanged);
    }
    let of_ints = first.is_ints() && others.iter().all(|other| other.is_ints());
    let mut union = if of_ints { Set::new() } else { Set::new_table(&limits.hasher, first.len()) };
    for set in [first].into_iter().chain(others) {
        set.iter().for_each(|member| add(&mut union, member, &limits));
    }
    reply.set(union.len());
    union.iter().for_each(|member| reply_item(reply, member));
    Ok(Effect::Unchanged)
}

pub(super) fn sdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let limits = limits(ctx);
    let (sets, reply) = sets(ctx, args, 1, args.len())?;
    let mark = reply.later();
    let mut found = 0;
    difference(&sets, &limits, |member| {
        reply_item(reply, member);
        found += 1;
        true
    });
    reply.fill_set(mark, found);
    Ok(Effect::Unchanged)
}

/// Puts a result under its key, in place of whatever is there, or deletes the key if there is none.
fn store(ctx: &mut Ctx<'_>, args: Args<'_>, result: Set, event: &'static str) -> Outcome {
    let key = ctx.key(args, 1);
    let len = result.len();
    ctx.reply.integer(len as i64);
    if 0 < len {
        ctx.keys.set(key, Value::Set(result), Deadline::Clear);
        ctx.changed(Class::Set, event, key);
        return Ok(Effect::Changed);
    }
    if !ctx.keys.delete(key) {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Generic, "del", key);
    Ok(Effect::Changed)
}

/// The result begins as a pack unless the smallest set is one of integers, and becomes one of integers itself if there
/// is nothing else in it: so it is named as Redis names it.
pub(super) fn sinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let limits = limits(ctx);
    let (sets, _) = sets(ctx, args, 2, args.len())?;
    let mut result = Set::new();
    if let Some(sets) = smallest_first(&sets) {
        if !sets[0].is_ints() {
            result = Set::new_pack();
        }
        intersection(&sets, |member| {
            add(&mut result, member, &limits);
            true
        });
        result.make_ints(&limits);
    }
    store(ctx, args, result, "sinterstore")
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let limits = limits(ctx);
    let (sets, _) = sets(ctx, args, 2, args.len())?;
    let mut result = Set::new();
    for set in sets.into_iter().flatten() {
        set.iter().for_each(|member| add(&mut result, member, &limits));
    }
    store(ctx, args, result, "sunionstore")
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let limits = limits(ctx);
    let (sets, _) = sets(ctx, args, 2, args.len())?;
    let mut result = Set::new();
    difference(&sets, &limits, |member| {
        add(&mut result, member, &limits);
        true
    });
    store(ctx, args, result, "sdiffstore")
}
