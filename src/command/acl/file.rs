//! Users from text: the lines of the file of users and of the configuration. Opens no file.
//!
//! In the file of users a line is `user`, a name and rules with one blank between them, without quotes or comments; it
//! is written as a whole, and whatever else stood in it would be lost. All of it is right, or none of it counts.

use crate::command::acl::describe;
use crate::command::acl::rules::{RuleError, apply, has_blanks, merge};
use crate::command::spec::repeated;
use crate::config::{Problem, PubsubDefault, Settings, UserLine};
use crate::state::State;
use crate::state::acl::{DEFAULT_NAME, User};

/// All users as the text of a file.
pub fn write(state: &State) -> Vec<u8> {
    state.users.iter().flat_map(|user| [describe::line(user), b"\n".to_vec()].concat()).collect()
}

/// The lines that `CONFIG REWRITE` writes: none if the users have a file of their own, and none for a default user of
/// whom the rest of the file says enough.
pub fn config_lines(state: &State) -> Vec<String> {
    if !state.settings.aclfile.is_empty() {
        return Vec::new();
    }
    let mut plain = User::stock();
    plain.set_plain_password(state.settings.requirepass.as_bytes());
    state.users.iter().filter(|user| **user != plain).map(describe::config_line).collect()
}

/// Reads the text of a file; `path` is for what is said of it.
///
/// # Errors
///
/// All that is wrong with it, in one line.
pub fn read(text: &[u8], path: &str, all_channels: bool) -> Result<Vec<User>, String> {
    let mut users: Vec<User> = Vec::new();
    let mut errors = String::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        match read_line(line, &users, &format!("{path}:{}", index + 1), all_channels) {
            Ok(user) => users.push(user),
            Err(why) => errors.push_str(&why),
        }
    }
    if errors.is_empty() {
        return Ok(users);
    }
    errors
        .push_str("WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
    Err(errors)
}

fn read_line(line: &[u8], users: &[User], at: &str, all_channels: bool) -> Result<User, String> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [b"user", name, rules @ ..] = &words[..] else {
        return Err(format!("{at} should start with user keyword followed by the username. "));
    };
    let shown = repeated(name, usize::MAX);
    if has_blanks(name) {
        return Err(format!("'{at}: username '{shown}' contains invalid characters. "));
    }
    if users.iter().any(|user| *user.name == **name) {
        let number = at.rsplit(':').next().unwrap_or_default();
        return Err(format!("WARNING: Duplicate user '{shown}' found on line {number}. "));
    }
    let rules = merge(rules.iter().copied())
        .map_err(|_| format!("{at}: Unmatched parenthesis in selector definition."))?;
    let mut user = User::new(name, all_channels);
    let mut errors = String::new();
    let mut is_told = false;
    for rule in rules {
        match apply(&mut user, rule.trim_ascii(), all_channels) {
            Ok(()) => {}
            // The name of a command is no secret.
            Err(error @ RuleError::Unknown) => {
                let rule = repeated(&rule, usize::MAX);
                errors += &format!("{at}: Error in applying operation '{rule}': {}. ", error.text());
            }
            // The first of the others may have led to those behind it.
            Err(_) if is_told => {}
            Err(error) => {
                errors += &format!("{at}: {}. ", error.text());
                is_told = true;
            }
        }
    }
    if errors.is_empty() { Ok(user) } else { Err(errors) }
}

/// The users that the configuration describes.
///
/// # Errors
///
/// What is wrong, for whoever starts the server.
pub fn configured(settings: &Settings) -> Result<Vec<User>, String> {
    if !settings.aclfile.is_empty() && !settings.user.is_empty() {
        return Err("Configuring kvick with users defined in its configuration file and at the same setting an ACL \
                    file path is invalid. This setup is very likely to lead to configuration errors and security \
                    holes, please define either an ACL file or declare users directly in the configuration file, but \
                    not both."
            .to_owned());
    }
    let mut users: Vec<User> = Vec::new();
    for UserLine { words, at } in &settings.user {
        let problem = |reason: String| Problem { reason, ..at.clone() }.to_string();
        let Some((name, rules)) = words.split_first() else {
            return Err(problem(String::from("wrong number of arguments")));
        };
        if has_blanks(name) {
            return Err(problem(String::from("Spaces not allowed in ACL usernames")));
        }
        if users.iter().any(|user| *user.name == **name) {
            let name = repeated(name, usize::MAX);
            return Err(problem(format!(
                "Error in user declaration '{name}': Duplicate user found. A user can only be defined once in config \
                 files"
            )));
        }
        let declared = declared(name, rules, settings.acl_pubsub_default == PubsubDefault::Allchannels);
        users.push(declared.map_err(problem)?);
    }
    Ok(users)
}

fn declared(name: &[u8], rules: &[Vec<u8>], all_channels: bool) -> Result<User, String> {
    let said = |rule: &[u8], text: &str| {
        format!("Error in user declaration '{}': {text}", repeated(rule, usize::MAX))
    };
    let rules = merge(rules.iter().map(Vec::as_slice))
        .map_err(|open| said(open, "Unmatched parenthesis in acl selector"))?;
    let mut user = User::new(name, all_channels);
    for rule in rules {
        apply(&mut user, &rule, all_channels).map_err(|error| said(&rule, error.text()))?;
    }
    Ok(user)
}

/// Makes the users that the configuration describes those of the server, and says whom nobody can log in as.
///
/// # Errors
///
/// As [`configured`].
pub fn take_configured(state: &mut State) -> Result<Vec<String>, String> {
    let users = configured(&state.settings)?;
    let warning = |user: &User| {
        let name = repeated(&user.name, usize::MAX);
        format!(
            "The user '{name}' is disabled (there is no 'on' modifier in the user description). Make sure this is not \
             a configuration error."
        )
    };
    let warnings = users.iter().filter(|user| !user.on).map(warning).collect();
    users.into_iter().for_each(|user| state.put_user(user));
    Ok(warnings)
}

/// Makes the users of a file those of the server; a stock default user if it has none.
///
/// # Errors
///
/// As [`read`]; nothing has changed then.
pub fn take(state: &mut State, text: &[u8]) -> Result<(), String> {
    let all_channels = state.settings.acl_pubsub_default == PubsubDefault::Allchannels;
    let users = read(text, &state.settings.aclfile, all_channels)?;
    debug_assert!(users.iter().filter(|user| *user.name == *DEFAULT_NAME).count() <= 1);
    state.replace_users(users);
    Ok(())
}
