//! Dates: milliseconds since the epoch, and how they are written.
