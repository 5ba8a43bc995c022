//! The table by itself: lookups in and out of cache, growth with its worst single insertion, iteration.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ahash::RandomState;
use criterion::{BatchSize, Criterion};
use kvick::data::table::{Element, Hasher, Table};

/// Elements of the table that is asked.
const ASKED: u64 = 1_000_000;

/// Elements of the table that grows.
const GROWN: u64 = 5_000_000;

/// A key of 16 bytes in an allocation of its own.
struct Key(Box<[u8; 16]>);

impl Key {
    fn new(number: u64) -> Key {
        Key(Box::new(name(number)))
    }
}

impl Element for Key {
    fn key(&self) -> &[u8] {
        &*self.0
    }

    fn address(&self) -> *const u8 {
        self.0.as_ptr()
    }
}

fn name(number: u64) -> [u8; 16] {
    let mut name = *b"key:000000000000";
    let mut rest = number;
    for digit in name[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    name
}

/// A walk through the numbers below `ASKED` in no order.
fn scattered(step: u64) -> u64 {
    step.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ASKED
}

fn hasher() -> Hasher {
    Hasher::new([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344])
}

fn filled(count: u64, hasher: &Hasher) -> Table<Key> {
    let mut table = Table::new();
    for number in 0..count {
        let key = Key::new(number);
        table.insert(hasher.hash(key.key()), key, hasher);
    }
    table
}

/// What a percentile of so many times is.
fn percentile(times: &[u32], share: f64) -> Duration {
    let index = ((times.len() - 1) as f64 * share) as usize;
    Duration::from_nanos(u64::from(times[index]))
}

fn report(what: &str, mut times: Vec<u32>) {
    let mean: u64 = times.iter().map(|&time| u64::from(time)).sum::<u64>() / times.len() as u64;
    let worst: Vec<(usize, u32)> = {
        let mut worst: Vec<(usize, u32)> = times.iter().copied().enumerate().collect();
        worst.sort_unstable_by_key(|&(_, time)| std::cmp::Reverse(time));
        worst.truncate(5);
        worst
    };
    times.sort_unstable();
    println!(
        "{what}: mean {mean} ns, p99 {:?}, p99.99 {:?}, worst (call, ns) {worst:?}",
        percentile(&times, 0.99),
        percentile(&times, 0.9999)
    );
}

/// Rounds of the single calls. Of each call the quickest round counts: what the table itself stops for comes back at the
/// same call, what other processes do does not.
const ROUNDS: usize = 5;

/// The times of calls, the quickest of all rounds.
struct Times {
    quickest: Vec<u32>,
    call: usize,
}

impl Times {
    fn next_round(&mut self) {
        self.call = 0;
    }

    fn time<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        let time = start.elapsed().as_nanos() as u32;
        match self.quickest.get_mut(self.call) {
            Some(quickest) => *quickest = time.min(*quickest),
            None => self.quickest.push(time),
        }
        self.call += 1;
        result
    }
}

/// Growth, removal and freeing, each call timed by itself.
fn single_calls() {
    let hasher = hasher();
    let [mut inserts, mut removes, mut steps, mut frees] =
        [const { Times { quickest: Vec::new(), call: 0 } }; 4];
    for _ in 0..ROUNDS {
        [&mut inserts, &mut removes, &mut steps, &mut frees].into_iter().for_each(Times::next_round);
        let mut table = Table::new();
        for key in (0..GROWN).map(Key::new) {
            inserts.time(|| table.insert(hasher.hash(key.key()), key, &hasher).address());
        }
        for key in (0..GROWN).map(name) {
            drop(removes.time(|| table.remove(&key, hasher.hash(&key), &hasher)));
        }
        while steps.time(|| table.step(100, &hasher)) {}
        let mut table = filled(GROWN, &hasher);
        while frees.time(|| table.free_some(100)) {}
    }
    report("insert, growing to 5,000,000", inserts.quickest);
    report("remove, shrinking to none", removes.quickest);
    report("step of 100 buckets, shrinking the rest", steps.quickest);
    report("free_some of 100 buckets, 5,000,000 elements", frees.quickest);
}

fn lookups(criterion: &mut Criterion) {
    let hasher = hasher();
    let table = filled(ASKED, &hasher);
    let mut group = criterion.benchmark_group("get");
    let mut step = 0;
    for (what, range, offset) in [
        ("hit in cache", 1000, 0),
        ("hit out of cache", ASKED, 0),
        ("miss in cache", 1000, ASKED),
        ("miss out of cache", ASKED, ASKED),
    ] {
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                step += 1;
                let key = name(scattered(step) % range + offset);
                black_box(table.get(&key, hasher.hash(&key)).is_some())
            });
        });
    }
    group.bench_function("hit out of cache, 16 prefetched", |bencher| {
        bencher.iter(|| {
            let keys: [[u8; 16]; 16] = std::array::from_fn(|index| name(scattered(step + index as u64)));
            step += 16;
            let hashes = keys.map(|key| hasher.hash(&key));
            hashes.iter().for_each(|&hash| table.prefetch(hash));
            hashes.iter().for_each(|&hash| table.prefetch_element(hash));
            keys.iter().zip(hashes).filter(|(key, hash)| table.get(*key, *hash).is_some()).count()
        });
    });
    let mut map = HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4));
    map.extend((0..ASKED).map(|number| (Box::new(name(number)), ())));
    for (what, offset) in [("std map, hit out of cache", 0), ("std map, miss out of cache", ASKED)] {
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                step += 1;
                black_box(map.contains_key(&name(scattered(step) + offset)))
            });
        });
    }
    group.bench_function("only the key and its hash", |bencher| {
        bencher.iter(|| {
            step += 1;
            black_box(hasher.hash(&name(scattered(step))))
        });
    });
    group.finish();
    let mut state = 1_u64;
    criterion.bench_function("random", |bencher| {
        bencher.iter(|| {
            table
                .random(|n| {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    ((u128::from(state) * u128::from(n)) >> 64) as u64
                })
                .map(Element::address)
        });
    });
    criterion.bench_function("iterate 1,000,000", |bencher| {
        bencher.iter(|| table.iter().map(|key| u64::from(key.0[15])).sum::<u64>());
    });
}

fn growth(criterion: &mut Criterion) {
    let hasher = hasher();
    let mut group = criterion.benchmark_group("insert");
    group.sample_size(10);
    group.bench_function("1,000,000 growing from none", |bencher| {
        bencher.iter_batched(
            || (0..ASKED).map(Key::new).collect::<Vec<Key>>(),
            |keys| {
                let mut table = Table::new();
                for key in keys {
                    table.insert(hasher.hash(key.key()), key, &hasher);
                }
                table
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    if !std::env::args().any(|argument| argument == "--test") {
        single_calls();
    }
    lookups(&mut criterion);
    growth(&mut criterion);
    criterion.final_summary();
}
