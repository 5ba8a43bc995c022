//! `kvick check-aof [--fix] FILE|MANIFEST`: what the reader thinks of the files, said as redis-check-aof says it.
//!
//! Without `--fix` nothing is changed. With it, after a question, the last file is cut at the end of what is whole.
//! Unlike there, what is cut off is kept in a file beside, and damage with whole batches behind it is called by its
//! name before the question.

use std::ffi::OsStr;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use crate::data::rdb::Limits;
use crate::data::rdb::file::Loaded;
use crate::io::disk::{Disk, How, SharedFile, read_some_at};
use crate::io::rdb::Keys;

use super::damage;
use super::manifest::Manifest;
use super::reader::{self, Damage, Report, Sink, Trouble};
use super::record::Request;

/// Where a manifest's first line is looked for, at most.
const COMMENT_BYTES_MAX: usize = 64 << 10;

/// Checks a file of the log, or all files of a manifest. Gives the exit code: zero if all is well in the end.
/// With `fix`, asks on `out` and reads the word from `answers`.
///
/// Errors: `out`, `answers` or the cutting failed. A file that cannot be read is said on `out`.
pub fn check(
    disk: &dyn Disk,
    path: &Path,
    fix: bool,
    answers: &mut dyn BufRead,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let manifest = match open_as_manifest(disk, path) {
        Ok(manifest) => manifest,
        Err(error) => {
            writeln!(out, "Cannot open file {}: {}", path.display(), plain(&error))?;
            return Ok(1);
        }
    };
    let mut checker = Checker { disk, fix, answers, out, before: None };
    match manifest {
        None => {
            writeln!(checker.out, "Start checking Old-Style AOF")?;
            let name = path.as_os_str().to_owned();
            checker.file(path, &name, "AOF", true).map(exit_code)
        }
        Some(file) => {
            writeln!(checker.out, "Start checking Multi Part AOF")?;
            match Manifest::read_open(&*file, path) {
                Ok(manifest) => checker.manifest(path, &manifest).map(exit_code),
                Err(error) => {
                    writeln!(checker.out, "{error}")?;
                    Ok(1)
                }
            }
        }
    }
}

fn exit_code(is_good: bool) -> u8 {
    u8::from(!is_good)
}

/// The system's words without its number.
fn plain(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// The file, if it is a manifest: its first line that is no comment begins in `file`.
fn open_as_manifest(disk: &dyn Disk, path: &Path) -> io::Result<Option<SharedFile>> {
    let file = disk.open(path, How::Read)?;
    let mut bytes = vec![0; COMMENT_BYTES_MAX];
    let read = read_some_at(&*file, &mut bytes, 0)?;
    let first = bytes[..read].split_inclusive(|&byte| byte == b'\n').find(|line| line[0] != b'#');
    let is_manifest = match first {
        Some(line) => line.len() > 4 && line[..4].eq_ignore_ascii_case(b"file"),
        None => path.extension() == Some(OsStr::new("manifest")),
    };
    Ok(is_manifest.then_some(file))
}

/// Takes every request and every key and forgets it.
pub(super) struct Nobody;

impl Keys for Nobody {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn checks(&self) -> bool {
        true
    }

    fn key(&mut self, _key: Loaded) -> Result<(), String> {
        Ok(())
    }

    fn reserve(&mut self, _database: u64, _keys: usize) {}

    fn progress(&mut self, _bytes: u64) {}
}

impl Sink for Nobody {
    fn request(&mut self, _request: Request<'_>) -> Result<(), String> {
        Ok(())
    }

    fn rdb(&mut self) -> Option<&mut dyn Keys> {
        Some(self)
    }
}

struct Checker<'a> {
    disk: &'a dyn Disk,
    fix: bool,
    answers: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    /// The last file that held anything.
    before: Option<(String, Report)>,
}

impl Checker<'_> {
    /// Checks the files of a manifest, which lie beside it; true if all is well in the end.
    fn manifest(&mut self, path: &Path, manifest: &Manifest) -> io::Result<bool> {
        let files: Vec<(PathBuf, &OsStr)> =
            manifest.parts().map(|part| (path.with_file_name(&part.name), part.name.as_os_str())).collect();
        // As the reader sees it: a file that only empty ones follow is the last.
        let is_full = |(path, _): &(PathBuf, _)| self.disk.look(path).is_ok_and(|look| 0 < look.size);
        let last = files.iter().rposition(is_full).unwrap_or(0);
        for (index, (path, name)) in files.iter().enumerate() {
            let is_base = index == 0 && manifest.base.is_some();
            if is_base {
                let format = if path.extension() == Some(OsStr::new("rdb")) { "RDB" } else { "RESP" };
                writeln!(self.out, "Start to check BASE AOF ({format} format).")?;
            } else if index == usize::from(manifest.base.is_some()) {
                writeln!(self.out, "Start to check INCR files.")?;
            }
            let kind = if is_base { "BASE AOF" } else { "INCR AOF" };
            let is_whole = is_base && reader::is_written_whole(path);
            if !self.file(path, name, kind, last <= index && !is_whole)? {
                return Ok(false);
            }
            if is_whole && !self.ends_well(true)? {
                return Ok(false);
            }
        }
        writeln!(self.out, "All AOF files and manifest are valid")?;
        Ok(true)
    }

    /// Whether the last file that held anything ends where it ended when what follows was begun.
    fn ends_well(&mut self, is_followed_by_ours: bool) -> io::Result<bool> {
        let Some((shown, report)) = &self.before else { return Ok(true) };
        if reader::missing(report, is_followed_by_ours).is_none() {
            return Ok(true);
        }
        writeln!(
            self.out,
            "AOF {shown} is not valid: it ends before its last word, at byte {}",
            report.size
        )?;
        Ok(false)
    }

    /// Checks one file; true if it is well in the end.
    fn file(&mut self, path: &Path, name: &OsStr, kind: &str, last: bool) -> io::Result<bool> {
        let shown = name.to_string_lossy();
        let (report, damage, later) = match reader::read_file(self.disk, path, last, &mut Nobody) {
            Ok(report) if report.size == 0 => {
                writeln!(self.out, "{kind} {shown} is empty")?;
                return Ok(true);
            }
            Ok(report) => (report.clone(), report.torn, 0),
            Err(error) => match error.trouble {
                Trouble::Corrupt { damage, report, later } => (*report, Some(damage), later),
                Trouble::Io(error) => {
                    writeln!(
                        self.out,
                        "Cannot open file {}: {}, aborting...",
                        path.display(),
                        plain(&error)
                    )?;
                    return Ok(false);
                }
                Trouble::Preamble | Trouble::Rdb(_) | Trouble::Refused(_) => {
                    writeln!(self.out, "{error}")?;
                    return Ok(false);
                }
            },
        };
        if let Some(Damage { at, why }) = &damage {
            writeln!(self.out, "0x{at:16x}: {why}")?;
        }
        if 0 < later {
            writeln!(
                self.out,
                "Whole batches follow: this is no torn tail, and they would be cut off with it"
            )?;
        }
        let diff = report.size - report.good;
        writeln!(
            self.out,
            "AOF analyzed: filename={shown}, size={}, ok_up_to={}, ok_up_to_line={}, diff={diff}",
            report.size, report.good, report.lines
        )?;
        if !self.ends_well(report.begins_ours)? {
            return Ok(false);
        }
        self.before = Some((shown.to_string(), report.clone()));
        match damage {
            None => {
                writeln!(self.out, "{kind} {shown} is valid")?;
                Ok(true)
            }
            Some(_) if !self.fix => {
                writeln!(self.out, "AOF {shown} is not valid. Use the --fix option to try fixing it.")?;
                Ok(false)
            }
            Some(_) if !last => {
                writeln!(self.out, "Failed to truncate AOF {shown} because it is not the last file")?;
                Ok(false)
            }
            Some(_) => self.cut(path, &shown, &report),
        }
    }

    /// Asks, and cuts; true if it was cut.
    fn cut(&mut self, path: &Path, shown: &str, report: &Report) -> io::Result<bool> {
        let (size, good) = (report.size, report.good);
        writeln!(
            self.out,
            "This will shrink the AOF {shown} from {size} bytes, with {} bytes, to {good} bytes",
            size - good
        )?;
        write!(self.out, "Continue? [y/N]: ")?;
        self.out.flush()?;
        let mut answer = String::new();
        self.answers.take(64).read_line(&mut answer)?;
        if !answer.starts_with(['y', 'Y']) {
            writeln!(self.out, "Aborting...")?;
            return Ok(false);
        }
        let beside = damage::cut_tail(self.disk, path, good)?;
        writeln!(self.out, "Successfully truncated AOF {shown}")?;
        writeln!(self.out, "What was cut off is kept in {}", beside.display())?;
        Ok(true)
    }
}
