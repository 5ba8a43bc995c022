//! Floor 0: what every floor may use and what uses none of ours.

pub mod date;
pub mod random;
pub mod number;
pub mod bits;
pub mod float;
pub mod double;
pub mod glob;
pub mod quote;
pub mod sha256;
pub mod memory;
pub mod pages;
pub mod prefetch;
