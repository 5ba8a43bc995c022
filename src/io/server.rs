//! The event loop: one thread, one poll, the turn.
//!
//! ```text
//! wait -> read and run -> tick -> log -> send -> background
//! ```
//!
//! Sockets are registered once, edge-triggered, for both directions. Events only mark clients; the turn works at
//! its own pace: each client that is marked gets one read and a quota of requests, round robin, and stays marked
//! while there may be more. Nothing is written to a socket before the log has been written, so a group of
//! commands costs one write of the log and no client is torn down in the middle of a turn.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use crate::config::Settings;
use crate::engine::Engine;
use crate::engine::dispatch::Prepared;
use crate::io::aof::reader::{self, Sink};
use crate::io::aof::record::Request;
use crate::io::client::{Client, Received, Sent};
use crate::io::clock::Clock;
use crate::io::host::Host;
use crate::io::listen::{self, Accepted, Listener, Stream};
use crate::io::load::Replay;
use crate::io::sys;
use crate::resp::request::{Batch, Input, Limits};
use crate::state::server::Loading;
use crate::state::session::{Closing, Session};

/// Requests that are parsed ahead, so that their keys can be fetched into the cache together.
const BATCH_REQUESTS_MAX: usize = 64;
/// Requests that one client may run in one turn.
const TURN_REQUESTS_MAX: usize = 1024;
/// Connections accepted in one turn from one listener.
const ACCEPTS_PER_TURN: usize = 256;
/// Size of the buffer that all clients are read into.
const INPUT_SIZE: usize = 64 << 10;
/// Milliseconds between two ticks.
const TICK_MS: u64 = 100;
/// Microseconds that background work may take in one turn while clients may be waiting.
const BACKGROUND_MICROS: u64 = 500;
/// Buffers kept for clients that will have output.
const SPARE_BUFFERS_MAX: usize = 64;

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
const FIRST_LISTENER: usize = 2;
const FIRST_CLIENT: usize = 1 << 16;

const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";
const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no \
    password is set for the default user. In this mode connections are only accepted from the loopback interface. \
    If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just \
    disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by \
    connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly \
    accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you \
    can just disable the protected mode by editing the Redis configuration file, and setting the protected mode \
    option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart \
    it with the '--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: You \
    only need to do one of the above things in order for the server to start accepting connections from the \
    outside.\r\n";

/// The server.
pub struct Server {
    host: Host,
    poll: Poll,
    listeners: Vec<Listener>,
    signals: OwnedFd,
    clients: Slab<Client>,
    input: Input,
    batch: Batch,
    prepared: Vec<Prepared>,
    /// Clients that may have bytes or requests.
    ready: VecDeque<usize>,
    /// Clients that have output which may go.
    sending: Vec<usize>,
    /// Clients whose output waits for the log to be synced.
    held: Vec<usize>,
    spare: Vec<Vec<u8>>,
    next_tick_ms: u64,
    ticks: u64,
    /// Background work was left over.
    behind: bool,
    /// accept(2) failed for want of descriptors or memory: try again on the tick.
    accept_again: bool,
}

impl Server {
    /// Opens what the settings name: listeners, and the log through `host`.
    ///
    /// # Errors
    ///
    /// The text for the log.
    pub fn open(
        engine: Engine,
        clock: Clock,
        config_file: String,
        signals: OwnedFd,
    ) -> Result<Server, String> {
        let describe = |error: io::Error| format!("Failed creating the event loop: {error}");
        let poll = Poll::new().map_err(describe)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(describe)?);
        let fd = signals.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), SIGNALS, Interest::READABLE).map_err(describe)?;
        let host = Host::new(engine, clock, config_file, waker)?;
        let mut server = Server {
            host,
            poll,
            listeners: Vec::new(),
            signals,
            clients: Slab::new(),
            input: Input::new(INPUT_SIZE),
            batch: Batch::default(),
            prepared: Vec::with_capacity(BATCH_REQUESTS_MAX),
            ready: VecDeque::new(),
            sending: Vec::new(),
            held: Vec::new(),
            spare: Vec::new(),
            next_tick_ms: 0,
            ticks: 0,
            behind: false,
            accept_again: false,
        };
        server.listen()?;
        Ok(server)
    }

    /// Opens the listeners that the settings name, in place of those there were.
    fn listen(&mut self) -> Result<(), String> {
        self.listeners.clear();
        self.listeners = listen::open_all(&self.host.engine.state.settings)?;
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let token = Token(FIRST_LISTENER + index);
            let registered = match listener {
                Listener::Tcp(tcp) => self.poll.registry().register(tcp, token, Interest::READABLE),
                Listener::Unix(unix, _) => self.poll.registry().register(unix, token, Interest::READABLE),
            };
            registered.map_err(|error| format!("Failed to watch a listener: {error}"))?;
        }
        self.host.engine.state.process.listeners = listen::describe(&self.host.engine.state.settings);
        Ok(())
    }

    /// Loads the data, then serves until told to stop. Returns the exit code.
    pub fn run(mut self) -> i32 {
        let mut events = Events::with_capacity(1024);
        if self.host.engine.state.settings.appendonly
            && let Err(error) = self.load(&mut events)
        {
            log::error!("{error}");
            self.remove_unix_sockets();
            return 1;
        }
        if self.host.exit_code().is_none() {
            log::info!("Ready to accept connections");
        }
        while self.host.exit_code().is_none() {
            self.turn(&mut events);
        }
        // What was synced on the way out may be told.
        self.sending.append(&mut self.held);
        self.send_all();
        self.remove_unix_sockets();
        self.host.exit_code().unwrap_or(0)
    }

    /// Loads the log; clients that connect meanwhile hear `-LOADING`.
    fn load(&mut self, events: &mut Events) -> io::Result<()> {
        let total = self.host.store.find()?;
        self.host.begin_turn();
        let now = self.host.engine.now();
        let start_ms = self.host.clock.mono_ms();
        self.host.engine.state.persistence.loading =
            Some(Loading { start_secs: now.secs(), start_ms, total_bytes: total, ..Loading::default() });
        let (place, manifest) = self.host.store.files();
        let replay = Replay::begin(&mut self.host.engine);
        let loaded = reader::load(&place, &manifest, &mut Serving { server: self, events, replay: &replay });
        replay.end(&mut self.host.engine, now);
        if self.host.exit_code().is_some() {
            return Ok(());
        }
        self.host.store.open(&self.host.engine.state.settings, loaded?)?;
        let refused = self.host.engine.state.persistence.loading.take().map_or(0, |loading| loading.refused);
        if 0 < refused {
            log::warn!("{refused} commands of the log were refused when they were run again");
        }
        self.host.store.begin(&mut self.host.engine.state);
        let took = self.host.clock.mono_ms() - start_ms;
        log::info!("DB loaded from append only file: {:.3} seconds", took as f64 / 1000.0);
        Ok(())
    }

    fn remove_unix_sockets(&self) {
        for listener in &self.listeners {
            if let Listener::Unix(_, path) = listener
                && let Err(error) = std::fs::remove_file(path)
            {
                log::warn!("Could not remove the unix socket {}: {error}", path.display());
            }
        }
    }

    fn turn(&mut self, events: &mut Events) {
        self.wait(events);
        self.host.begin_turn();
        self.collect(events);
        for _ in 0..self.ready.len() {
            if let Some(token) = self.ready.pop_front() {
                self.serve(token);
            }
        }
        self.tick();
        for session in self.host.unblocked() {
            self.unblock(session);
        }
        self.host.write_log();
        self.close_marked();
        self.send_all();
        self.background();
        self.host.end_turn();
    }

    fn wait(&mut self, events: &mut Events) {
        let loading = self.host.engine.state.persistence.loading.is_some();
        let idle = self.ready.is_empty() && self.sending.is_empty() && !self.behind && !loading;
        let until_tick = self.next_tick_ms.saturating_sub(self.host.clock.mono_ms());
        let timeout = if idle { Duration::from_millis(until_tick) } else { Duration::ZERO };
        if let Err(error) = self.poll.poll(events, Some(timeout))
            && error.kind() != io::ErrorKind::Interrupted
        {
            log::warn!("Waiting for events failed: {error}");
        }
    }

    fn collect(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                WAKER => {
                    self.host.synced();
                    self.sending.append(&mut self.held);
                }
                SIGNALS => {
                    while let Some(signal) = sys::next_signal(self.signals.as_raw_fd()) {
                        self.host.signal(signal);
                    }
                }
                Token(token) if token < FIRST_CLIENT => self.accept(token - FIRST_LISTENER),
                Token(token) => {
                    let token = token - FIRST_CLIENT;
                    let Some(client) = self.clients.get_mut(token) else { continue };
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        client.readable = true;
                        self.mark_ready(token);
                    }
                    if event.is_writable() {
                        self.mark_writable(token);
                    }
                }
            }
        }
    }

    fn mark_ready(&mut self, token: usize) {
        let client = &mut self.clients[token];
        if !client.queued {
            client.queued = true;
            self.ready.push_back(token);
        }
    }

    fn mark_writable(&mut self, token: usize) {
        let client = &mut self.clients[token];
        client.writable = true;
        if !client.sending && !self.host.engine.state.sessions[client.session].output.is_empty() {
            client.sending = true;
            self.sending.push(token);
        }
    }

    fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get(index) else { return };
            match listener.accept(self.host.engine.state.settings.tcp_keepalive) {
                Ok(accepted) => self.admit(accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    log::warn!("Error accepting a client connection: {error}");
                    self.accept_again = true;
                    return;
                }
            }
        }
        // More may wait, of which no further event will tell.
        self.accept_again = true;
        self.behind = true;
    }

    /// Takes a connection in, or says why not.
    fn admit(&mut self, accepted: Accepted) {
        let Accepted { mut stream, addr, laddr, local } = accepted;
        let state = &mut self.host.engine.state;
        let refusal = if state.settings.maxclients as usize <= self.clients.len() {
            state.stats.rejected_connections += 1;
            Some(TOO_MANY_CLIENTS)
        } else if state.settings.protected_mode && state.settings.requirepass.is_empty() && !local {
            state.stats.rejected_connections += 1;
            Some(PROTECTED)
        } else {
            None
        };
        if let Some(text) = refusal {
            // A peer that does not take the reason does not get it.
            match &mut stream {
                Stream::Tcp(stream) => stream.write(text).ok(),
                Stream::Unix(stream) => stream.write(text).ok(),
            };
            return;
        }
        state.stats.connections_received += 1;
        let now = self.host.engine.state.process.mono_ms;
        let session = Session {
            addr,
            laddr,
            unix: matches!(stream, Stream::Unix(_)),
            fd: stream.fd(),
            created_ms: now,
            active_ms: now,
            ..Session::default()
        };
        let session = self.host.engine.open_session(session);
        let token = self.clients.insert(Client::new(stream, session));
        let both = Interest::READABLE | Interest::WRITABLE;
        let watched = match &mut self.clients[token].stream {
            Stream::Tcp(stream) => self.poll.registry().register(stream, Token(FIRST_CLIENT + token), both),
            Stream::Unix(stream) => self.poll.registry().register(stream, Token(FIRST_CLIENT + token), both),
        };
        if let Err(error) = watched {
            log::warn!("Could not watch a client: {error}");
            self.close(token);
        }
    }

    /// One client's part of a turn: one read and a quota of requests.
    fn serve(&mut self, token: usize) {
        let Some(client) = self.clients.get_mut(token) else { return };
        client.queued = false;
        if client.blocked {
            return;
        }
        let session = client.session;
        let engine = &mut self.host.engine;
        if engine.state.sessions[session].closing != Closing::No {
            return;
        }
        client.parser.begin(&mut self.input);
        let mut broken = false;
        if client.readable {
            match client.receive(&mut self.input) {
                Received::Bytes(count) => {
                    let stats = &mut engine.state.stats;
                    stats.net_input_bytes += count as u64;
                    stats.reads_processed += 1;
                    engine.state.sessions[session].input_bytes += count as u64;
                }
                Received::Nothing | Received::End => {}
                Received::Broken => broken = true,
            }
        }
        if engine.state.sessions[session].output.memory() == 0
            && let Some(buffer) = self.spare.pop()
        {
            engine.state.sessions[session].output = crate::resp::reply::Output::with_buffer(buffer);
        }
        self.host.enter(session);
        run_requests(&mut self.host, client, &mut self.input, &mut self.batch, &mut self.prepared);
        self.host.engine.leave(session);
        client.parser.finish(&mut self.input);
        let session = &mut self.host.engine.state.sessions[session];
        session.query_buffer = client.parser.buffered();
        session.args_memory = client.parser.args_pending();
        let settings = &self.host.engine.state.settings;
        if settings.client_query_buffer_limit < client.parser.buffered() as u64 {
            log::warn!("Closing client that reached max query buffer length: id={}", session.id);
            self.host.engine.state.stats.query_buffer_limit_disconnections += 1;
            broken = true;
        }
        if broken {
            self.close(token);
            return;
        }
        self.after_serving(token);
    }

    /// Marks the client for what comes next.
    fn after_serving(&mut self, token: usize) {
        let client = &mut self.clients[token];
        let session = &self.host.engine.state.sessions[client.session];
        let more = client.readable || client.parser.has_backlog() || !client.waiting.is_empty();
        if !session.output.is_empty() && !client.sending {
            client.sending = true;
            self.sending.push(token);
        } else if session.output.is_empty() && (client.ended && !more && !client.blocked) {
            self.close(token);
            return;
        }
        if more && !client.blocked && session.closing == Closing::No {
            self.mark_ready(token);
        }
    }

    fn send_all(&mut self) {
        for token in std::mem::take(&mut self.sending) {
            self.send(token);
        }
    }

    fn send(&mut self, token: usize) {
        let Some(client) = self.clients.get_mut(token) else { return };
        client.sending = false;
        let synced = self.host.sendable_batch();
        let session = &mut self.host.engine.state.sessions[client.session];
        if !client.writable {
            self.check_output_limit(token);
            return;
        }
        let before = session.output_bytes;
        let sent = client.send(session, synced);
        self.host.engine.state.stats.net_output_bytes += session.output_bytes - before;
        self.host.engine.state.stats.writes_processed += 1;
        match sent {
            Sent::Broken => self.close(token),
            Sent::Blocked => self.check_output_limit(token),
            Sent::Quota => {
                client.sending = true;
                self.sending.push(token);
                self.check_output_limit(token);
            }
            Sent::All if session.output.is_empty() => {
                session.over_soft_limit_since_ms = None;
                if self.spare.len() < SPARE_BUFFERS_MAX {
                    self.spare.push(session.output.recycle());
                } else {
                    session.output = Default::default();
                }
                let idle = !client.readable && !client.parser.has_backlog() && client.waiting.is_empty();
                if session.closing != Closing::No || (client.ended && idle && !client.blocked) {
                    self.close(token);
                }
            }
            Sent::All => self.held.push(token),
        }
    }

    /// Closes a client whose output is over a limit.
    fn check_output_limit(&mut self, token: usize) {
        let client = &self.clients[token];
        let state = &mut self.host.engine.state;
        let session = &mut state.sessions[client.session];
        let limit = state.settings.client_output_buffer_limit.normal;
        let pending = session.output.len() as u64;
        let over_hard = 0 < limit.hard && limit.hard <= pending;
        let over_soft = 0 < limit.soft && limit.soft <= pending;
        let now = state.process.mono_ms;
        if over_soft {
            session.over_soft_limit_since_ms.get_or_insert(now);
        } else {
            session.over_soft_limit_since_ms = None;
        }
        let too_long = session
            .over_soft_limit_since_ms
            .is_some_and(|since| limit.soft_seconds * 1000 < now.saturating_sub(since));
        if over_hard || too_long {
            log::warn!("Client id={} closed for overcoming of output buffer limits.", session.id);
            state.stats.output_buffer_limit_disconnections += 1;
            self.close(token);
        }
    }

    /// Closes the clients that a command has marked.
    fn close_marked(&mut self) {
        if !std::mem::take(&mut self.host.engine.state.sessions_marked) {
            return;
        }
        let marked: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| {
                let session = &self.host.engine.state.sessions[client.session];
                session.closing == Closing::Now
                    || (session.closing == Closing::AfterReply && session.output.is_empty())
            })
            .map(|(token, _)| token)
            .collect();
        for token in marked {
            self.close(token);
        }
    }

    fn close(&mut self, token: usize) {
        let mut client = self.clients.remove(token);
        // The descriptor is closed in any case, which also ends the watching.
        match &mut client.stream {
            Stream::Tcp(stream) => self.poll.registry().deregister(stream).ok(),
            Stream::Unix(stream) => self.poll.registry().deregister(stream).ok(),
        };
        self.host.engine.close_session(client.session);
    }

    fn tick(&mut self) {
        let now = self.host.clock.mono_ms();
        if now < self.next_tick_ms {
            return;
        }
        // By the clock, not by counting: after a long stop there is one tick, not a hundred.
        self.next_tick_ms = now + TICK_MS;
        self.ticks += 1;
        self.host.tick();
        self.behind = true;
        if std::mem::take(&mut self.accept_again) {
            (0..self.listeners.len()).for_each(|index| self.accept(index));
        }
        if self.ticks.is_multiple_of(10) {
            self.close_idle(now);
        }
        if std::mem::take(&mut self.host.relisten)
            && let Err(error) = self.listen()
        {
            log::warn!("{error}");
        }
    }

    fn unblock(&mut self, session: usize) {
        let found = self.clients.iter().find(|(_, client)| client.session == session).map(|(token, _)| token);
        if let Some(token) = found {
            self.clients[token].blocked = false;
            self.after_serving(token);
            self.mark_ready(token);
        }
    }

    /// Closes clients that have been idle for longer than `timeout`, and those that have kept too much output.
    fn close_idle(&mut self, now: u64) {
        let timeout_ms = u64::from(self.host.engine.state.settings.timeout) * 1000;
        let state = &self.host.engine.state;
        let (mut idle, mut slow) = (Vec::new(), Vec::new());
        for (token, client) in &self.clients {
            let session = &state.sessions[client.session];
            if 0 < timeout_ms && !client.blocked && timeout_ms < now.saturating_sub(session.active_ms) {
                idle.push(token);
            } else if session.over_soft_limit_since_ms.is_some() {
                slow.push(token);
            }
        }
        for token in idle {
            log::info!("Closing idle client");
            self.close(token);
        }
        for token in slow {
            self.check_output_limit(token);
        }
    }

    /// Expiry, growth of tables and freeing, in slices: little while clients wait, more while nobody does.
    fn background(&mut self) {
        if self.behind {
            self.behind = self.host.background(BACKGROUND_MICROS);
        }
    }
}

/// Loads, and answers those who ask meanwhile.
struct Serving<'a> {
    server: &'a mut Server,
    events: &'a mut Events,
    replay: &'a Replay,
}

impl Sink for Serving<'_> {
    fn request(&mut self, request: Request<'_>) -> Result<(), String> {
        if self.server.host.exit_code().is_some() {
            return Err("told to stop".to_owned());
        }
        self.replay.request(&mut self.server.host.engine, request)
    }

    fn progress(&mut self, bytes: u64) {
        let engine = &mut self.server.host.engine;
        self.replay.pause(engine);
        let keys = engine.keys.databases().iter().map(|database| database.len() as u64).sum();
        if let Some(loading) = &mut engine.state.persistence.loading {
            loading.loaded_bytes += bytes;
            loading.loaded_keys = keys;
        }
        self.server.turn(self.events);
        self.replay.resume(&mut self.server.host.engine);
    }
}

/// Parses and runs a client's requests until there are no more or its quota is used up.
fn run_requests(
    host: &mut Host,
    client: &mut Client,
    input: &mut Input,
    batch: &mut Batch,
    prepared: &mut Vec<Prepared>,
) {
    let token = client.session;
    while let Some(request) = client.waiting.pop_front() {
        let args = request.args();
        let first = host.engine.prepare(token, args);
        if !host.run(token, args, first) {
            client.blocked = host.is_blocked(token);
            return;
        }
    }
    let mut quota = TURN_REQUESTS_MAX;
    loop {
        let limits = limits(&host.engine, token);
        // What follows an AUTH is judged after it ran, hence one at a time.
        let ahead = if limits.unauthenticated { 1 } else { BATCH_REQUESTS_MAX };
        let parsed = client.parser.parse(input, batch, ahead, &limits);
        let engine = &host.engine;
        prepared.clear();
        prepared.extend(parsed.iter().map(|args| engine.prepare(token, args)));
        prepared.iter().for_each(|request| engine.prefetch(token, *request));
        for (index, args) in parsed.iter().enumerate() {
            if !host.run(token, args, prepared[index]) {
                client.blocked = host.is_blocked(token);
                if client.blocked {
                    client.waiting.extend(parsed.iter().skip(index + 1).map(Into::into));
                }
                return;
            }
        }
        if let Some(error) = parsed.error() {
            host.engine.protocol_error(token, error);
            return;
        }
        quota = quota.saturating_sub(parsed.len());
        if !parsed.more() || quota == 0 {
            return;
        }
    }
}

fn limits(engine: &Engine, token: usize) -> Limits {
    let settings: &Settings = &engine.state.settings;
    Limits {
        bulk_len_max: settings.proto_max_bulk_len as usize,
        unauthenticated: !engine.state.sessions[token].authenticated,
        ..Limits::default()
    }
}
