//! What Redis's radix tree of the same nodes would look like, which `XINFO STREAM` tells.

use crate::data::stream::Entries;
use crate::data::stream::id::Id;

/// Bytes of a key in that tree: both numbers of an ID, the highest byte first.
const KEY_LEN: usize = 16;

/// How many bytes two keys have in common at their beginning.
fn common(a: Id, b: Id) -> usize {
    let key = |id: Id| u128::from(id.ms) << 64 | u128::from(id.seq);
    (key(a) ^ key(b)).leading_zeros() as usize / 8
}

impl Entries {
    /// Nodes of the radix tree that has the bases of our nodes for keys: a node for each point where keys part, one for
    /// what keys have in common between two such points, and one for each key's end.
    pub fn radix_nodes(&self) -> usize {
        let keys = self.nodes.len();
        if keys < 2 {
            return 1 + keys;
        }
        let bases = self.nodes.iter().map(|node| node.base);
        let commons: Vec<usize> = bases.clone().zip(bases.skip(1)).map(|(a, b)| common(a, b)).collect();
        // Whatever lies between the point at `above` and something at `below` takes a node, unless that is one byte,
        // which the point itself holds.
        let between = |above: usize, below: usize| usize::from(above + 1 < below);
        let mut nodes = keys;
        for key in 0..keys {
            let before = key.checked_sub(1).map_or(0, |at| commons[at]);
            let after = commons.get(key).copied().unwrap_or(0);
            nodes += between(before.max(after), KEY_LEN);
        }
        // The points on the way to the key that is looked at, by their depth.
        let mut points: Vec<usize> = Vec::new();
        for depth in commons.iter().copied() {
            while let Some(top) = points.pop_if(|top| depth < *top) {
                nodes += 1 + between(points.last().copied().unwrap_or(0).max(depth), top);
            }
            if points.last() != Some(&depth) {
                points.push(depth);
            }
        }
        while let Some(top) = points.pop() {
            nodes += 1 + match points.last() {
                Some(above) => between(*above, top),
                None => usize::from(0 < top),
            };
        }
        nodes
    }
}
