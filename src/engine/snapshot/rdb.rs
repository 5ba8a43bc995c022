//! The whole data as an RDB file.

use std::io::{self, Write};

use crate::command::object::counts_use;
use crate::command::spec::REDIS_VERSION;
use crate::data::entry::Entry;
use crate::data::keyspace::AccessPolicy;
use crate::data::rdb::file::{self, Use};
use crate::data::rdb::{
    Encoder, VERSION, VERSION_FIELD_DEADLINES, VERSION_NAMED_MESSAGES, VERSION_RELEASED_ENTRIES, crc64,
};
use crate::engine::Engine;

/// Takes what is encoded to where it is written, and sums it up on the way.
struct Drain<'w> {
    out: &'w mut dyn Write,
    crc: Option<u64>,
    failed: Option<io::Error>,
}

impl Drain<'_> {
    fn take(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.crc = self.crc.map(|crc| crc64::update(crc, bytes));
        self.failed = self.out.write_all(bytes).err();
    }
}

/// Writes every key of every database. `is_base`: the file is the beginning of a log. `progress` hears how many keys
/// are done. Returns how many there were.
///
/// # Errors
///
/// What `out` reports.
pub fn write_rdb(
    engine: &Engine,
    is_base: bool,
    out: &mut dyn Write,
    mut progress: impl FnMut(u64),
) -> io::Result<u64> {
    let settings = &engine.state.settings;
    let crc = settings.rdbchecksum.then_some(0);
    let mut drain = Drain { out, crc, failed: None };
    let mut keys = 0;
    let mut take = |bytes: &[u8]| drain.take(bytes);
    let mut encoder = Encoder::draining(settings.rdbcompression, &mut take);
    write_head(engine, is_base, &mut encoder);
    for (number, database) in engine.keys.databases().iter().enumerate() {
        if database.is_empty() {
            continue;
        }
        file::write_database(&mut encoder, number, database.len(), database.expiry().len());
        for entry in database.table().iter() {
            file::write_key(&mut encoder, entry, used(engine, entry));
            keys += 1;
            progress(keys);
        }
    }
    file::write_end(&mut encoder);
    encoder.finish();
    drop(encoder);
    let footer = drain.crc.unwrap_or(0).to_le_bytes();
    drain.take(&footer);
    drain.failed.map_or(Ok(keys), Err)
}

fn write_head(engine: &Engine, is_base: bool, encoder: &mut Encoder<'_>) {
    let has_deadlines = || engine.keys.databases().iter().any(|database| !database.fields().is_empty());
    let persistence = &engine.state.persistence;
    let version = match () {
        () if persistence.released_entries => VERSION_RELEASED_ENTRIES,
        () if persistence.named_messages => VERSION_NAMED_MESSAGES,
        () if has_deadlines() => VERSION_FIELD_DEADLINES,
        () => VERSION,
    };
    let (now, used) = (engine.now().secs().to_string(), (engine.used_memory)(&engine.keys).to_string());
    let about = [
        ("redis-ver", REDIS_VERSION),
        ("redis-bits", if usize::BITS == 64 { "64" } else { "32" }),
        ("ctime", &now),
        ("used-mem", &used),
        ("aof-base", if is_base { "1" } else { "0" }),
    ];
    file::write_head(encoder, version, &about);
}

/// How a key was used, if the eviction policy is one that asks.
fn used(engine: &Engine, entry: &Entry) -> Option<Use> {
    if !counts_use(engine.state.settings.maxmemory_policy) {
        return None;
    }
    Some(match engine.keys.access_policy {
        AccessPolicy::Lru => Use::Idle(u64::from(engine.keys.idle_seconds(entry))),
        AccessPolicy::Lfu { .. } => Use::Frequency(engine.keys.frequency(entry).min(255) as u8),
    })
}
