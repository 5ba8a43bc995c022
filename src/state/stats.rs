//! What has happened since the start, or since `CONFIG RESETSTAT`.

use std::collections::BTreeMap;

use crate::state::histogram::Histogram;

/// The code under which all others are counted once there are [`ERROR_CODES_MAX`]. Valkey calls it so; Redis 8 forgets
/// all codes instead.
const ERRORS_OVERFLOW: &str = "ERRORSTATS_OVERFLOW";
/// Different error codes that are counted apart.
pub const ERROR_CODES_MAX: usize = 128;
/// Samples in an instantaneous figure.
const SAMPLES: usize = 16;

/// The figures of one command.
#[derive(Clone, Default, Debug)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: u64,
    /// Time it took, in nanoseconds.
    pub nanos: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and failed.
    pub failed: u64,
    /// How long the calls took; there once it has run under `latency-tracking yes`.
    pub histogram: Option<Histogram>,
}

/// A rate from the last samples.
#[derive(Clone, Default, Debug)]
pub struct Rate {
    samples: [u64; SAMPLES],
    next: usize,
    last: u64,
}

impl Rate {
    /// Takes a sample: the counter's value and the milliseconds since the last one.
    pub fn sample(&mut self, counter: u64, elapsed_ms: u64) {
        let per_second = counter.wrapping_sub(self.last).saturating_mul(1000) / elapsed_ms.max(1);
        self.samples[self.next] = per_second;
        self.next = (self.next + 1) % SAMPLES;
        self.last = counter;
    }

    /// The mean of the samples, per second.
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / SAMPLES as u64
    }
}

/// All counters.
#[derive(Clone, Default, Debug)]
pub struct Stats {
    /// By the command's number in the table.
    pub commands: Vec<CommandStats>,
    /// By error code, such as `WRONGTYPE`.
    pub errors: BTreeMap<String, u64>,
    /// Error replies.
    pub error_replies: u64,
    /// Commands run.
    pub commands_processed: u64,
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused because of `maxclients`.
    pub rejected_connections: u64,
    /// Bytes received.
    pub net_input_bytes: u64,
    /// Bytes sent.
    pub net_output_bytes: u64,
    /// `read(2)` calls for clients.
    pub reads_processed: u64,
    /// `write(2)` calls for clients.
    pub writes_processed: u64,
    /// Clients closed for the size of their query buffer.
    pub query_buffer_limit_disconnections: u64,
    /// Clients closed for the size of their output.
    pub output_buffer_limit_disconnections: u64,
    /// Share of expired keys among those the expiry index holds as due, in per cent, smoothed.
    pub expired_stale_perc: f64,
    /// Ticks whose expiry work reached its limit of time.
    pub expired_time_cap_reached: u64,
    /// Time spent in expiry, in nanoseconds.
    pub expire_cycle_nanos: u64,
    /// Forks since the start.
    pub total_forks: u64,
    /// Duration of the last fork, in microseconds.
    pub latest_fork_micros: u64,
    /// Turns of the event loop.
    pub turns: u64,
    /// Time in which the loop was not waiting, in nanoseconds.
    pub turn_nanos: u64,
    /// Commands per second.
    pub rate_commands: Rate,
    /// Bytes received per second.
    pub rate_input: Rate,
    /// Bytes sent per second.
    pub rate_output: Rate,
    /// Turns per second.
    pub rate_turns: Rate,
    /// Microseconds per second in which the loop was not waiting.
    pub rate_turn_micros: Rate,
    /// Times the clock was set forward, and times it was set back, by a second or more.
    pub clock_jumps: [u64; 2],
    /// By how many milliseconds it was set forward the last time, back if negative; zero: never.
    pub clock_jump_ms: i64,
    /// Monotonic milliseconds when that was.
    pub clock_jumped_ms: u64,
    /// Keys evicted.
    pub evicted_keys: u64,
    /// Clients evicted.
    pub evicted_clients: u64,
}

/// Begins to count durations; the buckets take room on the stack that other calls need not pay for.
#[cold]
#[inline(never)]
fn begin(histogram: &mut Option<Histogram>, nanos: u64) {
    histogram.get_or_insert_default().record(nanos);
}

impl Stats {
    /// Counters of `commands` commands, all zero.
    pub fn new(commands: usize) -> Stats {
        Stats { commands: vec![CommandStats::default(); commands], ..Stats::default() }
    }

    /// What `CONFIG RESETSTAT` does.
    pub fn reset(&mut self) {
        *self = Stats::new(self.commands.len());
    }

    /// Counts an error reply by its code: the text up to the first space.
    pub fn count_error(&mut self, text: &str) {
        self.error_replies += 1;
        let code = text.split(' ').next().unwrap_or_default();
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERROR_CODES_MAX {
            self.errors.insert(code.to_owned(), 1);
        } else {
            *self.errors.entry(ERRORS_OVERFLOW.to_owned()).or_default() += 1;
        }
    }

    /// Counts a call of a command.
    #[inline]
    pub fn count_call(&mut self, command: usize, nanos: u64, tracking: bool) {
        self.commands_processed += 1;
        let stats = &mut self.commands[command];
        stats.calls += 1;
        stats.nanos += nanos;
        if tracking {
            match &mut stats.histogram {
                Some(histogram) => histogram.record(nanos),
                first => begin(first, nanos),
            }
        }
    }
}
