//! Logs: any bytes at all, and a real log that is cut and altered. What loads is the data at the end of some batch, and
//! the checker is of the same opinion as the server.

use std::path::Path;

use kvick::base::date::UnixMs;
use kvick::base::memory;
use kvick::config::Settings;
use kvick::engine::Engine;
use kvick::engine::snapshot::rdb::write_rdb;
use kvick::io::aof::batch;
use kvick::io::aof::check::check;
use kvick::io::aof::reader::{LoadError, Report, read_file};
use kvick::io::load::{Quietly, Rdb, Replay};

use super::Choices;
use super::commands::{Script, requests, texts};
use super::memory_disk::Memory;
use super::play::contents;

const PATH: &str = "appendonlydir/appendonly.aof.1.incr.aof";
/// What loading may take besides what the bytes stand for.
const MEMORY_MAX: usize = 64 << 20;

/// Loads a file as the last of a log.
fn load(bytes: &[u8], settings: &Settings) -> (Engine, Result<Report, LoadError>) {
    let disk = Memory::with(&[(PATH, bytes)]);
    let mut settings = settings.clone();
    settings.proto_max_bulk_len = 1 << 20;
    let mut engine = Engine::new(settings, 5);
    engine.apply_settings();
    let replay = Replay::begin(&mut engine, Rdb::default());
    let report =
        read_file(&disk, Path::new(PATH), true, &mut Quietly { engine: &mut engine, replay: &replay });
    replay.end(&mut engine, UnixMs::ZERO);
    (engine, report)
}

/// What the checker says: whether all is well, and what is left when it has cut off what is not.
fn checked(bytes: &[u8]) -> (bool, Option<Vec<u8>>) {
    let disk = Memory::with(&[(PATH, bytes)]);
    let check = |fix| {
        let mut said = Vec::new();
        check(&disk, Path::new(PATH), fix, &mut &b"y\n"[..], &mut said).expect("memory takes it")
    };
    let is_well = check(false) == 0;
    (is_well, (check(true) == 0).then(|| disk.read(PATH)).flatten())
}

/// Any bytes.
fn wild(bytes: &[u8]) {
    let before = memory::used();
    let (engine, report) = load(bytes, &Settings::default());
    assert!(memory::used() < before + MEMORY_MAX + 1000 * bytes.len());
    let (is_well, fixed) = checked(bytes);
    match report {
        Ok(report) => {
            assert_eq!(is_well, report.torn.is_none());
            assert!(report.good <= bytes.len() as u64);
            // Without its tail it loads as the same.
            let whole = &bytes[..report.good as usize];
            assert_eq!(fixed.as_deref(), Some(whole));
            let (again, second) = load(whole, &Settings::default());
            assert!(second.is_ok_and(|report| report.torn.is_none()));
            assert_eq!(contents(&again.keys), contents(&engine.keys));
        }
        Err(error) => {
            assert!(error.to_string().contains(PATH));
            // The checker runs nothing, so it cannot know what the engine has not got.
            let is_refused = error.to_string().contains("cannot be run") || error.to_string().contains("RDB");
            assert!(!is_well || is_refused, "{error}");
        }
    }
}

/// A log of what these bytes say, one batch a few requests, and the data at the end of each.
fn real(choices: &mut Choices<'_>) {
    let (cut, place, value) = (choices.below(1 << 16), choices.below(1 << 16), choices.byte());
    let shape = choices.byte();
    let mut script = Script::new(usize::from(shape));
    let (mut bytes, mut states) = (Vec::new(), vec![(0, contents(&script.play.engine.keys))]);
    for (number, request) in requests(choices.0).iter().enumerate() {
        if !script.say(request) {
            return;
        }
        if number % 3 == 2 || script.play.engine.state.log.pending().len() > 5000 {
            let records = std::mem::take(script.play.engine.state.log.pending_mut());
            if records.is_empty() {
                continue;
            }
            let synced = [None, Some(0), Some(bytes.len() as u64)][usize::from(shape >> 1) % 3];
            bytes.extend_from_slice(batch::header(bytes.len() as u64, &records, synced).as_bytes());
            bytes.extend_from_slice(&records);
            states.push((bytes.len(), contents(&script.play.engine.keys)));
        }
    }
    let settings = script.play.engine.state.settings.clone();
    let (_, report) = load(&bytes, &settings);
    assert!(report.is_ok_and(|report| report.torn.is_none() && report.good == bytes.len() as u64));
    let cut = cut % (bytes.len() + 1);
    let (end, expected) = states.iter().rfind(|(end, _)| *end <= cut).expect("zero is one");
    let (engine, report) = load(&bytes[..cut], &settings);
    let report = report.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
    assert_eq!((report.good, report.torn.is_some()), (*end as u64, *end != cut));
    assert_eq!(contents(&engine.keys), *expected, "cut at {cut}");
    assert_eq!(checked(&bytes[..cut]), (*end == cut, Some(bytes[..*end].to_vec())));
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= value;
        let (engine, report) = load(&bytes, &settings);
        if report.is_ok() {
            let found = contents(&engine.keys);
            assert!(states.iter().any(|(_, state)| *state == found), "byte {place} by {value:#x}");
        }
        wild(&bytes);
    }
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let choices = &mut Choices(data);
    if choices.byte() & 1 == 0 { wild(choices.0) } else { real(choices) }
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = texts()
        .enumerate()
        .map(|(number, text)| [&[1, 0, 7 * number as u8, 1, 99, 32, number as u8], &text[..]].concat())
        .collect();
    let mut records = Vec::new();
    for words in
        [&["SELECT", "0"][..], &["SET", "k", "v"], &["MULTI"], &["RPUSH", "l", "a"], &["DEL", "k"], &["EXEC"]]
    {
        kvick::resp::request::Request::new(words.iter().map(|word| word.as_bytes()))
            .args()
            .encode_into(&mut records);
    }
    let header = batch::header(0, &records, None);
    let sealed = [header.as_bytes(), &records].concat();
    let last = batch::header(sealed.len() as u64, b"", Some(sealed.len() as u64));
    let mut script = Script::new(0);
    requests(&texts().next().unwrap_or_default()).iter().for_each(|request| _ = script.say(request));
    let mut rdb = Vec::new();
    write_rdb(&script.play.engine, true, &mut rdb, |_| {}).expect("memory takes it");
    for bytes in [
        [&[0][..], &records].concat(),
        [&[0][..], b"#TS:1700000000\r\n#KEYS 3\r\n", &records].concat(),
        [&[0][..], &sealed, last.as_bytes()].concat(),
        [&[0][..], &sealed, &records].concat(),
        [&[0][..], &rdb, &records].concat(),
    ] {
        seeds.push(bytes);
    }
    seeds
}
