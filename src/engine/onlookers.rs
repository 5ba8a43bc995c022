//! Clients whose wishes concern the requests of others: who tracks keys, who monitors, who holds requests up.
//!
//! All of it stands behind the one question whether anybody cares ([`crate::state::State::attentive`]), asked once
//! before a request runs and once after it.

use std::fmt::Write;

use crate::base::date::UnixMs;
use crate::base::quote::quoted;
use crate::command::registry::commands;
use crate::command::secret::redacted;
use crate::command::spec::flag::{ADMIN, READONLY, SKIP_MONITOR, WRITE};
use crate::command::spec::{Command, Error, Group};
use crate::engine::Engine;
use crate::resp::request::Args;
use crate::state::session::Closing;
use crate::state::tracking::Who;

/// Commands that are no writes, but are held up with them: elsewhere they may have an effect on replicas.
const LIKE_WRITES: &[&str] = &["pfcount", "publish", "spublish"];

fn writes(command: &Command) -> bool {
    command.has(WRITE) || LIKE_WRITES.contains(&command.name)
}

/// What is said to whoever is one client too many.
const TOO_MANY_CLIENTS: Error = Error::of("ERR max number of clients reached");

/// Whether the command is of those for which places are kept free: it looks after the server, not after keys.
fn is_administrative(command: &Command) -> bool {
    let about_the_server = matches!(command.doc.group, Group::Connection | Group::Server);
    command.has(ADMIN) || about_the_server && !command.has(WRITE)
}

impl Engine {
    /// Before a request that was let in runs or is queued: what keeps it from that, if anything. If its client is
    /// marked as postponed then, it is not refused, but to be run again when the pause is over.
    #[cold]
    #[inline(never)]
    pub(super) fn hold_up(&mut self, token: usize, number: usize) -> Result<(), Error> {
        let command = commands().row(number).command;
        self.trim_tracked();
        let session = &self.state.sessions[token];
        if session.monitor && (command.has(READONLY) || writes(command)) {
            return Err(Error::of("ERR Replica can't interact with the keyspace"));
        }
        if session.reserved && !self.has_become_regular(token) && !is_administrative(command) {
            return Err(self.turn_away(token));
        }
        if self.is_paused_for(token, command) {
            self.state.postpone(token);
            return Err(Error::of(""));
        }
        self.keep_expired(command);
        Ok(())
    }

    /// A client has a place that was kept free for others: it is to close.
    fn turn_away(&mut self, token: usize) -> Error {
        self.state.sessions[token].closing = Closing::AfterReply;
        self.state.stats.rejected_connections += 1;
        TOO_MANY_CLIENTS
    }

    /// In: a client has such a place and has not used it for long.
    pub fn turn_idle_away(&mut self, token: usize) {
        if !self.has_become_regular(token) {
            let error = self.turn_away(token);
            self.enter(token);
            self.reply_error(error.as_str());
            self.leave(token);
        }
    }

    /// A place that was kept free is an ordinary one as soon as there are few clients again.
    fn has_become_regular(&mut self, token: usize) -> bool {
        let is_regular = self.state.sessions.len() <= self.state.settings.maxclients as usize;
        if is_regular {
            self.state.give_up_reserved(token);
        }
        is_regular
    }

    fn is_paused_for(&self, token: usize, command: &Command) -> bool {
        let Some(pause) = self.state.pause else { return false };
        let session = &self.state.sessions[token];
        let queued = || session.multi.iter().flat_map(|multi| &multi.queue);
        let writes_queued = || queued().any(|queued| writes(commands().row(queued.number).command));
        !session.monitor && (pause.all || writes(command) || command.name == "exec" && writes_queued())
    }

    /// While requests that write wait, others see keys that have expired no more, but leave them where they are.
    pub(super) fn keep_expired(&mut self, command: &Command) {
        self.keys.keeping = self.state.pause.is_some() && !command.has(WRITE);
    }

    /// Drops keys that are tracked while there are too many of them.
    fn trim_tracked(&mut self) {
        let keys_max = match self.state.settings.tracking_table_max_keys {
            0 => return,
            keys_max => keys_max as usize,
        };
        if self.state.tracking.clients == 0 {
            return;
        }
        for _ in 0..self.state.tracking.effort(keys_max) {
            let keys = self.state.tracking.keys();
            if keys <= keys_max {
                break;
            }
            let place = self.keys.random.below(keys as u64);
            self.state.drop_tracked(place as usize);
        }
        self.tell_own();
    }

    /// A command has run: the keys that it read are remembered for its client, and the request is shown.
    #[cold]
    #[inline(never)]
    pub(super) fn look_on(&mut self, token: usize, args: Args<'_>, number: usize) {
        if self.now == UnixMs::ZERO {
            // Nobody has sent this: it comes from the log.
            return;
        }
        let command = commands().row(number).command;
        let session = &self.state.sessions[token];
        if command.has(READONLY) && session.tracking.as_ref().is_some_and(|tracker| tracker.remembers()) {
            let who = Who { token, id: session.id };
            for index in command.keys.iter().flat_map(|keys| keys.positions(args)) {
                self.state.tracking.remember(args.get(index), who);
            }
        }
        if self.state.monitors.is_empty() || command.flags & (ADMIN | SKIP_MONITOR) != 0 {
            return;
        }
        match &mut self.state.transaction {
            Some(transaction) if command.name == "exec" => transaction.shown = Some(args.into()),
            _ => self.show(token, &commands().row(number).full_name, args),
        }
    }

    /// Shows a request to the clients that monitor; `name` is the full one of its row.
    pub(super) fn show(&mut self, token: usize, name: &str, args: Args<'_>) {
        let (session, micros) = (&self.state.sessions[token], self.state.process.now_micros);
        let mut line = format!("+{}.{:06} [{} ", micros / 1_000_000, micros % 1_000_000, session.database);
        if session.unix {
            line.push_str("unix:");
            line.push_str(session.laddr.strip_suffix(":0").unwrap_or(&session.laddr));
        } else {
            line.push_str(&session.addr);
        }
        line.push(']');
        for arg in redacted(name, args) {
            // Writing to a string cannot fail.
            write!(line, " {}", quoted(arg)).ok();
        }
        line.push_str("\r\n");
        for monitor in self.state.monitors.clone() {
            self.state.write_to(monitor, |reply| reply.raw(line.as_bytes()));
        }
    }

    /// A request is over: what it leaves to be said is.
    #[cold]
    #[inline(never)]
    pub(super) fn settle(&mut self, token: usize, number: Option<usize>) {
        self.end_caching(token, number);
        self.tell_own();
    }

    /// A request is over, or the transaction that it let loose: what `CLIENT CACHING` said for it is said no more.
    pub(super) fn end_caching(&mut self, token: usize, number: Option<usize>) {
        let session = &mut self.state.sessions[token];
        if session.multi.is_some() || self.state.transaction.is_some() {
            return;
        }
        let container = number.and_then(|number| commands().row(number).container);
        let is_client = container.is_some_and(|number| commands().row(number).command.name == "client");
        if let Some(tracker) = &mut session.tracking
            && !is_client
        {
            tracker.caching = false;
        }
    }

    /// The turn is over: what it changed is told to those who named prefixes of keys.
    pub fn broadcast_stale(&mut self) {
        self.state.broadcast_stale();
    }
}

#[cfg(test)]
mod tests;
