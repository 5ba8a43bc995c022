//! kvick: a Redis-compatible in-memory key-value server.
//!
//! # The floors
//!
//! A file names `crate::x` only if `x` is declared above it here (and inside a floor, above it in its `mod.rs`);
//! so the order of the `mod` lines is the reading order and there are no circles. `tests/tidy.rs` holds us to it.

pub mod base;
pub mod resp;
pub mod data;
pub mod config;
pub mod state;
pub mod command;
pub mod engine;
pub mod io;

/// Counts what it hands out; see [`base::memory`].
#[global_allocator]
static ALLOCATOR: base::memory::Counting = base::memory::Counting;
