//! One allocation a key.
