//! The commands that make a set.

use std::io::{self, Write};

use crate::data::set::Set;
use crate::engine::snapshot::Commands;

/// Adds the commands that make a set.
pub(super) fn write<W: Write>(_commands: &mut Commands<'_, W>, _key: &[u8], _set: &Set) -> io::Result<()> {
    Ok(())
}
