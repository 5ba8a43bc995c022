//! The `kvick` binary.

fn main() {}
