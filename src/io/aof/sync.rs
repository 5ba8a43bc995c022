//! The log: sync.
