//! What a command asks of the floor `io`, which alone has files, processes and time.
//!
//! A command that asks has not replied: whoever carries the wish out writes the reply, before the client's next
//! request runs.

/// A wish. At most one stands open, in `State::ask`.
#[derive(Clone, PartialEq)]
pub enum Ask {
    /// `BGREWRITEAOF`.
    RewriteLog {
        /// `SCHEDULE` was given: wait for a child that is under way instead of refusing.
        schedule: bool,
    },
    /// `SAVE`: a snapshot now, in this process.
    Save,
    /// `BGSAVE`: a snapshot by a child.
    SaveInBackground {
        /// `SCHEDULE` was given: wait for another child that is under way instead of refusing.
        schedule: bool,
    },
    /// `BGSAVE CANCEL`.
    CancelSave,
    /// `BACKUP`: the log as it is, linked into a directory.
    Backup {
        /// Where, as seen from `dir`.
        directory: std::path::PathBuf,
    },
    /// `CONFIG SET`: the settings have been checked and changed; `before` undoes them. Reply `OK`, or undo and
    /// say why.
    ApplySettings {
        /// Names of the directives that changed.
        changed: Vec<&'static str>,
        /// The settings before the change.
        before: Box<crate::config::Settings>,
    },
    /// `CONFIG REWRITE`.
    RewriteConfig,
    /// `ACL LOAD`: read the file of users.
    LoadUsers,
    /// `ACL SAVE`: write the file of users.
    SaveUsers,
    /// `ACL GENPASS`: reply so many hexadecimal digits that nobody can guess.
    Password {
        /// How many.
        digits: usize,
    },
    /// `SHUTDOWN`.
    Shutdown {
        /// Do not write a snapshot (`NOSAVE`), write one (`SAVE`), or as the configuration says.
        save: Option<bool>,
        /// Do not wait for anything.
        now: bool,
        /// Exit even if writing fails.
        force: bool,
    },
    /// `SHUTDOWN ABORT`.
    AbortShutdown,
    /// `DEBUG SLEEP`: stop the whole loop.
    Sleep {
        /// Microseconds.
        micros: u64,
    },
    /// `DEBUG SHIFT-CLOCK`: dates are others from the next turn on.
    ShiftClock {
        /// Milliseconds forward, back if negative.
        by_ms: i64,
    },
    /// `DEBUG RELOAD` and `DEBUG LOADAOF`: write the data out (unless `NOSAVE`), empty the server, read it back.
    Reload {
        /// Write the data out first.
        save: bool,
        /// Empty the server first.
        flush: bool,
    },
    /// `WAITAOF`: reply when everything the client wrote is synced, or at the deadline.
    WaitForSync {
        /// How many local syncs were asked for: 0 or 1.
        local: u64,
        /// How many replicas were asked for.
        replicas: u64,
        /// Milliseconds to wait; 0 = forever.
        timeout_ms: u64,
    },
    /// `WAIT`: reply `0` at the deadline, since no replica will ever have received anything.
    WaitForReplicas {
        /// Milliseconds to wait; 0 = forever.
        timeout_ms: u64,
    },
    /// `DEBUG SEGFAULT` and `DEBUG PANIC`.
    Crash {
        /// A memory fault rather than a panic.
        fault: bool,
    },
    /// `DEBUG RESTART` and `CRASH-AND-RECOVER`.
    Restart {
        /// Exit without a graceful end first.
        crash: bool,
        /// Milliseconds to wait before.
        delay_ms: u64,
    },
    /// `MEMORY PURGE`: give memory back to the system.
    Purge,
}
