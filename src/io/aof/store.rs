//! The life of the log: found and loaded at the start, written each turn, synced by the policy, rewritten by a child.
//!
//! # A rewrite
//!
//! 1. Everything written so far is synced, so that only the file that comes next can have a torn tail.
//! 2. A new increment is begun and, with the manifest naming it, everything from now on goes there.
//! 3. The child is forked. It sees the data as it is at this moment and writes it to a temporary file.
//! 4. When it is done the child renames that file to the next base and commits the manifest, in which the new base
//!    and the new increment stand for all files before them. Then it deletes those and ends. The parent reads the
//!    manifest to see what was achieved, so a child that is killed at any moment leaves no doubt.
//!
//! A failure or a kill anywhere leaves a manifest whose files are whole, at worst with a file beside them that the
//! next start deletes.
//!
//! The log is switched on by the same steps, only that the manifest is first committed in step 4: until there is a
//! base, what the increment holds stands for nothing. Until then it has a temporary name.
//!
//! # When the disk fails
//!
//! Records that could not be written stay in memory, and writes are refused until they are in the file. A sync that
//! failed is not tried again, as the kernel forgets what it could not write: a rewrite puts all data into new files
//! instead, and when its base is on disk everything is.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::date::UnixMs;
use crate::config::{AppendFsync, Settings};
use crate::engine::Engine;
use crate::io::aof::append::AppendFile;
use crate::io::aof::batch;
use crate::io::aof::child::{Child, Finished, Work};
use crate::io::aof::damage::cut_tail;
use crate::io::aof::manifest::{self, Found, Manifest, Place};
use crate::io::aof::reader::{self, Loaded, Sink};
use crate::io::aof::sync::Syncer;
use crate::state::State;

/// Milliseconds between two syncs under `everysec`.
const SYNC_EVERY_MS: u64 = 1000;
/// Milliseconds that a rewrite which failed is not tried again by itself; doubled with each failure.
const RETRY_AFTER_MS: u64 = 60_000;
/// Doublings of the wait after failed rewrites.
const RETRY_DOUBLINGS_MAX: u32 = 6;

/// The log on disk.
pub struct Store {
    place: Place,
    old_style: PathBuf,
    manifest: Manifest,
    /// The file that is written to; `None` while the log is off.
    file: Option<AppendFile>,
    syncer: Syncer,
    policy: AppendFsync,
    /// Number of the last batch written, and of the last one that a sync was asked for with the file's length then.
    written: u64,
    asked: (u64, u64),
    last_sync_ms: u64,
    last_timestamp_secs: i64,
    /// A sync failed: only a rewrite heals.
    sync_failed: bool,
    rewrite: Rewrite,
    retry_at_ms: u64,
}

/// Where a rewrite stands.
enum Rewrite {
    None,
    /// It begins when what was written so far is synced.
    Wanted,
    Running(Running),
}

struct Running {
    child: Child,
    work: Work,
}

impl Store {
    /// The log that the settings name, not looked at yet. `wake` is called by the helper thread after each sync.
    ///
    /// # Errors
    ///
    /// The helper thread cannot be started.
    pub fn new(settings: &Settings, wake: impl Fn() + Send + 'static) -> io::Result<Store> {
        Ok(Store {
            place: Place::new(&settings.appenddirname, &settings.appendfilename),
            old_style: PathBuf::from(&settings.appendfilename),
            manifest: Manifest::default(),
            file: None,
            syncer: Syncer::start(wake)?,
            policy: settings.appendfsync,
            written: 0,
            asked: (0, 0),
            last_sync_ms: 0,
            last_timestamp_secs: 0,
            sync_failed: false,
            rewrite: Rewrite::None,
            retry_at_ms: 0,
        })
    }

    /// Bytes that [`Store::load`] will read; 0 if there is no log yet.
    ///
    /// # Errors
    ///
    /// The files on disk are not a log that can be loaded.
    pub fn find(&mut self) -> io::Result<u64> {
        self.manifest = match manifest::find(&self.place, &self.old_style)? {
            Found::Nothing => return Ok(0),
            Found::Manifest(found) => found,
            Found::OldStyle(path) => {
                log::info!("Taking the log {} into {}", path.display(), self.place.directory().display());
                manifest::upgrade(&self.place, &path)?
            }
        };
        reader::total_bytes(&self.place, &self.manifest)
    }

    /// What there is to load, for [`reader::load`].
    pub fn files(&self) -> (Place, Manifest) {
        (self.place.clone(), self.manifest.clone())
    }

    /// The log was read: cuts off a torn tail, and opens the last file for what follows.
    ///
    /// # Errors
    ///
    /// The tail may not be cut off, or the disk fails.
    pub fn open(&mut self, settings: &Settings, loaded: Vec<Loaded>) -> io::Result<()> {
        manifest::make_directory(&self.place)?;
        manifest::delete_leftovers(&self.place)?;
        let mut last = None;
        for loaded in loaded {
            if let Some(torn) = &loaded.report.torn {
                let path = loaded.path.display();
                if !settings.aof_load_truncated {
                    let text = format!(
                        "Unexpected end of file reading the append only file {path} at offset {}: {}. Run kvick \
                         check-aof --fix on it, or set aof-load-truncated yes",
                        torn.at, torn.why
                    );
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
                }
                let kept = cut_tail(&loaded.path, loaded.report.good)?;
                log::warn!(
                    "The append only file {path} ended in a torn tail ({}): cut off at {}, kept in {}",
                    torn.why,
                    loaded.report.good,
                    kept.display()
                );
            }
            last = Some((loaded.path, loaded.report.good));
        }
        self.manifest.delete_history(&self.place)?;
        let file = match self.manifest.increments.last().zip(last) {
            Some((_, (path, good))) => AppendFile::open(&path, good)?,
            None => {
                let part = self.manifest.add_increment(&self.place).clone();
                let file = AppendFile::create(&self.place.path(&part.name))?;
                self.manifest.commit(&self.place)?;
                file
            }
        };
        self.file = Some(file);
        Ok(())
    }

    /// Whether the log is on.
    pub fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// The log counts from now on: figures, records and gate are set up.
    pub fn begin(&mut self, state: &mut State) {
        state.log.enabled = self.is_on();
        state.log.forget_database();
        state.persistence.aof_enabled = self.is_on();
        state.persistence.current_size = self.size();
        state.persistence.base_size = state.persistence.current_size;
        self.set_policy(self.policy, state);
    }

    fn size(&self) -> u64 {
        reader::total_bytes(&self.place, &self.manifest).unwrap_or(0)
    }

    /// `CONFIG SET appendfsync`.
    pub fn set_policy(&mut self, policy: AppendFsync, state: &mut State) {
        self.policy = policy;
        state.gate.active = self.is_on() && policy == AppendFsync::Always;
        if policy == AppendFsync::No
            && let Some(file) = &mut self.file
        {
            file.set_synced(None);
        }
    }

    /// The last batch whose replies may go out.
    pub fn sendable(&self, state: &State) -> u64 {
        if state.gate.active { state.gate.synced() } else { u64::MAX }
    }

    /// Step 4 of the turn: writes the records that were gathered, as one batch, and asks for a sync as the policy
    /// says.
    pub fn write(&mut self, state: &mut State, date: UnixMs, now_ms: u64) {
        if !state.log.pending().is_empty() {
            if state.settings.aof_timestamp_enabled && date.secs() != self.last_timestamp_secs {
                self.last_timestamp_secs = date.secs();
                let mut stamped = Vec::with_capacity(state.log.pending().len() + 32);
                batch::timestamp(&mut stamped, date.secs());
                stamped.extend_from_slice(state.log.pending());
                *state.log.pending_mut() = stamped;
            }
            self.write_pending(state);
        }
        self.sync_if_due(state, now_ms);
    }

    fn write_pending(&mut self, state: &mut State) {
        let Some(file) = &mut self.file else {
            state.log.pending_mut().clear();
            return;
        };
        let before = file.offset();
        match file.append(state.log.pending()) {
            Ok(()) => {
                state.log.pending_mut().clear();
                self.written = state.gate.close_batch();
                state.persistence.current_size += file.offset() - before;
                if !state.persistence.last_write_ok && !self.sync_failed {
                    log::warn!("The append only file can be written again: writes are accepted");
                    state.persistence.last_write_ok = true;
                    state.persistence.last_write_error.clear();
                }
            }
            Err(error) => self.note_failure(state, &error.to_string()),
        }
    }

    fn note_failure(&mut self, state: &mut State, why: &str) {
        if state.persistence.last_write_ok {
            log::error!("Writing the append only file failed: {why}. Writes are refused until it succeeds");
        }
        state.persistence.last_write_ok = false;
        why.clone_into(&mut state.persistence.last_write_error);
    }

    fn sync_if_due(&mut self, state: &mut State, now_ms: u64) {
        let unsynced = self.asked.0 < self.written;
        let due = match self.policy {
            AppendFsync::Always => unsynced,
            AppendFsync::Everysec => unsynced && self.last_sync_ms + SYNC_EVERY_MS <= now_ms,
            AppendFsync::No => false,
        };
        let held_off =
            state.settings.no_appendfsync_on_rewrite && matches!(self.rewrite, Rewrite::Running(_));
        let wanted = matches!(self.rewrite, Rewrite::Wanted) && unsynced;
        if wanted || due && !held_off {
            self.ask_for_sync(state, now_ms);
        }
    }

    fn ask_for_sync(&mut self, state: &mut State, now_ms: u64) {
        let Some(file) = &self.file else { return };
        if self.syncer.request(file.file(), self.written) {
            self.asked = (self.written, file.offset());
            self.last_sync_ms = now_ms;
            state.persistence.pending_sync = true;
            state.persistence.sync_since_ms = Some(now_ms);
        } else if self.policy == AppendFsync::Everysec && self.last_sync_ms + 2 * SYNC_EVERY_MS <= now_ms {
            state.persistence.delayed_fsync += 1;
            self.last_sync_ms = now_ms;
        }
    }

    /// The helper has finished a sync.
    pub fn synced(&mut self, engine: &mut Engine, now_ms: u64) {
        let result = self.syncer.state();
        if result.busy {
            return;
        }
        engine.state.persistence.pending_sync = false;
        engine.state.persistence.sync_since_ms = None;
        if let Some(errno) = result.failed {
            let error = io::Error::from_raw_os_error(errno);
            self.note_failure(&mut engine.state, &format!("sync: {error}"));
            self.sync_failed = true;
            self.rewrite_now_if_idle(engine, now_ms);
            return;
        }
        engine.state.gate.set_synced(result.done);
        if let Some(file) = &mut self.file
            && result.done == self.asked.0
            && self.asked.1 <= file.offset()
            && self.policy != AppendFsync::No
        {
            file.set_synced(Some(self.asked.1));
        }
        self.sync_if_due(&mut engine.state, now_ms);
        if matches!(self.rewrite, Rewrite::Wanted) && !self.syncer.state().busy {
            self.rewrite_now_if_idle(engine, now_ms);
        }
    }

    /// The tick: retries a write that failed, syncs an idle tail, looks after the child, starts a rewrite that is due.
    pub fn tick(&mut self, engine: &mut Engine, now_ms: u64) {
        if !self.is_on() {
            return;
        }
        if !engine.state.persistence.last_write_ok {
            if self.sync_failed {
                if self.retry_at_ms <= now_ms {
                    self.rewrite_now_if_idle(engine, now_ms);
                }
            } else {
                // Even with nothing to write: an empty batch shows whether the disk takes bytes.
                self.write_pending(&mut engine.state);
            }
        }
        self.sync_if_due(&mut engine.state, now_ms);
        self.watch_child(engine, now_ms);
        self.rewrite_if_grown(engine, now_ms);
        if matches!(self.rewrite, Rewrite::Wanted)
            && self.asked.0 == self.written
            && !self.syncer.state().busy
        {
            self.rewrite_now_if_idle(engine, now_ms);
        }
        let persistence = &mut engine.state.persistence;
        persistence.rewrite_scheduled = matches!(self.rewrite, Rewrite::Wanted);
    }

    fn rewrite_if_grown(&mut self, engine: &mut Engine, now_ms: u64) {
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
            Rewrite::Running(_) => Err("ERR Background append only file rewriting already in progress"),
            Rewrite::Wanted => Ok("Background append only file rewriting scheduled"),
            Rewrite::None => {
                self.rewrite = Rewrite::Wanted;
                state.persistence.rewrite_scheduled = true;
                Ok("Background append only file rewriting started")
            }
        }
    }

    /// Begins a rewrite that was wanted, if everything is written; see the head of this file.
    fn rewrite_now_if_idle(&mut self, engine: &mut Engine, now_ms: u64) {
        if matches!(self.rewrite, Rewrite::Running(_)) {
            return;
        }
        if !engine.state.log.pending().is_empty() && !self.sync_failed {
            // The turn has gathered records already: after they are written.
            self.rewrite = Rewrite::Wanted;
            return;
        }
        if let Err(error) = self.start_rewrite(engine, now_ms) {
            self.rewrite_failed(&mut engine.state, now_ms, &error.to_string());
        }
    }

    fn start_rewrite(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        if let Some(file) = &self.file
            && !self.sync_failed
        {
            file.sync_now()?;
        }
        let mut manifest = self.manifest.clone();
        let part = manifest.add_increment(&self.place).clone();
        let file = AppendFile::create(&self.place.path(&part.name))?;
        manifest.commit(&self.place)?;
        self.manifest = manifest;
        engine.state.gate.set_synced(if self.sync_failed { 0 } else { self.written });
        self.switch_to(file, &mut engine.state);
        if self.sync_failed {
            // All that the old file may have lost is in the snapshot, together with what waits to be written.
            engine.state.log.pending_mut().clear();
        }
        self.fork(engine, now_ms, part.seq, None)
    }

    fn switch_to(&mut self, file: AppendFile, state: &mut State) {
        self.file = Some(file);
        self.asked = (self.asked.0.max(self.written), 0);
        if self.policy != AppendFsync::No
            && let Some(file) = &mut self.file
        {
            file.set_synced(Some(0));
        }
        state.log.forget_database();
    }

    fn fork(
        &mut self,
        engine: &mut Engine,
        now_ms: u64,
        first_kept: u64,
        uncommitted: Option<PathBuf>,
    ) -> io::Result<()> {
        let (place, manifest) = self.files();
        let work = Work { place, manifest, first_kept, uncommitted };
        let child = Child::start(engine, &work)?;
        engine.begin_snapshot();
        let figures = &mut engine.state.persistence;
        figures.rewrite_in_progress = true;
        figures.rewrite_scheduled = false;
        figures.rewrite_started_ms = now_ms;
        log::info!("Background append only file rewriting started by pid {}", child.pid());
        self.rewrite = Rewrite::Running(Running { child, work });
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
        figures.rewrite_in_progress = false;
        figures.last_rewrite_secs = (now_ms.saturating_sub(figures.rewrite_started_ms) / 1000) as i64;
        let temporary = running.child.path().to_path_buf();
        // A child that was killed may have committed before; what is on disk decides.
        let committed = self.take_up_manifest(&running);
        match (committed, finished) {
            (Ok(true), _) => self.rewrite_succeeded(&mut engine.state),
            (committed, finished) => {
                let why = match (committed, finished) {
                    (Err(error), _) => error.to_string(),
                    (_, Finished::Failed(why)) => why,
                    (_, Finished::Done) => "its base is not in the manifest".to_owned(),
                };
                remove_leftover(&temporary);
                if let Some(path) = &running.work.uncommitted {
                    remove_leftover(path);
                    self.file = None;
                    self.begin(&mut engine.state);
                    engine.state.settings.appendonly = false;
                }
                self.rewrite_failed(&mut engine.state, now_ms, &why);
            }
        }
    }

    /// Reads the manifest that a child may have committed. Returns whether it did.
    fn take_up_manifest(&mut self, running: &Running) -> io::Result<bool> {
        let base = running.work.manifest.next_base(&self.place);
        match Manifest::read(&self.place)? {
            Some(mut manifest) if manifest.base.as_ref() == Some(&base) => {
                // Those that the child has deleted need not be named again.
                manifest.history.retain(|part| self.place.path(&part.name).exists());
                self.manifest = manifest;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn rewrite_succeeded(&mut self, state: &mut State) {
        self.retry_at_ms = 0;
        if std::mem::take(&mut self.sync_failed) {
            state.persistence.last_write_ok = true;
            state.persistence.last_write_error.clear();
        }
        let figures = &mut state.persistence;
        figures.last_rewrite_ok = true;
        figures.rewrites += 1;
        figures.rewrites_consecutive_failures = 0;
        figures.current_size = self.size();
        figures.base_size = figures.current_size;
        log::info!("Background AOF rewrite finished successfully");
    }

    fn rewrite_failed(&mut self, state: &mut State, now_ms: u64, why: &str) {
        self.rewrite = Rewrite::None;
        let figures = &mut state.persistence;
        figures.last_rewrite_ok = false;
        figures.rewrite_scheduled = false;
        figures.rewrites_consecutive_failures += 1;
        let doublings = (figures.rewrites_consecutive_failures as u32 - 1).min(RETRY_DOUBLINGS_MAX);
        self.retry_at_ms = now_ms + (RETRY_AFTER_MS << doublings);
        log::warn!("Background AOF rewrite failed: {why}");
    }

    /// `CONFIG SET appendonly yes`: a new log, whose base a child writes.
    ///
    /// # Errors
    ///
    /// Nothing has changed.
    pub fn switch_on(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        if self.is_on() {
            return Ok(());
        }
        if matches!(self.rewrite, Rewrite::Running(_)) {
            return Err(io::Error::other("a child of the log that was switched off is still running"));
        }
        manifest::make_directory(&self.place)?;
        manifest::delete_leftovers(&self.place)?;
        self.manifest = Manifest::read(&self.place)?.unwrap_or_default();
        let part = self.manifest.clone().add_increment(&self.place).clone();
        let path = self.place.temporary_increment();
        remove_leftover(&path);
        let file = AppendFile::create(&path)?;
        self.file = Some(file);
        if let Err(error) = self.fork(engine, now_ms, part.seq, Some(path.clone())) {
            self.file = None;
            remove_leftover(&path);
            return Err(error);
        }
        self.begin(&mut engine.state);
        Ok(())
    }

    /// `CONFIG SET appendonly no`: what was written is synced, the child ended.
    ///
    /// # Errors
    ///
    /// The tail could not be written or synced; the log stays on.
    pub fn switch_off(&mut self, engine: &mut Engine) -> io::Result<()> {
        self.flush(&mut engine.state)?;
        if let Rewrite::Running(running) = &mut self.rewrite {
            running.child.end();
            remove_leftover(running.child.path());
            if let Some(path) = &running.work.uncommitted {
                remove_leftover(path);
            }
            engine.end_snapshot();
            engine.state.persistence.rewrite_in_progress = false;
        }
        self.rewrite = Rewrite::None;
        self.file = None;
        engine.state.gate.set_synced(self.written);
        self.begin(&mut engine.state);
        Ok(())
    }

    /// Writes and syncs everything, in this thread, and leaves a last word saying so.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn flush(&mut self, state: &mut State) -> io::Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        if !state.log.pending().is_empty() {
            self.write_pending(state);
            if !state.persistence.last_write_ok {
                return Err(io::Error::other(state.persistence.last_write_error.clone()));
            }
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.sync_now()?;
        if self.policy != AppendFsync::No {
            file.set_synced(Some(file.offset()));
            file.append(&[])?;
            file.sync_now()?;
        }
        state.gate.set_synced(self.written);
        Ok(())
    }

    /// Ends a running child, at shutdown.
    pub fn end_child(&mut self) {
        if let Rewrite::Running(running) = &mut self.rewrite {
            log::warn!("There is a child rewriting the AOF. Killing it!");
            running.child.end();
            remove_leftover(running.child.path());
        }
    }

    /// Reads the files of the log again, for `DEBUG LOADAOF`.
    ///
    /// # Errors
    ///
    /// As [`reader::load`].
    pub fn read_again(&self, sink: &mut dyn Sink) -> io::Result<()> {
        reader::load(&self.place, &self.manifest, sink)?;
        Ok(())
    }

    /// The file being written, for tests of the machine around it.
    pub fn file(&self) -> Option<&Arc<fs::File>> {
        self.file.as_ref().map(AppendFile::file)
    }
}

fn remove_leftover(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        log::warn!("Could not delete {}: {error}", path.display());
    }
}
