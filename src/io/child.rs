//! A forked child that writes a file of the data as it is at this moment.
//!
//! It tells how far it is by numbers in memory that both share: it stores them, the parent looks at them on each tick.
//!
//! # The watchdog
//!
//! A child that neither finishes a key nor writes a byte for `child-progress-timeout` seconds is killed, and its work
//! has failed, like that of any child that dies. Otherwise one that hangs would be the last one for ever: no rewrite, no
//! snapshot. Counted is only time in which the parent ran, so that both may be stopped together; and a child that
//! the kernel has wait for the disk is left alone: it could not be killed, and goes on when the disk does.

use std::cell::Cell;
use std::io::{self, IoSlice, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::io::{clock, logger, proc, sys};
use crate::state::server::Persistence;
use crate::state::turns::Cause;

/// Keys between two looks at the time.
const LOOK_EVERY_KEYS: u64 = 1000;
/// What was copied on write is looked at for so small a part of the time: the kernel walks over all pages for it.
const COPIED_SHARE: u32 = 100;
/// Between two looks at a child no more time than this counts: the parent itself may have been stopped.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// What stands where in the shared numbers: keys done, writes done, bytes copied on write.
const KEYS: usize = 0;
const WRITES: usize = 1;
const COPIED: usize = 2;

/// Where a child reports.
pub struct Reports {
    shared: sys::Shared,
    /// Keys that are done when it looks at the time again.
    look_at: Cell<u64>,
    /// When it looks at what was copied again.
    count_at: Cell<Instant>,
}

impl Reports {
    /// So many keys are done.
    #[inline]
    pub fn keys(&self, keys: u64) {
        self.shared[KEYS].store(keys, Relaxed);
        if self.look_at.get() <= keys {
            self.look_at.set(keys + LOOK_EVERY_KEYS);
            if self.count_at.get() <= clock::moment() {
                self.report_copied();
            }
        }
    }

    #[cold]
    fn report_copied(&self) {
        let begin = clock::moment();
        self.shared[COPIED].store(proc::private_dirty_bytes(), Relaxed);
        self.count_at.set(begin + begin.elapsed() * COPIED_SHARE);
    }

    /// Writes to `out`, and counts it as progress.
    pub fn telling<'a>(&'a self, out: &'a mut dyn Write) -> Telling<'a> {
        Telling { out, reports: self }
    }
}

/// A file, and whoever is told when it was written to.
pub struct Telling<'a> {
    out: &'a mut dyn Write,
    reports: &'a Reports,
}

impl Write for Telling<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.reports.shared[WRITES].fetch_add(1, Relaxed);
        Ok(written)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.out.write_vectored(pieces)?;
        self.reports.shared[WRITES].fetch_add(1, Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A child that is writing.
pub struct Child {
    pid: i32,
    path: PathBuf,
    shared: sys::Shared,
    keys_total: u64,
    watchdog: Watchdog,
}

/// Somebody else who writes the data as it was at one moment, and reports how far it is.
pub trait Writer {
    /// Its process number.
    fn pid(&self) -> i32;

    /// The file it writes.
    fn path(&self) -> &Path;

    /// Bytes it has copied on write.
    fn cow_bytes(&self) -> u64;

    /// Takes its reports; says how it ended once it has.
    fn watch(&mut self, figures: &mut Persistence) -> Option<Finished>;

    /// Kills it and waits for its end.
    fn end(&mut self);
}

/// How a child ended.
pub enum Finished {
    /// Its work is done.
    Done,
    /// It is not, and why.
    Failed(String),
}

impl Child {
    /// Forks. The child lets go of `claim`, which is the parent's, does its work with the file whose name `path_of`
    /// makes of its process number, and ends.
    ///
    /// # Errors
    ///
    /// There is no child.
    pub fn start(
        engine: &mut Engine,
        claim: Option<RawFd>,
        path_of: impl Fn(u32) -> PathBuf,
        work: impl FnOnce(&Engine, &Path, &Reports) -> io::Result<()>,
    ) -> io::Result<Child> {
        let parent = std::process::id();
        let shared = sys::Shared::new()?;
        let limit = Duration::from_secs(u64::from(engine.state.settings.child_progress_timeout));
        let before = clock::moment();
        match sys::fork()? {
            None => {
                // First: a parent that is killed now must not leave its claim behind.
                claim.into_iter().for_each(sys::close);
                sys::unblock_signals();
                sys::die_with_parent();
                if std::os::unix::process::parent_id() != parent {
                    // It was killed before it could be watched; what we would commit may be another server's by now.
                    sys::exit_child(1);
                }
                close_inherited_sockets();
                logger::become_child();
                let path = path_of(std::process::id());
                let reports = Reports { shared, look_at: Cell::new(0), count_at: Cell::new(clock::moment()) };
                let written = work(engine, &path, &reports);
                if let Err(error) = &written {
                    log::warn!("Error writing {}: {error}", path.display());
                }
                reports.report_copied();
                sys::exit_child(i32::from(written.is_err()))
            }
            Some(pid) => {
                let micros = before.elapsed().as_micros() as u64;
                let state = &mut engine.state;
                state.stats.total_forks += 1;
                state.stats.latest_fork_micros = micros;
                state.turns.nest(Cause::Fork, micros * 1000);
                state.note_latency("fork", micros * 1000);
                let keys_total = engine.keys.databases().iter().map(|database| database.len() as u64).sum();
                let watchdog = Watchdog::new(limit);
                Ok(Child { pid, path: path_of(pid as u32), shared, keys_total, watchdog })
            }
        }
    }
}

impl Writer for Child {
    fn pid(&self) -> i32 {
        self.pid
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn cow_bytes(&self) -> u64 {
        self.shared[COPIED].load(Relaxed)
    }

    fn watch(&mut self, figures: &mut Persistence) -> Option<Finished> {
        let Some(ended) = sys::reap(self.pid) else {
            let keys = self.shared[KEYS].load(Relaxed);
            figures.child_keys = (keys, self.keys_total);
            figures.child_cow_now_bytes = self.cow_bytes();
            let progress = (keys, self.shared[WRITES].load(Relaxed));
            let stalled = self.watchdog.look(progress, clock::moment());
            figures.child_stalled_ms = stalled.as_millis() as u64;
            if self.watchdog.bites(|| proc::waits_for_disk(self.pid)) {
                figures.children_stalled += 1;
                log::warn!(
                    "The child {} has made no progress for {} s: it is ended",
                    self.pid,
                    stalled.as_secs()
                );
                sys::kill(self.pid, libc::SIGKILL);
            }
            return None;
        };
        (figures.child_cow_now_bytes, figures.child_keys, figures.child_stalled_ms) = (0, (0, 0), 0);
        Some(match ended {
            sys::Ended::Exit(0) => Finished::Done,
            sys::Ended::Exit(code) => Finished::Failed(format!("the child exited with code {code}")),
            sys::Ended::Signal(_) if self.watchdog.has_bitten => {
                Finished::Failed("the child was ended, as it made no progress".to_owned())
            }
            sys::Ended::Signal(signal) => Finished::Failed(format!("the child was ended by signal {signal}")),
        })
    }

    fn end(&mut self) {
        sys::kill(self.pid, libc::SIGKILL);
        while sys::reap(self.pid).is_none() {
            std::thread::yield_now();
        }
    }
}

/// Measures for how long a child has made no progress.
struct Watchdog {
    /// When it bites; zero: never.
    limit: Duration,
    progress: (u64, u64),
    looked: Instant,
    stalled: Duration,
    /// Not before this.
    patience: Duration,
    has_bitten: bool,
}

impl Watchdog {
    fn new(limit: Duration) -> Watchdog {
        Watchdog {
            limit,
            progress: (0, 0),
            looked: clock::moment(),
            stalled: Duration::ZERO,
            patience: limit,
            has_bitten: false,
        }
    }

    /// Takes a look: how far the child is now. Returns for how long it has been so far.
    fn look(&mut self, progress: (u64, u64), now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.looked);
        self.looked = now;
        if progress == self.progress {
            self.stalled += since.min(LOOK_MAX);
        } else {
            (self.progress, self.stalled, self.patience) = (progress, Duration::ZERO, self.limit);
        }
        self.stalled
    }

    /// Whether the child is to be ended; said once.
    fn bites(&mut self, waits_for_disk: impl FnOnce() -> bool) -> bool {
        if self.limit.is_zero() || self.has_bitten || self.stalled < self.patience {
            return false;
        }
        if waits_for_disk() {
            self.patience = self.stalled + self.limit;
            return false;
        }
        self.has_bitten = true;
        true
    }
}

/// Lets go of the clients' sockets: a connection that the parent closes ends only when nobody holds it.
fn close_inherited_sockets() {
    let Ok(listing) = std::fs::read_dir("/proc/self/fd") else { return };
    let sockets: Vec<i32> = listing
        .flatten()
        .filter(|entry| {
            std::fs::read_link(entry.path())
                .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    sockets.into_iter().for_each(sys::close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_bites_once_and_only_who_stands_still() {
        let mut dog = Watchdog::new(Duration::from_secs(60));
        let mut now = dog.looked;
        let mut secs = |dog: &mut Watchdog, count: u64, progress: &dyn Fn(u64) -> (u64, u64)| {
            for second in 0..count {
                now += Duration::from_secs(1);
                dog.look(progress(second), now);
                assert!(!dog.bites(|| false), "after {:?}", dog.stalled);
            }
        };
        secs(&mut dog, 600, &|second| (second, 0));
        secs(&mut dog, 600, &|second| (0, second));
        secs(&mut dog, 59, &|_| (7, 7));
        // Whoever was stopped itself has not seen the child stand still.
        now += Duration::from_secs(3600);
        dog.look((7, 7), now);
        assert!(!dog.bites(|| false) || dog.stalled == Duration::from_secs(60));
        now += Duration::from_secs(1);
        dog.look((7, 7), now);
        assert!(dog.has_bitten || dog.bites(|| false));
        now += Duration::from_secs(100);
        dog.look((7, 7), now);
        assert!(!dog.bites(|| false), "it bites once");
    }

    #[test]
    fn who_waits_for_the_disk_is_given_as_long_again() {
        let mut dog = Watchdog::new(Duration::from_secs(10));
        let mut now = dog.looked;
        let mut bitten = Vec::new();
        for second in 1..=40 {
            now += Duration::from_secs(1);
            dog.look((1, 1), now);
            if dog.bites(|| second < 25) {
                bitten.push(second);
            }
        }
        // The first look sees progress.
        assert_eq!(bitten, [31]);
        let mut never = Watchdog::new(Duration::ZERO);
        never.look((0, 0), now + Duration::from_secs(1));
        assert!(!never.bites(|| false));
    }
}
