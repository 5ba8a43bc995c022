//! Syncs: asked for by the policy, done by the helper, and what follows from their results.

use std::io;

use super::{Asked, Rewrite, SYNC_EVERY_MS, Step, Store};
use crate::config::AppendFsync;
use crate::engine::Engine;
use crate::io::aof::sync::What;
use crate::io::clock;
use crate::state::State;
use crate::state::turns::Cause;

/// Why the helper's sync has failed.
pub(super) fn why(errno: i32) -> String {
    format!("sync: {}", io::Error::from_raw_os_error(errno))
}

/// No sync that `INFO` tells of is under way any more.
pub(super) fn note_answer(state: &mut State) {
    state.persistence.pending_sync = false;
    state.persistence.sync_since_ms = None;
}

impl Store {
    pub(super) fn sync_if_due(&mut self, state: &mut State, now_ms: u64) {
        if self.old.is_some() {
            self.sync_old(state, now_ms);
            return;
        }
        let unsynced = self.asked < self.written;
        let second_is_over = self.last_sync_ms + SYNC_EVERY_MS <= now_ms;
        let due = match self.policy {
            AppendFsync::Always => unsynced,
            AppendFsync::Everysec => unsynced && second_is_over,
            AppendFsync::No => self.asked < self.promised && second_is_over,
        };
        let wanted = (matches!(self.rewrite, Rewrite::Wanted) || self.backup_wants_sync()) && unsynced;
        if wanted || due && !self.syncs_are_held_off(state) {
            self.ask_for_sync(state, now_ms);
        } else if self.policy == AppendFsync::Everysec {
            self.begin_early(state);
        }
    }

    /// Much that was written begins to go to the disk before its second is over. If all of it went there at once, a write
    /// that meets the file system's journal meanwhile would wait behind it, and the loop with it.
    fn begin_early(&mut self, state: &State) {
        let held_off = self.syncs_are_held_off(state);
        let every = self.place.disk().begin_every_bytes();
        let Some(file) = self.file.as_mut().filter(|file| every <= file.waiting() && !held_off) else {
            return;
        };
        if self.syncer.request(file.file(), What::Begin) {
            file.begun();
            self.under_way = Some(Asked::Gone);
        }
    }

    fn ask_for_sync(&mut self, state: &mut State, now_ms: u64) {
        let Some(file) = &mut self.file else { return };
        if self.syncer.request(file.file(), What::Data) {
            self.asked = self.written;
            self.under_way = Some(Asked::Current(self.written, file.offset()));
            file.begun();
            self.note_request(state, now_ms);
        } else if self.policy == AppendFsync::Everysec && self.last_delay_ms + 2 * SYNC_EVERY_MS <= now_ms {
            state.persistence.delayed_fsync += 1;
            self.last_delay_ms = now_ms;
        }
    }

    pub(super) fn note_request(&mut self, state: &mut State, now_ms: u64) {
        (self.last_sync_ms, self.last_delay_ms) = (now_ms, now_ms);
        state.persistence.pending_sync = true;
        state.persistence.sync_since_ms = Some(now_ms);
    }

    /// The file that was written to before a rewrite: whole when this is done.
    fn sync_old(&mut self, state: &mut State, now_ms: u64) {
        if let Some(old) = &self.old
            && !self.sync_failed
            && self.syncer.request(old, What::Data)
        {
            self.asked = self.written;
            self.under_way = Some(Asked::Old { whole: true });
            self.note_request(state, now_ms);
        }
    }

    /// Asks for the next of the syncs that a rewrite begins with, if the helper is free.
    pub(super) fn sync_step(&mut self) {
        let Rewrite::Preparing(preparing) = &self.rewrite else { return };
        if let Step::Text(file) | Step::Names(file) | Step::Published(file) = &preparing.step
            && self.syncer.request(file, What::All)
        {
            self.under_way = Some(Asked::Step);
        }
    }

    /// The helper has finished a sync.
    pub fn synced(&mut self, engine: &mut Engine, now_ms: u64) {
        let was_step = matches!(self.under_way, Some(Asked::Step));
        let was_backup = matches!(self.under_way, Some(Asked::Backup));
        let Some(result) = self.syncer.finished() else { return };
        if let Some(Asked::Last(..)) = self.under_way {
            self.last_synced(&mut engine.state, now_ms, result);
            self.sync_if_due(&mut engine.state, now_ms);
            return;
        }
        if was_backup {
            self.under_way = None;
            self.backup_synced(&mut engine.state, result);
            // In turns here as well.
            self.sync_if_due(&mut engine.state, now_ms);
            self.sync_step();
            self.go_on_with_backup(engine, now_ms);
            return;
        }
        if was_step {
            let under_way = self.under_way.take();
            debug_assert!(matches!(under_way, Some(Asked::Step)));
            self.step_done(engine, now_ms, result);
            // In turns: neither the log nor the rewrite keeps the other from the disk.
            self.sync_if_due(&mut engine.state, now_ms);
            self.sync_step();
            return;
        }
        if self.policy == AppendFsync::Always
            && let Some(since_ms) = engine.state.persistence.sync_since_ms
        {
            let nanos = now_ms.saturating_sub(since_ms).saturating_mul(1_000_000);
            engine.state.note_latency("aof-fsync-always", nanos);
        }
        let is_good = self.note_sync(&mut engine.state, result);
        self.sync_last(&mut engine.state, now_ms);
        if is_good {
            self.go_on_with_backup(engine, now_ms);
            self.rewrite_if_wanted(engine, now_ms);
            self.sync_if_due(&mut engine.state, now_ms);
        } else {
            self.heal_if_due(engine, now_ms);
        }
    }

    /// Waits for a sync that is under way. Before this thread syncs a file itself: whoever syncs first hears of a
    /// failure, and nobody after.
    fn settle(&mut self, state: &mut State) {
        if let Some(result) = self.syncer.wait() {
            match self.under_way {
                Some(Asked::Last(..)) => return self.last_synced(state, self.last_sync_ms, result),
                // Whoever does not wait for the rewrite to begin gives it up.
                Some(Asked::Step) => self.forget_preparing(),
                _ => {}
            }
            self.note_sync(state, result);
        }
    }

    /// The same, and for the file that was written to before a rewrite, and for what a rewrite ends with.
    pub(super) fn settle_all(&mut self, state: &mut State) {
        loop {
            self.settle(state);
            if matches!(self.rewrite, Rewrite::Lasting(_)) {
                self.sync_last(state, self.last_sync_ms);
            } else if self.old.is_some() && !self.sync_failed {
                self.sync_old(state, self.last_sync_ms);
            } else {
                return;
            }
        }
    }

    /// Takes the result of a sync. Returns whether it was good.
    fn note_sync(&mut self, state: &mut State, result: Result<(), i32>) -> bool {
        note_answer(state);
        // What a file that was let go of since had to hold, others hold by now.
        let asked = self.under_way.take().unwrap_or(Asked::Gone);
        if matches!(asked, Asked::Gone | Asked::Step | Asked::Backup | Asked::Last(..)) {
            return true;
        }
        if let Err(errno) = result {
            self.note_failed_sync(state, &why(errno));
            return false;
        }
        match asked {
            _ if self.sync_failed => {}
            Asked::Current(batch, offset) => {
                state.gate.set_synced(batch);
                self.note_synced(state, offset);
            }
            Asked::Old { whole: true } => {
                self.old = None;
                state.gate.set_synced(self.written);
                state.persistence.unsynced_bytes = 0;
            }
            Asked::Old { whole: false } | Asked::Step | Asked::Backup | Asked::Last(..) | Asked::Gone => {}
        }
        true
    }

    /// The file is on disk up to an offset.
    pub(super) fn note_synced(&mut self, state: &mut State, offset: u64) {
        if let Some(file) = &mut self.file {
            state.persistence.unsynced_bytes = file.offset() - offset;
            if self.policy != AppendFsync::No {
                file.set_synced(Some(offset));
            }
        }
    }

    /// What was written to the file may be lost, and no later sync of it proves anything.
    pub(super) fn note_failed_sync(&mut self, state: &mut State, why: &str) {
        self.note_failure(state, why);
        if !self.sync_failed {
            // Rewrites that failed before may have put the next try far off. The one that heals does not wait for it.
            self.retry_at_ms = 0;
        }
        self.sync_failed = true;
        self.leave_mark();
        self.give_backup_up(why);
        match &mut self.rewrite {
            Rewrite::Running(running) => running.heals = false,
            Rewrite::Lasting(lasting) => lasting.heals = false,
            Rewrite::None | Rewrite::Wanted | Rewrite::Preparing(_) => {}
        }
    }

    /// Syncs, and leaves a last word in the file which says so.
    pub(super) fn write_last_word(&mut self, state: &mut State) -> io::Result<()> {
        self.sync_here(state)?;
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.policy != AppendFsync::No {
            file.set_synced(Some(file.offset()));
        }
        if let Err(error) = file.append(&[]) {
            self.note_failure(state, &error.to_string());
            return Err(error);
        }
        self.sync_here(state)
    }

    /// Syncs the file in this thread.
    pub(super) fn sync_here(&mut self, state: &mut State) -> io::Result<()> {
        self.settle_all(state);
        let failed = |state: &State| io::Error::other(state.persistence.last_write_error.clone());
        if self.sync_failed {
            // Another sync would succeed, and prove nothing.
            return Err(failed(state));
        }
        let Some(file) = &self.file else { return Ok(()) };
        let before = clock::moment();
        let synced = file.sync_now();
        state.turns.nest(Cause::Sync, before.elapsed().as_nanos() as u64);
        if let Err(error) = synced {
            self.note_failed_sync(state, &error.to_string());
            return Err(failed(state));
        }
        self.asked = self.written;
        state.gate.set_synced(self.written);
        state.persistence.unsynced_bytes = 0;
        Ok(())
    }

    /// Goes on with the rewrite that is wanted, when what was written until then is synced, so that little is left for
    /// the sync that writes wait for; and with one that is being prepared.
    pub(super) fn rewrite_if_wanted(&mut self, engine: &mut Engine, now_ms: u64) {
        match &self.rewrite {
            Rewrite::Wanted => {
                let written = *self.wanted_at.get_or_insert(self.written);
                // After a sync that failed none follows: there is nothing to wait for.
                if written <= engine.state.gate.synced() || self.sync_failed {
                    self.wanted_at = None;
                    self.rewrite_now_if_idle(engine, now_ms);
                }
            }
            Rewrite::Preparing(_) => {
                self.rewrite_if_ready(engine, now_ms);
                self.sync_step();
            }
            _ => {}
        }
    }
}
