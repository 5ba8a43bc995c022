//! Reading a stream: how long it is, and what lies between two IDs.

use crate::command::options::Options;
use crate::command::spec::{Ctx, Effect, Error, Outcome};
use crate::command::stream::parse::{end_of, read_stream, reply_entries, start_of};
use crate::resp::request::Args;

pub(super) fn xlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let len = read_stream(ctx, key)?.map_or(0, |stream| stream.entries.len());
    ctx.reply.integer(len as i64);
    Ok(Effect::Unchanged)
}

pub(super) fn xrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, false)
}

pub(super) fn xrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, true)
}

fn range(ctx: &mut Ctx<'_>, args: Args<'_>, backwards: bool) -> Outcome {
    let (from, to) = if backwards { (3, 2) } else { (2, 3) };
    let start = start_of(args.get(from))?;
    let end = end_of(args.get(to))?;
    let mut count = None;
    let mut options = Options::new(args, 4);
    while options.more() {
        if !options.word_with_value("COUNT") {
            return Err(Error::SYNTAX);
        }
        count = Some(options.integer()?.max(0) as u64);
    }
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.keys.read(key) else {
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    };
    let entries = &entry.stream().ok_or(Error::WRONG_TYPE)?.entries;
    if count == Some(0) {
        ctx.reply.null_array();
    } else if backwards {
        reply_entries(ctx.reply, entries.range_rev(start, end), count);
    } else {
        reply_entries(ctx.reply, entries.range(start, end), count);
    }
    Ok(Effect::Unchanged)
}
