//! The connection itself: its database, a sign of life, its end. Who the client is and which protocol it speaks stands
//! in `acl/login.rs`. Also `TIME` and `LOLWUT`, which ask nothing of the data either.

#[cfg(test)]
pub(super) mod tests;

use crate::base::random::Random;
use crate::command::options::Options;
use crate::command::spec::flag::{
    ADMIN, ALLOW_BUSY, FAST, LOADING, NO_AUTH, NOSCRIPT, NOT_QUEUED, READONLY, STALE, SUBSCRIBER,
};
use crate::command::spec::{Command, Ctx, Doc, Effect, Error, Group, Outcome};
use crate::resp::request::Args;
use crate::state::session::{Closing, ReplyMode};

/// Columns and rows of the picture of `LOLWUT`, if nobody says otherwise, and at most.
const PICTURE: (i64, i64) = (66, 24);
const PICTURE_MAX: i64 = 200;

/// Flags of what a client may send before it has logged in.
pub(super) const OPEN: u32 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;
const fn doc(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    Group::Connection.doc(since, "O(1)", syntax, summary)
}

const fn server_doc(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    Group::Server.doc(since, "O(1)", syntax, summary)
}

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "echo", arity: 2, flags: LOADING | STALE | FAST, keys: &[], run: echo, subcommands: &[],
        doc: doc("1.0.0", "message", "Replies the message.") },
    Command { name: "monitor", arity: 1, flags: ADMIN | NOSCRIPT | LOADING | STALE, keys: &[], run: monitor, subcommands: &[],
        doc: server_doc("1.0.0", "", "Shows the client every request that runs.") },
    Command { name: "ping", arity: -1, flags: FAST | SUBSCRIBER, keys: &[], run: ping, subcommands: &[],
        doc: doc("1.0.0", "[message]", "Replies PONG, or the message, as a sign of life.") },
    Command { name: "quit", arity: -1, flags: OPEN | NOT_QUEUED | SUBSCRIBER, keys: &[], run: quit, subcommands: &[],
        doc: doc("1.0.0", "", "Closes the connection after the reply.") },
    Command { name: "reset", arity: 1, flags: OPEN | NOT_QUEUED | SUBSCRIBER, keys: &[], run: reset, subcommands: &[],
        doc: doc("6.2.0", "", "Makes the connection as if it had just been opened.") },
    Command { name: "select", arity: 2, flags: LOADING | STALE | FAST, keys: &[], run: select, subcommands: &[],
        doc: doc("1.0.0", "index", "Goes over to another database.") },
    Command { name: "lolwut", arity: -1, flags: READONLY | FAST, keys: &[], run: lolwut, subcommands: &[],
        doc: server_doc("5.0.0", "[VERSION version] [columns rows]", "Draws a picture and tells the version.") },
    Command { name: "time", arity: 1, flags: LOADING | STALE | FAST, keys: &[], run: time, subcommands: &[],
        doc: server_doc("2.6.0", "", "Returns the seconds since the epoch and the microseconds of the current one.") },
];

/// What a client calls itself stands in lines of text with blanks between the fields.
pub(super) fn check_name(name: &[u8], what: &str) -> Result<(), Error> {
    if name.iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    Err(Error::text(format!("ERR {what} cannot contain spaces, newlines or special characters.")))
}

fn ping(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    match args.len() {
        1 | 2 if ctx.session().subscriptions.is_some() && !ctx.reply.resp3() => {
            // In the form of a message: RESP2 has no other way to tell the two apart.
            ctx.reply.array(2);
            ctx.reply.bulk(b"pong");
            ctx.reply.bulk(if args.len() == 2 { args.get(1) } else { b"" });
        }
        1 => ctx.reply.status("PONG"),
        2 => ctx.reply.bulk(args.get(1)),
        _ => return Err(Error::arity("ping")),
    }
    Ok(Effect::Unchanged)
}

fn echo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    match args.shared(1) {
        Some(message) => ctx.reply.bulk_shared(message),
        None => ctx.reply.bulk(args.get(1)),
    }
    Ok(Effect::Unchanged)
}

fn quit(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.reply.ok();
    ctx.session().closing = Closing::AfterReply;
    ctx.state.sessions_marked = true;
    Ok(Effect::Unchanged)
}

fn reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.state.log_out(ctx.token);
    ctx.state.unwatch(ctx.token);
    ctx.state.unsubscribe_all(ctx.token);
    ctx.state.untrack(ctx.token);
    ctx.state.end_monitor(ctx.token);
    let session = ctx.session();
    session.multi = None;
    session.name.clear();
    session.database = 0;
    session.reply_mode = ReplyMode::On;
    (session.resp3, session.no_evict, session.no_touch) = (false, false, false);
    ctx.keys.touching = true;
    ctx.reply.set_resp3(false);
    ctx.reply.status("RESET");
    Ok(Effect::Unchanged)
}

fn select(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let index = ctx.integer(args.get(1))?;
    if i32::try_from(index).is_err() {
        return Err(Error::of("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    let database = usize::try_from(index)
        .ok()
        .filter(|index| *index < ctx.keys.databases().len())
        .ok_or(Error::DATABASE_OUT_OF_RANGE)?;
    ctx.session().database = database;
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

/// Shows the client every request that runs, until it resets or leaves.
fn monitor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    if ctx.state.transaction.is_some() {
        // What is shown could not be told from the replies of the other requests.
        return Err(Error::of("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Who does it again hears nothing, as there is no reply that could be told from what is shown.
    if ctx.state.begin_monitor(ctx.token) {
        ctx.reply.ok();
    }
    Ok(Effect::Unchanged)
}

fn time(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    let micros = ctx.state.process.now_micros;
    ctx.reply.array(2);
    ctx.reply.bulk_integer(micros.div_euclid(1_000_000));
    ctx.reply.bulk_integer(micros.rem_euclid(1_000_000));
    Ok(Effect::Unchanged)
}

/// Draws what a row of cells becomes when each cell goes by itself and its two neighbours: the eight bits of
/// `rule` say what the eight cases lead to. Each line of text shows two generations.
fn picture(rule: u8, columns: usize, rows: usize, seed: u64) -> String {
    let mut random = Random::seeded(seed);
    let mut cells: Vec<bool> = (0..columns).map(|_| random.below(4) == 0).collect();
    let mut text = String::with_capacity((columns + 1) * rows);
    for _ in 0..rows {
        let next = generation(rule, &cells);
        text.extend(cells.iter().zip(&next).map(|cell| match cell {
            (false, false) => ' ',
            (true, false) => '\'',
            (false, true) => '.',
            (true, true) => ':',
        }));
        text.push('\n');
        cells = generation(rule, &next);
    }
    text
}

fn generation(rule: u8, cells: &[bool]) -> Vec<bool> {
    let len = cells.len();
    let neighbours = |at: usize| [cells[(at + len - 1) % len], cells[at], cells[(at + 1) % len]];
    (0..len)
        .map(|at| rule >> neighbours(at).iter().fold(0, |bits, cell| bits << 1 | u8::from(*cell)) & 1 != 0)
        .collect()
}

fn lolwut(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 1);
    // The versions that brought new pictures in Redis have one of their own here.
    let rule = match options.word_with_value("VERSION").then(|| options.integer()).transpose()? {
        None | Some(8) => Some(110),
        Some(5) => Some(90),
        Some(6) => Some(30),
        Some(_) => None,
    };
    let mut size = [PICTURE.0, PICTURE.1];
    for side in &mut size {
        if options.more() {
            *side = options.integer()?.clamp(1, PICTURE_MAX);
        }
    }
    if options.more() {
        return Err(Error::SYNTAX);
    }
    let seed = ctx.state.process.now_micros as u64;
    let mut text = rule.map_or(String::new(), |rule| picture(rule, size[0] as usize, size[1] as usize, seed));
    text.push_str(concat!("kvick ver. ", env!("CARGO_PKG_VERSION"), "\n"));
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Effect::Unchanged)
}
