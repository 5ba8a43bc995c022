//! What is noticed beside the requests: which keys are hot, and which are big.

use crate::command::registry::commands;
use crate::command::spec::flag::WRITE;
use crate::engine::Engine;
use crate::resp::request::Args;
use crate::state::hot::Sample;
use crate::state::turns::Cause;

/// Buckets that the walk for big keys passes in a tick; a bucket has up to seven keys. A million keys take two
/// minutes, and a tenth of a per cent of the processor meanwhile.
const BUCKETS_PER_TICK: usize = 128;

impl Engine {
    /// The request that has just run is to be looked at: because it had to evict keys, because it was not run at all,
    /// or as a sample. Returns whether it counts as a call.
    #[cold]
    pub(super) fn look_at(&mut self, token: usize, args: Args<'_>, number: usize, nanos: u64) -> bool {
        let state = &mut self.state;
        let counts = !std::mem::take(&mut state.uncounted);
        if std::mem::take(&mut state.evicted) {
            state.turns.nest(Cause::Eviction, nanos);
            state.note_latency("eviction-cycle", nanos);
        }
        if counts && state.hot.next <= state.stats.commands_processed {
            self.sample(token, args, number, nanos);
        }
        self.state.look_at = self.state.hot.next;
        counts
    }

    fn sample(&mut self, token: usize, args: Args<'_>, number: usize, nanos: u64) {
        let command = commands().row(number).command;
        let positions: Vec<usize> = command.keys.iter().flat_map(|keys| keys.positions(args)).collect();
        let processed = self.state.stats.commands_processed;
        if positions.is_empty() {
            self.state.hot.add(None, nanos, processed);
            return;
        }
        let key = self.keys.key(args.get(positions[self.state.hot.draw(positions.len())]));
        let (database, write) = (self.state.sessions[token].database, command.has(WRITE));
        let sample = Sample { database, key: key.bytes, hash: key.hash, write };
        self.state.hot.add(Some(sample), nanos, processed);
        if write && let Some(entry) = self.keys.databases()[database].table().get(key.bytes, key.hash) {
            self.state.big.add(database, key.bytes, entry.rough_memory());
        }
    }

    /// Tick: the hot cool down, and the walk for big keys goes on. In: milliseconds since the last one.
    pub fn watch_keys(&mut self, elapsed_ms: u64) {
        let state = &mut self.state;
        state.hot.pass(elapsed_ms, state.stats.commands_processed);
        let big = &mut state.big;
        if state.persistence.loading.is_some() || !big.is_due(state.dirty) {
            return;
        }
        let (mut number, mut cursor) = big.place;
        if (number, cursor) == (0, 0) {
            big.begin_round(state.dirty);
        }
        let mut buckets = 0;
        while let Some(database) = self.keys.databases().get(number) {
            if BUCKETS_PER_TICK <= buckets {
                big.place = (number, cursor);
                return;
            }
            if !database.is_empty() {
                cursor =
                    database.table().scan(cursor, |entry| big.add(number, entry.key(), entry.rough_memory()));
            }
            buckets += 1;
            if cursor == 0 || database.is_empty() {
                (number, cursor) = (number + 1, 0);
            }
        }
        let keys = &self.keys;
        big.end_round(|database, key| {
            let hash = keys.key(key).hash;
            Some(keys.databases().get(database)?.table().get(key, hash)?.rough_memory())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::{opened, say};
    use crate::resp::request::Request;

    #[test]
    fn a_command_that_had_to_evict_is_eviction() {
        let (mut engine, token) = opened(false, "s");
        engine.state.settings.latency_monitor_threshold = 5;
        let request = Request::new(["SET", "s", "y"].iter().map(|word| word.as_bytes()));
        let prepared = engine.prepare(token, request.args());
        engine.state.turns.begin_requests();
        engine.account(token, request.args(), prepared, 1_000_000);
        (engine.state.evicted, engine.state.look_at) = (true, 0);
        engine.account(token, request.args(), prepared, 6_000_000);
        engine.account(token, request.args(), prepared, 1_000_000);
        engine.state.turns.end_requests(8_000_000);
        let nanos = engine.state.turns.current().nanos;
        assert_eq!(nanos[Cause::Eviction as usize], 6_000_000);
        assert_eq!(nanos[Cause::Commands as usize], 2_000_000);
        assert!(engine.state.latency.get(b"eviction-cycle").is_some_and(|event| event.max_ms == 6));
        assert_eq!(engine.state.stats.commands_processed, 3);
    }

    #[test]
    fn what_is_refused_or_queued_is_no_call() {
        let (mut engine, token) = opened(false, "s");
        for (line, counted) in [("GET", 0), ("GET s", 1), ("MULTI", 2), ("GET s", 2), ("DISCARD", 3)] {
            say(&mut engine, token, line);
            let request = Request::new(line.split(' ').map(str::as_bytes));
            let prepared = engine.prepare(token, request.args());
            engine.account(token, request.args(), prepared, 100);
            assert_eq!(engine.state.stats.commands_processed, counted, "{line}");
        }
    }
}
