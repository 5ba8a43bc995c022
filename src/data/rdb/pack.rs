//! Listpacks: the frame around the elements that packs and runs hold.
//!
//! ```text
//! 4 bytes   length of all, little-endian
//! 2 bytes   number of elements; 65535: not known without counting
//! elements  as in data/element.rs
//! ff
//! ```

use crate::data::element;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::pack::Pack;

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
