//! The whole data as commands: what a rewritten log begins with.

use std::io::{self, Write};

use crate::data::entry::{Entry, Str};
use crate::engine::Engine;
use crate::state::log::{push_bulk, push_command, push_header};

/// Elements of a collection that go into one command, as in Redis.
const ELEMENTS_PER_COMMAND: usize = 64;
/// Bytes that are gathered before they are written.
const WRITE_SIZE: usize = 256 << 10;

/// How the line begins that says how many keys follow in the database; whoever does not know it skips it.
pub const KEYS_NOTE: &str = "#KEYS ";

/// Writes every key of every database as commands, whole commands in each write. `progress` hears how many keys
/// are done.
///
/// # Errors
///
/// What `out` reports.
pub fn write_snapshot(
    engine: &Engine,
    out: &mut impl Write,
    mut progress: impl FnMut(u64),
) -> io::Result<u64> {
    let mut bytes = Vec::with_capacity(WRITE_SIZE + WRITE_SIZE / 4);
    let mut keys = 0;
    for (number, database) in engine.keys.databases().iter().enumerate() {
        if database.is_empty() {
            continue;
        }
        push_command(&mut bytes, &[b"SELECT", number.to_string().as_bytes()]);
        bytes.extend_from_slice(format!("{KEYS_NOTE}{}\r\n", database.len()).as_bytes());
        for entry in database.table().iter() {
            write_entry(&mut bytes, entry, |bytes| drain(bytes, out))?;
            keys += 1;
            if WRITE_SIZE <= bytes.len() {
                drain(&mut bytes, out)?;
                progress(keys);
            }
        }
    }
    out.write_all(&bytes)?;
    progress(keys);
    Ok(keys)
}

/// Writes out what has been gathered.
fn drain(bytes: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(bytes)?;
    bytes.clear();
    Ok(())
}

/// Appends the commands that make this entry. Keys whose deadline has come are written like all others: the
/// server that reads them sees for itself. Whenever there is enough to write after a command in the middle of a
/// collection, so that no list need fit into `bytes` as a whole, `drain` is given the chance.
fn write_entry(
    bytes: &mut Vec<u8>,
    entry: &Entry,
    mut drain: impl FnMut(&mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
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
        return Ok(());
    }
    if let Some(list) = entry.list() {
        let mut items = list.iter();
        while 0 < items.len() {
            let mut len = 0;
            let fits = items.clone().take(ELEMENTS_PER_COMMAND).take_while(|item| {
                let fits = len < WRITE_SIZE;
                len += item.len_bytes();
                fits
            });
            let count = fits.count();
            if WRITE_SIZE < bytes.len() + len {
                drain(bytes)?;
            }
            push_header(bytes, b'*', 2 + count);
            push_bulk(bytes, b"RPUSH");
            push_bulk(bytes, key);
            for item in items.by_ref().take(count) {
                item.with_bytes(|text| push_bulk(bytes, text));
            }
            if WRITE_SIZE <= bytes.len() {
                drain(bytes)?;
            }
        }
    }
    if let Some(deadline) = deadline {
        push_command(bytes, &[b"PEXPIREAT", key, deadline]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::date::UnixMs;
    use crate::config::Settings;
    use crate::data::keyspace::Keyspace;
    use crate::engine::replay::Replayed;
    use crate::resp::request::{Batch, Input, Limits, Parser, Request};
    use crate::state::session::Session;

    fn run(engine: &mut Engine, token: usize, args: &[&[u8]]) {
        let request = Request::new(args.iter().copied());
        engine.enter(token);
        let prepared = engine.prepare(token, request.args());
        engine.run(token, request.args(), prepared);
        engine.leave(token);
    }

    /// Strings of every form, short and long lists, elements of every form, deadlines, two databases.
    fn filled() -> Engine {
        let mut engine = Engine::new(Settings::default(), 1);
        let token = engine.open_session(Session::default());
        engine.set_now(UnixMs(1000));
        let big = vec![b'B'; 100_000];
        run(&mut engine, token, &[b"SET", b"int", b"-7"]);
        run(&mut engine, token, &[b"SET", b"text", b"a\r\nb", b"PX", b"500"]);
        run(&mut engine, token, &[b"SET", b"big", &big]);
        for number in 0..1000 {
            let text = number.to_string();
            run(&mut engine, token, &[b"RPUSH", b"numbers", text.as_bytes()]);
        }
        for (key, elements) in [(&b"one"[..], 1), (b"whole chunk", 64), (b"chunk and one", 65)] {
            for _ in 0..elements {
                run(&mut engine, token, &[b"LPUSH", key, b"x\0y"]);
            }
        }
        engine.state.sessions[token].database = 3;
        for _ in 0..20 {
            run(&mut engine, token, &[b"RPUSH", b"big ones", b"", &big, b"9223372036854775807", b"007"]);
        }
        let key = engine.keys.key(b"big ones");
        engine.keys.enter(UnixMs(1000), 3);
        engine.keys.set_deadline(key, Some(UnixMs(9999)));
        engine
    }

    /// Database, key, deadline and values.
    type Found = (usize, Vec<u8>, Option<i64>, Vec<Vec<u8>>);

    /// Everything that is there, in an order of its own.
    fn contents(keys: &Keyspace) -> Vec<Found> {
        let mut found = Vec::new();
        for (number, database) in keys.databases().iter().enumerate() {
            for entry in database.table().iter() {
                let values = match (entry.string(), entry.list()) {
                    (Some(text), _) => vec![text.bytes(&mut [0; 20]).to_vec()],
                    (_, Some(list)) => list.iter().map(|item| item.to_vec()).collect(),
                    _ => Vec::new(),
                };
                found.push((number, entry.key().to_vec(), entry.deadline().map(|at| at.0), values));
            }
        }
        found.sort();
        found
    }

    /// Takes bytes and remembers the largest piece.
    #[derive(Default)]
    struct Pieces {
        bytes: Vec<u8>,
        longest: usize,
    }

    impl Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.bytes.extend_from_slice(piece);
            self.longest = self.longest.max(piece.len());
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_snapshot_replayed_is_the_same_data() {
        let engine = filled();
        let mut out = Pieces::default();
        let mut heard = 0;
        let keys = write_snapshot(&engine, &mut out, |keys| heard = keys).expect("writing to memory");
        assert_eq!((keys, heard), (8, 8));
        assert!(out.longest < WRITE_SIZE + 110_000, "{} bytes were gathered", out.longest);

        let mut copy = Engine::new(Settings::default(), 2);
        let token = copy.begin_replay();
        let (mut parser, mut input, mut batch) = (Parser::default(), Input::new(4096), Batch::default());
        let mut bytes = &out.bytes[..];
        let mut commands: Vec<(String, usize)> = Vec::new();
        while !bytes.is_empty() {
            parser.begin(&mut input);
            let taken = parser.feed(&mut input, bytes);
            bytes = &bytes[taken..];
            loop {
                let parsed = parser.parse(&mut input, &mut batch, 16, &Limits::default());
                assert!(parsed.error().is_none());
                for args in parsed.iter() {
                    let name = String::from_utf8_lossy(args.get(0)).into_owned();
                    if name.starts_with('#') {
                        continue;
                    }
                    let prepared = copy.prepare_replay(token, args);
                    assert_eq!(copy.replay(token, args, prepared), Replayed::Done, "{args:?}");
                    commands.push((name, args.len()));
                }
                if !parsed.more() {
                    break;
                }
            }
            parser.finish(&mut input);
        }
        copy.end_replay(token);
        assert!(contents(&copy.keys) == contents(&engine.keys), "the copy differs");
        // The command and the key stand before the elements.
        let pushed: usize =
            commands.iter().filter(|(name, _)| name == "RPUSH").map(|(_, args)| args - 2).sum();
        assert_eq!(pushed, 1000 + 1 + 64 + 65 + 80);
        assert!(commands.iter().all(|(_, args)| *args <= 2 + ELEMENTS_PER_COMMAND));
    }
}
