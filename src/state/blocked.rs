//! Clients that wait for keys: `BLPOP` and its like.
//!
//! A command that finds nothing and may wait leaves a [`Blocked`] behind. It stands in the queue of each key it named;
//! a change of such a key makes it *ready*, and after the command that changed it (after the whole transaction, if it
//! was part of one) the engine runs the requests of those who wait for it again, the longest waiting first. One that
//! still finds nothing keeps its place.

use std::collections::{BTreeSet, VecDeque};

use crate::data::entry::Kind;
use crate::resp::request::Request;
use crate::state::by_key::ByKey;

/// A request that waits.
#[derive(Debug)]
pub struct Blocked {
    /// The request, to be run again.
    pub request: Request,
    /// Its command's row.
    pub number: usize,
    /// The database.
    pub database: usize,
    /// The keys it waits for.
    pub keys: Vec<Box<[u8]>>,
    /// What must be at a key for it to be of use.
    pub kind: Kind,
    /// Monotonic milliseconds at which it waits no longer; the maximum for never.
    pub until_ms: u64,
    /// Monotonic milliseconds at which the request is run again though no key has changed; the maximum for never.
    pub again_ms: u64,
    /// A key that goes or changes its type ends the wait, too: there is a group in it that the client reads for.
    pub even_without: bool,
}

impl Blocked {
    /// When something is to be done, whatever happens to the keys.
    pub fn due_ms(&self) -> u64 {
        self.until_ms.min(self.again_ms)
    }
}

/// `CLIENT PAUSE`: requests wait although nothing keeps them from running. Keys neither expire nor are evicted
/// meanwhile, so that the data stands still even if only writes are held up.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// All requests wait, not only those that write.
    pub all: bool,
    /// Monotonic milliseconds at which it ends.
    pub until_ms: u64,
}

/// Those who wait, beside their queues in `State::waits`.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Keys that have changed and are waited for, in order.
    pub ready: VecDeque<(usize, Box<[u8]>)>,
    /// The same, to find one.
    pub is_ready: ByKey<bool>,
    /// When waits end or requests are run again, with the client's token.
    pub timeouts: BTreeSet<(u64, usize)>,
    /// Clients that were served or told to stop waiting, for the floor `io`.
    pub ended: Vec<usize>,
    /// Clients whose wait `CLIENT UNBLOCK` is to end.
    pub told: Vec<usize>,
    /// How many wait.
    pub count: usize,
    /// How many of them wait for a key that goes or changes its type, too.
    pub even_without: usize,
}
