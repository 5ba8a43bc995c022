//! Who has subscribed to what.
//!
//! A message is written straight into the output of each subscriber. This is the one place where what a command does
//! ends up in another client's output; the floor `io` learns from [`Channels::touched`] whose. The client whose
//! request is running has its output elsewhere at the time: what it is told itself waits in [`Channels::own`].

use std::collections::{BTreeMap, BTreeSet};

/// What one client has subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Channels.
    pub channels: BTreeSet<Box<[u8]>>,
    /// Patterns of channels.
    pub patterns: BTreeSet<Box<[u8]>>,
    /// Shard channels.
    pub shards: BTreeSet<Box<[u8]>>,
}

/// The three ways to subscribe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// `SUBSCRIBE`.
    Channel,
    /// `PSUBSCRIBE`.
    Pattern,
    /// `SSUBSCRIBE`.
    Shard,
}

impl Subscriptions {
    /// The names of one scope.
    pub fn names(&self, scope: Scope) -> &BTreeSet<Box<[u8]>> {
        match scope {
            Scope::Channel => &self.channels,
            Scope::Pattern => &self.patterns,
            Scope::Shard => &self.shards,
        }
    }

    /// The names of one scope, for changing.
    pub fn names_mut(&mut self, scope: Scope) -> &mut BTreeSet<Box<[u8]>> {
        match scope {
            Scope::Channel => &mut self.channels,
            Scope::Pattern => &mut self.patterns,
            Scope::Shard => &mut self.shards,
        }
    }

    /// The number that a reply to a subscription of this scope names: shard channels are counted apart.
    pub fn count(&self, scope: Scope) -> usize {
        match scope {
            Scope::Shard => self.shards.len(),
            Scope::Channel | Scope::Pattern => self.channels.len() + self.patterns.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shards.is_empty()
    }
}

/// Tokens of those who have subscribed, by name.
pub type Subscribers = BTreeMap<Box<[u8]>, Vec<usize>>;

/// All subscriptions.
#[derive(Debug, Default)]
pub struct Channels {
    channels: Subscribers,
    patterns: Subscribers,
    shards: Subscribers,
    /// How many clients have subscribed to anything.
    pub clients: usize,
    /// Clients whose output got something that they did not ask for, each once.
    pub touched: Vec<usize>,
    /// Messages for the client whose request is running, as bytes of its protocol.
    pub own: Vec<u8>,
    /// The client whose request is running, if one is.
    pub running: Option<usize>,
}

impl Channels {
    /// Subscribers by name, for one scope.
    pub fn of(&self, scope: Scope) -> &Subscribers {
        match scope {
            Scope::Channel => &self.channels,
            Scope::Pattern => &self.patterns,
            Scope::Shard => &self.shards,
        }
    }

    /// Subscribers by name, for changing.
    pub fn of_mut(&mut self, scope: Scope) -> &mut Subscribers {
        match scope {
            Scope::Channel => &mut self.channels,
            Scope::Pattern => &mut self.patterns,
            Scope::Shard => &mut self.shards,
        }
    }
}
