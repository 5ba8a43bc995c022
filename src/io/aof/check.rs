//! The log: check.
