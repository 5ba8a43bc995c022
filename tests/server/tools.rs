//! The tools and libraries that people already have.

use crate::common::{Server, Value, env_number, redis_cli, run, text};

#[test]
fn redis_cli_says_and_shows_what_it_does_with_redis() {
    let server = Server::start(&[]);
    for (args, expected) in [
        (&["SET", "k", "a value"][..], "OK"),
        (&["GET", "k"], "a value"),
        (&["--no-raw", "GET", "k"], "\"a value\""),
        (&["--no-raw", "INCR", "n"], "(integer) 1"),
        (&["--no-raw", "GET", "nosuch"], "(nil)"),
        (&["--no-raw", "LRANGE", "nosuch", "0", "-1"], "(empty array)"),
        (&["--no-raw", "INCR", "k"], "(error) ERR value is not an integer or out of range"),
        (&["-3", "GET", "k"], "a value"),
        (&["-3", "--no-raw", "GET", "nosuch"], "(nil)"),
        (&["-n", "3", "DBSIZE"], "0"),
        (&["-r", "3", "INCR", "n"], "2\n3\n4"),
        (&["--csv", "MGET", "k", "n"], "\"a value\",\"4\""),
        (&["CONFIG", "SET", "timeout", "5"], "OK"),
        (&["CONFIG", "GET", "timeout"], "timeout\n5"),
        (&["-3", "--no-raw", "CONFIG", "GET", "timeout"], "1# \"timeout\" => \"5\""),
        (&["--scan", "--pattern", "k*"], "k"),
        (&["NOSUCH", "x"], "ERR unknown command 'NOSUCH', with args beginning with: 'x'"),
    ] {
        assert_eq!(expected, redis_cli(server.port(), args), "{args:?}");
    }
}

#[test]
fn redis_cli_pipe_loads_a_hundred_thousand_commands() {
    let server = Server::start(&[]);
    let commands: Vec<u8> = (0..100_000)
        .flat_map(|n| crate::common::client::encode(&["SET", &format!("key:{n}"), &n.to_string()]))
        .collect();
    let output = run("redis-cli", &["-p", &server.port().to_string(), "--pipe"], &commands);
    assert!(text(&output.stdout).contains("errors: 0, replies: 100000"), "{}", text(&output.stdout));
    assert_eq!(100_000, server.client().say("DBSIZE").int());
}

#[test]
fn redis_cli_stat_shows_its_line_of_numbers() {
    let server = Server::start(&[]);
    server.client().say("SET k v");
    let port = server.port().to_string();
    // It never ends by itself; the pipe that `head` closes ends it.
    let script = "timeout 10 redis-cli -p $0 --stat -i 0.05 | head -4";
    let output = text(&run("sh", &["-c", script, &port], b"").stdout);
    let numbers = output.lines().find(|line| line.trim().starts_with('1'));
    let words: Vec<_> =
        numbers.unwrap_or_else(|| panic!("no line of one key in\n{output}")).split_whitespace().collect();
    assert!(6 <= words.len(), "{output}");
    assert!(!output.contains("nil"), "{output}");
}

/// One key of each type, the biggest of which are known.
fn one_of_each(server: &Server) {
    let mut client = server.client();
    for line in [
        "SET text 0123456789",
        "RPUSH list a b c",
        "SADD set 1 2 3 4",
        "HSET hash f v g w",
        "ZADD zset 1 a 2 b 3 c 4 d 5 e",
        "XADD stream 1-1 f v",
        "SETBIT bits 7 1",
        "PFADD hll a",
    ] {
        assert_eq!(None, client.say(line).error(), "{line}");
    }
}

#[test]
fn redis_cli_looks_for_big_and_hot_keys() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lfu"]);
    one_of_each(&server);
    let said = redis_cli(server.port(), &["--bigkeys"]);
    for line in [
        "Sampled 8 keys in the keyspace!",
        "Biggest string found '\"hll\"' has",
        "Biggest   list found '\"list\"' has 3 items",
        "Biggest    set found '\"set\"' has 4 members",
        "Biggest   hash found '\"hash\"' has 2 fields",
        "Biggest   zset found '\"zset\"' has 5 members",
        "Biggest stream found '\"stream\"' has 1 entries",
    ] {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
    let said = redis_cli(server.port(), &["--memkeys"]);
    for kind in ["string", "  list", "   set", "  hash", "  zset", "stream"] {
        let line = said.lines().find(|line| line.starts_with(&format!("Biggest {kind} found")));
        assert!(line.is_some_and(|line| line.ends_with(" bytes") && !line.ends_with(" 0 bytes")), "{said}");
    }
    let mut client = server.client();
    (0..5000).for_each(|_| assert_eq!(10, client.say("GET text").bytes().len()));
    let said = redis_cli(server.port(), &["--hotkeys"]);
    let hottest = said.lines().find(|line| line.starts_with("hot key found with counter:"));
    assert!(hottest.is_some_and(|line| line.ends_with("keyname: \"text\"")), "{said}");
    assert_eq!(Value::ok(), client.say("CONFIG SET maxmemory-policy allkeys-lru"));
    let output = run("redis-cli", &["-p", &server.port().to_string(), "--hotkeys"], b"");
    assert!(text(&output.stderr).contains("ERR An LFU maxmemory policy is not selected"));
}

#[test]
fn redis_cli_walks_over_all_keys_and_measures_latency() {
    let server = Server::start(&[]);
    let keys: Vec<Vec<String>> =
        (0..3000).map(|n| vec!["SET".into(), format!("key:{n}"), "v".into()]).collect();
    server.client().pipeline(&keys);
    one_of_each(&server);
    for (args, count) in [(&["--scan"][..], 3008), (&["--scan", "--pattern", "key:1*"], 1111)] {
        let said = redis_cli(server.port(), args);
        let mut keys: Vec<_> = said.lines().collect();
        keys.sort();
        keys.dedup();
        assert_eq!(count, keys.len(), "{args:?}");
    }
    let script = "timeout 1 redis-cli -p $0 --raw --latency";
    let output = text(&run("sh", &["-c", script, &server.port().to_string()], b"").stdout);
    let first = output.split_whitespace().next();
    assert!(first.is_none_or(|word| word.parse::<f64>().is_ok()), "{output}");
}

/// Without replicas there is nobody to send a snapshot to, which the tool must hear instead of waiting for it.
#[test]
fn redis_cli_is_refused_a_snapshot_by_name() {
    let server = Server::start(&[]);
    let file = server.folder().join("copy.rdb");
    let args = ["-p", &server.port().to_string(), "--rdb", file.to_str().expect("text")];
    let output = run("redis-cli", &args, b"");
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("ERR SYNC is not supported by kvick"), "{output:?}");
}

/// Runs the benchmark and returns what it says, where nothing may be an error.
fn benchmark(server: &Server, args: &[&str]) -> String {
    let port = server.port().to_string();
    let count = env_number("KVICK_BENCHMARK_REQUESTS", 5000).to_string();
    let output = run("redis-benchmark", &[&["-p", &port, "-q", "-n", &count], args].concat(), b"");
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && !said.contains("rror") && !errors.contains("ERR"), "{said}\n{errors}");
    said
}

#[test]
fn redis_benchmark_runs_through() {
    let server = Server::start(&[]);
    let suite = [
        "PING_INLINE:",
        "PING_MBULK:",
        "SET:",
        "GET:",
        "INCR:",
        "LPUSH:",
        "RPUSH:",
        "LPOP:",
        "RPOP:",
        "SADD:",
        "HSET:",
        "SPOP:",
        "ZADD:",
        "ZPOPMIN:",
        "LRANGE_100",
        "LRANGE_300",
        "LRANGE_500",
        "LRANGE_600",
        "MSET",
    ];
    for options in [&["-P", "16"][..], &["-c", "5", "-r", "1000"], &["-3", "-P", "3", "-r", "1000"]] {
        let said = benchmark(&server, options);
        for name in suite {
            assert!(said.contains(name), "no {name} in\n{said}");
        }
    }
    // Later versions of the tool add to a stream as well.
    let said = benchmark(&server, &["-P", "16", "XADD", "mystream", "*", "myfield", "__data__"]);
    assert!(said.contains("XADD mystream"), "{said}");
    // It sends whole pipelines.
    let added = server.client().say("XLEN mystream").int() as u64;
    assert!((0..16).contains(&(added - env_number("KVICK_BENCHMARK_REQUESTS", 5000))), "{added} entries");
}

#[test]
fn the_session_through_nc_gets_its_replies() {
    let server = Server::start(&[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/nc-demo.sh");
    let output = run("bash", &[script, "127.0.0.1", &server.port().to_string()], b"");
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    // A second time, on what the first one left.
    let output = run("bash", &[script, "127.0.0.1", &server.port().to_string()], b"");
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

const PYTHON: &str = r#"
import sys, redis
for protocol in (2, 3):
    r = redis.Redis(port=int(sys.argv[1]), protocol=protocol, decode_responses=True, client_name="smoke")
    assert r.ping() and r.flushall()
    assert r.set("k", "v", ex=100) is True and r.get("k") == "v" and 98 <= r.ttl("k") <= 100
    assert r.set("k", "w", nx=True) is None and r.set("k", "w", get=True) == "v"
    assert r.incr("n", 5) == 5 and r.incrbyfloat("f", 1.5) == 1.5
    assert r.rpush("l", *range(10)) == 10 and r.lrange("l", 0, 2) == ["0", "1", "2"]
    assert r.lpos("l", "3") == 3 and r.lmove("l", "m", "LEFT", "RIGHT") == "0" and r.lpop("l", 2) == ["1", "2"]
    assert r.mset({"a": 1, "b": 2}) and r.mget("a", "b", "c") == ["1", "2", None]
    assert sorted(r.scan_iter(match="[ab]", count=1)) == ["a", "b"]
    with r.pipeline(transaction=False) as p:
        for n in range(1000):
            p.set(f"p{n}", n)
        assert all(p.execute())
    assert r.dbsize() == 1007, r.dbsize()
    try:
        r.lpush("k", "x")
        raise SystemExit("no WRONGTYPE")
    except redis.ResponseError as e:
        assert "WRONGTYPE" in str(e), e
    assert r.client_getname() == "smoke" and int(r.info()["connected_clients"]) >= 1
    assert r.config_get("maxmemory") == {"maxmemory": "0"} and r.object("encoding", "n") == "int"
print("fine")
"#;

#[test]
fn redis_py_finds_everything_as_it_expects() {
    if !run("python3", &["-c", "import redis"], b"").status.success() {
        return println!("skipped: python3 has no module redis; scripts/test.sh installs it");
    }
    let server = Server::start(&[]);
    let output = run("python3", &["-c", PYTHON, &server.port().to_string()], b"");
    assert_eq!("fine", text(&output.stdout), "{}", text(&output.stderr));
}

#[test]
fn the_rust_client_finds_everything_as_it_expects() -> redis::RedisResult<()> {
    let server = Server::start(&[]);
    for protocol in ["", "?protocol=resp3"] {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/1{protocol}", server.port()))?;
        let mut connection = client.get_connection()?;
        let () = redis::cmd("FLUSHALL").query(&mut connection)?;
        let () = redis::cmd("SET").arg("k").arg(7).query(&mut connection)?;
        let (sum, list): (i64, Vec<String>) = redis::pipe()
            .cmd("INCRBY")
            .arg("k")
            .arg(5)
            .cmd("RPUSH")
            .arg("l")
            .arg(&["a", "b"])
            .ignore()
            .cmd("LRANGE")
            .arg("l")
            .arg(0)
            .arg(-1)
            .query(&mut connection)?;
        assert_eq!((12, vec!["a".to_string(), "b".to_string()]), (sum, list));
        let missing: Option<String> = redis::cmd("GET").arg("nosuch").query(&mut connection)?;
        assert_eq!(None, missing);
    }
    Ok(())
}
