//! RDB files: what stands around the values.
//!
//! ```text
//! "REDIS" and four digits, or "VALKEY" and three: the version
//! fa string string               something about the file
//! fe number                      the database of what follows
//! fb number number               how many keys it has, and how many with a deadline
//! f4 number number number        the same of a slot of a cluster
//! fc 8 bytes, fd 4 bytes         the deadline of the next key: milliseconds, seconds since the epoch
//! f8 number, f9 byte             seconds since it was used, how often it is used
//! type string value              a key
//! ff 8 bytes                     the end, and the checksum of all before; zero: there is none
//! ```

use std::ops::ControlFlow;

use crate::base::date::UnixMs;
use crate::data::entry::Entry;
use crate::data::rdb::read::{Fault, Limits, Reader, Source};
use crate::data::rdb::{self, Encoder, value};

/// How a file of Redis's begins.
pub const REDIS: &[u8] = b"REDIS";
/// How a file of Valkey's own versions begins.
pub const VALKEY: &[u8] = b"VALKEY";
/// The length of such a beginning with the version.
const HEAD: usize = 9;
/// The first version whose files end in a checksum.
const VERSION_CHECKSUM: u32 = 5;

mod opcode {
    pub const SLOT_IMPORT: u8 = 0xf3;
    pub const SLOT_INFO: u8 = 0xf4;
    pub const FUNCTION_2: u8 = 0xf5;
    pub const FUNCTION_OLD: u8 = 0xf6;
    pub const MODULE_AUX: u8 = 0xf7;
    pub const IDLE: u8 = 0xf8;
    pub const FREQUENCY: u8 = 0xf9;
    pub const AUX: u8 = 0xfa;
    pub const RESIZE: u8 = 0xfb;
    pub const DEADLINE_MS: u8 = 0xfc;
    pub const DEADLINE_SECS: u8 = 0xfd;
    pub const SELECT: u8 = 0xfe;
    pub const END: u8 = 0xff;
}

/// How a key was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// So many seconds ago.
    Idle(u64),
    /// The counter of an LFU policy.
    Frequency(u8),
}

/// Writes the beginning of a file: its version and what there is to say about it.
pub fn write_head(out: &mut Encoder<'_>, version: u32, about: &[(&str, &str)]) {
    out.raw(REDIS);
    out.raw(format!("{version:04}").as_bytes());
    for (name, text) in about {
        out.byte(opcode::AUX);
        out.string(name.as_bytes());
        out.string(text.as_bytes());
    }
}

/// Writes that what follows is in this database, which has so many keys, and so many with a deadline.
pub fn write_database(out: &mut Encoder<'_>, number: usize, keys: usize, deadlines: usize) {
    out.byte(opcode::SELECT);
    out.length(number as u64);
    out.byte(opcode::RESIZE);
    out.length(keys as u64);
    out.length(deadlines as u64);
}

/// Writes a key with its deadline and its value.
pub fn write_key(out: &mut Encoder<'_>, entry: &Entry, used: Option<Use>) {
    if let Some(deadline) = entry.deadline() {
        out.byte(opcode::DEADLINE_MS);
        out.integer_64(deadline.0);
    }
    match used {
        None => {}
        Some(Use::Idle(seconds)) => {
            out.byte(opcode::IDLE);
            out.length(seconds);
        }
        Some(Use::Frequency(counter)) => {
            out.byte(opcode::FREQUENCY);
            out.byte(counter);
        }
    }
    out.byte(value::type_of(entry));
    out.string(entry.key());
    value::write(out, entry);
}

/// Writes that the file ends; the checksum of everything up to here follows.
pub fn write_end(out: &mut Encoder<'_>) {
    out.byte(opcode::END);
}

/// A key that was read.
pub struct Loaded {
    /// Number of its database; whether there is such a one was not asked.
    pub database: u64,
    /// The key and its value.
    pub entry: Entry,
    /// Its deadline, which the entry does not know of.
    pub deadline: Option<UnixMs>,
    /// How it was used, if the file says so.
    pub used: Option<Use>,
}

/// What stands in a file.
pub enum Item {
    /// A key.
    Key(Loaded),
    /// So many keys will come into a database. The number is in proportion to what is left of the file.
    Reserve {
        /// Number of the database.
        database: u64,
        /// How many.
        keys: usize,
    },
    /// A key that holds a collection of nothing, which no server should have written.
    Empty(Vec<u8>),
    /// The end.
    End,
}

/// Reads a file, item by item.
#[derive(Debug)]
pub struct File {
    version: u32,
    database: u64,
}

/// A key takes at least this much of a file.
const KEY_BYTES_MIN: u64 = 3;

impl File {
    /// Reads how a file begins.
    ///
    /// # Errors
    ///
    /// It is no RDB file, or of a version that nobody knows here.
    pub fn begin(source: &mut dyn Source) -> Result<File, Fault> {
        let at = source.offset();
        let head = source.take(HEAD)?;
        let digits = head.strip_prefix(REDIS).or_else(|| head.strip_prefix(VALKEY));
        let Some(digits) = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit)) else {
            return Err(Fault::damaged(at, "no RDB file begins so"));
        };
        let version = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        if !rdb::is_known_version(version) {
            return Err(Fault::unsupported(at, format!("version {version} of the format")));
        }
        Ok(File { version, database: 0 })
    }

    /// The next item. `check`: whether the checksum at the end must fit.
    ///
    /// # Errors
    ///
    /// The file is damaged there, or holds what does not exist here.
    pub fn next(&mut self, source: &mut dyn Source, limits: &Limits, check: bool) -> Result<Item, Fault> {
        let (mut deadline, mut used) = (None, None);
        loop {
            let at = source.offset();
            let code = source.take(1)?[0];
            if code == opcode::END {
                self.end(source, check)?;
                return Ok(Item::End);
            }
            let mut reader = Reader::new(source, self.version);
            match code {
                opcode::DEADLINE_MS => deadline = Some(UnixMs(reader.integer_64()?)),
                opcode::DEADLINE_SECS => {
                    let seconds = i32::from_le_bytes(reader.array()?);
                    deadline = Some(UnixMs(i64::from(seconds) * 1000));
                }
                opcode::IDLE => used = Some(Use::Idle(reader.length()?)),
                opcode::FREQUENCY => used = Some(Use::Frequency(reader.byte()?)),
                _ => match self.between(&mut reader, code, at)? {
                    ControlFlow::Continue(()) => {}
                    ControlFlow::Break(Some(item)) => return Ok(item),
                    ControlFlow::Break(None) => {
                        let key = reader.owned_string()?;
                        return Ok(match value::read(&mut reader, code, &key, limits)? {
                            None => Item::Empty(key),
                            Some(entry) => {
                                Item::Key(Loaded { database: self.database, entry, deadline, used })
                            }
                        });
                    }
                },
            }
        }
    }

    /// What stands between keys; breaks with nothing if it is a key.
    fn between(
        &mut self,
        reader: &mut Reader<'_>,
        code: u8,
        at: u64,
    ) -> Result<ControlFlow<Option<Item>>, Fault> {
        let refuse = |what: String| Err(Fault::unsupported(at, what));
        match code {
            opcode::SELECT => self.database = reader.length()?,
            opcode::RESIZE => {
                let (keys, _) = (reader.length()?, reader.length()?);
                if keys <= reader.left() / KEY_BYTES_MIN {
                    let item = Item::Reserve { database: self.database, keys: keys as usize };
                    return Ok(ControlFlow::Break(Some(item)));
                }
            }
            opcode::AUX => {
                reader.string()?;
                reader.string()?;
            }
            opcode::SLOT_INFO => {
                for _ in 0..3 {
                    reader.length()?;
                }
            }
            opcode::FUNCTION_2 | opcode::FUNCTION_OLD => return refuse("a library of functions".to_owned()),
            opcode::MODULE_AUX => {
                let name = value::module_type(reader.length()?);
                return refuse(format!("data of the module type {name}"));
            }
            opcode::SLOT_IMPORT => return refuse("a slot of a cluster that is being imported".to_owned()),
            _ => return Ok(ControlFlow::Break(None)),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(&self, source: &mut dyn Source, check: bool) -> Result<(), Fault> {
        if self.version < VERSION_CHECKSUM {
            return Ok(());
        }
        let (at, found) = (source.offset(), source.checksum());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(source.take(8)?);
        let written = u64::from_le_bytes(bytes);
        if check && written != 0 && written != found {
            let why = format!("the checksum of the file is {found:016x}, and should be {written:016x}");
            return Err(Fault::damaged(at, why));
        }
        Ok(())
    }
}
