//! Floor 6: the server without sockets, files and clock.
