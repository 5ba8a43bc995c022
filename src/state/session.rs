//! What is known of one client besides its socket.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::resp::reply::Output;
use crate::state::blocked::Blocked;
use crate::state::channels::Subscriptions;
use crate::state::tracking::Tracker;
use crate::state::transaction::Multi;

/// What a client's connection is about to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Closing {
    /// Stay.
    #[default]
    No,
    /// Close when all output is sent; read no more.
    AfterReply,
    /// Close at once.
    Now,
}

/// `CLIENT REPLY`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// None are.
    Off,
    /// `SKIP` has just been given: the next command is silent.
    SkipNext,
    /// The command that runs is silent, unless it puts replies on.
    Skipping,
}

/// Whether a client's last request waits for something (`WAIT`, `WAITAOF`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wait {
    /// It does not.
    #[default]
    No,
    /// It does.
    Yes,
    /// `CLIENT UNBLOCK`: it is to end as if its time were over.
    TimedOut,
    /// `CLIENT UNBLOCK … ERROR`: it is to end with an error.
    Failed,
}

/// One client. Its key in the slab is also the token of its socket.
#[derive(Default, Debug)]
pub struct Session {
    /// Never used twice.
    pub id: u64,
    /// `CLIENT SETNAME`.
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_ver: Vec<u8>,
    /// Peer, as `address:port` or `path:0`.
    pub addr: String,
    /// Local address, in the same form.
    pub laddr: String,
    /// Whether it came over the unix socket.
    pub unix: bool,
    /// The socket's file descriptor.
    pub fd: i32,
    /// Monotonic milliseconds when it connected.
    pub created_ms: u64,
    /// Monotonic milliseconds of the last request.
    pub active_ms: u64,
    /// Selected database.
    pub database: usize,
    /// Replies in RESP3.
    pub resp3: bool,
    /// Number of its user; see `state/acl.rs`.
    pub user: usize,
    /// Name of its user.
    pub user_name: Rc<[u8]>,
    /// It runs what a log says, and nobody asks for its rights.
    pub trusted: bool,
    /// It has logged in, or came when nobody needed to.
    pub authenticated: bool,
    /// Its requests are looked at one by one: it has to log in first, or its user may not do everything. Kept true by
    /// `state/login.rs`.
    pub restricted: bool,
    /// `CLIENT REPLY`.
    pub reply_mode: ReplyMode,
    /// `CLIENT NO-EVICT`.
    pub no_evict: bool,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: bool,
    /// `CLIENT CAPA REDIRECT`: it can be sent to another server.
    pub redirectable: bool,
    /// Whether and when the connection closes.
    pub closing: Closing,
    /// Whether its last request waits for something. The floor `io` begins and ends a wait.
    pub wait: Wait,
    /// Number of the last command in the table.
    pub last_command: Option<usize>,
    /// Requests run.
    pub commands: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// Bytes received but not run yet.
    pub query_buffer: usize,
    /// Bytes of arguments of an incomplete request.
    pub args_memory: usize,
    /// Bytes that the connection itself takes, over TLS for example.
    pub transport_memory: usize,
    /// Replies that wait to be sent.
    pub output: Output,
    /// Positions in the output (counted from the connection's first byte) up to which replies depend on a batch
    /// of the log: nothing up to the position may go before the batch is on disk.
    pub gates: VecDeque<(u64, u64)>,
    /// Monotonic milliseconds since when the output has been over the soft limit.
    pub over_soft_limit_since_ms: Option<u64>,
    /// What the client has in `State::clients_bytes`.
    pub weight: usize,
    /// Number of the last batch that a write of this client went into.
    pub last_write_batch: u64,
    /// The key of its socket, for the floor `io`.
    pub socket: usize,
    /// Since `MULTI`.
    pub multi: Option<Box<Multi>>,
    /// `WATCH`: databases and keys.
    pub watched: Vec<(usize, Box<[u8]>)>,
    /// One of those keys has changed.
    pub watch_broken: bool,
    /// What it has subscribed to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// The request that waits for a key.
    pub blocked: Option<Box<Blocked>>,
    /// It stands in the list of those who got a message.
    pub touched: bool,
    /// `CLIENT TRACKING`.
    pub tracking: Option<Box<Tracker>>,
    /// `MONITOR`.
    pub monitor: bool,
    /// Its next request waits for the end of a pause.
    pub postponed: bool,
    /// It has one of the places that `maxclients-reserved` keeps free.
    pub reserved: bool,
}

impl Session {
    /// How many bytes of the output may be sent when every batch up to `synced` is on disk.
    pub fn sendable(&mut self, synced: u64) -> usize {
        while self.gates.front().is_some_and(|gate| gate.1 <= synced) {
            self.gates.pop_front();
        }
        match self.gates.front() {
            None => self.output.len(),
            // The gate holds back everything from the end of what was there before its reply.
            Some((position, _)) => (position.saturating_sub(self.output_bytes)) as usize,
        }
    }

    /// The bytes of the output from `start` (as [`Session::position`] was) on depend on a batch.
    pub fn hold(&mut self, start: u64, batch: u64) {
        if self.gates.back().is_none_or(|gate| gate.1 < batch) {
            self.gates.push_back((start, batch));
        }
    }

    /// Counts of all bytes that were ever put out.
    pub fn position(&self) -> u64 {
        self.output_bytes + self.output.len() as u64
    }

    /// Bytes of memory that the client's buffers take.
    pub fn memory(&self) -> usize {
        size_of::<Session>()
            + self.output.memory()
            + self.query_buffer
            + self.args_memory
            + self.transport_memory
            + self.queued_memory()
    }

    /// As [`Session::memory`], without values in the output that belong to keys as well.
    pub fn own_memory(&self) -> usize {
        size_of::<Session>()
            + self.output.buffer_size()
            + self.query_buffer
            + self.args_memory
            + self.transport_memory
            + self.queued_memory()
    }

    /// Bytes of requests that wait for `EXEC`.
    pub fn queued_memory(&self) -> usize {
        self.multi.as_ref().map_or(0, |multi| multi.bytes)
    }

    /// The letters of `CLIENT LIST`'s `flags` field.
    pub fn flags(&self) -> String {
        let mut flags = String::new();
        if self.monitor {
            flags.push('O');
        }
        if self.subscriptions.is_some() {
            flags.push('P');
        }
        if self.multi.is_some() {
            flags.push('x');
        }
        if self.wait != Wait::No || self.postponed {
            flags.push('b');
        }
        if let Some(tracker) = &self.tracking {
            flags.push('t');
            flags.extend(tracker.broken.then_some('R'));
            flags.extend(tracker.broadcast.then_some('B'));
        }
        if self.watch_broken {
            flags.push('d');
        }
        if self.closing == Closing::AfterReply {
            flags.push('c');
        }
        if self.unix {
            flags.push('U');
        }
        if self.no_evict {
            flags.push('e');
        }
        if self.no_touch {
            flags.push('T');
        }
        if flags.is_empty() {
            flags.push('N');
        }
        flags
    }
}
