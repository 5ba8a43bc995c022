//! Floor 5: the commands, one row and one function each. Holds neither socket nor file.
//!
//! A family's file has its rows on top and its functions below; `table.rs` gathers the rows. `spec.rs` says what
//! a row, an effect and an error are; `options.rs` is the cursor with which functions read their options.

pub mod spec;
pub mod options;
pub mod string;
pub mod table;
