//! Floor 4: plain state that commands see and that the floor `io` keeps true. Does no I/O.

pub mod ask;
pub mod log;
pub mod gate;
pub mod histogram;
pub mod stats;
pub mod slowlog;
pub mod latency;
pub mod session;
pub mod server;

pub use server::State;
