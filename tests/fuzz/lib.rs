//! The fuzz targets: functions that take any bytes and panic if something is wrong.
//!
//! They are run in two ways: by libFuzzer, which looks for bytes that lead somewhere new (`scripts/fuzz.sh`), and by
//! `tests/fuzz.rs`, which every `cargo test` runs: on the seeds, and on what a few thousand mutations make of them.
//!
//! A target is a module with `run` and `seeds`: examples from which a fuzzer finds the way. They are made, not kept.

#![allow(dead_code)] // Each of the two ways uses a part.

pub mod acl;
pub mod commands;
pub mod configuration;
pub mod glob;
pub mod http;
pub mod hyperloglog;
pub mod log;
pub mod manifest;
pub mod memory_disk;
pub mod numbers;
pub mod payload;
pub mod rdb_file;
pub mod requests;

#[path = "../play/mod.rs"]
pub mod play;

/// Something that takes any bytes.
pub struct Target {
    /// Its name, which is that of its module.
    pub name: &'static str,
    /// Panics if something is wrong.
    pub run: fn(&[u8]),
    /// Examples.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident)*) => {
        &[$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),*]
    };
}

/// All targets.
pub const TARGETS: &[Target] = targets! {
    requests commands log manifest configuration glob numbers payload rdb_file hyperloglog acl http
};

/// The beginning of the bytes decides how the rest is used.
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    /// A number below `limit`; zero when the bytes are used up.
    pub fn below(&mut self, limit: usize) -> usize {
        let mut number = 0;
        let mut room = limit.saturating_sub(1);
        while 0 < room {
            number = number << 8 | usize::from(self.byte());
            room >>= 8;
        }
        number % limit.max(1)
    }

    /// A byte; zero when they are used up.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
}

/// Words of text as one typed line.
pub fn line(words: &[&str]) -> Vec<u8> {
    [words.join(" ").as_bytes(), b"\r\n"].concat()
}
