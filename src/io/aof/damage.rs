//! What follows a damage, and how a torn tail is cut off.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crc32fast::Hasher;

use super::batch::{self, HEADER_BYTES_MAX, Header, MARK};
use super::fault;
use super::manifest::{look, parent, remove_if_there, sync_directory};
use crate::io::disk::{Disk, DiskFile, How, SharedFile, Writing, read_exact_at, read_some_at};

/// Bytes looked at in one go.
const LOOK_BYTES: usize = 64 << 10;

/// Batches that do not match their checksum are read up to so many times the length of the file in all, then we give up
/// telling. Those that a power cut has torn lie one behind the other; only what was made up is longer.
const FALSE_TIMES_MAX: u64 = 4;

/// The whole batches that stand somewhere after a damage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Later {
    /// So many were seen (the search ends at the first that proves something).
    pub(super) batches: u64,
    /// One of them was written when the place of the damage was on disk, or may have been: no power cut did it.
    pub(super) proof: bool,
}

/// Looks for whole batches after the damage at `at`.
///
/// A value that somebody stored can look like a batch only if it names its own place in the file; and then the
/// worst is a refusal.
pub(super) fn later_batches(file: &dyn DiskFile, size: u64, at: u64) -> io::Result<Later> {
    let mut later = Later::default();
    let mut false_bytes = 0;
    let mut from = at + 1;
    loop {
        let place = match header_at(file, from)? {
            Some(_) => from,
            None => match next_mark(file, size, from)? {
                Some(place) => place,
                None => return Ok(later),
            },
        };
        from = place + 1;
        let Some((header, line)) = header_at(file, place)? else { continue };
        let Some(end) = batch_end(&header, line, size) else { continue };
        if !checksum_holds(file, &header, place + line as u64)? {
            false_bytes += header.length;
            if size.saturating_mul(FALSE_TIMES_MAX) < false_bytes {
                return Ok(Later { proof: true, ..later });
            }
            continue;
        }
        later.batches += 1;
        if header.synced.is_none_or(|synced| at < synced) {
            return Ok(Later { proof: true, ..later });
        }
        from = end;
    }
}

/// Where the batch ends, if the file is so long.
pub(super) fn batch_end(header: &Header, line: usize, size: u64) -> Option<u64> {
    let end = header.offset.checked_add(line as u64)?.checked_add(header.length)?;
    (end <= size).then_some(end)
}

/// Reads the records, which begin at `start`, and compares the checksum.
pub(super) fn checksum_holds(file: &dyn DiskFile, header: &Header, start: u64) -> io::Result<bool> {
    let mut crc: Hasher = batch::crc_of(header);
    each_piece(file, start, start + header.length, |piece| {
        crc.update(piece);
        true
    })?;
    Ok(crc.finalize() == header.crc)
}

/// Nothing but zeros from `at` to the end: what a file system leaves where data did not arrive.
pub(super) fn zeros_to_the_end(file: &dyn DiskFile, size: u64, at: u64) -> io::Result<bool> {
    each_piece(file, at, size, |piece| piece.iter().all(|&byte| byte == 0))
}

/// The byte at `at`, if the file is so long.
pub(super) fn byte_at(file: &dyn DiskFile, size: u64, at: u64) -> io::Result<Option<u8>> {
    let mut byte = [0];
    if size <= at {
        return Ok(None);
    }
    read_exact_at(file, &mut byte, at)?;
    Ok(Some(byte[0]))
}

/// The header line at `place` that names this very place, and its length.
fn header_at(file: &dyn DiskFile, place: u64) -> io::Result<Option<(Header, usize)>> {
    let mut bytes = [0; HEADER_BYTES_MAX];
    let read = read_some_at(file, &mut bytes, place)?;
    let Some(end) = bytes[..read].iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let header = batch::parse(&bytes[..=end]);
    Ok(header.filter(|header| header.offset == place).map(|header| (header, end + 1)))
}

/// Where the next header line may begin that names its own place, from `from` on.
fn next_mark(file: &dyn DiskFile, size: u64, mut from: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; LOOK_BYTES];
    while from < size {
        let read = read_some_at(file, &mut bytes, from)?;
        let is_mark = |at: &usize| {
            let rest = &bytes[*at..read];
            // One that lies across the border is looked at with the next piece.
            let is_whole = read < LOOK_BYTES || HEADER_BYTES_MAX <= rest.len();
            is_whole && rest.starts_with(MARK) && names(&rest[MARK.len()..], from + *at as u64)
        };
        if let Some(at) = (0..read).find(is_mark) {
            return Ok(Some(from + at as u64));
        }
        if read < LOOK_BYTES {
            return Ok(None);
        }
        from += (read + 1 - HEADER_BYTES_MAX) as u64;
    }
    Ok(None)
}

/// Whether `text` begins with that number.
fn names(text: &[u8], place: u64) -> bool {
    text.starts_with(place.to_string().as_bytes())
}

/// Hands out the bytes from `from` to `to` in pieces, while `look` says true; gives its last word.
fn each_piece(
    file: &dyn DiskFile,
    mut from: u64,
    to: u64,
    mut look: impl FnMut(&[u8]) -> bool,
) -> io::Result<bool> {
    let mut bytes = vec![0; LOOK_BYTES.min(usize::try_from(to - from).unwrap_or(LOOK_BYTES))];
    while from < to {
        let length = bytes.len().min(usize::try_from(to - from).unwrap_or(LOOK_BYTES));
        read_exact_at(file, &mut bytes[..length], from)?;
        if !look(&bytes[..length]) {
            return Ok(false);
        }
        from += length as u64;
    }
    Ok(true)
}

/// Cuts the file at `good` and leaves what was behind in a file beside it, whose name is given back. The copy is
/// on disk before the cut is made. Where the file has another name, as in a backup, only this name's is cut.
pub fn cut_tail(disk: &dyn Disk, path: &Path, good: u64) -> io::Result<PathBuf> {
    let file = fault::again(|| disk.open(path, How::Change)).map_err(fault::on("open", path))?;
    let size = fault::again(|| file.size()).map_err(fault::on("stat", path))?;
    let (copy, beside) = create_beside(disk, path, good)?;
    let kept = copy_range(&*file, &copy, good, size).map_err(fault::on("copy to", &beside)).and_then(|()| {
        fault::again(|| copy.sync()).map_err(fault::on("sync", &beside))?;
        sync_directory(disk, parent(path))
    });
    if let Err(error) = kept {
        // A part of a copy is of no use to anybody; the error that is told is the first.
        fault::again(|| disk.remove(&beside)).unwrap_or_default();
        return Err(error);
    }
    if 1 < look(disk, path).map_err(fault::on("look at", path))?.links {
        unshare(disk, path, good)?;
        return Ok(beside);
    }
    fault::again(|| file.set_len(good)).map_err(fault::on("truncate", path))?;
    fault::again(|| file.sync()).map_err(fault::on("sync", path))?;
    Ok(beside)
}

/// Gives a name a file of its own with the beginning of the one that it shared with others.
fn unshare(disk: &dyn Disk, path: &Path, length: u64) -> io::Result<()> {
    let mut temporary = OsString::from(path);
    temporary.push(".unshared");
    let temporary = PathBuf::from(temporary);
    copy_beginning(disk, path, &temporary, length)?;
    fault::again(|| disk.rename(&temporary, path)).map_err(fault::on("rename", &temporary))?;
    sync_directory(disk, parent(path))
}

/// Copies so many bytes from the beginning of a file into a new one, and syncs that.
///
/// # Errors
///
/// What the disk reports; then there is no new file, if the disk lets it go.
pub(super) fn copy_beginning(disk: &dyn Disk, from: &Path, to: &Path, length: u64) -> io::Result<()> {
    let copied = || {
        let file = fault::again(|| disk.open(from, How::Read)).map_err(fault::on("open", from))?;
        let copy = fault::again(|| disk.open(to, How::Replace)).map_err(fault::on("create", to))?;
        copy_range(&*file, &copy, 0, length).map_err(fault::on("copy to", to))?;
        fault::again(|| copy.sync()).map_err(fault::on("sync", to))
    };
    // The error that is told is the first.
    copied().inspect_err(|_| remove_if_there(disk, to).unwrap_or_default())
}

/// Adds the bytes from `from` to `to` of a file to a copy.
fn copy_range(file: &dyn DiskFile, copy: &SharedFile, from: u64, to: u64) -> io::Result<()> {
    let mut written = Ok(());
    let mut out = Writing(Rc::clone(copy));
    each_piece(file, from, to, |piece| {
        written = out.write_all(piece);
        written.is_ok()
    })?;
    written
}

/// `FILE.cut-OFFSET`, or with a number behind when the same place was cut before.
fn create_beside(disk: &dyn Disk, path: &Path, good: u64) -> io::Result<(SharedFile, PathBuf)> {
    let mut tries = 0_u32;
    loop {
        let mut name = OsString::from(path);
        name.push(format!(".cut-{good}"));
        if 0 < tries {
            name.push(format!("-{tries}"));
        }
        let beside = PathBuf::from(name);
        match fault::again(|| disk.open(&beside, How::New)) {
            Ok(file) => return Ok((file, beside)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && tries < 1000 => tries += 1,
            Err(error) => return Err(fault::on("create", &beside)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::disk::Real;
    use std::fs::{self, File};

    #[test]
    fn the_tail_stays_beside() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        for (round, name) in ["a.cut-4", "a.cut-4-1"].into_iter().enumerate() {
            let tail = format!("tail {round}");
            fs::write(&path, format!("good{tail}")).expect("written");
            assert_eq!(cut_tail(&Real, &path, 4).expect("cut"), dir.path().join(name));
            assert_eq!(fs::read_to_string(&path).expect("read"), "good");
            assert_eq!(fs::read_to_string(dir.path().join(name)).expect("read"), tail);
        }
    }

    #[test]
    fn a_tail_is_cut_from_one_name_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&path, "goodtail").expect("written");
        fs::hard_link(&path, &other).expect("linked");
        cut_tail(&Real, &path, 4).expect("cut");
        assert_eq!(fs::read_to_string(&path).expect("read"), "good");
        assert_eq!(fs::read_to_string(&other).expect("read"), "goodtail");
        assert_eq!(fs::read_to_string(dir.path().join("a.cut-4")).expect("read"), "tail");
        assert!(!dir.path().join("a.unshared").exists());
    }

    #[test]
    fn later_batches_are_found_wherever_they_begin() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        for gap in [1, 2, 100, LOOK_BYTES - 3, LOOK_BYTES - 1, LOOK_BYTES, LOOK_BYTES + 1, 3 * LOOK_BYTES] {
            for (synced, proof) in [(None, true), (Some(0), false), (Some(1), true)] {
                let mut bytes = vec![b'#'; gap];
                for records in [&b"one"[..], b"two"] {
                    let line = batch::header(bytes.len() as u64, records, synced);
                    bytes.extend_from_slice(line.as_bytes());
                    bytes.extend_from_slice(records);
                }
                fs::write(&path, &bytes).expect("written");
                let file = File::open(&path).expect("opened");
                let later = later_batches(&file, bytes.len() as u64, 0).expect("read");
                assert_eq!(later, Later { batches: if proof { 1 } else { 2 }, proof }, "{gap} {synced:?}");
            }
        }
    }

    #[test]
    fn any_number_of_torn_batches_may_lie_between() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        let mut bytes = b"damage".to_vec();
        for _ in 0..100 {
            bytes.extend_from_slice(batch::header(bytes.len() as u64, b"whole", Some(0)).as_bytes());
            bytes.extend_from_slice(b"w\0\0le");
        }
        bytes.extend_from_slice(batch::header(bytes.len() as u64, b"", Some(0)).as_bytes());
        fs::write(&path, &bytes).expect("written");
        let file = File::open(&path).expect("opened");
        let later = later_batches(&file, bytes.len() as u64, 0).expect("read");
        assert_eq!(later, Later { batches: 1, proof: false });

        // Each of these claims all that follows.
        let mut bytes = b"damage".to_vec();
        for left in (0..1000).rev() {
            let claimed = vec![b'x'; left * 24];
            bytes.extend_from_slice(batch::header(bytes.len() as u64, &claimed, Some(0)).as_bytes());
        }
        fs::write(&path, &bytes).expect("written");
        let file = File::open(&path).expect("opened");
        let later = later_batches(&file, bytes.len() as u64, 0).expect("read");
        assert_eq!(later, Later { batches: 0, proof: true });
    }

    #[test]
    fn what_only_looks_like_a_batch_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        let mut bytes = b"damage".to_vec();
        // One of another place, one with a wrong checksum, one that is longer than the file.
        bytes.extend_from_slice(batch::header(0, b"", None).as_bytes());
        let line = batch::header(bytes.len() as u64, b"right", None);
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"wrong");
        let line = batch::header(bytes.len() as u64, b"longer", None);
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"long");
        fs::write(&path, &bytes).expect("written");
        let file = File::open(&path).expect("opened");
        assert_eq!(later_batches(&file, bytes.len() as u64, 0).expect("read"), Later::default());
    }
}
