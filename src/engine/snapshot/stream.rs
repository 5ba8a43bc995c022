//! The commands that make a stream: its entries, its groups with their consumers, what is pending, and what it knows
//! beyond its entries.
//!
//! What is pending may be deleted already, and no command makes an entry pending that is not there. So such entries are
//! added with the others, and go again when the groups have noted them: one by one where they lie between others, by
//! trimming where they lie before all of them, since a stream remembers what was deleted one by one.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::data::stream::{Entry, Group, Id, Pending, Stream};
use crate::engine::snapshot::{Commands, ELEMENTS_PER_COMMAND, WRITE_SIZE};
use crate::state::log::{push_bulk, push_header};

/// Adds the commands that make a stream.
pub(super) fn write<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], stream: &Stream) -> io::Result<()> {
    let entries = &stream.entries;
    let gone = gone_but_pending(stream);
    let mut before = gone.iter().copied().peekable();
    for entry in entries.iter() {
        while let Some(id) = before.next_if(|id| *id < entry.id) {
            push_placeholder(commands, key, id);
        }
        push_entry(commands, key, &entry);
        relieve(commands)?;
    }
    before.for_each(|id| push_placeholder(commands, key, id));
    if entries.is_empty() && gone.is_empty() {
        commands.push(&[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
    }
    for (name, group) in stream.groups.iter() {
        push_group(commands, key, name, group)?;
    }
    let first = entries.first_id();
    let mut text = [0; 41];
    match entries.is_empty() {
        _ if gone.is_empty() => {}
        true => commands.push(&[b"XTRIM", key, b"MAXLEN", b"=", b"0"]),
        false => {
            for id in gone.range(first..) {
                commands.push(&[b"XDEL", key, id.text(&mut text)]);
            }
            commands.push(&[b"XTRIM", key, b"MINID", b"=", first.text(&mut text)]);
        }
    }
    let (mut added, mut deleted) = (itoa::Buffer::new(), [0; 41]);
    let (added, deleted) = (added.format(entries.added()), entries.max_deleted().text(&mut deleted));
    let last_id = entries.last_id().text(&mut text);
    commands.push(&[b"XSETID", key, last_id, b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", deleted]);
    relieve(commands)
}

/// Writes out what was gathered if it is enough.
fn relieve<W: Write>(commands: &mut Commands<'_, W>) -> io::Result<()> {
    if WRITE_SIZE <= commands.bytes.len() { commands.drain() } else { Ok(()) }
}

/// The entries that are pending in some group but no longer there.
fn gone_but_pending(stream: &Stream) -> BTreeSet<Id> {
    let mut gone = BTreeSet::new();
    for (_, group) in stream.groups.iter() {
        let pending = group.pending_from(Id::ZERO).map(|pending| pending.id);
        gone.extend(pending.filter(|id| !stream.entries.contains(*id)));
    }
    gone
}

fn push_placeholder<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], id: Id) {
    commands.push(&[b"XADD", key, id.text(&mut [0; 41]), b"x", b"y"]);
}

fn push_entry<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], entry: &Entry<'_>) {
    let out = &mut commands.bytes;
    push_header(out, b'*', 3 + 2 * entry.len());
    push_bulk(out, b"XADD");
    push_bulk(out, key);
    push_bulk(out, entry.id.text(&mut [0; 41]));
    for (field, value) in entry.pairs() {
        field.with_bytes(|text| push_bulk(out, text));
        value.with_bytes(|text| push_bulk(out, text));
    }
}

fn push_group<W: Write>(
    commands: &mut Commands<'_, W>,
    key: &[u8],
    name: &[u8],
    group: &Group,
) -> io::Result<()> {
    let (mut text, mut read) = ([0; 41], itoa::Buffer::new());
    let read = group.entries_read.map_or("-1", |number| read.format(number));
    let last_id = group.last_id.text(&mut text);
    commands.push(&[b"XGROUP", b"CREATE", key, name, last_id, b"ENTRIESREAD", read.as_bytes()]);
    for consumer in group.consumers() {
        commands.push(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
        relieve(commands)?;
    }
    let mut pending = group.pending_from(Id::ZERO).peekable();
    let mut ids: Vec<Id> = Vec::with_capacity(ELEMENTS_PER_COMMAND);
    while let Some(first) = pending.next() {
        let figures = |it: &Pending| (it.consumer, it.time_ms, it.count);
        ids.clear();
        ids.push(first.id);
        while ids.len() < ELEMENTS_PER_COMMAND
            && let Some(next) = pending.next_if(|next| figures(next) == figures(first))
        {
            ids.push(next.id);
        }
        let out = &mut commands.bytes;
        push_header(out, b'*', 11 + ids.len());
        for word in [&b"XCLAIM"[..], key, name, group.consumer(first.consumer).name(), b"0"] {
            push_bulk(out, word);
        }
        ids.iter().for_each(|id| push_bulk(out, id.text(&mut [0; 41])));
        push_bulk(out, b"TIME");
        push_bulk(out, itoa::Buffer::new().format(first.time_ms).as_bytes());
        push_bulk(out, b"RETRYCOUNT");
        push_bulk(out, itoa::Buffer::new().format(first.count).as_bytes());
        push_bulk(out, b"FORCE");
        push_bulk(out, b"JUSTID");
        relieve(commands)?;
    }
    Ok(())
}
