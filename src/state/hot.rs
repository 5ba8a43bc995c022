//! Which keys are asked for most, from a sample of the requests.
//!
//! Every so many requests one is looked at: so many that about [`SAMPLES_PER_SECOND`] are in a second, whatever the
//! load, the distance being drawn at random so that no rhythm of a client's falls in with it. A request that is not
//! looked at costs the comparison with a counter that is kept anyway.
//!
//! What is looked at goes into two rankings, by requests and by the time they took. A ranking is the *space-saving*
//! summary of Metwally, Agrawal and El Abbadi (2005): [`RANKED_MAX`] keys with a weight each; a key that is not among
//! them takes the place of the lightest, whose weight it starts from, and remembers that weight as its possible error.
//! Whatever has more than one part in `RANKED_MAX` of the weight is in it for certain. All weights halve in
//! [`HALF_LIFE_SECS`], so that a key is hot while it is, not because it was.

use crate::base::random::Random;

/// Keys in a ranking.
pub const RANKED_MAX: usize = 128;
/// Requests looked at in a second, about.
const SAMPLES_PER_SECOND: u64 = 1000;
/// The longest mean distance between two of them: even a hundred million requests a second are sampled.
const DISTANCE_MAX: u64 = 1 << 17;
/// Longer keys are not ranked: they would be the biggest part of the ranking.
const KEY_LEN_MAX: usize = 1024;
/// Seconds in which weights halve.
pub const HALF_LIFE_SECS: f64 = 30.0;
/// What is lighter than this many samples is noise and forgotten.
const WEIGHT_MIN: f64 = 0.05;

/// A key in a ranking.
#[derive(Clone, Debug)]
pub struct HotKey {
    /// Its database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    hash: u64,
    /// Its weight: requests, or nanoseconds.
    pub weight: f64,
    /// By how much the weight may be too high.
    pub error: f64,
    /// The part of the weight that is writes.
    pub writes: f64,
}

/// A ranking.
#[derive(Clone, Default, Debug)]
pub struct Ranking {
    keys: Vec<HotKey>,
    /// The weight of all requests, those without keys too.
    total: f64,
}

/// A request that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The database.
    pub database: usize,
    /// The key.
    pub key: &'a [u8],
    /// The key's hash.
    pub hash: u64,
    /// It writes.
    pub write: bool,
}

impl Ranking {
    fn add(&mut self, sample: Option<Sample<'_>>, weight: f64) {
        self.total += weight;
        let Some(Sample { database, key, hash, write }) = sample.filter(|s| s.key.len() <= KEY_LEN_MAX)
        else {
            return;
        };
        let writes = if write { weight } else { 0.0 };
        // One pass for both: the key, or else who makes room for it.
        let (mut least, mut weight_min) = (0, f64::INFINITY);
        for (index, it) in self.keys.iter_mut().enumerate() {
            if it.hash == hash && it.database == database && *it.key == *key {
                it.weight += weight;
                it.writes += writes;
                return;
            }
            if it.weight < weight_min {
                (least, weight_min) = (index, it.weight);
            }
        }
        let mut fresh = HotKey { database, key: key.into(), hash, weight, error: 0.0, writes };
        if self.keys.len() < RANKED_MAX {
            self.keys.push(fresh);
        } else {
            fresh.error = weight_min;
            fresh.weight += weight_min;
            self.keys[least] = fresh;
        }
    }

    fn fade(&mut self, factor: f64, weight_min: f64) {
        self.total *= factor;
        for key in &mut self.keys {
            key.weight *= factor;
            key.error *= factor;
            key.writes *= factor;
        }
        self.keys.retain(|key| weight_min <= key.weight);
    }

    /// The weight of all requests.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// The heaviest keys, at most so many, by what is certain of their weights. What may be there by error only is
    /// left out.
    pub fn top(&self, count: usize) -> Vec<&HotKey> {
        let certain = |key: &HotKey| key.weight - key.error;
        let mut keys: Vec<&HotKey> =
            self.keys.iter().filter(|key| key.error < certain(key) || key.error == 0.0).collect();
        keys.sort_by(|a, b| certain(b).total_cmp(&certain(a)).then_with(|| a.key.cmp(&b.key)));
        keys.truncate(count);
        keys
    }
}

/// Both rankings, and when the next request is looked at.
#[derive(Debug)]
pub struct HotKeys {
    /// By requests.
    pub by_requests: Ranking,
    /// By nanoseconds.
    pub by_time: Ranking,
    /// Mean distance of two samples, in requests.
    distance: u64,
    /// The same when the next sample was chosen: so many requests it stands for.
    stands_for: u64,
    /// Samples since time last passed, and commands run by then.
    samples: u64,
    commands: u64,
    /// Number of commands run at which the next request is looked at.
    pub next: u64,
    random: Random,
}

impl Default for HotKeys {
    fn default() -> HotKeys {
        HotKeys {
            by_requests: Ranking::default(),
            by_time: Ranking::default(),
            distance: 1,
            stands_for: 1,
            samples: 0,
            commands: 0,
            next: 0,
            random: Random::seeded(0x686f_746b_6579),
        }
    }
}

impl HotKeys {
    /// One of so many keys of a request, at random.
    pub fn draw(&mut self, keys: usize) -> usize {
        self.random.below(keys.max(1) as u64) as usize
    }

    /// Takes a request in that took so long, and decides at which number of commands the next one is looked at.
    pub fn add(&mut self, sample: Option<Sample<'_>>, nanos: u64, commands: u64) {
        let weight = self.stands_for as f64;
        self.by_requests.add(sample, weight);
        self.by_time.add(sample, weight * nanos as f64);
        self.samples += 1;
        // A burst after a quiet time is not looked at request by request.
        if self.samples.is_multiple_of(SAMPLES_PER_SECOND / 10) {
            self.distance = (2 * self.distance).min(DISTANCE_MAX);
        }
        self.stands_for = self.distance;
        // From one to twice the mean less one.
        self.next = commands + 1 + self.random.below(2 * self.distance - 1);
    }

    /// So much time has passed, and so many commands have run since the start: weights fade, and the distance is made to
    /// fit.
    pub fn pass(&mut self, elapsed_ms: u64, commands: u64) {
        let per_second = commands.saturating_sub(self.commands).saturating_mul(1000) / elapsed_ms.max(1);
        (self.samples, self.commands) = (0, commands);
        let factor = 0.5f64.powf(elapsed_ms as f64 / 1000.0 / HALF_LIFE_SECS);
        self.by_requests.fade(factor, WEIGHT_MIN * self.distance as f64);
        // A microsecond is next to nothing, however many samples it came from.
        self.by_time.fade(factor, 1000.0 * WEIGHT_MIN);
        self.distance = (per_second / SAMPLES_PER_SECOND).clamp(1, DISTANCE_MAX);
    }

    /// Forgets everything; commands are counted anew.
    pub fn reset(&mut self) {
        self.by_requests = Ranking::default();
        self.by_time = Ranking::default();
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: &[u8]) -> Option<Sample<'_>> {
        let hash = key.iter().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        Some(Sample { database: 0, key, hash, write: key.len() == 1 })
    }

    #[test]
    fn what_has_a_good_share_is_found_among_many() {
        let mut ranking = Ranking::default();
        for n in 0..100_000u32 {
            match n % 20 {
                0 | 10 => ranking.add(sample(b"a"), 2.0),
                5 => ranking.add(sample(b"bb"), 2.0),
                7 => ranking.add(None, 2.0),
                _ => ranking.add(sample(format!("cold:{n}").as_bytes()), 2.0),
            }
        }
        let top = ranking.top(10);
        let found: Vec<(&[u8], f64)> =
            top.iter().map(|key| (&*key.key, (key.weight / ranking.total() * 100.0).round())).collect();
        assert_eq!(found[..2], [(&b"a"[..], 10.0), (&b"bb"[..], 5.0)]);
        assert_eq!(found.len(), 2, "nothing else is certain: {found:?}");
        assert_eq!((top[0].writes, top[1].writes), (20_000.0, 0.0));
        assert_eq!(ranking.keys.len(), RANKED_MAX);
    }

    #[test]
    fn weights_fade_and_the_distance_follows_the_load() {
        let mut hot = HotKeys::default();
        let looked = |hot: &mut HotKeys, commands: std::ops::Range<u64>| {
            let mut looked = 0;
            for commands in commands {
                if hot.next <= commands {
                    looked += 1;
                    hot.add(sample(b"k"), 5000, commands);
                }
            }
            looked
        };
        assert_eq!(looked(&mut hot, 0..90), 90, "every request while there are few");
        assert_eq!(hot.by_requests.total(), 90.0);
        hot.pass(30_000, 90);
        assert_eq!(hot.by_requests.top(1)[0].weight, 45.0);
        // A burst, and what follows it.
        let burst = looked(&mut hot, 90..64_090);
        assert!((700..1100).contains(&burst), "{burst}");
        hot.pass(1000, 64_090);
        let later = looked(&mut hot, 64_090..70_490);
        assert!((70..130).contains(&later), "one in 64: {later}");
        let total = hot.by_requests.total();
        assert!((60_000.0..80_000.0).contains(&total), "{total}");
        hot.pass(3_600_000, 70_490);
        assert!(hot.by_requests.top(10).is_empty() && hot.by_time.top(10).is_empty());
        hot.reset();
        assert_eq!(hot.next, 0);
    }

    #[test]
    fn long_keys_count_but_are_not_ranked() {
        let mut ranking = Ranking::default();
        ranking.add(sample(&[b'x'; KEY_LEN_MAX + 1]), 1.0);
        assert_eq!((ranking.top(9).len(), ranking.total()), (0, 1.0));
    }
}
