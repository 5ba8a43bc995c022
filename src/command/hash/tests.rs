//! Scripts of hash commands.
