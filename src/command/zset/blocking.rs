//! Sorted sets that are waited for: `BZPOPMIN` and its like.
//!
//! Each does what its brother without the `B` does, and logs that. Where there is nothing it waits ([`Ctx::block`])
//! and is run again as soon as there may be something.

use super::pop::{mpop, take};
use super::write;
use crate::command::spec::flag::{BLOCKING, FAST, MOVABLE_KEYS, WRITE};
use crate::command::spec::{Command, Ctx, Effect, Group, KeySpec, Outcome, Timeout};
use crate::data::entry::Kind;
use crate::resp::request::Args;

const TAKE_BUT_LAST: &[KeySpec] = &[KeySpec::all_but_last(1, &["RW", "ACCESS", "DELETE"])];
const TAKE_COUNTED: KeySpec = KeySpec::counted(2, 1, &["RW", "ACCESS", "DELETE"]);

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "bzmpop", arity: -5, flags: WRITE | BLOCKING | MOVABLE_KEYS, keys: &[TAKE_COUNTED], run: bzmpop, subcommands: &[],
        doc: Group::SortedSet.doc("7.0.0", "O(K)+O(M*log(N)) of the keys, of the members returned and of the members",
            "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
            "Takes members from an end of the first sorted set that exists; waits for one if need be.") },
    Command { name: "bzpopmax", arity: -3, flags: WRITE | BLOCKING | FAST, keys: TAKE_BUT_LAST, run: bzpopmax, subcommands: &[],
        doc: Group::SortedSet.doc("5.0.0", "O(log(N)) of the members", "key [key ...] timeout",
            "Takes the member with the highest score of the first sorted set that exists; waits for one if need be.") },
    Command { name: "bzpopmin", arity: -3, flags: WRITE | BLOCKING | FAST, keys: TAKE_BUT_LAST, run: bzpopmin, subcommands: &[],
        doc: Group::SortedSet.doc("5.0.0", "O(log(N)) of the members", "key [key ...] timeout",
            "Takes the member with the lowest score of the first sorted set that exists; waits for one if need be.") },
];

/// Takes one member of the first sorted set there is.
fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, highest: bool) -> Outcome {
    let last = args.len() - 1;
    let timeout = Timeout::seconds(args.get(last))?;
    for index in 1..last {
        let key = ctx.key(args, index);
        if write(ctx.keys, key)?.is_none() {
            continue;
        }
        let name: &[u8] = if highest { b"ZPOPMAX" } else { b"ZPOPMIN" };
        ctx.log(&[name, key.bytes]);
        ctx.reply.array(3);
        ctx.reply.bulk(key.bytes);
        take(ctx, key, highest, 1);
        return Ok(Effect::Logged);
    }
    ctx.block(args.into(), (1..last).map(|index| args.get(index)), Kind::Zset, timeout)
}

fn bzpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, false)
}

fn bzpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, true)
}

fn bzmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let timeout = Timeout::seconds(args.get(1))?;
    match mpop(ctx, args, 2)? {
        Some(effect) => Ok(effect),
        None => {
            let keys = TAKE_COUNTED.positions(args).map(|index| args.get(index));
            ctx.block(args.into(), keys, Kind::Zset, timeout)
        }
    }
}
