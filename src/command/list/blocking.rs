//! Lists that are waited for: `BLPOP` and its like.
//!
//! Each does what its brother without the `B` does, and logs that. Where there is nothing it waits ([`Ctx::block`])
//! and is run again as soon as there may be something.

use super::several::blmovem;
use super::{MOVE, carry, end, limits, mpop, pop_event, reply_item, write_list};
use crate::command::spec::flag::{BLOCKING, DENYOOM, MOVABLE_KEYS, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Group, KeySpec, Outcome, Timeout};
use crate::data::entry::Kind;
use crate::data::list::End;
use crate::resp::request::Args;

const TAKE_BUT_LAST: &[KeySpec] = &[KeySpec::all_but_last(1, &["RW", "ACCESS", "DELETE"])];

const TAKE_COUNTED: &[KeySpec] = &[KeySpec::counted(2, 1, &["RW", "ACCESS", "DELETE"])];

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "blmove", arity: 6, flags: WRITE | DENYOOM | BLOCKING, keys: MOVE, run: blmove, subcommands: &[],
        doc: Group::List.doc("6.2.0", "O(1)", "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
            "Takes an element from an end of one list, adds it at an end of another and returns it; waits for it if need be.") },
    Command { name: "blmovem", arity: -6, flags: WRITE | DENYOOM | BLOCKING, keys: MOVE, run: blmovem, subcommands: &[],
        doc: Group::List.doc("8.10.0", "O(N) of the elements moved",
            "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
            "Takes elements from an end of one list, adds them at an end of another and returns them; waits for them if need be.") },
    Command { name: "blmpop", arity: -5, flags: WRITE | BLOCKING | MOVABLE_KEYS, keys: TAKE_COUNTED, run: blmpop, subcommands: &[],
        doc: Group::List.doc("7.0.0", "O(N+M) of the keys and the elements returned", "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
            "Takes elements from an end of the first list that exists; waits for one if need be.") },
    Command { name: "blpop", arity: -3, flags: WRITE | BLOCKING, keys: TAKE_BUT_LAST, run: blpop, subcommands: &[],
        doc: Group::List.doc("2.0.0", "O(N) of the keys", "key [key ...] timeout", "Takes the element at the head of the first list that exists; waits for one if need be.") },
    Command { name: "brpop", arity: -3, flags: WRITE | BLOCKING, keys: TAKE_BUT_LAST, run: brpop, subcommands: &[],
        doc: Group::List.doc("2.0.0", "O(N) of the keys", "key [key ...] timeout", "Takes the element at the tail of the first list that exists; waits for one if need be.") },
    Command { name: "brpoplpush", arity: 4, flags: WRITE | DENYOOM | BLOCKING, keys: MOVE, run: brpoplpush, subcommands: &[],
        doc: Group::List.doc("2.2.0", "O(1)", "source destination timeout",
            "Takes the element at the tail of one list, adds it at the head of another and returns it; waits for it if need be.") },
];

/// Takes one element of the first list there is.
fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, from: End) -> Outcome {
    let last = args.len() - 1;
    let timeout = Timeout::seconds(args.get(last))?;
    let limits = limits(ctx);
    for index in 1..last {
        let key = ctx.key(args, index);
        if write_list(ctx, key)?.is_none() {
            continue;
        }
        let name: &[u8] = match from {
            End::Front => b"LPOP",
            End::Back => b"RPOP",
        };
        ctx.log(&[name, key.bytes]);
        ctx.reply.array(2);
        ctx.reply.bulk(key.bytes);
        let Some(list) = ctx.keys.write(key).and_then(|entry| entry.list_mut()) else { continue };
        list.pop(from, limits, |item| reply_item(ctx.reply, item));
        let is_empty = list.is_empty();
        ctx.settle(Class::List, pop_event(from), key, is_empty);
        return Ok(Effect::Logged);
    }
    ctx.block(args.into(), (1..last).map(|index| args.get(index)), Kind::List, timeout)
}

fn blpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Front)
}

fn brpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Back)
}

/// Moves an element, or waits for one; `record` is what the log hears instead.
fn moving(ctx: &mut Ctx<'_>, args: Args<'_>, ends: (End, End), timeout: &[u8], record: &[&[u8]]) -> Outcome {
    let timeout = Timeout::seconds(timeout)?;
    if carry(ctx, args, ends.0, ends.1)? == Effect::Unchanged {
        if !ctx.may_block() {
            // As LMOVE says it.
            ctx.reply.null();
            return Ok(Effect::Unchanged);
        }
        return ctx.block(args.into(), std::iter::once(args.get(1)), Kind::List, timeout);
    }
    ctx.log(record);
    Ok(Effect::Logged)
}

fn blmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let ends = (end(args.get(3))?, end(args.get(4))?);
    let record = [b"LMOVE", args.get(1), args.get(2), args.get(3), args.get(4)];
    moving(ctx, args, ends, args.get(5), &record)
}

fn brpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let record = [b"RPOPLPUSH", args.get(1), args.get(2)];
    moving(ctx, args, (End::Back, End::Front), args.get(3), &record)
}

fn blmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let timeout = Timeout::seconds(args.get(1))?;
    match mpop(ctx, args, 2)? {
        Some(effect) => Ok(effect),
        None => {
            let keys = TAKE_COUNTED[0].positions(args).map(|index| args.get(index));
            ctx.block(args.into(), keys, Kind::List, timeout)
        }
    }
}
