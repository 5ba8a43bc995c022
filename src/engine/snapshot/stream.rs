//! The commands that make a stream: its entries, its groups with their consumers, what is pending, and what it knows
//! beyond its entries.
//!
//! What is pending may be deleted already, and no command makes an entry pending that is not there. So such entries are
//! added with the others, and go again when the groups have noted them: one by one where they lie between others, by
//! trimming where they lie before all of them, since a stream remembers what was deleted one by one.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::data::stream::{Entry, Group, Id, Idempotence, NOBODY, Pending, Stream};
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
    if let Some(known) = &stream.idempotence {
        push_known(commands, key, known)?;
    }
    relieve(commands)
}

/// What is remembered of messages that producers name. The names of entries that are gone are refused by Redis, which
/// goes on; kvick takes them.
fn push_known<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], known: &Idempotence) -> io::Result<()> {
    let (mut secs, mut maxsize) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (secs, maxsize) = (secs.format(known.window().duration_secs), maxsize.format(known.window().maxsize));
    let (secs, maxsize) = (secs.as_bytes(), maxsize.as_bytes());
    commands.push(&[b"XCFGSET", key, b"IDMP-DURATION", secs, b"IDMP-MAXSIZE", maxsize]);
    for (producer, name, id) in known.records() {
        commands.push(&[b"XIDMPRECORD", key, producer, name, id.text(&mut [0; 41])]);
        relieve(commands)?;
    }
    Ok(())
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
        if first.consumer == NOBODY {
            push_released(commands, key, name, first.count, &ids);
            relieve(commands)?;
            continue;
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

/// What was given back, in Redis 8.8's words.
fn push_released<W: Write>(commands: &mut Commands<'_, W>, key: &[u8], name: &[u8], count: u64, ids: &[Id]) {
    let out = &mut commands.bytes;
    push_header(out, b'*', 9 + ids.len());
    for word in [&b"XNACK"[..], key, name, b"FAIL", b"IDS"] {
        push_bulk(out, word);
    }
    push_bulk(out, itoa::Buffer::new().format(ids.len()).as_bytes());
    ids.iter().for_each(|id| push_bulk(out, id.text(&mut [0; 41])));
    push_bulk(out, b"RETRYCOUNT");
    push_bulk(out, itoa::Buffer::new().format(count).as_bytes());
    push_bulk(out, b"FORCE");
}

#[cfg(test)]
mod tests {

    use crate::base::date::UnixMs;
    use crate::base::random::Random;
    use crate::command::tests::ask;
    use crate::config::Settings;
    use crate::engine::Engine;
    use crate::engine::replay::Replayed;
    use crate::engine::snapshot::write_snapshot;
    use crate::resp::request::Request;
    use crate::state::session::Session;

    /// An engine that has run the commands in these bytes as a log.
    fn replayed(bytes: &[u8]) -> Engine {
        let mut engine = Engine::new(Settings::default(), 2);
        let token = engine.begin_replay();
        let text = String::from_utf8(bytes.to_vec()).expect("only text was written");
        let mut lines = text.split("\r\n").filter(|line| !line.starts_with('#'));
        while let Some(count) = lines.next().and_then(|line| line.strip_prefix('*')) {
            let count: usize = count.parse().expect("a number");
            let args: Vec<&[u8]> = (0..count).filter_map(|_| lines.nth(1)).map(str::as_bytes).collect();
            let request = Request::new(args.iter().copied());
            let prepared = engine.prepare_replay(token, request.args());
            assert_eq!(engine.replay(token, request.args(), prepared), Replayed::Done, "{args:?}");
        }
        engine.end_replay(token);
        engine
    }

    /// All that `XINFO` tells of a stream, but for what a log does not tell.
    fn told(engine: &mut Engine, key: &str) -> String {
        let token = engine.open_session(Session::default());
        engine.set_now(UnixMs(9_000_000));
        let reply = ask(engine, token, &format!("XINFO STREAM {key} FULL COUNT 0"));
        let own = [
            "radix-tree-keys",
            "radix-tree-nodes",
            "seen-time",
            "active-time",
            "iids-added",
            "iids-duplicates",
        ];
        let mut lines: Vec<&str> = reply.split("\r\n").collect();
        while let Some(at) = lines.iter().position(|line| own.contains(line)) {
            lines.drain(at..at + 2);
        }
        let entry = engine.keys.read(engine.keys.key(key.as_bytes()));
        let known = entry.and_then(|entry| entry.stream()).and_then(|stream| stream.idempotence.as_deref());
        format!("{} {:?}", lines.join("|"), known.map(|known| (known.window(), known.records())))
    }

    fn command(random: &mut Random, turn: u64) -> String {
        let key = ["x", "y"][random.below(2) as usize];
        let id = format!("{}-{}", (turn / 4).saturating_sub(random.below(60)), random.below(3));
        let group = ["g", "h"][random.below(2) as usize];
        let consumer = ["c", "d", "e"][random.below(3) as usize];
        match random.below(50) {
            // These choose their IDs by the date, so they have a stream of their own.
            40..44 => format!("XADD z IDMP {consumer} {} * f v", random.below(30)),
            44 => format!("XADD z MAXLEN ~ 30 IDMP {consumer} {} * f v", random.below(30)),
            45 if random.below(9) == 0 => format!("XCFGSET z IDMP-MAXSIZE {}", 3 + random.below(9)),
            45 => format!("XTRIM z MAXLEN {}", random.below(9)),
            0..16 => format!("XADD {key} {}-* f {turn}", turn / 4),
            16 => format!("XADD {key} MAXLEN ~ 50 {}-* f {turn} g {turn}", turn / 4),
            17 => format!("XDEL {key} {id}"),
            18 => {
                format!("XTRIM {key} MINID {id} {}", ["KEEPREF", "DELREF", "ACKED"][random.below(3) as usize])
            }
            19 => format!("XTRIM {key} MAXLEN ~ {}", random.below(120)),
            20 => format!("XTRIM {key} MAXLEN {} ACKED", random.below(120)),
            21 => format!("XGROUP CREATE {key} {group} {id} MKSTREAM"),
            22 if random.below(9) == 0 => format!("XGROUP DESTROY {key} {group}"),
            22 => format!("XGROUP DELCONSUMER {key} {group} {consumer}"),
            23 => format!("XGROUP CREATECONSUMER {key} {group} {consumer}"),
            24..28 => {
                format!("XREADGROUP GROUP {group} {consumer} COUNT {} STREAMS {key} >", random.below(90))
            }
            28 => format!("XREADGROUP GROUP {group} {consumer} NOACK COUNT 3 STREAMS {key} >"),
            29 => format!("XREADGROUP GROUP {group} {consumer} COUNT 3 STREAMS {key} {id}"),
            30..34 => format!("XACK {key} {group} {id}"),
            34 => format!("XCLAIM {key} {group} {consumer} 0 {id} FORCE"),
            35 => format!("XCLAIM {key} {group} {consumer} 0 {id} JUSTID IDLE 500"),
            36 => format!("XAUTOCLAIM {key} {group} {consumer} 3 {id} COUNT 5"),
            37 => format!("XDELEX {key} DELREF IDS 1 {id}"),
            38 => format!("XACKDEL {key} {group} ACKED IDS 1 {id}"),
            46..48 => {
                format!(
                    "XNACK {key} {group} {} IDS 1 {id}",
                    ["SILENT", "FAIL", "FATAL"][random.below(3) as usize]
                )
            }
            48 => format!("XNACK {key} {group} SILENT IDS 2 {id} {}-1 FORCE", turn / 4),
            49 => format!("XNACK {key} {group} FAIL RETRYCOUNT {} IDS 1 {id} FORCE", random.below(5)),
            _ => format!("XSETID {key} {}-9", turn / 4 + 2),
        }
    }

    #[test]
    fn logs_and_snapshots_replayed_are_the_same_streams() {
        let (mut groups, mut names) = (0, 0);
        for seed in 0..6 {
            let mut random = Random::seeded(seed);
            let mut engine = Engine::new(Settings::default(), 1);
            let token = engine.open_session(Session::default());
            engine.state.log.enabled = true;
            for turn in 4..2500 {
                engine.set_now(UnixMs(1_000_000 + turn as i64));
                let line = command(&mut random, turn);
                ask(&mut engine, token, &line);
            }
            for line in ["XGROUP CREATE empty g $ MKSTREAM", "XADD gone 1-1 f v", "XDEL gone 1-1"] {
                ask(&mut engine, token, line);
            }
            let mut log = replayed(engine.state.log.pending());
            let mut bytes = Vec::new();
            write_snapshot(&engine, &mut bytes, |_| {}).expect("writing to memory");
            let mut copy = replayed(&bytes);
            for key in ["x", "y", "z", "empty", "gone"] {
                let expected = told(&mut engine, key);
                assert!(expected.contains("last-generated-id"));
                groups += usize::from(expected.contains("pel-count"));
                names += usize::from(expected.contains("maxsize: "));
                assert_eq!(told(&mut log, key), expected, "seed {seed}, the log");
                assert_eq!(told(&mut copy, key), expected, "seed {seed}, the snapshot");
            }
        }
        assert!(12 <= groups && names == 6, "{groups} streams with groups, {names} that remember messages");
    }
}
