//! Strings as arrays of bits.
//!
//! Bits are changed where they lie (`Entry::edit_string`); a string that grows is filled with zeros. What a
//! command does with bytes is a function of `base/bits.rs`; here is only which bytes it means.

use bytes::Bytes;

use crate::base::bits::{self, Combine};
use crate::base::number::parse_i64;
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::entry::{EMBED_MAX, Value};
use crate::data::keyspace::{Deadline, Key, Keyspace};
use crate::resp::request::Args;

mod field;
#[cfg(test)]
mod tests;

const READ_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const UPDATE_ONE: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "UPDATE"])];
const FIELDS: &[KeySpec] = &[KeySpec::one(1, &["RW", "ACCESS", "UPDATE", "VARIABLE_FLAGS"])];
const COMBINE: &[KeySpec] = &[KeySpec::one(2, &["OW", "UPDATE"]), KeySpec::rest(3, 1, &["RO", "ACCESS"])];

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "bitcount", arity: -2, flags: READONLY, keys: READ_ONE, run: bitcount, subcommands: &[],
        doc: Group::Bitmap.doc("2.6.0", "O(N) of the bytes between start and end", "key [start [end [BYTE | BIT]]]",
            "Counts the bits of a string, or of a part of it, that are set.") },
    Command { name: "bitfield", arity: -2, flags: WRITE | DENYOOM, keys: FIELDS, run: field::bitfield, subcommands: &[],
        doc: Group::Bitmap.doc("3.2.0", "O(1) for each operation",
            "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> ...]",
            "Reads, sets and increments integers of any width in a string.") },
    Command { name: "bitfield_ro", arity: -2, flags: READONLY | FAST, keys: READ_ONE, run: field::bitfield_ro, subcommands: &[],
        doc: Group::Bitmap.doc("6.0.0", "O(1) for each operation", "key [GET encoding offset ...]",
            "Reads integers of any width in a string.") },
    Command { name: "bitop", arity: -4, flags: WRITE | DENYOOM, keys: COMBINE, run: bitop, subcommands: &[],
        doc: Group::Bitmap.doc("2.6.0", "O(N) of the bytes of all strings",
            "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]",
            "Combines strings bit by bit and stores the result.") },
    Command { name: "bitpos", arity: -3, flags: READONLY, keys: READ_ONE, run: bitpos, subcommands: &[],
        doc: Group::Bitmap.doc("2.8.7", "O(N) of the bytes up to the bit", "key bit [start [end [BYTE | BIT]]]",
            "Returns the position of the first bit that is set or clear.") },
    Command { name: "getbit", arity: 3, flags: READONLY | FAST, keys: READ_ONE, run: getbit, subcommands: &[],
        doc: Group::Bitmap.doc("2.2.0", "O(1)", "key offset", "Returns a bit of a string.") },
    Command { name: "setbit", arity: 4, flags: WRITE | DENYOOM, keys: UPDATE_ONE, run: setbit, subcommands: &[],
        doc: Group::Bitmap.doc("2.2.0", "O(1)", "key offset value",
            "Sets or clears a bit of a string, filling with zero bytes up to it.") },
];

const BAD_OFFSET: Error = Error::of("ERR bit offset is not an integer or out of range");

/// A position as an argument gives it, in units of so many bits, within a string of `bytes_max` bytes, which is
/// `proto-max-bulk-len`.
fn offset(argument: &[u8], unit: u32, bytes_max: u64) -> Result<u64, Error> {
    let number = parse_i64(argument).and_then(|number| number.checked_mul(i64::from(unit)));
    let at = number.and_then(|number| u64::try_from(number).ok()).ok_or(BAD_OFFSET)?;
    if bytes_max <= at / 8 {
        return Err(BAD_OFFSET);
    }
    Ok(at)
}

/// What `read` makes of the bytes of a string; nothing if there is no key.
fn read<R>(ctx: &mut Ctx<'_>, key: Key<'_>, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, Error> {
    match ctx.keys.read(key) {
        None => Ok(None),
        Some(entry) => {
            let text = entry.string().ok_or(Error::WRONG_TYPE)?;
            Ok(Some(read(text.bytes(&mut [0; 20]))))
        }
    }
}

/// Stores bytes under a key, the long ones without copying them; their encoding is called `raw`.
pub fn store(keys: &mut Keyspace, key: Key<'_>, bytes: Vec<u8>, deadline: Deadline) {
    let value = match bytes.len() <= EMBED_MAX {
        true => Value::Bytes { bytes: &bytes, raw: true },
        false => Value::Shared(Bytes::from(bytes)),
    };
    keys.set(key, value, deadline);
}

/// Has the bytes of a string edited, at least `len` of them: one that is shorter or missing is filled with zeros.
/// Returns what `edit` returns, which is also told whether the string has grown.
fn edit<R>(
    keys: &mut Keyspace,
    key: Key<'_>,
    len: usize,
    edit: impl FnOnce(&mut [u8], bool) -> R,
) -> Result<R, Error> {
    if let Some(entry) = keys.write(key) {
        let grows = entry.string().ok_or(Error::WRONG_TYPE)?.len() < len;
        return Ok(entry.edit_string(len, |bytes| edit(bytes, grows)));
    }
    // Zeros in such numbers the allocator may have ready.
    let mut bytes = vec![0; len];
    let result = edit(&mut bytes, true);
    store(keys, key, bytes, Deadline::Clear);
    Ok(result)
}

fn getbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let at = offset(args.get(2), 1, ctx.state.settings.proto_max_bulk_len)?;
    let key = ctx.key(args, 1);
    let on = read(ctx, key, |bytes| bits::get(bytes, at))?;
    ctx.reply.integer(i64::from(on.unwrap_or(false)));
    Ok(Effect::Unchanged)
}

fn setbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let at = offset(args.get(2), 1, ctx.state.settings.proto_max_bulk_len)?;
    let on = match parse_i64(args.get(3)) {
        Some(bit @ 0..=1) => bit == 1,
        _ => return Err(Error::of("ERR bit is not an integer or out of range")),
    };
    let key = ctx.key(args, 1);
    let len = (at / 8) as usize + 1;
    let (old, grew) = edit(ctx.keys, key, len, |bytes, grew| (bits::set(bytes, at, on), grew))?;
    ctx.reply.integer(i64::from(old));
    if old == on && !grew {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::String, "setbit", key);
    Ok(Effect::Changed)
}

/// The part of a string that `BITCOUNT` and `BITPOS` look at, as the arguments give it.
#[derive(Clone, Copy)]
struct Part {
    start: i64,
    end: i64,
    /// Bits in one of the unit in which both are given.
    unit: i64,
}

impl Part {
    const WHOLE: Part = Part { start: 0, end: -1, unit: 8 };

    /// The first and the last bit of the part, both included, of a string of `len` bytes; nothing if it is empty.
    fn bits(self, len: usize) -> Option<(u64, u64)> {
        let total = len as i64 * 8 / self.unit;
        let from_head = |index: i64| if index < 0 { (index + total).max(0) } else { index };
        let (first, last) = (from_head(self.start), from_head(self.end).min(total - 1));
        (first <= last).then(|| ((first * self.unit) as u64, (last * self.unit + self.unit - 1) as u64))
    }
}

/// Bits in one of the unit that a word names.
fn unit(word: &[u8]) -> Result<i64, Error> {
    if word.eq_ignore_ascii_case(b"bit") {
        Ok(1)
    } else if word.eq_ignore_ascii_case(b"byte") {
        Ok(8)
    } else {
        Err(Error::SYNTAX)
    }
}

fn bitcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut part = Part::WHOLE;
    if 5 < args.len() {
        return Err(Error::SYNTAX);
    }
    // An end may be left out since Valkey 8.1.
    if 2 < args.len() {
        part.start = ctx.integer(args.get(2))?;
    }
    if 3 < args.len() {
        part.end = ctx.integer(args.get(3))?;
    }
    if 4 < args.len() {
        part.unit = unit(args.get(4))?;
    }
    // Both may lie before the string, and then both would be moved to its head.
    let is_reversed = part.start < 0 && part.end < part.start;
    let key = ctx.key(args, 1);
    let count = read(ctx, key, |bytes| match part.bits(bytes.len()) {
        Some((first, last)) if !is_reversed => bits::count_between(bytes, first, last),
        _ => 0,
    })?;
    ctx.reply.integer(count.unwrap_or(0) as i64);
    Ok(Effect::Unchanged)
}

fn bitpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let wanted = match ctx.integer(args.get(2))? {
        bit @ 0..=1 => bit == 1,
        _ => return Err(Error::of("ERR The bit argument must be 1 or 0.")),
    };
    let mut part = Part::WHOLE;
    if 6 < args.len() {
        return Err(Error::SYNTAX);
    }
    if 3 < args.len() {
        part.start = ctx.integer(args.get(3))?;
    }
    if 5 < args.len() {
        part.unit = unit(args.get(5))?;
    }
    if 4 < args.len() {
        part.end = ctx.integer(args.get(4))?;
    }
    let has_end = 4 < args.len();
    let key = ctx.key(args, 1);
    let found = read(ctx, key, |bytes| {
        let (first, last) = part.bits(bytes.len())?;
        // Without an end the string goes on in zeros.
        let beyond = if wanted || has_end { None } else { Some(last + 1) };
        bits::find(bytes, wanted, first, last).or(beyond)
    })?;
    let position = match found {
        // A missing key is zeros without end, whatever part of it is meant.
        None => {
            if wanted {
                -1
            } else {
                0
            }
        }
        Some(found) => found.map_or(-1, |at| at as i64),
    };
    ctx.reply.integer(position);
    Ok(Effect::Unchanged)
}

/// The operations of `BITOP`.
const OPERATIONS: &[(&[u8], Combine)] = &[
    (b"and", Combine::And),
    (b"or", Combine::Or),
    (b"xor", Combine::Xor),
    (b"not", Combine::Not),
    (b"diff", Combine::Diff),
    (b"diff1", Combine::Diff1),
    (b"andor", Combine::AndOr),
    (b"one", Combine::One),
];

fn bitop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let word = args.get(1);
    let named = OPERATIONS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    let how = named.ok_or(Error::SYNTAX)?.1;
    let sources = args.len() - 3;
    if how == Combine::Not && sources != 1 {
        return Err(Error::of("ERR BITOP NOT must be called with a single source key."));
    }
    if matches!(how, Combine::Diff | Combine::Diff1 | Combine::AndOr) && sources < 2 {
        let name = String::from_utf8_lossy(word).to_uppercase();
        return Err(Error::text(format!("ERR BITOP {name} must be called with at least two source keys.")));
    }
    ctx.fetch_ahead(args, 3..args.len());
    for index in 3..args.len() {
        let key = ctx.key(args, index);
        if ctx.keys.read(key).is_some_and(|entry| entry.string().is_none()) {
            return Err(Error::WRONG_TYPE);
        }
    }
    let result = {
        let mut scratch = vec![[0; 20]; sources];
        let texts: Vec<&[u8]> = (3..args.len())
            .zip(&mut scratch)
            .map(|(index, scratch)| {
                let entry = ctx.keys.stored(ctx.key(args, index));
                entry.and_then(|entry| entry.string()).map_or(&[][..], |text| text.bytes(scratch))
            })
            .collect();
        bits::combine(how, &texts)
    };
    let key = ctx.key(args, 2);
    ctx.reply.integer(result.len() as i64);
    if !result.is_empty() {
        store(ctx.keys, key, result, Deadline::Clear);
        ctx.changed(Class::String, "set", key);
    } else if ctx.keys.delete(key) {
        ctx.changed(Class::Generic, "del", key);
    } else {
        return Ok(Effect::Unchanged);
    }
    Ok(Effect::Changed)
}
