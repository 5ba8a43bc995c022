//! Floor 7: all that can fail or surprise: clocks, sockets, files, processes, signals.

pub mod sys;
pub mod disk;
pub mod clock;
pub mod proc;
pub mod logger;
pub mod crash;
pub mod tls;
pub mod listen;
pub mod client;
pub mod ripen;
pub mod giving;
pub mod child;
pub mod window;
pub mod rdb;
pub mod aof;
pub mod web;
pub mod host;
pub mod load;
pub mod users;
pub mod grant;
pub mod server;
pub mod start;
