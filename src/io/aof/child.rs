//! The forked child that writes the base of a rewritten log.
//!
//! It tells of its progress through a pipe: lines of two numbers, keys done and bytes copied on write.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::engine::snapshot::write_snapshot;
use crate::io::aof::append::AppendFile;
use crate::io::aof::manifest::{Manifest, Place};
use crate::io::{clock, logger, proc, sys};
use crate::state::server::Persistence;

/// Bytes of the base between two syncs, so that the last one is short.
const SYNC_EVERY_BYTES: usize = 16 << 20;
/// Keys between two reports.
const REPORT_EVERY_KEYS: u64 = 20_000;

/// What a child is to do with the base it has written.
pub struct Work {
    /// Where the log is.
    pub place: Place,
    /// The log's files as they were at the fork.
    pub manifest: Manifest,
    /// Number of the increment that was begun with the rewrite.
    pub first_kept: u64,
    /// That increment still has this temporary name, and the manifest does not name it.
    pub uncommitted: Option<PathBuf>,
}

impl Work {
    /// Puts the base into its place, commits the manifest in which it stands for all that was before it, and
    /// deletes that. The child does it so that the server need not wait for the disk.
    fn commit(&self, base: &Path) -> io::Result<()> {
        let mut manifest = self.manifest.clone();
        if let Some(path) = &self.uncommitted {
            let part = manifest.add_increment(&self.place).clone();
            fs::rename(path, self.place.path(&part.name))?;
        }
        let part = manifest.next_base(&self.place);
        fs::rename(base, self.place.path(&part.name))?;
        manifest.rewritten(&self.place, self.first_kept);
        manifest.commit(&self.place)?;
        // What cannot be deleted now is named as history in the manifest, and deleted at the next start.
        if let Err(error) = manifest.delete_history(&self.place) {
            log::warn!("Old files of the log could not be deleted: {error}");
        }
        Ok(())
    }
}

/// A child that is writing.
pub struct Child {
    pid: i32,
    path: PathBuf,
    reports: io::PipeReader,
    keys_total: u64,
}

/// How a child ended.
pub enum Finished {
    /// Its file is whole and on disk.
    Done,
    /// It is not, and why.
    Failed(String),
}

impl Child {
    /// Forks. The child lets go of the claim to the directory, which is the parent's, writes the data as it is now
    /// to a temporary file, does `work` with it and ends.
    ///
    /// # Errors
    ///
    /// There is no child.
    pub fn start(engine: &mut Engine, work: &Work, claim: Option<&File>) -> io::Result<Child> {
        let parent = std::process::id();
        let (reports, writer) = io::pipe()?;
        sys::set_nonblocking(&reports)?;
        let before = clock::moment();
        match sys::fork()? {
            None => {
                // First: a parent that is killed now must not leave its claim behind.
                claim.map(AsRawFd::as_raw_fd).into_iter().for_each(sys::close);
                drop(reports);
                sys::unblock_signals();
                sys::die_with_parent();
                if std::os::unix::process::parent_id() != parent {
                    // It was killed before it could be watched; what we would commit may be another server's by now.
                    sys::exit_child(1);
                }
                close_inherited_sockets();
                logger::become_child();
                let path = work.place.temporary_base(std::process::id());
                let written = write_base(engine, work, &path, writer);
                if let Err(error) = &written {
                    log::warn!("Error writing the base of the log {}: {error}", path.display());
                }
                sys::exit_child(i32::from(written.is_err()))
            }
            Some(pid) => {
                let stats = &mut engine.state.stats;
                stats.total_forks += 1;
                stats.latest_fork_micros = before.elapsed().as_micros() as u64;
                let keys_total = engine.keys.databases().iter().map(|database| database.len() as u64).sum();
                Ok(Child { pid, path: work.place.temporary_base(pid as u32), reports, keys_total })
            }
        }
    }

    /// The child's process number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The file it writes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes its reports; says how it ended once it has.
    pub fn watch(&mut self, figures: &mut Persistence) -> Option<Finished> {
        let ended = sys::reap(self.pid);
        let mut text = [0; 4096];
        if let Ok(count) = self.reports.read(&mut text) {
            let text = String::from_utf8_lossy(&text[..count]);
            let numbers = text.lines().filter_map(|line| line.split_once(' ')).next_back();
            if let Some((keys, bytes)) = numbers {
                figures.child_keys = (keys.parse().unwrap_or(0), self.keys_total);
                figures.child_cow_now_bytes = bytes.parse().unwrap_or(0);
            }
        }
        let ended = ended?;
        figures.child_cow_bytes = figures.child_cow_now_bytes;
        figures.child_cow_now_bytes = 0;
        figures.child_keys = (0, 0);
        Some(match ended {
            sys::Ended::Exit(0) => Finished::Done,
            sys::Ended::Exit(code) => Finished::Failed(format!("the child exited with code {code}")),
            sys::Ended::Signal(signal) => Finished::Failed(format!("the child was ended by signal {signal}")),
        })
    }

    /// Kills it and waits for its end.
    pub fn end(&mut self) {
        sys::kill(self.pid, libc::SIGKILL);
        while sys::reap(self.pid).is_none() {
            std::thread::yield_now();
        }
    }
}

/// Lets go of the clients' sockets: a connection that the parent closes ends only when nobody holds it.
fn close_inherited_sockets() {
    let Ok(listing) = std::fs::read_dir("/proc/self/fd") else { return };
    let sockets: Vec<i32> = listing
        .flatten()
        .filter(|entry| {
            std::fs::read_link(entry.path())
                .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    sockets.into_iter().for_each(sys::close);
}

/// The base, in batches, synced as it grows.
struct Base {
    file: AppendFile,
    unsynced: usize,
}

impl Write for Base {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)?;
        self.unsynced += bytes.len();
        if SYNC_EVERY_BYTES <= self.unsynced {
            self.unsynced = 0;
            self.file.sync_now()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_base(engine: &Engine, work: &Work, path: &Path, mut reports: io::PipeWriter) -> io::Result<()> {
    let mut base = Base { file: AppendFile::create(path)?, unsynced: 0 };
    let mut reported = 0;
    write_snapshot(engine, &mut base, |keys| {
        if reported + REPORT_EVERY_KEYS <= keys {
            reported = keys;
            // A parent that is gone reads no reports; the child ends with it.
            writeln!(reports, "{keys} {}", proc::private_dirty_bytes()).ok();
        }
    })?;
    base.file.sync_now()?;
    work.commit(path)?;
    writeln!(reports, "{reported} {}", proc::private_dirty_bytes()).ok();
    Ok(())
}
