//! Reading: where the bytes come from, what may be wrong with them, lengths, strings and numbers.

use std::borrow::Cow;
use std::{fmt, io};

use crate::data::rdb::write::{INTEGER_8, INTEGER_16, INTEGER_32, LENGTH_32, LENGTH_64, LZF};
use crate::data::rdb::{crc64, lzf};
use crate::data::table::Hasher;
use crate::data::{hash, list, set, zset};

/// Why a value or a file cannot be read.
#[derive(Debug)]
pub struct Fault {
    /// The place, in bytes from the beginning of the source.
    pub at: u64,
    /// What is wrong there.
    pub trouble: Trouble,
}

/// What is wrong at a place.
#[derive(Debug)]
pub enum Trouble {
    /// The source ends too early.
    Short,
    /// The bytes are none that any server writes.
    Damaged(Cow<'static, str>),
    /// They are some that a server writes, but nothing like it exists here.
    Unsupported(Cow<'static, str>),
    /// The machine said so.
    Io(io::Error),
}

impl Fault {
    /// The bytes at a place are wrong.
    pub fn damaged(at: u64, why: impl Into<Cow<'static, str>>) -> Fault {
        Fault { at, trouble: Trouble::Damaged(why.into()) }
    }

    /// What stands at a place does not exist here.
    pub fn unsupported(at: u64, what: impl Into<Cow<'static, str>>) -> Fault {
        Fault { at, trouble: Trouble::Unsupported(what.into()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match &self.trouble {
            Trouble::Short => write!(out, "it ends too early, in what begins at byte {at}"),
            Trouble::Damaged(why) => write!(out, "it is damaged at byte {at}: {why}"),
            Trouble::Unsupported(what) => {
                write!(out, "at byte {at} it has {what}, which kvick has nothing like")
            }
            Trouble::Io(error) => write!(out, "it cannot be read at byte {at}: {error}"),
        }
    }
}

/// Where bytes come from.
pub trait Source {
    /// The next `len` bytes, and moves on behind them. They take no more memory than the source has bytes.
    ///
    /// # Errors
    ///
    /// There are not so many, or the machine fails.
    fn take(&mut self, len: usize) -> Result<&[u8], Fault>;

    /// How many bytes are left.
    fn left(&self) -> u64;

    /// The place of the next byte.
    fn offset(&self) -> u64;

    /// The checksum of everything before the next byte, from where the format begins.
    fn checksum(&mut self) -> u64;
}

/// Bytes that are all there.
pub struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Slice<'a> {
    /// These bytes.
    pub fn new(bytes: &'a [u8]) -> Slice<'a> {
        Slice { bytes, at: 0 }
    }
}

impl Source for Slice<'_> {
    fn take(&mut self, len: usize) -> Result<&[u8], Fault> {
        match self.bytes[self.at..].get(..len) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => Err(Fault { at: self.at as u64, trouble: Trouble::Short }),
        }
    }

    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    fn offset(&self) -> u64 {
        self.at as u64
    }

    fn checksum(&mut self) -> u64 {
        crc64::update(0, &self.bytes[..self.at])
    }
}

/// Up to which sizes values are packed, and whatever else decides what is made of them.
#[derive(Clone)]
pub struct Limits {
    /// Of lists.
    pub list: list::Limits,
    /// Of sets.
    pub set: set::Limits,
    /// Of hashes.
    pub hash: hash::Limits,
    /// Of sorted sets.
    pub zset: zset::Limits,
}

/// Those of a server that nobody has configured, with a seed that everybody knows: for who looks at values and forgets
/// them.
impl Default for Limits {
    fn default() -> Limits {
        let hasher = Hasher::new([1, 2, 3, 4]);
        Limits {
            list: list::Limits::of(-2),
            set: set::Limits {
                intset_entries: 512,
                listpack_entries: 128,
                listpack_value: 64,
                hasher: hasher.clone(),
            },
            hash: hash::Limits { entries: 512, value: 64, hasher: hasher.clone() },
            zset: zset::Limits { entries: 128, value: 64, hasher },
        }
    }
}

/// A length, or what stands in the place of one.
enum Length {
    Plain(u64),
    /// The first byte of a string that is not its bytes.
    Encoded(u8),
}

/// Reads numbers and strings from a source.
pub struct Reader<'s> {
    source: &'s mut dyn Source,
    /// The version of the format, which decides what some types mean.
    pub version: u32,
    scratch: Vec<u8>,
}

impl<'s> Reader<'s> {
    /// Reads a source in this version of the format.
    pub fn new(source: &'s mut dyn Source, version: u32) -> Reader<'s> {
        Reader { source, version, scratch: Vec::new() }
    }

    /// The place of the next byte.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Bytes left.
    pub fn left(&self) -> u64 {
        self.source.left()
    }

    /// The next byte.
    ///
    /// # Errors
    ///
    /// There is none, as for all that follow.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.source.take(1)?[0])
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.source.take(N)?);
        Ok(bytes)
    }

    /// The next bytes.
    pub fn take(&mut self, len: usize) -> Result<&[u8], Fault> {
        self.source.take(len)
    }

    /// An integer of eight bytes.
    pub fn integer_64(&mut self) -> Result<i64, Fault> {
        self.array().map(i64::from_le_bytes)
    }

    /// A double of eight bytes.
    pub fn double(&mut self) -> Result<f64, Fault> {
        self.array().map(f64::from_le_bytes)
    }

    fn any_length(&mut self) -> Result<Length, Fault> {
        let at = self.offset();
        let first = self.byte()?;
        Ok(Length::Plain(match first {
            0..=0x3f => u64::from(first),
            0x40..=0x7f => u64::from(first & 0x3f) << 8 | u64::from(self.byte()?),
            LENGTH_32 => u64::from(u32::from_be_bytes(self.array()?)),
            LENGTH_64 => u64::from_be_bytes(self.array()?),
            INTEGER_8..=LZF => return Ok(Length::Encoded(first)),
            _ => return Err(Fault::damaged(at, "no length begins so")),
        }))
    }

    /// A plain number.
    pub fn length(&mut self) -> Result<u64, Fault> {
        let at = self.offset();
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(Fault::damaged(at, "a string stands where a number should")),
        }
    }

    /// How many things follow, each of at least `bytes_min` bytes, so that the number is in proportion.
    pub fn count(&mut self, bytes_min: u64) -> Result<usize, Fault> {
        let at = self.offset();
        let count = self.length()?;
        match count.checked_mul(bytes_min) {
            Some(bytes) if bytes <= self.left() => Ok(count as usize),
            _ => Err(Fault::damaged(at, format!("{count} things do not fit into the rest"))),
        }
    }

    /// A string, which lies in the source or in a buffer until the next one is read.
    pub fn string(&mut self) -> Result<&[u8], Fault> {
        let at = self.offset();
        match self.any_length()? {
            Length::Plain(length) => match usize::try_from(length) {
                Ok(length) if length as u64 <= self.left() => self.source.take(length),
                _ => Err(Fault { at, trouble: Trouble::Short }),
            },
            Length::Encoded(LZF) => self.compressed(at),
            Length::Encoded(tag) => {
                let number = match tag {
                    INTEGER_8 => i64::from(i8::from_le_bytes(self.array()?)),
                    INTEGER_16 => i64::from(i16::from_le_bytes(self.array()?)),
                    _ => i64::from(i32::from_le_bytes(self.array()?)),
                };
                debug_assert!(tag <= INTEGER_32, "the reader of lengths knows no other tags");
                self.scratch.clear();
                self.scratch.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                Ok(&self.scratch)
            }
        }
    }

    fn compressed(&mut self, at: u64) -> Result<&[u8], Fault> {
        let (packed, length) = (self.length()?, self.length()?);
        if self.left() < packed {
            return Err(Fault { at, trouble: Trouble::Short });
        }
        let bad = || Fault::damaged(at, "the compressed string does not hold what it says");
        let length = usize::try_from(length).map_err(|_| bad())?;
        let packed = self.source.take(packed as usize)?;
        lzf::decompress(packed, length, &mut self.scratch).ok_or_else(bad)?;
        Ok(&self.scratch)
    }

    /// A string of one's own.
    pub fn owned_string(&mut self) -> Result<Vec<u8>, Fault> {
        self.string().map(<[u8]>::to_vec)
    }
}
