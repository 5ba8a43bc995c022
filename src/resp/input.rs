//! A buffer to read(2) into: filled at the end, consumed from the front.

/// The least room offered to a read, so that a nearly full buffer does not cost a system call for a few bytes.
const ROOM_MIN: usize = 16 * 1024;

/// The most room offered to a read. It bounds how much can follow a request that has outgrown the shared buffer,
/// and keeps memory that is zeroed for a read in the cache until the kernel writes to it.
pub const ROOM_MAX: usize = 256 * 1024;

/// Bytes that came from a peer or a file and are not consumed yet, with room behind them for more.
///
/// The loop has one of these for all clients; a parser has a small one of its own for what is left over. All the
/// room is initialized memory, so reading into it needs no unsafe code.
#[derive(Debug, Default)]
pub struct Input {
    /// All of it is initialized; what is waiting is `bytes[start..end]`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// A buffer with room for `size` bytes.
    pub fn new(size: usize) -> Input {
        Input { bytes: vec![0; size], start: 0, end: 0 }
    }

    /// A buffer that holds exactly these bytes.
    pub(super) fn exact(bytes: &[u8]) -> Input {
        Input { bytes: bytes.to_vec(), start: 0, end: bytes.len() }
    }

    /// How many bytes wait to be consumed.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How much memory the buffer holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bytes that wait.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where the waiting bytes begin, for [`Input::since`].
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// All bytes from an earlier start on, consumed or not.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        &self.bytes[start..self.end]
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.start += count;
    }

    /// Keeps the first `count` waiting bytes and forgets those behind them.
    pub(super) fn truncate(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.end = self.start + count;
    }

    /// Where the next bytes go: never empty, at most [`ROOM_MAX`] long.
    ///
    /// Waiting bytes move to the front only when at least as many were consumed, and memory doubles; so each byte
    /// is moved a bounded number of times however long the stream is.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.is_empty() {
            self.clear();
        }
        if self.bytes.len() - self.end < ROOM_MIN && self.len() <= self.start {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        if self.bytes.len() - self.end < ROOM_MIN.min(self.bytes.len() / 2).max(1) {
            let size = (self.bytes.len() * 2).max(self.end + ROOM_MIN);
            self.bytes.reserve_exact(size - self.bytes.len());
            self.bytes.resize(size, 0);
        }
        let end = self.bytes.len().min(self.end + ROOM_MAX);
        &mut self.bytes[self.end..end]
    }

    /// Says that `count` bytes were put into the room.
    pub(super) fn filled(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.end, "more bytes filled than there was room for");
        self.end += count;
    }

    /// Appends bytes that are sure to fit.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(input: &mut Input, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = input.room();
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            input.filled(count);
            bytes = &bytes[count..];
        }
    }

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        for size in [0, 1, 7, 100, 64 * 1024] {
            let stream: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
            let (mut input, mut seen) = (Input::new(size), Vec::new());
            for (turn, piece) in stream.chunks(997).enumerate() {
                feed(&mut input, piece);
                let count = input.len().min(turn % 1990);
                seen.extend_from_slice(&input.waiting()[..count]);
                input.consume(count);
            }
            seen.extend_from_slice(input.waiting());
            assert_eq!(seen, stream, "size {size}");
        }
    }

    #[test]
    fn memory_follows_what_waits() {
        let mut input = Input::new(1024);
        for _ in 0..10_000 {
            feed(&mut input, &[b'x'; 1000]);
            input.consume(1000);
        }
        assert!(input.capacity() <= 64 * 1024, "{}", input.capacity());
        feed(&mut input, &vec![b'x'; 1_000_000]);
        assert!(input.capacity() <= 2 * 1_000_000 + ROOM_MIN, "{}", input.capacity());
        assert!(input.room().len() <= ROOM_MAX);
    }
}
