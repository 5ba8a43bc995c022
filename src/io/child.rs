//! A forked child that writes a file of the data as it is at this moment.
//!
//! It tells of its progress through a pipe: lines of two numbers, keys done and bytes copied on write.

use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::io::{clock, logger, proc, sys};
use crate::state::server::Persistence;
use crate::state::turns::Cause;

/// Keys between two reports.
const REPORT_EVERY_KEYS: u64 = 20_000;

/// Where a child reports.
pub struct Reports {
    pipe: io::PipeWriter,
    reported: u64,
}

impl Reports {
    /// So many keys are done.
    #[inline]
    pub fn keys(&mut self, keys: u64) {
        if self.reported + REPORT_EVERY_KEYS <= keys {
            self.report(keys);
        }
    }

    #[cold]
    fn report(&mut self, keys: u64) {
        self.reported = keys;
        // A parent that is gone reads no reports; the child ends with it.
        writeln!(self.pipe, "{keys} {}", proc::private_dirty_bytes()).ok();
    }
}

/// A child that is writing.
pub struct Child {
    pid: i32,
    path: PathBuf,
    reports: io::PipeReader,
    keys_total: u64,
    cow_bytes: u64,
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
        work: impl FnOnce(&Engine, &Path, &mut Reports) -> io::Result<()>,
    ) -> io::Result<Child> {
        let parent = std::process::id();
        let (reports, pipe) = io::pipe()?;
        sys::set_nonblocking(&reports)?;
        let before = clock::moment();
        match sys::fork()? {
            None => {
                // First: a parent that is killed now must not leave its claim behind.
                claim.into_iter().for_each(sys::close);
                drop(reports);
                sys::unblock_signals();
                sys::die_with_parent();
                if std::os::unix::process::parent_id() != parent {
                    // It was killed before it could be watched; what we would commit may be another server's by now.
                    sys::exit_child(1);
                }
                close_inherited_sockets();
                logger::become_child();
                let path = path_of(std::process::id());
                let mut reports = Reports { pipe, reported: 0 };
                let written = work(engine, &path, &mut reports);
                if let Err(error) = &written {
                    log::warn!("Error writing {}: {error}", path.display());
                }
                reports.report(reports.reported);
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
                Ok(Child { pid, path: path_of(pid as u32), reports, keys_total, cow_bytes: 0 })
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
        self.cow_bytes
    }

    fn watch(&mut self, figures: &mut Persistence) -> Option<Finished> {
        let ended = sys::reap(self.pid);
        let mut text = [0; 4096];
        if let Ok(count) = self.reports.read(&mut text) {
            let text = String::from_utf8_lossy(&text[..count]);
            let numbers = text.lines().filter_map(|line| line.split_once(' ')).next_back();
            if let Some((keys, bytes)) = numbers {
                figures.child_keys = (keys.parse().unwrap_or(0), self.keys_total);
                self.cow_bytes = bytes.parse().unwrap_or(0);
                figures.child_cow_now_bytes = self.cow_bytes;
            }
        }
        let ended = ended?;
        figures.child_cow_now_bytes = 0;
        figures.child_keys = (0, 0);
        Some(match ended {
            sys::Ended::Exit(0) => Finished::Done,
            sys::Ended::Exit(code) => Finished::Failed(format!("the child exited with code {code}")),
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
