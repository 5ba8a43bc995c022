//! A log of every type, cut at every byte and with every byte altered: what starts has the data of some batch's end,
//! what does not says which file, where and what to do; and the checker is of the same opinion.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use kvick::base::memory;
use kvick::config::AppendFsync;
use kvick::engine::snapshot::rdb::write_rdb;
use kvick::engine::snapshot::write_snapshot;
use kvick::io::aof::batch;
use kvick::io::aof::check::check;

use crate::common::{Random, env_number};
use crate::disk::{Clock, Simulated};
use crate::life::{BEGIN_MS, Data, Life, Plan};
use crate::play::{Play, contents};

const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
const INCREMENT: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const ONLY_INCREMENT: &str = "file appendonly.aof.1.incr.aof seq 1 type i\n";
/// Memory that no damage may make us take.
const MEMORY_MAX: usize = 64 << 20;

/// What is said, turn by turn.
const TURNS: &[&[&str]] = &[
    &["SET s v", "SET n 12", "INCR n", "INCRBYFLOAT n 0.5"],
    &["SET due v PX 100000", "SET long 01234567890123456789012345678901234567890123456789"],
    &["RPUSH l a b c", "LPUSH l 1", "LPOP l"],
    &["SADD t 1 2 3", "SADD t x", "SPOP t"],
    &["MULTI", "SET half 1", "HSET h f 1 g 2", "SET other 1", "EXEC"],
    &["HPEXPIRE h 100000 FIELDS 1 f", "HINCRBY h g 5"],
    &["ZADD z 1 a 2.5 b", "ZINCRBY z 1 a"],
    &[
        "XADD x * f v",
        "XADD x * g w",
        "XGROUP CREATE x readers 0",
        "XREADGROUP GROUP readers me COUNT 1 STREAMS x >",
    ],
    &["XREADGROUP GROUP readers me STREAMS x >", "XADD x MAXLEN 2 * f last"],
    &["EXPIRE l 1000", "PERSIST due", "SETRANGE s 3 xyz", "APPEND s #KV"],
    &["SELECT 1", "SET elsewhere *1", "RENAME elsewhere here", "SELECT 0"],
    &["MULTI", "DEL t", "COPY z zz", "EXEC"],
    &["SET s last"],
];

/// What the batches say of how much is on disk.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Synced {
    Nobody,
    Nothing,
    Everything,
}

/// The bytes of a log, and what there was at the end of each batch.
fn log(synced: Option<Synced>) -> (Vec<u8>, BTreeMap<usize, Data>) {
    let mut play = Play::new(1);
    play.now = BEGIN_MS as i64;
    play.pass(0);
    let mut bytes = Vec::new();
    let mut states = BTreeMap::from([(0, Data::new())]);
    for turn in TURNS {
        for words in *turn {
            let reply = play.ask(0, &words.split(' ').collect::<Vec<_>>());
            assert!(!reply.starts_with(b"-"), "{words}: {}", reply.escape_ascii());
        }
        let records = std::mem::take(play.engine.state.log.pending_mut());
        if let Some(synced) = synced {
            let synced = match synced {
                Synced::Nobody => None,
                Synced::Nothing => Some(0),
                Synced::Everything => Some(bytes.len() as u64),
            };
            bytes.extend_from_slice(batch::header(bytes.len() as u64, &records, synced).as_bytes());
        }
        bytes.extend_from_slice(&records);
        states.insert(bytes.len(), contents(&play.engine.keys));
    }
    (bytes, states)
}

/// A disk with these files.
fn disk(files: &[(&str, &[u8])]) -> Simulated {
    let disk = Simulated::new(1, Clock::default());
    files.iter().for_each(|(path, bytes)| disk.put(path, bytes));
    disk
}

fn start(disk: &Simulated) -> Result<Data, String> {
    let plan = Plan { rdb: false, clients: 0, ..Plan::plain(AppendFsync::Everysec) };
    let life = Life::start(disk, &Rc::new(Cell::new(0)), plan, 1);
    life.map(|life| contents(&life.engine.keys)).map_err(|error| error.to_string())
}

fn checked(disk: &Simulated, fix: bool) -> (u8, String) {
    let mut said = Vec::new();
    let code = check(disk, Path::new(MANIFEST), fix, &mut &b"y\n"[..], &mut said).expect("said");
    (code, String::from_utf8_lossy(&said).into_owned())
}

/// Every place under torture, some in a test that is run all the time.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let step = if env_number("KVICK_TORTURE_SECONDS", 0) == 0 { 7 } else { 1 };
    (0..length).step_by(step)
}

thread_local! {
    static REFUSED: RefCell<BTreeMap<String, u64>> = RefCell::default();
    static FILES: Cell<u64> = const { Cell::new(0) };
}

/// Counts a file that was damaged, and why it was refused if it was.
fn count(started: &Result<Data, String>) {
    FILES.set(FILES.get() + 1);
    let Err(why) = started else { return };
    let reason = match why {
        _ if why.contains("Whole batches follow") => "damage before whole batches",
        _ if why.contains("last word") => "a file without its last word",
        _ if why.contains("manifest") => "a damaged manifest",
        _ if why.contains("RDB") => "a damaged RDB file",
        _ => "other damage",
    };
    REFUSED.with_borrow_mut(|refused| *refused.entry(reason.to_owned()).or_default() += 1);
}

fn report() {
    REFUSED.with_borrow(|refused| println!("torture: damaged {} refused {refused:?}", FILES.get()));
}

/// A refusal says where and what to do.
fn helps(why: &str) {
    assert!(why.contains("appendonlydir/appendonly.aof."), "{why}");
    assert!(why.contains("at byte") || why.contains("manifest") || why.contains("offset"), "{why}");
    assert!(["check-aof", "Restore", "restore", "manifest"].iter().any(|word| why.contains(word)), "{why}");
}

#[test]
fn an_increment_cut_at_every_byte_starts_with_what_is_whole() {
    for synced in [Synced::Nobody, Synced::Everything] {
        let (bytes, states) = log(Some(synced));
        for cut in places(bytes.len() + 1) {
            let files = [(MANIFEST, ONLY_INCREMENT.as_bytes()), (INCREMENT, &bytes[..cut])];
            let (end, expected) = states.range(..=cut).next_back().expect("zero is one");
            let (server, checker) = (disk(&files), disk(&files));
            assert_eq!(checked(&checker, false).0, u8::from(*end != cut), "cut at {cut}");
            assert_eq!(checked(&checker, true).0, 0, "cut at {cut}");
            for disk in [&server, &checker] {
                let started = start(disk);
                count(&started);
                assert_eq!(started.as_ref(), Ok(expected), "cut at {cut}");
                assert_eq!(disk.read(Path::new(INCREMENT)).as_deref(), Some(&bytes[..*end]));
                let beside = disk.read(Path::new(&format!("{INCREMENT}.cut-{end}")));
                assert_eq!(beside.as_deref().unwrap_or_default(), &bytes[*end..cut], "cut at {cut}");
            }
        }
    }
    report();
}

#[test]
fn an_increment_with_any_byte_altered_never_brings_wrong_data() {
    let random = &mut Random::new(Random::seed_from_env("KVICK_TORTURE_SEED"));
    let before = memory::used();
    for synced in [Synced::Nobody, Synced::Nothing, Synced::Everything] {
        let (bytes, states) = log(Some(synced));
        for place in places(bytes.len()) {
            let mut altered = bytes.clone();
            altered[place] = *random.pick(&[altered[place] ^ (1 << random.clone().below(8)), 0, b'\n', b'9']);
            if altered[place] == bytes[place] {
                continue;
            }
            let files = [(MANIFEST, ONLY_INCREMENT.as_bytes()), (INCREMENT, &altered[..])];
            let (server, checker) = (disk(&files), disk(&files));
            let code = checked(&checker, false).0;
            let started = start(&server);
            count(&started);
            match &started {
                Ok(data) => {
                    assert!(states.values().any(|state| state == data), "{synced:?}, byte {place}");
                    let is_cut =
                        server.read(Path::new(INCREMENT)).map(|bytes| bytes.len()) != Some(altered.len());
                    assert_eq!(code, u8::from(is_cut), "{synced:?}, byte {place}");
                }
                Err(why) => {
                    helps(why);
                    assert_eq!(code, 1, "{synced:?}, byte {place}: {why}");
                }
            }
            // What the checker leaves is all that was whole before the damage, and what the server itself would leave.
            let (code, said) = checked(&checker, true);
            assert_eq!(code, 0, "{said}");
            let fixed = start(&checker).expect("it was fixed");
            let (_, whole) = states.range(..=place).next_back().expect("zero is one");
            let expected = started.as_ref().unwrap_or(whole);
            assert!(fixed == *expected, "{synced:?}, byte {place}: {said}");
        }
    }
    assert!(memory::used() < before + MEMORY_MAX);
    report();
}

/// What a rewrite writes of the whole data.
fn base(rdb: bool) -> (Vec<u8>, Data) {
    let mut play = Play::new(1);
    play.now = BEGIN_MS as i64;
    play.pass(0);
    for words in TURNS.iter().copied().flatten() {
        play.ask(0, &words.split(' ').collect::<Vec<_>>());
    }
    let mut bytes = Vec::new();
    if rdb {
        write_rdb(&play.engine, true, &mut bytes, |_| {}).expect("memory takes it");
        return (bytes, contents(&play.engine.keys));
    }
    let mut records = Vec::new();
    write_snapshot(&play.engine, &mut records, |_| {}).expect("memory takes it");
    // In pieces, as the child writes it; each is whole requests.
    for piece in [&records[..], &[]] {
        bytes.extend_from_slice(batch::header(bytes.len() as u64, piece, None).as_bytes());
        bytes.extend_from_slice(piece);
    }
    (bytes, contents(&play.engine.keys))
}

#[test]
fn a_base_that_is_cut_or_altered_is_refused() {
    let random = &mut Random::new(Random::seed_from_env("KVICK_TORTURE_SEED"));
    for rdb in [true, false] {
        let (bytes, data) = base(rdb);
        let name = format!("appendonly.aof.1.base.{}", if rdb { "rdb" } else { "aof" });
        let manifest = format!("file {name} seq 1 type b\n{ONLY_INCREMENT}");
        let path = format!("appendonlydir/{name}");
        let mut more = Vec::new();
        more.extend_from_slice(batch::header(0, b"", Some(0)).as_bytes());
        for increment in [&b""[..], &more] {
            let files = |bytes: &[u8]| {
                disk(&[(MANIFEST, manifest.as_bytes()), (&path[..], bytes), (INCREMENT, increment)])
            };
            assert_eq!(start(&files(&bytes)).as_ref(), Ok(&data));
            assert_eq!(checked(&files(&bytes), false).0, 0);
            // A base of commands that is empty is what redis-server writes of no data.
            for place in places(bytes.len()).skip(1) {
                let mut altered = bytes.clone();
                altered[place] ^= 1 << random.below(8);
                for damaged in [bytes[..place].to_vec(), altered] {
                    let started = start(&files(&damaged));
                    count(&started);
                    let (code, said) = checked(&files(&damaged), false);
                    match started {
                        // A mark that became somebody's comment takes nothing with it.
                        Ok(found) => {
                            assert!(found == data && code == 0 && damaged.len() == bytes.len(), "{place}")
                        }
                        Err(why) => {
                            helps(&why);
                            assert_eq!(code, 1, "rdb {rdb}, {place}: {why}\n{said}");
                            let (code, said) = checked(&files(&damaged), true);
                            assert_eq!(
                                code, 1,
                                "nothing may be cut off a base: rdb {rdb}, {place}: {why}\n{said}"
                            );
                        }
                    }
                }
            }
        }
    }
    report();
}

#[test]
fn a_manifest_that_is_cut_or_altered_is_refused_or_harmless() {
    let random = &mut Random::new(Random::seed_from_env("KVICK_TORTURE_SEED"));
    let (bytes, data) = base(true);
    let (more, states) = log(Some(Synced::Everything));
    let text = format!("file appendonly.aof.1.base.rdb seq 1 type b\n{ONLY_INCREMENT}");
    let ours = format!("#KV {:08x}\n{text}", crc32fast::hash(text.as_bytes()));
    let all = states.values().next_back().expect("a state");
    let base = "appendonlydir/appendonly.aof.1.base.rdb";
    let files = |manifest: &[u8]| disk(&[(MANIFEST, manifest), (base, &bytes), (INCREMENT, &more)]);
    let whole = start(&files(ours.as_bytes())).expect("it is whole");
    assert!(whole.len() == all.len() && data.len() == all.len());
    for place in 0..ours.len() {
        let mut altered = ours.clone().into_bytes();
        altered[place] ^= 1 << random.below(8);
        for damaged in [ours.as_bytes()[..place].to_vec(), altered] {
            let started = start(&files(&damaged));
            count(&started);
            match started {
                Ok(found) => assert!(found == whole, "{}", damaged.escape_ascii()),
                Err(why) => assert!(why.contains(MANIFEST), "{why}"),
            }
        }
    }
    report();
}

#[test]
fn another_servers_log_cut_at_every_byte_starts_with_whole_requests() {
    let random = &mut Random::new(Random::seed_from_env("KVICK_TORTURE_SEED"));
    let (bytes, states) = log(None);
    let before = memory::used();
    for place in places(bytes.len()) {
        let files = |bytes: &[u8]| disk(&[(MANIFEST, ONLY_INCREMENT.as_bytes()), (INCREMENT, bytes)]);
        let started = start(&files(&bytes[..place]));
        count(&started);
        let found = started.expect("a prefix");
        let half = |data: &Data| data.keys().filter(|(_, key)| key == b"half" || key == b"other").count();
        assert_ne!(half(&found), 1, "half of a transaction, cut at {place}");
        if let Some(expected) = states.get(&place) {
            assert_eq!(found, *expected);
        }
        let mut altered = bytes.clone();
        altered[place] ^= 1 << random.below(8);
        let started = start(&files(&altered));
        count(&started);
        if let Err(why) = started {
            assert!(why.contains("1.incr.aof"), "{why}");
        }
    }
    assert!(memory::used() < before + MEMORY_MAX);
    report();
}
