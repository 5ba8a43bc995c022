//! What the forked child of a rewrite does: it writes the base of the log and commits it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::engine::snapshot::rdb::write_rdb;
use crate::engine::snapshot::write_snapshot;
use crate::io::aof::append::AppendFile;
use crate::io::aof::manifest::{Manifest, Part, Place};
use crate::io::child::Reports;
use crate::io::rdb::SyncingFile;

/// Bytes of the base between two syncs, so that the last one is short.
const SYNC_EVERY_BYTES: usize = 16 << 20;

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
    /// The base is an RDB file (`aof-use-rdb-preamble`).
    pub rdb: bool,
}

impl Work {
    /// The base that is being written.
    pub fn base(&self) -> Part {
        self.manifest.next_base(&self.place, self.rdb)
    }

    /// Writes the base as `path` and commits it.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn run(&self, engine: &Engine, path: &Path, reports: &mut Reports) -> io::Result<()> {
        if self.rdb {
            let mut base = SyncingFile::create(path)?;
            write_rdb(engine, true, &mut base, |keys| reports.keys(keys))?;
            base.finish()?;
        } else {
            let mut base = Base { file: AppendFile::create(path)?, unsynced: 0 };
            write_snapshot(engine, &mut base, |keys| reports.keys(keys))?;
            base.file.sync_now()?;
        }
        self.commit(path)
    }

    /// Puts the base into its place, commits the manifest in which it stands for all that was before it, and
    /// deletes that. The child does it so that the server need not wait for the disk.
    fn commit(&self, base: &Path) -> io::Result<()> {
        let mut manifest = self.manifest.clone();
        if let Some(path) = &self.uncommitted {
            let part = manifest.add_increment(&self.place).clone();
            fs::rename(path, self.place.path(&part.name))?;
        }
        let part = self.base();
        fs::rename(base, self.place.path(&part.name))?;
        manifest.rewritten(part, self.first_kept);
        manifest.commit(&self.place)?;
        // What cannot be deleted now is named as history in the manifest, and deleted at the next start.
        if let Err(error) = manifest.delete_history(&self.place) {
            log::warn!("Old files of the log could not be deleted: {error}");
        }
        Ok(())
    }
}

/// The base as commands, in batches, synced as it grows.
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
