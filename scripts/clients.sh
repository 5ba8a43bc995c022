#!/usr/bin/env bash
# A smoke run with the clients that programs use, from their packages: redis-py (pip), ioredis and node-redis (npm),
# each in a directory that is gone afterwards. What cannot be installed here is said and skipped. Run by hand: it
# needs the network. The Rust client is tried by tests/clients.rs.
#
# Usage: scripts/clients.sh [path of a server]     (default: target/release/kvick, built first)
# CLIENTS="redis==5.3.1 ioredis@5 redis@4" chooses packages and versions; those of pip have two equal signs.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=${1:-}
if [[ -z $binary ]]; then
    cargo build --release --quiet
    binary=${CARGO_TARGET_DIR:-target}/release/kvick
fi
binary=$(realpath -s "$binary")
read -ra packages <<<"${CLIENTS:-redis==5.3.1 redis==6.4.0 redis==8.1.0 ioredis@5 redis@4 redis@5}"

work=$(mktemp -d)
server_pid=""
trap '[[ -z $server_pid ]] || { kill -9 "$server_pid" && wait "$server_pid"; } 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

# Starts the server on a port that is free: it ends at once if somebody else was faster.
start() {
    for _ in {1..20}; do
        port=$((20000 + RANDOM % 10000))
        "$binary" --port "$port" --bind 127.0.0.1 --dir "$work" --save "" >"$work/log" 2>&1 &
        server_pid=$!
        while kill -0 "$server_pid" 2>/dev/null; do
            ! grep -q "Ready to accept connections" "$work/log" || return 0
        done
    done
    tail -5 "$work/log" >&2
    return 1
}

cat >"$work/smoke.py" <<'PYTHON'
import sys
import redis

for protocol in (2, 3):
    r = redis.Redis(port=int(sys.argv[1]), protocol=protocol, decode_responses=True, client_name="smoke")
    assert r.ping() and r.flushall()
    assert r.set("k", "v") and r.get("k") == "v" and r.get("nosuch") is None
    assert r.incr("n", 41) == 41 and r.incr("n") == 42
    assert r.lpush("l", "c", "b", "a") == 3 and r.lrange("l", 0, -1) == ["a", "b", "c"]
    assert r.mset({f"scan:{i}": i for i in range(100)})
    assert sorted(r.scan_iter(match="scan:*", count=7)) == sorted(f"scan:{i}" for i in range(100))
    with r.pipeline(transaction=False) as p:
        for i in range(1000):
            p.set("p", i).get("p")
        assert p.execute()[1::2] == [str(i) for i in range(1000)]
    assert r.expire("k", 100) and 99 <= r.ttl("k") <= 100
    assert r.info()["role"] == "master" and r.info("keyspace")["db0"]["keys"] == 104
    assert r.config_get("maxclients") == {"maxclients": "10000"}
    names = [c["name"] for c in r.client_list()]
    assert "smoke" in names, names
    try:
        r.lpush("k", "x")
        raise SystemExit("no WRONGTYPE")
    except redis.ResponseError as e:
        assert "WRONGTYPE" in str(e), e
    r.close()
PYTHON

cat >"$work/ioredis.js" <<'JS'
const assert = require("assert");
const Redis = require("ioredis");
(async () => {
    const r = new Redis({ port: +process.argv[2], connectionName: "smoke" });
    await r.flushall();
    assert.equal(await r.set("k", "v"), "OK");
    assert.equal(await r.get("k"), "v");
    assert.equal(await r.get("nosuch"), null);
    assert.equal(await r.incrby("n", 42), 42);
    assert.equal(await r.lpush("l", "c", "b", "a"), 3);
    assert.deepEqual(await r.lrange("l", 0, -1), ["a", "b", "c"]);
    for (let i = 0; i < 100; i++) r.set("scan:" + i, i);
    const found = new Set();
    for await (const keys of r.scanStream({ match: "scan:*", count: 7 })) keys.forEach((key) => found.add(key));
    assert.equal(found.size, 100);
    const p = r.pipeline();
    for (let i = 0; i < 1000; i++) p.set("p", i).get("p");
    const replies = await p.exec();
    assert.ok(replies.every(([error, reply], i) => error === null && (i % 2 ? reply == (i - 1) / 2 : reply === "OK")));
    assert.equal(await r.expire("k", 100), 1);
    assert.ok((await r.ttl("k")) >= 99);
    assert.match(await r.info(), /role:master/);
    assert.deepEqual(await r.config("GET", "maxclients"), ["maxclients", "10000"]);
    assert.match(await r.client("LIST"), /name=smoke/);
    await assert.rejects(r.lpush("k", "x"), /WRONGTYPE/);
    await r.quit();
})().catch((error) => { console.error(error); process.exit(1); });
JS

cat >"$work/redis.js" <<'JS'
const assert = require("assert");
const { createClient } = require("redis");
(async () => {
    const r = createClient({ socket: { port: +process.argv[2] }, name: "smoke", RESP: +process.argv[3] });
    r.on("error", (error) => { throw error; });
    await r.connect();
    await r.flushAll();
    assert.equal(await r.set("k", "v"), "OK");
    assert.equal(await r.get("k"), "v");
    assert.equal(await r.get("nosuch"), null);
    assert.equal(await r.incrBy("n", 42), 42);
    assert.equal(await r.lPush("l", ["c", "b", "a"]), 3);
    assert.deepEqual(await r.lRange("l", 0, -1), ["a", "b", "c"]);
    await Promise.all(Array.from({ length: 100 }, (_, i) => r.set("scan:" + i, "x")));
    const found = new Set();
    // Version 4 yields keys, version 5 arrays of keys.
    for await (const some of r.scanIterator({ MATCH: "scan:*", COUNT: 7 })) [some].flat().forEach((key) => found.add(key));
    assert.equal(found.size, 100);
    const sent = [];
    for (let i = 0; i < 1000; i++) sent.push(r.set("p", String(i)), r.get("p"));
    (await Promise.all(sent)).forEach((reply, i) => assert.equal(reply, i % 2 ? String((i - 1) / 2) : "OK"));
    assert.ok(await r.expire("k", 100));
    assert.ok((await r.ttl("k")) >= 99);
    assert.match(await r.info(), /role:master/);
    assert.equal((await r.configGet("maxclients")).maxclients, "10000");
    assert.ok((await r.clientList()).some((client) => client.name === "smoke"));
    await assert.rejects(r.lPush("k", "x"), /WRONGTYPE/);
    await (r.close ? r.close() : r.quit());
})().catch((error) => { console.error(error); process.exit(1); });
JS

# Each answers 2 if the package cannot be had, else as the smoke run does.
with_pip() {
    command -v python3 >/dev/null || return 2
    python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$1" || return 2
    timeout 60 "$work/venv/bin/python" "$work/smoke.py" "$port" || return 1
}

with_npm() {
    local name=${1%@*} protocols="2" protocol
    command -v npm >/dev/null || return 2
    rm -rf "$work/npm" && mkdir "$work/npm" && cp "$work/$name.js" "$work/npm/"
    (cd "$work/npm" && npm install --silent --no-audit --no-fund --prefix . "$1" >/dev/null) || return 2
    [[ $1 != redis@5* ]] || protocols="2 3"
    for protocol in $protocols; do
        (cd "$work/npm" && timeout 60 node "$name.js" "$port" "$protocol") || return 1
    done
}

start
failed=0
for package in "${packages[@]}"; do
    status=0
    if [[ $package == *==* ]]; then
        with_pip "$package" || status=$?
    else
        with_npm "$package" || status=$?
    fi
    case $status in
    0) echo "$package: fine" ;;
    2) echo "$package: skipped, it cannot be installed here" ;;
    *) echo "$package: FAILED" && failed=1 ;;
    esac
done
exit "$failed"
