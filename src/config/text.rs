//! Configuration text to settings.
//!
//! A line is a name and words, split as a shell would; `#` begins a comment only at the start of a line.
//! Later lines win over earlier ones, but for `save`, `rename-command` and `client-output-buffer-limit`,
//! which add up.

use std::fmt;

use super::directive::Directive;
use super::live::{Flag, Settings};
use crate::base::quote;

/// Included files may include others this deep; a file that includes itself ends here.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Something that the user should know, although it stops nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The directives that it is about.
    pub names: Vec<&'static str>,
    /// The explanation.
    pub reason: &'static str,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Configured without effect: {} ({})", self.names.join(", "), self.reason)
    }
}

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

/// Gives the text of an `include`, all matching files of it one after the other, or says why not.
pub type Include<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

/// Reads configuration text into settings; after a problem they are as they were.
pub fn load(text: &str, settings: &mut Settings, include: Include<'_>) -> Result<Vec<Notice>, Problem> {
    let mut loading = Loading { settings: settings.clone(), include, seen: Vec::new(), users: Vec::new() };
    loading.lines(text, None, 0)?;
    loading.check_users()?;
    let notices = loading.notices();
    *settings = loading.settings;
    Ok(notices)
}

/// A load under way.
struct Loading<'a> {
    settings: Settings,
    include: Include<'a>,
    /// Directives that had a line, in order, each once.
    seen: Vec<Directive>,
    /// Lines that describe the default user; whether they say what we do depends on `requirepass`, which
    /// may follow.
    users: Vec<(Problem, Login)>,
}

/// How a line lets the default user in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Login {
    Free,
    Password,
}

impl Loading<'_> {
    fn lines(&mut self, text: &str, file: Option<&str>, depth: usize) -> Result<(), Problem> {
        for (index, line) in text.split('\n').enumerate() {
            let line = line.trim_matches([' ', '\t', '\r', '\n']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let problem = |reason: String| Problem {
                file: file.map(str::to_owned),
                line: index + 1,
                text: line.to_owned(),
                reason,
            };
            let words = split(line).map_err(problem)?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let Some((name, rest)) = words.split_first() else { continue };
            match (name.to_ascii_lowercase().as_str(), rest) {
                ("include", [path]) => {
                    if depth == INCLUDE_DEPTH_MAX {
                        return Err(problem(String::from("too many files include each other")));
                    }
                    let text = (self.include)(path).map_err(problem)?;
                    self.lines(&text, Some(path), depth + 1)?;
                }
                ("include", _) => return Err(problem(unknown("include"))),
                ("rename-command", [from, to]) => self.rename(from, to).map_err(problem)?,
                ("rename-command", _) => return Err(problem(unknown("rename-command"))),
                ("user", words) if default_user(words).is_some() => {
                    let login = default_user(words).unwrap_or(Login::Password);
                    self.users.push((problem(String::new()), login));
                }
                _ => self.directive(name, rest).map_err(problem)?,
            }
        }
        Ok(())
    }

    fn directive(&mut self, name: &str, words: &[&str]) -> Result<(), String> {
        let Some(directive) = Directive::find(name) else { return Err(unknown(name)) };
        let row = directive.row();
        let split;
        let words = match words {
            // The whole value may be quoted as one word: save "3600 1".
            [value] if row.kind.is_multi() => {
                split = row.kind.words(value);
                &split
            }
            _ => words,
        };
        let first = !self.seen.iter().any(|seen| seen.row().name == row.name);
        directive.put(&mut self.settings, words, first)?;
        if first {
            self.seen.push(directive);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), String> {
        let taken = |(old, new): &(String, String)| old.eq_ignore_ascii_case(from) || same_name(new, to);
        if self.settings.rename_command.iter().any(taken) {
            return Err(String::from("Target command name already exists"));
        }
        self.settings.rename_command.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Redis writes the default user into files that it rewrites; that must not stop anybody from changing
    /// over.
    fn check_users(&self) -> Result<(), Problem> {
        for (problem, login) in &self.users {
            let reason = match (login, self.settings.requirepass.is_empty()) {
                (Login::Free, true) | (Login::Password, false) => continue,
                (Login::Free, false) => "it lets everybody in, but 'requirepass' asks for a password",
                (Login::Password, true) => "it has a password that only 'requirepass' can set",
            };
            let reason = format!("'user default' is not supported by kvick: {reason}");
            return Err(Problem { reason, ..problem.clone() });
        }
        Ok(())
    }

    fn notices(&self) -> Vec<Notice> {
        let mut notices: Vec<Notice> = Vec::new();
        for directive in &self.seen {
            let name = directive.row().name;
            let Directive::Known(known) = directive else { continue };
            let reason = known.reason;
            match notices.iter_mut().find(|notice| notice.reason == reason) {
                Some(notice) => notice.names.push(name),
                None => notices.push(Notice { names: vec![name], reason }),
            }
        }
        notices
    }
}

/// The words of a line as text.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let Some(words) = quote::split_words(line.as_bytes()) else {
        return Err(String::from("Unbalanced quotes in configuration line"));
    };
    let texts: Result<Vec<String>, _> = words.into_iter().map(String::from_utf8).collect();
    texts.map_err(|_| String::from("argument must be valid UTF-8"))
}

/// What is said about a name that nobody knows, or that came with too few or too many words.
fn unknown(name: &str) -> String {
    let reason = String::from("Bad directive or wrong number of arguments");
    match Directive::nearest(name) {
        Some(near) if Directive::find(name).is_none() => format!("{reason}\nDid you mean '{near}'?"),
        _ => reason,
    }
}

fn same_name(a: &str, b: &str) -> bool {
    !a.is_empty() && a.eq_ignore_ascii_case(b)
}

/// How the line `user default ...` lets that user in, if it gives all the rights that everybody has here.
fn default_user(words: &[&str]) -> Option<Login> {
    let (&"default", rules) = words.split_first()? else { return None };
    let mut login = None;
    let (mut on, mut keys, mut channels, mut commands) = (false, false, false, false);
    for rule in rules {
        match *rule {
            "on" => on = true,
            "~*" | "allkeys" => keys = true,
            "&*" | "allchannels" => channels = true,
            "+@all" | "allcommands" => commands = true,
            "nopass" => login = Some(Login::Free),
            "sanitize-payload" | "skip-sanitize-payload" => {}
            password if password.starts_with('#') => login = Some(Login::Password),
            _ => return None,
        }
    }
    login.filter(|_| on && keys && channels && commands)
}

impl Settings {
    /// Whether the value of a directive may be shown in a log.
    pub fn is_secret(name: &str) -> bool {
        Directive::find(name).is_some_and(|directive| directive.has(Flag::Secret))
    }
}
