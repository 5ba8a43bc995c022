//! `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`: the keys of a request that is not run.

use crate::command::permission::key_flags;
use crate::command::registry::{Found, commands};
use crate::command::spec::{Ctx, Effect, Error, Find, KeySpec, Outcome};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

/// A key's position in the request, and what happens to it.
type Place = (usize, &'static [&'static str]);

/// Finds the keys of the request that begins at argument 2.
fn keys(ctx: &Ctx<'_>, args: Args<'_>) -> Result<Vec<Place>, Error> {
    let request = args.from(2);
    let Found::Row(number) = commands().find_as(ctx.state.names.as_deref(), request) else {
        return Err(Error::of("ERR Invalid command specified"));
    };
    let command = commands().row(number).command;
    if command.keys.is_empty() {
        return Err(Error::of("ERR The command has no key arguments"));
    }
    if !command.arity_fits(request.len()) {
        return Err(Error::of("ERR Invalid number of arguments specified for command"));
    }
    let mut found = Vec::new();
    for spec in command.keys {
        let before = found.len();
        let flags = key_flags(spec, command.name, request);
        found.extend(spec.positions(request).map(|position| (position, flags)));
        if !is_whole(spec, request, found.len() - before) {
            return Err(Error::of("ERR Invalid arguments specified for command"));
        }
    }
    Ok(found)
}

/// Whether as many keys were found as there must be.
fn is_whole(spec: &KeySpec, request: Args<'_>, found: usize) -> bool {
    match spec.find {
        Find::Range { .. } => 0 < found || spec.keyword.is_some(),
        Find::Special(_) => true,
        Find::Count { .. } => {
            let count = spec.start(request).filter(|at| *at < request.len()).map(|at| request.get(at));
            count.and_then(crate::base::number::parse_i64) == Some(found as i64) && 0 < found
        }
    }
}

/// Replies what happens to a key. Access is in capitals, purpose is not.
pub fn reply_flags(reply: &mut Reply, flags: &[&str]) {
    reply.set(flags.len());
    for flag in flags {
        match flag.len() {
            2 => reply.status(flag),
            _ => reply.status(&flag.to_ascii_lowercase()),
        }
    }
}

/// `COMMAND GETKEYS`.
pub fn getkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = keys(ctx, args)?;
    ctx.reply.array(found.len());
    found.iter().for_each(|(position, _)| ctx.reply.bulk(args.get(position + 2)));
    Ok(Effect::Unchanged)
}

/// `COMMAND GETKEYSANDFLAGS`.
pub fn getkeysandflags(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = keys(ctx, args)?;
    ctx.reply.array(found.len());
    for (position, flags) in found {
        ctx.reply.array(2);
        ctx.reply.bulk(args.get(position + 2));
        reply_flags(ctx.reply, flags);
    }
    Ok(Effect::Unchanged)
}
