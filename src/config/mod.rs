//! Floor 3: settings. Text to settings and back; opens no files.

pub mod kind;
pub mod directive;
pub mod text;
