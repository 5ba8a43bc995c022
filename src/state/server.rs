//! Everything that is not data: settings, clients, statistics, and the figures of the floor `io`.

use std::collections::VecDeque;

use slab::Slab;

use crate::config::Settings;
use crate::data::entry::Entry;
use crate::state::acl::Users;
use crate::state::ask::Ask;
use crate::state::big::BigKeys;
use crate::state::blocked::{Blocked, Pause, Waiting};
use crate::state::by_key::ByKey;
use crate::state::channels::Channels;
use crate::state::denials::Denials;
use crate::state::gate::Gate;
use crate::state::hot::HotKeys;
use crate::state::latency::Latency;
use crate::state::log::Log;
use crate::state::names::Names;
use crate::state::session::Session;
use crate::state::slowlog::Slowlog;
use crate::state::stats::Stats;
use crate::state::tracking::Tracking;
use crate::state::transaction::Transaction;
use crate::state::turns::Turns;

/// Who this server is; set once at the start.
#[derive(Default, Debug, Clone)]
pub struct Identity {
    /// Forty hexadecimal digits, other ones each start.
    pub run_id: String,
    /// Process number.
    pub pid: u32,
    /// Path of the program.
    pub executable: String,
    /// Path of the configuration file; empty if there is none.
    pub config_file: String,
    /// Operating system, as `uname` tells it.
    pub os: String,
    /// Monotonic milliseconds at the start.
    pub started_ms: u64,
}

/// Figures of the log and of loading, kept true by the floor `io`.
#[derive(Default, Debug, Clone)]
pub struct Persistence {
    /// The append-only file is on.
    pub aof_enabled: bool,
    /// A child is rewriting.
    pub rewrite_in_progress: bool,
    /// A rewrite waits for its turn.
    pub rewrite_scheduled: bool,
    /// Seconds the last rewrite took; -1 if there was none.
    pub last_rewrite_secs: i64,
    /// Monotonic milliseconds when the running rewrite began.
    pub rewrite_started_ms: u64,
    /// The last rewrite succeeded.
    pub last_rewrite_ok: bool,
    /// The last write and sync succeeded.
    pub last_write_ok: bool,
    /// Why the last write failed.
    pub last_write_error: String,
    /// Rewrites since the start.
    pub rewrites: u64,
    /// Rewrites that failed one after the other.
    pub rewrites_consecutive_failures: u64,
    /// Bytes of all files of the log.
    pub current_size: u64,
    /// Bytes of the log after the last rewrite or at the start.
    pub base_size: u64,
    /// A sync runs or waits.
    pub pending_sync: bool,
    /// Monotonic milliseconds since when the oldest running sync has been running.
    pub sync_since_ms: Option<u64>,
    /// Bytes of the log that no sync which has succeeded takes in.
    pub unsynced_bytes: u64,
    /// Syncs that found the one before still running.
    pub delayed_fsync: u64,
    /// Keys the child has written, and how many it will write.
    pub child_keys: (u64, u64),
    /// Milliseconds for which the running child has made no progress.
    pub child_stalled_ms: u64,
    /// Children that were ended because they made none.
    pub children_stalled: u64,
    /// Bytes the last child copied on write.
    pub child_cow_bytes: u64,
    /// Bytes the running child has copied on write so far.
    pub child_cow_now_bytes: u64,
    /// Data is being loaded.
    pub loading: Option<Loading>,
    /// Seconds since the epoch of the last snapshot that succeeded; until then of the start.
    pub last_save_secs: i64,
    /// Monotonic milliseconds of the same moment.
    pub last_save_ms: u64,
    /// Changes that the last snapshot holds, of all since the start.
    pub saved_changes: u64,
    /// A child is writing a snapshot.
    pub save_in_progress: bool,
    /// A snapshot waits for its turn.
    pub save_scheduled: bool,
    /// Monotonic milliseconds when the running snapshot began.
    pub save_started_ms: u64,
    /// The last snapshot succeeded.
    pub last_save_ok: bool,
    /// Seconds the last child took for a snapshot; -1 if there was none.
    pub last_bgsave_secs: i64,
    /// Bytes that child copied on write.
    pub save_cow_bytes: u64,
    /// Snapshots since the start.
    pub saves: u64,
    /// Everything was flushed: a snapshot that is being written, or the last one, is not wanted any more.
    pub flushed_all: bool,
    /// Some stream remembers messages that producers name, or did since the start: a file of this data needs a newer
    /// version of the format.
    pub named_messages: bool,
    /// The same of entries that are pending for nobody.
    pub released_entries: bool,
    /// Keys that the last RDB file that was loaded held.
    pub rdb_keys_loaded: u64,
    /// Keys in it that had expired.
    pub rdb_keys_expired: u64,
}

impl Persistence {
    /// There is a value that came whole, from a file or another server: says if a newer version of the format is needed
    /// for it.
    pub fn note(&mut self, entry: &Entry) {
        let Some(stream) = entry.stream() else { return };
        self.named_messages |= stream.idempotence.is_some();
        self.released_entries |= stream.groups.any_released();
    }
}

/// Progress of loading.
#[derive(Default, Debug, Clone)]
pub struct Loading {
    /// Seconds since the epoch when it began.
    pub start_secs: i64,
    /// Monotonic milliseconds when it began.
    pub start_ms: u64,
    /// Bytes to load.
    pub total_bytes: u64,
    /// Bytes loaded.
    pub loaded_bytes: u64,
    /// Keys loaded so far.
    pub loaded_keys: u64,
    /// Commands of the log that were refused.
    pub refused: u64,
}

/// Figures of the process, refreshed by the tick.
#[derive(Default, Debug, Clone)]
pub struct Process {
    /// Resident bytes.
    pub rss_bytes: u64,
    /// Most bytes ever used.
    pub peak_bytes: u64,
    /// Bytes used before any key was there.
    pub startup_bytes: u64,
    /// Bytes of memory of the machine.
    pub total_system_bytes: u64,
    /// Seconds of processor time in user mode, in system mode, and both for children.
    pub cpu_secs: [f64; 4],
    /// Date in milliseconds since the epoch at the beginning of the turn.
    pub now_ms: i64,
    /// Date in microseconds, exact when a command asked the time.
    pub now_micros: i64,
    /// Monotonic milliseconds at the beginning of the turn.
    pub mono_ms: u64,
    /// Address and port of every listener: name, addresses.
    pub listeners: Vec<(String, u16, Vec<String>)>,
    /// Clients whose last request waits for a sync or for replicas.
    pub waiting_clients: usize,
}

/// Settings of `DEBUG` that change how the server behaves.
#[derive(Debug, Clone)]
pub struct DebugSwitches {
    /// `DEBUG SET-ACTIVE-EXPIRE`.
    pub active_expire: bool,
    /// `DEBUG PAUSE-CRON`.
    pub pause_cron: bool,
    /// `DEBUG DICT-RESIZING`.
    pub dict_resizing: bool,
    /// `DEBUG QUICKLIST-PACKED-THRESHOLD`, in bytes; 0 = the default.
    pub quicklist_packed_threshold: usize,
    /// `DEBUG REPLYBUFFER PEAK-RESET-TIME` in milliseconds, or never.
    pub reply_buffer_peak_reset_ms: Option<u64>,
    /// `DEBUG REPLYBUFFER RESIZING`.
    pub reply_buffer_resizing: bool,
}

impl Default for DebugSwitches {
    fn default() -> Self {
        DebugSwitches {
            active_expire: true,
            pause_cron: false,
            dict_resizing: true,
            quicklist_packed_threshold: 0,
            reply_buffer_peak_reset_ms: Some(5000),
            reply_buffer_resizing: true,
        }
    }
}

/// Everything that commands see besides the keys.
pub struct State {
    /// The configuration.
    pub settings: Settings,
    /// Who this server is.
    pub identity: Identity,
    /// Who may do what.
    pub users: Users,
    /// What was denied to whom.
    pub denials: Denials,
    /// The clients, by token.
    pub sessions: Slab<Session>,
    /// Bytes of memory that clients have, kept true by [`State::weigh`], and buffers that wait for clients.
    pub clients_bytes: usize,
    /// Bytes of values that are in the output of clients only, their keys being gone; as of the last tick.
    pub unshared_bytes: usize,
    /// The last client number given out.
    pub last_session_id: u64,
    /// Counters.
    pub stats: Stats,
    /// The slow log.
    pub slowlog: Slowlog,
    /// The log of big requests.
    pub large_requests: Slowlog,
    /// The log of big replies.
    pub large_replies: Slowlog,
    /// Latency events.
    pub latency: Latency,
    /// Where the time of the turns went.
    pub turns: Turns,
    /// The keys asked for most.
    pub hot: HotKeys,
    /// The biggest keys.
    pub big: BigKeys,
    /// The request is looked at that finds so many commands counted, or more.
    pub look_at: u64,
    /// The request that runs had to evict keys.
    pub evicted: bool,
    /// The request that was sent is not run, now at least: it is no call.
    pub uncounted: bool,
    /// The records of this turn.
    pub log: Log,
    /// Which replies wait for which batch.
    pub gate: Gate,
    /// Figures of the log.
    pub persistence: Persistence,
    /// Figures of the process.
    pub process: Process,
    /// Switches of `DEBUG`.
    pub debug: DebugSwitches,
    /// Names of commands, if `rename-command` has changed any.
    pub names: Option<Box<Names>>,
    /// What the last command asks of the floor `io`.
    pub ask: Option<Ask>,
    /// Changes of keys since the start.
    pub dirty: u64,
    /// Somebody watches keys, waits for them or listens to events of them.
    pub attentive: bool,
    /// Requests and replies with fewer bytes than this stand in no log of big ones.
    pub large_from: u64,
    /// Tokens of the clients whose transactions depend on keys.
    pub watches: ByKey<Vec<usize>>,
    /// How many clients those are.
    pub watching: usize,
    /// Tokens of the clients who wait for keys, the longest waiting first.
    pub waits: ByKey<VecDeque<usize>>,
    /// The rest of what waiting takes.
    pub waiting: Waiting,
    /// What the command that runs leaves behind to wait for keys.
    pub block: Option<Blocked>,
    /// The transaction that runs.
    pub transaction: Option<Transaction>,
    /// Who has subscribed to what.
    pub channels: Channels,
    /// Who keeps keys that it has read.
    pub tracking: Tracking,
    /// Tokens of the clients that see all requests (`MONITOR`).
    pub monitors: Vec<usize>,
    /// Requests are held up.
    pub pause: Option<Pause>,
    /// Tokens of the clients whose requests are, in order.
    pub postponed: Vec<usize>,
    /// Clients on places that are kept free for administrators.
    pub reserved: usize,
    /// The server is shutting down.
    pub shutting_down: bool,
    /// A command has marked sessions for closing, other ones than its own perhaps.
    pub sessions_marked: bool,
}

impl State {
    /// The state of a fresh server.
    pub fn new(settings: Settings, commands: usize) -> State {
        let mut state = State {
            settings,
            identity: Identity::default(),
            users: Users::default(),
            denials: Denials::default(),
            sessions: Slab::new(),
            clients_bytes: 0,
            unshared_bytes: 0,
            last_session_id: 0,
            stats: Stats::new(commands),
            slowlog: Slowlog::default(),
            large_requests: Slowlog::default(),
            large_replies: Slowlog::default(),
            latency: Latency::default(),
            turns: Turns::default(),
            hot: HotKeys::default(),
            big: BigKeys::default(),
            look_at: 0,
            evicted: false,
            uncounted: false,
            log: Log::default(),
            gate: Gate::default(),
            persistence: Persistence {
                last_rewrite_secs: -1,
                last_bgsave_secs: -1,
                last_save_ok: true,
                last_rewrite_ok: true,
                last_write_ok: true,
                ..Persistence::default()
            },
            process: Process::default(),
            debug: DebugSwitches::default(),
            names: None,
            ask: None,
            dirty: 0,
            attentive: false,
            large_from: u64::MAX,
            watches: ByKey::default(),
            watching: 0,
            waits: ByKey::default(),
            waiting: Waiting::default(),
            block: None,
            transaction: None,
            channels: Channels::default(),
            tracking: Tracking::default(),
            monitors: Vec::new(),
            pause: None,
            postponed: Vec::new(),
            reserved: 0,
            shutting_down: false,
            sessions_marked: false,
        };
        state.set_default_password();
        state
    }

    /// Takes note that a client's buffers have changed. So the sum of all is known at any time, at the price of an
    /// addition for each turn of a client.
    #[inline]
    pub fn weigh(&mut self, token: usize) {
        let session = &mut self.sessions[token];
        let weight = session.own_memory();
        self.clients_bytes = self.clients_bytes - session.weight + weight;
        session.weight = weight;
    }

    /// Counts a change of the key with this hash, for the figures and for replies that wait for the log.
    #[inline]
    pub fn count_change(&mut self, database: usize, hash: u64) {
        self.dirty += 1;
        if self.gate.active {
            self.gate.changed(database, hash);
        }
    }

    /// The request that was sent was refused before it ran, or waits for `EXEC`: it is no call.
    pub fn leave_uncounted(&mut self) {
        (self.uncounted, self.look_at) = (true, 0);
    }

    /// Bytes in use that are not the data's fault, and for which no key is evicted: what clients have, and
    /// records that wait to be written. Without the output of the client whose request is running.
    pub fn not_counted(&self) -> usize {
        self.clients_bytes + self.unshared_bytes + self.log.memory()
    }
}
