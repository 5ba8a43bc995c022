//! Values on their way into an entry, and strings on their way out of one.

use bytes::Bytes;

use crate::base::number::{parse_i64, write_decimal};
use crate::data::hash::Hash;
use crate::data::list::List;
use crate::data::set::Set;
use crate::data::stream::Stream;
use crate::data::zset::Zset;

/// Strings up to this many bytes live in the entry itself.
pub const EMBED_MAX: usize = 4096;

/// The type of a value, as `TYPE` names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Bytes or an integer.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A hash.
    Hash,
    /// A sorted set.
    Zset,
    /// A stream.
    Stream,
}

impl Kind {
    /// All types.
    pub const ALL: [Kind; 6] = [Kind::String, Kind::List, Kind::Set, Kind::Zset, Kind::Hash, Kind::Stream];

    /// The name that `TYPE` replies and `SCAN … TYPE` takes.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Hash => "hash",
            Kind::Zset => "zset",
            Kind::Stream => "stream",
        }
    }
}

/// A value to be stored.
#[derive(Debug)]
pub enum Value<'a> {
    /// An integer.
    Int(i64),
    /// Bytes, stored as they are even if they look like an integer. `raw`: report them as edited in place.
    Bytes {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether `OBJECT ENCODING` says `raw`.
        raw: bool,
    },
    /// Bytes in a buffer of their own.
    Shared(Bytes),
    /// A list.
    List(Box<List>),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    Zset(Zset),
    /// A stream.
    Stream(Box<Stream>),
}

impl<'a> Value<'a> {
    /// What `SET` stores for these bytes: an integer if they are exactly one.
    #[inline]
    pub fn string(bytes: &'a [u8]) -> Value<'a> {
        if bytes.len() <= 20
            && let Some(number) = parse_i64(bytes)
        {
            return Value::Int(number);
        }
        Value::Bytes { bytes, raw: false }
    }

    /// The bytes that an entry holds itself.
    pub(super) fn embedded(&self) -> &[u8] {
        match self {
            Value::Bytes { bytes, .. } if bytes.len() <= EMBED_MAX => bytes,
            _ => &[],
        }
    }
}

/// A string value, as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// An integer.
    Int(i64),
    /// Bytes in the entry.
    Bytes(&'a [u8]),
    /// Bytes in a buffer of their own, which a reply may share.
    Shared(&'a Bytes),
}

impl<'a> Str<'a> {
    /// The bytes; an integer is written into `scratch`.
    pub fn bytes<'b>(self, scratch: &'b mut [u8; 20]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Str::Int(number) => write_decimal(number, scratch),
            Str::Bytes(bytes) => bytes,
            Str::Shared(bytes) => bytes,
        }
    }

    /// The value as an integer, if it is exactly one.
    pub fn integer(self) -> Option<i64> {
        match self {
            Str::Int(number) => Some(number),
            Str::Bytes(bytes) => parse_i64(bytes),
            Str::Shared(_) => None,
        }
    }

    /// Length in bytes of the text.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        match self {
            Str::Int(number) => crate::base::number::decimal_len(number),
            Str::Bytes(bytes) => bytes.len(),
            Str::Shared(bytes) => bytes.len(),
        }
    }
}
