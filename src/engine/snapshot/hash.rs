//! The commands that make a hash.

use std::io::{self, Write};

use crate::data::hash::Hash;
use crate::engine::snapshot::Commands;

/// Adds the commands that make a hash.
pub(super) fn write<W: Write>(_commands: &mut Commands<'_, W>, _key: &[u8], _hash: &Hash) -> io::Result<()> {
    Ok(())
}
