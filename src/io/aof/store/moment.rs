//! When records were written: said in the log, and gone back to.

use std::io::{self, ErrorKind};

use super::Store;
use crate::base::date::UnixMs;
use crate::io::aof::batch;
use crate::io::aof::reader;
use crate::io::aof::until;
use crate::state::State;

impl Store {
    /// Goes back to what the log held at a date, before it is loaded. Returns the bytes that [`Store::load`] will read.
    ///
    /// # Errors
    ///
    /// As [`until::go_back`].
    pub fn go_back(&mut self, until: UnixMs) -> io::Result<u64> {
        if self.is_new() {
            let text = "--load-until needs a log, and there is none yet";
            return Err(io::Error::new(ErrorKind::NotFound, text));
        }
        let (manifest, kept) = until::go_back(&self.place, &self.manifest, until)?;
        self.manifest = manifest;
        if let Some(kept) = kept {
            log::warn!(
                "The log was taken back to {}. All of it is kept in {}: start with --dir there to see it, delete that \
                 directory when it is not needed any more",
                until.0,
                kept.display()
            );
        }
        reader::total_bytes(&self.place, &self.manifest)
    }

    /// `aof-timestamp-enabled`: says of the records that nothing says it of yet when they were written.
    #[cold]
    pub(super) fn stamp(&mut self, state: &mut State) {
        let date = UnixMs(state.process.now_ms);
        let pending = state.log.pending_mut();
        if pending.len() == self.stamped {
            return;
        }
        let mut stamps = Vec::with_capacity(64);
        batch::moment(&mut stamps, date.0);
        if date.secs() != self.last_timestamp_secs {
            self.last_timestamp_secs = date.secs();
            batch::timestamp(&mut stamps, date.secs());
        }
        pending.splice(self.stamped..self.stamped, stamps);
        self.stamped = pending.len();
    }

    /// The records that were gathered are written, or not wanted any more.
    pub(super) fn drop_pending(&mut self, state: &mut State) {
        state.log.pending_mut().clear();
        self.stamped = 0;
    }
}
