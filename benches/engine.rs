//! What a request costs without a socket: parsed, prepared, prefetched and run, a batch at a time as the turn does
//! it; and the replay of a log from memory.

// The macro below makes a public function that nobody reads about.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kvick::base::date::UnixMs;
use kvick::base::random::Random;
use kvick::config::Settings;
use kvick::engine::Engine;
use kvick::engine::dispatch::Prepared;
use kvick::engine::replay::Replayed;
use kvick::resp::reply::Output;
use kvick::resp::request::{Batch, Input, Limits, Parser};
use kvick::state::log::push_command;
use kvick::state::session::Session;

const KEYS: u64 = 1_000_000;
/// Requests of one measured run; a multiple of all sizes of batches.
const REQUESTS: usize = 1024 * 16;
const VALUE: &[u8] = b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

fn key(number: u64) -> String {
    format!("key:{number:012}")
}

/// An engine with one client, fed with bytes.
struct Fed {
    engine: Engine,
    token: usize,
    parser: Parser,
    input: Input,
    batch: Batch,
    prepared: Vec<Prepared>,
}

impl Fed {
    fn new() -> Fed {
        let mut engine = Engine::new(Settings::default(), 1);
        engine.set_now(UnixMs(1_700_000_000_000));
        let token = engine.open_session(Session::default());
        Fed {
            engine,
            token,
            parser: Parser::default(),
            input: Input::new(64 << 10),
            batch: Batch::default(),
            prepared: Vec::new(),
        }
    }

    fn filled() -> Fed {
        let mut fed = Fed::new();
        let mut bytes = Vec::new();
        for number in 0..KEYS {
            push_command(&mut bytes, &[b"SET", key(number).as_bytes(), VALUE]);
            if 1 << 16 < bytes.len() {
                fed.run(&bytes, 128);
                bytes.clear();
            }
        }
        fed.run(&bytes, 128);
        fed
    }

    /// As [`Fed::run`], under a name that `scripts/instructions.sh` tells the profiler.
    #[inline(never)]
    fn measured(&mut self, bytes: &[u8], batch_size: usize) {
        self.run(bytes, batch_size);
    }

    /// Runs these requests in batches, and drops the replies and records as often as a turn would.
    fn run(&mut self, mut bytes: &[u8], batch_size: usize) {
        let Fed { engine, token, parser, input, batch, prepared } = self;
        let token = *token;
        while !bytes.is_empty() {
            parser.begin(input);
            let taken = parser.feed(input, bytes);
            bytes = &bytes[taken..];
            engine.enter(token);
            loop {
                let parsed = parser.parse(input, batch, batch_size, &Limits::default());
                prepared.clear();
                prepared.extend(parsed.iter().map(|args| engine.prepare(token, args)));
                prepared.iter().for_each(|prepared| engine.prefetch(token, *prepared));
                for (args, prepared) in parsed.iter().zip(prepared.iter()) {
                    engine.run(token, args, *prepared);
                }
                if !parsed.more() {
                    break;
                }
            }
            engine.leave(token);
            parser.finish(input);
            let output = &mut engine.state.sessions[token].output;
            *output = Output::with_buffer(output.recycle());
            engine.state.log.pending_mut().clear();
        }
    }
}

/// Encoded requests, made by `args` from random numbers of keys.
fn requests(count: usize, args: impl Fn(&str) -> Vec<String>) -> Vec<u8> {
    let (mut random, mut bytes) = (Random::seeded(7), Vec::new());
    for _ in 0..count {
        let args = args(&key(random.below(KEYS)));
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        push_command(&mut bytes, &args);
    }
    bytes
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn strings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine, a million keys");
    group.throughput(Throughput::Elements(REQUESTS as u64)).sample_size(20);
    let value = String::from_utf8_lossy(VALUE);
    let get = requests(REQUESTS, |key| words(&format!("GET {key}")));
    let set = requests(REQUESTS, |key| words(&format!("SET {key} {value}")));
    let mut fed = Fed::filled();
    for (name, bytes, logged) in [("GET", &get, false), ("SET", &set, false), ("SET with a log", &set, true)]
    {
        fed.engine.state.log.enabled = logged;
        for batch_size in [1, 16, 128] {
            group.bench_function(format!("{name}, batches of {batch_size}"), |bencher| {
                bencher.iter(|| fed.measured(bytes, batch_size));
            });
        }
    }
    group.finish();
}

fn one_key(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine, one key");
    group.throughput(Throughput::Elements(REQUESTS as u64)).sample_size(20);
    let many = |line: &str| requests(REQUESTS, |_| words(line));
    let one = |line: &str| requests(1, |_| words(line));
    // What follows each run keeps a list from growing with the number of runs.
    for (name, bytes, after) in [
        ("INCR", many("INCR counter"), one("GET counter")),
        ("LPUSH", many("LPUSH list value"), one("LTRIM list 0 99")),
        ("RPUSH and LPOP", [many("RPUSH list value"), many("LPOP list")].concat(), one("GET counter")),
    ] {
        let mut fed = Fed::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                fed.run(&bytes, 16);
                fed.run(&after, 1);
            });
        });
    }
    for (name, count) in [("LRANGE_100", 100), ("LRANGE_600", 600)] {
        let mut fed = Fed::new();
        fed.run(&requests(1000, |_| words("LPUSH list value:0000000001")), 16);
        let bytes = requests(REQUESTS / 64, |_| words(&format!("LRANGE list 0 {}", count - 1)));
        group.throughput(Throughput::Elements(REQUESTS as u64 / 64));
        group.bench_function(name, |bencher| bencher.iter(|| fed.run(&bytes, 16)));
    }
    group.finish();
}

fn replay(criterion: &mut Criterion) {
    let mut log = Vec::new();
    for number in 0..KEYS / 10 {
        push_command(&mut log, &[b"SET", key(number).as_bytes(), VALUE]);
        push_command(&mut log, &[b"INCR", b"counter"]);
        push_command(&mut log, &[b"RPUSH", b"list", VALUE]);
    }
    let mut group = criterion.benchmark_group("engine, replay");
    group.throughput(Throughput::Bytes(log.len() as u64)).sample_size(10);
    group.bench_function("300,000 records", |bencher| bencher.iter_with_large_drop(|| replayed(&log)));
    group.finish();
}

fn replayed(mut log: &[u8]) -> Engine {
    let mut engine = Engine::new(Settings::default(), 1);
    let token = engine.begin_replay();
    let (mut parser, mut input, mut batch) = (Parser::default(), Input::new(256 << 10), Batch::default());
    let mut prepared = Vec::new();
    while !log.is_empty() {
        parser.begin(&mut input);
        let taken = parser.feed(&mut input, log);
        log = &log[taken..];
        loop {
            let parsed = parser.parse(&mut input, &mut batch, 128, &Limits::default());
            prepared.clear();
            prepared.extend(parsed.iter().map(|args| engine.prepare_replay(token, args)));
            prepared.iter().for_each(|prepared| engine.prefetch(token, *prepared));
            for (args, prepared) in parsed.iter().zip(&prepared) {
                assert_eq!(engine.replay(token, args, *prepared), Replayed::Done);
            }
            if !parsed.more() {
                break;
            }
        }
        parser.finish(&mut input);
    }
    engine.end_replay(token);
    engine
}

criterion_group!(benches, strings, one_key, replay);
criterion_main!(benches);
