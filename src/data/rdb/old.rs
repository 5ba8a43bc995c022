//! What small collections were before there were listpacks, and the sets of integers: ziplists, zipmaps, intsets.
//!
//! They are read only, element by element, each length held against the bytes that are there.

use crate::data::element::Item;
use crate::data::rdb::read::Fault;

/// What a ziplist, a zipmap and, of lengths of more than 253, both have at the place.
const END: u8 = 0xff;
const LONG: u8 = 0xfe;

/// Bytes that become fewer.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A byte below 254, or 254 and four bytes.
    fn length(&mut self) -> Option<usize> {
        match self.byte()? {
            END => None,
            LONG => usize::try_from(u32::from_le_bytes(self.array()?)).ok(),
            short => Some(usize::from(short)),
        }
    }
}

/// Hands over the elements of a ziplist:
///
/// ```text
/// 4 bytes  length of all, 4 bytes  place of the last entry, 2 bytes  number of entries, or 65535
/// entries: length of the entry before; then
///          00llllll                                    strings below 64 bytes
///          01llllll llllllll                           below 16384, big-endian
///          10______ + 4 bytes                          longer, big-endian
///          c0 d0 e0 f0 fe                              integers of 16, 32, 64, 24 and 8 bits, little-endian
///          f1 .. fd                                    the integers 0..=12
/// ff
/// ```
///
/// # Errors
///
/// It is none, or `visit` says so.
pub fn ziplist(
    bytes: &[u8],
    at: u64,
    mut visit: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<usize, Fault> {
    let bad = |why: &'static str| move || Fault::damaged(at, why);
    let mut cursor = Cursor { rest: bytes };
    let short = bad("a ziplist that is too short");
    let len = u32::from_le_bytes(cursor.array().ok_or_else(short)?);
    let tail = u32::from_le_bytes(cursor.array().ok_or_else(short)?);
    let claimed = u16::from_le_bytes(cursor.array().ok_or_else(short)?);
    if u32::try_from(bytes.len()) != Ok(len) {
        return Err(bad("a ziplist of another length than it says")());
    }
    let (mut count, mut before, mut last) = (0, 0, bytes.len() - cursor.rest.len());
    loop {
        let start = bytes.len() - cursor.rest.len();
        if cursor.rest == [END] {
            break;
        }
        let malformed = bad("a ziplist with a malformed entry");
        if cursor.length().ok_or_else(malformed)? != before {
            return Err(bad("a ziplist whose entries do not follow each other")());
        }
        match ziplist_entry(&mut cursor).ok_or_else(malformed)? {
            Item::Int(number) => visit(itoa::Buffer::new().format(number).as_bytes())?,
            Item::Bytes(text) => visit(text)?,
            Item::Shared(_) => {}
        }
        (before, last) = (bytes.len() - cursor.rest.len() - start, start);
        count += 1;
    }
    if claimed != u16::MAX && usize::from(claimed) != count || u32::try_from(last) != Ok(tail) {
        return Err(bad("a ziplist with another number of entries than it says")());
    }
    Ok(count)
}

fn ziplist_entry<'a>(cursor: &mut Cursor<'a>) -> Option<Item<'a>> {
    let first = cursor.byte()?;
    let len = match first {
        0x00..=0x3f => usize::from(first),
        0x40..=0x7f => usize::from(first & 0x3f) << 8 | usize::from(cursor.byte()?),
        0x80..=0xbf => u32::from_be_bytes(cursor.array()?) as usize,
        _ => {
            let number = match first {
                0xc0 => i64::from(i16::from_le_bytes(cursor.array()?)),
                0xd0 => i64::from(i32::from_le_bytes(cursor.array()?)),
                0xe0 => i64::from_le_bytes(cursor.array()?),
                0xf0 => {
                    let [low, middle, high] = cursor.array()?;
                    i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
                }
                0xfe => i64::from(i8::from_le_bytes(cursor.array()?)),
                0xf1..=0xfd => i64::from(first & 0x0f) - 1,
                _ => return None,
            };
            return Some(Item::Int(number));
        }
    };
    cursor.take(len).map(Item::Bytes)
}

/// Hands over fields and values of a zipmap, in turns: a number of fields, or 254; of each the length (see
/// [`Cursor::length`]) and the field, the length of the value, how many bytes behind it are unused, the value; ff.
///
/// # Errors
///
/// It is none, or `visit` says so.
pub fn zipmap(bytes: &[u8], at: u64, mut visit: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
    let malformed = || Fault::damaged(at, "a malformed zipmap");
    let mut cursor = Cursor { rest: bytes };
    let claimed = cursor.byte().ok_or_else(malformed)?;
    let mut count = 0;
    while cursor.rest != [END] {
        let len = cursor.length().ok_or_else(malformed)?;
        visit(cursor.take(len).ok_or_else(malformed)?)?;
        let len = cursor.length().ok_or_else(malformed)?;
        let unused = cursor.byte().ok_or_else(malformed)?;
        visit(cursor.take(len).ok_or_else(malformed)?)?;
        cursor.take(usize::from(unused)).ok_or_else(malformed)?;
        count += 1;
    }
    if claimed < LONG && usize::from(claimed) != count {
        return Err(malformed());
    }
    Ok(())
}

/// The integers of an intset, which grow: their width in bytes and their number in four bytes each, then they, all
/// little-endian.
///
/// # Errors
///
/// It is none.
pub fn intset(bytes: &[u8], at: u64) -> Result<impl ExactSizeIterator<Item = i64>, Fault> {
    let malformed = || Fault::damaged(at, "a malformed set of integers");
    let mut cursor = Cursor { rest: bytes };
    let width = u32::from_le_bytes(cursor.array().ok_or_else(malformed)?);
    let count = u32::from_le_bytes(cursor.array().ok_or_else(malformed)?);
    if !matches!(width, 2 | 4 | 8) || u64::from(width) * u64::from(count) != cursor.rest.len() as u64 {
        return Err(malformed());
    }
    let numbers = cursor.rest.chunks_exact(width as usize).map(|bytes| {
        let mut wide = [0; 8];
        wide[8 - bytes.len()..].copy_from_slice(bytes);
        i64::from_le_bytes(wide) >> (64 - 8 * bytes.len())
    });
    if !numbers.clone().is_sorted_by(|a, b| a < b) {
        return Err(malformed());
    }
    Ok(numbers)
}

/// The width of a set of integers of which this one is the widest, in bytes.
pub fn intset_width(value: i64) -> usize {
    match value {
        -0x8000..=0x7fff => 2,
        -0x8000_0000..=0x7fff_ffff => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    fn texts(
        read: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault>,
    ) -> Option<Vec<String>> {
        let mut found = Vec::new();
        let mut visit = |text: &[u8]| {
            found.push(text.escape_ascii().to_string());
            Ok(())
        };
        read(&mut visit).ok()?;
        Some(found)
    }

    fn of_ziplist(bytes: &[u8]) -> Option<Vec<String>> {
        texts(|visit| ziplist(bytes, 0, visit).map(|_| ()))
    }

    fn of_zipmap(bytes: &[u8]) -> Option<Vec<String>> {
        texts(|visit| zipmap(bytes, 0, visit))
    }

    /// A ziplist of these entries, which are without the length of the one before.
    fn made(entries: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut before, mut last) = (Vec::new(), 0, 10);
        for entry in entries {
            last = 10 + body.len();
            match before {
                0..254 => body.push(before as u8),
                _ => {
                    body.push(LONG);
                    body.extend_from_slice(&(before as u32).to_le_bytes());
                }
            }
            body.extend_from_slice(entry);
            before = 10 + body.len() - last;
        }
        body.push(END);
        let mut all = ((10 + body.len()) as u32).to_le_bytes().to_vec();
        all.extend_from_slice(&(last as u32).to_le_bytes());
        all.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        all.extend_from_slice(&body);
        all
    }

    #[test]
    fn ziplists_of_all_kinds_of_entries() {
        let long = [&[0x41, 0x2c][..], &[b'x'; 300]].concat();
        let longest = [&[0x80, 0, 0, 0x40, 0][..], &[b'y'; 0x4000]].concat();
        let entries: [&[u8]; 11] = [
            b"\x02ab",
            &long,
            &longest,
            b"\xc0\xff\x7f",
            b"\xd0\x00\x00\x00\x80",
            b"\xe0\x00\x00\x00\x00\x00\x00\x00\x80",
            b"\xf0\xff\xff\xff",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
            b"\x00",
        ];
        let (x, y) = ("x".repeat(300), "y".repeat(0x4000));
        let expected =
            ["ab", &x, &y, "32767", "-2147483648", "-9223372036854775808", "-1", "-128", "0", "12", ""];
        assert_eq!(of_ziplist(&made(&entries)).expect("a ziplist"), expected);
        assert_eq!(of_ziplist(&made(&[])), Some(vec![]));
        for entry in [&b"\xff"[..], b"\xf0\x00", b"\x05ab", b"\xc1", b"\x80\xff\xff\xff\xffab"] {
            assert_eq!(of_ziplist(&made(&[entry])), None, "{entry:?}");
        }
    }

    #[test]
    fn zipmaps() {
        let map = b"\x02\x03foo\x03\x02bar..\x01a\xfe\x02\x00\x00\x00\x00bc\xff";
        assert_eq!(of_zipmap(map).expect("a zipmap"), ["foo", "bar", "a", "bc"]);
        assert_eq!(of_zipmap(b"\x00\xff"), Some(vec![]));
        for cut in 0..map.len() {
            assert_eq!(of_zipmap(&map[..cut]), None);
        }
        assert_eq!(of_zipmap(b"\x01\xff"), None);
    }

    #[test]
    fn intsets() {
        let read = |bytes: &[u8]| intset(bytes, 0).ok().map(|numbers| numbers.collect::<Vec<i64>>());
        assert_eq!(read(b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0"), Some(vec![-1, 5]));
        assert_eq!(read(b"\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x80"), Some(vec![i64::MIN]));
        assert_eq!(read(b"\x04\0\0\0\0\0\0\0"), Some(vec![]));
        for bad in [
            &b"\x02\0\0\0\x02\0\0\0\x05\0\xff\xff"[..],
            b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0",
            b"\x02\0\0\0\x02\0\0\0\x05\0",
            b"\x03\0\0\0\x01\0\0\0\x05\0\0",
            b"\x08\0\0\0\xff\xff\xff\xff",
            b"",
        ] {
            assert_eq!(read(bad), None);
        }
    }

    #[test]
    fn anything_may_come() {
        let mut random = Random::seeded(8);
        let whole = made(&[b"\x02ab", b"\xc0\xff\x7f", b"\x03abc", b"\xf5"]);
        for _ in 0..50_000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.below(3) {
                let place = random.below(bytes.len() as u64) as usize;
                bytes[place] = random.next_u64() as u8;
            }
            bytes.truncate(random.below(2 * bytes.len() as u64) as usize);
            of_ziplist(&bytes);
            of_zipmap(&bytes);
            intset(&bytes, 0).map(|numbers| numbers.count()).ok();
        }
    }
}
