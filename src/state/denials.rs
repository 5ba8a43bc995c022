//! What was denied to whom: `ACL LOG`, and how often each kind of it happened.

use std::collections::VecDeque;

/// Denials that are alike and no further apart than so many milliseconds are one entry.
const ALIKE_MS_MAX: i64 = 60_000;
/// Only so many of the newest entries are looked at for one that is alike.
const ALIKE_ENTRIES_MAX: usize = 10;

/// Why a request was denied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The user may not run the command.
    Command,
    /// The user may not use a key in this way.
    Key,
    /// The user may not name a channel.
    Channel,
    /// The user may not use a database.
    Database,
    /// Somebody tried to log in and could not.
    Auth,
}

impl Reason {
    /// As `ACL LOG` names it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Database => "database",
            Reason::Auth => "auth",
        }
    }
}

/// An entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denial {
    /// Never used twice.
    pub id: u64,
    /// How many times it happened.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// In a transaction.
    pub in_multi: bool,
    /// The command, key or channel.
    pub object: Vec<u8>,
    /// Name of the user.
    pub user: Vec<u8>,
    /// The client, as `CLIENT INFO` describes it, when it happened last.
    pub client: Vec<u8>,
    /// Date in milliseconds when it happened first.
    pub created_ms: i64,
    /// Date in milliseconds when it happened last.
    pub updated_ms: i64,
}

impl Denial {
    fn is_like(&self, other: &Denial) -> bool {
        (self.reason, self.in_multi) == (other.reason, other.in_multi)
            && self.updated_ms.abs_diff(other.updated_ms) <= ALIKE_MS_MAX as u64
            && self.object == other.object
            && self.user == other.user
    }
}

/// The log, newest first, with the counts since the start.
#[derive(Debug, Default)]
pub struct Denials {
    entries: VecDeque<Denial>,
    next_id: u64,
    counts: [u64; 5],
}

impl Denials {
    /// Adds a denial, whose number and count are filled in here, and forgets the oldest beyond `len_max`.
    pub fn add(&mut self, denial: Denial, len_max: usize) {
        self.counts[denial.reason as usize] += 1;
        let alike = self.entries.iter().take(ALIKE_ENTRIES_MAX).position(|entry| entry.is_like(&denial));
        if let Some(mut entry) = alike.and_then(|at| self.entries.remove(at)) {
            entry.count += 1;
            (entry.client, entry.updated_ms) = (denial.client, denial.updated_ms);
            self.entries.push_front(entry);
            return;
        }
        self.entries.push_front(Denial { id: self.next_id, count: 1, ..denial });
        self.next_id += 1;
        self.entries.truncate(len_max);
    }

    /// How often something was denied for this reason.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize]
    }

    /// The entries, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Denial> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(object: &str, at_ms: i64) -> Denial {
        Denial {
            id: 0,
            count: 0,
            reason: Reason::Key,
            in_multi: false,
            object: object.into(),
            user: b"u".to_vec(),
            client: at_ms.to_string().into_bytes(),
            created_ms: at_ms,
            updated_ms: at_ms,
        }
    }

    fn shown(log: &Denials) -> String {
        let one = |it: &Denial| {
            let object = String::from_utf8_lossy(&it.object).into_owned();
            format!("{}:{object}x{}@{}-{}", it.id, it.count, it.created_ms, it.updated_ms)
        };
        log.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_alike_is_one_entry_for_a_minute() {
        let mut log = Denials::default();
        log.add(denial("a", 1000), 3);
        log.add(denial("b", 2000), 3);
        log.add(denial("a", 61_000), 3);
        assert_eq!(shown(&log), "0:ax2@1000-61000 1:bx1@2000-2000");
        log.add(denial("b", 62_001), 3);
        assert_eq!(shown(&log), "2:bx1@62001-62001 0:ax2@1000-61000 1:bx1@2000-2000");
        log.add(Denial { in_multi: true, ..denial("a", 62_002) }, 3);
        assert_eq!(shown(&log), "3:ax1@62002-62002 2:bx1@62001-62001 0:ax2@1000-61000");
        log.add(Denial { reason: Reason::Auth, ..denial("a", 62_002) }, 0);
        assert_eq!(shown(&log), "");
        assert_eq!((log.count(Reason::Key), log.count(Reason::Auth), log.count(Reason::Channel)), (5, 1, 0));
    }

    #[test]
    fn only_the_newest_entries_are_looked_at() {
        let mut log = Denials::default();
        for letter in "abcdefghijk".chars() {
            log.add(denial(&letter.to_string(), 0), 100);
        }
        log.add(denial("b", 0), 100);
        assert_eq!(log.iter().len(), 11);
        log.add(denial("a", 0), 100);
        assert_eq!(log.iter().len(), 12);
        log.reset();
        assert_eq!(log.iter().len(), 0);
    }
}
