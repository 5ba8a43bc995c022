//! Floor 6: the server without sockets, files and clock. Date, randomness and requests come in as arguments;
//! replies, records and wishes stand in its state when it returns.

pub mod core;
pub mod evict;
pub mod onlookers;
pub mod rights;
mod sizes;
pub mod dispatch;
pub mod sessions;
pub mod replay;
pub mod load;
pub mod tick;
pub mod watch;
pub mod snapshot;

pub use self::core::Engine;
