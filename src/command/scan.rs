//! Which keys there are: all, by pattern, step by step, one at random, how many.

use crate::base::glob;
use crate::command::cursor::{BUCKETS_PER_ELEMENT, COUNT_DEFAULT, count, cursor, pattern};
use crate::command::options::Options;
use crate::command::spec::flag::{DANGEROUS, FAST, READONLY, WHOLE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome, repeated};
use crate::data::entry::{Entry, Kind};
use crate::resp::request::Args;
use crate::state::log::push_bulk;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "dbsize", arity: 1, flags: READONLY | FAST | WHOLE, keys: &[], run: dbsize, subcommands: &[],
        doc: Group::Server.doc("1.0.0", "O(1)", "", "Counts the keys of the database.") },
    Command { name: "keys", arity: 2, flags: READONLY | WHOLE | DANGEROUS, keys: &[], run: keys, subcommands: &[],
        doc: Group::Generic.doc("1.0.0", "O(N) of the keys in the database; O(1) for a pattern without special characters", "pattern",
            "Returns the names of all keys that match a pattern.") },
    Command { name: "randomkey", arity: 1, flags: READONLY | WHOLE, keys: &[], run: randomkey, subcommands: &[],
        doc: Group::Generic.doc("1.0.0", "O(1)", "", "Returns the name of a key drawn at random.") },
    Command { name: "scan", arity: -2, flags: READONLY | WHOLE, keys: &[], run: scan, subcommands: &[],
        doc: Group::Generic.doc("2.8.0", "O(1) for a step, O(N) of the keys for all steps together",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]", "Walks over the names of the keys, a few in each step.") },
];

fn dbsize(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    let len = ctx.keys.database().len();
    ctx.reply.integer(len as i64);
    Ok(Effect::Unchanged)
}

fn randomkey(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    match ctx.keys.random_key() {
        None => ctx.reply.null(),
        Some(name) => ctx.reply.bulk(&name),
    }
    Ok(Effect::Unchanged)
}

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let pattern = pattern(args.get(1));
    if let Some(name) = pattern.filter(|pattern| glob::literal(pattern)) {
        let key = ctx.keys.key(name);
        let found = ctx.keys.peek(key).is_some();
        ctx.reply.array(usize::from(found));
        if found {
            ctx.reply.bulk(name);
        }
        return Ok(Effect::Unchanged);
    }
    let (keys, reply) = (&*ctx.keys, &mut *ctx.reply);
    let mark = reply.later();
    let mut found = 0;
    keys.for_each(|entry| {
        if pattern.is_none_or(|pattern| glob::matches(pattern, entry.key(), false)) {
            reply.bulk(entry.key());
            found += 1;
        }
    });
    reply.fill_array(mark, found);
    Ok(Effect::Unchanged)
}

/// The options of `SCAN`.
struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: u64,
    /// The type that is wanted.
    kind: Option<Kind>,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: Args<'a>) -> Result<ScanOptions<'a>, Error> {
        let mut found = ScanOptions { pattern: None, count: COUNT_DEFAULT, kind: None };
        let mut options = Options::new(args, 2);
        while options.more() {
            if options.word_with_value("COUNT") {
                found.count = count(&mut options)?;
            } else if options.word_with_value("MATCH") {
                found.pattern = pattern(options.value()?);
            } else if options.word_with_value("TYPE") {
                found.kind = Some(kind(options.value()?)?);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(found)
    }

    fn wants(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| kind == entry.kind())
            && self.pattern.is_none_or(|pattern| glob::matches(pattern, entry.key(), false))
    }
}

/// The type of this name.
fn kind(name: &[u8]) -> Result<Kind, Error> {
    let found = Kind::ALL.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.name().as_bytes()));
    found.ok_or_else(|| Error::text(format!("ERR unknown type name '{}'", repeated(name, usize::MAX))))
}

fn scan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut cursor = cursor(args.get(1))?;
    let options = ScanOptions::parse(args)?;
    // The cursor stands before the names in the reply, but is known after them.
    let mut names = Vec::new();
    let (mut found, mut seen) = (0, 0);
    for _ in 0..options.count.saturating_mul(BUCKETS_PER_ELEMENT) {
        cursor = ctx.keys.scan(cursor, |entry| {
            seen += 1;
            if options.wants(entry) {
                push_bulk(&mut names, entry.key());
                found += 1;
            }
        });
        if cursor == 0 || options.count <= seen {
            break;
        }
    }
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.reply.array(found);
    ctx.reply.raw(&names);
    Ok(Effect::Unchanged)
}
