//! A sorted set.

use crate::data::collection::Collection;
use crate::data::pack::Pack;

/// A sorted set.
#[derive(Clone, Debug, Default)]
pub struct Zset {
    pack: Pack,
}

impl Collection for Zset {
    fn encoding(&self) -> &'static str {
        "listpack"
    }

    fn memory(&self) -> usize {
        self.pack.memory()
    }

    fn is_heavy(&self) -> bool {
        false
    }

    fn free_some(&mut self, _units: usize) -> bool {
        false
    }
}
