//! A second directory for the same files: what `BACKUP` writes, and what a start with `--load-until` keeps of the log
//! that it goes back in.
//!
//! ```text
//! DIRECTORY/appendonlydir/appendonly.aof.2.base.aof     links to files that nobody writes to any more
//! DIRECTORY/appendonlydir/appendonly.aof.7.incr.aof
//! DIRECTORY/appendonlydir/appendonly.aof.8.incr.aof     its own, empty
//! DIRECTORY/appendonlydir/appendonly.aof.manifest       its own, written last
//! ```
//!
//! A link is the same file under another name, so it costs neither room nor time, and what was written into the one
//! would be in the other. Therefore only files are linked that are closed: the log that is being written to goes on in
//! a new increment. And a server that is started on the copy must not write into what it shares: it goes on in the
//! copy's last increment, which is empty and not shared. That is so for Redis as well, which nobody could tell.
//!
//! Whatever else changes a file in place knows of links: [`super::damage::cut_tail`] leaves the other name its file.
//!
//! Until the manifest is there, servers refuse the directory, since it holds files of a log without one. So a copy that
//! was cut off in the middle is never taken for a whole one.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::append::AppendFile;
use super::fault;
use super::manifest::{self, Manifest, Part, Place};
use crate::io::disk::{How, SharedFile};
use crate::io::rdb;

/// What is left to be done for a copy, in order.
#[derive(Debug)]
pub enum Todo {
    /// To sync a file that the log itself relies on: under `appendfsync no` nobody may have.
    Shared(SharedFile),
    /// To sync a file or directory of the copy.
    Own(SharedFile),
    /// To give the manifest its name: [`Copy::publish`].
    Publish,
}

/// A copy that is being made.
#[derive(Debug)]
pub struct Copy {
    place: Place,
    target: PathBuf,
    made: Vec<PathBuf>,
}

impl Copy {
    /// Where it is.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Lays out a copy of the files that `closed` names in the directory `target`, which must be empty, or is made.
    /// Returns what is left to be done then: until it is, nothing of it needs to last.
    ///
    /// `across`: what cannot be linked is copied, however long that takes.
    ///
    /// # Errors
    ///
    /// What the disk reports. Files that were made are gone again, if the disk lets them go.
    pub fn lay_out(
        place: &Place,
        closed: &Manifest,
        target: &Path,
        across: bool,
    ) -> io::Result<(Copy, Vec<Todo>)> {
        let inside = place.within(target);
        make_empty(&inside, target)?;
        let mut copy = Copy { place: inside, target: target.to_path_buf(), made: Vec::new() };
        let todo = copy.fill(place, closed, across);
        match todo {
            Ok(todo) => Ok((copy, todo)),
            Err(error) => {
                copy.abandon();
                Err(error)
            }
        }
    }

    fn fill(&mut self, place: &Place, closed: &Manifest, across: bool) -> io::Result<Vec<Todo>> {
        let mut todo = Vec::new();
        for Part { name, .. } in closed.parts() {
            let (from, to) = (place.path(name), self.place.path(name));
            self.made.push(to.clone());
            match fault::again(|| place.disk().link(&from, &to)) {
                Ok(()) => {}
                Err(_) if across => {
                    rdb::copy(place.disk(), &from, &to).map_err(fault::on("copy a file to", &to))?;
                }
                Err(error) => return Err(explain(&error, &from, &to)),
            }
            todo.push(Todo::Shared(self.open(&to)?));
        }
        let mut manifest = Manifest { history: Vec::new(), ..closed.clone() };
        let path = self.place.path(&manifest.add_increment(&self.place).name);
        self.made.push(path.clone());
        AppendFile::create(self.place.disk(), &path)?;
        todo.push(Todo::Own(manifest.draft(&self.place)?));
        todo.push(Todo::Own(self.open(self.place.directory())?));
        todo.push(Todo::Publish);
        for directory in [self.place.directory(), &self.target, manifest::parent(&self.target)] {
            todo.push(Todo::Own(self.open(directory)?));
        }
        Ok(todo)
    }

    fn open(&self, path: &Path) -> io::Result<SharedFile> {
        fault::again(|| self.place.disk().open(path, How::Read)).map_err(fault::on("open", path))
    }

    /// From now on servers take it for a log. It lasts when the rest is done.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    pub fn publish(&self) -> io::Result<()> {
        Manifest::publish(&self.place)
    }

    /// Does all that is left, in this thread.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    pub fn finish(&self, todo: Vec<Todo>) -> io::Result<()> {
        for todo in todo {
            match todo {
                Todo::Shared(file) | Todo::Own(file) => {
                    fault::again(|| file.sync()).map_err(fault::on("sync a file in", &self.target))?;
                }
                Todo::Publish => self.publish()?,
            }
        }
        Ok(())
    }

    /// It is not wanted any more: what was made goes, the manifest first. A disk that lets nothing go leaves what
    /// servers refuse, or a copy that is whole.
    pub fn abandon(&self) {
        Manifest::forget_draft(&self.place);
        let disk = self.place.disk();
        for path in std::iter::once(&self.place.manifest()).chain(self.made.iter().rev()) {
            if let Err(error) = manifest::remove_if_there(disk, path) {
                log::warn!("Could not delete what is left of a copy: {error}");
                return;
            }
        }
    }
}

/// Sees to it that there is an empty directory `target` and one for the log's files in it.
fn make_empty(inside: &Place, target: &Path) -> io::Result<()> {
    let disk = inside.disk();
    // That of an attempt which came to nothing is as good as empty.
    let may_be_there = inside.directory().file_name();
    for (directory, allowed) in [(target, may_be_there), (inside.directory(), None)] {
        match fault::again(|| disk.create_directory(directory)) {
            Ok(()) => continue,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fault::on("create", directory)(error)),
        }
        let names = fault::again(|| disk.list(directory)).map_err(fault::on("read", directory))?;
        if names.iter().any(|name| Some(name.as_os_str()) != allowed) {
            let text = format!("{} is not empty", directory.display());
            return Err(io::Error::new(ErrorKind::AlreadyExists, text));
        }
    }
    Ok(())
}

fn explain(error: &io::Error, from: &Path, to: &Path) -> io::Error {
    let why = match error.kind() {
        ErrorKind::CrossesDevices => {
            "they are on different file systems. Name a directory on that of the log, and copy it from there"
                .to_owned()
        }
        ErrorKind::Unsupported | ErrorKind::PermissionDenied => {
            format!("{error}. Not every file system has hard links")
        }
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot link {} to {}: {why}", from.display(), to.display()))
}
