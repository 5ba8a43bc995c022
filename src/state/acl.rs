//! Users, and what each of them may do: plain facts. How rules change them stands in `command/acl/rules.rs`, how a
//! request is checked against them in `command/permission.rs`.
//!
//! A user has one or more *selectors*, and may do whatever one of them allows as a whole: the command with all its
//! keys and channels. The first selector is the root; rules outside of parentheses change it.
//!
//! Users stay where they are as long as they exist, so a session holds its user's number. A session never outlives
//! its user: whoever removes one sends its clients away.

use std::collections::BTreeMap;
use std::rc::Rc;

use slab::Slab;

use crate::base::glob;
use crate::base::sha256::{self, Digest};

/// Number of the user that every connection begins with.
pub const DEFAULT: usize = 0;
/// Its name.
pub const DEFAULT_NAME: &[u8] = b"default";

/// Keys that may be named, and what may happen to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// As `KEYS` takes it.
    pub pattern: Box<[u8]>,
    /// They may be read.
    pub read: bool,
    /// They may be written.
    pub write: bool,
}

/// A set of commands, by their numbers in the table: all or none, and what single rules have made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandSet {
    bits: Vec<u64>,
    /// Whether commands are in it that `bits` says nothing of.
    others: bool,
}

impl CommandSet {
    /// The set of all commands.
    pub const ALL: CommandSet = CommandSet { bits: Vec::new(), others: true };
    /// The empty set.
    pub const NONE: CommandSet = CommandSet { bits: Vec::new(), others: false };

    /// Whether a command is in it.
    #[inline]
    pub fn has(&self, command: usize) -> bool {
        self.bits.get(command / 64).map_or(self.others, |word| word >> (command % 64) & 1 != 0)
    }

    /// Puts a command in or takes it out.
    pub fn set(&mut self, command: usize, is_in: bool) {
        if self.bits.len() <= command / 64 {
            self.bits.resize(command / 64 + 1, if self.others { u64::MAX } else { 0 });
        }
        let (word, bit) = (&mut self.bits[command / 64], 1 << (command % 64));
        if is_in {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }

    /// Whether it was all commands before single rules changed it.
    pub fn from_all(&self) -> bool {
        self.others
    }
}

/// Commands, keys and channels that are allowed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Every command is allowed, and none has been taken away since.
    pub all_commands: bool,
    /// The commands that are allowed.
    pub commands: CommandSet,
    /// First arguments with which commands are allowed that are not in the set.
    pub first_args: BTreeMap<usize, Vec<Box<[u8]>>>,
    /// The rules that made the set, in order, each with its sign; none that a later one has made void.
    pub rules: Vec<Box<[u8]>>,
    /// Every key may be named.
    pub all_keys: bool,
    /// The keys that may be named.
    pub keys: Vec<KeyPattern>,
    /// Every channel may be named.
    pub all_channels: bool,
    /// Patterns of the channels that may be named.
    pub channels: Vec<Box<[u8]>>,
    /// The databases that may be used, in order; all if nobody says which.
    pub databases: Option<Vec<usize>>,
}

/// What a request does to a key. Neither: the key must fit a pattern of any kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// It reads what is there.
    pub reads: bool,
    /// It changes what is there.
    pub writes: bool,
}

impl KeyPattern {
    fn permits(&self, access: Access) -> bool {
        (self.read || !access.reads) && (self.write || !access.writes)
    }
}

impl Selector {
    /// One that allows no command and no key, every database, and channels as `acl-pubsub-default` has it.
    pub fn new(all_channels: bool) -> Selector {
        Selector { all_channels, ..Selector::default() }
    }

    /// Whether it forbids nothing at all.
    pub fn allows_everything(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels && self.databases.is_none()
    }

    /// Whether a key may be used in this way.
    pub fn allows_key(&self, key: &[u8], access: Access) -> bool {
        let fits = |it: &KeyPattern| it.permits(access) && glob::matches(&it.pattern, key, false);
        self.all_keys || self.keys.iter().any(fits)
    }

    /// Whether every key may be read.
    pub fn reads_all_keys(&self) -> bool {
        self.all_keys || self.keys.iter().any(|it| it.read && *it.pattern == *b"*")
    }

    /// Whether a database may be used.
    pub fn allows_database(&self, database: usize) -> bool {
        self.databases.as_ref().is_none_or(|allowed| allowed.binary_search(&database).is_ok())
    }

    /// Whether a channel may be named.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels || fits_channel(self.channels.iter(), channel, is_pattern)
    }
}

/// A channel must fit one of the patterns; a pattern of channels must be one of them.
fn fits_channel<'a>(
    mut allowed: impl Iterator<Item = &'a Box<[u8]>>,
    channel: &[u8],
    is_pattern: bool,
) -> bool {
    allowed.any(
        |pattern| if is_pattern { **pattern == *channel } else { glob::matches(pattern, channel, false) },
    )
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Neither blanks nor zero bytes are in it.
    pub name: Rc<[u8]>,
    /// Clients can log in.
    pub on: bool,
    /// Any password will do.
    pub nopass: bool,
    /// What it restores need not be looked at closely. Kept and shown; here everything is looked at.
    pub skip_sanitize: bool,
    /// Digests of its passwords.
    pub passwords: Vec<Digest>,
    /// What it may do; never empty.
    pub selectors: Vec<Selector>,
}

impl User {
    /// One that can neither log in nor do anything, but for channels as `acl-pubsub-default` has it.
    pub fn new(name: &[u8], all_channels: bool) -> User {
        User {
            name: name.into(),
            on: false,
            nopass: false,
            skip_sanitize: false,
            passwords: Vec::new(),
            selectors: vec![Selector::new(all_channels)],
        }
    }

    /// The user of a server on which nobody has set anything: it may do everything, and needs no password.
    pub fn stock() -> User {
        let mut user = User::new(DEFAULT_NAME, true);
        (user.on, user.nopass) = (true, true);
        let root = user.root_mut();
        (root.all_commands, root.all_keys) = (true, true);
        root.commands = CommandSet::ALL;
        user
    }

    /// This is its password from now on, and its only one; none at all if it is empty.
    pub fn set_plain_password(&mut self, password: &[u8]) {
        self.nopass = password.is_empty();
        self.passwords = if password.is_empty() { Vec::new() } else { vec![sha256::sha256(password)] };
    }

    /// The selector that rules outside of parentheses change.
    pub fn root(&self) -> &Selector {
        &self.selectors[0]
    }

    /// The selector that rules outside of parentheses change.
    pub fn root_mut(&mut self) -> &mut Selector {
        &mut self.selectors[0]
    }

    /// Whether nothing is forbidden to it.
    pub fn may_everything(&self) -> bool {
        self.selectors.iter().any(Selector::allows_everything)
    }

    /// Whether a password lets somebody in as this user.
    pub fn admits(&self, password: &[u8]) -> bool {
        let given = sha256::sha256(password);
        // All are looked at, so that the time does not tell which one it was.
        let fitting = self.passwords.iter().filter(|digest| sha256::equal(digest, &given)).count();
        self.on && (self.nopass || 0 < fitting)
    }

    /// Whether somebody who was subscribed under the rights of `before` may have lost the right.
    pub fn takes_channels_from(&self, before: &User) -> bool {
        if self.selectors.iter().any(|it| it.all_channels) {
            return false;
        }
        let is_left = |channel| self.selectors.iter().any(|it| it.channels.contains(channel));
        before.selectors.iter().any(|it| it.all_channels || !it.channels.iter().all(is_left))
    }

    /// Whether some selector lets it listen to a channel.
    pub fn may_listen(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(|it| it.allows_channel(channel, is_pattern))
    }
}

/// All users.
#[derive(Debug)]
pub struct Users {
    all: Slab<User>,
    numbers: BTreeMap<Rc<[u8]>, usize>,
}

impl Default for Users {
    fn default() -> Users {
        let mut users = Users { all: Slab::new(), numbers: BTreeMap::new() };
        users.put(User::stock());
        users
    }
}

impl Users {
    /// The user of a number that a session holds.
    #[inline]
    pub fn get(&self, number: usize) -> &User {
        &self.all[number]
    }

    /// The user of a number, for changing.
    pub fn get_mut(&mut self, number: usize) -> &mut User {
        &mut self.all[number]
    }

    /// Number of the user of this name.
    pub fn number(&self, name: &[u8]) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// The user of this name.
    pub fn find(&self, name: &[u8]) -> Option<&User> {
        self.number(name).map(|number| self.get(number))
    }

    /// The user that every connection begins with.
    pub fn default_user(&self) -> &User {
        self.get(DEFAULT)
    }

    /// Whether whoever connects may run commands.
    pub fn open(&self) -> bool {
        let user = self.default_user();
        user.on && user.nopass
    }

    /// All users in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &User> {
        self.numbers.values().map(|number| self.get(*number))
    }

    /// Puts a user in, in the place of the one of its name if there is one. Returns its number.
    pub fn put(&mut self, user: User) -> usize {
        if let Some(number) = self.number(&user.name) {
            self.all[number] = user;
            return number;
        }
        let name = Rc::clone(&user.name);
        let number = self.all.insert(user);
        self.numbers.insert(name, number);
        number
    }

    /// Takes a user out, but never the default one.
    pub fn remove(&mut self, name: &[u8]) -> Option<usize> {
        let number = self.number(name).filter(|number| *number != DEFAULT)?;
        self.numbers.remove(name);
        self.all.remove(number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_keep_their_numbers_and_the_default_one_stays() {
        let mut users = Users::default();
        assert_eq!(users.number(DEFAULT_NAME), Some(DEFAULT));
        assert!(users.open() && users.default_user().may_everything());
        let ann = users.put(User::new(b"ann", false));
        let bob = users.put(User::new(b"bob", true));
        assert!(ann != bob);
        assert_eq!(users.put(User { on: true, ..User::new(b"ann", false) }), ann);
        assert!(users.get(ann).on);
        assert_eq!(users.remove(DEFAULT_NAME), None);
        assert_eq!(users.remove(b"ann"), Some(ann));
        assert_eq!(users.remove(b"ann"), None);
        let names: Vec<&[u8]> = users.iter().map(|user| &*user.name).collect();
        assert_eq!(names, [&b"bob"[..], b"default"]);
    }

    #[test]
    fn sets_of_commands_begin_with_all_or_none() {
        for (mut set, all) in [(CommandSet::ALL, true), (CommandSet::NONE, false)] {
            assert_eq!((set.has(0), set.has(999), set.from_all()), (all, all, all));
            set.set(70, !all);
            assert_eq!(
                (set.has(69), set.has(70), set.has(71), set.has(1), set.has(500)),
                (all, !all, all, all, all)
            );
            set.set(70, all);
            assert_eq!((set.has(70), set.from_all()), (all, all));
        }
    }

    #[test]
    fn any_of_several_passwords_lets_in_but_nobody_who_is_off() {
        let mut user = User::new(b"ann", false);
        user.passwords = vec![sha256::sha256(b"one"), sha256::sha256(b"two")];
        assert!(!user.admits(b"one"));
        user.on = true;
        assert!(user.admits(b"one") && user.admits(b"two") && !user.admits(b"three") && !user.admits(b""));
        user.nopass = true;
        assert!(user.admits(b"three"));
        user.on = false;
        assert!(!user.admits(b"three"));
    }

    #[test]
    fn keys_need_a_pattern_for_all_that_happens_to_them() {
        let pattern = |text: &[u8], read, write| KeyPattern { pattern: text.into(), read, write };
        let selector = Selector {
            keys: vec![pattern(b"a*", true, false), pattern(b"*b", false, true), pattern(b"c", true, true)],
            ..Selector::default()
        };
        for (key, neither, reads, writes, both) in [
            ("a", true, true, false, false),
            ("b", true, false, true, false),
            // Two patterns do not add up.
            ("ab", true, true, true, false),
            ("c", true, true, true, true),
            ("d", false, false, false, false),
        ] {
            let allows = |reads, writes| selector.allows_key(key.as_bytes(), Access { reads, writes });
            let found = (allows(false, false), allows(true, false), allows(false, true), allows(true, true));
            assert_eq!(found, (neither, reads, writes, both), "{key}");
        }
    }
}
