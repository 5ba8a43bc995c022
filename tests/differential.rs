//! The same random commands to the server under test and to a real `redis-server`: the replies must be equal.
//!
//! Three parts: `grammar` knows the commands and makes up calls of them, right ones and wrong ones; `compare` knows what
//! "equal" means for each, and which differences are meant; `runner` sends both servers the same and tells what it saw.
//!
//! Environment: `KVICK_DIFF_COMMANDS` (per run), `KVICK_DIFF_SEEDS` (runs per protocol), `KVICK_DIFF_SEED` (the first
//! seed), `KVICK_DIFF_MISMATCHES` (how many to collect before giving up), `REDIS_REFERENCE` (path of the real server),
//! `KVICK_TEST_BIN` (another server instead of ours).

mod common;
#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/grammar.rs"]
mod grammar;
#[path = "differential/rows.rs"]
mod rows;
#[path = "differential/runner.rs"]
mod runner;

use common::{Client, Random, Server, env_number, peer, server, wait_until};
use rows::Row;
use runner::Runner;

const ARGS: &[&str] = &["--enable-debug-command", "yes", "--databases", "16"];

/// Runs all seeds of one protocol version against the reference.
fn same_replies(protocol: u8) {
    let commands = env_number("KVICK_DIFF_COMMANDS", 20_000) as usize;
    let first = Random::seed_from_env("KVICK_DIFF_SEED");
    let (ours, theirs) = (Server::start(ARGS), Server::start_reference(ARGS));
    for seed in first..first + env_number("KVICK_DIFF_SEEDS", 2) {
        let mut runner = Runner::new(&ours, &theirs, protocol, seed);
        runner.run(&rows::all(), commands);
        runner.compare_contents(true);
        runner.finish();
    }
}

#[test]
fn random_commands_get_the_same_replies_in_resp2() {
    same_replies(2);
}

#[test]
fn random_commands_get_the_same_replies_in_resp3() {
    same_replies(3);
}

/// Random commands with a log as commands and behind a binary base, rewritten in the middle so that both parts are
/// read; then a kill, a start, and a start of the reference with that log.
fn survives(binary: &str, rows: &[Row], newer: bool, commands: usize) {
    let seed = Random::seed_from_env("KVICK_DIFF_SEED");
    for preamble in ["no", "yes"] {
        let args = [ARGS, &["--appendonly", "yes", "--aof-use-rdb-preamble", preamble]].concat();
        let (mut ours, theirs) = (Server::start(&args), Server::start_binary(binary, &args));
        let mut runner = Runner::new(&ours, &theirs, 2, seed);
        runner.newer = newer;
        runner.run(rows, commands / 2);
        rewrite(&mut ours.client());
        runner.run(rows, commands / 2);
        runner.finish();
        assert_eq!(1, ours.client().say("WAITAOF 1 0 0").items()[0].int());
        ours.kill9();
        ours.restart();
        let same_contents = |server: &Server| {
            let mut runner = Runner::attach(server, &theirs, 2, seed);
            runner.newer = newer;
            // A string may be stored otherwise than it was made.
            runner.compare_contents(false);
            runner.finish();
        };
        same_contents(&ours);
        same_contents(&Server::start_in(binary, &args, ours.into_folder()));
    }
}

#[test]
fn what_random_commands_made_survives_a_kill_and_is_taken_over_by_the_reference() {
    let commands = env_number("KVICK_DIFF_COMMANDS", 20_000) as usize;
    survives(&server::reference(), &rows::all(), false, commands);
}

#[test]
fn what_newer_commands_made_survives_a_kill_and_is_taken_over_by_redis_8() {
    let Some(binary) = peer("redis8") else { return println!("skipped: redis8 is not in $PEERS/bin") };
    let newer = rows::newer().filter(|(name, _)| *name == "redis8").flat_map(|(_, rows)| rows);
    // SORT is told apart by numbers beyond the range of a double, and makes short sorted sets long ones there.
    let rows = newer.chain(rows::FOUNDATION).filter(|row| !row.1.starts_with("SORT"));
    let rows: Vec<Row> = rows.copied().collect();
    survives(&binary, &rows, true, env_number("KVICK_DIFF_COMMANDS", 20_000) as usize);
}

fn rewrite(client: &mut Client) {
    client.say("BGREWRITEAOF");
    wait_until("the log is rewritten", || {
        let info = client.say("INFO persistence").text();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrites:1")
    });
}

#[test]
fn commands_newer_than_the_reference_get_the_replies_of_the_newest_peers() {
    let first = Random::seed_from_env("KVICK_DIFF_SEED");
    for (name, newer) in rows::newer() {
        let Some(binary) = peer(name) else {
            println!(
                "skipped: {name} is not in $PEERS/bin, so {} newer commands are not compared",
                newer.len()
            );
            continue;
        };
        if !server::is_kvick() && server::binary() != binary {
            println!("skipped: {} need not have what is newer in {name}", server::binary());
            continue;
        }
        let (ours, theirs) = (Server::start(ARGS), Server::start_binary(&binary, ARGS));
        let rows: Vec<Row> = newer.iter().chain(rows::FOUNDATION).copied().collect();
        for protocol in [2, 3] {
            let mut runner = Runner::new(&ours, &theirs, protocol, first);
            runner.newer = true;
            runner.run(&rows, env_number("KVICK_DIFF_COMMANDS", 20_000) as usize / 4);
            // Where a string goes from one allocation to two is each server's own business.
            runner.compare_contents(false);
            runner.finish();
        }
    }
}

#[test]
fn every_row_of_the_grammar_makes_commands_of_its_own_name() {
    let mut random = Random::new(1);
    let newer = rows::newer().flat_map(|(_, rows)| rows);
    for row in rows::all().iter().chain(rows::FOUNDATION).chain(newer) {
        let name = row.1.split(' ').next().expect("a name");
        for _ in 0..50 {
            let made = grammar::make(row.1, &mut random);
            assert_eq!(name.as_bytes(), made.args[0], "{}", row.1);
        }
    }
}
