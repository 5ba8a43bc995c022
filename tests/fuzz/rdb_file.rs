//! RDB files: refused, or the same data when they are written again.

use kvick::base::date::UnixMs;
use kvick::config::Settings;
use kvick::data::rdb::file::{File, Item};
use kvick::data::rdb::{Limits, Slice, crc64};
use kvick::engine::Engine;
use kvick::engine::snapshot::rdb::write_rdb;

use super::payload::PROPORTION;
use super::play::{Play, contents};

/// Reads a file into an engine; `None` if it is refused.
fn load(bytes: &[u8], check: bool) -> Option<Engine> {
    let mut engine = Engine::new(Settings::default(), 7);
    let limits: Limits = engine.load_limits();
    let mut source = Slice::new(bytes);
    let mut file = File::begin(&mut source).ok()?;
    loop {
        match file.next(&mut source, &limits, check).ok()? {
            Item::End => return Some(engine),
            Item::Key(key) => {
                assert!(key.entry.memory() <= 4096 + PROPORTION * bytes.len());
                engine.load_key(key, UnixMs::ZERO, false).ok()?;
            }
            Item::Reserve { database, keys } => {
                assert!(keys <= bytes.len());
                engine.reserve_in(database, keys);
            }
            Item::Empty(_) => {}
        }
    }
}

/// Runs the target.
pub fn run(data: &[u8]) {
    load(data, true);
    let mut whole = data.to_vec();
    whole.push(0xff);
    whole.extend_from_slice(&crc64::update(0, &whole).to_le_bytes());
    for (bytes, check) in [(data, false), (&whole, true)] {
        let Some(engine) = load(bytes, check) else { continue };
        let mut written = Vec::new();
        write_rdb(&engine, false, &mut written, |_| {}).expect("memory takes it");
        let again = load(&written, true).expect("just written");
        assert_eq!(contents(&engine.keys), contents(&again.keys));
    }
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut play = Play::new(1);
    for words in [
        "SET s hello PX 100000",
        "SET n 12",
        "RPUSH l a b",
        "SADD t a b",
        "HSET h f v",
        "ZADD z 1 a",
        "XADD x 1-1 f v",
        "HPEXPIRE h 99999 FIELDS 1 f",
        "SELECT 3",
        "SET other 1",
    ] {
        play.ask(0, &words.split(' ').collect::<Vec<_>>());
    }
    let mut bytes = Vec::new();
    write_rdb(&play.engine, false, &mut bytes, |_| {}).expect("memory takes it");
    let open = bytes[..bytes.len() - 9].to_vec();
    let short =
        b"REDIS0006\xfe\x00\xfd\x00\x00\x00\x7f\x00\x01k\x01v\xf8\x05\xf9\x07\x01\x01l\x01\x01a".to_vec();
    let valkey = b"VALKEY080\xfa\x01a\x01b\xfe\x01\xfb\x01\x00\x00\x01k\xc3\x04\x0a\x01aa\x20\x00".to_vec();
    vec![bytes, open, short, valkey]
}
