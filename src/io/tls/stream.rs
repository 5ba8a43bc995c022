//! One connection over TLS.
//!
//! ```text
//! read(2) -> records -> plain bytes -> the parser       all of one read is handed over at once
//! output -> records -> write(2)                         at most SEAL_MAX in records that are not sent
//! ```
//!
//! What is in records but not in the kernel yet stays in the client's output as well, and leaves it when the records
//! have left. So "the output is empty" goes on to mean "all is sent", limits of output count every byte, and a peer
//! that does not read costs no more than [`SEAL_MAX`] beside its output.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{Error, InvalidMessage, ServerConfig, ServerConnection};

/// Bytes of output that are made into records before these are sent.
pub const SEAL_MAX: usize = 64 << 10;
/// Bytes of records that one client is read in one turn.
const RECEIVE_MAX: usize = 64 << 10;
/// Reads of one step of a handshake; a step that is longer goes on in the next turn.
const SHAKE_READS_MAX: usize = 16;

/// A TCP connection with TLS on it.
#[derive(Debug)]
pub struct Secured {
    socket: TcpStream,
    tls: ServerConnection,
    /// Bytes of the output that are in records which have not been sent.
    sealed: usize,
    /// Not to be let in: the peer is to hear so as soon as it can.
    pub denied: bool,
}

/// How far a handshake is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shaken {
    /// The connection is open; bytes of requests may have come with the end of the handshake.
    Done,
    /// The peer's next words are awaited.
    Waiting,
    /// More has arrived than one step reads.
    More,
}

/// What came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Got {
    /// Plain bytes that were handed over.
    pub bytes: usize,
    /// The kernel has no more now.
    pub drained: bool,
    /// The peer sends no more: it said so, or the connection was closed.
    pub ended: bool,
}

impl Secured {
    /// A connection that has just been accepted.
    ///
    /// # Errors
    ///
    /// What rustls says of the configuration.
    pub fn new(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Secured, rustls::Error> {
        let mut tls = ServerConnection::new(config)?;
        tls.set_buffer_limit(Some(SEAL_MAX));
        Ok(Secured { socket, tls, sealed: 0, denied: false })
    }

    /// The connection below.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The connection below, for who registers or drains it.
    pub fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Whether there is something to send that is not in the output: parts of the handshake, tickets, alerts.
    pub fn wants_send(&self) -> bool {
        self.tls.wants_write()
    }

    /// Goes on with the handshake as far as what has arrived allows.
    ///
    /// # Errors
    ///
    /// Why there will be no connection. The peer has been told, if it listens.
    pub fn shake(&mut self) -> Result<Shaken, String> {
        for _ in 0..SHAKE_READS_MAX {
            let mut wire = Wire { socket: &mut self.socket, short: false };
            match self.tls.read_tls(&mut wire) {
                Ok(0) => return Err("the peer closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Shaken::Waiting),
                Err(error) => return Err(error.to_string()),
            }
            let short = wire.short;
            self.open_records()?;
            if !self.tls.is_handshaking() {
                return Ok(Shaken::Done);
            }
            if short {
                return Ok(Shaken::Waiting);
            }
        }
        Ok(Shaken::More)
    }

    /// Reads, and hands what comes out to `take`, which says how many of the bytes it took. A short read means
    /// drained, unless the `ending` is in sight, of which no further event will tell.
    ///
    /// # Errors
    ///
    /// Why the connection is broken; what came before has been handed over.
    pub fn receive(&mut self, ending: bool, take: &mut dyn FnMut(&[u8]) -> usize) -> Result<Got, String> {
        let mut got = Got::default();
        let mut raw = 0;
        self.hand_over(&mut got, take)?;
        while !got.ended && !got.drained && raw < RECEIVE_MAX {
            let mut wire = Wire { socket: &mut self.socket, short: false };
            match self.tls.read_tls(&mut wire) {
                Ok(0) => got.ended = true,
                Ok(count) => {
                    raw += count;
                    got.drained = wire.short && !ending;
                    self.open_records()?;
                    self.hand_over(&mut got, take)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => got.drained = true,
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(got)
    }

    /// Makes of the records that have arrived what they hold.
    fn open_records(&mut self) -> Result<(), String> {
        let opened = self.tls.process_new_packets();
        opened.map(|_| ()).map_err(|error| match error {
            // Who speaks plainly would take an alert for a reply.
            Error::InvalidMessage(InvalidMessage::InvalidContentType) if self.tls.is_handshaking() => {
                "what came is not TLS".to_owned()
            }
            error => {
                // The alert, for a peer that still listens; the connection is lost in any case.
                self.flush().ok();
                error.to_string()
            }
        })
    }

    fn hand_over(&mut self, got: &mut Got, take: &mut dyn FnMut(&[u8]) -> usize) -> Result<(), String> {
        use std::io::BufRead;
        loop {
            let mut reader = self.tls.reader();
            let count = match reader.fill_buf() {
                Ok([]) => {
                    got.ended = true;
                    return Ok(());
                }
                Ok(bytes) => take(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Closed without a word. Requests are whole or are not run, so nothing can be cut off unseen.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    got.ended = true;
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            };
            reader.consume(count);
            got.bytes += count;
        }
    }

    /// Sends records that wait. Returns how many bytes of the output have left with them, or nothing if the kernel
    /// takes no more now.
    ///
    /// # Errors
    ///
    /// What the kernel reports.
    pub fn flush(&mut self) -> io::Result<Option<usize>> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Wire { socket: &mut self.socket, short: false }) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(std::mem::take(&mut self.sealed)))
    }

    /// Whether output can be sent: not before the handshake is done.
    pub fn is_open(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Makes records of output, none of which may wait. Returns of how many bytes.
    ///
    /// # Errors
    ///
    /// Why the connection is broken.
    pub fn seal(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        debug_assert!(self.sealed == 0, "one load at a time");
        self.sealed = self.tls.writer().write_vectored(slices)?;
        Ok(self.sealed)
    }

    /// Says that nothing more will come, to a peer that listens. There is nobody to say it to before the handshake is
    /// done.
    pub fn say_goodbye(&mut self) {
        if self.is_open() {
            self.tls.send_close_notify();
            self.flush().ok();
        }
    }
}

/// The socket as rustls sees it.
struct Wire<'a> {
    socket: &'a mut TcpStream,
    /// The last read brought less than there was room for.
    short: bool,
}

impl Read for Wire<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.short = read.as_ref().is_ok_and(|count| *count < space.len());
                    return read;
                }
            }
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            // One piece is written plainly: the kernel has less to do.
            let written = match slices {
                [one] => self.socket.write(one),
                many => self.socket.write_vectored(many),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
