#!/usr/bin/env python3
"""A long mixed load on one server: does anything creep up?

Writers and readers of all types with pipelines, half of their keys with deadlines, under a maxmemory that is always
reached; clients that come and go in every way a connection can end; subscribers; clients that wait for elements; and
somebody who rewrites the log, writes snapshots, scans and asks for figures. Beside them a prober of its own process
sends a GET every half millisecond.

    scripts/soak.py [--server target/release/kvick] [--seconds 600] [--interval 30] [--under "valgrind …"]

Prints a row an interval, and a verdict over the last two thirds of them, since a table that grows to its full size is
no leak: resident memory flat, no latency trend; and when all clients have gone, as many descriptors as before they came.
Fails if one of them does not hold, or a client was told what it cannot have been told.
"""

import argparse
import contextlib
import multiprocessing
import os
import random
import shlex
import signal
import socket
import statistics
import struct
import sys
import time

from compare_common import Client, Prober, Server, request

KEYS = 20_000
PIPELINE = 16
MAXMEMORY_MB = 24
WRITERS = 2
CLIENTS = 12
CHANNELS = 8
# What may grow: so much of resident memory from one third of the time to the next, and so much of the 99th percentile.
GROWTH_SHARE_MAX, GROWTH_MB_MAX = 0.05, 8
TREND_SHARE_MAX, TREND_MS_MAX = 0.5, 0.3
# What a client of this load may be told besides a reply: its keys are evicted and expire under it.
EXPECTED = (b"-ERR no such key", b"-NOGROUP", b"-BUSYGROUP", b"-ERR Background", b"-ERR Another child")

SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory": f"{MAXMEMORY_MB}mb",
    "maxmemory-policy": "allkeys-lru",
    "auto-aof-rewrite-percentage": "50",
    "auto-aof-rewrite-min-size": "16mb",
    "notify-keyspace-events": "Ex",
    "loglevel": "warning",
}


class Wire(Client):
    """A connection with pipelines; replies of any shape are read and forgotten, unexpected errors end the program."""

    def __init__(self, port):
        super().__init__(port)
        self.socket.settimeout(120)

    def skip(self):
        """Reads one reply; gives its first line."""
        line = self.input.readline()
        if not line:
            raise ConnectionError("the server has closed the connection")
        kind, text = line[:1], line[1:-2]
        if kind in b"$=" and text != b"-1":
            self.input.read(int(text) + 2)
        elif kind in b"*~>%":
            for _ in range(max(int(text), 0) * (2 if kind == b"%" else 1)):
                self.skip()
        elif kind == b"-" and not line.startswith(EXPECTED):
            raise RuntimeError(f"the server said {line!r}")
        return line

    def run(self, requests):
        self.socket.sendall(b"".join(request(*words) for words in requests))
        for _ in requests:
            self.skip()


def text(rng):
    return bytes(rng.getrandbits(8) for _ in range(16)) * rng.choice((1, 2, 4, 40, 400 if rng.random() < 0.02 else 3))


def strings(rng, key):
    yield b"SET", key, text(rng), b"PX", b"%d" % rng.randrange(50, 30_000)
    yield b"GET", key
    yield b"APPEND", key, b"more"
    yield b"SETRANGE", key, b"7", b"xyz"
    yield b"INCRBY", b"n:" + key, b"3"
    yield b"SETBIT", b"b:" + key, b"%d" % rng.randrange(2000), b"1"
    yield b"PFADD", b"p:" + key, text(rng)[:8], text(rng)[:9]
    yield b"MSET", b"m:" + key, text(rng), b"m2:" + key, b"1"


def lists(rng, key):
    yield b"RPUSH", key, text(rng), b"1", b"2"
    yield b"LPUSH", key, *(b"%d" % rng.randrange(100) for _ in range(rng.randrange(1, 60)))
    yield b"LTRIM", key, b"0", b"200"
    yield b"LRANGE", key, b"0", b"20"
    yield b"LMOVE", key, b"queue:%d" % rng.randrange(4), b"LEFT", b"RIGHT"
    yield b"LREM", key, b"1", b"7"


def sets(rng, key):
    yield b"SADD", key, *(b"%d" % rng.randrange(1000) for _ in range(rng.randrange(1, 30)))
    yield b"SADD", key, text(rng)[:20]
    yield b"SPOP", key, b"3"
    yield b"SINTERSTORE", b"i:" + key, key, b"t:%d" % rng.randrange(KEYS)
    yield b"SRANDMEMBER", key, b"-3"


def hashes(rng, key):
    yield b"HSET", key, *(b"f%d" % rng.randrange(300) for _ in range(2 * rng.randrange(1, 20)))
    yield b"HPEXPIRE", key, b"%d" % rng.randrange(10, 5000), b"FIELDS", b"2", b"f1", b"f2"
    yield b"HINCRBY", key, b"count", b"1"
    yield b"HGETALL", key
    yield b"HDEL", key, b"f%d" % rng.randrange(300)


def zsets(rng, key):
    yield b"ZADD", key, *(word for _ in range(rng.randrange(1, 30))
                          for word in (b"%f" % rng.uniform(-9, 9), b"m%d" % rng.randrange(500)))
    yield b"ZRANGEBYSCORE", key, b"-1", b"1", b"LIMIT", b"0", b"10"
    yield b"ZPOPMIN", key, b"2"
    yield b"ZUNIONSTORE", b"u:" + key, b"2", key, b"z:%d" % rng.randrange(KEYS)
    yield b"GEOADD", b"g:" + key, b"%f" % rng.uniform(-180, 180), b"%f" % rng.uniform(-80, 80), b"here"


def streams(rng, key):
    yield b"XADD", key, b"MAXLEN", b"~", b"100", b"*", b"f", text(rng), b"g", b"1"
    yield b"XGROUP", b"CREATE", key, b"g", b"0"
    yield b"XREADGROUP", b"GROUP", b"g", b"c%d" % rng.randrange(3), b"COUNT", b"5", b"STREAMS", key, b">"
    yield b"XAUTOCLAIM", key, b"g", b"c0", b"100", b"0", b"COUNT", b"5"
    yield b"XTRIM", key, b"MAXLEN", b"50"


FAMILIES = [(b"s:", strings), (b"l:", lists), (b"t:", sets), (b"h:", hashes), (b"z:", zsets), (b"x:", streams)]


def some(rng):
    """A few requests about one key."""
    prefix, family = rng.choice(FAMILIES)
    key = prefix + b"%d" % min(int(rng.paretovariate(0.5)), rng.randrange(1, KEYS))
    yield from family(rng, key)
    if rng.random() < 0.5:
        yield b"PEXPIRE", key, b"%d" % rng.randrange(20, 60_000)
    if rng.random() < 0.1:
        yield b"UNLINK", key
    if rng.random() < 0.2:
        yield b"PUBLISH", b"channel:%d" % rng.randrange(CHANNELS), text(rng)[:100]
    if rng.random() < 0.1:
        yield from ((b"MULTI",), (b"SET", key, b"1"), (b"DEL", key), (b"EXEC",))


def write(port, rng):
    wire = Wire(port)
    while True:
        requests = []
        while len(requests) < PIPELINE:
            requests.extend(some(rng))
        wire.run(requests)


def reconnect(port, rng):
    """Connections that end in every way: closed, half-closed with requests under way, reset, left in the middle."""
    while True:
        wire = Wire(port)
        if rng.random() < 0.3:
            wire.run([(b"HELLO", b"3"), (b"CLIENT", b"TRACKING", b"ON")])
        wire.run(list(some(rng)))
        how = rng.randrange(5)
        if how == 0:
            wire.socket.sendall(request(b"SET", b"half", b"x" * 100_000)[:-1000])
        elif how == 1:
            wire.socket.sendall(b"".join(request(*words) for words in some(rng)))
            wire.socket.shutdown(socket.SHUT_WR)
        elif how == 2:
            wire.socket.sendall(b"".join(request(*words) for words in some(rng)))
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == 3:
            wire.run([(b"WATCH", b"s:1"), (b"MULTI",), (b"GET", b"s:1")])
        wire.close()
        time.sleep(rng.random() * 0.02)


def subscribe(port, rng):
    while True:
        wire = Wire(port)
        wire.run([(b"SUBSCRIBE", b"channel:%d" % rng.randrange(CHANNELS))])
        wire.run([(b"PSUBSCRIBE", b"channel:*", b"__keyevent@*")][: rng.randrange(2)])
        end = time.monotonic() + rng.uniform(1, 20)
        while time.monotonic() < end:
            wire.skip()
        wire.close()


def wait(port, rng):
    wire = Wire(port)
    while True:
        queue = b"queue:%d" % rng.randrange(4)
        wire.run([rng.choice([
            (b"BLPOP", queue, b"queue:0", b"0.05"), (b"BLMOVE", queue, b"done", b"LEFT", b"RIGHT", b"0.02"),
            (b"BZPOPMIN", b"none", b"z:1", b"0.02"), (b"XREAD", b"BLOCK", b"20", b"STREAMS", b"x:1", b"$"),
        ])])
        if rng.random() < 0.1:
            wire.run([(b"LTRIM", b"done", b"0", b"99")])


def administer(port, rng):
    wire = Wire(port)
    cursor = b"0"
    for turn in range(1 << 62):
        wire.run([(b"INFO", b"everything"), (b"CLIENT", b"LIST"), (b"SLOWLOG", b"GET"), (b"LATENCY", b"LATEST")])
        wire.socket.sendall(request(b"SCAN", cursor, b"COUNT", b"100"))
        wire.input.readline()
        cursor = wire.input.read(int(wire.input.readline()[1:]) + 2)[:-2]
        wire.skip()
        if turn % 40 == 10:
            wire.run([(b"BGREWRITEAOF",)])
        if turn % 40 == 30:
            wire.run([(b"BGSAVE",)])
        if turn % 200 == 199:
            wire.run([(b"FLUSHDB", b"ASYNC")] if rng.random() < 0.05 else [(b"SWAPDB", b"1", b"2")])
        time.sleep(0.5)


def work(kind, port, seed):
    """A process of the load; it ends with the program, or says why it ends before."""
    os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        kind(port, random.Random(seed))
    except Exception as error:  # Whatever it is, the verdict must hear of it.
        print(f"soak: {kind.__name__}: {error!r}", file=sys.stderr, flush=True)
        sys.exit(1)


class Soaked(Server):
    """The server of the load, perhaps under another program."""

    def __init__(self, options):
        super().__init__(options.server, *(word for name, value in SETTINGS.items() for word in ("--" + name, value)))
        under = shlex.split(options.under)
        if under:
            at = self.command.index(options.server)
            self.command[at:at] = under

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def ends_well(self):
        """Stops it as an operator does; says whether its exit code is zero, and what it has logged if not."""
        process = self.process
        self.stop()
        if process.returncode != 0:
            with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as log:
                print(log.read()[-5000:])
        return process.returncode == 0

    def figures(self):
        info = {}
        for section in (b"memory", b"stats", b"persistence", b"keyspace", b"clients"):
            info.update(self.client.info(section))
        return info


COLUMNS = ("minute", "RSS MB", "used MB", "fds", "clients", "keys", "ops/s", "p99 ms", "max ms", "expired", "evicted",
           "rewrites", "log MB")


def row(cells):
    return "| " + " | ".join(str(cell).rjust(len(name)) for name, cell in zip(COLUMNS, cells)) + " |"


def sample(server, minute, before, seconds, report):
    info = server.figures()
    number = lambda name: int(info.get(name, 0))
    keys = sum(int(value.split(",")[0].split("=")[1]) for name, value in info.items() if name.startswith("db"))
    operations = number("total_commands_processed") - int(before.get("total_commands_processed", 0))
    found = {"rss": server.resident_bytes() / (1 << 20), "p99": report.get("p99_ms"), "fds": server.descriptors()}
    print(row((f"{minute:.1f}", f"{found['rss']:.1f}", f"{number('used_memory') / (1 << 20):.1f}", found["fds"],
               number("connected_clients"), keys, round(operations / seconds), f"{report.get('p99_ms', 0):.2f}",
               f"{report.get('max_ms', 0):.2f}", number("expired_keys"), number("evicted_keys"), number("aof_rewrites"),
               f"{number('aof_current_size') / (1 << 20):.0f}")), flush=True)
    return found, info


def flat(name, values, share, slack, unit):
    """Compares the second third of the samples with the last; prints what it finds."""
    third = len(values) // 3
    if third == 0:
        return True
    earlier, later = statistics.median(values[third:2 * third]), statistics.median(values[2 * third:])
    holds = later <= earlier * (1 + share) + slack
    print(f"{name}: {earlier:.2f} {unit} in the second third, {later:.2f} {unit} in the last: "
          f"{'flat' if holds else 'GROWS'}")
    return holds


def soak(server, options):
    baseline, samples, info = server.descriptors(), [], server.figures()
    kinds = [write] * WRITERS + [reconnect] * 3 + [subscribe] * 3 + [wait] * 3 + [administer]
    assert len(kinds) == CLIENTS
    workers = [multiprocessing.Process(target=work, args=(kind, server.port, seed)) for seed, kind in enumerate(kinds)]
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---:" * len(COLUMNS) + "|", flush=True)
    begin = time.monotonic()
    alive = True
    try:
        for worker in workers:
            worker.start()
        while alive and time.monotonic() - begin < options.seconds:
            since = time.monotonic()
            left = options.seconds - (since - begin)
            with contextlib.nullcontext() if options.under else Prober(server, "GET", "s:1") as prober:
                time.sleep(min(options.interval, max(left, 1)))
                alive = all(worker.is_alive() for worker in workers) and server.process.poll() is None
            now = time.monotonic()
            found, info = sample(server, (now - begin) / 60, info, now - since, prober.report if prober else {})
            samples.append(found)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
    return alive, baseline, samples


def verdict(server, alive, baseline, samples, options):
    good = alive
    if not alive:
        print("a client was told what it cannot have been told, or the server is gone: see above")
    good &= flat("resident memory", [it["rss"] for it in samples], GROWTH_SHARE_MAX, GROWTH_MB_MAX, "MB")
    if not options.under:
        good &= flat("99th percentile", [it["p99"] for it in samples], TREND_SHARE_MAX, TREND_MS_MAX, "ms")
    # A child may still write, and connections that were reset are noticed in their turn.
    until = time.monotonic() + 60
    while baseline < server.descriptors() and time.monotonic() < until:
        time.sleep(0.1)
    left = server.descriptors()
    print(f"descriptors: {baseline} before the load, {left} after it: {'flat' if left <= baseline else 'GROWS'}")
    server.client.ask(b"FLUSHALL")
    time.sleep(1)
    used = int(server.figures()["used_memory"]) / (1 << 20)
    print(f"memory in use after FLUSHALL: {used:.1f} MB")
    return good and left <= baseline


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="target/release/kvick")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--interval", type=float, default=30)
    parser.add_argument("--under", default="", help="a program that runs the server, with its options")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Soaked(options) as server:
        good = verdict(server, *soak(server, options), options)
        good &= server.ends_well()
    print("verdict: " + ("nothing creeps up" if good else "SOMETHING IS WRONG"))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
