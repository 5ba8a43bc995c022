//! `MEMORY`: what keys cost and where memory goes.

use crate::base::memory;
use crate::base::number::human_bytes;
use crate::command::options::Options;
use crate::command::spec::flag::{LOADING, READONLY, STALE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, KeySpec, Outcome};
use crate::data::entry::Entry;
use crate::data::expiry::RECORD_BYTES;
use crate::data::keyspace::Keyspace;
use crate::data::table::SLOT_BYTES;
use crate::resp::request::Args;
use crate::state::State;
use crate::state::ask::Ask;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "memory", arity: -2, flags: 0, keys: &[], run: help, subcommands: SUBCOMMANDS,
        doc: Group::Server.doc("4.0.0", "depends on the subcommand", "", "Tells where memory goes.") },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    Command { name: "doctor", arity: 2, flags: 0, keys: &[], run: doctor, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(N) of the clients", "", "Says in words what is wrong with the use of memory.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: help, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(1)", "", "Lists the subcommands.") },
    Command { name: "malloc-stats", arity: 2, flags: 0, keys: &[], run: malloc_stats, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(1)", "", "Returns the allocator's own report, if it has one.") },
    Command { name: "purge", arity: 2, flags: 0, keys: &[], run: purge, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "depends on how much memory is free", "", "Gives free memory back to the system.") },
    Command { name: "stats", arity: 2, flags: 0, keys: &[], run: stats, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(N) of the clients", "", "Returns how much memory is used for what.") },
    Command { name: "usage", arity: -3, flags: READONLY, keys: &[KeySpec::one(2, &["RO"])], run: usage, subcommands: &[],
        doc: Group::Server.doc("4.0.0", "O(N) of the parts of the value", "key [SAMPLES count]", "Returns how many bytes a key and its value take.") },
];

/// Lines of `MEMORY HELP`.
const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Say in words what is wrong with the use of memory.",
    "MALLOC-STATS",
    "    Return the allocator's own report, if it has one.",
    "PURGE",
    "    Give free memory back to the system.",
    "STATS",
    "    Return how much memory is used for what.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return how many bytes <key> and its value take. All of the value is counted,",
    "    however many samples are asked for.",
    "HELP",
    "    Print this help.",
];

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

/// Where memory goes, in bytes.
pub struct Usage {
    /// Handed out by the allocator and not taken back.
    pub used: usize,
    /// The most that was ever in use.
    pub peak: usize,
    /// In use before there was any key.
    pub startup: usize,
    /// Resident, as the system counts it.
    pub rss: usize,
    /// Of the clients: their sessions and buffers.
    pub clients: usize,
    /// Records of the log that wait to be written.
    pub log: usize,
    /// Of the tables of all databases.
    pub tables: usize,
    /// Everything that is neither keys nor values.
    pub overhead: usize,
    /// The rest: keys and values.
    pub dataset: usize,
    /// Keys of all databases.
    pub keys: usize,
}

impl Usage {
    /// Adds it all up.
    pub fn measure(keys: &Keyspace, state: &State) -> Usage {
        let used = memory::used();
        let startup = state.process.startup_bytes as usize;
        let clients = state.sessions.iter().map(|(_, session)| session.memory()).sum();
        let log = state.log.pending().len();
        let databases = keys.databases();
        let tables = databases.iter().map(|database| database.table().memory()).sum();
        let deadlines: usize = databases.iter().map(|database| database.expiry().memory()).sum();
        let overhead = startup + clients + log + tables + deadlines;
        Usage {
            used,
            // Other threads may have given memory back meanwhile.
            peak: memory::peak().max(used),
            startup,
            rss: state.process.rss_bytes as usize,
            clients,
            log,
            tables,
            overhead,
            dataset: used.saturating_sub(overhead),
            keys: databases.iter().map(|database| database.len()).sum(),
        }
    }

    /// What was taken since the start.
    fn net(&self) -> usize {
        self.used.saturating_sub(self.startup)
    }

    /// Keys and values as a share of what was taken since the start, in per cent.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset, self.net())
    }

    /// What is in use as a share of the peak, in per cent.
    pub fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// How many times what is in use is resident.
    pub fn fragmentation(&self) -> f64 {
        if self.used == 0 { 0.0 } else { self.rss as f64 / self.used as f64 }
    }

    /// Bytes resident beyond what is in use; negative while pages are swapped out or not touched yet.
    pub fn fragmentation_bytes(&self) -> i64 {
        self.rss as i64 - self.used as i64
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Bytes that a key takes: its entry, its slot in the table, its record among the deadlines.
fn cost(entry: &Entry) -> usize {
    entry.memory() + SLOT_BYTES + if entry.deadline().is_some() { RECORD_BYTES } else { 0 }
}

/// `SAMPLES` is checked and then of no consequence: values know their size, so nothing is estimated.
fn usage(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 3);
    while options.more() {
        if !options.word_with_value("SAMPLES") || options.integer()? < 0 {
            return Err(Error::SYNTAX);
        }
    }
    let key = ctx.key(args, 2);
    match ctx.keys.peek(key).map(cost) {
        None => ctx.reply.null(),
        Some(bytes) => ctx.reply.integer(bytes as i64),
    }
    Ok(Effect::Unchanged)
}

/// A figure of `MEMORY STATS`.
enum Figure {
    Count(usize),
    Difference(i64),
    Ratio(f64),
    /// Bytes of a database's table and of its deadlines.
    Database(usize, usize),
}

fn stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    use Figure::{Count, Database, Difference, Ratio};
    let usage = Usage::measure(ctx.keys, ctx.state);
    let mut figures: Vec<(String, Figure)> = Vec::new();
    let mut add = |name: &str, figure| figures.push((name.to_owned(), figure));
    add("peak.allocated", Count(usage.peak));
    add("total.allocated", Count(usage.used));
    add("startup.allocated", Count(usage.startup));
    add("replication.backlog", Count(0));
    add("replica.fullsync.buffer", Count(0));
    add("clients.slaves", Count(0));
    add("clients.normal", Count(usage.clients));
    add("cluster.links", Count(0));
    add("aof.buffer", Count(usage.log));
    add("lua.caches", Count(0));
    add("functions.caches", Count(0));
    add("script.VMs", Count(0));
    for (number, database) in
        ctx.keys.databases().iter().enumerate().filter(|(_, database)| !database.is_empty())
    {
        add(&format!("db.{number}"), Database(database.table().memory(), database.expiry().memory()));
    }
    add("overhead.db.hashtable.lut", Count(usage.tables));
    add("overhead.total", Count(usage.overhead));
    add("keys.count", Count(usage.keys));
    add("keys.bytes-per-key", Count(usage.net().checked_div(usage.keys).unwrap_or(0)));
    add("dataset.bytes", Count(usage.dataset));
    add("dataset.percentage", Ratio(usage.dataset_percent()));
    add("peak.percentage", Ratio(usage.peak_percent()));
    add("allocator.allocated", Count(usage.used));
    add("fragmentation", Ratio(usage.fragmentation()));
    add("fragmentation.bytes", Difference(usage.fragmentation_bytes()));
    ctx.reply.map(figures.len());
    for (name, figure) in figures {
        ctx.reply.bulk(name.as_bytes());
        match figure {
            Count(count) => ctx.reply.integer(count as i64),
            Difference(bytes) => ctx.reply.integer(bytes),
            Ratio(ratio) => ctx.reply.double(ratio),
            Database(table, deadlines) => {
                ctx.reply.map(2);
                ctx.reply.bulk(b"overhead.hashtable.main");
                ctx.reply.integer(table as i64);
                ctx.reply.bulk(b"overhead.hashtable.expires");
                ctx.reply.integer(deadlines as i64);
            }
        }
    }
    Ok(Effect::Unchanged)
}

/// Below this much memory in use the doctor has no opinion.
const DOCTOR_BYTES_MIN: usize = 5 << 20;
/// The peak is worth a word from this many times what is in use.
const PEAK_RATIO: f64 = 1.5;
/// Fragmentation is worth a word from this ratio and that many bytes.
const FRAGMENTATION_RATIO: f64 = 1.4;
const FRAGMENTATION_BYTES: i64 = 10 << 20;
/// Clients are worth a word if they take this many bytes each.
const CLIENT_BYTES: usize = 200 << 10;
/// Records that wait for the disk are worth a word from this many bytes.
const LOG_BYTES: usize = 32 << 20;

fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let usage = Usage::measure(ctx.keys, ctx.state);
    let report = diagnosis(&usage, ctx.state);
    ctx.reply.verbatim("txt", report.as_bytes());
    Ok(Effect::Unchanged)
}

fn diagnosis(usage: &Usage, state: &State) -> String {
    let human = |bytes: usize| human_bytes(bytes as u64);
    if usage.used < DOCTOR_BYTES_MIN {
        return format!(
            "Only {} are in use: too little to say anything sensible about it.\n",
            human(usage.used)
        );
    }
    let mut findings: Vec<String> = Vec::new();
    if PEAK_RATIO * (usage.used as f64) < usage.peak as f64 {
        findings.push(format!(
            "Peak: {} are in use, but {} have been. The system may count the difference as ours still; \
             MEMORY PURGE gives it back.",
            human(usage.used),
            human(usage.peak)
        ));
    }
    if FRAGMENTATION_RATIO < usage.fragmentation() && FRAGMENTATION_BYTES < usage.fragmentation_bytes() {
        findings.push(format!(
            "Fragmentation: {} are resident for {} in use, {:.2} times as much. Blocks of other sizes than \
             today's lie free; MEMORY PURGE gives back whole pages of them, a restart the rest.",
            human(usage.rss),
            human(usage.used),
            usage.fragmentation()
        ));
    }
    let clients = state.sessions.len();
    if CLIENT_BYTES < usage.clients / clients.max(1) {
        findings.push(format!(
            "Clients: {clients} of them take {}. Some do not read their replies or send giant requests; \
             CLIENT LIST shows which (tot-mem), client-output-buffer-limit bounds it.",
            human(usage.clients)
        ));
    }
    if LOG_BYTES < usage.log {
        findings.push(format!(
            "Log: {} of records wait to be written. The disk does not keep up.",
            human(usage.log)
        ));
    }
    let (maxmemory, machine) = (state.settings.maxmemory, state.process.total_system_bytes);
    if 0 < machine && machine < maxmemory {
        findings.push(format!(
            "Limit: maxmemory is {}, more than the {} that this machine has.",
            human_bytes(maxmemory),
            human_bytes(machine)
        ));
    }
    match findings.len() {
        0 => format!(
            "{} are in use by {} keys, and nothing is wrong with it.\n",
            human(usage.used),
            usage.keys
        ),
        _ => findings.iter().map(|finding| format!(" * {finding}\n")).collect(),
    }
}

/// mimalloc prints its figures to a stream and offers no other way; the answer is that of a Redis whose
/// allocator has none either.
fn malloc_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.bulk(b"Stats not supported for the current allocator");
    Ok(Effect::Unchanged)
}

fn purge(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.state.ask = Some(Ask::Purge);
    Ok(Effect::Unchanged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    const MIB: usize = 1 << 20;

    fn usage(used: usize, peak: usize, rss: usize) -> Usage {
        let (startup, clients, log, tables, overhead) = (MIB, 0, 0, 0, MIB);
        Usage { used, peak, startup, rss, clients, log, tables, overhead, dataset: used - overhead, keys: 3 }
    }

    #[test]
    fn the_doctor_names_what_is_wrong() {
        let mut state = State::new(Settings::default(), 0);
        let check = |state: &State, usage: Usage, words: &str| {
            let report = diagnosis(&usage, state);
            assert!(report.contains(words), "{report}");
        };
        check(&state, usage(2 * MIB, 9 * MIB, 0), "too little to say");
        check(&state, usage(8 * MIB, 9 * MIB, 10 * MIB), "8.00M are in use by 3 keys, and nothing is wrong");
        check(&state, usage(8 * MIB, 13 * MIB, 10 * MIB), " * Peak: 8.00M are in use, but 13.00M have been.");
        check(
            &state,
            usage(80 * MIB, 80 * MIB, 120 * MIB),
            " * Fragmentation: 120.00M are resident for 80.00M",
        );
        check(
            &state,
            Usage { clients: 3 * MIB, ..usage(8 * MIB, 8 * MIB, 0) },
            " * Clients: 0 of them take 3.00M.",
        );
        check(
            &state,
            Usage { log: 40 * MIB, ..usage(8 * MIB, 8 * MIB, 0) },
            " * Log: 40.00M of records wait",
        );
        state.settings.maxmemory = 2 << 30;
        state.process.total_system_bytes = 1 << 30;
        check(&state, usage(8 * MIB, 8 * MIB, 0), " * Limit: maxmemory is 2.00G, more than the 1.00G");
    }

    #[test]
    fn shares_are_of_what_was_taken_since_the_start() {
        let usage = usage(5 * MIB, 10 * MIB, 15 * MIB);
        assert_eq!((usage.dataset_percent(), usage.peak_percent()), (100.0, 50.0));
        assert_eq!((usage.fragmentation(), usage.fragmentation_bytes()), (3.0, 10 * MIB as i64));
        assert_eq!(percent(1, 0), 0.0);
    }
}
