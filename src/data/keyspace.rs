//! The databases: entries by key, the index of deadlines, and what is waiting to be freed.
//!
//! Commands see the database that is selected at the date that is set ([`Keyspace::enter`]); both stay as they
//! are while a command runs. A key whose deadline has come is removed by whoever looks it up ([`Keyspace::read`],
//! [`Keyspace::write`]), so that nobody sees it, and its name is kept in [`Keyspace::take_expired`] for the log.
//!
//! Invariant: an entry has a deadline exactly if the index of its database holds a record with its ticket.
//! Invariant: at date zero nothing expires; replay of a log runs there.

mod evict;
mod fields;
mod jump;

pub use self::evict::{Choice, Evicted, Eviction};
pub use self::fields::ExpiredFields;

use self::evict::Pool;
use self::jump::Jumps;
use crate::base::date::UnixMs;
use crate::base::random::Random;
use crate::data::entry::{Entry, Value};
use crate::data::expiry::{Expiry, Moved, Sample};
use crate::data::hash::Hash;
use crate::data::table::{Hasher, Resizing, Table};

/// A key and its hash.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The bytes of the key.
    pub bytes: &'a [u8],
    /// Their hash under the keyspace's seed.
    pub hash: u64,
}

/// A key that is new, or that was asked for and is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    /// Its database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// It is new.
    pub is_new: bool,
}

/// What becomes of a key's deadline when its value is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deadline {
    /// It stays as it is.
    Keep,
    /// The key has none.
    Clear,
    /// The key expires then.
    At(UnixMs),
}

/// Counters of what was looked up and removed.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    /// Reads that found the key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their deadline had come.
    pub expired: u64,
    /// Fields of hashes removed because their deadline had come.
    pub expired_fields: u64,
    /// Keys, and fields, of those that would not have been due yet, had the clock not been set forward.
    pub expired_by_jump: [u64; 2],
    /// Removed things that have been freed in slices.
    pub freed: u64,
}

/// How access bits are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AccessPolicy {
    /// 24 bits of seconds: when the key was last used.
    #[default]
    Lru,
    /// 16 bits of minutes and 8 of a logarithmic counter: how often it is used.
    Lfu {
        /// The larger, the slower the counter grows.
        log_factor: u32,
        /// Minutes for the counter to fall by one; 0 = never.
        decay_minutes: u32,
    },
}

/// A fresh LFU counter: not so low that a new key is the first to go.
const LFU_INITIAL: u32 = 5;

/// One database.
#[derive(Default)]
pub struct Database {
    table: Table<Entry>,
    expiry: Expiry,
    /// Hashes with field deadlines.
    fields: Expiry,
}

impl Database {
    /// Number of keys, those included whose deadline has come but which nobody has looked up since.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The table of entries.
    pub fn table(&self) -> &Table<Entry> {
        &self.table
    }

    /// The index of deadlines.
    pub fn expiry(&self) -> &Expiry {
        &self.expiry
    }
}

/// Something whose memory is given back in slices.
enum Garbage {
    Entry(Entry),
    Table(Table<Entry>),
    Expiry(Box<Expiry>),
}

/// All databases.
pub struct Keyspace {
    databases: Vec<Database>,
    hasher: Hasher,
    selected: usize,
    now: UnixMs,
    /// Whether reading a key changes its access bits (`CLIENT NO-TOUCH`, a snapshot child sharing the pages).
    pub touching: bool,
    /// The clock of access bits, in seconds.
    access_secs: u32,
    /// How access bits are kept.
    pub access_policy: AccessPolicy,
    /// Whether expired keys are hidden from readers only, and stay (`CLIENT PAUSE`).
    pub keeping: bool,
    /// Whether keys that are missed, and keys that are new, are noted for those who want to hear of it.
    pub noting: bool,
    noted: Vec<Noted>,
    /// Counters since the start or `CONFIG RESETSTAT`.
    pub counters: Counters,
    /// Random numbers for samples and LFU.
    pub random: Random,
    expired: Vec<(usize, Box<[u8]>)>,
    expired_fields: Vec<ExpiredFields>,
    sample: Sample,
    garbage: Vec<Garbage>,
    /// Keys that may make room.
    pool: Pool,
    jumps: Jumps,
}

impl Keyspace {
    /// `databases` empty databases; `seed` decides the hash and every random choice.
    pub fn new(databases: usize, seed: u64) -> Keyspace {
        let mut random = Random::seeded(seed);
        let hasher =
            Hasher::new([random.next_u64(), random.next_u64(), random.next_u64(), random.next_u64()]);
        Keyspace {
            databases: (0..databases).map(|_| Database::default()).collect(),
            hasher,
            selected: 0,
            now: UnixMs::ZERO,
            touching: true,
            access_secs: 0,
            access_policy: AccessPolicy::default(),
            keeping: false,
            noting: false,
            noted: Vec::new(),
            counters: Counters::default(),
            random,
            expired: Vec::new(),
            expired_fields: Vec::new(),
            sample: Sample::default(),
            garbage: Vec::new(),
            pool: Pool::default(),
            jumps: Jumps::default(),
        }
    }

    /// The key of these bytes.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    /// The hasher of keys, and of the fields and members of collections.
    #[inline]
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Sets date and database for the next command.
    #[inline]
    pub fn enter(&mut self, now: UnixMs, database: usize) {
        self.now = now;
        self.selected = database;
        // Replay, at date zero, leaves the access clock where it is: keys that are loaded count as used now.
        if now != UnixMs::ZERO {
            self.access_secs = self.jumps.access_secs(now);
        }
    }

    /// The date at which the command runs.
    #[inline]
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// Index of the selected database.
    #[inline]
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// Selects another database, for the commands that reach across; returns the one before.
    pub fn select(&mut self, database: usize) -> usize {
        std::mem::replace(&mut self.selected, database)
    }

    /// The databases in order.
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// The selected database.
    pub fn database(&self) -> &Database {
        &self.databases[self.selected]
    }

    /// Asks the cache for the bucket of a key.
    #[inline]
    pub fn prefetch(&self, database: usize, hash: u64) {
        self.databases[database].table.prefetch(hash);
    }

    /// Asks the cache for the entry of a key whose bucket has arrived.
    #[inline]
    pub fn prefetch_entry(&self, database: usize, hash: u64) {
        self.databases[database].table.prefetch_element(hash);
    }

    /// The entry of a key for reading: counts a hit or miss and notes the access.
    #[inline]
    pub fn read(&mut self, key: Key<'_>) -> Option<&Entry> {
        self.read_with(key, self.touching)
    }

    /// As [`Keyspace::read`], but leaves the access bits alone.
    pub fn read_untouched(&mut self, key: Key<'_>) -> Option<&Entry> {
        self.read_with(key, false)
    }

    #[inline]
    fn read_with(&mut self, key: Key<'_>, touch: bool) -> Option<&Entry> {
        let hidden = self.expire_if_due(key);
        let access = if touch { Some(self.access_now()) } else { None };
        let entry = self.databases[self.selected].table.get(key.bytes, key.hash);
        let Some(entry) = entry.filter(|_| !hidden) else {
            self.counters.misses += 1;
            if self.noting {
                self.noted.push(Noted { database: self.selected, key: key.bytes.into(), is_new: false });
            }
            return None;
        };
        self.counters.hits += 1;
        if let Some(access) = access {
            access.note(entry, &mut self.random);
        }
        Some(entry)
    }

    /// The entry of a key, neither counted nor noted.
    pub fn peek(&mut self, key: Key<'_>) -> Option<&Entry> {
        let hidden = self.expire_if_due(key);
        self.databases[self.selected].table.get(key.bytes, key.hash).filter(|_| !hidden)
    }

    /// The entry of a key as it lies there, even if its deadline has come.
    pub fn stored(&self, key: Key<'_>) -> Option<&Entry> {
        self.databases[self.selected].table.get(key.bytes, key.hash)
    }

    /// The entry of a key for changing its value. Its deadline is changed by [`Keyspace::set_deadline`] only.
    #[inline]
    pub fn write(&mut self, key: Key<'_>) -> Option<&mut Entry> {
        self.expire_if_due(key);
        let access = self.access_now();
        let entry = self.databases[self.selected].table.get_mut(key.bytes, key.hash)?;
        if self.touching {
            access.note(entry, &mut self.random);
        }
        Some(entry)
    }

    /// Stores a value under a key, whatever was there. Returns whether the key was there.
    #[inline]
    pub fn set(&mut self, key: Key<'_>, value: Value<'_>, deadline: Deadline) -> bool {
        self.expire_if_due(key);
        let (fresh, now) = (self.access_now(), self.now);
        let is_hash = matches!(value, Value::Hash(_));
        let database = &mut self.databases[self.selected];
        if !database.fields.is_empty() {
            let old = database.table.get(key.bytes, key.hash).and_then(Entry::hash);
            database.forget_fields(old.and_then(Hash::ticket));
        }
        let Some(entry) = database.table.get_mut(key.bytes, key.hash) else {
            let mut entry = Entry::new(key.bytes, value);
            entry.set_access(fresh.initial());
            database.take_up_fields(key.hash, &mut entry, now);
            database.table.insert(key.hash, entry, &self.hasher);
            self.note(key.bytes, true);
            if let Deadline::At(at) = deadline {
                self.set_deadline(key, Some(at));
            }
            return false;
        };
        if self.touching {
            fresh.note(entry, &mut self.random);
        }
        if entry.is_heavy() {
            let successor = entry.with_value(value);
            self.garbage.push(Garbage::Entry(std::mem::replace(entry, successor)));
        } else {
            entry.set_value(value);
        }
        match deadline {
            Deadline::Keep => {}
            Deadline::Clear if entry.deadline().is_none() => {}
            Deadline::Clear => self.set_deadline(key, None),
            Deadline::At(at) => self.set_deadline(key, Some(at)),
        }
        if is_hash {
            self.field_deadlines_changed(key);
        }
        true
    }

    /// Puts an entry without a deadline under its own key, which is known to be free.
    pub fn insert(&mut self, hash: u64, mut entry: Entry) -> &mut Entry {
        entry.set_access(self.access_now().initial());
        self.note(entry.key(), true);
        self.databases[self.selected].take_up_fields(hash, &mut entry, self.now);
        self.databases[self.selected].table.insert(hash, entry, &self.hasher)
    }

    /// Puts an entry that was renamed, moved or copied under its own key, whatever was there. Its access bits
    /// stay as they are; what it notes of a deadline is replaced by this one.
    pub fn put(&mut self, key: Key<'_>, mut entry: Entry, deadline: Option<UnixMs>) {
        debug_assert_eq!(key.bytes, entry.key(), "an entry stands under its own key");
        self.delete(key);
        // The ticket is that of the record under the old name, which is gone.
        entry.clear_deadline();
        self.databases[self.selected].take_up_fields(key.hash, &mut entry, self.now);
        self.databases[self.selected].table.insert(key.hash, entry, &self.hasher);
        self.note(key.bytes, true);
        self.set_deadline(key, deadline);
    }

    /// Takes a key out, with its deadline still noted in the entry but no longer in the index.
    pub fn remove(&mut self, key: Key<'_>) -> Option<Entry> {
        self.expire_if_due(key);
        self.remove_stored(key)
    }

    /// Removes a key; what is heavy is freed in slices. Returns whether it was there.
    pub fn delete(&mut self, key: Key<'_>) -> bool {
        let removed = self.remove(key);
        let was_there = removed.is_some();
        self.discard(removed);
        was_there
    }

    /// Removes a key even if its deadline has come, without noting that it expired.
    pub fn delete_stored(&mut self, key: Key<'_>) {
        let removed = self.remove_stored(key);
        self.discard(removed);
    }

    fn discard(&mut self, entry: Option<Entry>) {
        if let Some(entry) = entry
            && entry.is_heavy()
        {
            self.garbage.push(Garbage::Entry(entry));
        }
    }

    fn remove_stored(&mut self, key: Key<'_>) -> Option<Entry> {
        let database = &mut self.databases[self.selected];
        let entry = database.table.remove(key.bytes, key.hash, &self.hasher)?;
        if let Some(ticket) = entry.ticket() {
            let Database { table, expiry, .. } = database;
            expiry.remove(ticket, |moved| renew_ticket(table, moved));
        }
        database.forget_fields(entry.hash().and_then(Hash::ticket));
        Some(entry)
    }

    /// Notes that a key is new, or that it was asked for and is not there, if anybody wants to hear of it.
    #[inline]
    fn note(&mut self, key: &[u8], is_new: bool) {
        if self.noting {
            self.noted.push(Noted { database: self.selected, key: key.into(), is_new });
        }
    }

    /// What was noted since the last call, in order.
    pub fn take_noted(&mut self) -> Vec<Noted> {
        std::mem::take(&mut self.noted)
    }

    /// Sets or clears the deadline of a key that is there.
    pub fn set_deadline(&mut self, key: Key<'_>, deadline: Option<UnixMs>) {
        let now = self.now;
        let Database { table, expiry, .. } = &mut self.databases[self.selected];
        let Some(ticket) = table.get(key.bytes, key.hash).map(Entry::ticket) else { return };
        let ticket = match (ticket, deadline) {
            (None, None) => return,
            (None, Some(at)) => expiry.add(key.hash, at, now),
            (Some(ticket), Some(at)) => {
                expiry.change(ticket, key.hash, at, now, |moved| renew_ticket(table, moved))
            }
            (Some(ticket), None) => {
                if let Some(entry) = table.get_mut(key.bytes, key.hash) {
                    entry.clear_deadline();
                }
                expiry.remove(ticket, |moved| renew_ticket(table, moved));
                return;
            }
        };
        if let (Some(entry), Some(at)) = (table.get_mut(key.bytes, key.hash), deadline) {
            entry.set_deadline(at, ticket);
        }
    }

    /// Removes a key whose deadline has come. Returns whether it is there all the same.
    #[inline]
    fn expire_if_due(&mut self, key: Key<'_>) -> bool {
        let database = &self.databases[self.selected];
        if database.expiry.is_empty() {
            return false;
        }
        let due = database.table.get(key.bytes, key.hash).and_then(Entry::deadline);
        due.is_some_and(|at| at <= self.now) && self.expire(key)
    }

    /// Removes a key whose deadline has come and notes its name for the log, unless such keys are kept.
    #[cold]
    fn expire(&mut self, key: Key<'_>) -> bool {
        if !self.keeping {
            self.count_skipped(key);
            self.delete_stored(key);
            self.counters.expired += 1;
            self.expired.push((self.selected, key.bytes.into()));
        }
        self.keeping
    }

    /// The keys that have expired since the last call, as (database, key), in order.
    pub fn take_expired(&mut self) -> Vec<(usize, Box<[u8]>)> {
        std::mem::take(&mut self.expired)
    }

    /// Whether [`Keyspace::take_expired`] or [`Keyspace::take_expired_fields`] has something.
    #[inline]
    pub fn has_expired(&self) -> bool {
        !self.expired.is_empty() || !self.expired_fields.is_empty()
    }

    /// One cycle of active expiry in a database: takes up to 20 keys of the groups that are due and removes those
    /// whose deadline has come. Returns how many were looked at, how many removed, and whether another cycle
    /// would find more.
    pub fn expire_sample(&mut self, database: usize) -> (usize, usize, bool) {
        let before = self.select(database);
        let mut sample = std::mem::take(&mut self.sample);
        let Database { table, expiry, .. } = &mut self.databases[database];
        let more = expiry.sample_due(self.now, &mut sample, |moved| renew_ticket(table, moved));
        let mut removed = 0;
        let now = self.now;
        for held in sample.iter().filter(|held| held.deadline <= now) {
            let table = &self.databases[database].table;
            let found = table.find_by(held.hash, |entry| entry.ticket() == Some(held.ticket));
            if let Some(name) = found.map(|entry| Box::<[u8]>::from(entry.key())) {
                self.expire(Key { bytes: &name, hash: held.hash });
                removed += 1;
            }
        }
        let looked = sample.len();
        self.sample = sample;
        self.selected = before;
        (looked, removed, more)
    }

    /// Moves up to `records` records of a database's index inward. Returns whether there is more to move.
    pub fn advance_expiry(&mut self, database: usize, records: usize) -> bool {
        let now = self.now;
        let Database { table, expiry, .. } = &mut self.databases[database];
        expiry.advance(now, records, |moved| renew_ticket(table, moved))
    }

    /// A random key of the selected database that has not expired; `None` if there is none.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        // Deadlines that have come are found out by looking. Where hardly anything else is left, what comes
        // first will do.
        for _ in 0..100 {
            let random = &mut self.random;
            let name = self.databases[self.selected].table.random(|n| random.below(n))?.key().to_vec();
            let key = self.key(&name);
            if self.peek(key).is_some() {
                return Some(name);
            }
        }
        let live = |entry: &&Entry| entry.deadline().is_none_or(|at| self.now < at);
        self.database().table.iter().find(live).map(|entry| entry.key().to_vec())
    }

    /// Empties a database. Returns how many keys it had; their memory is freed in slices.
    pub fn flush(&mut self, database: usize) -> usize {
        if self.databases[database].is_empty() {
            return 0;
        }
        let old = std::mem::take(&mut self.databases[database]);
        let keys = old.len();
        self.garbage.push(Garbage::Table(old.table));
        self.garbage.push(Garbage::Expiry(Box::new(old.expiry)));
        if !old.fields.is_empty() {
            self.garbage.push(Garbage::Expiry(Box::new(old.fields)));
        }
        keys
    }

    /// Makes room for so many more keys in a database.
    pub fn reserve(&mut self, database: usize, keys: usize) {
        self.databases[database].table.reserve(keys);
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.databases.swap(a, b);
    }

    /// One step of a scan of the selected database; see [`Table::scan`]. Expired keys are passed over, for the
    /// reader's and the tick's sake they stay where they are.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&Entry)) -> u64 {
        let now = self.now;
        self.database().table.scan(cursor, |entry| {
            if entry.deadline().is_none_or(|at| now < at) {
                visit(entry);
            }
        })
    }

    /// Visits every key of the selected database that has not expired.
    pub fn for_each(&self, mut visit: impl FnMut(&Entry)) {
        for entry in self.database().table.iter() {
            if entry.deadline().is_none_or(|at| self.now < at) {
                visit(entry);
            }
        }
    }

    /// Moves some buckets of tables that are growing or shrinking. Returns whether there is more to do.
    pub fn step_tables(&mut self, buckets: usize) -> bool {
        let hasher = &self.hasher;
        self.databases.iter_mut().fold(false, |more, database| database.table.step(buckets, hasher) | more)
    }

    /// Says how tables may resize, those inside of collections too: a snapshot child may share their pages.
    pub fn set_resizing(&mut self, resizing: Resizing) {
        self.hasher.set_resizing(resizing);
    }

    /// Frees some of what was removed: about `units` buckets or nodes. Returns whether there is more.
    pub fn free_some(&mut self, units: usize) -> bool {
        let Some(garbage) = self.garbage.last_mut() else { return false };
        let more = match garbage {
            Garbage::Entry(entry) => entry.collection_mut().is_some_and(|it| it.free_some(units)),
            Garbage::Table(table) => table.free_some(units),
            Garbage::Expiry(expiry) => expiry.free_some(units),
        };
        if !more {
            self.garbage.pop();
            self.counters.freed += 1;
        }
        !self.garbage.is_empty()
    }

    /// How many removed things wait to be freed.
    pub fn garbage_len(&self) -> usize {
        self.garbage.len()
    }

    #[inline]
    fn access_now(&self) -> AccessNow {
        AccessNow { policy: self.access_policy, seconds: self.access_secs }
    }

    /// Seconds since the entry was last used, under an LRU policy.
    pub fn idle_seconds(&self, entry: &Entry) -> u32 {
        let now = self.access_secs & 0x00ff_ffff;
        now.wrapping_sub(entry.access()) & 0x00ff_ffff
    }

    /// The access bits of a key that was last used so many seconds ago; `None` under an LFU policy.
    pub fn access_idle(&self, seconds: u64) -> Option<u32> {
        // Beyond half of what the bits can tell, an age would look like a date to come.
        let seconds = seconds.min(0x007f_ffff) as u32;
        let is_lru = self.access_policy == AccessPolicy::Lru;
        is_lru.then_some(self.access_secs.wrapping_sub(seconds) & 0x00ff_ffff)
    }

    /// The access bits of a key with this LFU counter; `None` under any other policy.
    pub fn access_frequent(&self, counter: u8) -> Option<u32> {
        let is_lfu = self.access_policy != AccessPolicy::Lru;
        is_lfu.then_some(self.access_now().minutes() << 8 | u32::from(counter))
    }

    /// The LFU counter of the entry as it stands now, under an LFU policy.
    pub fn frequency(&self, entry: &Entry) -> u32 {
        self.access_now().decayed(entry)
    }
}

/// A record of the index has moved: its entry learns the new ticket.
fn renew_ticket(table: &mut Table<Entry>, moved: Moved) {
    let entry = table.find_by_mut(moved.hash, |entry| entry.ticket() == Some(moved.from));
    debug_assert!(entry.is_some(), "a record of the index belongs to an entry");
    if let Some(entry) = entry
        && let Some(deadline) = entry.deadline()
    {
        entry.set_deadline(deadline, moved.to);
    }
}

/// The access clock at one moment.
#[derive(Clone, Copy)]
struct AccessNow {
    policy: AccessPolicy,
    seconds: u32,
}

impl AccessNow {
    fn minutes(self) -> u32 {
        (self.seconds / 60) & 0xffff
    }

    fn initial(self) -> u32 {
        match self.policy {
            AccessPolicy::Lru => self.seconds & 0x00ff_ffff,
            AccessPolicy::Lfu { .. } => self.minutes() << 8 | LFU_INITIAL,
        }
    }

    fn decayed(self, entry: &Entry) -> u32 {
        let (access, counter) = (entry.access(), entry.access() & 0xff);
        match self.policy {
            AccessPolicy::Lfu { decay_minutes, .. } if 0 < decay_minutes => {
                let elapsed = self.minutes().wrapping_sub(access >> 8) & 0xffff;
                counter.saturating_sub(elapsed / decay_minutes)
            }
            _ => counter,
        }
    }

    #[inline]
    fn note(self, entry: &Entry, random: &mut Random) {
        match self.policy {
            AccessPolicy::Lru => {
                let access = self.seconds & 0x00ff_ffff;
                // Written only when it differs: a page shared with a snapshot child stays shared.
                if entry.access() != access {
                    entry.set_access(access);
                }
            }
            AccessPolicy::Lfu { log_factor, .. } => self.note_use(entry, log_factor, random),
        }
    }

    #[cold]
    fn note_use(self, entry: &Entry, log_factor: u32, random: &mut Random) {
        let mut counter = self.decayed(entry);
        if counter < 255 {
            let above = u64::from(counter.saturating_sub(LFU_INITIAL));
            if random.below(above * u64::from(log_factor) + 1) == 0 {
                counter += 1;
            }
        }
        entry.set_access(self.minutes() << 8 | counter);
    }
}

#[cfg(test)]
mod tests;
