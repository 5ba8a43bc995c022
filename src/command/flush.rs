//! Whole databases: emptied, exchanged.

use crate::command::key::{database, small_integer};
use crate::command::options::Options;
use crate::command::spec::flag::{DANGEROUS, FAST, WHOLE, WRITE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome};
use crate::resp::request::Args;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "flushall", arity: -1, flags: WRITE | WHOLE | DANGEROUS, keys: &[], run: flushall, subcommands: &[],
        doc: Group::Server.doc("1.0.0", "O(1); memory is freed after the reply", "[ASYNC | SYNC]", "Deletes the keys of all databases.") },
    Command { name: "flushdb", arity: -1, flags: WRITE | WHOLE | DANGEROUS, keys: &[], run: flushdb, subcommands: &[],
        doc: Group::Server.doc("1.0.0", "O(1); memory is freed after the reply", "[ASYNC | SYNC]", "Deletes the keys of the database.") },
    Command { name: "swapdb", arity: 3, flags: WRITE | FAST | WHOLE | DANGEROUS, keys: &[], run: swapdb, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(1)", "index1 index2", "Exchanges the keys of two databases.") },
];

/// Reads how memory is to be freed. It is freed in slices after the reply either way: neither word would make
/// anybody wait.
fn check_mode(args: Args<'_>) -> Result<(), Error> {
    let mut options = Options::new(args, 1);
    if options.more() && !options.word("ASYNC") && !options.word("SYNC") || options.more() {
        return Err(Error::SYNTAX);
    }
    Ok(())
}

fn flushall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_mode(args)?;
    (0..ctx.keys.databases().len()).for_each(|database| ctx.note_whole(database, &[database]));
    let keys = (0..ctx.keys.databases().len()).map(|database| ctx.keys.flush(database)).sum();
    ctx.changed_whole(keys);
    ctx.state.invalidate_all();
    ctx.state.persistence.flushed_all = true;
    ctx.reply.ok();
    Ok(Effect::Changed)
}

fn flushdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_mode(args)?;
    let database = ctx.keys.selected();
    ctx.note_whole(database, &[database]);
    let keys = ctx.keys.flush(database);
    ctx.changed_whole(keys);
    ctx.state.invalidate_all();
    ctx.reply.ok();
    Ok(Effect::Changed)
}

fn swapdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    // Both must be numbers before either must be one of a database.
    let first = small_integer(args.get(1)).map_err(|_| Error::of("ERR invalid first DB index"))?;
    let second = small_integer(args.get(2)).map_err(|_| Error::of("ERR invalid second DB index"))?;
    let (first, second) = (database(ctx, first)?, database(ctx, second)?);
    ctx.note_whole(first, &[first, second]);
    ctx.note_whole(second, &[first, second]);
    ctx.keys.swap(first, second);
    ctx.changed_whole(1);
    ctx.reply.ok();
    Ok(Effect::Changed)
}
