//! What an entry costs: made, overwritten in place, compared with the key that is looked for.

// The macro below makes a public function that nobody reads about.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kvick::base::date::UnixMs;
use kvick::data::entry::{Entry, Value};
use kvick::data::expiry::Expiry;

/// Entries that a run goes through: enough to be out of the nearest cache, few enough to make quickly.
const ENTRIES: usize = 10_000;

fn key(number: usize) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let digits = number.to_string();
    key[16 - digits.len()..].copy_from_slice(digits.as_bytes());
    key
}

fn text(bytes: &[u8]) -> Value<'_> {
    Value::Bytes { bytes, raw: false }
}

fn entries(value: &[u8]) -> Vec<Entry> {
    (0..ENTRIES).map(|number| Entry::new(&key(number), text(value))).collect()
}

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entry, build");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    for len in [3, 32, 512, 10_000] {
        let value = vec![b'v'; len];
        group.bench_function(format!("{len} bytes"), |bencher| {
            bencher.iter_with_large_drop(|| entries(&value))
        });
    }
    group.bench_function("an integer", |bencher| {
        bencher.iter_with_large_drop(|| {
            (0..ENTRIES).map(|number| Entry::new(&key(number), Value::Int(number as i64))).collect::<Vec<_>>()
        });
    });
    group.finish();
}

fn overwrite(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entry, overwrite");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    let mut held = entries(&[b'v'; 32]);
    for (name, lens) in [("in place", [30, 32]), ("in a new block", [30, 100])] {
        let values = lens.map(|len| vec![b'w'; len]);
        let mut turn = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                turn += 1;
                held.iter_mut().for_each(|entry| entry.set_value(text(&values[turn % 2])));
            });
        });
    }
    group.bench_function("an integer", |bencher| {
        held.iter_mut().for_each(|entry| entry.set_value(Value::Int(0)));
        let mut number = 0;
        bencher.iter(|| {
            number += 1;
            held.iter_mut().for_each(|entry| entry.set_value(Value::Int(number)));
        });
    });
    let ticket = Expiry::default().add(0, UnixMs(1), UnixMs(0));
    group.bench_function("a deadline set and taken off", |bencher| {
        bencher.iter(|| {
            held.iter_mut().for_each(|entry| entry.set_deadline(UnixMs(1), ticket));
            held.iter_mut().for_each(Entry::clear_deadline);
        });
    });
    group.finish();
}

fn compare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entry, key");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    let held = entries(b"value");
    let equal: Vec<_> = (0..ENTRIES).map(key).collect();
    let others: Vec<_> = (1..=ENTRIES).map(key).collect();
    for (name, keys) in [("that is equal", &equal), ("that is another", &others)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                held.iter().zip(keys).filter(|(entry, key)| entry.key() == black_box(&key[..])).count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, build, overwrite, compare);
criterion_main!(benches);
