//! Beginning and ending a wait, for keys or for the end of a pause; see `state/blocked.rs` for what it is.

use std::collections::VecDeque;

use crate::state::State;
use crate::state::blocked::{Blocked, Pause};
use crate::state::session::Wait;

impl State {
    /// A key that is waited for has changed.
    pub fn set_ready(&mut self, database: usize, key: &[u8]) {
        if !std::mem::replace(self.waiting.is_ready.entry(database, key), true) {
            self.waiting.ready.push_back((database, key.into()));
        }
    }

    /// How many clients wait: for keys, for the end of a pause, for a sync or for replicas.
    pub fn blocked_clients(&self) -> usize {
        self.waiting.count + self.postponed.len() + self.process.waiting_clients
    }

    /// A client waits from now on.
    pub fn block(&mut self, token: usize, blocked: Blocked) {
        for key in &blocked.keys {
            let queue: &mut VecDeque<usize> = self.waits.entry(blocked.database, key);
            // A key that the request names twice.
            if queue.back() != Some(&token) {
                queue.push_back(token);
            }
        }
        self.waiting.even_without += usize::from(blocked.even_without);
        if blocked.due_ms() != u64::MAX {
            self.waiting.timeouts.insert((blocked.due_ms(), token));
        }
        self.waiting.count += 1;
        let session = &mut self.sessions[token];
        session.wait = Wait::Yes;
        session.blocked = Some(Box::new(blocked));
        self.set_attentive();
    }

    /// The request of a client that waits is to be run again at another time than was said before.
    pub fn wait_again(&mut self, token: usize, again_ms: u64) {
        let Some(blocked) = self.sessions[token].blocked.as_deref_mut() else { return };
        if blocked.again_ms == again_ms {
            return;
        }
        self.waiting.timeouts.remove(&(blocked.due_ms(), token));
        blocked.again_ms = again_ms;
        if blocked.due_ms() != u64::MAX {
            self.waiting.timeouts.insert((blocked.due_ms(), token));
        }
    }

    /// A client waits no longer. Returns what it waited for, if it did.
    pub fn unblock(&mut self, token: usize) -> Option<Box<Blocked>> {
        let session = &mut self.sessions[token];
        let blocked = session.blocked.take()?;
        session.wait = Wait::No;
        for key in &blocked.keys {
            let Some(queue) = self.waits.get_mut(blocked.database, key) else { continue };
            match queue.iter().position(|other| *other == token) {
                // Who is served mostly stands in front.
                Some(0) => drop(queue.pop_front()),
                Some(at) => drop(queue.remove(at)),
                None => {}
            }
            if queue.is_empty() {
                self.waits.remove(blocked.database, key);
            }
        }
        self.waiting.timeouts.remove(&(blocked.due_ms(), token));
        self.waiting.count -= 1;
        self.waiting.even_without -= usize::from(blocked.even_without);
        self.set_attentive();
        Some(blocked)
    }

    /// Begins a pause, or makes the one there is longer or stricter; never shorter or milder.
    pub fn pause(&mut self, all: bool, until_ms: u64) {
        let before = self.pause;
        self.pause = Some(Pause {
            all: all || before.is_some_and(|pause| pause.all),
            until_ms: before.map_or(until_ms, |pause| pause.until_ms.max(until_ms)),
        });
        self.set_attentive();
    }

    /// Ends the pause: the clients whose requests wait go on, in the order in which they came.
    pub fn unpause(&mut self) {
        self.pause = None;
        for token in std::mem::take(&mut self.postponed) {
            self.sessions[token].postponed = false;
            self.waiting.ended.push(token);
        }
        self.set_attentive();
    }

    /// A request of this client waits for the end of the pause.
    pub fn postpone(&mut self, token: usize) {
        if !std::mem::replace(&mut self.sessions[token].postponed, true) {
            self.postponed.push(token);
        }
    }

    /// A client takes one of the places that are kept free.
    pub fn take_reserved(&mut self, token: usize) {
        self.sessions[token].reserved = true;
        self.reserved += 1;
        self.set_attentive();
    }

    /// It needs that place no longer, if it had one.
    pub fn give_up_reserved(&mut self, token: usize) {
        if std::mem::take(&mut self.sessions[token].reserved) {
            self.reserved -= 1;
            self.set_attentive();
        }
    }

    /// A client sees all requests from now on. Returns whether it did not before.
    pub fn begin_monitor(&mut self, token: usize) -> bool {
        let is_new = !std::mem::replace(&mut self.sessions[token].monitor, true);
        if is_new {
            self.monitors.push(token);
            self.set_attentive();
        }
        is_new
    }

    /// A client sees no requests any more.
    pub fn end_monitor(&mut self, token: usize) {
        if std::mem::take(&mut self.sessions[token].monitor) {
            self.monitors.retain(|other| *other != token);
            self.set_attentive();
        }
    }
}
