//! When small pages are exchanged for huge ones: a stop that nobody should meet. See [`crate::base::pages`].
//!
//! Where no event has come for a while, one exchange follows the other until one comes: clients that wait for each of
//! their replies never leave so long a gap. A server that is never quiet exchanges one in a tick while that is quick,
//! and tries one a minute while it is not.

/// Microseconds without an event after which nobody is expected to wait.
pub const QUIET_MICROS: u64 = 5000;
/// A stop of so many microseconds is no worse than any other turn.
const QUICK_MICROS: u64 = 500;
/// Ticks between two tries of a server that is never quiet, on a machine where an exchange takes long.
const TRY_TICKS: u64 = 600;

/// What the last exchange took.
#[derive(Debug, Default)]
pub struct Ripening {
    /// `None` before the first.
    last_micros: Option<u64>,
    ticks: u64,
}

impl Ripening {
    /// An exchange was made, in so long a time.
    pub fn took(&mut self, micros: u64) {
        self.last_micros = Some(micros);
    }

    /// Whether one may be made in this tick although clients may be waiting.
    pub fn in_tick(&mut self) -> bool {
        self.ticks += 1;
        let quick = self.last_micros.is_some_and(|micros| micros < QUICK_MICROS);
        quick || self.ticks.is_multiple_of(TRY_TICKS)
    }
}
