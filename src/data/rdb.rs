//! Values as bytes, and back: the format of `DUMP` payloads and of RDB files.
//!
//! ```text
//! value      by its type (see [`kind`]): strings, and counts of what follows
//! string     length, bytes              or an integer, or a length, a length and LZF
//! length     00llllll                   below 64
//!            01llllll llllllll          below 16384
//!            10000000 + 4 bytes         big-endian
//!            10000001 + 8 bytes         big-endian
//!            11000000 + 1 byte          the text of an integer of 8 bits, 11000001 of 16, 11000010 of 32, little-endian
//!            11000011 + length, length  LZF: how long it is compressed, how long it was
//! ```
//!
//! What is written is what Redis 7.0 reads (version 10 of the format), unless the value has something that it does not
//! know: deadlines of a hash's fields are written as Redis 7.4 writes them, what a stream remembers of messages that
//! producers name as Redis 8.6. What is read is everything that Redis 5 to 8
//! and Valkey write. The layout was learned from <https://rdb.fnordig.de/file_format.html>, from what real servers write
//! and from the constants of their headers.
//!
//! Nothing here opens files: an [`Encoder`] gathers bytes and hands them on, a [`Reader`] asks a [`Source`] for them.
//!
//! Invariant: no length that is read takes memory before it was held against what is left of the source; and what a
//! value is built of was checked before, element by element, so that damage is a [`Fault`] with its place.

pub mod crc64;
pub mod lzf;
pub mod write;
pub mod read;
pub mod pack;
pub mod old;
pub mod string;
pub mod list;
pub mod set;
pub mod hash;
pub mod zset;
pub mod stream;
pub mod value;
pub mod payload;
pub mod file;

pub use read::{Fault, Limits, Reader, Slice, Source, Trouble};
pub use write::Encoder;

/// The version that is written: what Redis 7.0 reads.
pub const VERSION: u32 = 10;
/// The version that is written when fields of hashes have deadlines: what Redis 7.4 reads.
pub const VERSION_FIELD_DEADLINES: u32 = 12;
/// The version that is written when a stream remembers messages that producers name: what Redis 8.6 reads.
pub const VERSION_NAMED_MESSAGES: u32 = 13;
/// The version that is written when an entry of a stream is pending for nobody: what Redis 8.8 reads.
pub const VERSION_RELEASED_ENTRIES: u32 = 14;
/// The newest version of Redis's that is read.
const VERSION_REDIS_MAX: u32 = VERSION_RELEASED_ENTRIES;
/// The versions of Valkey's that are read: its own numbers begin here.
const VERSIONS_VALKEY: std::ops::RangeInclusive<u32> = 80..=80;

/// Whether a version is one that is read.
pub fn is_known_version(version: u32) -> bool {
    (1..=VERSION_REDIS_MAX).contains(&version) || VERSIONS_VALKEY.contains(&version)
}

/// The types of values, as their first byte tells them.
#[allow(missing_docs)]
pub mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores as eight bytes.
    pub const ZSET_2: u8 = 5;
    pub const MODULE: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// Nodes that are ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    /// Nodes that are listpacks or one big element.
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    /// From version 11.
    pub const SET_LISTPACK: u8 = 20;
    /// From version 11.
    pub const STREAM_LISTPACKS_3: u8 = 21;
    /// Valkey's, from version 80: fields with deadlines. In Redis a form that no release wrote.
    pub const HASH_2: u8 = 22;
    /// Redis's, from version 12: fields with deadlines.
    pub const HASH_METADATA: u8 = 24;
    /// Redis's, from version 12: fields, values and deadlines in a listpack.
    pub const HASH_LISTPACK_EX: u8 = 25;
    /// Redis's, from version 13.
    pub const STREAM_LISTPACKS_4: u8 = 26;
    /// Redis's, from version 14.
    pub const STREAM_LISTPACKS_5: u8 = 27;
}
