//! The file that the log is written to.
//!
//! A batch is in the file whole or not at all as far as it is in our hands: after a short write that cannot be
//! completed (a full disk, mostly) the file is cut back to where the last whole batch ended. If even that fails,
//! the cut is owed and made before the next batch.

use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};

use super::batch;
use super::fault;
use crate::io::disk::{Disk, DiskFile, How, SharedFile};

/// A base or increment file open for appending.
///
/// Invariant: `offset` is the end of the last whole batch; the file is exactly that long unless a cut is owed.
#[derive(Debug)]
pub struct AppendFile {
    file: SharedFile,
    path: PathBuf,
    offset: u64,
    synced: Option<u64>,
    begun: u64,
    cut_owed: bool,
}

impl AppendFile {
    /// Creates a new file, empty.
    ///
    /// Errors: a file that is already there and not empty is not ours to write over (an empty one is left over
    /// from a start that got no further, and taken).
    pub fn create(disk: &dyn Disk, path: &Path) -> io::Result<AppendFile> {
        let file =
            fault::again(|| disk.open(path, How::CreateOrAppend)).map_err(fault::on("create", path))?;
        AppendFile::at_end(file, path, 0)
    }

    /// Opens a file that the reader has found good up to `good`, which must be its end: a torn tail is to be cut
    /// off before.
    pub fn open(disk: &dyn Disk, path: &Path, good: u64) -> io::Result<AppendFile> {
        let file = fault::again(|| disk.open(path, How::Append)).map_err(fault::on("open", path))?;
        AppendFile::at_end(file, path, good)
    }

    fn at_end(file: SharedFile, path: &Path, offset: u64) -> io::Result<AppendFile> {
        let size = fault::again(|| file.size()).map_err(fault::on("stat", path))?;
        if size != offset {
            let text = format!("cannot append to {}: {size} bytes long, not {offset}", path.display());
            return Err(io::Error::new(ErrorKind::AlreadyExists, text));
        }
        Ok(AppendFile {
            file,
            path: path.to_path_buf(),
            offset,
            synced: None,
            begun: offset,
            cut_owed: false,
        })
    }

    /// Appends one batch: its header line and `records`, in one write if the system takes it whole. Empty
    /// records make a batch that only says how much is synced, as the last word of a clean shutdown.
    ///
    /// Errors: nothing of the batch stays in the file; the same records may be tried again.
    pub fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.make_the_owed_cut()?;
        let header = batch::header(self.offset, records, self.synced);
        if let Err(error) = write_both(&*self.file, header.as_bytes(), records) {
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
            fault::again(|| self.file.set_len(self.offset)).map_err(fault::on("truncate", &self.path))?;
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

    /// What the next batches say of it.
    pub fn synced(&self) -> Option<u64> {
        self.synced
    }

    /// How many bytes were appended since the system was last told to begin to bring them to the disk.
    pub fn waiting(&self) -> u64 {
        self.offset - self.begun
    }

    /// The system has been told.
    pub fn begun(&mut self) {
        self.begun = self.offset;
    }

    /// The open file, to be synced by the helper, which may outlive this.
    pub fn file(&self) -> &SharedFile {
        &self.file
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs at once, in this thread: at shutdown, or before a manifest names a next file.
    pub fn sync_now(&self) -> io::Result<()> {
        fault::again(|| self.file.sync()).map_err(fault::on("sync", &self.path))
    }
}

/// Writes `head`, then `body`, however short the single writes are.
fn write_both(out: &dyn DiskFile, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !head.is_empty() || !body.is_empty() {
        match out.write(&[IoSlice::new(head), IoSlice::new(body)]) {
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
    use crate::io::disk::Real;
    use std::cell::{Cell, RefCell};
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::fd::RawFd;
    use std::rc::Rc;

    /// Takes `step` bytes at a time, is interrupted before each, and is full after `room` bytes.
    #[derive(Debug)]
    struct Narrow {
        held: RefCell<Vec<u8>>,
        step: usize,
        room: usize,
        interrupted: Cell<bool>,
    }

    impl Narrow {
        fn new(step: usize, room: usize) -> Narrow {
            Narrow { held: RefCell::default(), step, room, interrupted: Cell::new(false) }
        }
    }

    impl DiskFile for Narrow {
        fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
            self.interrupted.set(!self.interrupted.get());
            if self.interrupted.get() {
                return Err(ErrorKind::Interrupted.into());
            }
            let bytes = pieces.iter().flat_map(|piece| piece.iter().copied());
            let mut held = self.held.borrow_mut();
            let before = held.len();
            let room = self.room - before;
            held.extend(bytes.take(self.step.min(room)));
            match held.len() - before {
                0 => Err(ErrorKind::StorageFull.into()),
                taken => Ok(taken),
            }
        }

        fn read_at(&self, _bytes: &mut [u8], _from: u64) -> io::Result<usize> {
            Ok(0)
        }

        fn set_len(&self, _length: u64) -> io::Result<()> {
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn size(&self) -> io::Result<u64> {
            Ok(self.held.borrow().len() as u64)
        }

        fn claim(&self) -> io::Result<bool> {
            Ok(true)
        }

        fn descriptor(&self) -> RawFd {
            -1
        }
    }

    #[test]
    fn short_writes_and_interrupts_are_completed() {
        for step in 1..12 {
            let disk = Narrow::new(step, 100);
            write_both(&disk, b"head", b"bodybody").expect("room enough");
            assert_eq!(*disk.held.borrow(), b"headbodybody");
        }
    }

    #[test]
    fn a_full_disk_is_said() {
        for room in 0..12 {
            let disk = Narrow::new(5, room);
            let error = write_both(&disk, b"head", b"bodybody").expect_err("no room");
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            assert_eq!(disk.held.borrow().len(), room);
        }
    }

    #[test]
    fn batches_stand_one_after_the_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        let mut file = AppendFile::create(&Real, &path).expect("created");
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

        assert_eq!(AppendFile::create(&Real, &path).expect_err("not empty").kind(), ErrorKind::AlreadyExists);
        assert!(AppendFile::open(&Real, &path, 3).is_err());
        AppendFile::open(&Real, &path, expected.len() as u64).expect("opened").append(b"x").expect("written");
    }

    #[test]
    fn what_is_left_of_a_failed_write_is_cut_before_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        let mut file = AppendFile::create(&Real, &path).expect("created");
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
        let mut file = AppendFile::at_end(Rc::new(full), Path::new("/dev/full"), 0).expect("opened");
        assert_eq!(file.append(b"x").expect_err("full").kind(), ErrorKind::StorageFull);
        assert_eq!(file.offset(), 0);
        assert!(file.cut_owed, "a device cannot be cut");
        assert!(file.append(b"x").is_err());
    }
}
