//! RDB files on disk: read here, and written by the server itself (`SAVE`) or by a child (`BGSAVE`, save points).
//!
//! A snapshot is written to a file with a temporary name, synced, and given its name, and the directory is synced: at
//! any moment there is a whole file under that name, the old one or the new one.
//!
//! One child at a time: a snapshot and a rewrite of the log wait for each other.

mod read;

pub use read::{Keys, Reading, load};

use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::snapshot::rdb::write_rdb;
use crate::io::child::{Child, Finished, Writer};
use crate::io::clock;
use crate::io::disk::{Disk, How, Pace, Real, SharedFile, read_some_at};

/// Bytes copied in one go.
const COPY_BYTES: usize = 64 << 10;
/// Milliseconds after a snapshot that failed until the next one is tried.
const RETRY_AFTER_MS: u64 = 5000;

/// A new file, synced as it grows.
pub struct SyncingFile {
    file: SharedFile,
    pace: Pace,
}

impl SyncingFile {
    /// Creates it, empty, whatever was there.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn create(disk: &dyn Disk, path: &Path) -> io::Result<SyncingFile> {
        Ok(SyncingFile { file: disk.open(path, How::Replace)?, pace: Pace::default() })
    }

    /// It is whole: brings the rest to disk.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Write for SyncingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(&[IoSlice::new(bytes)])?;
        if self.pace.grown(&*self.file, written) {
            self.file.sync()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies a file.
///
/// # Errors
///
/// What the disk reports.
pub fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let (file, mut copy) = (disk.open(from, How::Read)?, SyncingFile::create(disk, to)?);
    let (mut bytes, mut at) = (vec![0; COPY_BYTES], 0);
    loop {
        match read_some_at(&*file, &mut bytes, at)? {
            0 => return copy.finish(),
            count => {
                copy.write_all(&bytes[..count])?;
                at += count as u64;
            }
        }
    }
}

/// Writes all data as `path`, by way of a temporary file; `write` does the writing.
fn write(
    path: &Path,
    temporary: &Path,
    write: impl FnOnce(&mut SyncingFile) -> io::Result<u64>,
) -> io::Result<()> {
    let mut file = SyncingFile::create(&Real, temporary)?;
    write(&mut file)?;
    file.finish()?;
    fs::rename(temporary, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn temporary(pid: u32) -> PathBuf {
    PathBuf::from(format!("temp-{pid}.rdb"))
}

/// What is left of an attempt is of no use to anybody.
fn remove_leftover(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        log::warn!("Could not delete {}: {error}", path.display());
    }
}

/// The snapshots of a server.
#[derive(Default)]
pub struct Snapshots {
    running: Option<Running>,
    /// Monotonic milliseconds when the last one was begun by a child.
    tried_ms: u64,
}

struct Running {
    child: Child,
    /// Changes that it holds.
    changes: u64,
}

impl Snapshots {
    /// `SAVE`: writes a snapshot now.
    ///
    /// # Errors
    ///
    /// What the system reports; the old file is as it was.
    pub fn save(&mut self, engine: &mut Engine) -> io::Result<()> {
        let path = PathBuf::from(&engine.state.settings.dbfilename);
        let temporary = temporary(std::process::id());
        let changes = engine.state.dirty;
        let written = write(&path, &temporary, |file| write_rdb(engine, false, file, |_| {}));
        if let Err(error) = &written {
            log::error!("Error saving the snapshot {}: {error}", path.display());
            remove_leftover(&temporary);
            return written;
        }
        log::info!("DB saved on disk");
        let (now_secs, now_ms) = (engine.now().secs(), engine.state.process.mono_ms);
        let figures = &mut engine.state.persistence;
        figures.saves += 1;
        figures.last_save_ok = true;
        (figures.last_save_secs, figures.last_save_ms) = (now_secs, now_ms);
        figures.saved_changes = changes;
        written
    }

    /// Begins a snapshot in a child. `claim`: what the child must let go of.
    ///
    /// # Errors
    ///
    /// There is no child.
    pub fn start(&mut self, engine: &mut Engine, claim: Option<RawFd>, now_ms: u64) -> io::Result<()> {
        self.tried_ms = now_ms;
        let path = PathBuf::from(&engine.state.settings.dbfilename);
        let changes = engine.state.dirty;
        let started = Child::start(engine, claim, temporary, |engine, temporary, reports| {
            let rest = u64::try_from(engine.state.settings.rdb_key_save_delay).unwrap_or(0);
            let progress = |keys| {
                reports.keys(keys);
                if 0 < rest {
                    std::thread::sleep(Duration::from_micros(rest));
                }
            };
            write(&path, temporary, |file| write_rdb(engine, false, &mut reports.telling(file), progress))
        });
        let child = started.inspect_err(|error| {
            log::warn!("Can't save in background: {error}");
            engine.state.persistence.last_save_ok = false;
        })?;
        engine.begin_snapshot();
        log::info!("Background saving started by pid {}", child.pid());
        let figures = &mut engine.state.persistence;
        figures.save_in_progress = true;
        figures.save_scheduled = false;
        figures.save_started_ms = now_ms;
        figures.saves += 1;
        self.running = Some(Running { child, changes });
        Ok(())
    }

    /// Looks how the child is doing.
    pub fn watch_child(&mut self, engine: &mut Engine, now_ms: u64) {
        let Some(running) = &mut self.running else { return };
        let Some(finished) = running.child.watch(&mut engine.state.persistence) else { return };
        let Some(Running { child, changes }) = self.running.take() else { return };
        engine.end_snapshot();
        let now_secs = engine.now().secs();
        let figures = &mut engine.state.persistence;
        figures.save_in_progress = false;
        figures.last_bgsave_secs = (now_ms.saturating_sub(figures.save_started_ms) / 1000) as i64;
        figures.save_cow_bytes = child.cow_bytes();
        match finished {
            Finished::Done => {
                log::info!("Background saving terminated with success");
                figures.last_save_ok = true;
                (figures.last_save_secs, figures.last_save_ms) = (now_secs, now_ms);
                figures.saved_changes = changes;
            }
            Finished::Failed(why) => {
                log::warn!("Background saving failed: {why}");
                remove_leftover(child.path());
                figures.last_save_ok = false;
            }
        }
    }

    /// Ends a child that is writing; its snapshot never was. Returns whether there was one.
    pub fn end_child(&mut self, engine: &mut Engine) -> bool {
        let Some(Running { mut child, .. }) = self.running.take() else { return false };
        child.end();
        let before = clock::moment();
        remove_leftover(child.path());
        engine.state.note_latency("rdb-unlink-temp-file", before.elapsed().as_nanos() as u64);
        engine.end_snapshot();
        engine.state.persistence.save_in_progress = false;
        true
    }

    /// Everything was flushed: what the child writes is of no use, and an old snapshot would bring it all back, if
    /// `is_read_at_start`. With save points it is replaced at once, as in Redis.
    pub fn forget(&mut self, engine: &mut Engine, is_read_at_start: bool) {
        self.end_child(engine);
        if is_read_at_start && !engine.state.settings.save.is_empty() && self.save(engine).is_ok() {
            // Nobody asked for a snapshot, so it does not count as one.
            engine.state.persistence.saves -= 1;
        }
    }

    /// The tick: looks after the child, and begins a snapshot that is due, unless another child is at work.
    pub fn tick(&mut self, engine: &mut Engine, claim: Option<RawFd>, now_ms: u64) {
        self.watch_child(engine, now_ms);
        let figures = &engine.state.persistence;
        let may_try = figures.last_save_ok || self.tried_ms + RETRY_AFTER_MS < now_ms;
        if self.running.is_some() || figures.rewrite_in_progress || figures.loading.is_some() || !may_try {
            return;
        }
        let changes = engine.state.dirty.saturating_sub(figures.saved_changes);
        let since_ms = now_ms.saturating_sub(figures.last_save_ms);
        let mut points = engine.state.settings.save.iter();
        let due =
            points.find(|point| point.changes <= changes && point.seconds.saturating_mul(1000) < since_ms);
        if let Some(point) = due {
            log::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
        }
        if due.is_some() || figures.save_scheduled {
            // What went wrong is in the log and in the figures; it is tried again.
            self.start(engine, claim, now_ms).ok();
        }
    }
}
