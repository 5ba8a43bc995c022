//! The clocks. Nothing else in the crate reads one.
//!
//! Dates (milliseconds since the epoch) are for deadlines; monotonic time is for ticks, timeouts and durations.
//! Durations of single commands are taken from the processor's time stamp counter, which costs a few nanoseconds
//! where a clock call costs twenty; it is compared with the monotonic clock as time goes on to learn its rate.
//!
//! Somebody may set the machine's clock while the server runs. Nothing that is to happen after some time depends on it:
//! that goes by monotonic time. Dates follow it at once. That it was set is noticed by the difference of the two, which
//! is looked at whenever both are read ([`Clock::read`]), so that no command runs at the new date before it is known
//! to be one. Tests set it without setting the machine's ([`Clock::shift`]).
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
    /// By how much dates are ahead of the machine's clock, in microseconds.
    shift_micros: i64,
    /// The date, in milliseconds, at which monotonic time was zero, as it was when both were read last.
    zero_ms: i64,
}

/// What both clocks say at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The date in microseconds.
    pub date_micros: i64,
    /// Milliseconds since the start.
    pub mono_ms: u64,
    /// By how many milliseconds the date was set forward since the last reading, back if negative.
    pub jump_ms: Option<i64>,
}

/// Milliseconds by which a clock has to be set to count as set; those who keep it exact do so in smaller steps, or
/// by its rate.
pub const JUMP_MS_MIN: u64 = 1000;
/// How often two clocks are read until both were read in one moment: the process may be stopped between the two.
const READINGS_MAX: usize = 10;
/// Microseconds that are one moment.
const MOMENT_MICROS: u64 = 1000;

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

/// This moment, for whoever has no [`Clock`] at hand and wants to know how long something takes.
pub fn moment() -> Instant {
    Instant::now()
}

fn micros_now() -> i64 {
    // A clock before 1970 counts as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

impl Reading {
    fn zero_ms(&self) -> i64 {
        self.date_micros / 1000 - self.mono_ms as i64
    }
}

impl Clock {
    /// Starts monotonic time at zero.
    pub fn start() -> Clock {
        let (start, start_ticks) = (Instant::now(), read_ticks());
        let mut clock = Clock { start, start_ticks, scale: 0, shift_micros: 0, zero_ms: 0 };
        // A first rate from half a millisecond; `calibrate` makes it exact as time goes on.
        while clock.start.elapsed().as_micros() < 500 {}
        clock.calibrate();
        clock.zero_ms = clock.read_at_once().zero_ms();
        clock
    }

    /// Sets dates forward by so many milliseconds from now on, back if negative, as if the machine's clock had been.
    pub fn shift(&mut self, by_ms: i64) {
        self.shift_micros = self.shift_micros.saturating_add(by_ms.saturating_mul(1000));
    }

    /// Both clocks, and whether somebody has set one of them.
    #[inline]
    pub fn read(&mut self) -> Reading {
        let reading = self.read_both();
        let zero_ms = reading.zero_ms();
        if zero_ms.abs_diff(self.zero_ms) < JUMP_MS_MIN {
            self.zero_ms = zero_ms;
            return reading;
        }
        self.look_again()
    }

    #[cold]
    fn look_again(&mut self) -> Reading {
        let mut reading = self.read_at_once();
        let jump_ms = reading.zero_ms() - self.zero_ms;
        self.zero_ms = reading.zero_ms();
        reading.jump_ms = Some(jump_ms).filter(|jump_ms| JUMP_MS_MIN <= jump_ms.unsigned_abs());
        reading
    }

    #[inline]
    fn read_both(&self) -> Reading {
        Reading { date_micros: self.date_micros(), mono_ms: self.mono_ms(), jump_ms: None }
    }

    /// Both clocks, read so close to each other that their difference is exact.
    fn read_at_once(&self) -> Reading {
        for _ in 1..READINGS_MAX {
            let before = self.mono_micros();
            let reading = self.read_both();
            if self.mono_micros() - before < MOMENT_MICROS {
                return reading;
            }
        }
        self.read_both()
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
    #[inline]
    pub fn date_micros(&self) -> i64 {
        // Never zero, which is the date of a replay.
        micros_now().saturating_add(self.shift_micros).max(1000)
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

    /// Nanoseconds since a reading.
    #[inline]
    pub fn nanos_since(&self, earlier: u64) -> u64 {
        self.nanos_between(earlier, self.ticks())
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

    #[test]
    fn that_the_date_was_set_is_told_once() {
        let mut clock = Clock::start();
        assert_eq!(clock.read().jump_ms, None);
        for by_ms in [3_600_000, -3_600_000, -1500, 1500] {
            let before = clock.read();
            clock.shift(by_ms);
            let after = clock.read();
            let jump_ms = after.jump_ms.expect("a jump");
            assert!((jump_ms - by_ms).abs() <= 2, "{jump_ms} for {by_ms}");
            assert_eq!(clock.read().jump_ms, None);
            assert!(before.mono_ms <= after.mono_ms);
        }
        // Step by step nobody takes notice, nor of the sum of the steps.
        for _ in 0..20 {
            clock.shift(400);
            assert_eq!(clock.read().jump_ms, None);
        }
    }
}
