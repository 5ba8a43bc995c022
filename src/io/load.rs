//! Loading: the requests of the log, run again by the engine.

use crate::base::date::UnixMs;
use crate::base::number::parse_u64;
use crate::data::rdb::Limits;
use crate::data::rdb::file::Loaded;
use crate::engine::Engine;
use crate::engine::load::Outcome;
use crate::engine::replay::Replayed;
use crate::engine::snapshot::KEYS_NOTE;
use crate::io::aof::reader::Sink;
use crate::io::aof::record::Request;
use crate::io::rdb::Keys;

/// A key takes at least this much of a log.
const KEY_BYTES_MIN: u64 = 24;

/// Requests of a log being run again, or keys of an RDB file put in their places.
pub struct Replay {
    token: usize,
    logging: bool,
    /// What is going on with RDB files.
    pub rdb: Rdb,
}

/// How keys of an RDB file are taken.
#[derive(Clone, Copy, Default)]
pub struct Rdb {
    /// Those that expired up to here are left out; zero: none. In a log none may be, since what follows counts on them.
    pub drop_before: UnixMs,
    /// A key that is there already is replaced.
    pub merge: bool,
}

impl Replay {
    /// Begins: nothing of what follows is logged, and nothing expires.
    pub fn begin(engine: &mut Engine, rdb: Rdb) -> Replay {
        let logging = engine.state.log.enabled;
        let figures = &mut engine.state.persistence;
        (figures.rdb_keys_loaded, figures.rdb_keys_expired) = (0, 0);
        Replay { token: engine.begin_replay(), logging, rdb }
    }

    /// Puts one key of an RDB file where it belongs.
    ///
    /// # Errors
    ///
    /// What makes the file unusable.
    pub fn key(&self, engine: &mut Engine, key: Loaded) -> Result<(), String> {
        let outcome = engine.load_key(key, self.rdb.drop_before, self.rdb.merge)?;
        let figures = &mut engine.state.persistence;
        match outcome {
            Outcome::Loaded => figures.rdb_keys_loaded += 1,
            Outcome::Expired => figures.rdb_keys_expired += 1,
        }
        Ok(())
    }

    /// Runs one request.
    ///
    /// # Errors
    ///
    /// What makes the log unusable.
    pub fn request(&self, engine: &mut Engine, request: Request<'_>) -> Result<(), String> {
        let args = request.args();
        let prepared = engine.prepare_replay(self.token, args);
        match engine.replay(self.token, args, prepared) {
            Replayed::Done => Ok(()),
            Replayed::Refused => {
                // As it was refused when it came first, perhaps; another server's log may hold such.
                if let Some(loading) = &mut engine.state.persistence.loading {
                    loading.refused += 1;
                }
                Ok(())
            }
            Replayed::Unknown => {
                let name = String::from_utf8_lossy(&args.get(0)[..args.get(0).len().min(64)]).into_owned();
                Err(format!("unknown command '{name}'"))
            }
        }
    }

    /// Asks the cache for what a request will need.
    pub fn soon(&self, engine: &Engine, request: Request<'_>) {
        engine.prepare(self.token, request.args());
    }

    /// Sizes the table ahead, if the line says how many keys follow. `bytes_max` bounds what is believed.
    pub fn note(&self, engine: &mut Engine, line: &[u8], bytes_max: u64) {
        let keys = line
            .strip_prefix(KEYS_NOTE.as_bytes())
            .and_then(|rest| parse_u64(rest.trim_ascii_end()))
            .filter(|keys| *keys <= bytes_max / KEY_BYTES_MIN);
        if let Some(keys) = keys {
            engine.reserve(self.token, keys as usize);
        }
    }

    /// Ends; the date is `now` again.
    pub fn end(self, engine: &mut Engine, now: UnixMs) {
        engine.end_replay(self.token);
        engine.state.log.enabled = self.logging;
        engine.set_now(now);
    }

    /// The replay pauses while waiting clients are answered, at the date that is set meanwhile.
    pub fn pause(&self, engine: &mut Engine) {
        engine.leave(self.token);
    }

    /// And goes on.
    pub fn resume(&self, engine: &mut Engine) {
        engine.set_now(UnixMs::ZERO);
        engine.enter(self.token);
    }
}

/// Loads without answering anybody meanwhile.
pub struct Quietly<'a> {
    /// Where the data goes.
    pub engine: &'a mut Engine,
    /// The replay that was begun.
    pub replay: &'a Replay,
}

impl Sink for Quietly<'_> {
    fn request(&mut self, request: Request<'_>) -> Result<(), String> {
        self.replay.request(self.engine, request)
    }

    fn soon(&mut self, request: Request<'_>) {
        self.replay.soon(self.engine, request);
    }

    fn rdb(&mut self) -> Option<&mut dyn Keys> {
        Some(self)
    }
}

impl Keys for Quietly<'_> {
    fn limits(&self) -> Limits {
        self.engine.load_limits()
    }

    fn checks(&self) -> bool {
        self.engine.state.settings.rdbchecksum
    }

    fn key(&mut self, key: Loaded) -> Result<(), String> {
        self.replay.key(self.engine, key)
    }

    fn reserve(&mut self, database: u64, keys: usize) {
        self.engine.reserve_in(database, keys);
    }

    fn progress(&mut self, _bytes: u64) {}
}
