//! Nodes as Redis's listpacks, which is how RDB files hold them.
//!
//! ```text
//!   count, deleted, number of fields, each field, 0
//!   entry: flags, milliseconds and sequence number less those of the base, then
//!            of an entry with the fields above   each value
//!            of any other                        number of fields, then each field and its value
//!          then the number of the entry's elements before this one
//! ```
//!
//! Flags: 1 = deleted, 2 = the fields above. Source: what redis-server 7.0 and 8.0 write. Deleted entries are not written,
//! and not kept when they are read.

use crate::data::element::{self, Encoded, Item};
use crate::data::stream::id::Id;
use crate::data::stream::iter::Entry;
use crate::data::stream::node::{DELETED, Node, SAME_FIELDS};
use crate::data::stream::{ENTRY_BYTES_MAX, Entries};

fn push_integer(out: &mut Vec<u8>, value: i64) {
    Encoded::new(itoa::Buffer::new().format(value).as_bytes()).append_to(out);
}

fn push_item(out: &mut Vec<u8>, item: Item<'_>) {
    item.with_bytes(|text| Encoded::new(text).append_to(out));
}

/// Elements of a stranger, one after the other; `None` where there is none, or one of another kind.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Option<Item<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let (item, len) = element::first(self.0);
        self.0 = &self.0[len..];
        Some(item)
    }

    fn integer(&mut self) -> Option<i64> {
        match self.next()? {
            Item::Int(value) => Some(value),
            _ => None,
        }
    }

    /// A number of elements that can be there.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.integer()?).ok().filter(|count| *count <= self.0.len())
    }

    /// So many texts.
    fn texts(&mut self, count: usize) -> Option<Vec<Vec<u8>>> {
        (0..count).map(|_| self.next().map(|item| item.to_vec())).collect()
    }
}

impl Entries {
    /// Appends the elements of Redis's listpack of node `number` to `out`. Returns the node's base, which is the key
    /// that goes with it, and how many elements those are; `None` behind the last node that is not empty.
    pub fn listpack(&self, number: usize, out: &mut Vec<u8>) -> Option<(Id, usize)> {
        let node = self.nodes.get(number)?;
        let (fields, mut at) = node.fields();
        push_integer(out, node.live() as i64);
        push_integer(out, 0);
        push_integer(out, fields as i64);
        for _ in 0..fields {
            let (item, len) = element::first(&node.bytes()[at..]);
            push_item(out, item);
            at += len;
        }
        push_integer(out, 0);
        let mut elements = 4 + fields;
        let mut at = node.first();
        while at < node.bytes().len() {
            let head = node.head(at);
            if !head.is_deleted() {
                let entry = Entry::of(node, &head);
                elements += push_entry(out, node.base, head.same_fields(), &entry);
            }
            at = node.end(&head);
        }
        Some((node.base, elements))
    }

    /// Adds a node of this base made from the elements of a listpack; `None` if they are not such ones, if an ID does
    /// not follow what is there already, or if an entry is too large. `last_id` and the rest are then the caller's to
    /// set by [`Entries::set_ids`].
    pub fn push_listpack(&mut self, base: Id, elements: &[u8]) -> Option<()> {
        element::count(elements)?;
        let mut elements = Elements(elements);
        let (live, deleted) = (elements.count()?, elements.count()?);
        let fields = elements.count()?;
        let fields = elements.texts(fields)?;
        if elements.integer()? != 0 || fields.is_empty() {
            return None;
        }
        let mut before = self.nodes.back().map(|node| node.last_id());
        let master = || fields.iter().map(|field| (field.as_slice(), &b""[..]));
        let mut node = Node::new(base, master(), 0);
        while !elements.0.is_empty() {
            let (id, flags, texts) = read_entry(&mut elements, base, &fields)?;
            if before.is_some_and(|before| id <= before) || id < base {
                return None;
            }
            before = Some(id);
            if i64::from(DELETED) & flags == 0 {
                node.push(id, texts.iter().map(|(field, value)| (&field[..], &value[..])));
            }
        }
        if node.live() != live as u64 || u64::from(u32::MAX) < live as u64 + deleted as u64 {
            return None;
        }
        node.count_deleted(deleted as u32);
        node.close();
        self.len += node.live();
        self.last_id = self.last_id.max(before.unwrap_or(base));
        self.push_node(node);
        Some(())
    }
}

/// Appends an entry, and returns how many elements that took.
fn push_entry(out: &mut Vec<u8>, base: Id, same: bool, entry: &Entry<'_>) -> usize {
    push_integer(out, if same { i64::from(SAME_FIELDS) } else { 0 });
    push_integer(out, entry.id.ms.wrapping_sub(base.ms) as i64);
    push_integer(out, entry.id.seq.wrapping_sub(base.seq) as i64);
    if !same {
        push_integer(out, entry.len() as i64);
    }
    for (field, value) in entry.pairs() {
        if !same {
            push_item(out, field);
        }
        push_item(out, value);
    }
    let elements = if same { 3 + entry.len() } else { 4 + 2 * entry.len() };
    push_integer(out, elements as i64);
    elements + 1
}

/// Fields and values.
type Texts = Vec<(Vec<u8>, Vec<u8>)>;

fn read_entry(elements: &mut Elements<'_>, base: Id, fields: &[Vec<u8>]) -> Option<(Id, i64, Texts)> {
    let flags = elements.integer()?;
    let ms = base.ms.wrapping_add(elements.integer()? as u64);
    let seq = base.seq.wrapping_add(elements.integer()? as u64);
    let same = i64::from(SAME_FIELDS) & flags != 0;
    let count = if same { fields.len() } else { elements.count()? };
    if count == 0 || flags & !i64::from(DELETED | SAME_FIELDS) != 0 {
        return None;
    }
    let mut texts = Vec::new();
    let mut size = 0;
    let mut names = fields.iter().filter(|_| same);
    for _ in 0..count {
        let field = match names.next() {
            Some(field) => field.clone(),
            None => elements.next()?.to_vec(),
        };
        let value = elements.next()?.to_vec();
        size += (field.len() + value.len()) as u64;
        texts.push((field, value));
    }
    let taken = if same { 3 + count } else { 4 + 2 * count };
    if elements.integer()? != taken as i64 || ENTRY_BYTES_MAX < size {
        return None;
    }
    Some((Id { ms, seq }, flags, texts))
}
