//! The manifest: which files the log is made of, in which order.
//!
//! ```text
//! file appendonly.aof.2.base.aof seq 2 type b      the base: the data as of some moment
//! file appendonly.aof.1.base.aof seq 1 type h      history: replaced, to be deleted
//! file appendonly.aof.3.incr.aof seq 3 type i      increments: what happened since, in order
//! ```
//!
//! The format, the names and the error texts are Redis 7's. Pairs of words that are not known are skipped, as
//! there, so that later servers can add some. Stricter than there are the numbers (`12z` is none), the types (one
//! letter) and names of a path or of nothing.
//!
//! One of ours begins with a comment, `#KV` and the checksum of the rest: cut off after a line, or with a letter changed,
//! it would otherwise be as good as any, and name other data. A manifest without that line is another server's.
//!
//! The manifest is replaced as a whole: a temporary file is written, synced and renamed, and then the directory is
//! synced. So at any moment there is a valid one, which names files that are all there.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::fault;
use super::words::{quote, split_words};
use crate::io::disk::{self, Disk, DiskFile, How, Look, Real, SharedFile, Writing};

/// Bytes in a line, line end included, as in Redis.
const LINE_BYTES_MAX: usize = 1024;

/// Bytes in a manifest: enough for a hundred thousand files.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// So many files beside the directory of the log are looked at for another log.
const NEIGHBOURS_MAX: usize = 10_000;

/// Where the log is and how its files are called.
#[derive(Debug, Clone)]
pub struct Place {
    disk: Rc<dyn Disk>,
    directory: PathBuf,
    name: OsString,
}

impl Place {
    /// `directory` is `appenddirname` within `dir`; `name` is `appendfilename`.
    pub fn new(directory: impl Into<PathBuf>, name: impl Into<OsString>) -> Place {
        Place { disk: Rc::new(Real), directory: directory.into(), name: name.into() }
    }

    /// The same place on another disk.
    pub fn on(self, disk: Rc<dyn Disk>) -> Place {
        Place { disk, ..self }
    }

    /// A log with the same names of files in another directory.
    pub fn within(&self, dir: &Path) -> Place {
        let name = self.directory.file_name().unwrap_or_default();
        Place { directory: dir.join(name), ..self.clone() }
    }

    /// The disk it is on.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The directory of the log.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of a file of the log.
    pub fn path(&self, name: &OsStr) -> PathBuf {
        self.directory.join(name)
    }

    /// The path of the manifest.
    pub fn manifest(&self) -> PathBuf {
        self.path(&joined(&[&self.name, ".manifest".as_ref()]))
    }

    /// Where a rewrite writes its base until the manifest takes it up.
    pub fn temporary_base(&self, pid: u32) -> PathBuf {
        self.path(format!("temp-rewriteaof-bg-{pid}.aof").as_ref())
    }

    /// Where the first increment of a log that is being switched on grows until there is a base.
    pub fn temporary_increment(&self) -> PathBuf {
        self.path(&joined(&["temp-".as_ref(), &self.name, ".incr".as_ref()]))
    }

    /// What says that a sync has failed, and that the kernel may show what the disk has not.
    pub fn unsynced_mark(&self) -> PathBuf {
        self.path(&joined(&["temp-".as_ref(), &self.name, ".unsynced".as_ref()]))
    }

    fn temporary_manifest(&self) -> PathBuf {
        self.path(&joined(&["temp-".as_ref(), &self.name, ".manifest".as_ref()]))
    }

    fn part(&self, seq: u64, kind: &str) -> Part {
        Part { name: joined(&[&self.name, format!(".{seq}.{kind}").as_ref()]), seq }
    }

    /// Whether a file of that name can only be one of this log's: `NAME.12.incr.aof`, `NAME.3.base.rdb`.
    fn owns(&self, name: &OsStr) -> bool {
        let Some(rest) = name.as_bytes().strip_prefix(self.name.as_bytes()) else { return false };
        let mut words = rest.split(|&byte| byte == b'.');
        let (before, seq) = (words.next(), words.next().unwrap_or_default());
        let (kind, format) = (words.next(), words.next());
        let kinds = [(&b"base"[..], &b"aof"[..]), (b"base", b"rdb"), (b"incr", b"aof")];
        before == Some(b"")
            && !seq.is_empty()
            && seq.iter().all(u8::is_ascii_digit)
            && kinds.iter().any(|&(k, f)| kind == Some(k) && format == Some(f))
            && words.next().is_none()
    }
}

fn joined(words: &[&OsStr]) -> OsString {
    words.iter().copied().collect()
}

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name within the directory.
    pub name: OsString,
    /// Its number among those of its kind, from one.
    pub seq: u64,
}

/// The files of the log.
///
/// Invariant: the numbers of `increments` grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The data as of some moment, if that was not nothing.
    pub base: Option<Part>,
    /// What was written since, the last of them still growing.
    pub increments: Vec<Part>,
    /// Replaced by a rewrite and to be deleted.
    pub history: Vec<Part>,
}

/// A line of a manifest that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// Counted from one; zero: it is not about a line.
    pub line: usize,
    /// The line, without the blanks around it.
    pub text: String,
    /// Redis's words.
    pub why: &'static str,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if 0 < self.line {
            write!(out, "Reading the manifest file, at line {}: >>> '{}': ", self.line, self.text)?;
        }
        out.write_str(self.why)
    }
}

impl std::error::Error for ManifestError {}

/// How the line with the checksum begins.
const SUM_MARK: &str = "#KV ";

const BAD_FORMAT: &str = "Invalid AOF manifest file format";

impl Manifest {
    /// Reads a manifest's text.
    pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
        if let Some(rest) = text.strip_prefix(SUM_MARK.as_bytes()) {
            let (sum, rest) = rest.split_at(rest.len().min(9));
            if *sum != *format!("{:08x}\n", crc32fast::hash(rest)).as_bytes() {
                let why = "The AOF manifest file does not match its checksum: restore it from a copy";
                return Err(ManifestError { line: 0, text: String::new(), why });
            }
        }
        let mut manifest = Manifest::default();
        let mut number = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            number += 1;
            if line[0] == b'#' {
                continue;
            }
            let trimmed = line.trim_ascii();
            let read = if LINE_BYTES_MAX < line.len() || !line.ends_with(b"\n") {
                Err("The AOF manifest file contains too long line")
            } else {
                manifest.add_line(trimmed)
            };
            if let Err(why) = read {
                let text = trimmed[..trimmed.len().min(LINE_BYTES_MAX)].escape_ascii().to_string();
                return Err(ManifestError { line: number, text, why });
            }
        }
        if number == 0 {
            return Err(ManifestError { line: 0, text: String::new(), why: "Found an empty AOF manifest" });
        }
        Ok(manifest)
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let words = split_words(line).ok_or(BAD_FORMAT)?;
        if words.len() < 6 || words.len() % 2 != 0 {
            return Err(BAD_FORMAT);
        }
        let (mut name, mut seq, mut kind) = (None, None, None);
        for pair in words.chunks_exact(2) {
            let (key, value) = (&pair[0], &pair[1]);
            if key.eq_ignore_ascii_case(b"file") {
                if value.contains(&b'/') || value == b"." || value == b".." {
                    return Err("File can't be a path, just a filename");
                }
                name = Some(value).filter(|name| !name.is_empty() && !name.contains(&0));
            } else if key.eq_ignore_ascii_case(b"seq") {
                let text = std::str::from_utf8(value).ok().filter(|text| !text.starts_with('+'));
                seq = text.and_then(|text| text.parse::<i64>().ok()).and_then(|seq| u64::try_from(seq).ok());
                seq = seq.filter(|&seq| 0 < seq);
            } else if key.eq_ignore_ascii_case(b"type") {
                kind = Some(value);
            }
        }
        let (Some(name), Some(seq), Some(kind)) = (name, seq, kind) else { return Err(BAD_FORMAT) };
        let part = Part { name: OsString::from_vec(name.clone()), seq };
        match kind.as_slice() {
            b"b" if self.base.is_some() => return Err("Found duplicate base file information"),
            b"b" => self.base = Some(part),
            b"h" => self.history.push(part),
            b"i" if self.increments.last().is_some_and(|last| seq <= last.seq) => {
                return Err("Found a non-monotonic sequence number");
            }
            b"i" => self.increments.push(part),
            b"" => return Err(BAD_FORMAT),
            _ => return Err("Unknown AOF file type"),
        }
        Ok(())
    }

    /// The manifest's text: base, history, increments.
    pub fn format(&self) -> Vec<u8> {
        let base = self.base.iter().map(|part| (part, 'b'));
        let history = self.history.iter().map(|part| (part, 'h'));
        let increments = self.increments.iter().map(|part| (part, 'i'));
        let mut out = Vec::new();
        for (part, kind) in base.chain(history).chain(increments) {
            out.extend_from_slice(b"file ");
            quote(&mut out, part.name.as_bytes());
            out.extend_from_slice(format!(" seq {} type {kind}\n", part.seq).as_bytes());
        }
        out
    }

    /// The files to be read, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.increments)
    }

    /// Reads the manifest from its file; `None` if there is none.
    pub fn read(place: &Place) -> io::Result<Option<Manifest>> {
        let path = place.manifest();
        match fault::again(|| place.disk.open(&path, How::Read)) {
            Ok(file) => Manifest::read_open(&*file, &path).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault::on("open", &path)(error)),
        }
    }

    pub(super) fn read_open(file: &dyn DiskFile, path: &Path) -> io::Result<Manifest> {
        let bad = |error: &dyn fmt::Display| {
            io::Error::new(ErrorKind::InvalidData, format!("cannot read {}: {error}", path.display()))
        };
        let size = fault::again(|| file.size()).map_err(fault::on("stat", path))?;
        if MANIFEST_BYTES_MAX < size {
            return Err(bad(&"the manifest is too long"));
        }
        let mut text = vec![0; size as usize];
        disk::read_exact_at(file, &mut text, 0).map_err(fault::on("read", path))?;
        Manifest::parse(&text).map_err(|error| bad(&error))
    }

    /// Puts this manifest in the place of the one on disk, for good. What must not be lost of the files it names is to
    /// be on disk before: only the last file that holds anything may have a torn tail. Their names are made to last
    /// here, before the manifest says them.
    ///
    /// Errors: the manifest on disk is the old one or this one.
    pub fn commit(&self, place: &Place) -> io::Result<()> {
        let text = self.draft(place)?;
        let synced = fault::again(|| text.sync()).map_err(fault::on("sync", &place.temporary_manifest()));
        let named = synced.and_then(|()| sync_directory(place.disk(), &place.directory));
        if let Err(error) = named.and_then(|()| Manifest::publish(place)) {
            Manifest::forget_draft(place);
            return Err(error);
        }
        sync_directory(place.disk(), &place.directory)
    }

    /// The first of the steps that [`Manifest::commit`] takes at once: writes this manifest beside the one on disk.
    /// The file is to be synced next, then the directory.
    pub fn draft(&self, place: &Place) -> io::Result<SharedFile> {
        let path = place.temporary_manifest();
        let file =
            fault::again(|| place.disk.open(&path, How::Replace)).map_err(fault::on("create", &path))?;
        let text = self.format();
        let sum = format!("{SUM_MARK}{:08x}\n", crc32fast::hash(&text));
        let text = [sum.as_bytes(), &text].concat();
        if let Err(error) = Writing(Rc::clone(&file)).write_all(&text) {
            Manifest::forget_draft(place);
            return Err(fault::on("write", &path)(error));
        }
        Ok(file)
    }

    /// The last: the draft is the manifest. It lasts when the directory was synced again.
    pub fn publish(place: &Place) -> io::Result<()> {
        let path = place.temporary_manifest();
        fault::again(|| place.disk.rename(&path, &place.manifest())).map_err(fault::on("rename", &path))
    }

    /// A part of a manifest is of no use to anybody. The error that made it one is told; that it cannot be deleted is
    /// not, the next start or the next draft sees to it.
    pub fn forget_draft(place: &Place) {
        remove_if_there(place.disk(), &place.temporary_manifest()).unwrap_or_default();
    }

    /// Adds a next increment, empty so far, and gives its name. Before the manifest is committed the file is to be
    /// there, and the increment before it synced.
    pub fn add_increment(&mut self, place: &Place) -> &Part {
        let known = self.increments.iter().chain(&self.history);
        let seq = known.map(|part| part.seq).max().unwrap_or(0) + 1;
        self.increments.push(place.part(seq, "incr.aof"));
        &self.increments[self.increments.len() - 1]
    }

    /// The same, passing over names that are taken: by what a crash has left of an attempt, or by what somebody whose
    /// manifest was lost still needs.
    pub fn add_free_increment(&mut self, place: &Place) -> &Part {
        let known = self.increments.len();
        loop {
            let path = place.path(&self.add_increment(place).name);
            if !look(place.disk(), &path).is_ok_and(|look| 0 < look.size) {
                break;
            }
        }
        self.increments.drain(known..self.increments.len() - 1);
        &self.increments[known]
    }

    /// The name that the base of the next rewrite will have, as an RDB file or as commands.
    pub fn next_base(&self, place: &Place, rdb: bool) -> Part {
        let seq = self.base.as_ref().map_or(0, |base| base.seq) + 1;
        place.part(seq, if rdb { "base.rdb" } else { "base.aof" })
    }

    /// A rewrite is done: its base, which is in its place under the name of [`Manifest::next_base`] and synced,
    /// replaces the old base and all increments before the one with the number `first_kept`. These become
    /// history.
    pub fn rewritten(&mut self, next: Part, first_kept: u64) {
        let old = self.base.replace(next);
        self.history.splice(0..0, old);
        let kept = self.increments.iter().position(|part| first_kept <= part.seq);
        let replaced = self.increments.drain(..kept.unwrap_or(self.increments.len()));
        for part in replaced {
            self.history.insert(0, part);
        }
    }

    /// Deletes the files of the history, then forgets them. A file that is gone already is no error. Deleting a
    /// giant may take a while.
    pub fn delete_history(&mut self, place: &Place) -> io::Result<()> {
        if self.history.is_empty() {
            return Ok(());
        }
        for part in &self.history {
            remove_if_there(place.disk(), &place.path(&part.name))?;
        }
        let rest = Manifest { history: Vec::new(), ..self.clone() };
        rest.commit(place)?;
        *self = rest;
        Ok(())
    }
}

/// What there is at the start.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: a new log may begin.
    Nothing,
    /// A manifest, and all files it names.
    Manifest(Manifest),
    /// A single file from before there were manifests, in the server's own directory: [`upgrade`] takes it in.
    OldStyle(PathBuf),
}

/// Looks for the log; `old` is where a server without manifests would have it: `appendfilename` in `dir`.
///
/// Errors: files of the log are there and the manifest is not, or there is another log, so that a new one would be
/// begun beside the data;
/// the manifest names a file that is not there.
pub fn find(place: &Place, old: &Path) -> io::Result<Found> {
    let is_old_there = look_for(place.disk(), old)?.is_some_and(|look| !look.is_directory);
    match Manifest::read(place)? {
        Some(manifest) if is_old_there && is_to_be_upgraded(place, &manifest) => {
            Ok(Found::OldStyle(old.to_path_buf()))
        }
        Some(manifest) => {
            if manifest.parts().next().is_none() {
                // Cut off within a comment, it is as good as none.
                refuse_orphans(place)?;
            }
            check_parts(place, &manifest)?;
            Ok(Found::Manifest(manifest))
        }
        None => {
            refuse_orphans(place)?;
            if is_old_there {
                return Ok(Found::OldStyle(old.to_path_buf()));
            }
            refuse_neighbours(place)?;
            Ok(Found::Nothing)
        }
    }
}

/// Takes the single file of a server without manifests into the log, as its base. The manifest is written first:
/// whoever is interrupted between finds it, and the file still outside, and goes on.
pub fn upgrade(place: &Place, old: &Path) -> io::Result<Manifest> {
    let base = Part { name: place.name.clone(), seq: 1 };
    let path = place.path(&base.name);
    let manifest = Manifest { base: Some(base), ..Manifest::default() };
    make_directory(place)?;
    manifest.commit(place)?;
    fault::again(|| place.disk.rename(old, &path)).map_err(fault::on("move", old))?;
    sync_directory(place.disk(), &place.directory)?;
    sync_directory(place.disk(), parent(old))?;
    Ok(manifest)
}

/// Creates the directory of the log, if it is not there.
pub fn make_directory(place: &Place) -> io::Result<()> {
    match fault::again(|| place.disk.create_directory(&place.directory)) {
        Ok(()) => sync_directory(place.disk(), parent(&place.directory)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(fault::on("create", &place.directory)(error)),
    }
}

/// The manifest of a log that this server has not loaded, and is about to replace by a new one.
///
/// Errors: that log holds data, or files of a log are there without a manifest.
pub fn replaceable(place: &Place) -> io::Result<Manifest> {
    let Some(manifest) = Manifest::read(place)? else {
        refuse_orphans(place)?;
        return Ok(Manifest::default());
    };
    if has_data(place.disk(), &place.manifest(), &place.directory) {
        let text = format!(
            "{} is the manifest of a log with data that this server has not loaded: it would be replaced. Restart with \
             appendonly yes to load it, or move {} elsewhere",
            place.manifest().display(),
            place.directory.display()
        );
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    }
    Ok(manifest)
}

/// Deletes what rewrites and commits that were interrupted have left: the temporary files of this log's directory.
pub fn delete_leftovers(place: &Place) -> io::Result<()> {
    for name in names_in(place.disk(), &place.directory)? {
        let bytes = name.as_bytes();
        let pid = bytes.strip_prefix(b"temp-rewriteaof-bg-").and_then(|rest| rest.strip_suffix(b".aof"));
        if pid.is_some_and(|pid| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit)) {
            remove_if_there(place.disk(), &place.path(&name))?;
        }
    }
    remove_if_there(place.disk(), &place.temporary_increment())?;
    remove_if_there(place.disk(), &place.temporary_manifest())
}

/// The state between the two steps of an upgrade: the manifest names the old file only, which is still outside.
fn is_to_be_upgraded(place: &Place, manifest: &Manifest) -> bool {
    let is_old =
        |base: &Part| base.name == place.name && look(place.disk(), &place.path(&base.name)).is_err();
    let is_empty = manifest.base.is_none() && manifest.increments.is_empty();
    is_empty || (manifest.base.as_ref().is_some_and(is_old) && manifest.increments.is_empty())
}

fn check_parts(place: &Place, manifest: &Manifest) -> io::Result<()> {
    for part in manifest.parts() {
        let path = place.path(&part.name);
        look(place.disk(), &path).map_err(fault::on("find a file that the manifest names:", &path))?;
    }
    Ok(())
}

fn refuse_orphans(place: &Place) -> io::Result<()> {
    let around = parent(&place.directory);
    for name in names_in(place.disk(), &place.directory)? {
        let path = place.path(&name);
        if !place.owns(&name) {
            continue;
        }
        // An empty one holds nothing: a first start that was interrupted before its manifest leaves it.
        // One that has a name in `dir`, too, is a dump that was to become the base.
        let found = look_for(place.disk(), &path)?.filter(|look| 0 < look.size);
        if found.is_some_and(|look| look.links == 1 || !has_name_in(place.disk(), around, look)) {
            let text = format!(
                "{} is there but the manifest {} is not, or names nothing: starting would begin a new log beside that data. Restore \
                 the manifest, or move the files of the log elsewhere",
                path.display(),
                place.manifest().display()
            );
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
    }
    Ok(())
}

/// Whether a file is in a directory under some name.
fn has_name_in(disk: &dyn Disk, directory: &Path, file: Look) -> bool {
    let names = names_in(disk, directory).unwrap_or_default();
    let is_it = |look: Look| !look.is_directory && look.number == file.number;
    names.iter().take(NEIGHBOURS_MAX).any(|name| look(disk, &directory.join(name)).is_ok_and(is_it))
}

/// Refuses to begin an empty log beside one with data: more likely than a second log is a name that changed, or
/// `dir`. Who does mean a second one creates its directory first; and a log that a running server has claimed is no
/// mistake.
fn refuse_neighbours(place: &Place) -> io::Result<()> {
    let disk = place.disk();
    for folder in neighbours(place)? {
        // What may not be looked into is not ours.
        let Ok(names) = names_in(disk, &folder) else { continue };
        let manifests = names.iter().filter(|name| name.as_bytes().ends_with(b".manifest"));
        let Some(found) = manifests.map(|name| folder.join(name)).find(|path| has_data(disk, path, &folder))
        else {
            continue;
        };
        // Our own directory has been claimed by us.
        let claimed = || disk.open(&folder, How::Read).and_then(|open| open.claim());
        if folder != place.directory && !claimed().unwrap_or(false) {
            continue;
        }
        let text = format!(
            "{} is the manifest of a log with data, and {} is not there: starting would begin an empty log beside \
             it. Set dir, appenddirname and appendfilename to the names of that log, or move it elsewhere, or create \
             the directory of a new one",
            found.display(),
            place.manifest().display()
        );
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    Ok(())
}

/// Where the log might be that somebody meant: beside its place, in `dir` itself, and one step below.
fn neighbours(place: &Place) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![place.directory.clone()];
    let is_there = |path: &Path| look(place.disk(), path).is_ok_and(|look| look.is_directory);
    if is_there(&place.directory) {
        return Ok(folders);
    }
    let around = parent(&place.directory);
    folders.push(around.to_path_buf());
    for name in names_in(place.disk(), around)?.iter().take(NEIGHBOURS_MAX) {
        let folder = around.join(name);
        if is_there(&folder) {
            // `dir` may have been set to the directory above the one that was meant.
            folders.extend(place.directory.file_name().map(|name| folder.join(name)));
            folders.push(folder);
        }
    }
    Ok(folders)
}

/// Whether a file is the manifest of a log that holds something.
fn has_data(disk: &dyn Disk, path: &Path, folder: &Path) -> bool {
    let manifest = disk.open(path, How::Read).and_then(|file| Manifest::read_open(&*file, path));
    let is_full = |part: &Part| look(disk, &folder.join(&part.name)).is_ok_and(|look| 0 < look.size);
    manifest.is_ok_and(|manifest| manifest.parts().any(is_full))
}

/// As [`look`]; `None` if nothing is there. A disk that does not say is not one that says no.
pub(super) fn look_for(disk: &dyn Disk, path: &Path) -> io::Result<Option<Look>> {
    match look(disk, path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault::on("look for", path)(error)),
    }
}

pub(super) fn look(disk: &dyn Disk, path: &Path) -> io::Result<Look> {
    fault::again(|| disk.look(path))
}

/// The names in a directory, sorted; none if it is not there.
fn names_in(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<OsString>> {
    match fault::again(|| disk.list(directory)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(fault::on("read", directory)),
    }
}

pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match fault::again(|| disk.remove(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(fault::on("delete", path)(error)),
        _ => Ok(()),
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in a directory last.
pub(super) fn sync_directory(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    let open = fault::again(|| disk.open(directory, How::Read)).map_err(fault::on("open", directory))?;
    fault::again(|| open.sync()).map_err(fault::on("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn part(name: &str, seq: u64) -> Part {
        Part { name: name.into(), seq }
    }

    #[test]
    fn what_redis_reads() {
        let both = Manifest {
            base: Some(part("x", 12)),
            increments: vec![part("y", 1), part("z", 3)],
            history: vec![part("w", 11)],
        };
        let texts = [
            "file x seq 12 type b\nfile w seq 11 type h\nfile y seq 1 type i\nfile z seq 3 type i\n",
            "# a word\nfile y seq 1 type i startoffset 6 endoffset 7\nfile z seq 3 type i\r\n \
             FILE x SeQ 12 TYPE b\t\ntype h seq 11 file w other thing\n# the end",
            "file \"x\" seq '12' type \"\\x62\"\nfile w seq 11 type h\nfile y seq 1 type i\nfile 'z' seq 3 type i\n",
        ];
        for text in texts {
            assert_eq!(Manifest::parse(text.as_bytes()), Ok(both.clone()), "{text}");
        }
        assert_eq!(both.format(), texts[0].as_bytes());
        assert_eq!(Manifest::parse(b"#c\n"), Ok(Manifest::default()));
        assert_eq!(both.parts().map(|part| part.seq).collect::<Vec<_>>(), [12, 1, 3]);
    }

    #[test]
    fn what_redis_refuses() {
        let long = format!("file {} seq 1 type b\n", "x".repeat(1024));
        let too_long = "The AOF manifest file contains too long line";
        let no = [
            ("", 0, "Found an empty AOF manifest"),
            ("file x seq 1 type b", 1, too_long),
            (&long, 1, too_long),
            ("file x seq 1 type b\n\n", 2, BAD_FORMAT),
            ("file x seq 1 type\n", 1, BAD_FORMAT),
            ("file x seq 1 type b more\n", 1, BAD_FORMAT),
            ("file x seq 1 seq 2\n", 1, BAD_FORMAT),
            ("file x seq 0 type b\n", 1, BAD_FORMAT),
            ("file x seq -1 type b\n", 1, BAD_FORMAT),
            ("file x seq 12z type b\n", 1, BAD_FORMAT),
            ("file x seq 9223372036854775808 type b\n", 1, BAD_FORMAT),
            ("file \"\" seq 1 type b\n", 1, BAD_FORMAT),
            ("file \"x seq 1 type b\n", 1, BAD_FORMAT),
            ("file \"x\"y seq 1 type b\n", 1, BAD_FORMAT),
            ("file \"x\\x00\" seq 1 type b\n", 1, BAD_FORMAT),
            ("file a/b seq 1 type b\n", 1, "File can't be a path, just a filename"),
            ("file .. seq 1 type b\n", 1, "File can't be a path, just a filename"),
            ("file x seq 1 type b\nfile y seq 2 type b\n", 2, "Found duplicate base file information"),
            ("file x seq 2 type i\nfile y seq 2 type i\n", 2, "Found a non-monotonic sequence number"),
            ("file x seq 1 type q\n", 1, "Unknown AOF file type"),
        ];
        for (text, line, why) in no {
            let error = Manifest::parse(text.as_bytes()).expect_err(text);
            assert_eq!((error.line, error.why), (line, why), "{text:?}");
        }
        assert_eq!(
            Manifest::parse(b"file a/b seq 1 type b\n").expect_err("a path").to_string(),
            "Reading the manifest file, at line 1: >>> 'file a/b seq 1 type b': File can't be a path, just a filename"
        );
    }

    #[test]
    fn names_of_any_bytes_come_back() {
        let every: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
        let names =
            [&b"plain.aof"[..], b"we ird\"\xc3\xa9", b"it's", b"#x", b"\\", b"\\x41", b"a\nb", &every];
        for name in names {
            let base = Some(Part { name: OsString::from_vec(name.to_vec()), seq: 1 });
            let manifest = Manifest { base, ..Manifest::default() };
            assert_eq!(Manifest::parse(&manifest.format()), Ok(manifest), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn increments_and_rewrites() {
        let place = Place::new("d", "a");
        let mut manifest = Manifest::default();
        assert_eq!(*manifest.add_increment(&place), part("a.1.incr.aof", 1));
        assert_eq!(manifest.next_base(&place, false), part("a.1.base.aof", 1));
        manifest.add_increment(&place);
        manifest.rewritten(part("a.1.base.aof", 1), 2);
        let text = "file a.1.base.aof seq 1 type b\nfile a.1.incr.aof seq 1 type h\nfile a.2.incr.aof seq 2 type i\n";
        assert_eq!(manifest.format(), text.as_bytes());
        manifest.history.clear();
        manifest.add_increment(&place);
        manifest.add_increment(&place);
        assert_eq!(manifest.next_base(&place, true), part("a.2.base.rdb", 2));
        manifest.rewritten(part("a.2.base.aof", 2), 4);
        let text = "file a.2.base.aof seq 2 type b\nfile a.3.incr.aof seq 3 type h\nfile a.2.incr.aof seq 2 type h\n\
                    file a.1.base.aof seq 1 type h\nfile a.4.incr.aof seq 4 type i\n";
        assert_eq!(manifest.format(), text.as_bytes());
    }

    #[test]
    fn what_is_found_at_the_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let (place, old) = (Place::new(dir.path().join("d"), "a"), dir.path().join("a"));
        assert_eq!(find(&place, &old).expect("nothing"), Found::Nothing);
        make_directory(&place).expect("made");
        make_directory(&place).expect("there already");

        let mut manifest = Manifest::default();
        let increment = place.path(&manifest.add_increment(&place).name);
        fs::write(&increment, "").expect("written");
        assert_eq!(find(&place, &old).expect("an empty file is nothing"), Found::Nothing);
        fs::write(&increment, "x").expect("written");
        let error = find(&place, &old).expect_err("an orphan").to_string();
        assert!(error.contains("a.1.incr.aof is there but the manifest"), "{error}");

        manifest.commit(&place).expect("committed");
        assert_eq!(find(&place, &old).expect("a manifest"), Found::Manifest(manifest.clone()));
        fs::remove_file(&increment).expect("removed");
        let error = find(&place, &old).expect_err("a file is missing").to_string();
        assert!(error.contains("a.1.incr.aof: No such file"), "{error}");

        manifest.base = Some(part("a.1.base.rdb", 1));
        fs::write(place.path("a.1.base.rdb".as_ref()), "REDIS").expect("written");
        manifest.commit(&place).expect("committed");
        let error = find(&place, &old).expect_err("a file is missing").to_string();
        assert!(error.contains("a.1.incr.aof: No such file"), "{error}");
        manifest.increments.clear();
        manifest.commit(&place).expect("committed");
        assert_eq!(find(&place, &old).expect("an RDB file"), Found::Manifest(manifest));
    }

    #[test]
    fn only_names_of_ours_are_orphans() {
        let place = Place::new("d", "a.b");
        for (name, ours) in [
            ("a.b.1.base.aof", true),
            ("a.b.12.base.rdb", true),
            ("a.b.3.incr.aof", true),
            ("a.b.3.incr.rdb", false),
            ("a.b.3.incr.aof.cut-7", false),
            ("a.b..incr.aof", false),
            ("a.b.x.incr.aof", false),
            ("a.b.manifest", false),
            ("other.3.incr.aof", false),
        ] {
            assert_eq!(place.owns(name.as_ref()), ours, "{name}");
        }
    }

    #[test]
    fn an_upgrade_may_be_interrupted_anywhere() {
        let dir = tempfile::tempdir().expect("a directory");
        let (place, old) = (Place::new(dir.path().join("d"), "a"), dir.path().join("a"));
        fs::write(&old, "x").expect("written");
        let base = Manifest { base: Some(part("a", 1)), ..Manifest::default() };
        assert_eq!(find(&place, &old).expect("old"), Found::OldStyle(old.clone()));
        // The manifest is there, the file is not moved.
        make_directory(&place).expect("made");
        base.commit(&place).expect("committed");
        assert_eq!(find(&place, &old).expect("old"), Found::OldStyle(old.clone()));
        assert_eq!(upgrade(&place, &old).expect("upgraded"), base);
        assert_eq!(find(&place, &old).expect("new"), Found::Manifest(base.clone()));
        // A file that has the old name afterwards is not touched any more.
        fs::write(&old, "y").expect("written");
        assert_eq!(find(&place, &old).expect("new"), Found::Manifest(base));
    }

    #[test]
    fn history_and_leftovers_are_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place::new(dir.path(), "a");
        let names =
            ["h", "temp-a.manifest", "temp-rewriteaof-bg-12.aof", "temp-rewriteaof-bg-x.aof", "other"];
        for name in names {
            fs::write(place.path(name.as_ref()), "").expect("written");
        }
        let history = vec![part("h", 1), part("gone", 2)];
        let mut manifest = Manifest { history, increments: vec![part("i", 3)], ..Manifest::default() };
        delete_leftovers(&place).expect("deleted");
        manifest.delete_history(&place).expect("deleted");
        assert_eq!(
            names_in(&Real, dir.path()).expect("read"),
            ["a.manifest", "other", "temp-rewriteaof-bg-x.aof"]
        );
        assert_eq!(Manifest::read(&place).expect("read"), Some(manifest.clone()));
        assert_eq!(manifest.format(), b"file i seq 3 type i\n");
    }
}
