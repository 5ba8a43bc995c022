//! The resumable request parser.
