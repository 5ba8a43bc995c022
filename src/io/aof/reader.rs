//! The log: reader.
