//! `DUMP` and `RESTORE`: a value as bytes that another server can take.

use crate::command::spec::Command;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
];
