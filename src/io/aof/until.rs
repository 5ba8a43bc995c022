//! Going back: a start with `--load-until` begins with the data as it was at one moment.
//!
//! Under `aof-timestamp-enabled` lines in the log say when the records after them were written: `#TS:` with the second,
//! as in Redis, and in front of that, in each batch of ours, `#MS:` with the millisecond. The log is read up to the first
//! that is later than the moment, as `redis-check-aof --truncate-to-timestamp` does, and is cut there: not within a
//! batch, nor within a transaction.
//!
//! Where these lines are missing nobody can tell, and the start is refused: before the first of them, since a base does
//! not say what was before it; and after a batch that has none, if the moment is later than the last line before it.
//!
//! Nothing is thrown away. Before anything changes, the whole log is linked to a directory beside its own,
//! `before-load-until-MOMENT`, from which a server can be started as well. Then the increment that has the place is
//! replaced by a copy of its beginning, and those after it leave the manifest. A mark is left that says so: an option is
//! easily left in a script, and the next start must not throw away what was written since.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use super::backup::Copy;
use super::batch::moment_of;
use super::check::Nobody;
use super::damage::copy_beginning;
use super::fault;
use super::manifest::{self, Manifest, Place};
use super::reader::{self, Sink};
use super::record::Request;
use crate::base::date::UnixMs;
use crate::io::disk::How;
use crate::io::rdb::Keys;

/// Directories of that name which were left by other attempts, at most.
const ATTEMPTS_MAX: usize = 1000;

/// A date before this, in milliseconds, is one in seconds.
const NOT_SECONDS_MS: i64 = 100_000_000_000;

/// Cuts the log at the moment. Returns its files, and where what it was is kept if it is another one now.
///
/// # Errors
///
/// The log does not say what was written until then, cannot be read until there, or the disk fails; it is as it was, or
/// cut as it should be.
pub fn go_back(place: &Place, manifest: &Manifest, until: UnixMs) -> io::Result<(Manifest, Option<PathBuf>)> {
    let mark = place.path(format!("loaded-until-{}", until.0).as_ref());
    if manifest::look_for(place.disk(), &mark)?.is_some() {
        log::warn!(
            "--load-until {} is ignored: the log was taken back to then already, and what was written since is kept. \
             Delete {} to go back once more",
            until.0,
            mark.display()
        );
        return Ok((manifest.clone(), None));
    }
    let result = match find(place, manifest, until)? {
        None => (manifest.clone(), None),
        Some(cut) => {
            let kept = keep(place, manifest, until)?;
            (cut_at(place, manifest, &cut)?, Some(kept))
        }
    };
    fault::again(|| place.disk().open(&mark, How::CreateOrAppend)).map_err(fault::on("create", &mark))?;
    manifest::sync_directory(place.disk(), place.directory())?;
    Ok(result)
}

/// Where the first record stands that is later.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    /// The file, of those that the manifest names.
    file: usize,
    at: u64,
    /// When it was written.
    date: UnixMs,
}

/// Reads the log until it meets what is later.
struct Search {
    until: UnixMs,
    file: usize,
    has_base: bool,
    /// The batch that is being read has not said its time yet.
    fresh: Option<u64>,
    /// The latest line that is not later.
    last: Option<UnixMs>,
    /// A batch after it that says no time.
    silent: Option<(usize, u64)>,
    cut: Option<Cut>,
    /// What a base in RDB's format holds says no time.
    keys: Nobody,
}

impl Sink for Search {
    fn request(&mut self, _: Request<'_>) -> Result<(), String> {
        if self.cut.is_some() {
            return Err("this is later".to_owned());
        }
        let is_base = self.has_base && self.file == 0;
        if let Some(at) = self.fresh.take().filter(|_| !is_base) {
            self.silent.get_or_insert((self.file, at));
        }
        Ok(())
    }

    fn batch(&mut self, at: u64) {
        self.fresh = Some(at);
    }

    fn note(&mut self, line: &[u8], at: u64) {
        let Some(date) = moment_of(line).filter(|_| self.cut.is_none()) else { return };
        self.fresh = None;
        if self.until < date {
            self.cut = Some(Cut { file: self.file, at, date });
        } else {
            self.last = self.last.max(Some(date));
            self.silent = None;
        }
    }

    fn file_ends(&mut self) {
        self.file += 1;
        self.fresh = None;
    }

    fn rdb(&mut self) -> Option<&mut dyn Keys> {
        Some(&mut self.keys)
    }
}

/// Looks for the place; `None`: the log holds nothing later.
fn find(place: &Place, manifest: &Manifest, until: UnixMs) -> io::Result<Option<Cut>> {
    let has_base = manifest.base.is_some();
    let (fresh, last, silent, cut) = (None, None, None, None);
    let mut search = Search { until, file: 0, has_base, fresh, last, silent, cut, keys: Nobody };
    let read = reader::load(place, manifest, &mut search);
    let Search { last, silent, cut, .. } = search;
    if cut.is_none() {
        read?;
    }
    let refused = |why: String| {
        let hint = match until.0 < NOT_SECONDS_MS {
            true => " (It wants milliseconds, and that many are long ago.)",
            false => "",
        };
        let text = format!("cannot go back to --load-until {}: {why}.{hint}", until.0);
        Err(io::Error::new(ErrorKind::InvalidInput, text))
    };
    let path = |file: usize| {
        let part = manifest.parts().nth(file);
        part.map(|part| place.path(&part.name)).unwrap_or_default().display().to_string()
    };
    match (&cut, last, silent) {
        (None, None, _) => refused(format!(
            "the log in {} does not say when its records were written. Set aof-timestamp-enabled yes for another time, \
             and start from a backup now",
            place.directory().display()
        )),
        (Some(cut), None, _) => refused(format!(
            "the first record of the log in {} that says its time was written at {}, and what was before it nobody can \
             tell. Start from a backup that was made before",
            place.directory().display(),
            cut.date.0
        )),
        // Right behind what is said to be of this moment.
        (_, Some(last), Some((file, at))) if last == until => Ok(Some(Cut { file, at, date: until })),
        (_, Some(last), Some((file, at))) => refused(format!(
            "what {} holds from byte {at} on was written without aof-timestamp-enabled, some time after {}. Go back to \
             that moment, or to one after the next line that begins in #MS: or #TS:",
            path(file),
            last.0
        )),
        (Some(cut), ..) if has_base && cut.file == 0 => {
            refused(format!("{} is one piece, and was written later", path(0)))
        }
        _ => Ok(cut),
    }
}

/// Links the whole log to a directory beside its own, and says to which.
fn keep(place: &Place, manifest: &Manifest, until: UnixMs) -> io::Result<PathBuf> {
    let beside = |name: String| place.directory().with_file_name(name);
    let mut target = beside(format!("before-load-until-{}", until.0));
    for attempt in 1..ATTEMPTS_MAX {
        match Copy::lay_out(place, manifest, &target, true) {
            Ok((copy, todo)) => {
                copy.finish(todo).inspect_err(|_| copy.abandon())?;
                return Ok(target);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        target = beside(format!("before-load-until-{}-{attempt}", until.0));
    }
    Err(fault::on("create another", &target)(ErrorKind::AlreadyExists.into()))
}

/// Makes of the log one that ends at the place.
fn cut_at(place: &Place, manifest: &Manifest, cut: &Cut) -> io::Result<Manifest> {
    let mut shorter = manifest.clone();
    // The name is free beside all that are there now.
    let next = shorter.add_free_increment(place).clone();
    let first = cut.file - usize::from(manifest.base.is_some());
    let later: Vec<_> = manifest.increments[first..].to_vec();
    copy_beginning(place.disk(), &place.path(&later[0].name), &place.path(&next.name), cut.at)?;
    shorter.increments.truncate(first);
    shorter.increments.push(next);
    shorter.history.extend(later);
    shorter.commit(place)?;
    Ok(shorter)
}
