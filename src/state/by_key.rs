//! Something that is remembered for some keys of some databases: who watches them, who waits for them.

use std::collections::HashMap;

/// Values by database and key.
#[derive(Debug)]
pub struct ByKey<V> {
    databases: Vec<HashMap<Box<[u8]>, V>>,
}

impl<V> Default for ByKey<V> {
    fn default() -> Self {
        ByKey { databases: Vec::new() }
    }
}

impl<V: Default> ByKey<V> {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.databases.iter().all(HashMap::is_empty)
    }

    /// For how many keys something is remembered.
    pub fn len(&self) -> usize {
        self.databases.iter().map(HashMap::len).sum()
    }

    /// What is remembered for a key.
    pub fn get(&self, database: usize, key: &[u8]) -> Option<&V> {
        self.databases.get(database)?.get(key)
    }

    /// What is remembered for a key, for changing.
    pub fn get_mut(&mut self, database: usize, key: &[u8]) -> Option<&mut V> {
        self.databases.get_mut(database)?.get_mut(key)
    }

    /// What is remembered for a key; nothing yet, if need be.
    pub fn entry(&mut self, database: usize, key: &[u8]) -> &mut V {
        if self.databases.len() <= database {
            self.databases.resize_with(database + 1, HashMap::new);
        }
        self.databases[database].entry(key.into()).or_default()
    }

    /// Forgets what is remembered for a key.
    pub fn remove(&mut self, database: usize, key: &[u8]) {
        if let Some(keys) = self.databases.get_mut(database) {
            keys.remove(key);
        }
    }

    /// The keys of a database for which something is remembered.
    pub fn keys(&self, database: usize) -> impl Iterator<Item = &[u8]> {
        self.databases.get(database).into_iter().flat_map(|keys| keys.keys().map(|key| &key[..]))
    }

    /// All of a database.
    pub fn iter(&self, database: usize) -> impl Iterator<Item = (&[u8], &V)> {
        self.databases
            .get(database)
            .into_iter()
            .flat_map(|keys| keys.iter().map(|(key, value)| (&key[..], value)))
    }
}
