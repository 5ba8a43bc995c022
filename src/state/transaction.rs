//! Requests between `MULTI` and `EXEC`, and while they run.

use std::collections::VecDeque;

use crate::resp::reply::Mark;
use crate::resp::request::Request;

/// A request that waits for `EXEC`.
#[derive(Debug)]
pub struct Queued {
    /// The request.
    pub request: Request,
    /// Its command's row.
    pub number: usize,
}

/// What a client has queued since `MULTI`.
#[derive(Debug, Default)]
pub struct Multi {
    /// In the order in which they came.
    pub queue: Vec<Queued>,
    /// Something could not be queued: `EXEC` will refuse all of it.
    pub failed: bool,
    /// Bytes of memory of the queue.
    pub bytes: usize,
}

/// A transaction that runs, one request after the other.
#[derive(Debug)]
pub struct Transaction {
    /// What is still to run.
    pub queue: VecDeque<Queued>,
    /// Where the reply to `EXEC` begins, for a client that wants none.
    pub mark: Mark,
    /// The same, as a length of the output.
    pub start: usize,
    /// The `EXEC` itself, if it is to be shown to clients that monitor: behind the requests that it runs.
    pub shown: Option<Request>,
}
