//! Conditions on a string: `SET … IFEQ`, `DELEX`, `DELIFEQ`, and the digest that they can compare.

use crate::command::options::{Options, Slot};
use crate::command::spec::flag::{FAST, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::entry::Str;
use crate::data::keyspace::Key;
use crate::resp::request::Args;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "delex", arity: -2, flags: WRITE | FAST, keys: &[KeySpec::one(1, &["RM", "DELETE"])], run: delex, subcommands: &[],
        doc: Group::String.doc("8.4.0", "O(1), or O(N) of the value's length where digests are compared",
            "key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]", "Deletes a key if its string meets a condition.") },
    Command { name: "delifeq", arity: 3, flags: WRITE | FAST, keys: &[KeySpec::one(1, &["RM", "DELETE"])], run: delifeq, subcommands: &[],
        doc: Group::String.doc("9.0.0", "O(1)", "key value", "Deletes a key if its string equals the value.") },
    Command { name: "digest", arity: 2, flags: READONLY | FAST, keys: &[KeySpec::one(1, &["RO", "ACCESS"])], run: digest, subcommands: &[],
        doc: Group::String.doc("8.4.0", "O(N) of the value's length", "key", "Returns the XXH3 digest of a string in hexadecimal.") },
];

/// What must hold for `SET` to set.
pub(super) enum Condition<'a> {
    Absent,
    Present,
    Equal(&'a [u8]),
    Unequal(&'a [u8]),
    DigestEqual(&'a [u8]),
    DigestUnequal(&'a [u8]),
}

impl<'a> Condition<'a> {
    /// Reads the condition at the cursor, if one is there.
    pub(super) fn at(
        options: &mut Options<'a>,
        exists: bool,
        compares: bool,
    ) -> Result<Option<Condition<'a>>, Error> {
        Ok(Some(if exists && options.word("NX") {
            Condition::Absent
        } else if exists && options.word("XX") {
            Condition::Present
        } else if compares && options.word_with_value("IFEQ") {
            Condition::Equal(options.value()?)
        } else if compares && options.word_with_value("IFNE") {
            Condition::Unequal(options.value()?)
        } else if compares && options.word_with_value("IFDEQ") {
            Condition::DigestEqual(digest_argument(options.value()?)?)
        } else if compares && options.word_with_value("IFDNE") {
            Condition::DigestUnequal(digest_argument(options.value()?)?)
        } else {
            return Ok(None);
        }))
    }

    /// `NX NX` is no contradiction; two values to compare with are.
    pub(super) fn is_word_again(&self, other: &Condition<'_>) -> bool {
        matches!(
            (self, other),
            (Condition::Absent, Condition::Absent) | (Condition::Present, Condition::Present)
        )
    }

    pub(super) fn needs_string(&self) -> bool {
        !matches!(self, Condition::Absent | Condition::Present)
    }

    /// Whether it holds for this entry's string.
    pub(super) fn holds(&self, exists: bool, old: Option<Str<'_>>) -> bool {
        let mut scratch = [0; 20];
        let text = old.map(|old| old.bytes(&mut scratch));
        match *self {
            Condition::Absent => !exists,
            Condition::Present => exists,
            Condition::Equal(value) => text == Some(value),
            Condition::Unequal(value) => text != Some(value),
            Condition::DigestEqual(hex) => text.is_some_and(|text| digest_is(text, hex)),
            Condition::DigestUnequal(hex) => text.is_none_or(|text| !digest_is(text, hex)),
        }
    }
}

fn digest_argument(hex: &[u8]) -> Result<&[u8], Error> {
    if hex.len() == 16 {
        Ok(hex)
    } else {
        Err(Error::of("ERR digest must be exactly 16 hexadecimal characters"))
    }
}

fn digest_text(bytes: &[u8]) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(bytes))
}

fn digest_is(bytes: &[u8], hex: &[u8]) -> bool {
    digest_text(bytes).as_bytes().eq_ignore_ascii_case(hex)
}

fn delete_on(ctx: &mut Ctx<'_>, key: Key<'_>, condition: Option<Condition<'_>>) -> Outcome {
    let Some(entry) = ctx.keys.write(key) else {
        ctx.reply.integer(0);
        return Ok(Effect::Unchanged);
    };
    if let Some(condition) = condition {
        let text = entry.string().ok_or(Error::WRONG_TYPE)?;
        if !condition.holds(true, Some(text)) {
            ctx.reply.integer(0);
            return Ok(Effect::Unchanged);
        }
    }
    ctx.keys.delete(key);
    ctx.changed(Class::Generic, "del", key);
    ctx.log(&[b"DEL", key.bytes]);
    ctx.reply.integer(1);
    Ok(Effect::Logged)
}

fn delex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 2);
    let mut slot = Slot::default();
    while options.more() {
        slot.fill(Condition::at(&mut options, false, true)?.ok_or(Error::SYNTAX)?)?;
    }
    let key = ctx.key(args, 1);
    delete_on(ctx, key, slot.take())
}

fn delifeq(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    delete_on(ctx, key, Some(Condition::Equal(args.get(2))))
}

fn digest(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = ctx.key(args, 1);
    let digest = match ctx.keys.read(key) {
        None => None,
        Some(entry) => Some(digest_text(entry.string().ok_or(Error::WRONG_TYPE)?.bytes(&mut [0; 20]))),
    };
    match digest {
        None => ctx.reply.null(),
        Some(digest) => ctx.reply.bulk(digest.as_bytes()),
    }
    Ok(Effect::Unchanged)
}
