//! Which replies must wait for which batch of the log, under `appendfsync always`.
//!
//! The records of a turn are one batch with a number. The reply of a write waits until its batch is on disk; so
//! does the reply of a read that saw a key which a batch not yet on disk has changed. Everybody else's goes out.
//! Keys are remembered by database and hash only: two keys that share a hash wait for each other, which is rare
//! and harmless.

use std::collections::HashMap;

/// The open batches and what they changed.
#[derive(Default, Debug)]
pub struct Gate {
    /// Whether replies wait at all.
    pub active: bool,
    /// The number of the batch that is being collected.
    current: u64,
    /// Every batch up to this one is on disk.
    synced: u64,
    /// The last batch that changed each key.
    keys: HashMap<(usize, u64), u64>,
    /// The last batch that changed something of the whole keyspace.
    whole: u64,
    /// The last batch that changed anything.
    any: u64,
}

impl Gate {
    /// Number of the batch that is being collected.
    pub fn current(&self) -> u64 {
        self.current + 1
    }

    /// Every batch up to this one is on disk.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// The batch being collected changes a key.
    pub fn changed(&mut self, database: usize, hash: u64) {
        let batch = self.current();
        self.keys.insert((database, hash), batch);
        self.any = batch;
    }

    /// The batch being collected changes many keys.
    pub fn changed_whole(&mut self) {
        self.whole = self.current();
        self.any = self.current();
    }

    /// Batches up to this one may have changed anything, and nobody has noted what.
    pub fn changed_before(&mut self, batch: u64) {
        self.whole = self.whole.max(batch);
        self.any = self.any.max(batch);
    }

    /// The batch that a reader of this key depends on; 0 = none.
    pub fn of_key(&self, database: usize, hash: u64) -> u64 {
        self.open(self.whole.max(self.keys.get(&(database, hash)).copied().unwrap_or(0)))
    }

    /// The batch that a reader of the whole keyspace depends on; 0 = none.
    pub fn of_all(&self) -> u64 {
        self.open(self.any)
    }

    fn open(&self, batch: u64) -> u64 {
        if self.synced < batch { batch } else { 0 }
    }

    /// The batch being collected has been written; the next one begins. Returns its number.
    pub fn close_batch(&mut self) -> u64 {
        self.current += 1;
        self.current
    }

    /// Every batch up to `batch` is on disk.
    pub fn set_synced(&mut self, batch: u64) {
        self.synced = self.synced.max(batch);
        if self.any <= self.synced {
            self.keys.clear();
        } else {
            let synced = self.synced;
            self.keys.retain(|_, batch| synced < *batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_wait_for_what_they_saw_and_nothing_else() {
        let mut gate = Gate { active: true, ..Gate::default() };
        gate.changed(0, 7);
        assert_eq!((gate.of_key(0, 7), gate.of_key(1, 7), gate.of_all()), (1, 0, 1));
        assert_eq!(gate.close_batch(), 1);
        gate.changed_whole();
        assert_eq!((gate.of_key(0, 7), gate.of_key(1, 7)), (2, 2));
        gate.close_batch();
        gate.set_synced(1);
        assert_eq!((gate.of_key(0, 8), gate.of_all()), (2, 2));
        gate.set_synced(2);
        assert_eq!((gate.of_key(0, 7), gate.of_all()), (0, 0));
        gate.close_batch();
        gate.close_batch();
        gate.changed_before(3);
        assert_eq!((gate.of_key(0, 7), gate.of_all()), (3, 3));
        gate.set_synced(3);
        assert_eq!((gate.of_key(0, 7), gate.of_all()), (0, 0));
    }
}
