//! HyperLogLogs: how many different elements there were, in strings of twelve kilobytes at most.
//!
//! The strings are Redis's, byte by byte, since clients move them about with `GET` and `SET`:
//!
//! ```text
//! 0   HYLL       magic
//! 4   encoding   0 dense, 1 sparse
//! 5   0 0 0      unused
//! 8   estimate   u64, little endian; the highest bit says that it is out of date
//! 16  registers  dense: 16384 numbers of six bits, the lowest bits of the first byte first (`dense.rs`)
//!                sparse: runs of equal registers (`sparse.rs`)
//! ```
//!
//! An element's hash (MurmurHash64A with Redis's seed) names a register by its lowest 14 bits; the others give its
//! rank: the position, counted from one, of the lowest bit that is set. A register keeps the highest rank it has
//! seen. From how many registers stand at which rank follows the estimate, by the formulas of Otmar Ertl, "New
//! cardinality estimation algorithms for HyperLogLog sketches" (arXiv:1702.01284), which Redis uses since 5.0.
//!
//! A string that says it is sparse may say anything behind its header. All functions that read it return [`Corrupt`]
//! where its runs do not make exactly 16384 registers, or, like Redis, where they end before the one register that
//! is asked for.

pub mod dense;
pub mod sparse;
#[cfg(test)]
mod tests;

use self::sparse::Cursor;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bytes before the registers.
const HEADER: usize = 16;
/// Bytes of a dense string.
pub const DENSE_LEN: usize = HEADER + REGISTERS / 4 * 3;

const INDEX_BITS: u32 = 14;
/// Bits of a hash that make the rank; the highest rank is one more.
const RANK_BITS: usize = 50;
const SEED: u64 = 0xadc8_3b19;
const MAGIC: &[u8] = b"HYLL";
const ENCODING: usize = 4;
/// The byte of the estimate whose highest bit says that it is out of date.
const ESTIMATE_TOP: usize = 15;

/// All registers, a byte each.
pub type Registers = [u8; REGISTERS];

/// How registers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// As runs of equal ones.
    Sparse,
}

/// The runs of a sparse string are no 16384 registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Corrupt;

/// What an element does: it raises a register to a rank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Which register.
    pub index: usize,
    /// From 1 to 51.
    pub rank: u8,
}

impl Mark {
    /// The mark of an element.
    pub fn of(element: &[u8]) -> Mark {
        let hash = murmur(element, SEED);
        let rest = hash >> INDEX_BITS | 1 << RANK_BITS;
        Mark { index: hash as usize % REGISTERS, rank: rest.trailing_zeros() as u8 + 1 }
    }
}

/// Austin Appleby's MurmurHash2 of 64 bits, version A, reading little-endian words.
fn murmur(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

/// A HyperLogLog of nothing, with its estimate up to date.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING] = 1;
    sparse::append_zeros(&mut bytes, REGISTERS);
    bytes
}

/// The encoding, if the bytes begin like a HyperLogLog and, being dense, have the right length.
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING] {
        0 if bytes.len() == DENSE_LEN => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// A copy to be changed. What is longer than any sparse string can be is refused before it takes memory.
pub fn copied(bytes: &[u8]) -> Result<Vec<u8>, Corrupt> {
    if sparse::LEN_MAX < bytes.len() { Err(Corrupt) } else { Ok(bytes.to_vec()) }
}

/// The estimate that stands in the header, if it is up to date.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let word = u64::from_le_bytes(*bytes[8..].first_chunk()?);
    (word >> 63 == 0).then_some(word)
}

/// Writes an estimate into the header.
pub fn cache(bytes: &mut [u8], estimate: u64) {
    bytes[8..HEADER].copy_from_slice(&estimate.to_le_bytes());
}

/// Says that the estimate is out of date.
pub fn outdate(bytes: &mut [u8]) {
    bytes[ESTIMATE_TOP] |= 0x80;
}

/// Raises a register of a HyperLogLog of either encoding. Returns whether that changed it. A sparse one becomes
/// dense where it would be longer than `sparse_max` bytes or cannot say the rank. The estimate is left as it is.
///
/// The cursor remembers the place of the last change, for those whose registers come in ascending order; others
/// begin with a new one each time.
pub fn raise(
    bytes: &mut Vec<u8>,
    mark: Mark,
    cursor: &mut Cursor,
    sparse_max: usize,
) -> Result<bool, Corrupt> {
    if bytes[ENCODING] == 0 {
        return Ok(dense::raise(&mut bytes[HEADER..], mark));
    }
    match sparse::raise(bytes, mark, cursor, sparse_max)? {
        sparse::Raised::No => Ok(false),
        sparse::Raised::Yes => Ok(true),
        sparse::Raised::TooMuch => {
            make_dense(bytes)?;
            Ok(dense::raise(&mut bytes[HEADER..], mark))
        }
    }
}

/// Whether a mark would change a dense string.
pub fn dense_lacks(bytes: &[u8], mark: Mark) -> bool {
    dense::get(&bytes[HEADER..], mark.index) < mark.rank
}

/// Raises a register of a dense string. Returns whether that changed it.
pub fn raise_dense(bytes: &mut [u8], mark: Mark) -> bool {
    dense::raise(&mut bytes[HEADER..], mark)
}

/// Makes a sparse string dense; its header stays, but for the encoding.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    if bytes[ENCODING] == 0 {
        return Ok(());
    }
    let mut registers = [0; REGISTERS];
    merge(&mut registers, bytes)?;
    bytes.truncate(HEADER);
    bytes.resize(DENSE_LEN, 0);
    bytes[ENCODING] = 0;
    dense::pack(&registers, &mut bytes[HEADER..]);
    Ok(())
}

/// Writes all registers of a dense string.
pub fn set_registers(bytes: &mut [u8], registers: &Registers) {
    dense::pack(registers, &mut bytes[HEADER..]);
}

/// Raises registers to those of a HyperLogLog.
pub fn merge(registers: &mut Registers, bytes: &[u8]) -> Result<(), Corrupt> {
    if bytes[ENCODING] == 0 {
        let mut others = [0; REGISTERS];
        dense::unpack(&bytes[HEADER..], &mut others);
        registers.iter_mut().zip(others).for_each(|(register, other)| *register = other.max(*register));
        return Ok(());
    }
    sparse::for_each_run(bytes, |index, run| {
        if run.rank != 0 {
            let registers = &mut registers[index..index + run.len];
            registers.iter_mut().for_each(|register| *register = run.rank.max(*register));
        }
    })
}

/// Estimates how many different elements a HyperLogLog has seen.
pub fn estimate(bytes: &[u8]) -> Result<u64, Corrupt> {
    if bytes[ENCODING] == 0 {
        let mut registers = [0; REGISTERS];
        dense::unpack(&bytes[HEADER..], &mut registers);
        return Ok(estimate_of(&registers));
    }
    let mut histogram = [0; 64];
    sparse::for_each_run(bytes, |_, run| histogram[usize::from(run.rank)] += run.len as u32)?;
    Ok(estimate_by(&histogram))
}

/// Estimates how many different elements have raised these registers.
pub fn estimate_of(registers: &Registers) -> u64 {
    // Four histograms, so that neighbours which are equal do not wait for each other.
    let mut parts = [[0u32; 64]; 4];
    for four in registers.as_chunks::<4>().0 {
        for (part, rank) in parts.iter_mut().zip(four) {
            part[usize::from(rank & 63)] += 1;
        }
    }
    let mut histogram = [0; 64];
    for part in parts {
        histogram.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
    }
    estimate_by(&histogram)
}

/// The estimate by how many registers stand at each rank. Ranks above 51, which no element has, count for nothing.
fn estimate_by(histogram: &[u32; 64]) -> u64 {
    /// 1 / (2 ln 2), in the digits that Redis has.
    #[allow(clippy::excessive_precision)]
    const ALPHA: f64 = 0.721347520444481703680;
    let count = REGISTERS as f64;
    let part = |rank: usize| f64::from(histogram[rank]);
    let mut z = count * tau((count - part(RANK_BITS + 1)) / count);
    for rank in (1..=RANK_BITS).rev() {
        z = (z + part(rank)) * 0.5;
    }
    z += count * sigma(part(0) / count);
    let estimate = (ALPHA * count * count / z).round();
    // Registers that no element can have made may say infinity: in Redis, the most negative number there is.
    if estimate.is_finite() { estimate as u64 } else { 1 << 63 }
}

/// The sum of x^(2^k) 2^(k-1) over all k from 1, plus x.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// A third of: one minus x minus the sum of (1 - x^(2^-k))^2 2^-k over all k from 1.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// What `PFSELFTEST` does: registers keep what they are given, and both encodings estimate the same, near the truth.
/// Returns what is wrong.
pub fn self_test(seed: u64, sparse_max: usize) -> Result<(), String> {
    let mut random = crate::base::random::Random::seeded(seed);
    let (mut given, mut found) = ([0; REGISTERS], [0; REGISTERS]);
    let mut packed = vec![0; DENSE_LEN - HEADER];
    for _ in 0..10 {
        given.iter_mut().for_each(|register| *register = random.below(64) as u8);
        dense::pack(&given, &mut packed);
        dense::unpack(&packed, &mut found);
        let wrong = (0..REGISTERS)
            .find(|index| found[*index] != given[*index] || dense::get(&packed, *index) != given[*index]);
        if let Some(index) = wrong {
            let (given, found) = (given[index], found[index]);
            return Err(format!("Register {index} should be {given} but is {found}"));
        }
    }
    let (mut dense, mut sparse) = (empty(), empty());
    make_dense(&mut dense).map_err(|Corrupt| "an empty object is corrupt")?;
    let mut checkpoint = 1;
    for number in 1..=100_000u64 {
        let mark = Mark::of(&(number ^ seed).to_le_bytes());
        raise_dense(&mut dense, mark);
        raise(&mut sparse, mark, &mut Cursor::default(), sparse_max)
            .map_err(|Corrupt| "an object is corrupt")?;
        if number != checkpoint {
            continue;
        }
        checkpoint *= 10;
        let estimate = estimate(&dense).unwrap_or(0);
        if self::estimate(&sparse) != Ok(estimate) {
            return Err("dense/sparse disagree".to_owned());
        }
        // Six times the standard error, 1.04 / sqrt(16384).
        let error_max = (number as f64 * 6.0 * 1.04 / 128.0).ceil() as u64;
        if error_max < estimate.abs_diff(number) {
            let error = estimate.abs_diff(number);
            return Err(format!("Too big error. card:{number} abserr:{error}"));
        }
    }
    Ok(())
}
