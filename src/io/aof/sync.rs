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
//! heals must write that again, best as a new base under a new name.
//!
//! # Safety
//!
//! Two calls into libc: `fdatasync` on a descriptor that is open for as long as the call may run (see **Files**),
//! and `pthread_sigmask` with a set on our own stack, so that signals go to the loop, whose `poll` they must end.

#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, Thread};

/// The loop's end of the helper thread. Dropping it waits for a sync that runs, and ends the thread.
pub struct Syncer {
    shared: Arc<Shared>,
    /// The file the helper may be syncing: it stays open while this is held.
    held: Option<Arc<File>>,
    helper: Option<JoinHandle<()>>,
}

/// What is known of the helper's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synced {
    /// The number of the last request that succeeded; zero before the first.
    pub done: u64,
    /// Why the last request failed, as an `errno`; `None` if it did not, or if that was told before.
    pub failed: Option<i32>,
}

/// `fd` and `number` belong to the loop while `asked` is false, to the helper while it is true.
struct Shared {
    asked: AtomicBool,
    stop: AtomicBool,
    ready: AtomicBool,
    fd: AtomicI32,
    number: AtomicU64,
    done: AtomicU64,
    /// Zero: none.
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
            number: AtomicU64::new(0),
            done: AtomicU64::new(0),
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

    /// Asks for everything written to `file` until now to be brought to the disk. `number` is the caller's name
    /// for it, growing from request to request. False: a request is under way, ask again when woken.
    pub fn request(&mut self, file: &Arc<File>, number: u64) -> bool {
        if self.shared.asked.load(Ordering::Acquire) {
            return false;
        }
        let fd = file.as_raw_fd();
        self.held = Some(Arc::clone(file));
        self.shared.fd.store(fd, Ordering::Relaxed);
        self.shared.number.store(number, Ordering::Relaxed);
        self.shared.asked.store(true, Ordering::Release);
        if let Some(helper) = &self.helper {
            helper.thread().unpark();
        }
        true
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.shared.asked.load(Ordering::Acquire)
    }

    /// How far the helper is; `None` while a request is under way. A failure is told once. Lets go of the file of a
    /// request that is done.
    pub fn finished(&mut self) -> Option<Synced> {
        // First: what the helper wrote before it cleared this is seen after it is seen clear.
        if self.is_busy() {
            return None;
        }
        self.held = None;
        let failed = self.shared.failed.swap(0, Ordering::Relaxed);
        Some(Synced {
            done: self.shared.done.load(Ordering::Relaxed),
            failed: (failed != 0).then_some(failed),
        })
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
        match sync_data(shared.fd.load(Ordering::Relaxed)) {
            Ok(()) => {
                shared.done.store(shared.number.load(Ordering::Relaxed), Ordering::Relaxed);
                shared.failed.store(0, Ordering::Relaxed);
            }
            Err(errno) => shared.failed.store(errno, Ordering::Relaxed),
        }
        shared.asked.store(false, Ordering::Release);
        wake();
    }
}

fn sync_data(fd: RawFd) -> Result<(), i32> {
    loop {
        // SAFETY: no memory is passed. `Syncer::held` keeps the descriptor open: it is replaced or cleared only
        // after `asked` was seen false, and dropped only after this thread was joined.
        if unsafe { libc::fdatasync(fd) } == 0 {
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
    use std::sync::mpsc;

    /// A syncer and the wakes it gave.
    fn started() -> (Syncer, mpsc::Receiver<()>) {
        let (woken, wakes) = mpsc::channel();
        // A test's wake may allocate: nobody forks here.
        let wake = move || woken.send(()).unwrap_or_default();
        (Syncer::start(wake).expect("started"), wakes)
    }

    fn state(done: u64, failed: Option<i32>) -> Option<Synced> {
        Some(Synced { done, failed })
    }

    #[test]
    fn a_request_is_done_and_said() {
        let (mut syncer, wakes) = started();
        assert_eq!(syncer.finished(), state(0, None));
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        for number in [1, 2, 7] {
            assert!(syncer.request(&file, number));
            wakes.recv().expect("woken");
            assert_eq!(syncer.finished(), state(number, None));
        }
    }

    #[test]
    fn a_failure_is_said_and_a_success_takes_it_back() {
        let (mut syncer, wakes) = started();
        let (end, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let socket = Arc::new(File::from(std::os::fd::OwnedFd::from(end)));
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        assert!(syncer.request(&socket, 1));
        wakes.recv().expect("woken");
        assert_eq!(syncer.finished(), state(0, Some(libc::EINVAL)));
        assert_eq!(syncer.finished(), state(0, None), "it is told once");
        assert!(syncer.request(&file, 2));
        wakes.recv().expect("woken");
        assert_eq!(syncer.finished(), state(2, None));
    }

    #[test]
    fn a_file_stays_open_until_its_sync_is_seen_done() {
        let (mut syncer, wakes) = started();
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        let watch = Arc::downgrade(&file);
        assert!(syncer.request(&file, 1));
        drop(file);
        assert!(watch.upgrade().is_some());
        wakes.recv().expect("woken");
        assert_eq!(syncer.finished(), state(1, None));
        assert!(watch.upgrade().is_none());
    }

    #[test]
    fn one_request_at_a_time() {
        let (go, gate) = mpsc::channel::<()>();
        let (woken, wakes) = mpsc::channel();
        // The wake comes after the request is done, so a held wake delays only the next one.
        let wake = move || {
            woken.send(()).unwrap_or_default();
            gate.recv().unwrap_or_default();
        };
        let mut syncer = Syncer::start(wake).expect("started");
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        assert!(syncer.request(&file, 1));
        wakes.recv().expect("woken");
        assert!(syncer.request(&file, 2), "the first is done");
        assert!(!syncer.request(&file, 3), "the second is not begun");
        assert!(syncer.is_busy());
        go.send(()).expect("the helper waits");
        wakes.recv().expect("woken");
        assert_eq!(syncer.finished(), state(2, None));
        drop(go);
    }

    #[test]
    fn dropping_serves_what_was_asked() {
        let (mut syncer, wakes) = started();
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        assert!(syncer.request(&file, 1));
        drop(syncer);
        assert_eq!(wakes.try_iter().count(), 1);
    }
}
