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
import queue
import sys
import threading
import time
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

    # Messages: by hand, by handler, and in a thread.
    port, heard = int(sys.argv[1]), queue.Queue()
    pubsub = r.pubsub()
    pubsub.subscribe("news", **{"handled": heard.put})
    pubsub.psubscribe("n?ws")
    kinds = [pubsub.get_message(timeout=5)["type"] for _ in range(3)]
    assert sorted(kinds) == ["psubscribe", "subscribe", "subscribe"], kinds
    assert r.publish("news", "hello") == 2 and r.publish("handled", "x") == 1
    texts = [pubsub.get_message(timeout=5) for _ in range(3)]
    assert {(m["type"], m["data"]) for m in texts if m} == {("message", "hello"), ("pmessage", "hello")}, texts
    assert heard.get(timeout=5)["data"] == "x"
    pubsub.unsubscribe("news")
    pubsub.punsubscribe("n?ws")
    assert {pubsub.get_message(timeout=5)["type"] for _ in range(2)} == {"unsubscribe", "punsubscribe"}
    thread = pubsub.run_in_thread(sleep_time=0.01)
    assert r.publish("handled", "y") == 1 and heard.get(timeout=5)["data"] == "y"
    thread.stop()
    thread.join()
    pubsub.close()

    # Transactions that depend on keys.
    r.set("balance", 10)

    def spend(pipe):
        balance = int(pipe.get("balance"))
        if balance == 10:
            r.set("balance", 7)  # Somebody is faster once: it is run again.
        pipe.multi()
        pipe.set("balance", balance - 1)

    assert r.transaction(spend, "balance") == [True] and r.get("balance") == "6"
    with r.pipeline() as p:
        p.watch("balance")
        r.incr("balance")
        p.multi()
        p.set("balance", 0)
        try:
            p.execute()
            raise SystemExit("no WatchError")
        except redis.WatchError:
            pass

    # A lock is taken, refused to others, and runs out. To give it back early takes a script.
    lock = r.lock("lock", timeout=0.2, blocking=False)
    assert lock.acquire() and lock.owned() and not r.lock("lock", blocking=False).acquire()
    assert r.lock("lock", timeout=5, blocking_timeout=5, sleep=0.02).acquire()

    # Waiting.
    def soon(*command):
        timer = threading.Timer(0.05, lambda: redis.Redis(port=port).execute_command(*command))
        timer.start()

    soon("RPUSH", "jobs", "one")
    assert tuple(r.blpop(["none", "jobs"], timeout=5)) == ("jobs", "one")
    soon("ZADD", "z", "1", "m")
    assert list(r.bzpopmin("z", timeout=5)) == ["z", "m", 1.0]
    soon("RPUSH", "from", "x")
    assert r.blmove("from", "to", timeout=5) == "x"
    soon("XADD", "stream", "1-1", "f", "v")
    got = r.xread({"stream": "$"}, block=5000)
    assert "1-1" in str(got) and "'f': 'v'" in str(got), got
    assert r.blpop("none", timeout=0.02) is None

    # A monitor sees what others do.
    with r.monitor() as monitor:
        r.set("seen", "a b")
        command = monitor.next_command()
        while "seen" not in command["command"]:
            command = monitor.next_command()
        assert command["command"] == "SET seen a b" and command["db"] == 0, command

    # Keys that the client keeps are told of when they change.
    if protocol == 3 and hasattr(redis, "cache"):
        from redis.cache import CacheConfig, CacheKey

        caching = redis.Redis(port=port, protocol=3, decode_responses=True, cache_config=CacheConfig(max_size=100))
        r.set("kept", "1")
        assert caching.get("kept") == "1" and caching.get_cache().size == 1
        assert caching.get("kept") == "1"
        r.set("kept", "2")
        deadline = time.time() + 5
        while caching.get("kept") != "2":
            assert time.time() < deadline, "the client was not told"
        r.flushall()
        while caching.get("kept") is not None:
            assert time.time() < deadline, "the client was not told of the flush"
        caching.close()
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

    const once = (emitter, event) => new Promise((done) => emitter.once(event, (...args) => done(args)));
    const other = r.duplicate();
    assert.equal(await other.subscribe("news"), 1);
    assert.equal(await other.psubscribe("n?ws"), 2);
    const message = once(other, "message"), pmessage = once(other, "pmessage");
    assert.equal(await r.publish("news", "hello"), 2);
    assert.deepEqual(await message, ["news", "hello"]);
    assert.deepEqual(await pmessage, ["n?ws", "news", "hello"]);
    await other.unsubscribe("news");
    await other.punsubscribe("n?ws");
    assert.equal(await other.get("k"), "v");

    assert.deepEqual(await r.multi().set("t", 1).incr("t").lpush("t", "x").exec().then((all) => all.map(([error, reply]) => error ? error.message.split(" ")[0] : reply)), ["OK", 2, "WRONGTYPE"]);
    await other.watch("t");
    await r.set("t", 5);
    assert.equal(await other.multi().set("t", 9).exec(), null);
    assert.equal(await r.get("t"), "5");

    const waited = other.blpop("none", "jobs", 5);
    await r.rpush("jobs", "one");
    assert.deepEqual(await waited, ["jobs", "one"]);
    const read = other.xread("BLOCK", 5000, "STREAMS", "stream", "$");
    while (!/ cmd=xread /.test(await r.client("LIST"))) ;
    await r.xadd("stream", "1-1", "f", "v");
    assert.deepEqual(await read, [["stream", [["1-1", ["f", "v"]]]]]);
    assert.equal(await other.blpop("none", 0.02), null);

    const together = new Redis({ port: +process.argv[2], enableAutoPipelining: true });
    assert.deepEqual(await Promise.all([together.set("auto", 1), together.incr("auto"), together.get("auto")]), ["OK", 2, "2"]);
    const monitor = await r.monitor();
    const seen = new Promise((done) => monitor.on("monitor", (time, args) => args[1] === "seen" && done(args)));
    await together.set("seen", "a b");
    assert.deepEqual(await seen, ["set", "seen", "a b"]);
    monitor.disconnect();
    await Promise.all([together.quit(), other.quit(), r.quit()]);
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

    const other = r.duplicate();
    await other.connect();
    const message = new Promise((done) => other.subscribe("news", (...args) => done(args)));
    while ((await r.publish("news", "hello")) === 0) ;
    assert.deepEqual(await message, ["hello", "news"]);
    await other.unsubscribe();
    assert.deepEqual(await r.multi().set("t", "1").incr("t").exec(), ["OK", 2]);
    const waited = other.blPop(["none", "jobs"], 5);
    await r.rPush("jobs", "one");
    const { key, element } = await waited;
    assert.deepEqual([String(key), String(element)], ["jobs", "one"]);
    if (process.argv[3] === "3") {
        const kept = createClient({ socket: { port: +process.argv[2] }, RESP: 3, clientSideCache: { maxEntries: 100 } });
        kept.on("error", (error) => { throw error; });
        await kept.connect();
        await r.set("kept", "1");
        assert.equal(await kept.get("kept"), "1");
        await r.set("kept", "2");
        while ((await kept.get("kept")) !== "2") await new Promise(setImmediate);
        await kept.close();
    }
    await (other.close ? other.close() : other.quit());
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
