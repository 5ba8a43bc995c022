//! Which clients `CLIENT LIST` shows and `CLIENT KILL` closes.
//!
//! A filter is a list of tests that must all hold. Each test has a word, given at most once in effect: the last
//! one counts. `NOT-` before most words turns the test round.

use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::{Error, repeated};
use crate::state::acl::Users;
use crate::state::session::Session;

/// The letters that `flags` in `CLIENT LIST` may hold in Redis and Valkey, of which some never occur here.
const FLAG_LETTERS: &[u8] = b"AbBcdeEiIMNOPrRStTuUx";

/// What a client is to the server.
enum Type {
    /// Nothing special.
    Normal,
    /// It has subscribed.
    Subscriber,
    /// Another server, of which there are none.
    Peer,
}

/// What a test looks at, with what it must find there.
enum Test<'a> {
    Ids(Vec<u64>),
    Type(Type),
    Addr(&'a [u8]),
    Laddr(&'a [u8]),
    Ip(&'a [u8]),
    /// The number of the user.
    User(usize),
    Flags(&'a [u8]),
    Name(&'a [u8]),
    LibName(&'a [u8]),
    LibVer(&'a [u8]),
    Database(usize),
    /// Whether all the capabilities were claimed.
    Redirect,
    AgeMin(u64),
    IdleMin(u64),
}

/// Tests that must all hold, and whether the client that asks is left out.
pub struct Filter<'a> {
    tests: Vec<(&'static str, bool, Test<'a>)>,
    skip_me: bool,
    databases: usize,
    id_error: &'static str,
    id_min: i64,
}

/// Words of tests that `NOT-` may stand before.
const INVERTIBLE: &[&str] =
    &["ID", "TYPE", "ADDR", "LADDR", "USER", "FLAGS", "NAME", "LIB-NAME", "LIB-VER", "DB", "CAPA", "IP"];
/// Words of tests that it may not.
const PLAIN: &[&str] = &["MAXAGE", "IDLE"];

impl<'a> Filter<'a> {
    /// The filter of `CLIENT LIST`, which shows the client that asks too.
    pub fn for_list(options: Options<'a>, databases: usize, users: &Users) -> Result<Filter<'a>, Error> {
        let filter = Filter {
            tests: Vec::new(),
            skip_me: false,
            databases,
            id_error: "ERR Invalid client ID",
            id_min: i64::MIN,
        };
        filter.parse(options, users)
    }

    /// The filter of `CLIENT KILL`, which spares the client that asks.
    pub fn for_kill(options: Options<'a>, databases: usize, users: &Users) -> Result<Filter<'a>, Error> {
        let id_error = "ERR client-id should be greater than 0";
        Filter { tests: Vec::new(), skip_me: true, databases, id_error, id_min: 1 }.parse(options, users)
    }

    fn parse(mut self, mut options: Options<'a>, users: &Users) -> Result<Filter<'a>, Error> {
        while options.more() {
            if options.word_with_value("SKIPME") {
                self.skip_me = if options.word("YES") {
                    true
                } else if options.word("NO") {
                    false
                } else {
                    return Err(Error::SYNTAX);
                };
                continue;
            }
            let (word, inverted) = test_word(&mut options)?;
            let test = self.test(word, &mut options, users)?;
            self.tests.retain(|(other, was_inverted, _)| (*other, *was_inverted) != (word, inverted));
            self.tests.push((word, inverted, test));
        }
        Ok(self)
    }

    /// Reads what stands behind the word.
    fn test(&self, word: &str, options: &mut Options<'a>, users: &Users) -> Result<Test<'a>, Error> {
        if word == "ID" {
            return self.ids(options).map(Test::Ids);
        }
        let value = options.value()?;
        Ok(match word {
            "TYPE" => Test::Type(client_type(value)?),
            "ADDR" => Test::Addr(value),
            "LADDR" => Test::Laddr(value),
            "IP" => Test::Ip(value),
            "USER" => Test::User(users.number(value).ok_or_else(|| quoting("No such user", value))?),
            "FLAGS" => match value.iter().all(|letter| FLAG_LETTERS.contains(letter)) {
                true => Test::Flags(value),
                false => return Err(unknown_in_filter("flags", value)),
            },
            "CAPA" => match value.iter().all(|letter| *letter == b'r') {
                true => Test::Redirect,
                false => return Err(unknown_in_filter("capa", value)),
            },
            "NAME" => Test::Name(value),
            "LIB-NAME" => Test::LibName(value),
            "LIB-VER" => Test::LibVer(value),
            "DB" => Test::Database(self.database(value)?),
            "MAXAGE" => Test::AgeMin(seconds("maxage", value)?),
            _ => Test::IdleMin(seconds("idle", value)?),
        })
    }

    /// Takes numbers of clients as long as there are any, at least one.
    fn ids(&self, options: &mut Options<'a>) -> Result<Vec<u64>, Error> {
        let mut ids = Vec::new();
        while let Some(number) = options.peek().and_then(parse_i64) {
            if number < self.id_min {
                return Err(Error::of(self.id_error));
            }
            // No client has a negative number, nor number 0.
            ids.push(u64::try_from(number).unwrap_or(0));
            options.value()?;
        }
        if ids.is_empty() { Err(Error::of(self.id_error)) } else { Ok(ids) }
    }

    fn database(&self, value: &[u8]) -> Result<usize, Error> {
        let number = parse_i64(value).ok_or(Error::of("ERR DB is not an integer or out of range"))?;
        usize::try_from(number).ok().filter(|number| *number < self.databases).ok_or_else(|| {
            Error::text(format!("ERR DB number should be between 0 and {}", self.databases - 1))
        })
    }

    /// Whether the client passes; `me` is the number of the client that asks, `now_ms` the monotonic time.
    pub fn passes(&self, session: &Session, me: u64, now_ms: u64) -> bool {
        !(self.skip_me && session.id == me)
            && self.tests.iter().all(|(_, inverted, test)| test.holds(session, now_ms) != *inverted)
    }
}

/// Takes the word of a test, with whether `NOT-` stands before it; something must follow it.
fn test_word(options: &mut Options<'_>) -> Result<(&'static str, bool), Error> {
    let given = options.peek().ok_or(Error::SYNTAX)?;
    if options.left() < 2 {
        return Err(Error::SYNTAX);
    }
    let found = INVERTIBLE
        .iter()
        .flat_map(|word| [(*word, false), (*word, true)])
        .chain(PLAIN.iter().map(|word| (*word, false)))
        .find(|(word, inverted)| match inverted {
            false => given.eq_ignore_ascii_case(word.as_bytes()),
            true => given.split_at_checked(4).is_some_and(|(not, rest)| {
                not.eq_ignore_ascii_case(b"NOT-") && rest.eq_ignore_ascii_case(word.as_bytes())
            }),
        });
    options.value()?;
    found.ok_or(Error::SYNTAX)
}

fn client_type(value: &[u8]) -> Result<Type, Error> {
    let is = |word: &str| value.eq_ignore_ascii_case(word.as_bytes());
    match () {
        () if is("normal") => Ok(Type::Normal),
        () if is("pubsub") => Ok(Type::Subscriber),
        () if ["master", "primary", "slave", "replica"].into_iter().any(is) => Ok(Type::Peer),
        () => Err(quoting("Unknown client type", value)),
    }
}

fn seconds(what: &str, value: &[u8]) -> Result<u64, Error> {
    let number = parse_i64(value)
        .ok_or_else(|| Error::text(format!("ERR {what} is not an integer or out of range")))?;
    match u64::try_from(number) {
        Ok(0) | Err(_) => Err(Error::text(format!("ERR {what} should be greater than 0"))),
        Ok(number) => Ok(number),
    }
}

fn quoting(text: &str, value: &[u8]) -> Error {
    Error::text(format!("ERR {text} '{}'", repeated(value, usize::MAX)))
}

fn unknown_in_filter(what: &str, value: &[u8]) -> Error {
    Error::text(format!("ERR Unknown {what} found in the provided filter: {}", repeated(value, usize::MAX)))
}

/// The address without its port and without the brackets of IPv6.
fn ip_of(addr: &str) -> &str {
    let ip = addr.rsplit_once(':').map_or(addr, |(ip, _)| ip);
    ip.trim_start_matches('[').trim_end_matches(']')
}

impl Test<'_> {
    fn holds(&self, session: &Session, now_ms: u64) -> bool {
        match self {
            Test::Ids(ids) => ids.contains(&session.id),
            Test::Type(Type::Normal) => session.subscriptions.is_none(),
            Test::Type(Type::Subscriber) => session.subscriptions.is_some(),
            Test::Type(Type::Peer) => false,
            Test::Addr(addr) => session.addr.as_bytes() == *addr,
            Test::Laddr(addr) => session.laddr.as_bytes() == *addr,
            Test::Ip(ip) => ip_of(&session.addr).as_bytes() == *ip,
            Test::User(number) => session.user == *number,
            Test::Flags(letters) => letters.iter().all(|letter| session.flags().as_bytes().contains(letter)),
            Test::Name(name) => session.name == *name,
            Test::LibName(name) => session.lib_name == *name,
            Test::LibVer(version) => session.lib_ver == *version,
            Test::Database(database) => session.database == *database,
            Test::Redirect => session.redirectable,
            Test::AgeMin(secs) => *secs <= now_ms.saturating_sub(session.created_ms) / 1000,
            Test::IdleMin(secs) => *secs <= now_ms.saturating_sub(session.active_ms) / 1000,
        }
    }
}
