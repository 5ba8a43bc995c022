//! `COMMAND`: what the table of commands says of itself.

mod syntax;
mod docs;
mod facts;
mod getkeys;
#[cfg(test)]
mod tests;

use crate::base::glob;
pub use crate::command::introspect::facts::{CATEGORIES, categories};
use crate::command::introspect::facts::{legacy_range, tips};
use crate::command::introspect::getkeys::reply_flags;
use crate::command::options::Options;
use crate::command::registry::{Row, commands};
use crate::command::spec::flag::{LOADING, NAMES, STALE};
use crate::command::spec::{Command, Ctx, Doc, Effect, Error, Find, Group, KeySpec, Outcome, Run};
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::state::State;

const NAMED: &str = "[command-name [command-name ...]]";
const REQUEST: &str = "command [arg [arg ...]]";
const FILTER: &str = "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]";

const fn row(name: &'static str, arity: i16, run: Run, doc: Doc) -> Command {
    Command { name, arity, flags: LOADING | STALE, keys: &[], run, doc, subcommands: &[] }
}

const fn doc(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    Group::Server.doc(since, "O(N) of the commands looked at", syntax, summary)
}

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { subcommands: SUBCOMMANDS, ..row("command", -1, all, doc("2.8.13", "", "Returns what the table says of all commands.")) },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    row("count", 2, count, doc("2.8.13", "", "Counts the commands.")),
    row("docs", -2, docs, doc("7.0.0", NAMED, "Returns the documentation of commands.")),
    row("getkeys", -3, getkeys::getkeys, doc("2.8.13", REQUEST, "Finds the keys of a request.")),
    row("getkeysandflags", -3, getkeys::getkeysandflags, doc("7.0.0", REQUEST, "Finds the keys of a request and what it would do to them.")),
    row("help", 2, help, doc("5.0.0", "", "Explains the subcommands.")),
    row("info", -2, info, doc("2.8.13", NAMED, "Returns what the table says of commands.")),
    row("list", -2, list, doc("7.0.0", FILTER, "Returns the names of commands.")),
];

#[rustfmt::skip]
const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)", "    Return what the table says of all commands.",
    "COUNT", "    Count the commands.",
    "LIST", "    Return the names of the commands.",
    "INFO [<command-name> ...]", "    Return what the table says of these commands, or of all.",
    "DOCS [<command-name> ...]", "    Return the documentation of these commands, or of all.",
    "GETKEYS <full-command>", "    Find the keys of a request.",
    "GETKEYSANDFLAGS <full-command>", "    Find the keys of a request and what it would do to them.",
    "HELP", "    Print this help.",
];

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

/// Numbers of the rows that are no subcommands, as far as they have a name.
fn top_level(state: &State) -> Vec<usize> {
    let rows = commands().rows().iter().enumerate().filter(|(_, row)| row.container.is_none());
    let is_known = |number: &usize| state.names.as_ref().is_none_or(|names| names.has(*number));
    rows.map(|(number, _)| number).filter(is_known).collect()
}

fn count(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.reply.integer(top_level(ctx.state).len() as i64);
    Ok(Effect::Unchanged)
}

fn all(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    let all = top_level(ctx.state);
    ctx.reply.array(all.len());
    all.into_iter().for_each(|number| reply_row(ctx.reply, number));
    Ok(Effect::Unchanged)
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() == 2 {
        return all(ctx, args);
    }
    ctx.reply.array(args.len() - 2);
    for name in args.iter().skip(2) {
        match commands().by_full_name_as(ctx.state.names.as_deref(), name) {
            None => ctx.reply.null(),
            Some(number) => reply_row(ctx.reply, number),
        }
    }
    Ok(Effect::Unchanged)
}

fn docs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() == 2 {
        let all = top_level(ctx.state);
        ctx.reply.map(all.len());
        all.into_iter().for_each(|number| docs::reply_entry(ctx.reply, number));
        return Ok(Effect::Unchanged);
    }
    let map = ctx.reply.later();
    let mut found = 0;
    let names = ctx.state.names.as_deref();
    for number in args.iter().skip(2).filter_map(|name| commands().by_full_name_as(names, name)) {
        docs::reply_entry(ctx.reply, number);
        found += 1;
    }
    ctx.reply.fill_map(map, found);
    Ok(Effect::Unchanged)
}

/// Which names `COMMAND LIST` returns.
enum Filter<'a> {
    Module,
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Option<Filter<'a>>, Error> {
        let mut options = Options::new(args, 2);
        if !options.more() {
            return Ok(None);
        }
        if options.left() != 3 || !options.word("FILTERBY") {
            return Err(Error::SYNTAX);
        }
        Ok(Some(if options.word("MODULE") {
            Filter::Module
        } else if options.word("ACLCAT") {
            Filter::Category(options.value()?)
        } else if options.word("PATTERN") {
            Filter::Pattern(options.value()?)
        } else {
            return Err(Error::SYNTAX);
        }))
    }

    fn passes(&self, row: &Row) -> bool {
        match self {
            // There are no modules.
            Filter::Module => false,
            Filter::Category(name) => {
                let is = |category: &&str| category.as_bytes().eq_ignore_ascii_case(name);
                CATEGORIES.iter().any(is) && categories(row).iter().any(is)
            }
            Filter::Pattern(pattern) => glob::matches(pattern, row.full_name.as_bytes(), true),
        }
    }
}

/// Commands and their subcommands.
fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let filter = Filter::parse(args)?;
    let array = ctx.reply.later();
    let mut found = 0;
    let known = |number: &usize| {
        std::iter::once(*number).chain(commands().subcommands(*number).map(|(number, _)| number))
    };
    for number in top_level(ctx.state).iter().flat_map(known) {
        let row = commands().row(number);
        if filter.as_ref().is_none_or(|filter| filter.passes(row)) {
            ctx.reply.bulk(row.full_name.as_bytes());
            found += 1;
        }
    }
    ctx.reply.fill_array(array, found);
    Ok(Effect::Unchanged)
}

/// Replies the ten elements that `COMMAND INFO` has for a command.
fn reply_row(reply: &mut Reply, number: usize) {
    let row = commands().row(number);
    let command = row.command;
    reply.array(10);
    reply.bulk(row.full_name.as_bytes());
    reply.integer(i64::from(command.arity));
    let flags = NAMES.iter().filter(|(flag, _)| command.has(*flag));
    reply.set(flags.clone().count());
    flags.for_each(|(_, name)| reply.status(name));
    legacy_range(command.keys).into_iter().for_each(|number| reply.integer(number));
    let categories = categories(row);
    reply.set(categories.len());
    categories.iter().for_each(|name| reply.status(&format!("@{name}")));
    let tips = tips(&row.full_name);
    reply.set(tips.len());
    tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| reply_key_spec(reply, spec));
    reply.set(command.subcommands.len());
    commands().subcommands(number).for_each(|(number, _)| reply_row(reply, number));
}

fn reply_key_spec(reply: &mut Reply, spec: &KeySpec) {
    reply.map(3);
    reply.bulk(b"flags");
    reply_flags(reply, spec.flags);
    reply.bulk(b"begin_search");
    match spec.keyword {
        _ if matches!(spec.find, Find::Special(_)) => reply_search(reply, "unknown", &[]),
        None => reply_search(reply, "index", &[("index", spec.begin as i64)]),
        Some(keyword) => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(keyword.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(spec.begin as i64);
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            let fields = [("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", limit as i64)];
            reply_search(reply, "range", &fields);
        }
        Find::Count { step } => {
            let fields = [("keynumidx", 0), ("firstkey", 1), ("keystep", step as i64)];
            reply_search(reply, "keynum", &fields);
        }
        Find::Special(_) => reply_search(reply, "unknown", &[]),
    }
}

/// Replies one half of a key specification: its type and its numbers.
fn reply_search(reply: &mut Reply, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}
