//! Floor 1: the protocol, bytes to requests and replies to bytes. Knows neither keys nor commands.

pub mod request;
pub mod reply;
