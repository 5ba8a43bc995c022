//! A file seen through a buffer that slides along it.
//!
//! The buffer is read in big chunks and grows only for a single request that is bigger, and never beyond what is
//! left of the file, so that no length in a damaged file takes memory that the file does not fill.
//!
//! The log and RDB files are read through it, the second sometimes at the beginning of the first.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::io::disk::{Disk, DiskFile, How, SharedFile};

/// Bytes in the buffer, unless something bigger must fit in.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A file being read from its beginning to the end it had when it was opened.
pub struct Window {
    file: SharedFile,
    size: u64,
    /// Where the bytes at `start` lie in the file.
    offset: u64,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Window {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Window> {
        let file = disk.open(path, How::Read)?;
        let size = file.size()?;
        let room = usize::try_from(size).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        Ok(Window { file, size, offset: 0, buffer: vec![0; room], start: 0, end: 0 })
    }

    /// The file.
    pub fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// The length of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the window begins in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What is left of the file from here, in the window or not.
    pub fn left(&self) -> u64 {
        self.size - self.offset
    }

    /// The bytes in the window.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The last `length` bytes before the window, which were skipped since [`Window::want`] last read something.
    pub fn behind(&self, length: usize) -> &[u8] {
        &self.buffer[self.start - length..self.start]
    }

    /// Moves on by `length` bytes of the window.
    pub fn skip(&mut self, length: usize) {
        debug_assert!(length <= self.end - self.start, "only what was seen is skipped");
        self.start += length;
        self.offset += length as u64;
    }

    /// Reads until at least `length` bytes are in the window; false if the file has not so many left. Tells
    /// `progress` what each read brought.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn want(&mut self, length: usize, progress: &mut dyn FnMut(u64)) -> io::Result<bool> {
        if self.left() < length as u64 {
            return Ok(false);
        }
        if self.buffer.len() < self.start + length {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() < length {
                // Twice as much as before, so that a giant is looked at a few times and not once a chunk.
                let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
                self.buffer.resize(length.max(self.buffer.len() * 2).min(left), 0);
            }
        }
        while self.end - self.start < length {
            // Not beyond the size at opening, should somebody append while we read.
            let unread = self.left() - (self.end - self.start) as u64;
            let room = (self.buffer.len() - self.end).min(usize::try_from(unread).unwrap_or(usize::MAX));
            let from = self.offset + (self.end - self.start) as u64;
            match self.file.read_at(&mut self.buffer[self.end..self.end + room], from) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.end += read;
                    progress(read as u64);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
