//! What `DUMP` replies: the type, the value, the version of the format in two bytes and the checksum of all of it in
//! eight, little-endian.

use crate::data::entry::Entry;
use crate::data::rdb::read::{Fault, Limits, Reader, Slice};
use crate::data::rdb::{self, Encoder, crc64, value};

/// Bytes of version and checksum.
const FOOTER: usize = 10;

/// A value as a payload.
pub fn seal(entry: &Entry, compress: bool) -> Vec<u8> {
    let mut out = Encoder::new(compress);
    out.byte(value::type_of(entry));
    value::write(&mut out, entry);
    let mut payload = out.into_bytes();
    let version = value::version_of(entry);
    payload.extend_from_slice(&(version as u16).to_le_bytes());
    let crc = crc64::update(0, &payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

/// The length of a value without type and key.
pub fn value_len(entry: &Entry, compress: bool) -> usize {
    let mut len = 0;
    let mut count = |bytes: &[u8]| len += bytes.len();
    let mut out = Encoder::draining(compress, &mut count);
    value::write(&mut out, entry);
    out.finish();
    drop(out);
    len
}

/// The type and value of a payload, and its version; `None` if the footer is wrong or of a version that nobody knows.
pub fn open(payload: &[u8]) -> Option<(&[u8], u32)> {
    let (body, footer) = payload.split_last_chunk::<FOOTER>()?;
    let (version, crc) = footer.split_at(2);
    let version = u32::from(u16::from_le_bytes(version.try_into().ok()?));
    let crc = u64::from_le_bytes(crc.try_into().ok()?);
    let is_whole = || crc == crc64::update(0, &payload[..payload.len() - 8]);
    (rdb::is_known_version(version) && is_whole()).then_some((body, version))
}

/// The value of a payload that [`open`] has opened, under a key; `None` if it is a collection of nothing. Whatever
/// stands behind the value is not looked at, as in Redis.
///
/// # Errors
///
/// It is damaged.
pub fn read(body: &[u8], version: u32, key: &[u8], limits: &Limits) -> Result<Option<Entry>, Fault> {
    let mut source = Slice::new(body);
    let mut reader = Reader::new(&mut source, version);
    let of = reader.byte()?;
    value::read(&mut reader, of, key, limits)
}
