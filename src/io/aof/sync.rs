//! The helper thread that brings the log to the disk, so that the loop never waits for it.
//!
//! The two share a few atomic words and nothing else. The loop fills in the request, sets `asked` and unparks the
//! helper; the helper syncs, leaves the result, clears `asked` and calls `wake`. One request at a time: a loop that
//! finds the helper busy asks again later for everything written until then, which is what group commit wants.
//!
//! **Fork safety.** A forked child has a copy of all memory but only the forking thread, so a lock that another
//! thread held stays held for ever. The helper therefore takes none after its start: it neither allocates, nor
//! frees, nor logs; parking in std is one atomic word and a futex, no mutex; and `start` returns only when the
//! thread has done all its starting. The child has no helper and must not use the copy it has of this.
//!
//! **Files.** The helper knows a file by its descriptor only. It must not own a share of the file, as letting go of
//! the last share frees memory; so the loop's side of the syncer holds the share until it has seen the sync done.
//! A file may thus be dropped by everybody else, at a rotation for example, while a sync on it runs.
//!
//! **Failure.** The kernel tells of a page that could not be written once, then calls it clean. A sync that
//! succeeds after one that failed therefore proves nothing about what was written before the failure: whoever
//! heals must write that again, best as a new base under a new name. So that no failure is ever overlooked, each
//! request has one result, and the next request is taken only when that was fetched.
//!
//! # Safety
//!
//! Two calls into libc: `fdatasync` or `fsync` on a descriptor that is open for as long as the call may run (see
//! **Files**), and `pthread_sigmask` with a set on our own stack, so that signals go to the loop, whose `poll` they must end.

#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crate::io::disk::SharedFile;
use crate::io::sys;

/// Between two looks at a helper that is waited for.
const LOOK_EVERY: Duration = Duration::from_micros(50);

/// What is to be synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// The content of a file.
    Data,
    /// Whatever it is.
    All,
    /// The content of a file, but only begun with: nothing is on disk for sure when that is done, and a disk that fails
    /// is found out by the next sync.
    Begin,
}

const ALL: u8 = What::All as u8;
const BEGIN: u8 = What::Begin as u8;

/// Somebody who brings files to the disk while the loop goes on.
pub trait Syncing {
    /// Asks for everything written to `file` until now to be brought to the disk; of a directory, the names. False: a
    /// request is under way, or its result was not fetched yet; ask again after [`Syncing::finished`].
    fn request(&mut self, file: &SharedFile, what: What) -> bool;

    /// The result of a request, once, when there is one; a failure as an `errno`.
    fn finished(&mut self) -> Option<Result<(), i32>>;

    /// The same, waiting for a request that is under way. Nothing if none is.
    fn wait(&mut self) -> Option<Result<(), i32>>;
}

/// The loop's end of the helper thread. Dropping it waits for a sync that runs, and ends the thread.
pub struct Syncer {
    shared: Arc<Shared>,
    /// The file the helper may be syncing: it stays open while this is held, until the result was fetched.
    held: Option<SharedFile>,
    helper: Option<JoinHandle<()>>,
}

/// `fd` and `what` belong to the loop while `asked` is false, `failed` to the helper while it is true.
struct Shared {
    asked: AtomicBool,
    stop: AtomicBool,
    ready: AtomicBool,
    fd: AtomicI32,
    what: AtomicU8,
    /// Zero: the last request succeeded.
    failed: AtomicI32,
}

impl Syncer {
    /// Starts the helper. It calls `wake` after each request, from its own thread: that must neither allocate nor
    /// take a lock (a write to an eventfd is what is meant), nor panic.
    pub fn start(wake: impl Fn() + Send + 'static) -> io::Result<Syncer> {
        let shared = Arc::new(Shared {
            asked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            fd: AtomicI32::new(-1),
            what: AtomicU8::new(What::Data as u8),
            failed: AtomicI32::new(0),
        });
        let starter = thread::current();
        let theirs = Arc::clone(&shared);
        let body = move || help(&theirs, &starter, &wake);
        let helper = thread::Builder::new().name("aof-sync".to_owned()).spawn(body)?;
        while !shared.ready.load(Ordering::Acquire) {
            thread::park();
        }
        Ok(Syncer { shared, held: None, helper: Some(helper) })
    }
}

impl Syncing for Syncer {
    fn request(&mut self, file: &SharedFile, what: What) -> bool {
        if self.held.is_some() {
            return false;
        }
        self.shared.fd.store(file.descriptor(), Ordering::Relaxed);
        self.shared.what.store(what as u8, Ordering::Relaxed);
        self.held = Some(Rc::clone(file));
        self.shared.asked.store(true, Ordering::Release);
        if let Some(helper) = &self.helper {
            helper.thread().unpark();
        }
        true
    }

    fn finished(&mut self) -> Option<Result<(), i32>> {
        // First: what the helper wrote before it cleared this is seen after it is seen clear.
        if self.held.is_none() || self.shared.asked.load(Ordering::Acquire) {
            return None;
        }
        self.held = None;
        Some(match self.shared.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            errno => Err(errno),
        })
    }

    fn wait(&mut self) -> Option<Result<(), i32>> {
        while self.shared.asked.load(Ordering::Acquire) {
            thread::park_timeout(LOOK_EVERY);
        }
        self.finished()
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(helper) = self.helper.take() {
            helper.thread().unpark();
            // Joined before `held` goes. A helper that panicked has ended as well.
            helper.join().unwrap_or_default();
        }
    }
}

impl fmt::Debug for Syncer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Syncer").field("held", &self.held).finish_non_exhaustive()
    }
}

/// The helper's life. A request that was made before the stop is still served.
fn help(shared: &Shared, starter: &Thread, wake: &impl Fn()) {
    leave_signals_to_the_loop();
    shared.ready.store(true, Ordering::Release);
    starter.unpark();
    loop {
        while !shared.asked.load(Ordering::Acquire) {
            if shared.stop.load(Ordering::Acquire) {
                return;
            }
            thread::park();
        }
        let errno = sync(shared.fd.load(Ordering::Relaxed), shared.what.load(Ordering::Relaxed)).err();
        shared.failed.store(errno.unwrap_or(0), Ordering::Relaxed);
        shared.asked.store(false, Ordering::Release);
        wake();
    }
}

fn sync(fd: RawFd, what: u8) -> Result<(), i32> {
    if what == BEGIN {
        return sys::begin_sync(fd).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
    }
    loop {
        // SAFETY: no memory is passed. `Syncer::held` keeps the descriptor open: it is replaced or cleared only
        // after `asked` was seen false, and dropped only after this thread was joined.
        if unsafe { if what == ALL { libc::fsync(fd) } else { libc::fdatasync(fd) } } == 0 {
            return Ok(());
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => {}
            errno => return Err(errno.unwrap_or(libc::EIO)),
        }
    }
}

fn leave_signals_to_the_loop() {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` fills the whole set before it is read; a null old set is allowed. Neither call can fail
    // with these arguments.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::sync::mpsc;

    /// A syncer and the wakes it gave.
    fn started() -> (Syncer, mpsc::Receiver<()>) {
        let (woken, wakes) = mpsc::channel();
        // A test's wake may allocate: nobody forks here.
        let wake = move || woken.send(()).unwrap_or_default();
        (Syncer::start(wake).expect("started"), wakes)
    }

    fn file() -> SharedFile {
        Rc::new(tempfile::tempfile().expect("a file"))
    }

    /// What cannot be synced.
    fn socket() -> SharedFile {
        let (end, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        Rc::new(File::from(std::os::fd::OwnedFd::from(end)))
    }

    #[test]
    fn a_request_is_done_and_said_once() {
        let (mut syncer, wakes) = started();
        assert_eq!(syncer.finished(), None);
        assert_eq!(syncer.wait(), None);
        let file = file();
        for _ in 0..3 {
            assert!(syncer.request(&file, What::Data));
            wakes.recv().expect("woken");
            assert_eq!(syncer.finished(), Some(Ok(())));
            assert_eq!(syncer.finished(), None);
        }
        for what in [What::All, What::Begin] {
            assert!(syncer.request(&file, what));
            assert_eq!(syncer.wait(), Some(Ok(())));
        }
    }

    #[test]
    fn no_later_success_hides_a_failure() {
        let (mut syncer, wakes) = started();
        assert!(syncer.request(&socket(), What::Data));
        wakes.recv().expect("woken");
        assert!(!syncer.request(&file(), What::Data), "nobody has heard of the failure");
        assert_eq!(syncer.finished(), Some(Err(libc::EINVAL)));
        assert!(syncer.request(&file(), What::Data));
        wakes.recv().expect("woken");
        assert_eq!(syncer.finished(), Some(Ok(())));
    }

    #[test]
    fn a_file_stays_open_until_its_sync_is_seen_done() {
        let (mut syncer, wakes) = started();
        let file = file();
        let watch = Rc::downgrade(&file);
        assert!(syncer.request(&file, What::Data));
        drop(file);
        assert!(watch.upgrade().is_some());
        wakes.recv().expect("woken");
        assert_eq!(syncer.finished(), Some(Ok(())));
        assert!(watch.upgrade().is_none());
    }

    #[test]
    fn one_request_at_a_time() {
        let (mut syncer, wakes) = started();
        let file = file();
        assert!(syncer.request(&file, What::Data));
        assert!(!syncer.request(&file, What::Data), "the first was not fetched");
        wakes.recv().expect("woken");
        assert!(!syncer.request(&file, What::Data), "the first was not fetched");
        assert_eq!(syncer.finished(), Some(Ok(())));
        assert_eq!(wakes.try_iter().count(), 0);
    }

    #[test]
    fn dropping_serves_what_was_asked() {
        let (mut syncer, wakes) = started();
        assert!(syncer.request(&file(), What::Data));
        drop(syncer);
        assert_eq!(wakes.try_iter().count(), 1);
    }
}
