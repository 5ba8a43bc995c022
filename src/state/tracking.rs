//! Client-side caching: who is to be told of changes of which keys, so that it can drop what it keeps of them.
//!
//! A client that tracks is remembered for each key that it has read, and told once when the key changes; then it is
//! forgotten for that key until it reads it again. A client in the mode `BCAST` is remembered for nothing: it named
//! prefixes, and is told of every key that begins with one, all keys of a turn in one message.
//!
//! Keys are remembered by name alone, whatever the database, as in Redis. A client that is gone stays in the table
//! until the key changes or makes room: it is known by its number, which is never used twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// A client: its token, and its number, as tokens are used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Who {
    /// Its key in `State::sessions`.
    pub token: usize,
    /// Its number.
    pub id: u64,
}

/// How a client tracks.
#[derive(Debug, Default)]
pub struct Tracker {
    /// `REDIRECT`: who gets the messages instead.
    pub redirect: Option<Who>,
    /// That client is gone.
    pub broken: bool,
    /// `BCAST`.
    pub broadcast: bool,
    /// `OPTIN`: only keys read by the request after `CLIENT CACHING YES` are tracked.
    pub opt_in: bool,
    /// `OPTOUT`: all but those read by the request after `CLIENT CACHING NO` are.
    pub opt_out: bool,
    /// `NOLOOP`: it does not want to hear of its own changes.
    pub no_loop: bool,
    /// `CLIENT CACHING` has been given for the next request or transaction.
    pub caching: bool,
    /// `PREFIX`.
    pub prefixes: BTreeSet<Box<[u8]>>,
}

impl Tracker {
    /// Whether keys that are read now are to be remembered.
    pub fn remembers(&self) -> bool {
        let said_otherwise = self.opt_in && !self.caching || self.opt_out && self.caching;
        !self.broadcast && !said_otherwise
    }
}

/// A key and who has read it.
#[derive(Debug)]
struct Tracked {
    key: Rc<[u8]>,
    readers: Vec<Who>,
}

/// A prefix and what becomes of it.
#[derive(Debug, Default)]
pub struct Prefix {
    /// Who named it.
    pub listeners: Vec<Who>,
    /// Keys that have changed in this turn, with the number of the client that changed them first, if one did.
    pub changed: BTreeMap<Box<[u8]>, Option<u64>>,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub struct Tracking {
    /// How many clients track.
    pub clients: usize,
    /// By prefix.
    pub prefixes: BTreeMap<Box<[u8]>, Prefix>,
    /// Some prefix has changed keys.
    pub changed: bool,
    /// In no order, so that one can be drawn.
    tracked: Vec<Tracked>,
    /// Where each key stands in `tracked`.
    places: HashMap<Rc<[u8]>, usize>,
    items: usize,
    /// How many times in a row the limit was not reached by dropping keys.
    over: usize,
}

impl Tracking {
    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.tracked.len()
    }

    /// How many readers of keys are remembered.
    pub fn items(&self) -> usize {
        self.items
    }

    /// A client has read a key.
    pub fn remember(&mut self, key: &[u8], who: Who) {
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => {
                let key: Rc<[u8]> = key.into();
                self.tracked.push(Tracked { key: key.clone(), readers: Vec::with_capacity(1) });
                self.places.insert(key, self.tracked.len() - 1);
                self.tracked.len() - 1
            }
        };
        let readers = &mut self.tracked[place].readers;
        if !readers.contains(&who) {
            readers.push(who);
            self.items += 1;
        }
    }

    /// Forgets a key. Returns who has read it.
    pub fn forget(&mut self, key: &[u8]) -> Vec<Who> {
        let Some(place) = self.places.remove(key) else { return Vec::new() };
        let Tracked { readers, .. } = self.tracked.swap_remove(place);
        if let Some(moved) = self.tracked.get(place) {
            self.places.insert(moved.key.clone(), place);
        }
        self.items -= readers.len();
        readers
    }

    /// The key at a place drawn at random below [`Tracking::keys`].
    pub fn key_at(&self, place: usize) -> Rc<[u8]> {
        self.tracked[place].key.clone()
    }

    /// Forgets all keys.
    pub fn forget_all(&mut self) {
        (self.tracked, self.places, self.items) = (Vec::new(), HashMap::new(), 0);
    }

    /// How many keys may be dropped now to get down to a limit: the more, the longer it has been passed.
    pub fn effort(&mut self, keys_max: usize) -> usize {
        self.over = if self.keys() <= keys_max { 0 } else { self.over + 1 };
        self.over.saturating_mul(KEYS_PER_EFFORT)
    }

    /// A key has changed: notes it for those whose prefixes fit. `by` is the number of the client that changed it.
    pub fn note(&mut self, key: &[u8], by: Option<u64>) {
        for (name, prefix) in &mut self.prefixes {
            if key.starts_with(name) {
                prefix.changed.entry(key.into()).or_insert(by);
                self.changed = true;
            }
        }
    }

    /// A client names a prefix.
    pub fn listen(&mut self, prefix: &[u8], who: Who) {
        self.prefixes.entry(prefix.into()).or_default().listeners.push(who);
    }

    /// A client does not want to hear of a prefix any more.
    pub fn ignore(&mut self, name: &[u8], who: Who) {
        if let Some(prefix) = self.prefixes.get_mut(name) {
            prefix.listeners.retain(|other| *other != who);
            if prefix.listeners.is_empty() {
                self.prefixes.remove(name);
            }
        }
    }
}

/// Keys that are dropped at once when there are too many, as in Redis.
const KEYS_PER_EFFORT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_remembered_once_a_key_and_forgotten_with_it() {
        let mut tracking = Tracking::default();
        let (one, two) = (Who { token: 0, id: 1 }, Who { token: 1, id: 2 });
        for (key, who) in [("a", one), ("b", one), ("a", two), ("a", one), ("c", two)] {
            tracking.remember(key.as_bytes(), who);
        }
        assert_eq!((tracking.keys(), tracking.items()), (3, 4));
        assert_eq!(tracking.forget(b"a"), [one, two]);
        assert_eq!(tracking.forget(b"a"), []);
        assert_eq!(tracking.forget(b"c"), [two]);
        assert_eq!((tracking.keys(), tracking.items()), (1, 1));
        assert_eq!(&*tracking.key_at(0), b"b");
        tracking.forget_all();
        assert_eq!(tracking.forget(b"b"), []);
        assert_eq!((tracking.keys(), tracking.items()), (0, 0));
    }

    #[test]
    fn a_changed_key_is_noted_for_every_prefix_that_fits() {
        let mut tracking = Tracking::default();
        let who = Who { token: 0, id: 1 };
        ["", "a", "ab", "b"].iter().for_each(|prefix| tracking.listen(prefix.as_bytes(), who));
        tracking.note(b"ab", Some(7));
        tracking.note(b"ab", None);
        let changed: Vec<usize> = tracking.prefixes.values().map(|prefix| prefix.changed.len()).collect();
        assert_eq!(changed, [1, 1, 1, 0]);
        assert_eq!(tracking.prefixes[&b"a"[..]].changed[&b"ab"[..]], Some(7));
        tracking.ignore(b"a", who);
        assert_eq!(tracking.prefixes.len(), 3);
    }
}
