//! Listpacks: the frame around the elements that packs and runs hold.
//!
//! ```text
//! 4 bytes   length of all, little-endian
//! 2 bytes   number of elements; 65535: not known without counting
//! elements  as in data/element.rs
//! ff
//! ```

use std::borrow::Cow;

use crate::data::element::{self, Item};
use crate::data::pack::Pack;
use crate::data::rdb::read::Fault;
use crate::data::rdb::write::Encoder;

/// Bytes before the elements.
const HEAD: usize = 6;
/// Bytes of the frame.
pub const FRAME: usize = HEAD + 1;
/// What stands behind the elements.
const END: u8 = 0xff;

/// Writes a string that is a listpack of these elements. `scratch` is only lent.
pub fn write(out: &mut Encoder<'_>, elements: &[u8], count: usize, scratch: &mut Vec<u8>) {
    scratch.clear();
    frame(scratch, elements, count);
    out.bytes_of(scratch);
}

/// Adds the listpack of these elements.
pub fn frame(out: &mut Vec<u8>, elements: &[u8], count: usize) {
    let len = u32::try_from(FRAME + elements.len()).expect("a pack is far smaller than 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(elements);
    out.push(END);
}

/// The elements of a listpack and how many they are, each of them looked at. `at`: where it stands, for the fault.
///
/// # Errors
///
/// It is none.
pub fn open(listpack: &[u8], at: u64) -> Result<(&[u8], usize), Fault> {
    let bad = |why: &'static str| Fault::damaged(at, why);
    let (head, rest) =
        listpack.split_first_chunk::<HEAD>().ok_or_else(|| bad("a listpack without a head"))?;
    let (end, elements) = rest.split_last().ok_or_else(|| bad("a listpack without an end"))?;
    let [a, b, c, d, e, f] = *head;
    let (len, claimed) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
    if u32::try_from(listpack.len()) != Ok(len) || *end != END {
        return Err(bad("a listpack of another length than it says"));
    }
    let count = element::count(elements).ok_or_else(|| bad("a listpack with a malformed element"))?;
    if claimed != u16::MAX && usize::from(claimed) != count {
        return Err(bad("a listpack with another number of elements than it says"));
    }
    Ok((elements, count))
}

/// The elements of an open listpack.
pub fn iter(mut elements: &[u8]) -> impl Iterator<Item = Item<'_>> {
    std::iter::from_fn(move || {
        if elements.is_empty() {
            return None;
        }
        let (item, len) = element::first(elements);
        elements = &elements[len..];
        Some(item)
    })
}

/// Up to so many elements are compared each with each.
const COMPARED_EACH: usize = 32;

/// Whether one of the elements, looking at one of every `step`, is there twice.
pub fn has_twice(pack: &Pack, step: usize) -> bool {
    let items: Vec<Item<'_>> = pack.iter().step_by(step).collect();
    if items.len() <= COMPARED_EACH {
        let mut later = items.iter();
        return items.iter().any(|item| {
            later.next();
            later.clone().any(|other| same(*item, *other))
        });
    }
    let mut texts: Vec<Cow<'_, [u8]>> = items.into_iter().map(text).collect();
    texts.sort_unstable();
    texts.windows(2).any(|pair| pair[0] == pair[1])
}

fn same(a: Item<'_>, b: Item<'_>) -> bool {
    match (a, b) {
        (Item::Int(a), Item::Int(b)) => a == b,
        (Item::Bytes(a), Item::Bytes(b)) => a == b,
        _ => a.with_bytes(|a| b.with_bytes(|b| a == b)),
    }
}

fn text(item: Item<'_>) -> Cow<'_, [u8]> {
    match item {
        Item::Bytes(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn what_is_there_twice_is_found() {
        for count in [1, 2, 31, 32, 33, 300] {
            let mut pack = Pack::new();
            (0..count).for_each(|number| pack.push([number.to_string().as_bytes(), b"x"]));
            assert!(!has_twice(&pack, 2), "{count}");
            assert!(has_twice(&pack, 1) == (1 < count), "{count}");
            pack.push([b"0", b"y"]);
            assert!(has_twice(&pack, 2), "{count}");
        }
    }

    #[test]
    fn a_listpack_is_what_it_says_or_nothing() {
        let mut pack = Pack::new();
        pack.push([b"one", b"2", b"", b"-70000"]);
        let mut listpack = Vec::new();
        frame(&mut listpack, pack.body(), pack.count());
        assert!(matches!(open(&listpack, 0), Ok((elements, 4)) if elements == pack.body()));
        for cut in 0..listpack.len() {
            assert!(open(&listpack[..cut], 0).is_err());
        }
        for place in [0, 1, 4, 5, listpack.len() - 1] {
            let mut other = listpack.clone();
            other[place] ^= 1;
            assert!(open(&other, 0).is_err(), "{place}");
        }
        listpack[4..6].copy_from_slice(&[0xff, 0xff]);
        assert!(open(&listpack, 0).is_ok());
    }
}
