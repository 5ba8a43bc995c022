//! Walking a list from either end.

use std::iter::FusedIterator;

use super::List;
use super::quick::Node;
use crate::data::element::{self, Item};

/// A node of either form of a list.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    /// The elements of a run.
    Run(&'a [u8]),
    /// One large element.
    Alone(Item<'a>),
}

impl<'a> From<&'a Node> for View<'a> {
    fn from(node: &'a Node) -> Self {
        match node {
            Node::Run(run) => View::Run(run.body()),
            Node::Alone(bytes) => View::Alone(Item::Shared(bytes)),
        }
    }
}

/// Elements from the head towards the tail; made by [`List::range`] and [`List::iter`].
#[derive(Clone)]
pub struct Iter<'a> {
    list: &'a List,
    /// The node to go on with after `rest`.
    node: usize,
    /// What is left of the current run.
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iter<'a> {
    /// Starts at the element `start`; the caller has checked that it and `left - 1` more exist.
    pub(super) fn new(list: &'a List, start: usize, left: usize) -> Self {
        if left == 0 {
            return Iter { list, node: 0, rest: &[], left };
        }
        let (node, place) = list.locate(start);
        match list.run(node) {
            Some(run) => Iter { list, node: node + 1, rest: &run.body()[run.offset(place)..], left },
            None => Iter { list, node, rest: &[], left },
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.left == 0 {
            return None;
        }
        if self.rest.is_empty() {
            match self.list.view(self.node)? {
                View::Run(body) => self.rest = body,
                View::Alone(item) => {
                    self.node += 1;
                    self.left -= 1;
                    return Some(item);
                }
            }
            self.node += 1;
        }
        self.left -= 1;
        let (item, len) = element::first(self.rest);
        self.rest = &self.rest[len..];
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

/// Elements from the tail towards the head; made by [`List::iter_rev`].
#[derive(Clone)]
pub struct IterRev<'a> {
    list: &'a List,
    /// How many nodes stand before the current run.
    nodes: usize,
    /// What is left of the current run.
    rest: &'a [u8],
}

impl<'a> IterRev<'a> {
    pub(super) fn new(list: &'a List) -> Self {
        IterRev { list, nodes: list.nodes(), rest: &[] }
    }
}

impl<'a> Iterator for IterRev<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.rest.is_empty() {
            self.nodes = self.nodes.checked_sub(1)?;
            match self.list.view(self.nodes)? {
                View::Run([]) => return None,
                View::Run(body) => self.rest = body,
                View::Alone(item) => return Some(item),
            }
        }
        let (before, last) = self.rest.split_at(self.rest.len() - element::last_len(self.rest));
        self.rest = before;
        Some(element::first(last).0)
    }
}

impl FusedIterator for IterRev<'_> {}
