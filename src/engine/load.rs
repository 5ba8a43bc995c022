//! Keys of an RDB file, put where they belong.

use crate::base::date::UnixMs;
use crate::command::dump;
use crate::data::keyspace::Key;
use crate::data::rdb::Limits;
use crate::data::rdb::file::Loaded;
use crate::engine::Engine;

/// What became of a key of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is there.
    Loaded,
    /// Its deadline had come.
    Expired,
}

impl Engine {
    /// What decides how values of a file are stored.
    pub fn load_limits(&self) -> Limits {
        dump::limits(&self.state, &self.keys)
    }

    /// Puts a key of a file into its database, unless it expired up to `now` (zero: nothing has). `merge`: a key that
    /// is there is replaced. Date and database of the engine are as in a replay afterwards.
    ///
    /// # Errors
    ///
    /// There is no such database, or the key is there.
    pub fn load_key(&mut self, loaded: Loaded, now: UnixMs, merge: bool) -> Result<Outcome, String> {
        let Loaded { database, entry, deadline, used } = loaded;
        let databases = self.keys.databases().len();
        let Some(database) = usize::try_from(database).ok().filter(|number| *number < databases) else {
            return Err(format!("it has a database {database}, but only {databases} are configured"));
        };
        if deadline.is_some_and(|at| at <= now) {
            return Ok(Outcome::Expired);
        }
        self.keys.enter(UnixMs::ZERO, database);
        let key = self.keys.key(entry.key());
        if self.keys.stored(key).is_some() {
            if !merge {
                return Err(format!("it has the key '{}' twice", key.bytes.escape_ascii()));
            }
            self.keys.delete_stored(key);
        }
        let hash = key.hash;
        self.state.persistence.note(&entry);
        if deadline.is_none() && used.is_none() {
            self.keys.insert(hash, entry);
            return Ok(Outcome::Loaded);
        }
        let name = entry.key().to_vec();
        self.keys.insert(hash, entry);
        let key = Key { bytes: &name, hash };
        self.keys.set_deadline(key, deadline);
        if let Some(used) = used {
            dump::note_use(&mut self.keys, key, used);
        }
        Ok(Outcome::Loaded)
    }

    /// So many keys will come into a database.
    pub fn reserve_in(&mut self, database: u64, keys: usize) {
        if let Ok(database) = usize::try_from(database)
            && database < self.keys.databases().len()
        {
            self.keys.reserve(database, keys);
        }
    }
}
