//! Rules: the words of `ACL SETUSER`, of `user` lines and of the file of users, and what each makes of a user.

use crate::base::quote::split_words;
use crate::base::sha256::{self, Digest};
use crate::command::introspect::{CATEGORIES, categories};
use crate::command::registry::{Commands, commands};
use crate::state::acl::{CommandSet, KeyPattern, Selector, User};

/// Why a rule is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleError {
    /// Nobody knows such a rule, or it holds what it may not.
    Syntax,
    /// There is no such command or category.
    Unknown,
    /// A pattern of keys beside all keys.
    AllKeys,
    /// A pattern of channels beside all channels.
    AllChannels,
    /// A password that is to be taken away, and is not there.
    NoSuchPassword,
    /// What should be a digest is none.
    NoDigest,
    /// There cannot be a database of this number.
    Database,
    /// A first argument behind a subcommand.
    FirstArg,
}

impl RuleError {
    /// Redis's words.
    pub fn text(self) -> &'static str {
        match self {
            RuleError::Syntax => "Syntax error",
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::AllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::AllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleError::NoDigest => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::Database => "The provided database ID is out of range",
            RuleError::FirstArg => "Allowing first-arg of a subcommand is not supported",
        }
    }
}

/// What a name, a pattern of keys or one of channels may not hold: rules are written one after the other with blanks
/// between them.
pub fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}

/// Puts selectors together that came as several words: from one that begins with `(` to one that ends with `)`.
///
/// # Errors
///
/// The word that opens a selector which is not closed.
pub fn merge<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, &'a [u8]> {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<&[u8]> = None;
    for word in words {
        if open.is_some()
            && let Some(selector) = merged.last_mut()
        {
            selector.push(b' ');
            selector.extend_from_slice(word);
        } else {
            merged.push(word.to_vec());
            open = word.starts_with(b"(").then_some(word);
        }
        if word.ends_with(b")") {
            open = None;
        }
    }
    open.map_or(Ok(merged), Err)
}

/// Applies a rule. After an error the user is as it was.
///
/// # Errors
///
/// Why the rule is none.
pub fn apply(user: &mut User, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
    let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
    match rule {
        // Nothing is a rule, too, and changes nothing.
        b"" => {}
        _ if is("on") => user.on = true,
        _ if is("off") => user.on = false,
        _ if is("skip-sanitize-payload") => user.skip_sanitize = true,
        _ if is("sanitize-payload") => user.skip_sanitize = false,
        _ if is("nopass") || is("resetpass") => {
            user.nopass = is("nopass");
            user.passwords.clear();
        }
        [b'>' | b'#', ..] => {
            let digest = digest(rule)?;
            if !user.passwords.contains(&digest) {
                user.passwords.push(digest);
            }
            user.nopass = false;
        }
        [b'<' | b'!', ..] => {
            let digest = digest(rule)?;
            let at = user.passwords.iter().position(|known| *known == digest);
            user.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        }
        [b'(', words @ .., b')'] => {
            let mut selector = Selector::new(all_channels);
            for word in split_words(words).ok_or(RuleError::Syntax)? {
                apply_to_selector(&mut selector, &word)?;
            }
            user.selectors.push(selector);
        }
        _ if is("clearselectors") => user.selectors.truncate(1),
        _ if is("reset") => *user = User::new(&user.name, all_channels),
        _ => apply_to_selector(user.root_mut(), rule)?,
    }
    Ok(())
}

/// The digest of a rule that gives or takes a password: as such behind `#` and `!`, of a password behind `>` and `<`.
fn digest(rule: &[u8]) -> Result<Digest, RuleError> {
    match rule {
        [b'#' | b'!', digits @ ..] => sha256::from_hex(digits).ok_or(RuleError::NoDigest),
        _ => Ok(sha256::sha256(&rule[1..])),
    }
}

fn apply_to_selector(selector: &mut Selector, rule: &[u8]) -> Result<(), RuleError> {
    let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
    match rule {
        _ if is("allkeys") || is("~*") || is("resetkeys") => {
            selector.all_keys = !is("resetkeys");
            selector.keys.clear();
        }
        _ if is("allchannels") || is("&*") || is("resetchannels") => {
            selector.all_channels = !is("resetchannels");
            selector.channels.clear();
        }
        _ if is("alldbs") => selector.databases = None,
        _ if is("resetdbs") => selector.databases = Some(Vec::new()),
        [b'd' | b'D', b'b' | b'B', b'=', ids @ ..] => selector.databases = Some(databases(ids)?),
        _ if is("allcommands") || is("+@all") => reset_commands(selector, true),
        _ if is("nocommands") || is("-@all") => reset_commands(selector, false),
        [b'~' | b'%', ..] => return add_keys(selector, rule),
        [b'&', pattern @ ..] => return add_channels(selector, pattern),
        [sign @ (b'+' | b'-'), b'@', name @ ..] => return change_category(selector, name, *sign == b'+'),
        [b'+', name @ ..] => return allow(selector, name),
        [b'-', name @ ..] => {
            let number = commands().by_full_name(name).ok_or(RuleError::Unknown)?;
            change(selector, number, false);
            note(selector, commands().row(number).full_name.as_bytes(), false);
        }
        _ => return Err(RuleError::Syntax),
    }
    Ok(())
}

fn reset_commands(selector: &mut Selector, all: bool) {
    selector.all_commands = all;
    selector.commands = if all { CommandSet::ALL } else { CommandSet::NONE };
    selector.first_args.clear();
    selector.rules.clear();
}

/// `~pattern`, or `%` with `R`, `W` or both before the `~`.
fn add_keys(selector: &mut Selector, rule: &[u8]) -> Result<(), RuleError> {
    if selector.all_keys {
        return Err(RuleError::AllKeys);
    }
    let end = rule.iter().position(|byte| *byte == b'~');
    let letters = rule[..end.unwrap_or(rule.len())].to_ascii_uppercase();
    let (read, write) = match &letters[..] {
        b"" | b"%RW" | b"%WR" => (true, true),
        b"%R" => (true, false),
        b"%W" => (false, true),
        _ => return Err(RuleError::Syntax),
    };
    // Without a `~` there is no pattern, which is the one that only the empty key fits.
    let pattern = end.map_or(&[][..], |end| &rule[end + 1..]);
    if has_blanks(pattern) {
        return Err(RuleError::Syntax);
    }
    match selector.keys.iter_mut().find(|known| *known.pattern == *pattern) {
        Some(known) => (known.read, known.write) = (known.read || read, known.write || write),
        None => selector.keys.push(KeyPattern { pattern: pattern.into(), read, write }),
    }
    Ok(())
}

/// Numbers of databases with commas between them. There may be fewer databases than that.
fn databases(ids: &[u8]) -> Result<Vec<usize>, RuleError> {
    let mut found = Vec::new();
    for id in ids.split(|byte| *byte == b',') {
        let digits = id.strip_prefix(b"-").unwrap_or(id);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(RuleError::Syntax);
        }
        let number = std::str::from_utf8(id).ok().and_then(|id| id.parse::<i32>().ok());
        found.push(number.and_then(|id| usize::try_from(id).ok()).ok_or(RuleError::Database)?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn add_channels(selector: &mut Selector, pattern: &[u8]) -> Result<(), RuleError> {
    if selector.all_channels {
        return Err(RuleError::AllChannels);
    }
    if has_blanks(pattern) {
        return Err(RuleError::Syntax);
    }
    if !selector.channels.iter().any(|known| **known == *pattern) {
        selector.channels.push(pattern.into());
    }
    Ok(())
}

fn change_category(selector: &mut Selector, name: &[u8], allowed: bool) -> Result<(), RuleError> {
    let known = CATEGORIES.iter().find(|category| category.as_bytes().eq_ignore_ascii_case(name));
    let category = known.ok_or(RuleError::Unknown)?;
    for (number, row) in commands().rows().iter().enumerate() {
        if categories(row).contains(category) {
            change(selector, number, allowed);
        }
    }
    note(selector, format!("@{category}").as_bytes(), allowed);
    Ok(())
}

/// `+command`, `+command|subcommand`, and `+command|argument` for a command that has no subcommands.
fn allow(selector: &mut Selector, name: &[u8]) -> Result<(), RuleError> {
    let table: &Commands = commands();
    // In small letters, as the rule is kept.
    let name = &name.to_ascii_lowercase()[..];
    let Some(bar) = memchr::memrchr(b'|', name) else {
        let number = table.by_full_name(name).ok_or(RuleError::Unknown)?;
        change(selector, number, true);
        note(selector, table.row(number).full_name.as_bytes(), true);
        return Ok(());
    };
    let (command, argument) = (&name[..bar], &name[bar + 1..]);
    let number = table.by_full_name(command).ok_or(RuleError::Unknown)?;
    let row = table.row(number);
    if row.container.is_some() {
        return Err(RuleError::FirstArg);
    }
    // Rules are read again, from between blanks, quotes and parentheses.
    let is_plain = !has_blanks(argument) && !argument.iter().any(|byte| b"\"'()".contains(byte));
    if argument.is_empty() || !is_plain {
        return Err(RuleError::Syntax);
    }
    if row.command.subcommands.is_empty() {
        let known = selector.first_args.entry(number).or_default();
        if !known.iter().any(|other| **other == *argument) {
            known.push(argument.into());
        }
    } else {
        change(selector, table.by_full_name(name).ok_or(RuleError::Unknown)?, true);
    }
    note(selector, name, true);
    Ok(())
}

/// Puts a command in or takes it out, with all its subcommands.
fn change(selector: &mut Selector, number: usize, allowed: bool) {
    let subcommands = commands().subcommands(number).map(|(number, _)| number);
    for number in subcommands.chain([number]) {
        selector.commands.set(number, allowed);
    }
    selector.first_args.remove(&number);
    selector.all_commands &= allowed;
}

/// Keeps a rule, so that all of them, in order, make the same set again. One of the same name, or of a subcommand of it,
/// is void from now on.
fn note(selector: &mut Selector, name: &[u8], allowed: bool) {
    let is_void = |rule: &[u8]| {
        let rest = rule[1..].strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"|"))
    };
    selector.rules.retain(|rule| !is_void(rule));
    let sign: &[u8] = if allowed { b"+" } else { b"-" };
    selector.rules.push([sign, name].concat().into());
}
