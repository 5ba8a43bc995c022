//! HyperLogLogs: how many different elements there were, in strings of twelve kilobytes at most.
//!
//! What the strings say is the business of `data/hyperloglog.rs`. A dense one is changed where it lies; a sparse one
//! is copied, changed and stored again, which costs less than to find the register in it.

use crate::command::bitmap::store;
use crate::command::spec::flag::{ADMIN, DENYOOM, FAST, INTERNAL_WRITE, READONLY, WRITE};
use crate::command::spec::{
    Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome, REPEATED_MAX, repeated,
};
use crate::data::entry::{Entry, Str, Value};
use crate::data::hyperloglog::sparse::{Cursor, runs};
use crate::data::hyperloglog::{self, Corrupt, Encoding, Mark, REGISTERS};
use crate::data::keyspace::{Deadline, Key};
use crate::resp::request::Args;

#[cfg(test)]
mod tests;

const INSERT_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "INSERT"])];
const COUNT: &[KeySpec] = &[KeySpec::rest(1, 1, &["RW", "ACCESS"])];
const MERGE: &[KeySpec] =
    &[KeySpec::one(1, &["RW", "ACCESS", "INSERT"]), KeySpec::rest(2, 1, &["RO", "ACCESS"])];
const DEBUG_ONE: &[KeySpec] = &[KeySpec::one(2, &["RW", "ACCESS"])];

/// The rows of this family. `PFCOUNT` reads, but notes what it has estimated in the string.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "pfadd", arity: -2, flags: WRITE | DENYOOM | FAST, keys: INSERT_ONE, run: pfadd, subcommands: &[],
        doc: Group::Hyperloglog.doc("2.8.9", "O(1) per element", "key [element [element ...]]",
            "Adds elements to a HyperLogLog, creating it if there is none.") },
    Command { name: "pfcount", arity: -2, flags: READONLY | INTERNAL_WRITE, keys: COUNT, run: pfcount, subcommands: &[],
        doc: Group::Hyperloglog.doc("2.8.9", "O(1) for one key, O(N) of the keys for several", "key [key ...]",
            "Estimates how many different elements one or several HyperLogLogs have seen.") },
    Command { name: "pfdebug", arity: 3, flags: WRITE | DENYOOM | ADMIN, keys: DEBUG_ONE, run: pfdebug, subcommands: &[],
        doc: Group::Hyperloglog.doc("2.8.9", "O(1)", "subcommand key", "Shows how a HyperLogLog is stored; for tests of the server.") },
    Command { name: "pfmerge", arity: -2, flags: WRITE | DENYOOM, keys: MERGE, run: pfmerge, subcommands: &[],
        doc: Group::Hyperloglog.doc("2.8.9", "O(N) of the keys", "destkey [sourcekey [sourcekey ...]]",
            "Adds to a HyperLogLog what others have seen.") },
    Command { name: "pfselftest", arity: 1, flags: ADMIN, keys: &[], run: pfselftest, subcommands: &[],
        doc: Group::Hyperloglog.doc("2.8.9", "O(1)", "", "Tests the HyperLogLogs themselves.") },
];

const INVALID: Error = Error::of("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupt> for Error {
    fn from(_: Corrupt) -> Error {
        Error::of("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The bytes of a value that is a HyperLogLog.
fn sketch(entry: &Entry) -> Result<(Encoding, &[u8]), Error> {
    let bytes = match entry.string().ok_or(Error::WRONG_TYPE)? {
        Str::Int(_) => return Err(INVALID),
        Str::Bytes(bytes) => bytes,
        Str::Shared(bytes) => bytes,
    };
    let encoding = hyperloglog::encoding(bytes).ok_or(INVALID)?;
    Ok((encoding, bytes))
}

/// Adds elements to bytes that may become dense on the way. Returns whether anything changed.
fn add(bytes: &mut Vec<u8>, elements: Args<'_>, sparse_max: usize) -> Result<bool, Corrupt> {
    let mut changed = false;
    for element in elements.iter() {
        changed |= hyperloglog::raise(bytes, Mark::of(element), &mut Cursor::default(), sparse_max)?;
    }
    Ok(changed)
}

fn pfadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let sparse_max = sparse_max(ctx);
    let elements = args.from(2);
    let key = ctx.key(args, 1);
    let changed = match ctx.keys.write(key) {
        None => {
            let mut bytes = hyperloglog::empty();
            add(&mut bytes, elements, sparse_max)?;
            hyperloglog::outdate(&mut bytes);
            store(ctx.keys, key, bytes, Deadline::Clear);
            true
        }
        Some(entry) => match sketch(entry)? {
            (Encoding::Dense, bytes) => {
                let changes = elements.iter().any(|it| hyperloglog::dense_lacks(bytes, Mark::of(it)));
                if changes {
                    entry.edit_string(0, |bytes| {
                        for element in elements.iter() {
                            hyperloglog::raise_dense(bytes, Mark::of(element));
                        }
                        hyperloglog::outdate(bytes);
                    });
                }
                changes
            }
            (Encoding::Sparse, bytes) => {
                let mut bytes = hyperloglog::copied(bytes)?;
                let changes = add(&mut bytes, elements, sparse_max)?;
                if changes {
                    hyperloglog::outdate(&mut bytes);
                    entry.set_value(Value::Bytes { bytes: &bytes, raw: true });
                }
                changes
            }
        },
    };
    ctx.reply.integer(i64::from(changed));
    if !changed {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::String, "pfadd", key);
    Ok(Effect::Changed)
}

/// The longest sparse string.
fn sparse_max(ctx: &Ctx<'_>) -> usize {
    usize::try_from(ctx.state.settings.hll_sparse_max_bytes).unwrap_or(usize::MAX)
}

fn pfcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if 2 < args.len() {
        return count_all(ctx, args);
    }
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.keys.read(key) else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    let (_, bytes) = sketch(entry)?;
    if let Some(estimate) = hyperloglog::cached(bytes) {
        ctx.reply.integer(estimate as i64);
        return Ok(Effect::Unchanged);
    }
    let estimate = hyperloglog::estimate(bytes)?;
    ctx.reply.integer(estimate as i64);
    // Where nothing can be logged nothing may change; the estimate is as good without being noted.
    if !ctx.state.persistence.last_write_ok {
        return Ok(Effect::Unchanged);
    }
    edit(ctx, key, |bytes| hyperloglog::cache(bytes, estimate));
    ctx.changed_without_event(key);
    Ok(Effect::Changed)
}

/// Has the bytes of a HyperLogLog edited that was just found.
fn edit(ctx: &mut Ctx<'_>, key: Key<'_>, edit: impl FnOnce(&mut [u8])) {
    if let Some(entry) = ctx.keys.write(key) {
        entry.edit_string(0, edit);
    }
}

/// Estimates what several have seen together.
fn count_all(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.fetch_ahead(args, 1..args.len());
    let mut registers = [0; REGISTERS];
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        if let Some(entry) = ctx.keys.read(key) {
            hyperloglog::merge(&mut registers, sketch(entry)?.1)?;
        }
    }
    ctx.reply.integer(hyperloglog::estimate_of(&registers) as i64);
    Ok(Effect::Unchanged)
}

fn pfmerge(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let sparse_max = sparse_max(ctx);
    ctx.fetch_ahead(args, 1..args.len());
    let (mut registers, mut some_dense) = ([0; REGISTERS], false);
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        let Some(entry) = ctx.keys.read(key) else { continue };
        let (encoding, bytes) = sketch(entry)?;
        some_dense |= encoding == Encoding::Dense;
        hyperloglog::merge(&mut registers, bytes)?;
    }
    let key = ctx.key(args, 1);
    let mut bytes = match ctx.keys.write(key) {
        None => hyperloglog::empty(),
        Some(entry) => match sketch(entry)? {
            (Encoding::Dense, _) => Vec::new(),
            (Encoding::Sparse, bytes) => hyperloglog::copied(bytes)?,
        },
    };
    if bytes.is_empty() {
        edit(ctx, key, |bytes| {
            hyperloglog::set_registers(bytes, &registers);
            hyperloglog::outdate(bytes);
        });
    } else {
        if some_dense {
            hyperloglog::make_dense(&mut bytes)?;
            hyperloglog::set_registers(&mut bytes, &registers);
        } else {
            let mut cursor = Cursor::default();
            for (index, rank) in registers.iter().enumerate().filter(|(_, rank)| **rank != 0) {
                hyperloglog::raise(&mut bytes, Mark { index, rank: *rank }, &mut cursor, sparse_max)?;
            }
        }
        hyperloglog::outdate(&mut bytes);
        store(ctx.keys, key, bytes, Deadline::Keep);
    }
    ctx.changed(Class::String, "pfadd", key);
    ctx.reply.ok();
    Ok(Effect::Changed)
}

fn pfdebug(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let is = |word: &str| args.get(1).eq_ignore_ascii_case(word.as_bytes());
    if is("SIMD") {
        return simd(ctx, args.get(2));
    }
    let key = ctx.key(args, 2);
    let entry = ctx.keys.write(key).ok_or(Error::of("ERR The specified key does not exist"))?;
    let (encoding, bytes) = sketch(entry)?;
    if is("ENCODING") {
        let name = if encoding == Encoding::Dense { "dense" } else { "sparse" };
        ctx.reply.status(name);
    } else if is("DECODE") {
        if encoding != Encoding::Sparse {
            return Err(Error::of("ERR HLL encoding is not sparse"));
        }
        ctx.reply.bulk(decoded(bytes).as_bytes());
    } else if is("GETREG") {
        let mut registers = [0; REGISTERS];
        hyperloglog::merge(&mut registers, bytes)?;
        let effect = make_dense(ctx, key)?;
        ctx.reply.array(REGISTERS);
        registers.iter().for_each(|rank| ctx.reply.integer(i64::from(*rank)));
        return Ok(effect);
    } else if is("TODENSE") {
        let effect = make_dense(ctx, key)?;
        ctx.reply.integer(i64::from(effect == Effect::Changed));
        return Ok(effect);
    } else {
        let name = repeated(args.get(1), REPEATED_MAX);
        return Err(Error::text(format!("ERR Unknown PFDEBUG subcommand '{name}'")));
    }
    Ok(Effect::Unchanged)
}

/// Makes a HyperLogLog that was just found dense, if it is not.
fn make_dense(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<Effect, Error> {
    let Some(entry) = ctx.keys.write(key) else { return Ok(Effect::Unchanged) };
    let (Encoding::Sparse, bytes) = sketch(entry)? else { return Ok(Effect::Unchanged) };
    let mut bytes = hyperloglog::copied(bytes)?;
    hyperloglog::make_dense(&mut bytes)?;
    store(ctx.keys, key, bytes, Deadline::Keep);
    ctx.changed_without_event(key);
    Ok(Effect::Changed)
}

/// The vector instructions here are the compiler's, which nobody can switch; so the reply is that of a server which
/// has none of its own.
fn simd(ctx: &mut Ctx<'_>, word: &[u8]) -> Outcome {
    if !word.eq_ignore_ascii_case(b"on") && !word.eq_ignore_ascii_case(b"off") {
        return Err(Error::of("ERR Argument must be ON or OFF"));
    }
    ctx.reply.status("disabled");
    Ok(Effect::Unchanged)
}

/// The runs of a sparse string: `z:` and `Z:` with a number of zeros, in one byte or two, and `v:` with a rank and a
/// number of registers.
fn decoded(bytes: &[u8]) -> String {
    let words = runs(bytes).map(|run| match run.rank {
        0 if run.size == 1 => format!("z:{}", run.len),
        0 => format!("Z:{}", run.len),
        rank => format!("v:{rank},{}", run.len),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn pfselftest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let seed = ctx.keys.random.next_u64();
    hyperloglog::self_test(seed, sparse_max(ctx))
        .map_err(|problem| Error::text(format!("ERR TESTFAILED {problem}")))?;
    ctx.reply.ok();
    Ok(Effect::Unchanged)
}
