//! Sixteen databases of entries.
