//! The commands that make a sorted set.

use std::io::{self, Write};

use crate::data::zset::Zset;
use crate::engine::snapshot::Commands;

/// Adds the commands that make a sorted set.
pub(super) fn write<W: Write>(_commands: &mut Commands<'_, W>, _key: &[u8], _zset: &Zset) -> io::Result<()> {
    Ok(())
}
