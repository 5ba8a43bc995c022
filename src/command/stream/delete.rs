//! Deleting entries, and what becomes of the references that groups have to them.
//!
//! `XDELEX` and `XACKDEL` came with Redis 8.2; in the log they are `XACK` and `XDEL`, which every server knows.

use crate::command::options::Options;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::command::stream::parse::{all_ids, strict_id, write_stream};
use crate::data::keyspace::Key;
use crate::data::stream::{Id, References, Stream};
use crate::resp::request::Args;
use crate::state::log::{Log, push_bulk, push_header};

/// The option that says what becomes of references.
pub(super) fn references(options: &mut Options<'_>) -> Option<References> {
    let words =
        [("KEEPREF", References::Keep), ("DELREF", References::Delete), ("ACKED", References::Acknowledged)];
    words.into_iter().find(|(word, _)| options.word(word)).map(|(_, references)| references)
}

/// Writes a record of these words and then the IDs, unless there are none.
pub(super) fn log_ids(log: &mut Log, database: usize, words: &[&[u8]], ids: &[Id]) {
    if ids.is_empty() {
        return;
    }
    log.with(database, |out| {
        push_header(out, b'*', words.len() + ids.len());
        words.iter().for_each(|word| push_bulk(out, word));
        ids.iter().for_each(|id| push_bulk(out, id.text(&mut [0; 41])));
    });
}

/// Takes entries off what is pending in all groups, and logs that. Returns whether there were any.
pub(super) fn drop_references(ctx: &mut Ctx<'_>, key: Key<'_>, ids: &[Id]) -> bool {
    ctx.log_expired();
    let database = ctx.keys.selected();
    let Some(stream) = ctx.keys.write(key).and_then(|entry| entry.stream_mut()) else { return false };
    let mut dropped = false;
    for (name, group) in stream.groups.iter_mut() {
        let known: Vec<Id> = ids.iter().copied().filter(|id| group.acknowledge(*id)).collect();
        log_ids(&mut ctx.state.log, database, &[b"XACK", key.bytes, name], &known);
        dropped |= !known.is_empty();
    }
    dropped
}

/// Writes the record of deleted entries.
pub(super) fn log_deleted(ctx: &mut Ctx<'_>, key: Key<'_>, ids: &[Id]) {
    ctx.log_expired();
    let database = ctx.keys.selected();
    log_ids(&mut ctx.state.log, database, &[b"XDEL", key.bytes], ids);
}

pub(super) fn xdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let Some(stream) = write_stream(ctx, key)? else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    all_ids(args, 2)?;
    let mut deleted = 0;
    for index in 2..args.len() {
        deleted += i64::from(stream.entries.delete(strict_id(args.get(index), 0)?));
    }
    ctx.reply.integer(deleted);
    if deleted == 0 {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::Stream, "xdel", key);
    Ok(Effect::Changed)
}

/// What follows the key of `XDELEX`, or the group of `XACKDEL`.
struct Request {
    references: References,
    ids: Vec<Id>,
}

impl Request {
    fn parse(args: Args<'_>, first: usize) -> Result<Request, Error> {
        const NUMBER: Error = Error::of("ERR Number of IDs must be a positive integer");
        const MISMATCH: Error = Error::of("ERR The `numids` parameter must match the number of arguments");
        let (mut found, mut ids) = (None, None);
        let mut options = Options::new(args, first);
        while options.more() {
            if options.word_with_value("IDS") {
                let number = options.integer().map_err(|_| NUMBER)?;
                let number = usize::try_from(number).ok().filter(|number| 0 < *number).ok_or(NUMBER)?;
                if options.left() < number {
                    return Err(MISMATCH);
                }
                let texts = (0..number).map(|_| options.value().and_then(|text| strict_id(text, 0)));
                if ids.replace(texts.collect::<Result<Vec<Id>, Error>>()?).is_some() {
                    return Err(Error::SYNTAX);
                }
            } else if found.is_none()
                && let Some(word) = references(&mut options)
            {
                found = Some(word);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let ids = ids.ok_or(Error::of("ERR IDS option is required"))?;
        Ok(Request { references: found.unwrap_or_default(), ids })
    }
}

/// There is no such entry, or it is not pending.
const NOT_THERE: i64 = -1;
const DELETED: i64 = 1;
/// Some group still needs it.
const NEEDED: i64 = 2;

/// Deletes an entry if it may go.
fn delete_minding(stream: &mut Stream, id: Id, references: References) -> i64 {
    if !stream.entries.contains(id) {
        return NOT_THERE;
    }
    if references == References::Acknowledged && stream.groups.refer_to(id) {
        return NEEDED;
    }
    stream.entries.delete(id);
    DELETED
}

pub(super) fn xdelex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let request = Request::parse(args, 2)?;
    let key = ctx.key(args, 1);
    let codes: Vec<i64> = match write_stream(ctx, key)? {
        None => vec![NOT_THERE; request.ids.len()],
        Some(stream) => {
            request.ids.iter().map(|id| delete_minding(stream, *id, request.references)).collect()
        }
    };
    Ok(finish(ctx, key, &request, &request.ids, &codes, false))
}

pub(super) fn xackdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let request = Request::parse(args, 3)?;
    let key = ctx.key(args, 1);
    let name = args.get(2);
    let mut codes = vec![NOT_THERE; request.ids.len()];
    let mut acknowledged = Vec::new();
    if let Some(stream) = write_stream(ctx, key)? {
        for (code, id) in codes.iter_mut().zip(&request.ids) {
            if !stream.groups.get_mut(name).is_some_and(|group| group.acknowledge(*id)) {
                continue;
            }
            acknowledged.push(*id);
            *code = match delete_minding(stream, *id, request.references) {
                NEEDED => NEEDED,
                _ => DELETED,
            };
        }
    }
    ctx.log_expired();
    let database = ctx.keys.selected();
    log_ids(&mut ctx.state.log, database, &[b"XACK", key.bytes, name], &acknowledged);
    Ok(finish(ctx, key, &request, &acknowledged, &codes, !acknowledged.is_empty()))
}

/// Drops the references to `dropped` if they are to be dropped, logs, and replies. `changed`: something has changed even
/// if nothing was deleted.
fn finish(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    request: &Request,
    dropped: &[Id],
    codes: &[i64],
    mut changed: bool,
) -> Effect {
    if request.references == References::Delete {
        changed |= drop_references(ctx, key, dropped);
    }
    let with_codes = request.ids.iter().zip(codes);
    let deleted: Vec<Id> = with_codes.filter(|(_, code)| **code == DELETED).map(|(id, _)| *id).collect();
    log_deleted(ctx, key, &deleted);
    ctx.reply.array(codes.len());
    codes.iter().for_each(|code| ctx.reply.integer(*code));
    if !deleted.is_empty() {
        ctx.changed(Class::Stream, "xdel", key);
    } else if changed {
        ctx.changed(Class::Stream, "", key);
    } else {
        return Effect::Unchanged;
    }
    Effect::Logged
}
