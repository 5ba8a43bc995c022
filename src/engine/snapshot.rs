//! The whole data as commands: what a rewritten log begins with.

use std::io::{self, Write};

use crate::data::entry::{Entry, Str};
use crate::engine::Engine;
use crate::state::log::push_command;

/// Elements of a collection that go into one command, as in Redis.
const ELEMENTS_PER_COMMAND: usize = 64;
/// Bytes that are gathered before they are written.
const WRITE_SIZE: usize = 256 << 10;

/// Writes every key of every database as commands. `progress` hears how many keys are done.
///
/// # Errors
///
/// What `out` reports.
pub fn write_snapshot(engine: &Engine, out: &mut impl Write, mut progress: impl FnMut(u64)) -> io::Result<u64> {
    let mut bytes = Vec::with_capacity(WRITE_SIZE + WRITE_SIZE / 4);
    let mut keys = 0;
    for (number, database) in engine.keys.databases().iter().enumerate() {
        if database.is_empty() {
            continue;
        }
        push_command(&mut bytes, &[b"SELECT", number.to_string().as_bytes()]);
        for entry in database.table().iter() {
            push_entry(&mut bytes, entry);
            keys += 1;
            if WRITE_SIZE <= bytes.len() {
                out.write_all(&bytes)?;
                bytes.clear();
                progress(keys);
            }
        }
    }
    out.write_all(&bytes)?;
    progress(keys);
    Ok(keys)
}

/// Appends the commands that make this entry. Keys whose deadline has come are written like all others: the
/// server that reads them sees for itself.
pub fn push_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    let key = entry.key();
    let mut date = itoa::Buffer::new();
    let deadline = entry.deadline().map(|at| date.format(at.0).as_bytes());
    if let Some(value) = entry.string() {
        let mut scratch = [0; 20];
        let value = match value {
            Str::Shared(shared) => &shared[..],
            small => small.bytes(&mut scratch),
        };
        match deadline {
            None => push_command(bytes, &[b"SET", key, value]),
            Some(deadline) => push_command(bytes, &[b"SET", key, value, b"PXAT", deadline]),
        }
        return;
    }
    if let Some(list) = entry.list() {
        let items: Vec<_> = list.iter().collect();
        for chunk in items.chunks(ELEMENTS_PER_COMMAND) {
            let texts: Vec<Vec<u8>> = chunk.iter().map(|item| item.with_bytes(<[u8]>::to_vec)).collect();
            let mut args: Vec<&[u8]> = vec![b"RPUSH", key];
            args.extend(texts.iter().map(Vec::as_slice));
            push_command(bytes, &args);
        }
    }
    if let Some(deadline) = deadline {
        push_command(bytes, &[b"PEXPIREAT", key, deadline]);
    }
}
