//! Sessions that clients may take up again, which spares them and us half of the handshake.
//!
//! All are kept for the same time, so the order in which they came is the order in which they go. The lock is never
//! waited for: rustls wants what it shares between connections to be safe for threads, of which there is one.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::server::StoresServerSessions;
use rustls::time_provider::TimeProvider;

/// The sessions of one configuration.
pub struct Sessions {
    kept: Mutex<Kept>,
    /// How many are kept.
    most: usize,
    /// For how many seconds.
    secs: u64,
    clock: Arc<dyn TimeProvider>,
}

#[derive(Default)]
struct Kept {
    by_key: HashMap<Vec<u8>, Vec<u8>>,
    /// Keys in the order in which they came, with the second until which they are good. Some are gone already.
    order: VecDeque<(u64, Vec<u8>)>,
}

impl Sessions {
    /// Room for so many sessions, any number if zero, for so many seconds each.
    pub fn new(most: u32, secs: u32, clock: Arc<dyn TimeProvider>) -> Sessions {
        let most = if most == 0 { usize::MAX } else { most as usize };
        Sessions { kept: Mutex::default(), most, secs: u64::from(secs), clock }
    }

    /// What is kept, without what is too old.
    fn current(&self) -> (MutexGuard<'_, Kept>, u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that cannot be read keeps nothing.
        let now = self.clock.current_time().map_or(u64::MAX, |time| time.as_secs());
        while kept.order.front().is_some_and(|(until, _)| *until <= now) {
            kept.forget_oldest();
        }
        (kept, now)
    }
}

impl Kept {
    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.by_key.remove(&key);
        }
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let (mut kept, now) = self.current();
        while self.most <= kept.order.len() {
            kept.forget_oldest();
        }
        kept.order.push_back((now.saturating_add(self.secs), key.clone()));
        kept.by_key.insert(key, value);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.current().0.by_key.get(key).cloned()
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.current().0.by_key.remove(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("most", &self.most).field("secs", &self.secs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use rustls::pki_types::UnixTime;

    use super::*;

    #[derive(Debug, Default)]
    struct Clock(AtomicU64);

    impl TimeProvider for Clock {
        fn current_time(&self) -> Option<UnixTime> {
            Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
        }
    }

    #[test]
    fn the_oldest_go_when_room_or_time_is_over() {
        let clock = Arc::new(Clock::default());
        let sessions = Sessions::new(2, 10, clock.clone());
        for key in 1..=3u8 {
            assert!(sessions.put(vec![key], vec![key * 10]));
            clock.0.fetch_add(3, Ordering::Relaxed);
        }
        let found = |key: u8| sessions.get(&[key]);
        assert_eq!((found(1), found(2), found(3)), (None, Some(vec![20]), Some(vec![30])));
        assert_eq!(sessions.take(&[3]), Some(vec![30]));
        assert_eq!(found(3), None);
        clock.0.store(13, Ordering::Relaxed);
        assert_eq!(found(2), None);
        clock.0.store(16, Ordering::Relaxed);
        assert!(sessions.get(&[9]).is_none() && sessions.current().0.order.is_empty());
    }

    #[test]
    fn room_without_limit() {
        let sessions = Sessions::new(0, 10, Arc::new(Clock::default()));
        (0..1000u32).for_each(|key| assert!(sessions.put(key.to_le_bytes().to_vec(), vec![1])));
        assert!((0..1000u32).all(|key| sessions.get(&key.to_le_bytes()).is_some()));
    }
}
