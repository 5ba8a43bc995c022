//! The README says what is true: its table of commands is the table of commands, and its sessions are what a server
//! says. `KVICK_UPDATE_README=1 cargo test --test readme` writes the table anew.

mod common;
mod play;

use std::fmt::Write;
use std::fs;

use kvick::command::registry::{Commands, Row};
use kvick::command::spec::Group;
use kvick::command::table::install;

use common::{Server, run, text};
use play::Play;

const FIRST: &str = "<!-- commands: the lines below are made by tests/readme.rs -->\n";
const LAST: &str = "<!-- end of commands -->\n";

/// The families in the order of the table, with their titles.
const GROUPS: &[(Group, &str)] = &[
    (Group::String, "Strings"),
    (Group::List, "Lists"),
    (Group::Set, "Sets"),
    (Group::Hash, "Hashes"),
    (Group::SortedSet, "Sorted sets"),
    (Group::Stream, "Streams"),
    (Group::Bitmap, "Bitmaps"),
    (Group::Hyperloglog, "HyperLogLogs"),
    (Group::Geo, "Places"),
    (Group::Pubsub, "Publish and subscribe"),
    (Group::Transactions, "Transactions"),
    (Group::Generic, "Keys of any type"),
    (Group::Connection, "Connection"),
    (Group::Server, "Server"),
    (Group::Cluster, "Cluster"),
];

/// Commands that are known only to say no, and how they are called without fault otherwise.
const REFUSED: &[&str] = &[
    "asking",
    "cluster info",
    "failover",
    "module load x",
    "psync ? -1",
    "readonly",
    "readwrite",
    "replconf",
    "sync",
];

fn path() -> String {
    format!("{}/README.md", env!("CARGO_MANIFEST_DIR"))
}

/// Whether a top-level row only says no: all of it, not one of its subcommands.
fn is_refused(row: &Row) -> bool {
    REFUSED.iter().any(|call| call.split(' ').next() == Some(&row.full_name)) && row.full_name != "module"
}

/// The top-level rows of a family, by name.
fn family(table: &Commands, group: Group) -> Vec<(usize, &Row)> {
    let rows = table.rows().iter().enumerate();
    let mut rows: Vec<_> =
        rows.filter(|(_, row)| row.container.is_none() && row.command.doc.group == group).collect();
    rows.sort_by_key(|(_, row)| &row.full_name);
    rows
}

/// The names of a container's subcommands, each in code, or nothing.
fn subcommands(table: &Commands, number: usize) -> String {
    let names: Vec<String> = table
        .subcommands(number)
        .filter(|(_, row)| row.command.name != "help")
        .map(|(_, row)| format!("`{}`", row.command.name.to_uppercase()))
        .collect();
    if names.is_empty() { String::new() } else { format!(" {}.", names.join(", ")) }
}

fn rendered() -> String {
    let table = install();
    let mut text = String::new();
    for (group, title) in GROUPS {
        let rows = family(table, *group);
        let (refused, served): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, row)| is_refused(row));
        write!(text, "\n### {title}\n").expect("memory");
        if !served.is_empty() {
            text.push_str("\n| command | since | what it does |\n|---|---|---|\n");
        }
        for (number, row) in served {
            let doc = &row.command.doc;
            // A bar would end the cell, even in code.
            let summary = doc.summary.replace('|', "\\|");
            let name = row.full_name.to_uppercase();
            writeln!(text, "| `{name}` | {} | {summary}{} |", doc.since, subcommands(table, number))
                .expect("memory");
        }
        if !refused.is_empty() {
            let names: Vec<_> =
                refused.iter().map(|(_, row)| format!("`{}`", row.full_name.to_uppercase())).collect();
            write!(text, "\nKnown by name, and refused: {}.\n", names.join(", ")).expect("memory");
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_table_of_commands_is_the_table_of_commands() {
    let readme = fs::read_to_string(path()).expect("there is a README");
    let (before, rest) = readme.split_once(FIRST).expect("the first marker");
    let (found, after) = rest.split_once(LAST).expect("the last marker");
    let expected = rendered();
    if found == expected {
        return;
    }
    if std::env::var_os("KVICK_UPDATE_README").is_some() {
        fs::write(path(), format!("{before}{FIRST}{expected}{LAST}{after}")).expect("written");
        return;
    }
    let differing = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    panic!("README.md is behind: KVICK_UPDATE_README=1 cargo test --test readme; first at {differing:?}");
}

/// The commands that the README shows behind a `$`, each with the lines shown below it.
fn sessions(readme: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match (line.strip_prefix("    $ "), line.strip_prefix("    "), found.last_mut()) {
            (Some(command), ..) => {
                inside = true;
                found.push((command.to_owned(), String::new()));
            }
            (None, Some(shown), Some((_, expected))) if inside => {
                expected.push_str(shown);
                expected.push('\n');
            }
            _ => inside = false,
        }
    }
    found
}

#[test]
fn the_sessions_shown_are_true() {
    let server = Server::start(&[]);
    let readme = fs::read_to_string(path()).expect("there is a README");
    let sessions = sessions(&readme);
    assert!(6 <= sessions.len(), "{sessions:?}");
    for (command, expected) in sessions {
        // As to a terminal, but to our port.
        let ours = command
            .replace("redis-cli", &format!("redis-cli --no-raw -p {}", server.port()))
            .replace("6379", &server.port().to_string());
        let said = run("timeout", &["20", "sh", "-c", &ours], b"");
        assert_eq!(text(&said.stdout).replace('\r', ""), expected.trim_end(), "{command}");
    }
}

#[test]
fn every_family_has_a_title() {
    let table = install();
    let titled: usize = GROUPS.iter().map(|(group, _)| family(table, *group).len()).sum();
    assert_eq!(titled, table.rows().iter().filter(|row| row.container.is_none()).count());
}

#[test]
fn what_is_called_refused_is_refused() {
    let mut play = Play::new(1);
    for call in REFUSED {
        let reply = play.ask(0, &call.split(' ').collect::<Vec<_>>());
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.starts_with("-ERR ") && !reply.contains("unknown"), "{call}: {reply}");
    }
}
