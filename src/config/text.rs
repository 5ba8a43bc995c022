//! Configuration text to settings, and settings back into the text they came from.
