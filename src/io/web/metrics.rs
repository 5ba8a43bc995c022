//! `GET /metrics`: the figures in Prometheus' text format, version 0.0.4.
//!
//! What redis_exporter measures too has its name and type here, so that dashboards made for it show this server; what
//! only kvick has begins with `kvick_`. The figures are those of `INFO`. Those that would take a walk over all
//! clients are left out, so that a scrape costs the same whoever is connected.

use std::fmt::Write;

use crate::command::kvick::biggest;
use crate::command::registry::commands;
use crate::command::spec::REDIS_VERSION;
use crate::config::value::Value;
use crate::data::keyspace::Keyspace;
use crate::io::web::{Source, shown};
use crate::state::State;
use crate::state::channels::Scope;
use crate::state::histogram::Histogram;
use crate::state::turns::Cause;

/// The type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Keys in the families of hot and big ones.
const KEYS_SHOWN: usize = 10;

/// Databases that are shown even if they are empty.
const DATABASES_SHOWN: usize = 16;

/// The percentiles of the summaries.
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// A value. Most are integers, which go without the formatting machinery.
trait Number {
    fn push(&self, out: &mut String);
}

macro_rules! integers {
    ($($kind:ty)*) => {$(
        impl Number for $kind {
            fn push(&self, out: &mut String) {
                out.push_str(itoa::Buffer::new().format(*self));
            }
        }
    )*};
}

integers!(u8 u32 u64 usize i32 i64);

impl Number for f64 {
    fn push(&self, out: &mut String) {
        if self.fract() == 0.0 && self.abs() < 1e15 {
            (*self as i64).push(out);
        } else {
            // Writing to a string does not fail.
            write!(out, "{self}").ok();
        }
    }
}

impl<T: Number> Number for &T {
    fn push(&self, out: &mut String) {
        (**self).push(out);
    }
}

/// The text in the making.
struct Text(String);

impl Text {
    /// Begins a family: its help and its type.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.0.push_str(part);
        }
    }

    fn value(&mut self, value: impl Number) {
        self.0.push(' ');
        value.push(&mut self.0);
        self.0.push('\n');
    }

    /// A sample with labels.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Number) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            if text.contains(['\\', '"', '\n']) {
                self.0.push_str(&text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
            } else {
                self.0.push_str(text);
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.value(value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Number) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Number) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) {
        self.gauge(name, help, u8::from(value));
    }
}

/// The whole text. Names of keys are in it only if `names` says so.
pub fn text(source: &Source<'_>, names: bool) -> String {
    let (keys, state) = (source.keys, source.state);
    let mut text = Text(String::with_capacity(64 << 10));
    server(&mut text, state);
    clients(&mut text, state);
    memory(&mut text, source);
    snapshots(&mut text, state);
    log(&mut text, state);
    stats(&mut text, state, keys);
    databases(&mut text, keys);
    command_counts(&mut text, state);
    command_times(&mut text, state);
    slow(&mut text, state);
    turns(&mut text, state);
    if names {
        busy_keys(&mut text, source);
    }
    text.gauge(
        "kvick_last_scrape_duration_seconds",
        "How long the last scrape took the server.",
        source.last_nanos as f64 / 1e9,
    );
    text.0
}

fn server(text: &mut Text, state: &State) {
    let State { identity, process, settings, .. } = state;
    let uptime_secs = process.mono_ms.saturating_sub(identity.started_ms) / 1000;
    text.gauge("redis_up", "The server answers.", 1);
    text.gauge("redis_uptime_in_seconds", "Time since the start.", uptime_secs);
    let started = process.now_ms / 1000 - uptime_secs as i64;
    text.gauge("redis_start_time_seconds", "Date of the start.", started);
    text.gauge("redis_process_id", "Number of the process.", identity.pid);
    text.family("redis_instance_info", "gauge", "Which server this is.");
    let (port, pid) = (settings.port.to_string(), identity.pid.to_string());
    let labels = [
        ("role", "master"),
        ("redis_version", REDIS_VERSION),
        ("redis_build_id", env!("CARGO_PKG_VERSION")),
        ("redis_mode", "standalone"),
        ("os", &identity.os),
        ("maxmemory_policy", &settings.maxmemory_policy.show()),
        ("tcp_port", &port),
        ("run_id", &identity.run_id),
        ("process_id", &pid),
    ];
    text.sample("redis_instance_info", &labels, 1);
    text.family("kvick_build_info", "gauge", "The version of kvick.");
    text.sample("kvick_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.gauge("redis_cluster_enabled", "There is no cluster.", 0);
    text.gauge("redis_connected_slaves", "There is no replication.", 0);
    text.gauge("redis_master_repl_offset", "There is no replication.", 0);
}

fn clients(text: &mut Text, state: &State) {
    let connected = state.sessions.len().saturating_sub(usize::from(state.persistence.loading.is_some()));
    text.gauge("redis_connected_clients", "Connections.", connected);
    text.gauge("redis_blocked_clients", "Clients whose request waits.", state.blocked_clients());
    for (name, help, value) in [
        ("redis_pubsub_clients", "Clients with subscriptions.", state.channels.clients),
        ("redis_watching_clients", "Clients that watch keys.", state.watching),
        ("redis_tracking_clients", "Clients that keep keys they have read.", state.tracking.clients),
        ("redis_tracking_total_keys", "Keys that clients keep.", state.tracking.keys()),
        ("redis_tracking_total_items", "Keys times the clients that keep them.", state.tracking.items()),
        ("redis_tracking_total_prefixes", "Prefixes that clients named.", state.tracking.prefixes.len()),
        ("kvick_monitoring_clients", "Clients that see all requests.", state.monitors.len()),
    ] {
        text.gauge(name, help, value);
    }
    let max = state.settings.maxclients;
    text.gauge("redis_max_clients", "Connections that are allowed.", max);
    text.gauge("redis_config_maxclients", "Connections that are allowed.", max);
    text.gauge("redis_total_watched_keys", "Keys that transactions watch.", state.watches.len());
    text.gauge("redis_total_blocking_keys", "Keys that clients wait for.", state.waits.len());
}

fn memory(text: &mut Text, source: &Source<'_>) {
    let (keys, state, usage) = (source.keys, source.state, &source.memory);
    let dataset = usage.used.saturating_sub(usage.overhead);
    for (name, help, value) in [
        ("redis_memory_used_bytes", "Memory in use.", usage.used as u64),
        ("redis_memory_used_peak_bytes", "The most that was ever in use.", usage.peak as u64),
        ("redis_memory_used_rss_bytes", "Resident memory.", state.process.rss_bytes),
        ("redis_memory_used_overhead_bytes", "What is neither keys nor values.", usage.overhead as u64),
        ("redis_memory_used_startup_bytes", "In use before there were keys.", state.process.startup_bytes),
        ("redis_memory_used_dataset_bytes", "Keys and values.", dataset as u64),
        ("redis_memory_max_bytes", "The limit; 0 = none.", state.settings.maxmemory),
        ("redis_config_maxmemory", "The limit; 0 = none.", state.settings.maxmemory),
        ("redis_total_system_memory_bytes", "Memory of the machine.", state.process.total_system_bytes),
        ("redis_allocator_allocated_bytes", "Handed out by the allocator.", usage.used as u64),
        ("redis_mem_clients_normal", "Bytes that clients have.", state.clients_bytes as u64),
        ("redis_mem_not_counted_for_eviction_bytes", "No key goes for these.", state.not_counted() as u64),
        ("redis_lazyfree_pending_objects", "Values that wait to be freed.", keys.garbage_len() as u64),
    ] {
        text.gauge(name, help, value);
    }
    let rss = state.process.rss_bytes as f64;
    text.gauge("redis_mem_fragmentation_ratio", "Resident by used memory.", rss / usage.used.max(1) as f64);
    let more = rss as i64 - usage.used as i64;
    text.gauge("redis_mem_fragmentation_bytes", "Resident beyond used memory.", more);
}

fn snapshots(text: &mut Text, state: &State) {
    let figures = &state.persistence;
    let since = |at: u64| (state.process.mono_ms.saturating_sub(at) / 1000) as i64;
    let running = if figures.save_in_progress { since(figures.save_started_ms) } else { -1 };
    text.flag("redis_loading_dump_file", "Data is being loaded.", figures.loading.is_some());
    let unsaved = state.dirty.saturating_sub(figures.saved_changes);
    text.gauge("redis_rdb_changes_since_last_save", "Changes since the last snapshot.", unsaved);
    text.flag("redis_rdb_bgsave_in_progress", "A snapshot is being written.", figures.save_in_progress);
    text.gauge("redis_rdb_last_save_timestamp_seconds", "Date of the last one.", figures.last_save_secs);
    text.flag("redis_rdb_last_bgsave_status", "The last one succeeded.", figures.last_save_ok);
    text.gauge(
        "redis_rdb_last_bgsave_duration_sec",
        "How long it took; -1 = none.",
        figures.last_bgsave_secs,
    );
    text.gauge("redis_rdb_current_bgsave_duration_sec", "Running for so long; -1 = none.", running);
    text.gauge("redis_rdb_last_cow_size_bytes", "Memory its child copied.", figures.save_cow_bytes);
    text.counter("redis_rdb_saves_total", "Snapshots.", figures.saves);
}

fn log(text: &mut Text, state: &State) {
    let figures = &state.persistence;
    let since = |at: u64| (state.process.mono_ms.saturating_sub(at) / 1000) as i64;
    let running = if figures.rewrite_in_progress { since(figures.rewrite_started_ms) } else { -1 };
    text.flag("redis_aof_enabled", "The log is on.", figures.aof_enabled);
    text.flag("redis_aof_rewrite_in_progress", "The log is being rewritten.", figures.rewrite_in_progress);
    text.flag("redis_aof_rewrite_scheduled", "A rewrite waits for its turn.", figures.rewrite_scheduled);
    text.gauge("redis_aof_last_rewrite_duration_sec", "The last one; -1 = none.", figures.last_rewrite_secs);
    text.gauge("redis_aof_current_rewrite_duration_sec", "Running for so long; -1 = none.", running);
    text.flag("redis_aof_last_bgrewrite_status", "The last one succeeded.", figures.last_rewrite_ok);
    text.flag("redis_aof_last_write_status", "The last write succeeded.", figures.last_write_ok);
    text.gauge("redis_aof_last_cow_size_bytes", "Memory its child copied.", figures.child_cow_bytes);
    text.gauge("redis_aof_current_size_bytes", "Bytes of the log.", figures.current_size);
    text.gauge("redis_aof_base_size_bytes", "Bytes of the log after the last rewrite.", figures.base_size);
    text.gauge("redis_aof_buffer_length", "Bytes that wait to be written.", state.log.pending().len());
    text.flag("redis_aof_pending_bio_fsync", "A sync runs or waits.", figures.pending_sync);
    text.gauge(
        "redis_aof_delayed_fsync",
        "Syncs that found the last one still running.",
        figures.delayed_fsync,
    );
    let (done, all) = figures.child_keys;
    text.gauge("kvick_child_keys_written", "Keys that the running child has written.", done);
    text.gauge("kvick_child_keys", "Keys that the running child will write.", all);
}

fn stats(text: &mut Text, state: &State, keys: &Keyspace) {
    let (stats, counters) = (&state.stats, &keys.counters);
    for (name, help, value) in [
        ("redis_connections_received_total", "Connections accepted.", stats.connections_received),
        ("redis_rejected_connections_total", "Connections refused.", stats.rejected_connections),
        ("redis_commands_processed_total", "Commands run.", stats.commands_processed),
        ("redis_net_input_bytes_total", "Bytes received.", stats.net_input_bytes),
        ("redis_net_output_bytes_total", "Bytes sent.", stats.net_output_bytes),
        ("redis_expired_keys_total", "Keys expired.", counters.expired),
        ("redis_expired_time_cap_reached_total", "Expiry was cut short.", stats.expired_time_cap_reached),
        ("redis_evicted_keys_total", "Keys evicted.", stats.evicted_keys),
        ("redis_evicted_clients_total", "Clients evicted.", stats.evicted_clients),
        ("redis_keyspace_hits_total", "Keys looked up and found.", counters.hits),
        ("redis_keyspace_misses_total", "Keys looked up and not found.", counters.misses),
        ("redis_forks_total", "Forks.", stats.total_forks),
        ("kvick_children_ended_stalled_total", "Ended by the watchdog.", state.persistence.children_stalled),
        ("kvick_clock_jumps_total", "Times the clock was set.", stats.clock_jumps.iter().sum()),
        ("kvick_clock_jump_expired_keys_total", "Keys expired by that.", counters.expired_by_jump[0]),
    ] {
        text.counter(name, help, value);
    }
    for (name, help, value) in [
        ("redis_instantaneous_ops_per_sec", "Commands per second.", stats.rate_commands.per_second()),
        ("redis_total_error_replies", "Error replies.", stats.error_replies),
        ("redis_total_reads_processed", "Reads from clients.", stats.reads_processed),
        ("redis_total_writes_processed", "Writes to clients.", stats.writes_processed),
        ("redis_pubsub_channels", "Channels.", state.channels.of(Scope::Channel).len() as u64),
        ("redis_pubsub_patterns", "Patterns.", state.channels.of(Scope::Pattern).len() as u64),
        ("redis_pubsubshard_channels", "Shard channels.", state.channels.of(Scope::Shard).len() as u64),
    ] {
        text.gauge(name, help, value);
    }
    text.gauge("redis_expired_stale_percentage", "Expired among the due.", stats.expired_stale_perc);
    text.gauge("redis_latest_fork_seconds", "The last fork.", stats.latest_fork_micros as f64 / 1e6);
    let [user, system, children_user, children_system] = state.process.cpu_secs;
    for (name, value) in [
        ("redis_cpu_sys_seconds_total", system),
        ("redis_cpu_user_seconds_total", user),
        ("redis_cpu_sys_children_seconds_total", children_system),
        ("redis_cpu_user_children_seconds_total", children_user),
    ] {
        text.counter(name, "Processor time.", value);
    }
    text.family("redis_errors_total", "counter", "Error replies by code.");
    for (code, count) in &stats.errors {
        text.sample("redis_errors_total", &[("err", code)], count);
    }
}

/// A family of gauges with a sample for each of these databases.
fn by_database(text: &mut Text, name: &str, help: &str, values: &[(usize, f64)]) {
    text.family(name, "gauge", help);
    for (number, value) in values {
        text.sample(name, &[("db", &format!("db{number}"))], value);
    }
}

fn databases(text: &mut Text, keys: &Keyspace) {
    let now = keys.now();
    let all = || keys.databases().iter().enumerate();
    let shown = || all().filter(|(number, database)| *number < DATABASES_SHOWN || !database.is_empty());
    let lens: Vec<_> = shown().map(|(number, database)| (number, database.len() as f64)).collect();
    by_database(text, "redis_db_keys", "Keys.", &lens);
    let deadlines: Vec<_> =
        shown().map(|(number, database)| (number, database.expiry().len() as f64)).collect();
    by_database(text, "redis_db_keys_expiring", "Keys with a deadline.", &deadlines);
    let averages: Vec<_> = shown()
        .filter(|(_, database)| !database.expiry().is_empty())
        .map(|(number, database)| (number, database.expiry().average_ttl_ms(now).max(0) as f64 / 1000.0))
        .collect();
    by_database(text, "redis_db_avg_ttl_seconds", "Their mean time to live.", &averages);
}

fn command_counts(text: &mut Text, state: &State) {
    let used = || {
        let all = commands().rows().iter().zip(&state.stats.commands);
        all.filter(|(_, figures)| figures.calls + figures.rejected + figures.failed != 0)
    };
    text.family("redis_commands_total", "counter", "Calls by command.");
    for (row, figures) in used() {
        text.sample("redis_commands_total", &[("cmd", &row.full_name)], figures.calls);
    }
    let name = "redis_commands_duration_seconds_total";
    text.family(name, "counter", "Time by command.");
    for (row, figures) in used() {
        text.sample(name, &[("cmd", &row.full_name)], figures.nanos as f64 / 1e9);
    }
    let name = "redis_commands_rejected_calls_total";
    text.family(name, "counter", "Calls refused before they ran, by command.");
    for (row, figures) in used() {
        text.sample(name, &[("cmd", &row.full_name)], figures.rejected);
    }
    let name = "redis_commands_failed_calls_total";
    text.family(name, "counter", "Calls that failed, by command.");
    for (row, figures) in used() {
        text.sample(name, &[("cmd", &row.full_name)], figures.failed);
    }
}

fn command_times(text: &mut Text, state: &State) {
    let timed: Vec<(&str, &Histogram, f64)> = commands()
        .rows()
        .iter()
        .zip(&state.stats.commands)
        .filter_map(|(row, figures)| {
            let micros = figures.nanos as f64 / 1000.0;
            Some((row.full_name.as_str(), figures.histogram.as_ref()?, micros))
        })
        .collect();
    let name = "redis_latency_percentiles_usec";
    text.family(name, "summary", "Durations in microseconds by command.");
    for (command, histogram, micros) in &timed {
        let octaves = histogram.octaves();
        for quantile in QUANTILES {
            let nanos = histogram.percentile_among(&octaves, quantile * 100.0);
            let labels = [("cmd", *command), ("quantile", &quantile.to_string())];
            text.sample(name, &labels, nanos as f64 / 1000.0);
        }
        text.sample("redis_latency_percentiles_usec_sum", &[("cmd", command)], micros);
        text.sample("redis_latency_percentiles_usec_count", &[("cmd", command)], histogram.total());
    }
    text.family("redis_commands_latencies_usec", "histogram", "Durations in microseconds by command.");
    for (command, histogram, micros) in &timed {
        for (below, count) in histogram.cumulative_micros() {
            let labels = [("cmd", *command), ("le", &below.to_string())];
            text.sample("redis_commands_latencies_usec_bucket", &labels, count);
        }
        let labels = [("cmd", *command), ("le", "+Inf")];
        text.sample("redis_commands_latencies_usec_bucket", &labels, histogram.total());
        text.sample("redis_commands_latencies_usec_sum", &[("cmd", command)], micros);
        text.sample("redis_commands_latencies_usec_count", &[("cmd", command)], histogram.total());
    }
}

fn slow(text: &mut Text, state: &State) {
    let entries = state.slowlog.iter();
    text.gauge("redis_slowlog_length", "Slow commands remembered.", entries.len());
    if let Some(last) = state.slowlog.iter().next() {
        text.gauge("redis_slowlog_last_id", "Number of the last one.", last.id);
        let secs = last.amount as f64 / 1e6;
        text.gauge("redis_last_slow_execution_duration_seconds", "How long it took.", secs);
    }
    text.family("redis_latency_spike_last", "gauge", "Date of the last spike by event.");
    let last = |event: &crate::state::latency::Event| event.samples.back().copied().unwrap_or_default();
    for (name, event) in state.latency.iter() {
        text.sample("redis_latency_spike_last", &[("event_name", name)], last(event).0);
    }
    text.family("redis_latency_spike_duration_seconds", "gauge", "The last spike by event.");
    for (name, event) in state.latency.iter() {
        let secs = last(event).1 as f64 / 1000.0;
        text.sample("redis_latency_spike_duration_seconds", &[("event_name", name)], secs);
    }
}

fn turns(text: &mut Text, state: &State) {
    let turns = &state.turns;
    text.counter("kvick_turns_total", "Turns of the loop.", state.stats.turns);
    text.family("kvick_turn_seconds", "histogram", "Where the time of a turn went, by cause.");
    for cause in Cause::ALL {
        let spread = turns.spread(cause);
        if spread.turns == 0 {
            continue;
        }
        let mut seen = 0;
        for (level, count) in spread.counts.iter().enumerate().take(spread.counts.len() - 1) {
            seen += count;
            // Every second bound: enough to tell a stall, and half as many series.
            if level % 2 == 0 {
                let below = (1u64 << level) as f64 / 1e6;
                let labels = [("cause", cause.name()), ("le", &below.to_string())];
                text.sample("kvick_turn_seconds_bucket", &labels, seen);
            }
        }
        let labels = [("cause", cause.name()), ("le", "+Inf")];
        text.sample("kvick_turn_seconds_bucket", &labels, spread.turns);
        text.sample("kvick_turn_seconds_sum", &[("cause", cause.name())], spread.nanos as f64 / 1e9);
        text.sample("kvick_turn_seconds_count", &[("cause", cause.name())], spread.turns);
    }
    text.family("kvick_turn_worst_recent_seconds", "gauge", "The worst turn of the last minutes, by cause.");
    for (cause, nanos) in turns.worst_recent().causes() {
        text.sample("kvick_turn_worst_recent_seconds", &[("cause", cause.name())], nanos as f64 / 1e9);
    }
}

fn busy_keys(text: &mut Text, source: &Source<'_>) {
    for (name, help, ranking) in [
        ("kvick_hot_key_requests_ratio", "Share of the requests, by key.", &source.state.hot.by_requests),
        ("kvick_hot_key_time_ratio", "Share of the time of requests, by key.", &source.state.hot.by_time),
    ] {
        text.family(name, "gauge", help);
        for key in ranking.top(KEYS_SHOWN) {
            let database = format!("db{}", key.database);
            let labels = [("db", database.as_str()), ("key", &shown(&key.key))];
            text.sample(name, &labels, key.weight / ranking.total().max(1.0));
        }
    }
    text.family("kvick_big_key_bytes", "gauge", "Memory of the biggest keys.");
    for big in biggest(source.keys, source.state, KEYS_SHOWN) {
        let database = format!("db{}", big.database);
        let labels = [("db", database.as_str()), ("key", &shown(&big.key)), ("type", big.kind)];
        text.sample("kvick_big_key_bytes", &labels, big.bytes);
    }
}
