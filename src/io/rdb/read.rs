//! Reading: a window on a file as a source of values, and a file from its beginning to its end.

use std::io;
use std::path::Path;

use crate::data::rdb::file::{File, Item, Loaded};
use crate::data::rdb::{Fault, Limits, Source, Trouble, crc64};
use crate::io::disk::Real;
use crate::io::window::Window;

/// Whom the keys of a file are handed to.
pub trait Keys {
    /// What decides how values are stored.
    fn limits(&self) -> Limits;

    /// Whether the checksum at the end of a file must fit.
    fn checks(&self) -> bool;

    /// One key. An error ends the reading.
    fn key(&mut self, key: Loaded) -> Result<(), String>;

    /// So many keys will come into a database.
    fn reserve(&mut self, database: u64, keys: usize);

    /// So many more bytes were read: a time to tell waiting clients `-LOADING`.
    fn progress(&mut self, bytes: u64);
}

/// A file that is being read through a window: sums up what passes by.
pub struct Reading<'a> {
    window: &'a mut Window,
    keys: &'a mut dyn Keys,
    crc: u64,
    /// Bytes before the window that are not in the sum; they are still in its buffer.
    unsummed: usize,
}

impl<'a> Reading<'a> {
    /// What begins where the window is.
    pub fn new(window: &'a mut Window, keys: &'a mut dyn Keys) -> Reading<'a> {
        Reading { window, keys, crc: 0, unsummed: 0 }
    }

    fn sum_up(&mut self) {
        self.crc = crc64::update(self.crc, self.window.behind(self.unsummed));
        self.unsummed = 0;
    }

    /// Hands over all keys up to the end of the format, which may be before the end of the file.
    ///
    /// # Errors
    ///
    /// It is damaged or holds what does not exist here; or the keys were refused.
    pub fn run(&mut self) -> Result<(), Fault> {
        let (limits, check) = (self.keys.limits(), self.keys.checks());
        let mut file = File::begin(self)?;
        loop {
            let at = self.window.offset();
            match file.next(self, &limits, check)? {
                Item::Key(key) => self.keys.key(key).map_err(|why| Fault::damaged(at, why))?,
                Item::Reserve { database, keys } => self.keys.reserve(database, keys),
                Item::Empty(key) => log::info!("The key '{}' is empty: left out", key.escape_ascii()),
                Item::End => return Ok(()),
            }
        }
    }
}

impl Source for Reading<'_> {
    #[inline]
    fn take(&mut self, len: usize) -> Result<&[u8], Fault> {
        if self.window.bytes().len() < len {
            self.sum_up();
            let at = self.window.offset();
            let keys = &mut *self.keys;
            match self.window.want(len, &mut |bytes| keys.progress(bytes)) {
                Ok(true) => {}
                Ok(false) => return Err(Fault { at, trouble: Trouble::Short }),
                Err(error) => return Err(Fault { at, trouble: Trouble::Io(error) }),
            }
        }
        self.window.skip(len);
        self.unsummed += len;
        Ok(self.window.behind(len))
    }

    fn left(&self) -> u64 {
        self.window.left()
    }

    fn offset(&self) -> u64 {
        self.window.offset()
    }

    fn checksum(&mut self) -> u64 {
        self.sum_up();
        self.crc
    }
}

/// Reads a whole file.
///
/// # Errors
///
/// The text says which file, and what is wrong with it.
pub fn load(path: &Path, keys: &mut dyn Keys) -> io::Result<()> {
    let fault = |fault: Fault| {
        let kind = match &fault.trouble {
            Trouble::Io(error) => error.kind(),
            Trouble::Unsupported(_) => io::ErrorKind::Unsupported,
            Trouble::Short | Trouble::Damaged(_) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, format!("cannot load {}: {fault}", path.display()))
    };
    let mut window =
        Window::open(&Real, path).map_err(|error| fault(Fault { at: 0, trouble: Trouble::Io(error) }))?;
    Reading::new(&mut window, keys).run().map_err(fault)
}
