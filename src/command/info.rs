//! `INFO`: the state of the server in figures.
//!
//! Sections, fields and their order are Redis's, since dashboards and clients read them by name. A figure
//! that kvick does not have is left out rather than made up; where Redis has a figure of something that
//! cannot happen here (replicas, scripts, defragmentation), the nought is true and stands there.

use std::fmt::Display;

use crate::base::number::human_bytes;
use crate::command::memory::Usage;
use crate::command::registry::commands;
use crate::command::spec::flag::{DANGEROUS, LOADING, STALE};
use crate::command::spec::{Command, Ctx, Doc, Effect, Group, Outcome, REDIS_VERSION};
use crate::config::value::Value;
use crate::data::keyspace::Keyspace;
use crate::resp::request::Args;
use crate::state::State;
use crate::state::channels::Scope;
use crate::state::denials::Reason;
use crate::state::server::Loading;
use crate::state::turns::{Cause, Turn};

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "info", arity: -1, flags: LOADING | STALE | DANGEROUS, keys: &[], run: info, subcommands: &[],
        doc: Doc { summary: "Returns figures about the server.", since: "1.0.0", group: Group::Server,
            complexity: "O(N) of the clients", syntax: "[section [section ...]]" } },
];

/// The tick comes every 100 ms.
const TICKS_PER_SECOND: u32 = 10;

/// What the figures are taken from.
struct Source<'a> {
    state: &'a State,
    keys: &'a Keyspace,
    /// Bytes of the buffer that the reply is written to.
    output_bytes: usize,
}

/// The text in the making.
#[derive(Default)]
struct Page(String);

impl Page {
    fn section(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        self.0.push_str(&format!("# {title}\r\n"));
    }

    fn field(&mut self, name: &str, value: impl Display) {
        self.0.push_str(&format!("{name}:{value}\r\n"));
    }

    /// Fields that are zero because what they count cannot happen here.
    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.field(name, 0));
    }

    /// A field of yes or no.
    fn flag(&mut self, name: &str, value: bool) {
        self.field(name, u8::from(value));
    }

    /// A field that tells whether something went well.
    fn status(&mut self, name: &str, ok: bool) {
        self.field(name, if ok { "ok" } else { "err" });
    }

    /// Bytes, and once more for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.human(name, bytes);
    }

    fn human(&mut self, name: &str, bytes: u64) {
        self.field(&format!("{name}_human"), human_bytes(bytes));
    }
}

/// A section.
struct Section {
    /// As it is asked for.
    name: &'static str,
    /// Shown to who asks for nothing in particular.
    default: bool,
    write: fn(&mut Page, &Source<'_>),
}

/// The sections in the order in which they are shown, whatever the order of the arguments.
#[rustfmt::skip]
static SECTIONS: &[Section] = &[
    Section { name: "server", default: true, write: server },
    Section { name: "clients", default: true, write: clients },
    Section { name: "memory", default: true, write: memory },
    Section { name: "persistence", default: true, write: persistence },
    Section { name: "threads", default: true, write: threads },
    Section { name: "stats", default: true, write: stats },
    Section { name: "replication", default: true, write: replication },
    Section { name: "cpu", default: true, write: cpu },
    Section { name: "modules", default: true, write: |page, _| page.section("Modules") },
    Section { name: "commandstats", default: false, write: commandstats },
    Section { name: "errorstats", default: true, write: errorstats },
    Section { name: "latencystats", default: false, write: latencystats },
    Section { name: "turns", default: false, write: turns },
    Section { name: "cluster", default: true, write: cluster },
    Section { name: "keyspace", default: true, write: keyspace },
];

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let asked = |name: &str| args.iter().skip(1).any(|arg| arg.eq_ignore_ascii_case(name.as_bytes()));
    let default = args.len() == 1 || asked("default");
    let all = asked("all") || asked("everything");
    let source = Source { state: ctx.state, keys: ctx.keys, output_bytes: ctx.reply.out.buffer_size() };
    let mut page = Page::default();
    for section in SECTIONS {
        if all || (default && section.default) || asked(section.name) {
            (section.write)(&mut page, &source);
        }
    }
    ctx.reply.verbatim("txt", page.0.as_bytes());
    Ok(Effect::Unchanged)
}

fn server(page: &mut Page, source: &Source<'_>) {
    let State { identity, process, settings, .. } = source.state;
    let uptime_secs = process.mono_ms.saturating_sub(identity.started_ms) / 1000;
    page.section("Server");
    page.field("redis_version", REDIS_VERSION);
    page.field("kvick_version", env!("CARGO_PKG_VERSION"));
    page.field("redis_mode", "standalone");
    page.field("os", &identity.os);
    page.field("arch_bits", usize::BITS);
    page.field("monotonic_clock", "POSIX clock_gettime");
    page.field("multiplexing_api", if cfg!(target_os = "linux") { "epoll" } else { "kqueue" });
    page.field("process_id", identity.pid);
    page.field("process_supervised", "no");
    page.field("run_id", &identity.run_id);
    page.field("tcp_port", if settings.port == 0 { settings.tls_port } else { settings.port });
    page.field("server_time_usec", process.now_micros.max(process.now_ms.saturating_mul(1000)));
    page.field("uptime_in_seconds", uptime_secs);
    page.field("uptime_in_days", uptime_secs / (24 * 60 * 60));
    page.field("hz", TICKS_PER_SECOND);
    let configured = settings.get(&["hz"]);
    page.field("configured_hz", configured.first().map_or("", |(_, value)| value));
    page.field("lru_clock", source.keys.now().secs() & 0x00ff_ffff);
    page.field("executable", &identity.executable);
    page.field("config_file", &identity.config_file);
    page.field("io_threads_active", 0);
    for (number, (name, port, addresses)) in process.listeners.iter().enumerate() {
        let mut text = format!("name={name}");
        addresses.iter().for_each(|address| text.push_str(&format!(",bind={address}")));
        if *port != 0 {
            text.push_str(&format!(",port={port}"));
        }
        page.field(&format!("listener{number}"), text);
    }
}

/// Clients, without the one that stands in for a log being loaded.
fn connected(state: &State) -> usize {
    state.sessions.len() - usize::from(state.persistence.loading.is_some() && !state.sessions.is_empty())
}

fn clients(page: &mut Page, source: &Source<'_>) {
    let state = source.state;
    let sessions = || state.sessions.iter().map(|(_, session)| session);
    let input = sessions().map(|session| session.query_buffer + session.args_memory).max();
    let output = sessions().map(|session| session.output.memory()).max();
    page.section("Clients");
    page.field("connected_clients", connected(state));
    page.zeros(&["cluster_connections"]);
    page.field("maxclients", state.settings.maxclients);
    page.field("client_recent_max_input_buffer", input.unwrap_or(0));
    page.field("client_recent_max_output_buffer", output.unwrap_or(0));
    page.field("blocked_clients", state.blocked_clients());
    page.field("tracking_clients", state.tracking.clients);
    page.field("pubsub_clients", state.channels.clients);
    page.field("watching_clients", state.watching);
    page.field("total_watched_keys", state.watches.len());
    page.field("total_blocking_keys", state.waits.len());
    page.zeros(&["total_blocking_keys_on_nokey"]);
    let left_ms = state.pause.map_or(0, |pause| pause.until_ms.saturating_sub(state.process.mono_ms));
    page.field("paused_reason", state.pause.map_or("none", |_| "client_pause"));
    page.field("paused_actions", state.pause.map_or("none", |pause| if pause.all { "all" } else { "write" }));
    page.field("paused_timeout_milliseconds", left_ms);
}

fn memory(page: &mut Page, source: &Source<'_>) {
    let Source { state, keys, output_bytes } = source;
    let usage = Usage::measure(keys, state);
    page.section("Memory");
    page.bytes("used_memory", usage.used as u64);
    page.bytes("used_memory_rss", usage.rss as u64);
    page.bytes("used_memory_peak", usage.peak as u64);
    page.field("used_memory_peak_perc", format_args!("{:.2}%", usage.peak_percent()));
    page.field("used_memory_overhead", usage.overhead);
    page.field("used_memory_startup", usage.startup);
    page.field("used_memory_dataset", usage.dataset);
    page.field("used_memory_dataset_perc", format_args!("{:.2}%", usage.dataset_percent()));
    page.field("allocator_allocated", usage.used);
    page.bytes("total_system_memory", state.process.total_system_bytes);
    page.zeros(&["used_memory_lua", "used_memory_vm_eval"]);
    page.human("used_memory_lua", 0);
    page.zeros(&[
        "used_memory_scripts_eval",
        "number_of_cached_scripts",
        "number_of_functions",
        "number_of_libraries",
        "used_memory_vm_functions",
        "used_memory_vm_total",
    ]);
    page.human("used_memory_vm_total", 0);
    page.zeros(&["used_memory_functions", "used_memory_scripts"]);
    page.human("used_memory_scripts", 0);
    page.bytes("maxmemory", state.settings.maxmemory);
    page.field("maxmemory_policy", state.settings.maxmemory_policy.show());
    page.field("mem_fragmentation_ratio", format_args!("{:.2}", usage.fragmentation()));
    page.field("mem_fragmentation_bytes", usage.fragmentation_bytes());
    page.field("mem_not_counted_for_evict", state.not_counted() + output_bytes);
    page.zeros(&[
        "mem_replication_backlog",
        "mem_total_replication_buffers",
        "mem_replica_full_sync_buffer",
        "mem_clients_slaves",
    ]);
    page.field("mem_clients_normal", usage.clients);
    page.zeros(&["mem_cluster_links"]);
    page.field("mem_aof_buffer", usage.log);
    page.field("mem_allocator", "mimalloc");
    page.zeros(&["active_defrag_running"]);
    page.field("lazyfree_pending_objects", keys.garbage_len());
    page.field("lazyfreed_objects", keys.counters.freed);
}

/// Seconds since a moment of the monotonic clock.
fn secs_since(state: &State, mono_ms: u64) -> u64 {
    state.process.mono_ms.saturating_sub(mono_ms) / 1000
}

fn persistence(page: &mut Page, source: &Source<'_>) {
    let state = source.state;
    let figures = &state.persistence;
    let writing = figures.rewrite_in_progress || figures.save_in_progress;
    let (done, total) = if writing { figures.child_keys } else { (0, 0) };
    let percent = if total == 0 { 0.0 } else { done as f64 / total as f64 * 100.0 };
    page.section("Persistence");
    page.flag("loading", figures.loading.is_some());
    page.zeros(&["async_loading"]);
    page.field("current_cow_size", figures.child_cow_now_bytes);
    page.field("current_fork_perc", format_args!("{percent:.2}"));
    page.field("current_save_keys_processed", done);
    page.field("current_save_keys_total", total);
    page.field("rdb_changes_since_last_save", state.dirty.saturating_sub(figures.saved_changes));
    page.field("kvick_child_stalled_ms", figures.child_stalled_ms);
    page.field("kvick_children_ended_stalled", figures.children_stalled);
    page.flag("rdb_bgsave_in_progress", figures.save_in_progress);
    page.field("rdb_last_save_time", figures.last_save_secs);
    page.status("rdb_last_bgsave_status", figures.last_save_ok);
    page.field("rdb_last_bgsave_time_sec", figures.last_bgsave_secs);
    let running = figures.save_in_progress.then(|| secs_since(state, figures.save_started_ms) as i64);
    page.field("rdb_current_bgsave_time_sec", running.unwrap_or(-1));
    page.field("rdb_saves", figures.saves);
    page.field("rdb_last_cow_size", figures.save_cow_bytes);
    page.field("rdb_last_load_keys_expired", figures.rdb_keys_expired);
    page.field("rdb_last_load_keys_loaded", figures.rdb_keys_loaded);
    page.flag("aof_enabled", figures.aof_enabled);
    page.flag("aof_rewrite_in_progress", figures.rewrite_in_progress);
    page.flag("aof_rewrite_scheduled", figures.rewrite_scheduled);
    page.field("aof_last_rewrite_time_sec", figures.last_rewrite_secs);
    let running = figures.rewrite_in_progress.then(|| secs_since(state, figures.rewrite_started_ms) as i64);
    page.field("aof_current_rewrite_time_sec", running.unwrap_or(-1));
    page.status("aof_last_bgrewrite_status", figures.last_rewrite_ok);
    page.field("aof_rewrites", figures.rewrites);
    page.field("aof_rewrites_consecutive_failures", figures.rewrites_consecutive_failures);
    page.status("aof_last_write_status", figures.last_write_ok);
    page.field("aof_last_cow_size", figures.child_cow_bytes);
    page.zeros(&["module_fork_in_progress", "module_fork_last_cow_size"]);
    if figures.aof_enabled {
        page.field("aof_current_size", figures.current_size);
        page.field("aof_base_size", figures.base_size);
        page.flag("aof_pending_rewrite", figures.rewrite_scheduled);
        page.field("aof_buffer_length", state.log.pending().len());
        page.flag("aof_pending_bio_fsync", figures.pending_sync);
        page.field("aof_delayed_fsync", figures.delayed_fsync);
        let since = figures.sync_since_ms.map_or(0, |since| state.process.mono_ms.saturating_sub(since));
        page.field("kvick_aof_fsync_running_ms", since);
        page.field("kvick_aof_unsynced_bytes", figures.unsynced_bytes);
    }
    if let Some(loading) = &figures.loading {
        progress(page, loading, secs_since(state, loading.start_ms));
    }
}

fn progress(page: &mut Page, loading: &Loading, elapsed_secs: u64) {
    let Loading { total_bytes: total, loaded_bytes: loaded, .. } = *loading;
    let percent = if total == 0 { 0.0 } else { loaded as f64 / total as f64 * 100.0 };
    let left = u128::from(total.saturating_sub(loaded));
    // In the first second nobody can tell; Redis then says one, too.
    let eta = if elapsed_secs == 0 { 1 } else { u128::from(elapsed_secs) * left / (u128::from(loaded) + 1) };
    page.field("loading_start_time", loading.start_secs);
    page.field("loading_total_bytes", total);
    page.field("loading_loaded_bytes", loaded);
    page.field("loading_loaded_perc", format_args!("{percent:.2}"));
    page.field("loading_eta_seconds", eta);
}

fn threads(page: &mut Page, source: &Source<'_>) {
    let stats = &source.state.stats;
    let (reads, writes) = (stats.reads_processed, stats.writes_processed);
    page.section("Threads");
    let clients = connected(source.state);
    page.field("io_thread_0", format_args!("clients={clients},reads={reads},writes={writes}"));
}

fn stats(page: &mut Page, source: &Source<'_>) {
    let (stats, counters) = (&source.state.stats, &source.keys.counters);
    let kbps = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    page.section("Stats");
    page.field("total_connections_received", stats.connections_received);
    page.field("total_commands_processed", stats.commands_processed);
    page.field("instantaneous_ops_per_sec", stats.rate_commands.per_second());
    page.field("total_net_input_bytes", stats.net_input_bytes);
    page.field("total_net_output_bytes", stats.net_output_bytes);
    page.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    page.field("instantaneous_input_kbps", kbps(stats.rate_input.per_second()));
    page.field("instantaneous_output_kbps", kbps(stats.rate_output.per_second()));
    page.field("instantaneous_input_repl_kbps", kbps(0));
    page.field("instantaneous_output_repl_kbps", kbps(0));
    page.field("rejected_connections", stats.rejected_connections);
    page.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    page.field("expired_subkeys", counters.expired_fields);
    page.field("expired_keys", counters.expired);
    page.field("expired_stale_perc", format_args!("{:.2}", stats.expired_stale_perc));
    page.field("expired_time_cap_reached_count", stats.expired_time_cap_reached);
    page.field("expire_cycle_cpu_milliseconds", stats.expire_cycle_nanos / 1_000_000);
    page.field("evicted_keys", stats.evicted_keys);
    page.field("evicted_clients", stats.evicted_clients);
    page.zeros(&["evicted_scripts"]);
    page.field("keyspace_hits", counters.hits);
    page.field("keyspace_misses", counters.misses);
    page.field("pubsub_channels", source.state.channels.of(Scope::Channel).len());
    page.field("pubsub_patterns", source.state.channels.of(Scope::Pattern).len());
    page.field("pubsubshard_channels", source.state.channels.of(Scope::Shard).len());
    page.field("latest_fork_usec", stats.latest_fork_micros);
    page.field("total_forks", stats.total_forks);
    page.zeros(&[
        "migrate_cached_sockets",
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
    ]);
    page.field("tracking_total_keys", source.state.tracking.keys());
    page.field("tracking_total_items", source.state.tracking.items());
    page.field("tracking_total_prefixes", source.state.tracking.prefixes.len());
    page.zeros(&["unexpected_error_replies"]);
    page.field("total_error_replies", stats.error_replies);
    page.zeros(&["dump_payload_sanitizations"]);
    page.field("total_reads_processed", stats.reads_processed);
    page.field("total_writes_processed", stats.writes_processed);
    page.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
    page.field("client_query_buffer_limit_disconnections", stats.query_buffer_limit_disconnections);
    page.field("client_output_buffer_limit_disconnections", stats.output_buffer_limit_disconnections);
    event_loop(page, source);
    clock(page, source);
    let denials = &source.state.denials;
    page.field("acl_access_denied_auth", denials.count(Reason::Auth));
    page.field("acl_access_denied_cmd", denials.count(Reason::Command));
    page.field("acl_access_denied_key", denials.count(Reason::Key));
    page.field("acl_access_denied_channel", denials.count(Reason::Channel));
    page.field("acl_access_denied_db", denials.count(Reason::Database));
}

/// Whether somebody has set the machine's clock.
fn clock(page: &mut Page, source: &Source<'_>) {
    let stats = &source.state.stats;
    let [forward, back] = stats.clock_jumps;
    let ago = (stats.clock_jump_ms != 0).then(|| secs_since(source.state, stats.clock_jumped_ms) as i64);
    let [keys, fields] = source.keys.counters.expired_by_jump;
    page.field("kvick_clock_jumps_forward", forward);
    page.field("kvick_clock_jumps_back", back);
    page.field("kvick_clock_last_jump_ms", stats.clock_jump_ms);
    page.field("kvick_clock_last_jump_ago_sec", ago.unwrap_or(-1));
    page.field("kvick_clock_jump_expired_keys", keys);
    page.field("kvick_clock_jump_expired_subkeys", fields);
}

fn event_loop(page: &mut Page, source: &Source<'_>) {
    let stats = &source.state.stats;
    let command_nanos: u64 = stats.commands.iter().map(|command| command.nanos).sum();
    let turns = stats.rate_turns.per_second();
    let turn_micros = stats.rate_turn_micros.per_second().checked_div(turns).unwrap_or(0);
    page.field("eventloop_cycles", stats.turns);
    page.field("eventloop_duration_sum", stats.turn_nanos / 1000);
    page.field("eventloop_duration_cmd_sum", command_nanos / 1000);
    page.field("instantaneous_eventloop_cycles_per_sec", turns);
    page.field("instantaneous_eventloop_duration_usec", turn_micros);
}

fn replication(page: &mut Page, source: &Source<'_>) {
    page.section("Replication");
    page.field("role", "master");
    page.zeros(&["connected_slaves"]);
    page.field("master_failover_state", "no-failover");
    // The history of the data is this process's own, and its name serves for it as well.
    page.field("master_replid", &source.state.identity.run_id);
    page.field("master_replid2", "0".repeat(40));
    page.zeros(&["master_repl_offset"]);
    page.field("second_repl_offset", -1);
    page.zeros(&["repl_backlog_active", "repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

fn cpu(page: &mut Page, source: &Source<'_>) {
    let [user, system, children_user, children_system] = source.state.process.cpu_secs;
    page.section("CPU");
    page.field("used_cpu_sys", format_args!("{system:.6}"));
    page.field("used_cpu_user", format_args!("{user:.6}"));
    page.field("used_cpu_sys_children", format_args!("{children_system:.6}"));
    page.field("used_cpu_user_children", format_args!("{children_user:.6}"));
}

fn commandstats(page: &mut Page, source: &Source<'_>) {
    page.section("Commandstats");
    for (row, figures) in commands().rows().iter().zip(&source.state.stats.commands) {
        if figures.calls == 0 && figures.rejected == 0 && figures.failed == 0 {
            continue;
        }
        let micros = figures.nanos / 1000;
        let each =
            if figures.calls == 0 { 0.0 } else { figures.nanos as f64 / 1000.0 / figures.calls as f64 };
        page.field(
            &format!("cmdstat_{}", row.full_name),
            format_args!(
                "calls={},usec={micros},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                figures.calls, figures.rejected, figures.failed
            ),
        );
    }
}

fn errorstats(page: &mut Page, source: &Source<'_>) {
    page.section("Errorstats");
    for (code, count) in &source.state.stats.errors {
        // A code can come from a client, by DEBUG ERROR; it must not break out of its line.
        let code = code.replace(['#', ':', '\r', '\n'], "_");
        page.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latencystats(page: &mut Page, source: &Source<'_>) {
    page.section("Latencystats");
    if !source.state.settings.latency_tracking {
        return;
    }
    let percentiles = &source.state.settings.latency_tracking_info_percentiles;
    for (row, figures) in commands().rows().iter().zip(&source.state.stats.commands) {
        let Some(histogram) = &figures.histogram else { continue };
        let micros = |percentile: &f64| {
            format!("p{percentile}={:.3}", histogram.percentile(*percentile) as f64 / 1000.0)
        };
        let texts: Vec<String> = percentiles.iter().map(micros).collect();
        page.field(&format!("latency_percentiles_usec_{}", row.full_name), texts.join(","));
    }
}

/// Where the time of the loop went: kvick's own section. Durations are in microseconds.
fn turns(page: &mut Page, source: &Source<'_>) {
    let turns = &source.state.turns;
    page.section("Turns");
    page.field("turns", turns.spread(Cause::Wait).turns);
    for cause in Cause::ALL {
        let spread = turns.spread(cause);
        if spread.turns == 0 {
            continue;
        }
        let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percentile| spread.percentile_micros(percentile));
        let (usec, max) = (spread.nanos / 1000, spread.nanos_max.div_ceil(1000));
        page.field(
            &format!("turn_{}", cause.name()),
            format_args!(
                "turns={},usec={usec},max_usec={max},p50={p50},p99={p99},p99.9={p999}",
                spread.turns
            ),
        );
        let counts = spread.counts.iter().enumerate().filter(|(_, count)| **count != 0);
        let counts: Vec<String> = counts.map(|(level, count)| format!("{}={count}", 1u64 << level)).collect();
        page.field(&format!("turn_below_usec_{}", cause.name()), counts.join(","));
    }
    worst_turn(page, "turn_worst", turns.worst());
    worst_turn(page, "turn_worst_recent", turns.worst_recent());
}

/// A turn with its causes, the worst first.
fn worst_turn(page: &mut Page, name: &str, turn: &Turn) {
    if turn.at_ms == 0 {
        return;
    }
    let busy = turn.busy_nanos() / 1000;
    let mut text = format!("usec={busy},at={}", turn.at_ms / 1000);
    for (cause, nanos) in turn.causes().into_iter().filter(|(_, nanos)| 1000 <= *nanos) {
        text.push_str(&format!(",{}={}", cause.name(), nanos / 1000));
    }
    page.field(name, format_args!("{text},commands_run={}", turn.commands));
}

fn cluster(page: &mut Page, _: &Source<'_>) {
    page.section("Cluster");
    page.zeros(&["cluster_enabled"]);
}

fn keyspace(page: &mut Page, source: &Source<'_>) {
    page.section("Keyspace");
    let now = source.keys.now();
    for (number, database) in source.keys.databases().iter().enumerate() {
        if database.is_empty() {
            continue;
        }
        let (keys, expires) = (database.len(), database.expiry().len());
        let subexpiry = database.fields().len();
        let average = database.expiry().average_ttl_ms(now).max(0);
        page.field(
            &format!("db{number}"),
            format_args!("keys={keys},expires={expires},avg_ttl={average},subexpiry={subexpiry}"),
        );
    }
}

#[cfg(test)]
mod tests;
