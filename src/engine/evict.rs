//! `maxmemory` and `maxmemory-clients`: who makes room when memory is short.
//!
//! A command that may take memory is preceded by a look at how much is in use, and if that is too much, by a
//! bounded piece of work: what was removed already is freed, then keys are evicted by the policy. The `DEL` of each
//! stands in the log before the record of the command. If the piece was not enough the command runs all the same,
//! as in Redis, and the steps of the background go on; it is refused only if nothing is left that may go.
//!
//! That memory does not run away meanwhile is seen to by the size of the piece, which grows with the bytes that the
//! command brings.
//!
//! What counts is used memory without that of clients and of the records which wait to be written
//! ([`crate::state::State::not_counted`]): a client that does not read its replies never costs a key.

use crate::command::spec::flag::DENYOOM;
use crate::command::spec::{Class, Command, Error, log_removed};
use crate::config::{MaxmemoryPolicy, Settings};
use crate::data::keyspace::{Choice, Eviction};
use crate::engine::Engine;
use crate::resp::request::Args;
use crate::state::session::{Closing, Session};

/// Keys that one step of the background evicts.
const KEYS_PER_STEP: usize = 64;
/// Keys that a command evicts for each point of `maxmemory-eviction-tenacity`, up to the default of 10; beyond it
/// each point is worth [`TENACITY_GROWTH`] times as much, and at 100 there is no bound. Redis counts in time, of
/// which nothing is known here: a key takes a microsecond or less.
const KEYS_PER_TENACITY: u32 = 16;
/// See [`KEYS_PER_TENACITY`].
const TENACITY_GROWTH: f64 = 1.15;
/// The tenacity that knows no bound.
const TENACITY_MAX: u32 = 100;
/// Bytes that a command brings for which it evicts one key more. Hardly any key takes less.
const BYTES_PER_KEY: usize = 64;
/// The most keys that a command evicts because of the bytes it brings: some milliseconds of work.
const KEYS_FOR_BYTES_MAX: usize = 8192;
/// Clients that are marked for closing at once, at most, unless memory is short: to close one that has much to be sent takes the kernel a
/// fraction of a millisecond.
pub const CLIENTS_TOGETHER: usize = 4;
/// Buckets or nodes that are freed in the time in which one key is evicted.
const FREED_PER_KEY: usize = 4;

/// What came of an attempt to make room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    /// Memory in use is within the limit.
    Enough,
    /// It is not yet.
    InTheMaking,
    /// It is not and will not be.
    None,
}

/// How keys are chosen under these settings; `None` if none may go.
fn eviction(settings: &Settings) -> Option<Eviction> {
    use MaxmemoryPolicy::*;
    let (volatile, choice) = match settings.maxmemory_policy {
        VolatileLru => (true, Choice::Idle),
        VolatileLfu => (true, Choice::Seldom),
        VolatileRandom => (true, Choice::Random),
        VolatileTtl => (true, Choice::Soonest),
        AllkeysLru => (false, Choice::Idle),
        AllkeysLfu => (false, Choice::Seldom),
        AllkeysRandom => (false, Choice::Random),
        Noeviction => return None,
    };
    Some(Eviction { volatile, choice, samples: settings.maxmemory_samples as usize })
}

/// How many keys a command that brings so many bytes may evict.
fn keys_per_command(tenacity: u32, bytes: usize) -> usize {
    let by_tenacity = match tenacity {
        TENACITY_MAX.. => return usize::MAX,
        0..=10 => KEYS_PER_TENACITY * tenacity.max(1),
        _ => (f64::from(KEYS_PER_TENACITY * 10) * TENACITY_GROWTH.powi(tenacity as i32 - 10)) as u32,
    };
    by_tenacity as usize + (bytes / BYTES_PER_KEY).min(KEYS_FOR_BYTES_MAX)
}

impl Engine {
    /// Makes room for a command that may take memory. Returns why it may not run, if that fails.
    #[inline]
    pub(super) fn make_room_for(&mut self, command: &Command, args: Args<'_>) -> Option<Error> {
        if self.state.settings.maxmemory == 0 || !command.has(DENYOOM) || !self.is_over_limit() {
            return None;
        }
        self.make_room_for_bytes(args.encoded_len())
    }

    #[cold]
    fn make_room_for_bytes(&mut self, bytes: usize) -> Option<Error> {
        let keys = keys_per_command(self.state.settings.maxmemory_eviction_tenacity, bytes);
        (self.state.evicted, self.state.look_at) = (true, 0);
        (self.make_room(keys) == Room::None)
            .then_some(Error::of("OOM command not allowed when used memory > 'maxmemory'."))
    }

    /// Background: evicts some keys if there is too much memory in use, after `CONFIG SET` for example. Returns
    /// whether more must go.
    pub fn evict_step(&mut self) -> bool {
        self.watch_tables();
        let idle = self.state.settings.maxmemory == 0 || self.state.persistence.loading.is_some();
        !idle && self.make_room(KEYS_PER_STEP) == Room::InTheMaking
    }

    /// Where the biggest table could double only at the cost of keys, tables are filled fuller instead. Looked at
    /// between commands only: they do not add that much in a tick.
    fn watch_tables(&mut self) {
        let maxmemory = self.state.settings.maxmemory;
        let tight = maxmemory != 0 && {
            let tables = self.keys.databases().iter().map(|database| database.table().memory());
            maxmemory < (self.counted_memory() + tables.max().unwrap_or(0)) as u64
        };
        if tight != self.memory_tight {
            self.memory_tight = tight;
            self.set_resizing();
        }
    }

    /// Bytes in use that count against `maxmemory`.
    pub fn counted_memory(&self) -> usize {
        let not_counted = self.state.not_counted() + self.reply.out.buffer_size();
        (self.used_memory)(&self.keys).saturating_sub(not_counted)
    }

    #[inline]
    fn is_over_limit(&self) -> bool {
        let maxmemory = self.state.settings.maxmemory;
        // What the second look takes off needs no look if the first one is fine, which is nearly always.
        maxmemory < (self.used_memory)(&self.keys) as u64 && maxmemory < self.counted_memory() as u64
    }

    /// Frees and evicts until there is room, or as long as evicting so many keys takes.
    fn make_room(&mut self, keys: usize) -> Room {
        if self.state.pause.is_some() {
            // The data is to stand still.
            return Room::Enough;
        }
        let eviction = eviction(&self.state.settings);
        for _ in 0..keys {
            if !self.is_over_limit() {
                return Room::Enough;
            }
            if 0 < self.keys.garbage_len() {
                self.keys.free_some(FREED_PER_KEY);
            } else if !eviction.is_some_and(|eviction| self.evict_one(eviction)) {
                return Room::None;
            }
        }
        if self.is_over_limit() { Room::InTheMaking } else { Room::Enough }
    }

    /// Evicts a key. Returns whether there was one that may go.
    fn evict_one(&mut self, eviction: Eviction) -> bool {
        let Some(evicted) = self.keys.evict(eviction) else { return false };
        self.state.stats.evicted_keys += 1;
        log_removed(&mut self.state, Class::Evicted, "evicted", evicted.database, evicted.key());
        self.keys.discard_evicted(evicted);
        true
    }

    /// Tick: looks at the memory of all clients, and marks the greediest for closing while they have more than
    /// `maxmemory-clients` together. Returns how many were marked.
    pub fn evict_clients(&mut self) -> usize {
        let state = &mut self.state;
        state.unshared_bytes = if state.settings.maxmemory == 0 {
            0
        } else {
            state.sessions.iter().map(|(_, session)| session.output.unshared()).sum()
        };
        let limit = state.settings.maxmemory_clients.bytes(state.settings.maxmemory);
        let Some(limit) = limit.filter(|_| state.persistence.loading.is_none()) else { return 0 };
        let staying = || state.sessions.iter().filter(|(_, session)| session.closing != Closing::Now);
        // What they take from the system is urgent. Values in their output that belong to keys as well are not.
        let urgent = limit < staying().map(|(_, session)| session.weight as u64).sum::<u64>();
        let memory = |session: &Session| if urgent { session.weight } else { session.memory() };
        let mut clients: Vec<(usize, usize)> =
            staying().map(|(token, session)| (memory(session), token)).collect();
        let mut total: usize = clients.iter().map(|(memory, _)| memory).sum();
        if total as u64 <= limit {
            return 0;
        }
        clients.sort_unstable_by(|a, b| b.cmp(a));
        let mut marked = 0;
        for (memory, token) in clients {
            if total as u64 <= limit || marked == CLIENTS_TOGETHER && !urgent {
                break;
            }
            let session = &mut state.sessions[token];
            if !session.no_evict {
                session.closing = Closing::Now;
                total -= memory;
                marked += 1;
            }
        }
        state.sessions_marked |= 0 < marked;
        state.stats.evicted_clients += marked as u64;
        marked
    }
}

#[cfg(test)]
mod tests;
