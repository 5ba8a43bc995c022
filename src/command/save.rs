//! `SAVE` and its family: all data as an RDB file.

use crate::command::spec::Command;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
];
