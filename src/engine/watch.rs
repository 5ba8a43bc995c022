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
        big.end_round();
    }
}
