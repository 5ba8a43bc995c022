//! Floor 2: the data. Never speaks the protocol, never reads a clock.

pub mod table;
pub mod list;
pub mod expiry;
pub mod block;
pub mod entry;
pub mod keyspace;
pub mod digest;
