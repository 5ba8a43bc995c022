//! Entries as they lie in nodes, and walks over them.

use std::collections::VecDeque;

use crate::data::element::{self, Item};
use crate::data::stream::id::Id;
use crate::data::stream::node::{Head, Node};

/// One entry; nothing is copied to look at it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: Id,
    count: usize,
    /// The node's fields, if the entry has the same.
    fields: Option<&'a [u8]>,
    body: &'a [u8],
}

impl<'a> Entry<'a> {
    pub(super) fn of(node: &'a Node, head: &Head) -> Entry<'a> {
        let bytes = node.bytes();
        let fields = head.same_fields().then(|| &bytes[node.fields().1..]);
        Entry { id: head.id, count: head.count, fields, body: &bytes[head.body..] }
    }

    /// How many fields it has; at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Fields and values in order.
    pub fn pairs(&self) -> Pairs<'a> {
        Pairs { left: self.count, fields: self.fields, body: self.body }
    }
}

/// The fields of an entry with their values.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    left: usize,
    fields: Option<&'a [u8]>,
    body: &'a [u8],
}

/// Takes the first element off.
#[inline]
fn take<'a>(bytes: &mut &'a [u8]) -> Item<'a> {
    let (item, len) = element::first(bytes);
    *bytes = &bytes[len..];
    item
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.fields {
            Some(fields) => take(fields),
            None => take(&mut self.body),
        };
        Some((field, take(&mut self.body)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

/// The node in which an entry of this ID would be, were it there.
#[inline]
pub(super) fn node_of(nodes: &VecDeque<Node>, id: Id) -> usize {
    // Most searches are for what has just come.
    match nodes.back() {
        Some(last) if last.base <= id => nodes.len() - 1,
        _ => nodes.partition_point(|node| node.base <= id).saturating_sub(1),
    }
}

/// Living entries between two IDs, both included, in ascending order.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    nodes: &'a VecDeque<Node>,
    node: usize,
    at: usize,
    start: Id,
    end: Id,
}

impl<'a> Range<'a> {
    pub(super) fn new(nodes: &'a VecDeque<Node>, start: Id, end: Id) -> Range<'a> {
        let node = if start <= end { node_of(nodes, start) } else { nodes.len() };
        let at = nodes.get(node).map_or(0, Node::first);
        Range { nodes, node, at, start, end }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let node = self.nodes.get(self.node)?;
            if self.at == node.bytes().len() {
                self.node += 1;
                self.at = self.nodes.get(self.node)?.first();
                continue;
            }
            let head = node.head(self.at);
            if self.end < head.id {
                self.node = self.nodes.len();
                return None;
            }
            self.at = node.end(&head);
            if !head.is_deleted() && self.start <= head.id {
                return Some(Entry::of(node, &head));
            }
        }
    }
}

/// Living entries between two IDs, both included, in descending order. Entries cannot be read backwards, so it notes
/// where those of a node begin.
#[derive(Clone, Debug)]
pub struct RangeRev<'a> {
    nodes: &'a VecDeque<Node>,
    /// Nodes that are still to come.
    left: usize,
    /// The node whose entries are noted.
    node: usize,
    noted: Vec<u32>,
    start: Id,
    end: Id,
}

impl<'a> RangeRev<'a> {
    pub(super) fn new(nodes: &'a VecDeque<Node>, start: Id, end: Id) -> RangeRev<'a> {
        let left = if start <= end && !nodes.is_empty() { node_of(nodes, end) + 1 } else { 0 };
        RangeRev { nodes, left, node: 0, noted: Vec::new(), start, end }
    }

    fn note(&mut self) {
        let node = &self.nodes[self.node];
        let mut at = node.first();
        while at < node.bytes().len() {
            let head = node.head(at);
            if self.end < head.id {
                break;
            }
            if !head.is_deleted() && self.start <= head.id {
                self.noted.push(at as u32);
            }
            at = node.end(&head);
        }
        if node.base <= self.start {
            self.left = 0;
        }
    }
}

impl<'a> Iterator for RangeRev<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        while self.noted.is_empty() {
            self.left = self.left.checked_sub(1)?;
            self.node = self.left;
            self.note();
        }
        let at = self.noted.pop()?;
        let node = &self.nodes[self.node];
        Some(Entry::of(node, &node.head(at as usize)))
    }
}
