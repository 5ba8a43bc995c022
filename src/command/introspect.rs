//! `COMMAND`: the table of commands, told to clients.

use crate::command::spec::Command;

/// The rows of this family.
pub static COMMANDS: &[Command] = &[];
