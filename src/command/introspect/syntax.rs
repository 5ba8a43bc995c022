//! The syntax of a row as a tree of arguments, for `COMMAND DOCS`.
//!
//! ```text
//! sequence = element*                         element = WORD value? | WORD <choice> | value | <choice> | [choice]
//! choice   = sequence ( | sequence )*         [ sequence ... ] repeats what stands before it
//! ```
//!
//! A word in capitals is typed as it is; it takes the value behind it along, and within brackets everything behind it.
//! The notation does not say types and does not name groups; both follow from names, as in `MATCH pattern`.

use crate::command::spec::flag::BLOCKING;
use crate::command::spec::{Command, Group};

/// An argument, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// What the value is called; for a group something that tells it from others.
    pub name: String,
    /// The word before it.
    pub token: Option<String>,
    /// It may be left out.
    pub optional: bool,
    /// It may come again.
    pub multiple: bool,
    /// Each time with the word.
    pub multiple_token: bool,
    /// What it is.
    pub kind: Kind,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value to fill in.
    Value,
    /// The word alone.
    PureToken,
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these, in this order.
    Block(Vec<Argument>),
}

/// Names of groups, by the first word in them.
const GROUP_NAMES: &[(&str, &str)] = &[
    ("NX", "condition"),
    ("XX", "condition"),
    ("GT", "comparison"),
    ("IFEQ", "condition"),
    ("EX", "expiration"),
    ("PX", "expiration"),
    ("LEFT", "where"),
    ("BEFORE", "where"),
    ("ASC", "order"),
    ("ASYNC", "flush-type"),
    ("SYNC", "flush-type"),
    ("NOSAVE", "save-selector"),
    ("SAVE", "save-selector"),
    ("TIMEOUT", "unblock-type"),
    ("WRITE", "mode"),
    ("ON", "status"),
    ("YES", "mode"),
];

/// Names of values that are whole numbers.
const INTEGERS: &[&str] = &[
    "cluster-bus-port",
    "client-id",
    "columns",
    "config-epoch",
    "count",
    "cursor",
    "db",
    "decrement",
    "delay",
    "destination-db",
    "end",
    "end-slot",
    "frequency",
    "idle",
    "idle-time",
    "increment",
    "index",
    "index1",
    "index2",
    "len",
    "maxage",
    "maxlen",
    "microseconds",
    "milliseconds",
    "min-match-len",
    "not-client-id",
    "not-db",
    "num-matches",
    "numkeys",
    "numlocal",
    "numreplicas",
    "offset",
    "port",
    "protover",
    "rank",
    "rows",
    "seconds",
    "slot",
    "start",
    "start-slot",
    "stop",
    "threshold",
    "timeout",
    "ttl",
    "version",
];

/// Names of values that are keys.
pub const KEYS: &[&str] = &["key", "key1", "key2", "source", "destination", "newkey"];

/// Reads a row's syntax.
pub fn parse(syntax: &str) -> Vec<Argument> {
    let mut words = Words { rest: syntax };
    let mut arguments = sequence(&mut words, false);
    debug_assert!(words.next().is_none(), "brackets do not match in {syntax:?}");
    name_both_ends(&mut arguments);
    arguments
}

/// Two ends in one command are where from and where to.
fn name_both_ends(arguments: &mut [Argument]) {
    if arguments.iter().filter(|argument| argument.name == "where").count() == 2 {
        let ends = arguments.iter_mut().filter(|argument| argument.name == "where");
        ends.zip(["wherefrom", "whereto"]).for_each(|(end, name)| end.name = name.to_owned());
    }
}

/// The words of a syntax; brackets are words of their own.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        Words { rest: self.rest }.next()
    }

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let bracket = |letter: char| "[]<>|".contains(letter);
        let first = rest.chars().next()?;
        let len = if bracket(first) {
            first.len_utf8()
        } else {
            rest.find(|letter: char| letter == ' ' || bracket(letter)).unwrap_or(rest.len())
        };
        let (word, rest) = rest.split_at(len);
        self.rest = rest;
        Some(word)
    }
}

fn is_token(word: &str) -> bool {
    word.contains(|letter: char| letter.is_ascii_uppercase())
}

fn value(name: &str) -> Argument {
    Argument {
        name: name.to_owned(),
        token: None,
        optional: false,
        multiple: false,
        multiple_token: false,
        kind: Kind::Value,
    }
}

/// Reads up to the end, a closing bracket or a bar, none of which it takes. `...` stays in the sequence as a value of
/// that name, for whoever asked for the sequence.
fn sequence(words: &mut Words<'_>, bracketed: bool) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    while let Some(word) = words.peek().filter(|word| !["]", ">", "|"].contains(word)) {
        words.next();
        match word {
            "[" => optional(words, &mut arguments),
            "<" => arguments.push(choice(words)),
            word if is_token(word) => arguments.push(token(word, words, bracketed && arguments.is_empty())),
            word => arguments.push(value(word)),
        }
    }
    arguments
}

/// A word with what belongs to it: nothing, the value or choice behind it, or `all` that is left of the sequence.
fn token(word: &str, words: &mut Words<'_>, all: bool) -> Argument {
    let follows = |word: &str| !["]", ">", "|", "[", "..."].contains(&word) && !is_token(word);
    let mut taken = Vec::new();
    while words.peek().is_some_and(follows) && (all || taken.is_empty()) {
        match words.next() {
            Some("<") => taken.push(choice(words)),
            Some(word) => taken.push(value(word)),
            None => break,
        }
        // A value that may come again without the word, as in `ID id [id ...]`.
        if words.peek() == Some("[") {
            let mut ahead = Words { rest: words.rest };
            ahead.next();
            let inner = sequence(&mut ahead, true);
            if repeats(&inner).is_some_and(|inner| inner == taken) {
                ahead.next();
                words.rest = ahead.rest;
                if let [one] = &mut taken[..] {
                    one.multiple = true;
                }
            }
        }
    }
    let name = word.to_ascii_lowercase();
    let mut argument = match taken.len() {
        0 => Argument { kind: Kind::PureToken, ..value(&name) },
        1 => taken.remove(0),
        _ => Argument { kind: Kind::Block(taken), ..value(&name) },
    };
    if matches!(argument.kind, Kind::OneOf(_)) {
        argument.name = name;
    }
    argument.token = Some(word.to_owned());
    argument
}

/// What is repeated, if the sequence ends in `...`.
fn repeats(sequence: &[Argument]) -> Option<&[Argument]> {
    match sequence {
        [repeated @ .., dots] if dots.name == "..." => Some(repeated),
        _ => None,
    }
}

/// Reads the inside of square brackets and what closes them; either something that may be left out, or a repetition
/// of what stands before.
fn optional(words: &mut Words<'_>, before: &mut Vec<Argument>) {
    let mut alternatives = alternatives(words);
    if let [only] = &alternatives[..]
        && let Some(repeated) = repeats(only)
    {
        if let Some(first) = before.len().checked_sub(repeated.len())
            && &before[first..] == repeated
        {
            return again(before, first);
        }
        alternatives = vec![repeated.to_vec()];
        alternatives[0].iter_mut().for_each(|argument| argument.multiple = true);
    }
    let mut argument = group(alternatives);
    argument.optional = true;
    before.push(argument);
}

/// Marks the arguments from `first` on as ones that may come again.
fn again(arguments: &mut Vec<Argument>, first: usize) {
    if arguments.len() - first == 1 {
        let argument = &mut arguments[first];
        argument.multiple = true;
        argument.multiple_token = argument.token.is_some();
    } else {
        let block = arguments.split_off(first);
        arguments.push(Argument { kind: Kind::Block(block), multiple: true, ..value("data") });
    }
}

/// Reads the inside of angle brackets and what closes them.
fn choice(words: &mut Words<'_>) -> Argument {
    group(alternatives(words))
}

fn alternatives(words: &mut Words<'_>) -> Vec<Vec<Argument>> {
    let mut found = vec![sequence(words, true)];
    while words.next() == Some("|") {
        found.push(sequence(words, true));
    }
    found
}

/// One argument of several alternatives.
fn group(alternatives: Vec<Vec<Argument>>) -> Argument {
    let mut arguments: Vec<Argument> = alternatives
        .into_iter()
        .map(|mut sequence| match sequence.len() {
            1 => sequence.remove(0),
            _ => Argument { name: group_name(&sequence), kind: Kind::Block(sequence), ..value("") },
        })
        .collect();
    if arguments.len() == 1 {
        return arguments.remove(0);
    }
    Argument { name: group_name(&arguments), kind: Kind::OneOf(arguments), ..value("") }
}

fn group_name(arguments: &[Argument]) -> String {
    let Some(first) = arguments.first() else { return String::new() };
    let known = GROUP_NAMES.iter().find(|(token, _)| first.token.as_deref() == Some(token));
    known.map_or_else(|| first.name.clone(), |(_, name)| (*name).to_owned())
}

/// The type of an argument, as `COMMAND DOCS` names it.
pub fn type_name(argument: &Argument, command: &Command) -> &'static str {
    match &argument.kind {
        Kind::PureToken => "pure-token",
        Kind::OneOf(_) => "oneof",
        Kind::Block(_) => "block",
        Kind::Value => match argument.name.as_str() {
            name if KEYS.contains(&name) && !command.keys.is_empty() => "key",
            // Lists are waited for in fractions of a second.
            "timeout" if command.flags & BLOCKING != 0 && command.doc.group == Group::List => "double",
            "increment" if command.name.ends_with("float") => "double",
            name if name.starts_with("unix-time") => "unix-time",
            "pattern" => "pattern",
            name if INTEGERS.contains(&name) => "integer",
            _ => "string",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree on one line: `?` optional, `*` multiple, `**` with the word each time.
    fn text(arguments: &[Argument]) -> String {
        let one = |argument: &Argument| {
            let token = argument.token.as_deref().map_or(String::new(), |token| format!("{token}="));
            let inner = match &argument.kind {
                Kind::Value => argument.name.clone(),
                Kind::PureToken => "()".to_owned(),
                Kind::OneOf(inner) => format!("{}<{}>", argument.name, text(inner)),
                Kind::Block(inner) => format!("{}{{{}}}", argument.name, text(inner)),
            };
            let optional = if argument.optional { "?" } else { "" };
            let multiple = match (argument.multiple, argument.multiple_token) {
                (false, _) => "",
                (true, false) => "*",
                (true, true) => "**",
            };
            format!("{token}{inner}{optional}{multiple}")
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn syntaxes_become_trees() {
        for (syntax, expected) in [
            ("", ""),
            ("key", "key"),
            ("key [count]", "key count?"),
            ("key element [element ...]", "key element*"),
            ("key value [key value ...]", "data{key value}*"),
            ("[command-name [command-name ...]]", "command-name?*"),
            (
                "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
                "numkeys key* where<LEFT=() RIGHT=()> COUNT=count?",
            ),
            (
                "a b <LEFT | RIGHT> <LEFT | RIGHT>",
                "a b wherefrom<LEFT=() RIGHT=()> whereto<LEFT=() RIGHT=()>",
            ),
            (
                "key [NX | XX] [GET] [EX seconds | KEEPTTL]",
                "key condition<NX=() XX=()>? GET=()? expiration<EX=seconds KEEPTTL=()>?",
            ),
            ("[BY pattern] [LIMIT offset count]", "BY=pattern? LIMIT=limit{offset count}?"),
            ("[GET pattern [GET pattern ...]]", "GET=pattern?**"),
            ("[ID id [id ...]] [SKIPME <YES | NO>]", "ID=id?* SKIPME=skipme<YES=() NO=()>?"),
            (
                "[protover [AUTH username password] [SETNAME name]]",
                "protover{protover AUTH=auth{username password}? SETNAME=name?}?",
            ),
            ("<host port | NO ONE>", "host<host{host port} no{NO=() ONE=()}>"),
            ("[username] password", "username? password"),
        ] {
            assert_eq!(text(&parse(syntax)), expected, "{syntax}");
        }
    }
}
