//! A client that hides nothing: what it sends is what the test wrote, what it returns is what came.

use super::value::Value;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How deep replies may nest before we call it nonsense.
const DEPTH_MAX: usize = 16;

/// TLS on a TCP connection.
pub type Secured = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// A connection: TCP, unix, or TCP with TLS.
pub struct Client {
    stream: Stream,
    input: Vec<u8>,
    position: usize,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Secured>),
}

impl Client {
    /// Connects to `127.0.0.1:port`; a reply that does not come within a minute is an error.
    pub fn connect(port: u16) -> Client {
        Client::try_connect("127.0.0.1", port).expect("the server accepts a connection")
    }

    /// Connects to `host:port`.
    pub fn try_connect(host: &str, port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect((host, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Client { stream: Stream::Tcp(stream), input: Vec::new(), position: 0 })
    }

    /// Connects to a unix socket.
    pub fn connect_unix(path: &Path) -> io::Result<Client> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Client { stream: Stream::Unix(stream), input: Vec::new(), position: 0 })
    }

    /// Speaks through TLS, the handshake of which is done.
    pub fn secured(stream: Secured) -> Client {
        Client { stream: Stream::Tls(Box::new(stream)), input: Vec::new(), position: 0 }
    }

    /// The TLS that it speaks through.
    pub fn tls(&mut self) -> &mut Secured {
        match &mut self.stream {
            Stream::Tls(stream) => stream,
            _ => panic!("this client speaks plainly"),
        }
    }

    /// Sends one command and waits for its reply.
    pub fn cmd<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.try_cmd(args).unwrap_or_else(|e| {
            let words: Vec<_> = args.iter().map(|a| super::value::quoted(a.as_ref())).collect();
            panic!("no reply to {}: {e}", words.join(" "))
        })
    }

    /// The same for a server that may die meanwhile.
    pub fn try_cmd<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Value> {
        self.try_send_raw(&encode(args))?;
        self.try_read_value()
    }

    /// Sends one command written as words with single spaces: `client.say("set k v")`.
    pub fn say(&mut self, line: &str) -> Value {
        self.cmd(&line.split(' ').collect::<Vec<_>>())
    }

    /// Sends all commands at once, then reads all replies.
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, commands: &[Vec<A>]) -> Vec<Value> {
        let bytes: Vec<u8> = commands.iter().flat_map(|c| encode(c)).collect();
        self.send_raw(&bytes);
        commands.iter().map(|_| self.read_value()).collect()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).expect("the server takes what we send");
    }

    /// Sends bytes as they are to a server that may die or close meanwhile.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Says that we send no more, and still listens.
    pub fn half_close(&mut self) {
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock).map(|_| ())
            }
        };
        result.expect("shutdown of the sending side");
    }

    /// How long a read may take.
    pub fn set_read_timeout(&mut self, limit: Duration) {
        let result = match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(limit)),
            Stream::Tls(stream) => stream.sock.set_read_timeout(Some(limit)),
        };
        result.expect("a read timeout");
    }

    /// Whether anything has come that was not read yet.
    pub fn has_reply(&mut self) -> bool {
        self.set_read_timeout(Duration::from_millis(1));
        let some = self.position < self.input.len() || self.fill().is_ok();
        self.set_read_timeout(super::PATIENCE);
        some
    }

    /// The next reply.
    pub fn read_value(&mut self) -> Value {
        self.try_read_value().expect("a reply")
    }

    /// The next reply from a server that may die or close.
    pub fn try_read_value(&mut self) -> io::Result<Value> {
        self.parse(0)
    }

    /// Everything the server still sends until it closes; an abortive close counts as the end as well.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => break,
                Err(e) => panic!("the server neither sends nor closes: {e}"),
            }
        }
        self.input.split_off(self.position)
    }

    /// Reads some more bytes into `input`; the end of the stream is an error here.
    fn fill(&mut self) -> io::Result<()> {
        if self.position == self.input.len() {
            self.input.clear();
            self.position = 0;
        }
        let old = self.input.len();
        self.input.resize(old + (64 << 10), 0);
        let count = loop {
            let count = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut self.input[old..]),
                Stream::Unix(stream) => stream.read(&mut self.input[old..]),
                Stream::Tls(stream) => stream.read(&mut self.input[old..]),
            };
            // So says the kernel to whom is stopped and continued while a read with a timeout waits.
            if !count.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                break count;
            }
        };
        self.input.truncate(old + *count.as_ref().unwrap_or(&0));
        match count {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut seen = self.position;
        loop {
            if let Some(at) = self.input[seen..].windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.input[self.position..seen + at]).into_owned();
                self.position = seen + at + 2;
                return Ok(line);
            }
            let rest = self.input.len() - self.position;
            self.fill()?;
            seen = self.position + rest.saturating_sub(1);
        }
    }

    fn body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.input.len() - self.position < length + 2 {
            self.fill()?;
        }
        let bytes = self.input[self.position..self.position + length].to_vec();
        self.position += length + 2;
        match &self.input[self.position - 2..self.position] {
            b"\r\n" => Ok(bytes),
            _ => Err(nonsense("a bulk does not end where it said")),
        }
    }

    fn parse(&mut self, depth: usize) -> io::Result<Value> {
        if DEPTH_MAX < depth {
            return Err(nonsense("replies nest too deeply"));
        }
        let line = self.line()?;
        let Some(kind) = line.chars().next() else { return Err(nonsense("an empty line")) };
        let rest = line[kind.len_utf8()..].to_string();
        let number = || rest.parse::<i64>().map_err(|_| nonsense(&line));
        Ok(match kind {
            '+' => Value::Status(rest),
            '-' => Value::Error(rest),
            ':' => Value::Int(number()?),
            ',' => Value::Double(rest),
            '(' => Value::BigNumber(rest),
            '#' => Value::Bool(rest == "t"),
            '_' => Value::Null,
            '$' if number()? < 0 => Value::NullBulk,
            '$' => Value::Bulk(self.body(number()? as usize)?),
            '=' => {
                let all = self.body(number()? as usize)?;
                let format = String::from_utf8_lossy(all.get(..3).unwrap_or_default()).into_owned();
                Value::Verbatim(format, all.get(4..).unwrap_or_default().to_vec())
            }
            '*' if number()? < 0 => Value::NullArray,
            '*' => Value::Array(self.values(number()?, depth)?),
            '~' => Value::Set(self.values(number()?, depth)?),
            '>' => Value::Push(self.values(number()?, depth)?),
            '%' => Value::Map(self.pairs(number()?, depth)?),
            '|' => Value::Attribute(self.pairs(number()?, depth)?),
            _ => return Err(nonsense(&line)),
        })
    }

    fn values(&mut self, count: i64, depth: usize) -> io::Result<Vec<Value>> {
        (0..count).map(|_| self.parse(depth + 1)).collect()
    }

    fn pairs(&mut self, count: i64, depth: usize) -> io::Result<Vec<(Value, Value)>> {
        (0..count).map(|_| Ok((self.parse(depth + 1)?, self.parse(depth + 1)?))).collect()
    }
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a reply: {what}"))
}

/// A command as the array of bulks that it is on the wire.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}
