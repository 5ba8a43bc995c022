//! The tools and libraries that people already have.

use crate::common::{Server, env_number, redis_cli, run, text};

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

#[test]
fn redis_benchmark_runs_through() {
    let server = Server::start(&[]);
    let port = server.port().to_string();
    let count = env_number("KVICK_BENCHMARK_REQUESTS", 5000).to_string();
    let tests = "ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,lrange_100,lrange_300,mset";
    for options in [&["-P", "16"][..], &["-c", "5"], &["-3", "-P", "3"]] {
        let args = [&["-p", &port, "-q", "-n", &count, "-r", "1000", "-t", tests], options].concat();
        let output = run("redis-benchmark", &args, b"");
        let said = text(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
        assert!(
            !said.contains("Error") && !text(&output.stderr).contains("ERR"),
            "{said}\n{}",
            text(&output.stderr)
        );
        for name in ["SET:", "GET:", "INCR:", "LPUSH:", "RPUSH:", "LPOP:", "RPOP:", "LRANGE_100", "MSET"] {
            assert!(said.contains(name), "no {name} in\n{said}");
        }
    }
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
