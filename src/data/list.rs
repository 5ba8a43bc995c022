//! The list type: compact nodes.
