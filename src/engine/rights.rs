//! Requests of clients that may not do everything: looked at when they come, when `EXEC` lets them loose, and when a
//! client that waited for keys is served, since rights may have changed meanwhile.

use crate::command::acl::denied::{self, Denied};
use crate::command::permission::{self, Lack, Place};
use crate::command::registry::commands;
use crate::command::spec::Error;
use crate::command::spec::flag::{NO_AUTH, NO_MULTI};
use crate::engine::Engine;
use crate::resp::request::Args;

impl Engine {
    /// Refuses what a client may not run that is restricted.
    #[cold]
    #[inline(never)]
    pub(super) fn check_restricted(
        &mut self,
        token: usize,
        args: Args<'_>,
        number: usize,
    ) -> Result<(), Error> {
        if !commands().row(number).command.arity_fits(args.len()) {
            // It will be refused for that, whoever sends it.
            return Ok(());
        }
        match self.refusal_of_user(token, args, number) {
            None => Ok(()),
            Some(error) => Err(self.rejected(token, number, error)),
        }
    }

    /// A request was refused: counts it. `EXEC` takes the transaction with it.
    #[cold]
    #[inline(never)]
    pub(super) fn rejected(&mut self, token: usize, number: usize, error: Error) -> Error {
        self.state.stats.commands[number].rejected += 1;
        self.state.leave_uncounted();
        match commands().row(number).command.name {
            "exec" => self.refuse_exec(token, error),
            _ => error,
        }
    }

    /// What keeps a client from sending this request, as far as it lies in who the client is.
    #[cold]
    pub(super) fn refusal_of_user(&mut self, token: usize, args: Args<'_>, number: usize) -> Option<Error> {
        let command = commands().row(number).command;
        if self.state.must_log_in(token) && !command.has(NO_AUTH) {
            return Some(Error::of("NOAUTH Authentication required."));
        }
        let in_multi = self.state.sessions[token].multi.is_some();
        if in_multi && command.has(NO_MULTI) {
            // It will be refused for that.
            return None;
        }
        let lack = self.lack(token, args, number, in_multi)?;
        Some(lack.error(self.state.users.get(self.state.sessions[token].user), number))
    }

    /// What keeps a request that was let into a transaction from running now.
    #[cold]
    pub(super) fn refusal_in_exec(&mut self, token: usize, args: Args<'_>, number: usize) -> Option<Error> {
        self.lack(token, args, number, true).map(Lack::error_in_exec)
    }

    /// What the client's user lacks for a request, which is noted.
    fn lack(&mut self, token: usize, args: Args<'_>, number: usize, in_multi: bool) -> Option<Lack> {
        let user = self.state.users.get(self.state.sessions[token].user);
        let lack = permission::check(user, number, args, Place::of(&self.state, token)).err()?;
        let denied = Denied { token, output: &self.reply.out, args, in_multi };
        denied::note(&mut self.state, denied, number, lack);
        Some(lack)
    }
}
