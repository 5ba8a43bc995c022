//! A client's bytes to send: one growing buffer, and big values referenced where they belong.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Sent bytes are cut off the front of the buffer once there are so many and they are its larger part; so each byte
/// moves at most once on average while a slow reader's output never drains.
const SENT_MAX: usize = 16 * 1024;

/// Bytes to send, in order. Without any it holds nothing on the heap, unless it was given a buffer.
#[derive(Debug, Default)]
pub struct Output {
    /// All bytes but those of the splices.
    pub(super) bytes: Vec<u8>,
    /// How many of `bytes` are sent.
    sent: usize,
    /// Values to be sent when `bytes` has been sent up to the offset; offsets ascend, none is below `sent`.
    splices: VecDeque<(usize, Bytes)>,
    /// The length of all splices together.
    spliced: usize,
}

/// A place in the output, to come back to. Good until bytes before it are cut off or inserted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub bytes: usize,
    splices: usize,
}

impl Output {
    /// An output that writes to this buffer, whose contents are dropped: from a pool, so that nothing is allocated.
    pub fn with_buffer(mut buffer: Vec<u8>) -> Output {
        buffer.clear();
        Output { bytes: buffer, ..Output::default() }
    }

    /// The bytes of an output that was only written to, without values by reference.
    pub fn plain(&self) -> &[u8] {
        debug_assert!(self.splices.is_empty() && self.sent == 0);
        &self.bytes
    }

    /// How many bytes are to be sent.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.spliced
    }

    /// Whether there is nothing to send.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes of memory are held, referenced values included: what the output limits of clients count.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.splices.capacity() * size_of::<(usize, Bytes)>() + self.spliced
    }

    /// Size of the buffer in bytes, filled or not.
    pub fn buffer_size(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many values are held by reference, and how many of their bytes are to be sent.
    pub fn references(&self) -> (usize, usize) {
        (self.splices.len(), self.spliced)
    }

    /// How many bytes are in values that nobody else refers to any more.
    pub fn unshared(&self) -> usize {
        self.splices.iter().filter(|(_, value)| value.is_unique()).map(|(_, value)| value.len()).sum()
    }

    /// Appends bytes.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a value by reference.
    pub fn push_shared(&mut self, value: &Bytes) {
        if !value.is_empty() {
            self.spliced += value.len();
            self.splices.push_back((self.bytes.len(), value.clone()));
        }
    }

    /// Points `slices` at what is to be sent next, at most `len_max` bytes, and says how many slices were set.
    pub fn slices<'a>(&'a self, len_max: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut count, mut left, mut at) = (0, len_max, self.sent);
        let tail = (self.bytes.len(), None);
        for (offset, value) in self.splices.iter().map(|(offset, value)| (*offset, Some(value))).chain([tail])
        {
            for part in [&self.bytes[at..offset], value.map_or(&[][..], |value| &value[..])] {
                if left == 0 || count == slices.len() {
                    return count;
                }
                if !part.is_empty() {
                    let len = part.len().min(left);
                    slices[count] = IoSlice::new(&part[..len]);
                    count += 1;
                    left -= len;
                }
            }
            at = offset;
        }
        count
    }

    /// Says that the first `count` bytes are sent. Values that are sent whole are let go at once.
    pub fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len(), "more bytes sent than there were");
        while 0 < count {
            let offset = self.splices.front().map_or(self.bytes.len(), |(offset, _)| *offset);
            let plain = (offset - self.sent).min(count);
            self.sent += plain;
            count -= plain;
            if 0 < count {
                count -= self.advance_splice(count);
            }
        }
        if self.is_empty() {
            self.bytes.clear();
            self.sent = 0;
        } else if SENT_MAX <= self.sent && self.bytes.len() < self.sent * 2 {
            self.bytes.drain(..self.sent);
            self.splices.iter_mut().for_each(|(offset, _)| *offset -= self.sent);
            self.sent = 0;
        }
    }

    /// Takes up to `count` bytes off the first splice and says how many.
    fn advance_splice(&mut self, count: usize) -> usize {
        let Some((_, value)) = self.splices.front_mut() else { return count };
        let taken = value.len().min(count);
        if taken == value.len() {
            self.splices.pop_front();
        } else {
            // Only a view gets smaller; the memory stays until the last byte of it is sent.
            let _sent = value.split_to(taken);
        }
        self.spliced -= taken;
        taken
    }

    /// Drops what was to be sent and gives the buffer back, empty, for a pool. The output has no memory then.
    pub fn recycle(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(self).bytes;
        buffer.clear();
        buffer
    }

    #[inline]
    pub(super) fn place(&self) -> Place {
        Place { bytes: self.bytes.len(), splices: self.splices.len() }
    }

    /// Forgets all that was appended since.
    pub(super) fn truncate(&mut self, place: Place) {
        self.bytes.truncate(place.bytes);
        self.spliced -= self.splices.drain(place.splices..).map(|(_, value)| value.len()).sum::<usize>();
    }

    /// Replaces `hole` bytes at a place by a header, which is at least as long; what follows moves up.
    pub(super) fn insert(&mut self, place: Place, hole: usize, header: &[u8]) {
        let grown = header.len() - hole;
        let end = self.bytes.len();
        if 0 < grown {
            self.bytes.resize(end + grown, 0);
            self.bytes.copy_within(place.bytes + hole..end, place.bytes + header.len());
            self.splices.range_mut(place.splices..).for_each(|(offset, _)| *offset += grown);
        }
        self.bytes[place.bytes..place.bytes + header.len()].copy_from_slice(header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what the slices say, `len_max` bytes and `count` slices at a time.
    fn drain(output: &mut Output, len_max: usize, count: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while !output.is_empty() {
            let mut slices = vec![IoSlice::new(&[]); count];
            let used = output.slices(len_max, &mut slices);
            let bytes = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
            assert!(
                !bytes.is_empty() && bytes.len() <= len_max && slices[..used].iter().all(|s| !s.is_empty())
            );
            output.advance(bytes.len());
            sent.extend(bytes);
        }
        sent
    }

    #[test]
    fn values_leave_where_they_were_put() {
        let (big, small) = (Bytes::from(vec![b'B'; 300]), Bytes::from_static(b"s"));
        for len_max in [1, 2, 7, 299, 300, 301, usize::MAX] {
            for count in [1, 2, 3, 16] {
                let mut output = Output::default();
                output.push_shared(&small);
                output.push(b"one");
                output.push_shared(&big);
                output.push_shared(&Bytes::new());
                output.push_shared(&small);
                output.push(b"two");
                let expected = [b"sone", &big[..], b"stwo"].concat();
                assert_eq!(output.len(), expected.len());
                assert!(300 < output.memory());
                assert_eq!(drain(&mut output, len_max, count), expected, "{len_max} {count}");
                assert_eq!(output.slices(9, &mut [IoSlice::new(&[])]), 0);
            }
        }
    }

    #[test]
    fn a_slow_reader_keeps_no_sent_bytes() {
        let big = Bytes::from(vec![b'B'; 1000]);
        let (mut output, mut expected, mut got) = (Output::default(), Vec::new(), Vec::new());
        for i in 0..20_000u32 {
            let bytes = i.to_le_bytes().repeat(3);
            output.push(&bytes);
            expected.extend_from_slice(&bytes);
            if i % 100 == 0 {
                output.push_shared(&big);
                expected.extend_from_slice(&big);
            }
            if 3 < i {
                let mut slices = [IoSlice::new(&[]); 4];
                let used = output.slices(22, &mut slices);
                let bytes = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
                output.advance(bytes.len());
                got.extend(bytes);
            }
        }
        assert!(output.memory() < 128 * 1024, "{}", output.memory());
        got.extend(drain(&mut output, 1000, 4));
        assert!(got == expected);
    }

    #[test]
    fn a_recycled_output_has_no_memory() {
        let mut output = Output::with_buffer(b"old".to_vec());
        assert!(output.is_empty());
        output.push(b"x");
        output.push_shared(&Bytes::from_static(b"y"));
        let buffer = output.recycle();
        assert!(buffer.is_empty() && 0 < buffer.capacity());
        assert_eq!((output.len(), output.memory()), (0, 0));
    }
}
