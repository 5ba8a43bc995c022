//! A sequence ordered by ID, for what waits to be acknowledged: chunks of elements, each chunk ordered and the chunks
//! in order, so that a chunk and then a place in it are found by bisection.
//!
//! IDs mostly come in ascending order and go from the front, so chunks are filled to the brim (the last one is never
//! split by an element behind it) and little memory is lost; in the middle at most a chunk's worth of elements moves.
//! A tree would take about twice the memory for the same.

use std::collections::VecDeque;

use crate::data::stream::id::Id;

/// Elements of a chunk at most.
const CHUNK: usize = 64;
/// Neighbours that together have no more elements than this become one chunk.
const MERGED_MAX: usize = CHUNK / 2;

/// What has an ID.
pub trait Keyed {
    /// The ID, by which elements are ordered.
    fn id(&self) -> Id;
}

impl Keyed for Id {
    fn id(&self) -> Id {
        *self
    }
}

/// See the head of the file. Invariant: no chunk is empty.
#[derive(Clone, Debug)]
pub struct Ordered<T> {
    chunks: VecDeque<Vec<T>>,
    len: usize,
}

impl<T> Default for Ordered<T> {
    fn default() -> Ordered<T> {
        Ordered { chunks: VecDeque::new(), len: 0 }
    }
}

impl<T: Keyed> Ordered<T> {
    /// How many elements there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Heap bytes.
    pub fn memory(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<T>()).sum();
        chunks + self.chunks.capacity() * size_of::<Vec<T>>()
    }

    /// The chunk that holds the ID if any does.
    fn chunk_of(&self, id: Id) -> usize {
        self.chunks.partition_point(|chunk| chunk[0].id() <= id).saturating_sub(1)
    }

    fn find(&self, id: Id) -> Option<(usize, usize)> {
        let chunk = self.chunk_of(id);
        let at = self.chunks.get(chunk)?.binary_search_by_key(&id, T::id).ok()?;
        Some((chunk, at))
    }

    /// The element of this ID.
    pub fn get(&self, id: Id) -> Option<&T> {
        self.find(id).map(|(chunk, at)| &self.chunks[chunk][at])
    }

    /// The element of this ID, for changing anything but its ID.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.find(id).map(|(chunk, at)| &mut self.chunks[chunk][at])
    }

    /// Adds an element; `false` if there is one of its ID, which then stays.
    pub fn insert(&mut self, element: T) -> bool {
        let id = element.id();
        let Some(last) = self.chunks.back() else {
            self.chunks.push_back(vec![element]);
            self.len = 1;
            return true;
        };
        if last[last.len() - 1].id() < id {
            if last.len() == CHUNK {
                self.chunks.push_back(Vec::new());
            }
            self.chunks.back_mut().expect("there is one").push(element);
            self.len += 1;
            return true;
        }
        let mut chunk = self.chunk_of(id);
        let Err(mut at) = self.chunks[chunk].binary_search_by_key(&id, T::id) else { return false };
        if self.chunks[chunk].len() == CHUNK {
            let upper = self.chunks[chunk].split_off(CHUNK / 2);
            self.chunks.insert(chunk + 1, upper);
            if CHUNK / 2 < at {
                (chunk, at) = (chunk + 1, at - CHUNK / 2);
            }
        }
        self.chunks[chunk].insert(at, element);
        self.len += 1;
        true
    }

    /// Takes the element of this ID out.
    pub fn remove(&mut self, id: Id) -> Option<T> {
        let (chunk, at) = self.find(id)?;
        let removed = self.chunks[chunk].remove(at);
        self.len -= 1;
        let len = self.chunks[chunk].len();
        if len == 0 {
            self.chunks.remove(chunk);
        } else if let Some(next) = self.chunks.get(chunk + 1)
            && len + next.len() <= MERGED_MAX
        {
            let next = self.chunks.remove(chunk + 1).expect("just seen");
            self.chunks[chunk].extend(next);
        }
        Some(removed)
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// The elements from this ID on.
    pub fn from(&self, id: Id) -> impl Iterator<Item = &T> {
        let chunk = self.chunk_of(id);
        let skip = self.chunks.get(chunk).map_or(0, |chunk| chunk.partition_point(|e| e.id() < id));
        self.chunks.iter().skip(chunk).flatten().skip(skip)
    }

    /// The last element.
    pub fn last(&self) -> Option<&T> {
        self.chunks.back().and_then(|chunk| chunk.last())
    }

    /// Frees up to so many chunks from the end; `true` if some are left.
    pub fn free_some(&mut self, chunks: usize) -> bool {
        self.chunks.truncate(self.chunks.len().saturating_sub(chunks));
        self.len = self.len.min(self.chunks.len() * CHUNK);
        !self.chunks.is_empty()
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_what_a_set_is() {
        let mut random = Random::seeded(5);
        let (mut ordered, mut model) = (Ordered::default(), BTreeSet::new());
        for turn in 0..60_000u64 {
            let shrinking = turn / 10_000 % 2 == 1;
            let id = match random.below(3) {
                0 => Id::new(turn, 0),
                _ => Id::new(random.below(3000), random.below(3)),
            };
            if random.below(10) < if shrinking { 2 } else { 7 } {
                assert_eq!(ordered.insert(id), model.insert(id));
            } else {
                assert_eq!(ordered.remove(id), model.take(&id));
            }
            assert_eq!((ordered.len(), ordered.get(id).is_some()), (model.len(), model.contains(&id)));
            if turn % 500 == 0 {
                assert!(ordered.iter().eq(model.iter()));
                assert!(ordered.from(id).eq(model.range(id..)));
                assert_eq!(ordered.last(), model.last());
                assert!(ordered.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
            }
        }
        while ordered.free_some(3) {}
        assert_eq!(ordered.len(), 0);
    }

    #[test]
    fn what_comes_in_order_fills_its_chunks() {
        let mut ordered = Ordered::default();
        (0..6400).for_each(|ms| assert!(ordered.insert(Id::new(ms, 0))));
        assert_eq!(ordered.chunks(), 100);
        assert!(ordered.memory() < 6400 * size_of::<Id>() * 11 / 10);
    }
}
