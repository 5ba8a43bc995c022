use std::collections::HashMap;

use super::*;
use crate::base::date::UnixMs;
use crate::command::table::install;
use crate::config::Settings;
use crate::data::entry;
use crate::data::keyspace::Deadline;
use crate::state::session::Session;

/// A state with something in most figures, and keys in two databases.
fn sample() -> (State, Keyspace) {
    let mut state = State::new(Settings::default(), install().rows().len());
    let mut keys = Keyspace::new(16, 1);
    keys.enter(UnixMs(1_700_000_000_000), 0);
    for (name, deadline) in [("a", Deadline::Clear), ("b", Deadline::At(UnixMs(1_700_000_005_000)))] {
        let key = keys.key(name.as_bytes());
        keys.set(key, entry::Value::Int(1), deadline);
    }
    keys.enter(UnixMs(1_700_000_000_000), 3);
    let key = keys.key(b"c");
    keys.set(key, entry::Value::Int(1), Deadline::Clear);
    state.sessions.insert(Session::default());
    state.identity.started_ms = 1000;
    state.process.mono_ms = 90_001_000;
    state.process.cpu_secs = [1.5, 0.25, 0.0, 0.125];
    state.process.rss_bytes = 3 << 20;
    state.process.listeners = vec![
        (String::from("tcp"), 6379, vec![String::from("*"), String::from("-::*")]),
        (String::from("unix"), 0, vec![String::from("/run/s")]),
    ];
    (state, keys)
}

/// The text of these sections.
fn page(state: &State, keys: &Keyspace, sections: &[&str]) -> String {
    let mut page = Page::default();
    let source = Source { state, keys, output_bytes: 7 };
    SECTIONS.iter().filter(|section| sections.contains(&section.name)).for_each(|section| {
        (section.write)(&mut page, &source);
    });
    page.0
}

fn fields(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(':')).collect()
}

#[test]
fn lines_are_of_the_form_that_clients_split() {
    let (state, keys) = sample();
    let names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
    let text = page(&state, &keys, &names);
    for line in text.split_terminator("\r\n") {
        let is_title = line.strip_prefix("# ").is_some_and(|title| names.contains(&&*title.to_lowercase()));
        let name = line.split(':').next().unwrap_or_default();
        let is_field = line.contains(':') && !name.contains(' ') && !name.is_empty();
        assert!(line.is_empty() || is_title || is_field, "{line:?}");
    }
    let mut names: Vec<&str> =
        text.lines().filter_map(|line| line.split_once(':')).map(|field| field.0).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a field stands twice");
}

#[test]
fn server_and_clients() {
    let (mut state, keys) = sample();
    let text = page(&state, &keys, &["server", "clients"]);
    let found = fields(&text);
    for (name, value) in [
        ("redis_version", REDIS_VERSION),
        ("kvick_version", env!("CARGO_PKG_VERSION")),
        ("redis_mode", "standalone"),
        ("tcp_port", "6379"),
        ("uptime_in_seconds", "90000"),
        ("uptime_in_days", "1"),
        ("lru_clock", "5501184"),
        ("listener0", "name=tcp,bind=*,bind=-::*,port=6379"),
        ("listener1", "name=unix,bind=/run/s"),
        ("connected_clients", "1"),
        ("blocked_clients", "0"),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}");
    }
    state.persistence.loading = Some(Loading { total_bytes: 400, loaded_bytes: 99, ..Loading::default() });
    let text = page(&state, &keys, &["clients", "persistence"]);
    let found = fields(&text);
    for (name, value) in [
        ("connected_clients", "0"),
        ("loading", "1"),
        ("loading_total_bytes", "400"),
        ("loading_loaded_perc", "24.75"),
        ("loading_eta_seconds", "270903"),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}");
    }
}

#[test]
fn memory_adds_up() {
    let (state, keys) = sample();
    let text = page(&state, &keys, &["memory"]);
    let found = fields(&text);
    let number = |name: &str| found[name].parse::<u64>().unwrap_or_else(|_| panic!("{name}"));
    assert_eq!(number("used_memory_rss"), 3 << 20);
    assert_eq!(found["used_memory_rss_human"], "3.00M");
    assert!(number("used_memory") <= number("used_memory_peak"));
    assert!(0 < number("used_memory_overhead"));
    assert_eq!(number("mem_not_counted_for_evict"), state.not_counted() as u64 + 7);
    assert_eq!((found["maxmemory_human"], found["maxmemory_policy"]), ("0B", "noeviction"));
    assert!(found["used_memory_peak_perc"].ends_with('%'));
}

#[test]
fn persistence_shows_the_log_where_there_is_one() {
    let (mut state, keys) = sample();
    let text = page(&state, &keys, &["persistence"]);
    assert!(!text.contains("aof_current_size"));
    assert!(text.contains("aof_current_rewrite_time_sec:-1\r\naof_last_bgrewrite_status:ok\r\n"));
    state.persistence.aof_enabled = true;
    state.persistence.current_size = 77;
    state.persistence.rewrite_in_progress = true;
    state.persistence.rewrite_started_ms = 89_991_000;
    state.persistence.child_keys = (1, 8);
    state.persistence.last_write_ok = false;
    let text = page(&state, &keys, &["persistence"]);
    let found = fields(&text);
    for (name, value) in [
        ("aof_enabled", "1"),
        ("aof_current_size", "77"),
        ("aof_current_rewrite_time_sec", "10"),
        ("current_fork_perc", "12.50"),
        ("aof_last_write_status", "err"),
        ("loading", "0"),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}");
    }
}

#[test]
fn commands_and_errors() {
    let (mut state, keys) = sample();
    let number = |name: &str| commands().by_full_name(name.as_bytes()).expect("known");
    state.stats.count_call(number("get"), 1500, true);
    state.stats.count_call(number("get"), 2500, true);
    state.stats.commands[number("config|set")].rejected = 1;
    state.stats.count_error("WRONGTYPE Operation");
    state.stats.count_error("A:B\r\nx:1 y");
    assert_eq!(
        page(&state, &keys, &["commandstats", "errorstats", "latencystats"]),
        "# Commandstats\r\n\
         cmdstat_get:calls=2,usec=4,usec_per_call=2.00,rejected_calls=0,failed_calls=0\r\n\
         cmdstat_config|set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n\r\n\
         # Errorstats\r\nerrorstat_A_B__x_1:count=1\r\nerrorstat_WRONGTYPE:count=1\r\n\r\n\
         # Latencystats\r\nlatency_percentiles_usec_get:p50=1.503,p99=2.527,p99.9=2.527\r\n"
    );
}

#[test]
fn replication_processor_cluster_keyspace() {
    let (state, keys) = sample();
    assert_eq!(
        page(&state, &keys, &["cpu", "modules", "cluster", "keyspace"]),
        "# CPU\r\nused_cpu_sys:0.250000\r\nused_cpu_user:1.500000\r\n\
         used_cpu_sys_children:0.125000\r\nused_cpu_user_children:0.000000\r\n\r\n\
         # Modules\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n\
         # Keyspace\r\ndb0:keys=2,expires=1,avg_ttl=5000,subexpiry=0\r\n\
         db3:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n"
    );
    let text = page(&state, &keys, &["replication"]);
    assert!(text.starts_with("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"));
}
