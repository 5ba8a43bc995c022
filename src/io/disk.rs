//! The disk, as far as the log needs one: a narrow seam, so that tests can put one behind it that fails.
//!
//! The log's promises are about what a disk has when the power goes, or does not take. Neither can be asked of a real
//! one in a test, a thousand times over and twice the same. So the log knows a disk only as a [`Disk`] and a file as a
//! [`DiskFile`]; [`Real`] is what every server runs on, and `tests/torture` has the other.
//!
//! What is behind the seam is small on purpose: what the log does not do to files cannot go wrong. A turn of the
//! server costs one call through it, to write; that is a hundredth of what the write costs.
//!
//! Directories are files to be synced: a name (created, renamed, removed) lasts when its directory was synced after.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::rc::Rc;

use crate::io::sys;

/// An open file, shared by whoever uses it.
pub type SharedFile = Rc<dyn DiskFile>;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// To be read. A directory is opened so, too: to be synced or claimed.
    Read,
    /// To be read and cut.
    Change,
    /// To be written at its end; it must be there.
    Append,
    /// To be written at its end; created if it is not there.
    CreateOrAppend,
    /// To be written from its beginning; what was there is gone.
    Replace,
    /// To be written; must not be there.
    New,
}

/// What is at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// It is a directory.
    pub is_directory: bool,
    /// Length in bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u64,
    /// What all its names have in common, and no other file of the file system has.
    pub number: u64,
}

/// A file that is open. Dropping it closes it, and gives up a claim.
pub trait DiskFile: fmt::Debug {
    /// Reads from a place; fewer bytes than asked for, at the end none.
    ///
    /// # Errors
    ///
    /// What the disk reports; `Interrupted` is worth another try.
    fn read_at(&self, bytes: &mut [u8], from: u64) -> io::Result<usize>;

    /// Writes these pieces one after the other, perhaps not all of it; says how many bytes.
    ///
    /// # Errors
    ///
    /// What the disk reports; `Interrupted` is worth another try.
    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Cuts the file to a length.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Brings everything that was written to the disk; of a directory, its names.
    ///
    /// # Errors
    ///
    /// What the disk reports. What was written before may be lost then, and a second try proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Begins with that, if the disk can, and waits for nothing: nothing is sure before a sync, which tells of what
    /// fails.
    fn begin_sync(&self) {}

    /// The length in bytes.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    fn size(&self) -> io::Result<u64>;

    /// Claims it for this process for as long as it is open; false if another has it.
    ///
    /// # Errors
    ///
    /// What the system reports.
    fn claim(&self) -> io::Result<bool>;

    /// The descriptor, by which the helper thread syncs it and a child lets go of it.
    fn descriptor(&self) -> RawFd;
}

/// Where files are.
pub trait Disk: fmt::Debug {
    /// Opens a file or directory.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile>;

    /// Gives a file another name; a file that has it is gone.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    ///
    /// What the disk reports; not every file system has such names.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name, and the file with its last one.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// What is at a path.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is; what else the disk reports.
    fn look(&self, path: &Path) -> io::Result<Look>;

    /// Bytes of a file that grows which are not left lying for its next sync.
    fn begin_every_bytes(&self) -> u64 {
        BEGIN_EVERY_BYTES as u64
    }
}

/// The disk that there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Real;

impl Disk for Real {
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        let mut options = OpenOptions::new();
        let options = match how {
            How::Read => options.read(true),
            How::Change => options.read(true).write(true),
            How::Append => options.append(true),
            How::CreateOrAppend => options.append(true).create(true),
            How::Replace => options.write(true).create(true).truncate(true),
            How::New => options.write(true).create_new(true),
        };
        Ok(Rc::new(options.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let entries = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = entries.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        let found = fs::metadata(path)?;
        Ok(Look {
            is_directory: found.is_dir(),
            size: found.len(),
            links: found.nlink(),
            number: found.ino(),
        })
    }
}

impl DiskFile for File {
    fn read_at(&self, bytes: &mut [u8], from: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, from)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut file = self;
        file.write_vectored(pieces)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn sync(&self) -> io::Result<()> {
        // Not only the data: of a directory that need not be the names.
        self.sync_all()
    }

    fn begin_sync(&self) {
        // Not all files can be written back early; what is on disk is a matter of the sync.
        sys::begin_sync(self.as_raw_fd()).unwrap_or_default();
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn claim(&self) -> io::Result<bool> {
        sys::claim(self)
    }

    fn descriptor(&self) -> RawFd {
        self.as_raw_fd()
    }
}

/// Bytes of a growing file that are not left lying for its next sync.
const BEGIN_EVERY_BYTES: usize = 4 << 20;

/// In what steps a new file goes to the disk while it grows, so that the disk works beside its writer, and is not far
/// behind when the whole is synced.
#[derive(Default)]
pub struct Pace {
    unbegun: usize,
    unsynced: usize,
}

impl Pace {
    /// A disk that is slower than the writer gets its time: memory is not filled with what it has to write.
    const SYNC_EVERY_BYTES: usize = 64 << 20;

    /// So many bytes were written to the file. Returns whether it is to be synced now.
    pub fn grown(&mut self, file: &dyn DiskFile, bytes: usize) -> bool {
        self.unbegun += bytes;
        self.unsynced += bytes;
        if Pace::SYNC_EVERY_BYTES <= self.unsynced {
            *self = Pace::default();
            return true;
        }
        if BEGIN_EVERY_BYTES <= self.unbegun {
            self.unbegun = 0;
            file.begin_sync();
        }
        false
    }
}

/// A file as something to write to, for whom one write is as good as many.
#[derive(Debug)]
pub struct Writing(pub SharedFile);

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fills all of `bytes` from a place.
///
/// # Errors
///
/// What the disk reports; `UnexpectedEof` if the file is shorter.
pub fn read_exact_at(file: &dyn DiskFile, bytes: &mut [u8], from: u64) -> io::Result<()> {
    if read_some_at(file, bytes, from)? < bytes.len() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Fills as much of `bytes` as the file has from a place.
///
/// # Errors
///
/// What the disk reports.
pub fn read_some_at(file: &dyn DiskFile, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], from + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
