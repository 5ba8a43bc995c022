//! The table of commands: the rows of all families.

use crate::command::registry::{self, Commands};
use crate::command::spec::Command;

/// The families' rows.
static FAMILIES: &[&[Command]] = &[
    crate::command::string::COMMANDS,
    crate::command::condition::COMMANDS,
    crate::command::lcs::COMMANDS,
    crate::command::list::COMMANDS,
    crate::command::list::blocking::COMMANDS,
    crate::command::set::COMMANDS,
    crate::command::hash::COMMANDS,
    crate::command::zset::COMMANDS,
    crate::command::zset::blocking::COMMANDS,
    crate::command::stream::COMMANDS,
    crate::command::bitmap::COMMANDS,
    crate::command::hyperloglog::COMMANDS,
    crate::command::geo::COMMANDS,
    crate::command::sort::COMMANDS,
    crate::command::dump::COMMANDS,
    crate::command::save::COMMANDS,
    crate::command::key::COMMANDS,
    crate::command::expire::COMMANDS,
    crate::command::scan::COMMANDS,
    crate::command::flush::COMMANDS,
    crate::command::object::COMMANDS,
    crate::command::transaction::COMMANDS,
    crate::command::pubsub::COMMANDS,
    crate::command::connection::COMMANDS,
    crate::command::client::COMMANDS,
    crate::command::replication::COMMANDS,
    crate::command::config::COMMANDS,
    crate::command::backup::COMMANDS,
    crate::command::memory::COMMANDS,
    crate::command::info::COMMANDS,
    crate::command::slowlog::COMMANDS,
    crate::command::latency::COMMANDS,
    crate::command::kvick::COMMANDS,
    crate::command::server::COMMANDS,
    crate::command::debug::COMMANDS,
    crate::command::introspect::COMMANDS,
    crate::command::acl::COMMANDS,
    crate::command::acl::login::COMMANDS,
];

/// Makes these rows the table and returns it.
pub fn install() -> &'static Commands {
    registry::install(FAMILIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        let table = install();
        for (number, row) in table.rows().iter().enumerate() {
            assert_eq!(table.by_full_name(row.full_name.as_bytes()), Some(number), "{}", row.full_name);
            assert_eq!(table.by_full_name(row.full_name.to_uppercase().as_bytes()), Some(number));
            assert!(row.full_name.len() <= 64);
            assert_eq!(row.full_name, row.full_name.to_lowercase());
        }
        assert_eq!(table.top(b"no-such-command"), None);
        assert_eq!(table.top(b""), None);
    }

    #[test]
    fn names_are_changed_one_after_the_other() {
        let renamed = |renames: &[(&str, &str)]| {
            let owned: Vec<_> = renames.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            crate::state::names::Names::renamed(install(), &owned).map(|names| names.is_some())
        };
        for (renames, expected) in [
            (&[][..], Ok(false)),
            (&[("GET", "")], Ok(true)),
            (&[("GET", "Fetch")], Ok(true)),
            (&[("get", "x"), ("SET", "get"), ("x", "y"), ("DEL", "")], Ok(true)),
            (&[("nosuch", "x")], Err("rename-command nosuch \"x\": No such command in rename-command")),
            (
                &[("GET", ""), ("get", "x")],
                Err("rename-command get \"x\": No such command in rename-command"),
            ),
            (&[("client|id", "x")], Err("rename-command client|id \"x\": No such command in rename-command")),
            (&[("get", "SET")], Err("rename-command get \"SET\": Target command name already exists")),
        ] {
            assert_eq!(renamed(renames), expected.map_err(str::to_owned), "{renames:?}");
        }
    }

    #[test]
    fn rows_are_complete() {
        for row in install().rows() {
            let doc = &row.command.doc;
            assert!(doc.summary.ends_with('.'), "{} has no sentence", row.full_name);
            assert!(!doc.since.is_empty() && !doc.complexity.is_empty());
            assert!(row.command.arity != 0, "{}", row.full_name);
        }
    }
}
