//! Rows of the family `hash`.

use crate::rows::Row;

/// What Redis 7.0 has and we have.
pub const ROWS: &[Row] = &[];

/// What came after 7.0, by the peer that has it.
pub const NEWER: &[(&str, &[Row])] = &[];
