//! Floor 5: the commands, one row and one function each. Holds neither socket nor file.
