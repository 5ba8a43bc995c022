//! A hash.

use crate::data::collection::Collection;
use crate::data::pack::Pack;

/// A hash.
#[derive(Clone, Debug, Default)]
pub struct Hash {
    pack: Pack,
}

impl Collection for Hash {
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
