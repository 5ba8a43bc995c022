//! The crash report: what is told before the process dies of a panic or a fatal signal.
//!
//! # Unsafe
//!
//! Installing signal handlers. The handler runs once (it restores the default action first), in a process that is
//! lost anyway: it may allocate, at worst it dies of that.
#![allow(unsafe_code)]

use std::backtrace::Backtrace;
use std::panic;

const SIGNALS: [(i32, &str); 4] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
];

/// Has panics and fatal signals tell where they happened.
pub fn install() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("no message");
        report(&format!("Guru Meditation: {text} #{place}"));
    }));
    for (signal, _) in SIGNALS {
        // SAFETY: `on_signal` is a function of the right type and lives forever.
        unsafe { libc::signal(signal, on_signal as *const () as libc::sighandler_t) };
    }
}

fn report(cause: &str) {
    log::error!("=== KVICK BUG REPORT START: Cut & paste starting from here ===");
    log::error!("kvick {} crashed: {cause}", env!("CARGO_PKG_VERSION"));
    for line in Backtrace::force_capture().to_string().lines() {
        log::error!("{line}");
    }
    log::error!("=== KVICK BUG REPORT END. ===");
}

extern "C" fn on_signal(signal: i32) {
    // SAFETY: no memory is involved; a second fault ends the process without a report.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    let name = SIGNALS.iter().find(|(number, _)| *number == signal).map_or("a signal", |(_, name)| name);
    report(&format!("by signal {signal} ({name})"));
    // SAFETY: as above; this ends the process by the signal that came.
    unsafe { libc::raise(signal) };
}
