//! Which keys are biggest: noticed when a request that writes them is looked at for [`super::hot`], and by a walk in
//! the background that passes a few buckets of the tables in each tick.
//!
//! At the end of a round the keys in the list are looked up: those that are gone leave it. Whoever shows the list looks
//! them up as well. Where nothing has changed since the walk began its round, it rests.

/// Keys that are kept.
pub const BIG_MAX: usize = 64;
/// Longer keys are kept up to here only as far as they say which key it is; the whole key would be as big as a value.
const KEY_LEN_MAX: usize = 1024;

/// A big key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BigKey {
    /// Its database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// Bytes of memory, about.
    pub bytes: usize,
}

/// The biggest keys, and where the walk is.
#[derive(Clone, Default, Debug)]
pub struct BigKeys {
    keys: Vec<BigKey>,
    /// The smallest of them once there are as many as may be.
    bytes_min: usize,
    round: u64,
    /// Where the walk goes on: database and cursor.
    pub place: (usize, u64),
    /// Changes of keys when the round began, and when the last one began.
    begun_at: (u64, Option<u64>),
}

impl BigKeys {
    /// A key of this size was seen.
    #[inline]
    pub fn add(&mut self, database: usize, key: &[u8], bytes: usize) {
        if self.bytes_min < bytes {
            self.insert(database, key, bytes);
        }
    }

    fn insert(&mut self, database: usize, key: &[u8], bytes: usize) {
        if KEY_LEN_MAX < key.len() {
            return;
        }
        let known = self.keys.iter_mut().find(|it| it.database == database && *it.key == *key);
        if let Some(known) = known {
            known.bytes = bytes;
        } else {
            if BIG_MAX <= self.keys.len() {
                let least = self.keys.iter().enumerate().min_by_key(|(_, it)| it.bytes);
                if let Some((index, _)) = least {
                    self.keys.swap_remove(index);
                }
            }
            self.keys.push(BigKey { database, key: key.into(), bytes });
        }
        self.note_min();
    }

    fn note_min(&mut self) {
        let least = self.keys.iter().map(|it| it.bytes).min().unwrap_or(0);
        self.bytes_min = if self.keys.len() < BIG_MAX { 0 } else { least };
    }

    /// Whether the walk has anything to find: so many changes of keys there have been.
    pub fn is_due(&self, changes: u64) -> bool {
        self.place != (0, 0) || self.begun_at.1 != Some(changes)
    }

    /// The walk is at the beginning of a round.
    pub fn begin_round(&mut self, changes: u64) {
        self.begun_at.0 = changes;
    }

    /// The walk has been everywhere. `size` looks a key up.
    pub fn end_round(&mut self, size: impl Fn(usize, &[u8]) -> Option<usize>) {
        self.keys.retain_mut(|it| {
            let bytes = size(it.database, &it.key);
            it.bytes = bytes.unwrap_or(0);
            bytes.is_some()
        });
        self.note_min();
        self.round += 1;
        self.place = (0, 0);
        self.begun_at.1 = Some(self.begun_at.0);
    }

    /// Rounds that the walk has made.
    pub fn rounds(&self) -> u64 {
        self.round
    }

    /// The keys, the biggest first.
    pub fn top(&self) -> Vec<&BigKey> {
        let mut keys: Vec<&BigKey> = self.keys.iter().collect();
        keys.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.key.cmp(&b.key)));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_biggest_stay_and_the_vanished_go() {
        let mut big = BigKeys::default();
        assert!(big.is_due(0));
        big.begin_round(0);
        (0..1000usize).for_each(|n| big.add(n % 2, format!("k{n}").as_bytes(), 100 + n * 7 % 1000));
        assert_eq!(big.top().len(), BIG_MAX);
        assert_eq!(big.top()[0].bytes, 1099);
        assert_eq!(big.top()[BIG_MAX - 1].bytes, 1099 - BIG_MAX + 1);
        big.end_round(|_, _| Some(500));
        assert!(!big.is_due(0) && big.is_due(1));
        big.begin_round(5);
        big.add(1, b"k157", 5000);
        big.add(0, b"as big as the others", 500);
        assert_eq!((big.top()[0].bytes, &*big.top()[0].key), (5000, &b"k157"[..]));
        assert!(big.top().iter().all(|it| it.key.starts_with(b"k")));
        big.place = (3, 9);
        assert!(big.is_due(5));
        big.end_round(|database, key| (database == 1 && key == b"k157").then_some(4000));
        assert_eq!((big.top().len(), big.top()[0].bytes), (1, 4000), "the others are gone");
        big.add(0, &[b'x'; KEY_LEN_MAX + 1], 9999);
        assert_eq!((big.top().len(), big.rounds()), (1, 2));
    }
}
