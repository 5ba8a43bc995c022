//! `SORT`: the elements of a collection in another order.

use crate::command::spec::Command;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
];
