//! Values of all types.

use crate::data::entry::{Entry, Kind, Value};
use crate::data::rdb::read::{Fault, Limits, Reader};
use crate::data::rdb::write::Encoder;
use crate::data::rdb::{VERSION, VERSION_FIELD_DEADLINES, VERSION_NAMED_MESSAGES, VERSION_RELEASED_ENTRIES};
use crate::data::rdb::{hash, kind, list, set, stream, string, zset};

/// The type as which a value is written.
pub fn type_of(entry: &Entry) -> u8 {
    match entry.kind() {
        Kind::String => kind::STRING,
        Kind::List => kind::LIST_QUICKLIST_2,
        Kind::Set => entry.set().map_or(kind::SET, set::type_of),
        Kind::Hash => entry.hash().map_or(kind::HASH, hash::type_of),
        Kind::Zset => entry.zset().map_or(kind::ZSET_2, zset::type_of),
        Kind::Stream => entry.stream().map_or(kind::STREAM_LISTPACKS_2, stream::type_of),
    }
}

/// The oldest version of the format that can hold the value, of those that are written.
pub fn version_of(entry: &Entry) -> u32 {
    match type_of(entry) {
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => VERSION_FIELD_DEADLINES,
        kind::STREAM_LISTPACKS_4 => VERSION_NAMED_MESSAGES,
        kind::STREAM_LISTPACKS_5 => VERSION_RELEASED_ENTRIES,
        _ => VERSION,
    }
}

/// Writes a value, without its type.
pub fn write(out: &mut Encoder<'_>, entry: &Entry) {
    if let Some(value) = entry.string() {
        string::write(out, value);
    } else if let Some(value) = entry.list() {
        list::write(out, value);
    } else if let Some(value) = entry.set() {
        set::write(out, value);
    } else if let Some(value) = entry.hash() {
        hash::write(out, value);
    } else if let Some(value) = entry.zset() {
        zset::write(out, value);
    } else if let Some(value) = entry.stream() {
        stream::write(out, value);
    }
}

/// Reads a value of a type; `None` if it is a collection of nothing, which is no value.
///
/// # Errors
///
/// It is damaged, or of a type that does not exist here.
pub fn read(reader: &mut Reader<'_>, of: u8, key: &[u8], limits: &Limits) -> Result<Option<Entry>, Fault> {
    let at = reader.offset();
    let value = match of {
        kind::STRING => return string::read(reader, key).map(Some),
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            let value = list::read(reader, of, limits.list)?;
            (!value.is_empty()).then(|| Value::List(Box::new(value)))
        }
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => {
            let value = set::read(reader, of, &limits.set)?;
            (!value.is_empty()).then_some(Value::Set(value))
        }
        kind::ZSET | kind::ZSET_2 | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => {
            let value = zset::read(reader, of, &limits.zset)?;
            (!value.is_empty()).then_some(Value::Zset(value))
        }
        kind::HASH
        | kind::HASH_ZIPMAP
        | kind::HASH_ZIPLIST
        | kind::HASH_LISTPACK
        | kind::HASH_2
        | kind::HASH_METADATA
        | kind::HASH_LISTPACK_EX => {
            let value = hash::read(reader, of, &limits.hash)?;
            (!value.is_empty()).then_some(Value::Hash(value))
        }
        kind::STREAM_LISTPACKS
        | kind::STREAM_LISTPACKS_2
        | kind::STREAM_LISTPACKS_3
        | kind::STREAM_LISTPACKS_4
        | kind::STREAM_LISTPACKS_5 => {
            // Unlike other collections a stream may be empty.
            Some(Value::Stream(Box::new(stream::read(reader, of)?)))
        }
        kind::MODULE | kind::MODULE_2 => {
            let id = reader.length()?;
            return Err(Fault::unsupported(at, format!("data of the module type {}", module_type(id))));
        }
        other => return Err(Fault::damaged(at, format!("there is no type of values {other}"))),
    };
    Ok(value.map(|value| Entry::new(key, value)))
}

/// The name of a module's type: nine letters of six bits each, and ten bits of a version below them.
pub fn module_type(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |number: u32| char::from(LETTERS[(id >> (10 + 6 * (8 - number)) & 63) as usize]);
    let name: String = (0..9).map(letter).collect();
    format!("'{name}' (version {})", id & 0x3ff)
}
