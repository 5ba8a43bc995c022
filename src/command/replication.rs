//! Questions about replicas and clusters, answered by a server that has neither.

use crate::command::spec::Command;

/// The rows of this family.
pub static COMMANDS: &[Command] = &[];
