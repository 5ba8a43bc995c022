//! Seeded random numbers.
//!
//! Everything random in the house (sampling of keys, run identifiers, hash seeds, tests) draws from a
//! [`Random`] that somebody above seeded, so a run can be repeated from its seed. The generator keeps one
//! 64-bit word, adds an odd constant to it for every draw and mixes it by one wide multiplication: fast,
//! and good enough by far for sampling. It is not a cipher: whoever sees outputs can
//! compute the next ones, so no secret may be drawn from a generator whose other draws are shown to clients.

/// A generator of random numbers, the same ones for the same seed on every machine.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

/// What the state grows by: odd, so that all 2^64 states are visited, with half of its bits set in each byte.
const STEP: u64 = 0xa076_1d64_78bd_642f;
/// What the state is bent by before it is multiplied with itself; balanced bits again.
const BEND: u64 = 0xe703_7ed1_a0b4_28db;

impl Random {
    /// A generator for this seed. Any seed will do, zero too.
    pub fn seeded(seed: u64) -> Random {
        let mut random = Random { state: seed };
        // Neighbouring seeds must not begin neighbouring streams, so the first number becomes the state.
        random.state = random.next_u64();
        random
    }

    /// The next number, all 64 bits of it random.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        let wide = u128::from(self.state) * u128::from(self.state ^ BEND);
        (wide >> 64) as u64 ^ wide as u64
    }

    /// A number from 0 to `n - 1`; `n` must not be zero.
    ///
    /// One multiplication maps 2^64 numbers on `n`. Some results are then likelier than others by one part in
    /// 2^64 / n, which nobody can measure for the sizes of tables.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        debug_assert!(n > 0, "nothing is below zero");
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Fills a buffer with random bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    /// Text of `len` random hexadecimal digits in lower case: 40 of them are a run identifier.
    pub fn hex(&mut self, len: usize) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(len);
        while text.len() < len {
            let mut bits = self.next_u64();
            for _ in 0..16.min(len - text.len()) {
                text.push(char::from(DIGITS[(bits & 15) as usize]));
                bits >>= 4;
            }
        }
        text
    }

    /// Brings the items into a random order; each order is equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let chosen = self.below(last as u64 + 1) as usize;
            items.swap(last, chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b, mut c) = (Random::seeded(7), Random::seeded(7), Random::seeded(8));
        let draw = |r: &mut Random| (0..100).map(|_| r.next_u64()).collect::<Vec<_>>();
        let first = draw(&mut a);
        assert_eq!(first, draw(&mut b));
        assert!(draw(&mut c).iter().all(|n| !first.contains(n)));
    }

    #[test]
    fn every_bit_is_set_half_of_the_time() {
        let mut random = Random::seeded(0);
        let mut ones = [0u32; 64];
        for _ in 0..10_000 {
            let n = random.next_u64();
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += (n >> bit & 1) as u32;
            }
        }
        assert!(ones.iter().all(|count| (4700..5300).contains(count)), "{ones:?}");
    }

    #[test]
    fn below_is_even() {
        let mut random = Random::seeded(1);
        for n in [1u64, 2, 3, 7, 10, 100] {
            let mut counts = vec![0u64; n as usize];
            for _ in 0..n * 1000 {
                counts[random.below(n) as usize] += 1;
            }
            assert!(counts.iter().all(|count| (800..1200).contains(count) || n == 1), "{n}: {counts:?}");
        }
        assert!((0..100).any(|_| random.below(u64::MAX) > u64::MAX / 2));
    }

    #[test]
    fn fill_leaves_no_byte_out() {
        for len in 0..40 {
            let mut random = Random::seeded(len as u64);
            let mut seen = vec![0u8; len];
            for _ in 0..50 {
                let mut buffer = vec![0u8; len];
                random.fill(&mut buffer);
                seen.iter_mut().zip(&buffer).for_each(|(s, b)| *s |= b);
            }
            assert!(seen.iter().all(|&byte| byte == 0xff), "{len}");
        }
    }

    #[test]
    fn hex_has_its_length_and_digits() {
        let mut random = Random::seeded(3);
        for len in [0, 1, 15, 16, 17, 40] {
            let text = random.hex(len);
            assert_eq!(text.len(), len);
            assert!(text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{text}");
        }
        assert_ne!(random.hex(40), random.hex(40));
    }

    #[test]
    fn shuffle_reaches_every_order_evenly() {
        let mut random = Random::seeded(4);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [1, 2, 3];
            random.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
        random.shuffle::<u8>(&mut []);
    }
}
