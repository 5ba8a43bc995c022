//! What a clock that was set means for the keys.
//!
//! A deadline is a date: set forward, the clock makes keys expire at once whose deadline lies in the time that it has
//! left out; set back, it lets keys live so much longer. The former are counted apart from those that expired because
//! time went by. That a key was not used for a while is no matter of dates: set back, the clock would make the keys
//! that were used last look the oldest of all, since their access bits would lie in the future. So access bits go by a
//! clock from which all jumps are taken out.

use super::{Key, Keyspace};
use crate::base::date::UnixMs;
use crate::data::entry::Entry;

/// How often and how far the clock was set.
#[derive(Default)]
pub(super) struct Jumps {
    /// All jumps together, in milliseconds.
    sum_ms: i64,
    /// The time that the last jump has left out: after the first date, up to the second.
    skipped: Option<(UnixMs, UnixMs)>,
}

impl Jumps {
    /// The clock of access bits, in seconds.
    #[inline]
    pub fn access_secs(&self, now: UnixMs) -> u32 {
        (now.0.wrapping_sub(self.sum_ms) / 1000) as u32
    }

    /// Whether the last jump has left out this date.
    pub fn skip(&self, date: UnixMs) -> bool {
        self.skipped.is_some_and(|(from, to)| from < date && date <= to)
    }
}

impl Keyspace {
    /// In: the clock was set, to `now`, by so many milliseconds, back if negative.
    pub fn note_jump(&mut self, now: UnixMs, by_ms: i64) {
        self.jumps.sum_ms = self.jumps.sum_ms.wrapping_add(by_ms);
        // Set back, it comes to the same dates once more, and then by itself.
        self.jumps.skipped = (0 < by_ms).then(|| (UnixMs(now.0.saturating_sub(by_ms)), now));
    }

    /// Counts a key that is about to be removed as expired, if it is because of a jump.
    pub(super) fn count_skipped(&mut self, key: Key<'_>) {
        let deadline = || self.database().table.get(key.bytes, key.hash).and_then(Entry::deadline);
        if self.jumps.skipped.is_some() && deadline().is_some_and(|at| self.jumps.skip(at)) {
            self.counters.expired_by_jump[0] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::entry::Value;
    use crate::data::keyspace::Deadline;

    const HOUR: i64 = 3_600_000;

    fn put(keys: &mut Keyspace, name: &str, deadline: i64) {
        keys.set(keys.key(name.as_bytes()), Value::string(b"v"), Deadline::At(UnixMs(deadline)));
    }

    fn read(keys: &mut Keyspace, name: &str) -> bool {
        keys.read(keys.key(name.as_bytes())).is_some()
    }

    #[test]
    fn what_expires_by_a_jump_is_counted_apart() {
        let mut keys = Keyspace::new(1, 1);
        let start = 1_000 * HOUR;
        keys.enter(UnixMs(start), 0);
        for (name, after) in
            [("due", 50), ("seen", HOUR / 2), ("unseen", HOUR), ("later", HOUR + 200), ("far", 9 * HOUR)]
        {
            put(&mut keys, name, start + after);
        }
        // A hundred milliseconds later, and an hour.
        let now = UnixMs(start + 100 + HOUR);
        keys.note_jump(now, HOUR);
        keys.enter(now, 0);
        assert!(!read(&mut keys, "due") && !read(&mut keys, "seen"));
        assert_eq!(keys.counters.expired_by_jump[0], 1, "one was due anyway");
        while keys.expire_sample(0).2 {}
        assert_eq!((keys.counters.expired, keys.counters.expired_by_jump[0]), (3, 2));
        keys.enter(UnixMs(now.0 + 200), 0);
        assert!(!read(&mut keys, "later") && read(&mut keys, "far"));
        assert_eq!(keys.counters.expired_by_jump[0], 2, "time went by");
        // Back again: the hour comes a second time, and by itself.
        let before = UnixMs(now.0 + 200 - HOUR);
        keys.note_jump(before, -HOUR);
        keys.enter(before, 0);
        put(&mut keys, "again", before.0 + 1000);
        keys.enter(UnixMs(before.0 + 1000), 0);
        assert!(!read(&mut keys, "again") && read(&mut keys, "far"));
        assert_eq!((keys.counters.expired, keys.counters.expired_by_jump[0]), (5, 2));
    }

    #[test]
    fn no_jump_makes_a_key_look_used_or_unused() {
        for by_ms in [HOUR, -HOUR] {
            let mut keys = Keyspace::new(1, 1);
            let start = 1_000 * HOUR;
            keys.enter(UnixMs(start), 0);
            put(&mut keys, "k", start + 100 * HOUR);
            let now = UnixMs(start + 7000 + by_ms);
            keys.note_jump(now, by_ms);
            keys.enter(now, 0);
            let entry = keys.stored(keys.key(b"k")).expect("it is there");
            assert_eq!(keys.idle_seconds(entry), 7, "{by_ms}");
        }
    }
}
