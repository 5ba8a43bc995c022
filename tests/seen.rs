//! Seeing inside: where the time of a turn went, what watchers of servers ask for, the metrics and the page.

mod common;

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use common::server::free_port;
use common::{Client, PATIENCE, Server, Value, wait_until};

const DEBUG: &[&str] = &["--enable-debug-command", "yes", "--latency-monitor-threshold", "20"];

/// Has the server serve metrics, and says where.
fn metrics_port(client: &mut Client) -> u16 {
    let mut port = 0;
    wait_until("the port is free", || {
        port = free_port();
        client.say(&format!("CONFIG SET metrics-port {port}")) == Value::ok()
    });
    port
}

/// A connection to the metrics.
struct Web(TcpStream);

impl Web {
    fn connect(port: u16) -> Web {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Web(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("sent");
    }

    /// Reads one response: its status line, its fields by lower-case name, its body.
    fn read(&mut self, head_only: bool) -> (String, HashMap<String, String>, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap_or_default().to_owned();
        let fields: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let len = fields["content-length"].parse().expect("a length");
        let mut body = vec![0; if head_only { 0 } else { len }];
        self.0.read_exact(&mut body).expect("a body");
        (status, fields, String::from_utf8(body).expect("text"))
    }

    fn get(&mut self, path: &str) -> (String, HashMap<String, String>, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.read(false)
    }

    /// What comes until the other end closes.
    fn rest(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("the end");
        text
    }
}

fn get(port: u16, path: &str) -> String {
    let (status, _, body) = Web::connect(port).get(path);
    assert_eq!(status, "HTTP/1.1 200 OK", "{path}");
    body
}

#[test]
fn a_stall_names_its_cause() {
    let server = Server::start(DEBUG);
    let mut client = server.client();
    assert_eq!(Value::ok(), client.say("DEBUG SLEEP 0.2"));
    assert_eq!("PONG", client.say("PING").text());
    let info = client.say("INFO turns").text();
    let worst = info.lines().find_map(|line| line.strip_prefix("turn_worst:")).expect("a worst turn");
    let causes: Vec<&str> = worst.split(',').skip(2).collect();
    let micros = causes[0].strip_prefix("commands=").unwrap_or_else(|| panic!("{worst}"));
    assert!(200_000 <= micros.parse().expect("a number"), "{worst}");
    assert!(info.contains("turn_worst_recent:") && info.contains("turn_below_usec_commands:"), "{info}");
    let events = client.say("LATENCY LATEST");
    let names: Vec<String> = events.items().iter().map(|event| event.items()[0].text()).collect();
    assert!(["command", "turn"].iter().all(|name| names.iter().any(|it| it == name)), "{names:?}");
    let doctor = client.say("LATENCY DOCTOR").text();
    assert!(doctor.contains("The longest turn") && doctor.contains("commands"), "{doctor}");
    assert_eq!(Value::ok(), client.say("CONFIG RESETSTAT"));
    let info = client.say("INFO turns").text();
    let worst = info.lines().find_map(|line| line.strip_prefix("turn_worst:usec=")).unwrap_or("0,");
    let micros: u64 = worst.split(',').next().expect("a first").parse().expect("a number");
    assert!(micros < 200_000, "{worst}");
}

#[test]
fn a_fork_is_a_cause_of_its_own() {
    let server = Server::start(&["--appendonly", "yes"]);
    let mut client = server.client();
    client.say("SET k v");
    client.say("BGREWRITEAOF");
    wait_until("the rewrite is over", || client.say("INFO persistence").text().contains("aof_rewrites:1"));
    let info = client.say("INFO turns").text();
    assert!(info.contains("turn_fork:turns=") && info.contains("turn_log:turns="), "{info}");
}

/// What redis_exporter asks for, in its order.
#[test]
fn the_queries_of_redis_exporter_are_answered() {
    let server = Server::start(DEBUG);
    let mut client = server.client();
    client.say("DEBUG SLEEP 0.03");
    client.say("XADD s * f v");
    client.say("XGROUP CREATE s g 0");
    assert_eq!(Value::ok(), client.say("CLIENT SETNAME redis_exporter"));
    let config = client.say("CONFIG GET *");
    assert!(config.items().len().is_multiple_of(2));
    let names: Vec<String> = config.items().chunks(2).map(|pair| pair[0].text()).collect();
    for name in ["databases", "maxmemory", "maxclients", "metrics-port", "metrics-bind"] {
        assert!(names.iter().any(|it| it == name), "{name}");
    }
    let info = client.say("INFO ALL").text();
    for line in ["# Server", "redis_version:", "# Commandstats", "# Errorstats", "# Latencystats", "# Turns"]
    {
        assert!(info.contains(line), "{line}");
    }
    for field in ["role:master", "cluster_enabled:0", "os:", "maxmemory_policy:", "run_id:", "redis_mode:"] {
        assert!(info.contains(field), "{field}");
    }
    assert_eq!(
        "ERR This instance has cluster support disabled",
        client.say("CLUSTER INFO").error().expect("no")
    );
    let latest = client.say("LATENCY LATEST");
    assert!(latest.items().iter().all(|event| event.items().len() == 4), "{latest:?}");
    let histogram = client.say("LATENCY HISTOGRAM");
    assert!(histogram.items().len().is_multiple_of(2) && !histogram.items().is_empty());
    let details = histogram.items()[1].items();
    assert_eq!((details[0].text(), details[2].text()), ("calls".to_owned(), "histogram_usec".to_owned()));
    assert!(0 < client.say("SLOWLOG LEN").int());
    assert_eq!(6, client.say("SLOWLOG GET 1").items()[0].items().len());
    let list = client.say("CLIENT LIST").text();
    for field in [" age=", " idle=", " flags=", " db=", " omem=", " cmd=", "name=redis_exporter"] {
        assert!(list.contains(field), "{field} in {list}");
    }
    assert!(client.say("MEMORY USAGE s").int() > 0);
    for line in
        ["TYPE s", "XINFO STREAM s", "XINFO GROUPS s", "XINFO CONSUMERS s g", "SCAN 0 COUNT 10", "PING"]
    {
        assert_eq!(None, client.say(line).error(), "{line}");
    }
    for line in ["COMMANDLOG LEN slow", "COMMANDLOG GET 1 slow", "MODULE LIST", "PFCOUNT x", "DBSIZE"] {
        assert_eq!(None, client.say(line).error(), "{line}");
    }
}

/// Checks what `promtool check metrics` checks of the form: families once, described before their samples, no series
/// twice, buckets that grow up to the count.
fn check_metrics(text: &str) -> HashMap<&str, f64> {
    let (mut families, mut samples): (HashSet<&str>, HashMap<&str, f64>) = Default::default();
    let mut current = ("", "");
    let mut bucket = 0.0;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(families.insert(name), "{name} stands twice");
            assert!(help.ends_with('.'), "{line}");
            current = (name, "");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, current.0);
            assert!(["gauge", "counter", "histogram", "summary"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            current.1 = kind;
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().unwrap_or_default();
            let suffix = name.strip_prefix(current.0).unwrap_or_else(|| panic!("{line} in {current:?}"));
            let fits = suffix.is_empty() && current.1 != "histogram"
                || ["_sum", "_count"].contains(&suffix) && ["histogram", "summary"].contains(&current.1)
                || suffix == "_bucket" && current.1 == "histogram";
            assert!(fits, "{line}");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(samples.insert(series, value).is_none(), "{series} stands twice");
            if suffix == "_bucket" {
                assert!(bucket <= value, "{line}");
                bucket = if series.contains("le=\"+Inf\"") { 0.0 } else { value };
            }
        }
    }
    samples
}

#[test]
fn metrics_have_the_names_that_dashboards_know() {
    let server = Server::start(DEBUG);
    let mut client = server.client();
    let port = metrics_port(&mut client);
    client.say("SET a\"b\\c 1 EX 100");
    client.say("SELECT 5");
    client.say("RPUSH l x y");
    client.say("GET l");
    client.say("DEBUG SLEEP 0.03");
    let text = get(port, "/metrics");
    let samples = check_metrics(&text);
    for (series, value) in [
        ("redis_up", 1.0),
        ("redis_connected_clients", 1.0),
        ("redis_commands_total{cmd=\"set\"}", 1.0),
        ("redis_commands_failed_calls_total{cmd=\"get\"}", 1.0),
        ("redis_errors_total{err=\"WRONGTYPE\"}", 1.0),
        ("redis_db_keys{db=\"db0\"}", 1.0),
        ("redis_db_keys_expiring{db=\"db0\"}", 1.0),
        ("redis_db_keys{db=\"db5\"}", 1.0),
        ("redis_db_keys{db=\"db15\"}", 0.0),
        ("redis_memory_max_bytes", 0.0),
        ("redis_commands_latencies_usec_count{cmd=\"set\"}", 1.0),
        ("kvick_build_info{version=\"0.1.0\"}", 1.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
    for series in [
        "redis_uptime_in_seconds",
        "redis_slowlog_length",
        "redis_last_slow_execution_duration_seconds",
        "redis_memory_used_bytes",
        "redis_commands_duration_seconds_total{cmd=\"set\"}",
        "redis_latency_percentiles_usec{cmd=\"set\",quantile=\"0.99\"}",
        "redis_latency_spike_duration_seconds{event_name=\"command\"}",
        "redis_net_input_bytes_total",
        "redis_keyspace_hits_total",
        "redis_cpu_user_seconds_total",
        "kvick_turn_seconds_count{cause=\"commands\"}",
        "kvick_hot_key_requests_ratio{db=\"db0\",key=\"a\\\"b\\\\c\"}",
    ] {
        assert!(samples.contains_key(series), "{series}\n{text}");
    }
    wait_until("the walk has met the list", || {
        get(port, "/metrics").contains("kvick_big_key_bytes{db=\"db5\",key=\"l\",type=\"list\"}")
    });
}

#[test]
fn a_connection_serves_many_requests_and_ends_after_a_bad_one() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let port = metrics_port(&mut client);
    let mut web = Web::connect(port);
    let (status, fields, page) = web.get("/");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(
        page.starts_with("<!doctype html>")
            && fields["content-security-policy"].contains("default-src 'none'")
    );
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "nothing comes from elsewhere");
    assert_eq!(web.get("/no").0, "HTTP/1.1 404 Not Found");
    web.send("HEAD /metrics?x HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
    let (status, fields, _) = web.read(true);
    assert_eq!((status.as_str(), fields["connection"].as_str()), ("HTTP/1.1 200 OK", "keep-alive"));
    // Sent at once, and in pieces.
    web.send("GET /live.json HTTP/1.1\r\n\r\nGET /metrics HTT");
    let json = web.read(false).2;
    assert!(json.starts_with("{\"server\":{") && json.ends_with("]}"), "{json}");
    web.send("P/1.1\r\n\r");
    web.send("\n");
    assert!(web.read(false).2.contains("kvick_last_scrape_duration_seconds"));
    web.send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(web.read(false).0, "HTTP/1.1 403 Forbidden");
    web.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert_eq!(web.read(false).1["connection"], "close");
    assert_eq!(web.rest(), "");
    for (text, status) in [
        ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd", "405 Method Not Allowed"),
        ("GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd", "413 Content Too Large"),
        ("*1\r\n$4\r\nPING\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.0\r\n\r\n", "200 OK"),
    ] {
        let mut web = Web::connect(port);
        web.send(text);
        assert!(web.rest().starts_with(&format!("HTTP/1.1 {status}\r\n")), "{text}");
    }
    let mut web = Web::connect(port);
    web.send(&format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(8192)));
    assert!(web.read(false).0.ends_with("431 Request Header Fields Too Large"));
    // The port of the one is none for the other.
    assert_eq!(client.say("PING").text(), "PONG");
}

#[test]
fn silent_and_greedy_visitors_leave_room_for_others() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let port = metrics_port(&mut client);
    let idle: Vec<Web> = (0..40).map(|_| Web::connect(port)).collect();
    assert!(get(port, "/metrics").contains("redis_up 1"));
    let mut greedy = Web::connect(port);
    greedy.send(&"GET /live.json HTTP/1.1\r\n\r\n".repeat(30));
    for _ in 0..50 {
        assert_eq!(client.say("PING").text(), "PONG");
    }
    (0..30).for_each(|_| assert!(greedy.read(false).0.ends_with("200 OK")));
    drop(idle);
    assert_eq!(
        client.say("INFO stats").text().lines().filter(|line| *line == "rejected_connections:0").count(),
        1
    );
}

#[test]
fn heads_that_never_end_lose_their_place() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let port = metrics_port(&mut client);
    let mut slow: Vec<Web> = (0..16).map(|_| Web::connect(port)).collect();
    slow.iter_mut().for_each(|web| web.send("GET / HT"));
    wait_until("there is room again", || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut answer = String::new();
        // Whoever finds no room is sent away.
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains("redis_up 1")
    });
    for web in &mut slow {
        assert!(matches!(web.0.read(&mut [0]), Ok(0) | Err(_)), "it was sent away");
    }
    assert_eq!(client.say("PING").text(), "PONG");
}

#[test]
fn a_password_hides_names_but_no_figures() {
    let server = Server::start(&["--requirepass", "öpen:sesame"]);
    let mut client = server.client();
    client.cmd(&["AUTH", "öpen:sesame"]);
    let port = metrics_port(&mut client);
    client.say("SET secret-key 1");
    let text = get(port, "/metrics");
    assert!(text.contains("redis_commands_total{cmd=\"set\"} 1") && !text.contains("secret-key"), "{text}");
    for path in ["/", "/live.json"] {
        let (status, fields, body) = Web::connect(port).get(path);
        assert_eq!(status, "HTTP/1.1 401 Unauthorized");
        assert!(fields["www-authenticate"].starts_with("Basic ") && body == "Unauthorized");
    }
    let ask = |credentials: &str| {
        let mut web = Web::connect(port);
        web.send(&format!("GET /live.json HTTP/1.1\r\nAuthorization: Basic {credentials}\r\n\r\n"));
        web.read(false)
    };
    // default:öpen:sesame, :öpen:sesame, default:wrong, somebody:öpen:sesame, no base64.
    assert!(ask("ZGVmYXVsdDrDtnBlbjpzZXNhbWU=").2.contains("secret-key"));
    assert!(ask("OsO2cGVuOnNlc2FtZQ==").0.ends_with("200 OK"));
    for wrong in ["ZGVmYXVsdDp3cm9uZw==", "c29tZWJvZHk6w7ZwZW46c2VzYW1l", "???"] {
        assert!(ask(wrong).0.ends_with("401 Unauthorized"), "{wrong}");
    }
    assert!(client.say("INFO stats").text().contains("acl_access_denied_auth:2"));
}

#[test]
fn the_port_can_be_moved_and_closed_while_it_runs() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("CONFIG GET metrics-*").items().len(), 4);
    let first = metrics_port(&mut client);
    assert!(get(first, "/metrics").contains("redis_up 1"));
    let second = metrics_port(&mut client);
    assert!(get(second, "/metrics").contains("redis_up 1"));
    // Nobody listens on the first, nor on a port that is another's; the one there was stays.
    assert!(TcpStream::connect(("127.0.0.1", first)).is_err());
    let taken = client.say(&format!("CONFIG SET metrics-port {}", server.port()));
    assert!(taken.error().is_some_and(|text| text.starts_with("ERR CONFIG SET failed")), "{taken:?}");
    assert!(get(second, "/metrics").contains("redis_up 1"));
    assert_eq!(Value::ok(), client.say("CONFIG SET metrics-port 0"));
    assert!(TcpStream::connect(("127.0.0.1", second)).is_err());
}

#[test]
fn the_slow_log_keeps_secrets_and_counts_calls_only() {
    let server = Server::start(&["--slowlog-log-slower-than", "0"]);
    let mut client = server.client();
    // The harness has asked whose server this is.
    client.say("SLOWLOG RESET");
    for line in ["AUTH somebody hush", "HELLO 2 AUTH default hush", "CONFIG SET masterauth hush", "GET"] {
        client.say(line);
    }
    for line in ["MULTI", "SET a 1", "GET a", "EXEC", "INCRBY a"] {
        client.say(line);
    }
    let log = client.say("SLOWLOG GET -1");
    let lines: Vec<String> = log
        .items()
        .iter()
        .rev()
        .map(|entry| entry.items()[3].items().iter().map(Value::text).collect::<Vec<_>>().join(" "))
        .filter(|line| !["PING", "SLOWLOG RESET"].contains(&line.as_str()))
        .collect();
    let expected = [
        "AUTH (redacted) (redacted)",
        "HELLO 2 AUTH (redacted) (redacted)",
        "CONFIG SET masterauth (redacted)",
        "MULTI",
        "SET a 1",
        "GET a",
    ];
    assert_eq!(lines, expected);
    let stats = client.say("INFO commandstats").text();
    for (name, calls, rejected) in [("get", 1, 1), ("set", 1, 0), ("exec", 1, 0), ("incrby", 0, 1)] {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).expect(name);
        assert!(line.contains(&format!("calls={calls},")), "{line}");
        assert!(line.contains(&format!("rejected_calls={rejected},")), "{line}");
    }
    assert_eq!(Value::ok(), client.say("CONFIG SET latency-tracking no"));
    assert_eq!(client.say("INFO latencystats").text().trim(), "# Latencystats");
}
