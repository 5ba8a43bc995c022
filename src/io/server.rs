//! The event loop: one thread, one poll, the turn.
//!
//! ```text
//! wait -> read and run -> tick -> log -> send -> read and run the greedy -> handshakes -> closing -> background
//! ```
//!
//! Sockets are registered once, edge-triggered, for both directions. Events only mark clients; the turn works at
//! its own pace: each client that is marked gets one read and a quota of requests, round robin, and stays marked
//! while there may be more. Nothing is written to a socket before the log has been written, so a group of
//! commands costs one write of the log and no client is torn down in the middle of a turn.

mod connect;
mod end;
mod send;
mod serve;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use crate::base::date::UnixMs;
use crate::base::pages;
use crate::data::rdb::Limits as LoadLimits;
use crate::data::rdb::file::Loaded;
use crate::engine::Engine;
use crate::io::aof::reader::{self, Sink};
use crate::io::aof::record::Request;
use crate::io::aof::store::Sendable;
use crate::io::client::Client;
use crate::io::clock::Clock;
use crate::io::host::Host;
use crate::io::load::{Rdb, Replay};
use crate::io::rdb::{self, Keys};
use crate::io::ripen::QUIET_MICROS;
use crate::io::{sys, web};
use crate::state::server::Loading;
use crate::state::turns::Cause;

use end::Ended;
use send::Spare;
use serve::{LANES, Lane};

/// Milliseconds between two ticks.
const TICK_MS: u64 = 100;
/// Microseconds that background work may take in one turn while clients may be waiting.
const BACKGROUND_MICROS: u64 = 500;

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
const LISTENERS: Token = Token(2);
const FIRST_CLIENT: usize = 3;

/// A client in one of the lists. It may be gone when its turn comes, and its token another's.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    token: usize,
    id: u64,
}

/// The server.
pub struct Server {
    host: Host,
    poll: Poll,
    signals: OwnedFd,
    clients: Slab<Client>,
    /// Where requests wait between being read and being run.
    lanes: [Lane; LANES],
    /// Clients that may have bytes or requests.
    ready: VecDeque<Ticket>,
    /// Connections that may go on with their handshake.
    shaking: VecDeque<Ticket>,
    /// Handshakes that failed since the last second, of which only some are told.
    failures_told: u32,
    /// Those of them that had more than one part of a turn was enough for.
    greedy: VecDeque<Ticket>,
    /// Requests have run whose records, replies and messages are for the next turn.
    unsettled: bool,
    /// Clients that have output which may go.
    sending: Vec<Ticket>,
    /// Those of them that have much, and were left over.
    much: VecDeque<Ticket>,
    /// Sockets that are to be closed.
    ended: VecDeque<Ended>,
    /// Clients whose output waits for the log.
    held: Vec<Ticket>,
    /// Which replies could go out when the held ones were last looked at.
    sendable: Sendable,
    spare: Spare,
    next_tick_ms: u64,
    ticks: u64,
    /// Background work was left over.
    behind: bool,
    /// For some time no event has come.
    quiet: bool,
    /// Connections may be waiting.
    acceptable: bool,
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
            signals,
            clients: Slab::new(),
            lanes: Default::default(),
            ready: VecDeque::new(),
            shaking: VecDeque::new(),
            failures_told: 0,
            greedy: VecDeque::new(),
            unsettled: false,
            sending: Vec::new(),
            much: VecDeque::new(),
            ended: VecDeque::new(),
            held: Vec::new(),
            sendable: Sendable::default(),
            spare: Spare::default(),
            next_tick_ms: 0,
            ticks: 0,
            behind: false,
            quiet: false,
            acceptable: true,
            accept_again: false,
        };
        server.listen()?;
        Ok(server)
    }

    /// Loads the data, as it was at a date if one is given, then serves until told to stop. Returns the exit code.
    pub fn run(mut self, until: Option<UnixMs>) -> i32 {
        let mut events = Events::with_capacity(1024);
        let appendonly = self.host.engine.state.settings.appendonly;
        let loaded = match appendonly {
            true => self.load_log(&mut events, until),
            false if until.is_some() => Err(io::Error::other("--load-until needs the log: appendonly is no")),
            false => self.load_dump(&mut events),
        };
        if let Err(error) = loaded {
            log::error!("{error}");
            self.remove_unix_sockets();
            return 1;
        }
        if self.host.exit_code().is_none() {
            log::info!("Ready to accept connections");
        }
        // What was no turn, and turns between two pieces of a file, say nothing of those that come.
        self.host.lap(Cause::Load);
        self.host.engine.state.turns.begin();
        self.host.engine.state.turns.reset();
        while self.host.exit_code().is_none() {
            self.turn(&mut events);
        }
        // What was synced on the way out may be told.
        self.release_held();
        self.send_all();
        self.ended.clear();
        self.remove_unix_sockets();
        let code = self.host.exit_code().unwrap_or(0);
        // The system takes the memory back at once; key by key it would take seconds.
        std::mem::forget(self);
        code
    }

    /// Loads the log; clients that connect meanwhile hear `-LOADING`. Without a log a dump is what it begins with.
    fn load_log(&mut self, events: &mut Events, until: Option<UnixMs>) -> io::Result<()> {
        let mut total = self.host.store.find()?;
        if let Some(until) = until {
            total = self.host.store.go_back(until)?;
        }
        let dump = self.dump().filter(|_| self.host.store.is_new());
        let (place, manifest) = self.host.store.files();
        let total = dump.as_ref().map_or(total, |(_, size)| *size);
        // What has expired stays: the log that begins may hold records that count on it, until it says that it went.
        let loaded = self.loading(events, total, Rdb::default(), |sink| match &dump {
            Some((path, _)) => rdb::load(path, sink).map(|()| Vec::new()),
            None => reader::load(&place, &manifest, sink).map_err(io::Error::from),
        })?;
        let Some(loaded) = loaded else { return Ok(()) };
        if let Some((path, _)) = &dump {
            log::warn!("There is no log yet: it begins with the data of {}", path.display());
            self.host.store.adopt(path)?;
        }
        self.host.store.open(&self.host.engine.state.settings, loaded)?;
        self.host.store.begin(&mut self.host.engine.state);
        Ok(())
    }

    /// Loads the dump, if there is one.
    fn load_dump(&mut self, events: &mut Events) -> io::Result<()> {
        let Some((path, size)) = self.dump() else { return Ok(()) };
        let how = Rdb { drop_before: UnixMs(self.host.clock.date_micros() / 1000), merge: false };
        self.loading(events, size, how, |sink| rdb::load(&path, sink))?;
        self.host.engine.state.persistence.saved_changes = self.host.engine.state.dirty;
        Ok(())
    }

    /// The snapshot on disk and its size.
    fn dump(&self) -> Option<(PathBuf, u64)> {
        let path = PathBuf::from(&self.host.engine.state.settings.dbfilename);
        let metadata = path.metadata().ok().filter(|metadata| metadata.is_file())?;
        Some((path, metadata.len()))
    }

    /// Loads what `load` reads, so many bytes. Returns nothing if the server was told to stop meanwhile.
    fn loading<R>(
        &mut self,
        events: &mut Events,
        total_bytes: u64,
        how: Rdb,
        load: impl FnOnce(&mut Serving<'_>) -> io::Result<R>,
    ) -> io::Result<Option<R>> {
        self.host.begin_turn();
        let now = self.host.engine.now();
        let start_ms = self.host.clock.mono_ms();
        self.host.engine.state.persistence.loading =
            Some(Loading { start_secs: now.secs(), start_ms, total_bytes, ..Loading::default() });
        pages::be_eager(true);
        let replay = Replay::begin(&mut self.host.engine, how);
        let loaded = load(&mut Serving { server: self, events, replay: &replay });
        replay.end(&mut self.host.engine, now);
        pages::be_eager(false);
        if self.host.exit_code().is_some() {
            return Ok(None);
        }
        let loaded = loaded?;
        let figures = &mut self.host.engine.state.persistence;
        let refused = figures.loading.take().map_or(0, |loading| loading.refused);
        if 0 < refused {
            log::warn!("{refused} commands of the log were refused when they were run again");
        }
        let (keys, expired) = (figures.rdb_keys_loaded, figures.rdb_keys_expired);
        if 0 < keys + expired {
            log::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}.");
        }
        let took = self.host.clock.mono_ms() - start_ms;
        log::info!("DB loaded from disk: {:.3} seconds", took as f64 / 1000.0);
        Ok(Some(loaded))
    }

    fn turn(&mut self, events: &mut Events) {
        if self.host.engine.state.persistence.loading.is_some() {
            self.host.lap(Cause::Load);
        }
        self.wait(events);
        self.host.lap(Cause::Wait);
        self.host.begin_turn();
        self.collect(events);
        if self.acceptable {
            self.accept();
        }
        self.host.lap(Cause::Events);
        self.serve();
        self.host.relieve();
        self.host.lap(Cause::Read);
        self.tick();
        self.watch_new_listeners();
        self.end_waits();
        self.host.engine.broadcast_stale();
        self.mark_touched();
        self.host.lap(Cause::Tick);
        self.host.write_log();
        self.host.lap(Cause::Log);
        if self.host.sendable() != self.sendable {
            self.release_held();
        }
        self.close_marked();
        self.send_all();
        self.host.lap(Cause::Send);
        if !self.greedy.is_empty() {
            self.serve_greedy();
            self.host.relieve();
            self.host.lap(Cause::Read);
        }
        if !self.shaking.is_empty() {
            self.shake_hands();
        }
        if !self.ended.is_empty() {
            self.close_ended();
        }
        if self.host.web.is_busy() {
            let Host { web, engine, clock, .. } = &mut self.host;
            web.serve(engine, clock, self.poll.registry());
            self.host.lap(Cause::Web);
        }
        self.background();
        self.host.end_turn();
    }

    /// `CONFIG SET port` or `bind` has replaced the listeners.
    fn watch_new_listeners(&mut self) {
        if std::mem::take(&mut self.host.relisten) {
            self.acceptable = true;
            if let Err(error) = self.watch_tcp_listeners() {
                log::error!("{error}");
            }
        }
    }

    fn wait(&mut self, events: &mut Events) {
        let loading = self.host.engine.state.persistence.loading.is_some();
        let unfinished =
            std::mem::take(&mut self.unsettled) || !self.shaking.is_empty() || !self.ended.is_empty();
        let work = self.behind || self.acceptable || self.host.web.is_busy() || loading || unfinished;
        let served = self.ready.is_empty() && self.greedy.is_empty();
        let sent = self.sending.is_empty() && self.much.is_empty();
        let idle = served && sent && !work;
        let next =
            self.host.engine.next_timeout_ms().map_or(self.next_tick_ms, |at| at.min(self.next_tick_ms));
        let until_next = next.saturating_mul(1000).saturating_sub(self.host.clock.mono_micros());
        let ripe = idle && self.host.may_ripen();
        let most = match (ripe, self.quiet) {
            (false, _) => u64::MAX,
            (true, false) => QUIET_MICROS,
            (true, true) => 0,
        };
        let timeout = if idle { Duration::from_micros(until_next.min(most)) } else { Duration::ZERO };
        if let Err(error) = self.poll.poll(events, Some(timeout))
            && error.kind() != io::ErrorKind::Interrupted
        {
            log::warn!("Waiting for events failed: {error}");
        }
        self.quiet = ripe && events.is_empty() && (self.quiet || most < until_next);
        if self.quiet {
            self.host.ripen();
        }
    }

    fn collect(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                WAKER => {
                    self.host.synced();
                    self.end_waits();
                }
                SIGNALS => {
                    while let Some(signal) = sys::next_signal(self.signals.as_raw_fd()) {
                        self.host.signal(signal);
                    }
                }
                LISTENERS => self.acceptable = true,
                Token(token) if token < web::FIRST_TOKEN => self.note_event(token - FIRST_CLIENT, event),
                Token(_) => self.host.web.note(event),
            }
        }
    }

    fn note_event(&mut self, token: usize, event: &Event) {
        let Some(client) = self.clients.get_mut(token) else { return };
        let ending = event.is_read_closed() || event.is_error();
        client.ending |= ending;
        if ending && client.blocked && self.host.waits_for_ever(client.session) {
            self.close(token);
            return;
        }
        if event.is_readable() || ending {
            client.readable = true;
            self.mark_ready(token);
        }
        if event.is_writable() {
            self.mark_writable(token);
        }
    }

    /// The client of a ticket, unless it is gone.
    fn client(&mut self, ticket: Ticket) -> Option<&mut Client> {
        self.clients.get_mut(ticket.token).filter(|client| client.id == ticket.id)
    }

    fn mark_ready(&mut self, token: usize) {
        let client = &mut self.clients[token];
        if !client.queued {
            client.queued = true;
            let list = if client.handshaking { &mut self.shaking } else { &mut self.ready };
            list.push_back(Ticket { token, id: client.id });
        }
    }

    /// As [`Server::mark_ready`], for a client that has had its part of a turn: those come first that need little.
    fn mark_greedy(&mut self, token: usize) {
        let client = &mut self.clients[token];
        if !client.queued {
            client.queued = true;
            self.greedy.push_back(Ticket { token, id: client.id });
        }
    }

    fn mark_writable(&mut self, token: usize) {
        let client = &mut self.clients[token];
        client.writable = true;
        if client.wants_send() || !self.host.engine.state.sessions[client.session].output.is_empty() {
            self.mark_sending(token);
        }
    }

    fn mark_sending(&mut self, token: usize) {
        let client = &mut self.clients[token];
        if !client.sending {
            client.sending = true;
            self.sending.push(Ticket { token, id: client.id });
        }
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
        self.acceptable |= std::mem::take(&mut self.accept_again);
        if self.ticks.is_multiple_of(10) {
            self.close_idle(now);
            self.close_slow_handshakes(now);
        }
    }

    /// Goes on with the clients for whose wait this was the end.
    fn end_waits(&mut self) {
        for session in self.host.unblocked() {
            let Some(token) = self.socket_of(session) else { continue };
            if !self.clients[token].blocked {
                continue;
            }
            self.clients[token].blocked = false;
            // What it sent while it waited may lie in the kernel.
            self.mark_ready(token);
            self.after_serving(token);
        }
    }

    /// The client of a session, unless it is gone.
    fn socket_of(&self, session: usize) -> Option<usize> {
        let token = self.host.engine.state.sessions.get(session)?.socket;
        self.clients.get(token).filter(|client| client.session == session).map(|_| token)
    }

    /// Clients have got messages that they did not ask for.
    fn mark_touched(&mut self) {
        for session in std::mem::take(&mut self.host.engine.state.channels.touched) {
            let Some(token) = self.socket_of(session) else { continue };
            self.host.engine.state.sessions[session].touched = false;
            self.mark_sending(token);
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

    fn soon(&mut self, request: Request<'_>) {
        self.replay.soon(&self.server.host.engine, request);
    }

    fn note(&mut self, line: &[u8], _: u64) {
        let engine = &mut self.server.host.engine;
        let bytes_max = engine.state.persistence.loading.as_ref().map_or(0, |loading| loading.total_bytes);
        self.replay.note(engine, line, bytes_max);
    }

    fn rdb(&mut self) -> Option<&mut dyn Keys> {
        Some(self)
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

impl Keys for Serving<'_> {
    fn limits(&self) -> LoadLimits {
        self.server.host.engine.load_limits()
    }

    fn checks(&self) -> bool {
        self.server.host.engine.state.settings.rdbchecksum
    }

    fn key(&mut self, key: Loaded) -> Result<(), String> {
        if self.server.host.exit_code().is_some() {
            return Err("told to stop".to_owned());
        }
        self.replay.key(&mut self.server.host.engine, key)
    }

    fn reserve(&mut self, database: u64, keys: usize) {
        self.server.host.engine.reserve_in(database, keys);
    }

    fn progress(&mut self, bytes: u64) {
        Sink::progress(self, bytes);
    }
}
