//! The file that the log is written to.
//!
//! A batch is in the file whole or not at all as far as it is in our hands: after a short write that cannot be
//! completed (a full disk, mostly) the file is cut back to where the last whole batch ended. If even that fails,
//! the cut is owed and made before the next batch.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch;
use super::fault;

/// A base or increment file open for appending.
///
/// Invariant: `offset` is the end of the last whole batch; the file is exactly that long unless a cut is owed.
#[derive(Debug)]
pub struct AppendFile {
    file: Arc<File>,
    path: PathBuf,
    offset: u64,
    synced: Option<u64>,
    cut_owed: bool,
}

impl AppendFile {
    /// Creates a new file, empty.
    ///
    /// Errors: a file that is already there and not empty is not ours to write over (an empty one is left over
    /// from a start that got no further, and taken).
    pub fn create(path: &Path) -> io::Result<AppendFile> {
        let file =
            OpenOptions::new().create(true).append(true).open(path).map_err(fault::on("create", path))?;
        AppendFile::at_end(file, path, 0)
    }

    /// Opens a file that the reader has found good up to `good`, which must be its end: a torn tail is to be cut
    /// off before.
    pub fn open(path: &Path, good: u64) -> io::Result<AppendFile> {
        let file = OpenOptions::new().append(true).open(path).map_err(fault::on("open", path))?;
        AppendFile::at_end(file, path, good)
    }

    fn at_end(file: File, path: &Path, offset: u64) -> io::Result<AppendFile> {
        let size = file.metadata().map_err(fault::on("stat", path))?.len();
        if size != offset {
            let text = format!("cannot append to {}: {size} bytes long, not {offset}", path.display());
            return Err(io::Error::new(ErrorKind::AlreadyExists, text));
        }
        let (file, path) = (Arc::new(file), path.to_path_buf());
        Ok(AppendFile { file, path, offset, synced: None, cut_owed: false })
    }

    /// Appends one batch: its header line and `records`, in one write if the system takes it whole. Empty
    /// records make a batch that only says how much is synced, as the last word of a clean shutdown.
    ///
    /// Errors: nothing of the batch stays in the file; the same records may be tried again.
    pub fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.make_the_owed_cut()?;
        let header = batch::header(self.offset, records, self.synced);
        if let Err(error) = write_both(&mut &*self.file, header.as_bytes(), records) {
            self.cut_owed = true;
            // The write's own error is what the caller must hear; a cut that fails now is made next time.
            self.make_the_owed_cut().unwrap_or_default();
            return Err(fault::on("write", &self.path)(error));
        }
        self.offset += (header.as_bytes().len() + records.len()) as u64;
        Ok(())
    }

    fn make_the_owed_cut(&mut self) -> io::Result<()> {
        if self.cut_owed {
            self.file.set_len(self.offset).map_err(fault::on("truncate", &self.path))?;
            self.cut_owed = false;
        }
        Ok(())
    }

    /// The end of the last whole batch, in bytes from the file's beginning.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Tells what the next batches shall say of how much of this file is on disk: the offset when a sync that
    /// has since succeeded was asked for. `None` where nobody syncs regularly: a reader then takes no hole for a
    /// power cut's.
    pub fn set_synced(&mut self, synced: Option<u64>) {
        debug_assert!(synced <= Some(self.offset), "nothing is on disk that is not written");
        self.synced = synced;
    }

    /// The open file, to be synced by the helper, which may outlive this.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs at once, in this thread: at shutdown, or before a manifest names a next file.
    pub fn sync_now(&self) -> io::Result<()> {
        self.file.sync_data().map_err(fault::on("sync", &self.path))
    }
}

/// Writes `head`, then `body`, however short the single writes are.
fn write_both(out: &mut impl Write, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !head.is_empty() || !body.is_empty() {
        match out.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                let of_head = written.min(head.len());
                head = &head[of_head..];
                body = &body[written - of_head..];
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Takes `step` bytes at a time, is interrupted before each, and is full after `room` bytes.
    struct Disk {
        held: Vec<u8>,
        step: usize,
        room: usize,
        interrupted: bool,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            let taken = bytes.len().min(self.step).min(self.room - self.held.len());
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.held.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn short_writes_and_interrupts_are_completed() {
        for step in 1..12 {
            let mut disk = Disk { held: Vec::new(), step, room: 100, interrupted: false };
            write_both(&mut disk, b"head", b"bodybody").expect("room enough");
            assert_eq!(disk.held, b"headbodybody");
        }
    }

    #[test]
    fn a_full_disk_is_said() {
        for room in 0..12 {
            let mut disk = Disk { held: Vec::new(), step: 5, room, interrupted: false };
            let error = write_both(&mut disk, b"head", b"bodybody").expect_err("no room");
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            assert_eq!(disk.held.len(), room);
        }
    }

    #[test]
    fn batches_stand_one_after_the_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        let mut file = AppendFile::create(&path).expect("created");
        file.append(b"one").expect("written");
        let middle = file.offset();
        file.set_synced(Some(middle));
        file.append(b"two").expect("written");
        let mut expected = batch::header(0, b"one", None).as_bytes().to_vec();
        expected.extend_from_slice(b"one");
        assert_eq!(middle, expected.len() as u64);
        expected.extend_from_slice(batch::header(middle, b"two", Some(middle)).as_bytes());
        expected.extend_from_slice(b"two");
        assert_eq!(fs::read(&path).expect("read"), expected);
        assert_eq!(file.offset(), expected.len() as u64);
        file.sync_now().expect("synced");

        assert_eq!(AppendFile::create(&path).expect_err("not empty").kind(), ErrorKind::AlreadyExists);
        assert!(AppendFile::open(&path, 3).is_err());
        AppendFile::open(&path, expected.len() as u64).expect("opened").append(b"x").expect("written");
    }

    #[test]
    fn what_is_left_of_a_failed_write_is_cut_before_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        let mut file = AppendFile::create(&path).expect("created");
        file.append(b"one").expect("written");
        let good = fs::read(&path).expect("read");
        let mut half = OpenOptions::new().append(true).open(&path).expect("opened");
        half.write_all(b"#KV half a ba").expect("written");
        file.cut_owed = true;
        file.append(b"two").expect("written");
        let now = fs::read(&path).expect("read");
        assert_eq!(&now[..good.len()], &good[..]);
        assert_eq!(
            &now[good.len()..],
            [batch::header(good.len() as u64, b"two", None).as_bytes(), b"two"].concat()
        );
    }

    #[test]
    fn a_device_that_is_full_fails_and_owes() {
        let full = OpenOptions::new().append(true).open("/dev/full").expect("there is one");
        let mut file = AppendFile::at_end(full, Path::new("/dev/full"), 0).expect("opened");
        assert_eq!(file.append(b"x").expect_err("full").kind(), ErrorKind::StorageFull);
        assert_eq!(file.offset(), 0);
        assert!(file.cut_owed, "a device cannot be cut");
        assert!(file.append(b"x").is_err());
    }
}
