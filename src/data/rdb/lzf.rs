//! LZF, the compression of strings in RDB.
//!
//! ```text
//! 000lllll                     l + 1 plain bytes follow
//! lllddddd dddddddd            l + 2 bytes as they stood d + 1 bytes before, l from 1 to 6
//! 111ddddd llllllll dddddddd   l + 9 bytes likewise
//! ```
//!
//! What is compressed is byte by byte what Redis makes of the same text, so that `DEBUG OBJECT` tells the same lengths.

/// Bits of the hash with which earlier places are found.
const HASH_BITS: u32 = 16;
/// Furthest that a reference goes back.
const DISTANCE_MAX: usize = 1 << 13;
/// Longest piece that is referred to.
const MATCH_MAX: usize = (1 << 8) + (1 << 3);
/// Longest run of plain bytes.
const RUN_MAX: usize = 32;
/// A reference of three bytes stands for at most so many: no text is longer than its compressed form times this.
const EXPANSION_MAX: usize = MATCH_MAX.div_ceil(3);

/// Compresses. Keeps its table of places between two texts: what is older than a text is not looked at, so the table is
/// cleared once in a few gigabytes only.
#[derive(Default)]
pub struct Compressor {
    /// By the hash of three bytes, the last place where they stood, counted through all texts; empty before the first.
    places: Vec<u32>,
    /// Where the next text begins in that count.
    base: u32,
}

impl Compressor {
    /// Adds the compressed text to `out` if that takes less than `room` bytes; otherwise adds nothing.
    ///
    /// Returns whether it did. Texts of fewer than four bytes never get shorter.
    pub fn compress(&mut self, input: &[u8], room: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let compressed = 4 <= input.len() && self.try_compress(input, room, out).is_some();
        if !compressed {
            out.truncate(start);
        }
        compressed
    }

    fn try_compress(&mut self, input: &[u8], room: usize, out: &mut Vec<u8>) -> Option<()> {
        let base = self.base_for(input.len())?;
        let start = out.len();
        let (mut at, mut run) = (0, 0);
        let end = input.len() - 2;
        // The byte before the run that is open; it counts, though a run may stay empty and then gives it back.
        out.push(0);
        while at < end {
            let slot = slot(&input[at..]);
            let earlier =
                std::mem::replace(&mut self.places[slot], base + at as u32).wrapping_sub(base) as usize;
            // Nothing refers to place 0, as in Redis, where that is what an empty slot says.
            let fits = 0 < earlier
                && earlier < at
                && at - earlier - 1 < DISTANCE_MAX
                && input[earlier..earlier + 3] == input[at..at + 3];
            if !fits {
                if room <= out.len() - start {
                    return None;
                }
                out.push(input[at]);
                (at, run) = (at + 1, run + 1);
                if run == RUN_MAX {
                    run = close_run(out, run);
                    out.push(0);
                }
                continue;
            }
            if room <= out.len() - start - usize::from(run == 0) + 4 {
                return None;
            }
            let len = match_len(input, earlier, at);
            close_run(out, run);
            push_reference(out, at - earlier - 1, len);
            out.push(0);
            run = 0;
            at += len;
            if end <= at {
                break;
            }
            // Of the bytes passed over only the last two places are remembered.
            for place in at - 2..at {
                self.places[self::slot(&input[place..])] = base + place as u32;
            }
        }
        if room < out.len() - start + 3 {
            return None;
        }
        for byte in &input[at..] {
            out.push(*byte);
            run += 1;
            if run == RUN_MAX {
                run = close_run(out, run);
                out.push(0);
            }
        }
        close_run(out, run);
        Some(())
    }

    /// Where a text of this length begins in the count of places; `None` if it is too long to be counted.
    fn base_for(&mut self, len: usize) -> Option<u32> {
        let len = u32::try_from(len).ok()?;
        if self.places.is_empty() || self.base.checked_add(len).is_none_or(|end| u32::MAX - end < len) {
            self.places.clear();
            self.places.resize(1 << HASH_BITS, 0);
            self.base = 0;
        }
        let base = self.base;
        self.base = base.checked_add(len)?;
        Some(base)
    }
}

/// Ends the open run of `run` bytes, whose first byte says how many they are; an empty one is taken back. Returns the
/// length of the next run, which is none.
fn close_run(out: &mut Vec<u8>, run: usize) -> usize {
    let before = out.len() - run - 1;
    match run {
        0 => out.truncate(before),
        _ => out[before] = (run - 1) as u8,
    }
    0
}

fn push_reference(out: &mut Vec<u8>, distance: usize, len: usize) {
    let (high, low) = ((distance >> 8) as u8, distance as u8);
    match len - 2 {
        short @ 0..7 => out.push((short as u8) << 5 | high),
        long => out.extend_from_slice(&[7 << 5 | high, (long - 7) as u8]),
    }
    out.push(low);
}

/// How many bytes at `at` are those at `earlier`, of which three are known.
fn match_len(input: &[u8], earlier: usize, at: usize) -> usize {
    // The last two bytes are spared, unless the comparison, which in Redis first goes sixteen steps at once, had more
    // than sixteen before it and so did not ask how many.
    let most = match input.len() - at - 2 {
        17 | 18 => 19,
        left => left.min(MATCH_MAX),
    };
    let mut len = 3;
    while len < most && input[earlier + len] == input[at + len] {
        len += 1;
    }
    len
}

fn slot(bytes: &[u8]) -> usize {
    let word = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    let mixed = (word >> (24 - HASH_BITS)).wrapping_sub(word.wrapping_mul(5));
    (mixed & ((1 << HASH_BITS) - 1)) as usize
}

/// Whether so many compressed bytes can be a text of this length at all, asked before memory is taken for it.
pub fn may_expand(compressed: usize, len: usize) -> bool {
    len / EXPANSION_MAX <= compressed
}

/// The text, which must be `len` bytes long; `None` if the compressed bytes are anything else.
pub fn decompress(mut input: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    if !may_expand(input.len(), len) {
        return None;
    }
    out.reserve_exact(len);
    while let Some((&control, rest)) = input.split_first() {
        if usize::from(control) < RUN_MAX {
            let (plain, rest) = rest.split_at_checked(usize::from(control) + 1)?;
            if len < out.len() + plain.len() {
                return None;
            }
            out.extend_from_slice(plain);
            input = rest;
            continue;
        }
        let (more, rest) = match control >> 5 {
            7 => rest.split_first().map(|(&more, rest)| (usize::from(more), rest))?,
            _ => (0, rest),
        };
        let (&low, rest) = rest.split_first()?;
        let distance = usize::from(control & 0x1f) << 8 | usize::from(low);
        let count = usize::from(control >> 5) + more + 2;
        let from = out.len().checked_sub(distance + 1)?;
        if len < out.len() + count {
            return None;
        }
        // What is copied may reach into what the copy itself writes.
        for place in from..from + count {
            out.push(out[place]);
        }
        input = rest;
    }
    (out.len() == len).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    #[test]
    fn what_is_compressed_comes_back() {
        let mut random = Random::seeded(5);
        let mut compressor = Compressor::default();
        let (mut packed, mut back, mut shorter) = (Vec::new(), Vec::new(), 0);
        for round in 0..2000 {
            let len = random.below(if round % 50 == 0 { 40_000 } else { 300 }) as usize;
            let letters = 1 + random.below(if round % 3 == 0 { 255 } else { 4 });
            let text: Vec<u8> = (0..len).map(|_| random.below(letters) as u8).collect();
            packed.clear();
            packed.extend_from_slice(b"before");
            if !compressor.compress(&text, len.saturating_sub(4), &mut packed) {
                assert_eq!(packed, b"before");
                continue;
            }
            shorter += 1;
            assert!(packed.len() < 6 + len);
            assert_eq!(decompress(&packed[6..], len, &mut back), Some(()));
            assert_eq!(back, text);
            assert_eq!(decompress(&packed[6..], len + 1, &mut back), None);
            assert_eq!(decompress(&packed[6..], len - 1, &mut back), None);
        }
        assert!(500 < shorter);
    }

    #[test]
    fn the_count_of_places_begins_anew() {
        let mut compressor = Compressor::default();
        let text = b"abcabcabcabcabcabcabcabcabcabcabc";
        let mut first = Vec::new();
        assert!(compressor.compress(text, 30, &mut first));
        compressor.base = u32::MAX - 40;
        let mut again = Vec::new();
        assert!(compressor.compress(text, 30, &mut again));
        assert_eq!((first, compressor.base), (again, text.len() as u32));
    }

    #[test]
    fn anything_may_come() {
        let mut random = Random::seeded(6);
        let mut out = Vec::new();
        for _ in 0..50_000 {
            let bytes: Vec<u8> = (0..random.below(30)).map(|_| random.next_u64() as u8).collect();
            let len = random.below(600) as usize;
            if decompress(&bytes, len, &mut out).is_some() {
                assert_eq!(out.len(), len);
            }
        }
        assert_eq!(decompress(b"\xff\xff\xff", 1 << 60, &mut out), None);
        assert!(out.capacity() < 1000);
    }
}
