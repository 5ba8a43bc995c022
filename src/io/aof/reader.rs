//! Reading the log: from files to requests, each of them whole and in order.
//!
//! Two kinds of text may follow each other in a file, in any order:
//!
//! - **Batches**, ours: the header line says how long the batch is and what its checksum is, so it is verified
//!   before a byte of it is parsed.
//! - **Loose requests**, which another server wrote. Nothing vouches for their bytes. MULTI and everything up to
//!   its EXEC is seen whole before any of it is handed out.
//!
//! # Torn or corrupt
//!
//! A *torn tail* is what a crash leaves: it is not handed out, the caller cuts it off (keeping a copy) and goes on.
//! *Corruption* is refused, with the place. The rule, for a damage at a place:
//!
//! 1. A file that is followed by another with something in it must be whole: any damage is corruption.
//! 2. Nothing but zeros from the place to the end: torn. So file systems leave what never arrived.
//! 3. A whole batch somewhere after it, written when the place was known to be on disk (its `synced` says so, or
//!    does not say anything): corruption.
//! 4. Whole batches after it, but none that old: torn. A power cut loses unsynced pages in any order, and all
//!    that is lost was within what the policy allows to be lost.
//!    So is a file whose beginning is such a hole. (If no whole batch follows that hole nobody can tell whose file it
//!    is: refused.)
//! 5. No whole batch after it: torn, if a batch is announced there or one ends there, unless a request stands
//!    where the announced batch should end, which somebody wrote after it. In loose requests, as in Redis: torn if
//!    the file ends too early, corrupt if the bytes are wrong.
//!
//! Of loose requests, rule 4 does not speak: what stands before a batch of ours was loaded when we wrote that.
//!
//! What is cut off at the end of a batch leaves no trace in a file. Where it must not be missing, an empty batch is the
//! last word, and is asked for: in a base of ours, which is never torn, and in an increment of ours that another one of
//! ours follows.
//!
//! The trade-off lies in 4 and 5: bytes that went bad by themselves within the last second before a crash look like a
//! hole and are cut, not refused (a clean shutdown ends in a batch that says that all is synced, and leaves no such
//! second). The other way round, a machine whose power was cut without a count of what was synced
//! (`appendfsync no`) may refuse to start until somebody ran `kvick check-aof --fix`.
//!
//! A file may open with an RDB file, as which Redis writes a base. It ends in a checksum and is whole or refused.
//!
//! One case remains in which another server's records are cut off, into the copy: a power cut tears our last batch,
//! Redis takes the directory over, cuts within that batch and appends. Let kvick start once, or check the files,
//! before handing over a directory after a power cut.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::data::rdb::{self, Fault, file};
use crate::io::disk::Disk;
use crate::io::rdb::{Keys, Reading};
use crate::io::window::{CHUNK_BYTES, Window};
use crate::resp::args::Span;

use super::batch::{self, MARK};
use super::damage::{self, Later};
use super::fault;
use super::manifest::{self, Manifest, Place};
use super::record::{self, Parsed, Request};

/// Redis reads lines that begin in `#` up to this length, with the line end.
const ANNOTATION_BYTES_MAX: usize = 127;

/// Requests that the sink is told of before it gets them.
const REQUESTS_AHEAD: usize = 16;

/// How a file begins that opens with an RDB file; no request and no annotation does.
const PREAMBLES: [&[u8]; 2] = [file::REDIS, file::VALKEY];

/// Whom the requests are handed to.
pub trait Sink {
    /// One request, in order. An error ends the reading.
    fn request(&mut self, request: Request<'_>) -> Result<(), String>;

    /// A request that will come soon: a time to ask the cache for what it needs. It may not come after all, if
    /// the file is damaged.
    fn soon(&mut self, _request: Request<'_>) {}

    /// A batch of ours with something in it, whose line is at this place of the file: what is in it follows.
    fn batch(&mut self, _at: u64) {}

    /// An annotation line that is not about batches. All before `at` was whole: the place of the line, or of the batch
    /// or transaction that it is in.
    fn note(&mut self, _line: &[u8], _at: u64) {}

    /// A file has been read.
    fn file_ends(&mut self) {}

    /// Where the keys of an RDB file at the beginning of a file go; `None`: such a file is refused.
    fn rdb(&mut self) -> Option<&mut dyn Keys> {
        None
    }

    /// So many more bytes were read: a time to tell waiting clients `-LOADING`.
    fn progress(&mut self, _bytes: u64) {}
}

/// What a file held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The length of the file in bytes.
    pub size: u64,
    /// All before this place is whole and was handed out; the file is to be cut here if a tail is torn.
    pub good: u64,
    /// Requests handed out.
    pub requests: u64,
    /// Batches of ours among them.
    pub batches: u64,
    /// Lines that frame the requests, and annotations, as redis-check-aof counts them.
    pub lines: u64,
    /// There is a tail after `good` that is not whole.
    pub torn: Option<Damage>,
    /// How the file ends, and whether it begins as one of ours.
    pub ending: Ending,
    /// It begins with a batch of ours.
    pub begins_ours: bool,
}

/// What a file ends in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ending {
    /// Loose requests, an RDB file, or nothing.
    #[default]
    Loose,
    /// A batch of ours, after which another one may have stood.
    Open,
    /// An empty batch of ours: the last word.
    Sealed,
}

/// A place where the text goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The place, from the file's beginning; never before `Report::good`.
    pub at: u64,
    /// What is wrong.
    pub why: String,
}

/// Why a file cannot be loaded.
#[derive(Debug)]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Trouble {
    /// The machine said so.
    Io(io::Error),
    /// It opens with an RDB file, which nobody wanted.
    Preamble,
    /// It opens with an RDB file that cannot be loaded.
    Rdb(Fault),
    /// A damage that no crash explains; what was good until there, and how many whole batches were seen after it.
    Corrupt {
        /// Where and what.
        damage: Damage,
        /// What was read and handed out before.
        report: Box<Report>,
        /// Whole batches seen after the damage; the search stops early.
        later: u64,
    },
    /// The sink would not have the request that begins here.
    Refused(Damage),
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.trouble {
            Trouble::Io(error) => write!(out, "cannot read {path}: {error}"),
            Trouble::Preamble => write!(out, "{path} opens with an RDB file"),
            Trouble::Rdb(fault) => {
                write!(
                    out,
                    "{path} opens with an RDB file that cannot be loaded: {fault}. Restore the file from a copy"
                )
            }
            Trouble::Corrupt { damage: Damage { at, why }, report, later } => {
                write!(out, "{path} is corrupt at byte {at}: {why}.")?;
                if 0 < *later {
                    write!(out, " Whole batches follow, so this is no torn tail.")?;
                }
                let (good, behind) = (report.good, report.size - report.good);
                if behind == 0 {
                    return write!(
                        out,
                        " What follows it, in this file or in others, was written after what is missing. Restore the \
                         file from a copy"
                    );
                }
                write!(
                    out,
                    " Restore the file from a copy, or cut off the {behind} bytes after byte {good} with \
                     'kvick check-aof --fix', which keeps them in a file beside it"
                )
            }
            Trouble::Refused(Damage { at, why }) => {
                write!(out, "{path} holds a request at byte {at} that cannot be run: {why}")
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl From<LoadError> for io::Error {
    fn from(error: LoadError) -> io::Error {
        let kind = match &error.trouble {
            Trouble::Io(inner) => inner.kind(),
            Trouble::Preamble => io::ErrorKind::Unsupported,
            Trouble::Rdb(Fault { trouble: rdb::Trouble::Io(inner), .. }) => inner.kind(),
            Trouble::Rdb(_) | Trouble::Corrupt { .. } | Trouble::Refused(_) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error.to_string())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

/// A file of the manifest that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Where it is.
    pub path: PathBuf,
    /// What it held.
    pub report: Report,
}

/// Reads the base and the increments of a manifest in order. The caller is to cut off a torn tail
/// ([`damage::cut_tail`]), which only the last file with anything in it may have, before it appends.
pub fn load(place: &Place, manifest: &Manifest, sink: &mut dyn Sink) -> Result<Vec<Loaded>, LoadError> {
    let paths: Vec<PathBuf> = manifest.parts().map(|part| place.path(&part.name)).collect();
    let mut filled = 0;
    for (index, path) in paths.iter().enumerate() {
        let look = manifest::look(place.disk(), path);
        let size = look.map_err(|error| LoadError { path: path.clone(), trouble: error.into() })?.size;
        if 0 < size {
            filled = index;
        } else if path.extension() == Some("rdb".as_ref()) {
            // Of commands there may be none; an RDB file has at least a beginning and an end.
            let fault = Fault { at: 0, trouble: rdb::Trouble::Short };
            return Err(LoadError { path: path.clone(), trouble: Trouble::Rdb(fault) });
        }
    }
    let mut all: Vec<Loaded> = Vec::new();
    for (index, path) in paths.into_iter().enumerate() {
        let is_base = index == 0 && manifest.base.is_some();
        let last = filled <= index && !(is_base && is_written_whole(&path));
        let report = read_file(place.disk(), &path, last, sink)?;
        sink.file_ends();
        let before = all.iter().rfind(|before| 0 < before.report.size);
        let refused = |path: &Path, trouble| LoadError { path: path.to_path_buf(), trouble };
        if let Some(before) = before
            && let Some(trouble) = missing(&before.report, report.begins_ours)
        {
            return Err(refused(&before.path, trouble));
        }
        if is_base
            && is_written_whole(&path)
            && let Some(trouble) = missing(&report, true)
        {
            return Err(refused(&path, trouble));
        }
        all.push(Loaded { path, report });
    }
    Ok(all)
}

/// Whether a base was written as one, and given its name when it was whole; a file from before there were manifests
/// is called otherwise.
pub(super) fn is_written_whole(path: &Path) -> bool {
    let ends_in = |end| path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(end));
    ends_in(b".base.aof") || ends_in(b".base.rdb")
}

/// The last word is missing in a file that had it when what follows was begun.
pub(super) fn missing(report: &Report, is_followed_by_ours: bool) -> Option<Trouble> {
    if report.ending != Ending::Open || !is_followed_by_ours {
        return None;
    }
    let why = "the file ends before its last word".to_owned();
    let damage = Damage { at: report.size, why };
    Some(Trouble::Corrupt { damage, report: Box::new(report.clone()), later: 0 })
}

/// How much there is to read, for the progress of loading: the lengths of the base and of the increments.
pub fn total_bytes(place: &Place, manifest: &Manifest) -> io::Result<u64> {
    manifest.parts().map(|part| Ok(manifest::look(place.disk(), &place.path(&part.name))?.size)).sum()
}

/// Reads one file. `last`: nothing follows it, so that its tail may be torn.
pub fn read_file(disk: &dyn Disk, path: &Path, last: bool, sink: &mut dyn Sink) -> Result<Report, LoadError> {
    let read = |sink| -> Result<Report, Trouble> {
        let window = fault::again(|| Window::open(disk, path))?;
        let report = Report { size: window.size(), ..Report::default() };
        let (spans, verified, ours) = (Vec::new(), 0, false);
        let mut reader =
            Reader { window, sink, last, spans, ahead: Ahead::default(), verified, ours, report };
        reader.run()?;
        Ok(reader.report)
    };
    read(sink).map_err(|trouble| LoadError { path: path.to_path_buf(), trouble })
}

struct Reader<'a> {
    window: Window,
    sink: &'a mut dyn Sink,
    last: bool,
    spans: Vec<Span>,
    ahead: Ahead,
    /// Up to here the file is known to be whole: a verified batch, or MULTI to EXEC.
    verified: u64,
    /// What ends here was a batch of ours.
    ours: bool,
    report: Report,
}

/// How far the sink has been told of what comes.
#[derive(Default)]
struct Ahead {
    /// The place in the file, and the requests from the one that is given next up to it.
    at: u64,
    count: usize,
    spans: Vec<Span>,
}

/// What stands at a place of the window.
enum Next {
    /// A request of so many bytes, whose spans were left.
    Request(usize),
    /// The text ends within a request.
    Ends,
    /// Wrong at so many bytes from the place.
    Bad(usize, String),
}

/// What a damage says about the file it is in.
enum Kind {
    /// A batch of ours does not hold; where it would end, if it said so.
    Batch { end: Option<u64> },
    /// The file ends within loose requests.
    Short,
    /// Loose requests go wrong.
    Wrong,
    /// Nothing known, where a file of ours may have begun.
    Beginning,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), Trouble> {
        self.preamble()?;
        while self.report.torn.is_none() && self.want(1)? {
            self.report.good = self.window.offset();
            match self.window.bytes()[0] {
                b'#' => self.annotation()?,
                b'*' => self.loose()?,
                other => {
                    let kind = self.kind_of_garbage();
                    let why = format!("Expected '*' or '#', got: '{}'", other.escape_ascii());
                    self.damage(self.window.offset(), why, kind)?;
                }
            }
        }
        if self.report.torn.is_none() {
            self.report.good = self.window.offset();
        }
        Ok(())
    }

    /// What bytes that begin nothing are here.
    fn kind_of_garbage(&self) -> Kind {
        match self.ours {
            true => Kind::Batch { end: None },
            false if self.window.offset() == 0 => Kind::Beginning,
            false => Kind::Wrong,
        }
    }

    /// The RDB file that the file opens with, if it does.
    fn preamble(&mut self) -> Result<(), Trouble> {
        let left = usize::try_from(self.window.left()).unwrap_or(usize::MAX);
        self.want(left.min(file::VALKEY.len()))?;
        let bytes = self.window.bytes();
        if 0 < left && PREAMBLES.iter().any(|preamble| left < preamble.len() && preamble.starts_with(bytes)) {
            return Err(Trouble::Rdb(Fault { at: left as u64, trouble: rdb::Trouble::Short }));
        }
        if !PREAMBLES.iter().any(|preamble| bytes.starts_with(preamble)) {
            return Ok(());
        }
        let keys = self.sink.rdb().ok_or(Trouble::Preamble)?;
        Reading::new(&mut self.window, keys).run().map_err(Trouble::Rdb)?;
        self.report.good = self.window.offset();
        Ok(())
    }

    /// A line that begins in `#`: a batch of ours, or nothing of interest.
    fn annotation(&mut self) -> Result<(), Trouble> {
        let Some(length) = self.annotation_length(0)? else {
            let here = self.window.offset();
            if self.window.left() < ANNOTATION_BYTES_MAX as u64 {
                return self.damage(here, "the file ends within an annotation".to_owned(), Kind::Short);
            }
            let is_mark = self.window.bytes().starts_with(MARK);
            let kind = if is_mark { Kind::Batch { end: None } } else { self.kind_of_garbage() };
            return self.damage(here, "an annotation that is too long".to_owned(), kind);
        };
        let line = &self.window.bytes()[..length];
        if line.starts_with(MARK.trim_ascii_end()) {
            return self.batch(length);
        }
        if line.contains(&0) {
            // Nobody writes that: the end of the line never came to the disk.
            let kind = self.kind_of_garbage();
            return self.damage(self.window.offset(), "zeros within an annotation".to_owned(), kind);
        }
        self.skip_note(length);
        Ok(())
    }

    fn skip_note(&mut self, length: usize) {
        self.sink.note(&self.window.bytes()[..length], self.report.good);
        self.report.lines += 1;
        self.window.skip(length);
    }

    /// The length of the annotation so many bytes from here, if it is whole and not too long.
    fn annotation_length(&mut self, from: usize) -> Result<Option<usize>, Trouble> {
        let left = usize::try_from(self.window.left()).unwrap_or(usize::MAX);
        self.want(left.min(from + ANNOTATION_BYTES_MAX))?;
        let line = self.window.bytes()[from..].iter().take(ANNOTATION_BYTES_MAX);
        Ok(line.copied().position(|byte| byte == b'\n').map(|end| end + 1))
    }

    /// A batch, whose header line is here and so many bytes long.
    fn batch(&mut self, line: usize) -> Result<(), Trouble> {
        let here = self.window.offset();
        let Some(header) = batch::parse(&self.window.bytes()[..line]) else {
            return self.damage(here, "a malformed header of a batch".to_owned(), Kind::Batch { end: None });
        };
        if header.offset != here {
            let why = format!("the batch here was written at byte {}", header.offset);
            return self.damage(here, why, Kind::Batch { end: None });
        }
        let Some(end) = damage::batch_end(&header, line, self.window.size()) else {
            return self.damage(here, "the file ends within a batch".to_owned(), Kind::Batch { end: None });
        };
        // A small batch is looked at in the window, where it is parsed next; for a big one no memory is taken.
        let length = line + usize::try_from(header.length).unwrap_or(usize::MAX - line);
        let holds = if length <= CHUNK_BYTES {
            self.want(length)?;
            let mut crc = batch::crc_of(&header);
            crc.update(&self.window.bytes()[line..length]);
            crc.finalize() == header.crc
        } else {
            damage::checksum_holds(self.window.file(), &header, here + line as u64)?
        };
        if !holds {
            let why = "the batch does not match its checksum".to_owned();
            return self.damage(here, why, Kind::Batch { end: Some(end) });
        }
        self.report.lines += 1;
        self.report.batches += 1;
        self.report.begins_ours |= here == 0;
        self.report.ending = if header.length == 0 { Ending::Sealed } else { Ending::Open };
        self.window.skip(line);
        if 0 < header.length {
            self.sink.batch(here);
        }
        self.hand_out(end, true)?;
        self.ours = true;
        Ok(())
    }

    /// Hands out the requests from here to `end`. What goes wrong in a batch was written wrong: its checksum holds.
    fn hand_out(&mut self, end: u64, sealed: bool) -> Result<(), Trouble> {
        self.verified = end;
        let mut open = false;
        while self.window.offset() < self.verified {
            self.want(1)?;
            if self.window.bytes()[0] == b'#' {
                match self.annotation_length(0)? {
                    Some(length) if !self.window.bytes().starts_with(MARK) => {
                        self.skip_note(length);
                        continue;
                    }
                    _ => return self.corrupt(0, "no annotation may stand here".to_owned()),
                }
            }
            match self.next(0, self.verified - self.window.offset())? {
                Next::Request(length) => {
                    open = match self.word(length) {
                        Word::Multi => true,
                        Word::Exec => false,
                        Word::Other => open,
                    };
                    self.give(length)?;
                }
                Next::Ends => return self.corrupt(0, "the batch ends within a request".to_owned()),
                Next::Bad(at, why) => return self.corrupt(at, why),
            }
        }
        if sealed && open {
            return self.corrupt(0, "the batch ends within MULTI".to_owned());
        }
        Ok(())
    }

    /// A request that is in no batch, or all from MULTI to EXEC.
    fn loose(&mut self) -> Result<(), Trouble> {
        self.ours = false;
        self.report.ending = Ending::Loose;
        let here = self.window.offset();
        let length = match self.next(0, self.window.left())? {
            Next::Request(length) => length,
            Next::Ends => return self.damage(here, "the file ends within a request".to_owned(), Kind::Short),
            Next::Bad(at, why) => return self.damage(here + at as u64, why, Kind::Wrong),
        };
        match self.word(length) {
            Word::Other => self.give(length),
            Word::Exec => self.damage(here, "Unexpected EXEC".to_owned(), Kind::Wrong),
            Word::Multi => match self.until_exec(length)? {
                Ok(length) => self.hand_out(here + length as u64, false),
                Err((at, why, kind)) => self.damage(here + at as u64, why, kind),
            },
        }
    }

    /// The length of everything up to EXEC, the MULTI at the beginning and its `length` included; or how it ends.
    fn until_exec(&mut self, mut length: usize) -> Result<Result<usize, (usize, String, Kind)>, Trouble> {
        loop {
            let short = || Ok(Err((length, "the file ends within MULTI".to_owned(), Kind::Short)));
            if !self.want(length + 1)? {
                return short();
            }
            let at = length;
            if self.window.bytes()[at] == b'#' {
                match self.annotation_length(at)? {
                    Some(line) if !self.window.bytes()[at..].starts_with(MARK) => length += line,
                    None if self.window.left() < (at + ANNOTATION_BYTES_MAX) as u64 => return short(),
                    _ => return Ok(Err((at, "no annotation may stand here".to_owned(), Kind::Wrong))),
                }
                continue;
            }
            match self.next(at, self.window.left() - at as u64)? {
                Next::Ends => return short(),
                Next::Bad(more, why) => return Ok(Err((at + more, why, Kind::Wrong))),
                Next::Request(more) => length += more,
            }
            match record_word(&self.window.bytes()[at..length], &self.spans) {
                Word::Exec => return Ok(Ok(length)),
                Word::Multi => return Ok(Err((at, "Unexpected MULTI".to_owned(), Kind::Wrong))),
                Word::Other => {}
            }
        }
    }

    /// Looks for a request so many bytes from here, of which `limit` may be looked at.
    fn next(&mut self, from: usize, limit: u64) -> Result<Next, Trouble> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        loop {
            let bytes = &self.window.bytes()[from..];
            let bytes = &bytes[..limit.min(bytes.len())];
            match record::parse(bytes, &mut self.spans) {
                Parsed::Whole(length) => return Ok(Next::Request(length)),
                Parsed::Bad(at, why) => return Ok(Next::Bad(at, why)),
                Parsed::Partial(need) if limit < need => return Ok(Next::Ends),
                Parsed::Partial(need) => {
                    self.want(from + need)?;
                }
            }
        }
    }

    fn word(&self, length: usize) -> Word {
        record_word(&self.window.bytes()[..length], &self.spans)
    }

    /// Tells the sink of the requests that follow in the window, up to [`REQUESTS_AHEAD`] of them.
    fn look_ahead(&mut self) {
        if self.ahead.at <= self.window.offset() {
            self.ahead.at = self.window.offset();
            self.ahead.count = 0;
        }
        while self.ahead.count < REQUESTS_AHEAD {
            let from = (self.ahead.at - self.window.offset()) as usize;
            let Some(bytes) = self.window.bytes().get(from..) else { return };
            let Parsed::Whole(length) = record::parse(bytes, &mut self.ahead.spans) else {
                let line = bytes.iter().take(ANNOTATION_BYTES_MAX).position(|byte| *byte == b'\n');
                match line {
                    Some(end) if bytes[0] == b'#' => self.ahead.at += end as u64 + 1,
                    _ => return,
                }
                continue;
            };
            self.sink.soon(Request::new(&bytes[..length], &self.ahead.spans));
            self.ahead.at += length as u64;
            self.ahead.count += 1;
        }
    }

    fn give(&mut self, length: usize) -> Result<(), Trouble> {
        self.ahead.count = self.ahead.count.saturating_sub(1);
        self.look_ahead();
        let request = Request::new(&self.window.bytes()[..length], &self.spans);
        if let Err(why) = self.sink.request(request) {
            return Err(Trouble::Refused(Damage { at: self.window.offset(), why }));
        }
        self.report.requests += 1;
        self.report.lines += 1 + 2 * self.spans.len() as u64;
        self.window.skip(length);
        Ok(())
    }

    fn want(&mut self, length: usize) -> Result<bool, Trouble> {
        let sink = &mut *self.sink;
        Ok(self.window.want(length, &mut |bytes| sink.progress(bytes))?)
    }

    /// A damage at `at`: the tail from `good` on is torn, or the file is refused.
    fn damage(&mut self, at: u64, why: String, kind: Kind) -> Result<(), Trouble> {
        let later = self.is_torn(at, &kind)?;
        let damage = Damage { at, why };
        match later {
            None => {
                self.report.torn = Some(damage);
                Ok(())
            }
            Some(later) => Err(Trouble::Corrupt { damage, report: Box::new(self.report.clone()), later }),
        }
    }

    /// The rule at the head of this file; `None` is torn, otherwise how many whole batches were seen after it.
    fn is_torn(&self, at: u64, kind: &Kind) -> Result<Option<u64>, Trouble> {
        let (file, size) = (self.window.file(), self.window.size());
        let Later { batches, proof } = damage::later_batches(file, size, at)?;
        if !self.last {
            return Ok(Some(batches));
        }
        if damage::zeros_to_the_end(file, size, at)? {
            return Ok(None);
        }
        let torn = match kind {
            // What stands between two of ours was not torn by our crash.
            Kind::Short | Kind::Wrong if 0 < batches => false,
            Kind::Short => true,
            Kind::Wrong => false,
            Kind::Beginning => 0 < batches && !proof,
            Kind::Batch { .. } if 0 < batches => !proof,
            Kind::Batch { end: None } => !proof,
            Kind::Batch { end: Some(end) } => !proof && damage::byte_at(file, size, *end)? != Some(b'*'),
        };
        Ok((!torn).then_some(batches))
    }

    /// Wrong at so many bytes from here, where no crash can have done it.
    fn corrupt(&self, from: usize, why: String) -> Result<(), Trouble> {
        let damage = Damage { at: self.window.offset() + from as u64, why };
        Err(Trouble::Corrupt { damage, report: Box::new(self.report.clone()), later: 0 })
    }
}

/// The words that the reader knows.
enum Word {
    Multi,
    Exec,
    Other,
}

fn record_word(bytes: &[u8], spans: &[Span]) -> Word {
    let name = Request::new(bytes, spans).name();
    match name.len() {
        4 if name.eq_ignore_ascii_case(b"exec") => Word::Exec,
        5 if name.eq_ignore_ascii_case(b"multi") => Word::Multi,
        _ => Word::Other,
    }
}
