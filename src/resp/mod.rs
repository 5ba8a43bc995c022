//! Floor 1: the protocol, bytes to requests and replies to bytes. Knows neither keys nor commands.

pub mod input;
pub mod args;
pub mod direct;
pub mod header;
pub mod batch;
pub mod request;
pub mod output;
pub mod reply;
