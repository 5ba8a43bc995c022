//! The clocks. Nothing else in the crate reads one.
//!
//! Dates (milliseconds since the epoch) are for deadlines; monotonic time is for ticks, timeouts and durations.
//! Durations of single commands are taken from the processor's time stamp counter, which costs a few nanoseconds
//! where a clock call costs twenty; it is compared with the monotonic clock as time goes on to learn its rate.
//!
//! # Unsafe
//!
//! `_rdtsc` reads a register and touches no memory.
#![allow(unsafe_code)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::date::UnixMs;

/// The clocks of one process.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    start_ticks: u64,
    /// Nanoseconds per tick, as a fraction of 2^32.
    scale: u64,
}

#[inline]
fn read_ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// The date, for whoever has no [`Clock`] at hand: the lines of the server's log.
pub fn date_now() -> UnixMs {
    UnixMs(micros_now() / 1000)
}

fn micros_now() -> i64 {
    // A clock before 1970 counts as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

impl Clock {
    /// Starts monotonic time at zero.
    pub fn start() -> Clock {
        let mut clock = Clock { start: Instant::now(), start_ticks: read_ticks(), scale: 0 };
        // A first rate from half a millisecond; `calibrate` makes it exact as time goes on.
        while clock.start.elapsed().as_micros() < 500 {}
        clock.calibrate();
        clock
    }

    /// Learns the rate of the counter from all the time since the start.
    pub fn calibrate(&mut self) {
        let nanos = self.start.elapsed().as_nanos();
        let ticks = u128::from(read_ticks().wrapping_sub(self.start_ticks));
        if let Some(scale) = (nanos << 32).checked_div(ticks) {
            self.scale = u64::try_from(scale).unwrap_or(0);
        }
    }

    /// The date.
    pub fn date(&self) -> UnixMs {
        UnixMs(self.date_micros() / 1000)
    }

    /// The date in microseconds.
    pub fn date_micros(&self) -> i64 {
        micros_now()
    }

    /// Milliseconds since the start.
    pub fn mono_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Microseconds since the start.
    pub fn mono_micros(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// A reading for [`Clock::nanos_between`].
    #[inline]
    pub fn ticks(&self) -> u64 {
        if cfg!(target_arch = "x86_64") { read_ticks() } else { self.start.elapsed().as_nanos() as u64 }
    }

    /// Nanoseconds between two readings.
    #[inline]
    pub fn nanos_between(&self, earlier: u64, later: u64) -> u64 {
        let ticks = later.saturating_sub(earlier);
        if cfg!(target_arch = "x86_64") {
            ((u128::from(ticks) * u128::from(self.scale)) >> 32) as u64
        } else {
            ticks
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_nanoseconds_after_calibration() {
        let mut clock = Clock::start();
        let (from, start) = (clock.ticks(), Instant::now());
        while start.elapsed().as_millis() < 20 {}
        clock.calibrate();
        let (nanos, real) = (clock.nanos_between(from, clock.ticks()), start.elapsed().as_nanos() as u64);
        assert!(real / 2 < nanos && nanos < real * 2, "{nanos} for {real}");
    }
}
