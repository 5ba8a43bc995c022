//! Floor 7: all that can fail or surprise: clocks, sockets, files, processes, signals.

pub mod sys;
pub mod clock;
pub mod listen;
pub mod client;


