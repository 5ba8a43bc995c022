//! `CONFIG`: settings while the server runs.

use std::borrow::Cow;

use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome};
use crate::config::Notice;
use crate::data::keyspace::Counters;
use crate::resp::request::Args;
use crate::state::ask::Ask;
use crate::state::session::Session;

const FLAGS: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "config", arity: -2, flags: 0, keys: &[], run: help, subcommands: SUBCOMMANDS,
        doc: Group::Server.doc("2.0.0", "depends on the subcommand", "", "Reads and changes the configuration.") },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    Command { name: "get", arity: -3, flags: FLAGS, keys: &[], run: get, subcommands: &[],
        doc: Group::Server.doc("2.0.0", "O(N) of the patterns", "parameter [parameter ...]", "Returns the directives whose names match.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: help, subcommands: &[],
        doc: Group::Server.doc("5.0.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "resetstat", arity: 2, flags: FLAGS, keys: &[], run: resetstat, subcommands: &[],
        doc: Group::Server.doc("2.0.0", "O(1)", "", "Sets the counters that INFO shows to zero.") },
    Command { name: "rewrite", arity: 2, flags: FLAGS, keys: &[], run: rewrite, subcommands: &[],
        doc: Group::Server.doc("2.8.0", "O(1)", "", "Writes the settings in force into the configuration file.") },
    Command { name: "set", arity: -4, flags: FLAGS, keys: &[], run: set, subcommands: &[],
        doc: Group::Server.doc("2.0.0", "O(N) of the directives", "parameter value [parameter value ...]", "Changes directives, all of them or none.") },
];

/// Lines of `CONFIG HELP`.
const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return the directives whose names match the glob <pattern>, with their values.",
    "SET <directive> <value>",
    "    Change <directive>.",
    "RESETSTAT",
    "    Set the counters that INFO shows to zero.",
    "REWRITE",
    "    Write the settings in force into the configuration file.",
    "HELP",
    "    Print this help.",
];

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let patterns: Vec<Cow<'_, str>> = args.iter().skip(2).map(String::from_utf8_lossy).collect();
    let patterns: Vec<&str> = patterns.iter().map(|pattern| &**pattern).collect();
    let found = ctx.state.settings.get(&patterns);
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(value.as_bytes());
    }
    Ok(Effect::Unchanged)
}

/// Whether the client is on this machine, for the directives that only such a one may change.
pub(super) fn is_local(session: &Session) -> bool {
    session.unix || session.addr.starts_with("127.") || session.addr.starts_with("[::1]:")
}

/// Names and values, in turn. Names that are no text are no names either, and are named as far as they are
/// text.
fn pairs(args: Args<'_>) -> Result<Vec<(Cow<'_, str>, &str)>, Error> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    let indexes = (2..args.len()).step_by(2);
    let read = |index| {
        let name = String::from_utf8_lossy(args.get(index));
        match std::str::from_utf8(args.get(index + 1)) {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(Error::text(format!(
                "ERR CONFIG SET failed (possibly related to argument '{name}') - argument must be UTF-8"
            ))),
        }
    };
    indexes.map(read).collect()
}

/// Changes the settings. What must follow outside, from sockets to files, is the floor `io`'s to do, so it
/// also replies; nothing is asked of it when nothing has changed.
fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let pairs = pairs(args)?;
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, *value)).collect();
    let local = is_local(ctx.session());
    let before = Box::new(ctx.state.settings.clone());
    let changes =
        ctx.state.settings.set(&pairs, local).map_err(|error| Error::text(format!("ERR {error}")))?;
    for (name, reason) in changes.ignored {
        log::warn!("{}", Notice { names: vec![name], reason });
    }
    if changes.names.is_empty() {
        ctx.reply.ok();
    } else {
        ctx.state.ask = Some(Ask::ApplySettings { changed: changes.names, before });
    }
    Ok(Effect::Unchanged)
}

fn rewrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if ctx.state.identity.config_file.is_empty() {
        return Err(Error::of("ERR The server is running without a config file"));
    }
    ctx.state.ask = Some(Ask::RewriteConfig);
    Ok(Effect::Unchanged)
}

/// The slow log, latency events and the peak of memory stay, as in Redis: they have commands of their own, or
/// none because they are not counters.
fn resetstat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.state.stats.reset();
    ctx.state.turns.reset();
    ctx.state.hot.reset();
    ctx.state.look_at = 0;
    ctx.keys.counters = Counters::default();
    let persistence = &mut ctx.state.persistence;
    persistence.rewrites = 0;
    persistence.rewrites_consecutive_failures = 0;
    persistence.delayed_fsync = 0;
    persistence.children_stalled = 0;
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}
