//! The whole data as commands: what a rewritten log begins with.

mod hash;
pub mod rdb;
mod set;
mod stream;
mod zset;

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
    let mut commands = Commands::new(out);
    let mut keys = 0;
    for (number, database) in engine.keys.databases().iter().enumerate() {
        if database.is_empty() {
            continue;
        }
        commands.push(&[b"SELECT", number.to_string().as_bytes()]);
        commands.bytes.extend_from_slice(format!("{KEYS_NOTE}{}\r\n", database.len()).as_bytes());
        for entry in database.table().iter() {
            write_entry(&mut commands, entry)?;
            keys += 1;
            if WRITE_SIZE <= commands.bytes.len() {
                commands.drain()?;
                progress(keys);
            }
        }
    }
    commands.drain()?;
    progress(keys);
    Ok(keys)
}

/// Where commands are gathered before they are written.
struct Commands<'w, W: Write> {
    bytes: Vec<u8>,
    /// Arguments of a command whose number is not known yet.
    arguments: Vec<u8>,
    out: &'w mut W,
}

impl<'w, W: Write> Commands<'w, W> {
    fn new(out: &'w mut W) -> Self {
        Commands { bytes: Vec::with_capacity(WRITE_SIZE + WRITE_SIZE / 4), arguments: Vec::new(), out }
    }

    /// Adds a command.
    fn push(&mut self, args: &[&[u8]]) {
        push_command(&mut self.bytes, args);
    }

    /// Writes out what has been gathered, once it is much.
    fn drain_if_full(&mut self) -> io::Result<()> {
        if WRITE_SIZE <= self.bytes.len() { self.drain() } else { Ok(()) }
    }

    /// Writes out what has been gathered.
    fn drain(&mut self) -> io::Result<()> {
        self.out.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }

    /// Adds commands `name key argument…` that take up to [`ELEMENTS_PER_COMMAND`] elements each, fewer if they are
    /// large; `push` adds the arguments of one element and returns how many they are. What is gathered is written
    /// on the way, so that no collection need fit into memory a second time.
    fn push_elements<T>(
        &mut self,
        name: &[u8],
        key: &[u8],
        elements: impl Iterator<Item = T>,
        mut push: impl FnMut(&mut Vec<u8>, T) -> usize,
    ) -> io::Result<()> {
        let mut elements = elements.peekable();
        while elements.peek().is_some() {
            let (mut taken, mut count) = (0, 2);
            self.arguments.clear();
            while taken < ELEMENTS_PER_COMMAND
                && self.arguments.len() < WRITE_SIZE
                && let Some(element) = elements.next()
            {
                count += push(&mut self.arguments, element);
                taken += 1;
            }
            if WRITE_SIZE < self.bytes.len() + self.arguments.len() {
                self.drain()?;
            }
            push_header(&mut self.bytes, b'*', count);
            push_bulk(&mut self.bytes, name);
            push_bulk(&mut self.bytes, key);
            self.bytes.extend_from_slice(&self.arguments);
            if WRITE_SIZE <= self.bytes.len() {
                self.drain()?;
            }
        }
        Ok(())
    }
}

/// Adds the commands that make this entry. Keys whose deadline has come are written like all others: the server that
/// reads them sees for itself.
fn write_entry<W: Write>(commands: &mut Commands<'_, W>, entry: &Entry) -> io::Result<()> {
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
            None => commands.push(&[b"SET", key, value]),
            Some(deadline) => commands.push(&[b"SET", key, value, b"PXAT", deadline]),
        }
        return Ok(());
    }
    if let Some(list) = entry.list() {
        commands.push_elements(b"RPUSH", key, list.iter(), |arguments, item| {
            item.with_bytes(|text| push_bulk(arguments, text));
            1
        })?;
    } else if let Some(value) = entry.set() {
        set::write(commands, key, value)?;
    } else if let Some(value) = entry.hash() {
        hash::write(commands, key, value)?;
    } else if let Some(value) = entry.zset() {
        zset::write(commands, key, value)?;
    } else if let Some(value) = entry.stream() {
        stream::write(commands, key, value)?;
    }
    if let Some(deadline) = deadline {
        commands.push(&[b"PEXPIREAT", key, deadline]);
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
