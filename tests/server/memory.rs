//! Memory as the system sees it.

use crate::common::client::encode;
use crate::common::{Server, wait_until};

/// Resident MiB of a process.
fn resident_mib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    (pages * 4096) >> 20
}

#[test]
fn what_a_big_value_leaves_goes_back_without_waiting_for_the_next_request() {
    let server = Server::start(&["--appendonly", "no"]);
    let mut client = server.client();
    let element = "x".repeat(1000);
    let push: Vec<u8> = (0..1000).flat_map(|_| encode(&["RPUSH", "list", &element])).collect();
    for _ in 0..200 {
        client.send_raw(&push);
        (0..1000).for_each(|_| drop(client.read_value()));
    }
    let full = resident_mib(server.pid());
    assert!(190 < full, "{full} MiB");
    assert_eq!(client.say("DEL list").int(), 1);
    wait_until("its memory is given back", || resident_mib(server.pid()) < full - 120);
}
