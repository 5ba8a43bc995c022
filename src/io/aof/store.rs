//! The life of the log: found and loaded at the start, written each turn, synced by the policy, rewritten by a child.
//!
//! # A rewrite
//!
//! 1. A new increment is begun, and a manifest that names it brought to the disk, by the helper, while the old one is
//!    still written to.
//! 2. The old one gets its last word, and the child is forked. It sees the data as it is at this moment and writes it to
//!    a temporary file.
//! 3. The helper syncs the old increment. What comes meanwhile stays in memory, and so do the replies to whoever wrote
//!    it: the new increment holds nothing before the old one is whole, so that only one can have a torn tail.
//! 4. When it is done the child renames that file to the next base and commits the manifest, in which the new base
//!    and the new increment stand for all files before them. Then it deletes those and ends. The parent reads the
//!    manifest to see what was achieved, so a child that is killed at any moment leaves no doubt.
//!
//! A failure or a kill anywhere leaves a manifest whose files are whole, at worst with a file beside them that the
//! next start deletes or the next rewrite writes over.
//!
//! The log is switched on by the same steps, only that the manifest is first committed in step 4: until there is a
//! base, what the increment holds stands for nothing. Until then it has a temporary name.
//!
//! # When the disk fails
//!
//! Records that could not be written stay in memory, and writes are refused until they are in the file. A sync that
//! failed is not tried again, as the kernel forgets what it could not write: a rewrite puts all data into new files
//! instead, and when its base is on disk, and what was written to its increment meanwhile, everything is. The helper
//! brings that there as well: a disk that has failed may be slow for long, and nobody who reads waits for it. The
//! increment has a temporary name until the base is whole, as when the log is switched on: the manifest must not name it
//! while the file before it may have a hole.
//!
//! # What the start makes sure of
//!
//! What the files hold when the server starts may be in the kernel's memory only, if it was another process's end and
//! not the machine's that came between. It is synced, with the names, before anybody is shown it. Only if a sync has
//! failed before, that proves nothing: whoever sees a sync fail leaves a mark beside the log, which need not even reach
//! the disk, as a cut of the power takes what the mark is about as well. A start that finds the mark is one after a
//! sync that failed.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::config::{AppendFsync, Settings};
use crate::engine::Engine;
use crate::io::aof::append::AppendFile;
use crate::io::aof::child::{Forked, Work, Writers};
use crate::io::aof::damage::cut_tail;
use crate::io::aof::fault;
use crate::io::aof::manifest::{self, Found, Manifest, Place};
use crate::io::aof::reader::{self, Ending, Loaded, Sink};
use crate::io::aof::sync::{Syncer, Syncing};
use crate::io::child::Writer;
use crate::io::disk::{Disk, How, Real, SharedFile};
use crate::io::rdb::copy;
use crate::state::State;

mod syncing;
mod backup;
mod mark;
mod moment;
mod rewrite;

use mark::Mark;

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

/// What the log needs of the machine.
pub struct Machine {
    /// Where the files are.
    pub disk: Rc<dyn Disk>,
    /// Who syncs them.
    pub syncer: Box<dyn Syncing>,
    /// Who writes bases.
    pub writers: Box<dyn Writers>,
}

/// A sync that was asked for and has not been seen done.
#[derive(Clone, Copy)]
enum Asked {
    /// Of the file that is written to: the last batch that it takes in, and the length of the file then.
    Current(u64, u64),
    /// Of the file that was written to before, in part or as a whole.
    Old { whole: bool },
    /// Of what a rewrite prepares.
    Step,
    /// Of what a backup consists of.
    Backup,
    /// Of what a rewrite ends with; and of the file that is written to, the same as above.
    Last(u64, u64),
    /// Of what is of no use any more, or was only begun with.
    Gone,
}

/// The log on disk.
pub struct Store {
    place: Place,
    old_style: PathBuf,
    manifest: Manifest,
    /// A child may have committed another one, which could not be read.
    is_stale: bool,
    /// Claims the directory: two servers that write one log would each lose what the other wrote.
    claim: Option<SharedFile>,
    /// What the manifest names was loaded or written by this server, so that its data may replace it.
    ours: bool,
    /// The file that is written to; `None` while the log is off.
    file: Option<AppendFile>,
    /// The one before, while it is not synced: nothing is written until it is.
    old: Option<SharedFile>,
    syncer: Box<dyn Syncing>,
    writers: Box<dyn Writers>,
    policy: AppendFsync,
    /// Number of the last batch written, of the last one before a sync failed, and of the last one that a sync was
    /// asked for.
    written: u64,
    written_well: u64,
    asked: u64,
    /// The last batch that was written under a policy that promises a sync, whatever the policy is now.
    promised: u64,
    under_way: Option<Asked>,
    last_sync_ms: u64,
    last_delay_ms: u64,
    last_timestamp_secs: i64,
    /// Bytes of the records gathered that are said to be written at some time.
    stamped: usize,
    /// A sync failed: only a rewrite heals.
    sync_failed: bool,
    /// What says so on disk.
    mark: Mark,
    rewrite: Rewrite,
    /// The last batch that was written when a rewrite was wanted.
    wanted_at: Option<u64>,
    retry_at_ms: u64,
    backup: Option<Box<backup::Backup>>,
    /// How the last backup ended, until somebody has been told.
    backed_up: Option<Result<(), String>>,
}

/// Where a rewrite stands.
enum Rewrite {
    None,
    /// It begins when what was written so far is synced.
    Wanted,
    Preparing(Box<Preparing>),
    Running(Box<Running>),
    Lasting(Box<Lasting>),
}

/// An increment that the manifest is about to name, and what has still to be synced for that.
struct Preparing {
    manifest: Manifest,
    file: AppendFile,
    step: Step,
    /// It is for a backup, which a rewrite follows or not, and not for a rewrite.
    backup: Option<bool>,
}

/// What is to be synced next.
enum Step {
    /// The text of the manifest.
    Text(SharedFile),
    /// The names of that text and of the increment.
    Names(SharedFile),
    /// The name of the manifest.
    Published(SharedFile),
    /// Nothing.
    Ready,
}

/// A rewrite whose manifest is in force, and what has still to be synced before it counts.
struct Lasting {
    /// Directories whose names a power cut might take back, then perhaps the increment.
    todo: VecDeque<SharedFile>,
    /// It heals what a sync that failed has left.
    heals: bool,
}

struct Running {
    child: Box<dyn Writer>,
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
        let syncer = Box::new(Syncer::start(wake)?);
        let machine = Machine { disk: Rc::new(Real), syncer, writers: Box::new(Forked) };
        Ok(Store::with(settings, machine))
    }

    /// The same on a machine that is not this one.
    pub fn with(settings: &Settings, machine: Machine) -> Store {
        let Machine { disk, syncer, writers } = machine;
        Store {
            place: Place::new(&settings.appenddirname, &settings.appendfilename).on(disk),
            old_style: PathBuf::from(&settings.appendfilename),
            manifest: Manifest::default(),
            is_stale: false,
            claim: None,
            ours: false,
            file: None,
            old: None,
            syncer,
            writers,
            policy: settings.appendfsync,
            written: 0,
            written_well: 0,
            asked: 0,
            promised: 0,
            under_way: None,
            last_sync_ms: 0,
            last_delay_ms: 0,
            last_timestamp_secs: 0,
            stamped: 0,
            sync_failed: false,
            mark: Mark::None,
            rewrite: Rewrite::None,
            wanted_at: None,
            retry_at_ms: 0,
            backup: None,
            backed_up: None,
        }
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
        let claim = match fault::again(|| self.place.disk().open(directory, How::Read)) {
            Ok(claim) => claim,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fault::on("open", directory)(error)),
        };
        if !claim.claim().map_err(fault::on("claim", directory))? {
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
        self.remove_leftover(&path);
        let disk = self.place.disk();
        // A second name for the same file; nobody ever writes into either. Not every file system has such names.
        if disk.link(dump, &path).is_err() {
            copy(disk, dump, &path).map_err(fault::on("copy the dump to", &path))?;
        }
        disk.open(&path, How::Read).and_then(|file| file.sync()).map_err(fault::on("sync", &path))?;
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
        for loaded in &loaded {
            if self.policy != AppendFsync::No {
                self.sync_file(&loaded.path).inspect_err(|_| self.leave_mark())?;
            }
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
                let kept = cut_tail(self.place.disk(), &loaded.path, loaded.report.good)?;
                log::warn!(
                    "The append only file {path} ended in a torn tail ({}): cut off at {}, kept in {}",
                    torn.why,
                    loaded.report.good,
                    kept.display()
                );
            }
            last = Some((loaded.path.clone(), loaded.report.good));
        }
        self.sync_failed = self.has_mark()?;
        self.seal(&loaded).inspect_err(|_| self.leave_mark())?;
        self.sync_names()?;
        self.manifest.delete_history(&self.place)?;
        let file = match self.manifest.increments.last().zip(last) {
            Some((_, (path, good))) => AppendFile::open(self.place.disk(), &path, good)?,
            None => {
                let (manifest, file) = self.next_increment()?;
                manifest.commit(&self.place)?;
                self.manifest = manifest;
                file
            }
        };
        self.ours = true;
        self.mark = if self.sync_failed { Mark::Left } else { Mark::None };
        self.adopt_file(file, !self.sync_failed);
        Ok(())
    }

    /// The last file holds nothing: what is written into it must not follow one without its last word, nor, whatever the
    /// policy, one that a cut of the power could still take something from.
    fn seal(&self, loaded: &[Loaded]) -> io::Result<()> {
        let full = loaded.iter().rposition(|loaded| 0 < loaded.report.size);
        let Some(full) = full.filter(|full| full + 1 < loaded.len()).map(|full| &loaded[full]) else {
            return Ok(());
        };
        let mut file = AppendFile::open(self.place.disk(), &full.path, full.report.good)?;
        if self.policy != AppendFsync::No {
            // It was synced before; which proves nothing after one that failed.
            file.set_synced(Some(if self.sync_failed { 0 } else { file.offset() }));
        }
        if full.report.ending == Ending::Open {
            file.append(&[])?;
        }
        file.sync_now()
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let file =
            fault::again(|| self.place.disk().open(path, How::Read)).map_err(fault::on("open", path))?;
        fault::again(|| file.sync()).map_err(fault::on("sync", path))
    }

    /// The names of the log's files and of its directory last. Whatever the policy: what the manifest does not need is
    /// deleted next, and a cut of the power must not bring back one that does.
    fn sync_names(&self) -> io::Result<()> {
        self.directories().iter().try_for_each(|directory| self.sync_file(directory))
    }

    /// Where the names of the log's files are, and that of their directory.
    fn directories(&self) -> [&Path; 2] {
        [self.place.directory(), manifest::parent(self.place.directory())]
    }

    /// The manifest with one increment more, and that increment, empty.
    fn next_increment(&self) -> io::Result<(Manifest, AppendFile)> {
        let mut manifest = self.manifest.clone();
        let path = self.place.path(&manifest.add_free_increment(&self.place).name);
        let file = AppendFile::create(self.place.disk(), &path)?;
        Ok((manifest, file))
    }

    /// Takes a file to be written to. `synced`: all of it is on disk.
    fn adopt_file(&mut self, mut file: AppendFile, synced: bool) {
        if self.policy != AppendFsync::No {
            file.set_synced(Some(if synced { file.offset() } else { 0 }));
        }
        self.file = Some(file);
        self.old = None;
        self.forget_sync();
    }

    /// Whatever is being synced is of no use any more.
    fn forget_sync(&mut self) {
        if let Some(asked) = &mut self.under_way {
            *asked = Asked::Gone;
        }
    }

    /// What children must let go of.
    pub fn claim(&self) -> Option<RawFd> {
        self.claim.as_ref().map(|claim| claim.descriptor())
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
        if self.sync_failed {
            self.note_failure(state, "a sync failed before the last start");
            // Nobody is shown anything before it is written anew.
            state.gate.changed_whole();
        }
    }

    fn size(&self) -> u64 {
        reader::total_bytes(&self.place, &self.manifest).unwrap_or(0)
    }

    /// `CONFIG SET appendfsync`. Whatever it is changed to, what was acknowledged under `everysec` is synced within its
    /// second; and under `always` nobody is shown what was written before and is not on disk yet.
    pub fn set_policy(&mut self, policy: AppendFsync, state: &mut State) {
        if self.policy != AppendFsync::No {
            self.promised = self.written;
        }
        if self.is_on() && policy == AppendFsync::Always && !state.gate.active {
            state.gate.changed_before(self.written);
            if !state.log.pending().is_empty() {
                state.gate.changed_whole();
            }
        }
        self.policy = policy;
        state.gate.active = self.is_on() && policy == AppendFsync::Always;
        if let Some(file) = &mut self.file {
            match policy {
                AppendFsync::No => file.set_synced(None),
                // Nobody has counted: what is known for sure.
                _ if file.synced().is_none() => file.set_synced(Some(0)),
                _ => {}
            }
        }
    }

    /// Which replies may go out.
    pub fn sendable(&self, state: &State) -> Sendable {
        let gated = state.gate.active && !self.syncs_are_held_off(state);
        Sendable {
            synced: if gated { state.gate.synced() } else { u64::MAX },
            written: if state.persistence.last_write_ok && self.old.is_none() {
                u64::MAX
            } else {
                self.written_well
            },
        }
    }

    /// `no-appendfsync-on-rewrite`: whoever sets it would rather not wait for the disk while a child keeps it busy.
    fn syncs_are_held_off(&self, state: &State) -> bool {
        state.settings.no_appendfsync_on_rewrite && matches!(self.rewrite, Rewrite::Running(_))
    }

    /// Step 4 of the turn: writes the records that were gathered, as one batch, and asks for a sync as the policy
    /// says.
    pub fn write(&mut self, state: &mut State, now_ms: u64) {
        if !state.log.pending().is_empty() && self.old.is_none() {
            self.write_pending(state);
        }
        self.sync_if_due(state, now_ms);
    }

    fn write_pending(&mut self, state: &mut State) {
        if state.settings.aof_timestamp_enabled {
            self.stamp(state);
        }
        let Some(file) = &mut self.file else { return self.drop_pending(state) };
        let before = file.offset();
        match file.append(state.log.pending()) {
            Ok(()) => {
                let added = file.offset() - before;
                self.drop_pending(state);
                self.written = state.gate.close_batch();
                if !self.sync_failed {
                    self.written_well = self.written;
                }
                state.persistence.current_size += added;
                state.persistence.unsynced_bytes += added;
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

    /// The tick: retries a write that failed, syncs an idle tail, looks after the child, starts a rewrite that is due.
    pub fn tick(&mut self, engine: &mut Engine, now_ms: u64) {
        if self.mark == Mark::Owed {
            self.leave_mark();
        }
        if !self.is_on() {
            return;
        }
        if !engine.state.persistence.last_write_ok {
            if self.sync_failed {
                self.heal_if_due(engine, now_ms);
            } else if self.old.is_none() {
                // Even with nothing to write: an empty batch shows whether the disk takes bytes.
                self.write_pending(&mut engine.state);
            }
        }
        self.sync_if_due(&mut engine.state, now_ms);
        self.watch_child(engine, now_ms);
        self.sync_last(&mut engine.state, now_ms);
        self.rewrite_if_grown(engine, now_ms);
        self.go_on_with_backup(engine, now_ms);
        self.rewrite_if_wanted(engine, now_ms);
        engine.state.persistence.rewrite_scheduled = self.rewrite_follows();
    }

    /// What comes from now on goes to this file, which is empty.
    fn switch_to(&mut self, file: AppendFile, state: &mut State) {
        self.adopt_file(file, true);
        self.asked = self.written;
        // Each file says its time by itself.
        self.last_timestamp_secs = 0;
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
        let begun = self.begin_anew(engine, now_ms);
        match begun {
            Ok(()) => self.begin(&mut engine.state),
            Err(_) => (self.file, self.claim) = (None, None),
        }
        begun
    }

    fn begin_anew(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        manifest::make_directory(&self.place)?;
        self.claim_directory()?;
        manifest::delete_leftovers(&self.place)?;
        self.manifest = match self.ours {
            true => Manifest::read(&self.place)?.unwrap_or_default(),
            false => manifest::replaceable(&self.place)?,
        };
        self.is_stale = false;
        self.write_aside(engine, now_ms)
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
        self.give_backup_up("the append only file is switched off");
        (self.file, self.old, self.claim) = (None, None, None);
        self.forget_sync();
        self.sync_failed = false;
        self.drop_pending(state);
        self.written = state.gate.close_batch();
        (self.written_well, self.asked) = (self.written, self.written);
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
        self.give_backup_up("somebody waits for the append only file to be whole on disk");
        self.settle_all(state);
        if !state.log.pending().is_empty() && !self.sync_failed {
            self.write_pending(state);
            if !state.persistence.last_write_ok {
                return Err(io::Error::other(state.persistence.last_write_error.clone()));
            }
        }
        self.write_last_word(state)
    }

    /// Ends a rewrite that is under way, at shutdown.
    pub fn end_child(&mut self, engine: &mut Engine) {
        if matches!(self.rewrite, Rewrite::Running(_)) {
            log::warn!("There is a child rewriting the AOF. Killing it!");
        }
        self.end_rewrite(engine);
    }

    fn remove_leftover(&self, path: &Path) {
        if let Err(error) = manifest::remove_if_there(self.place.disk(), path) {
            log::warn!("Could not delete what is left of a file: {error}");
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
