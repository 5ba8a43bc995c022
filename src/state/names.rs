//! The names under which commands are known to clients, where `rename-command` has changed them. Users' rights, the
//! log and figures go by the names of the table.

use std::collections::HashMap;

/// Names of commands that are no subcommands.
#[derive(Clone, Debug)]
pub struct Names {
    /// Numbers of the commands' rows, by name in lower case. A command that has been taken away has none.
    pub numbers: HashMap<Vec<u8>, usize>,
}

impl Names {
    /// The number of the command that is known by this name, in whatever case.
    pub fn number(&self, name: &[u8]) -> Option<usize> {
        self.numbers.get(&name.to_ascii_lowercase()).copied()
    }

    /// Whether a command has a name.
    pub fn has(&self, number: usize) -> bool {
        self.numbers.values().any(|other| *other == number)
    }
}
