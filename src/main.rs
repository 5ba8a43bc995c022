//! The `kvick` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ExitCode::from(kvick::io::start::main(&arguments).clamp(0, 255) as u8)
}
