//! Floor 5: the commands, one row and one function each. Holds neither socket nor file.
//!
//! A family's file has its rows on top and its functions below; `table.rs` gathers the rows into `registry.rs`. `spec.rs` says what
//! a row, an effect and an error are; `options.rs` is the cursor with which functions read their options;
//! `cursor.rs` is what walks over keys and elements share.

pub mod spec;
pub mod options;
pub mod cursor;
pub mod registry;
pub mod permission;
pub mod secret;
pub mod condition;
pub mod string;
pub mod lcs;
pub mod list;
pub mod set;
pub mod hash;
pub mod zset;
pub mod stream;
pub mod bitmap;
pub mod hyperloglog;
pub mod geo;
pub mod sort;
pub mod dump;
pub mod save;
pub mod key;
pub mod expire;
pub mod scan;
pub mod flush;
pub mod object;
pub mod transaction;
pub mod pubsub;
pub mod connection;
pub mod client;
pub mod replication;
pub mod config;
pub mod backup;
pub mod memory;
pub mod info;
pub mod slowlog;
pub mod latency;
pub mod kvick;
pub mod server;
pub mod debug;
pub mod introspect;
pub mod acl;
pub mod table;

#[cfg(test)]
pub(crate) mod tests;
