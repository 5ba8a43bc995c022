//! Floor 3: settings. Text to settings and back; opens no files.
//!
//! Every directive that Redis 7.0, 7.2, 8.0 or Valkey 8 and 9 know stands in exactly one of three tables:
//!
//! 1. [`live`]: it has a typed field in [`Settings`] and does what it says;
//! 2. [`known`]: it has no meaning here; it is checked, kept and shown, and the caller is told once
//!    ([`Notice`]);
//! 3. [`refused`]: a value that would change what the user relies on is an error that says why.
//!
//! So nothing is accepted and silently ignored, and whatever is in none of the tables is a typing mistake.
//!
//! A value travels in two steps. [`kind`] checks the words of a line or of `CONFIG SET` and yields the
//! *canonical text*: what `CONFIG GET` prints. [`value`] turns canonical text into a typed field and back.
//! All error texts are in the first step, and directives without a field need only that one.
//!
//! Invariant: nothing here reads a file, a clock or the environment; the caller passes text in and takes
//! text out.

pub mod problem;
pub mod value;
pub mod kind;
pub mod live;
pub mod known;
pub mod refused;
pub mod directive;
pub mod change;
pub mod text;
pub mod rewrite;
pub mod arguments;

pub use arguments::{CommandLine, from_command_line};
pub use change::{Changes, SetError};
pub use live::Settings;
pub use problem::Problem;
pub use rewrite::rewrite;
pub use text::{Notice, load};
pub use value::{
    Access, AppendFsync, ClientCertificates, Events, LogLevel, MaxmemoryPolicy, Mode, OutputLimit,
    OutputLimits,
};
pub use value::{PubsubDefault, SavePoint, Share, UserLine};
