//! One allocation a key.
//!
//! An [`Entry`] is one pointer wide and owns one block that holds everything about a key which is small:
//!
//! ```text
//! 0   access   24 bits of LRU clock or LFU counter, below them 8 bits: the form of the value
//! 4   key_len  u8, 255 when the key is longer (its length then stands in a word of its own)
//! 5   flags    DEADLINE, LONG_KEY, RAW
//! 6   len      u16, length of an embedded value
//! 8   [deadline i64, ticket u64]   if DEADLINE
//!     [key length u64]             if LONG_KEY
//!     [payload]                    an integer, shared bytes or the owner of a collection, by the form
//!     key
//!     [embedded value]
//! ```
//!
//! So a key of 16 bytes with a value of 32 is a block of 56 bytes, and a hit reads one cache line. The size of
//! the block is a pure function of the header, rounded up to [`GRAIN`]: nothing records a capacity, and a new
//! value of the same rounded size is written over the old one in place.
//!
//! Strings of up to [`EMBED_MAX`] bytes are embedded; bigger ones are shared `Bytes`, which a reply can hold
//! while the key is overwritten. Integers are stored as integers.
//!
//! # Unsafe
//!
//! The block is raw memory with a layout chosen at run time, which safe Rust cannot express. The argument:
//! the constructor ([`Entry::build`]) is the only place that allocates and it writes header, payload and key
//! before an `Entry` exists; every accessor derives offsets from the header by the same functions (`fixed`,
//! `size`) with which the block was laid out; whoever changes the header does it inside one function that
//! leaves header and contents in agreement; payload offsets are multiples of 8 in a block aligned to 8. An
//! `Entry` is the only owner of its block and, holding a raw pointer, is neither `Send` nor `Sync`, so writing
//! the access bits through `&self` races with nobody.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use bytes::{Bytes, BytesMut};

use crate::base::date::UnixMs;
use crate::base::number::{parse_i64, write_decimal};
use crate::data::block;
use crate::data::expiry::Ticket;
use crate::data::list::List;
use crate::data::table::Element;

/// Strings up to this many bytes live in the entry itself.
pub const EMBED_MAX: usize = 4096;
/// Strings up to this many bytes report the encoding `embstr`, longer ones `raw`, as in Redis.
const EMBSTR_MAX: usize = 44;
/// Blocks are multiples of this many bytes.
const GRAIN: usize = 8;
/// The most that a growing string reserves ahead.
const GROWTH_AHEAD_MAX: usize = 1 << 20;

const HEADER: usize = 8;
const DEADLINE: u8 = 1;
const LONG_KEY: u8 = 2;
/// The string was edited in place: its encoding is called `raw` however short it is.
const RAW: u8 = 4;

/// How a value is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Form {
    Int = 0,
    Embedded = 1,
    Shared = 2,
    List = 3,
}

impl Form {
    fn payload(self) -> usize {
        match self {
            Form::Int => 8,
            Form::Embedded => 0,
            Form::Shared => size_of::<Bytes>(),
            Form::List => size_of::<Box<List>>(),
        }
    }
}

/// The type of a value, as `TYPE` names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Bytes or an integer.
    String,
    /// A list.
    List,
}

impl Kind {
    /// The name that `TYPE` replies and `SCAN … TYPE` takes.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
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

    fn form(&self) -> Form {
        match self {
            Value::Int(_) => Form::Int,
            Value::Bytes { bytes, .. } if bytes.len() <= EMBED_MAX => Form::Embedded,
            Value::Bytes { .. } | Value::Shared(_) => Form::Shared,
            Value::List(_) => Form::List,
        }
    }

    fn embedded(&self) -> &[u8] {
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

/// A key with its value, deadline and access bits: the owner of one block.
pub struct Entry(NonNull<u8>);

impl Element for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        Entry::key(self)
    }
    #[inline]
    fn address(&self) -> *const u8 {
        self.0.as_ptr()
    }
}

/// Bytes before the key in a block of this shape.
#[inline]
fn fixed(form: Form, flags: u8) -> usize {
    HEADER + (flags & DEADLINE) as usize * 16 + ((flags & LONG_KEY) as usize / 2) * 8 + form.payload()
}

#[inline]
fn block_size(form: Form, flags: u8, key_len: usize, value_len: usize) -> usize {
    (fixed(form, flags) + key_len + value_len).next_multiple_of(GRAIN)
}

impl Entry {
    /// An entry of `key` and `value` without a deadline.
    pub fn new(key: &[u8], value: Value<'_>) -> Entry {
        Entry::build(key, value, None, 0)
    }

    /// An entry with everything: the one place that takes memory.
    fn build(key: &[u8], value: Value<'_>, deadline: Option<(UnixMs, Ticket)>, access: u32) -> Entry {
        let form = value.form();
        let embedded = value.embedded();
        let mut flags = 0;
        if deadline.is_some() {
            flags |= DEADLINE;
        }
        if 255 <= key.len() {
            flags |= LONG_KEY;
        }
        if matches!(value, Value::Bytes { raw: true, .. }) {
            flags |= RAW;
        }
        let size = block_size(form, flags, key.len(), embedded.len());
        let block = block::allocate(size);
        let at = block.as_ptr();
        // SAFETY: every write below lies within `size` bytes, by the definition of `fixed` and `block_size`;
        // word-sized writes are at multiples of 8 of a block aligned to 8.
        unsafe {
            at.cast::<u32>().write(access << 8 | form as u32);
            at.add(4).write(key.len().min(255) as u8);
            at.add(5).write(flags);
            at.add(6).cast::<u16>().write(embedded.len() as u16);
            let mut word = HEADER;
            if let Some((deadline, ticket)) = deadline {
                at.add(word).cast::<i64>().write(deadline.0);
                at.add(word + 8).cast::<u64>().write(ticket.to_bits());
                word += 16;
            }
            if flags & LONG_KEY != 0 {
                at.add(word).cast::<u64>().write(key.len() as u64);
                word += 8;
            }
            let key_at = at.add(word + form.payload());
            ptr::copy_nonoverlapping(key.as_ptr(), key_at, key.len());
            ptr::copy_nonoverlapping(embedded.as_ptr(), key_at.add(key.len()), embedded.len());
            match value {
                Value::Int(number) => at.add(word).cast::<i64>().write(number),
                Value::Bytes { bytes, .. } if EMBED_MAX < bytes.len() => {
                    at.add(word).cast::<Bytes>().write(Bytes::copy_from_slice(bytes));
                }
                Value::Bytes { .. } => {}
                Value::Shared(bytes) => at.add(word).cast::<Bytes>().write(bytes),
                Value::List(list) => at.add(word).cast::<Box<List>>().write(list),
            }
        }
        Entry(block)
    }

    #[inline]
    fn word(&self) -> u32 {
        // SAFETY: the header is initialised in every block.
        unsafe { self.0.as_ptr().cast::<u32>().read() }
    }

    #[inline]
    fn form(&self) -> Form {
        match self.word() as u8 {
            0 => Form::Int,
            1 => Form::Embedded,
            2 => Form::Shared,
            _ => Form::List,
        }
    }

    #[inline]
    fn flags(&self) -> u8 {
        // SAFETY: the header is initialised in every block.
        unsafe { self.0.as_ptr().add(5).read() }
    }

    #[inline]
    fn key_len(&self) -> usize {
        // SAFETY: the header is initialised, and the long length stands where LONG_KEY says so.
        unsafe {
            let at = self.0.as_ptr();
            let flags = self.flags();
            if flags & LONG_KEY == 0 {
                return at.add(4).read() as usize;
            }
            at.add(HEADER + (flags & DEADLINE) as usize * 16).cast::<u64>().read() as usize
        }
    }

    #[inline]
    fn embedded_len(&self) -> usize {
        // SAFETY: the header is initialised in every block.
        unsafe { self.0.as_ptr().add(6).cast::<u16>().read() as usize }
    }

    #[inline]
    fn fixed(&self) -> usize {
        fixed(self.form(), self.flags())
    }

    #[inline]
    fn payload(&self) -> *mut u8 {
        let offset = self.fixed() - self.form().payload();
        // SAFETY: the payload ends where the key begins, inside the block.
        unsafe { self.0.as_ptr().add(offset) }
    }

    /// Size of the block in bytes.
    pub fn block_len(&self) -> usize {
        block_size(self.form(), self.flags(), self.key_len(), self.embedded_len())
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        // SAFETY: the key's bytes stand at `fixed` and are initialised.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(self.fixed()), self.key_len()) }
    }

    /// The type of the value.
    pub fn kind(&self) -> Kind {
        match self.form() {
            Form::Int | Form::Embedded | Form::Shared => Kind::String,
            Form::List => Kind::List,
        }
    }

    /// The name that `OBJECT ENCODING` replies.
    pub fn encoding(&self) -> &'static str {
        match self.form() {
            Form::Int => "int",
            Form::Embedded if self.flags() & RAW == 0 && self.embedded_len() <= EMBSTR_MAX => "embstr",
            Form::Embedded | Form::Shared => "raw",
            Form::List => self.list().map_or("", List::encoding),
        }
    }

    /// The string, if the value is one.
    #[inline]
    pub fn string(&self) -> Option<Str<'_>> {
        match self.form() {
            // SAFETY: the payload of this form is an i64.
            Form::Int => Some(Str::Int(unsafe { self.payload().cast::<i64>().read() })),
            Form::Embedded => Some(Str::Bytes(self.embedded())),
            // SAFETY: the payload of this form is a Bytes, which lives as long as the entry is borrowed.
            Form::Shared => Some(Str::Shared(unsafe { &*self.payload().cast::<Bytes>() })),
            Form::List => None,
        }
    }

    #[inline]
    fn embedded(&self) -> &[u8] {
        // SAFETY: the embedded value follows the key.
        unsafe {
            let at = self.0.as_ptr().add(self.fixed() + self.key_len());
            std::slice::from_raw_parts(at, self.embedded_len())
        }
    }

    /// The list, if the value is one.
    pub fn list(&self) -> Option<&List> {
        // SAFETY: the payload of this form is a Box<List>.
        (self.form() == Form::List).then(|| unsafe { &**self.payload().cast::<Box<List>>() })
    }

    /// The list for changing, if the value is one.
    pub fn list_mut(&mut self) -> Option<&mut List> {
        // SAFETY: as above, and `&mut self` makes the reference the only one.
        (self.form() == Form::List).then(|| unsafe { &mut **self.payload().cast::<Box<List>>() })
    }

    /// When the key expires.
    #[inline]
    pub fn deadline(&self) -> Option<UnixMs> {
        // SAFETY: DEADLINE says that the word is there.
        (self.flags() & DEADLINE != 0)
            .then(|| UnixMs(unsafe { self.0.as_ptr().add(HEADER).cast::<i64>().read() }))
    }

    /// Where the expiry index holds this key.
    #[inline]
    pub fn ticket(&self) -> Option<Ticket> {
        (self.flags() & DEADLINE != 0)
            // SAFETY: DEADLINE says that the word is there.
            .then(|| Ticket::from_bits(unsafe { self.0.as_ptr().add(HEADER + 8).cast::<u64>().read() }))
    }

    /// Notes that the expiry index holds this key at `ticket`, due at `deadline`; a key that had no deadline
    /// moves to a bigger block.
    pub fn set_deadline(&mut self, deadline: UnixMs, ticket: Ticket) {
        if self.flags() & DEADLINE == 0 {
            self.rebuild(Some((deadline, ticket)));
            return;
        }
        // SAFETY: DEADLINE says that both words are there.
        unsafe {
            self.0.as_ptr().add(HEADER).cast::<i64>().write(deadline.0);
            self.0.as_ptr().add(HEADER + 8).cast::<u64>().write(ticket.to_bits());
        }
    }

    /// Takes the deadline off.
    pub fn clear_deadline(&mut self) {
        if self.flags() & DEADLINE != 0 {
            self.rebuild(None);
        }
    }

    /// The 24 access bits.
    #[inline]
    pub fn access(&self) -> u32 {
        self.word() >> 8
    }

    /// Sets the 24 access bits; through a shared reference, since reading a key is what changes them.
    #[inline]
    pub fn set_access(&self, access: u32) {
        // SAFETY: the header is initialised, and nobody else can be reading it (`Entry` is not `Sync`).
        unsafe { self.0.as_ptr().cast::<u32>().write(access << 8 | self.word() & 0xff) }
    }

    fn deadline_and_ticket(&self) -> Option<(UnixMs, Ticket)> {
        Some((self.deadline()?, self.ticket()?))
    }

    /// Moves to a block with or without room for a deadline.
    fn rebuild(&mut self, deadline: Option<(UnixMs, Ticket)>) {
        let raw = self.flags() & RAW != 0;
        let access = self.access();
        let value = self.take();
        let next = match value {
            // The embedded bytes are still in the old block.
            None => Entry::build(self.key(), Value::Bytes { bytes: self.embedded(), raw }, deadline, access),
            Some(value) => Entry::build(self.key(), value, deadline, access),
        };
        *self = next;
    }

    /// Moves the payload out, `None` for an embedded value, and leaves a husk of the same size that owns
    /// nothing. The caller replaces or drops the husk at once.
    fn take(&mut self) -> Option<Value<'static>> {
        // SAFETY: each payload is moved out once: what owned something is replaced by an empty `Bytes` or, the
        // owner of a list being as long as an integer, by the form of an integer.
        unsafe {
            match self.form() {
                Form::Embedded => None,
                Form::Int => Some(Value::Int(self.payload().cast::<i64>().read())),
                Form::Shared => Some(Value::Shared(std::mem::take(&mut *self.payload().cast::<Bytes>()))),
                Form::List => {
                    let list = self.payload().cast::<Box<List>>().read();
                    self.0.as_ptr().cast::<u32>().write(self.access() << 8 | Form::Int as u32);
                    Some(Value::List(list))
                }
            }
        }
    }

    /// Replaces the value, keeping key, deadline and access bits; in place if the block has the same size.
    #[inline]
    pub fn set_value(&mut self, value: Value<'_>) {
        if let Value::Bytes { bytes, raw } = value
            && self.form() == Form::Embedded
            && bytes.len() <= EMBED_MAX
        {
            let flags = self.flags() & !RAW | if raw { RAW } else { 0 };
            let key_len = self.key_len();
            if block_size(Form::Embedded, flags, key_len, bytes.len()) == self.block_len() {
                // SAFETY: the new value fits the block, which is laid out alike.
                unsafe {
                    let at = self.0.as_ptr();
                    at.add(5).write(flags);
                    at.add(6).cast::<u16>().write(bytes.len() as u16);
                    let to = at.add(fixed(Form::Embedded, flags) + key_len);
                    ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
                }
                return;
            }
        }
        if let Value::Int(number) = value
            && self.form() == Form::Int
        {
            // SAFETY: the payload of this form is an i64.
            unsafe { self.payload().cast::<i64>().write(number) };
            return;
        }
        *self = self.with_value(value);
    }

    /// An entry of the same key, deadline and access bits with another value.
    pub fn with_value(&self, value: Value<'_>) -> Entry {
        Entry::build(self.key(), value, self.deadline_and_ticket(), self.access())
    }

    /// The same value, access bits and deadline under another key; the ticket is the caller's to renew.
    pub fn renamed(mut self, key: &[u8]) -> Entry {
        let raw = self.flags() & RAW != 0;
        let (deadline, access) = (self.deadline_and_ticket(), self.access());
        match self.take() {
            None => Entry::build(key, Value::Bytes { bytes: self.embedded(), raw }, deadline, access),
            Some(value) => Entry::build(key, value, deadline, access),
        }
    }

    /// A copy of the value under another key, without a deadline.
    pub fn copied(&self, key: &[u8]) -> Entry {
        let raw = self.flags() & RAW != 0;
        let value = match (self.string(), self.list()) {
            (Some(Str::Int(number)), _) => Value::Int(number),
            (Some(Str::Bytes(bytes)), _) => Value::Bytes { bytes, raw },
            (Some(Str::Shared(bytes)), _) => Value::Shared(bytes.clone()),
            (None, Some(list)) => Value::List(Box::new(list.clone())),
            (None, None) => unreachable!("every form is a string or a collection"),
        };
        Entry::build(key, value, None, self.access())
    }

    /// Writes `bytes` at `offset` of the string, zero-filling what lies between its end and `offset`; an
    /// integer turns into text. The caller has checked that the value is a string and the length is allowed.
    pub fn write_string(&mut self, offset: usize, bytes: &[u8]) {
        let mut scratch = [0; 20];
        let old = self.string().expect("the caller has checked the type");
        let len = old.len().max(offset + bytes.len());
        if len <= EMBED_MAX {
            let mut text = Vec::with_capacity(len);
            text.extend_from_slice(old.bytes(&mut scratch));
            text.resize(len, 0);
            text[offset..offset + bytes.len()].copy_from_slice(bytes);
            self.set_value(Value::Bytes { bytes: &text, raw: true });
            return;
        }
        let mut buffer = match self.take() {
            Some(Value::Shared(shared)) => shared.try_into_mut().unwrap_or_else(|shared| {
                let mut copy = BytesMut::with_capacity(len);
                copy.extend_from_slice(&shared);
                copy
            }),
            Some(Value::Int(number)) => BytesMut::from(write_decimal(number, &mut scratch)),
            _ => BytesMut::from(self.embedded()),
        };
        if buffer.capacity() < len {
            buffer.reserve(len - buffer.len() + len.min(GROWTH_AHEAD_MAX));
        }
        buffer.resize(len, 0);
        buffer[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.put_shared(buffer.freeze());
    }

    /// Makes the value these shared bytes, in place if it was shared bytes before.
    fn put_shared(&mut self, bytes: Bytes) {
        if self.form() == Form::Shared {
            // SAFETY: the payload of this form is a Bytes.
            unsafe { *self.payload().cast::<Bytes>() = bytes };
        } else {
            self.set_value(Value::Shared(bytes));
        }
    }

    /// Bytes of memory: the block and what it owns.
    pub fn memory(&self) -> usize {
        let owned = match (self.string(), self.list()) {
            (Some(Str::Shared(bytes)), _) => bytes.len(),
            (None, Some(list)) => size_of::<List>() + list.memory(),
            _ => 0,
        };
        self.block_len() + owned
    }

    /// Whether dropping it takes long enough to be done in slices.
    pub fn is_heavy(&self) -> bool {
        self.list().is_some_and(|list| 64 < list.nodes())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let size = self.block_len();
        // SAFETY: payloads are dropped once, here; the size is the one of `build`, being a function of the header.
        unsafe {
            match self.form() {
                Form::Int | Form::Embedded => {}
                Form::Shared => ptr::drop_in_place(self.payload().cast::<Bytes>()),
                Form::List => ptr::drop_in_place(self.payload().cast::<Box<List>>()),
            }
            block::release(self.0, size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: &Entry) -> Vec<u8> {
        entry.string().unwrap().bytes(&mut [0; 20]).to_vec()
    }

    #[test]
    fn a_small_entry_is_56_bytes() {
        let entry = Entry::new(&[b'k'; 16], Value::string(&[b'v'; 32]));
        assert_eq!(entry.block_len(), 56);
    }

    #[test]
    fn keys_and_values_of_all_sizes_come_back() {
        let sizes = [0, 1, 7, 8, 9, 44, 45, 254, 255, 256, 4095, 4096, 4097, 70_000];
        for key_len in sizes {
            for value_len in sizes {
                let (key, value) = (vec![b'k'; key_len], vec![b'v'; value_len]);
                let mut entry = Entry::new(&key, Value::string(&value));
                assert_eq!((entry.key(), text(&entry)), (&key[..], value.clone()));
                entry.set_deadline(UnixMs(5), Ticket::from_bits(9));
                assert_eq!((entry.key(), text(&entry)), (&key[..], value.clone()));
                assert_eq!((entry.deadline(), entry.ticket()), (Some(UnixMs(5)), Some(Ticket::from_bits(9))));
                entry.set_access(0x00ab_cdef);
                entry.set_value(Value::Int(-7));
                assert_eq!((text(&entry), entry.deadline()), (b"-7".to_vec(), Some(UnixMs(5))));
                entry.write_string(3, b"x");
                assert_eq!((text(&entry), entry.encoding()), (b"-7\0x".to_vec(), "raw"));
                entry.clear_deadline();
                assert_eq!((entry.access(), entry.deadline()), (0x00ab_cdef, None));
                let entry = entry.renamed(b"other");
                assert_eq!((entry.key(), text(&entry)), (&b"other"[..], b"-7\0x".to_vec()));
            }
        }
    }

    #[test]
    fn encodings_are_named_as_in_redis() {
        for (value, encoding) in [("12", "int"), ("012", "embstr"), ("", "embstr")] {
            assert_eq!(Entry::new(b"k", Value::string(value.as_bytes())).encoding(), encoding);
        }
        assert_eq!(Entry::new(b"k", Value::string(&[b'x'; 44])).encoding(), "embstr");
        assert_eq!(Entry::new(b"k", Value::string(&[b'x'; 45])).encoding(), "raw");
    }

    #[test]
    fn strings_grow_from_embedded_to_shared() {
        let mut entry = Entry::new(b"k", Value::string(b"10"));
        let mut model = b"10".to_vec();
        for round in 0..3000 {
            let at = model.len() + round % 3;
            model.resize(at, 0);
            model.extend_from_slice(b"ab");
            entry.write_string(at, b"ab");
            let shared = round % 7 == 0;
            let held = match entry.string() {
                Some(Str::Shared(bytes)) if shared => Some(bytes.clone()),
                _ => None,
            };
            entry.write_string(1, &[round as u8]);
            model[1] = round as u8;
            assert_eq!(text(&entry), model);
            drop(held);
        }
    }
}
