//! The log: manifest.
