//! Beginning and ending a wait for keys; see `state/blocked.rs` for what it is.

use std::collections::VecDeque;

use crate::state::State;
use crate::state::blocked::Blocked;
use crate::state::session::Wait;

impl State {
    /// A key that is waited for has changed.
    pub fn set_ready(&mut self, database: usize, key: &[u8]) {
        let ready = &mut self.waiting.ready;
        if !ready.iter().any(|(known, name)| *known == database && **name == *key) {
            ready.push_back((database, key.into()));
        }
    }

    /// A client waits from now on.
    pub fn block(&mut self, token: usize, blocked: Blocked) {
        for key in &blocked.keys {
            let queue: &mut VecDeque<usize> = self.waits.entry(blocked.database, key);
            if !queue.contains(&token) {
                queue.push_back(token);
            }
        }
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
            queue.retain(|other| *other != token);
            if queue.is_empty() {
                self.waits.remove(blocked.database, key);
            }
        }
        self.waiting.timeouts.remove(&(blocked.due_ms(), token));
        self.waiting.count -= 1;
        self.set_attentive();
        Some(blocked)
    }
}
