//! Writing: lengths, strings and numbers.

use crate::base::number::parse_i64;
use crate::data::rdb::lzf::Compressor;

/// Strings up to so many bytes are looked at for integers.
const INTEGER_TEXT_MAX: usize = 11;
/// Strings of more bytes are compressed.
const COMPRESSED_ABOVE: usize = 20;
/// So many bytes compression must save.
const SAVING_MIN: usize = 4;
/// Bytes that are gathered before they are handed on.
const DRAIN_BYTES: usize = 256 << 10;

/// How a length begins whose four bytes follow.
pub(super) const LENGTH_32: u8 = 0x80;
/// How a length begins whose eight bytes follow.
pub(super) const LENGTH_64: u8 = 0x81;
/// How the text of an integer of 8, of 16 and of 32 bits begins, and how LZF does.
pub(super) const INTEGER_8: u8 = 0xc0;
pub(super) const INTEGER_16: u8 = 0xc1;
pub(super) const INTEGER_32: u8 = 0xc2;
pub(super) const LZF: u8 = 0xc3;

/// To whom bytes are handed on.
pub type Drain<'d> = &'d mut dyn FnMut(&[u8]);

/// Gathers what is written and, if it was told to whom, hands it on in pieces.
pub struct Encoder<'d> {
    bytes: Vec<u8>,
    compress: bool,
    compressor: Compressor,
    drain: Option<Drain<'d>>,
}

impl<'d> Encoder<'d> {
    /// Gathers everything. `compress`: whether strings are compressed (`rdbcompression`).
    pub fn new(compress: bool) -> Encoder<'d> {
        Encoder { bytes: Vec::new(), compress, compressor: Compressor::default(), drain: None }
    }

    /// Hands on what was gathered, whenever that is much, so that no collection need fit into memory a second time.
    pub fn draining(compress: bool, drain: Drain<'d>) -> Encoder<'d> {
        Encoder { bytes: Vec::new(), compress, compressor: Compressor::default(), drain: Some(drain) }
    }

    /// The bytes that are not handed on.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Hands on what is left.
    pub fn finish(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain(&self.bytes);
            self.bytes.clear();
        }
    }

    /// Between two elements: hands on what was gathered, if it is much.
    #[inline]
    fn settle(&mut self) {
        if DRAIN_BYTES <= self.bytes.len() {
            self.finish();
        }
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.settle();
    }

    /// A length or a count.
    pub fn length(&mut self, length: u64) {
        match length {
            0..=0x3f => self.bytes.push(length as u8),
            0x40..=0x3fff => self.bytes.extend_from_slice(&((length | 0x4000) as u16).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.bytes.push(LENGTH_32);
                self.bytes.extend_from_slice(&(length as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(LENGTH_64);
                self.bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
    }

    /// A date or another integer of eight bytes.
    pub fn integer_64(&mut self, number: i64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// A double of eight bytes.
    pub fn double(&mut self, number: f64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// A string: as an integer if it is the text of one that fits, compressed if that saves something.
    pub fn string(&mut self, text: &[u8]) {
        if text.len() <= INTEGER_TEXT_MAX
            && let Some(number) = parse_i64(text)
            && self.small_integer(number)
        {
            return;
        }
        self.bytes_of(text);
    }

    /// The string that is the text of an integer.
    pub fn integer(&mut self, number: i64) {
        if !self.small_integer(number) {
            self.bytes_of(itoa::Buffer::new().format(number).as_bytes());
        }
    }

    /// A string that is no text of an integer, such as a listpack.
    pub fn bytes_of(&mut self, text: &[u8]) {
        if !(self.compress && COMPRESSED_ABOVE < text.len() && self.compressed(text)) {
            self.length(text.len() as u64);
            self.bytes.extend_from_slice(text);
        }
        self.settle();
    }

    fn small_integer(&mut self, number: i64) -> bool {
        let bytes = number.to_le_bytes();
        let (tag, width) = match number {
            -0x80..=0x7f => (INTEGER_8, 1),
            -0x8000..=0x7fff => (INTEGER_16, 2),
            -0x8000_0000..=0x7fff_ffff => (INTEGER_32, 4),
            _ => return false,
        };
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&bytes[..width]);
        self.settle();
        true
    }

    fn compressed(&mut self, text: &[u8]) -> bool {
        let mut packed = Vec::with_capacity(text.len());
        let shorter = self.compressor.compress(text, text.len() - SAVING_MIN, &mut packed);
        if shorter {
            self.bytes.push(LZF);
            self.length(packed.len() as u64);
            self.length(text.len() as u64);
            self.bytes.extend_from_slice(&packed);
        }
        shorter
    }
}
