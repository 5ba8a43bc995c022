//! The buffer of one big argument, which bytes are read straight into.

use bytes::Bytes;

use super::input::ROOM_MAX;

/// From this length on an argument that has not arrived whole gets a buffer of its own.
pub const BIG: usize = 32 * 1024;

/// The first piece of memory for a big argument; it grows fourfold up to the second length, then twofold, so that
/// what is taken stays in proportion to what has arrived.
pub(super) const BIG_START: usize = 64 * 1024;
const BIG_FOURFOLD_MAX: usize = 1024 * 1024;

/// How much memory to have when so many bytes have arrived.
fn grown(arrived: usize) -> usize {
    let growth = if arrived < BIG_FOURFOLD_MAX { 4 } else { 2 };
    (arrived * growth).max(BIG_START)
}

/// A big argument on its way into its own buffer.
#[derive(Debug)]
pub(super) struct Direct {
    /// All of it is initialized; the first `filled` bytes have arrived.
    buffer: Vec<u8>,
    filled: usize,
    /// What the argument was announced with.
    len: usize,
}

impl Direct {
    /// An argument of `len` bytes, the first of which, but not all, are here.
    pub(super) fn new(len: usize, bytes: &[u8]) -> Direct {
        debug_assert!(bytes.len() < len);
        let mut buffer = Vec::with_capacity(grown(bytes.len()).min(len));
        buffer.extend_from_slice(bytes);
        Direct { buffer, filled: bytes.len(), len }
    }

    /// How many bytes have arrived.
    pub(super) fn arrived(&self) -> usize {
        self.filled
    }

    /// How much memory is held, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Says that `count` bytes were put into the room; gives the argument if they were the last.
    pub(super) fn filled(&mut self, count: usize) -> Option<Bytes> {
        assert!(count <= self.buffer.len() - self.filled, "more bytes filled than there was room for");
        self.filled += count;
        (self.filled == self.len).then(|| Bytes::from(std::mem::take(&mut self.buffer)))
    }

    /// Where the next bytes go: never empty, and never beyond the argument.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            if self.filled == self.buffer.capacity() {
                self.buffer.reserve_exact(grown(self.filled).min(self.len) - self.filled);
            }
            let end = self.buffer.capacity().min(self.len).min(self.filled + ROOM_MAX);
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.filled..]
    }
}
