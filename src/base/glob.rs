//! Glob patterns of `KEYS`, `SCAN` and `CONFIG GET`.
