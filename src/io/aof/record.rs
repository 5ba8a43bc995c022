//! Requests as they stand in a file: `*2\r\n$4\r\nINCR\r\n$1\r\nx\r\n`, nothing else.
//!
//! Stricter than the parser of the sockets: no inline commands, no signs, no leading zeros, no empty requests.
//! Nothing is copied: a request is a range of bytes and the spans of its arguments within.

use std::fmt;

use crate::resp::args::{Args, Span};

/// Arguments in a request, at most: what Redis takes.
const ARGUMENTS_MAX: usize = i32::MAX as usize;

/// Bytes in an argument, at most.
const ARGUMENT_BYTES_MAX: usize = 512 << 20;

/// Bytes in a request, at most, so that a span is two words of 32 bits.
const REQUEST_BYTES_MAX: usize = u32::MAX as usize - 1;

/// A whole request: its bytes and its arguments, of which there is at least one.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    /// `spans` must be what `parse` made of `bytes`.
    pub(super) fn new(bytes: &'a [u8], spans: &'a [Span]) -> Request<'a> {
        Request { bytes, spans }
    }

    /// The request as it stands in the file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The request as commands see it.
    pub fn args(&self) -> Args<'a> {
        Args::canonical(self.bytes, self.spans)
    }

    /// The arguments; the first is the command's name.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        self.args().iter()
    }

    /// The command's name, as written.
    pub fn name(&self) -> &'a [u8] {
        self.arguments().next().unwrap_or_default()
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.arguments().map(<[u8]>::escape_ascii)).finish()
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A request of so many bytes.
    Whole(usize),
    /// The beginning of a request, which needs at least so many bytes.
    Partial(usize),
    /// No request: where it goes wrong, and how.
    Bad(usize, String),
}

/// Looks for a request at the beginning of `bytes` and leaves the spans of its arguments.
pub(super) fn parse(bytes: &[u8], spans: &mut Vec<Span>) -> Parsed {
    spans.clear();
    let (count, mut at) = match number(bytes, 0, b'*', ARGUMENTS_MAX) {
        Ok((0, _)) => return Parsed::Bad(0, "a request without arguments".to_owned()),
        Ok(found) => found,
        Err(other) => return other,
    };
    for _ in 0..count {
        let (length, start) = match number(bytes, at, b'$', ARGUMENT_BYTES_MAX) {
            Ok(found) => found,
            Err(other) => return other,
        };
        let end = start + length;
        if end + 2 > REQUEST_BYTES_MAX {
            return Parsed::Bad(at, "a request of more than 4 GiB".to_owned());
        }
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(other) => {
                return Parsed::Bad(end, format!("Expected \\r\\n, got: {:02x}{:02x}", other[0], other[1]));
            }
            None => return Parsed::Partial(end + 2),
        }
        // Both fit: checked just above.
        spans.push(Span::new(start, end - start));
        at = end + 2;
    }
    Parsed::Whole(at)
}

/// Reads `prefix`, a number and a line end at `at`; gives the number and where the next thing begins.
fn number(bytes: &[u8], at: usize, prefix: u8, max: usize) -> Result<(usize, usize), Parsed> {
    let partial = Parsed::Partial(bytes.len().max(at) + 1);
    let Some(&first) = bytes.get(at) else { return Err(partial) };
    if first != prefix {
        let text = format!("Expected prefix '{}', got: '{}'", prefix as char, first.escape_ascii());
        return Err(Parsed::Bad(at, text));
    }
    let digits = at + 1;
    let mut value = 0;
    let mut next = digits;
    while let Some(digit) = bytes.get(next).filter(|byte| byte.is_ascii_digit()) {
        value = value * 10 + usize::from(digit - b'0');
        next += 1;
        if max < value || (next - digits == 2 && bytes[digits] == b'0') {
            return Err(Parsed::Bad(at, format!("a number that is no length after '{}'", prefix as char)));
        }
    }
    match bytes.get(next..) {
        None | Some([] | [b'\r']) => Err(partial),
        Some([b'\r', b'\n', ..]) if digits < next => Ok((value, next + 2)),
        Some(_) => Err(Parsed::Bad(at, format!("no number after '{}'", prefix as char))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(usize, Vec<String>), Parsed> {
        let mut spans = Vec::new();
        match parse(text.as_bytes(), &mut spans) {
            Parsed::Whole(length) => {
                let request = Request::new(&text.as_bytes()[..length], &spans);
                Ok((length, request.arguments().map(|a| String::from_utf8_lossy(a).into_owned()).collect()))
            }
            other => Err(other),
        }
    }

    #[test]
    fn whole_requests() {
        let yes: [(&str, &[&str]); 4] = [
            ("*1\r\n$4\r\nPING\r\n", &["PING"]),
            ("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", &["GET", ""]),
            ("*2\r\n$3\r\na\r\n\r\n$1\r\nx\r\n", &["a\r\n", "x"]),
            ("*1\r\n$11\r\nhello world\r\n", &["hello world"]),
        ];
        for (text, arguments) in yes {
            assert_eq!(parsed(text), Ok((text.len(), arguments.iter().map(|&a| a.to_owned()).collect())));
            let more = format!("{text}*1\r\n");
            assert_eq!(parsed(&more).map(|(length, _)| length), Ok(text.len()));
            for cut in 0..text.len() {
                let Err(Parsed::Partial(need)) = parsed(&text[..cut]) else {
                    panic!("{text:?} cut at {cut}")
                };
                assert!((cut + 1..=text.len()).contains(&need), "{text:?} cut at {cut} needs {need}");
            }
        }
    }

    #[test]
    fn what_is_no_request() {
        let no = [
            ("PING\r\n", 0, "Expected prefix '*', got: 'P'"),
            ("\0", 0, "Expected prefix '*', got: '\\x00'"),
            ("*0\r\n", 0, "a request without arguments"),
            ("*-1\r\n", 0, "no number after '*'"),
            ("*+1\r\n", 0, "no number after '*'"),
            ("*\r\n", 0, "no number after '*'"),
            ("*1\n$4", 0, "no number after '*'"),
            ("*1\rx", 0, "no number after '*'"),
            ("*01\r\n", 0, "a number that is no length after '*'"),
            ("*2147483648\r\n", 0, "a number that is no length after '*'"),
            ("*99999999999999999999999", 0, "a number that is no length after '*'"),
            ("*1\r\n:4\r\n", 4, "Expected prefix '$', got: ':'"),
            ("*1\r\n$536870913\r\n", 4, "a number that is no length after '$'"),
            ("*1\r\n$-1\r\n", 4, "no number after '$'"),
            ("*1\r\n$4\r\nPINGxx", 12, "Expected \\r\\n, got: 7878"),
            ("*1\r\n$4\r\nPING\n\n", 12, "Expected \\r\\n, got: 0a0a"),
        ];
        for (text, at, why) in no {
            assert_eq!(parsed(text), Err(Parsed::Bad(at, why.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn a_length_is_no_reason_to_take_memory() {
        assert_eq!(parsed("*2147483647\r\n$536870912\r\n"), Err(Parsed::Partial(13 + 12 + (512 << 20) + 2)));
    }
}
