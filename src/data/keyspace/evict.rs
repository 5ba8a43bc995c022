//! Which key makes room when memory is short.
//!
//! As in Redis the best of all keys is not looked for; a few are compared, and what the comparison learns is kept.
//! For the policies that go by use, each call looks at a few keys of every database and puts those that would be
//! missed least into a *pool* of sixteen candidates, where they compete with the best of earlier calls; then the
//! best of the pool goes. So a handful of samples comes close to an exact order.
//!
//! Keys are sampled by whole buckets: which keys share a bucket is up to a secret hash, so they are as random as
//! any, and they cost one look at the table instead of one each. Keys with a deadline come from the index, which
//! gives random ones and, for the policy that goes by deadlines, the soonest ones without any luck.
//!
//! A candidate is remembered by its hash, so nothing is allocated. It is looked at again before it goes: a key
//! that has been used since it was chosen is spared, as is one that no longer has the deadline that made it a
//! candidate. Should two keys share a hash of 64 bits, either may go.

use super::{Database, Key, Keyspace, renew_ticket};
use crate::data::entry::Entry;
use crate::data::hash::Hash;

/// Candidates in the pool.
const POOL_SIZE: usize = 16;

/// Buckets that one call looks at to find its samples; a table may be nearly empty.
const BUCKETS_MAX: usize = 64;

/// By what a key is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// The longest unused.
    Idle,
    /// The least often used.
    Seldom,
    /// Any.
    Random,
    /// The one that falls due first. Only among keys with a deadline.
    Soonest,
}

/// Which keys may go, and which of them goes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Eviction {
    /// Only keys with a deadline may go.
    pub volatile: bool,
    /// By what one of them is chosen.
    pub choice: Choice,
    /// How many keys of a database are looked at for one that goes.
    pub samples: usize,
}

/// A key that was chosen and taken out. Whoever has told of it hands the entry to [`Keyspace::discard_evicted`].
pub struct Evicted {
    /// The database it was in.
    pub database: usize,
    /// Its hash.
    pub hash: u64,
    /// What was there.
    pub entry: Entry,
}

/// A key that may go.
#[derive(Clone, Copy, Default, Debug)]
struct Candidate {
    /// How little it would be missed; comparable under one policy only.
    score: u32,
    database: usize,
    hash: u64,
}

/// The best candidates of all calls so far, best last.
#[derive(Default)]
pub(super) struct Pool {
    candidates: [Candidate; POOL_SIZE],
    len: usize,
    /// The policy by which they were scored.
    scored_by: Option<(bool, Choice)>,
}

impl Pool {
    /// Forgets everything if what was scored was scored by other rules.
    fn scored_by(&mut self, eviction: Eviction) {
        let rules = Some((eviction.volatile, eviction.choice));
        if self.scored_by != rules {
            (self.len, self.scored_by) = (0, rules);
        }
    }

    /// Whether a candidate with this score would be taken in.
    #[inline]
    fn wants(&self, score: u32) -> bool {
        self.len < POOL_SIZE || self.candidates[0].score < score
    }

    /// Takes a candidate in, unless it is there or the pool is full of better ones.
    fn offer(&mut self, candidate: Candidate) {
        let held = &self.candidates[..self.len];
        let same = |other: &Candidate| other.hash == candidate.hash && other.database == candidate.database;
        if held.iter().any(same) {
            return;
        }
        let place = held.partition_point(|other| other.score < candidate.score);
        if self.len < POOL_SIZE {
            self.candidates[place..=self.len].rotate_right(1);
            self.candidates[place] = candidate;
            self.len += 1;
        } else if 0 < place {
            // The worst makes room.
            self.candidates[..place].rotate_left(1);
            self.candidates[place - 1] = candidate;
        }
    }

    fn pop(&mut self) -> Option<Candidate> {
        self.len = self.len.checked_sub(1)?;
        Some(self.candidates[self.len])
    }
}

impl Keyspace {
    /// Chooses a key of any database and takes it out. `None` if there is none that may go.
    pub fn evict(&mut self, eviction: Eviction) -> Option<Evicted> {
        match eviction.choice {
            Choice::Random => self.evict_random(eviction.volatile),
            Choice::Soonest => self.evict_soonest(),
            Choice::Idle | Choice::Seldom => {
                let mut pool = std::mem::take(&mut self.pool);
                pool.scored_by(eviction);
                self.fill(&mut pool, eviction);
                let found = self.evict_best(&mut pool, eviction);
                self.pool = pool;
                // A table that has been emptied faster than it could shrink may show only empty buckets.
                found.or_else(|| self.evict_random(eviction.volatile))
            }
        }
    }

    /// Frees what was evicted, in slices if it is big.
    pub fn discard_evicted(&mut self, evicted: Evicted) {
        self.discard(Some(evicted.entry));
    }

    /// How many keys may go.
    fn candidates(&self, volatile: bool) -> usize {
        self.databases.iter().map(|database| database.candidates(volatile)).sum()
    }

    /// How little a key would be missed.
    fn score(&self, entry: &Entry, choice: Choice) -> u32 {
        match choice {
            Choice::Seldom => 255 - self.frequency(entry),
            _ => self.idle_seconds(entry),
        }
    }

    /// Looks at a few keys of each database and offers them to the pool.
    fn fill(&mut self, pool: &mut Pool, eviction: Eviction) {
        let Eviction { volatile, choice, samples } = eviction;
        let mut random = self.random.clone();
        for (number, database) in self.databases.iter().enumerate() {
            let there = database.candidates(volatile);
            let mut offer = |entry: &Entry| {
                let score = self.score(entry, choice);
                if pool.wants(score) {
                    let hash = self.hasher.hash(entry.key());
                    pool.offer(Candidate { score, database: number, hash });
                }
            };
            if there == 0 {
                continue;
            }
            if volatile {
                for _ in 0..samples.min(there) {
                    let held = database.expiry.random(|n| random.below(n));
                    let found = held.and_then(|held| {
                        database.table.find_by(held.hash, |entry| entry.ticket() == Some(held.ticket))
                    });
                    found.into_iter().for_each(&mut offer);
                }
                continue;
            }
            let (mut seen, mut cursor) = (0, random.next_u64());
            for _ in 0..BUCKETS_MAX {
                cursor = database.table.scan(cursor, |entry| {
                    seen += 1;
                    offer(entry);
                });
                if samples.min(there) <= seen {
                    break;
                }
            }
        }
        self.random = random;
    }

    /// Takes out the best of the pool that still is what it was when it was chosen.
    fn evict_best(&mut self, pool: &mut Pool, eviction: Eviction) -> Option<Evicted> {
        while let Some(candidate) = pool.pop() {
            let Candidate { score, database, hash } = candidate;
            let same = |entry: &Entry| self.hasher.hash(entry.key()) == hash;
            let stands = self.databases[database].table.find_by(hash, same).is_some_and(|entry| {
                (!eviction.volatile || entry.deadline().is_some())
                    && score <= self.score(entry, eviction.choice)
            });
            if stands {
                return self.take(database, hash);
            }
        }
        None
    }

    /// Any key that may go, each with the same chance.
    fn evict_random(&mut self, volatile: bool) -> Option<Evicted> {
        let mut rank = match self.candidates(volatile) {
            0 => return None,
            total => self.random.below(total as u64) as usize,
        };
        for number in 0..self.databases.len() {
            let database = &self.databases[number];
            let there = database.candidates(volatile);
            if there <= rank {
                rank -= there;
                continue;
            }
            let random = &mut self.random;
            let hash = if volatile {
                database.expiry.random(|n| random.below(n))?.hash
            } else {
                self.hasher.hash(database.table.random(|n| random.below(n))?.key())
            };
            return self.take(number, hash);
        }
        None
    }

    /// The key that falls due first, or hardly after the first.
    fn evict_soonest(&mut self) -> Option<Evicted> {
        let random = &mut self.random;
        let databases = self.databases.iter().enumerate();
        let (number, held) = databases
            .filter_map(|(number, database)| Some((number, database.expiry.soonest(|n| random.below(n))?)))
            .min_by_key(|(_, held)| held.deadline)?;
        self.take(number, held.hash)
    }

    /// Takes the key with this hash out of its table and off the index.
    fn take(&mut self, number: usize, hash: u64) -> Option<Evicted> {
        let Keyspace { databases, hasher, .. } = self;
        let database = &mut databases[number];
        let Database { table, expiry, .. } = database;
        let entry = table.remove_by(hash, |entry| hasher.hash(entry.key()) == hash, hasher)?;
        if let Some(ticket) = entry.ticket() {
            expiry.remove(ticket, |moved| renew_ticket(table, moved));
        }
        database.forget_fields(entry.hash().and_then(Hash::ticket));
        Some(Evicted { database: number, hash, entry })
    }
}

impl Database {
    /// How many keys may go.
    fn candidates(&self, volatile: bool) -> usize {
        if volatile { self.expiry.len() } else { self.table.len() }
    }
}

impl Evicted {
    /// The key that is gone.
    pub fn key(&self) -> Key<'_> {
        Key { bytes: self.entry.key(), hash: self.hash }
    }
}
