//! Memory as the system sees it.

use crate::common::client::encode;
use crate::common::{Server, wait_until};

#[test]
#[cfg_attr(feature = "system-allocator", ignore = "whoever watches each block keeps it")]
fn what_a_big_value_leaves_goes_back_without_waiting_for_the_next_request() {
    let server = Server::start(&["--appendonly", "no"]);
    let mut client = server.client();
    let element = "x".repeat(1000);
    let push: Vec<u8> = (0..1000).flat_map(|_| encode(&["RPUSH", "list", &element])).collect();
    for _ in 0..200 {
        client.send_raw(&push);
        (0..1000).for_each(|_| drop(client.read_value()));
    }
    let full = server.resident_bytes() >> 20;
    assert!(190 < full, "{full} MiB");
    assert_eq!(client.say("DEL list").int(), 1);
    wait_until("its memory is given back", || (server.resident_bytes() >> 20) < full - 120);
}
