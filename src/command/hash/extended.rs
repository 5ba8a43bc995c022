//! Values together with deadlines: `HGETEX`, `HSETEX`, `HGETDEL`.

use super::expire::{NOT_A_COUNT, date, fields, log_deadline, log_removed, persist};
use super::{reply_option, set_pairs, settle, to_write};
use crate::base::date::UnixMs;
use crate::base::number::parse_i64;
use crate::command::options::{Options, Slot};
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome, repeated};
use crate::command::string::DeadlineUnit;
use crate::data::entry::Entry;
use crate::data::keyspace::Key;
use crate::resp::request::Args;

/// Takes `EX seconds` and the like, if it stands at the cursor.
fn deadline_option<'a>(options: &mut Options<'a>) -> Option<(DeadlineUnit, Option<&'a [u8]>)> {
    let unit = DeadlineUnit::WORDS.iter().find(|(word, _)| options.word(word))?.1;
    Some((unit, options.value().ok()))
}

/// Replies the values of fields; nulls where there is none.
fn reply_values(ctx: &mut Ctx<'_>, key: Key<'_>, named: Args<'_>) -> Result<(), Error> {
    let now = ctx.now();
    let hash = to_write(ctx.keys, key)?;
    ctx.reply.array(named.len());
    for field in named.iter() {
        reply_option(ctx.reply, hash.as_ref().and_then(|hash| hash.get(field, now)));
    }
    Ok(())
}

/// Removes fields and says so, with a record. Returns whether there were any.
fn remove(ctx: &mut Ctx<'_>, key: Key<'_>, named: impl Iterator<Item: AsRef<[u8]>>) -> Result<bool, Error> {
    let Some(hash) = to_write(ctx.keys, key)? else { return Ok(false) };
    let mut named: Vec<_> = named.collect();
    named.retain(|field| hash.remove(field.as_ref()));
    let is_empty = hash.is_empty();
    if named.is_empty() {
        return Ok(false);
    }
    let removed: Vec<&[u8]> = named.iter().map(AsRef::as_ref).collect();
    log_removed(ctx, key, &removed);
    settle(ctx, key, is_empty);
    Ok(true)
}

pub(super) fn hgetdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    to_write(ctx.keys, key)?;
    let named = fields(args, 2, NOT_A_COUNT)?;
    ctx.keys.expire_named(key, named.iter());
    ctx.reply.array(named.len());
    let Some(hash) = to_write(ctx.keys, key)? else {
        named.iter().for_each(|_| ctx.reply.null());
        return Ok(Effect::Unchanged);
    };
    let mut removed = Vec::new();
    for field in named.iter() {
        // A field named twice is gone by the second time.
        reply_option(ctx.reply, hash.get(field, now));
        if hash.remove(field) {
            removed.push(field);
        }
    }
    let is_empty = hash.is_empty();
    if removed.is_empty() {
        return Ok(Effect::Unchanged);
    }
    log_removed(ctx, key, &removed);
    settle(ctx, key, is_empty);
    Ok(Effect::Logged)
}

/// What `HGETEX` does with the deadlines.
enum Renewal {
    Nothing,
    Persist,
    At(UnixMs),
}

pub(super) fn hgetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    to_write(ctx.keys, key)?;
    let mut options = Options::new(args, 2);
    let mut renewal = Renewal::Nothing;
    if options.word("PERSIST") {
        renewal = Renewal::Persist;
    } else if let Some((unit, argument)) = deadline_option(&mut options) {
        renewal = Renewal::At(date(now, argument.unwrap_or_default(), unit, "hgetex")?);
    }
    if options.left() < 2 {
        return Err(Error::arity("hgetex"));
    }
    let named = fields(args, options.position(), NOT_A_COUNT)?;
    ctx.keys.expire_named(key, named.iter());
    reply_values(ctx, key, named)?;
    match renewal {
        Renewal::Nothing => Ok(Effect::Unchanged),
        Renewal::Persist => persist(ctx, key, named, |_, _| ()),
        Renewal::At(at) if at <= now => {
            let some = remove(ctx, key, named.iter())?;
            Ok(if some { Effect::Logged } else { Effect::Unchanged })
        }
        Renewal::At(at) => renew(ctx, key, named, at),
    }
}

/// Sets the deadline of those fields that are there.
fn renew(ctx: &mut Ctx<'_>, key: Key<'_>, named: Args<'_>, at: UnixMs) -> Outcome {
    let now = ctx.now();
    let Some(hash) = to_write(ctx.keys, key)? else { return Ok(Effect::Unchanged) };
    let there: Vec<&[u8]> = named.iter().filter(|field| hash.contains(field, now)).collect();
    if there.is_empty() {
        return Ok(Effect::Unchanged);
    }
    there.iter().for_each(|field| hash.set_deadline(field, Some(at), now));
    ctx.keys.field_deadlines_changed(key);
    log_deadline(ctx, key, at, &there);
    ctx.changed(Class::Hash, "hexpire", key);
    Ok(Effect::Logged)
}

/// What `HSETEX` does with the deadlines of the fields it sets; without a word they have none.
enum Validity {
    Keep,
    At(UnixMs),
}

/// The options of `HSETEX`; of the conditions `true` wants what is named to exist.
struct SetOptions<'a> {
    key_exists: Option<bool>,
    fields_exist: Option<bool>,
    validity: Option<Validity>,
    pairs: Args<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: Args<'a>, now: UnixMs) -> Result<SetOptions<'a>, Error> {
        const ONE_CONDITION: Error = Error::of("ERR Only one of FXX or FNX arguments can be specified");
        const ONE_KEY_CONDITION: Error = Error::of("ERR Only one of XX or NX arguments can be specified");
        const ONE_VALIDITY: Error =
            Error::of("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
        let (mut of_key, mut of_fields, mut validity) = (Slot::default(), Slot::default(), Slot::default());
        let mut options = Options::new(args, 2);
        while let Some(word) = options.peek() {
            if options.word("FIELDS") {
                return Ok(SetOptions {
                    key_exists: of_key.take(),
                    fields_exist: of_fields.take(),
                    validity: validity.take(),
                    pairs: pairs(args, options)?,
                });
            }
            if options.word("FNX") || options.word("FXX") {
                let exist = word.eq_ignore_ascii_case(b"FXX");
                of_fields.fill(exist).map_err(|_| ONE_CONDITION)?;
            } else if options.word("NX") || options.word("XX") {
                let exists = word.eq_ignore_ascii_case(b"XX");
                of_key.fill(exists).map_err(|_| ONE_KEY_CONDITION)?;
            } else if options.word("KEEPTTL") {
                validity.fill(Validity::Keep).map_err(|_| ONE_VALIDITY)?;
            } else if let Some((unit, argument)) = deadline_option(&mut options) {
                if validity.get().is_some() {
                    return Err(ONE_VALIDITY);
                }
                let argument = argument.ok_or(Error::of("ERR missing expire time"))?;
                validity.fill(Validity::At(date(now, argument, unit, "hsetex")?))?;
            } else {
                let word = repeated(word, usize::MAX);
                return Err(Error::text(format!("ERR unknown argument: {word}")));
            }
        }
        Err(Error::arity("hsetex"))
    }

    /// Whether the conditions hold.
    fn hold(&self, ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<bool, Error> {
        let now = ctx.now();
        let hash = to_write(ctx.keys, key)?;
        let exists = |field: &[u8]| hash.as_ref().is_some_and(|hash| hash.contains(field, now));
        let fields_hold =
            self.fields_exist.is_none_or(|wanted| self.fields().all(|field| exists(field) == wanted));
        Ok(fields_hold && self.key_exists.is_none_or(|wanted| hash.is_some() == wanted))
    }

    fn fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.pairs.iter().step_by(2)
    }

    /// Writes what has been done as a record.
    fn log(&self, ctx: &mut Ctx<'_>, key: Key<'_>) {
        let (mut date, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        let count: [&[u8]; 2] = [b"FIELDS", count.format(self.pairs.len() / 2).as_bytes()];
        let mut words: Vec<&[u8]> = vec![b"HSETEX", key.bytes];
        // Where no field has a deadline none is kept, and older servers know the record.
        let keeps = ctx.keys.stored(key).and_then(Entry::hash).is_some_and(|hash| hash.ticket().is_some());
        match self.validity {
            Some(Validity::At(at)) => words.extend([&b"PXAT"[..], date.format(at.0).as_bytes()]),
            Some(Validity::Keep) if keeps => words.push(b"KEEPTTL"),
            _ => words[0] = b"HSET",
        }
        if words[0] == b"HSETEX" {
            words.extend(count);
        }
        words.extend(self.pairs.iter());
        ctx.log(&words);
    }
}

/// What follows `FIELDS`: the number of pairs and the pairs.
fn pairs<'a>(args: Args<'a>, mut options: Options<'a>) -> Result<Args<'a>, Error> {
    if options.left() < 3 {
        return Err(Error::arity("hsetex"));
    }
    let count = parse_i64(options.value()?).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
    let count = count.ok_or(Error::of("ERR invalid number of fields"))? as usize;
    if !options.left().is_multiple_of(2) || options.left() / 2 != count {
        return Err(Error::arity("hsetex"));
    }
    Ok(args.from(options.position()))
}

pub(super) fn hsetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, now) = (ctx.key(args, 1), ctx.now());
    let options = SetOptions::parse(args, now)?;
    to_write(ctx.keys, key)?;
    ctx.keys.expire_named(key, options.fields());
    let holds = options.hold(ctx, key)?;
    ctx.reply.integer(i64::from(holds));
    if !holds {
        return Ok(Effect::Unchanged);
    }
    if let Some(Validity::At(at)) = options.validity
        && at <= now
    {
        // Set, and gone at once.
        let some = remove(ctx, key, options.fields())?;
        return Ok(if some { Effect::Logged } else { Effect::Unchanged });
    }
    set_pairs(ctx, key, options.pairs, matches!(options.validity, Some(Validity::Keep)))?;
    ctx.changed(Class::Hash, "hset", key);
    if let Some(Validity::At(at)) = options.validity
        && let Some(hash) = to_write(ctx.keys, key)?
    {
        options.fields().for_each(|field| hash.set_deadline(field, Some(at), now));
        ctx.keys.field_deadlines_changed(key);
        ctx.changed(Class::Hash, "hexpire", key);
    }
    options.log(ctx, key);
    Ok(Effect::Logged)
}
