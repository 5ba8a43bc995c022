//! Keys of any type: deletion, names, deadlines, iteration.

use crate::command::spec::Command;

/// The rows of this family.
pub static COMMANDS: &[Command] = &[];
