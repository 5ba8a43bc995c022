//! `SLOWLOG` and `LATENCY`: what was slow.

use crate::command::spec::Command;

/// The rows of this family.
pub static COMMANDS: &[Command] = &[];
