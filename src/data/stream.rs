//! A stream.

use crate::data::collection::Collection;
use crate::data::pack::Pack;

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    pack: Pack,
}

impl Collection for Stream {
    fn encoding(&self) -> &'static str {
        "stream"
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
