//! `GET /live.json`: what the page shows, once a second.
//!
//! Counters are passed on as they stand; the page makes rates of two of them. Lists are cut off where nobody reads on.

use std::fmt::{Display, Write};

use crate::command::kvick::biggest;
use crate::command::registry::commands;
use crate::command::spec::REDIS_VERSION;
use crate::config::value::Value;
use crate::io::web::{Source, shown};
use crate::state::State;
use crate::state::hot::Ranking;
use crate::state::turns::{Cause, Turn};

/// Commands in the list, those that took most of the time.
const COMMANDS_MAX: usize = 24;
/// Clients in the list, and among how many the busiest are looked for.
const CLIENTS_MAX: usize = 24;
const CLIENTS_LOOKED_AT_MAX: usize = 1000;
/// Slow commands in the list.
const SLOW_MAX: usize = 16;
/// Bytes that are shown of a slow command.
const SLOW_LEN_MAX: usize = 200;
/// Keys in the lists of hot and big ones.
const KEYS_MAX: usize = 10;

/// JSON in the making. Whoever opens an object or a list closes it.
#[derive(Default)]
struct Json {
    text: String,
    /// Something stands before the next value on its level.
    comma: bool,
}

impl Json {
    fn name(&mut self, name: &str) {
        if std::mem::take(&mut self.comma) {
            self.text.push(',');
        }
        if !name.is_empty() {
            self.string(name);
            self.text.push(':');
        }
    }

    fn open(&mut self, name: &str, bracket: char) {
        self.name(name);
        self.text.push(bracket);
        self.comma = false;
    }

    fn close(&mut self, bracket: char) {
        self.text.push(bracket);
        self.comma = true;
    }

    /// A number, or whatever is written like one.
    fn number(&mut self, name: &str, value: impl Display) {
        self.name(name);
        // Writing to a string does not fail.
        write!(self.text, "{value}").ok();
        self.comma = true;
    }

    fn numbers(&mut self, values: &[(&str, u64)]) {
        values.iter().for_each(|(name, value)| self.number(name, value));
    }

    fn word(&mut self, name: &str, text: &str) {
        self.name(name);
        self.string(text);
        self.comma = true;
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for letter in text.chars() {
            match letter {
                '"' | '\\' => {
                    self.text.push('\\');
                    self.text.push(letter);
                }
                // Control characters, and what would end a script or a line in one.
                '\0'..='\x1f' | '<' | '\x7f' | '\u{2028}' | '\u{2029}' => {
                    write!(self.text, "\\u{:04x}", letter as u32).ok();
                }
                _ => self.text.push(letter),
            }
        }
        self.text.push('"');
    }
}

/// The whole text.
pub fn text(source: &Source<'_>) -> String {
    let mut json = Json::default();
    json.open("", '{');
    server(&mut json, source.state);
    counters(&mut json, source);
    memory(&mut json, source);
    keyspace(&mut json, source);
    persistence(&mut json, source.state);
    command_list(&mut json, source.state);
    turns(&mut json, source.state);
    slow(&mut json, source.state);
    clients(&mut json, source.state);
    busy_keys(&mut json, source);
    json.close('}');
    json.text
}

fn server(json: &mut Json, state: &State) {
    let State { identity, process, settings, .. } = state;
    json.open("server", '{');
    json.word("version", env!("CARGO_PKG_VERSION"));
    json.word("redis_version", REDIS_VERSION);
    json.word("os", &identity.os);
    json.number("port", settings.port);
    json.number("pid", identity.pid);
    json.number("now_ms", process.now_ms);
    json.number("mono_ms", process.mono_ms);
    json.number("uptime_secs", process.mono_ms.saturating_sub(identity.started_ms) / 1000);
    json.number("cpu_user", process.cpu_secs[0]);
    json.number("cpu_system", process.cpu_secs[1]);
    json.close('}');
}

fn counters(json: &mut Json, source: &Source<'_>) {
    let (stats, counters) = (&source.state.stats, &source.keys.counters);
    json.open("counters", '{');
    json.numbers(&[
        ("commands", stats.commands_processed),
        ("errors", stats.error_replies),
        ("input", stats.net_input_bytes),
        ("output", stats.net_output_bytes),
        ("connections", stats.connections_received),
        ("rejected", stats.rejected_connections),
        ("hits", counters.hits),
        ("misses", counters.misses),
        ("expired", counters.expired),
        ("evicted", stats.evicted_keys),
        ("turns", stats.turns),
        ("turn_nanos", stats.turn_nanos),
    ]);
    json.close('}');
}

fn memory(json: &mut Json, source: &Source<'_>) {
    let (state, usage) = (source.state, &source.memory);
    json.open("memory", '{');
    json.numbers(&[
        ("used", usage.used as u64),
        ("peak", usage.peak as u64),
        ("rss", state.process.rss_bytes),
        ("max", state.settings.maxmemory),
        ("machine", state.process.total_system_bytes),
        ("startup", state.process.startup_bytes),
        ("clients", state.clients_bytes as u64),
        ("log", state.log.memory() as u64),
        ("tables", usage.tables as u64),
        ("dataset", usage.used.saturating_sub(usage.overhead) as u64),
        ("garbage", source.keys.garbage_len() as u64),
    ]);
    json.word("policy", &state.settings.maxmemory_policy.show());
    json.close('}');
}

fn keyspace(json: &mut Json, source: &Source<'_>) {
    let now = source.keys.now();
    json.open("databases", '[');
    let filled = source.keys.databases().iter().enumerate().filter(|(_, database)| !database.is_empty());
    for (number, database) in filled.take(64) {
        json.open("", '{');
        json.numbers(&[
            ("number", number as u64),
            ("keys", database.len() as u64),
            ("expires", database.expiry().len() as u64),
        ]);
        json.number("ttl_ms", database.expiry().average_ttl_ms(now).max(0));
        json.close('}');
    }
    json.close(']');
}

fn persistence(json: &mut Json, state: &State) {
    let figures = &state.persistence;
    let since = |at_ms: u64| state.process.mono_ms.saturating_sub(at_ms);
    json.open("persistence", '{');
    for (name, value) in [
        ("log_on", figures.aof_enabled),
        ("rewriting", figures.rewrite_in_progress),
        ("rewrite_scheduled", figures.rewrite_scheduled),
        ("rewrite_ok", figures.last_rewrite_ok),
        ("write_ok", figures.last_write_ok),
        ("syncing", figures.pending_sync),
        ("saving", figures.save_in_progress),
        ("save_ok", figures.last_save_ok),
        ("loading", figures.loading.is_some()),
    ] {
        json.number(name, value);
    }
    json.word("policy", &state.settings.appendfsync.show());
    json.word("write_error", &figures.last_write_error);
    json.numbers(&[
        ("log_bytes", figures.current_size),
        ("base_bytes", figures.base_size),
        ("delayed_syncs", figures.delayed_fsync),
        ("rewrites", figures.rewrites),
        ("child_keys", figures.child_keys.0),
        ("child_keys_total", figures.child_keys.1),
        ("child_cow_bytes", figures.child_cow_now_bytes),
        ("unsaved", state.dirty.saturating_sub(figures.saved_changes)),
        ("fork_micros", state.stats.latest_fork_micros),
        ("rewrite_ms", if figures.rewrite_in_progress { since(figures.rewrite_started_ms) } else { 0 }),
        ("save_ms", if figures.save_in_progress { since(figures.save_started_ms) } else { 0 }),
    ]);
    let loading = figures.loading.clone().unwrap_or_default();
    json.numbers(&[("loaded_bytes", loading.loaded_bytes), ("load_bytes", loading.total_bytes)]);
    json.number("rewrite_secs", figures.last_rewrite_secs);
    json.number("save_secs", figures.last_bgsave_secs);
    json.number("saved_at", figures.last_save_secs);
    json.close('}');
}

/// The commands that took most of the time; and how long all took, by powers of two of nanoseconds.
fn command_list(json: &mut Json, state: &State) {
    let table = commands();
    let mut used: Vec<(usize, u64)> =
        state.stats.commands.iter().map(|figures| figures.nanos).enumerate().collect();
    used.retain(|(_, nanos)| 0 < *nanos);
    used.sort_unstable_by_key(|(_, nanos)| std::cmp::Reverse(*nanos));
    let mut all: Vec<u64> = Vec::new();
    json.open("commands", '[');
    for (rank, (number, nanos)) in used.into_iter().enumerate() {
        let figures = &state.stats.commands[number];
        let octaves = figures.histogram.as_ref().map(|histogram| histogram.octaves());
        if let Some(octaves) = &octaves {
            all.resize(octaves.len(), 0);
            all.iter_mut().zip(octaves).for_each(|(sum, count)| *sum += count);
        }
        if COMMANDS_MAX <= rank {
            continue;
        }
        json.open("", '{');
        json.word("name", &table.row(number).full_name);
        json.numbers(&[
            ("calls", figures.calls),
            ("nanos", nanos),
            ("failed", figures.failed + figures.rejected),
        ]);
        if let Some((histogram, octaves)) = figures.histogram.as_ref().zip(octaves) {
            for (name, percentile) in [("p50", 50.0), ("p99", 99.0), ("p999", 99.9), ("max", 100.0)] {
                json.number(name, histogram.percentile_among(&octaves, percentile));
            }
        }
        json.close('}');
    }
    json.close(']');
    json.open("latency", '[');
    all.iter().for_each(|count| json.number("", count));
    json.close(']');
}

fn turns(json: &mut Json, state: &State) {
    json.open("turns", '[');
    for cause in Cause::ALL {
        let spread = state.turns.spread(cause);
        json.open("", '{');
        json.word("cause", cause.name());
        json.numbers(&[("turns", spread.turns), ("nanos", spread.nanos), ("max", spread.nanos_max)]);
        json.open("counts", '[');
        spread.counts.iter().for_each(|count| json.number("", count));
        json.close(']');
        json.close('}');
    }
    json.close(']');
    worst(json, "worst", state.turns.worst());
    worst(json, "worst_recent", state.turns.worst_recent());
    json.open("events", '[');
    for (name, event) in state.latency.iter() {
        let (at_secs, ms) = event.samples.back().copied().unwrap_or_default();
        json.open("", '{');
        json.word("name", name);
        json.number("at", at_secs);
        json.numbers(&[("ms", ms), ("max", event.max_ms)]);
        json.close('}');
    }
    json.close(']');
    json.number("threshold_ms", state.settings.latency_monitor_threshold);
}

fn worst(json: &mut Json, name: &str, turn: &Turn) {
    json.open(name, '{');
    json.number("at_ms", turn.at_ms);
    json.numbers(&[("nanos", turn.busy_nanos()), ("commands", turn.commands)]);
    json.open("causes", '[');
    for (cause, nanos) in turn.causes() {
        json.open("", '[');
        json.word("", cause.name());
        json.number("", nanos);
        json.close(']');
    }
    json.close(']');
    json.close('}');
}

fn slow(json: &mut Json, state: &State) {
    json.number("slow_micros", state.settings.slowlog_log_slower_than);
    json.number("slow_count", state.slowlog.iter().len());
    json.open("slow", '[');
    for entry in state.slowlog.iter().take(SLOW_MAX) {
        json.open("", '{');
        json.number("id", entry.id);
        json.number("at", entry.at_secs);
        json.number("micros", entry.amount);
        let words: Vec<String> = entry.args.iter().map(|arg| shown(arg)).collect();
        let line: String = words.join(" ").chars().take(SLOW_LEN_MAX).collect();
        json.word("line", &line);
        json.word("addr", &entry.addr);
        json.word("client", &shown(&entry.name));
        json.close('}');
    }
    json.close(']');
}

fn clients(json: &mut Json, state: &State) {
    let now_ms = state.process.mono_ms;
    json.open("clients", '{');
    json.number(
        "connected",
        state.sessions.len().saturating_sub(usize::from(state.persistence.loading.is_some())),
    );
    json.number("max", state.settings.maxclients);
    json.number("blocked", state.blocked_clients());
    let mut sessions: Vec<_> =
        state.sessions.iter().map(|(_, session)| session).take(CLIENTS_LOOKED_AT_MAX).collect();
    sessions.sort_unstable_by_key(|session| std::cmp::Reverse(session.commands));
    json.open("list", '[');
    for session in sessions.into_iter().take(CLIENTS_MAX) {
        json.open("", '{');
        json.number("id", session.id);
        json.word("addr", &session.addr);
        json.word("name", &shown(&session.name));
        json.word("flags", &session.flags());
        json.number("db", session.database);
        json.numbers(&[
            ("age_ms", now_ms.saturating_sub(session.created_ms)),
            ("idle_ms", now_ms.saturating_sub(session.active_ms)),
            ("commands", session.commands),
            ("input", session.input_bytes),
            ("output", session.output_bytes),
            ("memory", session.memory() as u64),
        ]);
        let last = session.last_command.map_or("", |number| &commands().row(number).full_name);
        json.word("last", last);
        json.close('}');
    }
    json.close(']');
    json.close('}');
}

fn busy_keys(json: &mut Json, source: &Source<'_>) {
    ranking(json, "hot", &source.state.hot.by_requests);
    ranking(json, "slow_keys", &source.state.hot.by_time);
    json.open("big", '[');
    for big in biggest(source.keys, source.state, KEYS_MAX) {
        json.open("", '{');
        json.word("key", &shown(&big.key));
        json.word("type", big.kind);
        json.numbers(&[("db", big.database as u64), ("length", big.len as u64), ("bytes", big.bytes as u64)]);
        json.close('}');
    }
    json.close(']');
}

fn ranking(json: &mut Json, name: &str, ranking: &Ranking) {
    json.open(name, '[');
    for key in ranking.top(KEYS_MAX) {
        json.open("", '{');
        json.word("key", &shown(&key.key));
        json.number("db", key.database);
        json.number("share", key.weight / ranking.total().max(1.0));
        json.number("writes", key.writes / (key.weight - key.error).max(1.0));
        json.close('}');
    }
    json.close(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted() {
        let mut json = Json::default();
        json.open("", '{');
        json.word("a\"\\", "</script>\n\u{2028}é");
        json.number("b", 1);
        json.open("c", '[');
        json.open("", '[');
        json.close(']');
        json.number("", 2.5);
        json.close(']');
        json.close('}');
        let expected = r#"{"a\"\\":"\u003c/script>\u000a\u2028é","b":1,"c":[[],2.5]}"#;
        assert_eq!(json.text, expected);
    }
}
