//! What time itself brings: keys that fall due, tables that grow, memory that waits to be freed.
//!
//! Each function does one bounded step and says whether more is left; the floor `io` looks at its clock between
//! the steps and decides how many there are.

use crate::command::spec::log_expired;
use crate::engine::Engine;

/// Records that one step moves inward in each database's index.
const ADVANCED_PER_STEP: usize = 64;
/// Cycles in one step of expiry, times `active-expire-effort`; a cycle looks at 20 keys.
const CYCLES_PER_STEP: usize = 2;
/// Buckets that one step of a table's growth moves.
const BUCKETS_PER_STEP: usize = 64;
/// Buckets or nodes that one step frees.
const FREED_PER_STEP: usize = 16;

impl Engine {
    /// Tick: one step of active expiry over all databases. Cycles of 20 keys that are due run again while more
    /// than a quarter of a sample had expired. Returns whether another step would find more.
    pub fn expire_step(&mut self) -> bool {
        if !self.state.debug.active_expire || self.state.pause.is_some() {
            return false;
        }
        let mut more = false;
        let cycles_max = CYCLES_PER_STEP * self.state.settings.active_expire_effort as usize;
        let (mut looked, mut removed) = (0, 0);
        for database in 0..self.keys.databases().len() {
            self.keys.enter(self.now, database);
            more |= self.expire_fields(database, cycles_max);
            if self.keys.databases()[database].expiry().is_empty() {
                continue;
            }
            more |= self.keys.advance_expiry(database, ADVANCED_PER_STEP);
            for cycle in 1..=cycles_max {
                let (seen, expired, again) = self.keys.expire_sample(database);
                looked += seen;
                removed += expired;
                if !again {
                    break;
                }
                more |= cycle == cycles_max;
            }
        }
        if self.keys.has_expired() {
            log_expired(&mut self.keys, &mut self.state);
        }
        if 0 < looked {
            let stale = removed as f64 / looked as f64 * 100.0;
            let stats = &mut self.state.stats;
            stats.expired_stale_perc = stale * 0.05 + stats.expired_stale_perc * 0.95;
        }
        more
    }

    /// The part of a step that is for the fields of hashes in one database.
    fn expire_fields(&mut self, database: usize, cycles_max: usize) -> bool {
        if self.keys.databases()[database].fields().is_empty() {
            return false;
        }
        let mut more = self.keys.advance_field_expiry(database, ADVANCED_PER_STEP);
        for cycle in 1..=cycles_max {
            if !self.keys.expire_fields_sample(database) {
                break;
            }
            more |= cycle == cycles_max;
        }
        more
    }

    /// Tick: moves some buckets of growing and shrinking tables, unless `activerehashing` leaves that to the
    /// commands. Returns whether more is left.
    pub fn table_step(&mut self) -> bool {
        self.state.settings.activerehashing && self.keys.step_tables(BUCKETS_PER_STEP)
    }

    /// After the replies: frees some of what was removed. Returns whether more is left.
    pub fn free_step(&mut self) -> bool {
        self.keys.free_some(FREED_PER_STEP)
    }
}
