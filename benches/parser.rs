//! Requests parsed and replies written per second, at the size of a busy client's reads.

// The functions that criterion's macros make have no documentation.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kvick::resp::reply::{Output, Reply};
use kvick::resp::request::{Batch, Input, Limits, Parser};

/// What one read of the loop brings.
const READ_LEN: usize = 64 * 1024;

/// How many requests are parsed ahead.
const REQUESTS_MAX: usize = 64;

/// Parses a stream that arrives in full reads, cut wherever the buffer ends, and looks at every argument.
fn parse(input: &mut Input, batch: &mut Batch, stream: &[u8]) -> usize {
    let (mut parser, limits, mut rest) = (Parser::default(), Limits::default(), stream);
    let mut sum = 0;
    while !rest.is_empty() {
        parser.begin(input);
        rest = &rest[parser.feed(input, rest)..];
        loop {
            let parsed = parser.parse(input, batch, REQUESTS_MAX, &limits);
            for args in parsed.iter() {
                sum += args.iter().map(|arg| arg.len()).sum::<usize>();
            }
            if !parsed.more() {
                break;
            }
        }
        parser.finish(input);
    }
    sum
}

fn requests(c: &mut Criterion) {
    let key = "0123456789abcdef";
    let value = "v".repeat(1000);
    let mset = (0..100).map(|_| format!("$16\r\n{key}\r\n$8\r\nvalue-of\r\n")).collect::<String>();
    let mut group = c.benchmark_group("parse");
    for (name, request) in [
        ("get", format!("*2\r\n$3\r\nGET\r\n$16\r\n{key}\r\n")),
        ("set", format!("*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n$8\r\nvalue-of\r\n")),
        ("set-1k", format!("*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n$1000\r\n{value}\r\n")),
        ("mset-100", format!("*201\r\n$4\r\nMSET\r\n{mset}")),
        ("inline", "PING\r\n".to_string()),
    ] {
        let count = 4 * READ_LEN / request.len();
        let stream = request.repeat(count);
        let (mut input, mut batch) = (Input::new(READ_LEN), Batch::default());
        group.throughput(Throughput::Elements(count as u64));
        group
            .bench_function(name, |b| b.iter(|| parse(&mut input, &mut batch, black_box(stream.as_bytes()))));
    }
    group.finish();
}

fn replies(c: &mut Criterion) {
    let count = 1000;
    let mut reply = Reply::new(Output::default());
    let mut group = c.benchmark_group("reply");
    group.throughput(Throughput::Elements(count));
    let mut bench = |name: &str, write: fn(&mut Reply)| {
        group.bench_function(name, |b| {
            b.iter(|| {
                (0..count).for_each(|_| write(black_box(&mut reply)));
                reply.out.advance(reply.out.len());
            })
        });
    };
    bench("ok", |reply| reply.ok());
    bench("integer", |reply| reply.integer(black_box(12345)));
    bench("bulk-8", |reply| reply.bulk(black_box(b"value-of")));
    group.finish();
}

criterion_group!(benches, requests, replies);
criterion_main!(benches);
