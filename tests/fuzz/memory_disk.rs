//! A disk in memory that never fails.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kvick::io::disk::{Disk, DiskFile, How, Look, SharedFile};

type Content = Rc<RefCell<Vec<u8>>>;

/// The files by their paths.
#[derive(Clone, Debug, Default)]
pub struct Memory(RefCell<BTreeMap<PathBuf, Content>>);

impl Memory {
    /// A disk with these files.
    pub fn with(files: &[(&str, &[u8])]) -> Memory {
        let content = |bytes: &[u8]| Rc::new(RefCell::new(bytes.to_vec()));
        Memory(RefCell::new(
            files.iter().map(|(path, bytes)| (PathBuf::from(path), content(bytes))).collect(),
        ))
    }

    /// What a file holds.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.borrow().get(Path::new(path)).map(|content| content.borrow().clone())
    }

    fn find(&self, path: &Path) -> io::Result<Content> {
        self.0.borrow().get(path).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

#[derive(Debug)]
struct Open(Content);

impl DiskFile for Open {
    fn read_at(&self, bytes: &mut [u8], from: u64) -> io::Result<usize> {
        let content = self.0.borrow();
        let rest = content.get(from as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        pieces.iter().for_each(|piece| self.0.borrow_mut().extend_from_slice(piece));
        Ok(pieces.iter().map(|piece| piece.len()).sum())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.borrow_mut().resize(length as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.borrow().len() as u64)
    }

    fn claim(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn descriptor(&self) -> RawFd {
        -1
    }
}

impl Disk for Memory {
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        let mut files = self.0.borrow_mut();
        let is_directory = files.keys().any(|file| file.parent() == Some(path));
        let there = files.get(path).cloned();
        let content = match (how, there) {
            (How::New, Some(_)) => return Err(ErrorKind::AlreadyExists.into()),
            (How::Replace, Some(content)) => {
                content.borrow_mut().clear();
                content
            }
            (_, Some(content)) => content,
            (How::New | How::CreateOrAppend | How::Replace, None) => {
                let content = Content::default();
                files.insert(path.to_owned(), Rc::clone(&content));
                content
            }
            (How::Read, None) if is_directory => Content::default(),
            (_, None) => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Rc::new(Open(content)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.find(from)?;
        let mut files = self.0.borrow_mut();
        files.remove(from);
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.find(from)?;
        self.0.borrow_mut().insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.borrow_mut().remove(path).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn create_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let files = self.0.borrow();
        let inside = files.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| path.file_name()).map(OsString::from).collect())
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        if self.0.borrow().keys().any(|file| file.parent() == Some(path)) {
            return Ok(Look { is_directory: true, size: 0, links: 1, number: 0 });
        }
        let size = self.find(path)?.borrow().len() as u64;
        let number = self.0.borrow().keys().position(|file| file == path).map_or(0, |place| place as u64 + 1);
        Ok(Look { is_directory: false, size, links: 1, number })
    }
}
