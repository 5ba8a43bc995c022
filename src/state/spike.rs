//! What takes `latency-monitor-threshold` or longer becomes a sample of a latency event.
//!
//! Names are Redis's wherever it has the event; what only kvick can tell apart has a name of its own. Commands and
//! forks are noted where they happen, the other parts of a turn when it is over.

use crate::state::State;
use crate::state::turns::Cause;

/// The event of a part of a turn. What is noted elsewhere, or is no delay, has none.
fn event(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Wait | Cause::Commands | Cause::Fork | Cause::Load => return None,
        Cause::Events => "events",
        Cause::Read => "read",
        Cause::Eviction => "eviction-cycle",
        Cause::Tick => "tick",
        Cause::Log => "aof-write",
        Cause::Sync => "aof-fsync-rewrite",
        Cause::Send => "send",
        Cause::Expiry => "expire-cycle",
        Cause::Growth => "table-growth",
        Cause::Freeing => "freeing",
        Cause::Web => "web",
        Cause::Handshake => "handshake",
        Cause::Close => "close",
    })
}

impl State {
    /// Whether this is long enough for a sample.
    #[inline]
    pub fn is_spike(&self, nanos: u64) -> bool {
        let threshold = self.settings.latency_monitor_threshold;
        threshold != 0 && threshold.saturating_mul(1_000_000) <= nanos
    }

    /// Something took so long: a sample, if that is long enough.
    #[inline]
    pub fn note_latency(&mut self, event: &'static str, nanos: u64) {
        if self.is_spike(nanos) {
            self.latency.add(event, self.process.now_ms / 1000, nanos / 1_000_000);
        }
    }

    /// A turn has ended that did not wait for so long.
    #[inline]
    pub fn note_turn(&mut self, nanos: u64) {
        if self.is_spike(nanos) {
            self.note_parts(nanos);
        }
    }

    #[cold]
    fn note_parts(&mut self, nanos: u64) {
        self.note_latency("turn", nanos);
        for (cause, nanos) in self.turns.current().causes() {
            if let Some(event) = event(cause) {
                self.note_latency(event, nanos);
            }
            if cause == Cause::Log {
                let figures = &self.persistence;
                let kind = if figures.pending_sync {
                    "aof-write-pending-fsync"
                } else if figures.rewrite_in_progress || figures.save_in_progress {
                    "aof-write-active-child"
                } else {
                    "aof-write-alone"
                };
                self.note_latency(kind, nanos);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    /// The events of a turn with these parts, in milliseconds, by name.
    fn events(threshold_ms: u64, child: bool, parts: &[(Cause, u64)]) -> Vec<(&'static str, u64)> {
        let mut state = State::new(Settings::default(), 0);
        state.settings.latency_monitor_threshold = threshold_ms;
        state.persistence.rewrite_in_progress = child;
        state.turns.begin();
        parts.iter().for_each(|(cause, ms)| state.turns.lap(*cause, ms * 1_000_000));
        let nanos = state.turns.end(5_000, 5_000, 0);
        state.note_turn(nanos);
        state.latency.iter().map(|(name, event)| (name, event.max_ms)).collect()
    }

    #[test]
    fn parts_of_a_long_turn_are_events() {
        let parts = [(Cause::Wait, 500), (Cause::Log, 30), (Cause::Expiry, 12), (Cause::Send, 2)];
        assert_eq!(events(0, false, &parts), []);
        assert_eq!(events(45, false, &parts), []);
        assert_eq!(events(44, false, &parts), [("turn", 44)]);
        let all = [("aof-write", 30), ("aof-write-alone", 30), ("expire-cycle", 12), ("turn", 44)];
        assert_eq!(events(10, false, &parts), all);
        assert_eq!(events(20, true, &parts)[1], ("aof-write-active-child", 30));
        assert_eq!(events(u64::MAX, false, &parts), []);
    }
}
