//! What all walks by cursor have in common, over the keys (`SCAN`) or the elements of one (`SSCAN` and its like).

use crate::base::glob;
use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::Error;
use crate::resp::request::Args;

/// Elements that one step looks at unless it is told otherwise.
pub const COUNT_DEFAULT: u64 = 10;
/// Buckets that a step visits at most, for each element that was asked for.
pub const BUCKETS_PER_ELEMENT: u64 = 10;

const INVALID_CURSOR: Error = Error::of("ERR invalid cursor");

/// Reads a cursor. Redis leaves what is no proper integer to C's `strtoull`, hence leading blanks, zeros and signs,
/// an end at a zero byte, and negative numbers counted down from 2^64 if they are no proper integer either.
pub fn cursor(text: &[u8]) -> Result<u64, Error> {
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    if let Some(number) = parse_i64(text) {
        return u64::try_from(number).map_err(|_| INVALID_CURSOR);
    }
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    let number = Some(digits)
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok())
        .ok_or(INVALID_CURSOR)?;
    Ok(if negative { number.wrapping_neg() } else { number })
}

/// A pattern, or nothing if it is the one that stands for every name. The pattern alone would not match the
/// empty name.
pub fn pattern(text: &[u8]) -> Option<&[u8]> {
    (text != b"*").then_some(text)
}

/// How many elements a step is asked for.
pub fn count(options: &mut Options<'_>) -> Result<u64, Error> {
    let count = options.integer()?;
    u64::try_from(count).ok().filter(|count| 0 < *count).ok_or(Error::SYNTAX)
}

/// The options of a walk over the elements of one key.
#[derive(Clone, Copy, Debug)]
pub struct WalkOptions<'a> {
    /// What elements must match.
    pub pattern: Option<&'a [u8]>,
    /// How many a step should look at.
    pub count: u64,
    /// `HSCAN … NOVALUES`, `ZSCAN … NOSCORES`: fields and members alone.
    pub fields_only: bool,
}

impl<'a> WalkOptions<'a> {
    /// Reads the options behind `command key cursor`; `of_hash` says whether `NOVALUES` means something.
    ///
    /// # Errors
    ///
    /// What Redis says of such options.
    pub fn parse(args: Args<'a>, of_hash: bool) -> Result<WalkOptions<'a>, Error> {
        WalkOptions::parse_with(args, if of_hash { "NOVALUES" } else { "" })
    }

    /// As [`WalkOptions::parse`], with the word by which a type calls that it wants no values.
    pub fn parse_with(args: Args<'a>, fields_only: &str) -> Result<WalkOptions<'a>, Error> {
        let mut found = WalkOptions { pattern: None, count: COUNT_DEFAULT, fields_only: false };
        let mut options = Options::new(args, 3);
        while options.more() {
            if options.word_with_value("COUNT") {
                found.count = count(&mut options)?;
            } else if options.word_with_value("MATCH") {
                found.pattern = pattern(options.value()?);
            } else if !fields_only.is_empty() && options.word(fields_only) {
                found.fields_only = true;
            } else if options.word("NOVALUES") {
                return Err(Error::of("ERR NOVALUES option can only be used in HSCAN"));
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(found)
    }

    /// Whether an element is wanted.
    #[inline]
    pub fn wants(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, text, false))
    }

    /// Steps from a cursor until as many elements were looked at as were asked for, or too many buckets; returns the
    /// cursor with which to go on. `step` takes a cursor and returns the next one and how many elements it saw.
    pub fn walk(&self, mut cursor: u64, mut step: impl FnMut(u64) -> (u64, u64)) -> u64 {
        let mut seen = 0;
        for _ in 0..self.count.saturating_mul(BUCKETS_PER_ELEMENT) {
            let (next, elements) = step(cursor);
            cursor = next;
            seen += elements;
            if cursor == 0 || self.count <= seen {
                break;
            }
        }
        cursor
    }
}
