//! Sorted sets: members in the order of their scores.

use crate::command::spec::Command;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
];
