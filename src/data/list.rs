//! The list type: compact nodes.
//!
//! A short list is one run of elements (see `list/run.rs`), one allocation however many elements it has;
//! Redis calls that encoding `listpack`. Past the limit of `list-max-listpack-size` it becomes a deque of
//! such runs, `quicklist`. An element costs two bytes beside its text, and pushing at either end writes into
//! slack kept there for it. Elements above the size limit stand alone in shared buffers, so that replies
//! refer to them without a copy.
//!
//! Not chosen: one allocation an element (sixteen bytes or more of overhead each), and linked nodes (a long
//! walk to the middle; a deque of ten thousand nodes is a few cache lines' scan).
//!
//! When the encoding changes is Redis's: to `quicklist` before a command adds what does not fit, counting
//! only the texts it brings; back to `listpack` after a removal or replacement that leaves one run of at most
//! half the limit.

mod run;
mod quick;
mod iter;
#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;

use crate::data::collection::Collection;
pub use crate::data::element::Item;
use crate::data::element::{Encoded, Needle};
use iter::View;
pub use iter::{Iter, IterRev};
use quick::{Node, Quick, Value};
pub use run::End;
use run::Run;

/// A run never grows beyond this, whatever number of tiny elements one command brings.
const RUN_BYTES_MAX: usize = 16 << 20;

/// How big a node may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `list-max-listpack-size`. Above zero: the number of elements (and at most 8 KiB); -1 to -5: 4, 8, 16, 32
    /// or 64 KiB. Zero counts as one element, anything below -5 as -5.
    pub fill: i32,
    /// `DEBUG QUICKLIST-PACKED-THRESHOLD`: bytes from which an element of a long list stands alone although a
    /// node had room for it; zero for no such thing.
    pub alone_from: u32,
}

impl Limits {
    /// The bytes a node with a limit on the number of elements may have.
    const BYTES_SAFE: usize = 8192;

    /// What `list-max-listpack-size` says.
    pub const fn of(fill: i32) -> Limits {
        Limits { fill, alone_from: 0 }
    }

    #[inline]
    fn bytes_max(self) -> usize {
        match self.fill {
            0.. => Self::BYTES_SAFE,
            -5..=-1 => 2048 << -self.fill,
            _ => 65_536,
        }
    }

    #[inline]
    fn count_max(self) -> usize {
        usize::try_from(self.fill).map_or(usize::MAX, |count| count.max(1))
    }

    /// Whether a node of so many bytes and elements is too big.
    #[inline]
    fn exceeded(self, bytes: usize, count: usize) -> bool {
        self.bytes_max() < bytes || self.count_max() < count
    }

    /// Whether an element is too big for any run.
    #[inline]
    fn is_large(self, bytes: usize) -> bool {
        self.bytes_max() < bytes
    }

    /// Whether an element of a long list is a node of its own.
    #[inline]
    fn stands_alone(self, bytes: usize) -> bool {
        self.is_large(bytes) || (self.alone_from != 0 && self.alone_from as usize <= bytes)
    }

    /// Whether a list of one such node turns back into its small form: half the limit, so that a list around
    /// the limit does not go to and fro. A limit on the number of elements ignores the bytes here, as in
    /// Redis.
    fn small_again(self, bytes: usize, count: usize) -> bool {
        match self.fill {
            0.. => count <= self.count_max() / 2,
            _ => bytes <= self.bytes_max() / 2,
        }
    }
}

/// A node as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub enum Packed<'a> {
    /// Elements in the encoding of a listpack, without its header and its end mark.
    Run {
        /// One behind the other.
        elements: &'a [u8],
        /// How many.
        count: usize,
    },
    /// One large element.
    Alone(&'a [u8]),
}

/// A list of byte strings.
#[derive(Clone, Debug)]
pub struct List {
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// `listpack`.
    Small(Run),
    /// `quicklist`.
    Quick(Box<Quick>),
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// An empty list; allocates nothing.
    pub fn new() -> Self {
        List { form: Form::Small(Run::default()) }
    }

    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Small(run) => run.count(),
            Form::Quick(quick) => quick.len,
        }
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of nodes, for `DEBUG OBJECT`; one for the small form.
    pub fn nodes(&self) -> usize {
        match &self.form {
            Form::Small(_) => 1,
            Form::Quick(quick) => quick.nodes.len(),
        }
    }

    /// Hands over node after node, for `DEBUG OBJECT`.
    pub fn for_each_node(&self, mut visit: impl FnMut(Packed<'_>)) {
        for node in 0..self.nodes() {
            match (self.run(node), self.view(node)) {
                (Some(run), _) => visit(Packed::Run { elements: run.body(), count: run.count() }),
                (None, Some(View::Alone(Item::Shared(bytes)))) => visit(Packed::Alone(bytes)),
                (None, _) => {}
            }
        }
    }

    /// Prepares for a command that is going to add `count` values of together `bytes` bytes: the encoding is
    /// decided once for all of them, as Redis does. Then push them one by one on what is returned.
    pub fn grow(&mut self, bytes: usize, count: usize, limits: Limits) -> Growth<'_> {
        if let Form::Small(run) = &self.form
            && limits.exceeded(run.size().saturating_add(bytes), run.count().saturating_add(count))
        {
            self.make_quick();
        }
        Growth { list: self, limits }
    }

    /// Adds one value at an end.
    #[inline]
    pub fn push(&mut self, end: End, value: &[u8], limits: Limits) {
        self.grow(value.len(), 1, limits).push(end, value);
    }

    /// Adds one value at the head.
    #[inline]
    pub fn push_front(&mut self, value: &[u8], limits: Limits) {
        self.push(End::Front, value, limits);
    }

    /// Adds one value at the tail.
    #[inline]
    pub fn push_back(&mut self, value: &[u8], limits: Limits) {
        self.push(End::Back, value, limits);
    }

    /// Adds one value at the head, see [`Growth::push_shared`].
    pub fn push_front_shared(&mut self, value: Bytes, limits: Limits) {
        self.grow(value.len(), 1, limits).push_shared(End::Front, value);
    }

    /// Adds one value at the tail, see [`Growth::push_shared`].
    pub fn push_back_shared(&mut self, value: Bytes, limits: Limits) {
        self.grow(value.len(), 1, limits).push_shared(End::Back, value);
    }

    /// The element at an end.
    #[inline]
    pub fn peek(&self, end: End) -> Option<Item<'_>> {
        match &self.form {
            Form::Small(run) => run.peek(end),
            Form::Quick(quick) => quick.peek(end),
        }
    }

    /// Hands the element at an end to `use_it`, then removes it. `None` for an empty list.
    #[inline]
    pub fn pop<R>(&mut self, end: End, limits: Limits, use_it: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let result = use_it(self.peek(end)?);
        match &mut self.form {
            Form::Small(run) => {
                run.drop_end(end);
                run.shrink_if_sparse();
            }
            Form::Quick(quick) => {
                quick.drop_end(end);
                self.make_small_if_fit(limits);
            }
        }
        Some(result)
    }

    /// [`List::pop`] at the head.
    #[inline]
    pub fn pop_front<R>(&mut self, limits: Limits, use_it: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        self.pop(End::Front, limits, use_it)
    }

    /// [`List::pop`] at the tail.
    #[inline]
    pub fn pop_back<R>(&mut self, limits: Limits, use_it: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        self.pop(End::Back, limits, use_it)
    }

    /// The element `index`; below zero counts from the tail, -1 being the last.
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        let index = self.resolve(index)?;
        Some(match &self.form {
            Form::Small(run) => run.get(index),
            Form::Quick(quick) => quick.get(index),
        })
    }

    /// Replaces the element `index` (as in [`List::get`]); `false` if there is none.
    pub fn set(&mut self, index: i64, value: &[u8], limits: Limits) -> bool {
        self.set_value(index, Value::Borrowed(value), limits)
    }

    /// [`List::set`] with a buffer that may be kept, see [`Growth::push_shared`].
    pub fn set_shared(&mut self, index: i64, value: Bytes, limits: Limits) -> bool {
        self.set_value(index, Value::Shared(value), limits)
    }

    fn set_value(&mut self, index: i64, value: Value<'_>, limits: Limits) -> bool {
        let Some(index) = self.resolve(index) else { return false };
        self.grow(value.text().len(), 1, limits);
        match &mut self.form {
            Form::Small(run) => {
                run.replace(index, &Encoded::new(value.text()), limits.bytes_max());
                run.shrink_if_sparse();
            }
            Form::Quick(quick) => quick.set(index, value, limits),
        }
        self.make_small_if_fit(limits);
        true
    }

    /// Puts a value before the element `index`, or at the tail if `index` is the length or more.
    pub fn insert(&mut self, index: usize, value: &[u8], limits: Limits) {
        if self.len() <= index {
            return self.push_back(value, limits);
        }
        self.grow(value.len(), 1, limits);
        let (node, place) = self.locate(index);
        self.insert_at(node, place, false, value, limits);
    }

    /// Puts a value before (or `after`) the first element that equals `pivot`; `false` if there is none.
    ///
    /// The form is decided before the search, so a missing pivot may still leave a `quicklist`. So it is in
    /// Redis.
    pub fn insert_beside(&mut self, pivot: &[u8], after: bool, value: &[u8], limits: Limits) -> bool {
        self.grow(value.len(), 1, limits);
        let needle = Needle::new(pivot);
        let Some(index) = self.iter().position(|item| needle.matches(item)) else { return false };
        let (node, place) = self.locate(index);
        self.insert_at(node, place, after, value, limits);
        true
    }

    fn insert_at(&mut self, node: usize, place: usize, after: bool, value: &[u8], limits: Limits) {
        match &mut self.form {
            Form::Small(run) => {
                run.insert(place + usize::from(after), &Encoded::new(value), limits.bytes_max());
            }
            Form::Quick(quick) => quick.insert(node, place, after, Value::Borrowed(value), limits),
        }
    }

    /// The elements `start..start + count`, as far as they exist, head to tail.
    pub fn range(&self, start: usize, count: usize) -> Iter<'_> {
        Iter::new(self, start, count.min(self.len().saturating_sub(start)))
    }

    /// All elements, head to tail.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0, self.len())
    }

    /// All elements, tail to head.
    pub fn iter_rev(&self) -> IterRev<'_> {
        IterRev::new(self)
    }

    /// Removes up to `count` elements (0: all) that equal `value`, beginning at the end `from`. Returns how
    /// many.
    pub fn remove_matching(&mut self, value: &[u8], count: usize, from: End, limits: Limits) -> usize {
        let most = if count == 0 { usize::MAX } else { count };
        let needle = Needle::new(value);
        let removed = match &mut self.form {
            Form::Small(run) => {
                let removed = run.remove_matching(needle, most, from);
                run.shrink_if_sparse();
                removed
            }
            Form::Quick(quick) => quick.remove_matching(needle, most, from, limits),
        };
        if 0 < removed {
            self.make_small_if_fit(limits);
        }
        removed
    }

    /// Removes all elements outside of `keep`.
    pub fn trim(&mut self, keep: Range<usize>, limits: Limits) {
        let end = keep.end.min(self.len());
        if end <= keep.start {
            *self = List::new();
            return;
        }
        for (end, count) in [(End::Back, self.len() - end), (End::Front, keep.start)] {
            match &mut self.form {
                Form::Small(run) => run.drop_many(end, count),
                Form::Quick(quick) => quick.drop_many(end, count),
            }
        }
        if let Form::Small(run) = &mut self.form {
            run.shrink_if_sparse();
        }
        self.make_small_if_fit(limits);
    }

    /// Finds elements that equal `value`, as LPOS does. A `rank` of 2 begins with the second match, -1 with
    /// the last and goes towards the head. At most `matches` are reported and at most `compared` elements
    /// looked at, 0 meaning no limit. `found` receives indexes from the head. A `rank` of 0 finds nothing.
    pub fn position(
        &self,
        value: &[u8],
        rank: i64,
        matches: usize,
        compared: usize,
        mut found: impl FnMut(usize),
    ) {
        let needle = Needle::new(value);
        let or_all = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        let skip = usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX).wrapping_sub(1);
        let (matches, compared) = (or_all(matches), or_all(compared));
        if 0 < rank {
            let hits = self.iter().take(compared).enumerate().filter(|&(_, item)| needle.matches(item));
            hits.skip(skip).take(matches).for_each(|(index, _)| found(index));
        } else if rank < 0 {
            let last = self.len().wrapping_sub(1);
            let hits = self.iter_rev().take(compared).enumerate().filter(|&(_, item)| needle.matches(item));
            hits.skip(skip).take(matches).for_each(|(index, _)| found(last - index));
        }
    }

    /// The index from the head of an index that may count from the tail.
    fn resolve(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let index = match usize::try_from(index) {
            Ok(index) => index,
            Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        (index < len).then_some(index)
    }

    /// The node of an existing element and its place there.
    fn locate(&self, index: usize) -> (usize, usize) {
        match &self.form {
            Form::Small(_) => (0, index),
            Form::Quick(quick) => quick.locate(index),
        }
    }

    fn run(&self, node: usize) -> Option<&Run> {
        match &self.form {
            Form::Small(run) => Some(run),
            Form::Quick(quick) => match &quick.nodes[node] {
                Node::Run(run) => Some(run),
                Node::Alone(_) => None,
            },
        }
    }

    fn view(&self, node: usize) -> Option<View<'_>> {
        match &self.form {
            Form::Small(run) => (node == 0).then_some(View::Run(run.body())),
            Form::Quick(quick) => quick.nodes.get(node).map(View::from),
        }
    }

    fn make_quick(&mut self) {
        if let Form::Small(run) = &mut self.form {
            self.form = Form::Quick(Box::new(Quick::from_run(std::mem::take(run))));
        }
    }

    fn make_small_if_fit(&mut self, limits: Limits) {
        let Form::Quick(quick) = &mut self.form else { return };
        if 1 < quick.nodes.len() {
            return;
        }
        let mut run = match quick.nodes.front_mut() {
            None => Run::default(),
            Some(Node::Run(run)) if limits.small_again(run.size(), run.count()) => std::mem::take(run),
            Some(_) => return,
        };
        run.seal();
        self.form = Form::Small(run);
    }
}

/// Lists of more nodes than this are freed in slices.
const HEAVY_NODES: usize = 64;

impl Collection for List {
    fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Small(_) => "listpack",
            Form::Quick(_) => "quicklist",
        }
    }

    fn memory(&self) -> usize {
        size_of::<List>()
            + match &self.form {
                Form::Small(run) => run.memory(),
                Form::Quick(quick) => quick.memory(),
            }
    }

    fn rough_memory(&self) -> usize {
        match &self.form {
            Form::Quick(quick) => size_of::<List>() + quick.rough_memory(),
            Form::Small(_) => self.memory(),
        }
    }

    fn is_heavy(&self) -> bool {
        HEAVY_NODES < self.nodes()
    }

    fn free_some(&mut self, units: usize) -> bool {
        if let Form::Quick(quick) = &mut self.form {
            let kept = quick.nodes.len().saturating_sub(units);
            let gone: usize = quick.nodes.drain(kept..).map(|node| node.count()).sum();
            quick.len -= gone;
            if 0 < kept {
                return true;
            }
        }
        *self = List::new();
        false
    }
}

/// Makes a list of nodes as they come, from an RDB file.
#[derive(Default)]
pub struct Builder {
    quick: Quick,
}

impl Builder {
    /// Adds a node of `count` elements in the encoding of a run, which the caller has checked. None are no node.
    pub fn add_run(&mut self, elements: &[u8], count: usize) {
        if 0 < count {
            self.quick.len += count;
            self.quick.nodes.push_back(Node::Run(Run::from_elements(elements, count)));
        }
    }

    /// Adds a node that is one large element.
    pub fn add_alone(&mut self, text: Bytes) {
        self.quick.len += 1;
        self.quick.nodes.push_back(Node::Alone(text));
    }

    /// The list: small if it is one run within the limits, as in Redis.
    pub fn finish(mut self, limits: Limits) -> List {
        self.quick.nodes.shrink_to_fit();
        let form = match self.quick.nodes.front_mut() {
            None => return List::new(),
            Some(Node::Run(run))
                if run.count() == self.quick.len && !limits.exceeded(run.size(), run.count()) =>
            {
                Form::Small(std::mem::take(run))
            }
            Some(_) => Form::Quick(Box::new(self.quick)),
        };
        List { form }
    }
}

/// Pushes values onto a list that [`List::grow`] has prepared for them.
pub struct Growth<'a> {
    list: &'a mut List,
    limits: Limits,
}

impl Growth<'_> {
    /// Adds a value at an end.
    #[inline]
    pub fn push(&mut self, end: End, value: &[u8]) {
        self.push_value(end, Value::Borrowed(value));
    }

    /// Adds a value at an end; a large one is kept as it is, without a copy. It must not be a small part of a
    /// big buffer, which it would keep alive.
    pub fn push_shared(&mut self, end: End, value: Bytes) {
        self.push_value(end, Value::Shared(value));
    }

    #[inline]
    fn push_value(&mut self, end: End, value: Value<'_>) {
        let len = value.text().len();
        if let Form::Small(run) = &mut self.list.form {
            if !self.limits.is_large(len) && run.size() + len < RUN_BYTES_MAX {
                return run.push(end, &Encoded::new(value.text()), self.limits.bytes_max());
            }
            // More than was announced, or a flood of tiny elements.
            self.list.make_quick();
        }
        if let Form::Quick(quick) = &mut self.list.form {
            quick.push(end, value, self.limits);
        }
    }
}
