//! The engine among clocks, files and processes: what a turn does besides sockets.

use std::sync::Arc;
use std::time::SystemTime;

use mio::Waker;
use rustls::ServerConfig;

use crate::base::date::UnixMs;
use crate::base::{memory, pages};
use crate::engine::Engine;
use crate::engine::dispatch::Prepared;
use crate::engine::evict::CLIENTS_TOGETHER;
use crate::io::aof::store::{Sendable, Store};
use crate::io::clock::{Clock, Reading};
use crate::io::giving::Giving;
use crate::io::listen::Listener;
use crate::io::proc;
use crate::io::rdb::Snapshots;
use crate::io::ripen::Ripening;
use crate::io::sys;
use crate::io::tls;
use crate::io::web::Web;
use crate::resp::request::Args;
use crate::state::session::Closing;
use crate::state::turns::Cause;

/// Ticks in a second.
const TICKS_PER_SECOND: u64 = 10;
/// Ticks between two looks at slow figures, such as resident memory.
const TICKS_PER_FIGURES: u64 = 10;
/// Steps of freeing, which are short, to one of any other background work.
const FREE_STEPS: usize = 8;

/// What the log of the server says when the clock was set.
fn told_jump(by_ms: i64) -> String {
    let secs = by_ms.unsigned_abs() as f64 / 1000.0;
    match by_ms < 0 {
        true => format!(
            "The clock was set back by {secs:.3} seconds: keys with a deadline live so much longer. Ticks, syncs and \
             timeouts do not go by it"
        ),
        false => format!(
            "The clock was set forward by {secs:.3} seconds: keys whose deadline lies in them expire. Ticks, syncs \
             and timeouts do not go by it"
        ),
    }
}

/// What a client waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A batch of the log on disk, here and on so many replicas.
    Sync {
        /// The batch.
        batch: u64,
        /// How many replicas were asked for; there are none, so any number waits for the deadline.
        replicas: u64,
    },
    /// Replicas, of which there are none.
    Replicas,
    /// The backup that it has asked for.
    Backup,
}

/// A client that waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The session's token.
    pub session: usize,
    /// The session's number, since tokens are used again.
    pub id: u64,
    /// What it waits for.
    pub wish: Wish,
    /// Monotonic milliseconds at which it waits no longer.
    pub until_ms: u64,
}

/// What becomes of a client after one of its requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Its next request may run.
    Run,
    /// Its next request runs when what this one waits for has come.
    Wait,
    /// This one has not run, and is to be run when its wait has ended.
    Again,
    /// It is to be closed: nothing runs any more.
    Close,
}

/// The engine and everything it asks for.
pub struct Host {
    /// The server proper.
    pub engine: Engine,
    /// The clocks.
    pub clock: Clock,
    /// The log.
    pub store: Store,
    /// The snapshots.
    pub snapshots: Snapshots,
    ripening: Ripening,
    /// What clients connect to.
    pub listeners: Vec<Listener>,
    /// What connections of the TLS port are taken in with.
    pub tls: Option<Arc<ServerConfig>>,
    /// What its files looked like when they were last looked at.
    pub(super) tls_files: Vec<Option<(SystemTime, u64)>>,
    /// The TCP listeners are new, and nobody watches them yet.
    pub relisten: bool,
    /// Metrics and the page.
    pub web: Web,
    /// Clients that wait.
    pub waiting: Vec<Waiting>,
    pub(super) exit: Option<i32>,
    /// Signals to stop that have come.
    stops: u32,
    last_ticks: u64,
    /// Further clients are to be closed for the memory of all.
    evicting: bool,
    /// Clients have been closed for that since the last tick.
    relieved: bool,
    /// When freed memory goes back to the system.
    giving: Giving,
    /// Readings of the cheap clock: where the part of the turn that runs began, and the client's requests.
    part_ticks: u64,
    requests_ticks: u64,
    ticks: u64,
    last_tick_ms: u64,
}

impl Host {
    /// A host around an empty engine. The waker interrupts the poll when a sync is done.
    ///
    /// # Errors
    ///
    /// The text for the log.
    pub fn new(
        mut engine: Engine,
        clock: Clock,
        config_file: String,
        waker: Arc<Waker>,
    ) -> Result<Host, String> {
        let wake = move || {
            // Only a broken event loop refuses; its tick looks for finished syncs anyway.
            waker.wake().ok();
        };
        let store = Store::new(&engine.state.settings, wake)
            .map_err(|error| format!("Can't start the sync helper: {error}"))?;
        let identity = &mut engine.state.identity;
        identity.run_id = engine.keys.random.hex(40);
        identity.pid = std::process::id();
        identity.executable =
            std::env::current_exe().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        identity.config_file = config_file;
        identity.os = proc::system();
        identity.started_ms = clock.mono_ms();
        engine.state.persistence.last_save_secs = clock.date_micros() / 1_000_000;
        engine.state.persistence.last_save_ms = clock.mono_ms();
        engine.state.process.total_system_bytes = proc::total_memory_bytes();
        engine.state.process.startup_bytes = memory::used() as u64;
        Ok(Host {
            engine,
            store,
            snapshots: Snapshots::default(),
            ripening: Ripening::default(),
            listeners: Vec::new(),
            tls: None,
            tls_files: Vec::new(),
            relisten: false,
            web: Web::default(),
            waiting: Vec::new(),
            exit: None,
            stops: 0,
            last_ticks: 0,
            evicting: false,
            relieved: false,
            giving: Giving::default(),
            part_ticks: clock.ticks(),
            requests_ticks: 0,
            clock,
            ticks: 0,
            last_tick_ms: 0,
        })
    }

    /// The code to exit with, once the server is to stop.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit
    }

    /// Events have come: the date of this turn is taken.
    pub fn begin_turn(&mut self) {
        let Reading { date_micros, mono_ms, jump_ms } = self.clock.read();
        let process = &mut self.engine.state.process;
        process.now_micros = date_micros;
        process.now_ms = date_micros / 1000;
        process.mono_ms = mono_ms;
        let now = UnixMs(date_micros / 1000);
        if let Some(by_ms) = jump_ms {
            self.engine.note_jump(now, by_ms);
            log::warn!("{}", told_jump(by_ms));
        }
        self.engine.set_now(now);
    }

    /// A part of the turn is over.
    #[inline]
    pub fn lap(&mut self, cause: Cause) {
        let now = self.clock.ticks();
        let nanos = self.clock.nanos_between(self.part_ticks, now);
        self.part_ticks = now;
        self.engine.state.turns.lap(cause, nanos);
    }

    /// The turn is over.
    pub fn end_turn(&mut self) {
        let state = &mut self.engine.state;
        let nanos =
            state.turns.end(state.process.now_ms, state.process.mono_ms, state.stats.commands_processed);
        state.stats.turns += 1;
        state.stats.turn_nanos += nanos;
        state.note_turn(nanos);
        state.turns.begin();
        if let Some(when) = self.giving.turn(memory::used()) {
            memory::give_back(when);
        }
    }

    /// The requests that follow are this client's.
    pub fn enter(&mut self, session: usize) {
        self.engine.enter(session);
        self.last_ticks = self.clock.ticks();
        self.requests_ticks = self.last_ticks;
        self.engine.state.turns.begin_requests();
        let now = self.engine.state.process.mono_ms;
        self.engine.state.sessions[session].active_ms = now;
    }

    /// The client's requests have run. Its last one was when the clock was read last.
    #[inline]
    pub fn leave(&mut self) {
        let nanos = self.clock.nanos_between(self.requests_ticks, self.last_ticks);
        self.engine.state.turns.end_requests(nanos);
    }

    /// Runs one request, counts it, and grants what it asks for.
    #[inline]
    pub fn run(&mut self, session: usize, args: Args<'_>, prepared: Prepared) -> Next {
        if !self.engine.run(session, args, prepared) {
            return Next::Again;
        }
        let waiting_before = self.waiting.len();
        if self.engine.state.ask.is_some() {
            let mark = self.engine.reply().mark();
            self.grant(session);
            if self.waiting.len() == waiting_before {
                self.engine.silence(session, mark);
            }
            self.engine.tell_own();
        }
        self.account(session, args, prepared);
        if self.engine.state.transaction.is_some() {
            self.run_queued(session);
        }
        if self.engine.has_ready() {
            self.engine.serve_ready(Some(session));
        }
        if waiting_before < self.waiting.len() || self.engine.is_blocked(session) {
            Next::Wait
        } else if self.engine.state.sessions[session].closing != Closing::No {
            Next::Close
        } else {
            Next::Run
        }
    }

    /// Nanoseconds from a moment to when a client was last begun with or a request last ended.
    pub fn nanos_since(&self, ticks: u64) -> u64 {
        self.clock.nanos_between(ticks, self.last_ticks.max(ticks))
    }

    /// Counts the request that has just run, and how long it took.
    #[inline]
    fn account(&mut self, session: usize, args: Args<'_>, prepared: Prepared) {
        let now = self.clock.ticks();
        let nanos = self.clock.nanos_between(self.last_ticks, now);
        self.last_ticks = now;
        self.engine.account(session, args, prepared, nanos);
    }

    /// Runs the requests that `EXEC` has let loose.
    #[cold]
    fn run_queued(&mut self, session: usize) {
        while let Some((queued, prepared)) = self.engine.run_queued(session) {
            if self.engine.state.ask.is_some() {
                self.grant(session);
            }
            self.account(session, queued.request.args(), prepared);
        }
    }

    /// Ends the greediest clients as soon as all together have more memory than they may: by the next tick it could be
    /// many times as much.
    pub fn relieve(&mut self) {
        let state = &self.engine.state;
        let limit = state.settings.maxmemory_clients.bytes(state.settings.maxmemory);
        if self.evicting || limit.is_some_and(|limit| limit < state.clients_bytes as u64) {
            self.evict_clients();
        }
    }

    fn evict_clients(&mut self) {
        let evicted = self.engine.evict_clients();
        self.evicting = CLIENTS_TOGETHER <= evicted;
        self.relieved |= 0 < evicted;
        if 0 < evicted {
            log::info!("Closing {evicted} clients: all together have more memory than maxmemory-clients");
        }
    }

    /// Whether a client waits for what may never come.
    pub fn waits_for_ever(&self, session: usize) -> bool {
        // An element must not be taken out for somebody who is gone.
        if self.engine.is_blocked(session) {
            return true;
        }
        let endless = |waiting: &Waiting| {
            waiting.until_ms == u64::MAX && !matches!(waiting.wish, Wish::Sync { replicas: 0, .. })
        };
        self.waiting.iter().any(|waiting| waiting.session == session && endless(waiting))
    }

    /// Step 4 of the turn.
    pub fn write_log(&mut self) {
        if std::mem::take(&mut self.engine.state.persistence.flushed_all) {
            let is_read_at_start = !self.store.is_on();
            self.snapshots.forget(&mut self.engine, is_read_at_start);
        }
        let now = self.engine.state.process.mono_ms;
        self.store.write(&mut self.engine.state, now);
    }

    /// The helper has finished a sync.
    pub fn synced(&mut self) {
        let now = self.clock.mono_ms();
        self.store.synced(&mut self.engine, now);
    }

    /// Which replies may go out.
    pub fn sendable(&self) -> Sendable {
        self.store.sendable(&self.engine.state)
    }

    /// A signal has come.
    pub fn signal(&mut self, signal: i32) {
        if signal == libc::SIGCHLD {
            let now = self.clock.mono_ms();
            self.store.watch_child(&mut self.engine, now);
            self.snapshots.watch_child(&mut self.engine, now);
            return;
        }
        let settings = &self.engine.state.settings;
        let (name, how) = match signal {
            libc::SIGINT => ("SIGINT", &settings.shutdown_on_sigint),
            _ => ("SIGTERM", &settings.shutdown_on_sigterm),
        };
        let has = |word: &str| how.split(' ').any(|other| other == word);
        let (force, save) = (has("force"), has("save").then_some(true).or(has("nosave").then_some(false)));
        self.stops += 1;
        if 1 < self.stops {
            log::warn!("You insist... exiting now.");
            sys::exit_child(1);
        }
        log::warn!("Received {name} scheduling shutdown...");
        self.shut_down(force, save);
    }

    /// Stops gracefully: everything is written and synced. If that fails the server stops all the same when it is
    /// forced or a signal told it to, with another exit code; the replies of what was not written were never sent.
    ///
    /// A snapshot is written if `save` says so, or says nothing and there are save points; if that fails, only force
    /// stops the server, as in Redis.
    ///
    /// Returns whether the server will stop.
    pub fn shut_down(&mut self, force: bool, save: Option<bool>) -> bool {
        log::warn!("User requested shutdown...");
        if self.snapshots.end_child(&mut self.engine) {
            log::warn!("There was a child saving a snapshot. It was killed");
        }
        let flushed = self.store.flush(&mut self.engine.state);
        if let Err(error) = &flushed {
            if !force && self.stops == 0 {
                log::error!("Error trying to write the log, can't exit: {error}");
                return false;
            }
            log::error!("Error trying to write the log, exiting without: {error}");
        }
        let is_loading = self.engine.state.persistence.loading.is_some();
        if save.unwrap_or(!self.engine.state.settings.save.is_empty()) && !is_loading {
            log::info!("Saving the final snapshot before exiting.");
            if self.snapshots.save(&mut self.engine).is_err() && !force {
                log::error!("Error trying to save the DB, can't exit.");
                return false;
            }
        }
        self.store.end_child(&mut self.engine);
        log::warn!("kvick is now ready to exit, bye bye...");
        self.exit = Some(i32::from(flushed.is_err()));
        true
    }

    /// Whether there are pages to be exchanged for huge ones. Those that a child shares would be copied.
    pub fn may_ripen(&self) -> bool {
        pages::any_ripe() && !self.engine.has_snapshot()
    }

    /// Exchanges 2 MiB of small pages for a huge one.
    pub fn ripen(&mut self) {
        let start = self.clock.mono_micros();
        pages::ripen_one();
        self.ripening.took(self.clock.mono_micros() - start);
    }

    /// The 100 ms tick, besides what sockets need.
    pub fn tick(&mut self) {
        let now = self.clock.mono_ms();
        self.ticks += 1;
        memory::note_peak();
        let elapsed = now - self.last_tick_ms;
        self.last_tick_ms = now;
        let stats = &mut self.engine.state.stats;
        stats.rate_commands.sample(stats.commands_processed, elapsed);
        stats.rate_input.sample(stats.net_input_bytes, elapsed);
        stats.rate_output.sample(stats.net_output_bytes, elapsed);
        stats.rate_turns.sample(stats.turns, elapsed);
        stats.rate_turn_micros.sample(stats.turn_nanos / 1000, elapsed);
        if self.ticks % TICKS_PER_FIGURES == 1 {
            self.clock.calibrate();
            let process = &mut self.engine.state.process;
            process.rss_bytes = proc::rss_bytes();
            process.cpu_secs = sys::cpu_secs();
            process.peak_bytes = memory::peak() as u64;
        }
        self.engine.watch_keys(elapsed);
        self.web.tick(now);
        self.evict_clients();
        let relieved = std::mem::take(&mut self.relieved);
        if let Some(when) = self.giving.tick(now, memory::used(), relieved) {
            memory::give_back(when);
        }
        if self.ripening.in_tick() && self.may_ripen() {
            self.ripen();
        }
        self.watch_certificates();
        self.synced();
        self.store.tick(&mut self.engine, now);
        self.snapshots.tick(&mut self.engine, self.store.claim(), now);
    }

    /// Reads the files of TLS, for connections that come from now on. If they are of no use it stays as it was.
    ///
    /// # Errors
    ///
    /// The text for the log.
    pub fn configure_tls(&mut self) -> Result<(), String> {
        let settings = &self.engine.state.settings;
        self.tls = match settings.tls_port {
            0 => None,
            _ => Some(tls::configure(settings)?),
        };
        self.tls_files = tls::fingerprint(settings);
        Ok(())
    }

    /// Every `tls-auto-reload-interval`: reads the files of TLS again if somebody has replaced one.
    fn watch_certificates(&mut self) {
        let settings = &self.engine.state.settings;
        let ticks = u64::from(settings.tls_auto_reload_interval) * TICKS_PER_SECOND;
        if ticks == 0 || settings.tls_port == 0 || !self.ticks.is_multiple_of(ticks) {
            return;
        }
        let files = tls::fingerprint(settings);
        if files == self.tls_files {
            return;
        }
        match self.configure_tls() {
            Ok(()) => log::info!("TLS: the files have changed and were read again"),
            Err(why) => {
                log::warn!("{why}");
                log::warn!(
                    "TLS: the files have changed but cannot be used; what was read before stays in force"
                );
                // Told once; the next change is looked at again.
                self.tls_files = files;
            }
        }
    }

    /// Expiry, eviction, growth of tables and freeing, for about so many microseconds. Returns whether work is left.
    pub fn background(&mut self, micros_max: u64) -> bool {
        let start = self.part_ticks;
        let mut more = true;
        // While data is loaded, a table that was sized for it would shrink again, and what the log says of a key
        // may end in a later deadline.
        let loading = self.engine.state.persistence.loading.is_some();
        let mut expiring = !self.engine.state.debug.pause_cron && !loading;
        let in_time = |host: &Host| host.clock.nanos_between(start, host.part_ticks) < micros_max * 1000;
        while more && in_time(self) {
            expiring = expiring && self.engine.expire_step();
            self.lap(Cause::Expiry);
            more = expiring;
            more |= self.engine.evict_step();
            self.lap(Cause::Eviction);
            more |= !loading && self.engine.table_step();
            self.lap(Cause::Growth);
            let mut garbage = 0 < self.engine.keys.garbage_len();
            for _ in 0..FREE_STEPS {
                if !garbage || !in_time(self) {
                    break;
                }
                garbage = self.engine.free_step();
                self.lap(Cause::Freeing);
            }
            more |= garbage;
        }
        if more {
            self.engine.state.stats.expired_time_cap_reached += u64::from(expiring);
        }
        let expiry_nanos = self.engine.state.turns.current().nanos[Cause::Expiry as usize];
        self.engine.state.stats.expire_cycle_nanos += expiry_nanos;
        more
    }
}
