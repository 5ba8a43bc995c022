//! `CONFIG GET` and `CONFIG SET`: reading and changing settings while the server runs.

use std::fmt;

use super::directive::Directive;
use super::live::{Flag, Settings};
use crate::base::glob;

/// What a `CONFIG SET` changed. Keep a clone of the old settings to go back if acting on it fails.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Main names of directives whose value is another now, or names a file that may be, in the order given.
    pub names: Vec<&'static str>,
    /// Main names of directives that were set and have no effect here, with the reason.
    pub ignored: Vec<(&'static str, &'static str)>,
}

/// Why a `CONFIG SET` changed nothing. Displayed as the text of the error reply behind its `ERR `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// There is no such directive.
    Unknown(String),
    /// It may not have this value. Whoever acts on changes and fails says it in the same way.
    Failed {
        /// The name: as the client wrote it if it may not be set at all, in lower case if the value is wrong.
        name: String,
        /// The reason.
        reason: String,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown(name) => {
                write!(f, "Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Failed { name, reason } => {
                write!(f, "CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

impl Settings {
    /// What `CONFIG GET` answers: names and values, each name once.
    ///
    /// A name without wildcards comes back as it was typed, which clients that look for their own spelling
    /// need.
    pub fn get(&self, patterns: &[&str]) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pattern in patterns {
            let exact = !pattern.contains(['*', '?', '[']);
            for directive in Directive::all().filter(|directive| !directive.has(Flag::FileOnly)) {
                for name in directive.row().names() {
                    let fits = match exact {
                        true => name.eq_ignore_ascii_case(pattern),
                        false if directive.has(Flag::Hidden) => false,
                        false => glob::matches(pattern.as_bytes(), name.as_bytes(), true),
                    };
                    if fits && !found.iter().any(|(seen, _)| seen.eq_ignore_ascii_case(name)) {
                        let shown = if exact { *pattern } else { name };
                        found.push((shown.to_owned(), directive.show(self)));
                    }
                }
            }
        }
        found
    }

    /// What `CONFIG SET` does: changes all or nothing. `local` says whether the client is on this machine.
    pub fn set(&mut self, pairs: &[(&str, &str)], local: bool) -> Result<Changes, SetError> {
        let directives = self.settable(pairs, local)?;
        let mut after = self.clone();
        let mut changes = Changes::default();
        for (directive, (name, value)) in directives.into_iter().zip(pairs) {
            let row = directive.row();
            let failed = |reason| SetError::Failed { name: name.to_ascii_lowercase(), reason };
            directive.put(&mut after, &row.kind.words(value), true).map_err(failed)?;
            if directive.show(&after) != directive.show(self) || directive.has(Flag::Volatile) {
                changes.names.push(row.name);
                if let Directive::Known(known) = directive {
                    changes.ignored.push((row.name, known.reason));
                }
            }
        }
        *self = after;
        Ok(changes)
    }

    /// The directives of the names, if all of them exist and may be changed, each only once.
    fn settable(&self, pairs: &[(&str, &str)], local: bool) -> Result<Vec<Directive>, SetError> {
        let mut directives: Vec<Directive> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let directive = match Directive::find(name) {
                Some(directive) if !directive.has(Flag::FileOnly) => directive,
                _ => return Err(SetError::Unknown((*name).to_owned())),
            };
            let seen = |other: &Directive| other.row().name == directive.row().name;
            let reason = if directive.has(Flag::Fixed) {
                "can't set immutable config"
            } else if directive.has(Flag::Protected) && !self.enable_protected_configs.allows(local) {
                "can't set protected config"
            } else if directives.iter().any(seen) {
                "duplicate parameter"
            } else {
                directives.push(directive);
                continue;
            };
            return Err(SetError::Failed { name: (*name).to_owned(), reason: reason.to_owned() });
        }
        Ok(directives)
    }
}
