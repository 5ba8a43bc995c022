//! The rewrite: begun, watched, and taken up or given up. The head of `store.rs` tells its steps.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::{
    Asked, HEAL_AFTER_MS, Lasting, Mark, Preparing, RETRY_AFTER_MS, RETRY_DOUBLINGS_MAX, Rewrite, Running,
    Step, Store, syncing,
};
use crate::engine::Engine;
use crate::io::aof::append::AppendFile;
use crate::io::aof::child::{Uncommitted, Work};
use crate::io::aof::fault;
use crate::io::aof::manifest::{self, Manifest};
use crate::io::aof::sync::What;
use crate::io::child::Finished;
use crate::io::clock;
use crate::io::disk::How;
use crate::state::State;

impl Store {
    pub(super) fn rewrite_if_grown(&mut self, engine: &mut Engine, now_ms: u64) {
        let (settings, figures) = (&engine.state.settings, &engine.state.persistence);
        let percentage = u64::from(settings.auto_aof_rewrite_percentage);
        if percentage == 0
            || !matches!(self.rewrite, Rewrite::None)
            || figures.current_size < settings.auto_aof_rewrite_min_size
            || now_ms < self.retry_at_ms
        {
            return;
        }
        let base = figures.base_size.max(1);
        let growth = figures.current_size.saturating_sub(base).saturating_mul(100) / base;
        if percentage <= growth {
            log::info!("Starting automatic rewriting of AOF on {growth}% growth");
            self.rewrite = Rewrite::Wanted;
        }
    }

    /// `BGREWRITEAOF`. With the log off this writes a base that nobody will read, as Redis does: refused instead.
    ///
    /// # Errors
    ///
    /// The error reply.
    pub fn ask_for_rewrite(&mut self, state: &mut State) -> Result<&'static str, &'static str> {
        if !self.is_on() {
            return Err("ERR BGREWRITEAOF needs the append only file: it is off (CONFIG SET appendonly yes)");
        }
        match self.rewrite {
            Rewrite::Running(_) | Rewrite::Lasting(_) => {
                Err("ERR Background append only file rewriting already in progress")
            }
            Rewrite::Wanted => Ok("Background append only file rewriting scheduled"),
            Rewrite::Preparing(ref mut preparing) => {
                if let Some(follows) = &mut preparing.backup {
                    *follows = true;
                }
                Ok("Background append only file rewriting scheduled")
            }
            Rewrite::None => {
                self.rewrite = Rewrite::Wanted;
                state.persistence.rewrite_scheduled = true;
                if state.persistence.save_in_progress {
                    return Ok("Background append only file rewriting scheduled");
                }
                Ok("Background append only file rewriting started")
            }
        }
    }

    /// Begins a rewrite that was wanted, or goes on with one that was prepared; see the head of `store.rs`.
    pub(super) fn rewrite_now_if_idle(&mut self, engine: &mut Engine, now_ms: u64) {
        if matches!(self.rewrite, Rewrite::Running(_) | Rewrite::Lasting(_)) {
            return;
        }
        if self.sync_failed {
            self.forget_preparing();
        }
        let is_for_backup =
            matches!(&self.rewrite, Rewrite::Preparing(preparing) if preparing.backup.is_some());
        if !is_for_backup && (engine.state.persistence.save_in_progress || self.backup_needs_files()) {
            // One child at a time: after the snapshot.
            if !matches!(self.rewrite, Rewrite::Preparing(_)) {
                self.rewrite = Rewrite::Wanted;
            }
            return;
        }
        if let Err(error) = self.start_rewrite(engine, now_ms) {
            self.rewrite_failed(&mut engine.state, now_ms, &error.to_string());
        }
    }

    /// After a sync that failed: begins the rewrite that heals, unless one has failed just before.
    pub(super) fn heal_if_due(&mut self, engine: &mut Engine, now_ms: u64) {
        if self.retry_at_ms <= now_ms {
            self.rewrite_now_if_idle(engine, now_ms);
        }
    }

    fn start_rewrite(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        if matches!(self.rewrite, Rewrite::Preparing(_)) {
            return self.switch_over(engine, now_ms);
        }
        if self.sync_failed {
            self.refresh_manifest()?;
            return self.write_aside(engine, now_ms);
        }
        self.prepare(None)
    }

    fn refresh_manifest(&mut self) -> io::Result<()> {
        if self.is_stale {
            let missing = || io::Error::other("the manifest is gone");
            self.manifest = Manifest::read(&self.place)?.ok_or_else(missing)?;
            self.is_stale = false;
        }
        Ok(())
    }

    /// Begins a next increment, for a rewrite or for a backup.
    pub(super) fn prepare(&mut self, backup: Option<bool>) -> io::Result<()> {
        self.refresh_manifest()?;
        let (manifest, file) = self.next_increment()?;
        let step = Step::Text(manifest.draft(&self.place)?);
        self.rewrite = Rewrite::Preparing(Box::new(Preparing { manifest, file, step, backup }));
        self.sync_step();
        Ok(())
    }

    /// A rewrite has been asked for and has not begun.
    pub(super) fn rewrite_follows(&self) -> bool {
        match &self.rewrite {
            Rewrite::Wanted => true,
            Rewrite::Preparing(preparing) => preparing.backup.unwrap_or(true),
            Rewrite::None | Rewrite::Running(_) | Rewrite::Lasting(_) => false,
        }
    }

    /// One of the syncs that a rewrite begins with is done.
    pub(super) fn step_done(&mut self, engine: &mut Engine, now_ms: u64, result: Result<(), i32>) {
        let before = clock::moment();
        let result = result.map_err(io::Error::from_raw_os_error).and_then(|()| self.take_step());
        engine.state.note_latency("aof-rename", before.elapsed().as_nanos() as u64);
        if let Err(error) = result {
            Manifest::forget_draft(&self.place);
            match &self.rewrite {
                Rewrite::Preparing(preparing) if preparing.backup.is_some() => {
                    self.give_backup_up(&error.to_string());
                }
                _ => self.rewrite_failed(&mut engine.state, now_ms, &error.to_string()),
            }
        } else {
            self.rewrite_if_ready(engine, now_ms);
        }
    }

    /// Goes on with a rewrite, or a backup, whose files are on disk.
    pub(super) fn rewrite_if_ready(&mut self, engine: &mut Engine, now_ms: u64) {
        if let Rewrite::Preparing(preparing) = &self.rewrite
            && matches!(preparing.step, Step::Ready)
        {
            self.rewrite_now_if_idle(engine, now_ms);
        }
    }

    fn take_step(&mut self) -> io::Result<()> {
        let Rewrite::Preparing(preparing) = &mut self.rewrite else { return Ok(()) };
        let open = || fault::again(|| self.place.disk().open(self.place.directory(), How::Read));
        preparing.step = match &preparing.step {
            Step::Text(_) => Step::Names(open()?),
            Step::Names(_) => {
                let directory = open()?;
                Manifest::publish(&self.place)?;
                self.manifest = preparing.manifest.clone();
                Step::Published(directory)
            }
            Step::Published(_) | Step::Ready => Step::Ready,
        };
        Ok(())
    }

    /// What was prepared is of no use any more. An increment that the manifest names already stays, empty.
    pub(super) fn forget_preparing(&mut self) {
        if let Rewrite::Preparing(preparing) = &self.rewrite {
            Manifest::forget_draft(&self.place);
            let for_backup = preparing.backup.is_some();
            self.rewrite = if self.rewrite_follows() { Rewrite::Wanted } else { Rewrite::None };
            if for_backup {
                self.begin_backup_again();
            }
        }
    }

    /// The manifest names the next increment: what comes from now on goes there, and a child writes what was before.
    fn switch_over(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        let state = &mut engine.state;
        if !state.log.pending().is_empty() {
            // The turn has gathered records already: whole ones, and the snapshot will have what they did.
            self.write_pending(state);
        }
        let Some(old) = self.file.as_mut().filter(|_| state.log.pending().is_empty()) else {
            return Ok(());
        };
        if let Err(error) = old.append(&[]) {
            self.note_failure(state, &error.to_string());
            return Ok(());
        }
        let old = Rc::clone(old.file());
        let Rewrite::Preparing(preparing) = std::mem::replace(&mut self.rewrite, Rewrite::None) else {
            return Ok(());
        };
        let Preparing { manifest, file, backup, .. } = *preparing;
        let kept = manifest.increments.last().map_or(0, |part| part.seq);
        let under_way = self.under_way.take().map(|asked| match asked {
            Asked::Current(..) => Asked::Old { whole: false },
            other => other,
        });
        self.switch_to(file, state);
        (self.old, self.under_way) = (Some(old), under_way);
        let forked = match backup {
            None => self.fork(engine, now_ms, kept, None),
            Some(follows) => {
                self.rewrite = if follows { Rewrite::Wanted } else { Rewrite::None };
                Ok(())
            }
        };
        self.sync_if_due(&mut engine.state, now_ms);
        forked
    }

    /// Begins a base and an increment that the manifest does not name before the base is whole.
    pub(super) fn write_aside(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        let path = self.place.temporary_increment();
        manifest::remove_if_there(self.place.disk(), &path)?;
        let file = AppendFile::create(self.place.disk(), &path)?;
        let part = self.manifest.clone().add_free_increment(&self.place).clone();
        let seq = part.seq;
        // All that the old file may have lost is in the snapshot, together with what waits to be written. Not before the
        // old one is left: it must not go on without that.
        self.drop_pending(&mut engine.state);
        self.switch_to(file, &mut engine.state);
        self.fork(engine, now_ms, seq, Some(Uncommitted { path: path.clone(), part }))
            .inspect_err(|_| self.remove_leftover(&path))
    }

    fn fork(
        &mut self,
        engine: &mut Engine,
        now_ms: u64,
        first_kept: u64,
        uncommitted: Option<Uncommitted>,
    ) -> io::Result<()> {
        let (place, manifest) = self.files();
        let rdb = engine.state.settings.aof_use_rdb_preamble;
        let work = Work { place, manifest, first_kept, uncommitted, rdb };
        let child = self.writers.start(engine, self.claim(), &work)?;
        engine.begin_snapshot();
        let figures = &mut engine.state.persistence;
        figures.rewrite_in_progress = true;
        figures.rewrite_scheduled = false;
        figures.rewrite_started_ms = now_ms;
        log::info!("Background append only file rewriting started by pid {}", child.pid());
        let heals = self.sync_failed;
        self.rewrite = Rewrite::Running(Box::new(Running { child, work, heals }));
        Ok(())
    }

    /// Looks how the child is doing, and finishes the rewrite when it has ended.
    pub fn watch_child(&mut self, engine: &mut Engine, now_ms: u64) {
        let Rewrite::Running(running) = &mut self.rewrite else { return };
        let ended = running.child.watch(&mut engine.state.persistence);
        let Some(finished) = ended else { return };
        let Rewrite::Running(running) = std::mem::replace(&mut self.rewrite, Rewrite::None) else { return };
        engine.end_snapshot();
        let figures = &mut engine.state.persistence;
        figures.child_cow_bytes = running.child.cow_bytes();
        figures.last_rewrite_secs = (now_ms.saturating_sub(figures.rewrite_started_ms) / 1000) as i64;
        // A child that was killed may have committed before; what is on disk decides.
        let committed = self.take_up_manifest(&running);
        let why = match (committed, finished) {
            (Ok(true), finished) => {
                let failed = matches!(finished, Finished::Failed(_));
                return self.make_last(&mut engine.state, now_ms, failed, running.heals);
            }
            // What the manifest names is not known, so nothing is deleted and nothing written over it.
            (Err(error), _) => {
                self.is_stale = true;
                error.to_string()
            }
            (Ok(false), finished) => {
                self.remove_attempt(&running);
                running.work.uncommitted.iter().for_each(|uncommitted| self.abandon_increment(uncommitted));
                match finished {
                    Finished::Failed(why) => why,
                    Finished::Done => "its base is not in the manifest".to_owned(),
                }
            }
        };
        if running.work.uncommitted.is_some() && !self.sync_failed {
            self.let_go(&mut engine.state);
            engine.state.settings.appendonly = false;
        }
        engine.state.persistence.rewrite_in_progress = false;
        self.rewrite_failed(&mut engine.state, now_ms, &why);
    }

    /// The manifest of a rewrite is in force. Before it counts its names must last, which a child that failed after the
    /// commit may not have seen to; and if it is to heal the log, so must what was written since.
    fn make_last(&mut self, state: &mut State, now_ms: u64, failed: bool, heals: bool) {
        let open = |path: &&Path| {
            fault::again(|| self.place.disk().open(path, How::Read)).map_err(fault::on("open", path))
        };
        let names = self.directories();
        let opened = names.iter().filter(|_| failed).map(open).collect::<io::Result<VecDeque<_>>>();
        let mut todo = match opened {
            Ok(todo) => todo,
            Err(error) => return self.lasts_not(state, now_ms, &error.to_string()),
        };
        if heals && let Some(file) = &self.file {
            todo.push_back(Rc::clone(file.file()));
            if state.log.pending().is_empty() {
                // What was never written to the old file is in the base.
                self.written = state.gate.close_batch();
            }
        }
        self.rewrite = Rewrite::Lasting(Box::new(Lasting { todo, heals }));
        self.sync_last(state, now_ms);
    }

    /// Asks for the next of the syncs that a rewrite ends with, if the helper is free.
    pub(super) fn sync_last(&mut self, state: &mut State, now_ms: u64) {
        let Rewrite::Lasting(lasting) = &self.rewrite else { return };
        let Some(file) = lasting.todo.front() else {
            let heals = lasting.heals;
            return self.rewrite_succeeded(state, heals);
        };
        if self.syncer.request(file, What::All) {
            let offset = self.file.as_ref().map_or(0, AppendFile::offset);
            self.under_way = Some(Asked::Last(self.written, offset));
            self.note_request(state, now_ms);
        }
    }

    /// One of the syncs that a rewrite ends with is done.
    pub(super) fn last_synced(&mut self, state: &mut State, now_ms: u64, result: Result<(), i32>) {
        syncing::note_answer(state);
        let Some(Asked::Last(batch, offset)) = self.under_way.take() else { return };
        let Rewrite::Lasting(lasting) = &mut self.rewrite else { return };
        lasting.todo.pop_front();
        if let Err(errno) = result {
            return self.lasts_not(state, now_ms, &syncing::why(errno));
        }
        if lasting.heals && lasting.todo.is_empty() {
            self.asked = batch;
            self.note_synced(state, offset);
        }
        self.sync_last(state, now_ms);
    }

    /// A sync that a rewrite ends with has failed: another rewrite has to heal.
    fn lasts_not(&mut self, state: &mut State, now_ms: u64, why: &str) {
        self.note_failed_sync(state, why);
        state.persistence.rewrite_in_progress = false;
        self.rewrite_failed(state, now_ms, why);
    }

    /// Reads the manifest that a child may have committed. Returns whether it did.
    fn take_up_manifest(&mut self, running: &Running) -> io::Result<bool> {
        let base = running.work.base();
        match Manifest::read(&self.place)? {
            Some(mut manifest) if manifest.base.as_ref() == Some(&base) => {
                // Those that the child has deleted need not be named again.
                manifest
                    .history
                    .retain(|part| manifest::look(self.place.disk(), &self.place.path(&part.name)).is_ok());
                self.manifest = manifest;
                self.ours = true;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// What a child has left that did not get to commit the manifest: its base under either name, and the draft of a
    /// manifest, if it was killed before it could see to that itself.
    fn remove_attempt(&self, running: &Running) {
        self.remove_leftover(running.child.path());
        self.remove_leftover(&self.place.path(&running.work.base().name));
        Manifest::forget_draft(&self.place);
    }

    /// A log that was to be switched on is not: its increment goes, whichever name it has got to.
    fn abandon_increment(&self, uncommitted: &Uncommitted) {
        self.remove_leftover(&uncommitted.path);
        self.remove_leftover(&self.place.path(&uncommitted.part.name));
    }

    /// Ends a rewrite that is under way, before the log is switched off or the server stops.
    pub(super) fn end_rewrite(&mut self, engine: &mut Engine) {
        self.forget_preparing();
        if matches!(self.rewrite, Rewrite::Lasting(_)) {
            self.forget_sync();
            self.rewrite = Rewrite::None;
            engine.state.persistence.rewrite_in_progress = false;
        }
        let Rewrite::Running(mut running) = std::mem::replace(&mut self.rewrite, Rewrite::None) else {
            return;
        };
        running.child.end();
        self.remove_leftover(running.child.path());
        if matches!(self.take_up_manifest(&running), Ok(false)) {
            self.remove_attempt(&running);
            running.work.uncommitted.iter().for_each(|uncommitted| self.abandon_increment(uncommitted));
            if running.work.uncommitted.is_some() && !self.sync_failed {
                // Without its base there is no log, should the server go on all the same.
                self.let_go(&mut engine.state);
                engine.state.settings.appendonly = false;
            }
        }
        engine.end_snapshot();
        engine.state.persistence.rewrite_in_progress = false;
    }

    fn rewrite_succeeded(&mut self, state: &mut State, heals: bool) {
        self.rewrite = Rewrite::None;
        self.retry_at_ms = 0;
        if heals {
            self.heal(state);
        }
        if self.mark != Mark::None && !self.sync_failed {
            // A log that was switched off and on after a sync had failed has got rid of those files as well.
            self.remove_leftover(&self.place.unsynced_mark());
            self.mark = Mark::None;
        }
        let figures = &mut state.persistence;
        figures.rewrite_in_progress = false;
        figures.last_rewrite_ok = true;
        figures.rewrites += 1;
        figures.rewrites_consecutive_failures = 0;
        figures.current_size = self.size();
        figures.base_size = figures.current_size;
        log::info!("Background AOF rewrite finished successfully");
    }

    /// After a sync that failed everything is in new files, and on disk up to the batch that was last asked for.
    fn heal(&mut self, state: &mut State) {
        self.sync_failed = false;
        log::warn!("The append only file is whole again: writes are accepted");
        self.written_well = self.written;
        state.gate.set_synced(self.asked);
        state.persistence.last_write_ok = true;
        state.persistence.last_write_error.clear();
    }

    fn rewrite_failed(&mut self, state: &mut State, now_ms: u64, why: &str) {
        self.rewrite = Rewrite::None;
        let figures = &mut state.persistence;
        figures.last_rewrite_ok = false;
        figures.rewrite_scheduled = false;
        figures.rewrites_consecutive_failures += 1;
        let doublings = (figures.rewrites_consecutive_failures as u32 - 1).min(RETRY_DOUBLINGS_MAX);
        let after_ms = if self.sync_failed { HEAL_AFTER_MS } else { RETRY_AFTER_MS };
        self.retry_at_ms = now_ms + (after_ms << doublings);
        log::warn!("Background AOF rewrite failed: {why}");
    }
}
