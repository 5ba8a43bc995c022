//! The rules of the house, as far as a program can check them: the floors, who may touch what, words, lengths.
//!
//! It reads the sources as text. Before looking for names it blanks out comments and literals (see [`code_only`]); that
//! is all the Rust it knows, and with formatted code it is enough.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a function, rows of tables not counted.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a file, its tests and rows of tables not counted.
const FILE_LINES_MAX: usize = 700;

/// All that may stand at the top. What `.gitignore` names may lie there too.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "src",
    "tests",
    "benches",
    "scripts",
    ".ci",
    ".rustfmt.toml",
    ".clippy.toml",
    ".gitignore",
    ".git",
    "target",
    "appendonlydir",
];

/// The files with `unsafe`, each with the argument for it at its head. Everything else is safe.
const UNSAFE: &[&str] = &[
    "src/base/memory.rs",
    "src/base/pages.rs",
    "src/base/prefetch.rs",
    "src/base/bits.rs",
    "src/resp/direct.rs",
    "src/data/table/bucket.rs",
    "src/data/block.rs",
    "src/data/pack.rs",
    "src/data/set/member.rs",
    "src/data/entry.rs",
    "src/data/zset/member.rs",
    "src/data/hash/cell.rs",
    "src/io/sys.rs",
    "src/io/clock.rs",
    "src/io/crash.rs",
    "src/io/aof/sync.rs",
];

/// A name in the code, and the only places where it may stand (files, or folders with a slash).
const ONLY_IN: &[(&str, &[&str])] = &[
    ("Instant::now", &["src/io/clock.rs"]),
    ("SystemTime::now", &["src/io/clock.rs"]),
    ("std::fs", &["src/io/", "src/main.rs"]),
    ("std::net", &["src/io/", "src/main.rs"]),
    ("std::process", &["src/io/", "src/main.rs"]),
    ("std::thread", &["src/io/", "src/main.rs"]),
];

/// A name that a floor never says, though it stands higher up.
const NEVER_IN: &[(&str, &str)] = &[("crate::resp", "src/data/"), ("crate::resp", "src/config/")];

/// Words that stand nowhere, whatever their case; written in two halves, so that this file may hold them.
const WORDS: &[(&str, &str)] = &[
    ("clau", "de"),
    ("anthro", "pic"),
    ("chatg", "pt"),
    ("gp", "t"),
    ("open", "ai"),
    ("copi", "lot"),
    ("ll", "m"),
    ("ai-gen", "erated"),
    ("language ", "model"),
];

/// Marks of unfinished work, in this case only.
const MARKS: &[(&str, &str)] =
    &[("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("todo", "!("), ("unimple", "mented!(")];

/// Where the house stands: cargo tells it when it runs us.
fn root() -> &'static Path {
    static ROOT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    ROOT.get_or_init(|| {
        std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    })
}

/// The tests of a module may fill a file of their own: `tests.rs`, declared under `#[cfg(test)]`.
fn is_test_file(path: &str) -> bool {
    path.starts_with("src/") && path.ends_with("/tests.rs")
}

/// All files of ours below `folder`, as paths relative to the top.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.strip_prefix(root()).expect("below the top").display().to_string()),
            }
        }
    }
    found.sort();
    found
}

fn rust_files(folders: &[&str]) -> Vec<String> {
    folders.iter().flat_map(|folder| files(folder)).filter(|path| path.ends_with(".rs")).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The file up to its tests.
fn without_tests(text: &str) -> &str {
    match text.find("#[cfg(test)]\nmod ") {
        Some(end) => &text[..end],
        None => text,
    }
}

/// The text with comments and the insides of literals blanked out, line for line.
fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = token_to_blank(rest, out.chars().next_back());
        let taken = end.unwrap_or(first.len_utf8());
        match end {
            Some(_) => out.extend(rest[..taken].chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => out.push(first),
        }
        rest = &rest[taken..];
    }
    out
}

/// How long the comment or literal is that `rest` begins with, if it begins with one.
fn token_to_blank(rest: &str, before: Option<char>) -> Option<usize> {
    let bytes = rest.as_bytes();
    let until =
        |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    match bytes[0] {
        b'/' if rest.starts_with("//") => Some(rest.find('\n').unwrap_or(rest.len())),
        b'/' if rest.starts_with("/*") => Some(until(2, "*/")),
        b'"' => Some(quoted_length(bytes, b'"')),
        b'r' if !before.is_some_and(|c| c.is_alphanumeric() && c != 'b' || c == '_') => {
            let hashes = bytes[1..].iter().take_while(|b| **b == b'#').count();
            (bytes.get(1 + hashes) == Some(&b'"'))
                .then(|| until(2 + hashes, &format!("\"{}", "#".repeat(hashes))))
        }
        // A character, not a lifetime: it ends with a quote after one character or an escape.
        b'\'' if bytes.get(1) == Some(&b'\\') => Some(quoted_length(bytes, b'\'')),
        b'\'' => {
            let length = 1 + rest[1..].chars().next()?.len_utf8();
            (bytes.get(length) == Some(&b'\'')).then_some(length + 1)
        }
        _ => None,
    }
}

/// The length of a literal that begins with `quote` and may hold escapes.
fn quoted_length(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The modules of the crate: path to the children in the order of their `mod` lines, and path to file.
struct House {
    children: BTreeMap<Vec<String>, Vec<String>>,
    files: BTreeMap<Vec<String>, String>,
}

impl House {
    fn new() -> House {
        let mut house = House { children: BTreeMap::new(), files: BTreeMap::new() };
        house.enter(Vec::new(), "src/lib.rs".into());
        house
    }

    fn enter(&mut self, module: Vec<String>, file: String) {
        let code = code_only(without_tests(&read(&file)));
        let declared: Vec<String> = code.lines().filter_map(declared_module).collect();
        for child in &declared {
            let path: Vec<String> = module.iter().chain([child]).cloned().collect();
            let base = format!("src/{}", path.join("/"));
            let file = [format!("{base}.rs"), format!("{base}/mod.rs")]
                .into_iter()
                .find(|file| root().join(file).exists())
                .unwrap_or_else(|| panic!("{file} declares {child}, which has no file"));
            self.enter(path, file);
        }
        self.children.insert(module.clone(), declared);
        self.files.insert(module, file);
    }

    /// Why module `from` may not name `to`, if so.
    fn objection(&self, from: &[String], to: &[String]) -> Option<String> {
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        let (own, named) = (from.get(common)?, to.get(common)?);
        let siblings = &self.children[&from[..common]];
        let named_at = siblings.iter().position(|s| s == named)?;
        let own_at = siblings.iter().position(|s| s == own)?;
        (own_at < named_at)
            .then(|| format!("names `{}`, but `{named}` is declared below `{own}`", to.join("::")))
    }
}

/// The name in a line `mod name;` with whatever visibility.
fn declared_module(line: &str) -> Option<String> {
    let line = line.trim().strip_suffix(';')?;
    let (before, name) =
        line.split_once("mod ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"))?;
    (!before.contains('=')).then(|| name.trim().to_string())
}

/// All paths of modules and items that `code` of module `own` names by `crate::` or `super::`.
fn named_paths(code: &str, own: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (word, up) in [("crate::", None), ("super::", Some(1))] {
        for (at, _) in code.match_indices(word) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut start = match up {
                None => Vec::new(),
                Some(_) => own[..own.len().saturating_sub(1)].to_vec(),
            };
            let mut rest = &code[at + word.len()..];
            while let Some(higher) = rest.strip_prefix("super::") {
                start.pop();
                rest = higher;
            }
            tree(rest, start, &mut found);
        }
    }
    found
}

/// Follows a path, or a tree of a `use`, from `rest` on; returns how many bytes it took.
fn tree(rest: &str, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let mut at = 0;
    loop {
        if rest[at..].starts_with('{') {
            at += 1;
            while !rest[at..].is_empty() && !rest[at..].starts_with('}') {
                let skip =
                    rest[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(rest.len() - at);
                at += skip;
                if !rest[at..].starts_with('}') {
                    let taken = tree(&rest[at..], path.clone(), found);
                    at += taken;
                    at += rest[at..].find([',', '}']).unwrap_or(rest.len() - at);
                }
            }
            return (at + 1).min(rest.len());
        }
        let length = rest[at..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len() - at);
        path.push(rest[at..at + length].to_string());
        at += length;
        match rest[at..].strip_prefix("::") {
            Some(more) if more.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '{') => at += 2,
            _ => {
                found.push(path);
                return at;
            }
        }
    }
}

/// Is it a row of a table (a line that begins one and ends with a comma, or stands between)?
fn is_row(line: &str) -> bool {
    let line = line.trim();
    line.ends_with(',') && line.starts_with(['(', '[', '"', '\'']) || line.starts_with("Command {")
}

/// Name, first line and number of lines of every function, rows not counted.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let code = code_only(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(body) = code[at..].find(['{', ';']).filter(|_| !name.is_empty()) else { continue };
        if code[at + body..].starts_with(';') {
            continue; // A declaration without a body, or an array in the signature, which rustfmt keeps on one line.
        }
        let mut depth = 0;
        let end = code[at + body..].char_indices().find_map(|(i, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            (depth == 0).then_some(at + body + i)
        });
        let first = code[..at].matches('\n').count();
        let last = code[..end.unwrap_or(code.len())].matches('\n').count();
        let counted = lines[first..=last.min(lines.len() - 1)].iter().filter(|line| !is_row(line)).count();
        found.push((name, first + 1, counted));
    }
    found
}

/// Fails with all complaints at once.
fn nothing_in(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn files_name_only_what_is_declared_above_them() {
    let house = House::new();
    let mut complaints = Vec::new();
    for (module, file) in house.files.iter().filter(|(_, file)| !is_test_file(file)) {
        let code = code_only(without_tests(&read(file)));
        for path in named_paths(&code, module) {
            if let Some(objection) = house.objection(module, &path) {
                complaints.push(format!("{file} {objection}"));
            }
        }
    }
    nothing_in(complaints);
}

#[test]
fn every_source_file_is_part_of_the_crate() {
    let house = House::new();
    let known: Vec<&String> = house.files.values().collect();
    let strangers = rust_files(&["src"])
        .into_iter()
        .filter(|f| f != "src/main.rs" && !known.contains(&f) && !is_test_file(f));
    nothing_in(strangers.map(|file| format!("{file} is declared nowhere")).collect());
}

#[test]
fn names_that_belong_to_one_place_stand_nowhere_else() {
    let mut complaints = Vec::new();
    for file in rust_files(&["src"]).into_iter().filter(|file| !is_test_file(file)) {
        let code = code_only(without_tests(&read(&file)));
        for (name, places) in ONLY_IN {
            let allowed =
                places.iter().any(|place| file == *place || place.ends_with('/') && file.starts_with(place));
            if !allowed && code.contains(name) {
                complaints.push(format!("{file} says {name}, which only {places:?} may"));
            }
        }
        for (name, folder) in NEVER_IN {
            if file.starts_with(folder) && code.contains(name) {
                complaints.push(format!("{file} says {name}"));
            }
        }
    }
    nothing_in(complaints);
}

#[test]
fn unsafe_stands_only_in_named_files_with_its_argument_at_the_head() {
    let mut complaints = Vec::new();
    for file in rust_files(&["src", "tests", "benches"]) {
        let text = read(&file);
        if !code_only(&text).lines().any(|line| holds_word(line, "unsafe")) {
            continue;
        }
        if !UNSAFE.contains(&file.as_str()) {
            complaints.push(format!("{file} is not among the files that may be unsafe"));
        }
        let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if !head.to_lowercase().contains("unsafe") && !head.to_lowercase().contains("safety") {
            complaints.push(format!("the head of {file} does not argue for its unsafe code"));
        }
    }
    nothing_in(complaints);
}

#[test]
fn forbidden_words_stand_nowhere() {
    let mut all: Vec<String> =
        ["src", "tests", "benches", "scripts", ".ci"].iter().flat_map(|f| files(f)).collect();
    let top = ["Cargo.toml", "README.md", "LICENSE", ".gitignore", ".rustfmt.toml", ".clippy.toml"];
    all.extend(top.iter().filter(|f| root().join(f).exists()).map(|f| f.to_string()));
    let mut complaints = Vec::new();
    for file in all {
        let bytes = fs::read(root().join(&file)).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            let words = WORDS.iter().map(|(a, b)| format!("{a}{b}")).filter(|word| holds_word(&lower, word));
            let marks = MARKS.iter().map(|(a, b)| format!("{a}{b}")).filter(|mark| holds_word(line, mark));
            complaints.extend(words.chain(marks).map(|word| format!("{file}:{}: {word}", number + 1)));
        }
    }
    nothing_in(complaints);
}

/// Does `word` stand in `line` with no letter on either side? A longer name that it is a part of does not count.
fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next().filter(|_| !word.ends_with('('));
        let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

#[test]
fn functions_are_not_too_long() {
    let mut complaints = Vec::new();
    for file in rust_files(&["src", "tests", "benches"]) {
        for (name, line, length) in functions(&read(&file)) {
            if FUNCTION_LINES_MAX < length {
                complaints.push(format!("{file}:{line}: {name} has {length} lines"));
            }
        }
    }
    nothing_in(complaints);
}

#[test]
fn files_are_not_too_long() {
    let mut complaints = Vec::new();
    for file in rust_files(&["src", "tests", "benches"]).into_iter().filter(|file| !is_test_file(file)) {
        let length = without_tests(&read(&file)).lines().filter(|line| !is_row(line)).count();
        if FILE_LINES_MAX < length {
            complaints.push(format!("{file} has {length} lines"));
        }
    }
    nothing_in(complaints);
}

#[test]
fn nothing_else_stands_at_the_top() {
    let mut complaints = Vec::new();
    for entry in fs::read_dir(root()).expect("the top") {
        let name = entry.expect("an entry").file_name().into_string().expect("utf-8");
        if !TOP.contains(&name.as_str()) && !name.ends_with(".rdb") {
            complaints.push(format!("{name} does not belong at the top"));
        }
    }
    nothing_in(complaints);
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let manifest = read("Cargo.toml");
    let lines: Vec<&str> = manifest.lines().collect();
    let mut complaints = Vec::new();
    let mut inside = false;
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains(" = ") && !line.starts_with('#') && !lines[at - 1].starts_with('#')
        {
            complaints.push(format!("Cargo.toml:{}: no reason beside {line}", at + 1));
        }
    }
    nothing_in(complaints);
}

#[test]
fn tests_wait_only_by_the_one_helper_for_it() {
    // In the server only commands sleep whose meaning it is: DEBUG SLEEP and the delay of DEBUG RESTART; and a child
    // under rdb-key-save-delay; and a server that is not there yet, while its port is taken.
    let helpers = ["tests/common/mod.rs", "src/io/grant.rs", "src/io/rdb.rs", "src/io/listen.rs"];
    let complaints = rust_files(&["src", "tests"])
        .into_iter()
        .filter(|file| !helpers.contains(&file.as_str()) && code_only(&read(file)).contains("thread::sleep"))
        .map(|file| format!("{file} sleeps"))
        .collect();
    nothing_in(complaints);
}

#[test]
fn scripts_stop_at_the_first_error() {
    let mut complaints = Vec::new();
    for file in files("scripts").into_iter().chain(files(".ci")) {
        let text = read(&file);
        if text.starts_with("#!/usr/bin/env bash") && !text.contains("\nset -euo pipefail\n") {
            complaints.push(format!("{file} goes on after errors"));
        }
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &root().join(&file).metadata().expect("a file").permissions(),
        );
        if text.starts_with("#!") && mode & 0o111 == 0 {
            complaints.push(format!("{file} cannot be run"));
        }
    }
    nothing_in(complaints);
}

/// The checks above see nothing if these readers are blind.
mod readers {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b\n */ c", "a     \n    c"),
            ("f(\"x{\\\"y\") + 1", "f(       ) + 1"),
            ("b\"x\" r\"\\\" r#\"a\"b\"# z", "b         a"),
            ("'x' '\\'' 'a: &'a str", "         'a: &'a str"),
            ("'{' => '\\u{7d}'", "    =>         "),
        ] {
            let code = code_only(text);
            assert_eq!(text.len(), code.len(), "{text:?}");
            if !text.contains("r#") {
                assert_eq!(expected, code, "{text:?}");
            } else {
                assert_eq!("b z", code.split_whitespace().collect::<Vec<_>>().join(" "), "{text:?}");
            }
        }
    }

    fn path(text: &str) -> Vec<String> {
        text.split("::").filter(|part| !part.is_empty()).map(str::to_string).collect()
    }

    #[test]
    fn paths_are_found_in_uses_and_in_code() {
        for (code, expected) in [
            ("use crate::a::B;", &["a::B"][..]),
            ("use crate::{a::B, c::{D, e::F}, g};", &["a::B", "c::D", "c::e::F", "g"]),
            ("let x = crate::a::f(1) + super::g();", &["a::f", "own::g"]),
            ("super::super::x::Y", &["x::Y"]),
            ("use super::{\n    x,\n    y::Z,\n};", &["own::x", "own::y::Z"]),
            ("my_crate::a, a::super_::b", &[]),
        ] {
            let mut found = named_paths(code, &path("own::file"));
            let mut expected: Vec<_> = expected.iter().map(|p| path(p)).collect();
            found.sort();
            expected.sort();
            assert_eq!(expected, found, "{code:?}");
        }
    }

    #[test]
    fn a_lower_floor_may_not_name_a_higher_one() {
        let mut house = House { children: BTreeMap::new(), files: BTreeMap::new() };
        let names = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        house.children.insert(path(""), names(&["base", "data", "io"]));
        house.children.insert(path("data"), names(&["table", "entry"]));
        for (from, to, allowed) in [
            ("data::entry", "data::table::Table", true),
            ("data::table", "data::entry::Entry", false),
            ("data::table", "base::date", true),
            ("data::table", "io::clock", false),
            ("base", "data", false),
            ("data", "data::entry::Entry", true),
            ("data::table", "data::Item", true),
        ] {
            assert_eq!(allowed, house.objection(&path(from), &path(to)).is_none(), "{from} to {to}");
        }
    }

    #[test]
    fn functions_are_measured() {
        let text =
            "fn a() {\n    \"}\";\n}\n\nimpl X {\n    pub fn b(f: fn(u8)) -> u8 {\n        { 1 }\n    }\n}\n";
        assert_eq!(vec![("a".to_string(), 1, 3), ("b".to_string(), 6, 3)], functions(text));
    }

    #[test]
    fn words_are_whole_words() {
        for (line, word, holds) in [
            ("a gadget here", "gadget", true),
            ("gadgets", "gadget", false),
            ("(gadget)", "gadget", true),
            ("gadget!(x)", "gadget!(", true),
        ] {
            assert_eq!(holds, holds_word(line, word), "{line}");
        }
    }
}
