//! Strings as values.

use crate::data::entry::{Entry, Str, Value};
use crate::data::rdb::read::{Fault, Reader};
use crate::data::rdb::write::Encoder;

/// Writes a string.
pub fn write(out: &mut Encoder<'_>, string: Str<'_>) {
    match string {
        Str::Int(number) => out.integer(number),
        Str::Bytes(bytes) => out.string(bytes),
        Str::Shared(bytes) => out.string(bytes),
    }
}

/// Reads a string, as the value of a key.
///
/// # Errors
///
/// It is damaged.
pub fn read(reader: &mut Reader<'_>, key: &[u8]) -> Result<Entry, Fault> {
    Ok(Entry::new(key, Value::string(reader.string()?)))
}
