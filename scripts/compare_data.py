#!/usr/bin/env python3
"""Five million keys beside other servers: memory, rewrite, load, expiry and fill. Called by compare.sh --big.

    scripts/compare_data.py [--rounds 3] [--scale 1.0] [--only PART,PART] kvick=PATH NAME=PATH...

One run of a server, with 16-byte keys, 32-byte values and a log that is synced every second: it is filled by
`redis-cli --pipe`, rewrites its log, is stopped and started again, sees 1,000,000 more keys fall due at one instant,
and has nine of every ten keys deleted. A prober asks for a key all the while. --only chooses what is printed.
"""

import os
import sys
import tempfile
import time

from compare_common import KEY, VALUE, Prober, Results, Server, describe_prober, options_of, request, say, wanted

KEYS = 5_000_000
DUE = 1_000_000
LOG = ("--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
PROBE = ("GET", "key:000000000001")
# How fast keys that will be due are taken at least: they have to be there before their time.
DUE_KEYS_A_SECOND_MIN = 100_000
SETTLE_SECONDS = 1.5
GIVE_BACK_SECONDS = 3


def rows(keys, due):
    return [
        ("bytes_per_key", f"resident bytes per key, {keys:,} keys", 1, "less"),
        ("rewrite_s", "rewrite, s", 2, "less"),
        ("rewrite_ms", "worst GET during a rewrite, ms", 2, "less"),
        ("load_s", "load on restart, s", 2, "less"),
        ("due_s", f"{due:,} keys due at one instant: 99 % gone after, s", 2, "less"),
        ("due_ms", "worst GET while they go, ms", 2, "less"),
        ("fill_k", "fill by redis-cli --pipe, thousand keys a second", 0, "more"),
        ("fill_ms", "worst GET during the fill, ms", 2, "less"),
        ("deleted_mib", f"resident MiB {GIVE_BACK_SECONDS} s after 90 % of the keys were deleted", 0, "less"),
        ("deleted_share", "of what was resident before, given back, %", 1, "more"),
    ]


def write_requests(path, requests):
    with open(path, "wb", 1 << 20) as file:
        file.writelines(requests)


def fill(server, keys, path):
    empty = server.resident_bytes()
    with Prober(server, *PROBE) as prober:
        seconds = server.pipe(path)
    if server.client.ask(b"DBSIZE") != keys:
        raise RuntimeError("the fill left keys out")
    # What waits to be written to the log is not the keys' memory.
    time.sleep(SETTLE_SECONDS)
    return {
        "fill_k": keys / seconds / 1000,
        "fill_ms": prober.report["max_ms"],
        "bytes_per_key": (server.resident_bytes() - empty) / keys,
    }


def rewrite(server):
    with Prober(server, *PROBE) as prober:
        begin = time.perf_counter()
        server.client.ask(b"BGREWRITEAOF")
        while rewriting(server.client.info(b"persistence")):
            time.sleep(0.01)
        seconds = time.perf_counter() - begin
    if server.client.info(b"persistence")["aof_last_bgrewrite_status"] != "ok":
        raise RuntimeError("the rewrite failed")
    return {"rewrite_s": seconds, "rewrite_ms": prober.report["max_ms"]}


def rewriting(info):
    return "1" in (info["aof_rewrite_in_progress"], info["aof_rewrite_scheduled"])


def load(server, keys):
    server.stop()
    seconds = server.start()
    if server.client.ask(b"DBSIZE") != keys:
        raise RuntimeError("the restart lost keys")
    return {"load_s": seconds}


def fall_due(server, keys, due, path):
    at = time.time() + 2 + 2 * due / DUE_KEYS_A_SECOND_MIN
    at_ms = b"%d" % (at * 1000)
    write_requests(path, (request(b"SET", b"due:%012d" % number, b"x", b"PXAT", at_ms) for number in range(due)))
    server.pipe(path)
    if at - 0.5 < time.time():
        raise RuntimeError("keys were due before they were all there")
    time.sleep(at - 0.2 - time.time())
    with Prober(server, *PROBE) as prober:
        while keys + due // 100 < server.client.ask(b"DBSIZE"):
            time.sleep(0.005)
        seconds = time.time() - at
    return {"due_s": seconds, "due_ms": prober.report["max_ms"]}


def delete(server, keys, empty, path):
    before = server.resident_bytes()
    server.pipe(path)
    if keys // 10 < server.client.ask(b"DBSIZE"):
        raise RuntimeError("keys are left that were deleted")
    time.sleep(GIVE_BACK_SECONDS)
    after = server.resident_bytes()
    return {"deleted_mib": after / (1 << 20), "deleted_share": 100 * (before - after) / (before - empty)}


def run(path, keys, due, files):
    """One round of one server."""
    values = {}
    with Server(path, *LOG) as server:
        empty = server.resident_bytes()
        values |= fill(server, keys, files["fill"])
        values |= rewrite(server)
        values |= load(server, keys)
        values |= fall_due(server, keys, due, files["due"])
        values |= delete(server, keys, empty, files["delete"])
    return values


def main():
    options = options_of(__doc__)
    keys, due = (max(1000, int(count * options.scale) // 100 * 100) for count in (KEYS, DUE))
    chosen = [row for row in rows(keys, due) if wanted(options, row[1])]
    if not chosen:
        return
    results = Results([name for name, _ in options.servers], chosen)
    with tempfile.TemporaryDirectory(prefix="compare-") as directory:
        files = {name: os.path.join(directory, name) for name in ("fill", "due", "delete")}
        write_requests(files["fill"], (request(b"SET", KEY % number, VALUE) for number in range(keys)))
        # Every tenth key stays: what is left lies among what went, which is the hard case for an allocator.
        write_requests(files["delete"], (request(b"UNLINK", *(KEY % number for number in range(ten + 1, ten + 10)))
                                         for ten in range(0, keys, 10)))
        for number in range(options.rounds):
            for name, path in options.servers:
                say(f"data, round {number + 1} of {options.rounds}: {name}")
                results.add(name, **run(path, keys, due, files))
    print("\n".join(results.table(f"data, log synced every second, median of {options.rounds} rounds")))
    print(f"\n{describe_prober()}")


if __name__ == "__main__":
    sys.exit(main())
