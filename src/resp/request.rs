//! The resumable request parser: bytes to requests, in place, no byte looked at twice.
//!
//! # How a read becomes requests
//!
//! The loop owns one [`Input`] and one [`Batch`] for all clients; each client owns a [`Parser`], which holds nothing
//! on the heap while no request of its client is cut in two. A client's turn takes five steps:
//!
//! 1. [`Parser::begin`] puts what was left over from the last turn at the front of the shared input. That is nearly
//!    always part of one request, so some bytes are copied; if it is much, buffers are exchanged instead.
//! 2. [`Parser::space`] says where read(2) should put its bytes, and [`Parser::filled`] how many came: that is the
//!    shared input. While a big argument is on its way ([`Parser::is_direct`]) it is that argument's own buffer, and
//!    [`Parser::read_direct`] has the bytes put there.
//! 3. [`Parser::parse`] gives the next whole requests, up to a number, as [`Args`] that point into the input. A
//!    protocol error comes with the good requests before it: run them first, then reply the error and close.
//! 4. [`Parsed::more`] tells that bytes are left which may be whole requests: parse again, or, if the client has
//!    used up its turn, leave it at that and give it another turn ([`Parser::has_backlog`]) without a new read.
//! 5. [`Parser::finish`] takes the rest out of the shared input, which is empty then for the next client. It is to
//!    be called however the turn ends, since the input may be the client's own for the time of the turn.
//!
//! ```
//! use kvick::resp::request::{Batch, Input, Limits, Parser};
//!
//! let (mut input, mut batch, limits) = (Input::new(64 * 1024), Batch::default(), Limits::default());
//! let mut parser = Parser::default();
//! let mut seen = Vec::new();
//! for read in ["*2\r\n$3\r\nGET\r\n$3\r\nke", "y\r\nPING\r\n*1\r\n$4\r\nPI", "NG\r\n"] {
//!     parser.begin(&mut input);
//!     let space = parser.space(&mut input);
//!     space[..read.len()].copy_from_slice(read.as_bytes());
//!     parser.filled(&mut input, read.len());
//!     loop {
//!         let parsed = parser.parse(&mut input, &mut batch, 1, &limits);
//!         for args in parsed.iter() {
//!             seen.push(format!("{args:?}"));
//!         }
//!         assert_eq!(parsed.error(), None);
//!         if !parsed.more() {
//!             break;
//!         }
//!     }
//!     parser.finish(&mut input);
//! }
//! assert_eq!(seen, [r#"["GET", "key"]"#, r#"["PING"]"#, r#"["PING"]"#]);
//! ```
//!
//! # Why so
//!
//! - Spans count from the first byte of their request, not of the buffer. So a request that is cut in two moves to
//!   another buffer without a change to what is known about it, and eight bytes do for a span.
//! - What is known about an incomplete request (its spans, how far the line end was searched) is one block of
//!   memory, there only while the request is incomplete.
//! - An argument of [`BIG`] bytes or more that has not arrived whole gets a buffer of exactly its length, which
//!   grows as bytes arrive and becomes the value without a copy. Its bytes are taken out of the stream; the request
//!   goes on behind them as if they were not there.
//! - Nothing is allocated because a peer announced it.
//!
//! The rules are those of Redis 7.0 as observed: lines of headers end at the first carriage return and whatever
//! follows it; the two bytes behind an argument are skipped unseen; `*0`, `*-1` and blank lines are no requests.
//! Two things differ. A zero byte ends a typed line as it ends it in C, where Redis waits forever. And a line is
//! too long by its length, where Redis accepts it if it happens to arrive with its end in one read.

use std::mem::MaybeUninit;

use bytes::Bytes;

use crate::base::quote::split_words;

pub use super::args::{Args, Request};
pub use super::batch::{Batch, Parsed};
pub use super::direct::BIG;
pub use super::header::{Limits, ProtocolError};
pub use super::input::Input;

use super::args::Span;
use super::batch::{Form, Head};
use super::direct::Direct;
use super::header::{self, Line};

/// The part of a request that lies in the input must be addressable by spans.
const REQUEST_LEN_MAX: usize = u32::MAX as usize - 1;

/// Bytes that are read at once into the shared input behind a big argument.
const AFTER_BIG: usize = 4 * 1024;

/// What the parser looks at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A line of words.
    Inline,
    /// The line with the count of arguments.
    Count,
    /// The line with the length of an argument.
    Length,
    /// An argument of this length and the two bytes behind it.
    Body(usize),
    /// The two bytes behind an argument that was read into its own buffer.
    Terminator,
}

/// How far one request has come.
#[derive(Clone, Copy, Debug)]
struct Progress {
    stage: Stage,
    /// Where the stage begins, from the first byte of the request.
    at: usize,
    /// How many bytes from there on are known to hold no line end.
    searched: usize,
    /// How many arguments are still to come.
    missing: usize,
    canonical: bool,
}

/// What is known about a request whose end has not arrived.
#[derive(Debug)]
struct Partial {
    progress: Progress,
    spans: Vec<Span>,
    shared: Vec<Bytes>,
    /// Present while bytes of a big argument are missing; never full.
    direct: Option<Direct>,
}

impl Partial {
    /// The last byte of the big argument makes it an argument.
    fn finish_direct(&mut self) {
        let Some(direct) = &mut self.direct else { return };
        if let Some(value) = direct.whole() {
            self.spans.push(Span::shared(self.shared.len()));
            self.shared.push(value);
            self.direct = None;
            self.progress.stage = Stage::Terminator;
        }
    }

    fn shared_len(&self) -> usize {
        self.shared.iter().map(Bytes::len).sum()
    }
}

/// The state of one client's stream of requests. See the [module](self) for its use.
#[derive(Debug, Default)]
pub struct Parser {
    /// What was left over, from the first byte of an unfinished request on; during a turn that exchanged buffers it
    /// is the shared input instead.
    pending: Input,
    exchanged: bool,
    /// Whether what was left over may hold whole requests.
    backlog: bool,
    partial: Option<Box<Partial>>,
    failed: Option<ProtocolError>,
    /// The last request with arguments had a big one.
    after_big: bool,
    /// How many bytes of the stream were consumed by whole requests and ignored lines.
    position: u64,
}

impl Parser {
    /// Begins a turn: puts what was left over into the shared input.
    pub fn begin(&mut self, input: &mut Input) {
        debug_assert!(!self.exchanged && input.is_empty(), "the turn before was not finished");
        input.clear();
        if self.pending.is_empty() {
            return;
        }
        // A backlog shrinks from the front turn by turn; copying it each time would cost its square.
        if !self.backlog && self.pending.len() <= input.capacity() / 4 {
            input.push(self.pending.waiting());
            self.pending = Input::default();
        } else {
            std::mem::swap(&mut self.pending, input);
            self.exchanged = true;
        }
    }

    /// Where the next bytes from the peer are to be put, unless they belong to a big argument; never empty. To be
    /// followed by [`Parser::filled`].
    pub fn space<'a>(&self, input: &'a mut Input) -> &'a mut [u8] {
        debug_assert!(!self.is_direct());
        let room = input.room();
        // What follows a big argument is likely to be another: only its beginning should have to be copied.
        let most = if self.after_big { room.len().min(AFTER_BIG) } else { room.len() };
        &mut room[..most]
    }

    /// Says that `count` bytes were put where [`Parser::space`] pointed to.
    pub fn filled(&mut self, input: &mut Input, count: usize) {
        input.filled(count);
    }

    /// Whether the next bytes from the peer belong to a big argument.
    #[inline]
    pub fn is_direct(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.direct.is_some())
    }

    /// Lets `read` put bytes from the peer where they belong, into the buffer of a big argument. `read` is given the
    /// room, never empty, and returns the beginning of it that it has filled. Returns how long that was.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn read_direct<E>(
        &mut self,
        read: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<&mut [u8], E>,
    ) -> Result<usize, E> {
        let Some(Partial { direct: Some(direct), .. }) = self.partial.as_deref_mut() else { return Ok(0) };
        let count = direct.read(read)?;
        self.finish_direct();
        Ok(count)
    }

    fn finish_direct(&mut self) {
        self.after_big = true;
        if let Some(partial) = self.partial.as_deref_mut() {
            partial.finish_direct();
        }
    }

    /// Copies as many of these bytes into the space as fit and says how many: for who has bytes and no file.
    pub fn feed(&mut self, input: &mut Input, bytes: &[u8]) -> usize {
        if let Some(Partial { direct: Some(direct), .. }) = self.partial.as_deref_mut() {
            let count = direct.push(bytes);
            self.finish_direct();
            return count;
        }
        let space = self.space(input);
        let count = space.len().min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        self.filled(input, count);
        count
    }

    /// Ends a turn: takes what is left over out of the shared input.
    pub fn finish(&mut self, input: &mut Input) {
        if !self.exchanged {
            if !input.is_empty() {
                self.pending = Input::exact(input.waiting());
                input.clear();
            }
            return;
        }
        std::mem::swap(&mut self.pending, input);
        self.exchanged = false;
        if self.pending.is_empty() {
            self.pending = Input::default();
        } else if !self.backlog && self.pending.len() <= self.pending.capacity() / 4 {
            self.pending = Input::exact(self.pending.waiting());
        }
    }

    /// Whether whole requests may be waiting: the client is to be given a turn even if nothing new can be read.
    pub fn has_backlog(&self) -> bool {
        self.backlog
    }

    /// How many bytes have been received and belong to no whole request yet, or to one that was not asked for.
    pub fn buffered(&self) -> usize {
        let partial = self.partial.as_deref().map_or(0, |partial| {
            partial.shared_len() + partial.direct.as_ref().map_or(0, |direct| direct.arrived())
        });
        partial + if self.exchanged { 0 } else { self.pending.len() }
    }

    /// How much memory is held besides the parser itself, in bytes.
    pub fn memory(&self) -> usize {
        let partial = self.partial.as_deref().map_or(0, |partial| {
            let direct = partial.direct.as_ref().map_or(0, |direct| direct.capacity());
            size_of::<Partial>()
                + partial.spans.capacity() * size_of::<Span>()
                + partial.shared_len()
                + direct
        });
        partial + if self.exchanged { 0 } else { self.pending.capacity() }
    }

    /// How many arguments the unfinished request still lacks; 0 between requests.
    pub fn args_pending(&self) -> usize {
        self.partial.as_deref().map_or(0, |partial| partial.progress.missing)
    }

    /// Gives the next whole requests, `requests_max` at most.
    ///
    /// After an error nothing is parsed any more; the error is given again each time.
    pub fn parse<'a>(
        &mut self,
        input: &'a mut Input,
        batch: &'a mut Batch,
        requests_max: usize,
        limits: &Limits,
    ) -> Parsed<'a> {
        batch.clear();
        let base = self.position;
        let first = input.start();
        let mut at = 0;
        self.backlog = false;
        while self.failed.is_none() && at < input.len() {
            if requests_max <= batch.requests.len() {
                self.backlog = true;
                break;
            }
            let bytes = &input.waiting()[at..];
            let step = match self.partial.take() {
                None => fresh(bytes, at, batch, limits),
                Some(partial) => resumed(partial, bytes, at, batch, limits),
            };
            match step {
                Ok(Step::Consumed(count)) => at += count,
                Ok(Step::Incomplete(partial)) => {
                    if partial.direct.is_some() {
                        input.truncate(at + partial.progress.at);
                    }
                    self.partial = Some(partial);
                    break;
                }
                Err(error) => self.failed = Some(error),
            }
        }
        self.after_big &= batch.requests.is_empty() || !batch.shared.is_empty();
        let shared_len: usize = batch.shared.iter().map(Bytes::len).sum();
        self.position += (at + shared_len) as u64;
        input.consume(at);
        if self.failed.is_some() {
            input.truncate(0);
        }
        (batch.first, batch.position_shift) = (first, base + shared_len as u64);
        (batch.error, batch.more) = (self.failed, self.backlog);
        batch.parsed(input)
    }
}

/// What became of the bytes at the front of the input.
enum Step {
    /// So many of them were a request, or a line that is ignored.
    Consumed(usize),
    /// They are the beginning of a request.
    Incomplete(Box<Partial>),
}

/// Parses from the first byte of a request. `start` is where that is in the input.
#[inline]
fn fresh(bytes: &[u8], start: usize, batch: &mut Batch, limits: &Limits) -> Result<Step, ProtocolError> {
    let stage = if bytes[0] == b'*' { Stage::Count } else { Stage::Inline };
    let mut progress = Progress { stage, at: 0, searched: 0, missing: 0, canonical: true };
    let first_span = batch.spans.len();
    let whole = match stage {
        Stage::Inline => inline(bytes, &mut progress, batch, limits)?,
        _ => multibulk(bytes, &mut progress, &mut batch.spans, limits)?,
    };
    if whole {
        return Ok(batch.add(start, first_span, &progress));
    }
    let spans = batch.spans[first_span..].to_vec();
    batch.spans.truncate(first_span);
    let partial = Box::new(Partial { progress, spans, shared: Vec::new(), direct: None });
    Ok(Step::Incomplete(direct(partial, bytes)))
}

/// Parses on where an earlier turn had to stop.
#[cold]
fn resumed(
    mut partial: Box<Partial>,
    bytes: &[u8],
    start: usize,
    batch: &mut Batch,
    limits: &Limits,
) -> Result<Step, ProtocolError> {
    if partial.direct.is_some() {
        return Ok(Step::Incomplete(partial));
    }
    let first_span = batch.spans.len();
    let whole = match partial.progress.stage {
        Stage::Inline => inline(bytes, &mut partial.progress, batch, limits)?,
        _ => multibulk(bytes, &mut partial.progress, &mut partial.spans, limits)?,
    };
    if !whole {
        return Ok(Step::Incomplete(direct(partial, bytes)));
    }
    batch.spans.extend_from_slice(&partial.spans);
    batch.shared = partial.shared;
    partial.progress.canonical &= batch.shared.is_empty();
    Ok(batch.add(start, first_span, &partial.progress))
}

/// Gives the argument that is on its way a buffer of its own if it is big and part of it is missing.
fn direct(mut partial: Box<Partial>, bytes: &[u8]) -> Box<Partial> {
    let arrived = bytes.len() - partial.progress.at;
    match partial.progress.stage {
        Stage::Body(len) if BIG <= len && arrived < len => {
            partial.direct = Some(Direct::new(len, &bytes[partial.progress.at..]));
        }
        _ => (),
    }
    partial
}

impl Batch {
    /// Adds the request whose spans are the last ones, unless there are none: then it is an ignored line.
    #[inline(always)]
    fn add(&mut self, start: usize, first_span: usize, progress: &Progress) -> Step {
        let span_count = self.spans.len() - first_span;
        if 0 < span_count {
            let form = match (progress.stage, progress.canonical) {
                (Stage::Inline, true) => Form::Words,
                (_, true) => Form::Canonical,
                (_, false) => Form::Loose,
            };
            let (first_span, span_count) = (first_span as u32, span_count as u32);
            self.requests.push(Head { start, len: progress.at, first_span, span_count, form });
        }
        Step::Consumed(progress.at)
    }
}

/// Parses an array of bulk strings as far as it goes; true when it is whole. `bytes` begin with the request.
#[inline]
fn multibulk(
    bytes: &[u8],
    progress: &mut Progress,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> Result<bool, ProtocolError> {
    let all = bytes;
    let bytes = &all[..all.len().min(REQUEST_LEN_MAX)];
    if progress.stage == Stage::Count && !count(bytes, progress, limits)? {
        return Ok(false);
    }
    let bulk_len_max = match limits.unauthenticated {
        true => limits.bulk_len_max.min(Limits::UNAUTHENTICATED_BULK_LEN_MAX),
        false => limits.bulk_len_max,
    };
    loop {
        if progress.stage == Stage::Length {
            small_arguments(bytes, progress, spans, bulk_len_max);
        }
        if progress.missing == 0 {
            return Ok(true);
        }
        if !argument(&bytes[progress.at..], progress, spans, limits)? {
            // What is cut off here can not be pointed to by spans; only a limit on the whole buffer far above the
            // usual gigabyte lets a request come so far.
            return if bytes.len() < all.len() {
                Err(ProtocolError::InvalidMultibulkLength)
            } else {
                Ok(false)
            };
        }
    }
}

/// Takes arguments as long as they are small, whole and plain: each header from one load, then the bytes behind it.
/// What it leaves is for [`argument`] to judge.
#[inline(always)]
fn small_arguments(bytes: &[u8], progress: &mut Progress, spans: &mut Vec<Span>, bulk_len_max: usize) {
    let Progress { mut at, mut missing, mut canonical, .. } = *progress;
    while 0 < missing {
        let Some((len, size)) = bytes.get(at..).and_then(|rest| header::quick(rest, b'$')) else { break };
        let end = at + size + len;
        let Some(terminator) = bytes.get(end..end + 2) else { break };
        if bulk_len_max < len {
            break;
        }
        spans.push(Span::new(at + size, len));
        canonical &= terminator == b"\r\n";
        at = end + 2;
        missing -= 1;
        progress.searched = 0;
    }
    (progress.at, progress.missing, progress.canonical) = (at, missing, canonical);
}

/// Reads the line with the count of arguments; false when it has not arrived whole.
#[inline(always)]
fn count(bytes: &[u8], progress: &mut Progress, limits: &Limits) -> Result<bool, ProtocolError> {
    let (count, size) = match header::quick(bytes, b'*') {
        Some((count, size)) => (count as i64, size),
        None => match slow_count(bytes, progress, limits)? {
            Some(found) => found,
            None => return Ok(false),
        },
    };
    if limits.args_max < count.max(0) as usize {
        return Err(ProtocolError::InvalidMultibulkLength);
    }
    if limits.unauthenticated && Limits::UNAUTHENTICATED_ARGS_MAX < count.max(0) as usize {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    progress.missing = count.max(0) as usize;
    progress.at = size;
    progress.searched = 0;
    progress.stage = Stage::Length;
    Ok(true)
}

#[cold]
fn slow_count(
    bytes: &[u8],
    progress: &mut Progress,
    limits: &Limits,
) -> Result<Option<(i64, usize)>, ProtocolError> {
    let line = header::line(bytes, &mut progress.searched, limits.line_len_max)
        .map_err(|()| ProtocolError::TooBigMultibulkCount)?;
    let Some(line) = line else { return Ok(None) };
    progress.canonical &= line.canonical;
    let count = header::number(&line.text[1..]).ok_or(ProtocolError::InvalidMultibulkLength)?;
    Ok(Some((count, line.size())))
}

/// Takes one argument a stage or more further; true when it is whole. `rest` begins where the stage does.
#[cold]
fn argument(
    rest: &[u8],
    progress: &mut Progress,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> Result<bool, ProtocolError> {
    let mut rest = rest;
    if progress.stage == Stage::Length {
        let line = header::line(rest, &mut progress.searched, limits.line_len_max)
            .map_err(|()| ProtocolError::TooBigBulkCount)?;
        let Some(line) = line else { return Ok(false) };
        progress.stage = Stage::Body(bulk_len(&line, limits)?);
        progress.canonical &= line.canonical;
        progress.at += line.size();
        progress.searched = 0;
        rest = &rest[line.size()..];
    }
    let len = match progress.stage {
        Stage::Body(len) => len,
        _ => 0,
    };
    if rest.len() < 2 || rest.len() - 2 < len {
        return Ok(false);
    }
    if let Stage::Body(len) = progress.stage {
        spans.push(Span::new(progress.at, len));
    }
    progress.canonical &= rest[len..len + 2] == *b"\r\n";
    progress.at += len + 2;
    progress.missing -= 1;
    progress.stage = Stage::Length;
    Ok(true)
}

/// Judges the line with the length of an argument.
fn bulk_len(line: &Line<'_>, limits: &Limits) -> Result<usize, ProtocolError> {
    let first = line.text.first().copied().unwrap_or(b'\r');
    if first != b'$' {
        return Err(ProtocolError::ExpectedDollar(first));
    }
    let len = header::number(&line.text[1..]).and_then(|len| usize::try_from(len).ok());
    match len {
        Some(len) if limits.bulk_len_max < len => Err(ProtocolError::InvalidBulkLength),
        Some(len) if limits.unauthenticated && Limits::UNAUTHENTICATED_BULK_LEN_MAX < len => {
            Err(ProtocolError::UnauthenticatedBulkLength)
        }
        Some(len) => Ok(len),
        None => Err(ProtocolError::InvalidBulkLength),
    }
}

/// Parses a line of words; true when the line is whole, however many words it has.
#[cold]
fn inline(
    bytes: &[u8],
    progress: &mut Progress,
    batch: &mut Batch,
    limits: &Limits,
) -> Result<bool, ProtocolError> {
    let window = &bytes[..bytes.len().min(limits.line_len_max.saturating_add(1))];
    let Some(found) = memchr::memchr(b'\n', window.get(progress.searched..).unwrap_or_default()) else {
        progress.searched = window.len();
        return if window.len() <= limits.line_len_max {
            Ok(false)
        } else {
            Err(ProtocolError::TooBigInlineRequest)
        };
    };
    let end = progress.searched + found;
    progress.at = end + 1;
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    if limits.annotations && line.first() == Some(&b'#') {
        batch.spans.push(Span::new(0, line.len()));
        progress.canonical = false;
        return Ok(true);
    }
    for word in split_words(line).ok_or(ProtocolError::UnbalancedQuotes)? {
        batch.spans.push(Span::new(batch.words.len(), word.len()));
        batch.words.extend_from_slice(&word);
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
