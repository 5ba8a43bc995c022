//! `AUTH` and `HELLO`: a client shows who it is.

use crate::base::number::parse_i64;
use crate::command::acl::denied::{self, Denied};
use crate::command::connection::{OPEN, check_name};
use crate::command::options::Options;
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome, REDIS_VERSION, repeated};
use crate::resp::request::Args;
use crate::state::acl::DEFAULT_NAME;

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

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "auth", arity: -2, flags: OPEN, keys: &[], run: auth, subcommands: &[],
        doc: Group::Connection.doc("1.0.0", "O(N) of the user's passwords", "[username] password", "Lets the client in if it knows the password.") },
    Command { name: "hello", arity: -1, flags: OPEN, keys: &[], run: hello, subcommands: &[],
        doc: Group::Connection.doc("6.0.0", "O(1)", HELLO_SYNTAX, "Agrees on the version of the protocol and tells who the server is.") },
];

/// Logs the client in, or notes that it could not.
fn log_in(ctx: &mut Ctx<'_>, args: Args<'_>, name: &[u8], password: &[u8]) -> Result<(), Error> {
    let users = &ctx.state.users;
    if let Some(number) = users.number(name).filter(|number| users.get(*number).admits(password)) {
        ctx.state.log_in(ctx.token, number);
        return Ok(());
    }
    let in_multi = ctx.state.transaction.is_some();
    let denied = Denied { token: ctx.token, output: &ctx.reply.out, args, in_multi };
    denied::note_login(ctx.state, denied, name);
    Err(WRONG_PASSWORD)
}

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (user, password) = match args.len() {
        2 if ctx.state.users.default_user().nopass => return Err(NO_PASSWORD_SET),
        2 => (DEFAULT_NAME, args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return Err(Error::SYNTAX),
    };
    log_in(ctx, args, user, password)?;
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
        log_in(ctx, args, user, password)?;
    } else if !ctx.session().authenticated {
        return Err(HELLO_NEEDS_AUTH);
    }
    let session = ctx.session();
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
