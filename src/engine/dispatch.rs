//! One request: found, checked, run, and its effect carried to the log and the gate.
//!
//! A pipeline is run in two passes ([`Engine::prepare`], [`Engine::run`]): the first finds the rows, hashes the
//! first keys and asks the cache for their buckets and then their entries; the second runs the requests in order,
//! by when the memory they need has arrived.

use crate::command::registry::{Found, Row, commands};
use crate::command::secret::redacted;
use crate::command::spec::flag::{
    FAST, INTERNAL_WRITE, LOADING, NO_MULTI, NOT_QUEUED, SKIP_SLOWLOG, SUBSCRIBER, WHOLE, WRITE,
};
use crate::command::spec::{Command, Ctx, Effect, Error, REPEATED_MAX, log_expired, repeated, tell_noted};
use crate::engine::Engine;
use crate::resp::reply::Mark;
use crate::resp::request::{Args, ProtocolError};
use crate::state::session::{Closing, ReplyMode};

const SNAPSHOT_FAILED: Error = Error::of(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that \
     may modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
     snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB \
     error.",
);

/// What the first pass found out about a request.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    found: Found,
    hash: u64,
}

impl Prepared {
    /// Number of the command's row, if there is one.
    pub fn number(&self) -> Option<usize> {
        match self.found {
            Found::Row(number) => Some(number),
            _ => None,
        }
    }

    /// Hash of the first key; 0 = none.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

impl Engine {
    /// First pass: finds the row, and asks the cache for the bucket of the first key.
    #[inline]
    pub fn prepare(&self, token: usize, args: Args<'_>) -> Prepared {
        let found = commands().find_as(self.state.names.as_deref(), args);
        self.prepare_found(token, args, found)
    }

    #[inline]
    pub(super) fn prepare_found(&self, token: usize, args: Args<'_>, found: Found) -> Prepared {
        let mut hash = 0;
        if let Found::Row(number) = found {
            let first = commands().row(number).first_key;
            if 0 < first && first < args.len() {
                hash = self.keys.key(args.get(first)).hash;
                self.keys.prefetch(self.state.sessions[token].database, hash);
            }
        }
        Prepared { found, hash }
    }

    /// Between the passes: asks the cache for the entry of the first key.
    #[inline]
    pub fn prefetch(&self, token: usize, prepared: Prepared) {
        if prepared.hash != 0 {
            self.keys.prefetch_entry(self.state.sessions[token].database, prepared.hash);
        }
    }

    /// Second pass: runs the request of the client that was entered. The reply, if any, is in its output, the
    /// record in the log; a wish may stand in `state.ask`, which then owes the reply. False: a pause keeps it from
    /// running, and it is to be run again when the client's wait has ended.
    pub fn run(&mut self, token: usize, args: Args<'_>, prepared: Prepared) -> bool {
        let (start, mark) = (self.reply.out.len(), self.reply.mark());
        let mode = &mut self.state.sessions[token].reply_mode;
        if *mode == ReplyMode::SkipNext {
            *mode = ReplyMode::Skipping;
        }
        let (number, queues) = match self.check(token, args, prepared.found) {
            Ok(may) => may,
            Err(error) => return self.refuse(token, mark, &error),
        };
        if queues && !commands().row(number).command.has(NOT_QUEUED) {
            self.state.leave_uncounted();
            self.queue(token, args, number);
            self.silence(token, mark);
            return true;
        }
        let done = self.call(token, args, number, prepared.hash);
        if let Some(blocked) = self.state.block.take() {
            self.block(token, number, blocked);
        }
        if let Err(error) = &done {
            self.state.stats.commands[number].failed += 1;
            self.reply_error(error.as_str());
        }
        self.begin_transaction();
        if self.state.gate.active {
            self.hold_reply(token, args, prepared, start);
        }
        let session = &self.state.sessions[token];
        if session.reply_mode != ReplyMode::On
            && session.blocked.is_none()
            && self.state.ask.is_none()
            && self.state.transaction.is_none()
        {
            self.silence(token, mark);
        }
        self.note_sizes(token, args, number, start);
        if self.state.attentive | !self.state.channels.own.is_empty() {
            self.settle(token, prepared.number());
        }
        true
    }

    /// A request does not run. The reply waits for nothing: it has seen nothing that a power cut could take back.
    #[cold]
    #[inline(never)]
    fn refuse(&mut self, token: usize, mark: Mark, error: &Error) -> bool {
        if self.state.sessions[token].postponed {
            return self.wait_silently(token);
        }
        self.spoil(token);
        self.reply_error(error.as_str());
        self.silence(token, mark);
        if self.state.attentive {
            self.end_caching(token, None);
        }
        self.tell_own();
        true
    }

    /// Whether a client waits for a key.
    #[inline]
    pub fn is_blocked(&self, token: usize) -> bool {
        self.state.sessions[token].blocked.is_some()
    }

    /// Refuses what may not run. Returns the number of what may, and whether the client is in a transaction.
    #[inline]
    fn check(&mut self, token: usize, args: Args<'_>, found: Found) -> Result<(usize, bool), Error> {
        let number = match found {
            Found::Row(number) => number,
            Found::Unknown => return Err(unknown_command(args)),
            Found::UnknownSubcommand(container) => return Err(unknown_subcommand(container, args)),
        };
        let row = commands().row(number);
        let session = &self.state.sessions[token];
        let queues = session.multi.is_some();
        let listens = session.subscriptions.is_some() && !session.resp3;
        if session.restricted {
            self.check_restricted(token, args, number)?;
        }
        let command = row.command;
        let refused = if !command.arity_fits(args.len()) {
            Some(Error::arity(&row.full_name))
        } else if queues && command.has(NO_MULTI) {
            Some(Error::of("ERR Command not allowed inside a transaction"))
        } else if listens && !command.has(SUBSCRIBER) {
            Some(only_subscriber(&row.full_name))
        } else {
            self.refusal_of_state(command)
        };
        let refused = if refused.is_none() && queues {
            if command.name == "exec" { self.refuse_queued(token) } else { None }
        } else {
            refused.or_else(|| self.make_room_for(command, args))
        };
        if let Some(error) = refused {
            return Err(self.rejected(token, number, error));
        }
        if self.state.attentive {
            self.hold_up(token, number)?;
        }
        Ok((number, queues))
    }

    /// Refuses what the server as a whole cannot do now.
    #[inline]
    pub(super) fn refusal_of_state(&self, command: &Command) -> Option<Error> {
        let persistence = &self.state.persistence;
        if persistence.loading.is_some() && !command.has(LOADING) {
            return Some(Error::of("LOADING Redis is loading the dataset in memory"));
        }
        if !persistence.last_save_ok && (command.has(WRITE) || command.name == "ping") && self.stops_writes()
        {
            return Some(SNAPSHOT_FAILED);
        }
        if !persistence.last_write_ok && command.has(WRITE) {
            let cause = &persistence.last_write_error;
            return Some(Error::text(format!("MISCONF Errors writing to the AOF file: {cause}")));
        }
        None
    }

    /// Whether writes are refused after a snapshot that failed.
    fn stops_writes(&self) -> bool {
        let settings = &self.state.settings;
        settings.stop_writes_on_bgsave_error && !settings.save.is_empty()
    }

    /// Runs a command's function and carries its effect on.
    #[inline]
    pub(crate) fn call(
        &mut self,
        token: usize,
        args: Args<'_>,
        number: usize,
        hash: u64,
    ) -> Result<(), Error> {
        let row = commands().row(number);
        let database = self.state.sessions[token].database;
        self.keys.enter(self.now, database);
        let hashed = if hash != 0 { Some((row.first_key, hash)) } else { None };
        let before = self.state.log.records();
        let mark = self.reply.mark();
        let mut ctx =
            Ctx { keys: &mut self.keys, reply: &mut self.reply, state: &mut self.state, token, hashed };
        let outcome = (row.command.run)(&mut ctx, args);
        debug_assert!(
            self.keys.selected() == database || row.command.has(WRITE),
            "'{}' reached across databases",
            row.full_name
        );
        self.keys.select(database);
        if self.keys.has_expired() {
            log_expired(&mut self.keys, &mut self.state);
        }
        if self.state.attentive {
            tell_noted(&mut self.keys, &mut self.state);
            self.look_on(token, args, number);
        }
        let effect = outcome.inspect_err(|_| {
            debug_assert!(self.state.ask.is_none(), "a failed '{}' asked for something", row.full_name);
            self.reply.rollback(mark);
        })?;
        debug_assert!(
            effect == Effect::Unchanged || row.command.flags & (WRITE | INTERNAL_WRITE) != 0,
            "'{}' changed something without the flag",
            row.full_name
        );
        if effect == Effect::Changed && self.state.log.enabled {
            match args.raw() {
                _ if self.state.names.is_some() => self.log_by_own_name(database, row, args),
                Some(request) => self.state.log.raw(database, request),
                None => self.state.log.with(database, |out| args.encode_into(out)),
            }
        }
        if self.state.log.records() != before {
            self.state.sessions[token].last_write_batch = self.state.gate.current();
        }
        Ok(())
    }

    /// Logs a request under the name that the table has for it, which every server and every configuration knows.
    #[cold]
    fn log_by_own_name(&mut self, database: usize, row: &Row, args: Args<'_>) {
        let top = row.container.map_or(row.command, |container| commands().row(container).command);
        let mut words: Vec<&[u8]> = args.iter().collect();
        words[0] = top.name.as_bytes();
        self.state.log.record(database, &words);
    }

    /// Under `appendfsync always`: the reply from `start` on waits for the batch it depends on.
    pub(super) fn hold_reply(&mut self, token: usize, args: Args<'_>, prepared: Prepared, start: usize) {
        let Some(number) = prepared.number() else { return };
        let command = commands().row(number).command;
        let gate = &self.state.gate;
        let session = &mut self.state.sessions[token];
        let mut batch = if command.has(WHOLE) { gate.of_all() } else { 0 };
        for index in command.keys.iter().flat_map(|keys| keys.positions(args)) {
            batch = batch.max(gate.of_key(session.database, self.keys.key(args.get(index)).hash));
        }
        // What the client has just written may lie in another database, or under keys that nobody foresaw.
        if session.last_write_batch == gate.current() {
            batch = gate.current();
        }
        if batch != 0 {
            let position = session.output_bytes + start as u64;
            session.hold(position, batch);
        }
    }

    /// `CLIENT REPLY OFF` and `SKIP`: takes the reply since the mark back, if the request that ran has not put replies
    /// on again. For whoever grants a wish, as the reply comes only then.
    #[inline]
    pub fn silence(&mut self, token: usize, mark: Mark) {
        let mode = &mut self.state.sessions[token].reply_mode;
        if *mode == ReplyMode::On {
            return;
        }
        if *mode == ReplyMode::Skipping {
            *mode = ReplyMode::On;
        }
        self.reply.rollback(mark);
    }

    /// A request is run again later, and what is to be silent still is then. Returns false: it has not run.
    #[cold]
    #[inline(never)]
    fn wait_silently(&mut self, token: usize) -> bool {
        let mode = &mut self.state.sessions[token].reply_mode;
        if *mode == ReplyMode::Skipping {
            *mode = ReplyMode::SkipNext;
        }
        false
    }

    /// In: how long the request that ran last took. Counts it, and notes it if it was slow.
    #[inline]
    pub fn account(&mut self, token: usize, args: Args<'_>, prepared: Prepared, nanos: u64) {
        let Some(number) = prepared.number() else { return };
        let session = &mut self.state.sessions[token];
        session.last_command = Some(number);
        if self.state.look_at <= self.state.stats.commands_processed
            && !self.look_at(token, args, number, nanos)
        {
            return;
        }
        let state = &mut self.state;
        state.stats.count_call(number, nanos, state.settings.latency_tracking);
        state.sessions[token].commands += 1;
        let slow = state.settings.slowlog_log_slower_than;
        if 0 <= slow && slow as u64 * 1000 <= nanos && !commands().row(number).command.has(SKIP_SLOWLOG) {
            self.note_slow(token, args, number, nanos / 1000);
        }
        if self.state.is_spike(nanos) {
            let event = if commands().row(number).command.has(FAST) { "fast-command" } else { "command" };
            self.state.note_latency(event, nanos);
        }
    }

    #[cold]
    fn note_slow(&mut self, token: usize, args: Args<'_>, number: usize, micros: u64) {
        let state = &mut self.state;
        let session = &state.sessions[token];
        let (at_secs, len_max) = (state.process.now_ms / 1000, state.settings.slowlog_max_len as usize);
        let words = redacted(&commands().row(number).full_name, args);
        let client = (session.addr.as_str(), &session.name[..]);
        state.slowlog.add(at_secs, micros, words.into_iter(), client, len_max);
    }

    /// In: the client has sent what is no request. Replies the error; the connection closes after it.
    pub fn protocol_error(&mut self, token: usize, error: ProtocolError) {
        self.state.stats.count_error("ERR");
        self.reply.protocol_error(error);
        self.state.sessions[token].closing = Closing::AfterReply;
    }
}

#[cold]
fn only_subscriber(name: &str) -> Error {
    Error::text(format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
         context"
    ))
}

fn unknown_command(args: Args<'_>) -> Error {
    let (mut text, mut room) = (String::new(), REPEATED_MAX);
    for arg in args.iter().skip(1) {
        text.push_str(&format!("'{}' ", repeated(arg, room)));
        // Counted as they came, quotes and blank included; what is no UTF-8 may be longer in the text.
        let len = memchr::memchr(0, arg).unwrap_or(arg.len()).min(room);
        room = room.saturating_sub(len + 3);
        if room == 0 {
            break;
        }
    }
    let name = repeated(args.get(0), REPEATED_MAX);
    Error::text(format!("ERR unknown command '{name}', with args beginning with: {text}"))
}

fn unknown_subcommand(container: usize, args: Args<'_>) -> Error {
    let name = repeated(args.get(1), REPEATED_MAX);
    let container = commands().row(container).command.name.to_uppercase();
    Error::text(format!("ERR unknown subcommand '{name}'. Try {container} HELP."))
}
