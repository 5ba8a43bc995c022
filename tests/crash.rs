//! kill -9 under load: what was acknowledged is found, what is found was sent, and nothing out of order.
//!
//! Each writer has one connection and numbers its operations; operation `n` does something that follows from `n` alone
//! (see [`Model::apply`]). A log keeps one connection's writes in their order, so after a crash the keys of a writer must
//! look as after its first `p` operations, with *acknowledged ≤ p ≤ sent*. That says more than looking at each key.
//!
//! A killed process loses nothing that it had handed to the kernel; so all policies are held to the same here. What a
//! power cut takes is told by the tests of the log, which can see what was synced.
//!
//! Environment: `KVICK_CRASH_KILLS` (kills per policy, default 5), `KVICK_CRASH_SEED`.

mod common;
#[path = "crash/types.rs"]
mod types;

use common::{Client, Random, Server, Value, env_number, poll_until, server, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Writers at once.
const WRITERS: usize = 4;
/// At most so many operations are under way per writer.
const PIPELINE_MAX: usize = 24;
/// So many different keys a writer's SETs go to.
const SLOTS: u64 = 37;
/// After so many operations a writer begins its list anew, so that comparing stays quick.
const LIST_PERIOD: u64 = 5000;

/// What a writer's keys hold after some number of operations.
#[derive(Clone, PartialEq, Debug)]
struct Model {
    done: u64,
    counter: i64,
    list: Vec<u64>,
    slots: Vec<Option<u64>>,
}

impl Model {
    fn new() -> Model {
        Model { done: 0, counter: 0, list: Vec::new(), slots: vec![None; SLOTS as usize] }
    }

    /// Performs the next operation here.
    fn apply(&mut self) {
        let n = self.done;
        match n % 8 {
            0 | 4 => self.slots[(n % SLOTS) as usize] = Some(n),
            1 | 5 => self.counter += 1,
            2 | 6 => self.list.push(n),
            3 if n % LIST_PERIOD == 3 => self.list.clear(),
            3 => self.slots[(n / 3 % SLOTS) as usize] = None,
            _ => {} // A key with a short life: see `short_key`.
        }
        self.done += 1;
    }

    /// The command of operation `n` of `writer`.
    fn command(writer: usize, n: u64) -> Vec<String> {
        let words = match n % 8 {
            0 => format!("SET w{writer}:s{} {n}", n % SLOTS),
            4 => format!("SET w{writer}:s{} {n} EX 100000", n % SLOTS),
            1 | 5 => format!("INCR w{writer}:n"),
            2 | 6 => format!("RPUSH w{writer}:l {n}"),
            3 if n % LIST_PERIOD == 3 => format!("DEL w{writer}:l"),
            3 => format!("DEL w{writer}:s{}", n / 3 % SLOTS),
            _ => format!("SET {} {n} PX {}", short_key(writer, n), 1 + n % 20),
        };
        words.split(' ').map(str::to_string).collect()
    }

    /// What the server holds; `done` stays open.
    fn read(client: &mut Client, writer: usize) -> Model {
        let number = |value: &Value| match value {
            value if value.is_null() => None,
            value => Some(value.text().parse::<u64>().expect("a number that we wrote")),
        };
        let counter = number(&client.say(&format!("GET w{writer}:n"))).unwrap_or(0) as i64;
        let list = client.say(&format!("LRANGE w{writer}:l 0 -1"));
        let list = list.items().iter().filter_map(number).collect();
        let keys: Vec<String> = (0..SLOTS).map(|s| format!("w{writer}:s{s}")).collect();
        let get: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
        let slots = client.cmd(&get).items().iter().map(number).collect();
        Model { done: 0, counter, list, slots }
    }

    fn looks_like(&self, found: &Model) -> bool {
        self.counter == found.counter && self.list == found.list && self.slots == found.slots
    }
}

/// The keys that die soon; `Model` does not hold them.
fn short_key(writer: usize, n: u64) -> String {
    format!("w{writer}:short{}", n % 100)
}

/// How far a writer came: operations sent and acknowledged, in all.
#[derive(Default, Clone, Copy)]
struct Progress {
    sent: u64,
    acknowledged: u64,
}

/// Writes from operation `from` on until the connection dies.
fn write_until_killed(mut client: Client, writer: usize, from: u64, seed: u64, progress: &Mutex<Progress>) {
    let mut random = Random::new(seed);
    let mut next = from;
    loop {
        let count = 1 + random.below(PIPELINE_MAX) as u64;
        let bytes: Vec<u8> =
            (next..next + count).flat_map(|n| common::client::encode(&Model::command(writer, n))).collect();
        progress.lock().expect("lock").sent = next + count;
        if client.try_send_raw(&bytes).is_err() {
            return;
        }
        for n in next..next + count {
            match client.try_read_value() {
                Ok(reply) => assert!(reply.error().is_none(), "operation {n}: {reply:?}"),
                Err(_) => return,
            }
            progress.lock().expect("lock").acknowledged = n + 1;
        }
        next += count;
    }
}

/// Rewrites the log again and again until the connection dies.
fn rewrite_until_killed(mut client: Client, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if client.try_cmd(&["BGREWRITEAOF"]).is_err() {
            return;
        }
        let done = poll_until(Duration::from_secs(5), || {
            client.try_cmd(&["INFO", "persistence"]).map_or(true, |info| {
                let info = info.text();
                info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
            })
        });
        assert!(done, "a rewrite of next to nothing takes seconds");
    }
}

/// Starts, writes, kills, restarts, compares; as often as `KVICK_CRASH_KILLS` says.
fn survives_kills(policy: &str, rewrites: bool) {
    let seed = Random::seed_from_env("KVICK_CRASH_SEED");
    println!("KVICK_CRASH_SEED={seed}");
    let mut random = Random::new(seed);
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", policy]);
    let mut models = vec![Model::new(); WRITERS];
    // redis-server postpones its write while a sync is under way, and answers all the same. We do not.
    let postpones = policy == "everysec" && !server::is_kvick();
    for kill in 0..env_number("KVICK_CRASH_KILLS", 5) {
        let progress = write_and_kill(&mut server, &models, rewrites, &mut random);
        server.restart();
        let mut client = server.client();
        for (writer, model) in models.iter_mut().enumerate() {
            let found = Model::read(&mut client, writer);
            let mut progress = progress[writer];
            if postpones {
                progress.acknowledged = model.done;
            }
            *model = prefix(model.clone(), &found, progress)
                .unwrap_or_else(|e| panic!("kill {kill}, writer {writer}, {policy}: {e}\n{found:?}"));
        }
        short_keys_are_gone(&mut client);
    }
    let total: u64 = models.iter().map(|m| m.done).sum();
    println!("{policy}: {total} operations found");
    assert!(0 < total, "nothing was written");
}

/// One round of load, cut off at a random moment; how far each writer came.
fn write_and_kill(
    server: &mut Server,
    models: &[Model],
    rewrites: bool,
    random: &mut Random,
) -> Vec<Progress> {
    let progress: Vec<Arc<Mutex<Progress>>> = models
        .iter()
        .map(|m| Arc::new(Mutex::new(Progress { sent: m.done, acknowledged: m.done })))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for (writer, model) in models.iter().enumerate() {
        let (client, from, seed) = (server.client(), model.done, random.next());
        let progress = progress[writer].clone();
        threads.push(std::thread::spawn(move || write_until_killed(client, writer, from, seed, &progress)));
    }
    if rewrites {
        let (client, stop) = (server.client(), stop.clone());
        threads.push(std::thread::spawn(move || rewrite_until_killed(client, &stop)));
    }
    // A random moment of the load: after some time, however much was done by then.
    let (begin, until) = (Instant::now(), Duration::from_millis(random.range(3, 150) as u64));
    wait_until("some milliseconds pass", || until <= begin.elapsed());
    server.kill9();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("a writer saw a wrong reply");
    }
    progress.iter().map(|p| *p.lock().expect("lock")).collect()
}

/// The state after `p` operations that looks like `found`, with `p` in what `progress` allows.
fn prefix(mut model: Model, found: &Model, progress: Progress) -> Result<Model, String> {
    while model.done < progress.acknowledged {
        model.apply();
    }
    let expected = model.clone();
    loop {
        if model.looks_like(found) {
            return Ok(model);
        }
        if model.done == progress.sent {
            let Progress { sent, acknowledged } = progress;
            return Err(format!(
                "{sent} sent, {acknowledged} acknowledged; found what is no prefix\nexpected at least {expected:?}"
            ));
        }
        model.apply();
    }
}

/// What had only milliseconds to live does not come back by a restart.
fn short_keys_are_gone(client: &mut Client) {
    let all: Vec<String> = (0..WRITERS).flat_map(|w| (0..100).map(move |n| short_key(w, n))).collect();
    let exists: Vec<&str> = std::iter::once("EXISTS").chain(all.iter().map(String::as_str)).collect();
    let begin = Instant::now();
    // The longest of them lives 20 ms; the server has been restarted since it was written.
    let gone = poll_until(Duration::from_millis(500), || client.cmd(&exists) == Value::Int(0));
    assert!(gone, "expired keys are still there {:?} after the restart", begin.elapsed());
}

#[test]
fn kills_lose_nothing_acknowledged_with_always() {
    survives_kills("always", false);
}

#[test]
fn kills_lose_nothing_acknowledged_with_everysec() {
    survives_kills("everysec", false);
}

#[test]
fn kills_lose_nothing_acknowledged_with_no() {
    survives_kills("no", false);
}

#[test]
fn kills_during_rewrites_lose_nothing_acknowledged_with_always() {
    survives_kills("always", true);
}

#[test]
fn kills_during_rewrites_lose_nothing_acknowledged_with_everysec() {
    survives_kills("everysec", true);
}

#[test]
fn what_expired_before_the_crash_is_not_counted_on_after_it() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let mut client = server.client();
    for n in 0..50 {
        client.say(&format!("SET c{n} 100 PX 2"));
        client.say(&format!("RPUSH l{n} old"));
        client.say(&format!("PEXPIRE l{n} 2"));
        client.say(&format!("SET gone{n} 1 PX 2"));
    }
    wait_until("all have expired", || client.say("EXISTS c49 l49 gone49") == Value::Int(0));
    for n in 0..50 {
        assert_eq!(Value::Int(1), client.say(&format!("INCR c{n}")));
        assert_eq!(Value::Int(1), client.say(&format!("RPUSH l{n} new")));
    }
    server.kill9();
    server.restart();
    let mut client = server.client();
    for n in 0..50 {
        assert_eq!("1", client.say(&format!("GET c{n}")).text(), "c{n}");
        assert_eq!(Value::Int(-1), client.say(&format!("TTL c{n}")), "c{n}");
        assert_eq!(Value::Array(vec![Value::bulk("new")]), client.say(&format!("LRANGE l{n} 0 -1")));
        assert_eq!(Value::Int(0), client.say(&format!("EXISTS gone{n}")));
    }
}

#[test]
fn deadlines_survive_the_crash_as_dates() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut client = server.client();
    client.say("SET k v EX 100000");
    client.say("SET n 5");
    client.say("PEXPIRE n 100000000");
    let before: Vec<Value> = ["k", "n"].iter().map(|k| client.cmd(&["PEXPIRETIME", k])).collect();
    server.kill9();
    server.restart();
    let mut client = server.client();
    let after: Vec<Value> = ["k", "n"].iter().map(|k| client.cmd(&["PEXPIRETIME", k])).collect();
    assert_eq!(before, after);
}

/// A log of one writer, and how many operations it holds.
fn log_of_one_writer(operations: u64, policy: &str) -> (tempfile::TempDir, u64) {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", policy]);
    let mut client = server.client();
    let mut random = Random::new(7);
    let mut next = 0;
    while next < operations {
        let end = next + 1 + random.below(PIPELINE_MAX) as u64;
        let commands: Vec<_> = (next..end).map(|n| Model::command(0, n)).collect();
        for reply in client.pipeline(&commands) {
            assert!(reply.error().is_none(), "{reply:?}");
        }
        next = end;
    }
    (server.into_folder(), next)
}

/// The increment file that the manifest names last.
fn last_increment(data: &Path) -> PathBuf {
    let folder = data.join("appendonlydir");
    let manifest = fs::read_to_string(folder.join("appendonly.aof.manifest")).expect("a manifest");
    let line = manifest.lines().rfind(|line| line.ends_with("type i")).expect("an increment");
    folder.join(line.split(' ').nth(1).expect("file NAME"))
}

/// A copy of a server's directory, without its log.
fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary directory");
    let status =
        std::process::Command::new("cp").arg("-r").arg(folder.join("data")).arg(copy.path()).status();
    assert!(status.expect("cp").success());
    copy
}

/// Starts on what is in `folder` and expects a prefix of the operations; how long it is.
fn starts_with_a_prefix(folder: tempfile::TempDir, sent: u64, what: &str) -> u64 {
    let args = ["--appendonly", "yes", "--appendfsync", "no"];
    let mut server = Server::start_in(&server::binary(), &args, folder);
    let found = Model::read(&mut server.client(), 0);
    let all = Progress { sent, acknowledged: 0 };
    let model = prefix(Model::new(), &found, all).unwrap_or_else(|e| panic!("{what}: {e}"));
    if !server::is_kvick() {
        // Cut inside of a MULTI, redis-server keeps the MULTI, and what it writes behind it is gone at the next start.
        return model.done;
    }
    // What was repaired stays repaired, and new writes go behind it.
    let mut client = server.client();
    assert_eq!(Value::ok(), client.say("SET after repair"));
    server.kill9();
    server.restart();
    let mut client = server.client();
    assert_eq!("repair", client.say("GET after").text(), "{what}");
    assert!(model.looks_like(&Model::read(&mut client, 0)), "{what}: another state after the second start");
    model.done
}

#[test]
fn a_tail_torn_at_any_byte_leaves_a_prefix() {
    let (folder, sent) = log_of_one_writer(600, "everysec");
    let seed = Random::seed_from_env("KVICK_CRASH_SEED");
    println!("KVICK_CRASH_SEED={seed}");
    let mut random = Random::new(seed);
    let length = fs::metadata(last_increment(&folder.path().join("data"))).expect("the increment").len();
    let mut longest = 0;
    for cut in 0..env_number("KVICK_CRASH_KILLS", 5) * 3 {
        let copy = copy_of(folder.path());
        let path = last_increment(&copy.path().join("data"));
        let keep = if cut == 0 { length - 1 } else { 1 + random.below(length as usize - 1) as u64 };
        let file = fs::OpenOptions::new().write(true).open(path).expect("the increment");
        file.set_len(keep).expect("a shorter file");
        longest = longest.max(starts_with_a_prefix(copy, sent, &format!("cut to {keep} of {length} bytes")));
    }
    assert!(sent - PIPELINE_MAX as u64 * 2 < longest, "cutting one byte cost {} operations", sent - longest);
}

#[test]
fn garbage_behind_the_last_batch_is_cut_off() {
    if !server::is_kvick() {
        return println!(
            "skipped: redis-server refuses garbage at the end; it has no checksums to tell it from data"
        );
    }
    let (folder, sent) = log_of_one_writer(200, "everysec");
    let mut random = Random::new(11);
    let half = common::client::encode(&["SET", "garbage", "found"]);
    let samples: [Vec<u8>; 4] = [
        (0..300).map(|_| random.next() as u8).collect(),
        vec![0; 4096],
        half[..half.len() - 3].to_vec(),
        b"*1000000\r\n$5\r\n".to_vec(),
    ];
    for garbage in samples {
        let copy = copy_of(folder.path());
        let path = last_increment(&copy.path().join("data"));
        let mut bytes = fs::read(&path).expect("the increment");
        bytes.extend_from_slice(&garbage);
        fs::write(&path, bytes).expect("a longer file");
        let found = starts_with_a_prefix(copy, sent, &format!("garbage {}", common::value::quoted(&garbage)));
        assert_eq!(sent, found, "garbage behind whole batches cost whole batches");
    }
}

#[test]
fn a_flipped_byte_in_the_middle_is_refused_with_its_place() {
    if !server::is_kvick() {
        return println!("skipped: redis-server has no checksums in its increments");
    }
    // Synced batch by batch: a byte that was never known to be on disk could be a hole that a power cut left.
    let (folder, _) = log_of_one_writer(400, "always");
    let path = last_increment(&folder.path().join("data"));
    let original = fs::read(&path).expect("the increment");
    let mut random = Random::new(13);
    for _ in 0..5 {
        let mut bytes = original.clone();
        let at = random.below(bytes.len() / 2);
        bytes[at] ^= 1;
        fs::write(&path, bytes).expect("a spoiled file");
        let (code, log) = Server::start_refused(&["--appendonly", "yes"], folder.path());
        assert_eq!(Some(1), code, "byte {at} of {} flipped:\n{log}", original.len());
        assert!(log.contains("incr.aof"), "the log does not name the file:\n{log}");
    }
}
