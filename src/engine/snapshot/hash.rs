//! The commands that make a hash.

use std::io::{self, Write};

use crate::base::date::UnixMs;
use crate::data::element::Item;
use crate::data::hash::{Hash, Pair};
use crate::engine::snapshot::Commands;
use crate::state::log::push_bulk;

/// Fields that go into one command with their deadline.
const FIELDS_PER_COMMAND: usize = 64;

/// Adds the commands that make a hash: `HSET` with the pairs, `HPEXPIREAT` for fields with a deadline. Those that are
/// due are written like all others: the server that reads them sees for itself.
pub(super) fn write<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], hash: &Hash) -> io::Result<()> {
    commands.push_elements(b"HSET", key, hash.iter(), |arguments, pair| {
        pair.field.with_bytes(|text| push_bulk(arguments, text));
        pair.value.with_bytes(|text| push_bulk(arguments, text));
        2
    })?;
    if hash.next_due().is_none() {
        return Ok(());
    }
    // Fields that fall due together and follow each other share a command.
    let mut run: Vec<Item<'_>> = Vec::new();
    let mut due: Option<UnixMs> = None;
    for Pair { field, deadline, .. } in hash.iter() {
        if deadline != due || run.len() == FIELDS_PER_COMMAND {
            push_deadline(commands, key, due, &run);
            run.clear();
            due = deadline;
        }
        if deadline.is_some() {
            run.push(field);
        }
        commands.drain_if_full()?;
    }
    push_deadline(commands, key, due, &run);
    Ok(())
}

/// Adds `HPEXPIREAT key ms FIELDS n field…`.
fn push_deadline<W: Write>(
    commands: &mut Commands<'_, W>,
    key: &[u8],
    due: Option<UnixMs>,
    fields: &[Item<'_>],
) {
    let Some(due) = due.filter(|_| !fields.is_empty()) else { return };
    let (mut date, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let texts: Vec<Vec<u8>> = fields.iter().map(Item::to_vec).collect();
    let head: [&[u8]; 5] =
        [b"HPEXPIREAT", key, date.format(due.0).as_bytes(), b"FIELDS", count.format(fields.len()).as_bytes()];
    let words: Vec<&[u8]> = head.into_iter().chain(texts.iter().map(|text| &text[..])).collect();
    commands.push(&words);
}
