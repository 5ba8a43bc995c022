//! The server as a whole: saving, stopping, modules.

use crate::command::options::{Options, Slot};
use crate::command::spec::flag::{ADMIN, ALLOW_BUSY, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome};
use crate::resp::request::Args;
use crate::state::ask::Ask;

const SAVING: u32 = ADMIN | NOSCRIPT | NO_ASYNC_LOADING;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "bgrewriteaof", arity: -1, flags: SAVING, keys: &[], run: bgrewriteaof, subcommands: &[],
        doc: Group::Server.doc("1.0.0", "O(N) of the keys, in another process", "[SCHEDULE]", "Rewrites the append-only file in its shortest form.") },
    Command { name: "module", arity: -2, flags: 0, keys: &[], run: module_help, subcommands: MODULE,
        doc: Group::Server.doc("4.0.0", "depends on the subcommand", "", "Tells about modules, of which there are none.") },
    Command { name: "shutdown", arity: -1, flags: ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY, keys: &[], run: shutdown, subcommands: &[],
        doc: Group::Server.doc("1.0.0", "O(N) of the records that wait for the disk, and of the keys if there are save points", "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
            "Brings the log, and a snapshot if there are save points, to disk and ends the server.") },
];

#[rustfmt::skip]
static MODULE: &[Command] = &[
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: module_help, subcommands: &[],
        doc: Group::Server.doc("5.0.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "list", arity: 2, flags: ADMIN | NOSCRIPT, keys: &[], run: module_list, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(1)", "", "Returns the loaded modules, of which there are none.") },
    Command { name: "load", arity: -3, flags: SAVING, keys: &[], run: no_modules, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(1)", "path [arg [arg ...]]", "Refused, as there are no modules.") },
    Command { name: "loadex", arity: -3, flags: SAVING, keys: &[], run: no_modules, subcommands: &[],
        doc: Group::Server.doc("7.0.0", "O(1)", "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]", "Refused, as there are no modules.") },
    Command { name: "unload", arity: 3, flags: SAVING, keys: &[], run: no_modules, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(1)", "name", "Refused, as there are no modules.") },
];

/// Lines of `MODULE HELP`.
const MODULE_HELP: &[&str] = &[
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    Return the loaded modules, of which there are none.",
    "LOAD <path> [<arg> ...]",
    "    Refused, as there are no modules.",
    "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
    "    Refused, as there are no modules.",
    "UNLOAD <name>",
    "    Refused, as there are no modules.",
    "HELP",
    "    Print this help.",
];

fn module_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(MODULE_HELP)
}

fn module_list(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.array(0);
    Ok(Effect::Unchanged)
}

fn no_modules(_: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = String::from_utf8_lossy(args.get(1)).to_uppercase();
    Err(Error::text(format!("ERR MODULE {name} is not supported by kvick: there are no modules")))
}

/// `SCHEDULE`, borrowed from `BGSAVE`, waits for a rewrite under way instead of being refused. Redis knows no
/// option here and counts anything else as one argument too many.
fn bgrewriteaof(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 1);
    let schedule = options.word("SCHEDULE");
    if options.more() {
        return Err(Error::arity("bgrewriteaof"));
    }
    ctx.state.ask = Some(Ask::RewriteLog { schedule });
    Ok(Effect::Unchanged)
}

fn shutdown(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut saving = Slot::default();
    let (mut now, mut force, mut abort) = (false, false, false);
    let mut options = Options::new(args, 1);
    while options.more() {
        if options.word("NOSAVE") {
            saving.fill_again(false, bool::eq)?;
        } else if options.word("SAVE") {
            saving.fill_again(true, bool::eq)?;
        } else if options.word("NOW") {
            now = true;
        } else if options.word("FORCE") {
            force = true;
        } else if options.word("ABORT") {
            abort = true;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let save = saving.take();
    if abort {
        return match (save.is_some() || now || force, ctx.state.shutting_down) {
            (true, _) => Err(Error::SYNTAX),
            (false, false) => Err(Error::of("ERR No shutdown in progress.")),
            (false, true) => {
                ctx.state.ask = Some(Ask::AbortShutdown);
                Ok(Effect::Unchanged)
            }
        };
    }
    ctx.state.ask = Some(Ask::Shutdown { save, now, force });
    Ok(Effect::Unchanged)
}

#[cfg(test)]
mod tests;
