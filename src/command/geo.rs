//! Places: longitude and latitude as the scores of a sorted set.

use crate::command::spec::Command;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
];
