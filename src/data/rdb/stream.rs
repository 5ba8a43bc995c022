//! Streams.
//!
//! ```text
//! number of nodes; of each the ID of its base in sixteen bytes, as a string, and a listpack
//! number of entries, last ID
//! from the second form on: first ID, greatest ID that was deleted, number of entries ever added
//! number of groups; of each:
//!     name, last ID; from the second form on: number of entries read, or all bits set
//!     number of entries that are pending; of each its ID in sixteen bytes, a date, how often it was delivered
//!     number of consumers; of each:
//!         name, when it was seen; from the third form on: when it was active
//!         number of entries pending; of each its ID in sixteen bytes
//!     in the fifth form: number of entries pending for nobody; of each its ID in sixteen bytes
//! from the fourth form on: seconds for which messages that producers name are remembered, how many of each producer
//!     number of producers; of each: name, number of messages; of each: name, ID
//!     how many were ever added, how many were not since they had been
//! ```
//!
//! IDs are two lengths unless said otherwise, and big-endian where they are sixteen bytes. What is written is the second
//! form, which Redis 7.0 reads; so a consumer was active when it was seen, after a load. Only a stream whose producers
//! name their messages is written in the fourth form, and one of which entries are pending for nobody in the fifth.

use std::rc::Rc;

use crate::data::rdb::read::{Fault, Reader};
use crate::data::rdb::write::Encoder;
use crate::data::rdb::{kind, pack};
use crate::data::stream::{COUNT_MAX, Group, Id, Idempotence, NOBODY, Pending, Stream, Window};

/// A number of entries read that nobody knows.
const UNKNOWN: u64 = u64::MAX;

fn id_bytes(id: Id) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&id.ms.to_be_bytes());
    bytes[8..].copy_from_slice(&id.seq.to_be_bytes());
    bytes
}

fn id_of(bytes: [u8; 16]) -> Id {
    let number = u128::from_be_bytes(bytes);
    Id::new((number >> 64) as u64, number as u64)
}

fn write_id(out: &mut Encoder<'_>, id: Id) {
    out.length(id.ms);
    out.length(id.seq);
}

/// The form in which a stream is written.
pub fn type_of(stream: &Stream) -> u8 {
    match stream.idempotence {
        _ if stream.groups.any_released() => kind::STREAM_LISTPACKS_5,
        Some(_) => kind::STREAM_LISTPACKS_4,
        None => kind::STREAM_LISTPACKS_2,
    }
}

/// Writes a stream in that form.
pub fn write(out: &mut Encoder<'_>, stream: &Stream) {
    let (entries, of) = (&stream.entries, type_of(stream));
    out.length(entries.nodes() as u64);
    let (mut elements, mut scratch) = (Vec::new(), Vec::new());
    for number in 0..entries.nodes() {
        elements.clear();
        if let Some((base, count)) = entries.listpack(number, &mut elements) {
            out.bytes_of(&id_bytes(base));
            pack::write(out, &elements, count, &mut scratch);
        }
    }
    out.length(entries.len());
    write_id(out, entries.last_id());
    write_id(out, entries.first_id());
    write_id(out, entries.max_deleted());
    out.length(entries.added());
    out.length(stream.groups.len() as u64);
    for (name, group) in stream.groups.iter() {
        out.string(name);
        write_group(out, group, of);
    }
    if let Some(known) = &stream.idempotence {
        write_known(out, known);
    } else if of == kind::STREAM_LISTPACKS_5 {
        write_known(out, &Idempotence::new(UNSET));
    }
}

/// What stands for a window where nobody has named a message yet: what Redis begins with.
const UNSET: Window = Window { duration_secs: 100, maxsize: 100 };

fn write_known(out: &mut Encoder<'_>, known: &Idempotence) {
    out.length(known.window().duration_secs);
    out.length(known.window().maxsize);
    let producers = known.producers();
    out.length(producers.len() as u64);
    for (producer, messages) in producers {
        out.string(producer);
        out.length(messages.len() as u64);
        for (name, id) in messages {
            out.string(name);
            write_id(out, id);
        }
    }
    out.length(known.added);
    out.length(known.duplicates);
}

fn write_group(out: &mut Encoder<'_>, group: &Group, of: u8) {
    write_id(out, group.last_id);
    out.length(group.entries_read.unwrap_or(UNKNOWN));
    out.length(group.pending_len() as u64);
    for pending in group.pending_from(Id::ZERO) {
        out.raw(&id_bytes(pending.id));
        out.integer_64(pending.time_ms);
        out.length(pending.count);
    }
    out.length(group.consumers_len() as u64);
    for consumer in group.consumers() {
        out.string(consumer.name());
        out.integer_64(consumer.seen_ms);
        if has_active(of) {
            out.integer_64(consumer.active_ms);
        }
        out.length(consumer.pending_len() as u64);
        consumer.pending_from(Id::ZERO).for_each(|id| out.raw(&id_bytes(id)));
    }
    if of == kind::STREAM_LISTPACKS_5 {
        out.length(group.released_len() as u64);
        let released = group.pending_from(Id::ZERO).filter(|pending| pending.consumer == NOBODY);
        released.for_each(|pending| out.raw(&id_bytes(pending.id)));
    }
}

fn read_id(reader: &mut Reader<'_>) -> Result<Id, Fault> {
    Ok(Id::new(reader.length()?, reader.length()?))
}

/// Reads a stream of any form.
///
/// # Errors
///
/// It is damaged.
pub fn read(reader: &mut Reader<'_>, of: u8) -> Result<Stream, Fault> {
    let mut stream = Stream::new();
    for _ in 0..reader.count(2)? {
        let at = reader.offset();
        let base = <[u8; 16]>::try_from(reader.string()?);
        let base = base.map_err(|_| Fault::damaged(at, "a node of a stream without an ID"))?;
        let (elements, _) = pack::open(reader.string()?, at)?;
        let added = stream.entries.push_listpack(id_of(base), elements);
        added.ok_or_else(|| Fault::damaged(at, "a node of a stream that is none"))?;
    }
    let at = reader.offset();
    let (len, last_id) = (reader.length()?, read_id(reader)?);
    let (mut added, mut max_deleted) = (len, Id::ZERO);
    if of != kind::STREAM_LISTPACKS {
        read_id(reader)?;
        max_deleted = read_id(reader)?;
        added = reader.length()?;
    }
    if stream.entries.len() != len || last_id < stream.entries.last_present() {
        return Err(Fault::damaged(at, "a stream has other entries than it says"));
    }
    stream.entries.set_ids(last_id, added, max_deleted);
    for _ in 0..reader.count(4)? {
        read_group(reader, of, &mut stream)?;
    }
    if matches!(of, kind::STREAM_LISTPACKS_4 | kind::STREAM_LISTPACKS_5) {
        let known = read_known(reader, last_id)?;
        // In the fifth form it stands there of every stream.
        let is_unset = of == kind::STREAM_LISTPACKS_5 && known.window() == UNSET && known.is_unused();
        stream.idempotence = (!is_unset).then(|| Box::new(known));
    }
    Ok(stream)
}

fn read_known(reader: &mut Reader<'_>, last_id: Id) -> Result<Idempotence, Fault> {
    let at = reader.offset();
    let window = Window { duration_secs: reader.length()?, maxsize: reader.length()? };
    let is_one = (1..=Window::DURATION_SECS_MAX).contains(&window.duration_secs)
        && (1..=Window::MAXSIZE_MAX).contains(&window.maxsize);
    if !is_one {
        return Err(Fault::damaged(at, "a stream remembers too many messages or none, or for no time"));
    }
    // They come producer by producer, and are recorded in the order of their IDs.
    let mut all: Vec<(Id, Rc<[u8]>, Vec<u8>)> = Vec::new();
    for _ in 0..reader.count(2)? {
        let producer: Rc<[u8]> = reader.owned_string()?.into();
        for _ in 0..reader.count(3)? {
            let name = reader.owned_string()?;
            if producer.is_empty() || name.is_empty() {
                return Err(Fault::damaged(at, "a stream remembers a message without a name"));
            }
            all.push((read_id(reader)?, producer.clone(), name));
        }
    }
    all.sort_unstable_by_key(|(id, ..)| *id);
    let mut known = Idempotence::new(window);
    let mut before = None;
    for (id, producer, name) in &all {
        if last_id < *id || before.replace(*id) == Some(*id) || known.find(producer, name, 0).is_some() {
            return Err(Fault::damaged(at, "a stream remembers a message twice, or one it never had"));
        }
        known.record(producer, name, *id);
    }
    (known.added, known.duplicates) = (reader.length()?, reader.length()?);
    Ok(known)
}

fn read_group(reader: &mut Reader<'_>, of: u8, stream: &mut Stream) -> Result<(), Fault> {
    let at = reader.offset();
    let name = reader.owned_string()?;
    let last_id = read_id(reader)?;
    let entries_read = match of {
        kind::STREAM_LISTPACKS => stream.entries.count_up_to(last_id),
        _ => Some(reader.length()?).filter(|read| *read <= COUNT_MAX),
    };
    let group = stream.groups.create(&name, last_id, entries_read);
    let group = group.ok_or_else(|| Fault::damaged(at, "a stream has a group twice"))?;
    let count = reader.count(16 + 8 + 1)?;
    let mut pending: Vec<Pending> = Vec::with_capacity(count);
    for _ in 0..count {
        let at = reader.offset();
        let id = id_of(reader.array()?);
        if pending.last().is_some_and(|before| id <= before.id) {
            return Err(Fault::damaged(at, "pending entries are in no order"));
        }
        let (time_ms, count) = (reader.integer_64()?.max(0), reader.length()?.min(COUNT_MAX));
        pending.push(Pending { id, time_ms, count, consumer: NOBODY });
    }
    for _ in 0..reader.count(10)? {
        read_consumer(reader, of, group, &mut pending)?;
    }
    let mut nobodys = pending.iter().filter(|pending| pending.consumer == NOBODY).count();
    if of == kind::STREAM_LISTPACKS_5 {
        nobodys = nobodys.wrapping_sub(read_released(reader, group, &pending)?);
    }
    if nobodys != 0 {
        return Err(Fault::damaged(at, "an entry is pending for nobody"));
    }
    Ok(())
}

/// Whether a form tells when consumers were active.
fn has_active(of: u8) -> bool {
    matches!(of, kind::STREAM_LISTPACKS_3 | kind::STREAM_LISTPACKS_4 | kind::STREAM_LISTPACKS_5)
}

/// Reads what is pending for nobody, and makes it so. Returns how many entries that is.
fn read_released(reader: &mut Reader<'_>, group: &mut Group, pending: &[Pending]) -> Result<usize, Fault> {
    let count = reader.count(16)?;
    for _ in 0..count {
        let at = reader.offset();
        let id = id_of(reader.array()?);
        let found = pending.binary_search_by_key(&id, |pending| pending.id).ok();
        let found = found.map(|index| pending[index]).filter(|it| it.consumer == NOBODY);
        match found {
            Some(known) if group.pending(id).is_none() => group.assign(known),
            _ => return Err(Fault::damaged(at, "an entry is pending for nobody, but not in its group")),
        }
    }
    Ok(count)
}

fn read_consumer(
    reader: &mut Reader<'_>,
    of: u8,
    group: &mut Group,
    pending: &mut [Pending],
) -> Result<(), Fault> {
    let at = reader.offset();
    let name = reader.owned_string()?;
    let seen_ms = reader.integer_64()?;
    let active_ms = if has_active(of) { reader.integer_64()? } else { seen_ms };
    let (number, is_new) = group.ensure_consumer(&name, seen_ms);
    if !is_new {
        return Err(Fault::damaged(at, "a group has a consumer twice"));
    }
    group.consumer_mut(number).active_ms = active_ms;
    for _ in 0..reader.count(16)? {
        let at = reader.offset();
        let id = id_of(reader.array()?);
        let found = pending.binary_search_by_key(&id, |pending| pending.id);
        let Some(found) = found.ok().map(|index| &mut pending[index]).filter(|it| it.consumer == NOBODY)
        else {
            return Err(Fault::damaged(at, "an entry is pending for a consumer, but not in its group"));
        };
        found.consumer = number;
        group.assign(*found);
    }
    Ok(())
}
