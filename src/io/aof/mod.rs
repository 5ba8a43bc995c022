//! The append-only file: a directory of files under a manifest.
//!
//! The layout is Redis 7's, so that either server can take over the other's directory. A file is a row of
//! requests in RESP, with lines that begin in `#` between them, which Redis skips. One such line, before the
//! records of each write, is ours: it makes of the write a *batch* whose length and checksum are known before the
//! first of its bytes is looked at (`batch.rs` says why the line stands in front). Whatever stands outside a batch
//! was written by another server and is taken as Redis takes it, request by request.
//!
//! The manifest names the files, in order. Only the last one with anything in it may end in a torn tail, which
//! is cut off and kept beside; damage anywhere else is refused with its place (`reader.rs` has the rule).

mod fault;
mod words;
pub mod manifest;
pub mod batch;
pub mod damage;
pub mod append;
pub mod backup;
pub mod sync;
pub mod record;
pub mod reader;
pub mod check;
pub mod until;
pub mod child;
pub mod store;
