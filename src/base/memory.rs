//! The allocator and the count of what it has handed out.
