//! Requests of a log, run again. They run at date zero, where nothing expires: the log itself says what expired.

use crate::base::date::UnixMs;
use crate::command::registry::{Found, commands};
use crate::engine::Engine;
use crate::engine::dispatch::Prepared;
use crate::resp::request::Args;
use crate::state::session::Session;

/// What became of a request of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replayed {
    /// It ran.
    Done,
    /// It was refused, as it was perhaps when it was first sent.
    Refused,
    /// There is no such command.
    Unknown,
}

impl Engine {
    /// Opens the session in which a log is replayed. Nothing it changes is logged.
    pub fn begin_replay(&mut self) -> usize {
        self.state.log.enabled = false;
        let token = self.open_session(Session { trusted: true, ..Session::default() });
        self.set_now(UnixMs::ZERO);
        self.enter(token);
        token
    }

    /// First pass over a request of the log.
    pub fn prepare_replay(&self, token: usize, args: Args<'_>) -> Prepared {
        // Our own log has the names of the table; that of another server may have those of its configuration.
        match commands().find(args) {
            Found::Unknown => self.prepare(token, args),
            found => self.prepare_found(token, args, found),
        }
    }

    /// Runs a request of the log.
    pub fn replay(&mut self, token: usize, args: Args<'_>, prepared: Prepared) -> Replayed {
        let name = args.get(0);
        if name.eq_ignore_ascii_case(b"multi") || name.eq_ignore_ascii_case(b"exec") {
            // The reader has seen to it that a transaction is whole.
            return Replayed::Done;
        }
        let Some(number) = prepared.number() else { return Replayed::Unknown };
        if !commands().row(number).command.arity_fits(args.len()) {
            return Replayed::Refused;
        }
        let mark = self.reply.mark();
        let done = self.call(token, args, number, prepared.hash());
        self.reply.rollback(mark);
        match done {
            Ok(()) => Replayed::Done,
            Err(_) => Replayed::Refused,
        }
    }

    /// So many keys will come into the session's database.
    pub fn reserve(&mut self, token: usize, keys: usize) {
        let database = self.state.sessions[token].database;
        self.keys.reserve(database, keys);
    }

    /// Closes the session of a replay.
    pub fn end_replay(&mut self, token: usize) {
        self.leave(token);
        self.close_session(token);
    }
}
