//! `SAVE` and its family: all data as an RDB file.

use crate::command::options::Options;
use crate::command::spec::flag::{
    ADMIN, DANGEROUS, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE,
};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome};
use crate::resp::request::Args;
use crate::state::ask::Ask;

const SAVING: u32 = ADMIN | NOSCRIPT | NO_ASYNC_LOADING;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "bgsave", arity: -1, flags: SAVING, keys: &[], run: bgsave, subcommands: &[],
        doc: Group::Server.doc("1.0.0", "O(N) of the keys, in another process", "[SCHEDULE | CANCEL]", "Writes a snapshot of all data while the server goes on.") },
    Command { name: "lastsave", arity: 1, flags: LOADING | STALE | FAST | DANGEROUS, keys: &[], run: lastsave, subcommands: &[],
        doc: Group::Server.doc("1.0.0", "O(1)", "", "Returns when the last snapshot was written, in seconds since the epoch.") },
    Command { name: "save", arity: 1, flags: SAVING | NO_MULTI, keys: &[], run: save, subcommands: &[],
        doc: Group::Server.doc("1.0.0", "O(N) of the keys", "", "Writes a snapshot of all data while everybody waits.") },
];

fn save(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.state.ask = Some(Ask::Save);
    Ok(Effect::Unchanged)
}

fn bgsave(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 1);
    let ask = if options.word("CANCEL") {
        Ask::CancelSave
    } else {
        Ask::SaveInBackground { schedule: options.word("SCHEDULE") }
    };
    if options.more() {
        return Err(Error::SYNTAX);
    }
    ctx.state.ask = Some(ask);
    Ok(Effect::Unchanged)
}

fn lastsave(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.integer(ctx.state.persistence.last_save_secs);
    Ok(Effect::Unchanged)
}
