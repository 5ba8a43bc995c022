//! Floor 4: plain state that commands see and that the floor `io` keeps true. Does no I/O.

pub mod ask;
pub mod log;
pub mod gate;
pub mod histogram;
pub mod stats;
pub mod slowlog;
pub mod latency;
pub mod turns;
pub mod hot;
pub mod big;
pub mod by_key;
pub mod blocked;
pub mod channels;
pub mod transaction;
pub mod tracking;
pub mod acl;
pub mod denials;
pub mod names;
pub mod session;
pub mod server;
pub mod login;
pub mod spike;
pub mod waits;
pub mod pubsub;
pub mod invalidate;
pub mod notice;

pub use server::State;
