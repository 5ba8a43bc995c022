//! The buffer of one big argument, which bytes are read straight into.
//!
//! # Unsafe
//!
//! The room for bytes that are still to come is memory nobody has written yet: to fill it with zeros first would take
//! as long as the read itself. The argument: whoever reads hands back the part that was filled as a slice of bytes,
//! which cannot be had of unwritten memory without `unsafe` of its own (the floor `io` has it); and
//! [`Direct::read`] checks that this slice is the beginning of the room before it counts its bytes as the buffer's.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use bytes::Bytes;

use super::input::ROOM_MAX;

/// From this length on an argument that has not arrived whole gets a buffer of its own.
pub const BIG: usize = 32 * 1024;

/// The first piece of memory for a big argument; it grows fourfold up to the second length, then twofold, so that
/// what is taken stays in proportion to what has arrived.
pub(super) const BIG_START: usize = 128 * 1024;
const BIG_FOURFOLD_MAX: usize = 1024 * 1024;

/// How much memory to have when so many bytes have arrived.
fn grown(arrived: usize) -> usize {
    let growth = if arrived < BIG_FOURFOLD_MAX { 4 } else { 2 };
    (arrived * growth).max(BIG_START)
}

/// A big argument on its way into its own buffer.
#[derive(Debug)]
pub(super) struct Direct {
    /// What has arrived.
    buffer: Vec<u8>,
    /// What the argument was announced with.
    len: usize,
}

impl Direct {
    /// An argument of `len` bytes, the first of which, but not all, are here.
    pub(super) fn new(len: usize, bytes: &[u8]) -> Direct {
        debug_assert!(bytes.len() < len);
        let mut buffer = Vec::with_capacity(grown(bytes.len()).min(len));
        buffer.extend_from_slice(bytes);
        Direct { buffer, len }
    }

    /// How many bytes have arrived.
    pub(super) fn arrived(&self) -> usize {
        self.buffer.len()
    }

    /// How much memory is held, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The argument, once all of it has arrived.
    pub(super) fn whole(&mut self) -> Option<Bytes> {
        (self.buffer.len() == self.len).then(|| Bytes::from(std::mem::take(&mut self.buffer)))
    }

    /// Takes as many of these bytes as belong to the argument, and says how many.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let count = self.room().len().min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        count
    }

    /// Lets `read` fill the beginning of the room for the next bytes, which is never empty and never goes beyond the
    /// argument. `read` returns the part that it has filled.
    pub(super) fn read<E>(
        &mut self,
        read: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<&mut [u8], E>,
    ) -> Result<usize, E> {
        let room = self.room();
        let (start, most) = (room.as_ptr().cast::<u8>(), room.len());
        let filled = read(room)?;
        let count = filled.len();
        assert!(filled.as_ptr() == start && count <= most, "the beginning of the room is filled");
        // SAFETY: the slice just seen says that so many bytes behind the old ones are initialised.
        unsafe { self.buffer.set_len(self.buffer.len() + count) };
        Ok(count)
    }

    fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        let arrived = self.buffer.len();
        if arrived == self.buffer.capacity() {
            self.buffer.reserve_exact(grown(arrived).min(self.len) - arrived);
        }
        let most = (self.len - arrived).min(ROOM_MAX);
        let room = self.buffer.spare_capacity_mut();
        let most = most.min(room.len());
        &mut room[..most]
    }
}
