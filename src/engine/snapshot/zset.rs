//! The commands that make a sorted set.

use std::io::{self, Write};

use crate::base::double::push_double;
use crate::data::zset::Zset;
use crate::engine::snapshot::Commands;
use crate::state::log::push_bulk;

/// Adds the commands that make a sorted set.
pub(super) fn write<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], zset: &Zset) -> io::Result<()> {
    let mut digits = Vec::new();
    commands.push_elements(b"ZADD", key, zset.iter(), |arguments, (member, score)| {
        digits.clear();
        push_double(&mut digits, score);
        push_bulk(arguments, &digits);
        member.with_bytes(|text| push_bulk(arguments, text));
        2
    })
}
