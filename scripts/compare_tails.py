#!/usr/bin/env python3
"""How long one client waits while others ask for much, beside other servers. Called by compare.sh --tails.

    scripts/compare_tails.py [--rounds 3] [--scale 1.0] [--only PART,PART] kvick=PATH NAME=PATH...

Each row group is a test of its own with a fresh server; --only leaves tests out.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time

from compare_common import (KEY, VALUE, Client, Prober, Results, Server, describe_prober, options_of, request, say,
                            wanted)

READERS, WRITERS = 50, 8
READS = 300_000
READ_KEYS = 100_000
BIG_BYTES = 10_000_000
BIG_READS_A_SECOND = 10
BIG_SECONDS = 10
PIPELINE = 1_000_000
FLUSHED_KEYS = 2_000_000
LIST_ELEMENTS = 2_000_000
IDLE_SECONDS = 3
# How long the prober goes on after what it waited for is answered: a server may do the work after the answer.
AFTER_SECONDS = 1.0

NO_LOG = ("--appendonly", "no")


def count(options, number):
    return max(1000, int(number * options.scale) // 100 * 100)


def seconds(options, number):
    return number * min(1.0, max(options.scale, 0.1))


def send(server, requests, replies_bytes):
    """Sends requests as fast as the server takes them, reading replies meanwhile, so many bytes of them."""
    client = Client(server.port)
    failed = []

    def receive():
        buffer, left = bytearray(1 << 20), replies_bytes
        while 0 < left:
            got = client.socket.recv_into(buffer, min(left, len(buffer)))
            if got == 0 or left == replies_bytes and buffer[:1] == b"-":
                failed.append(bytes(buffer[:100]))
                client.socket.close()
                return
            left -= got

    receiver = threading.Thread(target=receive)
    receiver.start()
    with contextlib.suppress(OSError):
        client.socket.sendall(requests)
    receiver.join()
    client.close()
    if failed:
        raise RuntimeError(f"the server said {failed[0]!r}")


def set_keys(keys):
    return b"".join(request(b"SET", KEY % number, VALUE) for number in range(keys))


@contextlib.contextmanager
def writers(server):
    """Clients that set keys without end, each one at a time."""
    command = ["redis-benchmark", "-p", str(server.port), "-c", str(WRITERS), "-n", "1000000000", "-r", str(READ_KEYS),
               "-q", "SET", "key:__rand_int__", VALUE.decode()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # They are at work when the server has counted some of their commands.
        done = int(server.client.info(b"stats")["total_commands_processed"])
        while int(server.client.info(b"stats")["total_commands_processed"]) < done + 100:
            if process.poll() is not None:
                raise RuntimeError("the writers stopped")
            time.sleep(0.01)
        yield
        if process.poll() is not None:
            raise RuntimeError("the writers stopped")
    finally:
        process.kill()
        process.wait()


def reads_a_second(path, reads, log):
    with Server(path, *log) as server:
        send(server, set_keys(READ_KEYS), READ_KEYS * len(b"+OK\r\n"))
        with writers(server):
            command = ["redis-benchmark", "-p", str(server.port), "-c", str(READERS), "-n", str(reads),
                       "-r", str(READ_KEYS), "--csv", "GET", "key:__rand_int__"]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("\n")
    return float(lines[-1].split(",")[1].strip('"'))


def read_beside_synced_writes(path, options):
    reads = count(options, READS)
    without = reads_a_second(path, reads, NO_LOG)
    beside = reads_a_second(path, reads, ("--appendonly", "yes", "--appendfsync", "always"))
    return {"always_rate": beside / 1000, "always_without": without / 1000, "always_share": beside / without}


def read_beside_big_reads(path, options):
    reply = bytearray(len(b"$%d\r\n\r\n" % BIG_BYTES) + BIG_BYTES)
    with Server(path, *NO_LOG) as server:
        server.client.ask(b"SET", b"big", b"x" * BIG_BYTES)
        server.client.ask(b"SET", b"small", b"x" * 1024)
        reader = Client(server.port)
        with Prober(server, "GET", "small") as prober:
            begin = time.perf_counter()
            for number in range(int(seconds(options, BIG_SECONDS) * BIG_READS_A_SECOND)):
                time.sleep(max(0.0, begin + number / BIG_READS_A_SECOND - time.perf_counter()))
                reader.socket.sendall(request(b"GET", b"big"))
                left = memoryview(reply)
                while left:
                    left = left[reader.socket.recv_into(left):]
        reader.close()
    return {"big_p999": prober.report["p999_ms"], "big_max": prober.report["max_ms"]}


def ping_alone(path, options):
    """What the machine itself does to one client: no number below is of the server alone that is not above these."""
    with Server(path, *NO_LOG) as server, Prober(server, "PING") as prober:
        time.sleep(seconds(options, IDLE_SECONDS))
    return {"alone_p999": prober.report["p999_ms"], "alone_max": prober.report["max_ms"]}


def ping_beside_pipeline(path, options):
    """Half of the pipeline are SETs, each followed by a GET of what it set."""
    pairs = count(options, PIPELINE) // 2
    requests = b"".join(request(b"SET", KEY % number, VALUE) + request(b"GET", KEY % number) for number in range(pairs))
    replies_bytes = pairs * (len(b"+OK\r\n") + len(b"$32\r\n") + len(VALUE) + 2)
    with Server(path, *NO_LOG) as server:
        with Prober(server, "PING") as prober:
            send(server, requests, replies_bytes)
    return {"pipeline_max": prober.report["max_ms"]}


def ping_beside_command(server, *command):
    with Prober(server, "PING") as prober:
        time.sleep(0.1)
        server.client.ask(*command)
        time.sleep(AFTER_SECONDS)
    return prober.report["max_ms"]


def ping_beside_flushall(path, options):
    keys = count(options, FLUSHED_KEYS)
    with Server(path, *NO_LOG) as server, tempfile.TemporaryDirectory(prefix="compare-") as directory:
        file = os.path.join(directory, "fill")
        with open(file, "wb", 1 << 20) as out:
            out.writelines(request(b"SET", KEY % number, VALUE) for number in range(keys))
        server.pipe(file)
        if server.client.ask(b"DBSIZE") != keys:
            raise RuntimeError("the fill left keys out")
        return {"flushall_max": ping_beside_command(server, b"FLUSHALL")}


def ping_beside_del(path, options):
    elements = count(options, LIST_ELEMENTS)
    with Server(path, *NO_LOG) as server:
        hundred = [VALUE] * 100
        for _ in range(elements // 100):
            server.client.ask(b"RPUSH", b"list", *hundred)
        if server.client.ask(b"LLEN", b"list") != elements:
            raise RuntimeError("the list lacks elements")
        return {"del_max": ping_beside_command(server, b"DEL", b"list")}


def tests(options):
    """The tests in the order of their rows: what runs, and the rows that it gives."""
    return [
        (read_beside_synced_writes, [
            ("always_rate", f"appendfsync always, {READERS} readers beside {WRITERS} writers: thousand reads a second",
             1, "more"),
            ("always_without", "appendonly no, the same clients: thousand reads a second", 1, "more"),
            ("always_share", "reads with always as a share of those without a log", 2, "more"),
        ]),
        (ping_alone, [
            ("alone_p999", "PING beside nothing at all: p99.9, ms", 2, "less"),
            ("alone_max", "PING beside nothing at all: max, ms", 2, "less"),
        ]),
        (read_beside_big_reads, [
            ("big_p999", "1 KB reads beside ten 10 MB reads a second: p99.9, ms", 2, "less"),
            ("big_max", "1 KB reads beside ten 10 MB reads a second: max, ms", 2, "less"),
        ]),
        (ping_beside_pipeline, [
            ("pipeline_max", f"PING beside a pipeline of {count(options, PIPELINE):,}: max, ms", 2, "less"),
        ]),
        (ping_beside_flushall, [
            ("flushall_max", f"PING during FLUSHALL of {count(options, FLUSHED_KEYS):,} keys: max, ms", 2, "less"),
        ]),
        (ping_beside_del, [
            ("del_max", f"PING during DEL of a list of {count(options, LIST_ELEMENTS):,}: max, ms", 2, "less"),
        ]),
    ]


def main():
    options = options_of(__doc__)
    chosen = [(test, rows) for test, rows in tests(options) if any(wanted(options, row[1]) for row in rows)]
    if not chosen:
        return
    results = Results([name for name, _ in options.servers], [row for _, rows in chosen for row in rows])
    for number in range(options.rounds):
        for name, path in options.servers:
            say(f"tails, round {number + 1} of {options.rounds}: {name}")
            for test, _ in chosen:
                results.add(name, **test(path, options))
    print("\n".join(results.table(f"tails, median of {options.rounds} rounds")))
    print(f"\n{describe_prober()}")


if __name__ == "__main__":
    sys.exit(main())
