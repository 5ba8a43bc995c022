//! The engine: keys, state and the reply being written.

use crate::base::date::UnixMs;
use crate::base::memory;
use crate::command::table::install;
use crate::config::{Events, MaxmemoryPolicy, Settings};
use crate::data::keyspace::{AccessPolicy, Keyspace};
use crate::data::table::Resizing;
use crate::resp::reply::Reply;
use crate::state::State;
use crate::state::names::Names;
use crate::state::session::Session;

/// A server without sockets, files and clock.
pub struct Engine {
    /// The keys.
    pub keys: Keyspace,
    /// Everything else.
    pub state: State,
    /// The output of the client whose requests are running.
    pub(crate) reply: Reply,
    /// The date at which commands run.
    pub(crate) now: UnixMs,
    /// How many bytes of memory are in use. The allocator knows, for the whole process; tests, of which many run
    /// in one process, count what is theirs.
    pub used_memory: fn(&Keyspace) -> usize,
    /// So many children share the pages: what need not be written is left alone.
    snapshots_running: u32,
    /// A table that grows now would grow at the cost of keys.
    pub(super) memory_tight: bool,
}

impl Engine {
    /// An empty server. `seed` decides the hash of keys and every random choice.
    ///
    /// # Panics
    ///
    /// If `rename-command` makes no sense, which [`Names::renamed`] can tell beforehand.
    pub fn new(settings: Settings, seed: u64) -> Engine {
        let names = Names::renamed(install(), &settings.rename_command);
        let mut engine = Engine {
            keys: Keyspace::new(settings.databases as usize, seed),
            state: State::new(settings, install().rows().len()),
            reply: Reply::default(),
            now: UnixMs::ZERO,
            used_memory: |_| memory::used(),
            snapshots_running: 0,
            memory_tight: false,
        };
        engine.state.names = names.expect("the caller has checked the names").map(Box::new);
        engine.apply_settings();
        engine
    }

    /// In: settings that the data goes by have changed.
    pub fn apply_settings(&mut self) {
        self.state.set_attentive();
        let events = self.state.settings.notify_keyspace_events;
        self.keys.noting = events.contains(Events::NEW) || events.contains(Events::MISSED);
        let settings = &self.state.settings;
        let larger_than = [settings.commandlog_request_larger_than, settings.commandlog_reply_larger_than];
        self.state.large_from = larger_than.into_iter().map(|bytes| bytes as u64).fold(u64::MAX, u64::min);
        self.keys.access_policy = if matches!(
            settings.maxmemory_policy,
            MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu
        ) {
            AccessPolicy::Lfu { log_factor: settings.lfu_log_factor, decay_minutes: settings.lfu_decay_time }
        } else {
            AccessPolicy::Lru
        };
    }

    /// In: the date from now on, in milliseconds since the epoch.
    pub fn set_now(&mut self, now: UnixMs) {
        self.now = now;
        self.keys.enter(now, 0);
    }

    /// In: the clock was set, to `now`, by so many milliseconds, back if negative.
    pub fn note_jump(&mut self, now: UnixMs, by_ms: i64) {
        let State { stats, process, .. } = &mut self.state;
        stats.clock_jumps[usize::from(by_ms < 0)] += 1;
        (stats.clock_jump_ms, stats.clock_jumped_ms) = (by_ms, process.mono_ms);
        self.keys.note_jump(now, by_ms);
    }

    /// In: a child has been forked that writes the data as it is now.
    pub fn begin_snapshot(&mut self) {
        self.snapshots_running += 1;
        self.set_resizing();
    }

    /// In: that child has ended.
    pub fn end_snapshot(&mut self) {
        self.snapshots_running = self.snapshots_running.saturating_sub(1);
        self.set_resizing();
    }

    /// Whether such a child runs.
    pub fn has_snapshot(&self) -> bool {
        0 < self.snapshots_running
    }

    pub(super) fn set_resizing(&mut self) {
        let reluctant = self.has_snapshot() || self.memory_tight;
        self.keys.set_resizing(match (self.state.debug.dict_resizing, reluctant) {
            (false, _) => Resizing::Forbidden,
            (true, true) => Resizing::Avoided,
            (true, false) => Resizing::Allowed,
        });
    }

    /// The date at which commands run.
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// In: a client has connected. Returns its token.
    pub fn open_session(&mut self, mut session: Session) -> usize {
        self.state.last_session_id += 1;
        session.id = self.state.last_session_id;
        let token = self.state.sessions.insert(session);
        self.state.log_out(token);
        self.state.weigh(token);
        token
    }

    /// In: a client is gone.
    pub fn close_session(&mut self, token: usize) {
        self.forget(token);
        let session = self.state.sessions.remove(token);
        self.state.clients_bytes -= session.weight;
    }

    /// In: the requests that follow are this client's.
    pub fn enter(&mut self, token: usize) {
        self.state.channels.running = Some(token);
        let session = &mut self.state.sessions[token];
        self.reply.out = std::mem::take(&mut session.output);
        self.reply.set_resp3(session.resp3);
        self.keys.touching = !session.no_touch && self.snapshots_running == 0;
        self.state.weigh(token);
    }

    /// In: no more requests of this client for now; its output is with the session again.
    pub fn leave(&mut self, token: usize) {
        self.state.channels.running = None;
        self.state.sessions[token].output = std::mem::take(&mut self.reply.out);
        self.state.weigh(token);
    }

    /// The writer of the reply that the last command left to the floor `io`.
    pub fn reply(&mut self) -> &mut Reply {
        &mut self.reply
    }

    /// Writes one error reply and counts it.
    pub fn reply_error(&mut self, text: &str) {
        self.state.stats.count_error(text);
        self.reply.error(text);
    }
}
