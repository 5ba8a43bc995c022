//! What is wrong with a configuration.

use std::fmt;

/// Why a configuration cannot be used. Displayed as Redis says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The included file, if it was not in the text itself.
    pub file: Option<String>,
    /// The number of the line, from one.
    pub line: usize,
    /// The line, trimmed.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n*** FATAL CONFIG FILE ERROR (kvick {}) ***", env!("CARGO_PKG_VERSION"))?;
        match &self.file {
            Some(file) => writeln!(f, "Reading the configuration file '{file}', at line {}", self.line)?,
            None => writeln!(f, "Reading the configuration file, at line {}", self.line)?,
        }
        writeln!(f, ">>> '{}'", self.text)?;
        write!(f, "{}", self.reason)
    }
}

impl std::error::Error for Problem {}
