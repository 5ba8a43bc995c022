//! Who a client is: logging in and out, and what a change of users means for those who are connected.

use std::rc::Rc;

use crate::state::State;
use crate::state::acl::{DEFAULT, User};
use crate::state::channels::Scope;
use crate::state::session::Closing;

impl State {
    /// A client has shown that it is this user.
    pub fn log_in(&mut self, token: usize, user: usize) {
        let session = &mut self.sessions[token];
        session.authenticated = true;
        self.set_user(token, user);
    }

    /// A client is again who it was when it connected.
    pub fn log_out(&mut self, token: usize) {
        self.sessions[token].authenticated = self.users.open();
        self.set_user(token, DEFAULT);
    }

    fn set_user(&mut self, token: usize, user: usize) {
        let session = &mut self.sessions[token];
        session.user = user;
        session.user_name = Rc::clone(&self.users.get(user).name);
        self.set_restricted(token);
    }

    /// Whether a client has to log in before it may do anything else.
    pub fn must_log_in(&self, token: usize) -> bool {
        !self.sessions[token].authenticated && !self.users.open()
    }

    fn set_restricted(&mut self, token: usize) {
        let may_everything = self.users.get(self.sessions[token].user).may_everything();
        let restricted = self.must_log_in(token) || !may_everything;
        let session = &mut self.sessions[token];
        session.restricted = restricted && !session.trusted;
    }

    /// Users have changed: which sessions are looked at closely has changed with them.
    fn set_all_restricted(&mut self) {
        let tokens: Vec<usize> = self.sessions.iter().map(|(token, _)| token).collect();
        tokens.into_iter().for_each(|token| self.set_restricted(token));
    }

    /// `requirepass` is the password of the default user, and its only one.
    pub fn set_default_password(&mut self) {
        let password = self.settings.requirepass.as_bytes();
        self.users.get_mut(DEFAULT).set_plain_password(password);
        self.set_all_restricted();
    }

    /// A user is there, or is there with other rights. Clients that listen to what it may not listen to any more are
    /// sent away.
    pub fn put_user(&mut self, user: User) {
        if let Some(number) = self.users.number(&user.name)
            && user.takes_channels_from(self.users.get(number))
        {
            let heard =
                |token: &usize| self.sessions[*token].user == number && self.hears_more(*token, &user);
            let tokens: Vec<usize> = self.sessions.iter().map(|(token, _)| token).filter(heard).collect();
            tokens.into_iter().for_each(|token| self.send_away(token));
        }
        self.users.put(user);
        self.set_all_restricted();
    }

    /// Whether a client is subscribed to what the user may not listen to.
    fn hears_more(&self, token: usize, user: &User) -> bool {
        let Some(subscriptions) = &self.sessions[token].subscriptions else { return false };
        [Scope::Channel, Scope::Pattern, Scope::Shard].into_iter().any(|scope| {
            let is_pattern = scope == Scope::Pattern;
            subscriptions.names(scope).iter().any(|name| !user.may_listen(name, is_pattern))
        })
    }

    /// A user is there no longer, and its clients are sent away. Returns whether it was there; the default one stays.
    pub fn remove_user(&mut self, name: &[u8]) -> bool {
        let Some(number) = self.users.remove(name) else { return false };
        let is_its = |token: &usize| self.sessions[*token].user == number;
        let tokens: Vec<usize> = self.sessions.iter().map(|(token, _)| token).filter(is_its).collect();
        tokens.into_iter().for_each(|token| self.send_away(token));
        true
    }

    /// These are all users now, besides a stock default one if it is not among them.
    pub fn replace_users(&mut self, users: Vec<User>) {
        let stays = |name: &[u8]| users.iter().any(|user| *user.name == *name);
        let gone: Vec<Rc<[u8]>> =
            self.users.iter().map(|user| &user.name).filter(|name| !stays(name)).cloned().collect();
        for name in gone {
            if !self.remove_user(&name) {
                self.put_user(User::stock());
            }
        }
        users.into_iter().for_each(|user| self.put_user(user));
    }

    /// The client is nobody any more, and its connection closes: after the reply if its request is running, else now.
    fn send_away(&mut self, token: usize) {
        let is_running = self.channels.running == Some(token);
        let session = &mut self.sessions[token];
        session.user = DEFAULT;
        session.user_name = Rc::clone(&self.users.default_user().name);
        session.authenticated = false;
        session.closing = if is_running { Closing::AfterReply } else { Closing::Now };
        self.sessions_marked = true;
        self.set_restricted(token);
    }
}
