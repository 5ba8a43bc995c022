//! The cursor over a command's options.
//!
//! A function walks its options with three verbs, each of which moves on only if it fits: [`Options::word`] takes
//! a word, [`Options::value`] takes what follows a word, [`Options::next`] takes whatever comes. Exclusive options
//! share one [`Slot`], which takes one of them, once, or again where Redis allows it:
//!
//! ```ignore
//! let mut options = Options::new(args, 3);
//! while options.more() {
//!     if options.word("NX") {
//!         condition.fill(Condition::Absent)?;
//!     } else if options.word("EX") {
//!         expiry.fill(options.value()?)?;
//!     } else {
//!         return Err(Error::SYNTAX);
//!     }
//! }
//! ```

use std::ops::Range;

use crate::base::number::parse_i64;
use crate::command::spec::Error;
use crate::resp::request::Args;

/// A position among the arguments.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    args: Args<'a>,
    next: usize,
}

impl<'a> Options<'a> {
    /// Begins at argument `first`.
    pub fn new(args: Args<'a>, first: usize) -> Options<'a> {
        Options { args, next: first }
    }

    /// Whether an argument is left.
    #[inline]
    pub fn more(&self) -> bool {
        self.next < self.args.len()
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.args.len().saturating_sub(self.next)
    }

    /// Index of the next argument.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Takes the next argument if it is this word, in whatever case.
    #[inline]
    pub fn word(&mut self, word: &str) -> bool {
        let fits = self.more() && self.args.get(self.next).eq_ignore_ascii_case(word.as_bytes());
        self.next += usize::from(fits);
        fits
    }

    /// Takes the next argument if it is this word and something follows it.
    #[inline]
    pub fn word_with_value(&mut self, word: &str) -> bool {
        1 < self.left() && self.word(word)
    }

    /// Takes the next argument, which must be there.
    pub fn value(&mut self) -> Result<&'a [u8], Error> {
        let value = self.peek().ok_or(Error::SYNTAX)?;
        self.next += 1;
        Ok(value)
    }

    /// Takes the next argument as an integer.
    pub fn integer(&mut self) -> Result<i64, Error> {
        parse_i64(self.value()?).ok_or(Error::NOT_INTEGER)
    }

    /// The next argument, not taken.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.more().then(|| self.args.get(self.next))
    }
}

/// A count of elements to take that is none, or less, or no number.
pub const COUNT_NOT_POSITIVE: Error = Error::of("ERR count should be greater than 0");

/// A number above zero.
pub fn positive(arg: &[u8]) -> Option<usize> {
    parse_i64(arg).and_then(|number| usize::try_from(number).ok()).filter(|number| 0 < *number)
}

/// The words of `LMPOP` and `ZMPOP` from the number of keys on.
pub struct PopWords<E> {
    /// Which arguments are keys.
    pub keys: Range<usize>,
    /// From which end to take.
    pub end: E,
    /// How many to take.
    pub count: usize,
}

impl<E> PopWords<E> {
    /// Reads them; argument `at` is the number of keys, and `end` knows the words for the ends.
    pub fn parse(
        args: Args<'_>,
        at: usize,
        end: impl FnOnce(&[u8]) -> Result<E, Error>,
    ) -> Result<PopWords<E>, Error> {
        const NUMKEYS: Error = Error::of("ERR numkeys should be greater than 0");
        let numkeys = positive(args.get(at)).ok_or(NUMKEYS)?;
        let first = at + 1;
        if args.len() - first <= numkeys {
            return Err(Error::SYNTAX);
        }
        let mut options = Options::new(args, first + numkeys);
        let end = end(options.value()?)?;
        let mut count = None;
        while options.more() {
            if count.is_some() || !options.word_with_value("COUNT") {
                return Err(Error::SYNTAX);
            }
            count = Some(positive(options.value()?).ok_or(COUNT_NOT_POSITIVE)?);
        }
        Ok(PopWords { keys: first..first + numkeys, end, count: count.unwrap_or(1) })
    }
}

/// A place for one of several options that exclude each other.
#[derive(Debug)]
pub struct Slot<T>(Option<T>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot(None)
    }
}

impl<T> Slot<T> {
    /// Takes the option; a second one is a syntax error.
    pub fn fill(&mut self, option: T) -> Result<(), Error> {
        match self.0.replace(option) {
            None => Ok(()),
            Some(_) => Err(Error::SYNTAX),
        }
    }

    /// Takes the option; one that is there already must be the `same`, only given again: the last one counts.
    pub fn fill_again(&mut self, option: T, same: impl FnOnce(&T, &T) -> bool) -> Result<(), Error> {
        if self.0.as_ref().is_some_and(|before| !same(before, &option)) {
            return Err(Error::SYNTAX);
        }
        self.0 = Some(option);
        Ok(())
    }

    /// The option, if one was given.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    /// The option, if one was given.
    pub fn take(self) -> Option<T> {
        self.0
    }
}
