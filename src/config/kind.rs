//! The kinds of values that directives take.
