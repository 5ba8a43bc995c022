//! `ACL`: users, what they may do, and what was denied to them.
//!
//! A user is changed as a whole or not at all: rules are tried on a copy first.

pub mod rules;
pub mod describe;
pub mod file;
pub mod denied;
pub mod login;
#[cfg(test)]
mod tests;

use crate::base::number::parse_i64;
use crate::base::sha256::to_hex;
use crate::command::acl::rules::{apply, has_blanks, merge};
use crate::command::introspect::{CATEGORIES, categories};
use crate::command::permission::{self, Place};
use crate::command::registry::{Found, commands};
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Ctx, Doc, Effect, Error, Group, Outcome, Run, repeated};
use crate::config::PubsubDefault;
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::state::State;
use crate::state::acl::{DEFAULT_NAME, Selector, User};
use crate::state::ask::Ask;
use crate::state::denials::Denial;

const OPEN: u32 = NOSCRIPT | LOADING | STALE;
const GUARDED: u32 = ADMIN | OPEN;

/// Bits of a password that `GENPASS` makes, if nobody says otherwise, and at most.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;
/// Denials that `LOG` shows, if nobody says otherwise.
const LOG_COUNT: usize = 10;

const NO_FILE: Error = Error::of(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
     command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store \
     users in the Redis configuration.",
);

const fn row(name: &'static str, arity: i16, flags: u32, run: Run, doc: Doc) -> Command {
    Command { name, arity, flags, keys: &[], run, doc, subcommands: &[] }
}

const fn doc(
    since: &'static str,
    complexity: &'static str,
    syntax: &'static str,
    summary: &'static str,
) -> Doc {
    Group::Server.doc(since, complexity, syntax, summary)
}

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "acl", arity: -2, flags: 0, keys: &[], run: help, subcommands: SUBCOMMANDS,
        doc: doc("6.0.0", "depends on the subcommand", "", "Tells about users and what they may do, and changes it.") },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    row("cat", -2, OPEN, cat, doc("6.0.0", "O(1) of the categories, O(N) of the commands", "[category]", "Lists the categories, or the commands of one.")),
    row("deluser", -3, GUARDED, deluser, doc("6.0.0", "O(1) per user, and O(N) of the clients", "username [username ...]", "Removes users and closes their connections.")),
    row("dryrun", -4, GUARDED, dryrun, doc("7.0.0", "O(N) of the keys and patterns", "username command [arg [arg ...]]", "Tells whether a user may run a request, which is not run.")),
    row("genpass", -2, OPEN, genpass, doc("6.0.0", "O(1)", "[bits]", "Makes a password that nobody can guess.")),
    row("getuser", 3, GUARDED, getuser, doc("6.0.0", "O(N) of the rules", "username", "Describes a user.")),
    row("help", 2, LOADING | STALE, help, doc("6.0.0", "O(1)", "", "Explains the subcommands.")),
    row("list", 2, GUARDED, list, doc("6.0.0", "O(N) of the users", "", "Describes all users by the rules that make them.")),
    row("load", 2, GUARDED, load, doc("6.0.0", "O(N) of the users", "", "Reads the file of users again.")),
    row("log", -2, GUARDED, log, doc("6.0.0", "O(N) of the denials shown", "[count | RESET]", "Shows what was denied, or forgets it.")),
    row("save", 2, GUARDED, save, doc("6.0.0", "O(N) of the users", "", "Writes the file of users.")),
    row("setuser", -3, GUARDED, setuser, doc("6.0.0", "O(N) of the rules, and of the clients", "username [rule [rule ...]]", "Makes a user, or changes one by rules.")),
    row("users", 2, GUARDED, users, doc("6.0.0", "O(N) of the users", "", "Lists the names of all users.")),
    row("whoami", 2, OPEN, whoami, doc("6.0.0", "O(1)", "", "Returns the name of the client's user.")),
];

#[rustfmt::skip]
const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]", "    List the commands of <category>, or all categories.",
    "DELUSER <username> [<username> ...]", "    Remove users and close their connections.",
    "DRYRUN <username> <command> [<arg> ...]", "    Tell whether the user may run the command, without running it.",
    "GETUSER <username>", "    Describe the user.",
    "GENPASS [<bits>]", "    Make a password of 256 bits, or as many as <bits> says.",
    "LIST", "    Describe all users as lines of the configuration.",
    "LOAD", "    Read the file of users again.",
    "LOG [<count> | RESET]", "    Show the last denials, or forget them all.",
    "SAVE", "    Write the file of users.",
    "SETUSER <username> <rule> [<rule> ...]", "    Make a user, or change one, by rules:",
    "    on, off, nopass, resetpass, reset, >password, <password, #hash, !hash,",
    "    +command, -command, +command|subcommand, +@category, -@category,",
    "    allcommands, nocommands, ~pattern, %R~pattern, %W~pattern, allkeys, resetkeys,",
    "    &pattern, allchannels, resetchannels, db=<id>[,<id>...], alldbs, resetdbs,",
    "    (rules of a selector), clearselectors.",
    "USERS", "    List the names of all users.",
    "WHOAMI", "    Return the name of the user of this connection.",
    "HELP", "    Print this help.",
];

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

/// One argument too many for a subcommand that takes one at most.
fn too_many(args: Args<'_>) -> Error {
    let name = repeated(args.get(1), usize::MAX);
    Error::text(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL HELP."))
}

/// Whether new users and selectors may name all channels.
pub fn all_channels(state: &State) -> bool {
    state.settings.acl_pubsub_default == PubsubDefault::Allchannels
}

fn whoami(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.bulk(&ctx.state.sessions[ctx.token].user_name);
    Ok(Effect::Unchanged)
}

fn users(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.array(ctx.state.users.iter().len());
    ctx.state.users.iter().for_each(|user| ctx.reply.bulk(&user.name));
    Ok(Effect::Unchanged)
}

fn list(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.array(ctx.state.users.iter().len());
    ctx.state.users.iter().for_each(|user| ctx.reply.bulk(&describe::line(user)));
    Ok(Effect::Unchanged)
}

fn cat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() == 2 {
        ctx.reply.array(CATEGORIES.len());
        CATEGORIES.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
        return Ok(Effect::Unchanged);
    }
    if 3 < args.len() {
        return Err(too_many(args));
    }
    let name = args.get(2);
    let found = CATEGORIES.iter().find(|category| category.as_bytes().eq_ignore_ascii_case(name));
    let category =
        found.ok_or_else(|| Error::text(format!("ERR Unknown category '{}'", repeated(name, 128))))?;
    let rows = || commands().rows().iter().filter(|row| categories(row).contains(category));
    ctx.reply.array(rows().count());
    rows().for_each(|row| ctx.reply.bulk(row.full_name.as_bytes()));
    Ok(Effect::Unchanged)
}

fn setuser(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = args.get(2);
    if has_blanks(name) {
        return Err(Error::of("ERR Usernames can't contain spaces or null characters"));
    }
    let rules = merge(args.iter().skip(3)).map_err(|open| {
        let open = repeated(open, usize::MAX);
        Error::text(format!("ERR Unmatched parenthesis in acl selector starting at '{open}'."))
    })?;
    let all_channels = all_channels(ctx.state);
    let known = ctx.state.users.find(name).cloned();
    let mut user = known.unwrap_or_else(|| User::new(name, all_channels));
    for rule in &rules {
        apply(&mut user, rule, all_channels).map_err(|error| {
            let rule = repeated(rule, usize::MAX);
            Error::text(format!("ERR Error in ACL SETUSER modifier '{rule}': {}", error.text()))
        })?;
    }
    ctx.state.put_user(user);
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn deluser(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names = || args.iter().skip(2);
    if names().any(|name| name == DEFAULT_NAME) {
        return Err(Error::of("ERR The 'default' user cannot be removed"));
    }
    let removed = names().filter(|name| ctx.state.remove_user(name)).count();
    ctx.reply.integer(removed as i64);
    Ok(Effect::Unchanged)
}

fn getuser(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let Some(user) = ctx.state.users.find(args.get(2)) else {
        ctx.reply.null();
        return Ok(Effect::Unchanged);
    };
    let reply = &mut *ctx.reply;
    reply.map(3 + selector_fields(user.root()));
    reply.bulk(b"flags");
    let flags = describe::flags(user);
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords.len());
    user.passwords.iter().for_each(|digest| reply.bulk(to_hex(digest).as_bytes()));
    reply_selector(reply, user.root());
    reply.bulk(b"selectors");
    reply.array(user.selectors.len() - 1);
    for selector in &user.selectors[1..] {
        reply.map(selector_fields(selector));
        reply_selector(reply, selector);
    }
    Ok(Effect::Unchanged)
}

/// How many fields describe a selector. Valkey's one for databases is there only if not all may be used: Redis has no
/// such rule, and no such field.
fn selector_fields(selector: &Selector) -> usize {
    3 + usize::from(selector.databases.is_some())
}

fn reply_selector(reply: &mut Reply, selector: &Selector) {
    reply.bulk(b"commands");
    reply.bulk(&describe::commands(selector));
    reply.bulk(b"keys");
    reply.bulk(&describe::keys(selector));
    reply.bulk(b"channels");
    reply.bulk(&describe::channels(selector));
    if selector.databases.is_some() {
        reply.bulk(b"databases");
        let rule = describe::databases(selector).filter(|rule| rule.starts_with(b"db="));
        reply.bulk(&rule.unwrap_or_default());
    }
}

fn dryrun(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = args.get(2);
    let user = ctx
        .state
        .users
        .find(name)
        .ok_or_else(|| Error::text(format!("ERR User '{}' not found", repeated(name, usize::MAX))))?;
    let request = args.from(3);
    let Found::Row(number) = commands().find_as(ctx.state.names.as_deref(), request) else {
        let name = repeated(request.get(0), usize::MAX);
        return Err(Error::text(format!("ERR Command '{name}' not found")));
    };
    let row = commands().row(number);
    if !row.command.arity_fits(request.len()) {
        return Err(Error::arity(&row.full_name));
    }
    match permission::check(user, number, request, Place::of(ctx.state, ctx.token)) {
        Ok(()) => ctx.reply.ok(),
        Err(lack) => ctx.reply.bulk(lack.in_full(user, number, request).as_bytes()),
    }
    Ok(Effect::Unchanged)
}

fn genpass(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let bits = match args.len() {
        2 => PASSWORD_BITS,
        3 => ctx.integer(args.get(2))?,
        _ => return Err(too_many(args)),
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(Error::of(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    // What the seed decides can be guessed by whoever sees enough of it.
    ctx.state.ask = Some(Ask::Password { digits: (bits as usize).div_ceil(4) });
    Ok(Effect::Unchanged)
}

fn log(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = match args.len() {
        2 => LOG_COUNT,
        3 if args.get(2).eq_ignore_ascii_case(b"RESET") => {
            ctx.state.denials.reset();
            ctx.reply.ok();
            return Ok(Effect::Unchanged);
        }
        3 => usize::try_from(parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?).unwrap_or(0),
        _ => return Err(too_many(args)),
    };
    let now_ms = ctx.state.process.now_ms;
    let denials = ctx.state.denials.iter();
    ctx.reply.array(count.min(denials.len()));
    denials.take(count).for_each(|denial| reply_denial(ctx.reply, denial, now_ms));
    Ok(Effect::Unchanged)
}

fn reply_denial(reply: &mut Reply, denial: &Denial, now_ms: i64) {
    reply.map(10);
    reply.bulk(b"count");
    reply.integer(denial.count as i64);
    let context = if denial.in_multi { "multi" } else { "toplevel" };
    let texts: [(&str, &[u8]); 4] = [
        ("reason", denial.reason.name().as_bytes()),
        ("context", context.as_bytes()),
        ("object", &denial.object),
        ("username", &denial.user),
    ];
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text);
    }
    reply.bulk(b"age-seconds");
    reply.double((now_ms - denial.updated_ms) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(&denial.client);
    let dates = [
        ("entry-id", denial.id as i64),
        ("timestamp-created", denial.created_ms),
        ("timestamp-last-updated", denial.updated_ms),
    ];
    for (name, number) in dates {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
}

fn load(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ask_for_file(ctx, Ask::LoadUsers)
}

fn save(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ask_for_file(ctx, Ask::SaveUsers)
}

fn ask_for_file(ctx: &mut Ctx<'_>, ask: Ask) -> Outcome {
    if ctx.state.settings.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    ctx.state.ask = Some(ask);
    Ok(Effect::Unchanged)
}
