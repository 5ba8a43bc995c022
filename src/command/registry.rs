//! All rows in one registry, and how a name is found in it.
//!
//! It stands above the families, which ask it for names and numbers; `table.rs`, below them, fills it.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::command::spec::Command;
use crate::resp::request::Args;
use crate::state::names::Names;

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
    /// Open addressing over the top-level names.
    slots: Vec<Slot>,
}

static TABLE: OnceLock<Commands> = OnceLock::new();

/// The table.
///
/// # Panics
///
/// If nothing was installed: `table::install` is the first thing an engine does.
#[inline]
pub fn commands() -> &'static Commands {
    TABLE.get().expect("the table of commands is installed first")
}

/// Makes these rows the table; the first call decides.
pub fn install(families: &[&'static [Command]]) -> &'static Commands {
    TABLE.get_or_init(|| Commands::gather(families))
}

/// A name in small letters, in two words: its first and its last eight bytes, which overlap in a short one.
///
/// No two names of letters are the same up to [`Folded::LEN_MAX`] bytes. Other bytes are not all told apart.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Folded {
    head: u64,
    tail: u64,
    len: usize,
}

impl Folded {
    const LEN_MAX: usize = 16;

    #[inline]
    fn of(name: &[u8]) -> Folded {
        const SMALL: u64 = 0x2020_2020_2020_2020;
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from(u16::from_le_bytes(*head)), u64::from(u16::from_le_bytes(*tail)))
        } else {
            (name.first().map_or(0, |&byte| u64::from(byte)), 0)
        };
        Folded { head: head | SMALL, tail: tail | SMALL, len: name.len() }
    }

    /// Where a table is to be looked at first, by its lower bits.
    #[inline]
    fn hash(&self) -> usize {
        let word = self.head ^ self.tail.rotate_left(29) ^ self.len as u64;
        (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }
}

/// A place for a top-level name.
#[derive(Clone, Copy, Default, Debug)]
struct Slot {
    name: Folded,
    /// Number + 1, 0 = empty.
    number: u16,
    /// Whether no other name folds to this one.
    exact: bool,
}

impl Commands {
    fn gather(families: &[&'static [Command]]) -> Commands {
        let mut rows = Vec::new();
        for command in families.iter().copied().flatten() {
            let container = rows.len();
            rows.push(Row::new(command, command.name.to_owned(), None));
            rows[container].first_subcommand = container + 1;
            for subcommand in command.subcommands {
                let full_name = format!("{}|{}", command.name, subcommand.name);
                rows.push(Row::new(subcommand, full_name, Some(container)));
            }
        }
        let mut slots = vec![Slot::default(); (rows.len() * 4).next_power_of_two()];
        let mask = slots.len() - 1;
        for (number, row) in rows.iter().enumerate().filter(|(_, row)| row.container.is_none()) {
            let bytes = row.command.name.as_bytes();
            let name = Folded::of(bytes);
            let mut at = name.hash() & mask;
            while slots[at].number != 0 {
                at = (at + 1) & mask;
            }
            let exact = bytes.len() <= Folded::LEN_MAX && bytes.iter().all(u8::is_ascii_alphabetic);
            slots[at] = Slot { name, number: number as u16 + 1, exact };
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
        let folded = Folded::of(name);
        let mut at = folded.hash();
        loop {
            let slot = &self.slots[at & (self.slots.len() - 1)];
            let number = slot.number.checked_sub(1)? as usize;
            if slot.name == folded && (slot.exact || self.is_named(number, name)) {
                return Some(number);
            }
            at += 1;
        }
    }

    #[cold]
    fn is_named(&self, number: usize, name: &[u8]) -> bool {
        self.rows[number].command.name.as_bytes().eq_ignore_ascii_case(name)
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
        self.top(args.get(0)).map_or(Found::Unknown, |number| self.find_under(number, args))
    }

    /// The same for what a client has sent, who knows the commands by these names.
    #[inline]
    pub fn find_as(&self, names: Option<&Names>, args: Args<'_>) -> Found {
        match names {
            None => self.find(args),
            Some(names) => {
                names.number(args.get(0)).map_or(Found::Unknown, |number| self.find_under(number, args))
            }
        }
    }

    /// What a request for this top-level command leads to: it, or its subcommand.
    #[inline]
    fn find_under(&self, number: usize, args: Args<'_>) -> Found {
        if self.rows[number].command.subcommands.is_empty() || args.len() < 2 {
            return Found::Row(number);
        }
        self.subcommand(number, args.get(1)).map_or(Found::UnknownSubcommand(number), Found::Row)
    }

    /// What a full name (`get`, `client|kill`) leads to.
    pub fn by_full_name(&self, name: &[u8]) -> Option<usize> {
        self.by_full_name_as(None, name)
    }

    /// The same for who knows the commands by these names.
    pub fn by_full_name_as(&self, names: Option<&Names>, name: &[u8]) -> Option<usize> {
        let top = |name: &[u8]| names.map_or_else(|| self.top(name), |names| names.number(name));
        match memchr::memchr(b'|', name) {
            None => top(name),
            Some(bar) => self.subcommand(top(&name[..bar])?, &name[bar + 1..]),
        }
    }
}

impl Names {
    /// Gives the commands other names, or none at all if the new name is empty; one after the other, as the lines of
    /// the configuration stand. Nothing if there is nothing to change.
    ///
    /// # Errors
    ///
    /// The text for the user.
    pub fn renamed(table: &Commands, renames: &[(String, String)]) -> Result<Option<Names>, String> {
        if renames.is_empty() {
            return Ok(None);
        }
        let top = table.rows.iter().enumerate().filter(|(_, row)| row.container.is_none());
        let mut numbers: HashMap<Vec<u8>, usize> =
            top.map(|(number, row)| (row.command.name.as_bytes().to_vec(), number)).collect();
        for (old, new) in renames {
            let why = |reason: &str| format!("rename-command {old} \"{new}\": {reason}");
            let number = numbers
                .remove(old.to_ascii_lowercase().as_bytes())
                .ok_or_else(|| why("No such command in rename-command"))?;
            if !new.is_empty() && numbers.insert(new.to_ascii_lowercase().into_bytes(), number).is_some() {
                return Err(why("Target command name already exists"));
            }
        }
        Ok(Some(Names { numbers }))
    }
}

impl Row {
    fn new(command: &'static Command, full_name: String, container: Option<usize>) -> Row {
        use crate::command::spec::{Find, KeySpec};
        let first_key = match command.keys {
            [KeySpec { begin, keyword: None, find: Find::Range { .. }, .. }, ..] => *begin,
            _ => 0,
        };
        Row { command, full_name, container, first_subcommand: 0, first_key }
    }
}
