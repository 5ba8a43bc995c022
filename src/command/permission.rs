//! Whether a user may run a request. It looks for keys where `COMMAND GETKEYS` does, so nothing that a command does to
//! a key goes unseen.

use crate::base::number::parse_i64;
use crate::command::registry::{Row, commands};
use crate::command::spec::KeySpec;
use crate::command::spec::flag::{NO_AUTH, READONLY, WRITE};
use crate::resp::request::Args;
use crate::state::State;
use crate::state::acl::{Access, Selector, User};

/// What a user lacks for a request. Of what several selectors lack, the greatest is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lack {
    /// The right to run the command.
    Command,
    /// The right to use the key at this position.
    Key(usize),
    /// The right to name the channel at this position.
    Channel(usize),
    /// The right to use a database: the one that is named at this position, or, at the command's, the selected one.
    Database(usize),
}

/// Where a request runs: the selected database, and how many there are.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The database that is selected.
    pub selected: usize,
    /// How many there are.
    pub databases: usize,
}

impl Place {
    /// Where the requests of a client run.
    pub fn of(state: &State, token: usize) -> Place {
        Place { selected: state.sessions[token].database, databases: state.settings.databases as usize }
    }

    /// What a request lacks whose selector does not allow all databases.
    fn check(self, selector: &Selector, row: &Row, request: Args<'_>) -> Result<(), Lack> {
        for (position, database) in self.named(row.command.name, request) {
            if !selector.allows_database(database) {
                return Err(Lack::Database(position));
            }
        }
        let is_allowed = match row.command.name {
            "flushall" => false,
            "swapdb" => true,
            // What neither reads nor writes runs anywhere.
            _ => row.command.flags & (READONLY | WRITE) == 0 || selector.allows_database(self.selected),
        };
        if is_allowed { Ok(()) } else { Err(Lack::Database(0)) }
    }

    /// Databases that a request names, with their positions; none if one of them cannot be, as the command will say.
    fn named(self, name: &str, request: Args<'_>) -> Vec<(usize, usize)> {
        let behind_db = (4..request.len()).filter(|at| request.get(at - 1).eq_ignore_ascii_case(b"DB"));
        let positions: Vec<usize> = match name {
            "select" => vec![1],
            "move" => vec![2],
            "swapdb" => vec![1, 2],
            "copy" => behind_db.collect(),
            _ => Vec::new(),
        };
        let number = |at: &usize| {
            let number = usize::try_from(parse_i64(request.get(*at))?).ok()?;
            Some((*at, number)).filter(|_| number < self.databases)
        };
        positions.iter().map(number).collect::<Option<Vec<_>>>().unwrap_or_default()
    }
}

/// Where a request names channels.
struct Channels {
    first: usize,
    /// Up to the end, not one only.
    many: bool,
    /// They are patterns of channels.
    patterns: bool,
}

/// The channels of a command. Who takes a subscription back needs no right to.
fn channels(row: &Row) -> Option<Channels> {
    match row.full_name.as_str() {
        "publish" | "spublish" => Some(Channels { first: 1, many: false, patterns: false }),
        "subscribe" | "ssubscribe" => Some(Channels { first: 1, many: true, patterns: false }),
        "psubscribe" => Some(Channels { first: 1, many: true, patterns: true }),
        _ => None,
    }
}

/// What `SET` and `BITFIELD` do to their key depends on the request, as their rows say.
const READS_AND_WRITES: &[&str] = &["RW", "ACCESS", "UPDATE"];
const OVERWRITES: &[&str] = &["OW", "UPDATE"];
const READS: &[&str] = &["RO", "ACCESS"];

/// What a request does to the keys of a specification, in the words of `COMMAND INFO`.
pub fn key_flags(spec: &KeySpec, name: &str, request: Args<'_>) -> &'static [&'static str] {
    if !spec.flags.contains(&"VARIABLE_FLAGS") {
        return spec.flags;
    }
    match name {
        "set" if request.iter().skip(3).any(|word| word.eq_ignore_ascii_case(b"GET")) => READS_AND_WRITES,
        "set" => OVERWRITES,
        "bitfield" if only_gets(request) => READS,
        _ => READS_AND_WRITES,
    }
}

/// Whether all that a `BITFIELD` does is to read. In doubt it is not.
fn only_gets(request: Args<'_>) -> bool {
    let mut at = 2;
    while at < request.len() {
        let left = request.len() - at - 1;
        let word = request.get(at);
        at += match () {
            () if word.eq_ignore_ascii_case(b"GET") && 2 <= left => 3,
            () if word.eq_ignore_ascii_case(b"OVERFLOW") && 1 <= left => 2,
            () => return false,
        };
    }
    true
}

fn access(flags: &[&str]) -> Access {
    let writes = ["INSERT", "DELETE", "UPDATE"].iter().any(|flag| flags.contains(flag));
    Access { reads: flags.contains(&"ACCESS"), writes }
}

/// Whether a user may run a request, or what it lacks. `number` is that of the command.
pub fn check(user: &User, number: usize, request: Args<'_>, place: Place) -> Result<(), Lack> {
    let mut lack = Lack::Command;
    for selector in &user.selectors {
        match check_selector(selector, number, request, place) {
            Ok(()) => return Ok(()),
            Err(other) => lack = lack.max(other),
        }
    }
    Err(lack)
}

fn check_selector(selector: &Selector, number: usize, request: Args<'_>, place: Place) -> Result<(), Lack> {
    let row = commands().row(number);
    if !selector.all_commands && !row.command.has(NO_AUTH) && !allows_command(selector, number, request) {
        return Err(Lack::Command);
    }
    if selector.databases.is_some() {
        place.check(selector, row, request)?;
    }
    if !selector.all_keys {
        for spec in row.command.keys.iter().filter(|spec| !spec.flags.contains(&"NOT_KEY")) {
            let access = access(key_flags(spec, row.command.name, request));
            for position in spec.positions(request) {
                if !selector.allows_key(request.get(position), access) {
                    return Err(Lack::Key(position));
                }
            }
        }
    }
    if !selector.all_channels
        && let Some(Channels { first, many, patterns }) = channels(row)
    {
        let end = if many { request.len() } else { (first + 1).min(request.len()) };
        for position in first..end {
            if !selector.allows_channel(request.get(position), patterns) {
                return Err(Lack::Channel(position));
            }
        }
    }
    Ok(())
}

fn allows_command(selector: &Selector, number: usize, request: Args<'_>) -> bool {
    let by_first_arg = || {
        let allowed = selector.first_args.get(&number)?;
        let first = request.iter().nth(1)?;
        allowed.iter().find(|arg| arg.eq_ignore_ascii_case(first))
    };
    selector.commands.has(number) || by_first_arg().is_some()
}

/// Whether the client may run a request of the command of this name and read whatever key it likes besides, as `SORT`
/// does by its patterns.
pub fn reads_any_key(state: &State, token: usize, name: &str, request: Args<'_>) -> bool {
    let session = &state.sessions[token];
    if !session.restricted {
        return true;
    }
    let Some(number) = commands().top(name.as_bytes()) else { return false };
    let place = Place::of(state, token);
    let fits = |it: &Selector| it.reads_all_keys() && check_selector(it, number, request, place).is_ok();
    state.users.get(session.user).selectors.iter().any(fits)
}
