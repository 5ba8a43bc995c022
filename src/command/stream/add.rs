//! Adding entries, trimming, and setting what a stream knows beyond its entries.
//!
//! The log must come to the same whatever ID the server chose and wherever nodes begin: an ID that was chosen stands in
//! the record, and approximate trimming stands there as exact trimming down to what was left.

use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::command::stream::delete::{drop_references, log_deleted, references};
use crate::command::stream::idempotent::{self, Naming};
use crate::command::stream::parse::{NewId, in_replay, limits, new_id, strict_id, write_stream};
use crate::data::entry::Value;
use crate::data::keyspace::{Deadline, Key};
use crate::data::stream::{ENTRY_BYTES_MAX, Entries, Id, Measure, References, Stream, Trim};
use crate::resp::request::Args;
use crate::state::log::{push_bulk, push_header};

/// Without `LIMIT`, approximate trimming removes the entries of so many full nodes at most.
const NODES_TRIMMED_MAX: u64 = 100;
/// The same where nodes have no limit, and the most it ever is.
const TRIMMED_DEFAULT: u64 = 10_000;
const TRIMMED_MAX: u64 = 1_000_000;

const LIMIT_ALONE: Error = Error::of("ERR syntax error, LIMIT cannot be used without the special ~ option");
const EXHAUSTED: Error =
    Error::of("ERR The stream has exhausted the last possible ID, unable to add more items");
const NOT_ABOVE: Error =
    Error::of("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const TOO_LARGE: Error = Error::of("ERR Elements are too large to be stored");

/// The options of `XADD` and `XTRIM`.
#[derive(Default)]
struct Request {
    measure: Option<Measure>,
    approximate: bool,
    limit: Option<u64>,
    create: bool,
    references: Option<References>,
    /// What the entry is called, so that it is not added twice.
    naming: Option<Naming>,
    /// Where the ID of `XADD` stands.
    id_at: usize,
}

impl Request {
    /// Reads the options of `XADD`, up to its ID, or of `XTRIM`, all of them.
    fn parse(args: Args<'_>, adding: bool) -> Result<Request, Error> {
        let mut found = Request { create: true, ..Request::default() };
        let mut options = Options::new(args, 2);
        while options.more() {
            if adding && options.peek() == Some(b"*") {
                break;
            } else if options.word_with_value("MAXLEN") {
                found.take_measure(&mut options, |text| {
                    let len = parse_i64(text).ok_or(Error::NOT_INTEGER)?;
                    let len = u64::try_from(len);
                    Ok(Measure::Len(len.map_err(|_| Error::of("ERR The MAXLEN argument must be >= 0."))?))
                })?;
            } else if options.word_with_value("MINID") {
                found.take_measure(&mut options, |text| strict_id(text, 0).map(Measure::First))?;
            } else if options.word_with_value("LIMIT") {
                let limit = u64::try_from(options.integer()?);
                found.limit = Some(limit.map_err(|_| Error::of("ERR The LIMIT argument must be >= 0."))?);
            } else if adding && options.word("NOMKSTREAM") {
                found.create = false;
            } else if adding && Naming::take(&mut options, &mut found.naming)? {
                continue;
            } else if let Some(references) = references(&mut options) {
                if found.references.replace(references).is_some_and(|before| before != references) {
                    return Err(Error::SYNTAX);
                }
            } else if adding {
                break;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        found.id_at = options.position();
        Ok(found)
    }

    fn take_measure(
        &mut self,
        options: &mut Options<'_>,
        read: impl FnOnce(&[u8]) -> Result<Measure, Error>,
    ) -> Result<(), Error> {
        if self.measure.is_some() {
            return Err(Error::of(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        self.approximate = options.word_with_value("~");
        if !self.approximate {
            options.word_with_value("=");
        }
        self.measure = Some(read(options.value()?)?);
        Ok(())
    }

    /// Refuses what does not go together, and fills in what was not said.
    fn trim(&self, ctx: &Ctx<'_>, adding: bool) -> Result<Option<Trim>, Error> {
        let Some(measure) = self.measure else {
            if self.limit.is_some_and(|limit| limit != 0) {
                return Err(Error::of(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ));
            }
            if !adding {
                return Err(Error::of("ERR syntax error, XTRIM must be called with a trimming strategy"));
            }
            if self.limit.is_some() && !in_replay(ctx) {
                return Err(LIMIT_ALONE);
            }
            return Ok(None);
        };
        let nodes = ctx.state.settings.stream_node_max_entries.saturating_mul(NODES_TRIMMED_MAX);
        let limit = match self.limit {
            // A log of Redis has `LIMIT` where it was approximate once.
            _ if in_replay(ctx) => 0,
            Some(_) if !self.approximate => return Err(LIMIT_ALONE),
            Some(limit) => limit,
            None if !self.approximate => 0,
            None if nodes == 0 => TRIMMED_DEFAULT,
            None => nodes.min(TRIMMED_MAX),
        };
        Ok(Some(Trim { measure, approximate: self.approximate, limit }))
    }
}

/// The ID of a new entry.
fn choose(entries: &Entries, wish: NewId, now_ms: u64) -> Result<Id, Error> {
    let last = entries.last_id();
    if last == Id::MAX {
        return Err(EXHAUSTED);
    }
    let id = match wish {
        NewId::Any => entries.next_id(now_ms).ok_or(EXHAUSTED)?,
        NewId::At(ms) if ms == last.ms => Id { ms, seq: last.seq.checked_add(1).ok_or(NOT_ABOVE)? },
        NewId::At(ms) => Id { ms, seq: 0 },
        NewId::Exactly(id) => id,
    };
    if last < id { Ok(id) } else { Err(NOT_ABOVE) }
}

/// Adds an entry to a stream, which is made if there is none and it is to be. `None` if it is not.
fn append(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    wish: NewId,
    create: bool,
    texts: Args<'_>,
) -> Result<Option<Id>, Error> {
    let text_len: u64 = texts.iter().map(|text| text.len() as u64).sum();
    let pairs = (0..texts.len() / 2).map(|pair| (texts.get(2 * pair), texts.get(2 * pair + 1)));
    let limits = limits(ctx);
    let now_ms = ctx.now().0 as u64;
    match write_stream(ctx, key)? {
        Some(stream) => {
            let id = choose(&stream.entries, wish, now_ms)?;
            if ENTRY_BYTES_MAX < text_len {
                return Err(TOO_LARGE);
            }
            stream.entries.append(id, pairs, limits);
            Ok(Some(id))
        }
        None if !create => Ok(None),
        None => {
            let mut stream = Box::new(Stream::new());
            let id = choose(&stream.entries, wish, now_ms)?;
            if ENTRY_BYTES_MAX < text_len {
                return Err(TOO_LARGE);
            }
            stream.entries.append(id, pairs, limits);
            ctx.keys.set(key, Value::Stream(stream), Deadline::Clear);
            Ok(Some(id))
        }
    }
}

pub(super) fn xadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let request = Request::parse(args, true)?;
    let wish = match request.id_at < args.len() {
        true => new_id(args.get(request.id_at))?,
        false => NewId::Any,
    };
    let trim = request.trim(ctx, true)?;
    let first = request.id_at + 1;
    if args.len() < first + 2 || !(args.len() - first).is_multiple_of(2) {
        return Err(Error::arity("xadd"));
    }
    if wish == NewId::Exactly(Id::ZERO) {
        return Err(Error::of("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let texts = args.from(first);
    let key = ctx.key(args, 1);
    let name = request.naming.map(|naming| naming.name(ctx, args, wish, texts)).transpose()?;
    if let Some(name) = &name
        && let Some(id) = idempotent::seen(ctx, key, name)?
    {
        ctx.reply.bulk(id.text(&mut [0; 41]));
        return Ok(Effect::Unchanged);
    }
    let Some(id) = append(ctx, key, wish, request.create, texts)? else {
        ctx.reply.null();
        return Ok(Effect::Unchanged);
    };
    let mut text = [0; 41];
    let text = id.text(&mut text);
    ctx.reply.bulk(text);
    ctx.changed(Class::Stream, "xadd", key);
    match trim {
        None if matches!(wish, NewId::Exactly(_)) && request.references.is_none() && name.is_none() => {
            return Ok(Effect::Changed);
        }
        None => log_added(ctx, args, &request, None, text),
        Some(trim) => add_trimming(ctx, args, &request, &trim, text),
    }
    if let Some(name) = &name {
        idempotent::remember(ctx, key, name, id);
    }
    Ok(Effect::Logged)
}

/// Trims a stream to which an entry was just added, and logs both.
fn add_trimming(ctx: &mut Ctx<'_>, args: Args<'_>, request: &Request, trim: &Trim, id: &[u8]) {
    let key = ctx.key(args, 1);
    let references = request.references.unwrap_or_default();
    if references != References::Keep {
        log_added(ctx, args, request, None, id);
        if trim_minding(ctx, key, trim, references) != 0 {
            ctx.changed(Class::Stream, "xtrim", key);
        }
        return;
    }
    let Ok(Some(stream)) = write_stream(ctx, key) else { return };
    let removed = stream.entries.trim(trim);
    let left = left_by(&stream.entries, trim);
    log_added(ctx, args, request, Some(left), id);
    if removed != 0 {
        ctx.changed(Class::Stream, "xtrim", key);
    }
}

/// What exact trimming would have to aim at to leave what is there.
fn left_by(entries: &Entries, trim: &Trim) -> Measure {
    match trim.measure {
        measure if !trim.approximate => measure,
        Measure::Len(_) => Measure::Len(entries.len()),
        Measure::First(_) if entries.is_empty() => Measure::First(Id::MAX),
        Measure::First(_) => Measure::First(entries.first_id()),
    }
}

/// The word and the number or ID of a measure as text.
fn measure_text(measure: Measure, text: &mut [u8; 41]) -> (&'static [u8], &[u8]) {
    match measure {
        Measure::First(id) => (b"MINID", id.text(text)),
        Measure::Len(len) => {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(len).as_bytes();
            text[..digits.len()].copy_from_slice(digits);
            (b"MAXLEN", &text[..digits.len()])
        }
    }
}

/// Writes the record of an entry that was added under this ID, with exact trimming if there was any.
fn log_added(ctx: &mut Ctx<'_>, args: Args<'_>, request: &Request, trimmed: Option<Measure>, id: &[u8]) {
    ctx.log_expired();
    let database = ctx.keys.selected();
    ctx.state.log.with(database, |out| {
        let texts = args.from(request.id_at + 1);
        push_header(out, b'*', 3 + texts.len() + if trimmed.is_some() { 3 } else { 0 });
        push_bulk(out, b"XADD");
        push_bulk(out, args.get(1));
        if let Some(measure) = trimmed {
            let mut text = [0; 41];
            let (word, number) = measure_text(measure, &mut text);
            [word, b"=", number].into_iter().for_each(|word| push_bulk(out, word));
        }
        push_bulk(out, id);
        texts.iter().for_each(|text| push_bulk(out, text));
    });
}

/// Trims a stream as [`References::Delete`] and [`References::Acknowledged`] want it, and logs that. Returns how many
/// entries went.
fn trim_minding(ctx: &mut Ctx<'_>, key: Key<'_>, trim: &Trim, references: References) -> usize {
    let Ok(Some(stream)) = write_stream(ctx, key) else { return 0 };
    let ids = stream.trimmed(trim, references);
    if ids.is_empty() {
        return 0;
    }
    if references == References::Acknowledged {
        // Some entries before them may stay, so they leave holes.
        ids.iter().for_each(|id| {
            stream.entries.delete(*id);
        });
        log_deleted(ctx, key, &ids);
        return ids.len();
    }
    stream.entries.trim(trim);
    let left = left_by(&stream.entries, trim);
    drop_references(ctx, key, &ids);
    log_trimmed(ctx, key, left);
    ids.len()
}

/// Writes the record of exact trimming.
fn log_trimmed(ctx: &mut Ctx<'_>, key: Key<'_>, left: Measure) {
    let mut text = [0; 41];
    let (word, number) = measure_text(left, &mut text);
    ctx.log(&[b"XTRIM", key.bytes, word, b"=", number]);
}

pub(super) fn xtrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let request = Request::parse(args, false)?;
    let trim = request.trim(ctx, false)?.ok_or(Error::SYNTAX)?;
    let references = request.references.unwrap_or_default();
    let key = ctx.key(args, 1);
    let Some(stream) = write_stream(ctx, key)? else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    if references != References::Keep {
        let removed = trim_minding(ctx, key, &trim, references);
        ctx.reply.integer(removed as i64);
        if removed == 0 {
            return Ok(Effect::Unchanged);
        }
        ctx.changed(Class::Stream, "xtrim", key);
        return Ok(Effect::Logged);
    }
    let removed = stream.entries.trim(&trim);
    let left = left_by(&stream.entries, &trim);
    ctx.reply.integer(removed as i64);
    if removed == 0 {
        return Ok(Effect::Unchanged);
    }
    log_trimmed(ctx, key, left);
    ctx.changed(Class::Stream, "xtrim", key);
    Ok(Effect::Logged)
}

pub(super) fn xsetid(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let id = strict_id(args.get(2), 0)?;
    let (mut added, mut max_deleted) = (None, Id::ZERO);
    let mut options = Options::new(args, 3);
    while options.more() {
        if options.word_with_value("ENTRIESADDED") {
            let number = u64::try_from(options.integer()?);
            added = Some(number.map_err(|_| Error::of("ERR entries_added must be positive"))?);
        } else if options.word_with_value("MAXDELETEDID") {
            max_deleted = strict_id(options.value()?, 0)?;
            if id < max_deleted {
                return Err(Error::of(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let key = ctx.key(args, 1);
    let entries = &mut write_stream(ctx, key)?.ok_or(Error::NO_SUCH_KEY)?.entries;
    if id < entries.max_deleted() {
        return Err(Error::of("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"));
    }
    if !entries.is_empty() {
        if id < entries.last_present() {
            return Err(Error::of(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if added.is_some_and(|added| added < entries.len()) {
            return Err(Error::of(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    let max_deleted = if max_deleted == Id::ZERO { entries.max_deleted() } else { max_deleted };
    entries.set_ids(id, added.unwrap_or(entries.added()), max_deleted);
    ctx.changed(Class::Stream, "xsetid", key);
    ctx.reply.ok();
    Ok(Effect::Changed)
}
