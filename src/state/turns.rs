//! Where the time of a turn went, by cause, so that a stall names what it was.
//!
//! The loop reads its cheap clock a handful of times a turn, at the borders of its parts ([`Turns::lap`]); what takes
//! its time inside of another part is taken out of that one ([`Turns::nest`]). No request pays for it: how long the
//! requests of one client took is known from the readings that their own figures need anyway.
//!
//! Each cause has a histogram by powers of two of microseconds, and the worst turns are kept whole: the worst ever,
//! and the worst of the last one to two minutes.

/// What the time of a turn goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Waiting for events: rest, not work.
    Wait,
    /// Taking events, signals and connections in.
    Events,
    /// Reading from clients and parsing.
    Read,
    /// Running commands.
    Commands,
    /// Commands that had to evict keys first, and eviction in the background.
    Eviction,
    /// The tick: figures, timeouts, children, clients that wait no longer.
    Tick,
    /// Writing the log.
    Log,
    /// Waiting for the disk, where a rewrite begins.
    Sync,
    /// Forking.
    Fork,
    /// Sending replies.
    Send,
    /// Removing expired keys.
    Expiry,
    /// Growing and shrinking tables.
    Growth,
    /// Freeing what was removed.
    Freeing,
    /// Metrics and the live page.
    Web,
    /// Loading data.
    Load,
    /// Handshakes of TLS.
    Handshake,
    /// Closing sockets.
    Close,
}

/// How many causes there are.
pub const CAUSES: usize = 17;

impl Cause {
    /// All of them, in the order of their numbers.
    pub const ALL: [Cause; CAUSES] = {
        use Cause::*;
        [
            Wait, Events, Read, Commands, Eviction, Tick, Log, Sync, Fork, Send, Expiry, Growth, Freeing,
            Web, Load, Handshake, Close,
        ]
    };

    /// Its name in figures.
    pub fn name(self) -> &'static str {
        [
            "wait",
            "events",
            "read",
            "commands",
            "eviction",
            "tick",
            "log",
            "sync",
            "fork",
            "send",
            "expiry",
            "growth",
            "freeing",
            "web",
            "load",
            "handshake",
            "close",
        ][self as usize]
    }
}

/// Buckets of a [`Spread`]: the last holds what took 16 seconds or longer.
pub const LEVELS: usize = 26;

/// How long a cause took in the turns in which it took any time.
#[derive(Clone, Copy, Default, Debug)]
pub struct Spread {
    /// Turns counted.
    pub turns: u64,
    /// All time, in nanoseconds.
    pub nanos: u64,
    /// The longest, in nanoseconds.
    pub nanos_max: u64,
    /// How many took less than one microsecond, less than two and at least one, less than four and at least two …
    pub counts: [u64; LEVELS],
}

impl Spread {
    #[inline]
    fn add(&mut self, nanos: u64) {
        let micros = nanos / 1000;
        let level = (u64::BITS - micros.leading_zeros()) as usize;
        self.turns += 1;
        self.nanos += nanos;
        self.nanos_max = self.nanos_max.max(nanos);
        self.counts[level.min(LEVELS - 1)] += 1;
    }

    /// The power of two, in microseconds, below which `percentile` per cent of the turns are; no more than the
    /// longest.
    pub fn percentile_micros(&self, percentile: f64) -> u64 {
        let wanted = (self.turns as f64 * percentile / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        let level = self.counts.iter().position(|count| {
            seen += count;
            wanted <= seen
        });
        level.map_or(0, |level| (1 << level).min(self.nanos_max.div_ceil(1000)))
    }
}

/// One turn.
#[derive(Clone, Copy, Default, Debug)]
pub struct Turn {
    /// Its date, in milliseconds since the epoch; 0 = there was none.
    pub at_ms: i64,
    /// Nanoseconds by cause.
    pub nanos: [u64; CAUSES],
    /// Commands that ran in it.
    pub commands: u64,
}

impl Turn {
    /// Nanoseconds in which it did not wait.
    #[inline]
    pub fn busy_nanos(&self) -> u64 {
        self.nanos.iter().sum::<u64>() - self.nanos[Cause::Wait as usize]
    }

    /// Causes and their nanoseconds without the waiting, the worst first, only those that took any.
    pub fn causes(&self) -> Vec<(Cause, u64)> {
        let mut causes: Vec<(Cause, u64)> = Cause::ALL.into_iter().zip(self.nanos).skip(1).collect();
        causes.retain(|(_, nanos)| 0 < *nanos);
        causes.sort_by_key(|(_, nanos)| std::cmp::Reverse(*nanos));
        causes
    }
}

/// Milliseconds for which a worst turn is a recent one; then it stays as long again as the one before.
const RECENT_MS: u64 = 60_000;

/// All turns.
#[derive(Clone, Default, Debug)]
pub struct Turns {
    current: Turn,
    /// Nanoseconds of the current part that have gone to another cause.
    nested: u64,
    /// The same within the requests of one client; `None` while none runs.
    inner: Option<u64>,
    commands_before: u64,
    spreads: [Spread; CAUSES],
    worst: Turn,
    /// The worst of the current minute, whose number is the first, and of the one before.
    recent: (u64, Turn, Turn),
}

impl Turns {
    /// A part of the turn is over, which took so long.
    #[inline]
    pub fn lap(&mut self, cause: Cause, nanos: u64) {
        let nested = std::mem::take(&mut self.nested);
        self.current.nanos[cause as usize] += nanos.saturating_sub(nested);
    }

    /// So much of the part that runs goes to another cause.
    pub fn nest(&mut self, cause: Cause, nanos: u64) {
        self.current.nanos[cause as usize] += nanos;
        *self.inner.as_mut().unwrap_or(&mut self.nested) += nanos;
    }

    /// The requests of a client begin.
    #[inline]
    pub fn begin_requests(&mut self) {
        self.inner = Some(0);
    }

    /// The requests of a client are over, which took so long.
    #[inline]
    pub fn end_requests(&mut self, nanos: u64) {
        let inner = self.inner.take().unwrap_or(0);
        self.current.nanos[Cause::Commands as usize] += nanos.saturating_sub(inner);
        self.nested += nanos;
    }

    /// The turn is over. Returns for how many nanoseconds it did not wait.
    ///
    /// In: its date, monotonic milliseconds, and how many commands have run since the start.
    #[inline]
    pub fn end(&mut self, at_ms: i64, mono_ms: u64, commands: u64) -> u64 {
        let turn = &mut self.current;
        for (nanos, spread) in turn.nanos.iter().zip(&mut self.spreads) {
            if *nanos != 0 {
                spread.add(*nanos);
            }
        }
        let busy = turn.busy_nanos();
        turn.at_ms = at_ms;
        turn.commands = commands.saturating_sub(self.commands_before);
        self.commands_before = commands;
        let minute = mono_ms / RECENT_MS;
        if minute != self.recent.0 {
            let before = if minute == self.recent.0 + 1 { self.recent.1 } else { Turn::default() };
            self.recent = (minute, Turn::default(), before);
        }
        if self.recent.1.busy_nanos() < busy {
            self.recent.1 = *turn;
            if self.worst.busy_nanos() < busy {
                self.worst = *turn;
            }
        }
        busy
    }

    /// Another turn begins.
    #[inline]
    pub fn begin(&mut self) {
        self.current = Turn::default();
        self.nested = 0;
    }

    /// The turn that runs, or the last one.
    pub fn current(&self) -> &Turn {
        &self.current
    }

    /// How long a cause took.
    pub fn spread(&self, cause: Cause) -> &Spread {
        &self.spreads[cause as usize]
    }

    /// The worst turn since the start or the last reset; none yet has no date.
    pub fn worst(&self) -> &Turn {
        &self.worst
    }

    /// The worst turn of the last one to two minutes.
    pub fn worst_recent(&self) -> &Turn {
        let (_, current, before) = &self.recent;
        if current.busy_nanos() < before.busy_nanos() { before } else { current }
    }

    /// What `CONFIG RESETSTAT` does. The turn that runs goes on.
    pub fn reset(&mut self) {
        let Turns { current, nested, inner, commands_before, .. } = *self;
        *self = Turns { current, nested, inner, commands_before, ..Turns::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_names_and_numbers_in_order() {
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, number);
            assert_eq!(format!("{cause:?}").to_lowercase(), cause.name());
        }
    }

    #[test]
    fn what_lies_within_another_part_is_counted_once() {
        let mut turns = Turns::default();
        turns.begin();
        turns.lap(Cause::Wait, 100_000);
        turns.begin_requests();
        turns.nest(Cause::Fork, 7_000);
        turns.end_requests(9_000);
        turns.begin_requests();
        turns.end_requests(1_000);
        turns.lap(Cause::Read, 15_000);
        turns.nest(Cause::Sync, 4_000);
        turns.lap(Cause::Tick, 5_000);
        assert_eq!(turns.end(60_000, 60_000, 12), 20_000);
        let causes: Vec<(&str, u64)> =
            turns.worst().causes().into_iter().map(|(cause, nanos)| (cause.name(), nanos)).collect();
        let expected =
            [("fork", 7_000), ("read", 5_000), ("sync", 4_000), ("commands", 3_000), ("tick", 1_000)];
        assert_eq!(causes, expected);
        assert_eq!(turns.worst().commands, 12);
        assert_eq!(turns.spread(Cause::Wait).nanos_max, 100_000);
    }

    #[test]
    fn the_worst_turn_stays_and_the_recent_one_goes() {
        let mut turns = Turns::default();
        // The date is set back in between, which nobody minds.
        let mut turn = |mono_ms: u64, nanos| {
            turns.begin();
            turns.lap(Cause::Commands, nanos);
            turns.end(1_000_000 - mono_ms as i64, mono_ms, 0);
            (turns.worst().busy_nanos(), turns.worst_recent().busy_nanos())
        };
        assert_eq!(turn(0, 5), (5, 5));
        assert_eq!(turn(59_999, 900), (900, 900));
        assert_eq!(turn(60_000, 70), (900, 900));
        assert_eq!(turn(120_000, 30), (900, 70));
        assert_eq!(turn(400_000, 10), (900, 10));
        turns.reset();
        assert_eq!((turns.worst().at_ms, turns.worst_recent().at_ms), (0, 0));
    }

    #[test]
    fn levels_are_powers_of_two_of_microseconds() {
        let mut spread = Spread::default();
        for (nanos, level) in
            [(1, 0), (999, 0), (1000, 1), (1999, 1), (2000, 2), (4000, 3), (u64::MAX / 2, LEVELS - 1)]
        {
            let before = spread.counts[level];
            spread.add(nanos);
            assert_eq!(spread.counts[level], before + 1, "{nanos}");
        }
        let mut spread = Spread::default();
        assert_eq!(spread.percentile_micros(50.0), 0);
        (1..=100).for_each(|n| spread.add(n * 1000));
        assert_eq!([50.0, 99.0, 100.0].map(|p| spread.percentile_micros(p)), [64, 100, 100]);
    }
}
