//! Floor 2: the data. Never speaks the protocol, never reads a clock.

pub mod collection;
pub mod table;
pub mod block;
pub mod element;
pub mod pack;
pub mod expiry;
pub mod list;
pub mod set;
pub mod hash;
pub mod zset;
pub mod stream;
pub mod hyperloglog;
pub mod entry;
pub mod keyspace;
pub mod digest;
pub mod rdb;
