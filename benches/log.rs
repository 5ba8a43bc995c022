//! What the log costs: a batch sealed with its checksum, written to a file, and a file read back, with and without the
//! engine that runs what it holds. Nothing here waits for the disk: the figures are those of the processor and the
//! system call.

// The macro below makes a public function that nobody reads about.
#![allow(missing_docs)]

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kvick::base::date::UnixMs;
use kvick::config::Settings;
use kvick::engine::Engine;
use kvick::io::aof::append::AppendFile;
use kvick::io::aof::batch;
use kvick::io::aof::reader::{Sink, read_file};
use kvick::io::aof::record::Request;
use kvick::io::disk::Real;
use kvick::io::load::{Quietly, Rdb, Replay};
use kvick::state::log::push_command;

/// Bytes of a record: SET with a key of 16 bytes and a value of 37.
const RECORD_BYTES: usize = 80;
const VALUE: &[u8] = &[b'v'; 37];
/// Records in a batch: one client, a few, a pipeline.
const BATCHES: [usize; 3] = [1, 16, 128];
/// Records that one measured run writes; a multiple of all sizes of batches.
const RECORDS_WRITTEN: usize = 128 * 64;
/// Records in the files that are read back.
const RECORDS_READ: usize = 100_000;

fn records(from: usize, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * RECORD_BYTES);
    for number in from..from + count {
        push_command(&mut bytes, &[b"SET", format!("key:{number:012}").as_bytes(), VALUE]);
    }
    assert_eq!(bytes.len(), count * RECORD_BYTES);
    bytes
}

/// An empty file in place of the one there was.
fn fresh(path: &Path) -> AppendFile {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{}: {error}", path.display()),
        _ => AppendFile::create(&Real, path).expect("a file"),
    }
}

/// The header of a batch: formatted, and the checksum over the records.
fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log, seal");
    for count in BATCHES {
        let batch = records(0, count);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(format!("{count} records"), |bencher| {
            bencher.iter(|| {
                batch::header(black_box(123_456_789), black_box(&batch), black_box(Some(123_000_000)))
            })
        });
    }
    group.finish();
}

/// Sealed and written, as step 4 of the turn does it. The elements are records.
fn append(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("append.aof");
    let mut group = criterion.benchmark_group("log, append");
    for count in BATCHES {
        let batch = records(0, count);
        group.throughput(Throughput::Elements(RECORDS_WRITTEN as u64));
        group.bench_function(format!("batches of {count}"), |bencher| {
            let write = |mut file: AppendFile| {
                for _ in 0..RECORDS_WRITTEN / count {
                    file.append(&batch).expect("written");
                }
                file
            };
            bencher.iter_batched(|| fresh(&path), write, BatchSize::PerIteration)
        });
    }
    group.finish();
}

/// Takes every request and forgets it.
struct Nobody;

impl Sink for Nobody {
    fn request(&mut self, request: Request<'_>) -> Result<(), String> {
        black_box(request.bytes());
        Ok(())
    }
}

/// Loads a file into an empty engine.
fn load(path: &Path, mut engine: Engine) -> Engine {
    let replay = Replay::begin(&mut engine, Rdb::default());
    let report = read_file(&Real, path, true, &mut Quietly { engine: &mut engine, replay: &replay })
        .expect("a good file");
    replay.end(&mut engine, UnixMs(1));
    assert_eq!(report.requests, RECORDS_READ as u64);
    assert_eq!(engine.keys.databases()[0].len(), RECORDS_READ);
    engine
}

/// Read back: verified and parsed only, and run as well. Files of our batches, and one as another server writes it.
fn replay(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a directory");
    let loose = folder.path().join("loose.aof");
    fs::write(&loose, records(0, RECORDS_READ)).expect("written");
    let mut files = vec![("no batches".to_owned(), loose)];
    for count in BATCHES {
        let path = folder.path().join(format!("{count}.aof"));
        let mut file = AppendFile::create(&Real, &path).expect("a file");
        for from in (0..RECORDS_READ).step_by(count) {
            file.append(&records(from, count.min(RECORDS_READ - from))).expect("written");
        }
        files.push((format!("batches of {count}"), path));
    }
    for (title, runs) in [("log, read", false), ("log, replay", true)] {
        let mut group = criterion.benchmark_group(title);
        group.throughput(Throughput::Elements(RECORDS_READ as u64)).sample_size(20);
        for (name, path) in &files {
            group.bench_function(name, |bencher| match runs {
                false => bencher.iter(|| read_file(&Real, path, true, &mut Nobody).expect("a good file")),
                true => bencher.iter_batched(
                    || Engine::new(Settings::default(), 1),
                    |engine| load(path, engine),
                    BatchSize::PerIteration,
                ),
            });
        }
        group.finish();
    }
}

criterion_group!(benches, seal, append, replay);
criterion_main!(benches);
