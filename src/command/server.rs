//! The server as a whole: shutting down, rewriting the log, time.

use crate::command::spec::Command;

/// The rows of this family.
pub static COMMANDS: &[Command] = &[];
