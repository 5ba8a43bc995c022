//! The server's own messages, in Redis's line format: `pid:role date level text`.
//!
//! Redis's four levels are levels of `log`: `debug` is `trace!`, `verbose` is `debug!`, `notice` is `info!`, and
//! `warning` is `warn!` and `error!`.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};

use crate::base::date::log_stamp;
use crate::config::LogLevel;
use crate::io::clock;
use crate::io::sys;

/// The role letter of this process: `M` for the server, `C` for a child.
static ROLE: AtomicU8 = AtomicU8::new(b'M');

/// From now on this process is a child.
pub fn become_child() {
    ROLE.store(b'C', Ordering::Relaxed);
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Nothing => LevelFilter::Off,
    }
}

/// Which messages are told from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(filter(level));
}

/// Starts telling, to standard output or at the end of a file.
///
/// # Errors
///
/// The text for standard error: the file cannot be opened.
pub fn start(path: &str, level: LogLevel) -> Result<(), String> {
    let mut builder = Builder::new();
    builder.filter_level(LevelFilter::Trace);
    builder.format(|out, record| {
        let mark = match record.level() {
            Level::Error | Level::Warn => '#',
            Level::Info => '*',
            Level::Debug => '-',
            Level::Trace => '.',
        };
        let now = clock::date_now();
        let stamp = log_stamp(now, sys::utc_offset_secs(now.0.div_euclid(1000)));
        let role = ROLE.load(Ordering::Relaxed) as char;
        writeln!(out, "{}:{role} {stamp} {mark} {}", std::process::id(), record.args())
    });
    if path.is_empty() {
        builder.target(Target::Stdout);
    } else {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|error| format!("Can't open the log file '{path}': {error}"))?;
        builder.target(Target::Pipe(Box::new(file)));
    }
    builder.try_init().map_err(|error| error.to_string())?;
    set_level(level);
    Ok(())
}
