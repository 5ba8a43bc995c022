//! Trimming: which entries go when a stream must not be longer than so, or not reach further back.

use crate::data::stream::id::Id;
use crate::data::stream::{Entries, Stream};

/// What a trimmed stream is measured by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// No more entries than these.
    Len(u64),
    /// No entry before this one.
    First(Id),
}

/// What is to be trimmed.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    /// Until when.
    pub measure: Measure,
    /// Whole nodes only; some entries too many may then be left.
    pub approximate: bool,
    /// No more entries than this are removed; 0 = any number.
    pub limit: u64,
}

/// What becomes of the references that groups have to an entry which is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum References {
    /// They stay.
    #[default]
    Keep,
    /// They go with the entry.
    Delete,
    /// An entry that some group has not read and acknowledged stays.
    Acknowledged,
}

impl Entries {
    /// Whether a node goes as a whole; `None` if nothing of it goes.
    fn whole_node_goes(&self, trim: &Trim, node: usize, len: u64) -> Option<bool> {
        let node = &self.nodes[node];
        match trim.measure {
            Measure::Len(max) if len <= max => None,
            Measure::Len(max) => Some(max <= len - node.live()),
            Measure::First(id) if id <= node.base => None,
            Measure::First(id) => Some(node.last_id() < id),
        }
    }

    /// Removes what is too much, the oldest entries first, whoever refers to them. Returns how many those were.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let mut removed = 0;
        while let Some(node) = self.nodes.front_mut() {
            if trim.limit != 0 && trim.limit < removed + node.live() {
                break;
            }
            match self.whole_node_goes(trim, 0, self.len) {
                None => break,
                Some(true) => {
                    let live = self.nodes.pop_front().map_or(0, |node| node.live());
                    self.len -= live;
                    removed += live;
                }
                Some(false) if trim.approximate => break,
                Some(false) => {
                    removed += self.trim_first_node(trim.measure);
                    break;
                }
            }
        }
        self.shrink();
        removed
    }

    /// Removes entries from the first node, of which some stay.
    fn trim_first_node(&mut self, measure: Measure) -> u64 {
        let Some(node) = self.nodes.front_mut() else { return 0 };
        let before = self.len;
        while let Some(first) = node.first_id() {
            let goes = match measure {
                Measure::Len(max) => max < self.len,
                Measure::First(id) => first < id,
            };
            if !goes {
                break;
            }
            node.delete(node.first());
            self.len -= 1;
        }
        before - self.len
    }

    /// The entries that [`Entries::trim`] would remove.
    fn candidates(&self, trim: &Trim) -> Vec<Id> {
        let (mut ids, mut len) = (Vec::new(), self.len);
        for (number, node) in self.nodes.iter().enumerate() {
            if trim.limit != 0 && trim.limit < ids.len() as u64 + node.live() {
                break;
            }
            let whole = match self.whole_node_goes(trim, number, len) {
                None => break,
                Some(false) if trim.approximate => break,
                Some(whole) => whole,
            };
            for entry in self.range(node.base, node.last_id()) {
                match trim.measure {
                    Measure::Len(max) if len <= max => return ids,
                    Measure::First(id) if id <= entry.id => return ids,
                    _ => {}
                }
                ids.push(entry.id);
                len -= 1;
            }
            if !whole {
                break;
            }
        }
        ids
    }
}

impl Stream {
    /// What [`Entries::trim`] would remove, less what groups have not read and acknowledged where that counts. Under
    /// [`References::Acknowledged`] younger entries go in the place of those that stay.
    pub fn trimmed(&self, trim: &Trim, references: References) -> Vec<Id> {
        if references != References::Acknowledged {
            return self.entries.candidates(trim);
        }
        if let Measure::Len(max) = trim.measure
            && !trim.approximate
        {
            let too_many = self.entries.len().saturating_sub(max) as usize;
            let ids = self.entries.iter().map(|entry| entry.id);
            return ids.filter(|id| !self.groups.refer_to(*id)).take(too_many).collect();
        }
        let mut ids = self.entries.candidates(trim);
        ids.retain(|id| !self.groups.refer_to(*id));
        ids
    }
}
