//! Sets.
//!
//! Sets of integers are written as Redis keeps them, others as a row of strings: listpacks of members came with version
//! 11 of the format.

use crate::data::pack::Pack;
use crate::data::rdb::read::{Fault, Reader};
use crate::data::rdb::write::Encoder;
use crate::data::rdb::{kind, old, pack};
use crate::data::set::{Limits, Set};

/// The type as which a set is written.
pub fn type_of(set: &Set) -> u8 {
    if set.is_ints() { kind::SET_INTSET } else { kind::SET }
}

/// Writes a set.
pub fn write(out: &mut Encoder<'_>, set: &Set) {
    if set.is_ints() {
        return write_ints(out, set);
    }
    out.length(set.len() as u64);
    set.iter().for_each(|item| item.with_bytes(|text| out.string(text)));
}

/// Writes sorted integers in the width of the widest; see [`old::intset`].
fn write_ints(out: &mut Encoder<'_>, set: &Set) {
    let mut values = Vec::with_capacity(set.len());
    for item in set.iter() {
        item.with_bytes(|text| values.extend(crate::base::number::parse_i64(text)));
    }
    let ends = values.first().into_iter().chain(values.last());
    let width = ends.map(|value| old::intset_width(*value)).max().unwrap_or(2);
    let mut bytes = Vec::with_capacity(8 + width * values.len());
    bytes.extend_from_slice(&(width as u32).to_le_bytes());
    bytes.extend_from_slice(&(values.len() as u32).to_le_bytes());
    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()[..width]));
    out.bytes_of(&bytes);
}

const TWICE: &str = "a set has a member twice";

/// Reads a set of any type.
///
/// # Errors
///
/// It is damaged.
pub fn read(reader: &mut Reader<'_>, of: u8, limits: &Limits) -> Result<Set, Fault> {
    let at = reader.offset();
    match of {
        kind::SET => {
            let count = reader.count(1)?;
            let mut set = Set::new();
            for index in 0..count {
                let member = reader.string()?;
                if index == 0 {
                    set = Set::expecting(member, count, limits);
                }
                if !set.insert(member, limits) {
                    return Err(Fault::damaged(at, TWICE));
                }
            }
            Ok(set)
        }
        kind::SET_INTSET => {
            let values: Vec<i64> = old::intset(reader.string()?, at)?.collect();
            let packed =
                if values.len() <= limits.intset_entries { Set::from_sorted_integers(&values) } else { None };
            Ok(packed.unwrap_or_else(|| {
                let mut set = Set::new_table(&limits.hasher, values.len());
                values.iter().for_each(|value| {
                    set.insert(itoa::Buffer::new().format(*value).as_bytes(), limits);
                });
                set
            }))
        }
        _ => {
            let (elements, count) = pack::open(reader.string()?, at)?;
            if count <= limits.listpack_entries {
                let members = Pack::from_body(elements, count);
                return if pack::has_twice(&members, 1) {
                    Err(Fault::damaged(at, TWICE))
                } else {
                    Ok(Set::from_pack(members))
                };
            }
            let mut set = Set::new_table(&limits.hasher, count);
            let all_new = pack::iter(elements).all(|item| item.with_bytes(|text| set.insert(text, limits)));
            if all_new { Ok(set) } else { Err(Fault::damaged(at, TWICE)) }
        }
    }
}
