#!/usr/bin/env python3
"""Hit rates under maxmemory, beside Redis: run by hand.

A cache in front of something slow: keys are asked for as a zipfian law has it, and whoever misses sets the key. The
limit is a tenth of what all keys together take in Redis, the same for both servers. For LRU and LFU it prints hit
rate (second half of the requests, when the cache is warm), keys held, and bytes per key.

    scripts/hitrate.py [--kvick target/release/kvick] [--redis redis-server] [--keys 300000] [--requests 1500000]
                       [--rate 30000] [--same-keys]

Requests come at a steady rate, since both servers note the use of keys by the second: the faster they come, the more
keys were used in the same one, and at full speed that would blur which keys are old.

With --same-keys each server's limit is such that it holds as many keys as a tenth: what the choice of keys alone is
worth, without that of a smaller entry.
"""

import argparse
import bisect
import itertools
import random
import socket
import subprocess
import tempfile
import time

BATCH = 200
VALUE = b"v" * 100


class Server:
    """A server on a port that was free, in a directory of its own."""

    def __init__(self, command, maxmemory, policy):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.directory = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [command, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", self.directory.name,
             "--maxmemory", str(maxmemory), "--maxmemory-policy", policy],
            stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except ConnectionRefusedError:
                if deadline < time.monotonic():
                    raise
        self.input = self.socket.makefile("rb", 1 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.directory.cleanup()

    def send(self, commands):
        self.socket.sendall(b"".join(
            b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args)
            for args in commands))

    def reply(self):
        line = self.input.readline()
        if line[:1] == b"$":
            length = int(line[1:])
            return None if length < 0 else self.input.read(length + 2)[:-2]
        if line[:1] == b"-":
            raise SystemExit(line.decode())
        return line[1:-2]

    def ask(self, *commands):
        self.send(commands)
        return [self.reply() for _ in commands]

    def info(self, field):
        text = self.ask((b"INFO", b"everything"))[0].decode()
        return int(dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)[field])

    def held(self):
        return int(self.ask((b"DBSIZE",))[0])


def name(number):
    return b"key:%012d" % number


def fill(server, keys):
    for start in range(0, keys, 1000):
        server.ask(*[(b"SET", name(number), VALUE) for number in range(start, min(start + 1000, keys))])


def bytes_for(command, keys):
    """What so many keys take, and what an empty server takes."""
    with Server(command, 0, "noeviction") as server:
        empty = server.info("used_memory")
        fill(server, keys)
        return server.info("used_memory"), empty


def zipfian(keys, exponent, seed):
    """Numbers below `keys`, the smaller the more often, under names in an order of chance."""
    draw = random.Random(seed)
    names = list(range(keys))
    draw.shuffle(names)
    law = list(itertools.accumulate(1 / rank ** exponent for rank in range(1, keys + 1)))
    while True:
        yield names[min(bisect.bisect_left(law, draw.random() * law[-1]), keys - 1)]


def hit_rate(server, options):
    numbers = zipfian(options.keys, options.exponent, options.seed)
    hits = asked = 0
    begin = time.monotonic()
    for start in range(0, options.requests, BATCH):
        time.sleep(max(0, begin + start / options.rate - time.monotonic()))
        names = [name(number) for number in itertools.islice(numbers, BATCH)]
        found = server.ask(*[(b"GET", key) for key in names])
        # Each name once: who waits for the slow source waits together.
        missed = {key for key, value in zip(names, found) if value is None}
        if missed:
            server.ask(*[(b"SET", key, VALUE) for key in sorted(missed)])
        if options.requests // 2 <= start:
            hits += len(names) - sum(value is None for value in found)
            asked += len(names)
    return 100 * hits / asked


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kvick", default="target/release/kvick")
    options.add_argument("--redis", default="redis-server")
    options.add_argument("--keys", type=int, default=300_000)
    options.add_argument("--requests", type=int, default=1_500_000)
    options.add_argument("--rate", type=float, default=30_000)
    options.add_argument("--exponent", type=float, default=0.99)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--policies", default="allkeys-lru,allkeys-lfu")
    options.add_argument("--same-keys", action="store_true")
    options = options.parse_args()
    servers = {"redis": options.redis, "kvick": options.kvick}
    tenth = options.keys // 10
    limits = {}
    for label, command in servers.items():
        if options.same_keys:
            limits[label] = bytes_for(command, tenth)[0]
        else:
            full, empty = bytes_for(options.redis, options.keys)
            limits[label] = empty + (full - empty) // 10
    print(f"{options.keys} keys, {options.requests} requests, exponent {options.exponent}, limits {limits}")
    for policy in options.policies.split(","):
        rates = {}
        for label, command in servers.items():
            with Server(command, limits[label], policy) as server:
                start = time.monotonic()
                rates[label] = hit_rate(server, options)
                held, used = server.held(), server.info("used_memory")
                print(f"{policy:12} {label:6} {rates[label]:6.2f} %  {held:7} keys  {used:10} bytes used  "
                      f"{server.info('evicted_keys'):8} evicted  {time.monotonic() - start:5.0f} s", flush=True)
        print(f"{policy:12} difference {rates['kvick'] - rates['redis']:+.2f} points", flush=True)


if __name__ == "__main__":
    main()
