//! The tools that users have: redis-cli, redis-benchmark, redis-py and openssl, as they come.

use crate::common::{Value, run, text};
use crate::setup::{Certificates, Tls};

/// What `redis-cli --tls` says, errors included.
fn cli(tls: &Tls, args: &[&str], input: &str) -> String {
    let port = tls.port.to_string();
    let all = [&["-h", "localhost", "-p", &port, "--tls"], args].concat();
    let output = run("redis-cli", &all, input.as_bytes());
    text(&[output.stdout, output.stderr].concat())
}

#[test]
fn redis_cli_and_its_options() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let path = |name: &str| certificates.path(name);
    let (ca, crt, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let known = ["--cacert", &ca, "--cert", &crt, "--key", &key];
    assert_eq!("PONG", cli(&tls, &[&known[..], &["PING"]].concat(), ""));
    assert_eq!("PONG", cli(&tls, &["--insecure", "--cert", &crt, "--key", &key, "PING"], ""));
    assert_eq!("PONG", cli(&tls, &[&known[..], &["--sni", "elsewhere", "-3", "PING"]].concat(), ""));
    let directory = ["--cacertdir", &path("hashed"), "--cert", &crt, "--key", &key, "PING"];
    assert_eq!("PONG", cli(&tls, &directory, ""));
    let suite = ["--tls-ciphersuites", "TLS_AES_128_GCM_SHA256", "PING"];
    assert_eq!("PONG", cli(&tls, &[&known[..], &suite].concat(), ""));
    // What a new user gets wrong.
    assert!(cli(&tls, &["PING"], "").contains("SSL_connect failed: certificate verify failed"));
    let without = cli(&tls, &["--cacert", &ca, "PING"], "");
    assert!(without.starts_with("Error: ") && !without.contains("PONG"), "{without}");
    let plain = run("redis-cli", &["-p", &tls.port.to_string(), "PING"], b"");
    let plain = text(&[plain.stdout, plain.stderr].concat());
    assert!(plain.contains("closed") || plain.contains("reset"), "{plain}");
    // Much at once.
    let sets: String = (0..20_000).map(|n| format!("SET key:{n} {n}\r\n")).collect();
    let piped = cli(&tls, &[&known[..], &["--pipe"]].concat(), &sets);
    assert!(piped.contains("errors: 0, replies: 20000"), "{piped}");
    assert_eq!(Value::Int(20_000), tls.server.client().say("DBSIZE"));
}

#[test]
fn redis_benchmark_runs_through() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let path = |name: &str| certificates.path(name);
    let args = ["-h", "localhost", "-p", &tls.port.to_string(), "--tls", "--cacert", &path("ca.crt")];
    let own = ["--cert", &path("client.crt"), "--key", &path("client.key")];
    let load = ["-n", "5000", "-c", "20", "-P", "8", "-t", "set,get,lpush,lrange_100", "-q"];
    let output = run("redis-benchmark", &[&args[..], &own, &load].concat(), b"");
    let told = text(&output.stdout);
    assert!(output.status.success() && told.contains("LRANGE_100"), "{told}{}", text(&output.stderr));
}

#[test]
fn redis_py_over_ssl() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let script = r#"
import sys, redis
port, where = int(sys.argv[1]), sys.argv[2]
def client(**more):
    return redis.Redis(host="localhost", port=port, ssl=True, ssl_ca_certs=where + "/ca.crt", **more)
own = dict(ssl_certfile=where + "/client.crt", ssl_keyfile=where + "/client.key")
r = client(**own)
assert r.ping() and r.set("k", b"v" * 3000000) and len(r.get("k")) == 3000000
p = r.pipeline()
for n in range(1000): p.incr("n")
assert p.execute()[-1] == 1000
s = r.pubsub(); s.subscribe("c"); s.get_message(timeout=5); r.publish("c", "hello")
assert s.get_message(timeout=5)["data"] == b"hello"
try:
    client().ping()
    sys.exit("a client without a certificate was let in")
except redis.exceptions.ConnectionError:
    print("fine")
"#;
    if !run("python3", &["-c", "import redis"], b"").status.success() {
        return println!("skipped: no redis-py for python3; scripts/test.sh installs it");
    }
    let output = run("python3", &["-c", script, &tls.port.to_string(), &certificates.path("")], b"");
    assert_eq!("fine", text(&output.stdout), "{}", text(&output.stderr));
}

#[test]
fn openssl_s_client_sees_what_was_configured() {
    let certificates = Certificates::make();
    let tls = certificates.server(&["--tls-auth-clients", "no", "--tls-prefer-server-ciphers", "yes"]);
    let address = format!("localhost:{}", tls.port);
    let ca = certificates.path("ca.crt");
    let ask = |more: &[&str]| {
        let args = ["s_client", "-connect", &address, "-CAfile", &ca, "-verify_return_error", "-ign_eof"];
        text(&run("openssl", &[&args[..], more].concat(), b"PING\r\nQUIT\r\n").stdout)
    };
    for (more, seen) in [
        (vec!["-tls1_2"], "TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"),
        (vec!["-tls1_3"], "TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"),
        (
            vec!["-ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"],
            "Cipher is TLS_AES_256_GCM_SHA384",
        ),
    ] {
        let told = ask(&more);
        assert!(told.contains(seen) && told.contains("Verify return code: 0 (ok)"), "{more:?}: {told}");
        assert!(told.contains("+PONG") && told.contains("+OK"), "{more:?}: {told}");
    }
    assert!(!ask(&["-tls1_1"]).contains("+PONG"));
}
