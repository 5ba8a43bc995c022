//! `CLIENT`: the clients and this one.

mod filter;
mod tracking;
#[cfg(test)]
mod tests;

use crate::base::number::parse_i64;
use crate::command::client::filter::Filter;
use crate::command::client::tracking::{caching, getredir, redirection, tracking, trackinginfo};
use crate::command::connection::check_name;
use crate::command::options::Options;
use crate::command::registry::{Found, commands};
use crate::command::spec::flag::{ADMIN, ALLOW_BUSY, LOADING, NO_MULTI, NOSCRIPT, STALE};
use crate::command::spec::{Command, Ctx, Doc, Effect, Error, Group, Outcome, REPEATED_MAX, Run, repeated};
use crate::resp::reply::Output;
use crate::resp::request::Args;
use crate::state::State;
use crate::state::channels::Scope;
use crate::state::names::Names;
use crate::state::session::{Closing, ReplyMode, Session, Wait};

const PLAIN: u32 = NOSCRIPT | LOADING | STALE;
const ALL: u32 = ADMIN | PLAIN;

/// Options of `LIST` and `KILL`.
macro_rules! filters {
    () => {
        "[ID client-id [client-id ...]] [TYPE <NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] \
         [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME <YES | NO>] [MAXAGE maxage] [IDLE idle] \
         [NAME name] [FLAGS flags] [LIB-NAME lib-name] [LIB-VER lib-ver] [DB db] [CAPA capa] [IP ip] \
         [NOT-ID not-client-id [not-client-id ...]] \
         [NOT-TYPE <NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] [NOT-USER not-username] \
         [NOT-ADDR ip:port] [NOT-LADDR ip:port] [NOT-NAME not-name] [NOT-FLAGS not-flags] \
         [NOT-LIB-NAME not-lib-name] [NOT-LIB-VER not-lib-ver] [NOT-DB not-db] [NOT-CAPA not-capa] [NOT-IP not-ip]"
    };
}

const LIST: &str = filters!();
const KILL: &str = concat!("<ip:port | ", filters!(), ">");

const TRACKING: &str = "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] \
    [OPTOUT] [NOLOOP]";

const fn row(name: &'static str, arity: i16, flags: u32, run: Run, doc: Doc) -> Command {
    Command { name, arity, flags, keys: &[], run, doc, subcommands: &[] }
}

/// Documentation of what takes the same time however many clients there are.
const fn doc(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    Group::Connection.doc(since, "O(1)", syntax, summary)
}

/// Documentation of what looks at all clients.
const fn scan(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    Doc { complexity: "O(N) of the clients", ..doc(since, syntax, summary) }
}

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "client", arity: -2, flags: 0, keys: &[], run: container, subcommands: SUBCOMMANDS,
        doc: Doc { summary: "Commands about clients.", since: "2.4.0", group: Group::Connection,
            complexity: "Depends on subcommand.", syntax: "" } },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    row("caching", 3, PLAIN, caching, doc("6.0.0", "<YES | NO>", "Says whether the keys of the next command are tracked.")),
    row("capa", -3, PLAIN | ALLOW_BUSY, capa, doc("8.0.0", "capability [capability ...]", "Tells what the client can do.")),
    row("getname", 2, PLAIN, getname, doc("2.6.9", "", "Returns the name of the connection.")),
    row("getredir", 2, PLAIN, getredir, doc("6.0.0", "", "Returns the client to which messages about tracked keys go.")),
    row("help", 2, LOADING | STALE, help, doc("5.0.0", "", "Explains the subcommands.")),
    row("id", 2, PLAIN, id, doc("5.0.0", "", "Returns the number of the connection, which no other one ever has.")),
    row("import-source", 3, PLAIN, import_source, doc("8.1.0", "<ON | OFF>", "Marks the connection as one that imports data.")),
    row("info", 2, PLAIN, info, doc("6.2.0", "", "Describes this client in a line of text.")),
    row("kill", -3, ALL, kill, scan("2.4.0", KILL, "Closes connections, by address or by filters.")),
    row("list", -2, ALL, list, scan("2.4.0", LIST, "Describes clients in a line of text each.")),
    row("no-evict", 3, ALL, no_evict, doc("7.0.0", "<ON | OFF>", "Spares the client when memory of clients is short.")),
    row("no-touch", 3, PLAIN, no_touch, doc("7.2.0", "<ON | OFF>", "Makes commands leave the age and frequency of keys alone.")),
    row("pause", -3, ALL, pause, doc("3.0.0", "timeout [WRITE | ALL]", "Holds up the commands of all clients for some time.")),
    row("reply", 3, PLAIN | NO_MULTI, reply, doc("3.2.0", "<ON | OFF | SKIP>", "Says whether commands are replied to.")),
    row("setinfo", 4, PLAIN, setinfo, doc("7.2.0", "<LIB-NAME libname | LIB-VER libver>", "Names the library that the client uses.")),
    row("setname", 3, PLAIN, setname, doc("2.6.9", "connection-name", "Names the connection.")),
    row("tracking", -3, PLAIN, tracking, doc("6.0.0", TRACKING, "Has the client told of changes of keys that it has read.")),
    row("trackinginfo", 2, PLAIN, trackinginfo, doc("6.2.0", "", "Returns how the client tracks keys.")),
    row("unblock", -3, ALL, unblock, doc("5.0.0", "client-id [TIMEOUT | ERROR]", "Ends the wait of a client in a blocking command.")),
    row("unpause", 2, ALL, unpause, doc("6.2.0", "", "Ends what CLIENT PAUSE has begun.")),
];

#[rustfmt::skip]
const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)", "    Say whether the keys of the next command are tracked.",
    "CAPA <option> [options...]", "    Tell what the client can do:",
    "    * REDIRECT", "      It can be sent to another server.",
    "GETREDIR", "    Return the client to which messages about tracked keys go.",
    "GETNAME", "    Return the name of this connection.",
    "ID", "    Return the number of this connection.",
    "INFO", "    Describe this client.",
    "KILL <ip:port>", "    Close the connection from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]", "    Close the connections for which all options hold; they are those of LIST.",
    "    * SKIPME (YES|NO)", "      Spare this connection (default: yes).",
    "LIST [options ...]", "    Describe the clients for which all options hold:",
    "    * ADDR (<ip:port>|<unixsocket>:0)", "      Connected from this address.",
    "    * LADDR (<ip:port>|<unixsocket>:0)", "      Connected to this address.",
    "    * IP <ip>", "      Connected from this address, whatever the port.",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Of this type.",
    "    * USER <username>", "      Authenticated as this user.",
    "    * ID <client-id> [<client-id>...]", "      With one of these numbers.",
    "    * SKIPME (YES|NO)", "      Leave this client out (default: no).",
    "    * MAXAGE <maxage>", "      Connected at least so many seconds ago.",
    "    * IDLE <idle>", "      Idle for at least so many seconds.",
    "    * FLAGS <flags>", "      With all of these flags.",
    "    * NAME <client-name>", "      With this name.",
    "    * LIB-NAME <lib-name>", "      Using this library.",
    "    * LIB-VER <lib-version>", "      Using this version of its library.",
    "    * DB <db-id>", "      In this database.",
    "    * CAPA <capa>", "      With this capability.",
    "    * NOT-<option> <value>", "      All but those; not for SKIPME, MAXAGE and IDLE.",
    "UNPAUSE", "    End what PAUSE has begun.",
    "PAUSE <timeout> [WRITE|ALL]", "    Hold up all commands, or those that write, for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)", "    Say whether commands of this connection are replied to.",
    "SETNAME <name>", "    Name this connection.",
    "SETINFO <option> <value>", "    Tell about the client:",
    "    * LIB-NAME: the name of its library.", "    * LIB-VER: the version of its library.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]", "    End the wait of a client in a blocking command.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]", "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Have this connection told of changes of keys that it has read.",
    "TRACKINGINFO", "    Return how this connection tracks keys.",
    "NO-EVICT (ON|OFF)", "    Spare this connection when memory of clients is short.",
    "NO-TOUCH (ON|OFF)", "    Leave the age and frequency of keys alone.",
    "IMPORT-SOURCE (ON|OFF)", "    Mark this connection as one that imports data.",
    "HELP", "    Print this help.",
];

/// A container by itself is refused for its arity before it runs.
pub(super) fn container(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    Err(Error::SYNTAX)
}

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

/// `ON` or `OFF`.
fn switch(word: &[u8]) -> Result<bool, Error> {
    match () {
        () if word.eq_ignore_ascii_case(b"ON") => Ok(true),
        () if word.eq_ignore_ascii_case(b"OFF") => Ok(false),
        () => Err(Error::SYNTAX),
    }
}

fn id(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    let id = ctx.session().id;
    ctx.reply.integer(id as i64);
    Ok(Effect::Unchanged)
}

fn getname(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    let name = &ctx.state.sessions[ctx.token].name;
    if name.is_empty() {
        ctx.reply.null()
    } else {
        ctx.reply.bulk(name)
    }
    Ok(Effect::Unchanged)
}

fn setname(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_name(args.get(2), "Client names")?;
    ctx.session().name = args.get(2).to_vec();
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn setinfo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (option, value) = (args.get(2), args.get(3));
    if option.eq_ignore_ascii_case(b"LIB-NAME") {
        check_name(value, "lib-name")?;
        ctx.session().lib_name = value.to_vec();
    } else if option.eq_ignore_ascii_case(b"LIB-VER") {
        check_name(value, "lib-ver")?;
        ctx.session().lib_ver = value.to_vec();
    } else {
        return Err(Error::text(format!("ERR Unrecognized option '{}'", repeated(option, usize::MAX))));
    }
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

/// What a client is capable of is noted if it means something here, and of no harm else: it asks for nothing.
fn capa(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.iter().skip(2).any(|word| word.eq_ignore_ascii_case(b"REDIRECT")) {
        ctx.session().redirectable = true;
    }
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn import_source(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if !args.get(2).eq_ignore_ascii_case(b"OFF") {
        return Err(Error::of("ERR Server is not in import mode"));
    }
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn no_evict(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.session().no_evict = switch(args.get(2))?;
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn no_touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let on = switch(args.get(2))?;
    ctx.session().no_touch = on;
    ctx.keys.touching = !on;
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

/// The one command that may reply nothing: `OFF` and `SKIP` are silent themselves.
fn reply(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let word = args.get(2);
    if word.eq_ignore_ascii_case(b"ON") {
        ctx.session().reply_mode = ReplyMode::On;
        ctx.reply.ok();
    } else if word.eq_ignore_ascii_case(b"OFF") {
        ctx.session().reply_mode = ReplyMode::Off;
    } else if word.eq_ignore_ascii_case(b"SKIP") {
        let session = ctx.session();
        if session.reply_mode != ReplyMode::Off {
            session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Error::SYNTAX);
    }
    Ok(Effect::Unchanged)
}

fn pause(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 3);
    let all = !options.word("WRITE");
    if all && options.more() && !options.word("ALL") {
        return Err(Error::of("ERR CLIENT PAUSE mode must be WRITE or ALL"));
    }
    if options.more() {
        return Err(Error::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try CLIENT HELP.",
            repeated(args.get(1), REPEATED_MAX)
        )));
    }
    let millis = parse_i64(args.get(2)).ok_or(Error::of("ERR timeout is not an integer or out of range"))?;
    let millis = u64::try_from(millis).map_err(|_| Error::of("ERR timeout is negative"))?;
    if (i64::MAX - ctx.state.process.now_ms) as u64 <= millis {
        return Err(Error::of("ERR timeout is out of range"));
    }
    ctx.state.pause(all, ctx.state.process.mono_ms + millis);
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

fn unpause(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.state.unpause();
    ctx.keys.keeping = false;
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}

/// Marks the client; the floor `io`, which knows what it waits for, ends the wait in this very turn.
fn unblock(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 3);
    let mut end = Wait::TimedOut;
    if options.word("ERROR") {
        end = Wait::Failed;
    } else if options.more() && !options.word("TIMEOUT") {
        return Err(Error::of("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    }
    if options.more() {
        return Err(Error::SYNTAX);
    }
    let id = ctx.integer(args.get(2))?;
    let waiting = |session: &Session| session.id as i64 == id && session.wait == Wait::Yes;
    let found = ctx.state.sessions.iter_mut().find(|(_, session)| waiting(session));
    let woken = found.is_some();
    if let Some((token, session)) = found {
        session.wait = end;
        ctx.state.waiting.told.push(token);
    }
    ctx.reply.integer(i64::from(woken));
    Ok(Effect::Unchanged)
}

/// What differs for the client that asks: its output is with the reply, its last command is the one that
/// runs.
struct Asking<'a> {
    output: &'a Output,
    args: Args<'a>,
    names: Option<&'a Names>,
}

/// Appends the line that describes a client, with the fields of Redis in their order.
fn describe(session: &Session, asking: Option<Asking<'_>>, now_ms: u64, text: &mut Vec<u8>) {
    let (output, args_memory, command) = match &asking {
        None => (&session.output, session.args_memory, session.last_command),
        Some(Asking { output, args, names }) => {
            let found = match commands().find_as(*names, *args) {
                Found::Row(number) => Some(number),
                _ => None,
            };
            (*output, args.iter().map(<[u8]>::len).sum(), found)
        }
    };
    let command = command.map_or("NULL", |number| &commands().row(number).full_name);
    let secs_since = |at_ms: u64| now_ms.saturating_sub(at_ms) / 1000;
    let (references, referenced) = output.references();
    let names = |scope| session.subscriptions.as_ref().map_or(0, |it| it.names(scope).len());
    let lossy = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let line = format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} \
         qbuf={} qbuf-free=0 argv-mem={args_memory} multi-mem={} rbs={} rbp={} obl={} oll={references} \
         omem={referenced} tot-mem={} events={} cmd={command} user={} redir={} resp={} lib-name={} lib-ver={} \
         io-thread=0 tot-net-in={} tot-net-out={} tot-cmds={}\n",
        session.id,
        session.addr,
        session.laddr,
        session.fd,
        lossy(&session.name),
        secs_since(session.created_ms),
        if asking.is_some() { 0 } else { secs_since(session.active_ms) },
        session.flags(),
        session.database,
        names(Scope::Channel),
        names(Scope::Pattern),
        names(Scope::Shard),
        session.multi.as_ref().map_or(-1, |multi| multi.queue.len() as i64),
        session.watched.len(),
        session.query_buffer,
        session.queued_memory(),
        output.buffer_size(),
        output.buffer_size(),
        output.len() - referenced,
        session.memory() - session.output.memory() + output.memory(),
        if output.is_empty() { "r" } else { "rw" },
        lossy(&session.user_name),
        redirection(session),
        if session.resp3 { 3 } else { 2 },
        lossy(&session.lib_name),
        lossy(&session.lib_ver),
        session.input_bytes,
        session.output_bytes,
        session.commands,
    );
    text.extend_from_slice(line.as_bytes());
}

/// What `CLIENT INFO` would say of a client whose request is running, without the end of the line.
pub fn line_of(state: &State, token: usize, output: &Output, args: Args<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    let asking = Asking { output, args, names: state.names.as_deref() };
    describe(&state.sessions[token], Some(asking), state.process.mono_ms, &mut text);
    text.pop();
    text
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut text = Vec::new();
    let asking = Asking { output: &ctx.reply.out, args, names: ctx.state.names.as_deref() };
    describe(&ctx.state.sessions[ctx.token], Some(asking), ctx.state.process.mono_ms, &mut text);
    ctx.reply.verbatim("txt", &text);
    Ok(Effect::Unchanged)
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let filter = Filter::for_list(Options::new(args, 2), ctx.keys.databases().len(), &ctx.state.users)?;
    let (me, now_ms) = (ctx.session().id, ctx.state.process.mono_ms);
    let mut text = Vec::new();
    for (token, session) in &ctx.state.sessions {
        if session.closing != Closing::Now && filter.passes(session, me, now_ms) {
            let names = ctx.state.names.as_deref();
            let asking = (token == ctx.token).then_some(Asking { output: &ctx.reply.out, args, names });
            describe(session, asking, now_ms, &mut text);
        }
    }
    ctx.reply.verbatim("txt", &text);
    Ok(Effect::Unchanged)
}

/// With one argument closes the client at that address, which may be the one that asks; with options, all
/// that pass.
fn kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let by_address = args.len() == 3;
    let filter = if by_address {
        None
    } else {
        Some(Filter::for_kill(Options::new(args, 2), ctx.keys.databases().len(), &ctx.state.users)?)
    };
    let (me, now_ms) = (ctx.session().id, ctx.state.process.mono_ms);
    let mut killed = 0;
    for (token, session) in &mut ctx.state.sessions {
        let meant = match &filter {
            None => killed == 0 && session.addr.as_bytes() == args.get(2),
            Some(filter) => filter.passes(session, me, now_ms),
        };
        if meant && session.closing != Closing::Now {
            session.closing = if token == ctx.token { Closing::AfterReply } else { Closing::Now };
            killed += 1;
        }
    }
    if by_address && killed == 0 {
        return Err(Error::of("ERR No such client"));
    }
    ctx.state.sessions_marked |= 0 < killed;
    if by_address {
        ctx.reply.ok()
    } else {
        ctx.reply.integer(killed)
    }
    Ok(Effect::Unchanged)
}
