//! HyperLogLogs: how many different elements there were, in strings of twelve kilobytes at most.

use crate::command::spec::Command;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
];
