//! Messages to clients that track keys; see `state/tracking.rs`.

use crate::state::State;
use crate::state::tracking::{Tracker, Who};

/// The channel on which a client that speaks RESP2 gets the messages of another.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// What a client is to drop.
#[derive(Clone, Copy)]
enum Stale<'a> {
    /// Everything.
    All,
    /// These keys.
    Keys(&'a [&'a [u8]]),
}

impl State {
    /// A client tracks from now on, in this way, or in another way than before.
    pub fn track(&mut self, token: usize, mut tracker: Tracker) {
        let session = &mut self.sessions[token];
        let who = Who { token, id: session.id };
        match session.tracking.take() {
            None => self.tracking.clients += 1,
            Some(before) if tracker.broadcast => tracker.prefixes.extend(before.prefixes.iter().cloned()),
            Some(_) => {}
        }
        for name in &tracker.prefixes {
            self.tracking.ignore(name, who);
            self.tracking.listen(name, who);
        }
        session.tracking = Some(Box::new(tracker));
        self.set_attentive();
    }

    /// A client tracks no longer.
    pub fn untrack(&mut self, token: usize) {
        let session = &mut self.sessions[token];
        let Some(tracker) = session.tracking.take() else { return };
        let who = Who { token, id: session.id };
        for name in &tracker.prefixes {
            self.tracking.ignore(name, who);
        }
        self.tracking.clients -= 1;
        if self.tracking.clients == 0 {
            // Nobody is left in the table who could be told.
            self.tracking.forget_all();
        }
        self.set_attentive();
    }

    /// The client that tracks and is known by this token and number.
    fn tracker(&self, who: Who) -> Option<&Tracker> {
        self.sessions.get(who.token).filter(|session| session.id == who.id)?.tracking.as_deref()
    }

    /// A key has changed: whoever has read it is told. That of several databases is one as far as this goes.
    pub(super) fn invalidate(&mut self, key: &[u8]) {
        if self.tracking.clients == 0 {
            return;
        }
        let running = self.channels.running;
        let by = running.and_then(|token| self.sessions.get(token)).map(|session| session.id);
        self.tracking.note(key, by);
        for who in self.tracking.forget(key) {
            let Some(tracker) = self.tracker(who) else { continue };
            let its_own = tracker.no_loop && running == Some(who.token);
            if !tracker.broadcast && !its_own {
                self.tell_stale(who, Stale::Keys(&[key]));
            }
        }
    }

    /// A database was emptied, or all were: whoever tracks is to drop everything.
    pub fn invalidate_all(&mut self) {
        if self.tracking.clients == 0 {
            return;
        }
        let tracks = self.sessions.iter().filter(|(_, session)| session.tracking.is_some());
        let all: Vec<Who> = tracks.map(|(token, session)| Who { token, id: session.id }).collect();
        all.into_iter().for_each(|who| self.tell_stale(who, Stale::All));
        self.tracking.forget_all();
    }

    /// Drops a key from the table, which has more than it may: whoever has read it can count on it no longer.
    pub fn drop_tracked(&mut self, place: usize) {
        let key = self.tracking.key_at(place);
        for who in self.tracking.forget(&key) {
            if self.tracker(who).is_some_and(|tracker| !tracker.broadcast) {
                self.tell_stale(who, Stale::Keys(&[&key]));
            }
        }
    }

    /// The turn is over: whoever has named prefixes is told of all that has changed.
    pub fn broadcast_stale(&mut self) {
        if !std::mem::take(&mut self.tracking.changed) {
            return;
        }
        let mut prefixes = std::mem::take(&mut self.tracking.prefixes);
        for prefix in prefixes.values_mut().filter(|prefix| !prefix.changed.is_empty()) {
            let changed = std::mem::take(&mut prefix.changed);
            let all: Vec<&[u8]> = changed.keys().map(|key| &**key).collect();
            for who in &prefix.listeners {
                let Some(tracker) = self.tracker(*who) else { continue };
                if !tracker.no_loop {
                    self.tell_stale(*who, Stale::Keys(&all));
                    continue;
                }
                let of_others = changed.iter().filter(|(_, by)| **by != Some(who.id));
                let of_others: Vec<&[u8]> = of_others.map(|(key, _)| &**key).collect();
                if !of_others.is_empty() {
                    self.tell_stale(*who, Stale::Keys(&of_others));
                }
            }
        }
        self.tracking.prefixes = prefixes;
    }

    /// Sends a message to a client that tracks, or to the one that it named instead.
    fn tell_stale(&mut self, who: Who, stale: Stale<'_>) {
        let Some(tracker) = self.tracker(who) else { return };
        let Some(redirect) = tracker.redirect else {
            return self.push_stale(who.token, false, stale);
        };
        if self.sessions.get(redirect.token).is_some_and(|session| session.id == redirect.id) {
            return self.push_stale(redirect.token, true, stale);
        }
        let session = &mut self.sessions[who.token];
        if let Some(tracker) = &mut session.tracking {
            tracker.broken = true;
        }
        if session.resp3 {
            self.write_to(who.token, |reply| {
                reply.push(2);
                reply.bulk(b"tracking-redir-broken");
                reply.integer(redirect.id as i64);
            });
        }
    }

    /// Writes the message. In RESP2 there is no form for it but that of a subscriber, who must be another client.
    fn push_stale(&mut self, token: usize, redirected: bool, stale: Stale<'_>) {
        let session = &self.sessions[token];
        let resp3 = session.resp3;
        let listens = redirected && session.subscriptions.is_some();
        if !resp3 && !listens {
            return;
        }
        self.write_to(token, |reply| {
            if resp3 {
                reply.push(2);
                reply.bulk(b"invalidate");
            } else {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
            }
            match stale {
                Stale::All => reply.null(),
                Stale::Keys(keys) => {
                    reply.array(keys.len());
                    keys.iter().for_each(|key| reply.bulk(key));
                }
            }
        });
    }
}
