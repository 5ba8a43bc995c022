//! What a change of a key leads to, besides the log: transactions that watched the key are off, clients that wait
//! for it may be served, and whoever has subscribed to events hears of it.
//!
//! All this costs one question per change as long as nobody watches, waits or listens ([`State::attentive`]). The same
//! question is asked once a request, for those who see requests or hold them up.

use crate::config::Events;
use crate::state::State;

/// The classes of keyspace events, as `notify-keyspace-events` letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// `g`: commands of no type.
    Generic,
    /// `$`: strings.
    String,
    /// `l`: lists.
    List,
    /// `s`: sets.
    Set,
    /// `h`: hashes.
    Hash,
    /// `z`: sorted sets.
    Zset,
    /// `t`: streams.
    Stream,
    /// `x`: expired.
    Expired,
    /// `e`: evicted.
    Evicted,
    /// `n`: a key that was not there before.
    New,
    /// `m`: a key that was asked for and is not there.
    Missed,
}

impl Class {
    fn events(self) -> Events {
        match self {
            Class::Generic => Events::GENERIC,
            Class::String => Events::STRING,
            Class::List => Events::LIST,
            Class::Set => Events::SET,
            Class::Hash => Events::HASH,
            Class::Zset => Events::ZSET,
            Class::Stream => Events::STREAM,
            Class::Expired => Events::EXPIRED,
            Class::Evicted => Events::EVICTED,
            Class::New => Events::NEW,
            Class::Missed => Events::MISSED,
        }
    }
}

impl State {
    /// Looks anew whether anybody cares for changes: to be called whenever somebody begins or ceases to.
    pub fn set_attentive(&mut self) {
        let listens = self.settings.notify_keyspace_events != Events::default();
        let waits = !self.watches.is_empty() || !self.waits.is_empty();
        let looks_on = 0 < self.tracking.clients || !self.monitors.is_empty();
        self.attentive = listens || waits || looks_on || self.pause.is_some() || 0 < self.reserved;
    }

    /// A key has changed.
    #[cold]
    pub fn notice(&mut self, class: Class, event: &str, database: usize, key: &[u8]) {
        self.notice_silently(database, key);
        self.notify(class, event, database, key);
    }

    /// A key has changed in a way that is no event.
    #[cold]
    pub fn notice_silently(&mut self, database: usize, key: &[u8]) {
        self.invalidate(key);
        self.break_watches(database, key);
        if self.waits.get(database, key).is_some() {
            self.set_ready(database, key);
        }
    }

    /// Publishes an event, if events of its class are published.
    pub fn notify(&mut self, class: Class, event: &str, database: usize, key: &[u8]) {
        let published = self.settings.notify_keyspace_events;
        if !published.contains(class.events()) {
            return;
        }
        if published.contains(Events::KEYSPACE) {
            let channel = [format!("__keyspace@{database}__:").as_bytes(), key].concat();
            self.publish(&channel, event.as_bytes());
        }
        if published.contains(Events::KEYEVENT) {
            let channel = format!("__keyevent@{database}__:{event}");
            self.publish(channel.as_bytes(), key);
        }
    }

    /// A transaction that watched this key will not run.
    fn break_watches(&mut self, database: usize, key: &[u8]) {
        let watchers = self.watches.get(database, key).into_iter().flatten();
        for token in watchers {
            self.sessions[*token].watch_broken = true;
        }
    }

    /// Whole databases were emptied or exchanged. `existed` tells of a watched key whether it was or is there, since
    /// nobody minds that nothing has become nothing.
    pub fn notice_whole(&mut self, database: usize, existed: impl Fn(&[u8]) -> bool) {
        let broken: Vec<usize> = self
            .watches
            .iter(database)
            .filter(|(key, _)| existed(key))
            .flat_map(|(_, tokens)| tokens.iter().copied())
            .collect();
        for token in broken {
            self.sessions[token].watch_broken = true;
        }
        let waited: Vec<Box<[u8]>> = self.waits.keys(database).map(Into::into).collect();
        for key in waited {
            self.set_ready(database, &key);
        }
    }

    /// A client's transaction depends on a key from now on.
    pub fn watch(&mut self, token: usize, database: usize, key: &[u8]) {
        let watchers = self.watches.entry(database, key);
        if watchers.contains(&token) {
            return;
        }
        watchers.push(token);
        self.watching += usize::from(self.sessions[token].watched.is_empty());
        self.sessions[token].watched.push((database, key.into()));
        self.set_attentive();
    }

    /// A client's transaction depends on no key any more.
    pub fn unwatch(&mut self, token: usize) {
        let session = &mut self.sessions[token];
        session.watch_broken = false;
        if session.watched.is_empty() {
            return;
        }
        self.watching -= 1;
        for (database, key) in std::mem::take(&mut session.watched) {
            let Some(watchers) = self.watches.get_mut(database, &key) else { continue };
            watchers.retain(|other| *other != token);
            if watchers.is_empty() {
                self.watches.remove(database, &key);
            }
        }
        self.set_attentive();
    }
}
