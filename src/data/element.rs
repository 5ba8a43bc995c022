//! One element as bytes: what it looks like inside a run of a list and in the pack of any other type.
//!
//! ```text
//!   0vvvvvvv                              the integers 0..=127
//!   10llllll            + l bytes         strings below 64 bytes
//!   110vvvvv v          (13 bits)         the integers -4096..=4095
//!   1110llll l          + l bytes         strings below 4096 bytes
//!   11110000 l l l l    + l bytes         longer strings, little-endian length
//!   11110001 .. 11110100                  integers of 16, 24, 32 and 64 bits, little-endian
//! ```
//!
//! Behind each stands the length of what was just described, in groups of seven bits, the last byte holding
//! the lowest group: read from the right, a set top bit says that one more byte stands to the left. So a run
//! can be walked from both ends. This is the encoding of Redis's listpack, on purpose: the size limits of the
//! configuration then mean the same number of elements here and there, and so does `OBJECT ENCODING`.

use crate::base::number::parse_i64;
use bytes::Bytes;

/// One element as it is stored; nothing is copied to look at it.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A canonical decimal integer: its text is what `itoa` writes.
    Int(i64),
    /// Any other string inside a run.
    Bytes(&'a [u8]),
    /// A big string that stands alone; a reply may hold a reference to it.
    Shared(&'a Bytes),
}

impl Item<'_> {
    /// Hands over the element's text; integers are written to the stack for it.
    #[inline]
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Item::Int(value) => f(itoa::Buffer::new().format(*value).as_bytes()),
            Item::Bytes(bytes) => f(bytes),
            Item::Shared(bytes) => f(bytes),
        }
    }

    /// Whether the element's text is `other`.
    pub fn eq_bytes(&self, other: &[u8]) -> bool {
        Needle::new(other).matches(*self)
    }

    /// The length of the element's text in bytes.
    pub fn len_bytes(&self) -> usize {
        match self {
            Item::Int(value) => {
                let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
                digits as usize + usize::from(*value < 0)
            }
            Item::Bytes(bytes) => bytes.len(),
            Item::Shared(bytes) => bytes.len(),
        }
    }

    /// The element's text as a value of its own.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }
}

/// A value to look for, parsed once so that each comparison is either of integers or of bytes.
#[derive(Clone, Copy)]
pub struct Needle<'a> {
    text: &'a [u8],
    int: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Ready to compare this text.
    pub fn new(text: &'a [u8]) -> Self {
        Needle { text, int: parse_i64(text) }
    }

    /// Whether the element's text is the one looked for.
    #[inline]
    pub fn matches(&self, item: Item<'_>) -> bool {
        match item {
            Item::Int(value) => self.int == Some(value),
            Item::Bytes(bytes) => bytes == self.text,
            Item::Shared(bytes) => bytes == self.text,
        }
    }
}

/// An element ready to be written: header, text and back-length, the text still where the caller has it.
pub struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    back: [u8; 5],
    back_len: u8,
    text: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// The text as an element.
    #[inline]
    pub fn new(text: &'a [u8]) -> Self {
        let mut head = [0; 9];
        let (head_len, text) = match parse_i64(text) {
            Some(value) => (write_int(value, &mut head), &text[..0]),
            None => (write_length(text.len(), &mut head), text),
        };
        let (back, back_len) = back_length(head_len + text.len());
        Encoded { head, head_len: head_len as u8, back, back_len, text }
    }

    /// All bytes the element takes in a run; never none.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.text.len() + usize::from(self.back_len)
    }

    /// Writes it behind what is there.
    #[inline]
    pub fn append_to(&self, buf: &mut Vec<u8>) {
        // The two most common shapes get by with one small copy less each.
        match self.head_len {
            1 => buf.push(self.head[0]),
            n => buf.extend_from_slice(&self.head[..usize::from(n)]),
        }
        buf.extend_from_slice(self.text);
        match self.back_len {
            1 => buf.push(self.back[0]),
            n => buf.extend_from_slice(&self.back[..usize::from(n)]),
        }
    }

    /// Writes into a place of exactly [`Encoded::len`] bytes.
    #[inline]
    pub fn write_to(&self, place: &mut [u8]) {
        let (head, rest) = place.split_at_mut(usize::from(self.head_len));
        let (text, back) = rest.split_at_mut(self.text.len());
        head.copy_from_slice(&self.head[..usize::from(self.head_len)]);
        text.copy_from_slice(self.text);
        back.copy_from_slice(&self.back[..usize::from(self.back_len)]);
    }
}

#[inline]
fn write_length(len: usize, head: &mut [u8; 9]) -> usize {
    match len {
        0..=63 => {
            head[0] = 0x80 | len as u8;
            1
        }
        64..=4095 => {
            head[0] = 0xe0 | (len >> 8) as u8;
            head[1] = len as u8;
            2
        }
        _ => {
            let len = u32::try_from(len).expect("a string above 4 GiB never enters a run");
            head[0] = 0xf0;
            head[1..5].copy_from_slice(&len.to_le_bytes());
            5
        }
    }
}

#[inline]
fn write_int(value: i64, head: &mut [u8; 9]) -> usize {
    let bytes = value.to_le_bytes();
    let (tag, width) = match value {
        0..=127 => {
            head[0] = value as u8;
            return 1;
        }
        -4096..=4095 => {
            head[0] = 0xc0 | (bytes[1] & 0x1f);
            head[1] = bytes[0];
            return 2;
        }
        -0x8000..=0x7fff => (0xf1, 2),
        -0x80_0000..=0x7f_ffff => (0xf2, 3),
        -0x8000_0000..=0x7fff_ffff => (0xf3, 4),
        _ => (0xf4, 8),
    };
    head[0] = tag;
    head[1..=width].copy_from_slice(&bytes[..width]);
    1 + width
}

/// How many bytes the back-length of an element of `len` bytes takes. The odd bounds are the format's.
#[inline]
fn back_length_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

#[inline]
fn back_length(len: usize) -> ([u8; 5], u8) {
    let size = back_length_size(len);
    let mut bytes = [0; 5];
    let mut rest = len;
    for place in bytes[1..size].iter_mut().rev() {
        *place = 0x80 | (rest & 0x7f) as u8;
        rest >>= 7;
    }
    bytes[0] = rest as u8;
    (bytes, size as u8)
}

/// Reads the element that `run` begins with: what it is, and how many bytes it takes in the run.
#[inline]
pub fn first(run: &[u8]) -> (Item<'_>, usize) {
    match run[0] {
        head @ 0x80..=0xbf => {
            let end = 1 + usize::from(head & 0x3f);
            (Item::Bytes(&run[1..end]), end + 1)
        }
        head @ 0..=0x7f => (Item::Int(i64::from(head)), 2),
        _ => first_long(run),
    }
}

fn first_long(run: &[u8]) -> (Item<'_>, usize) {
    let (head, body) = measure(run);
    let len = head + body;
    let item = match run[0] {
        // Shifted up until the sign is the top bit, then down again with it.
        0xc0..=0xdf => Item::Int(i64::from(i16::from_be_bytes([run[0], run[1]]) << 3 >> 3)),
        0xe0..=0xf0 => Item::Bytes(&run[head..len]),
        _ => Item::Int(little_endian(&run[1..head])),
    };
    (item, len + back_length_size(len))
}

/// A two's complement integer of up to eight bytes.
fn little_endian(bytes: &[u8]) -> i64 {
    let mut wide = [0; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    i64::from_le_bytes(wide) >> (64 - 8 * bytes.len())
}

/// The lengths of the header and of the text behind it.
#[inline]
fn measure(run: &[u8]) -> (usize, usize) {
    match run[0] {
        0..=0x7f => (1, 0),
        head @ 0x80..=0xbf => (1, usize::from(head & 0x3f)),
        0xc0..=0xdf => (2, 0),
        head @ 0xe0..=0xef => (2, usize::from(head & 0x0f) << 8 | usize::from(run[1])),
        0xf0 => (5, u32::from_le_bytes([run[1], run[2], run[3], run[4]]) as usize),
        0xf1 => (3, 0),
        0xf2 => (4, 0),
        0xf3 => (5, 0),
        _ => (9, 0),
    }
}

/// How many elements a stranger's bytes are; `None` if they are not elements one behind the other. After that the
/// functions of this file can be trusted with them.
pub fn count(mut run: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !run.is_empty() {
        let head = match run[0] {
            0xf5..=0xff => return None,
            first => [1, 2, 5][usize::from(0xc0 <= first) + usize::from(first == 0xf0)],
        };
        let (head, body) = if head <= run.len() { measure(run) } else { return None };
        let len = head.checked_add(body)?;
        let (back, size) = back_length(len);
        let element = run.get(..len.checked_add(usize::from(size))?)?;
        if element[len..] != back[..usize::from(size)] {
            return None;
        }
        run = &run[element.len()..];
        count += 1;
    }
    Some(count)
}

/// How many bytes the first element of `run` takes.
#[inline]
pub fn first_len(run: &[u8]) -> usize {
    let (head, body) = measure(run);
    head + body + back_length_size(head + body)
}

/// How many bytes the last element of `run` takes.
#[inline]
pub fn last_len(run: &[u8]) -> usize {
    let end = run.len() - 1;
    let mut byte = run[end];
    if byte < 0x80 {
        return usize::from(byte) + 1;
    }
    let (mut len, mut size) = (0, 0);
    loop {
        len |= usize::from(byte & 0x7f) << (7 * size);
        size += 1;
        if byte < 0x80 {
            return len + size;
        }
        byte = run[end - size];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &[u8]) -> Vec<u8> {
        let mut buf = Vec::new();
        Encoded::new(text).append_to(&mut buf);
        buf
    }

    #[test]
    fn texts_that_look_like_integers() {
        let integers = [
            "0",
            "1",
            "127",
            "128",
            "-1",
            "4095",
            "4096",
            "-4096",
            "-4097",
            "-129",
            "255",
            "256",
            "32767",
            "32768",
            "-32768",
            "-32769",
            "8388607",
            "8388608",
            "-8388608",
            "-8388609",
            "2147483647",
            "2147483648",
            "-2147483648",
            "-2147483649",
            "9223372036854775807",
            "-9223372036854775808",
        ];
        for text in integers {
            let bytes = encode(text.as_bytes());
            let (item, len) = first(&bytes);
            assert!(matches!(item, Item::Int(value) if value.to_string() == text), "{text}: {item:?}");
            assert_eq!((len, item.len_bytes()), (bytes.len(), text.len()), "{text}");
        }
        let strings = [
            "",
            "-",
            "+5",
            "007",
            "-0",
            "-01",
            "00",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999",
            "0x10",
            "1_0",
            "12a",
        ];
        for text in strings {
            let bytes = encode(text.as_bytes());
            assert!(matches!(first(&bytes).0, Item::Bytes(found) if found == text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn integers_around_every_width() {
        for shift in 0..64 {
            for near in -2i64..=2 {
                for value in [(1i64 << shift).wrapping_add(near), (-1i64 << shift).wrapping_add(near)] {
                    let bytes = encode(value.to_string().as_bytes());
                    assert!(matches!(first(&bytes), (Item::Int(found), _) if found == value), "{value}");
                }
            }
        }
    }

    /// The sizes are those of a listpack: `(length of a string, bytes taken)`.
    #[test]
    fn sizes_and_both_ways() {
        let table = [
            (0, 2),
            (1, 3),
            (15, 17),
            (63, 65),
            (64, 67),
            (125, 128),
            (126, 130),
            (4095, 4099),
            (4096, 4103),
            (16_377, 16_384),
            (16_378, 16_386),
            (2_097_145, 2_097_153),
            (2_097_146, 2_097_155),
        ];
        for (len, taken) in table {
            let mut bytes = encode(b"before");
            let at = bytes.len();
            bytes.extend_from_slice(&encode(&vec![b'x'; len]));
            assert_eq!(bytes.len() - at, taken, "{len}");
            assert_eq!(first_len(&bytes[at..]), taken, "{len}");
            assert_eq!(last_len(&bytes), taken, "{len}");
            assert_eq!(first(&bytes[at..]).0.len_bytes(), len);
        }
    }

    #[test]
    fn known_bytes() {
        let table: [(&str, &[u8]); 8] = [
            ("5", &[5, 1]),
            ("hi", &[0x82, b'h', b'i', 3]),
            ("-1", &[0xdf, 0xff, 2]),
            ("4095", &[0xcf, 0xff, 2]),
            ("-4096", &[0xd0, 0, 2]),
            ("4096", &[0xf1, 0, 0x10, 3]),
            ("-8388608", &[0xf2, 0, 0, 0x80, 4]),
            ("4294967296", &[0xf4, 0, 0, 0, 0, 1, 0, 0, 0, 9]),
        ];
        for (text, bytes) in table {
            assert_eq!(encode(text.as_bytes()), bytes, "{text}");
        }
    }

    #[test]
    fn comparing() {
        assert!(Item::Int(7).eq_bytes(b"7"));
        assert!(!Item::Int(7).eq_bytes(b"07"));
        assert!(!Item::Int(0).eq_bytes(b""));
        assert!(Item::Bytes(b"07").eq_bytes(b"07"));
        assert!(Item::Shared(&Bytes::from_static(b"7")).eq_bytes(b"7"));
    }
}
