//! The long form of a list: a deque of nodes, each a run or one large element.
//!
//! Where nodes begin and end follows Redis's quicklist (which node takes an insertion, when one is split,
//! what is merged after it), because the way back to a single listpack depends on there being one node left.
//! Two things differ, both for the sake of memory: an element replaced by a longer one never makes a node
//! grow without bound, and nodes that a removal left nearly empty are merged.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Limits;
use super::run::{End, Run};
use crate::data::collection::ROUGH_NODES;
use crate::data::element::{Encoded, Item, Needle};

/// The first buffer of a node: small enough for a list that ends here, a few doublings from the default
/// limit.
const NODE_BYTES_FIRST: usize = 1024;

/// A replaced element may make its node this many times as big as the limit before the node is split.
const REPLACE_OVERSIZE_MAX: usize = 2;

/// After a removal, neighbours are merged if together they fill no more than this fraction of a node. Their
/// buffers shrink anyway, so merging saves the overhead of a node and no more: it pays for nearly empty ones
/// only.
const SPARSE_FRACTION: usize = 8;

/// A deque below this many places is not worth shrinking.
const DEQUE_SHRINK_MIN: usize = 64;

/// Invariant: no node is an empty run.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Run(Run),
    /// A large element.
    Alone(Bytes),
}

impl Node {
    #[inline]
    pub(super) fn count(&self) -> usize {
        match self {
            Node::Run(run) => run.count(),
            Node::Alone(_) => 1,
        }
    }

    /// The node of one element.
    fn of(value: Value<'_>, limits: Limits) -> Node {
        if limits.stands_alone(value.text().len()) {
            return Node::Alone(value.into_bytes());
        }
        let element = Encoded::new(value.text());
        let expected = element.len().saturating_mul(limits.count_max());
        let first = expected.min(NODE_BYTES_FIRST).min(limits.bytes_max());
        let mut run = Run::with_capacity(first.max(element.len()));
        run.push(End::Back, &element, limits.bytes_max());
        Node::Run(run)
    }

    /// The run, if an element of `len` bytes may still join it. The check is Redis's: it estimates the
    /// overhead.
    #[inline]
    fn run_with_room(&mut self, len: usize, limits: Limits) -> Option<&mut Run> {
        const OVERHEAD_ESTIMATE: usize = 8;
        match self {
            Node::Run(run) if !limits.exceeded(run.size() + len + OVERHEAD_ESTIMATE, run.count() + 1) => {
                Some(run)
            }
            _ => None,
        }
    }

    fn may_merge(&self, next: &Node, limits: Limits) -> bool {
        match (self, next) {
            (Node::Run(a), Node::Run(b)) => !limits.exceeded(a.size_with(b), a.count() + b.count()),
            _ => false,
        }
    }

    /// Whether both together are still a sparse node, see [`SPARSE_FRACTION`].
    fn are_sparse(&self, next: &Node, limits: Limits) -> bool {
        match (self, next) {
            (Node::Run(a), Node::Run(b)) => {
                let (bytes, count) = (a.size_with(b), a.count() + b.count());
                bytes <= limits.bytes_max() / SPARSE_FRACTION && count <= limits.count_max() / SPARSE_FRACTION
            }
            _ => false,
        }
    }

    fn append(&mut self, next: &Node, limits: Limits) {
        if let (Node::Run(a), Node::Run(b)) = (self, next) {
            a.append(b, limits.bytes_max());
        }
    }

    fn seal(&mut self) {
        if let Node::Run(run) = self {
            run.seal();
        }
    }
}

/// A value on its way in: borrowed, or a buffer that may be kept as it is.
pub(super) enum Value<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl Value<'_> {
    #[inline]
    pub(super) fn text(&self) -> &[u8] {
        match self {
            Value::Borrowed(text) => text,
            Value::Shared(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Value::Borrowed(text) => Bytes::copy_from_slice(text),
            Value::Shared(bytes) => bytes,
        }
    }
}

/// Invariant: `len` is the sum of the nodes' counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Quick {
    pub(super) nodes: VecDeque<Node>,
    pub(super) len: usize,
}

impl Quick {
    /// Takes over what was a small list.
    pub(super) fn from_run(run: Run) -> Self {
        let len = run.count();
        let nodes = (!run.is_empty()).then_some(Node::Run(run)).into_iter().collect();
        Quick { nodes, len }
    }

    /// Heap bytes, the box of this struct included.
    pub(super) fn memory(&self) -> usize {
        let deque = size_of::<Quick>() + self.nodes.capacity() * size_of::<Node>();
        let of_node = |node: &Node| match node {
            Node::Run(run) => run.memory(),
            Node::Alone(bytes) => bytes.len(),
        };
        deque + self.nodes.iter().map(of_node).sum::<usize>()
    }

    /// As if all nodes were like the first ones.
    pub(super) fn rough_memory(&self) -> usize {
        let of_node = |node: &Node| match node {
            Node::Run(run) => run.memory(),
            Node::Alone(bytes) => bytes.len(),
        };
        let some: usize = self.nodes.iter().take(ROUGH_NODES).map(of_node).sum();
        let seen = self.nodes.len().clamp(1, ROUGH_NODES);
        let deque = size_of::<Quick>() + self.nodes.capacity() * size_of::<Node>();
        deque + (some as u128 * self.nodes.len() as u128 / seen as u128) as usize
    }

    pub(super) fn push(&mut self, end: End, value: Value<'_>, limits: Limits) {
        self.len += 1;
        let last = match end {
            End::Front => self.nodes.front_mut(),
            End::Back => self.nodes.back_mut(),
        };
        let len = value.text().len();
        if let Some(last) = last {
            match last.run_with_room(len, limits) {
                Some(run) if !limits.stands_alone(len) => {
                    return run.push(end, &Encoded::new(value.text()), limits.bytes_max());
                }
                _ => last.seal(),
            }
        }
        let node = Node::of(value, limits);
        if self.nodes.len() == self.nodes.capacity() {
            // Not doubled: a node is hundreds of elements, so moving the deque more often costs them nothing,
            // and empty places would be the greatest waste of a long list.
            self.nodes.reserve_exact(self.nodes.len() / 8 + 4);
        }
        match end {
            End::Front => self.nodes.push_front(node),
            End::Back => self.nodes.push_back(node),
        }
    }

    pub(super) fn peek(&self, end: End) -> Option<Item<'_>> {
        let node = match end {
            End::Front => self.nodes.front()?,
            End::Back => self.nodes.back()?,
        };
        match node {
            Node::Run(run) => run.peek(end),
            Node::Alone(bytes) => Some(Item::Shared(bytes)),
        }
    }

    /// Removes the element at an end, if there is one.
    #[inline]
    pub(super) fn drop_end(&mut self, end: End) {
        let node = match end {
            End::Front => self.nodes.front_mut(),
            End::Back => self.nodes.back_mut(),
        };
        match node {
            None => return,
            Some(Node::Run(run)) if 1 < run.count() => run.drop_end(end),
            Some(_) => self.drop_node(end),
        }
        self.len -= 1;
    }

    fn drop_node(&mut self, end: End) {
        match end {
            End::Front => self.nodes.pop_front(),
            End::Back => self.nodes.pop_back(),
        };
        self.shrink_deque();
    }

    /// Gives back half of the deque once three quarters of it are empty.
    fn shrink_deque(&mut self) {
        if DEQUE_SHRINK_MIN < self.nodes.capacity() && self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.capacity() / 2);
        }
    }

    /// Removes `count` elements, at most all, at an end: whole nodes first.
    pub(super) fn drop_many(&mut self, end: End, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        while 0 < left {
            let node = match end {
                End::Front => self.nodes.front_mut(),
                End::Back => self.nodes.back_mut(),
            };
            match node {
                None => return,
                Some(Node::Run(run)) if left < run.count() => {
                    run.drop_many(end, left);
                    run.shrink_if_sparse();
                    return;
                }
                Some(node) => left -= node.count(),
            }
            self.drop_node(end);
        }
    }

    /// The node of the element `index`, which must exist, and its place there; walks from the nearer end.
    pub(super) fn locate(&self, index: usize) -> (usize, usize) {
        if index <= self.len / 2 {
            let mut before = 0;
            for (at, node) in self.nodes.iter().enumerate() {
                if index - before < node.count() {
                    return (at, index - before);
                }
                before += node.count();
            }
        } else {
            let mut before = self.len;
            for (at, node) in self.nodes.iter().enumerate().rev() {
                before -= node.count();
                if before <= index {
                    return (at, index - before);
                }
            }
        }
        unreachable!("the callers check the index")
    }

    pub(super) fn get(&self, index: usize) -> Item<'_> {
        let (at, place) = self.locate(index);
        match &self.nodes[at] {
            Node::Run(run) => run.get(place),
            Node::Alone(bytes) => Item::Shared(bytes),
        }
    }

    pub(super) fn set(&mut self, index: usize, value: Value<'_>, limits: Limits) {
        let (at, place) = self.locate(index);
        let large = limits.stands_alone(value.text().len());
        match &mut self.nodes[at] {
            Node::Alone(bytes) if large => *bytes = value.into_bytes(),
            Node::Alone(_) => self.replace_alone(at, value, limits),
            Node::Run(run) => {
                let element = Encoded::new(value.text());
                let size = run.size() - run.len_at(place) + element.len();
                if !large && (size <= limits.bytes_max() * REPLACE_OVERSIZE_MAX || run.count() == 1) {
                    run.replace(place, &element, limits.bytes_max());
                    run.shrink_if_sparse();
                } else {
                    self.replace_by_node(at, place, value, limits);
                }
            }
        }
    }

    /// A small element takes the place of a large one: it joins the next node if that has room.
    fn replace_alone(&mut self, at: usize, value: Value<'_>, limits: Limits) {
        let next = self.nodes.get_mut(at + 1);
        match next.and_then(|next| next.run_with_room(value.text().len(), limits)) {
            Some(run) => {
                run.push(End::Front, &Encoded::new(value.text()), limits.bytes_max());
                self.nodes.remove(at);
            }
            None => self.nodes[at] = Node::of(value, limits),
        }
    }

    /// The element `place` of a run gives way to a node of its own.
    fn replace_by_node(&mut self, at: usize, place: usize, value: Value<'_>, limits: Limits) {
        let Node::Run(run) = &mut self.nodes[at] else { return };
        let tail = run.split_off(place + 1);
        run.drop_end(End::Back);
        run.shrink_if_sparse();
        let left_empty = run.is_empty();
        if !tail.is_empty() {
            self.nodes.insert(at + 1, Node::Run(tail));
        }
        if left_empty {
            self.nodes[at] = Node::of(value, limits);
        } else {
            self.nodes.insert(at + 1, Node::of(value, limits));
            self.merge_around(at + 1, limits);
        }
    }

    /// Puts a value before the element `place` of the node `at`, or behind it if `after`.
    pub(super) fn insert(&mut self, at: usize, place: usize, after: bool, value: Value<'_>, limits: Limits) {
        self.len += 1;
        let (len, bytes_max) = (value.text().len(), limits.bytes_max());
        let at_edge = place == if after { self.nodes[at].count() - 1 } else { 0 };
        if !limits.stands_alone(len) {
            if let Some(run) = self.nodes[at].run_with_room(len, limits) {
                return run.insert(place + usize::from(after), &Encoded::new(value.text()), bytes_max);
            }
            if at_edge {
                let (neighbour, end) =
                    if after { (at + 1, End::Front) } else { (at.wrapping_sub(1), End::Back) };
                let neighbour = self.nodes.get_mut(neighbour);
                if let Some(run) = neighbour.and_then(|node| node.run_with_room(len, limits)) {
                    return run.push(end, &Encoded::new(value.text()), bytes_max);
                }
            }
        }
        match &mut self.nodes[at] {
            Node::Run(run) if !at_edge => {
                let tail = run.split_off(place + usize::from(after));
                run.seal();
                self.nodes.insert(at + 1, Node::Run(tail));
                self.insert_at_cut(at, after, value, limits);
            }
            _ => self.nodes.insert(at + usize::from(after), Node::of(value, limits)),
        }
    }

    /// A full node was cut in two, `at` and `at + 1`; the value joins the half that does not hold the pivot.
    fn insert_at_cut(&mut self, at: usize, after: bool, value: Value<'_>, limits: Limits) {
        if limits.stands_alone(value.text().len()) {
            return self.nodes.insert(at + 1, Node::of(value, limits));
        }
        let (half, end) = if after { (at + 1, End::Front) } else { (at, End::Back) };
        if let Node::Run(run) = &mut self.nodes[half] {
            run.push(end, &Encoded::new(value.text()), limits.bytes_max());
        }
        self.merge_around(if after { at } else { at + 1 }, limits);
    }

    /// Merges what may be merged among a node, the two before it and the two behind it.
    fn merge_around(&mut self, center: usize, limits: Limits) {
        let mut center = center;
        if 2 <= center && self.merge_with_next(center - 2, limits) {
            center -= 1;
        }
        self.merge_with_next(center + 1, limits);
        if 1 <= center && self.merge_with_next(center - 1, limits) {
            center -= 1;
        }
        self.merge_with_next(center, limits);
    }

    fn merge_with_next(&mut self, at: usize, limits: Limits) -> bool {
        let (Some(node), Some(next)) = (self.nodes.get(at), self.nodes.get(at + 1)) else { return false };
        if !node.may_merge(next, limits) {
            return false;
        }
        if let Some(next) = self.nodes.remove(at + 1) {
            self.nodes[at].append(&next, limits);
        }
        true
    }

    /// Removes up to `most` elements that match, the ones nearest to `from` first. Returns how many.
    pub(super) fn remove_matching(
        &mut self,
        needle: Needle<'_>,
        most: usize,
        from: End,
        limits: Limits,
    ) -> usize {
        let mut removed = 0;
        let mut touched: Option<(usize, usize)> = None;
        for step in 0..self.nodes.len() {
            if most <= removed {
                break;
            }
            let at = match from {
                End::Front => step,
                End::Back => self.nodes.len() - 1 - step,
            };
            let here = match &mut self.nodes[at] {
                Node::Run(run) => {
                    let here = run.remove_matching(needle, most - removed, from);
                    if 0 < here {
                        run.shrink_if_sparse();
                    }
                    here
                }
                Node::Alone(bytes) if needle.matches(Item::Shared(bytes)) => {
                    // An empty run stands for "gone" until the nodes are tidied below.
                    self.nodes[at] = Node::Run(Run::default());
                    1
                }
                Node::Alone(_) => 0,
            };
            if 0 < here {
                touched = Some(touched.map_or((at, at), |(low, high)| (low.min(at), high.max(at))));
            }
            removed += here;
        }
        self.len -= removed;
        if let Some((low, high)) = touched {
            self.tidy(low, high, limits);
        }
        removed
    }

    /// Drops the empty nodes in `low..=high` and merges those nearly empty with the node before, in one pass.
    ///
    /// The last two nodes are not merged into one: that would turn the list back into its small form, which
    /// in Redis only happens when a node becomes empty.
    fn tidy(&mut self, low: usize, high: usize, limits: Limits) {
        let empty = self.nodes.range(low..=high).filter(|node| node.count() == 0).count();
        let mut left = self.nodes.len() - empty;
        let mut to = low;
        for at in low..=high {
            if self.nodes[at].count() == 0 {
                continue;
            }
            if 2 < left && 0 < to && self.nodes[to - 1].are_sparse(&self.nodes[at], limits) {
                let node = std::mem::replace(&mut self.nodes[at], Node::Run(Run::default()));
                self.nodes[to - 1].append(&node, limits);
                left -= 1;
                continue;
            }
            self.nodes.swap(to, at);
            to += 1;
        }
        self.nodes.drain(to..=high);
        self.shrink_deque();
    }
}
