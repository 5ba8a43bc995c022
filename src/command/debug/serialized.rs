//! How long a value would be in an RDB file: `serializedlength` of `DEBUG OBJECT`.
//!
//! kvick writes no RDB files, but people compare this figure. So it is the true one: integers that fit are stored
//! in one, two or four bytes, strings longer than twenty bytes are compressed with LZF where that saves at least
//! four bytes, and a list is a sequence of nodes, each a string that is a listpack or one large element.

use crate::data::entry::{Entry, Str};
use crate::data::list::{List, Packed};

/// Strings up to so many bytes are looked at for integers.
const INTEGER_TEXT_MAX: usize = 11;
/// Strings of more bytes are compressed.
const COMPRESSED_ABOVE: usize = 20;
/// So many bytes compression must save.
const SAVING_MIN: usize = 4;

/// The length of a value without type and key.
pub(super) fn serialized_len(entry: &Entry) -> usize {
    match (entry.string(), entry.list()) {
        (Some(Str::Int(number)), _) => integer_len(number),
        (Some(string), _) => string_len(string.bytes(&mut [0; 20])),
        (None, Some(list)) => list_len(list),
        (None, None) => 0,
    }
}

/// Bytes of all listpacks and large elements of a list.
pub(super) fn uncompressed_len(list: &List) -> usize {
    let mut len = 0;
    list.for_each_node(|node| {
        len += match node {
            Packed::Run { elements, .. } => LISTPACK_FRAME + elements.len(),
            Packed::Alone(text) => text.len(),
        }
    });
    len
}

/// Header and end mark of a listpack.
const LISTPACK_FRAME: usize = 7;

fn list_len(list: &List) -> usize {
    let mut len = length_len(list.nodes());
    let mut listpack = Vec::new();
    list.for_each_node(|node| {
        // One byte says which of the two it is.
        len += 1 + match node {
            Packed::Run { elements, count } => {
                listpack.clear();
                listpack.extend_from_slice(&((LISTPACK_FRAME + elements.len()) as u32).to_le_bytes());
                listpack.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
                listpack.extend_from_slice(elements);
                listpack.push(0xff);
                string_len(&listpack)
            }
            Packed::Alone(text) => string_len(text),
        }
    });
    len
}

fn integer_len(number: i64) -> usize {
    match number {
        -0x80..=0x7f => 2,
        -0x8000..=0x7fff => 3,
        -0x8000_0000..=0x7fff_ffff => 5,
        _ => 1 + crate::base::number::decimal_len(number),
    }
}

fn string_len(text: &[u8]) -> usize {
    if text.len() <= INTEGER_TEXT_MAX
        && let Some(number) = crate::base::number::parse_i64(text)
    {
        return integer_len(number);
    }
    let plain = length_len(text.len()) + text.len();
    if text.len() <= COMPRESSED_ABOVE {
        return plain;
    }
    match lzf_len(text, text.len() - SAVING_MIN) {
        Some(len) => 1 + length_len(len) + length_len(text.len()) + len,
        None => plain,
    }
}

/// Bytes that a length takes.
fn length_len(len: usize) -> usize {
    match len {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Bits of the hash with which LZF finds earlier places.
const LZF_HASH_BITS: u32 = 16;
/// Furthest that LZF refers back.
const LZF_DISTANCE_MAX: usize = 1 << 13;
/// Longest piece that LZF refers to.
const LZF_MATCH_MAX: usize = (1 << 8) + (1 << 3);
/// Longest run of bytes without a reference.
const LZF_RUN_MAX: usize = 32;

/// The length of LZF's output, as the fast variant in Redis produces it; `None` if there is no room for it.
///
/// The output is runs of up to 32 plain bytes with one byte before each, and references of two or three bytes.
/// `out` counts the byte before the run that is open, though a run may stay empty and then gives it back.
fn lzf_len(input: &[u8], room: usize) -> Option<usize> {
    let mut places = vec![0u32; 1 << LZF_HASH_BITS];
    let (mut at, mut run, mut out) = (0, 0, 1);
    let end = input.len() - 2;
    while at < end {
        let slot = lzf_slot(&input[at..]);
        let earlier = std::mem::replace(&mut places[slot], at as u32) as usize;
        // Nothing refers to place 0, which is what a slot never written says.
        let fits = 0 < earlier
            && earlier < at
            && at - earlier - 1 < LZF_DISTANCE_MAX
            && input[earlier..earlier + 3] == input[at..at + 3];
        if !fits {
            if room <= out {
                return None;
            }
            (at, run, out) = (at + 1, run + 1, out + 1);
            if run == LZF_RUN_MAX {
                (run, out) = (0, out + 1);
            }
            continue;
        }
        let empty = usize::from(run == 0);
        if room <= out - empty + 4 {
            return None;
        }
        // The last two bytes are spared, unless the comparison, which first goes sixteen steps at once, had more
        // than sixteen before it and so did not ask how many.
        let most = match input.len() - at - 2 {
            17 | 18 => 19,
            left => left.min(LZF_MATCH_MAX),
        };
        let mut len = 3;
        while len < most && input[earlier + len] == input[at + len] {
            len += 1;
        }
        // The reference, and the byte before the next run.
        (run, out) = (0, out - empty + if len < 9 { 2 } else { 3 } + 1);
        at += len;
        if end <= at {
            break;
        }
        // Of the bytes passed over only the last two places are remembered.
        for place in at - 2..at {
            places[lzf_slot(&input[place..])] = place as u32;
        }
    }
    if room < out + 3 {
        return None;
    }
    for _ in at..input.len() {
        (run, out) = (run + 1, out + 1);
        if run == LZF_RUN_MAX {
            (run, out) = (0, out + 1);
        }
    }
    Some(out - usize::from(run == 0))
}

fn lzf_slot(bytes: &[u8]) -> usize {
    let word = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    let mixed = (word >> (24 - LZF_HASH_BITS)).wrapping_sub(word.wrapping_mul(5));
    (mixed & ((1 << LZF_HASH_BITS) - 1)) as usize
}
