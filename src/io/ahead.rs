//! The helper thread that takes huge pages before the loop touches them; see [`crate::base::ahead`].
//!
//! It competes with the loop where both have one core, and the loop shall win: its slices are the shortest there are.
//! **Fork safety** as in `aof/sync.rs`: after its start it neither allocates, nor locks, nor logs.

use std::io;
use std::thread::{self, JoinHandle};

use crate::base::ahead;
use crate::io::sys;

/// The loop's end of the helper thread, which lives as long as the process.
#[derive(Debug)]
pub struct Pages {
    helper: JoinHandle<()>,
}

impl Pages {
    /// Starts the helper.
    pub fn start() -> io::Result<Pages> {
        let starter = thread::current();
        let helper = thread::Builder::new().name("pages".to_owned()).spawn(move || {
            sys::leave_signals_to_the_loop();
            sys::run_in_short_slices();
            ahead::serve();
            starter.unpark();
            loop {
                while ahead::take() {}
                thread::park();
            }
        })?;
        while !ahead::is_served() {
            thread::park();
        }
        Ok(Pages { helper })
    }

    /// Wakes the helper if there is work.
    #[inline]
    pub fn wake(&self) {
        if ahead::is_behind() {
            self.helper.thread().unpark();
        }
    }
}
