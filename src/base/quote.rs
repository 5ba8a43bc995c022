//! Quoting: splitting a typed line into words, and printing bytes so that they can be typed.
