//! What the expiry index costs: a deadline set, put off, dropped, noticed.
//!
//! Owners' work (finding the entry of a moved record) is left out; `moved` only writes a ticket into an array.

// The macro below makes a public function that nobody reads about.
#![allow(missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kvick::base::date::UnixMs;
use kvick::data::expiry::{Expiry, Moved, Sample, Ticket};

const KEYS: u64 = 1_000_000;
const START: UnixMs = UnixMs(1_700_000_000_000);

fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
}

/// A deadline within the next `spread` milliseconds.
fn within(spread: u64, number: u64) -> UnixMs {
    UnixMs(START.0 + 1 + (mixed(number + 1) % spread) as i64)
}

fn filled(spread: u64) -> (Expiry, Vec<Ticket>) {
    let mut index = Expiry::default();
    let tickets = (0..KEYS).map(|number| index.add(number, within(spread, number), START)).collect();
    (index, tickets)
}

fn follow(tickets: &mut [Ticket], moved: Moved) {
    tickets[moved.hash as usize] = moved.to;
}

fn drain(index: &mut Expiry, tickets: &mut [Ticket], now: UnixMs) {
    let mut sample = Sample::default();
    while index.sample_due(now, &mut sample, |moved| follow(tickets, moved)) {
        for held in sample.iter() {
            index.remove(held.ticket, |moved| follow(tickets, moved));
        }
    }
    assert!(index.is_empty());
}

fn expiry(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("expiry");
    group.sample_size(10).throughput(Throughput::Elements(KEYS));
    for (name, spread) in [("one instant", 1), ("a minute", 60_000), ("a month", 30 * 86_400_000)] {
        group.bench_function(format!("add, {name}"), |bencher| {
            bencher.iter_with_large_drop(|| filled(spread));
        });
        group.bench_function(format!("remove at random, {name}"), |bencher| {
            bencher.iter_batched(
                || filled(spread),
                |(mut index, mut tickets)| {
                    for step in 0..KEYS {
                        let ticket = tickets[(step * 7_919 % KEYS) as usize];
                        index.remove(ticket, |moved| follow(&mut tickets, moved));
                    }
                    assert!(index.is_empty());
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("put off, {name}"), |bencher| {
            let (mut index, mut tickets) = filled(spread);
            let mut turn = 0;
            bencher.iter(|| {
                turn += 1;
                for number in 0..KEYS {
                    let ticket = tickets[number as usize];
                    let deadline = within(spread, number ^ turn << 20);
                    let moved = |moved| follow(&mut tickets, moved);
                    let ticket = index.change(ticket, number, deadline, START, moved);
                    tickets[number as usize] = ticket;
                }
            });
        });
        group.bench_function(format!("drain, {name}"), |bencher| {
            let now = UnixMs(START.0 + spread as i64 + 64);
            bencher.iter_batched(
                || filled(spread),
                |(mut index, mut tickets)| drain(&mut index, &mut tickets, now),
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("advance to 4 s groups", |bencher| {
        let now = UnixMs(START.0 + 3_600_000);
        bencher.iter_batched(
            || {
                let mut index = Expiry::default();
                let far = |number| UnixMs(now.0 + 300_000 + (mixed(number) % 60_000) as i64);
                let tickets = (0..KEYS).map(|n| index.add(n, far(n), START)).collect();
                (index, tickets)
            },
            |(mut index, mut tickets): (Expiry, Vec<Ticket>)| {
                while index.advance(UnixMs(now.0 + 250_000), 1_000, |moved| follow(&mut tickets, moved)) {}
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let (index, _) = filled(30 * 86_400_000);
    let mut turn = 0;
    let mut below = move |n: u64| {
        turn += 1;
        mixed(turn) % n
    };
    criterion.bench_function("expiry/random", |bencher| bencher.iter(|| index.random(&mut below)));
    criterion.bench_function("expiry/soonest", |bencher| bencher.iter(|| index.soonest(&mut below)));
}

criterion_group!(benches, expiry);
criterion_main!(benches);
