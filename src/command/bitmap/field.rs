//! `BITFIELD`: integers of any width in a string.
//!
//! The operations of a request are read twice by the same cursor: once to see that all are right and how far they
//! write, once to carry them out, when none can be wrong any more. So no list of them is made.

use crate::base::bits::{self, Overflow, Width};
use crate::base::number::parse_i64;
use crate::command::bitmap::{edit, offset};
use crate::command::options::Options;
use crate::command::spec::{Class, Ctx, Effect, Error, Outcome};
use crate::resp::reply::Reply;
use crate::resp::request::Args;

/// What is done with an integer.
#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// One operation.
#[derive(Clone, Copy)]
struct Operation {
    action: Action,
    at: u64,
    width: Width,
    overflow: Overflow,
}

/// The operations of a request, in order.
#[derive(Clone, Copy)]
struct Operations<'a> {
    options: Options<'a>,
    /// What `OVERFLOW` said last.
    overflow: Overflow,
    /// The longest string that may be written.
    bytes_max: u64,
}

/// The operations of a request as a whole.
#[derive(Default)]
struct Summary {
    count: usize,
    /// Bytes that are written, counted from the head of the string; 0 if all operations only read.
    written: usize,
}

impl<'a> Operations<'a> {
    fn new(ctx: &Ctx<'_>, args: Args<'a>) -> Operations<'a> {
        let bytes_max = ctx.state.settings.proto_max_bulk_len;
        Operations { options: Options::new(args, 2), overflow: Overflow::Wrap, bytes_max }
    }

    /// The next operation; `None` behind the last.
    fn next(&mut self) -> Result<Option<Operation>, Error> {
        while self.options.word_with_value("OVERFLOW") {
            self.overflow = overflow(self.options.value()?)?;
        }
        if !self.options.more() {
            return Ok(None);
        }
        let left = self.options.left();
        let takes_value = match () {
            () if 2 < left && self.options.word("GET") => None,
            () if 3 < left && self.options.word("SET") => Some(Action::Set as fn(i64) -> Action),
            () if 3 < left && self.options.word("INCRBY") => Some(Action::Increment as fn(i64) -> Action),
            () => return Err(Error::SYNTAX),
        };
        let width = width(self.options.value()?)?;
        let position = self.options.value()?;
        let at = match position.strip_prefix(b"#") {
            Some(number) => offset(number, width.bits, self.bytes_max)?,
            None => offset(position, 1, self.bytes_max)?,
        };
        let action = match takes_value {
            None => Action::Get,
            Some(action) => action(self.options.integer()?),
        };
        Ok(Some(Operation { action, at, width, overflow: self.overflow }))
    }

    /// Reads all operations ahead.
    fn summary(mut self) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        while let Some(operation) = self.next()? {
            summary.count += 1;
            if !matches!(operation.action, Action::Get) {
                let end = (operation.at + u64::from(operation.width.bits)).div_ceil(8);
                summary.written = summary.written.max(end as usize);
            }
        }
        Ok(summary)
    }
}

fn overflow(word: &[u8]) -> Result<Overflow, Error> {
    let words = [("WRAP", Overflow::Wrap), ("SAT", Overflow::Saturate), ("FAIL", Overflow::Fail)];
    let found = words.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, overflow)| *overflow).ok_or(Error::of("ERR Invalid OVERFLOW type specified"))
}

/// A type as it is written: `i` or `u`, in small letters, and the number of bits.
fn width(word: &[u8]) -> Result<Width, Error> {
    let (signed, digits) = match word {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => (false, &[][..]),
    };
    // A reply cannot say the greatest numbers of 64 bits without a sign.
    let max = if signed { 64 } else { 63 };
    match parse_i64(digits) {
        Some(bits) if (1..=max).contains(&bits) => Ok(Width { bits: bits as u32, signed }),
        _ => Err(Error::of(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        )),
    }
}

impl Operation {
    /// Carries it out and replies. Returns whether anything was written that was not there before.
    fn run(self, bytes: &mut [u8], reply: &mut Reply) -> bool {
        let old = bits::read(bytes, self.at, self.width);
        let (next, is_sum) = match self.action {
            Action::Get => {
                reply.integer(old);
                return false;
            }
            Action::Set(value) => (self.width.add(value, 0, self.overflow), false),
            Action::Increment(increment) => (self.width.add(old, increment, self.overflow), true),
        };
        let Some(next) = next else {
            reply.null();
            return false;
        };
        reply.integer(if is_sum { next } else { old });
        bits::write(bytes, self.at, self.width, next);
        next != old
    }
}

pub(super) fn bitfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut operations = Operations::new(ctx, args);
    let summary = operations.summary()?;
    if summary.written == 0 {
        return read_all(ctx, args, operations, summary.count);
    }
    let key = ctx.key(args, 1);
    let reply = &mut *ctx.reply;
    // A string that has grown has changed, even if everything else failed for fear of an overflow.
    let changed = edit(ctx.keys, key, summary.written, |bytes, grew| {
        reply.array(summary.count);
        let mut changed = grew;
        while let Ok(Some(operation)) = operations.next() {
            changed |= operation.run(bytes, reply);
        }
        changed
    })?;
    if !changed {
        return Ok(Effect::Unchanged);
    }
    ctx.changed(Class::String, "setbit", key);
    Ok(Effect::Changed)
}

pub(super) fn bitfield_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let operations = Operations::new(ctx, args);
    let summary = operations.summary()?;
    if summary.written != 0 {
        return Err(Error::of("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read_all(ctx, args, operations, summary.count)
}

/// Carries out operations that only read.
fn read_all(ctx: &mut Ctx<'_>, args: Args<'_>, mut operations: Operations<'_>, count: usize) -> Outcome {
    let key = ctx.key(args, 1);
    let mut scratch = [0; 20];
    let bytes = match ctx.keys.read(key) {
        None => &[][..],
        Some(entry) => entry.string().ok_or(Error::WRONG_TYPE)?.bytes(&mut scratch),
    };
    ctx.reply.array(count);
    while let Ok(Some(operation)) = operations.next() {
        ctx.reply.integer(bits::read(bytes, operation.at, operation.width));
    }
    Ok(Effect::Unchanged)
}
