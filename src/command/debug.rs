//! `DEBUG`: behind `enable-debug-command`.
//!
//! Redis has no rows for the subcommands of `DEBUG`, neither in `COMMAND INFO` nor in the statistics, and counts
//! arguments apart; so there is one row for all, and a table of its own here. What kvick has nothing like is in
//! [`REFUSED`] and refused by name.

mod serialized;
mod inspect;
mod protocol;
mod switch;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use crate::base::number::{parse_f64, parse_i64};
use crate::command::spec::flag::{ADMIN, INTERNAL_WRITE, LOADING, NOSCRIPT, STALE, WHOLE};
use crate::command::spec::{
    Class, Command, Ctx, Doc, Effect, Error, Group, Outcome, REPEATED_MAX, Run, repeated,
};
use crate::data::digest::Digest;
use crate::data::entry::Value;
use crate::data::keyspace::Deadline;
use crate::resp::request::Args;
use crate::state::ask::Ask;
use crate::state::session::Session;

/// The rows of this family.
pub static COMMANDS: &[Command] = &[Command {
    name: "debug",
    arity: -2,
    flags: ADMIN | NOSCRIPT | LOADING | STALE | WHOLE | INTERNAL_WRITE,
    keys: &[],
    run: debug,
    subcommands: &[],
    doc: Doc {
        summary: "Tools for those who test or examine the server itself.",
        since: "1.0.0",
        group: Group::Server,
        complexity: "Depends on subcommand.",
        syntax: "subcommand [argument [argument ...]]",
    },
}];

/// What stands after `DEBUG`.
struct Subcommand {
    /// Upper case.
    name: &'static str,
    /// How many arguments the request may have, both names among them.
    len: RangeInclusive<usize>,
    run: Run,
    /// The lines of `HELP`; none where another entry speaks for it.
    help: &'static [&'static str],
}

const ANY: RangeInclusive<usize> = 2..=usize::MAX;

#[rustfmt::skip]
static SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { name: "ASSERT", len: ANY, run: panic,
        help: &["ASSERT", "    Crash as if something that must hold did not."] },
    Subcommand { name: "CRASH-AND-RECOVER", len: ANY, run: crash_and_recover,
        help: &["CRASH-AND-RECOVER [<milliseconds>]",
            "    End at once, without any care, and start again after <milliseconds>."] },
    Subcommand { name: "DICT-RESIZING", len: 3..=3, run: switch::dict_resizing,
        help: &["DICT-RESIZING <0|1>", "    Whether the tables of keys may grow and shrink."] },
    Subcommand { name: "DIGEST", len: 2..=2, run: digest,
        help: &["DIGEST", "    Reply a signature of all data, equal on all servers with the same data."] },
    Subcommand { name: "DIGEST-VALUE", len: ANY, run: digest_value,
        help: &["DIGEST-VALUE <key> [<key> ...]", "    Reply a signature of each key's value."] },
    Subcommand { name: "ERROR", len: 3..=3, run: error,
        help: &["ERROR <string>", "    Reply an error with this text, for those who test a client."] },
    Subcommand { name: "HTSTATS", len: 3..=4, run: inspect::htstats,
        help: &["HTSTATS <dbid> [full]", "    Show the figures of a database's table of keys, with `full` those of its chains too."] },
    Subcommand { name: "HTSTATS-KEY", len: 3..=4, run: inspect::htstats_key,
        help: &["HTSTATS-KEY <key> [full]", "    The same of the table in a key's value."] },
    Subcommand { name: "LISTPACK", len: 3..=3, run: inspect::listpack,
        help: &["LISTPACK <key>", "    Write what a small list looks like inside to the server's log."] },
    Subcommand { name: "LOADAOF", len: ANY, run: loadaof,
        help: &["LOADAOF", "    Write out what of the AOF is in memory, then empty the server and load the AOF."] },
    Subcommand { name: "LOG", len: 3..=3, run: log,
        help: &["LOG <message>", "    Write a message to the server's log."] },
    Subcommand { name: "OBJECT", len: 3..=4, run: inspect::object,
        help: &["OBJECT <key> [fast]", "    Show how a key is stored; `fast` leaves out what takes long to find out."] },
    Subcommand { name: "PANIC", len: ANY, run: panic,
        help: &["PANIC", "    Crash by a panic."] },
    Subcommand { name: "PAUSE-CRON", len: 3..=3, run: switch::pause_cron,
        help: &["PAUSE-CRON <0|1>", "    Stop the periodic work, or go on with it."] },
    Subcommand { name: "POPULATE", len: 3..=5, run: populate,
        help: &["POPULATE <count> [<prefix>] [<size>]",
            "    Create <count> strings `value:<num>` under the keys `key:<num>`, or with <prefix>",
            "    in place of `key`; <size> cuts or fills them. Keys that are there stay as they are.",
            "    Other than in Redis they go to the AOF: what was acknowledged is never lost."] },
    Subcommand { name: "PROTOCOL", len: 3..=3, run: protocol::protocol,
        help: &["PROTOCOL <type>", "    Reply a sample of a type: string, integer, double, bignum, null, array, set, map,",
            "    attrib, push, verbatim, true, false."] },
    Subcommand { name: "QUICKLIST", len: 3..=4, run: inspect::quicklist,
        help: &["QUICKLIST <key> [<0|1>]", "    Write what a big list looks like inside to the server's log; 1 = node by node."] },
    Subcommand { name: "QUICKLIST-PACKED-THRESHOLD", len: 3..=3, run: switch::packed_threshold,
        help: &["QUICKLIST-PACKED-THRESHOLD <size>",
            "    From which size on an element of a list stands alone; below 4gb, 0 = the default."] },
    Subcommand { name: "RELOAD", len: ANY, run: reload,
        help: &["RELOAD [option ...]", "    Write the data out, empty the server and load it again. Options:",
            "    * NOSAVE: load what was written before.",
            "    * NOFLUSH: do not empty the server; needs MERGE here.",
            "    * MERGE: a key that is there already is replaced by the loaded one."] },
    Subcommand { name: "REPLYBUFFER", len: 4..=4, run: switch::replybuffer,
        help: &["REPLYBUFFER PEAK-RESET-TIME <NEVER||RESET|time>",
            "    How many milliseconds the peak of a reply buffer is remembered.",
            "REPLYBUFFER RESIZING <0|1>", "    Whether idle reply buffers shrink."] },
    Subcommand { name: "RESTART", len: ANY, run: restart,
        help: &["RESTART [<milliseconds>]", "    End as for SHUTDOWN and start again after <milliseconds>."] },
    Subcommand { name: "SEGFAULT", len: ANY, run: segfault,
        help: &["SEGFAULT", "    Crash by a memory fault."] },
    Subcommand { name: "SET-ACTIVE-EXPIRE", len: 3..=3, run: switch::active_expire,
        help: &["SET-ACTIVE-EXPIRE <0|1>", "    Whether keys expire that nobody asks for."] },
    Subcommand { name: "SHIFT-CLOCK", len: 3..=3, run: shift_clock,
        help: &["SHIFT-CLOCK <milliseconds>",
            "    Set the clock of dates forward, back if negative, as if the machine's had been. Only kvick has this."] },
    Subcommand { name: "SLEEP", len: 3..=3, run: sleep,
        help: &["SLEEP <seconds>", "    Stop the whole server for <seconds>, which may have decimals."] },
    Subcommand { name: "HELP", len: 2..=2, run: help,
        help: &["HELP", "    Print this help."] },
];

/// Subcommands of Redis and Valkey that would mean nothing here.
static REFUSED: &[&str] = &[
    "AOF-FLUSH-SLEEP",
    "CHANGE-REPL-ID",
    "CLIENT-ENFORCE-REPLY-LIST",
    "CLIENT-EVICTION",
    "CLOSE-CLUSTER-LINK-ON-PACKET-DROP",
    "CLUSTERLINK",
    "CONFIG-REWRITE-FORCE-ALL",
    "DELAY-RDB-CLIENT-FREE-SECOND",
    "DISABLE-CLUSTER-RANDOM-PING",
    "DISABLE-CLUSTER-RECONNECTION",
    "DROP-CLUSTER-PACKET-FILTER",
    "FORCE-FREE-PRIMARY-ASYNC",
    "FORCE-TLS-WRITE-ERROR",
    "HASHTABLE-CAN-ABORT-SHRINK",
    "INTERNAL_SECRET",
    "LEAK",
    "MALLCTL",
    "MALLCTL-STR",
    "MARK-INTERNAL-CLIENT",
    "OOM",
    "PAUSE-AFTER-FORK",
    "PROTECT-CLIENT",
    "REPL-PAUSE",
    "REPLICATE",
    "SCRIPT",
    "SDSLEN",
    "SET-DISABLE-DENY-SCRIPTS",
    "SET-SKIP-CHECKSUM-VALIDATION",
    "SLOTMIGRATION",
    "STRINGMATCH-TEST",
    "STRUCTSIZE",
];

const NOT_ALLOWED: Error = Error::of(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
     local connection, otherwise you need to set this option in the configuration file, and then restart the \
     server.",
);
const LOADING_NOW: Error = Error::of("LOADING Redis is loading the dataset in memory");

fn debug(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let local = is_local(ctx.session());
    if !ctx.state.settings.enable_debug_command.allows(local) {
        return Err(NOT_ALLOWED);
    }
    let name = args.get(1);
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    if let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| is(subcommand.name)) {
        return if subcommand.len.contains(&args.len()) {
            (subcommand.run)(ctx, args)
        } else {
            Err(unknown(args))
        };
    }
    match REFUSED.iter().find(|refused| is(refused)) {
        Some(refused) => Err(Error::text(format!("ERR DEBUG {refused} is not supported by kvick"))),
        None => Err(unknown(args)),
    }
}

/// The error for an unknown subcommand, a wrong number of arguments, and whatever a subcommand cannot make sense of.
fn unknown(args: Args<'_>) -> Error {
    let name = repeated(args.get(1), REPEATED_MAX);
    Error::text(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."))
}

fn is_local(session: &Session) -> bool {
    session.unix || session.addr.starts_with("127.0.0.1:") || session.addr.starts_with("[::1]:")
}

/// A number as C's `atoi` reads it: what is none counts as zero.
fn atoi(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = text[sign..].iter().take(18).take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    if text.first() == Some(&b'-') { -number } else { number }
}

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let lines = SUBCOMMANDS.iter().flat_map(|subcommand| subcommand.help);
    ctx.reply.array(1 + lines.clone().count());
    ctx.reply.status("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    lines.for_each(|line| ctx.reply.status(line));
    Ok(Effect::Unchanged)
}

/// Leaves it to the floor `io` to do something and reply.
fn ask(ctx: &mut Ctx<'_>, ask: Ask) -> Outcome {
    ctx.state.ask = Some(ask);
    Ok(Effect::Unchanged)
}

/// Longest text of a number of seconds that is looked at.
const SECONDS_TEXT_MAX: usize = 64;

fn sleep(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    // The longest beginning that is a number, as C's `strtod` reads it; a conversion from below zero gives zero.
    let text = args.get(2).trim_ascii_start();
    let longest = text.len().min(SECONDS_TEXT_MAX);
    let seconds = (1..=longest).rev().find_map(|len| parse_f64(&text[..len])).filter(|s| s.is_finite());
    ask(ctx, Ask::Sleep { micros: (seconds.unwrap_or(0.0) * 1e6) as u64 })
}

/// Ten years: dates stay such as a machine may have.
const SHIFT_MS_MAX: u64 = 10 * 366 * 86_400_000;

fn shift_clock(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let by_ms = ctx.integer(args.get(2))?;
    if SHIFT_MS_MAX < by_ms.unsigned_abs() {
        return Err(Error::of("ERR the clock is set by ten years at most"));
    }
    ask(ctx, Ask::ShiftClock { by_ms })
}

fn panic(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ask(ctx, Ask::Crash { fault: false })
}

fn segfault(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ask(ctx, Ask::Crash { fault: true })
}

fn restart(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    restart_after(ctx, args, false)
}

fn crash_and_recover(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    restart_after(ctx, args, true)
}

fn restart_after(ctx: &mut Ctx<'_>, args: Args<'_>, crash: bool) -> Outcome {
    let delay_ms = if args.len() < 3 { 0 } else { ctx.integer(args.get(2))? };
    ask(ctx, Ask::Restart { crash, delay_ms: u64::try_from(delay_ms).unwrap_or(0) })
}

fn reload(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut save, mut flush, mut merge) = (true, true, false);
    for option in args.iter().skip(2) {
        match option.to_ascii_uppercase().as_slice() {
            b"NOSAVE" => save = false,
            b"NOFLUSH" => flush = false,
            b"MERGE" => merge = true,
            _ => {
                let text = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";
                return Err(Error::of(text));
            }
        }
    }
    if !flush && !merge {
        // In Redis a key that is there already would then end the server.
        return Err(Error::of("ERR DEBUG RELOAD NOFLUSH without MERGE is not supported by kvick"));
    }
    load(ctx, save, flush)
}

fn loadaof(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if !ctx.state.persistence.aof_enabled {
        // There is nothing to load, and emptying the server first would lose everything.
        return Err(Error::of("ERR Error trying to load the AOF files, check server logs."));
    }
    load(ctx, false, true)
}

fn load(ctx: &mut Ctx<'_>, save: bool, flush: bool) -> Outcome {
    if ctx.state.persistence.loading.is_some() {
        return Err(LOADING_NOW);
    }
    ask(ctx, Ask::Reload { save, flush })
}

fn digest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let digest = Digest::of_all(ctx.keys);
    ctx.reply.status(&digest.to_string());
    Ok(Effect::Unchanged)
}

fn digest_value(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.reply.array(args.len() - 2);
    for index in 2..args.len() {
        let key = ctx.key(args, index);
        let digest = ctx.keys.stored(key).map(Digest::of_value).unwrap_or_default();
        ctx.reply.status(&digest.to_string());
    }
    Ok(Effect::Unchanged)
}

fn error(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    // Not an error of the command's: it succeeds in replying one, and the statistics stay as they are.
    let text: Vec<u8> =
        args.get(2).iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect();
    ctx.reply.error(text);
    Ok(Effect::Unchanged)
}

fn log(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    log::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.get(2)));
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

/// The longest key that `POPULATE` makes; a longer prefix is cut, as in Redis.
const POPULATED_KEY_MAX: usize = 127;

fn populate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let positive = |index: usize| {
        parse_i64(args.get(index)).and_then(|n| u64::try_from(n).ok()).ok_or(Error::MUST_BE_POSITIVE)
    };
    let count = positive(2)?;
    let prefix = if 3 < args.len() { args.get(3) } else { b"key" };
    let size = if 4 < args.len() { positive(4)? } else { 0 };
    if ctx.state.settings.proto_max_bulk_len < size {
        return Err(Error::STRING_TOO_LONG);
    }
    let persistence = &ctx.state.persistence;
    if persistence.loading.is_some() {
        return Err(LOADING_NOW);
    }
    if !persistence.last_write_ok {
        let cause = &persistence.last_write_error;
        return Err(Error::text(format!("MISCONF Errors writing to the AOF file: {cause}")));
    }
    let mut effect = Effect::Unchanged;
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for number in 0..count {
        name.clear();
        name.extend_from_slice(prefix);
        name.extend_from_slice(format!(":{number}").as_bytes());
        name.truncate(POPULATED_KEY_MAX);
        let key = ctx.keys.key(&name);
        if ctx.keys.peek(key).is_some() {
            continue;
        }
        value.clear();
        value.extend_from_slice(format!("value:{number}").as_bytes());
        if size != 0 {
            value.resize(size as usize, 0);
        }
        ctx.keys.set(key, Value::Bytes { bytes: &value, raw: false }, Deadline::Clear);
        ctx.changed(Class::String, "set", key);
        ctx.log(&[b"SET", &name, &value]);
        effect = Effect::Logged;
    }
    ctx.reply.ok();
    Ok(effect)
}
