//! Header lines (`*3`, `$10`), what they may announce, and what is said when they are wrong.

use std::fmt;

use memchr::memchr;

/// What a peer may announce and how long it may make us wait for a line end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest argument, in bytes (`proto-max-bulk-len`).
    pub bulk_len_max: usize,
    /// The most arguments of a request.
    pub args_max: usize,
    /// The longest inline request or header line, in bytes before its line feed or carriage return.
    pub line_len_max: usize,
    /// Whether the peer still has to say its password: then it gets 10 arguments of 16 KiB at most.
    ///
    /// Requests are parsed ahead of the `AUTH` that would lift this, so such a peer's requests are to be asked for
    /// one at a time.
    pub unauthenticated: bool,
    /// Whether a line that begins with `#` is one argument as it stands, as in the log, and not split into words.
    pub annotations: bool,
}

impl Limits {
    /// The most arguments of a request from a peer that has not said its password.
    pub const UNAUTHENTICATED_ARGS_MAX: usize = 10;
    /// The longest argument from a peer that has not said its password, in bytes.
    pub const UNAUTHENTICATED_BULK_LEN_MAX: usize = 16 * 1024;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bulk_len_max: 512 * 1024 * 1024,
            args_max: i32::MAX as usize,
            line_len_max: 64 * 1024,
            unauthenticated: false,
            annotations: false,
        }
    }
}

/// What a peer sent that is no request. The connection ends with it, for nobody knows where the next one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count of arguments is no number or too big.
    InvalidMultibulkLength,
    /// More arguments than a peer may send before its password.
    UnauthenticatedMultibulkLength,
    /// The length of an argument is no number, negative, or too big.
    InvalidBulkLength,
    /// A longer argument than a peer may send before its password.
    UnauthenticatedBulkLength,
    /// An argument began with this byte.
    ExpectedDollar(u8),
    /// The line with the count of arguments does not end.
    TooBigMultibulkCount,
    /// The line with the length of an argument does not end.
    TooBigBulkCount,
    /// An inline request does not end.
    TooBigInlineRequest,
    /// An inline request has a quote that is not closed or closed in the middle of a word.
    UnbalancedQuotes,
}

impl ProtocolError {
    fn text(self) -> &'static str {
        match self {
            ProtocolError::InvalidMultibulkLength => "invalid multibulk length",
            ProtocolError::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            ProtocolError::InvalidBulkLength => "invalid bulk length",
            ProtocolError::UnauthenticatedBulkLength => "unauthenticated bulk length",
            ProtocolError::ExpectedDollar(_) => "expected '$', got '",
            ProtocolError::TooBigMultibulkCount => "too big mbulk count string",
            ProtocolError::TooBigBulkCount => "too big bulk count string",
            ProtocolError::TooBigInlineRequest => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
        }
    }

    /// Appends the text that Redis sends after `Protocol error: `; a byte that is no ASCII comes back as it was.
    pub fn push_text(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text().as_bytes());
        if let ProtocolError::ExpectedDollar(byte) = self {
            out.extend_from_slice(&[byte, b'\'']);
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match self {
            ProtocolError::ExpectedDollar(byte) => write!(f, "{}'", *byte as char),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Reads a header of one to three digits, which nearly all are, from one load of eight bytes.
///
/// Gives the number and the length of the line. `None` means nothing but "read it the slow way".
#[inline(always)]
pub(super) fn quick(bytes: &[u8], sigil: u8) -> Option<(usize, usize)> {
    let word = u64::from_le_bytes(bytes.first_chunk::<8>().copied()?);
    let digit = |index: u32| ((word >> (8 * index)) as u8).wrapping_sub(b'0') as usize;
    let ends_at = |index: u32| (word >> (8 * index)) as u16 == u16::from_le_bytes(*b"\r\n");
    let (a, b, c) = (digit(1), digit(2), digit(3));
    if word as u8 != sigil || 9 < a {
        return None;
    }
    if ends_at(2) {
        return Some((a, 4));
    }
    if a == 0 || 9 < b {
        return None;
    }
    if ends_at(3) {
        return Some((a * 10 + b, 5));
    }
    (c <= 9 && ends_at(4)).then_some((a * 100 + b * 10 + c, 6))
}

/// A whole header line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// The line before its carriage return.
    pub text: &'a [u8],
    /// Whether a line feed followed, as it should; Redis skips whatever byte is there.
    pub canonical: bool,
}

impl Line<'_> {
    /// How many bytes the line took with its end.
    pub(super) fn size(&self) -> usize {
        self.text.len() + 2
    }
}

/// Finds the end of the header line that `bytes` begin with; `searched` of them are known to have no end.
///
/// `Ok(None)` asks for more bytes. `Err` says that the line is longer than `len_max`, wherever its end may be, so
/// that the answer does not depend on how the bytes were cut into reads.
#[inline]
pub(super) fn line<'a>(
    bytes: &'a [u8],
    searched: &mut usize,
    len_max: usize,
) -> Result<Option<Line<'a>>, ()> {
    let window = &bytes[..bytes.len().min(len_max.saturating_add(1))];
    let Some(found) = memchr(b'\r', window.get(*searched..).unwrap_or_default()) else {
        *searched = window.len();
        return if window.len() <= len_max { Ok(None) } else { Err(()) };
    };
    let end = *searched + found;
    let Some(&feed) = bytes.get(end + 1) else {
        *searched = end;
        return Ok(None);
    };
    Ok(Some(Line { text: &bytes[..end], canonical: feed == b'\n' }))
}

/// Reads a number as strictly as Redis does in headers: no sign but a minus, no leading zero, no blank, no `-0`.
pub(super) fn number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits == b"0" && !negative {
        return Some(0);
    }
    if digits.is_empty() || digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_strictly() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999999999", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("00", None),
            ("01", None),
            ("-01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("1x", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn the_quick_way_agrees_with_the_slow_way() {
        for text in ["0", "1", "9", "10", "42", "99", "100", "999"] {
            let line = format!("${text}\r\nabcd");
            assert_eq!(quick(line.as_bytes(), b'$'), Some((text.parse().unwrap(), text.len() + 3)), "{text}");
        }
        for text in ["", "00", "01", "001", "-1", "1x", "x1", "1000", "1 ", "+1", "/", ":", "1:", "11/"] {
            assert_eq!(quick(format!("${text}\r\nabcd").as_bytes(), b'$'), None, "{text:?}");
        }
        for line in ["*1\r\nabcd", "$1\rxabcd", "$1\nabcde", "$1\r\nabc", "$\r\nabcde"] {
            assert_eq!(quick(line.as_bytes(), b'$'), None, "{line:?}");
        }
    }

    #[test]
    fn a_line_ends_within_its_limit_or_not_at_all() {
        for (bytes, expected) in [
            ("$123\r\n", Ok(Some(4))),
            ("$1234\r\n", Ok(Some(5))),
            ("$1234\r", Ok(None)),
            ("$1234", Ok(None)),
            ("$12345", Err(())),
            ("$12345\r\n", Err(())),
            ("", Ok(None)),
        ] {
            for known in 0..=bytes.find('\r').unwrap_or(bytes.len()).min(5) {
                let mut searched = known;
                let got =
                    line(bytes.as_bytes(), &mut searched, 5).map(|line| line.map(|line| line.text.len()));
                assert_eq!(got, expected, "{bytes:?} from {known}");
            }
        }
    }

    #[test]
    fn errors_are_worded_as_by_redis() {
        let mut text = Vec::new();
        ProtocolError::ExpectedDollar(0xff).push_text(&mut text);
        assert_eq!(text, b"expected '$', got '\xff'");
        assert_eq!(ProtocolError::ExpectedDollar(b':').to_string(), "expected '$', got ':'");
        assert_eq!(ProtocolError::TooBigBulkCount.to_string(), "too big bulk count string");
    }
}
