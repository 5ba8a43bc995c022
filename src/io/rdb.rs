//! RDB files on disk: read here, and written by the server itself or by a child.

mod read;

pub use read::{Keys, Reading, load};
