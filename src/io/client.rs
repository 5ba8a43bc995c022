//! One client's socket: what comes in, what goes out.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};

use crate::io::listen::Stream;
use crate::io::sys;
use crate::io::tls::{SEAL_MAX, Secured};
use crate::resp::request::{Input, Parser, Request};
use crate::state::session::Session;

/// Pieces of one writev(2).
const SLICES_MAX: usize = 64;

/// The socket of a session.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub stream: Stream,
    /// Bytes to requests.
    pub parser: Parser,
    /// Requests that were parsed but must wait, because the one before them has not been answered yet.
    pub waiting: VecDeque<Request>,
    /// The session's token.
    pub session: usize,
    /// The session's number: tokens are used again, numbers are not.
    pub id: u64,
    /// The kernel may have bytes for us.
    pub readable: bool,
    /// The kernel may take bytes from us.
    pub writable: bool,
    /// The kernel has told that the end of what the peer sends is in sight: no further event will, so that a short
    /// read does not mean drained.
    pub ending: bool,
    /// The peer sends no more.
    pub ended: bool,
    /// It stands in the list of clients to serve.
    pub queued: bool,
    /// It stands in the list of clients to send to.
    pub sending: bool,
    /// It stands in the list of clients whose output waits for the log.
    pub held: bool,
    /// A command of it waits for something; nothing further is run.
    pub blocked: bool,
    /// The handshake of TLS is not done: it is no client yet.
    pub handshaking: bool,
    /// It has so many replies to read that nothing further is read or run before it has.
    pub stalled: bool,
    /// Monotonic milliseconds when it began to be so, or last took a byte.
    pub stalled_since_ms: u64,
}

/// What a read brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// Bytes, and perhaps more wait.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer sends no more.
    End,
    /// The connection is broken.
    Broken,
}

/// What a write achieved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// Everything that may go is gone.
    All,
    /// The kernel takes no more now.
    Blocked,
    /// The quota of this turn is used up.
    Quota,
    /// The connection is broken.
    Broken,
}

impl Client {
    /// A fresh connection.
    pub fn new(stream: Stream, session: usize, id: u64) -> Client {
        Client {
            handshaking: matches!(stream, Stream::Tls(_)),
            stream,
            parser: Parser::default(),
            waiting: VecDeque::new(),
            session,
            id,
            readable: false,
            writable: true,
            ending: false,
            ended: false,
            queued: false,
            sending: false,
            held: false,
            blocked: false,
            stalled: false,
            stalled_since_ms: 0,
        }
    }

    /// Reads once, so many bytes at most. A short read means drained: the next bytes bring their own event. Only the
    /// end brings none if it came together with the last bytes.
    pub fn receive(&mut self, input: &mut Input, bytes_max: usize) -> Received {
        if let Stream::Tls(stream) = &mut self.stream {
            let mut take = |bytes: &[u8]| self.parser.feed(input, bytes);
            let Ok(got) = stream.receive(self.ending, &mut take) else { return Received::Broken };
            self.readable = !got.drained && !got.ended;
            self.ended |= got.ended;
            return match got.bytes {
                0 if got.ended => Received::End,
                0 => Received::Nothing,
                count => Received::Bytes(count),
            };
        }
        let mut room = 0;
        let read = loop {
            let read = if self.parser.is_direct() {
                let fd = self.stream.fd();
                self.parser.read_direct(|space| {
                    room = space.len().min(bytes_max);
                    sys::receive(fd, &mut space[..room])
                })
            } else {
                let space = self.parser.space(input);
                room = space.len().min(bytes_max);
                let space = &mut space[..room];
                let read = match &mut self.stream {
                    Stream::Tcp(stream) => stream.read(space),
                    Stream::Unix(stream) => stream.read(space),
                    Stream::Tls(_) => unreachable!("it is read above"),
                };
                read.inspect(|count| self.parser.filled(input, *count))
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => {
                (self.readable, self.ended) = (false, true);
                Received::End
            }
            Ok(count) => {
                self.readable = count == room || self.ending;
                Received::Bytes(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Received::Nothing
            }
            Err(_) => Received::Broken,
        }
    }

    /// Whether there is something to send that is no output: TLS has things to say of its own.
    #[inline]
    pub fn wants_send(&self) -> bool {
        match &self.stream {
            Stream::Tls(stream) => stream.wants_send(),
            _ => false,
        }
    }

    /// Whether the next bytes may be read: what has come is to be run first, or who sends faster than we run would
    /// fill memory.
    pub fn may_read(&self) -> bool {
        self.readable && !self.parser.has_backlog() && self.waiting.is_empty()
    }

    /// Bytes of memory that requests take which have not run yet: those in the parser's buffers, and all else.
    pub fn pending_memory(&self) -> (usize, usize) {
        let buffered = self.parser.buffered();
        let waiting: usize = self.waiting.iter().map(|request| request.args().encoded_len()).sum();
        (buffered, self.parser.memory().saturating_sub(buffered) + waiting)
    }

    /// Whether there may be bytes to read or requests to run.
    pub fn has_more(&self) -> bool {
        self.readable || self.parser.has_backlog() || !self.waiting.is_empty()
    }

    /// Sends what may go: up to `synced` of the log, up to the quota of bytes.
    pub fn send(&mut self, session: &mut Session, synced: u64, mut quota: usize) -> Sent {
        if let Stream::Tls(stream) = &mut self.stream {
            let sent = send_sealed(stream, session, synced, quota).unwrap_or(Sent::Broken);
            self.writable &= sent != Sent::Blocked;
            return sent;
        }
        loop {
            let may = session.sendable(synced);
            if may == 0 {
                return Sent::All;
            }
            if quota == 0 {
                return Sent::Quota;
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = session.output.slices(may.min(quota), &mut slices);
            let asked: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            let written = match &mut self.stream {
                Stream::Tcp(stream) => write_slices(stream, &slices[..count]),
                Stream::Unix(stream) => write_slices(stream, &slices[..count]),
                Stream::Tls(_) => unreachable!("it is sent above"),
            };
            match written {
                Ok(written) => {
                    session.output.advance(written);
                    session.output_bytes += written as u64;
                    quota -= written;
                    if written < asked {
                        self.writable = false;
                        return Sent::Blocked;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    return Sent::Blocked;
                }
                Err(_) => return Sent::Broken,
            }
        }
    }
}

/// As [`Client::send`], through TLS. Output is let go when the records that hold it have left.
fn send_sealed(
    stream: &mut Secured,
    session: &mut Session,
    synced: u64,
    mut quota: usize,
) -> io::Result<Sent> {
    loop {
        let Some(left) = stream.flush()? else { return Ok(Sent::Blocked) };
        session.output.advance(left);
        session.output_bytes += left as u64;
        let may = session.sendable(synced);
        if may == 0 || !stream.is_open() {
            return Ok(Sent::All);
        }
        if quota == 0 {
            return Ok(Sent::Quota);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = session.output.slices(may.min(quota).min(SEAL_MAX), &mut slices);
        match stream.seal(&slices[..count])? {
            // The keys are used up, which TLS 1.2 has no remedy for.
            0 => return Ok(Sent::Broken),
            sealed => quota -= sealed,
        }
    }
}

/// One piece is written plainly: the kernel has less to do.
fn write_slices(stream: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match slices {
        [one] => stream.write(one),
        many => stream.write_vectored(many),
    }
}
