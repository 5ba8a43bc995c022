//! When memory that is freed goes back to the system.
//!
//! Rather late, for it will be needed again, and to give it back and ask for it again costs more than to keep it. But
//! the allocator gives all that has waited for its time back in one stop, which takes 100 ms a gigabyte. So while data
//! goes in great amounts, because a big value was deleted or a million keys were due, what is freed goes back at once,
//! page by page, and the stop that remains is that of [`FALL_MIN`].

use crate::base::memory::GiveBack;

/// Bytes by which the memory in use falls within about a second where data goes that is not replaced.
const FALL_MIN: usize = 32 << 20;
/// Ticks for which memory waits.
const TICKS: usize = 10;
/// Milliseconds for which memory goes back soon after clients were closed for theirs.
const SOON_MS: u64 = 10_000;

/// What decides it.
#[derive(Debug, Default)]
pub struct Giving {
    /// Bytes that were in use at most, about: what is not in use any more is forgotten in as many ticks as it waits,
    /// and at once as far as it is more than twice [`FALL_MIN`].
    most: usize,
    /// Monotonic milliseconds until which memory goes back soon.
    soon_until_ms: u64,
    /// What has been decided; nothing at first.
    when: Option<GiveBack>,
}

impl Giving {
    /// A turn or a tick is over, with so many bytes in use. Returns what is to be said to the allocator, if anything.
    #[inline]
    pub fn turn(&mut self, used: usize) -> Option<GiveBack> {
        if self.is_falling(used) { self.decide(GiveBack::AtOnce) } else { None }
    }

    fn is_falling(&self, used: usize) -> bool {
        FALL_MIN <= self.most.saturating_sub(used)
    }

    /// The same for a tick. `relieved`: clients were closed for their memory. Others will follow, who take memory of
    /// other sizes; as long as that goes on, what is freed goes back soon, so that it does not add up.
    pub fn tick(&mut self, now_ms: u64, used: usize, relieved: bool) -> Option<GiveBack> {
        if relieved {
            self.soon_until_ms = now_ms + SOON_MS;
        }
        self.most = self.most.saturating_sub(FALL_MIN / TICKS).clamp(used, used + 2 * FALL_MIN);
        self.decide(match (self.is_falling(used), now_ms < self.soon_until_ms) {
            (true, _) => GiveBack::AtOnce,
            (_, true) => GiveBack::Soon,
            _ => GiveBack::Late,
        })
    }

    fn decide(&mut self, when: GiveBack) -> Option<GiveBack> {
        (self.when.replace(when) != Some(when)).then_some(when)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_goes_at_once_while_much_goes() {
        let mut giving = Giving::default();
        let gigabyte = 1 << 30;
        assert_eq!(giving.tick(0, gigabyte, false), Some(GiveBack::Late));
        assert_eq!(giving.tick(100, gigabyte, false), None);
        assert_eq!(giving.turn(gigabyte - FALL_MIN + 1), None);
        assert_eq!(giving.turn(gigabyte - FALL_MIN), Some(GiveBack::AtOnce));
        assert_eq!(giving.turn(gigabyte - 2 * FALL_MIN), None);
        // It goes on so for a second, and then it is over.
        let used = gigabyte - 4 * FALL_MIN;
        let mut told =
            (2..=20).filter_map(|tick| giving.tick(100 * tick, used, false).map(|when| (tick, when)));
        assert_eq!(told.next(), Some((13, GiveBack::Late)));
        assert_eq!(told.next(), None);
    }

    #[test]
    fn slow_falls_add_up_and_what_comes_and_goes_is_none() {
        let mut giving = Giving::default();
        giving.tick(0, 1 << 30, false);
        let fall = |giving: &mut Giving, per_tick: usize| {
            (1..=50).find_map(|tick| giving.tick(100 * tick, (1 << 30) - tick as usize * per_tick, false))
        };
        assert_eq!(fall(&mut giving, FALL_MIN / TICKS), None);
        assert_eq!(fall(&mut giving, FALL_MIN / 5), Some(GiveBack::AtOnce));
        let mut giving = Giving::default();
        giving.tick(0, 1 << 30, false);
        for tick in 1..100 {
            assert_eq!(giving.turn((1 << 30) + tick % 2 * (FALL_MIN - 1)), None);
            assert_eq!(giving.tick(100 * tick as u64, (1 << 30) + tick % 2 * (FALL_MIN - 1), false), None);
        }
    }

    #[test]
    fn what_clients_leave_goes_soon() {
        let mut giving = Giving::default();
        assert_eq!(giving.tick(0, 1000, false), Some(GiveBack::Late));
        assert_eq!(giving.tick(100, 1000, true), Some(GiveBack::Soon));
        assert_eq!(giving.tick(SOON_MS, 1000, false), None);
        assert_eq!(giving.tick(SOON_MS + 100, 1000, false), Some(GiveBack::Late));
    }
}
