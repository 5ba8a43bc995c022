//! Keys of any type: deletion, type, names.

use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::keyspace::Key;
use crate::resp::request::Args;

const SEE_ALL: &[KeySpec] = &[KeySpec::rest(1, 1, &["RO"])];
const DELETE_ALL: &[KeySpec] = &[KeySpec::rest(1, 1, &["RM", "DELETE"])];
const TAKEN: KeySpec = KeySpec::one(1, &["RW", "ACCESS", "DELETE"]);

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "copy", arity: -3, flags: WRITE | DENYOOM,
        keys: &[KeySpec::one(1, &["RO", "ACCESS"]), KeySpec::one(2, &["OW", "UPDATE"])], run: copy, subcommands: &[],
        doc: Group::Generic.doc("6.2.0", "O(N) of the elements of a collection, O(1) for a string",
            "source destination [DB destination-db] [REPLACE]", "Copies a value with its deadline to another key.") },
    Command { name: "del", arity: -2, flags: WRITE, keys: DELETE_ALL, run: del, subcommands: &[],
        doc: Group::Generic.doc("1.0.0", "O(N) of the keys; big values are freed after the reply", "key [key ...]", "Deletes keys.") },
    Command { name: "exists", arity: -2, flags: READONLY | FAST, keys: SEE_ALL, run: exists, subcommands: &[],
        doc: Group::Generic.doc("1.0.0", "O(N) of the keys", "key [key ...]", "Counts those of the keys that exist, repeated ones repeatedly.") },
    Command { name: "move", arity: 3, flags: WRITE | FAST, keys: &[KeySpec::one(1, &["RW", "ACCESS", "UPDATE"])], run: move_key, subcommands: &[],
        doc: Group::Generic.doc("1.0.0", "O(1)", "key db", "Moves a key to another database unless that has one of the name.") },
    Command { name: "rename", arity: 3, flags: WRITE, keys: &[TAKEN, KeySpec::one(2, &["OW", "UPDATE"])], run: rename, subcommands: &[],
        doc: Group::Generic.doc("1.0.0", "O(1)", "key newkey", "Gives a key another name, whatever had that name before.") },
    Command { name: "renamenx", arity: 3, flags: WRITE | FAST, keys: &[TAKEN, KeySpec::one(2, &["OW", "INSERT"])], run: renamenx, subcommands: &[],
        doc: Group::Generic.doc("1.0.0", "O(1)", "key newkey", "Gives a key another name unless a key of that name exists.") },
    Command { name: "touch", arity: -2, flags: READONLY | FAST, keys: SEE_ALL, run: touch, subcommands: &[],
        doc: Group::Generic.doc("3.2.1", "O(N) of the keys", "key [key ...]", "Counts those of the keys that exist and notes that they were used.") },
    Command { name: "type", arity: 2, flags: READONLY | FAST, keys: &[KeySpec::one(1, &["RO"])], run: type_of, subcommands: &[],
        doc: Group::Generic.doc("1.0.0", "O(1)", "key", "Names the type of a key's value.") },
    Command { name: "unlink", arity: -2, flags: WRITE | FAST, keys: DELETE_ALL, run: del, subcommands: &[],
        doc: Group::Generic.doc("4.0.0", "O(N) of the keys; big values are freed after the reply", "key [key ...]",
            "Deletes keys without waiting until their memory is free.") },
];

/// Deletes the keys; what is heavy is freed in slices after the reply, so `UNLINK` has nothing to add.
fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut deleted = 0;
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        if ctx.keys.delete(key) {
            ctx.changed(Class::Generic, "del", key);
            deleted += 1;
        }
    }
    ctx.reply.integer(deleted);
    Ok(if deleted == 0 { Effect::Unchanged } else { Effect::Changed })
}

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut found = 0;
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        found += i64::from(ctx.keys.read_untouched(key).is_some());
    }
    ctx.reply.integer(found);
    Ok(Effect::Unchanged)
}

fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    // To touch is what is asked for, even by a client that has said `CLIENT NO-TOUCH`.
    let before = std::mem::replace(&mut ctx.keys.touching, true);
    let mut found = 0;
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        found += i64::from(ctx.keys.read(key).is_some());
    }
    ctx.keys.touching = before;
    ctx.reply.integer(found);
    Ok(Effect::Unchanged)
}

fn type_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let name = ctx.keys.read_untouched(key).map_or("none", |entry| entry.kind().name());
    ctx.reply.status(name);
    Ok(Effect::Unchanged)
}

fn rename(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (from, to) = (ctx.key(args, 1), ctx.key(args, 2));
    if ctx.keys.write(from).is_none() {
        return Err(Error::NO_SUCH_KEY);
    }
    ctx.reply.ok();
    Ok(give_name(ctx, from, to))
}

fn renamenx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (from, to) = (ctx.key(args, 1), ctx.key(args, 2));
    if ctx.keys.write(from).is_none() {
        return Err(Error::NO_SUCH_KEY);
    }
    if ctx.keys.peek(to).is_some() {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    }
    ctx.reply.integer(1);
    Ok(give_name(ctx, from, to))
}

/// Puts what is at `from` under `to`, with its deadline.
fn give_name(ctx: &mut Ctx<'_>, from: Key<'_>, to: Key<'_>) -> Effect {
    if from.bytes == to.bytes {
        return Effect::Unchanged;
    }
    let Some(entry) = ctx.keys.remove(from) else { return Effect::Unchanged };
    let deadline = entry.deadline();
    ctx.keys.put(to, entry.renamed(to.bytes), deadline);
    ctx.changed(Class::Generic, "rename_from", from);
    ctx.changed(Class::Generic, "rename_to", to);
    Effect::Changed
}

/// Reads a number as small as those of databases are.
pub fn small_integer(arg: &[u8]) -> Result<i32, Error> {
    let number = parse_i64(arg).ok_or(Error::NOT_INTEGER)?;
    i32::try_from(number)
        .map_err(|_| Error::of("ERR value is out of range, value must between -2147483648 and 2147483647"))
}

/// The index of the database with this number.
pub fn database(ctx: &Ctx<'_>, number: i32) -> Result<usize, Error> {
    let index = usize::try_from(number).ok();
    index.filter(|index| *index < ctx.keys.databases().len()).ok_or(Error::DATABASE_OUT_OF_RANGE)
}

const SAME_OBJECT: Error = Error::of("ERR source and destination objects are the same");

fn move_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let to = database(ctx, small_integer(args.get(2))?)?;
    let from = ctx.keys.selected();
    if to == from {
        return Err(SAME_OBJECT);
    }
    let key = ctx.key(args, 1);
    if ctx.keys.write(key).is_none() || peek_in(ctx, to, key) {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    }
    let Some(entry) = ctx.keys.remove(key) else { return Err(Error::NO_SUCH_KEY) };
    let deadline = entry.deadline();
    ctx.changed(Class::Generic, "move_from", key);
    ctx.keys.select(to);
    ctx.keys.put(key, entry, deadline);
    ctx.changed(Class::Generic, "move_to", key);
    ctx.keys.select(from);
    ctx.reply.integer(1);
    Ok(Effect::Changed)
}

/// Whether a key exists in a database.
fn peek_in(ctx: &mut Ctx<'_>, database: usize, key: Key<'_>) -> bool {
    let before = ctx.keys.select(database);
    let exists = ctx.keys.peek(key).is_some();
    ctx.keys.select(before);
    exists
}

fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let here = ctx.keys.selected();
    let (mut there, mut replace) = (here, false);
    let mut options = Options::new(args, 3);
    while options.more() {
        if options.word("REPLACE") {
            replace = true;
        } else if options.word_with_value("DB") {
            there = database(ctx, small_integer(options.value()?)?)?;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let (from, to) = (ctx.key(args, 1), ctx.key(args, 2));
    if here == there && from.bytes == to.bytes {
        return Err(SAME_OBJECT);
    }
    // The value is copied once it is known to be wanted.
    let exists = ctx.keys.read(from).is_some() && (replace || !peek_in(ctx, there, to));
    let Some(source) = ctx.keys.peek(from).filter(|_| exists) else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    let (deadline, copied) = (source.deadline(), source.copied(to.bytes));
    ctx.keys.select(there);
    ctx.keys.put(to, copied, deadline);
    ctx.changed(Class::Generic, "copy_to", to);
    ctx.keys.select(here);
    if there != here && ctx.state.gate.active {
        // The reply waits for changes of the keys it names, and looks for them in the client's database.
        ctx.state.gate.changed(here, to.hash);
    }
    ctx.reply.integer(1);
    Ok(Effect::Changed)
}

#[cfg(test)]
mod tests;
