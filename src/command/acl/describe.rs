//! Users in words: as the rules that make them.

use crate::base::quote::quoted;
use crate::base::sha256::to_hex;
use crate::state::acl::{KeyPattern, Selector, User};

/// The rules for commands.
pub fn commands(selector: &Selector) -> Vec<u8> {
    joined(command_rules(selector))
}

fn command_rules(selector: &Selector) -> impl Iterator<Item = Vec<u8>> {
    let first: &[u8] = if selector.commands.from_all() { b"+@all" } else { b"-@all" };
    std::iter::once(first.to_vec()).chain(selector.rules.iter().map(|rule| rule.to_vec()))
}

/// The rules for keys.
pub fn keys(selector: &Selector) -> Vec<u8> {
    if selector.all_keys { b"~*".to_vec() } else { joined(selector.keys.iter().map(key_rule)) }
}

/// The rule for databases, unless all of them may be used.
pub fn databases(selector: &Selector) -> Option<Vec<u8>> {
    let allowed = selector.databases.as_ref()?;
    let ids: Vec<String> = allowed.iter().map(usize::to_string).collect();
    Some(if ids.is_empty() { b"resetdbs".to_vec() } else { format!("db={}", ids.join(",")).into_bytes() })
}

/// The rules for channels, but for the one that begins with none.
pub fn channels(selector: &Selector) -> Vec<u8> {
    if selector.all_channels { b"&*".to_vec() } else { joined(channel_rules(selector)) }
}

fn key_rule(key: &KeyPattern) -> Vec<u8> {
    let sign: &[u8] = match (key.read, key.write) {
        (true, true) => b"~",
        (true, false) => b"%R~",
        _ => b"%W~",
    };
    [sign, &key.pattern].concat()
}

fn channel_rules(selector: &Selector) -> impl Iterator<Item = Vec<u8>> {
    selector.channels.iter().map(|pattern| [b"&", &pattern[..]].concat())
}

fn joined(rules: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    rules.collect::<Vec<_>>().join(&b' ')
}

/// Words that are on for a user, in their order.
pub fn flags(user: &User) -> Vec<&'static str> {
    let mut flags = vec![if user.on { "on" } else { "off" }];
    if user.nopass {
        flags.push("nopass");
    }
    flags.push(if user.skip_sanitize { "skip-sanitize-payload" } else { "sanitize-payload" });
    flags
}

fn selector_rules(selector: &Selector) -> Vec<Vec<u8>> {
    let mut rules = Vec::new();
    match selector.all_keys {
        true => rules.push(b"~*".to_vec()),
        false => rules.extend(selector.keys.iter().map(key_rule)),
    }
    match selector.all_channels {
        true => rules.push(b"&*".to_vec()),
        false => {
            rules.push(b"resetchannels".to_vec());
            rules.extend(channel_rules(selector));
        }
    }
    rules.extend(databases(selector));
    // One by one: a word that has to be quoted must not take the others with it.
    rules.extend(command_rules(selector));
    rules
}

fn words(user: &User) -> impl Iterator<Item = Vec<u8>> {
    let mut words = vec![b"user".to_vec(), user.name.to_vec()];
    words.extend(flags(user).into_iter().map(|flag| flag.as_bytes().to_vec()));
    words.extend(user.passwords.iter().map(|digest| format!("#{}", to_hex(digest)).into_bytes()));
    words.extend(selector_rules(user.root()));
    for selector in &user.selectors[1..] {
        let rules = joined(selector_rules(selector).into_iter().map(within_parentheses));
        words.push([b"(", &rules[..], b")"].concat());
    }
    words.into_iter()
}

/// The user as a line of the file of users: `user`, the name and all rules. Read back it makes the same user.
pub fn line(user: &User) -> Vec<u8> {
    joined(words(user))
}

/// The user as a line of the configuration file, where quotes mean something.
pub fn config_line(user: &User) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'') || *byte == b' ';
    let word = |word: Vec<u8>| match word.iter().all(plain) {
        true => String::from_utf8_lossy(&word).into_owned(),
        false => quoted(&word),
    };
    words(user).map(word).collect::<Vec<_>>().join(" ")
}

/// Within parentheses words may be quoted, and what looks like a quote or ends like the selector must be.
fn within_parentheses(rule: Vec<u8>) -> Vec<u8> {
    let is_plain = !rule.ends_with(b")") && !rule.iter().any(|byte| matches!(byte, b'"' | b'\''));
    if is_plain { rule } else { quoted(&rule).into() }
}
