#!/usr/bin/env python3
"""Measures how long a server lets one client wait: a process of its own, started by the other compare scripts.

    compare_probe.py PORT COMMAND [ARGUMENT...]

It sends the command over one connection about every half millisecond, one at a time, until SIGTERM, and then prints
one line of JSON: how many probes, percentiles and maximum in milliseconds, whether it ran with real-time priority, and
by how much its own sleep was late at worst. With real-time priority it runs at once whatever else its core does, so
that what it measures is the server and not its own turn on the core; lateness of the sleep shows how far that holds.
"""

import gc
import json
import os
import signal
import socket
import sys
import time

PAUSE_SECONDS = 0.0005
PRIORITY = 50

stopped = False


def stop(*_):
    global stopped
    stopped = True


def with_realtime_priority():
    """Whether the machine lets us have it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        return True
    except PermissionError:
        return False


def receive_reply(connection):
    """Reads one reply whole: a line, and what follows it if the line announces a bulk string."""
    reply = connection.recv(65536)
    while reply and b"\r\n" not in reply:
        reply += connection.recv(65536)
    if not reply or reply[:1] == b"-":
        raise SystemExit(f"the probe was told: {reply!r}")
    if reply[:1] == b"$" and reply[:2] != b"$-":
        line, rest = reply.split(b"\r\n", 1)
        left = int(line[1:]) + 2 - len(rest)
        while 0 < left:
            left -= len(connection.recv(left))


def percentile(ordered, share):
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1e6


def main():
    port, arguments = int(sys.argv[1]), [argument.encode() for argument in sys.argv[2:]]
    signal.signal(signal.SIGTERM, stop)
    request = b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in arguments)
    gc.disable()
    realtime = with_realtime_priority()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # The first reply is not counted: it waits for the connection to be accepted.
    connection.sendall(request)
    receive_reply(connection)
    print("ready", flush=True)
    waits, latest = [], 0
    while not stopped:
        begin = time.perf_counter_ns()
        connection.sendall(request)
        receive_reply(connection)
        end = time.perf_counter_ns()
        waits.append(end - begin)
        time.sleep(PAUSE_SECONDS)
        if not stopped:
            latest = max(latest, time.perf_counter_ns() - end - int(PAUSE_SECONDS * 1e9))
    waits.sort()
    print(json.dumps({
        "count": len(waits),
        "p50_ms": percentile(waits, 0.5),
        "p99_ms": percentile(waits, 0.99),
        "p999_ms": percentile(waits, 0.999),
        "max_ms": waits[-1] / 1e6,
        "realtime": realtime,
        "late_ms": latest / 1e6,
    }))


if __name__ == "__main__":
    main()
