//! The engine among clocks, files and processes: what a turn does besides sockets.

use std::sync::Arc;

use mio::Waker;

use crate::engine::Engine;
use crate::engine::dispatch::Prepared;
use crate::io::clock::Clock;
use crate::io::sys;
use crate::resp::request::Args;
use crate::state::ask::Ask;
use crate::state::session::Closing;

/// The engine and everything it asks for.
pub struct Host {
    /// The server proper.
    pub engine: Engine,
    /// The clocks.
    pub clock: Clock,
    /// The listeners must be opened anew.
    pub relisten: bool,
    exit: Option<i32>,
    last_ticks: u64,
}
