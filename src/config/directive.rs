//! One row a directive.
