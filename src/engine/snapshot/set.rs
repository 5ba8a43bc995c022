//! The commands that make a set.

use std::io::{self, Write};

use crate::data::set::Set;
use crate::engine::snapshot::Commands;
use crate::state::log::push_bulk;

/// Adds the commands that make a set.
pub(super) fn write<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], set: &Set) -> io::Result<()> {
    commands.push_elements(b"SADD", key, set.iter(), |arguments, member| {
        member.with_bytes(|text| push_bulk(arguments, text));
        1
    })
}
