//! `OBJECT`: what lies behind a key.

use crate::command::spec::flag::{LOADING, READONLY, STALE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::config::MaxmemoryPolicy;
use crate::data::entry::{Entry, Str};
use crate::data::keyspace::AccessPolicy;
use crate::resp::request::Args;

const SEE_ONE: &[KeySpec] = &[KeySpec::one(2, &["RO"])];

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "object", arity: -2, flags: 0, keys: &[], run: object, subcommands: SUBCOMMANDS,
        doc: Group::Generic.doc("2.2.3", "Depends on the subcommand", "", "Looks behind a key.") },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    Command { name: "encoding", arity: 3, flags: READONLY, keys: SEE_ONE, run: encoding, subcommands: &[],
        doc: Group::Generic.doc("2.2.3", "O(1)", "key", "Names the form in which a value is kept.") },
    Command { name: "freq", arity: 3, flags: READONLY, keys: SEE_ONE, run: freq, subcommands: &[],
        doc: Group::Generic.doc("4.0.0", "O(1)", "key", "Returns how often a key is used, on a logarithmic scale.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: help, subcommands: &[],
        doc: Group::Generic.doc("6.2.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "idletime", arity: 3, flags: READONLY, keys: SEE_ONE, run: idletime, subcommands: &[],
        doc: Group::Generic.doc("2.2.3", "O(1)", "key", "Returns the seconds since a key was last used.") },
    Command { name: "refcount", arity: 3, flags: READONLY, keys: SEE_ONE, run: refcount, subcommands: &[],
        doc: Group::Generic.doc("2.2.3", "O(1)", "key", "Returns how many hold a value.") },
];

/// Never reached: without a subcommand the number of arguments is wrong.
fn object(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    Err(Error::SYNTAX)
}

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    The form in which the value of <key> is kept.",
        "FREQ <key>",
        "    How often <key> is used, as a counter that grows with the logarithm of its uses.",
        "IDLETIME <key>",
        "    The seconds since <key> was last used.",
        "REFCOUNT <key>",
        "    How many references there are to the value of <key>.",
        "HELP",
        "    These lines.",
    ];
    ctx.reply.array(LINES.len());
    LINES.iter().for_each(|line| ctx.reply.status(line));
    Ok(Effect::Unchanged)
}

/// Replies null without a key, else what `show` makes of its entry; the key does not count as used.
fn look(ctx: &mut Ctx<'_>, args: Args<'_>, show: fn(&Ctx<'_>, &Entry) -> Result<i64, Error>) -> Outcome {
    let key = ctx.key(args, 2);
    let found = ctx.keys.read_untouched(key).is_some();
    match ctx.keys.stored(key).filter(|_| found).map(|entry| show(ctx, entry)) {
        None => ctx.reply.null(),
        Some(number) => ctx.reply.integer(number?),
    }
    Ok(Effect::Unchanged)
}

fn encoding(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 2);
    match ctx.keys.read_untouched(key) {
        None => ctx.reply.null(),
        Some(entry) => ctx.reply.bulk(entry.encoding().as_bytes()),
    }
    Ok(Effect::Unchanged)
}

fn freq(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args, |ctx, entry| match ctx.keys.access_policy {
        AccessPolicy::Lfu { .. } => Ok(i64::from(ctx.keys.frequency(entry))),
        AccessPolicy::Lru => Err(Error::of(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        )),
    })
}

fn idletime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args, |ctx, entry| match ctx.keys.access_policy {
        AccessPolicy::Lru => Ok(i64::from(ctx.keys.idle_seconds(entry))),
        AccessPolicy::Lfu { .. } => Err(Error::of(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        )),
    })
}

/// What Redis says of the integers that all its keys share.
const SHARED: i64 = i32::MAX as i64;

/// A value has one owner here. But Redis shares the integers below 10000 unless eviction has to know how each
/// of them is used, and clients can tell.
fn refcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args, |ctx, entry| {
        let settings = &ctx.state.settings;
        let may_share = settings.maxmemory == 0 || !counts_use(settings.maxmemory_policy);
        let shared = may_share && matches!(entry.string(), Some(Str::Int(0..=9999)));
        Ok(if shared { SHARED } else { 1 })
    })
}

/// Whether a policy goes by when or how often a value was used.
pub fn counts_use(policy: MaxmemoryPolicy) -> bool {
    use MaxmemoryPolicy::{AllkeysLfu, AllkeysLru, VolatileLfu, VolatileLru};
    matches!(policy, AllkeysLfu | AllkeysLru | VolatileLfu | VolatileLru)
}
