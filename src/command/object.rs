//! `OBJECT`: what lies behind a key.

use crate::command::spec::Command;

/// The rows of this family.
pub static COMMANDS: &[Command] = &[];
