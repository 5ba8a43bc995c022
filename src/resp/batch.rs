//! The requests of one read, as positions in it.

use bytes::Bytes;

use super::args::{Args, Span};
use super::header::ProtocolError;
use super::input::Input;

/// What a [`Batch`] may keep for the next read; more than this came from an unusual request.
pub(super) const SPANS_KEPT_MAX: usize = 64 * 1024;
const WORDS_KEPT_MAX: usize = 64 * 1024;

/// The requests of one read, as positions: storage that all clients share, so that no request allocates.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) requests: Vec<Head>,
    pub(super) spans: Vec<Span>,
    /// The words of inline requests, without their quotes.
    pub(super) words: Vec<u8>,
    /// Arguments with buffers of their own. Only the first request of a batch has any, since all others arrived
    /// whole.
    pub(super) shared: Vec<Bytes>,
    /// Where in the input the bytes begin that the requests point into.
    pub(super) first: usize,
    pub(super) error: Option<ProtocolError>,
    pub(super) more: bool,
    pub(super) position_shift: u64,
}

impl Batch {
    /// The requests of the last [`super::request::Parser::parse`] once more, as long as nobody has touched the input since.
    #[inline]
    pub fn parsed<'a>(&'a self, input: &'a Input) -> Parsed<'a> {
        Parsed { bytes: input.since(self.first), batch: self }
    }

    /// Forgets the requests, and with them the references to big arguments. [`super::request::Parser::parse`] begins with this.
    pub fn clear(&mut self) {
        self.requests.clear();
        self.spans.clear();
        self.words.clear();
        self.shared.clear();
        if SPANS_KEPT_MAX < self.spans.capacity() {
            self.spans.shrink_to(SPANS_KEPT_MAX);
        }
        if WORDS_KEPT_MAX < self.words.capacity() {
            self.words.shrink_to(WORDS_KEPT_MAX);
        }
    }
}

/// One request of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Where its bytes begin, counted from the first byte that was waiting.
    pub(super) start: usize,
    /// How many of the input's bytes it took.
    pub(super) len: usize,
    pub(super) first_span: u32,
    pub(super) span_count: u32,
    pub(super) form: Form,
}

/// What the spans of a request point into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The input, where the request stands as it would be written here.
    Canonical,
    /// The input.
    Loose,
    /// The batch's words.
    Words,
}

/// The requests that [`super::request::Parser::parse`] found.
#[derive(Debug)]
pub struct Parsed<'a> {
    bytes: &'a [u8],
    batch: &'a Batch,
}

impl<'a> Parsed<'a> {
    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.batch.requests.len()
    }

    /// Whether there is no whole request.
    pub fn is_empty(&self) -> bool {
        self.batch.requests.is_empty()
    }

    /// Request `i`. Panics when there are not so many.
    #[inline]
    pub fn get(&self, i: usize) -> Args<'a> {
        let head = &self.batch.requests[i];
        let bytes = match head.form {
            Form::Words => &self.batch.words,
            _ => &self.bytes[head.start..head.start + head.len],
        };
        let first = head.first_span as usize;
        Args {
            bytes,
            spans: &self.batch.spans[first..first + head.span_count as usize],
            shared: &self.batch.shared,
            canonical: head.form == Form::Canonical,
        }
    }

    /// The requests in order.
    pub fn iter(&self) -> impl Iterator<Item = Args<'a>> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// What was wrong behind the last of these requests. They are to be run first.
    pub fn error(&self) -> Option<ProtocolError> {
        self.batch.error
    }

    /// Whether there may be further requests in what has arrived.
    pub fn more(&self) -> bool {
        self.batch.more
    }

    /// How many bytes of the stream request `i` and all before it took, from the parser's first byte on: where in
    /// a log the next record begins.
    pub fn position(&self, i: usize) -> u64 {
        let head = &self.batch.requests[i];
        self.batch.position_shift + (head.start + head.len) as u64
    }
}
