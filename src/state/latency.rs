//! Latency events: spikes over `latency-monitor-threshold`, as `LATENCY` reports them.

use std::collections::{BTreeMap, VecDeque};

/// Samples kept of one event.
pub const SAMPLES_MAX: usize = 160;

/// The history of one event.
#[derive(Debug, Default, Clone)]
pub struct Event {
    /// Samples as (seconds since the epoch, milliseconds), oldest first.
    pub samples: VecDeque<(i64, u64)>,
    /// The worst sample ever, in milliseconds.
    pub max_ms: u64,
}

/// All events by name.
#[derive(Debug, Default)]
pub struct Latency {
    events: BTreeMap<&'static str, Event>,
}

impl Latency {
    /// Notes that `event` took `ms`; samples of the same second are one, the worst.
    pub fn add(&mut self, event: &'static str, at_secs: i64, ms: u64) {
        let event = self.events.entry(event).or_default();
        event.max_ms = event.max_ms.max(ms);
        if let Some(last) = event.samples.back_mut()
            && last.0 == at_secs
        {
            last.1 = last.1.max(ms);
            return;
        }
        if event.samples.len() == SAMPLES_MAX {
            event.samples.pop_front();
        }
        event.samples.push_back((at_secs, ms));
    }

    /// The events by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, &Event)> {
        self.events.iter().map(|(name, event)| (*name, event))
    }

    /// One event, named without regard to case.
    pub fn get(&self, name: &[u8]) -> Option<&Event> {
        self.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, event)| event)
    }

    /// Forgets an event. Returns whether there was one.
    pub fn reset(&mut self, name: &[u8]) -> bool {
        let before = self.events.len();
        self.events.retain(|known, _| !known.as_bytes().eq_ignore_ascii_case(name));
        self.events.len() < before
    }

    /// Forgets all. Returns how many there were.
    pub fn reset_all(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }
}
