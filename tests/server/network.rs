//! Connections: what is said on them, how they end, and how many there may be.

use crate::common::client::encode;
use crate::common::server::is_kvick;
use crate::common::{Client, Server, Value, run, text, wait_until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// What `nc -N` prints when it sends `input` and then no more.
fn nc(port: u16, input: &[u8]) -> Vec<u8> {
    run("nc", &["-N", "127.0.0.1", &port.to_string()], input).stdout
}

#[test]
fn inline_commands_are_answered_through_nc() {
    let server = Server::start(&[]);
    for (input, expected) in [
        ("PING\r\n", "+PONG\r\n"),
        ("PING\n", "+PONG\r\n"),
        ("ping\nping hello\n", "+PONG\r\n$5\r\nhello\r\n"),
        ("\r\n\r\nPING\r\n\nPING\n", "+PONG\r\n+PONG\r\n"),
        ("  SET   a \t b  \r\nGET a\r\n", "+OK\r\n$1\r\nb\r\n"),
        ("SET \"a key\" \"x\\x41\\n\\t\\\"\\\\\"\nGET 'a key'\n", "+OK\r\n$6\r\nxA\n\t\"\\\r\n"),
        ("ECHO 'it\\'s \\n'\n", "$7\r\nit's \\n\r\n"),
        ("ECHO \"\"\n", "$0\r\n\r\n"),
        ("*0\r\n*-1\r\nPING\r\n", "+PONG\r\n"),
        ("*1\r\n$4\r\nPING\r\nECHO inline\r\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n$6\r\ninline\r\n+PONG\r\n"),
        ("PING\r\nQUIT\r\nPING\r\n", "+PONG\r\n+OK\r\n"),
        ("PING", ""),
    ] {
        assert_eq!(expected, String::from_utf8_lossy(&nc(server.port(), input.as_bytes())), "{input:?}");
    }
}

#[test]
fn protocol_errors_are_told_and_then_the_connection_closes() {
    let server = Server::start(&[]);
    let long = |start: &str, byte: &str| (start.to_string() + &byte.repeat(70_000)).into_bytes();
    for (input, expected) in [
        (b"SET \"a b\r\n".to_vec(), "unbalanced quotes in request"),
        (b"SET 'a\r\n".to_vec(), "unbalanced quotes in request"),
        (b"SET \"a\"b c\r\n".to_vec(), "unbalanced quotes in request"),
        (b"*x\r\n".to_vec(), "invalid multibulk length"),
        (b"*99999999999\r\n".to_vec(), "invalid multibulk length"),
        (b"*1\r\n$x\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$-1\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$536870913\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n:4\r\nPING\r\n".to_vec(), "expected '$', got ':'"),
        (long("", "a"), "too big inline request"),
        (long("*", "1"), "too big mbulk count string"),
        (long("*1\r\n$", "1"), "too big bulk count string"),
    ] {
        let mut client = server.client();
        client.send_raw(&[b"PING\r\n", &input[..]].concat());
        let start: String = String::from_utf8_lossy(&input).chars().take(30).collect();
        let told = format!("+PONG\r\n-ERR Protocol error: {expected}\r\n");
        assert_eq!(told, String::from_utf8_lossy(&client.read_to_end()), "{start:?}");
    }
}

#[test]
fn nothing_behind_a_protocol_error_is_run() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_raw(b"SET before 1\r\n*x\r\nSET behind 1\r\n");
    // What it says may be lost to us: closing with bytes of ours unread resets the connection.
    client.read_to_end();
    assert_eq!(Value::Int(1), server.client().say("EXISTS before behind"));
}

#[test]
fn requests_may_come_byte_by_byte() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let bytes = [encode(&["SET", "k", "a\r\nb"]), b"GET k\r\n".to_vec(), encode(&["STRLEN", "k"])].concat();
    for byte in bytes {
        client.send_raw(&[byte]);
    }
    assert_eq!(Value::ok(), client.read_value());
    assert_eq!(Value::bulk("a\r\nb"), client.read_value());
    assert_eq!(Value::Int(4), client.read_value());
}

#[test]
fn everything_sent_before_a_half_close_is_run_and_answered() {
    if !is_kvick() {
        return println!("skipped: redis-server drops the replies that it could not send at once");
    }
    let server = Server::start(&[]);
    const COUNT: usize = 100_000;
    let value = "v".repeat(100);
    let input = format!("SET k {value}\r\n") + &"GET k\r\n".repeat(COUNT) + "INCR n\r\n";
    let output = nc(server.port(), input.as_bytes());
    let expected = format!("+OK\r\n{}:1\r\n", format!("$100\r\n{value}\r\n").repeat(COUNT));
    assert_eq!(expected.len(), output.len());
    assert!(expected.as_bytes() == output, "the replies are not what was asked for");
}

#[test]
fn big_values_go_through_in_both_directions() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let big: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(Value::ok(), client.cmd(&[b"SET", b"big", &big[..]]));
    assert!(client.say("GET big") == Value::Bulk(big.clone()), "20 MB came back changed");
    let replies = client.pipeline(&vec![vec!["GET", "big"]; 5]);
    assert!(replies.iter().all(|reply| *reply == Value::Bulk(big.clone())));
}

#[test]
fn a_unix_socket_has_the_permissions_that_were_asked_for() {
    let server = Server::start(&["--unixsocket", "kvick.sock", "--unixsocketperm", "700"]);
    let path = server.dir().join("kvick.sock");
    let mode = std::fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(0o700, mode & 0o777);
    let mut client = Client::connect_unix(&path).expect("the socket listens");
    assert_eq!(Value::ok(), client.say("SET k v"));
    assert_eq!("v", server.client().say("GET k").text());
}

#[test]
fn ipv6_is_listened_on_when_asked() {
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: no ::1 here");
    }
    let server = Server::start(&["--bind", "127.0.0.1", "::1"]);
    for host in ["127.0.0.1", "::1"] {
        let mut client = Client::try_connect(host, server.port()).expect("it listens");
        assert_eq!(Value::Status("PONG".into()), client.say("PING"));
    }
}

#[test]
fn an_address_that_is_not_there_may_be_optional() {
    let server = Server::start(&["--bind", "127.0.0.1", "-2001:db8::1"]);
    assert_eq!(Value::Status("PONG".into()), server.client().say("PING"));
}

#[test]
fn one_client_too_many_is_told_so_and_closed() {
    let server = Server::start(&["--maxclients", "3", "--maxclients-reserved", "0"]);
    let mut clients: Vec<Client> = Vec::new();
    wait_until("three clients are in", || {
        // The harness' own connection of the start may still count for a moment.
        let mut client = server.client();
        let welcome = client.try_cmd(&["PING"]).is_ok_and(|reply| reply.error().is_none());
        if welcome {
            clients.push(client);
        }
        clients.len() == 3
    });
    let mut fourth = server.client();
    assert_eq!("-ERR max number of clients reached\r\n", String::from_utf8_lossy(&fourth.read_to_end()));
    drop(clients.pop());
    wait_until("a place is free", || server.client().try_cmd(&["PING"]).is_ok_and(|r| r.error().is_none()));
}

#[test]
fn an_administrator_of_this_machine_gets_in_when_all_places_are_taken() {
    let server = Server::start(&["--maxclients", "2", "--maxclients-reserved", "1"]);
    let mut first = server.client();
    wait_until("the start's own connection is gone", || {
        first.say("INFO clients").text().contains("connected_clients:1\r\n")
    });
    let second = server.client();
    let mut admin = server.client();
    assert_eq!("PONG", admin.say("PING").text());
    assert_eq!(3, admin.say("CLIENT LIST").text().lines().count());
    // There is one such place, and it is for looking after the server.
    let mut fourth = server.client();
    assert_eq!("-ERR max number of clients reached\r\n", String::from_utf8_lossy(&fourth.read_to_end()));
    assert_eq!(Some("ERR max number of clients reached"), admin.say("GET k").error());
    assert_eq!(b"", &admin.read_to_end()[..]);
    let mut admin = server.client();
    assert_eq!("PONG", admin.say("PING").text());
    drop(second);
    wait_until("it is an ordinary place", || {
        first.say("INFO clients").text().contains("connected_clients:2\r\n")
    });
    assert!(admin.say("GET k").is_null());
    assert!(first.say("INFO stats").text().contains("rejected_connections:2\r\n"));
    // Who takes such a place and says nothing has it for some seconds.
    let _third = server.client();
    let mut idle = server.client();
    idle.set_read_timeout(Duration::from_secs(30));
    assert_eq!("-ERR max number of clients reached\r\n", String::from_utf8_lossy(&idle.read_to_end()));
}

#[test]
fn an_idle_client_is_disconnected_after_the_timeout() {
    let server = Server::start(&["--timeout", "1"]);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.say("SET k v"));
    client.set_read_timeout(Duration::from_secs(20));
    assert_eq!(b"", &client.read_to_end()[..]);
    assert_eq!("v", server.client().say("GET k").text());
}

#[test]
fn a_password_is_asked_for_in_redis_words() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut client = server.client();
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    for (line, expected) in [
        ("PING", Value::Error("NOAUTH Authentication required.".into())),
        ("SET k v", Value::Error("NOAUTH Authentication required.".into())),
        ("AUTH guess", Value::Error(wrong.into())),
        ("AUTH default guess", Value::Error(wrong.into())),
        ("AUTH nobody secret", Value::Error(wrong.into())),
        ("AUTH secret", Value::ok()),
        ("PING", Value::Status("PONG".into())),
        ("AUTH default secret", Value::ok()),
    ] {
        assert_eq!(expected, client.say(line), "{line}");
    }
    let mut client = server.client();
    let hello = client.say("HELLO 3");
    assert!(
        hello.error().expect("refused").starts_with("NOAUTH HELLO must be called with the client already")
    );
    assert!(matches!(client.say("HELLO 3 AUTH default secret"), Value::Map(_)));
    assert!(client.say("GET k").is_null());
    for (input, expected) in [
        ("*1000\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        ("*1\r\n$20000\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
    ] {
        assert_eq!(expected, String::from_utf8_lossy(&nc(server.port(), input.as_bytes())), "{input:?}");
    }
}

#[test]
fn a_password_nobody_set_is_an_error_of_its_own() {
    let server = Server::start(&[]);
    let text = "ERR AUTH <password> called without any password configured for the default user. \
                Are you sure your configuration is correct?";
    assert_eq!(Value::Error(text.into()), server.client().say("AUTH secret"));
}

#[test]
fn protected_mode_denies_strangers_and_only_them() {
    // The address that packets to the outside would carry; none is sent.
    let outside =
        UdpSocket::bind("0.0.0.0:0").and_then(|s| s.connect("192.0.2.1:9").and_then(|()| s.local_addr()));
    let Ok(address) = outside else { return println!("skipped: only a loopback here") };
    let host = address.ip().to_string();
    let server = Server::start(&["--bind", "*"]);
    let mut stranger = Client::try_connect(&host, server.port()).expect("it listens");
    let told = String::from_utf8_lossy(&stranger.read_to_end()).into_owned();
    assert!(
        told.starts_with("-DENIED Redis is running in protected mode because protected mode is enabled"),
        "{told}"
    );
    assert_eq!(Value::ok(), server.client().say("CONFIG SET protected-mode no"));
    let mut stranger = Client::try_connect(&host, server.port()).expect("it listens");
    assert_eq!(Value::Status("PONG".into()), stranger.say("PING"));
}

#[test]
fn a_client_that_never_reads_is_closed_at_its_output_limit() {
    let server = Server::start(&["--client-output-buffer-limit", "normal", "1000000", "0", "0"]);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.cmd(&["SET", "big", &"x".repeat(500_000)]));
    // It may be closed while we are still asking. First nothing further is run; then, as nothing is taken, it is closed.
    let asked = client.try_send_raw("GET big\r\n".repeat(200).as_bytes());
    let mut other = server.client();
    wait_until("only the other client is left", || {
        other.say("INFO clients").text().contains("connected_clients:1\r\n")
    });
    let received = client.read_to_end().len();
    assert!(received < 200 * 500_000, "{received} bytes came in spite of the limit ({asked:?})");
    assert_eq!(500_000, other.say("STRLEN big").int());
}

#[test]
fn a_client_that_reads_slowly_gets_everything() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.cmd(&["SET", "big", &"x".repeat(500_000)]));
    client.send_raw("GET big\r\n".repeat(100).as_bytes());
    // Others are served meanwhile.
    assert_eq!(Value::Int(1), server.client().say("INCR n"));
    for _ in 0..100 {
        assert_eq!(500_000, client.read_value().bytes().len());
    }
}

#[test]
fn an_endless_pipeline_does_not_starve_the_others() {
    let server = Server::start(&[]);
    let mut flood = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    let mut sink = flood.try_clone().expect("a second handle");
    let reader = std::thread::spawn(move || std::io::copy(&mut sink, &mut std::io::sink()).is_ok());
    let writer = std::thread::spawn(move || {
        let chunk = b"INCR flood\r\n".repeat(1000);
        while flood.write_all(&chunk).is_ok() {}
    });
    let mut client = server.client();
    wait_until("the flood has begun", || !client.say("GET flood").is_null());
    for n in 1..=100 {
        assert_eq!(Value::Int(n), client.say("INCR mine"));
    }
    drop(server);
    reader.join().expect("the reader ends with the server");
    writer.join().expect("the writer ends with the server");
}

/// How many connections at once; fewer where the system allows fewer files.
const CONNECTIONS: usize = 10_000;

#[test]
fn ten_thousand_connections_at_once_are_served() {
    const CHILD: &str = "KVICK_TEST_RAISED_LIMIT";
    if std::env::var_os(CHILD).is_none() {
        // The limit of open files is raised for a copy of this test alone, by a shell.
        let me = std::env::current_exe().expect("our path");
        let me = me.to_str().expect("utf-8");
        let script =
            format!("ulimit -S -n $(ulimit -H -n); {CHILD}=1 exec \"$0\" --exact \"$1\" --nocapture");
        let name = "network::ten_thousand_connections_at_once_are_served";
        let output = run("sh", &["-c", &script, me, name], b"");
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).contains("1 passed"), "the copy did not run the test");
        return;
    }
    let limit: usize = text(&run("sh", &["-c", "ulimit -n"], b"").stdout).parse().unwrap_or(usize::MAX);
    let count = CONNECTIONS.min(limit.saturating_sub(200));
    println!("{count} connections");
    let server = Server::start(&["--maxclients", &(count + 10).to_string()]);
    let mut streams: Vec<TcpStream> = (0..count)
        .map(|n| {
            TcpStream::connect(("127.0.0.1", server.port())).unwrap_or_else(|e| panic!("connection {n}: {e}"))
        })
        .collect();
    for stream in &mut streams {
        stream.write_all(b"INCR n\r\n").expect("a request");
    }
    let mut sum = 0;
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n") {
            let mut byte = [0; 32];
            let length = stream.read(&mut byte).expect("a reply");
            assert!(0 < length, "closed");
            reply.extend_from_slice(&byte[..length]);
        }
        sum += text(&reply[1..]).parse::<usize>().expect("a number");
    }
    assert_eq!(count * (count + 1) / 2, sum, "every one of 1..={count} is answered once");
}

#[test]
fn a_new_port_and_new_addresses_take_effect_at_once_or_not_at_all() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address").port().to_string();
    let refusal = client.cmd(&["CONFIG", "SET", "port", &taken]);
    let text = refusal.error().expect("the port is taken");
    assert!(text.ends_with("Unable to listen on this port. Check server logs."), "{text}");
    assert!(client.cmd(&["CONFIG", "SET", "bind", "192.0.2.77"]).error().is_some(), "not an address of ours");
    assert_eq!(Value::Status("PONG".into()), server.client().say("PING"));
    let port = crate::common::server::free_port();
    assert_eq!(Value::ok(), client.cmd(&["CONFIG", "SET", "port", &port.to_string()]));
    let mut moved = Client::try_connect("127.0.0.1", port).expect("it listens there");
    assert_eq!(Value::Status("PONG".into()), moved.say("PING"));
    assert_eq!(Value::Status("PONG".into()), client.say("PING"), "who is connected stays so");
    assert!(Client::try_connect("127.0.0.1", server.port()).is_err(), "it still listens on the old port");
}

#[test]
fn a_peer_that_leaves_ends_a_wait_that_would_never_end() {
    let server = Server::start(&[]);
    let mut other = server.client();
    let mut waiter = server.client();
    waiter.send_raw(b"WAIT 1 0\r\n");
    let mut blocked =
        |count: &str| other.say("INFO clients").text().contains(&format!("blocked_clients:{count}\r"));
    wait_until("it waits", || blocked("1"));
    drop(waiter);
    wait_until("it is gone", || blocked("0"));
}

#[test]
fn a_wait_that_ends_is_answered_after_a_half_close() {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let output = nc(server.port(), b"SET k v\r\nWAITAOF 1 0 0\r\nPING\r\nWAIT 1 1\r\n");
    assert_eq!("+OK\r\n*2\r\n:1\r\n:0\r\n+PONG\r\n:0\r\n", String::from_utf8_lossy(&output));
}

#[test]
fn the_last_reply_arrives_whatever_stands_behind_quit() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_raw(&[b"QUIT\r\nSET k v\r\n".to_vec(), b"PING\r\n".repeat(20_000)].concat());
    assert_eq!("+OK\r\n", String::from_utf8_lossy(&client.read_to_end()));
    assert_eq!(Value::Int(0), server.client().say("EXISTS k"));
}

#[test]
fn a_killed_client_is_gone_and_its_place_is_anothers() {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut killer = server.client();
    for round in 0..200 {
        // It dies with a request, a reply and a wait for the disk under way.
        let mut victim = server.client();
        let id = victim.say("CLIENT ID").int();
        victim.send_raw(&b"SET k v\r\nGET k\r\n".repeat(10));
        killer.send_raw(format!("CLIENT KILL ID {id}\r\n").as_bytes());
        let mut next = server.client();
        assert_eq!(Value::bulk(&round.to_string()), next.say(&format!("ECHO {round}")));
        assert_eq!(Value::Int(1), killer.read_value());
    }
}

#[test]
fn too_much_output_for_too_long_closes_a_client() {
    let server = Server::start(&["--client-output-buffer-limit", "normal", "0", "100000", "1"]);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.cmd(&["SET", "big", &"x".repeat(500_000)]));
    client.send_raw("GET big\r\n".repeat(100).as_bytes());
    let mut other = server.client();
    wait_until("only the other client is left", || {
        other.say("INFO clients").text().contains("connected_clients:1\r\n")
    });
    assert!(client.read_to_end().len() < 100 * 500_000);
}
