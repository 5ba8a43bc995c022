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

use crate::base::date::UnixMs;
use crate::config::{AppendFsync, Settings};
use crate::engine::Engine;
use crate::io::aof::append::AppendFile;
use crate::io::aof::batch;
use crate::io::aof::child::Work;
use crate::io::aof::damage::cut_tail;
use crate::io::aof::fault;
use crate::io::aof::manifest::{self, Found, Manifest, Place};
use crate::io::aof::reader::{self, Loaded, Sink};
use crate::io::aof::sync::Syncer;
use crate::io::child::Child;
use crate::io::sys;
use crate::state::State;

mod rewrite;

/// Milliseconds between two syncs under `everysec`.
const SYNC_EVERY_MS: u64 = 1000;
/// Milliseconds that a rewrite which failed is not tried again by itself; doubled with each failure.
const RETRY_AFTER_MS: u64 = 60_000;
/// The same after a sync that failed, when writes are refused until a rewrite succeeds.
const HEAL_AFTER_MS: u64 = 1000;
/// Doublings of the wait after failed rewrites.
const RETRY_DOUBLINGS_MAX: u32 = 6;

/// Which replies may go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sendable {
    /// Those that depend on no later batch than this one: under `appendfsync always` it is on disk.
    pub synced: u64,
    /// Those to clients that wrote into no later batch than this one: the file has it. Matters while the disk fails.
    pub written: u64,
}

/// The log on disk.
pub struct Store {
    place: Place,
    old_style: PathBuf,
    manifest: Manifest,
    /// Claims the directory: two servers that write one log would each lose what the other wrote.
    claim: Option<fs::File>,
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
    Running(Box<Running>),
}

struct Running {
    child: Child,
    work: Work,
    /// It was begun after a sync had failed, and none has failed since.
    heals: bool,
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
            claim: None,
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
        self.claim_directory()?;
        self.manifest = match manifest::find(&self.place, &self.old_style)? {
            Found::Nothing => return Ok(0),
            Found::Manifest(found) => found,
            Found::OldStyle(path) => {
                log::info!("Taking the log {} into {}", path.display(), self.place.directory().display());
                manifest::make_directory(&self.place)?;
                self.claim_directory()?;
                manifest::upgrade(&self.place, &path)?
            }
        };
        reader::total_bytes(&self.place, &self.manifest)
    }

    /// Claims the directory of the log, if it is there.
    fn claim_directory(&mut self) -> io::Result<()> {
        let directory = self.place.directory();
        if self.claim.is_some() {
            return Ok(());
        }
        let claim = match fs::File::open(directory) {
            Ok(claim) => claim,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fault::on("open", directory)(error)),
        };
        if !sys::claim(&claim).map_err(fault::on("claim", directory))? {
            let text = format!(
                "another server is using the log in {}: stop it, or give this one a dir or an appenddirname of its \
                 own",
                std::path::absolute(directory)?.display()
            );
            return Err(io::Error::new(ErrorKind::ResourceBusy, text));
        }
        self.claim = Some(claim);
        Ok(())
    }

    /// What there is to load, for [`reader::load`].
    pub fn files(&self) -> (Place, Manifest) {
        (self.place.clone(), self.manifest.clone())
    }

    /// Whether there is no log yet.
    pub fn is_new(&self) -> bool {
        self.manifest.base.is_none() && self.manifest.increments.is_empty()
    }

    /// Takes a dump, whose data was loaded, as the base of a log that begins. The dump stays where it is.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn adopt(&mut self, dump: &Path) -> io::Result<()> {
        manifest::make_directory(&self.place)?;
        self.claim_directory()?;
        let base = self.manifest.next_base(&self.place, true);
        let path = self.place.path(&base.name);
        remove_leftover(&path);
        // A second name for the same file; nobody ever writes into either. Not every file system has such names.
        if fs::hard_link(dump, &path).is_err() {
            fs::copy(dump, &path).map_err(fault::on("copy the dump to", &path))?;
        }
        fs::File::open(&path).and_then(|file| file.sync_all()).map_err(fault::on("sync", &path))?;
        self.manifest.base = Some(base);
        Ok(())
    }

    /// The log was read: cuts off a torn tail, and opens the last file for what follows.
    ///
    /// # Errors
    ///
    /// The tail may not be cut off, or the disk fails.
    pub fn open(&mut self, settings: &Settings, loaded: Vec<Loaded>) -> io::Result<()> {
        manifest::make_directory(&self.place)?;
        self.claim_directory()?;
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

    /// What children must let go of.
    pub fn claim(&self) -> Option<&fs::File> {
        self.claim.as_ref()
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

    /// Which replies may go out.
    pub fn sendable(&self, state: &State) -> Sendable {
        let gated = state.gate.active && !self.syncs_are_held_off(state);
        Sendable {
            synced: if gated { state.gate.synced() } else { u64::MAX },
            written: if state.persistence.last_write_ok { u64::MAX } else { self.written },
        }
    }

    /// `no-appendfsync-on-rewrite`: whoever sets it would rather not wait for the disk while a child keeps it busy.
    fn syncs_are_held_off(&self, state: &State) -> bool {
        state.settings.no_appendfsync_on_rewrite && matches!(self.rewrite, Rewrite::Running(_))
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
        let wanted = matches!(self.rewrite, Rewrite::Wanted) && unsynced;
        if wanted || due && !self.syncs_are_held_off(state) {
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
        let Some(result) = self.syncer.finished() else { return };
        engine.state.persistence.pending_sync = false;
        if let Some(since_ms) = engine.state.persistence.sync_since_ms.take()
            && self.policy == AppendFsync::Always
        {
            let nanos = now_ms.saturating_sub(since_ms).saturating_mul(1_000_000);
            engine.state.note_latency("aof-fsync-always", nanos);
        }
        if let Some(errno) = result.failed {
            let error = io::Error::from_raw_os_error(errno);
            self.note_failure(&mut engine.state, &format!("sync: {error}"));
            self.sync_failed = true;
            if let Rewrite::Running(running) = &mut self.rewrite {
                running.heals = false;
            }
            self.rewrite_now_if_idle(engine, now_ms);
            return;
        }
        if !self.sync_failed {
            engine.state.gate.set_synced(result.done);
        }
        if let Some(file) = &mut self.file
            && result.done == self.asked.0
            && self.asked.1 <= file.offset()
            && self.policy != AppendFsync::No
        {
            file.set_synced(Some(self.asked.1));
        }
        self.sync_if_due(&mut engine.state, now_ms);
        self.rewrite_if_wanted(engine, now_ms);
    }

    /// Starts the rewrite that waited until everything was synced.
    fn rewrite_if_wanted(&mut self, engine: &mut Engine, now_ms: u64) {
        let is_synced = self.asked.0 == self.written && !self.syncer.is_busy();
        if matches!(self.rewrite, Rewrite::Wanted) && is_synced {
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
        self.rewrite_if_wanted(engine, now_ms);
        let persistence = &mut engine.state.persistence;
        persistence.rewrite_scheduled = matches!(self.rewrite, Rewrite::Wanted);
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
        self.claim_directory()?;
        manifest::delete_leftovers(&self.place)?;
        self.manifest = Manifest::read(&self.place)?.unwrap_or_default();
        let part = self.manifest.clone().add_increment(&self.place).clone();
        let path = self.place.temporary_increment();
        remove_leftover(&path);
        let file = AppendFile::create(&path)?;
        self.file = Some(file);
        if let Err(error) = self.fork(engine, now_ms, part.seq, Some(path.clone())) {
            (self.file, self.claim) = (None, None);
            remove_leftover(&path);
            return Err(error);
        }
        self.begin(&mut engine.state);
        Ok(())
    }

    /// `CONFIG SET appendonly no`: what was written is synced, the child ended. A disk that fails is told of and
    /// does not keep the log on: to be rid of it may be why it is switched off.
    pub fn switch_off(&mut self, engine: &mut Engine) {
        if let Err(error) = self.flush(&mut engine.state) {
            log::warn!("The append only file is switched off without its last records: {error}");
        }
        self.end_rewrite(engine);
        self.let_go(&mut engine.state);
    }

    /// The log is off from now on: nobody waits for it any more.
    fn let_go(&mut self, state: &mut State) {
        (self.file, self.claim) = (None, None);
        self.sync_failed = false;
        state.log.pending_mut().clear();
        self.written = state.gate.close_batch();
        self.asked.0 = self.written;
        state.gate.set_synced(self.written);
        state.persistence.last_write_ok = true;
        state.persistence.last_write_error.clear();
        self.begin(state);
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
        if self.sync_failed {
            // Another sync would succeed, and prove nothing.
            return Err(io::Error::other(state.persistence.last_write_error.clone()));
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

    /// Whether the files of the log hold all data, for `DEBUG LOADAOF`.
    ///
    /// # Errors
    ///
    /// They do not, and why.
    pub fn may_be_read_again(&self) -> io::Result<()> {
        match &self.rewrite {
            _ if !self.is_on() => Err(io::Error::other("the append only file is off")),
            Rewrite::Running(running) if running.work.uncommitted.is_some() => {
                Err(io::Error::other("the append only file is being written for the first time"))
            }
            _ => Ok(()),
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
}

fn remove_leftover(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        log::warn!("Could not delete {}: {error}", path.display());
    }
}
