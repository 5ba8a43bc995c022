//! IDs of entries: what they are, and how Redis reads them.

use crate::base::number::parse_u64;

/// The longest text that is looked at; longer ones are no IDs.
const TEXT_MAX: usize = 127;

/// The ID of an entry. Ordered by milliseconds, then by sequence number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Id {
    /// Milliseconds since the epoch, or whatever a client put in their place.
    pub ms: u64,
    /// Tells entries of the same millisecond apart.
    pub seq: u64,
}

/// Where an ID is written: twice twenty digits and the dash.
pub type IdText = [u8; 41];

impl Id {
    /// `0-0`, which no entry has.
    pub const ZERO: Id = Id { ms: 0, seq: 0 };
    /// The greatest ID.
    pub const MAX: Id = Id { ms: u64::MAX, seq: u64::MAX };

    /// The ID of these two numbers.
    pub const fn new(ms: u64, seq: u64) -> Id {
        Id { ms, seq }
    }

    /// The next greater ID; `None` behind the greatest.
    pub fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The next smaller ID; `None` before the smallest.
    pub fn prev(self) -> Option<Id> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// The ID as text: both numbers in decimal with a dash between.
    pub fn text(self, text: &mut IdText) -> &[u8] {
        let mut len = 0;
        let mut digits = itoa::Buffer::new();
        let ms = digits.format(self.ms).as_bytes();
        text[..ms.len()].copy_from_slice(ms);
        len += ms.len();
        text[len] = b'-';
        len += 1;
        let seq = digits.format(self.seq).as_bytes();
        text[len..len + seq.len()].copy_from_slice(seq);
        len += seq.len();
        &text[..len]
    }

    /// Reads `ms-seq`, or `ms` alone with this sequence number. As lenient as Redis: see [`number`].
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Id> {
        match Id::parse_parts(text)? {
            (ms, None) => Some(Id { ms, seq: missing_seq }),
            (ms, Some(seq)) => Some(Id { ms, seq: number(seq)? }),
        }
    }

    /// Reads the milliseconds and returns what stands behind the first dash, if there is one.
    pub fn parse_parts(text: &[u8]) -> Option<(u64, Option<&[u8]>)> {
        if TEXT_MAX < text.len() {
            return None;
        }
        let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
        match memchr::memchr(b'-', text) {
            None => Some((number(text)?, None)),
            Some(dash) => Some((number(&text[..dash])?, Some(&text[dash + 1..]))),
        }
    }
}

/// Reads a number as C's `strtoull` does where the strict reader refuses: blanks, a sign and zeros may stand in front.
/// A number behind a minus sign is taken from 2^64, unless it is one that a plain integer could hold.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_u64(text) {
        return Some(value);
    }
    if crate::base::number::parse_i64(text).is_some() {
        return None;
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if 9 < digit {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked of redis-server 7.0 and 8.0 by `XRANGE key text text`.
    #[test]
    fn reading() {
        let table: &[(&str, Option<(u64, u64)>)] = &[
            ("1-2", Some((1, 2))),
            ("1", Some((1, 9))),
            ("0-0", Some((0, 0))),
            ("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            ("18446744073709551616-1", None),
            ("1-18446744073709551616", None),
            ("", None),
            ("-", None),
            ("-1", None),
            ("1-", None),
            ("a-1", None),
            ("1-a", None),
            ("1-2-3", None),
            ("1--2", None),
            ("1--02", Some((1, u64::MAX - 1))),
            ("01-002", Some((1, 2))),
            ("+1-+2", Some((1, 2))),
            (" 1-\t2", Some((1, 2))),
            ("1 -2", None),
            ("1\x002-3", Some((1, 9))),
            ("1-2\x003", Some((1, 2))),
            ("\0", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(ms, seq)| Id { ms, seq });
            assert_eq!(Id::parse(text.as_bytes(), 9), expected, "{text:?}");
        }
        assert_eq!(Id::parse(&[b'0'; 127], 9), Some(Id { ms: 0, seq: 9 }));
        assert_eq!(Id::parse(&[b'0'; 128], 9), None);
    }

    #[test]
    fn neighbours_and_texts() {
        let table = [
            (Id::ZERO, None, Some(Id::new(0, 1)), "0-0"),
            (Id::new(1, 0), Some(Id::new(0, u64::MAX)), Some(Id::new(1, 1)), "1-0"),
            (
                Id::new(7, u64::MAX),
                Some(Id::new(7, u64::MAX - 1)),
                Some(Id::new(8, 0)),
                "7-18446744073709551615",
            ),
            (
                Id::MAX,
                Some(Id::new(u64::MAX, u64::MAX - 1)),
                None,
                "18446744073709551615-18446744073709551615",
            ),
        ];
        for (id, prev, next, text) in table {
            assert_eq!((id.prev(), id.next()), (prev, next), "{id:?}");
            assert_eq!(id.text(&mut [0; 41]), text.as_bytes());
        }
    }
}
