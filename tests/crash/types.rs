//! kill -9 with every type of data, and rewrites going on.
//!
//! One writer draws its operations from a seed, each with one outcome whoever runs it: no ID and no member that a server
//! chooses, no date but those in the command. So a second server, which nobody kills, can be given the same operations
//! one by one, and after a crash there must be a moment, *acknowledged ≤ p ≤ sent*, at which both hold the same.

use crate::common::client::encode;
use crate::common::{Client, Random, Server, Value, env_number, server, wait_until};
use crate::{PIPELINE_MAX, Progress, rewrite_until_killed};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Deadlines that nobody lives to see.
const FAR_MS: u64 = 4_000_000_000_000;
const ARGS: &[&str] = &["--enable-debug-command", "yes"];
const LOGGED: &[&str] =
    &["--enable-debug-command", "yes", "--appendonly", "yes", "--appendfsync", "everysec"];

/// How to write the operations of this run.
#[derive(Clone, Copy)]
struct Script {
    seed: u64,
    /// Whether fields of hashes get deadlines, which Redis 7.0 does not know.
    fields: bool,
}

impl Script {
    /// The commands of operation `n`: one, or a transaction.
    fn operation(self, n: u64) -> Vec<Vec<u8>> {
        let mut random = Random::new(self.seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let count = if n.is_multiple_of(11) { 1 + random.below(4) } else { 1 };
        // The groups are there before anybody reads.
        let commands = match n {
            0 => vec!["XGROUP CREATE x g1 0 MKSTREAM".into(), "XGROUP CREATE x g2 0".into()],
            _ => (0..count).map(|step| self.command(n, step, &mut random)).collect::<Vec<String>>(),
        };
        let lines = match commands.len() {
            1 => commands,
            _ => [vec!["MULTI".into()], commands, vec!["EXEC".into()]].concat(),
        };
        lines.iter().map(|line| encode(&line.split(' ').collect::<Vec<_>>())).collect()
    }

    fn command(self, n: u64, step: usize, random: &mut Random) -> String {
        let element = random.below(700);
        let key = random.below(3);
        match random.below(if self.fields { 14 } else { 12 }) {
            0 => of_set(element, key, random),
            1 | 2 => of_hash(element, key, n, random),
            3 | 4 => of_zset(element, key, random),
            5..8 => of_stream(n * 8 + step as u64, random),
            8 => of_list(element, key, random),
            9 => of_bits(element, key, random),
            10 => of_strings(element, key, n, random),
            11 => of_keys(key, random),
            _ => of_fields(element, key, random),
        }
    }
}

fn of_set(element: usize, key: usize, random: &mut Random) -> String {
    match random.below(6) {
        0 | 1 => format!("SADD t{key} {element}"),
        2 => format!("SADD t{key} member:{element} other:{element}"),
        3 => format!("SREM t{key} {element} member:{element}"),
        4 => format!("SMOVE t{key} t2 member:{element}"),
        _ => format!("SUNIONSTORE t3 t{key} t2"),
    }
}

fn of_hash(element: usize, key: usize, n: u64, random: &mut Random) -> String {
    match random.below(6) {
        0..3 => format!("HSET h{key} field:{element} {n} f{} short", element % 10),
        3 => format!("HDEL h{key} field:{element}"),
        4 => format!("HINCRBY h{key} n{} {element}", element % 5),
        _ => format!("HINCRBYFLOAT h{key} d{} 0.5", element % 5),
    }
}

/// Deadlines of fields: far ones, taken back ones, past ones, and some that come while we write.
fn of_fields(element: usize, key: usize, random: &mut Random) -> String {
    let far = FAR_MS + element as u64;
    match random.below(7) {
        0 => format!("HPEXPIREAT h{key} {far} FIELDS 2 field:{element} f1"),
        1 => format!("HPERSIST h{key} FIELDS 1 field:{element}"),
        2 => format!("HPEXPIREAT h{key} 1 FIELDS 1 field:{element}"),
        3 => format!("HSETEX h{key} PXAT {far} FIELDS 1 field:{element} timed"),
        4 => format!("HGETEX h{key} PXAT {far} FIELDS 1 f{}", element % 10),
        5 => format!("HGETDEL h{key} FIELDS 1 field:{element}"),
        _ => format!("HSETEX short PX {} FIELDS 1 f{element} v", 1 + element % 15),
    }
}

fn of_zset(element: usize, key: usize, random: &mut Random) -> String {
    match random.below(9) {
        0..3 => format!("ZADD z{key} {} member:{element}", element as f64 / 8.0),
        3 => format!("ZINCRBY z{key} 0.25 member:{element}"),
        4 => format!("ZREM z{key} member:{element}"),
        5 => format!("ZPOPMIN z{key} 2"),
        6 => format!("ZUNIONSTORE z3 2 z{key} z2"),
        7 => format!("ZRANGESTORE z4 z{key} 2 40"),
        _ => format!("GEOADD geo{key} {} {} place:{element}", element / 10, element % 80),
    }
}

fn of_stream(id: u64, random: &mut Random) -> String {
    let old = 1 + random.below(id as usize);
    match random.below(12) {
        0..4 => format!("XADD x {id}-1 field {id} other value"),
        4 => format!("XADD x MAXLEN 500 {id}-1 name {id}"),
        5 => format!("XADD x{} MAXLEN 5 {id}-1 a b", id % 3),
        6 => format!("XDEL x {old}-1"),
        7 => format!("XREADGROUP GROUP g{} c{} COUNT 3 STREAMS x >", 1 + id % 2, id % 5),
        8 => format!("XREADGROUP GROUP g2 c{} COUNT 2 NOACK STREAMS x >", id % 5),
        9 => format!("XACK x g{} {old}-1 {}-1", 1 + id % 2, old + 1),
        10 => format!("XCLAIM x g1 c{} 0 {old}-1 {}-1 JUSTID", id % 5, old + 1),
        _ => format!("XAUTOCLAIM x g2 c{} 0 {old}-1 COUNT 3", id % 5),
    }
}

fn of_list(element: usize, key: usize, random: &mut Random) -> String {
    match random.below(6) {
        0 | 1 => format!("RPUSH l{key} {element} text:{element}"),
        2 => format!("LPUSH l{key} {element}"),
        3 => format!("LTRIM l{key} -900 -1"),
        4 => format!("LMOVE l{key} l2 LEFT RIGHT"),
        _ => format!("SORT l{key} BY nosort LIMIT 0 30 STORE l3"),
    }
}

fn of_bits(element: usize, key: usize, random: &mut Random) -> String {
    match random.below(6) {
        0 => format!("SETBIT bits{key} {} 1", element * 7),
        1 => format!("BITFIELD bits{key} SET u7 #{element} {} INCRBY i5 3 1", element % 100),
        2 => format!("BITOP XOR bits3 bits{key} bits2"),
        3 | 4 => format!("PFADD hll{key} {element} a{element} b{element}"),
        _ => format!("PFMERGE hll3 hll{key} hll2"),
    }
}

fn of_strings(element: usize, key: usize, n: u64, random: &mut Random) -> String {
    match random.below(6) {
        0 => format!("SET s{element} {n}"),
        1 => format!("SET s{element} {n} PXAT {}", FAR_MS + n),
        2 => format!("APPEND a{key} {n},"),
        3 => format!("INCRBYFLOAT n{key} 1.5"),
        4 => format!("SETRANGE r{key} {element} text"),
        _ => format!("GETEX s{element} PXAT {}", FAR_MS + n),
    }
}

fn of_keys(key: usize, random: &mut Random) -> String {
    let kind = ["t", "h", "z", "l", "x", "geo", "hll", "bits"][random.below(8)];
    match random.below(6) {
        0 => format!("PEXPIREAT {kind}{key} {FAR_MS}"),
        1 => format!("PERSIST {kind}{key}"),
        2 => format!("COPY {kind}{key} copy:{kind} REPLACE"),
        3 => format!("DEL {kind}{}", key + 3),
        4 => format!("MSETNX k{key} 1 k{} 2", key + 3),
        _ => format!("UNLINK k{key} k{}", key + 3),
    }
}

/// The digest of all contents, and what it leaves out: dates, groups, and in whose hands entries are.
fn contents(client: &mut Client, script: Script) -> Vec<Value> {
    wait_until("what had short deadlines is gone", || client.say("EXISTS short") == Value::Int(0));
    let mut asked = vec!["DEBUG DIGEST".to_string(), "DBSIZE".into(), "XINFO GROUPS x".into()];
    asked.extend((1..3).map(|group| format!("XPENDING x g{group}")));
    for key in 0..3 {
        asked.extend(
            ["t", "h", "z", "l", "x", "geo", "hll", "bits"].map(|kind| format!("PEXPIRETIME {kind}{key}")),
        );
        let fields = "FIELDS 10 f0 f1 f2 f3 f4 f5 f6 f7 f8 f9";
        asked.extend(script.fields.then(|| format!("HPEXPIRETIME h{key} {fields}")));
    }
    asked.iter().map(|line| client.say(line)).collect()
}

/// Gives an operation to a server and reads what it says.
fn perform(client: &mut Client, script: Script, n: u64) {
    let commands = script.operation(n);
    client.send_raw(&commands.concat());
    for _ in 0..commands.len() {
        no_error(&client.read_value(), n);
    }
}

fn no_error(reply: &Value, n: u64) {
    assert!(reply.error().is_none(), "operation {n}: {reply:?}");
    if let Value::Array(parts) = reply {
        parts.iter().for_each(|part| assert!(part.error().is_none(), "operation {n}: {reply:?}"));
    }
}

/// Writes from operation `from` on until the connection dies.
fn write_until_killed(mut client: Client, script: Script, from: u64, progress: &Mutex<Progress>) {
    let mut random = Random::new(script.seed + from);
    let mut next = from;
    loop {
        let end = next + 1 + random.below(PIPELINE_MAX) as u64;
        let operations: Vec<_> = (next..end).map(|n| script.operation(n)).collect();
        progress.lock().expect("lock").sent = end;
        if client.try_send_raw(&operations.concat().concat()).is_err() {
            return;
        }
        for (n, commands) in (next..end).zip(operations) {
            for _ in 0..commands.len() {
                match client.try_read_value() {
                    Ok(reply) => no_error(&reply, n),
                    Err(_) => return,
                }
            }
            progress.lock().expect("lock").acknowledged = n + 1;
        }
        next = end;
    }
}

/// Writes from operation `from` on, with rewrites beside it, and kills the server at some moment.
fn write_and_kill(server: &mut Server, script: Script, from: u64, random: &mut Random) -> Progress {
    let progress = Arc::new(Mutex::new(Progress { sent: from, acknowledged: from }));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (client, progress) = (server.client(), progress.clone());
        std::thread::spawn(move || write_until_killed(client, script, from, &progress))
    };
    let rewriter = {
        let (client, stop) = (server.client(), stop.clone());
        std::thread::spawn(move || rewrite_until_killed(client, &stop))
    };
    let (begin, until) = (Instant::now(), Duration::from_millis(random.range(20, 300) as u64));
    wait_until("some milliseconds pass", || until <= begin.elapsed());
    server.kill9();
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer saw a wrong reply");
    rewriter.join().expect("the rewriter saw a wrong reply");
    *progress.lock().expect("lock")
}

/// The number of operations at which the witness holds what was found; it is taken there.
fn moment(witness: &mut Client, script: Script, done: u64, progress: Progress, found: &[Value]) -> u64 {
    (done..progress.acknowledged).for_each(|n| perform(witness, script, n));
    for n in progress.acknowledged.. {
        let expected = contents(witness, script);
        if expected == found {
            return n;
        }
        let Progress { sent, acknowledged } = progress;
        assert!(
            n < sent,
            "{acknowledged} acknowledged, {sent} sent; found\n{found:?}\nwhich never was; at the end it is\n{expected:?}"
        );
        perform(witness, script, n);
    }
    unreachable!("there are fewer operations")
}

/// Writes, kills, restarts, compares, as often as `KVICK_CRASH_KILLS` says. What runs at the end, and what was written.
fn survives_kills(fields: bool) -> (Server, Script) {
    let script = Script { seed: Random::seed_from_env("KVICK_CRASH_SEED"), fields };
    println!("KVICK_CRASH_SEED={}", script.seed);
    let mut random = Random::new(script.seed);
    let (mut server, kept) = (Server::start(LOGGED), Server::start(ARGS));
    let mut witness = kept.client();
    let mut done = 0;
    for _ in 0..env_number("KVICK_CRASH_KILLS", 5) {
        let mut progress = write_and_kill(&mut server, script, done, &mut random);
        if !server::is_kvick() {
            // redis-server puts off its write while a sync is under way.
            progress.acknowledged = done;
        }
        server.restart();
        let found = contents(&mut server.client(), script);
        done = moment(&mut witness, script, done, progress, &found);
    }
    println!("{done} operations found");
    assert!(100 < done, "next to nothing was written");
    (server, script)
}

/// The real server takes the directory over, and holds the same.
fn redis_holds_the_same(mut server: Server, script: Script) {
    // 7.0 guesses how far behind a group is where later versions know it.
    let without_lag = |client: &mut Client| {
        let mut held = contents(client, script);
        if let Value::Array(groups) = &mut held[2] {
            for group in groups {
                let Value::Array(parts) = group else { panic!("{group:?}") };
                let lag = parts.iter().position(|part| *part == Value::bulk("lag")).expect("a lag");
                parts.truncate(lag);
            }
        }
        held
    };
    let expected = without_lag(&mut server.client());
    server.stop();
    let theirs = Server::start_in(&server::reference(), LOGGED, server.into_folder());
    assert_eq!(expected, without_lag(&mut theirs.client()));
}

#[test]
fn all_types_survive_kills_and_go_on_in_the_real_server() {
    let (server, script) = survives_kills(false);
    redis_holds_the_same(server, script);
}

#[test]
fn deadlines_of_fields_survive_kills() {
    if !server::is_kvick() {
        return println!("skipped: Redis 7.0 has no deadlines of fields");
    }
    let (server, mut script) = survives_kills(true);
    // Without hashes, and rewritten, what is left is for Redis 7.0 again.
    let mut client = server.client();
    client.say("DEL h0 h1 h2 copy:h");
    let rewrites = |client: &mut Client| {
        let info = client.say("INFO").text();
        let count = info.lines().find_map(|line| line.strip_prefix("aof_rewrites:")?.parse::<u64>().ok());
        (count.expect("a figure"), info.contains("aof_rewrite_in_progress:0"))
    };
    let (before, _) = rewrites(&mut client);
    assert_eq!(None, client.say("BGREWRITEAOF").error());
    wait_until("the rewrite ends", || {
        let (count, idle) = rewrites(&mut client);
        idle && before < count
    });
    script.fields = false;
    redis_holds_the_same(server, script);
}
