//! What the forked child of a rewrite does: it writes the base of the log and commits it.

use std::io::{self, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::engine::snapshot::rdb::write_rdb;
use crate::engine::snapshot::write_snapshot;
use crate::io::aof::append::AppendFile;
use crate::io::aof::batch;
use crate::io::aof::fault;
use crate::io::aof::manifest::{Manifest, Part, Place};
use crate::io::child::{Child, Writer};
use crate::io::disk::Pace;
use crate::io::rdb::SyncingFile;

/// Whoever writes bases: forked children, or in tests somebody who can be stopped at each step.
pub trait Writers {
    /// Begins to write the data as it is now. The writer must let go of `claim`, which is the server's.
    ///
    /// # Errors
    ///
    /// There is no writer.
    fn start(&self, engine: &mut Engine, claim: Option<RawFd>, work: &Work) -> io::Result<Box<dyn Writer>>;
}

/// Children that are forked.
pub struct Forked;

impl Writers for Forked {
    fn start(&self, engine: &mut Engine, claim: Option<RawFd>, work: &Work) -> io::Result<Box<dyn Writer>> {
        let path_of = |pid| work.place.temporary_base(pid);
        let child = Child::start(engine, claim, path_of, |engine, path, reports| {
            work.run(path, |out| {
                work.write(engine, &mut reports.telling(out), &mut |keys| reports.keys(keys))
            })
        })?;
        Ok(Box::new(child))
    }
}

/// What is to be done with the base.
#[derive(Clone)]
pub struct Work {
    /// Where the log is.
    pub place: Place,
    /// The log's files as they were at the fork.
    pub manifest: Manifest,
    /// Number of the increment that was begun with the rewrite.
    pub first_kept: u64,
    /// That increment still has this temporary name, and the manifest does not name it.
    pub uncommitted: Option<Uncommitted>,
    /// The base is an RDB file (`aof-use-rdb-preamble`).
    pub rdb: bool,
}

/// An increment that grows under a temporary name.
#[derive(Clone)]
pub struct Uncommitted {
    /// Where it is.
    pub path: PathBuf,
    /// What it will be.
    pub part: Part,
}

impl Work {
    /// The base that is being written.
    pub fn base(&self) -> Part {
        self.manifest.next_base(&self.place, self.rdb)
    }

    /// Writes the data in the form that the base is to have.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    pub fn write(
        &self,
        engine: &Engine,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        match self.rdb {
            true => write_rdb(engine, true, out, progress).map(|_| ()),
            false => {
                if engine.state.settings.aof_timestamp_enabled {
                    let (mut stamps, date) = (Vec::new(), engine.now());
                    batch::moment(&mut stamps, date.0);
                    batch::timestamp(&mut stamps, date.secs());
                    out.write_all(&stamps)?;
                }
                write_snapshot(engine, &mut { out }, progress).map(|_| ())
            }
        }
    }

    /// Writes the base as `path`, with what `write` brings, and commits it.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn run(&self, path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        if self.rdb {
            let mut base = SyncingFile::create(self.place.disk(), path)?;
            write(&mut base)?;
            base.finish()?;
        } else {
            let mut base = Base { file: AppendFile::create(self.place.disk(), path)?, pace: Pace::default() };
            write(&mut base)?;
            base.file.append(&[])?;
            base.file.sync_now()?;
        }
        self.commit(path)
    }

    /// Puts the base into its place, commits the manifest in which it stands for all that was before it, and
    /// deletes that. The child does it so that the server need not wait for the disk.
    fn commit(&self, base: &Path) -> io::Result<()> {
        let mut manifest = self.manifest.clone();
        let disk = self.place.disk();
        let rename = |from: &Path, part: &Part| {
            fault::again(|| disk.rename(from, &self.place.path(&part.name)))
                .map_err(fault::on("rename", from))
        };
        if let Some(Uncommitted { path, part }) = &self.uncommitted {
            rename(path, part)?;
            manifest.increments.push(part.clone());
        }
        let part = self.base();
        rename(base, &part)?;
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
    pace: Pace,
}

impl Write for Base {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)?;
        if self.pace.grown(&**self.file.file(), bytes.len()) {
            self.file.sync_now()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
