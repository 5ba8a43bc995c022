//! A directive of any of the three tables: looked up, shown, given a value.

use super::kind::Kind;
use super::known::{KNOWN, Known};
use super::live::{Flag, LIVE, Live, Row, Settings};
use super::refused::{REFUSED, Refused};

/// A row of one of the tables.
#[derive(Clone, Copy)]
pub enum Directive {
    /// It does what it says.
    Live(&'static Live),
    /// It has no meaning here.
    Known(&'static Known),
    /// Only harmless values are accepted.
    Refused(&'static Refused),
}

/// The longest name for which a near one is looked for; ours are all shorter.
const NAME_LEN_MAX: usize = 64;

impl Directive {
    /// All rows, the live ones first.
    pub fn all() -> impl Iterator<Item = Directive> {
        let live = LIVE.iter().map(Directive::Live);
        live.chain(KNOWN.iter().map(Directive::Known)).chain(REFUSED.iter().map(Directive::Refused))
    }

    /// The row of a name or an alias, in any case.
    pub fn find(name: &str) -> Option<Directive> {
        Directive::all()
            .find(|directive| directive.row().names().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// The known name that a user most likely meant.
    pub fn nearest(name: &str) -> Option<&'static str> {
        if NAME_LEN_MAX < name.len() {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let names = Directive::all().flat_map(|directive| directive.row().names());
        let (distance, known) =
            names.map(|known| (edits(&name, known), known)).min_by_key(|(far, _)| *far)?;
        (distance <= 1 + name.len() / 8).then_some(known)
    }

    /// What all tables have in common.
    pub fn row(self) -> &'static Row {
        match self {
            Directive::Live(live) => &live.row,
            Directive::Known(known) => &known.row,
            Directive::Refused(refused) => &refused.row,
        }
    }

    /// Whether the row has a flag.
    pub fn has(self, flag: Flag) -> bool {
        self.row().flags.contains(&flag)
    }

    /// The canonical text of the value.
    pub fn show(self, settings: &Settings) -> String {
        match self {
            Directive::Live(live) => (live.show)(settings),
            _ => match settings.others.get(self.row().name) {
                Some(text) => text.clone(),
                None => self.row().default.to_owned(),
            },
        }
    }

    /// Gives it a value, or says why not and leaves it as it was.
    ///
    /// Save points are added to those in force unless `afresh`.
    pub fn put(self, settings: &mut Settings, words: &[&str], afresh: bool) -> Result<(), String> {
        let row = self.row();
        let current = if row.kind == Kind::Save && afresh { String::new() } else { self.show(settings) };
        let text = row.kind.canonical(words, &current)?;
        match self {
            Directive::Live(live) => {
                let stored = (live.put)(settings, &text);
                debug_assert!(stored, "the kind and the field of {} agree", row.name);
                return if stored { Ok(()) } else { Err(String::from("argument couldn't be parsed")) };
            }
            Directive::Known(_) => {}
            Directive::Refused(refused) => {
                if text != row.default && !refused.harmless.contains(&text.as_str()) {
                    let name = row.name;
                    let reason = refused.reason;
                    let text = if self.has(Flag::Secret) { "..." } else { &text };
                    return Err(format!("'{name} {text}' is not supported by kvick: {reason}"));
                }
            }
        }
        if text == row.default {
            settings.others.remove(row.name);
        } else {
            settings.others.insert(row.name, text);
        }
        Ok(())
    }
}

impl Row {
    /// The main name, then the others.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// How many single-letter edits make one name of another.
fn edits(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != *y);
            row.push(replaced.min(above[j + 1] + 1).min(row[j] + 1));
        }
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_lower_case_and_stand_in_one_table_only() {
        let mut seen = HashSet::new();
        for name in Directive::all().flat_map(|directive| directive.row().names()) {
            assert_eq!(name, name.to_ascii_lowercase());
            assert!(name.len() <= NAME_LEN_MAX, "{name}");
            assert!(seen.insert(name), "{name} stands twice");
        }
    }

    #[test]
    fn defaults_are_canonical_and_survive_being_set() {
        let defaults = Settings::default();
        for directive in Directive::all().filter(|directive| !directive.has(Flag::FileOnly)) {
            let row = directive.row();
            assert_eq!(directive.show(&defaults), row.default, "{}", row.name);
            let mut settings = Settings::default();
            let result = directive.put(&mut settings, &row.kind.words(row.default), true);
            assert_eq!(result, Ok(()), "{}", row.name);
            assert!(settings == defaults, "{}", row.name);
        }
    }

    #[test]
    fn bounds_fit_the_fields() {
        let mut settings = Settings::default();
        for directive in Directive::all() {
            let row = directive.row();
            let (least, most) = match row.kind {
                Kind::Int { min, max } => (min.to_string(), max.to_string()),
                Kind::Memory { min, max } => (min.to_string(), max.to_string()),
                _ => continue,
            };
            if matches!(directive, Directive::Refused(_)) {
                continue;
            }
            for bound in [&least, &most] {
                assert_eq!(directive.put(&mut settings, &[bound], true), Ok(()), "{} {bound}", row.name);
                assert_eq!(directive.show(&settings), *bound, "{}", row.name);
            }
        }
    }

    #[test]
    fn choices_fit_the_fields() {
        let mut settings = Settings::default();
        for directive in Directive::all() {
            let Kind::Choice(names) = directive.row().kind else { continue };
            for name in names.iter().filter(|_| !matches!(directive, Directive::Refused(_))) {
                let upper = name.to_ascii_uppercase();
                assert_eq!(directive.put(&mut settings, &[&upper], true), Ok(()));
                assert_eq!(directive.show(&settings), *name);
            }
        }
    }

    #[test]
    fn aliases_and_any_case_find_the_row() {
        for (asked, name) in [
            ("MaxMemory", "maxmemory"),
            ("slaveof", "replicaof"),
            ("LUA-time-limit", "busy-reply-threshold"),
            ("bio_cpulist", "bio-cpulist"),
        ] {
            assert_eq!(Directive::find(asked).map(|directive| directive.row().name), Some(name));
        }
        assert!(Directive::find("no-such-thing").is_none());
    }

    #[test]
    fn nearest_name() {
        for (typed, meant) in [
            ("maxmemori", Some("maxmemory")),
            ("MAX-clients", Some("maxclients")),
            ("apendonly", Some("appendonly")),
            ("appendfsnc", Some("appendfsync")),
            ("completely-else", None),
            ("x", None),
        ] {
            assert_eq!(Directive::nearest(typed), meant, "{typed}");
        }
    }

    #[test]
    fn refusals_say_why_and_leave_no_trace() {
        let refused = |name: &str, words: &[&str]| {
            let mut settings = Settings::default();
            let directive = Directive::find(name).expect("known");
            let reason = directive.put(&mut settings, words, true).expect_err("refused");
            assert!(settings == Settings::default(), "{name}");
            reason
        };
        assert_eq!(
            refused("cluster-enabled", &["yes"]),
            "'cluster-enabled yes' is not supported by kvick: it is a single server, and clients of a \
             cluster would not find the others"
        );
        assert!(refused("slaveof", &["10.0.0.1", "6379"]).starts_with("'replicaof 10.0.0.1 6379' is not"));
        assert!(refused("tls-key-file-pass", &["hush"]).starts_with("'tls-key-file-pass ...' is not"));
        assert!(refused("loadmodule", &["/lib/x.so", "a"]).starts_with("'loadmodule /lib/x.so a' is not"));
        assert!(refused("enable-module-command", &["local"]).contains("no modules"));
        let mut settings = Settings::default();
        for (name, words) in
            [("replicaof", &["no", "one"][..]), ("rdma-port", &["0"]), ("locale-collate", &["C"])]
        {
            let directive = Directive::find(name).expect("known");
            assert_eq!(directive.put(&mut settings, words, true), Ok(()));
        }
    }
}
