//! Members at random: `SPOP` takes them, `SRANDMEMBER` only looks.
//!
//! What was drawn is for this run alone, so the log hears of `SPOP` as the `SREM` (or `DEL`) that it came to.

use std::collections::BTreeSet;

use crate::base::number::parse_i64;
use crate::base::random::Random;
use crate::command::list::{BEYOND_SIGN, reply_item};
use crate::command::set::{limits, read_set, reply_members, write_set};
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::data::element::Item;
use crate::data::entry::Value;
use crate::data::keyspace::{Deadline, Key};
use crate::data::set::Set;
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::state::log::{Log, push_bulk, push_header};

/// Members in one `SREM` of the log, as in Redis.
const RECORD_MEMBERS: usize = 1024;

/// When so many times the members that stay are fewer than those that go, it is those that are drawn.
const STAYING_FACTOR: usize = 5;

/// When so many times the members that are drawn are more than all, all are gathered and shuffled instead.
const GATHER_FACTOR: usize = 3;

/// The most draws of one `SRANDMEMBER` with repetitions, whose reply has no other bound than its count.
const DRAWS_MAX: u64 = 1 << 24;

/// Generator for the draws of one command, which borrow what the keyspace's own generator lies in.
fn generator(ctx: &mut Ctx<'_>) -> Random {
    Random::seeded(ctx.keys.random.next_u64())
}

pub(super) fn spop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    match args.len() {
        2 => spop_one(ctx, args),
        3 => spop_count(ctx, args),
        _ => Err(Error::SYNTAX),
    }
}

fn spop_one(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut random = generator(ctx);
    let key = ctx.key(args, 1);
    let database = ctx.keys.selected();
    let Some(entry) = ctx.keys.write(key) else {
        ctx.reply.null();
        return Ok(Effect::Unchanged);
    };
    let set = entry.set_mut().ok_or(Error::WRONG_TYPE)?;
    let (reply, log) = (&mut *ctx.reply, &mut ctx.state.log);
    set.pop_random(&mut random, |member| {
        reply_item(reply, member);
        member.with_bytes(|text| log.record(database, &[b"SREM", key.bytes, text]));
    });
    let is_empty = set.is_empty();
    ctx.settle(Class::Set, "spop", key, is_empty);
    Ok(Effect::Logged)
}

fn spop_count(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(Error::MUST_BE_POSITIVE)?;
    let key = ctx.key(args, 1);
    let Some(len) = write_set(ctx, key)?.map(|set| set.len()).filter(|_| 0 < count) else {
        ctx.reply.set(0);
        return Ok(Effect::Unchanged);
    };
    if len <= count {
        reply_members(ctx, key);
        ctx.log(&[b"DEL", key.bytes]);
        ctx.settle(Class::Set, "spop", key, true);
        return Ok(Effect::Logged);
    }
    ctx.reply.set(count);
    let staying = len - count;
    if staying * STAYING_FACTOR < count {
        pop_most(ctx, key, staying)
    } else {
        pop_some(ctx, key, count)
    }
    ctx.changed(Class::Set, "spop", key);
    Ok(Effect::Logged)
}

/// Where members go that leave a set: into the reply, and into records of the log.
struct Leaving<'a> {
    reply: &'a mut Reply,
    log: &'a mut Log,
    database: usize,
    key: Key<'a>,
    /// Of the record that is not written yet.
    arguments: Vec<u8>,
    count: usize,
}

impl Leaving<'_> {
    fn take(&mut self, member: Item<'_>) {
        reply_item(self.reply, member);
        if self.log.enabled {
            member.with_bytes(|text| push_bulk(&mut self.arguments, text));
            self.count += 1;
            if self.count == RECORD_MEMBERS {
                self.flush();
            }
        }
    }

    /// Writes the record of those since the last one.
    fn flush(&mut self) {
        if self.count == 0 {
            return;
        }
        self.log.with(self.database, |out| {
            push_header(out, b'*', 2 + self.count);
            push_bulk(out, b"SREM");
            push_bulk(out, self.key.bytes);
            out.extend_from_slice(&self.arguments);
        });
        self.arguments.clear();
        self.count = 0;
    }
}

/// Replies and removes so many members of a set that has more.
fn pop_some(ctx: &mut Ctx<'_>, key: Key<'_>, count: usize) {
    let mut random = generator(ctx);
    let database = ctx.keys.selected();
    let Some(set) = ctx.keys.write(key).and_then(|entry| entry.set_mut()) else { return };
    let (reply, log) = (&mut *ctx.reply, &mut ctx.state.log);
    let mut leaving = Leaving { reply, log, database, key, arguments: Vec::new(), count: 0 };
    for _ in 0..count {
        set.pop_random(&mut random, |member| leaving.take(member));
    }
    leaving.flush();
}

/// Replies and removes all members but so many. Those are drawn and put aside, then the others go as a whole, so that a
/// big set need not be taken apart member by member.
fn pop_most(ctx: &mut Ctx<'_>, key: Key<'_>, staying: usize) {
    let mut random = generator(ctx);
    let (limits, database) = (limits(ctx), ctx.keys.selected());
    let Some(set) = ctx.keys.write(key).and_then(|entry| entry.set_mut()) else { return };
    let mut kept: Option<Set> = None;
    let as_pack = set.as_pack().is_some();
    for _ in 0..staying {
        set.pop_random(&mut random, |member| {
            member.with_bytes(|text| {
                let kept = kept.get_or_insert_with(|| match as_pack {
                    true => Set::new_pack(),
                    false => Set::expecting(text, staying, &limits),
                });
                kept.insert(text, &limits)
            })
        });
    }
    let (reply, log) = (&mut *ctx.reply, &mut ctx.state.log);
    let mut leaving = Leaving { reply, log, database, key, arguments: Vec::new(), count: 0 };
    set.iter().for_each(|member| leaving.take(member));
    leaving.flush();
    if let Some(kept) = kept {
        ctx.keys.set(key, Value::Set(kept), Deadline::Keep);
    }
}

pub(super) fn srandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if 3 < args.len() {
        return Err(Error::SYNTAX);
    }
    if args.len() == 3 {
        return srandmember_count(ctx, args);
    }
    let mut random = generator(ctx);
    let key = ctx.key(args, 1);
    let member = match ctx.keys.read(key) {
        None => None,
        Some(entry) => entry.set().ok_or(Error::WRONG_TYPE)?.random(&mut random),
    };
    match member {
        None => ctx.reply.null(),
        Some(member) => reply_item(ctx.reply, member),
    }
    Ok(Effect::Unchanged)
}

fn srandmember_count(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = ctx.integer(args.get(2))?;
    if count == i64::MIN {
        return Err(BEYOND_SIGN);
    }
    let key = ctx.key(args, 1);
    let Some(len) = read_set(ctx, key)?.map(Set::len).filter(|_| count != 0) else {
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    };
    let mut random = generator(ctx);
    let Some(set) = ctx.keys.stored(key).and_then(|entry| entry.set()) else { return Err(Error::WRONG_TYPE) };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        if DRAWS_MAX < count.unsigned_abs() {
            return Err(Error::OUT_OF_RANGE);
        }
        ctx.reply.array(wanted);
        for _ in 0..wanted {
            if let Some(member) = set.random(&mut random) {
                reply_item(ctx.reply, member);
            }
        }
        return Ok(Effect::Unchanged);
    }
    let wanted = wanted.min(len);
    ctx.reply.array(wanted);
    for_each_distinct(set, wanted, &mut random, |member| reply_item(ctx.reply, member));
    Ok(Effect::Unchanged)
}

/// Hands over so many members, each at most once, of a set that has as many.
fn for_each_distinct(set: &Set, wanted: usize, random: &mut Random, mut use_it: impl FnMut(Item<'_>)) {
    if wanted == set.len() {
        return set.iter().for_each(use_it);
    }
    if !set.is_table() {
        // As many as are wanted of as many as are left, in their order.
        let mut wanted = wanted as u64;
        for (left, member) in (1..=set.len() as u64).rev().zip(set.iter()) {
            if random.below(left) < wanted {
                wanted -= 1;
                use_it(member);
            }
        }
    } else if set.len() < wanted.saturating_mul(GATHER_FACTOR) {
        let mut members: Vec<_> = set.iter().collect();
        for index in 0..wanted {
            let chosen = index + random.below((members.len() - index) as u64) as usize;
            members.swap(index, chosen);
            use_it(members[index]);
        }
    } else {
        let mut drawn = BTreeSet::new();
        while drawn.len() < wanted {
            if let Some(member) = set.random(random)
                && let Item::Bytes(text) = member
                && drawn.insert(text.as_ptr())
            {
                use_it(member);
            }
        }
    }
}
