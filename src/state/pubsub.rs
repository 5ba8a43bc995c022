//! Subscribing, and messages on their way; see `state/channels.rs`.

use crate::base::glob;
use crate::resp::reply::Reply;
use crate::state::State;
use crate::state::channels::Scope;

impl State {
    /// A client subscribes. Returns how many subscriptions it has then.
    pub fn subscribe(&mut self, token: usize, scope: Scope, name: &[u8]) -> usize {
        let session = &mut self.sessions[token];
        self.channels.clients += usize::from(session.subscriptions.is_none());
        let subscriptions = session.subscriptions.get_or_insert_default();
        let fresh = subscriptions.names_mut(scope).insert(name.into());
        let count = subscriptions.count(scope);
        if fresh {
            self.channels.of_mut(scope).entry(name.into()).or_default().push(token);
        }
        count
    }

    /// A client takes a subscription back. Returns how many it has then.
    pub fn unsubscribe(&mut self, token: usize, scope: Scope, name: &[u8]) -> usize {
        let Some(subscriptions) = &mut self.sessions[token].subscriptions else { return 0 };
        let was_there = subscriptions.names_mut(scope).remove(name);
        let count = subscriptions.count(scope);
        if subscriptions.is_empty() {
            self.sessions[token].subscriptions = None;
            self.channels.clients -= 1;
        }
        if was_there && let Some(subscribers) = self.channels.of_mut(scope).get_mut(name) {
            subscribers.retain(|other| *other != token);
            if subscribers.is_empty() {
                self.channels.of_mut(scope).remove(name);
            }
        }
        count
    }

    /// The names that a client has subscribed to.
    pub fn subscribed(&self, token: usize, scope: Scope) -> Vec<Box<[u8]>> {
        let subscriptions = self.sessions[token].subscriptions.as_deref();
        subscriptions.map_or_else(Vec::new, |it| it.names(scope).iter().cloned().collect())
    }

    /// A client takes all its subscriptions back.
    pub fn unsubscribe_all(&mut self, token: usize) {
        for scope in [Scope::Channel, Scope::Pattern, Scope::Shard] {
            for name in self.subscribed(token, scope) {
                self.unsubscribe(token, scope, &name);
            }
        }
    }

    /// Sends a message to the subscribers of a channel and of patterns that fit. Returns how many times it was sent.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut sent = 0;
        for token in self.channels.of(Scope::Channel).get(channel).cloned().unwrap_or_default() {
            self.push_to(token, &[b"message", channel, message]);
            sent += 1;
        }
        let fitting = self
            .channels
            .of(Scope::Pattern)
            .iter()
            .filter(|(pattern, _)| glob::matches(pattern, channel, false));
        let fitting: Vec<(Box<[u8]>, Vec<usize>)> =
            fitting.map(|(pattern, tokens)| (pattern.clone(), tokens.clone())).collect();
        for (pattern, tokens) in fitting {
            for token in tokens {
                self.push_to(token, &[b"pmessage", &pattern, channel, message]);
                sent += 1;
            }
        }
        sent
    }

    /// Sends a message to the subscribers of a shard channel. Returns how many there are.
    pub fn publish_to_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let tokens = self.channels.of(Scope::Shard).get(channel).cloned().unwrap_or_default();
        for token in &tokens {
            self.push_to(*token, &[b"smessage", channel, message]);
        }
        tokens.len()
    }

    /// Writes a push of bulk strings into a client's output.
    fn push_to(&mut self, token: usize, parts: &[&[u8]]) {
        self.write_to(token, |reply| {
            reply.push(parts.len());
            parts.iter().for_each(|part| reply.bulk(part));
        });
    }

    /// Writes what a client did not ask for into its output; for the client whose request is running, behind the
    /// reply.
    pub fn write_to(&mut self, token: usize, write: impl FnOnce(&mut Reply)) {
        let session = &mut self.sessions[token];
        let is_running = self.channels.running == Some(token);
        let out = if is_running { Default::default() } else { std::mem::take(&mut session.output) };
        let mut reply = Reply::new(out);
        reply.set_resp3(session.resp3);
        write(&mut reply);
        if is_running {
            self.channels.own.extend_from_slice(reply.out.plain());
            return;
        }
        session.output = reply.out;
        if !std::mem::replace(&mut session.touched, true) {
            self.channels.touched.push(token);
        }
        self.weigh(token);
    }
}
