//! One field of a long hash with its value: one block.
//!
//! ```text
//! 0   shape      DEADLINE, LONG
//!     lengths    of field and value: a byte each, or u64 each if LONG
//!     [deadline i64, ticket u64]   if DEADLINE
//!     field
//!     value
//! ```
//!
//! So a field of 10 bytes with a value of 20 is a block of 34 bytes. The words are not aligned. As with entries the
//! size of a block is a function of its header, and a new value of the same rounded size is written over the old one.
//!
//! # Unsafe
//!
//! Raw memory of a layout chosen at run time behind a thin pointer. The argument: [`Cell::build`] is the only place
//! that takes blocks, and writes all of what the layout says before a cell exists; every accessor derives its offsets
//! from the header by the functions with which the block was laid out; what is changed in place is a value of the same
//! rounded size with the lengths in the same form, or the two words of a deadline that is there. A cell owns its block
//! alone and is neither `Send` nor `Sync`.
#![allow(unsafe_code)]

use std::fmt;
use std::ptr::{self, NonNull};

use crate::base::date::UnixMs;
use crate::data::block;
use crate::data::expiry::Ticket;
use crate::data::table::Element;

const DEADLINE: u8 = 1;
const LONG: u8 = 2;
/// Blocks of more bytes than this are multiples of eight, others of two.
const FINE_MAX: usize = 256;

/// A field with its value and deadline: the owner of one block.
pub(super) struct Cell(NonNull<u8>);

/// Where the lengths end.
#[inline]
fn lengths_end(shape: u8) -> usize {
    if shape & LONG == 0 { 3 } else { 17 }
}

/// Where the field begins.
#[inline]
fn head(shape: u8) -> usize {
    lengths_end(shape) + if shape & DEADLINE == 0 { 0 } else { 16 }
}

#[inline]
fn block_size(shape: u8, field: usize, value: usize) -> usize {
    let size = head(shape) + field + value;
    size.next_multiple_of(if size <= FINE_MAX { 2 } else { 8 })
}

#[inline]
fn long(field: usize, value: usize) -> u8 {
    if 255 < field.max(value) { LONG } else { 0 }
}

impl Element for Cell {
    #[inline]
    fn key(&self) -> &[u8] {
        self.field()
    }

    #[inline]
    fn address(&self) -> *const u8 {
        self.0.as_ptr()
    }
}

impl Cell {
    /// A field without a deadline.
    pub fn new(field: &[u8], value: &[u8]) -> Cell {
        Cell::build(field, value, None)
    }

    fn build(field: &[u8], value: &[u8], deadline: Option<(UnixMs, Ticket)>) -> Cell {
        let shape = long(field.len(), value.len()) | if deadline.is_some() { DEADLINE } else { 0 };
        let block = block::allocate(block_size(shape, field.len(), value.len()));
        let at = block.as_ptr();
        // SAFETY: every write lies within the block, by the definition of `head` and `block_size`.
        unsafe {
            at.write(shape);
            write_lengths(at, shape, field.len(), value.len());
            if let Some((deadline, ticket)) = deadline {
                let words = at.add(lengths_end(shape));
                words.cast::<i64>().write_unaligned(deadline.0);
                words.add(8).cast::<u64>().write_unaligned(ticket.to_bits());
            }
            let field_at = at.add(head(shape));
            ptr::copy_nonoverlapping(field.as_ptr(), field_at, field.len());
            ptr::copy_nonoverlapping(value.as_ptr(), field_at.add(field.len()), value.len());
        }
        Cell(block)
    }

    #[inline]
    fn shape(&self) -> u8 {
        // SAFETY: the first byte of every block is its shape.
        unsafe { self.0.as_ptr().read() }
    }

    /// Lengths of field and value.
    #[inline]
    fn lengths(&self) -> (usize, usize) {
        let at = self.0.as_ptr();
        // SAFETY: the lengths stand where the shape says.
        unsafe {
            match self.shape() & LONG {
                0 => (usize::from(at.add(1).read()), usize::from(at.add(2).read())),
                _ => (
                    at.add(1).cast::<u64>().read_unaligned() as usize,
                    at.add(9).cast::<u64>().read_unaligned() as usize,
                ),
            }
        }
    }

    /// The field.
    #[inline]
    pub fn field(&self) -> &[u8] {
        // SAFETY: so many bytes of the block are the field.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(head(self.shape())), self.lengths().0) }
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        let (field, value) = self.lengths();
        // SAFETY: so many bytes behind the field are the value.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(head(self.shape()) + field), value) }
    }

    /// When the field falls due, and where the index of the hash holds it.
    #[inline]
    pub fn due(&self) -> Option<(UnixMs, Ticket)> {
        if self.shape() & DEADLINE == 0 {
            return None;
        }
        // SAFETY: DEADLINE says that both words are there.
        unsafe {
            let words = self.0.as_ptr().add(lengths_end(self.shape()));
            let deadline = UnixMs(words.cast::<i64>().read_unaligned());
            Some((deadline, Ticket::from_bits(words.add(8).cast::<u64>().read_unaligned())))
        }
    }

    /// When the field falls due.
    #[inline]
    pub fn deadline(&self) -> Option<UnixMs> {
        self.due().map(|(deadline, _)| deadline)
    }

    /// Where the index of the hash holds the field.
    #[inline]
    pub fn ticket(&self) -> Option<Ticket> {
        self.due().map(|(_, ticket)| ticket)
    }

    /// Replaces the value, keeping the deadline; in place if the block has the same size.
    pub fn set_value(&mut self, value: &[u8]) {
        let (field, _) = self.lengths();
        let shape = self.shape();
        let alike = long(field, value.len()) == shape & LONG;
        if !alike || block_size(shape, field, value.len()) != self.memory() {
            *self = Cell::build(self.field(), value, self.due());
            return;
        }
        // SAFETY: the new value fits the block, which is laid out alike.
        unsafe {
            let at = self.0.as_ptr();
            write_lengths(at, shape, field, value.len());
            ptr::copy_nonoverlapping(value.as_ptr(), at.add(head(shape) + field), value.len());
        }
    }

    /// Sets or takes off the deadline.
    pub fn set_due(&mut self, due: Option<(UnixMs, Ticket)>) {
        let shape = self.shape();
        match due {
            Some((deadline, ticket)) if shape & DEADLINE != 0 => {
                // SAFETY: DEADLINE says that both words are there.
                unsafe {
                    let words = self.0.as_ptr().add(lengths_end(shape));
                    words.cast::<i64>().write_unaligned(deadline.0);
                    words.add(8).cast::<u64>().write_unaligned(ticket.to_bits());
                }
            }
            None if shape & DEADLINE == 0 => {}
            due => *self = Cell::build(self.field(), self.value(), due),
        }
    }

    /// Bytes of the block.
    #[inline]
    pub fn memory(&self) -> usize {
        let (field, value) = self.lengths();
        block_size(self.shape(), field, value)
    }
}

/// # Safety
///
/// The block is at least as long as the shape says.
#[inline]
unsafe fn write_lengths(at: *mut u8, shape: u8, field: usize, value: usize) {
    // SAFETY: the lengths stand behind the shape.
    unsafe {
        if shape & LONG == 0 {
            at.add(1).write(field as u8);
            at.add(2).write(value as u8);
        } else {
            at.add(1).cast::<u64>().write_unaligned(field as u64);
            at.add(9).cast::<u64>().write_unaligned(value as u64);
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} => {}", self.field().escape_ascii(), self.value().escape_ascii())
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // SAFETY: the block came from `build` with this size, which is a function of the header.
        unsafe { block::release(self.0, self.memory()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    #[test]
    fn cells_keep_what_they_are_given() {
        let mut random = Random::seeded(5);
        let text = |random: &mut Random| {
            let max = if random.below(10) == 0 { 3000 } else { 40 };
            let byte = random.below(256) as u8;
            vec![byte; random.below(max) as usize]
        };
        for _ in 0..2000 {
            let (field, mut value) = (text(&mut random), text(&mut random));
            let mut cell = Cell::new(&field, &value);
            let mut due = None;
            for _ in 0..8 {
                match random.below(3) {
                    0 => {
                        value = text(&mut random);
                        cell.set_value(&value);
                    }
                    1 => {
                        let bits = random.below(1 << 50);
                        due = Some((UnixMs(random.next_u64() as i64), Ticket::from_bits(bits)));
                        cell.set_due(due);
                    }
                    _ => {
                        due = None;
                        cell.set_due(None);
                    }
                }
                assert_eq!((cell.field(), cell.value(), cell.due()), (&field[..], &value[..], due));
            }
        }
        assert_eq!(Cell::new(&[b'f'; 10], &[b'v'; 20]).memory(), 34);
    }
}
