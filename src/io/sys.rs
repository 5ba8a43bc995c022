//! System calls that the standard library does not offer.
//!
//! # Unsafe
//!
//! Each function wraps one call of the C library, passes it pointers to locals that outlive the call, and turns
//! its result into a value or an `io::Error`. [`fork`] is the one with wider consequences; its contract stands
//! there. [`Shared`] owns a mapping of its own size from its making to its drop and shows it as what it is made of.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Signals that arrive as bytes to read rather than as interruptions: SIGTERM and SIGINT, SIGCHLD. SIGPIPE and
/// SIGHUP are ignored, as a server without a terminal has it; so is SIGXFSZ: a file that may not grow is an error of
/// the write.
///
/// # Errors
///
/// What the kernel reports.
pub fn signal_fd() -> io::Result<OwnedFd> {
    // SAFETY: `set` is a local; the descriptor is fresh and owned by nobody else.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut set = zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD] {
            libc::sigaddset(&mut set, signal);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The next signal that has arrived at a descriptor of [`signal_fd`].
pub fn next_signal(fd: RawFd) -> Option<i32> {
    // SAFETY: the kernel fills at most the size of `info`, which is plain data.
    unsafe {
        let mut info: libc::signalfd_siginfo = zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        let read = libc::read(fd, (&raw mut info).cast(), size);
        (read == size as isize).then_some(info.ssi_signo as i32)
    }
}

/// Reads from a socket into memory that nobody has written yet; returns the part that was filled.
///
/// # Errors
///
/// What the kernel reports.
pub fn receive(fd: RawFd, space: &mut [MaybeUninit<u8>]) -> io::Result<&mut [u8]> {
    // SAFETY: the kernel fills at most the length of `space`, from its beginning, and says how much.
    unsafe {
        let count = libc::recv(fd, space.as_mut_ptr().cast(), space.len(), 0);
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(std::slice::from_raw_parts_mut(space.as_mut_ptr().cast(), count))
    }
}

/// Lets signals interrupt again, in a child.
pub fn unblock_signals() {
    // SAFETY: `set` is a local.
    unsafe {
        let mut set = zeroed();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD] {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Forks. `None` in the child, the child's number in the parent.
///
/// The child has only the thread that called. The other thread of this process, the one that syncs, neither
/// allocates nor takes locks nor logs, so no lock is ever left held in the child: it may allocate and write
/// files. It must end by [`exit_child`].
///
/// # Errors
///
/// What the kernel reports.
pub fn fork() -> io::Result<Option<i32>> {
    // SAFETY: see above; the callers are single-threaded but for the sync helper.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid != 0).then_some(pid))
}

/// So many numbers are in a [`Shared`].
pub const SHARED_NUMBERS: usize = 3;

/// Numbers, zero at first, that this process and the children it forks from now on have in common.
pub struct Shared(NonNull<[AtomicU64; SHARED_NUMBERS]>);

impl Shared {
    /// A page of its own for them.
    ///
    /// # Errors
    ///
    /// What the kernel reports.
    pub fn new() -> io::Result<Shared> {
        let (access, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        let bytes = size_of::<[AtomicU64; SHARED_NUMBERS]>();
        // SAFETY: a fresh mapping touches no memory that exists.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, how, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(memory.cast()).map(Shared).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }
}

impl Deref for Shared {
    type Target = [AtomicU64; SHARED_NUMBERS];

    fn deref(&self) -> &[AtomicU64; SHARED_NUMBERS] {
        // SAFETY: the mapping is as big, aligned to a page, and filled with zeros, which are numbers; it lives as long
        // as `self`, and both processes change it by atomic operations only.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and whoever borrowed it has borrowed `self`.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<[AtomicU64; SHARED_NUMBERS]>()) };
    }
}

/// Ends a forked child at once: no destructors, no buffers of the parent flushed twice.
pub fn exit_child(code: i32) -> ! {
    // SAFETY: never returns.
    unsafe { libc::_exit(code) }
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// Whether a child has ended, and how.
pub fn reap(pid: i32) -> Option<Ended> {
    let mut status = 0;
    // SAFETY: `status` is a local.
    let done = unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) };
    if done != pid {
        return None;
    }
    Some(if libc::WIFEXITED(status) {
        Ended::Exit(libc::WEXITSTATUS(status))
    } else {
        Ended::Signal(libc::WTERMSIG(status))
    })
}

/// Claims a file or directory for this process, for as long as the descriptor or a copy of it is open; false if
/// another process has it. A file system that knows no such claims grants it.
///
/// # Errors
///
/// What the kernel reports.
pub fn claim(file: &impl AsRawFd) -> io::Result<bool> {
    // SAFETY: no memory is involved.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EWOULDBLOCK) => Ok(false),
            Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => Ok(true),
            _ => Err(error),
        },
    }
}

/// Sends a signal to a process.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: no memory is involved; a process that is gone is no error here.
    unsafe { libc::kill(pid, signal) };
}

/// Raises the limit of open files to `wanted` or as far as allowed. Returns what it is now.
pub fn raise_open_files(wanted: u64) -> u64 {
    // SAFETY: `limit` is a local.
    unsafe {
        let mut limit: libc::rlimit = zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        if limit.rlim_cur < wanted {
            let mut higher = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &higher) != 0 {
                higher = libc::rlimit { rlim_cur: limit.rlim_max.min(wanted), rlim_max: limit.rlim_max };
                if libc::setrlimit(libc::RLIMIT_NOFILE, &higher) != 0 {
                    return limit.rlim_cur;
                }
            }
            return higher.rlim_cur;
        }
        limit.rlim_cur
    }
}

/// Keeps huge pages out of what has not asked for them ([`crate::base::pages`]): a heap of small things only wastes
/// memory on them. The allocator has kept them out of the whole process; this lets in those that are asked for, where
/// the kernel can make the difference or makes it anyway.
pub fn choose_huge_pages() {
    /// `PR_THP_DISABLE_EXCEPT_ADVISED`, since Linux 6.18.
    const EXCEPT_ADVISED: libc::c_ulong = 2;
    // SAFETY: no memory is involved; an old kernel refuses, which changes nothing.
    let refused = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, EXCEPT_ADVISED, 0, 0) } != 0;
    let only_advised = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
        .is_ok_and(|modes| modes.contains("[madvise]"));
    if refused && only_advised {
        // SAFETY: as above.
        unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 0, 0, 0, 0) };
    }
}

/// Has the system begin to bring to the disk what was written to a file. Waits for nothing, promises nothing, and takes
/// no error away from a later sync.
///
/// # Errors
///
/// The `errno`.
pub fn begin_sync(fd: RawFd) -> io::Result<()> {
    // SAFETY: no memory is involved; of a descriptor that is not open it says so.
    match unsafe { libc::sync_file_range(fd, 0, 0, libc::SYNC_FILE_RANGE_WRITE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Asks that this process be killed when its parent ends.
pub fn die_with_parent() {
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
}

/// Processor seconds: user and system time of this process, then of its children that have ended.
pub fn cpu_secs() -> [f64; 4] {
    let secs = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let mut out = [0.0; 4];
    for (index, who) in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN].into_iter().enumerate() {
        // SAFETY: `usage` is a local of plain data.
        let usage = unsafe {
            let mut usage: libc::rusage = zeroed();
            libc::getrusage(who, &mut usage);
            usage
        };
        out[index * 2] = secs(usage.ru_utime);
        out[index * 2 + 1] = secs(usage.ru_stime);
    }
    out
}

/// Sets the mask of permissions that new files do not get. Returns the one before.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: no memory is involved, it cannot fail.
    unsafe { libc::umask(mask) }
}

/// Seconds by which local time is ahead of UTC at this date.
pub fn utc_offset_secs(unix_secs: i64) -> i32 {
    // SAFETY: both are locals of plain data.
    unsafe {
        let mut broken_down: libc::tm = zeroed();
        if libc::localtime_r(&unix_secs, &mut broken_down).is_null() {
            return 0;
        }
        broken_down.tm_gmtoff as i32
    }
}

/// Goes into the background: the caller's process ends with code 0, a child goes on in a session of its own with
/// the standard streams on /dev/null. To be called before threads are started or files opened.
///
/// # Errors
///
/// What the kernel reports.
pub fn daemonize() -> io::Result<()> {
    if fork()?.is_some() {
        exit_child(0);
    }
    // SAFETY: the path is a constant C string; descriptors 0 to 2 are the standard streams.
    unsafe {
        libc::setsid();
        let null = check(libc::open(c"/dev/null".as_ptr(), libc::O_RDWR))?;
        for stream in 0..3 {
            libc::dup2(null, stream);
        }
        if 2 < null {
            libc::close(null);
        }
    }
    Ok(())
}

/// Writes through a null pointer, for `DEBUG SEGFAULT`.
pub fn fault() -> ! {
    // SAFETY: none; it is meant to fault, and does before anything is written.
    unsafe {
        libc::raise(libc::SIGSEGV);
    }
    std::process::abort()
}

/// Closes a descriptor that nothing in this process owns or uses any more, in a child.
pub fn close(fd: RawFd) {
    // SAFETY: the caller is a forked child, whose copies of the parent's sockets are never touched again.
    unsafe { libc::close(fd) };
}

/// Runs this program again in place of this process, with the same arguments. Returns only if it cannot. All
/// other descriptors are closed by it, as everything is opened so.
pub fn run_again() -> io::Error {
    use std::os::unix::process::CommandExt;
    unblock_signals();
    match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    }
}

/// The system's words for an error, without its number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
