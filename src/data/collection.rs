//! What all collections have in common, whatever their type: how they are named, what they weigh, how they go.

/// Nodes of a long list or stream that a rough measure of it looks at.
pub const ROUGH_NODES: usize = 64;

/// A list, set, hash, sorted set or stream.
pub trait Collection {
    /// The name that `OBJECT ENCODING` replies.
    fn encoding(&self) -> &'static str;

    /// Heap bytes behind the word that an entry holds.
    fn memory(&self) -> usize;

    /// The same, where it takes a walk about as much: in a time that does not grow with the elements.
    fn rough_memory(&self) -> usize {
        self.memory()
    }

    /// Whether dropping it takes long enough to be done in slices.
    fn is_heavy(&self) -> bool;

    /// Frees about `units` nodes or buckets of a collection nobody will read any more; `true` if some are left.
    fn free_some(&mut self, units: usize) -> bool;
}
