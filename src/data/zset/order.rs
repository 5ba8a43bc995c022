//! The order of a big sorted set: a tree of nodes with counts, by which members are found by place, by score and by
//! text, and by which their places are counted, each in O(log n).
//!
//! ```text
//! leaf    scores [62]  links [62]                          a kilobyte: the members, in order
//! inner   scores [64]  links [64]  counts [64]  nodes [64]   for each node its first member and how many it has
//! ```
//!
//! All members are in leaves. Scores stand in the nodes themselves, so that a search reads the member behind a link
//! only where scores are equal and texts decide. A full node is cut in halves, or, where members are added at its
//! very end or beginning, left full, so that members which come in order fill their leaves. A node that has become
//! empty goes; one that is nearly so joins a neighbour if there is room.
//!
//! What was not chosen: a skip list, which takes a step, and so a miss of the cache, for each doubling where this
//! takes one for each forty-fold, and whose nodes take 30 bytes and more besides the member, where this takes 16 to 24.
//!
//! Invariant: no node is empty, and what an inner node says of a child is so. Invariant: the scores are no NaN.

/// What an order holds of a member besides its score.
pub(super) trait Place: Copy {
    /// The text that decides between equal scores.
    fn text(&self) -> &[u8];

    /// Asks for the text soon.
    fn prefetch(&self);
}

/// How many members ahead of an iteration texts are asked for.
const AHEAD: usize = 12;

/// Members of a leaf.
const LEAF: usize = 62;
/// Children of an inner node.
const INNER: usize = 64;

/// The members of a leaf, or the first members of an inner node's children, in order.
struct Keys<L, const N: usize> {
    len: usize,
    scores: [f64; N],
    links: [L; N],
}

/// The first index below `len` for which `before` does not hold; it holds for all that stand before that one.
#[inline]
fn partition(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut size) = (0, len);
    while 0 < size {
        let half = size / 2;
        if before(low + half) {
            low += half + 1;
            size -= half + 1;
        } else {
            size = half;
        }
    }
    low
}

/// Puts something at `at` of an array of which `len` places are in use.
#[inline]
fn shift_in<T: Copy, const N: usize>(array: &mut [T; N], len: usize, at: usize, item: T) {
    array.copy_within(at..len, at + 1);
    array[at] = item;
}

/// A copy of the places from `at` to `len`, at the beginning of an array that is filled up with whatever.
fn tail<T: Copy, const N: usize>(array: &[T; N], at: usize, len: usize) -> [T; N] {
    let mut tail = *array;
    tail.copy_within(at..len, 0);
    tail
}

impl<L: Place, const N: usize> Keys<L, N> {
    fn one(score: f64, link: L) -> Self {
        Keys { len: 1, scores: [score; N], links: [link; N] }
    }

    /// How many stand before; `before` holds for these and for none behind them.
    #[inline]
    fn partition(&self, before: impl Fn(f64, &L) -> bool) -> usize {
        let (scores, links) = (&self.scores[..self.len], &self.links[..self.len]);
        partition(self.len, |at| before(scores[at], &links[at]))
    }

    fn insert(&mut self, at: usize, score: f64, link: L) {
        shift_in(&mut self.scores, self.len, at, score);
        shift_in(&mut self.links, self.len, at, link);
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        self.scores.copy_within(at + 1..self.len, at);
        self.links.copy_within(at + 1..self.len, at);
        self.len -= 1;
    }

    /// Takes off all from `at` on.
    fn split_off(&mut self, at: usize) -> Self {
        let (scores, links) = (tail(&self.scores, at, self.len), tail(&self.links, at, self.len));
        let len = self.len - at;
        self.len = at;
        Keys { len, scores, links }
    }

    /// Takes over what the next one holds.
    fn append(&mut self, next: &Self) {
        self.scores[self.len..self.len + next.len].copy_from_slice(&next.scores[..next.len]);
        self.links[self.len..self.len + next.len].copy_from_slice(&next.links[..next.len]);
        self.len += next.len;
    }
}

/// Where a full node of so many places is cut so that something may be put at `at`.
fn cut(at: usize, places: usize) -> usize {
    if at == 0 || at == places { at } else { places / 2 }
}

struct Inner<L> {
    firsts: Keys<L, INNER>,
    counts: [usize; INNER],
    nodes: [Option<Node<L>>; INNER],
}

enum Node<L> {
    Leaf(Box<Keys<L, LEAF>>),
    Inner(Box<Inner<L>>),
}

/// Which member is meant.
#[derive(Clone, Copy)]
enum Target<'a> {
    At(usize),
    Key(f64, &'a [u8]),
}

/// Whether a member stands before the one of this score and text.
#[inline]
fn before<L: Place>(score: f64, text: &[u8]) -> impl Fn(f64, &L) -> bool {
    move |other, link| other < score || (other == score && link.text() < text)
}

/// Whether a member does not stand behind the one of this score and text.
#[inline]
fn up_to<L: Place>(score: f64, text: &[u8]) -> impl Fn(f64, &L) -> bool {
    move |other, link| other < score || (other == score && link.text() <= text)
}

impl<L: Place> Inner<L> {
    fn len(&self) -> usize {
        self.firsts.len
    }

    fn node(&self, index: usize) -> &Node<L> {
        self.nodes[index].as_ref().expect("as many nodes as counts")
    }

    fn node_mut(&mut self, index: usize) -> &mut Node<L> {
        self.nodes[index].as_mut().expect("as many nodes as counts")
    }

    /// The child that holds the member `index`, and its place there.
    fn child_at(&self, index: usize) -> (usize, usize) {
        let mut rest = index;
        for (child, count) in self.counts[..self.len()].iter().enumerate() {
            if rest < *count {
                return (child, rest);
            }
            rest -= count;
        }
        unreachable!("the callers check the index")
    }

    /// The child in which a member is, or belongs.
    fn child_of(&self, score: f64, text: &[u8]) -> usize {
        self.firsts.partition(up_to(score, text)).saturating_sub(1)
    }

    /// Notes which member is the first of a child.
    fn note_first(&mut self, child: usize) {
        let (score, link) = self.node(child).first();
        (self.firsts.scores[child], self.firsts.links[child]) = (score, link);
    }

    fn insert_node(&mut self, at: usize, node: Node<L>) {
        let (len, (score, link)) = (self.len(), node.first());
        self.firsts.insert(at, score, link);
        shift_in(&mut self.counts, len, at, node.count());
        self.nodes[len] = Some(node);
        self.nodes[at..=len].rotate_right(1);
    }

    fn remove_node(&mut self, at: usize) -> Option<Node<L>> {
        let len = self.len();
        self.firsts.remove(at);
        self.counts.copy_within(at + 1..len, at);
        self.nodes[at..len].rotate_left(1);
        self.nodes[len - 1].take()
    }

    fn split_off(&mut self, at: usize) -> Box<Inner<L>> {
        let len = self.len();
        let counts = tail(&self.counts, at, len);
        let mut nodes = [const { None }; INNER];
        for (to, node) in nodes.iter_mut().zip(&mut self.nodes[at..len]) {
            *to = node.take();
        }
        Box::new(Inner { firsts: self.firsts.split_off(at), counts, nodes })
    }

    /// Takes in a child that a full one has split off; splits in turn if need be.
    fn take_in(&mut self, at: usize, node: Node<L>) -> Option<Node<L>> {
        self.counts[at - 1] -= node.count();
        if self.len() < INNER {
            self.insert_node(at, node);
            return None;
        }
        let cut = cut(at, INNER);
        if cut == INNER {
            return Some(Node::over(node));
        }
        let mut right = self.split_off(cut);
        if at <= cut {
            self.insert_node(at, node)
        } else {
            right.insert_node(at - cut, node)
        }
        Some(Node::Inner(right))
    }

    /// Joins a child that has become small with a neighbour.
    fn join(&mut self, child: usize) {
        if !self.node(child).is_small() {
            return;
        }
        let left = if child + 1 < self.len() { child } else { child.saturating_sub(1) };
        if left + 1 < self.len()
            && self.node(left).may_append(self.node(left + 1))
            && let Some(right) = self.remove_node(left + 1)
        {
            self.counts[left] += right.count();
            self.node_mut(left).append(right);
        }
    }
}

impl<L: Place> Node<L> {
    fn leaf(score: f64, link: L) -> Node<L> {
        Node::Leaf(Box::new(Keys::one(score, link)))
    }

    /// An inner node over one node.
    fn over(node: Node<L>) -> Node<L> {
        let (score, link) = node.first();
        let counts = [node.count(); INNER];
        let mut nodes = [const { None }; INNER];
        nodes[0] = Some(node);
        Node::Inner(Box::new(Inner { firsts: Keys::one(score, link), counts, nodes }))
    }

    fn first(&self) -> (f64, L) {
        match self {
            Node::Leaf(keys) => (keys.scores[0], keys.links[0]),
            Node::Inner(inner) => (inner.firsts.scores[0], inner.firsts.links[0]),
        }
    }

    fn count(&self) -> usize {
        match self {
            Node::Leaf(keys) => keys.len,
            Node::Inner(inner) => inner.counts[..inner.len()].iter().sum(),
        }
    }

    fn is_small(&self) -> bool {
        match self {
            Node::Leaf(keys) => keys.len < LEAF / 4,
            Node::Inner(inner) => inner.len() < INNER / 4,
        }
    }

    /// Whether the next node fits in as well, with room for more.
    fn may_append(&self, next: &Node<L>) -> bool {
        match (self, next) {
            (Node::Leaf(a), Node::Leaf(b)) => a.len + b.len <= LEAF / 4 * 3,
            (Node::Inner(a), Node::Inner(b)) => a.len() + b.len() <= INNER / 4 * 3,
            _ => false,
        }
    }

    fn append(&mut self, next: Node<L>) {
        match (self, next) {
            (Node::Leaf(keys), Node::Leaf(next)) => keys.append(&next),
            (Node::Inner(inner), Node::Inner(mut next)) => {
                let (len, more) = (inner.len(), next.len());
                inner.firsts.append(&next.firsts);
                inner.counts[len..len + more].copy_from_slice(&next.counts[..more]);
                inner.nodes[len..len + more].swap_with_slice(&mut next.nodes[..more]);
            }
            _ => unreachable!("siblings are of one kind"),
        }
    }

    /// Adds a member. Returns what had to be split off, to stand behind this node.
    fn insert(&mut self, score: f64, link: L) -> Option<Node<L>> {
        match self {
            Node::Leaf(keys) => {
                let at = keys.partition(before(score, link.text()));
                if keys.len < LEAF {
                    keys.insert(at, score, link);
                    return None;
                }
                let cut = cut(at, LEAF);
                if cut == LEAF {
                    return Some(Node::leaf(score, link));
                }
                let mut right = Box::new(keys.split_off(cut));
                if at <= cut {
                    keys.insert(at, score, link)
                } else {
                    right.insert(at - cut, score, link)
                }
                Some(Node::Leaf(right))
            }
            Node::Inner(inner) => {
                let child = inner.child_of(score, link.text());
                let split = inner.node_mut(child).insert(score, link);
                inner.counts[child] += 1;
                inner.note_first(child);
                inner.take_in(child + 1, split?)
            }
        }
    }

    /// Removes a member. A node that is empty afterwards is the caller's to remove.
    fn remove(&mut self, target: Target<'_>) -> Option<L> {
        match self {
            Node::Leaf(keys) => {
                let at = match target {
                    Target::At(index) => index,
                    Target::Key(score, text) => {
                        let at = keys.partition(before(score, text));
                        let found =
                            at < keys.len && keys.scores[at] == score && keys.links[at].text() == text;
                        return found.then(|| {
                            let link = keys.links[at];
                            keys.remove(at);
                            link
                        });
                    }
                };
                let link = keys.links[at];
                keys.remove(at);
                Some(link)
            }
            Node::Inner(inner) => {
                let (child, target) = match target {
                    Target::At(index) => {
                        let (child, rest) = inner.child_at(index);
                        (child, Target::At(rest))
                    }
                    Target::Key(score, text) => (inner.child_of(score, text), target),
                };
                let link = inner.node_mut(child).remove(target)?;
                inner.counts[child] -= 1;
                if inner.counts[child] == 0 {
                    inner.remove_node(child);
                } else {
                    inner.note_first(child);
                    inner.join(child);
                }
                Some(link)
            }
        }
    }
}

impl<L: Place> Node<L> {
    /// Frees the last leaf, unless it is this node itself; says whether nothing else is left.
    fn free_last(&mut self) -> bool {
        let Node::Inner(inner) = self else { return true };
        let last = inner.len() - 1;
        if inner.node_mut(last).free_last() {
            inner.remove_node(last);
        }
        inner.len() == 0
    }
}

/// Members in the order of their scores, and of their texts where scores are equal.
pub(super) struct Order<L> {
    root: Option<Node<L>>,
    len: usize,
}

impl<L> Default for Order<L> {
    fn default() -> Self {
        Order { root: None, len: 0 }
    }
}

impl<L: Place> Order<L> {
    /// Adds a member that is not there.
    pub(super) fn insert(&mut self, score: f64, link: L) {
        debug_assert!(!score.is_nan());
        self.len += 1;
        let Some(root) = &mut self.root else {
            self.root = Some(Node::leaf(score, link));
            return;
        };
        if let Some(right) = root.insert(score, link)
            && let Some(left) = self.root.take()
        {
            let mut root = Node::over(left);
            if let Node::Inner(inner) = &mut root {
                inner.insert_node(1, right);
            }
            self.root = Some(root);
        }
    }

    fn remove_target(&mut self, target: Target<'_>) -> Option<L> {
        let link = self.root.as_mut()?.remove(target)?;
        self.len -= 1;
        if self.len == 0 {
            self.root = None;
        }
        while let Some(Node::Inner(inner)) = &mut self.root
            && inner.len() == 1
        {
            self.root = inner.remove_node(0);
        }
        Some(link)
    }

    /// Removes the member of this score and text.
    pub(super) fn remove(&mut self, score: f64, text: &[u8]) -> Option<L> {
        self.remove_target(Target::Key(score, text))
    }

    /// Removes the member at this place.
    pub(super) fn remove_at(&mut self, index: usize) -> Option<L> {
        if index < self.len { self.remove_target(Target::At(index)) } else { None }
    }

    /// Changes the score of a member if it keeps its place among its neighbours in the leaf; says whether it did.
    pub(super) fn rescore(&mut self, score: f64, text: &[u8], new: f64) -> bool {
        let Some(mut node) = self.root.as_mut() else { return false };
        let keys = loop {
            match node {
                Node::Leaf(keys) => break keys,
                Node::Inner(inner) => node = inner.node_mut(inner.child_of(score, text)),
            }
        };
        let at = keys.partition(before(score, text));
        // The first of a leaf is noted elsewhere, and who stands behind the last is not known here.
        if at == 0 || keys.len <= at + 1 || keys.scores[at] != score {
            return false;
        }
        let follows = before(new, text)(keys.scores[at - 1], &keys.links[at - 1]);
        let leads = !up_to(new, text)(keys.scores[at + 1], &keys.links[at + 1]);
        if follows && leads {
            keys.scores[at] = new;
        }
        follows && leads
    }

    /// How many members stand before; `before` holds for these and for none behind them.
    pub(super) fn partition(&self, before: impl Fn(f64, &L) -> bool) -> usize {
        let mut skipped = 0;
        let Some(mut node) = self.root.as_ref() else { return 0 };
        loop {
            match node {
                Node::Leaf(keys) => return skipped + keys.partition(&before),
                Node::Inner(inner) => {
                    let child = inner.firsts.partition(&before).saturating_sub(1);
                    skipped += inner.counts[..child].iter().sum::<usize>();
                    node = inner.node(child);
                }
            }
        }
    }

    /// The place of the member of this score and text.
    pub(super) fn rank(&self, score: f64, text: &[u8]) -> usize {
        self.partition(before(score, text))
    }

    /// The leaf of the member `index`, which must exist, and its place there.
    fn leaf_of(&self, index: usize) -> (&Keys<L, LEAF>, usize) {
        let mut node = self.root.as_ref().expect("the callers check the index");
        let mut rest = index;
        loop {
            match node {
                Node::Leaf(keys) => return (keys, rest),
                Node::Inner(inner) => {
                    let (child, place) = inner.child_at(rest);
                    (node, rest) = (inner.node(child), place);
                }
            }
        }
    }

    /// The members at these places.
    pub(super) fn range(&self, from: usize, to: usize) -> Iter<'_, L> {
        let to = to.min(self.len);
        Iter { order: self, from: from.min(to), to, front: (&[], &[]), back: (&[], &[]) }
    }

    /// Heap bytes of the nodes.
    pub(super) fn memory(&self) -> usize {
        fn of<L>(node: &Node<L>) -> usize {
            match node {
                Node::Leaf(_) => size_of::<Keys<L, LEAF>>(),
                Node::Inner(inner) => {
                    size_of::<Inner<L>>() + inner.nodes.iter().flatten().map(of).sum::<usize>()
                }
            }
        }
        self.root.as_ref().map_or(0, of)
    }

    /// Frees up to so many leaves, the last ones first; `true` if some are left. The links lead nowhere any more.
    pub(super) fn free_some(&mut self, leaves: usize) -> bool {
        for _ in 0..leaves {
            if self.root.as_mut().is_none_or(Node::free_last) {
                self.root = None;
            }
        }
        self.root.is_some()
    }
}

/// Members in order, from either end.
pub(super) struct Iter<'a, L> {
    order: &'a Order<L>,
    /// The members not yet given: `from..to`.
    from: usize,
    to: usize,
    /// What is left of the leaf at either end.
    front: (&'a [f64], &'a [L]),
    back: (&'a [f64], &'a [L]),
}

impl<L: Place> Iterator for Iter<'_, L> {
    type Item = (f64, L);

    #[inline]
    fn next(&mut self) -> Option<(f64, L)> {
        if self.from == self.to {
            return None;
        }
        if self.front.0.is_empty() {
            let (leaf, at) = self.order.leaf_of(self.from);
            self.front = (&leaf.scores[at..leaf.len], &leaf.links[at..leaf.len]);
            self.front.1.iter().take(AHEAD.min(self.to - self.from)).for_each(Place::prefetch);
        }
        if let Some(link) = self.front.1.get(AHEAD) {
            link.prefetch();
        }
        let ((score, scores), (link, links)) = (self.front.0.split_first()?, self.front.1.split_first()?);
        self.front = (scores, links);
        self.from += 1;
        Some((*score, *link))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.to - self.from, Some(self.to - self.from))
    }
}

impl<L: Place> DoubleEndedIterator for Iter<'_, L> {
    #[inline]
    fn next_back(&mut self) -> Option<(f64, L)> {
        if self.from == self.to {
            return None;
        }
        if self.back.0.is_empty() {
            let (leaf, at) = self.order.leaf_of(self.to - 1);
            self.back = (&leaf.scores[..=at], &leaf.links[..=at]);
            self.back.1.iter().rev().take(AHEAD.min(self.to - self.from)).for_each(Place::prefetch);
        }
        if let Some(link) = self.back.1.iter().nth_back(AHEAD) {
            link.prefetch();
        }
        let ((score, scores), (link, links)) = (self.back.0.split_last()?, self.back.1.split_last()?);
        self.back = (scores, links);
        self.to -= 1;
        Some((*score, *link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    impl Place for &'static str {
        fn text(&self) -> &[u8] {
            self.as_bytes()
        }

        fn prefetch(&self) {}
    }

    /// What a node says of itself and its children must be so.
    fn check(node: &Node<&'static str>) -> (usize, f64, &'static str) {
        match node {
            Node::Leaf(keys) => {
                assert!(0 < keys.len && keys.len <= LEAF);
                (keys.len, keys.scores[0], keys.links[0])
            }
            Node::Inner(inner) => {
                assert!(0 < inner.len() && inner.nodes[inner.len()..].iter().all(Option::is_none));
                let mut sum = 0;
                for child in 0..inner.len() {
                    let (count, score, link) = check(inner.node(child));
                    assert_eq!(count, inner.counts[child]);
                    assert_eq!((score, link), (inner.firsts.scores[child], inner.firsts.links[child]));
                    sum += count;
                }
                (sum, inner.firsts.scores[0], inner.firsts.links[0])
            }
        }
    }

    fn compare(order: &Order<&'static str>, model: &[(f64, &'static str)]) {
        assert_eq!(order.len, model.len());
        assert_eq!(order.root.as_ref().map_or(0, |root| check(root).0), model.len());
        assert!(order.range(0, usize::MAX).eq(model.iter().copied()));
        assert!(order.range(0, usize::MAX).rev().eq(model.iter().rev().copied()));
    }

    /// Texts that live as long as the tests.
    fn names(count: usize) -> Vec<&'static str> {
        (0..count).map(|number| &*Box::leak(format!("{number:05}").into_boxed_str())).collect()
    }

    #[test]
    fn an_order_is_what_a_sorted_vector_is() {
        let names = names(20_000);
        // Few scores, many scores; growing most of the time, then shrinking.
        for (seed, scores) in [(1, 3u64), (2, 1_000_000)] {
            let mut random = Random::seeded(seed);
            let (mut order, mut model) = (Order::default(), Vec::new());
            let mut free = names.clone();
            for step in 0..60_000 {
                let grow = if step < 25_000 { 80 } else { 35 };
                if random.below(100) < grow && !free.is_empty() {
                    let name = free.swap_remove(random.below(free.len() as u64) as usize);
                    let score = random.below(scores) as f64;
                    let at = model.partition_point(|other| *other < (score, name));
                    model.insert(at, (score, name));
                    order.insert(score, name);
                } else if !model.is_empty() {
                    let at = random.below(model.len() as u64) as usize;
                    let (score, name) = model[at];
                    assert_eq!(order.rank(score, name.as_bytes()), at);
                    assert_eq!(order.range(at, at + 1).next(), Some(model[at]));
                    let new = score + random.below(3) as f64 - 1.0;
                    if random.below(4) == 0 && order.rescore(score, name.as_bytes(), new) {
                        model[at].0 = new;
                        assert!(model.is_sorted());
                        continue;
                    }
                    model.remove(at);
                    free.push(name);
                    match random.below(2) {
                        0 => assert_eq!(order.remove_at(at), Some(name)),
                        _ => assert_eq!(order.remove(score, name.as_bytes()), Some(name)),
                    }
                    assert_eq!(order.remove(score, name.as_bytes()), None);
                }
                if step % 5000 == 0 {
                    compare(&order, &model);
                    let limit = random.below(scores) as f64;
                    assert_eq!(
                        order.partition(|score, _| score <= limit),
                        model.partition_point(|other| other.0 <= limit)
                    );
                }
            }
            compare(&order, &model);
            while !model.is_empty() {
                let at = model.len() / 3;
                assert_eq!(order.remove_at(at), Some(model.remove(at).1));
            }
            compare(&order, &model);
        }
    }

    #[test]
    fn members_that_come_in_order_fill_their_leaves() {
        let names = names(20_000);
        for backwards in [false, true] {
            let mut order = Order::default();
            for number in 0..names.len() {
                let number = if backwards { names.len() - 1 - number } else { number };
                order.insert(number as f64, names[number]);
            }
            let leaves = names.len().div_ceil(LEAF) + 1;
            let bytes = leaves * size_of::<Keys<&str, LEAF>>();
            assert!(order.memory() < bytes + bytes / 10, "{} {bytes}", order.memory());
        }
    }

    #[test]
    fn it_is_freed_in_slices() {
        let names = names(20_000);
        let mut order = Order::default();
        for (number, name) in names.iter().enumerate() {
            order.insert((number * 7919 % 20_000) as f64, *name);
        }
        let mut slices = 1;
        while order.free_some(10) {
            slices += 1;
        }
        assert!((20_000 / LEAF / 10..=20_000 / LEAF / 3).contains(&slices), "{slices}");
        assert_eq!(order.memory(), 0);
    }
}
