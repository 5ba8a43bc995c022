//! The connection itself: who the client is, which database it has, which protocol it speaks. Also `TIME` and
//! `LOLWUT`, which ask nothing of the data either.

#[cfg(test)]
pub(super) mod tests;

use crate::base::number::parse_i64;
use crate::base::random::Random;
use crate::command::options::Options;
use crate::command::spec::flag::{
    ADMIN, ALLOW_BUSY, FAST, LOADING, NO_AUTH, NOSCRIPT, NOT_QUEUED, READONLY, STALE, SUBSCRIBER,
};
use crate::command::spec::{Command, Ctx, Doc, Effect, Error, Group, Outcome, REDIS_VERSION, repeated};
use crate::resp::request::Args;
use crate::state::State;
use crate::state::session::{Closing, ReplyMode};

/// Columns and rows of the picture of `LOLWUT`, if nobody says otherwise, and at most.
const PICTURE: (i64, i64) = (66, 24);
const PICTURE_MAX: i64 = 200;

const OPEN: u32 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;
const HELLO_SYNTAX: &str = "[protover [AUTH username password] [SETNAME clientname]]";

const WRONG_PASSWORD: Error = Error::of("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD_SET: Error = Error::of(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
     configuration is correct?",
);
const HELLO_NEEDS_AUTH: Error = Error::of(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
     <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
);

const fn doc(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    Group::Connection.doc(since, "O(1)", syntax, summary)
}

const fn server_doc(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    Group::Server.doc(since, "O(1)", syntax, summary)
}

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "auth", arity: -2, flags: OPEN, keys: &[], run: auth, subcommands: &[],
        doc: doc("1.0.0", "[username] password", "Lets the client in if it knows the password.") },
    Command { name: "echo", arity: 2, flags: LOADING | STALE | FAST, keys: &[], run: echo, subcommands: &[],
        doc: doc("1.0.0", "message", "Replies the message.") },
    Command { name: "hello", arity: -1, flags: OPEN, keys: &[], run: hello, subcommands: &[],
        doc: doc("6.0.0", HELLO_SYNTAX, "Agrees on the version of the protocol and tells who the server is.") },
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
    let open = ctx.state.settings.requirepass.is_empty();
    ctx.state.unwatch(ctx.token);
    ctx.state.unsubscribe_all(ctx.token);
    ctx.state.untrack(ctx.token);
    ctx.state.end_monitor(ctx.token);
    let session = ctx.session();
    session.multi = None;
    session.authenticated = open;
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

/// Compares in a time that depends on the length of `given` only, so that no byte of the secret can be found
/// out by the clock.
pub(crate) fn equal_in_constant_time(given: &[u8], secret: &[u8]) -> bool {
    let mut difference = given.len() ^ secret.len();
    for (index, byte) in given.iter().enumerate() {
        let other = if secret.is_empty() { 0 } else { secret[index % secret.len()] };
        difference |= usize::from(byte ^ other);
    }
    std::hint::black_box(difference) == 0
}

/// Whether this user has this password. There is one user; while it has no password, any will do.
fn password_fits(state: &mut State, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let secret = state.settings.requirepass.as_bytes();
    if user == b"default" && (secret.is_empty() || equal_in_constant_time(password, secret)) {
        return Ok(());
    }
    state.stats.auth_failures += 1;
    Err(WRONG_PASSWORD)
}

/// Whether an argument of a request is a password, or stands beside one, which nobody else is to see.
pub fn is_secret(args: Args<'_>, index: usize) -> bool {
    let is = |at: usize, word: &str| args.get(at).eq_ignore_ascii_case(word.as_bytes());
    if index == 0 || !is(0, "auth") && !is(0, "hello") {
        return false;
    }
    is(0, "auth") || (2..index).any(|at| is(at, "AUTH") && index <= at + 2)
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

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (user, password) = match args.len() {
        2 if ctx.state.settings.requirepass.is_empty() => return Err(NO_PASSWORD_SET),
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return Err(Error::SYNTAX),
    };
    password_fits(ctx.state, user, password)?;
    ctx.session().authenticated = true;
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

/// What `HELLO` asks for.
#[derive(Default)]
struct Hello<'a> {
    resp3: Option<bool>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Hello<'a> {
    fn parse(args: Args<'a>) -> Result<Hello<'a>, Error> {
        let mut hello = Hello::default();
        if args.len() == 1 {
            return Ok(hello);
        }
        hello.resp3 = match parse_i64(args.get(1)) {
            None => return Err(Error::of("ERR Protocol version is not an integer or out of range")),
            Some(2) => Some(false),
            Some(3) => Some(true),
            Some(_) => return Err(Error::of("NOPROTO unsupported protocol version")),
        };
        let mut options = Options::new(args, 2);
        while let Some(option) = options.peek() {
            if 2 < options.left() && options.word("AUTH") {
                hello.login = Some((options.value()?, options.value()?));
            } else if options.word_with_value("SETNAME") {
                hello.name = Some(options.value()?);
                hello.name.map_or(Ok(()), |name| check_name(name, "Client names"))?;
            } else {
                let option = repeated(option, usize::MAX);
                return Err(Error::text(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        }
        Ok(hello)
    }
}

fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let asked = Hello::parse(args)?;
    if let Some((user, password)) = asked.login {
        password_fits(ctx.state, user, password)?;
    } else if !ctx.session().authenticated {
        return Err(HELLO_NEEDS_AUTH);
    }
    let session = ctx.session();
    session.authenticated = true;
    if let Some(name) = asked.name {
        session.name = name.to_vec();
    }
    session.resp3 = asked.resp3.unwrap_or(session.resp3);
    let (resp3, id) = (session.resp3, session.id);
    let reply = &mut *ctx.reply;
    reply.set_resp3(resp3);
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
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
