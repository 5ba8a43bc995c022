//! One allocation a key.
//!
//! An [`Entry`] is one pointer wide and owns one block that holds everything about a key which is small:
//!
//! ```text
//! 0   value_len  u8, length of an embedded value
//! 1   shape      the form of the value (3 bits), DEADLINE, LONG, RAW
//! 2   access     24 bits of LRU clock or LFU counter
//! 5   key_len    u8
//! 6   (2 bytes unused if any word follows)
//! 8   [deadline i64, ticket u64]   if DEADLINE
//!     [lengths u64]                if LONG: the key's in the upper 48 bits, the embedded value's in the lower 16
//!     [payload]                    an integer, shared bytes or the owner of a collection, by the form
//!     key
//!     [embedded value]
//! ```
//!
//! So a key of 16 bytes with a value of 32 is a block of 54 bytes, and a hit reads one cache line, seldom two. The
//! size of the block is a pure function of shape and lengths, rounded up ([`block_size`]): nothing records a
//! capacity, and a new value of the same rounded size is written over the old one in place.
//!
//! Strings of up to [`EMBED_MAX`] bytes are embedded; bigger ones are shared `Bytes`, which a reply can hold
//! while the key is overwritten. Integers are stored as integers. A collection is one word, its own business.
//!
//! # Unsafe
//!
//! The block is raw memory with a layout chosen at run time, which safe Rust cannot express. The argument:
//! the constructor ([`Entry::build`]) is the only place that allocates and it writes header, payload and key
//! before an `Entry` exists; every accessor derives offsets from the header by the same functions (`fixed`,
//! `block_size`) with which the block was laid out; whoever changes the header does it inside one function that
//! leaves header and contents in agreement; blocks with words are aligned to 8, and payload offsets in them are
//! multiples of 8. An `Entry` is the only owner of its block and, holding a raw pointer, is neither `Send` nor
//! `Sync`, so writing the access bits through `&self` races with nobody.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use bytes::{Bytes, BytesMut};

use crate::base::date::UnixMs;
use crate::base::number::write_decimal;
use crate::data::block;
use crate::data::collection::Collection;
use crate::data::expiry::Ticket;
use crate::data::hash::Hash;
use crate::data::list::List;
use crate::data::set::Set;
use crate::data::stream::Stream;
use crate::data::table::Element;
use crate::data::zset::Zset;

mod value;
#[cfg(test)]
mod tests;

pub use value::{EMBED_MAX, Kind, Str, Value};

/// Strings up to this many bytes report the encoding `embstr`, longer ones `raw`, as in Redis.
const EMBSTR_MAX: usize = 44;
/// Blocks of more bytes than this, and those with words in them, are multiples of eight bytes; others of two.
const FINE_MAX: usize = 256;
/// The most that a growing string reserves ahead.
const GROWTH_AHEAD_MAX: usize = 1 << 20;

/// Where the key begins in a block without words.
const HEADER: usize = 6;
/// Where the words begin.
const WORDS: usize = 8;
const FORM: u8 = 7;
const DEADLINE: u8 = 8;
const LONG: u8 = 16;
/// The string was edited in place: its encoding is called `raw` however short it is.
const RAW: u8 = 32;
/// Values of `shape`.
const SHAPES: usize = 64;

/// How a value is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Form {
    Int = 0,
    Embedded = 1,
    Shared = 2,
    List = 3,
    Set = 4,
    Hash = 5,
    Zset = 6,
    Stream = 7,
}

/// The owner of a collection is as long as an integer, so that it can be moved out and leave one behind.
const _: () = {
    assert!(size_of::<Box<List>>() == 8 && size_of::<Set>() == 8 && size_of::<Hash>() == 8);
    assert!(size_of::<Zset>() == 8 && size_of::<Box<Stream>>() == 8);
};

impl Form {
    const fn of(shape: u8) -> Form {
        match shape & FORM {
            0 => Form::Int,
            1 => Form::Embedded,
            2 => Form::Shared,
            3 => Form::List,
            4 => Form::Set,
            5 => Form::Hash,
            6 => Form::Zset,
            _ => Form::Stream,
        }
    }

    const fn payload(self) -> usize {
        match self {
            Form::Embedded => 0,
            Form::Shared => size_of::<Bytes>(),
            Form::Int | Form::List | Form::Set | Form::Hash | Form::Zset | Form::Stream => 8,
        }
    }
}

/// How a value will be stored.
fn form_of(value: &Value<'_>) -> Form {
    match value {
        Value::Int(_) => Form::Int,
        Value::Bytes { bytes, .. } if bytes.len() <= EMBED_MAX => Form::Embedded,
        Value::Bytes { .. } | Value::Shared(_) => Form::Shared,
        Value::List(_) => Form::List,
        Value::Set(_) => Form::Set,
        Value::Hash(_) => Form::Hash,
        Value::Zset(_) => Form::Zset,
        Value::Stream(_) => Form::Stream,
    }
}

/// Bytes before the key, for each shape.
static FIXED: [u8; SHAPES] = {
    let mut table = [0; SHAPES];
    let mut shape = 0;
    while shape < SHAPES {
        let flags = shape as u8;
        let deadline = if flags & DEADLINE == 0 { 0 } else { 16 };
        let long = if flags & LONG == 0 { 0 } else { 8 };
        let words = deadline + long + Form::of(flags).payload();
        table[shape] = if words == 0 { HEADER } else { WORDS + words } as u8;
        shape += 1;
    }
    table
};

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
fn fixed(shape: u8) -> usize {
    usize::from(FIXED[usize::from(shape) % SHAPES])
}

#[inline]
fn block_size(shape: u8, key_len: usize, value_len: usize) -> usize {
    let fixed = fixed(shape);
    let size = fixed + key_len + value_len;
    let grain = if fixed == HEADER && size <= FINE_MAX { 2 } else { 8 };
    size.next_multiple_of(grain)
}

/// The flag of a block whose lengths stand in a word.
#[inline]
fn long(key_len: usize, value_len: usize) -> u8 {
    if 255 < key_len.max(value_len) { LONG } else { 0 }
}

/// The collection of one form, for reading and for changing.
macro_rules! collection {
    ($form:ident: $get:ident, $get_mut:ident, $target:ty, $owner:ty, $name:literal) => {
        #[doc = concat!("The ", $name, ", if the value is one.")]
        #[inline]
        pub fn $get(&self) -> Option<&$target> {
            if self.form() != Form::$form {
                return None;
            }
            // SAFETY: the payload of this form is of this type and lives as long as the entry is borrowed.
            let owner = unsafe { &*self.payload().cast::<$owner>() };
            Some(owner)
        }

        #[doc = concat!("The ", $name, " for changing, if the value is one.")]
        #[inline]
        pub fn $get_mut(&mut self) -> Option<&mut $target> {
            if self.form() != Form::$form {
                return None;
            }
            // SAFETY: as above, and `&mut self` makes the reference the only one.
            let owner = unsafe { &mut *self.payload().cast::<$owner>() };
            Some(owner)
        }
    };
}

impl Entry {
    /// An entry of `key` and `value` without a deadline.
    pub fn new(key: &[u8], value: Value<'_>) -> Entry {
        Entry::build(key, value, None, 0)
    }

    /// An entry with everything: the one place that takes memory.
    fn build(key: &[u8], value: Value<'_>, deadline: Option<(UnixMs, Ticket)>, access: u32) -> Entry {
        let embedded = value.embedded();
        let mut shape = form_of(&value) as u8 | long(key.len(), embedded.len());
        if deadline.is_some() {
            shape |= DEADLINE;
        }
        if matches!(value, Value::Bytes { raw: true, .. }) {
            shape |= RAW;
        }
        let block = block::allocate(block_size(shape, key.len(), embedded.len()));
        let at = block.as_ptr();
        // SAFETY: every write below lies within the block, by the definition of `fixed` and `block_size`; words
        // are written at multiples of 8 of a block that is aligned to 8, having words.
        unsafe {
            at.write(embedded.len() as u8);
            at.add(1).cast::<u32>().write_unaligned(access << 8 | u32::from(shape));
            at.add(5).write(key.len() as u8);
            let mut word = WORDS;
            if let Some((deadline, ticket)) = deadline {
                at.add(word).cast::<i64>().write(deadline.0);
                at.add(word + 8).cast::<u64>().write(ticket.to_bits());
                word += 16;
            }
            if shape & LONG != 0 {
                at.add(word).cast::<u64>().write((key.len() as u64) << 16 | embedded.len() as u64);
                word += 8;
            }
            let key_at = at.add(fixed(shape));
            ptr::copy_nonoverlapping(key.as_ptr(), key_at, key.len());
            ptr::copy_nonoverlapping(embedded.as_ptr(), key_at.add(key.len()), embedded.len());
            let payload = at.add(word);
            match value {
                Value::Int(number) => payload.cast::<i64>().write(number),
                Value::Bytes { bytes, .. } if EMBED_MAX < bytes.len() => {
                    payload.cast::<Bytes>().write(Bytes::copy_from_slice(bytes));
                }
                Value::Bytes { .. } => {}
                Value::Shared(bytes) => payload.cast::<Bytes>().write(bytes),
                Value::List(list) => payload.cast::<Box<List>>().write(list),
                Value::Set(set) => payload.cast::<Set>().write(set),
                Value::Hash(hash) => payload.cast::<Hash>().write(hash),
                Value::Zset(zset) => payload.cast::<Zset>().write(zset),
                Value::Stream(stream) => payload.cast::<Box<Stream>>().write(stream),
            }
        }
        Entry(block)
    }

    /// The shape and, above it, the access bits.
    #[inline]
    fn word(&self) -> u32 {
        // SAFETY: the header is initialised in every block.
        unsafe { self.0.as_ptr().add(1).cast::<u32>().read_unaligned() }
    }

    #[inline]
    fn set_word(&self, word: u32) {
        // SAFETY: the header is initialised, and nobody else can be reading it (`Entry` is not `Sync`).
        unsafe { self.0.as_ptr().add(1).cast::<u32>().write_unaligned(word) }
    }

    #[inline]
    fn shape(&self) -> u8 {
        self.word() as u8
    }

    #[inline]
    fn form(&self) -> Form {
        Form::of(self.shape())
    }

    #[inline]
    fn has(&self, flag: u8) -> bool {
        self.shape() & flag != 0
    }

    /// The word of long lengths.
    #[inline]
    fn lengths(&self) -> *mut u64 {
        debug_assert!(self.has(LONG));
        // SAFETY: LONG says that the word is there, behind the words of the deadline.
        unsafe { self.0.as_ptr().add(WORDS + usize::from(self.shape() & DEADLINE) * 2).cast() }
    }

    #[inline]
    fn key_len(&self) -> usize {
        // SAFETY: the header is initialised, and the long lengths stand where LONG says so.
        unsafe {
            match self.has(LONG) {
                false => usize::from(self.0.as_ptr().add(5).read()),
                true => (self.lengths().read() >> 16) as usize,
            }
        }
    }

    #[inline]
    fn embedded_len(&self) -> usize {
        // SAFETY: as above.
        unsafe {
            match self.has(LONG) {
                false => usize::from(self.0.as_ptr().read()),
                true => usize::from(self.lengths().read() as u16),
            }
        }
    }

    #[inline]
    fn fixed(&self) -> usize {
        fixed(self.shape())
    }

    #[inline]
    fn payload(&self) -> *mut u8 {
        let offset = self.fixed() - self.form().payload();
        // SAFETY: the payload ends where the key begins, inside the block.
        unsafe { self.0.as_ptr().add(offset) }
    }

    /// Size of the block in bytes.
    pub fn block_len(&self) -> usize {
        block_size(self.shape(), self.key_len(), self.embedded_len())
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
            Form::Set => Kind::Set,
            Form::Hash => Kind::Hash,
            Form::Zset => Kind::Zset,
            Form::Stream => Kind::Stream,
        }
    }

    /// The name that `OBJECT ENCODING` replies.
    pub fn encoding(&self) -> &'static str {
        match self.form() {
            Form::Int => "int",
            Form::Embedded if !self.has(RAW) && self.embedded_len() <= EMBSTR_MAX => "embstr",
            Form::Embedded | Form::Shared => "raw",
            _ => self.collection().map_or("", Collection::encoding),
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
            _ => None,
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

    /// The embedded bytes for changing.
    #[inline]
    fn embedded_mut(&mut self) -> &mut [u8] {
        debug_assert!(self.form() == Form::Embedded);
        // SAFETY: the embedded value follows the key, and `&mut self` makes the reference the only one.
        unsafe {
            let at = self.0.as_ptr().add(self.fixed() + self.key_len());
            std::slice::from_raw_parts_mut(at, self.embedded_len())
        }
    }

    collection!(List: list, list_mut, List, Box<List>, "list");
    collection!(Set: set, set_mut, Set, Set, "set");
    collection!(Hash: hash, hash_mut, Hash, Hash, "hash");
    collection!(Zset: zset, zset_mut, Zset, Zset, "sorted set");
    collection!(Stream: stream, stream_mut, Stream, Box<Stream>, "stream");

    /// The collection, whatever its type; `None` for a string.
    pub fn collection(&self) -> Option<&dyn Collection> {
        match self.form() {
            Form::Int | Form::Embedded | Form::Shared => None,
            Form::List => self.list().map(|it| it as &dyn Collection),
            Form::Set => self.set().map(|it| it as &dyn Collection),
            Form::Hash => self.hash().map(|it| it as &dyn Collection),
            Form::Zset => self.zset().map(|it| it as &dyn Collection),
            Form::Stream => self.stream().map(|it| it as &dyn Collection),
        }
    }

    /// The collection for changing, whatever its type.
    pub fn collection_mut(&mut self) -> Option<&mut dyn Collection> {
        match self.form() {
            Form::Int | Form::Embedded | Form::Shared => None,
            Form::List => self.list_mut().map(|it| it as &mut dyn Collection),
            Form::Set => self.set_mut().map(|it| it as &mut dyn Collection),
            Form::Hash => self.hash_mut().map(|it| it as &mut dyn Collection),
            Form::Zset => self.zset_mut().map(|it| it as &mut dyn Collection),
            Form::Stream => self.stream_mut().map(|it| it as &mut dyn Collection),
        }
    }

    /// When the key expires.
    #[inline]
    pub fn deadline(&self) -> Option<UnixMs> {
        // SAFETY: DEADLINE says that the word is there.
        self.has(DEADLINE).then(|| UnixMs(unsafe { self.0.as_ptr().add(WORDS).cast::<i64>().read() }))
    }

    /// Where the expiry index holds this key.
    #[inline]
    pub fn ticket(&self) -> Option<Ticket> {
        self.has(DEADLINE)
            // SAFETY: DEADLINE says that the word is there.
            .then(|| Ticket::from_bits(unsafe { self.0.as_ptr().add(WORDS + 8).cast::<u64>().read() }))
    }

    /// Notes that the expiry index holds this key at `ticket`, due at `deadline`; a key that had no deadline
    /// moves to a bigger block.
    pub fn set_deadline(&mut self, deadline: UnixMs, ticket: Ticket) {
        if !self.has(DEADLINE) {
            self.rebuild(Some((deadline, ticket)));
            return;
        }
        // SAFETY: DEADLINE says that both words are there.
        unsafe {
            self.0.as_ptr().add(WORDS).cast::<i64>().write(deadline.0);
            self.0.as_ptr().add(WORDS + 8).cast::<u64>().write(ticket.to_bits());
        }
    }

    /// Takes the deadline off.
    pub fn clear_deadline(&mut self) {
        if self.has(DEADLINE) {
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
        self.set_word(access << 8 | self.word() & 0xff);
    }

    fn deadline_and_ticket(&self) -> Option<(UnixMs, Ticket)> {
        Some((self.deadline()?, self.ticket()?))
    }

    /// Moves to a block with or without room for a deadline.
    fn rebuild(&mut self, deadline: Option<(UnixMs, Ticket)>) {
        let raw = self.has(RAW);
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
        // owner of a collection being as long as an integer, by the form of an integer.
        unsafe {
            let payload = self.payload();
            let value = match self.form() {
                Form::Embedded => return None,
                Form::Int => Value::Int(payload.cast::<i64>().read()),
                Form::Shared => return Some(Value::Shared(std::mem::take(&mut *payload.cast::<Bytes>()))),
                Form::List => Value::List(payload.cast::<Box<List>>().read()),
                Form::Set => Value::Set(payload.cast::<Set>().read()),
                Form::Hash => Value::Hash(payload.cast::<Hash>().read()),
                Form::Zset => Value::Zset(payload.cast::<Zset>().read()),
                Form::Stream => Value::Stream(payload.cast::<Box<Stream>>().read()),
            };
            self.set_word(self.word() & !u32::from(FORM) | Form::Int as u32);
            Some(value)
        }
    }

    /// Replaces the value, keeping key, deadline and access bits; in place if the block has the same size.
    #[inline]
    pub fn set_value(&mut self, value: Value<'_>) {
        if let Value::Bytes { bytes, raw } = value
            && self.form() == Form::Embedded
            && bytes.len() <= EMBED_MAX
        {
            let key_len = self.key_len();
            let flags = self.shape() & DEADLINE | long(key_len, bytes.len()) | if raw { RAW } else { 0 };
            let shape = Form::Embedded as u8 | flags;
            let alike = (shape ^ self.shape()) & LONG == 0;
            if alike && block_size(shape, key_len, bytes.len()) == self.block_len() {
                self.set_word(self.access() << 8 | u32::from(shape));
                // SAFETY: the new value fits the block, which is laid out alike.
                unsafe {
                    let at = self.0.as_ptr();
                    at.write(bytes.len() as u8);
                    if shape & LONG != 0 {
                        self.lengths().write((key_len as u64) << 16 | bytes.len() as u64);
                    }
                    let to = at.add(fixed(shape) + key_len);
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
        let raw = self.has(RAW);
        let (deadline, access) = (self.deadline_and_ticket(), self.access());
        match self.take() {
            None => Entry::build(key, Value::Bytes { bytes: self.embedded(), raw }, deadline, access),
            Some(value) => Entry::build(key, value, deadline, access),
        }
    }

    /// A copy of the value under another key, without a deadline.
    pub fn copied(&self, key: &[u8]) -> Entry {
        let raw = self.has(RAW);
        // SAFETY: the payload is borrowed as what the form says it is, and copied.
        let value = unsafe {
            let payload = self.payload();
            match self.form() {
                Form::Int => Value::Int(payload.cast::<i64>().read()),
                Form::Embedded => Value::Bytes { bytes: self.embedded(), raw },
                Form::Shared => Value::Shared((*payload.cast::<Bytes>()).clone()),
                Form::List => Value::List((*payload.cast::<Box<List>>()).clone()),
                Form::Set => Value::Set((*payload.cast::<Set>()).clone()),
                Form::Hash => Value::Hash((*payload.cast::<Hash>()).clone()),
                Form::Zset => Value::Zset((*payload.cast::<Zset>()).clone()),
                Form::Stream => Value::Stream((*payload.cast::<Box<Stream>>()).clone()),
            }
        };
        Entry::build(key, value, None, self.access())
    }

    /// Writes `bytes` at `offset` of the string, zero-filling what lies between its end and `offset`; an
    /// integer turns into text. The caller has checked that the value is a string and the length is allowed.
    pub fn write_string(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.edit_string(end, |text| text[offset..end].copy_from_slice(bytes));
    }

    /// Has the bytes of the string edited where they lie, at least `len` of them: a shorter string is filled
    /// with zero bytes up to there; an integer turns into text. The caller has checked that the value is a
    /// string and the length is allowed.
    pub fn edit_string<R>(&mut self, len: usize, edit: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.form() == Form::Embedded && len <= self.embedded_len() {
            self.set_word(self.word() | u32::from(RAW));
            return edit(self.embedded_mut());
        }
        let mut scratch = [0; 20];
        let old = self.string().expect("the caller has checked the type");
        let len = old.len().max(len);
        if len <= EMBED_MAX {
            let mut text = Vec::with_capacity(len);
            text.extend_from_slice(old.bytes(&mut scratch));
            text.resize(len, 0);
            let result = edit(&mut text);
            self.set_value(Value::Bytes { bytes: &text, raw: true });
            return result;
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
        let ahead = len.min(GROWTH_AHEAD_MAX);
        if buffer.capacity() < len && buffer.len() < len / 2 {
            // Mostly zeros, which the allocator may have ready.
            let mut zeros = BytesMut::zeroed(len + ahead);
            zeros[..buffer.len()].copy_from_slice(&buffer);
            zeros.truncate(len);
            buffer = zeros;
        } else if buffer.len() < len {
            if buffer.capacity() < len {
                buffer.reserve(len - buffer.len() + ahead);
            }
            buffer.resize(len, 0);
        }
        let result = edit(&mut buffer);
        self.put_shared(buffer.freeze());
        result
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
        self.block_len() + self.owned(|it| it.memory())
    }

    /// The same, quickly; see [`Collection::rough_memory`].
    pub fn rough_memory(&self) -> usize {
        self.block_len() + self.owned(|it| it.rough_memory())
    }

    fn owned(&self, of: fn(&dyn Collection) -> usize) -> usize {
        match (self.string(), self.collection()) {
            (Some(Str::Shared(bytes)), _) => bytes.len(),
            (_, Some(collection)) => of(collection),
            _ => 0,
        }
    }

    /// Whether dropping it takes long enough to be done in slices.
    pub fn is_heavy(&self) -> bool {
        self.collection().is_some_and(Collection::is_heavy)
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
                Form::Set => ptr::drop_in_place(self.payload().cast::<Set>()),
                Form::Hash => ptr::drop_in_place(self.payload().cast::<Hash>()),
                Form::Zset => ptr::drop_in_place(self.payload().cast::<Zset>()),
                Form::Stream => ptr::drop_in_place(self.payload().cast::<Box<Stream>>()),
            }
            block::release(self.0, size);
        }
    }
}
