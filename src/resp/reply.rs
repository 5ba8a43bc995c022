//! Writers of replies, RESP2 and RESP3.
//!
//! Commands write straight into their client's [`Output`]: no tree of values is built. Each writer puts one value,
//! or the header of an aggregate whose elements are to follow. What RESP2 has no form for is written in the one
//! that Redis gives it there. Two things can be taken back:
//!
//! - [`Reply::mark`] and [`Reply::rollback`]: a command that fails halfway leaves no trace.
//! - [`Reply::later`] and `fill_…`: an aggregate whose length is known only at its end. A header of one digit is
//!   kept free, and what follows is moved up in memory if the number turns out longer, which is one move of bytes
//!   just written and hence in the cache. Inner aggregates are to be filled before outer ones.

use bytes::Bytes;

use crate::base::double::{integer, push_double};
use crate::base::prefetch::prefetch_all;

pub use super::output::Output;

use super::output::Place;
use super::request::ProtocolError;

/// From this length on a shared value is referenced by the output; below, the copy is cheaper than a slice of its
/// own in writev(2).
pub const SPLICE_LEN_MIN: usize = 16 * 1024;

/// From this length on it pays to ask for all of a value before it is copied. Smaller ones lie on huge pages, where the
/// processor does it by itself.
const PREFETCH_LEN_MIN: usize = 3 * 1024;

/// The header that [`Reply::later`] keeps free.
const HOLE: &[u8] = b"*0\r\n";

/// A place in the reply to come back to. Good until bytes are sent, rolled back or filled in before it.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Mark(Place);

/// Where the replies to one client go, and in which version of the protocol.
#[derive(Debug, Default)]
pub struct Reply {
    /// The bytes so far.
    pub out: Output,
    /// While set, whatever is written is dropped (`CLIENT REPLY OFF` and `SKIP`).
    pub muted: bool,
    resp3: bool,
}

impl Reply {
    /// Replies in RESP2 into this output.
    pub fn new(out: Output) -> Reply {
        Reply { out, muted: false, resp3: false }
    }

    /// Whether the client speaks RESP3.
    #[inline]
    pub fn resp3(&self) -> bool {
        self.resp3
    }

    /// Goes on in RESP3 or RESP2, as `HELLO` asks.
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// Bytes that are a reply already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        if !self.muted {
            self.out.push(bytes);
        }
    }

    /// Writes `:7`, `$16`, `*2` and the like with its line end; most numbers have one or two digits.
    #[inline]
    fn header(&mut self, sigil: u8, number: i64) {
        match number {
            0..=9 => self.raw(&[sigil, b'0' + number as u8, b'\r', b'\n']),
            10..=99 => {
                let (tens, ones) = (number as u8 / 10, number as u8 % 10);
                self.raw(&[sigil, b'0' + tens, b'0' + ones, b'\r', b'\n']);
            }
            _ => self.long_header(sigil, number),
        }
    }

    /// Digits from the last to the first into a line of fixed size, which is then appended in one piece.
    fn long_header(&mut self, sigil: u8, number: i64) {
        let mut line = *b"----------------------\r\n";
        let (mut at, mut rest) = (line.len() - 2, number.unsigned_abs());
        while 0 < rest {
            at -= 1;
            line[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        // In front of the digits the line is all minus signs.
        at -= if number < 0 { 2 } else { 1 };
        line[at] = sigil;
        self.raw(&line[at..]);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A status. The text must not hold line ends.
    pub fn status(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a status is one line");
        self.parts(&[b"+", text.as_bytes(), b"\r\n"]);
    }

    fn parts(&mut self, parts: &[&[u8]]) {
        if !self.muted {
            parts.iter().for_each(|part| self.out.push(part));
        }
    }

    /// An error: its text with the code, as in `ERR syntax error`. It may quote what a client sent, so line ends at
    /// its end are cut off and others become blanks.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.error_line(text.as_ref());
    }

    fn error_line(&mut self, text: &[u8]) {
        if self.muted {
            return;
        }
        let line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let len = text.iter().rposition(|byte| !line_end(byte)).map_or(0, |last| last + 1);
        self.out.bytes.push(b'-');
        self.out.bytes.extend(text[..len].iter().map(|byte| if line_end(byte) { b' ' } else { *byte }));
        self.out.push(b"\r\n");
    }

    /// The error after which a connection is closed.
    pub fn protocol_error(&mut self, error: ProtocolError) {
        let mut text = b"ERR Protocol error: ".to_vec();
        error.push_text(&mut text);
        self.error_line(&text);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        if self.muted {
            return;
        }
        self.out.bytes.reserve(value.len() + 24);
        self.header(b'$', value.len() as i64);
        if PREFETCH_LEN_MIN <= value.len() {
            prefetch_all(value);
        }
        self.out.push(value);
        self.out.push(b"\r\n");
    }

    /// An integer in the form of a bulk string, as values of keys are replied.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A bulk string that is referenced rather than copied if it is long.
    #[inline]
    pub fn bulk_shared(&mut self, value: &Bytes) {
        if value.len() < SPLICE_LEN_MIN {
            self.bulk(value);
        } else if !self.muted {
            self.header(b'$', value.len() as i64);
            self.out.push_shared(value);
            self.out.push(b"\r\n");
        }
    }

    /// No value where there might have been a string.
    #[inline]
    pub fn null(&mut self) {
        self.raw(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// No value where there might have been an array.
    pub fn null_array(&mut self) {
        self.raw(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// An array of `len` values.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// A map of `len` keys, each followed by its value.
    pub fn map(&mut self, len: usize) {
        let (sigil, len) = self.map_header(len);
        self.header(sigil, len);
    }

    fn map_header(&self, len: usize) -> (u8, i64) {
        if self.resp3 { (b'%', len as i64) } else { (b'*', 2 * len as i64) }
    }

    /// A set of `len` values.
    pub fn set(&mut self, len: usize) {
        self.header(if self.resp3 { b'~' } else { b'*' }, len as i64);
    }

    /// A message of `len` values that answers nothing.
    pub fn push(&mut self, len: usize) {
        self.header(if self.resp3 { b'>' } else { b'*' }, len as i64);
    }

    /// Attributes of the value that follows them: `len` keys, each followed by its value. RESP2 has nothing like
    /// it, so whoever replies to a client of RESP2 leaves it out.
    pub fn attribute(&mut self, len: usize) {
        debug_assert!(self.resp3, "attributes are RESP3");
        self.header(b'|', len as i64);
    }

    /// A floating-point number, with as few digits as tell it from others.
    pub fn double(&mut self, value: f64) {
        let whole = integer(value).filter(|whole| *whole != 0 || value.is_sign_positive());
        match whole {
            Some(whole) if self.resp3 => self.header(b',', whole),
            Some(whole) => self.bulk_integer(whole),
            None => {
                let mut text = Vec::with_capacity(32);
                push_double(&mut text, value);
                if self.resp3 {
                    self.parts(&[b",", &text, b"\r\n"]);
                } else {
                    self.bulk(&text);
                }
            }
        }
    }

    /// Yes or no; 1 or 0 in RESP2.
    pub fn bool(&mut self, value: bool) {
        match (self.resp3, value) {
            (true, true) => self.raw(b"#t\r\n"),
            (true, false) => self.raw(b"#f\r\n"),
            (false, value) => self.integer(value as i64),
        }
    }

    /// Text for people; `extension` says its format in three letters (`txt`, `mkd`) and is left out in RESP2.
    pub fn verbatim(&mut self, extension: &str, text: &[u8]) {
        debug_assert_eq!(extension.len(), 3);
        if self.resp3 {
            self.header(b'=', text.len() as i64 + 4);
            self.parts(&[extension.as_bytes(), b":", text, b"\r\n"]);
        } else {
            self.bulk(text);
        }
    }

    /// An integer of any length, in digits.
    pub fn big_number(&mut self, digits: &str) {
        if self.resp3 {
            self.parts(&[b"(", digits.as_bytes(), b"\r\n"]);
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Where the reply is now.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark(self.out.place())
    }

    /// Whether anything was written since.
    pub fn written_since(&self, mark: Mark) -> bool {
        let Place { bytes, .. } = self.out.place();
        mark.0.bytes < bytes
    }

    /// Takes back all that was written since.
    pub fn rollback(&mut self, mark: Mark) {
        self.out.truncate(mark.0);
    }

    /// How many bytes wait to be sent, without the headers of aggregates that [`Reply::later`] has begun and nobody has
    /// made anything yet; there are `open` of these.
    pub fn size(&self, open: usize) -> usize {
        self.out.len().saturating_sub(open * HOLE.len())
    }

    /// Begins an aggregate whose length is not known yet; to be followed by its elements and `fill_array`,
    /// `fill_map` or `fill_set`.
    pub fn later(&mut self) -> Mark {
        let mark = self.mark();
        self.raw(HOLE);
        mark
    }

    /// Makes the aggregate an array of `len` values.
    pub fn fill_array(&mut self, mark: Mark, len: usize) {
        self.fill(mark, b'*', len as i64);
    }

    /// Makes the aggregate a map of `len` keys, each followed by its value.
    pub fn fill_map(&mut self, mark: Mark, len: usize) {
        let (sigil, len) = self.map_header(len);
        self.fill(mark, sigil, len);
    }

    /// Makes the aggregate a set of `len` values.
    pub fn fill_set(&mut self, mark: Mark, len: usize) {
        self.fill(mark, if self.resp3 { b'~' } else { b'*' }, len as i64);
    }

    fn fill(&mut self, mark: Mark, sigil: u8, len: i64) {
        if self.muted {
            return;
        }
        let mut header = Vec::with_capacity(24);
        header.push(sigil);
        header.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
        header.extend_from_slice(b"\r\n");
        self.out.insert(mark.0, HOLE.len(), &header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;

    fn text(reply: &Reply) -> String {
        let mut slices = [IoSlice::new(&[]); 64];
        let used = reply.out.slices(usize::MAX, &mut slices);
        slices[..used]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect::<Vec<u8>>()
            .escape_ascii()
            .to_string()
            .replace("\\r\\n", "|")
            .replace("\\'", "'")
    }

    fn check(write: impl Fn(&mut Reply), resp2: &str, resp3: &str) {
        for (version, expected) in [(false, resp2), (true, resp3)] {
            let mut reply = Reply::new(Output::default());
            reply.set_resp3(version);
            write(&mut reply);
            assert_eq!(text(&reply), expected, "RESP3: {version}");
            let mut reply = Reply { muted: true, resp3: version, ..Reply::default() };
            write(&mut reply);
            assert_eq!(reply.out.memory(), 0, "muted: {expected}");
        }
    }

    #[test]
    fn values_have_their_form_in_each_version() {
        check(|r| r.ok(), "+OK|", "+OK|");
        check(|r| r.status("QUEUED"), "+QUEUED|", "+QUEUED|");
        check(|r| r.bulk(b""), "$0||", "$0||");
        check(
            |r| r.bulk(&[b'x'; 100]),
            &format!("$100|{}|", "x".repeat(100)),
            &format!("$100|{}|", "x".repeat(100)),
        );
        check(|r| r.bulk_integer(-12), "$3|-12|", "$3|-12|");
        check(|r| r.null(), "$-1|", "_|");
        check(|r| r.null_array(), "*-1|", "_|");
        check(|r| r.array(0), "*0|", "*0|");
        check(|r| r.array(1_000_000), "*1000000|", "*1000000|");
        check(|r| r.map(5), "*10|", "%5|");
        check(|r| r.set(99), "*99|", "~99|");
        check(|r| r.push(3), "*3|", ">3|");
        check(|r| r.bool(true), ":1|", "#t|");
        check(|r| r.bool(false), ":0|", "#f|");
        check(|r| r.verbatim("txt", b"hi"), "$2|hi|", "=6|txt:hi|");
        check(|r| r.big_number("123"), "$3|123|", "(123|");
        check(|r| r.double(1.5), "$3|1.5|", ",1.5|");
        check(|r| r.double(f64::NEG_INFINITY), "$4|-inf|", ",-inf|");
        check(|r| r.raw(b"+x\r\n"), "+x|", "+x|");
    }

    #[test]
    fn integers_of_all_lengths() {
        for value in [0, 1, 9, 10, 42, 99, 100, 12345, i64::MAX, -1, -10, i64::MIN] {
            check(|r| r.integer(value), &format!(":{value}|"), &format!(":{value}|"));
        }
    }

    #[test]
    fn an_error_is_one_line() {
        check(|r| r.error("ERR syntax error"), "-ERR syntax error|", "-ERR syntax error|");
        check(|r| r.error("ERR a\r\nb\n\r\n"), "-ERR a  b|", "-ERR a  b|");
        check(|r| r.error(b"ERR \xff"), "-ERR \\xff|", "-ERR \\xff|");
        let expected = "-ERR Protocol error: expected '$', got ' '|";
        check(|r| r.protocol_error(ProtocolError::ExpectedDollar(b'\r')), expected, expected);
        let expected = "-ERR Protocol error: invalid bulk length|";
        check(|r| r.protocol_error(ProtocolError::InvalidBulkLength), expected, expected);
    }

    #[test]
    fn doubles_have_few_digits() {
        for (value, text) in [(0.0, "0"), (-0.0, "-0"), (-3.25, "-3.25"), (0.1, "0.1"), (1e300, "1e+300")] {
            check(|r| r.double(value), &format!("${}|{text}|", text.len()), &format!(",{text}|"));
        }
    }

    #[test]
    fn a_length_may_come_after_its_elements() {
        let big = Bytes::from(vec![b'B'; SPLICE_LEN_MIN]);
        for len in [0, 1, 9, 10, 123] {
            let elements = "$1|x|".repeat(len);
            let fill = |fill: fn(&mut Reply, Mark, usize)| {
                move |r: &mut Reply| {
                    let mark = r.later();
                    (0..len).for_each(|_| r.bulk(b"x"));
                    fill(r, mark, len);
                }
            };
            check(fill(Reply::fill_array), &format!("*{len}|{elements}"), &format!("*{len}|{elements}"));
            check(fill(Reply::fill_set), &format!("*{len}|{elements}"), &format!("~{len}|{elements}"));
            check(fill(Reply::fill_map), &format!("*{}|{elements}", 2 * len), &format!("%{len}|{elements}"));
        }
        let value = format!("$16384|{}|", "B".repeat(SPLICE_LEN_MIN));
        let expected = format!("{value}*12345|*10|{value}+OK|");
        let nested = |r: &mut Reply| {
            r.bulk_shared(&big);
            let outer = r.later();
            let inner = r.later();
            r.bulk_shared(&big);
            r.fill_array(inner, 10);
            r.fill_array(outer, 12345);
            r.ok();
        };
        check(nested, &expected, &expected);
    }

    #[test]
    fn a_rollback_leaves_no_trace() {
        let big = Bytes::from(vec![b'B'; SPLICE_LEN_MIN]);
        let mut reply = Reply::default();
        reply.bulk_shared(&big);
        let len = reply.out.len();
        let mark = reply.mark();
        assert!(!reply.written_since(mark));
        reply.array(2);
        reply.bulk_shared(&big);
        reply.ok();
        assert!(reply.written_since(mark));
        reply.rollback(mark);
        assert_eq!(reply.out.len(), len);
        reply.ok();
        assert_eq!(text(&reply), format!("$16384|{}|+OK|", "B".repeat(SPLICE_LEN_MIN)));
        drop(reply);
        assert!(big.is_unique());
    }

    #[test]
    fn long_values_are_referenced_and_short_ones_copied() {
        for (len, referenced) in [(SPLICE_LEN_MIN - 1, false), (SPLICE_LEN_MIN, true)] {
            let value = Bytes::from(vec![b'x'; len]);
            let mut reply = Reply::default();
            reply.bulk_shared(&value);
            assert_eq!(!value.is_unique(), referenced);
            reply.out.advance(reply.out.len());
            assert!(value.is_unique());
        }
    }
}
