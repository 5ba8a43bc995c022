//! The append-only file: a directory of files under a manifest.

pub mod manifest;
pub mod batch;
pub mod sync;
pub mod reader;
pub mod check;
