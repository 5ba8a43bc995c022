//! The index of keys with a deadline.
