//! The hash map.
