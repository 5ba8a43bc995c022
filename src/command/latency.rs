//! `LATENCY`: how long commands take, and what made the server wait.
//!
//! Histograms are kept of every command (`latency-tracking`); events are what took longer than
//! `latency-monitor-threshold`, commands and everything else that holds up the loop.

use crate::command::registry::commands;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome, repeated};
use crate::resp::request::Args;
use crate::state::State;
use crate::state::latency::Event;

const FLAGS: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "latency", arity: -2, flags: 0, keys: &[], run: help, subcommands: SUBCOMMANDS,
        doc: Group::Server.doc("2.8.13", "depends on the subcommand", "", "Shows how long commands take and what caused delays.") },
];

#[rustfmt::skip]
static SUBCOMMANDS: &[Command] = &[
    Command { name: "doctor", arity: 2, flags: FLAGS, keys: &[], run: doctor, subcommands: &[],
        doc: Group::Server.doc("2.8.13", "O(N) of the samples", "", "Says in words what caused delays and what helps.") },
    Command { name: "graph", arity: 3, flags: FLAGS, keys: &[], run: graph, subcommands: &[],
        doc: Group::Server.doc("2.8.13", "O(N) of the samples", "event", "Draws the samples of an event.") },
    Command { name: "help", arity: 2, flags: LOADING | STALE, keys: &[], run: help, subcommands: &[],
        doc: Group::Server.doc("2.8.13", "O(1)", "", "Lists the subcommands.") },
    Command { name: "histogram", arity: -2, flags: FLAGS, keys: &[], run: histogram, subcommands: &[],
        doc: Group::Server.doc("7.0.0", "O(N) of the commands", "[command [command ...]]", "Returns how the durations of commands are distributed.") },
    Command { name: "history", arity: 3, flags: FLAGS, keys: &[], run: history, subcommands: &[],
        doc: Group::Server.doc("2.8.13", "O(N) of the samples", "event", "Returns the samples of an event.") },
    Command { name: "latest", arity: 2, flags: FLAGS, keys: &[], run: latest, subcommands: &[],
        doc: Group::Server.doc("2.8.13", "O(N) of the events", "", "Returns the last and the worst sample of every event.") },
    Command { name: "reset", arity: -2, flags: FLAGS, keys: &[], run: reset, subcommands: &[],
        doc: Group::Server.doc("2.8.13", "O(N) of the events", "[event [event ...]]", "Forgets events, or all of them.") },
];

/// Lines of `LATENCY HELP`.
const HELP: &[&str] = &[
    "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Say in words what caused delays and what helps.",
    "GRAPH <event>",
    "    Draw the samples of <event>.",
    "HISTORY <event>",
    "    Return the samples of <event>.",
    "LATEST",
    "    Return the last and the worst sample of every event.",
    "RESET [<event> ...]",
    "    Forget events (default: all of them).",
    "HISTOGRAM [COMMAND ...]",
    "    Return how the durations of commands are distributed, as cumulative counts.",
    "    If no commands are named, all that have run are returned.",
    "HELP",
    "    Print this help.",
];

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.help(HELP)
}

fn histogram(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let table = commands();
    let mut numbers: Vec<usize> = Vec::new();
    for name in args.iter().skip(2) {
        if let Some(number) = table.by_full_name_as(ctx.state.names.as_deref(), name) {
            numbers.push(number);
            numbers.extend(table.subcommands(number).map(|(number, _)| number));
        }
    }
    if args.len() == 2 {
        numbers.extend(0..table.rows().len());
    }
    let figures = &ctx.state.stats.commands;
    let found: Vec<_> = numbers
        .into_iter()
        .filter_map(|number| figures[number].histogram.as_ref().map(|histogram| (number, histogram)))
        .collect();
    ctx.reply.map(found.len());
    for (number, histogram) in found {
        ctx.reply.bulk(table.row(number).full_name.as_bytes());
        ctx.reply.map(2);
        ctx.reply.bulk(b"calls");
        ctx.reply.integer(histogram.total() as i64);
        ctx.reply.bulk(b"histogram_usec");
        let counts = histogram.cumulative_micros();
        ctx.reply.map(counts.len());
        for (micros, count) in counts {
            ctx.reply.integer(micros as i64);
            ctx.reply.integer(count as i64);
        }
    }
    Ok(Effect::Unchanged)
}

fn history(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let Some(event) = ctx.state.latency.get(args.get(2)) else {
        ctx.reply.array(0);
        return Ok(Effect::Unchanged);
    };
    ctx.reply.array(event.samples.len());
    for (at_secs, ms) in &event.samples {
        ctx.reply.array(2);
        ctx.reply.integer(*at_secs);
        ctx.reply.integer(*ms as i64);
    }
    Ok(Effect::Unchanged)
}

fn latest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let events = ctx.state.latency.iter();
    ctx.reply.array(events.len());
    for (name, event) in events {
        let (at_secs, ms) = event.samples.back().copied().unwrap_or_default();
        ctx.reply.array(4);
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(at_secs);
        ctx.reply.integer(ms as i64);
        ctx.reply.integer(event.max_ms as i64);
    }
    Ok(Effect::Unchanged)
}

fn reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let latency = &mut ctx.state.latency;
    let forgotten = match args.len() {
        2 => latency.reset_all(),
        _ => args.iter().skip(2).filter(|name| latency.reset(name)).count(),
    };
    ctx.reply.integer(forgotten as i64);
    Ok(Effect::Unchanged)
}

fn graph(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = args.get(2);
    let found = ctx.state.latency.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    let Some((known, event)) = found else {
        let name = repeated(name, usize::MAX);
        return Err(Error::text(format!("ERR No samples available for event '{name}'")));
    };
    let drawing = draw(known, event, ctx.now().secs());
    ctx.reply.verbatim("txt", drawing.as_bytes());
    Ok(Effect::Unchanged)
}

/// Samples in one strip of a drawing.
const STRIP_LEN: usize = 80;
/// Lines of a strip.
const ROWS: usize = 4;
/// How high a column ends within its line; below the end it is a bar.
const TIPS: [char; 3] = ['_', 'o', '#'];

/// A column a sample, with its age written downward below it.
fn draw(name: &str, event: &Event, now_secs: i64) -> String {
    let values = || event.samples.iter().map(|(_, ms)| *ms);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let mut out = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", event.max_ms);
    out.push_str(&"-".repeat(STRIP_LEN));
    out.push('\n');
    let columns: Vec<(usize, String)> = event
        .samples
        .iter()
        .map(|(at_secs, ms)| (height(*ms - low, high - low), age(now_secs - at_secs)))
        .collect();
    for (number, strip) in columns.chunks(STRIP_LEN).enumerate() {
        if 0 < number {
            out.push('\n');
        }
        draw_strip(&mut out, strip);
    }
    out
}

fn draw_strip(out: &mut String, strip: &[(usize, String)]) {
    for row in (0..ROWS).rev() {
        out.extend(strip.iter().map(|(height, _)| match height.checked_sub(row * TIPS.len()) {
            None => ' ',
            Some(above) => TIPS.get(above).copied().unwrap_or('|'),
        }));
        out.push('\n');
    }
    out.push_str(&" ".repeat(strip.len()));
    out.push('\n');
    for line in 0..strip.iter().map(|(_, age)| age.len()).max().unwrap_or(0) {
        out.extend(strip.iter().map(|(_, age)| age.chars().nth(line).unwrap_or(' ')));
        out.push('\n');
    }
}

/// How many tips high a column is, above the lowest one.
fn height(above_low: u64, range: u64) -> usize {
    let steps = ROWS * TIPS.len();
    ((above_low as u128 * steps as u128 / u128::from(range.max(1))) as usize).min(steps - 1)
}

fn age(secs: i64) -> String {
    let (unit, letter) = match secs {
        ..60 => (1, 's'),
        60..3600 => (60, 'm'),
        3600..86400 => (3600, 'h'),
        86400.. => (86400, 'd'),
    };
    format!("{}{letter}", secs.max(0) / unit)
}

fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let report = diagnosis(ctx.state, ctx.now().secs());
    ctx.reply.verbatim("txt", report.as_bytes());
    Ok(Effect::Unchanged)
}

/// What helps against events whose name begins so.
const ADVICE: &[(&str, &str)] = &[
    (
        "command",
        "Commands took long by themselves. SLOWLOG GET tells which; KEYS, big ranges and the removal of big \
         values at once are the usual ones (SCAN, smaller ranges, UNLINK).",
    ),
    (
        "fast-command",
        "Even commands that do little took long, so the process was held up from outside: look for \
         swapping, for more running threads than processors, and for a busy hypervisor.",
    ),
    (
        "aof-write",
        "The write of the log took long: the disk is busy, or the kernel holds writes back while it \
         flushes.",
    ),
    (
        "aof-fsync",
        "The sync of the log took long: the disk is slow or shared. 'appendfsync everysec' keeps replies \
         from waiting for it.",
    ),
    (
        "fork",
        "The fork for a rewrite took long: it copies the page tables, which grow with memory. Rewrite less \
         often (auto-aof-rewrite-percentage) or when there is little to do.",
    ),
    (
        "aof-rename",
        "A rewrite began with a new file and a new manifest, and the directory took long to be synced: the disk is \
         slow or shared.",
    ),
    (
        "rdb-unlink-temp-file",
        "Deleting what a killed child had written took long; some file systems free big files slowly.",
    ),
    (
        "read",
        "Reading from clients took long: a great many clients or bytes at once, or the process was held up from \
         outside in the middle of it (swapping, more running threads than processors, a busy hypervisor).",
    ),
    (
        "send",
        "Sending replies took long: many or big ones at once. Smaller ranges and client-output-buffer-limit help; if \
         the replies are small the process was held up from outside.",
    ),
    (
        "events",
        "Taking events in took long: a storm of new connections (keep them open, use a pool), or a rewrite that began \
         when a sync was done.",
    ),
    ("tick", "The tick took long: a snapshot or rewrite that began, or very many clients to look after."),
    (
        "table-growth",
        "Growing a table took long although it goes step by step: the system was slow to hand out memory.",
    ),
    (
        "freeing",
        "Freeing what was removed took long although it goes in slices: the system was slow to take memory back.",
    ),
    ("web", "The metrics or the page took long; many commands and databases make them bigger."),
    (
        "handshake",
        "Handshakes of TLS took long: keep connections open, resume sessions, or use a key that signs faster (ECDSA).",
    ),
    ("close", "Closing a connection took long: the system had much to free that a client did not read."),
    ("expire", "Many keys fell due at the same time. Spread their deadlines."),
    (
        "eviction",
        "Making room took long. Leave more of it between maxmemory and what is used, or evict smaller \
         values.",
    ),
];

fn diagnosis(state: &State, now_secs: i64) -> String {
    let threshold = state.settings.latency_monitor_threshold;
    let events = state.latency.iter();
    if events.len() == 0 {
        let mut out = match threshold {
            0 => String::from(
                "Nobody is watching: latency monitoring is off. \
                 CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n",
            ),
            _ => format!("Nothing has taken {threshold} ms or longer so far.\n"),
        };
        longest_turns(&mut out, state);
        return out;
    }
    let mut out = format!("Events that took {threshold} ms or longer, by their last samples:\n\n");
    if threshold == 0 {
        out = String::from("Latency monitoring is off by now. Events from when it was on:\n\n");
    }
    let mut advice: Vec<&str> = Vec::new();
    for (number, (name, event)) in events.enumerate() {
        let Analysis { samples, mean, deviation, period_secs } = analyse(event, now_secs);
        out.push_str(&format!(
            "{}. {name}: {samples} spikes, {mean:.0} ms on average (mean deviation {deviation:.0} ms), \
             one every {period_secs:.2} s. Worst ever: {} ms.\n",
            number + 1,
            event.max_ms
        ));
        advice.extend(ADVICE.iter().filter(|(start, _)| name.starts_with(start)).map(|(_, text)| *text));
    }
    let slower_than = state.settings.slowlog_log_slower_than;
    let threshold_micros = i64::try_from(threshold).unwrap_or(i64::MAX).saturating_mul(1000);
    if slower_than < 0 {
        advice.push("The slow log is off. CONFIG SET slowlog-log-slower-than <microseconds> turns it on.");
    } else if 0 < threshold && threshold_micros < slower_than {
        advice
            .push("The slow log notes only what is slower than these events; lower slowlog-log-slower-than.");
    }
    longest_turns(&mut out, state);
    if !advice.is_empty() {
        out.push_str("\nWhat may help:\n\n");
        advice.iter().for_each(|text| out.push_str(&format!("- {text}\n")));
    }
    out
}

/// Says of the longest turns of the loop, in which nobody was served, what they did.
fn longest_turns(out: &mut String, state: &State) {
    let turns = &state.turns;
    for (when, turn) in [("of the last minutes", turns.worst_recent()), ("ever", turns.worst())] {
        let nanos = turn.busy_nanos();
        if turn.at_ms == 0 || nanos == 0 {
            continue;
        }
        let causes: Vec<String> = turn
            .causes()
            .into_iter()
            .map(|(cause, part)| (cause, part, part as f64 * 100.0 / nanos as f64))
            .filter(|(_, _, percent)| CAUSE_PERCENT_MIN <= *percent)
            .map(|(cause, part, percent)| {
                format!("{} {:.3} ms ({percent:.0} %)", cause.name(), part as f64 / 1e6)
            })
            .collect();
        out.push_str(&format!(
            "\nThe longest turn {when} took {:.3} ms and ran {} commands: {}.\n",
            nanos as f64 / 1e6,
            turn.commands,
            causes.join(", ")
        ));
    }
}

/// Parts of a turn below this are not worth a word.
const CAUSE_PERCENT_MIN: f64 = 2.0;

/// The samples of an event in four figures.
struct Analysis {
    samples: usize,
    /// Their mean in milliseconds.
    mean: f64,
    /// How far they are from it on average.
    deviation: f64,
    /// The mean time from one to the next.
    period_secs: f64,
}

fn analyse(event: &Event, now_secs: i64) -> Analysis {
    let samples = event.samples.len();
    let count = samples.max(1) as f64;
    let values = || event.samples.iter().map(|(_, ms)| *ms as f64);
    let mean = values().sum::<f64>() / count;
    let deviation = values().map(|ms| (ms - mean).abs()).sum::<f64>() / count;
    let first_secs = event.samples.front().map_or(now_secs, |first| first.0);
    Analysis { samples, mean, deviation, period_secs: (now_secs - first_secs).max(0) as f64 / count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn drawing_of_five_spikes_as_a_real_server_drew_it() {
        let mut state = State::new(Settings::default(), 0);
        for (at, ms) in [(20, 100), (22, 300), (23, 20), (24, 50), (26, 900)] {
            state.latency.add("command", at, ms);
        }
        let event = state.latency.get(b"Command").expect("added");
        let dashes = "-".repeat(80);
        assert_eq!(
            draw("command", event, 27),
            format!(
                "command - high 900 ms, low 20 ms (all time high 900 ms)\n{dashes}\n\
                \x20   #\n    |\n _  |\no|__|\n     \n\
                 75431\nsssss\n"
            )
        );
        let report = diagnosis(&state, 27);
        let line = "1. command: 5 spikes, 274 ms on average (mean deviation 261 ms), one every 1.40 s. \
                    Worst ever: 900 ms.";
        assert!(report.contains(line), "{report}");
        assert!(report.contains("SLOWLOG GET") && report.contains("monitoring is off by now"), "{report}");
    }

    #[test]
    fn many_samples_are_drawn_in_strips() {
        let mut state = State::new(Settings::default(), 0);
        (0..100).for_each(|n| state.latency.add("fork", n, 7));
        let drawing = draw("fork", state.latency.get(b"fork").expect("added"), 100);
        let widths: Vec<usize> = drawing.lines().skip(2).map(str::len).collect();
        assert_eq!(widths, [80, 80, 80, 80, 80, 80, 80, 80, 0, 20, 20, 20, 20, 20, 20, 20, 20]);
    }

    #[test]
    fn ages() {
        for (secs, text) in [(-3, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3600, "1h"), (200_000, "2d")] {
            assert_eq!(age(secs), text);
        }
    }
}
