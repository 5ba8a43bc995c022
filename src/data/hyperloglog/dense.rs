//! Registers of six bits: four to three bytes, beginning with the lowest bits of the first.
//!
//! Eight registers are six bytes. Many are packed and unpacked eight at a time, as one word whose halves, quarters
//! and eighths are moved apart or together.

use crate::data::hyperloglog::{Mark, Registers};

const MAX: u16 = 63;

/// The register at an index.
#[inline]
pub fn get(packed: &[u8], index: usize) -> u8 {
    let (byte, shift) = (index * 6 / 8, index * 6 % 8);
    let above = packed.get(byte + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([packed[byte], above]) >> shift & MAX) as u8
}

/// Raises a register. Returns whether it was lower before.
#[inline]
pub fn raise(packed: &mut [u8], mark: Mark) -> bool {
    if mark.rank <= get(packed, mark.index) {
        return false;
    }
    let (byte, shift) = (mark.index * 6 / 8, mark.index * 6 % 8);
    let above = packed.get(byte + 1).copied().unwrap_or(0);
    let word = u16::from_le_bytes([packed[byte], above]);
    let next = word & !(MAX << shift) | u16::from(mark.rank) << shift;
    let [low, high] = next.to_le_bytes();
    packed[byte] = low;
    // The last register ends where its byte does.
    if let Some(above) = packed.get_mut(byte + 1) {
        *above = high;
    }
    true
}

/// All registers of a packed row of them, a byte each.
pub fn unpack(packed: &[u8], registers: &mut Registers) {
    let eights = registers.as_chunks_mut::<8>().0;
    for (six, eight) in packed.as_chunks::<6>().0.iter().zip(eights) {
        let [a, b, c, d, e, f] = *six;
        let word = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let halves = word & 0xff_ffff | (word & 0xffff_ff00_0000) << 8;
        let quarters = halves & 0x0000_0fff_0000_0fff | (halves & 0x00ff_f000_00ff_f000) << 4;
        let eighths = quarters & 0x003f_003f_003f_003f | (quarters & 0x0fc0_0fc0_0fc0_0fc0) << 2;
        *eight = eighths.to_le_bytes();
    }
}

/// Packs registers, which are all below 64.
pub fn pack(registers: &Registers, packed: &mut [u8]) {
    let sixes = packed.as_chunks_mut::<6>().0;
    for (eight, six) in registers.as_chunks::<8>().0.iter().zip(sixes) {
        let eighths = u64::from_le_bytes(*eight);
        let quarters = eighths & 0x003f_003f_003f_003f | (eighths & 0x3f00_3f00_3f00_3f00) >> 2;
        let halves = quarters & 0x0000_0fff_0000_0fff | (quarters & 0x0fff_0000_0fff_0000) >> 4;
        let word = halves & 0xff_ffff | (halves & 0x00ff_ffff_0000_0000) >> 8;
        six.copy_from_slice(&word.to_le_bytes()[..6]);
    }
}
