//! TLS: who is let in, what is said then, and what becomes of those who do not play by the rules.

mod common;
#[path = "tls/settings.rs"]
mod settings;
#[path = "tls/setup.rs"]
mod setup;
#[path = "tls/tools.rs"]
mod tools;

use common::client::encode;
use common::{Client, Random, Value, wait_until};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use setup::{Certificates, Tls, pong};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

#[test]
fn who_must_show_a_certificate() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut admin = tls.server.client();
    for (setting, none, right, wrong) in
        [("no", true, true, true), ("optional", true, true, false), ("yes", false, true, false)]
    {
        assert_eq!(Value::ok(), admin.say(&format!("CONFIG SET tls-auth-clients {setting}")));
        for version in [&TLS12, &TLS13] {
            for (own, expected) in [(None, none), (Some("client"), right), (Some("stranger"), wrong)] {
                let config = certificates.client(own, &[version]);
                assert_eq!(expected, tls.lets_in(&config), "{setting} {own:?} {version:?}");
            }
        }
    }
    assert_eq!(pong(), admin.say("PING"));
    let log = tls.server.log();
    assert!(log.contains("Error accepting a client connection: peer sent no certificates"), "{log}");
}

#[test]
fn versions_and_suites_are_those_that_were_asked_for() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut admin = tls.server.client();
    let both = certificates.friend();
    for (setting, old, new) in [
        ("TLSv1.2", true, false),
        ("TLSv1.3", false, true),
        ("TLSv1.2 TLSv1.3", true, true),
        ("", true, true),
    ] {
        assert_eq!(Value::ok(), admin.cmd(&["CONFIG", "SET", "tls-protocols", setting]));
        for (version, expected) in [(&TLS12, old), (&TLS13, new)] {
            let config = certificates.client(Some("client"), &[version]);
            assert_eq!(expected, tls.lets_in(&config), "{setting} {version:?}");
        }
        let best = if new { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 };
        assert_eq!(Some(best), tls.client(&both).tls().conn.protocol_version());
    }
    assert_eq!(Value::ok(), admin.say("CONFIG SET tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256"));
    assert_eq!(Value::ok(), admin.say("CONFIG SET tls-ciphers ECDHE+AES128:DHE+AES128"));
    for (version, expected) in
        [(&TLS13, "TLS13_CHACHA20_POLY1305_SHA256"), (&TLS12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")]
    {
        let mut client = tls.client(&certificates.client(Some("client"), &[version]));
        let suite = client.tls().conn.negotiated_cipher_suite().expect("a suite").suite();
        assert_eq!(expected, format!("{suite:?}"));
        assert_eq!(pong(), client.say("PING"));
    }
}

#[test]
fn a_handshake_can_be_taken_up_again() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut admin = tls.server.client();
    let mut kinds = |version, caching: &str| {
        assert_eq!(Value::ok(), admin.say(&format!("CONFIG SET tls-session-caching {caching}")));
        let config = certificates.client(Some("client"), &[version]);
        let kind = || {
            let mut client = tls.client(&config);
            assert_eq!(pong(), client.say("PING"));
            client.tls().conn.handshake_kind().expect("it is done")
        };
        [kind(), kind()]
    };
    for version in [&TLS12, &TLS13] {
        assert_eq!([HandshakeKind::Full, HandshakeKind::Resumed], kinds(version, "yes"));
        assert_eq!([HandshakeKind::Full, HandshakeKind::Full], kinds(version, "no"));
    }
}

#[test]
fn big_values_and_long_pipelines_go_through() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    for version in [&TLS12, &TLS13] {
        let mut client = tls.client(&certificates.client(Some("client"), &[version]));
        let big: Vec<u8> = (0..10_000_000u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(Value::ok(), client.cmd(&[b"SET", b"big", &big[..]]));
        assert!(client.say("GET big") == Value::Bulk(big.clone()), "10 MB came back changed");
        let replies = client.pipeline(&vec![vec!["GET", "big"]; 3]);
        assert!(replies.iter().all(|reply| *reply == Value::Bulk(big.clone())));
        client.say("DEL n");
        let replies = client.pipeline(&vec![vec!["INCR", "n"]; 20_000]);
        assert!((1..).zip(&replies).all(|(n, reply)| *reply == Value::Int(n)));
    }
}

#[test]
fn requests_come_through_however_they_are_cut() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut client = tls.client(&certificates.friend());
    let mut random = Random::new(7);
    let big = "x".repeat(70_000);
    let requests: Vec<Vec<&str>> =
        (0..300).map(|n| if n % 50 == 7 { vec!["ECHO", &big] } else { vec!["ECHO", "word"] }).collect();
    let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let count = (1 + random.below(3000)).min(rest.len());
        client.send_raw(&rest[..count]);
        rest = &rest[count..];
    }
    for request in requests {
        assert!(client.read_value() == Value::bulk(request[1]));
    }
}

#[test]
fn everything_sent_before_a_goodbye_is_answered_and_the_goodbye_returned() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    for version in [&TLS12, &TLS13] {
        let mut client = tls.client(&certificates.client(Some("client"), &[version]));
        client.send_raw(&b"INCR n\r\n".repeat(5000));
        client.send_raw(b"DEL n\r\n");
        client.half_close();
        let mut all = Vec::new();
        // An end without a goodbye would be an error.
        client.tls().read_to_end(&mut all).expect("a goodbye");
        assert!(String::from_utf8_lossy(&all).ends_with(":5000\r\n:1\r\n"));
    }
    let mut client = tls.client(&certificates.friend());
    client.send_raw(b"QUIT\r\n");
    let mut all = Vec::new();
    client.tls().read_to_end(&mut all).expect("a goodbye");
    assert_eq!(b"+OK\r\n", &all[..]);
    // Who closes without a word has what it sent run all the same.
    let mut client = tls.client(&certificates.friend());
    client.send_raw(b"SET last word\r\n");
    drop(client);
    let mut admin = tls.server.client();
    wait_until("the last word arrives", || admin.say("GET last") == Value::bulk("word"));
    wait_until("all are gone", || admin.say("CLIENT LIST").text().lines().count() == 1);
}

#[test]
fn messages_and_waits_reach_clients_that_are_silent() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let friend = certificates.friend();
    let (mut listener, mut waiter) = (tls.client(&friend), tls.client(&friend));
    listener.say("SUBSCRIBE news");
    waiter.send_raw(b"BLPOP list 0\r\n");
    let mut admin = tls.server.client();
    wait_until("it waits", || admin.say("INFO clients").text().contains("blocked_clients:1"));
    assert_eq!(Value::Int(1), admin.say("PUBLISH news hello"));
    assert_eq!(Value::Int(1), admin.say("RPUSH list item"));
    assert!(format!("{:?}", listener.read_value()).contains("hello"));
    assert_eq!(Value::Array(vec![Value::bulk("list"), Value::bulk("item")]), waiter.read_value());
}

#[test]
fn a_peer_that_does_not_read_costs_its_limit_and_no_more() {
    let certificates = Certificates::make();
    let tls = certificates.server(&["--client-output-buffer-limit", "normal 20mb 0 0"]);
    let mut admin = tls.server.client();
    assert_eq!(Value::ok(), admin.cmd(&["SET", "big", &"x".repeat(1 << 20)]));
    let mut greedy = tls.client(&certificates.friend());
    greedy.send_raw(&b"GET big\r\n".repeat(200));
    wait_until("it is closed", || {
        admin.say("INFO stats").text().contains("client_output_buffer_limit_disconnections:1")
    });
    let mut patient = tls.client(&certificates.friend());
    patient.send_raw(&b"GET big\r\n".repeat(15));
    assert!((0..15).all(|_| patient.read_value().text().len() == 1 << 20));
}

/// Sends bytes to the TLS port and returns what comes back before the server closes.
fn shout(tls: &Tls, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", tls.port)).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    socket.write_all(bytes).expect("it takes what we send");
    let mut back = Vec::new();
    match socket.read_to_end(&mut back) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            panic!("it neither sends nor closes: {error}")
        }
        _ => back,
    }
}

#[test]
fn who_speaks_no_tls_is_sent_away() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut good = tls.client(&certificates.friend());
    assert_eq!(b"", &shout(&tls, b"PING\r\n")[..], "a plain client would take an alert for a reply");
    assert_eq!(b"", &shout(&tls, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[..]);
    let mut random = Random::new(11);
    for _ in 0..50 {
        let mut bytes: Vec<u8> = (0..1 + random.below(5000)).map(|_| random.below(256) as u8).collect();
        // Some look like a handshake at first.
        if random.below(2) == 0 {
            bytes.splice(0..0, [0x16, 3, 1, 0, 200, 1]);
        }
        let mut socket = TcpStream::connect(("127.0.0.1", tls.port)).expect("it listens");
        socket.write_all(&bytes).ok();
    }
    assert_eq!(pong(), good.say("PING"));
    let mut admin = tls.server.client();
    wait_until("they are gone", || admin.say("CLIENT LIST").text().lines().count() == 2);
    assert!(tls.lets_in(&certificates.friend()));
    wait_until("it is told", || tls.server.log().contains("what came is not TLS"));
}

#[test]
fn who_never_finishes_a_handshake_is_closed() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let silent = TcpStream::connect(("127.0.0.1", tls.port)).expect("it listens");
    let mut half = TcpStream::connect(("127.0.0.1", tls.port)).expect("it listens");
    half.write_all(&[0x16, 3, 1, 0, 200, 1]).expect("half a hello");
    for mut socket in [silent, half] {
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        assert!(matches!(socket.read(&mut [0; 1]), Ok(0)), "it is closed");
    }
}

#[test]
fn storms_of_handshakes_leave_others_their_turn() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let friend = certificates.friend();
    let mut plain = tls.server.client();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(pong(), tls.client(&friend).say("PING"))));
        }
        assert!((0..500).all(|_| plain.say("PING") == pong()));
    });
    wait_until("all are gone", || plain.say("CLIENT LIST").text().lines().count() == 1);
    assert!(
        plain.say("INFO stats").text().contains("total_connections_received:20"),
        "200 and a few of ours"
    );
}

#[test]
fn limits_of_clients_hold() {
    let certificates = Certificates::make();
    let tls = certificates.server(&["--maxclients", "2", "--maxclients-reserved", "0"]);
    let friend = certificates.friend();
    let mut first = tls.client(&friend);
    assert_eq!(pong(), first.say("PING"));
    let mut second = tls.server.client();
    assert_eq!(pong(), second.say("PING"));
    assert!(!tls.lets_in(&friend));
    assert!(second.say("INFO stats").text().contains("rejected_connections:1"));
    drop(first);
    wait_until("there is room again", || tls.lets_in(&friend));
}

#[test]
fn protected_mode_tells_strangers_through_tls() {
    // The address that packets to the outside would carry; none is sent.
    let outside =
        UdpSocket::bind("0.0.0.0:0").and_then(|s| s.connect("192.0.2.1:9").and_then(|()| s.local_addr()));
    let Ok(address) = outside else { return println!("skipped: only a loopback here") };
    let certificates = Certificates::make();
    let tls = certificates.server(&["--bind", "*"]);
    let socket = TcpStream::connect((address.ip(), tls.port)).expect("it listens");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let connection = rustls::ClientConnection::new(certificates.friend(), name).expect("a configuration");
    let mut stranger = Client::secured(rustls::StreamOwned::new(connection, socket));
    let told = String::from_utf8_lossy(&stranger.read_to_end()).into_owned();
    assert!(told.starts_with("-DENIED Redis is running in protected mode"), "{told}");
}
