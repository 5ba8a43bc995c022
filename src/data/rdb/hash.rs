//! Hashes.
//!
//! A hash of whose fields one has a deadline is written as Redis 7.4 does: before each field stands how long after the
//! first deadline its own is, plus one, zero for none. Valkey 9 has the date behind each value, -1 for none.

use crate::base::date::UnixMs;
use crate::data::hash::{DEADLINE_MAX, Hash, Limits, Pair};
use crate::data::pack::Pack;
use crate::data::rdb::read::{Fault, Reader};
use crate::data::rdb::write::Encoder;
use crate::data::rdb::{VERSIONS_VALKEY, kind, old, pack};

/// The type as which a hash is written.
pub fn type_of(hash: &Hash) -> u8 {
    if hash.as_pack().is_some() {
        kind::HASH_LISTPACK
    } else if hash.next_due().is_some() {
        kind::HASH_METADATA
    } else {
        kind::HASH
    }
}

/// Writes a hash.
pub fn write(out: &mut Encoder<'_>, hash: &Hash) {
    if let Some(fields) = hash.as_pack() {
        return pack::write(out, fields.body(), fields.count(), &mut Vec::new());
    }
    let first = match hash.next_due() {
        None => None,
        Some(_) => hash.iter().filter_map(|pair| pair.deadline).min(),
    };
    if let Some(first) = first {
        out.integer_64(first.0);
    }
    out.length(hash.len() as u64);
    for Pair { field, value, deadline } in hash.iter() {
        if let Some(first) = first {
            out.length(deadline.map_or(0, |at| (at.0 - first.0) as u64 + 1));
        }
        field.with_bytes(|text| out.string(text));
        value.with_bytes(|text| out.string(text));
    }
}

/// Reads a hash of any type.
///
/// # Errors
///
/// It is damaged.
pub fn read(reader: &mut Reader<'_>, of: u8, limits: &Limits) -> Result<Hash, Fault> {
    let at = reader.offset();
    let mut fields = Fields { hash: Hash::new(), limits, at, field: None };
    match of {
        kind::HASH | kind::HASH_2 | kind::HASH_METADATA => read_table(reader, of, &mut fields)?,
        kind::HASH_ZIPMAP => old::zipmap(reader.string()?, at, |text| fields.add_text(text))?,
        kind::HASH_ZIPLIST => {
            old::ziplist(reader.string()?, at, |text| fields.add_text(text))?;
        }
        kind::HASH_LISTPACK => {
            let (elements, count) = pack::open(reader.string()?, at)?;
            if count % 2 != 0 {
                return Err(Fault::damaged(at, NO_VALUE));
            }
            if count / 2 <= limits.entries {
                let pack = Pack::from_body(elements, count);
                return if pack::has_twice(&pack, 2) {
                    Err(Fault::damaged(at, TWICE))
                } else {
                    Ok(Hash::from_pack(pack))
                };
            }
            fields.hash.expect(count / 2, limits);
            for item in pack::iter(elements) {
                item.with_bytes(|text| fields.add_text(text))?;
            }
        }
        _ => read_threes(reader, &mut fields)?,
    }
    if fields.field.is_some() {
        return Err(Fault::damaged(at, NO_VALUE));
    }
    Ok(fields.hash)
}

const TWICE: &str = "a hash has a field twice";
const NO_VALUE: &str = "a field of a hash has no value";
const BAD_DEADLINE: &str = "a deadline of a field is none";

struct Fields<'l> {
    hash: Hash,
    limits: &'l Limits,
    at: u64,
    /// A field whose value comes next.
    field: Option<Vec<u8>>,
}

impl Fields<'_> {
    /// A field, or the value of the field before.
    fn add_text(&mut self, text: &[u8]) -> Result<(), Fault> {
        match self.field.take() {
            Some(field) => self.add(&field, text, None),
            None => {
                self.field = Some(text.to_vec());
                Ok(())
            }
        }
    }

    fn add(&mut self, field: &[u8], value: &[u8], deadline: Option<i64>) -> Result<(), Fault> {
        if !self.hash.insert(field, value, self.limits) {
            return Err(Fault::damaged(self.at, TWICE));
        }
        if let Some(deadline) = deadline {
            if !(1..=DEADLINE_MAX.0).contains(&deadline) {
                return Err(Fault::damaged(self.at, BAD_DEADLINE));
            }
            self.hash.set_deadline(field, Some(UnixMs(deadline)), UnixMs::ZERO);
        }
        Ok(())
    }
}

fn read_table(reader: &mut Reader<'_>, of: u8, fields: &mut Fields<'_>) -> Result<(), Fault> {
    let at = reader.offset();
    if of == kind::HASH_2 && !VERSIONS_VALKEY.contains(&reader.version) {
        return Err(Fault::unsupported(at, "a hash in a form that no release of Redis wrote"));
    }
    let first = if of == kind::HASH_METADATA { reader.integer_64()? } else { 0 };
    let count = reader.count(2)?;
    fields.hash.expect(count, fields.limits);
    let (mut field, mut value) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let after = if of == kind::HASH_METADATA { reader.length()? } else { 0 };
        field.clear();
        field.extend_from_slice(reader.string()?);
        let deadline = match of {
            kind::HASH_2 => {
                value.clear();
                value.extend_from_slice(reader.string()?);
                Some(reader.integer_64()?).filter(|at| *at != -1)
            }
            _ if after == 0 => {
                fields.add(&field, reader.string()?, None)?;
                continue;
            }
            _ => {
                value.clear();
                value.extend_from_slice(reader.string()?);
                let after = i64::try_from(after - 1).map_err(|_| Fault::damaged(at, BAD_DEADLINE))?;
                Some(first.checked_add(after).ok_or_else(|| Fault::damaged(at, BAD_DEADLINE))?)
            }
        };
        fields.add(&field, &value, deadline)?;
    }
    Ok(())
}

/// The first deadline, then a listpack of fields, values and deadlines, zero for none.
fn read_threes(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Result<(), Fault> {
    reader.integer_64()?;
    let at = reader.offset();
    let (elements, count) = pack::open(reader.string()?, at)?;
    if count % 3 != 0 {
        return Err(Fault::damaged(at, NO_VALUE));
    }
    fields.hash.expect(count / 3, fields.limits);
    let mut items = pack::iter(elements);
    while let (Some(field), Some(value), Some(deadline)) = (items.next(), items.next(), items.next()) {
        let deadline = deadline.with_bytes(crate::base::number::parse_i64);
        let deadline = deadline.ok_or_else(|| Fault::damaged(at, BAD_DEADLINE))?;
        let deadline = Some(deadline).filter(|at| *at != 0);
        field.with_bytes(|field| value.with_bytes(|value| fields.add(field, value, deadline)))?;
    }
    Ok(())
}
