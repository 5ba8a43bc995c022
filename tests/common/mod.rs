//! What the tests that talk to a running server share: a server process in its own directory, a plain client, a
//! seeded generator of random numbers, and the one way to wait for something.

#![allow(dead_code, unused_imports)] // Every test binary includes this module and uses its own part of it.

pub mod client;
pub mod random;
pub mod server;
pub mod value;

pub use client::Client;
pub use random::Random;
pub use server::Server;
pub use value::Value;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Long enough for the slowest debug build on the busiest machine; whoever waits longer waits for nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `done` again and again, with a tiny growing pause, until it says yes or `limit` is over.
pub fn poll_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if done() {
            return true;
        }
        if limit < start.elapsed() {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Like [`poll_until`] with all [`PATIENCE`], and the test fails with `what` if it does not come true.
pub fn wait_until(what: &str, done: impl FnMut() -> bool) {
    assert!(poll_until(PATIENCE, done), "waited {PATIENCE:?} in vain: {what}");
}

/// Runs `redis-cli -p port args…` and returns what it prints, trimmed.
pub fn redis_cli(port: u16, args: &[&str]) -> String {
    let port = port.to_string();
    let mut all = vec!["-p", port.as_str()];
    all.extend_from_slice(args);
    text(&run("redis-cli", &all, b"").stdout)
}

/// Runs a program with `input` on its standard input and returns what it said; it must exist.
pub fn run(program: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| {
            panic!("{program} does not start ({e}); scripts/test.sh installs what is missing")
        });
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // A thread of its own: a program that answers while it reads would otherwise block both of us. A program that
    // leaves early closes the pipe, which is its right.
    let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input).is_ok());
    let output = child.wait_with_output().expect("the program ends");
    feeder.join().expect("the feeder does not panic");
    output
}

/// Bytes as trimmed text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_string()
}

/// A number from the environment, or `default`.
pub fn env_number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// The path of a server to compare with, from `$PEERS/bin` (default `/tmp/peers/bin`), if it is there.
pub fn peer(name: &str) -> Option<String> {
    let folder = std::env::var("PEERS").unwrap_or_else(|_| "/tmp/peers".into());
    let path = format!("{folder}/bin/{name}");
    std::path::Path::new(&path).exists().then_some(path)
}
