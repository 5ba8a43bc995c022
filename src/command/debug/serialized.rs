//! How long a value is in an RDB file: `serializedlength` of `DEBUG OBJECT`.

use crate::data::entry::Entry;
use crate::data::list::{List, Packed};
use crate::data::rdb::pack::FRAME;
use crate::data::rdb::payload;

/// The length of a value without type and key, compressed if `rdbcompression` says so.
pub(super) fn serialized_len(entry: &Entry, compress: bool) -> usize {
    payload::value_len(entry, compress)
}

/// Bytes of all listpacks and large elements of a list.
pub(super) fn uncompressed_len(list: &List) -> usize {
    let mut len = 0;
    list.for_each_node(|node| {
        len += match node {
            Packed::Run { elements, .. } => FRAME + elements.len(),
            Packed::Alone(text) => text.len(),
        }
    });
    len
}
