//! Batches: what one write adds to the log, under a checksum.
//!
//! ```text
//! #KV <offset> <length> <synced> <crc32>\r\n    the header line, under 128 bytes: Redis reads such lines so long
//! <length bytes of records>
//! ```
//!
//! `offset` is where the line itself begins in the file; `synced` says how much of the file was known to be on disk
//! when the batch was written, or is `-` when nobody kept count; the checksum is of the line up to itself and of
//! the records. As the offset is under the checksum, a batch that was altered, moved, repeated, or whose
//! neighbour was taken out is noticed. What is not noticed is an older, equally valid batch put back in its very
//! place: that would take a chain of checksums, which could not run across records that Redis appended.
//!
//! Why the line stands in front and not at the end: with a line at the end, a file that ends in records without
//! a line is either a write that was torn, to be cut off, or what Redis appended after taking over our directory,
//! to be kept; nothing could tell them apart, and both are promised. With a line in front, what is torn has been
//! announced, and what has not been announced is not ours. The length known in advance also lets the reader check
//! a batch before it parses a byte of it.
//!
//! Why `synced` is there: after a power cut, pages that were not yet synced may be lost in any order, so that a hole
//! may be followed by good batches. Only a later batch that says "by then, the place of the hole was on disk"
//! proves that the hole is no power cut's doing.

use std::io::Write as _;

use crc32fast::Hasher;

use crate::base::date::UnixMs;

/// How a header line begins.
pub const MARK: &[u8] = b"#KV ";

/// No header line is longer than this, line end included.
pub const HEADER_BYTES_MAX: usize = 4 + 20 + 1 + 20 + 1 + 20 + 1 + 8 + 2;

/// What a header line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Where the line begins in the file.
    pub offset: u64,
    /// Bytes of records that follow the line.
    pub length: u64,
    /// So much of the file was known to be on disk when the batch was written; `None` when nobody kept count.
    pub synced: Option<u64>,
    /// The checksum of the line up to itself and of the records.
    pub crc: u32,
}

/// A header line, ready to be written; it lives on the stack.
#[derive(Debug, Clone, Copy)]
pub struct HeaderLine {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl HeaderLine {
    /// The line, with its line end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        let mut rest = &mut self.bytes[self.len..];
        let written = rest.write_fmt(text);
        debug_assert!(written.is_ok(), "the longest line fits");
        self.len = HEADER_BYTES_MAX - rest.len();
    }
}

/// The header line of a batch of `records` that is to begin at `offset` of its file.
pub fn header(offset: u64, records: &[u8], synced: Option<u64>) -> HeaderLine {
    let length = records.len() as u64;
    let line = begin_line(offset, length, synced);
    let mut hasher = Hasher::new();
    hasher.update(line.as_bytes());
    hasher.update(records);
    end_line(line, hasher.finalize())
}

/// Reads a header line, its line end included. Only what `header` writes is one, to the letter.
pub fn parse(text: &[u8]) -> Option<Header> {
    let fields = std::str::from_utf8(text.strip_prefix(MARK)?.strip_suffix(b"\r\n")?).ok()?;
    let mut fields = fields.split(' ');
    let mut next = || fields.next();
    let (offset, length) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let synced = match next()? {
        "-" => None,
        number => Some(number.parse().ok()?),
    };
    let crc = u32::from_str_radix(next()?, 16).ok()?;
    let header = Header { offset, length, synced, crc };
    // Numbers have more than one spelling, the line has not.
    let line = end_line(begin_line(offset, length, synced), crc);
    (line.as_bytes() == text).then_some(header)
}

/// The checksum begun with the line of `header`; feed it the records and compare it with [`Header::crc`].
pub fn crc_of(header: &Header) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(begin_line(header.offset, header.length, header.synced).as_bytes());
    hasher
}

/// Appends the annotation of `aof-timestamp-enabled`: the records after it were written at that second.
pub fn timestamp(out: &mut Vec<u8>, unix_seconds: i64) {
    out.extend_from_slice(b"#TS:");
    out.extend_from_slice(unix_seconds.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// How the line begins that says in which millisecond the records after it were written.
pub const MOMENT_MARK: &[u8] = b"#MS:";

/// Appends that line: under `aof-timestamp-enabled` each batch has it, so that one can go back to any of them.
pub fn moment(out: &mut Vec<u8>, unix_ms: i64) {
    out.extend_from_slice(MOMENT_MARK);
    out.extend_from_slice(unix_ms.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The date that such a line says, or Redis's, of which the second is the whole second.
pub fn moment_of(line: &[u8]) -> Option<UnixMs> {
    let number = |rest: &[u8]| std::str::from_utf8(rest.trim_ascii_end()).ok()?.parse::<i64>().ok();
    match line.strip_prefix(MOMENT_MARK) {
        Some(rest) => number(rest).map(UnixMs),
        None => number(line.strip_prefix(b"#TS:")?)?.checked_mul(1000).map(UnixMs),
    }
}

/// The line up to its checksum, which covers this much of it.
fn begin_line(offset: u64, length: u64, synced: Option<u64>) -> HeaderLine {
    let mut line = HeaderLine { bytes: [0; HEADER_BYTES_MAX], len: 0 };
    match synced {
        Some(synced) => line.add(format_args!("#KV {offset} {length} {synced} ")),
        None => line.add(format_args!("#KV {offset} {length} - ")),
    }
    line
}

fn end_line(mut line: HeaderLine, crc: u32) -> HeaderLine {
    line.add(format_args!("{crc:08x}\r\n"));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (offset, synced) in [(0, None), (7, Some(0)), (u64::MAX, Some(u64::MAX))] {
            let line = header(offset, b"abc", synced);
            assert!(line.as_bytes().len() < 128);
            let read = parse(line.as_bytes()).expect("a header line");
            assert_eq!((read.offset, read.length, read.synced), (offset, 3, synced));
            let mut crc = crc_of(&read);
            crc.update(b"abc");
            assert_eq!(crc.finalize(), read.crc);
        }
    }

    #[test]
    fn the_line_is_what_it_is_on_disk() {
        // The numbers are those of zlib's crc32 over "#KV 12 3 5 abc" and "#KV 0 0 - ".
        assert_eq!(header(12, b"abc", Some(5)).as_bytes(), b"#KV 12 3 5 8c11a312\r\n");
        assert_eq!(header(0, b"", None).as_bytes(), b"#KV 0 0 - 514a626d\r\n");
    }

    #[test]
    fn every_field_is_under_the_checksum() {
        let crc = |line: HeaderLine| parse(line.as_bytes()).expect("a header line").crc;
        let one = crc(header(10, b"abc", Some(5)));
        for other in [header(11, b"abc", Some(5)), header(10, b"abd", Some(5)), header(10, b"abc", Some(6))] {
            assert_ne!(crc(other), one);
        }
        assert_ne!(crc(header(10, b"abc", None)), one);
    }

    #[test]
    fn only_one_spelling_is_a_header() {
        let no = [
            "#KV 0 3 - 0000000g\r\n",
            "#KV 0 3 - 000000a\r\n",
            "#KV 0 3 - 000000AA\r\n",
            "#KV 00 3 - 000000aa\r\n",
            "#KV +0 3 - 000000aa\r\n",
            "#KV 0 -3 - 000000aa\r\n",
            "#KV 0  3 - 000000aa\r\n",
            "#KV 0 3 - 000000aa \r\n",
            "#KV 0 3 - 000000aa 1\r\n",
            "#KV 0 3 000000aa\r\n",
            "#KV 0 3 - 000000aa\n",
            "#KV 99999999999999999999 3 - 000000aa\r\n",
            "#TS:12\r\n",
            "",
        ];
        for text in no {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert!(parse(b"#KV 0 3 - 000000aa\r\n").is_some());
    }

    #[test]
    fn timestamps_are_redis_own() {
        let mut out = Vec::new();
        timestamp(&mut out, 1_795_209_229);
        assert_eq!(out, b"#TS:1795209229\r\n");
    }
}
