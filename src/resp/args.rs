//! One request as its commands see it: arguments that point into the bytes they came in.

use std::fmt;
use std::ops::Index;

use bytes::Bytes;

/// Marks, as the start of a span, an argument that has a buffer of its own; its length is then an index.
///
/// No argument can start there, since the part of a request that lies in the input is shorter than this.
const SHARED: u32 = u32::MAX;

/// Where an argument lies, counted from the first byte of its request.
///
/// Eight bytes instead of the sixteen of a slice, and it stays right when the request moves to another buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// `len` bytes from `start`; both are below `u32::MAX` since the parser never looks at longer requests.
    #[inline(always)]
    pub fn new(start: usize, len: usize) -> Span {
        debug_assert!(start + len < SHARED as usize);
        Span { start: start as u32, len: len as u32 }
    }

    /// The argument with the buffer at `index`.
    pub(super) fn shared(index: usize) -> Span {
        Span { start: SHARED, len: index as u32 }
    }
}

/// The arguments of one request, the command's name first. Two words per slice, so it is passed by value.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    /// The bytes of the request, which spans count from.
    pub(super) bytes: &'a [u8],
    pub(super) spans: &'a [Span],
    pub(super) shared: &'a [Bytes],
    /// Whether `bytes` are the canonical encoding of exactly these arguments.
    pub(super) canonical: bool,
}

impl<'a> Args<'a> {
    /// A request whose canonical encoding is `bytes` and whose arguments lie at `spans` within.
    pub fn canonical(bytes: &'a [u8], spans: &'a [Span]) -> Args<'a> {
        Args { bytes, spans, shared: &[], canonical: true }
    }

    /// How many arguments there are, the command's name among them.
    #[inline]
    pub fn len(self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument. No request is empty; a tail can be.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`. Panics when there are not so many, as indexing does.
    #[inline]
    pub fn get(self, i: usize) -> &'a [u8] {
        self.resolve(self.spans[i])
    }

    #[inline(always)]
    fn resolve(self, span: Span) -> &'a [u8] {
        let (start, len) = (span.start as usize, span.len as usize);
        if span.start == SHARED { &self.shared[len] } else { &self.bytes[start..start + len] }
    }

    /// The arguments in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone {
        self.spans.iter().map(move |&span| self.resolve(span))
    }

    /// The tail that starts with argument `i`, which becomes argument 0. Panics when `i` is beyond the end.
    #[inline]
    pub fn from(self, i: usize) -> Args<'a> {
        Args { spans: &self.spans[i..], canonical: self.canonical && i == 0, ..self }
    }

    /// The buffer of argument `i` if it was so big that it was read straight into one of its own.
    #[inline]
    pub fn shared(self, i: usize) -> Option<&'a Bytes> {
        let span = self.spans[i];
        (span.start == SHARED).then(|| &self.shared[span.len as usize])
    }

    /// The request as it came, if that is its canonical encoding in one piece, for the log to copy.
    ///
    /// `None` for inline requests, for tails, when an argument has a buffer of its own, and when a line did not end
    /// in CRLF: Redis looks at neither byte, but who reads the log should not have to be as lenient.
    #[inline]
    pub fn raw(self) -> Option<&'a [u8]> {
        self.canonical.then_some(self.bytes)
    }

    /// How many bytes [`Args::encode_into`] appends.
    #[inline]
    pub fn encoded_len(self) -> usize {
        if self.canonical { self.bytes.len() } else { self.encoded_anew_len() }
    }

    #[inline(never)]
    fn encoded_anew_len(self) -> usize {
        header_len(self.len()) + self.iter().map(|arg| header_len(arg.len()) + arg.len() + 2).sum::<usize>()
    }

    /// Appends the canonical encoding: an array of bulk strings.
    pub fn encode_into(self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        if let Some(raw) = self.raw() {
            return out.extend_from_slice(raw);
        }
        push_header(out, b'*', self.len());
        for arg in self.iter() {
            push_header(out, b'$', arg.len());
            out.extend_from_slice(arg);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn header_len(value: usize) -> usize {
    1 + value.checked_ilog10().unwrap_or(0) as usize + 1 + 2
}

fn push_header(out: &mut Vec<u8>, sigil: u8, value: usize) {
    out.push(sigil);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, i: usize) -> &[u8] {
        self.get(i)
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|arg| arg.escape_ascii().to_string())).finish()
    }
}

/// A request that owns its bytes: what `MULTI` queues, and what is made here rather than received.
///
/// Three blocks of memory however many arguments there are; big arguments are referenced, not copied.
#[derive(Clone)]
pub struct Request {
    bytes: Box<[u8]>,
    spans: Box<[Span]>,
    shared: Vec<Bytes>,
    canonical: bool,
}

impl Request {
    /// A request of these arguments.
    pub fn new<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> Request {
        let (mut bytes, mut spans, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        for arg in args {
            if bytes.len() + arg.len() < SHARED as usize {
                spans.push(Span::new(bytes.len(), arg.len()));
                bytes.extend_from_slice(arg);
            } else {
                spans.push(Span::shared(shared.len()));
                shared.push(Bytes::copy_from_slice(arg));
            }
        }
        Request { bytes: bytes.into(), spans: spans.into(), shared, canonical: false }
    }

    /// The arguments, to run or to encode.
    pub fn args(&self) -> Args<'_> {
        Args { bytes: &self.bytes, spans: &self.spans, shared: &self.shared, canonical: self.canonical }
    }

    /// How much memory it holds besides itself, in bytes.
    pub fn memory(&self) -> usize {
        let shared: usize = self.shared.iter().map(|bytes| bytes.len() + size_of::<Bytes>()).sum();
        self.bytes.len() + size_of_val(&*self.spans) + shared
    }
}

impl From<Args<'_>> for Request {
    /// What typed requests point into are the words of all that came with them: only those of this one are copied.
    fn from(args: Args<'_>) -> Request {
        let inside = || args.spans.iter().filter(|span| span.start != SHARED);
        let (first, end) = if args.canonical {
            (0, args.bytes.len())
        } else {
            let first = inside().map(|span| span.start as usize).min().unwrap_or(0);
            (first, inside().map(|span| (span.start + span.len) as usize).max().unwrap_or(first))
        };
        let rebased = |span: &Span| match span.start {
            SHARED => *span,
            start => Span { start: start - first as u32, len: span.len },
        };
        let has_big = args.spans.iter().any(|span| span.start == SHARED);
        Request {
            bytes: args.bytes[first..end].into(),
            spans: args.spans.iter().map(rebased).collect(),
            shared: if has_big { args.shared.to_vec() } else { Vec::new() },
            canonical: args.canonical,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.args().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(request: &Request) -> Vec<&[u8]> {
        request.args().iter().collect()
    }

    #[test]
    fn a_request_keeps_nothing_of_those_that_came_with_it() {
        use crate::resp::request::{Batch, Input, Limits, Parser};
        let (mut parser, mut input, mut batch) = (Parser::default(), Input::new(4096), Batch::default());
        parser.begin(&mut input);
        parser.feed(&mut input, b"SET a 1\r\nSET bb 22\r\n\r\nPING\r\n*2\r\n$+3\r\nGET\r\n$1\r\nx\r\n");
        let parsed = parser.parse(&mut input, &mut batch, 64, &Limits::default());
        let kept: Vec<Request> = parsed.iter().map(Request::from).collect();
        assert!(3 <= kept.len(), "{:?}", parsed.error());
        for (request, args) in kept.iter().zip(parsed.iter()) {
            assert_eq!(words(request), args.iter().collect::<Vec<_>>());
        }
        assert_eq!(kept.iter().take(3).map(|request| request.bytes.len()).collect::<Vec<_>>(), [5, 7, 4]);
    }

    #[test]
    fn arguments_are_reached_by_index_iterator_and_tail() {
        let request = Request::new([&b"SET"[..], b"", b"\0\r\n"]);
        let args = request.args();
        assert_eq!((args.len(), &args[0], args.get(2)), (3, &b"SET"[..], &b"\0\r\n"[..]));
        assert_eq!(args.from(1).iter().collect::<Vec<_>>(), [&b""[..], b"\0\r\n"]);
        assert!(args.from(3).is_empty());
        assert_eq!(format!("{args:?}"), r#"["SET", "", "\\x00\\r\\n"]"#);
    }

    #[test]
    fn encoding_is_canonical_and_its_length_is_known_before() {
        for (args, expected) in [
            (vec![&b"PING"[..]], &b"*1\r\n$4\r\nPING\r\n"[..]),
            (vec![b"GET", b""], b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n"),
            (vec![b"A"; 10], b"*10\r\n$1\r\nA\r\n$1\r\nA\r\n$1\r\nA\r\n$1\r\nA\r\n$1\r\nA\r\n$1\r\nA\r\n$1\r\nA\r\n$1\r\nA\r\n$1\r\nA\r\n$1\r\nA\r\n"),
            (vec![b"0123456789"], b"*1\r\n$10\r\n0123456789\r\n"),
        ] {
            let request = Request::new(args);
            let mut out = Vec::new();
            request.args().encode_into(&mut out);
            assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
            assert_eq!(request.args().encoded_len(), expected.len());
        }
    }

    #[test]
    fn an_owned_request_outlives_what_it_was_made_from() {
        let big = Bytes::from(vec![b'x'; 100]);
        let spans = [Span::new(0, 3), Span::shared(0)];
        let owned = {
            let bytes = b"SET".to_vec();
            Request::from(Args {
                bytes: &bytes,
                spans: &spans,
                shared: std::slice::from_ref(&big),
                canonical: false,
            })
        };
        assert_eq!(words(&owned), [&b"SET"[..], &big]);
        assert_eq!(owned.args().shared(1).map(|b| b.as_ptr()), Some(big.as_ptr()));
        assert_eq!(owned.args().shared(0), None);
    }
}
