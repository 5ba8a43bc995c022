//! Configuration text to settings.
//!
//! A line is a name and words, split as a shell would; `#` begins a comment only at the start of a line.
//! Later lines win over earlier ones, but for `save`, `rename-command`, `user` and `client-output-buffer-limit`,
//! which add up.

use std::fmt;

use super::directive::Directive;
use super::live::{Flag, Settings};
use super::problem::Problem;
use super::value::UserLine;
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

/// Gives the text of an `include`, all matching files of it one after the other, or says why not.
pub type Include<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

/// Reads configuration text into settings; after a problem they are as they were.
pub fn load(text: &str, settings: &mut Settings, include: Include<'_>) -> Result<Vec<Notice>, Problem> {
    let mut loading = Loading { settings: settings.clone(), include, seen: Vec::new() };
    loading.lines(text, None, 0)?;
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
            if let Some(words) = user_words(line) {
                self.settings.user.push(UserLine { words, at: problem(String::new()) });
                continue;
            }
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

/// What a line of the `user` directive says. Unlike other words its may be any bytes: keys can be.
fn user_words(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut words = quote::split_words(line.as_bytes())?;
    let is_user = words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"user"));
    is_user.then(|| words.split_off(1))
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

impl Settings {
    /// Whether the value of a directive may be shown in a log.
    pub fn is_secret(name: &str) -> bool {
        Directive::find(name).is_some_and(|directive| directive.has(Flag::Secret))
    }
}
