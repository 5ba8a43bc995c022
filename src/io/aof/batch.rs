//! The log: batch.
