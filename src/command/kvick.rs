//! `KVICK`: what only kvick tells. Neither Redis nor Valkey has a command of this name.

use crate::command::options::Options;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome};
use crate::data::entry::Entry;
use crate::data::keyspace::Keyspace;
use crate::resp::request::Args;
use crate::state::State;

const FLAGS: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "kvick", arity: -2, flags: 0, keys: &[], run: help, subcommands: SUBCOMMANDS,
        doc: Group::Server.doc("0.1.0", "depends on the subcommand", "", "Tells what other servers do not.") },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    Command { name: "bigkeys", arity: -2, flags: FLAGS, keys: &[], run: bigkeys, subcommands: &[],
        doc: Group::Server.doc("0.1.0", "O(1)", "[COUNT count]", "Returns the biggest keys, without a scan.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: help, subcommands: &[],
        doc: Group::Server.doc("0.1.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "hotkeys", arity: -2, flags: FLAGS, keys: &[], run: hotkeys, subcommands: &[],
        doc: Group::Server.doc("0.1.0", "O(1)", "[BY REQUESTS|TIME] [COUNT count]", "Returns the keys that are asked for most.") },
];

/// Lines of `KVICK HELP`.
const HELP: &[&str] = &[
    "KVICK <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "BIGKEYS [COUNT <count>]",
    "    Return the <count> biggest keys (default: 10), with their type, elements and",
    "    bytes of memory. They are noticed by a walk in the background.",
    "HOTKEYS [BY REQUESTS|TIME] [COUNT <count>]",
    "    Return the <count> keys (default: 10) with the most requests of the last minute",
    "    or so, or that took most of the time. Shares and the share of writes are in per",
    "    cent, estimated from a sample of the requests.",
    "HELP",
    "    Print this help.",
];

/// Keys that are returned unless told otherwise.
const COUNT_DEFAULT: usize = 10;

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

fn count(options: &mut Options<'_>) -> Result<usize, Error> {
    let count = options.integer()?;
    usize::try_from(count)
        .ok()
        .filter(|count| 0 < *count)
        .ok_or(Error::of("ERR COUNT should be greater than 0"))
}

/// A key that is big now.
pub struct Big {
    /// Its database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// Its type.
    pub kind: &'static str,
    /// How many elements it has; of a string, its bytes.
    pub len: usize,
    /// Bytes of memory, about.
    pub bytes: usize,
}

/// The biggest keys as they are now, at most so many.
pub fn biggest(keys: &Keyspace, state: &State, count: usize) -> Vec<Big> {
    let mut found: Vec<Big> = state
        .big
        .top()
        .into_iter()
        .filter_map(|big| {
            let hash = keys.key(&big.key).hash;
            let entry = keys.databases().get(big.database)?.table().get(&big.key, hash)?;
            let (kind, len) = (entry.kind().name(), len(entry));
            let (database, key) = (big.database, big.key.clone());
            Some(Big { database, key, kind, len, bytes: entry.rough_memory() })
        })
        .collect();
    found.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.key.cmp(&b.key)));
    found.truncate(count);
    found
}

/// How many elements a value has; of a string, its bytes.
fn len(entry: &Entry) -> usize {
    let string = entry.string().map(|string| string.bytes(&mut [0; 20]).len());
    string
        .or(entry.list().map(|list| list.len()))
        .or(entry.set().map(|set| set.len()))
        .or(entry.hash().map(|hash| hash.len()))
        .or(entry.zset().map(|zset| zset.len()))
        .or(entry.stream().map(|stream| stream.entries.len() as usize))
        .unwrap_or(0)
}

fn bigkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 2);
    let mut limit = COUNT_DEFAULT;
    while options.more() {
        if !options.word_with_value("COUNT") {
            return Err(Error::SYNTAX);
        }
        limit = count(&mut options)?;
    }
    let found = biggest(ctx.keys, ctx.state, limit);
    ctx.reply.array(found.len());
    for Big { database, key, kind, len, bytes } in found {
        ctx.reply.map(5);
        ctx.reply.bulk(b"key");
        ctx.reply.bulk(&key);
        ctx.reply.bulk(b"database");
        ctx.reply.integer(database as i64);
        ctx.reply.bulk(b"type");
        ctx.reply.bulk(kind.as_bytes());
        ctx.reply.bulk(b"length");
        ctx.reply.integer(len as i64);
        ctx.reply.bulk(b"bytes");
        ctx.reply.integer(bytes as i64);
    }
    Ok(Effect::Unchanged)
}

fn hotkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 2);
    let (mut limit, mut by_time) = (COUNT_DEFAULT, false);
    while options.more() {
        if options.word_with_value("COUNT") {
            limit = count(&mut options)?;
        } else if options.word_with_value("BY") {
            let word = options.value()?;
            by_time = word.eq_ignore_ascii_case(b"time");
            if !by_time && !word.eq_ignore_ascii_case(b"requests") {
                return Err(Error::SYNTAX);
            }
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let hot = &ctx.state.hot;
    let ranking = if by_time { &hot.by_time } else { &hot.by_requests };
    let top = ranking.top(limit);
    let percent = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole * 100.0 };
    ctx.reply.array(top.len());
    for key in top {
        ctx.reply.map(5);
        ctx.reply.bulk(b"key");
        ctx.reply.bulk(&key.key);
        ctx.reply.bulk(b"database");
        ctx.reply.integer(key.database as i64);
        for (name, value) in [
            ("share", percent(key.weight, ranking.total())),
            ("error", percent(key.error, ranking.total())),
            ("writes", percent(key.writes, key.weight - key.error)),
        ] {
            ctx.reply.bulk(name.as_bytes());
            ctx.reply.double((value * 100.0).round() / 100.0);
        }
    }
    Ok(Effect::Unchanged)
}

#[cfg(test)]
mod tests {
    use crate::command::tests::{opened, say};

    #[test]
    fn hot_keys_are_those_asked_for() {
        let (mut engine, token) = opened(false, "s");
        assert_eq!(say(&mut engine, token, "KVICK HOTKEYS"), "*0|");
        for n in 0..100 {
            let line = if n % 4 == 0 { format!("SET cold:{n} x") } else { "GET hot".to_owned() };
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let request = crate::resp::request::Request::new(words.iter().copied());
            let prepared = engine.prepare(token, request.args());
            engine.account(token, request.args(), prepared, if n % 4 == 0 { 900 } else { 100 });
        }
        let hot = "*10|$3|key|$3|hot|$8|database|:0|$5|share|$2|75|$5|error|$1|0|$6|writes|$1|0|";
        assert_eq!(say(&mut engine, token, "KVICK HOTKEYS COUNT 1"), format!("*1|{hot}"));
        assert!(
            say(&mut engine, token, "kvick hotkeys by time count 2").starts_with("*2|*10|$3|key|$3|hot|")
        );
        assert!(say(&mut engine, token, "kvick hotkeys by requests").starts_with("*10|"));
        engine.watch_keys(3_600_000);
        assert_eq!(say(&mut engine, token, "KVICK HOTKEYS"), "*0|");
        for (line, error) in [
            ("KVICK HOTKEYS COUNT 0", "-ERR COUNT should be greater than 0|"),
            ("KVICK HOTKEYS COUNT x", "-ERR value is not an integer or out of range|"),
            ("KVICK HOTKEYS BY", "-ERR syntax error|"),
            ("KVICK HOTKEYS BY luck", "-ERR syntax error|"),
            ("KVICK BIGKEYS x", "-ERR syntax error|"),
            ("KVICK WHAT", "-ERR unknown subcommand 'WHAT'. Try KVICK HELP.|"),
        ] {
            assert_eq!(say(&mut engine, token, line), error, "{line}");
        }
        assert!(say(&mut engine, token, "KVICK HELP").starts_with("*10|+KVICK <subcommand>"));
    }

    #[test]
    fn big_keys_are_met_by_the_walk_and_shown_as_they_are() {
        let (mut engine, token) = opened(true, "s");
        say(&mut engine, token, "RPUSH l a b c");
        say(&mut engine, token, "SELECT 2");
        say(&mut engine, token, &format!("SET huge {}", "x".repeat(5000)));
        assert_eq!(say(&mut engine, token, "KVICK BIGKEYS"), "*0|");
        engine.watch_keys(100);
        let reply = say(&mut engine, token, "KVICK BIGKEYS COUNT 1");
        let expected = "*1|%5|$3|key|$4|huge|$8|database|:2|$4|type|$6|string|$6|length|:5000|$5|bytes|:5";
        assert!(reply.starts_with(expected), "{reply}");
        assert!(say(&mut engine, token, "KVICK BIGKEYS").starts_with("*3|"));
        say(&mut engine, token, "DEL huge");
        assert!(say(&mut engine, token, "KVICK BIGKEYS").starts_with("*2|%5|$3|key|$1|l|"));
        let rounds = engine.state.big.rounds();
        engine.watch_keys(100);
        engine.watch_keys(100);
        engine.watch_keys(100);
        assert_eq!(engine.state.big.rounds(), rounds + 1, "it rests while nothing changes");
    }
}
