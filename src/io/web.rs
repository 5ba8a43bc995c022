//! A small HTTP server on `metrics-port`: `/metrics` for Prometheus, and a page that shows the server live.
//!
//! It lives in the same loop and must never disturb it. So: few connections, one response a turn and at most
//! [`RESPONSES_PER_TICK`] in 100 ms, each made in a fraction of a millisecond; nothing is read before the last
//! response has gone; a head has a limit of bytes and of time. Whoever is silent for long makes room for others.
//!
//! It listens on the loopback addresses unless `metrics-bind` says otherwise. Figures are for everybody who can
//! connect. Names of keys, clients and what the slow log holds are shown to everybody only while no password is set;
//! with one the page wants it, as HTTP's basic authentication. A page on the web that a browser here shows might send
//! the browser to our address under a name of its own: on loopback addresses only `localhost` and numbers are names.

pub mod http;
mod live;
mod metrics;

use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use slab::Slab;

use crate::base::memory;
use crate::command::acl::denied;
use crate::config::Settings;
use crate::data::keyspace::Keyspace;
use crate::engine::Engine;
use crate::io::clock::Clock;
use crate::io::listen;
use crate::state::State;
use crate::state::acl::DEFAULT_NAME;

use http::{Parsed, Request, Response, Status};

/// Tokens from here on are ours: the first is that of all listeners, the others are of connections.
pub const FIRST_TOKEN: usize = usize::MAX / 2;

/// Connections at a time.
const VISITORS_MAX: usize = 16;
/// Connections accepted in one turn.
const ACCEPTS_PER_TURN: usize = 4;
/// Responses in 100 milliseconds: at most a fiftieth of the loop's time.
const RESPONSES_PER_TICK: u32 = 10;
/// Milliseconds in which a head must be whole once it has begun, and in which a response must be taken.
const PATIENCE_MS: u64 = 10_000;
/// Milliseconds that a connection may rest between two requests.
const REST_MS: u64 = 180_000;

const PAGE: &[u8] = include_bytes!("web/page.html");
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Nothing is loaded from anywhere, and nobody may put the page into a frame.
const PAGE_FIELDS: &str = "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n";

/// What the figures are taken from.
pub struct Source<'a> {
    keys: &'a Keyspace,
    state: &'a State,
    memory: Memory,
    /// Nanoseconds that the last response took.
    last_nanos: u64,
}

/// Bytes of memory, counted without a walk over the clients.
struct Memory {
    used: usize,
    peak: usize,
    tables: usize,
    overhead: usize,
}

impl Source<'_> {
    fn new<'a>(engine: &'a Engine, last_nanos: u64) -> Source<'a> {
        let (keys, state) = (&engine.keys, &engine.state);
        let databases = keys.databases();
        let tables: usize = databases.iter().map(|database| database.table().memory()).sum();
        let deadlines: usize = databases.iter().map(|database| database.expiry().memory()).sum();
        let others = state.clients_bytes + state.log.memory() + state.process.startup_bytes as usize;
        let (used, peak) = (memory::used(), memory::peak());
        Source {
            keys,
            state,
            memory: Memory { used, peak, tables, overhead: tables + deadlines + others },
            last_nanos,
        }
    }
}

/// Bytes as text for people: as they are if they are text, escaped if not.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// A connection.
struct Visitor {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    /// It ends when the output is sent.
    last: bool,
    readable: bool,
    writable: bool,
    /// It came to a loopback address.
    local: bool,
    /// Monotonic milliseconds when the head or the response that is under way began, or the last one ended.
    since_ms: u64,
}

/// What becomes of a connection.
#[derive(PartialEq, Eq)]
enum Next {
    /// There is nothing to do before its next event.
    Wait,
    /// A whole request waits to be answered.
    Answer,
    /// It is over.
    Close,
}

/// The server.
#[derive(Default)]
pub struct Web {
    listeners: Vec<TcpListener>,
    /// They are new, and nobody watches them yet.
    fresh: bool,
    visitors: Slab<Visitor>,
    acceptable: bool,
    /// Connections have events, or requests that wait.
    busy: bool,
    /// Responses that may still be made before the next tick.
    left: u32,
    last_nanos: u64,
}

impl Web {
    /// Opens the listeners that the settings name in place of those there were, which may hold the same addresses.
    /// Connections that there are go.
    ///
    /// # Errors
    ///
    /// Which address, and why. Nothing is served then.
    pub fn open(&mut self, settings: &Settings) -> Result<(), String> {
        self.visitors.clear();
        self.listeners.clear();
        self.listeners = listen::open_web(settings)?;
        self.fresh = true;
        self.busy = !self.listeners.is_empty();
        Ok(())
    }

    /// The listeners are watched from now on.
    fn watch(&mut self, registry: &Registry) {
        for listener in &mut self.listeners {
            if let Err(error) = registry.register(listener, Token(FIRST_TOKEN), Interest::READABLE) {
                log::error!("Failed to watch a listener for metrics: {error}");
            }
        }
        self.acceptable = true;
    }

    /// Takes note of an event.
    pub fn note(&mut self, event: &Event) {
        self.busy = true;
        let Some(key) = event.token().0.checked_sub(FIRST_TOKEN + 1) else {
            self.acceptable = true;
            return;
        };
        if let Some(visitor) = self.visitors.get_mut(key) {
            visitor.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            visitor.writable |= event.is_writable();
        }
    }

    /// Whether there is anything to do now.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The tick: responses may be made again, and who took too long goes.
    pub fn tick(&mut self, now_ms: u64) {
        self.left = RESPONSES_PER_TICK;
        self.busy |= !self.visitors.is_empty() || self.acceptable && !self.listeners.is_empty();
        self.visitors.retain(|_, visitor| {
            let resting = visitor.input.is_empty() && visitor.output.is_empty();
            let limit_ms = if resting { REST_MS } else { PATIENCE_MS };
            now_ms.saturating_sub(visitor.since_ms) < limit_ms
        });
    }

    /// A turn's part: takes connections in, reads and writes what can be, and answers one request.
    pub fn serve(&mut self, engine: &mut Engine, clock: &Clock, registry: &Registry) {
        self.busy = false;
        let now_ms = engine.state.process.mono_ms;
        if std::mem::take(&mut self.fresh) {
            self.watch(registry);
        }
        if self.acceptable {
            self.accept(registry, now_ms);
        }
        let keys: Vec<usize> = self.visitors.iter().map(|(key, _)| key).collect();
        let mut answered = false;
        for key in keys {
            let visitor = &mut self.visitors[key];
            let mut next = visitor.go_on(now_ms);
            if next == Next::Answer && !answered && 0 < self.left {
                answered = true;
                self.left -= 1;
                let before = clock.ticks();
                visitor.answer(engine, self.last_nanos);
                self.last_nanos = clock.nanos_since(before);
                next = visitor.go_on(now_ms);
            }
            match next {
                Next::Wait => {}
                // With nothing left it waits for the tick, which comes by itself.
                Next::Answer => self.busy |= 0 < self.left,
                Next::Close => {
                    self.visitors.remove(key);
                }
            }
        }
    }

    fn accept(&mut self, registry: &Registry, now_ms: u64) {
        self.acceptable = false;
        for index in 0..self.listeners.len() {
            for turn in 0..=ACCEPTS_PER_TURN {
                if turn == ACCEPTS_PER_TURN {
                    (self.acceptable, self.busy) = (true, true);
                    break;
                }
                match self.listeners[index].accept() {
                    Ok((stream, _)) => self.admit(stream, registry, now_ms),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => {
                        log::warn!("Error accepting a connection for metrics: {error}");
                        // Again with the tick.
                        self.acceptable = true;
                        break;
                    }
                }
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream, registry: &Registry, now_ms: u64) {
        if VISITORS_MAX <= self.visitors.len() {
            let resting = self.visitors.iter().filter(|(_, it)| it.input.is_empty() && it.output.is_empty());
            let Some((key, _)) = resting.min_by_key(|(_, it)| it.since_ms) else {
                log::debug!("A connection for metrics was refused: there are {VISITORS_MAX}");
                return;
            };
            self.visitors.remove(key);
        }
        let entry = self.visitors.vacant_entry();
        let token = Token(FIRST_TOKEN + 1 + entry.key());
        if let Err(error) = registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE) {
            log::warn!("Could not watch a connection for metrics: {error}");
            return;
        }
        // A socket that is gone already is found out by its first read.
        stream.set_nodelay(true).ok();
        let local = stream.local_addr().is_ok_and(|addr| addr.ip().to_canonical().is_loopback());
        entry.insert(Visitor {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            last: false,
            readable: true,
            writable: true,
            local,
            since_ms: now_ms,
        });
        self.busy = true;
    }
}

impl Visitor {
    /// Sends and reads what can be.
    fn go_on(&mut self, now_ms: u64) -> Next {
        if !self.send(now_ms) {
            return Next::Close;
        }
        if !self.output.is_empty() {
            return Next::Wait;
        }
        loop {
            match http::parse(&self.input) {
                Parsed::Request(..) | Parsed::Refused(_) => return Next::Answer,
                Parsed::Incomplete if !self.readable => return Next::Wait,
                Parsed::Incomplete => {}
            }
            let before = self.input.len();
            if before == 0 {
                self.since_ms = now_ms;
            }
            self.input.resize(http::HEAD_LEN_MAX, 0);
            let read = self.stream.read(&mut self.input[before..]);
            self.input.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Next::Close,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(_) => return Next::Close,
            }
        }
    }

    /// Sends what can be sent. Returns whether the connection lives.
    fn send(&mut self, now_ms: u64) -> bool {
        while self.sent < self.output.len() && self.writable {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(0) => return false,
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(_) => return false,
            }
        }
        if self.sent < self.output.len() || self.output.is_empty() {
            return true;
        }
        // The memory of a big response is not kept for the next one.
        (self.output, self.sent, self.since_ms) = (Vec::new(), 0, now_ms);
        !self.last
    }

    /// Answers the request that has come.
    fn answer(&mut self, engine: &mut Engine, last_nanos: u64) {
        let (used, head_only) = match http::parse(&self.input) {
            Parsed::Incomplete => return,
            Parsed::Refused(status) => {
                self.last = true;
                plain(status).write(false, false, &mut self.output);
                (self.input.len(), false)
            }
            Parsed::Request(request, used) => {
                self.last = !request.keep_alive;
                respond(&request, self.local, engine, last_nanos, &mut self.output);
                (used, request.head_only)
            }
        };
        debug_assert!(head_only || !self.output.is_empty(), "every request is answered");
        self.input.drain(..used);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }
}

/// A response that says no more than its status.
fn plain(status: Status) -> Response<'static> {
    let fields = match status {
        http::NOT_ALLOWED => "Allow: GET, HEAD\r\n",
        http::UNAUTHORIZED => "WWW-Authenticate: Basic realm=\"kvick\", charset=\"UTF-8\"\r\n",
        _ => "",
    };
    Response { status, kind: TEXT, fields, body: status.1.as_bytes() }
}

fn respond(request: &Request<'_>, local: bool, engine: &mut Engine, last_nanos: u64, out: &mut Vec<u8>) {
    let body;
    let response = if local && !request.host.is_none_or(is_ours) {
        plain(http::FORBIDDEN)
    } else {
        let trusted = is_trusted(request, &mut engine.state);
        match request.path {
            "/metrics" => {
                body = metrics::text(&Source::new(engine, last_nanos), trusted);
                let kind = metrics::CONTENT_TYPE;
                Response { status: http::OK, kind, fields: "", body: body.as_bytes() }
            }
            "/" | "/live.json" if !trusted => plain(http::UNAUTHORIZED),
            "/" => Response { status: http::OK, kind: HTML, fields: PAGE_FIELDS, body: PAGE },
            "/live.json" => {
                body = live::text(&Source::new(engine, last_nanos));
                Response { status: http::OK, kind: JSON, fields: "", body: body.as_bytes() }
            }
            _ => plain(http::NOT_FOUND),
        }
    };
    response.write(request.head_only, request.keep_alive, out);
}

/// Whether this is a name for a loopback address that nobody else can give it.
fn is_ours(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

/// Whether this visitor may see more than figures: everybody may, or it has the password of a user who may do
/// everything.
fn is_trusted(request: &Request<'_>, state: &mut State) -> bool {
    if state.users.open() && state.users.default_user().may_everything() {
        return true;
    }
    let Some((name, password)) = request.authorization.and_then(http::basic) else { return false };
    let name = if name.is_empty() { DEFAULT_NAME } else { &name };
    if state.users.find(name).is_some_and(|user| user.may_everything() && user.admits(&password)) {
        return true;
    }
    denied::note_stranger(state, b"metrics-port", name);
    false
}
