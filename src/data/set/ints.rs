//! Sorted integers in the body of a pack: the form of short sets of nothing but numbers.
//!
//! ```text
//! 0   mark      0xfd, 0xfe or 0xff: each integer takes 2, 4 or 8 bytes
//! 1   integers  ascending, little-endian
//! ```
//!
//! All have the width of the widest, so that they can be searched by halves. No element of `data/element.rs` begins
//! with such a byte: the mark also tells these bodies from those of packs of elements, and an empty set of integers,
//! a mark alone, from an empty pack.

use crate::data::pack::Pack;

/// The mark of integers of two bytes; the next ones are those of four and eight.
const MARK: u8 = 0xfd;

/// More integers than this do not fit into a pack.
pub(super) const COUNT_MAX: usize = (u32::MAX as usize - 16) / 8;

/// The integers of a pack.
#[derive(Clone, Copy)]
pub(super) struct Ints<'a> {
    /// Bytes of one as a power of two.
    shift: u32,
    bytes: &'a [u8],
}

/// The power of two that is the width of an integer.
fn shift_of(value: i64) -> u32 {
    match value {
        -0x8000..=0x7fff => 1,
        -0x8000_0000..=0x7fff_ffff => 2,
        _ => 3,
    }
}

/// An empty set of integers.
pub(super) fn empty() -> Pack {
    Pack::from_body(&[MARK], 0)
}

/// A set of these integers, which ascend.
pub(super) fn from_sorted(values: &[i64]) -> Pack {
    let shift =
        values.first().into_iter().chain(values.last()).map(|value| shift_of(*value)).max().unwrap_or(1);
    let mut body = Vec::with_capacity(1 + (values.len() << shift));
    body.push(MARK + (shift - 1) as u8);
    values.iter().for_each(|value| body.extend_from_slice(&value.to_le_bytes()[..1 << shift]));
    Pack::from_body(&body, values.len())
}

impl<'a> Ints<'a> {
    /// The integers of this pack, if it is one of integers.
    #[inline]
    pub(super) fn of(pack: &'a Pack) -> Option<Ints<'a>> {
        let (&mark, bytes) = pack.body().split_first()?;
        (MARK <= mark).then(|| Ints { shift: u32::from(mark - MARK) + 1, bytes })
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        self.bytes.len() >> self.shift
    }

    /// The integer at this place.
    #[inline]
    pub(super) fn get(self, index: usize) -> i64 {
        let at = &self.bytes[index << self.shift..];
        match self.shift {
            1 => i64::from(i16::from_le_bytes([at[0], at[1]])),
            2 => i64::from(i32::from_le_bytes([at[0], at[1], at[2], at[3]])),
            _ => i64::from_le_bytes([at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7]]),
        }
    }

    /// Where an integer stands, or else where it would.
    #[inline]
    pub(super) fn find(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).cmp(&value) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

/// Adds an integer to a pack of integers; `false` if it was there.
pub(super) fn insert(pack: &mut Pack, value: i64) -> bool {
    let Some(ints) = Ints::of(pack) else { return false };
    let (shift, len) = (ints.shift, ints.len());
    let Err(index) = ints.find(value) else { return false };
    if shift < shift_of(value) {
        // Wider than all others, so it stands at an end.
        let mut values: Vec<i64> = (0..len).map(|at| ints.get(at)).collect();
        values.insert(index, value);
        *pack = from_sorted(&values);
        return true;
    }
    let at = 1 + (index << shift);
    pack.splice_raw(at..at, &value.to_le_bytes()[..1 << shift], len + 1);
    true
}

/// Removes the integer at this place from a pack of integers.
pub(super) fn remove_at(pack: &mut Pack, index: usize) {
    let Some(ints) = Ints::of(pack) else { return };
    let (shift, len) = (ints.shift, ints.len());
    let at = 1 + (index << shift);
    pack.splice_raw(at..at + (1 << shift), &[], len - 1);
}
