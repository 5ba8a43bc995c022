//! Bits of byte strings: counted, found, combined, and integers of any width among them.
//!
//! Bit 0 is the most significant bit of the first byte, as in `SETBIT`; positions are counted in bits unless a name
//! says bytes. All loops over many bytes are written so that the compiler makes vector instructions of them; on
//! x86-64 counting and combining exist twice, once with what every processor has and once for AVX2, which the
//! processor is asked for at run time.
//!
//! # Unsafe
//!
//! Calling a function that was compiled for AVX2 is undefined where the processor lacks it. Each such call stands
//! behind `is_x86_feature_detected!` in the same expression; the functions themselves are safe code.
#![allow(unsafe_code)]

/// The bit at a position; what lies beyond the end is zero.
#[inline]
pub fn get(bytes: &[u8], at: u64) -> bool {
    let byte = usize::try_from(at / 8).ok().and_then(|byte| bytes.get(byte));
    byte.is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
}

/// Sets or clears the bit at a position, which must be there. Returns what it was.
#[inline]
pub fn set(bytes: &mut [u8], at: u64, on: bool) -> bool {
    let byte = &mut bytes[(at / 8) as usize];
    let shift = 7 - at % 8;
    let old = *byte >> shift & 1 == 1;
    *byte = *byte & !(1 << shift) | u8::from(on) << shift;
    old
}

/// How many bits are set.
pub fn count(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if 64 <= bytes.len() && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { count_avx2(bytes) };
    }
    count_plain(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn count_avx2(bytes: &[u8]) -> u64 {
    count_plain(bytes)
}

#[inline(always)]
fn count_plain(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let ones = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    words.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones())).sum::<u64>() + ones(rest)
}

/// How many bits are set from `first` to `last`, both included and both there.
pub fn count_between(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (from, to) = ((first / 8) as usize, (last / 8) as usize);
    let before = bytes[from] & !(0xff >> (first % 8));
    let behind = bytes[to] & !(0xff << (7 - last % 8));
    count(&bytes[from..=to]) - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

/// Position of the first bit from `first` to `last`, both included and both there, that is `wanted`.
pub fn find(bytes: &[u8], wanted: bool, first: u64, last: u64) -> Option<u64> {
    let flip = if wanted { 0 } else { 0xff };
    let (from, to) = ((first / 8) as usize, (last / 8) as usize);
    let head = (bytes[from] ^ flip) & (0xff >> (first % 8));
    let (byte, bits) = if head != 0 {
        (from, head)
    } else {
        let byte = from + 1 + other_than(&bytes[from + 1..=to], flip)?;
        (byte, bytes[byte] ^ flip)
    };
    let found = byte as u64 * 8 + u64::from(bits.leading_zeros());
    (found <= last).then_some(found)
}

/// Index of the first byte that is not `skip`.
fn other_than(bytes: &[u8], skip: u8) -> Option<usize> {
    const LANE: usize = 64;
    let (lanes, _) = bytes.as_chunks::<LANE>();
    let start = lanes.iter().take_while(|lane| **lane == [skip; LANE]).count() * LANE;
    bytes[start..].iter().position(|byte| *byte != skip).map(|at| start + at)
}

/// How strings are combined; the first is told from the others by some.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Combine {
    /// Set in all.
    And,
    /// Set in any.
    Or,
    /// Set in an odd number of them.
    Xor,
    /// Not set in the only one.
    Not,
    /// Set in the first, but in no other.
    Diff,
    /// Set in another, but not in the first.
    Diff1,
    /// Set in the first and in another.
    AndOr,
    /// Set in exactly one.
    One,
}

/// Strings are combined piece by piece, so that a piece stays in the nearest cache until all have been through it.
const PIECE: usize = 8 << 10;

/// Combines strings, of which there is at least one, into a new one as long as the longest; those that end earlier
/// count as zeros from there on.
pub fn combine(how: Combine, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    for (number, piece) in result.chunks_mut(PIECE).enumerate() {
        let start = number * PIECE;
        let sources = sources.iter().map(|source| {
            let from = start.min(source.len());
            &source[from..source.len().min(from + PIECE)]
        });
        combine_piece(how, piece, sources);
    }
    result
}

/// Combines pieces, none longer than the result, into the result, which is zero before.
fn combine_piece<'a>(how: Combine, result: &mut [u8], mut sources: impl Iterator<Item = &'a [u8]>) {
    let first = sources.next().unwrap_or(&[]);
    match how {
        Combine::And => {
            result[..first.len()].copy_from_slice(first);
            for source in sources {
                mix(Mix::And, result, source);
                result[source.len()..].fill(0);
            }
        }
        Combine::Or | Combine::Xor => {
            let mixed = if how == Combine::Or { Mix::Or } else { Mix::Xor };
            result[..first.len()].copy_from_slice(first);
            sources.for_each(|source| mix(mixed, result, source));
        }
        Combine::Not => {
            result.fill(0xff);
            mix(Mix::Xor, result, first);
        }
        Combine::Diff | Combine::Diff1 | Combine::AndOr => {
            sources.for_each(|source| mix(Mix::Or, result, source));
            match how {
                Combine::Diff => mix(Mix::Without, result, first),
                Combine::Diff1 => mix(Mix::Clear, result, first),
                _ => mix(Mix::And, result, first),
            }
            if how != Combine::Diff1 {
                result[first.len()..].fill(0);
            }
        }
        Combine::One => {
            let mut again = [0; PIECE];
            result[..first.len()].copy_from_slice(first);
            for source in sources {
                let again = &mut again[..source.len()];
                let pairs = result.iter_mut().zip(again).zip(source);
                pairs.for_each(|((seen, again), byte)| {
                    *again |= *seen & byte;
                    *seen |= byte;
                });
            }
            mix(Mix::Clear, result, &again[..result.len()]);
        }
    }
}

/// What becomes of a byte by another.
#[derive(Clone, Copy)]
enum Mix {
    And,
    Or,
    Xor,
    /// Loses what is set in the other.
    Clear,
    /// Becomes what is set in the other only.
    Without,
}

fn mix(how: Mix, target: &mut [u8], source: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { mix_avx2(how, target, source) };
    }
    mix_plain(how, target, source);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn mix_avx2(how: Mix, target: &mut [u8], source: &[u8]) {
    mix_plain(how, target, source);
}

#[inline(always)]
fn mix_plain(how: Mix, target: &mut [u8], source: &[u8]) {
    let pairs = target.iter_mut().zip(source);
    match how {
        Mix::And => pairs.for_each(|(a, b)| *a &= b),
        Mix::Or => pairs.for_each(|(a, b)| *a |= b),
        Mix::Xor => pairs.for_each(|(a, b)| *a ^= b),
        Mix::Clear => pairs.for_each(|(a, b)| *a &= !b),
        Mix::Without => pairs.for_each(|(a, b)| *a = b & !*a),
    }
}

/// The type of an integer among the bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Width {
    /// From 1 to 64, or to 63 without a sign.
    pub bits: u32,
    /// Whether the first bit is a sign.
    pub signed: bool,
}

/// What happens to a number that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    /// Its lower bits are kept.
    Wrap,
    /// The nearest number that fits takes its place.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// Bytes that 64 bits may touch.
const WINDOW: usize = 9;

/// The integer at a position; what lies beyond the end is zero.
pub fn read(bytes: &[u8], at: u64, width: Width) -> i64 {
    let start = usize::try_from(at / 8).map_or(bytes.len(), |byte| byte.min(bytes.len()));
    let part = &bytes[start..bytes.len().min(start + WINDOW)];
    let mut window = [0; 16];
    window[..part.len()].copy_from_slice(part);
    // The number stands at the top now; moving it down takes its sign along.
    let top = u128::from_be_bytes(window) << (at % 8);
    if width.signed { (top as i128 >> (128 - width.bits)) as i64 } else { (top >> (128 - width.bits)) as i64 }
}

/// Writes the lower bits of `value` at a position; all of its bytes must be there.
pub fn write(bytes: &mut [u8], at: u64, width: Width, value: i64) {
    let start = (at / 8) as usize;
    let touched = ((at % 8) as usize + width.bits as usize).div_ceil(8);
    let part = &mut bytes[start..start + touched];
    let mut window = [0; 16];
    window[..touched].copy_from_slice(part);
    let shift = 128 - width.bits - (at % 8) as u32;
    let mask = (u128::MAX >> (128 - width.bits)) << shift;
    let next = u128::from_be_bytes(window) & !mask | (value as u128) << shift & mask;
    part.copy_from_slice(&next.to_be_bytes()[..touched]);
}

impl Width {
    /// The sum as it will be stored, `None` where it does not fit and must not be written.
    ///
    /// `value` need not fit itself, since `BITFIELD … SET` asks by adding nothing to it.
    pub fn add(self, value: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        let too =
            if self.signed { self.too_signed(value, increment) } else { self.too_unsigned(value, increment) };
        let sum = value.wrapping_add(increment);
        let (min, max) = self.bounds();
        match (too, overflow) {
            (Too::Neither, _) => Some(sum),
            (_, Overflow::Fail) => None,
            (Too::Small, Overflow::Saturate) => Some(min),
            (Too::Big, Overflow::Saturate) => Some(max),
            (_, Overflow::Wrap) => Some(self.wrapped(sum)),
        }
    }

    /// The smallest and the greatest number.
    fn bounds(self) -> (i64, i64) {
        let max = ((1u64 << (self.bits - u32::from(self.signed))) - 1) as i64;
        (if self.signed { !max } else { 0 }, max)
    }

    /// The lower bits as a number.
    fn wrapped(self, number: i64) -> i64 {
        let unused = 64 - self.bits;
        match self.signed {
            true => number << unused >> unused,
            false => ((number as u64) << unused >> unused) as i64,
        }
    }

    /// Differences are taken modulo 2^64, as Redis does: a number so small that its distance from the greatest one
    /// has no sign left counts as too big there, and what it is saturated to is data.
    fn too_signed(self, value: i64, increment: i64) -> Too {
        let (min, max) = self.bounds();
        let (room_up, room_down) = (max.wrapping_sub(value), min.wrapping_sub(value));
        let narrow = self.bits < 64;
        if max < value || ((narrow || (0 <= value && 0 < increment)) && room_up < increment) {
            Too::Big
        } else if value < min || ((narrow || (value < 0 && increment < 0)) && increment < room_down) {
            Too::Small
        } else {
            Too::Neither
        }
    }

    fn too_unsigned(self, value: i64, increment: i64) -> Too {
        let (_, max) = self.bounds();
        // A negative number stands for one above 2^63.
        if value < 0 || max < value || max - value < increment {
            Too::Big
        } else if increment < -value {
            Too::Small
        } else {
            Too::Neither
        }
    }
}

/// How a number fails to fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Too {
    Neither,
    Small,
    Big,
}

#[cfg(test)]
mod tests;
