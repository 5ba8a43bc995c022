//! Transactions: requests that are queued, and then run one after the other without anybody between them.
//!
//! The queue stands in the session; putting requests into it is the dispatcher's business, as is running them: `EXEC`
//! only says that they are to run.

use crate::command::spec::flag::{ALLOW_BUSY, FAST, LOADING, NOSCRIPT, NOT_QUEUED, SKIP_SLOWLOG, STALE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::resp::request::Args;
use crate::state::transaction::{Multi, Transaction};

const ALWAYS: u32 = NOSCRIPT | LOADING | STALE;
const AT_ONCE: u32 = ALWAYS | FAST | ALLOW_BUSY;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "discard", arity: 1, flags: AT_ONCE | NOT_QUEUED, keys: &[], run: discard, subcommands: &[],
        doc: Group::Transactions.doc("2.0.0", "O(N) of the requests queued", "", "Forgets the requests queued since MULTI.") },
    Command { name: "exec", arity: 1, flags: ALWAYS | SKIP_SLOWLOG | NOT_QUEUED, keys: &[], run: exec, subcommands: &[],
        doc: Group::Transactions.doc("1.2.0", "that of the requests queued", "", "Runs the requests queued since MULTI.") },
    Command { name: "multi", arity: 1, flags: AT_ONCE | NOT_QUEUED, keys: &[], run: multi, subcommands: &[],
        doc: Group::Transactions.doc("1.2.0", "O(1)", "", "Begins to queue requests.") },
    Command { name: "unwatch", arity: 1, flags: AT_ONCE, keys: &[], run: unwatch, subcommands: &[],
        doc: Group::Transactions.doc("2.2.0", "O(1)", "", "Forgets the keys that the next transaction was to depend on.") },
    Command { name: "watch", arity: -2, flags: AT_ONCE | NOT_QUEUED, keys: &[KeySpec::rest(1, 1, &["RO"])], run: watch, subcommands: &[],
        doc: Group::Transactions.doc("2.2.0", "O(1) per key", "key [key ...]", "Makes the next transaction depend on keys staying as they are.") },
];

fn multi(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if ctx.session().multi.is_some() {
        return Err(Error::of("ERR MULTI calls can not be nested"));
    }
    ctx.session().multi = Some(Box::new(Multi::default()));
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn discard(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if ctx.session().multi.take().is_none() {
        return Err(Error::of("ERR DISCARD without MULTI"));
    }
    ctx.state.unwatch(ctx.token);
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn watch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.session().multi.is_some() {
        return Err(Error::of("ERR WATCH inside MULTI is not allowed"));
    }
    // A transaction that cannot run any more need not watch further keys.
    if !ctx.session().watch_broken {
        let database = ctx.keys.selected();
        for index in 1..args.len() {
            // A key whose deadline has come is gone before it is watched, not while.
            let key = ctx.key(args, index);
            ctx.keys.peek(key);
            ctx.log_expired();
            ctx.state.watch(ctx.token, database, args.get(index));
        }
    }
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn unwatch(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.state.unwatch(ctx.token);
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn exec(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let Some(multi) = ctx.session().multi.take() else {
        return Err(Error::of("ERR EXEC without MULTI"));
    };
    notice_expired(ctx);
    let broken = ctx.session().watch_broken;
    ctx.state.unwatch(ctx.token);
    if multi.failed {
        return Err(Error::of("EXECABORT Transaction discarded because of previous errors."));
    }
    if broken {
        ctx.reply.null_array();
        return Ok(Effect::Unchanged);
    }
    let (mark, start) = (ctx.reply.mark(), ctx.reply.out.len());
    ctx.reply.array(multi.queue.len());
    ctx.state.transaction = Some(Transaction { queue: multi.queue.into(), mark, start, shown: None });
    Ok(Effect::Unchanged)
}

/// Watched keys whose deadlines have come have changed, though nobody may have looked.
fn notice_expired(ctx: &mut Ctx<'_>) {
    let here = ctx.keys.selected();
    for (database, name) in ctx.session().watched.clone() {
        ctx.keys.select(database);
        let key = ctx.keys.key(&name);
        ctx.keys.peek(key);
    }
    ctx.keys.select(here);
    ctx.log_expired();
}
