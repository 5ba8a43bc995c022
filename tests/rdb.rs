//! RDB: payloads and files exchanged with real servers, in all encodings; files and payloads that are damaged; snapshots
//! and their child.
//!
//! Environment: `REDIS_REFERENCE`, `PEERS` (see `common`), `KVICK_RDB_SEED`.

mod common;
#[path = "rdb/damage.rs"]
mod damage;
#[path = "rdb/exchange.rs"]
mod exchange;
#[path = "rdb/files.rs"]
mod files;
#[path = "rdb/fill.rs"]
mod fill;
mod play;
#[path = "rdb/snapshots.rs"]
mod snapshots;
#[path = "rdb/uses.rs"]
mod uses;

use common::{Client, Server, peer, server};

/// Arguments that all servers of these tests have.
const ARGS: &[&str] = &["--enable-debug-command", "yes"];

/// The real servers, with what they know beyond Redis 7.0.
fn peers() -> Vec<(String, fill::Newer)> {
    let newer = [
        ("valkey81", fill::Newer::Nothing),
        ("valkey9", fill::Newer::Valkey),
        ("redis8", fill::Newer::Redis),
    ];
    let mut found = vec![(server::reference(), fill::Newer::Nothing)];
    for (name, newer) in newer {
        match peer(name) {
            Some(binary) => found.push((binary, newer)),
            None => println!("skipped: {name} is not in $PEERS/bin"),
        }
    }
    found
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    ARGS.iter().chain(more).copied().collect()
}

/// `DEBUG DIGEST`.
fn digest(client: &mut Client) -> String {
    client.say("DEBUG DIGEST").text()
}

/// `DEBUG DIGEST-VALUE` of one key.
fn digest_of(client: &mut Client, key: &[u8]) -> String {
    client.cmd(&[&b"DEBUG"[..], b"DIGEST-VALUE", key]).items()[0].text()
}

/// One figure of `INFO`.
fn figure(client: &mut Client, name: &str) -> String {
    let info = client.say("INFO").text();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {name}")).to_owned()
}

/// Whether a real server is ours under another name, for tests of what only kvick does.
fn ours(args: &[&str]) -> Server {
    Server::start(args)
}
