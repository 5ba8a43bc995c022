//! What one client's request means for others, and for its own later ones: requests that are queued and run as one,
//! clients that wait for keys, messages.
//!
//! After each request of a client the floor `io` runs what `EXEC` has let loose, one request at a time
//! ([`Engine::run_queued`]), since each may ask it for something; then those who waited for keys are served
//! ([`Engine::serve_ready`]).

use crate::command::registry::commands;
use crate::command::spec::Error;
use crate::command::spec::flag::{DENYOOM, WRITE};
use crate::engine::Engine;
use crate::engine::dispatch::Prepared;
use crate::resp::request::Args;
use crate::state::State;
use crate::state::blocked::Blocked;
use crate::state::session::{Closing, Wait};
use crate::state::transaction::Queued;

/// Bytes that an argument of a queued request takes beside its own, roughly.
const ARG_OVERHEAD: usize = 24;
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

impl Engine {
    /// Puts a request behind those that wait for `EXEC`.
    pub(super) fn queue(&mut self, token: usize, args: Args<'_>, number: usize) {
        let Some(multi) = &mut self.state.sessions[token].multi else { return };
        multi.bytes += args.iter().map(|arg| arg.len() + ARG_OVERHEAD).sum::<usize>() + size_of::<Queued>();
        multi.queue.push(Queued { request: args.into(), number });
        self.reply.status("QUEUED");
    }

    /// A request since `MULTI` was refused: so will `EXEC` be.
    pub(super) fn spoil(&mut self, token: usize) {
        if let Some(multi) = &mut self.state.sessions[token].multi {
            multi.failed = true;
        }
    }

    /// What keeps the queued requests of a client from running now, though each was let in.
    pub(super) fn refuse_queued(&mut self, token: usize) -> Option<Error> {
        let multi = self.state.sessions[token].multi.as_ref()?;
        let first_with =
            |flag| multi.queue.iter().find(|queued| commands().row(queued.number).command.has(flag));
        let writer = first_with(WRITE)?;
        let first = first_with(DENYOOM).unwrap_or(writer);
        let command = commands().row(first.number).command;
        let request = first.request.clone();
        let why = self.refusal_of_state(command).or_else(|| self.make_room_for(command, request.args()))?;
        Some(why)
    }

    /// `EXEC` itself is refused: that is the end of the transaction.
    #[cold]
    pub(super) fn refuse_exec(&mut self, token: usize, why: Error) -> Error {
        self.state.sessions[token].multi = None;
        self.state.unwatch(token);
        let why = why.as_str().strip_prefix("ERR ").unwrap_or(why.as_str());
        Error::text(format!("EXECABORT Transaction discarded because of: {why}"))
    }

    /// Runs the next request of the transaction that `EXEC` has let loose, if there is one.
    pub fn run_queued(&mut self, token: usize) -> Option<(Queued, Prepared)> {
        let transaction = self.state.transaction.as_mut()?;
        let (start, mark) = (transaction.start, transaction.mark);
        let Some(queued) = transaction.queue.pop_front() else {
            let shown = self.state.transaction.take().and_then(|transaction| transaction.shown);
            self.state.log.end_group();
            self.silence(token, mark);
            if let Some(request) = shown {
                self.show(token, "exec", request.args());
            }
            self.end_caching(token, None);
            self.tell_own();
            return None;
        };
        let args = queued.request.args();
        let before = self.reply.out.len();
        let prepared = self.prepare(token, args);
        self.keep_expired(commands().row(queued.number).command);
        let refused = match self.state.sessions[token].restricted {
            true => self.refusal_in_exec(token, args, queued.number),
            false => None,
        };
        if let Some(error) = refused {
            self.reply_error(error.as_str());
        } else if let Err(error) = self.call(token, args, queued.number, prepared.hash()) {
            self.state.stats.commands[queued.number].failed += 1;
            self.reply_error(error.as_str());
        }
        if self.state.gate.active {
            self.hold_reply(token, args, prepared, start);
        }
        self.note_sizes(token, args, queued.number, before);
        Some((queued, prepared))
    }

    /// The transaction begins: what it logs belongs together.
    pub(super) fn begin_transaction(&mut self) {
        if self.state.transaction.is_some() {
            self.state.log.begin_group();
        }
    }

    /// The command that has just run left behind that it waits for keys.
    pub(super) fn block(&mut self, token: usize, number: usize, blocked: Blocked) {
        self.state.block(token, Blocked { number, ..blocked });
    }

    /// Whether anybody may be served.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.state.waiting.ready.is_empty()
    }

    /// Serves those who wait for keys that have changed. `running` is the client that was entered, if one is.
    pub fn serve_ready(&mut self, running: Option<usize>) {
        if let Some(token) = running {
            self.leave(token);
        }
        while let Some((database, key)) = self.state.waiting.ready.pop_front() {
            self.state.waiting.is_ready.remove(database, &key);
            self.serve_key(database, &key);
        }
        if let Some(token) = running {
            self.enter(token);
        }
    }

    /// Serves those who wait for a key, the longest waiting first, as long as there is something to be had.
    fn serve_key(&mut self, database: usize, key: &[u8]) {
        let waiting = |state: &State, at: usize| state.waits.get(database, key)?.get(at).copied();
        let mut at = 0;
        while let Some(token) = waiting(&self.state, at) {
            self.keys.enter(self.now, database);
            if self.state.waiting.even_without == 0 && self.keys.stored(self.keys.key(key)).is_none() {
                return;
            }
            self.retry(token, database, key);
            // Who still waits keeps its place.
            at += usize::from(waiting(&self.state, at) == Some(token));
        }
    }

    /// Runs the request of a client again that waits for a key which has changed.
    fn retry(&mut self, token: usize, database: usize, key: &[u8]) {
        let session = &self.state.sessions[token];
        let Some(blocked) = session.blocked.as_deref() else { return };
        if session.closing != Closing::No {
            // It would take an element with it.
            return;
        }
        let (kind, even_without, number) = (blocked.kind, blocked.even_without, blocked.number);
        self.keys.enter(self.now, database);
        let found = self.keys.stored(self.keys.key(key)).map(|entry| entry.kind());
        if found != Some(kind) && !even_without {
            return;
        }
        let request = blocked.request.clone();
        self.enter(token);
        let start = self.reply.out.len();
        let mark = self.reply.mark();
        let refused = match self.state.sessions[token].restricted {
            true => self.refusal_of_user(token, request.args(), number),
            false => None,
        };
        let done = match refused {
            Some(error) => {
                self.state.stats.commands[number].rejected += 1;
                Err(error)
            }
            None => self.call(token, request.args(), number, 0).inspect_err(|_| {
                self.state.stats.commands[number].failed += 1;
            }),
        };
        let still = self.state.block.take();
        if let Some(blocked) = still {
            self.state.wait_again(token, blocked.again_ms);
        } else {
            if let Err(error) = done {
                self.reply_error(error.as_str());
            }
            if self.state.gate.active {
                let prepared = self.prepare(token, request.args());
                self.hold_reply(token, request.args(), prepared, start);
            }
            self.silence(token, mark);
            self.end_wait(token);
        }
        self.tell_own();
        self.leave(token);
    }

    fn end_wait(&mut self, token: usize) {
        self.state.unblock(token);
        self.state.waiting.ended.push(token);
    }

    /// Monotonic milliseconds at which the next wait ends.
    pub fn next_timeout_ms(&self) -> Option<u64> {
        let timeout = self.state.waiting.timeouts.first().map(|(until_ms, _)| *until_ms);
        let unpaused = self.state.pause.map(|pause| pause.until_ms);
        timeout.into_iter().chain(unpaused).min()
    }

    /// In: it is so late, in monotonic milliseconds. Ends the waits whose time is over, and those that `CLIENT UNBLOCK`
    /// has ended; runs requests again whose time has come.
    pub fn end_waits(&mut self, now_ms: u64) {
        if self.state.pause.is_some_and(|pause| pause.until_ms <= now_ms) {
            self.state.unpause();
            self.keys.keeping = false;
        }
        self.run_again(now_ms);
        let mut over: Vec<usize> = std::mem::take(&mut self.state.waiting.told);
        let due = self.state.waiting.timeouts.iter().take_while(|(until_ms, _)| *until_ms <= now_ms);
        over.extend(due.map(|(_, token)| *token));
        for token in over {
            let Some(session) = self.state.sessions.get(token) else { continue };
            if session.blocked.is_none() {
                continue;
            }
            let told = session.wait;
            self.enter(token);
            let mark = self.reply.mark();
            match told {
                Wait::Failed => self.reply_error(UNBLOCKED),
                _ => self.reply.null_array(),
            }
            self.silence(token, mark);
            self.end_wait(token);
            self.leave(token);
        }
    }

    /// Runs requests again that were to be run at this time.
    fn run_again(&mut self, now_ms: u64) {
        let due = self.state.waiting.timeouts.iter().take_while(|(due_ms, _)| *due_ms <= now_ms);
        let due: Vec<usize> = due.map(|(_, token)| *token).collect();
        for token in due {
            let Some(blocked) = self.state.sessions[token].blocked.as_deref() else { continue };
            if now_ms < blocked.again_ms || blocked.until_ms <= now_ms {
                continue;
            }
            let (database, keys) = (blocked.database, blocked.keys.clone());
            // Whoever still finds nothing says anew when.
            self.state.wait_again(token, u64::MAX);
            keys.iter().for_each(|key| self.state.set_ready(database, key));
        }
        if self.has_ready() {
            self.serve_ready(None);
        }
    }

    /// Messages for the client whose request has run: behind its reply, and behind that of a whole transaction.
    #[inline]
    pub fn tell_own(&mut self) {
        if !self.state.channels.own.is_empty() && self.state.transaction.is_none() && self.state.ask.is_none()
        {
            let own = std::mem::take(&mut self.state.channels.own);
            self.reply.raw(&own);
        }
    }

    /// A client is going: nobody need think of it any more.
    pub(super) fn forget(&mut self, token: usize) {
        self.state.unblock(token);
        self.state.unwatch(token);
        self.state.unsubscribe_all(token);
        self.state.untrack(token);
        self.state.end_monitor(token);
        self.state.give_up_reserved(token);
        self.state.postponed.retain(|other| *other != token);
    }
}
