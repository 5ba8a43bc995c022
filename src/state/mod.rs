//! Floor 4: plain state that commands see. Does no I/O.
