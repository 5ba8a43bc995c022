//! Hostile clients beside a good one, in small; `scripts/hostile.py` has a thousand of them and measures.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Client, Server};

const MEGABYTE: usize = 1 << 20;
/// Bytes that all clients together may have.
const CLIENTS_MAX: u64 = 16 << 20;
/// What the process may take beside: buffers of the loop, and what the allocator keeps.
const SLACK: u64 = 24 << 20;
const ATTACK: Duration = Duration::from_secs(3);

const SETTINGS: &[&str] = &[
    "--requirepass",
    "secret",
    "--maxmemory",
    "67108864",
    "--maxmemory-policy",
    "allkeys-lru",
    "--maxmemory-clients",
    "16777216",
    "--client-query-buffer-limit",
    "2097152",
    "--client-output-buffer-limit",
    "normal",
    "4194304",
    "1048576",
    "2",
];

/// What a hostile client sends first, and then again and again; it never reads.
const KINDS: &[(&str, &str, usize)] = &[
    ("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*1000000\r\n$500000000\r\n", "x", 4096),
    ("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n", "GET big\r\n", 10),
    ("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n", "a", 16384),
    (
        "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\nMULTI\r\n",
        "ECHO aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        100,
    ),
    ("", "AUTH wrong\r\nGET big\r\nPING\r\n", 100),
];

/// Sends to everybody in turn until the time is over; who is thrown out comes back.
fn attack(port: u16, clients: usize) {
    let mut sockets: Vec<Option<TcpStream>> = (0..clients).map(|_| None).collect();
    let end = Instant::now() + ATTACK;
    while Instant::now() < end {
        for (number, socket) in sockets.iter_mut().enumerate() {
            let (first, again, times) = KINDS[number % KINDS.len()];
            let sent = match socket {
                Some(open) => open.write(again.repeat(times).as_bytes()),
                None => TcpStream::connect(("127.0.0.1", port)).and_then(|mut open| {
                    open.set_nonblocking(true)?;
                    let sent = open.write(first.as_bytes());
                    *socket = Some(open);
                    sent
                }),
            };
            if sent.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
                *socket = None;
            }
        }
        // Whoever has nothing to do but to send would take the processor from the server.
        std::thread::yield_now();
    }
}

fn login(server: &Server) -> Client {
    let mut client = server.client();
    assert_eq!(client.say("AUTH secret").text(), "OK");
    client
}

#[test]
fn hostile_clients_cost_neither_memory_nor_keys_nor_a_good_client() {
    let server = Server::start(SETTINGS);
    let mut good = login(&server);
    good.cmd(&["SET", "big", &"x".repeat(MEGABYTE)]);
    for number in 0..20 {
        good.cmd(&["SET", &format!("key:{number}"), &"v".repeat(1000)]);
    }
    let (before, port) = (server.resident_bytes(), server.port());
    let attackers: Vec<_> = (0..2).map(|_| std::thread::spawn(move || attack(port, 50))).collect();
    let (mut most, mut times) = (0, Vec::new());
    while !attackers.iter().all(std::thread::JoinHandle::is_finished) {
        let start = Instant::now();
        assert_eq!(good.say("PING").text(), "PONG");
        times.push(start.elapsed());
        most = server.resident_bytes().max(most);
    }
    attackers.into_iter().for_each(|attacker| attacker.join().expect("no panic"));
    times.sort();
    let grown = most.saturating_sub(before);
    assert!(grown <= CLIENTS_MAX + SLACK, "{} MB more", grown >> 20);
    // The machine may be busy with other tests: half of the time it must be quick.
    assert!(times[times.len() / 2] < Duration::from_millis(20), "PING took {:?}", times[times.len() / 2]);
    let stats = login(&server).say("INFO stats").text();
    assert!(stats.contains("evicted_keys:0\r\n"), "{stats}");
    assert!(!stats.contains("evicted_clients:0\r\n"), "nobody was hostile: {stats}");
    assert_eq!(good.say("DBSIZE").int(), 21);
}

#[test]
fn who_has_not_said_the_password_may_announce_little() {
    let server = Server::start(&["--requirepass", "secret"]);
    for (request, error) in [
        ("*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        ("*2\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
        ("*10\r\n$16384\r\n", ""),
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
        socket.write_all(request.as_bytes()).expect("sent");
        socket.shutdown(std::net::Shutdown::Write).expect("open");
        let mut said = String::new();
        socket.read_to_string(&mut said).expect("text");
        assert_eq!(said, error, "{request:?}");
    }
}
