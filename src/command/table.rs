//! All rows in one table, and how a name is found in it.

use std::sync::OnceLock;

use crate::command::spec::Command;
use crate::resp::request::Args;

/// The families' rows.
static FAMILIES: &[&[Command]] = &[crate::command::string::COMMANDS];

/// Longest name of a command or subcommand.
const NAME_LEN_MAX: usize = 32;

/// A row in the table. Its position there is its number.
#[derive(Debug)]
pub struct Row {
    /// The row of the family's file.
    pub command: &'static Command,
    /// The name, with the container's before it: `client|kill`.
    pub full_name: String,
    /// Number of the container, for a subcommand.
    pub container: Option<usize>,
    /// Number of the first subcommand; they follow each other.
    first_subcommand: usize,
    /// Index of the first key in a request, if the row alone says it; 0 = none.
    pub first_key: usize,
}

/// What a request's name leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// A row, by its number.
    Row(usize),
    /// Nothing.
    Unknown,
    /// A container without such a subcommand, by its number.
    UnknownSubcommand(usize),
}

/// All commands: containers and plain ones in the order of their families, each followed by its subcommands.
#[derive(Debug)]
pub struct Commands {
    rows: Vec<Row>,
    /// Open addressing over the top-level names: number + 1, 0 = empty.
    slots: Vec<u16>,
}

/// The table.
pub fn commands() -> &'static Commands {
    static TABLE: OnceLock<Commands> = OnceLock::new();
    TABLE.get_or_init(Commands::gather)
}

/// Mixes a name of any case: its length and its first eight and last eight bytes in lower case.
#[inline]
fn mix(name: &[u8]) -> u64 {
    let fold = |bytes: &[u8]| bytes.iter().fold(0u64, |word, byte| word << 8 | u64::from(byte | 0x20));
    let (head, tail) = match name.len() {
        0..=8 => (fold(name), 0),
        len => (fold(&name[..8]), fold(&name[len - 8..])),
    };
    let word = head ^ tail.rotate_left(29) ^ name.len() as u64;
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

impl Commands {
    fn gather() -> Commands {
        let mut rows = Vec::new();
        for command in FAMILIES.iter().copied().flatten() {
            let container = rows.len();
            rows.push(Row::new(command, command.name.to_owned(), None));
            rows[container].first_subcommand = container + 1;
            for subcommand in command.subcommands {
                let full_name = format!("{}|{}", command.name, subcommand.name);
                rows.push(Row::new(subcommand, full_name, Some(container)));
            }
        }
        let mut slots = vec![0u16; (rows.len() * 4).next_power_of_two()];
        let mask = slots.len() - 1;
        for (number, row) in rows.iter().enumerate().filter(|(_, row)| row.container.is_none()) {
            let mut at = mix(row.command.name.as_bytes()) as usize & mask;
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = number as u16 + 1;
        }
        Commands { rows, slots }
    }

    /// The row of this number.
    #[inline]
    pub fn row(&self, number: usize) -> &Row {
        &self.rows[number]
    }

    /// All rows with their subcommands.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Number of the top-level command of this name, in whatever case.
    #[inline]
    pub fn top(&self, name: &[u8]) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut at = mix(name) as usize & mask;
        loop {
            let number = self.slots[at].checked_sub(1)? as usize;
            if self.rows[number].command.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Number of a container's subcommand of this name, in whatever case.
    pub fn subcommand(&self, container: usize, name: &[u8]) -> Option<usize> {
        let row = &self.rows[container];
        let index = row
            .command
            .subcommands
            .iter()
            .position(|subcommand| subcommand.name.as_bytes().eq_ignore_ascii_case(name))?;
        Some(row.first_subcommand + index)
    }

    /// The subcommands of a container with their numbers.
    pub fn subcommands(&self, container: usize) -> impl Iterator<Item = (usize, &Row)> {
        let row = &self.rows[container];
        let first = row.first_subcommand;
        (first..first + row.command.subcommands.len()).map(|number| (number, &self.rows[number]))
    }

    /// What a request leads to: its command, or its command's subcommand.
    #[inline]
    pub fn find(&self, args: Args<'_>) -> Found {
        let Some(number) = self.top(args.get(0)) else { return Found::Unknown };
        if self.rows[number].command.subcommands.is_empty() || args.len() < 2 {
            return Found::Row(number);
        }
        self.subcommand(number, args.get(1)).map_or(Found::UnknownSubcommand(number), Found::Row)
    }

    /// What a full name (`get`, `client|kill`) leads to.
    pub fn by_full_name(&self, name: &[u8]) -> Option<usize> {
        match memchr::memchr(b'|', name) {
            None => self.top(name),
            Some(bar) => self.subcommand(self.top(&name[..bar])?, &name[bar + 1..]),
        }
    }
}

impl Row {
    fn new(command: &'static Command, full_name: String, container: Option<usize>) -> Row {
        use crate::command::spec::{Find, KeySpec};
        let first_key = match command.keys {
            [KeySpec { begin, find: Find::Range { .. }, .. }, ..] => *begin,
            _ => 0,
        };
        Row { command, full_name, container, first_subcommand: 0, first_key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        let table = commands();
        for (number, row) in table.rows().iter().enumerate() {
            assert_eq!(table.by_full_name(row.full_name.as_bytes()), Some(number), "{}", row.full_name);
            assert_eq!(table.by_full_name(row.full_name.to_uppercase().as_bytes()), Some(number));
            assert!(row.full_name.len() <= 2 * NAME_LEN_MAX);
            assert_eq!(row.full_name, row.full_name.to_lowercase());
        }
        assert_eq!(table.top(b"no-such-command"), None);
        assert_eq!(table.top(b""), None);
    }

    #[test]
    fn rows_are_complete() {
        for row in commands().rows() {
            let doc = &row.command.doc;
            assert!(doc.summary.ends_with('.'), "{} has no sentence", row.full_name);
            assert!(!doc.since.is_empty() && !doc.complexity.is_empty());
            assert!(row.command.arity != 0, "{}", row.full_name);
        }
    }
}
