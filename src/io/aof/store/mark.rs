//! The mark that a sync which failed leaves; the head of `store.rs` says what for.

use std::io;

use super::Store;
use crate::io::aof::fault;
use crate::io::aof::manifest;
use crate::io::disk::How;

/// What a sync that failed leaves beside the log, for whoever starts on it, until all of it is in new files: even if the
/// log was switched off meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing is to be said.
    None,
    /// It is to be left: the disk has not even taken that.
    Owed,
    /// It is there.
    Left,
}

impl Store {
    /// Whether a sync failed before this start.
    pub(super) fn has_mark(&self) -> io::Result<bool> {
        Ok(manifest::look_for(self.place.disk(), &self.place.unsynced_mark())?.is_some())
    }

    /// Until a disk that takes nothing takes the mark, this is tried on each tick.
    pub(super) fn leave_mark(&mut self) {
        if self.mark != Mark::Left {
            let path = self.place.unsynced_mark();
            let left = fault::again(|| self.place.disk().open(&path, How::CreateOrAppend)).is_ok();
            self.mark = if left { Mark::Left } else { Mark::Owed };
        }
    }
}
