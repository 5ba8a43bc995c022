//! The fuzz targets without a fuzzer: on their seeds, and on what mutations make of them. It needs nothing but cargo,
//! and finds what a change breaks near the beaten track; `scripts/fuzz.sh` looks farther.
//!
//! Environment: `KVICK_FUZZ_SEED` (other mutations), `KVICK_FUZZ_RUNS` (mutations of each target), `KVICK_FUZZ_ONLY` (the
//! name of a target), `KVICK_FUZZ_CORPUS` (a directory, to be filled with the seeds of each target for a fuzzer).

mod common;
#[path = "fuzz/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Random, env_number};
use targets::{TARGETS, Target};

/// Mutations of each target; fewer if they take long.
const RUNS: u64 = 3000;
const RUNS_MIN: u64 = 20;
const TIME_MAX: Duration = Duration::from_millis(1200);
const LENGTH_MAX: usize = 4096;

/// Bytes that mean something somewhere.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"*",
    b"$",
    b"-1",
    b"0",
    b"*1\r\n$4\r\nPING\r\n",
    b"#KV ",
    b"#",
    b"\"",
    b"'",
    b"\\x00",
    b"[",
    b"]",
    b"\n",
    b" ",
    b"\xff\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\x81",
    b"\xc3",
    b"\x7f",
    b"9223372036854775807",
    b"1e400",
    b"nan",
    b"inf",
    b"MULTI\r\n",
    b"EXEC\r\n",
    b"@ 1000\r\n",
    b"% 1\r\n",
    b"GET",
    b"STORE",
    b"(",
    b")",
    b"~",
    b"+@all",
    b"0-0",
    b"HYLL\x01",
];

/// Something like `data`, or like parts of it and of another one.
fn mutated(random: &mut Random, data: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() + 1);
        let most = 1 + random.below(20);
        let end = (at + random.below(most)).min(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, random.pick(WORDS).iter().copied())),
            3 => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            4 => {
                let from = random.below(other.len() + 1);
                let piece = &other[from..(from + random.below(64)).min(other.len())];
                drop(bytes.splice(at..end, piece.iter().copied()));
            }
            5 => bytes.insert(at, random.next() as u8),
            6 => bytes.get_mut(at).into_iter().for_each(|byte| *byte = byte.wrapping_add(1)),
            _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    bytes.truncate(LENGTH_MAX);
    bytes
}

/// Runs a target; what it panics on is shown.
fn check(target: &Target, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(data))).is_err() {
        panic!("the target {} panics on b\"{}\"", target.name, data.escape_ascii());
    }
}

fn fuzz(name: &str) {
    let only = std::env::var("KVICK_FUZZ_ONLY").unwrap_or_default();
    if !only.is_empty() && only != name {
        return;
    }
    let target = TARGETS.iter().find(|target| target.name == name).expect("the name of a target");
    let seeds = (target.seeds)();
    for data in seeds.iter().map(Vec::as_slice).chain([&b""[..], b"\0", b"\xff"]) {
        check(target, data);
    }
    let mut random = Random::new(Random::seed_from_env("KVICK_FUZZ_SEED"));
    let asked = env_number("KVICK_FUZZ_RUNS", 0);
    let until = Instant::now() + TIME_MAX;
    let mut runs = 0;
    while runs < asked || asked == 0 && (runs < RUNS_MIN || runs < RUNS && Instant::now() < until) {
        let (seed, other) = (random.below(seeds.len()), random.below(seeds.len()));
        let data = mutated(&mut random, &seeds[seed], &seeds[other]);
        check(target, &data);
        runs += 1;
    }
    println!("fuzz: {name} {runs} mutations of {} seeds", seeds.len());
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { fuzz(stringify!($name)); })*

        #[test]
        fn every_target_is_run() {
            let here: Vec<&str> = vec![$(stringify!($name)),*];
            assert!(TARGETS.iter().map(|target| target.name).eq(here));
            let package = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/Cargo.toml"));
            let package = package.expect("the package of the fuzzers");
            assert!(TARGETS.iter().all(|target| package.contains(&format!("name = \"{}\"", target.name))));
        }
    };
}

tests! { requests commands log manifest configuration glob numbers payload rdb_file hyperloglog acl http }

#[test]
fn seeds_are_written_for_a_fuzzer_that_wants_them() {
    let Ok(folder) = std::env::var("KVICK_FUZZ_CORPUS") else { return };
    for target in TARGETS {
        let folder = Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&folder).expect("a directory for seeds");
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed");
        }
    }
}
