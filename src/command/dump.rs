//! `DUMP` and `RESTORE`: a value as bytes that another server can take.
//!
//! `RESTORE` is logged with the date of the deadline and `REPLACE`, and with a payload that Redis 7.0 reads, whichever
//! server made the one that came.

use crate::base::date::UnixMs;
use crate::base::number::parse_i64;
use crate::command::options::Options;
use crate::command::spec::flag::{ASKING, DANGEROUS, DENYOOM, READONLY, WRITE};
use crate::command::spec::{Class, Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::keyspace::{Key, Keyspace};
use crate::data::rdb::file::Use;
use crate::data::rdb::{self, payload};
use crate::data::{hash, list, set, zset};
use crate::resp::request::Args;
use crate::state::State;

const READ_ONE: &[KeySpec] = &[KeySpec::one(1, &["RO", "ACCESS"])];
const WRITE_ONE: &[KeySpec] = &[KeySpec::one(1, &["OW", "UPDATE"])];
const RESTORE: u32 = WRITE | DENYOOM | DANGEROUS;
const SYNTAX: &str = "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]";

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "dump", arity: 2, flags: READONLY, keys: READ_ONE, run: dump, subcommands: &[],
        doc: Group::Generic.doc("2.6.0", "O(N) of the bytes of the value", "key", "Returns a value as bytes that RESTORE takes.") },
    Command { name: "restore", arity: -4, flags: RESTORE, keys: WRITE_ONE, run: restore, subcommands: &[],
        doc: Group::Generic.doc("2.6.0", "O(N) of the bytes of the value, times O(log N) for sorted sets", SYNTAX, "Makes a key of what DUMP returned.") },
    Command { name: "restore-asking", arity: -4, flags: RESTORE | ASKING, keys: WRITE_ONE, run: restore, subcommands: &[],
        doc: Group::Generic.doc("3.0.0", "O(N) of the bytes of the value, times O(log N) for sorted sets", SYNTAX, "Makes a key of what DUMP returned, as the nodes of a cluster ask each other.") },
];

const BUSY_KEY: Error = Error::of("BUSYKEY Target key name already exists.");
const BAD_TTL: Error = Error::of("ERR Invalid TTL value, must be >= 0");
const BAD_IDLE_TIME: Error = Error::of("ERR Invalid IDLETIME value, must be >= 0");
const BAD_FREQUENCY: Error = Error::of("ERR Invalid FREQ value, must be >= 0 and <= 255");
const BAD_FOOTER: Error = Error::of("ERR DUMP payload version or checksum are wrong");
const BAD_FORMAT: Error = Error::of("ERR Bad data format");

/// What decides how values that are read are stored.
pub fn limits(state: &State, keys: &Keyspace) -> rdb::Limits {
    let (settings, hasher) = (&state.settings, keys.hasher());
    rdb::Limits {
        list: list::Limits {
            fill: settings.list_max_listpack_size,
            alone_from: u32::try_from(state.debug.quicklist_packed_threshold).unwrap_or(0),
        },
        set: set::Limits {
            intset_entries: settings.set_max_intset_entries as usize,
            listpack_entries: settings.set_max_listpack_entries as usize,
            listpack_value: settings.set_max_listpack_value as usize,
            hasher: hasher.clone(),
        },
        hash: hash::Limits {
            entries: settings.hash_max_listpack_entries as usize,
            value: settings.hash_max_listpack_value as usize,
            hasher: hasher.clone(),
        },
        zset: zset::Limits {
            entries: settings.zset_max_listpack_entries,
            value: settings.zset_max_listpack_value,
            hasher: hasher.clone(),
        },
    }
}

fn dump(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let compress = ctx.state.settings.rdbcompression;
    let key = ctx.key(args, 1);
    match ctx.keys.read(key) {
        Some(entry) => {
            let payload = payload::seal(entry, compress);
            ctx.reply.bulk(&payload);
        }
        None => ctx.reply.null(),
    }
    Ok(Effect::Unchanged)
}

/// The options of `RESTORE`.
#[derive(Default)]
struct How {
    replace: bool,
    absolute: bool,
    used: Option<Use>,
}

fn options(args: Args<'_>) -> Result<How, Error> {
    let mut how = How::default();
    let mut options = Options::new(args, 4);
    while options.more() {
        if options.word("REPLACE") {
            how.replace = true;
        } else if options.word("ABSTTL") {
            how.absolute = true;
        } else if !matches!(how.used, Some(Use::Frequency(_))) && options.word_with_value("IDLETIME") {
            let seconds = options.integer()?;
            how.used = Some(Use::Idle(u64::try_from(seconds).map_err(|_| BAD_IDLE_TIME)?));
        } else if !matches!(how.used, Some(Use::Idle(_))) && options.word_with_value("FREQ") {
            let counter = options.integer()?;
            how.used = Some(Use::Frequency(u8::try_from(counter).map_err(|_| BAD_FREQUENCY)?));
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Ok(how)
}

fn restore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let how = options(args)?;
    let key = ctx.key(args, 1);
    let exists = ctx.keys.peek(key).is_some();
    if exists && !how.replace {
        return Err(BUSY_KEY);
    }
    let ttl = parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    if ttl < 0 {
        return Err(BAD_TTL);
    }
    let (body, version) = payload::open(args.get(3)).ok_or(BAD_FOOTER)?;
    let entry =
        payload::read(body, version, key.bytes, &limits(ctx.state, ctx.keys)).map_err(|_| BAD_FORMAT)?;
    let entry = entry.ok_or(BAD_FORMAT)?;
    // A sum beyond all dates is in the past, as in Redis.
    let at = if how.absolute { ttl } else { ttl.wrapping_add(ctx.now().0) };
    let deadline = (ttl != 0).then_some(UnixMs(at));
    ctx.reply.ok();
    if deadline.is_some_and(|at| at <= ctx.now()) {
        return Ok(drop_old(ctx, key, exists));
    }
    let (key_bytes, date) = (key.bytes, deadline.map_or(0, |at| at.0).to_string());
    let ours = (rdb::VERSION < version).then(|| payload::seal(&entry, ctx.state.settings.rdbcompression));
    let payload = ours.as_deref().unwrap_or(args.get(3));
    ctx.log(&[b"RESTORE", key_bytes, date.as_bytes(), payload, b"REPLACE", b"ABSTTL"]);
    ctx.state.persistence.note(&entry);
    ctx.keys.delete(key);
    ctx.keys.insert(key.hash, entry);
    ctx.keys.set_deadline(key, deadline);
    if let Some(used) = how.used {
        note_use(ctx.keys, key, used);
    }
    ctx.changed(Class::Generic, "restore", key);
    Ok(Effect::Logged)
}

/// The value that comes has expired before it came; what it was to replace goes all the same.
fn drop_old(ctx: &mut Ctx<'_>, key: Key<'_>, exists: bool) -> Effect {
    if !exists {
        return Effect::Unchanged;
    }
    ctx.keys.delete(key);
    ctx.changed(Class::Generic, "del", key);
    ctx.log(&[b"DEL", key.bytes]);
    Effect::Logged
}

/// Notes how a key that is there was used, if the policy is one that wants to know.
pub fn note_use(keys: &mut Keyspace, key: Key<'_>, used: Use) {
    let access = match used {
        Use::Idle(seconds) => keys.access_idle(seconds),
        Use::Frequency(counter) => keys.access_frequent(counter),
    };
    if let (Some(access), Some(entry)) = (access, keys.stored(key)) {
        entry.set_access(access);
    }
}
