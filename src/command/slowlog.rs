//! `SLOWLOG`, the commands that took long, and Valkey's `COMMANDLOG`, which has those with big requests and replies too.

use crate::base::number::parse_i64;
use crate::command::spec::flag::{ADMIN, LOADING, STALE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome, repeated};
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::state::State;
use crate::state::slowlog::Slowlog;

const FLAGS: u32 = ADMIN | LOADING | STALE;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "slowlog", arity: -2, flags: 0, keys: &[], run: help, subcommands: SLOWLOG,
        doc: Group::Server.doc("2.2.12", "depends on the subcommand", "", "Shows and empties the slow log.") },
    Command { name: "commandlog", arity: -2, flags: 0, keys: &[], run: commandlog_help, subcommands: COMMANDLOG,
        doc: Group::Server.doc("8.1.0", "depends on the subcommand", "", "Shows and empties the logs of slow commands and of big ones.") },
];

#[rustfmt::skip]
static SLOWLOG: &[Command] = &[
    Command { name: "get", arity: -2, flags: FLAGS, keys: &[], run: get, subcommands: &[],
        doc: Group::Server.doc("2.2.12", "O(N) of the entries returned", "[count]", "Returns the last slow commands.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: help, subcommands: &[],
        doc: Group::Server.doc("6.2.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "len", arity: 2, flags: FLAGS, keys: &[], run: len, subcommands: &[],
        doc: Group::Server.doc("2.2.12", "O(1)", "", "Returns how many slow commands are remembered.") },
    Command { name: "reset", arity: 2, flags: FLAGS, keys: &[], run: reset, subcommands: &[],
        doc: Group::Server.doc("2.2.12", "O(N) of the entries", "", "Forgets all slow commands.") },
];

#[rustfmt::skip]
static COMMANDLOG: &[Command] = &[
    Command { name: "get", arity: 4, flags: FLAGS, keys: &[], run: commandlog_get, subcommands: &[],
        doc: Group::Server.doc("8.1.0", "O(N) of the entries returned", "count <SLOW | LARGE-REQUEST | LARGE-REPLY>", "Returns the last commands of a log.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: commandlog_help, subcommands: &[],
        doc: Group::Server.doc("8.1.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "len", arity: 3, flags: FLAGS, keys: &[], run: commandlog_len, subcommands: &[],
        doc: Group::Server.doc("8.1.0", "O(1)", "<SLOW | LARGE-REQUEST | LARGE-REPLY>", "Returns how many commands a log remembers.") },
    Command { name: "reset", arity: 3, flags: FLAGS, keys: &[], run: commandlog_reset, subcommands: &[],
        doc: Group::Server.doc("8.1.0", "O(N) of the entries", "<SLOW | LARGE-REQUEST | LARGE-REPLY>", "Forgets the commands of a log.") },
];

/// Lines of `SLOWLOG HELP`.
const HELP: &[&str] = &[
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    Return the last <count> slow commands (default: 10, -1 means all). Each is:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return how many slow commands are remembered.",
    "RESET",
    "    Forget all slow commands.",
    "HELP",
    "    Print this help.",
];

/// Lines of `COMMANDLOG HELP`.
const COMMANDLOG_HELP: &[&str] = &[
    "COMMANDLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <count> <type>",
    "    Return the last <count> commands of the log of <type> (-1 means all). Each is:",
    "    id, timestamp, time in microseconds or size in bytes, arguments array,",
    "    client IP and port, client name",
    "LEN <type>",
    "    Return how many commands the log of <type> remembers.",
    "RESET <type>",
    "    Forget the commands of the log of <type>.",
    "HELP",
    "    Print this help. A <type> is slow, large-request or large-reply.",
];

/// Entries that `SLOWLOG GET` returns unless told otherwise.
const COUNT_DEFAULT: usize = 10;

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

fn commandlog_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(COMMANDLOG_HELP)
}

/// How many entries to return; -1 is all of them.
fn count(argument: &[u8]) -> Result<usize, Error> {
    match parse_i64(argument) {
        Some(-1) => Ok(usize::MAX),
        Some(count) if 0 <= count => Ok(count as usize),
        _ => Err(Error::of("ERR count should be greater than or equal to -1")),
    }
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = match args.len() {
        2 => COUNT_DEFAULT,
        3 => count(args.get(2))?,
        _ => {
            let name = repeated(args.get(1), usize::MAX);
            return Err(Error::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{name}'. Try SLOWLOG HELP."
            )));
        }
    };
    reply_entries(ctx.reply, &ctx.state.slowlog, count)
}

fn reply_entries(reply: &mut Reply, log: &Slowlog, count: usize) -> Outcome {
    let entries = log.iter().take(count);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.at_secs);
        reply.integer(entry.amount as i64);
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(Effect::Unchanged)
}

fn len(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.integer(ctx.state.slowlog.iter().len() as i64);
    Ok(Effect::Unchanged)
}

fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.state.slowlog.reset();
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

/// The log of a type.
fn log_of<'s>(state: &'s mut State, argument: &[u8]) -> Result<&'s mut Slowlog, Error> {
    let is = |name: &str| argument.eq_ignore_ascii_case(name.as_bytes());
    if is("slow") {
        Ok(&mut state.slowlog)
    } else if is("large-request") {
        Ok(&mut state.large_requests)
    } else if is("large-reply") {
        Ok(&mut state.large_replies)
    } else {
        Err(Error::of("ERR type should be one of the following: slow, large-request, large-reply"))
    }
}

fn commandlog_get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = count(args.get(2))?;
    let log = log_of(ctx.state, args.get(3))?;
    reply_entries(ctx.reply, log, count)
}

fn commandlog_len(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let len = log_of(ctx.state, args.get(2))?.iter().len();
    ctx.reply.integer(len as i64);
    Ok(Effect::Unchanged)
}

fn commandlog_reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    log_of(ctx.state, args.get(2))?.reset();
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}
