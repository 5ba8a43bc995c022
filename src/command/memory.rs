//! `MEMORY`: where the bytes are.

use crate::command::spec::Command;

/// The rows of this family.
pub static COMMANDS: &[Command] = &[];
