//! The commands that make a stream.

use std::io::{self, Write};

use crate::data::stream::Stream;
use crate::engine::snapshot::Commands;

/// Adds the commands that make a stream.
pub(super) fn write<W: Write>(
    _commands: &mut Commands<'_, W>,
    _key: &[u8],
    _stream: &Stream,
) -> io::Result<()> {
    Ok(())
}
