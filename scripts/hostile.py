#!/usr/bin/env python3
"""Hostile clients against a server of our own, and one good client that must not feel them.

The hostile ones announce arguments that never come, ask for large replies and never read them, type a line without an
end, queue commands without ever running them, and flood the server without the password. They come back when they are
thrown out. Meanwhile a good client sends PING after PING, and the resident memory of the server is watched.

    scripts/hostile.py [--server target/release/kvick] [--clients 1000] [--seconds 20] [--turns]

Prints a table and fails if memory grows beyond what the configuration allows clients together (and some slack), if the
99th percentile of PING is 5 ms or more, if a key was evicted, or if the good client was ever refused. So that what is
measured is the server and not the scheduler of a small machine, the server goes first on the first core, the attackers
run at the lowest priority on the others, and the good client goes before them (in real time, where that is allowed).
How long the server had to wait for its core all the same is in the table. With --turns it also says where the time of
the server's turns went.
"""

import argparse
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

PASSWORD = "secret"
CLIENTS_MB = 64
SLACK_MB = 64
P99_MS_MAX = 5.0
MEGABYTE = 1 << 20
ATTACKERS = 2

SETTINGS = {
    "requirepass": PASSWORD,
    "save": "",
    "appendonly": "no",
    "maxmemory": f"{256 * MEGABYTE}",
    "maxmemory-policy": "allkeys-lru",
    "maxmemory-clients": f"{CLIENTS_MB * MEGABYTE}",
    "client-query-buffer-limit": f"{2 * MEGABYTE}",
    "client-output-buffer-limit": "normal 8388608 4194304 2",
    "loglevel": "warning",
}

LOGIN = b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"
GET = b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n"


def announce(turn):
    """Many arguments, the first of them huge, that come a few bytes at a time."""
    return LOGIN + b"*1000000\r\n$500000000\r\n" if turn == 0 else b"x" * 4096


def greedy(turn):
    """Replies of a megabyte, never read."""
    return LOGIN + GET * 50 if turn == 0 else GET * 10


def endless(turn):
    """A line that never ends."""
    return LOGIN if turn == 0 else b"a" * 16384


def queueing(turn):
    """A transaction that never runs."""
    queued = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4096\r\n" + b"v" * 4096 + b"\r\n"
    return LOGIN + b"*1\r\n$5\r\nMULTI\r\n" if turn == 0 else queued * 4


def stranger(turn):
    """Guesses and commands without the password, replies never read."""
    return b"AUTH wrong\r\nGET big\r\nPING\r\n" * 200


KINDS = [announce, greedy, endless, queueing, stranger]


class Hostile:
    def __init__(self, port, kind):
        self.port, self.kind, self.socket = port, kind, None

    def connect(self):
        self.socket = socket.socket()
        # What the kernel keeps for it is not what is looked at.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", self.port))
        self.socket.setblocking(False)
        self.turn, self.left = 0, b""

    def step(self):
        """Sends as much as goes. Returns whether it was thrown out."""
        try:
            if self.socket is None:
                self.connect()
            if not self.left:
                self.left = self.kind(self.turn)
                self.turn += 1
            self.left = self.left[self.socket.send(self.left):]
        except BlockingIOError:
            pass
        except OSError:
            if self.socket is not None:
                self.socket.close()
            self.socket = None
            return True
        return False


def attack(port, count, until, thrown_out):
    os.nice(19)
    clients = [Hostile(port, KINDS[number % len(KINDS)]) for number in range(count)]
    random.shuffle(clients)
    while time.time() < until:
        for client in clients:
            if client.step():
                with thrown_out.get_lock():
                    thrown_out.value += 1
            if until < time.time():
                return
        time.sleep(0.005)


def cores():
    """The server's core and everybody else's; all of them where there is but one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def good(port, until, results):
    """Sends PING after PING; puts the times in milliseconds."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        print("the good client could not be given priority: its times hold its own waits for a processor")
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(LOGIN)
    assert client.recv(100) == b"+OK\r\n"
    times = []
    while time.time() < until:
        before = time.perf_counter()
        client.sendall(b"PING\r\n")
        reply = client.recv(100)
        times.append((time.perf_counter() - before) * 1000)
        if reply != b"+PONG\r\n":
            raise SystemExit(f"the good client heard {reply!r}")
        time.sleep(0.001)
    results.put(times)


def ask(port, *words):
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(LOGIN + b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words]))
    client.shutdown(socket.SHUT_WR)
    received = b""
    while chunk := client.recv(1 << 16):
        received += chunk
    return received.removeprefix(b"+OK\r\n").decode(errors="replace")


def figure(port, section, name):
    for line in ask(port, b"INFO", section.encode()).splitlines():
        if line.startswith(name + ":"):
            return int(line.split(":")[1])
    raise SystemExit(f"INFO has no {name}")


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def prefer(pid):
    """Gives a server the first core, and as far as that is allowed before whatever else runs there."""
    os.sched_setaffinity(pid, cores()[0])
    try:
        os.setpriority(os.PRIO_PROCESS, pid, -20)
        # Where sessions are scheduled as groups, only the group's place counts.
        if os.path.exists(f"/proc/{pid}/autogroup"):
            with open(f"/proc/{pid}/autogroup", "w") as group:
                group.write("-20")
    except OSError:
        print("the server could not be given priority: times hold its waits for a processor")


def waited_ms(pid):
    """How long the server waited for a processor so far: other processes' doing."""
    with open(f"/proc/{pid}/task/{pid}/schedstat") as times:
        return int(times.read().split()[1]) / 1e6


def start(binary, folder):
    for _ in range(20):
        port = random.randrange(20000, 30000)
        settings = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *settings]
        server = subprocess.Popen(command, stdout=open(f"{folder}/log", "w"), stderr=subprocess.STDOUT, start_new_session=True)
        prefer(server.pid)
        deadline = time.time() + 10
        while server.poll() is None and time.time() < deadline:
            try:
                if ask(port, b"PING") == "+PONG\r\n":
                    return server, port
            except OSError:
                time.sleep(0.02)
        server.kill()
    raise SystemExit(open(f"{folder}/log").read()[-500:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="target/release/kvick")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--turns", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server, port = start(os.path.abspath(options.server), folder)
        try:
            os.sched_setaffinity(0, cores()[1])
            failed = run(options, server.pid, port)
        finally:
            server.kill()
            server.wait()
    sys.exit(failed)


def run(options, pid, port):
    for number in range(20):
        ask(port, b"SET", b"key:%d" % number, b"v" * 1000)
    ask(port, b"SET", b"big", b"x" * MEGABYTE)
    before_mb, waited_before_ms = resident_mb(pid), waited_ms(pid)
    until = time.time() + options.seconds
    thrown_out, results = multiprocessing.Value("l", 0), multiprocessing.Queue()
    share = options.clients // ATTACKERS
    attackers = [
        multiprocessing.Process(target=attack, args=(port, share, until, thrown_out)) for _ in range(ATTACKERS)
    ]
    friend = multiprocessing.Process(target=good, args=(port, until, results))
    for process in [friend, *attackers]:
        process.start()
    peak_mb = before_mb
    while time.time() < until and friend.is_alive():
        peak_mb = max(peak_mb, resident_mb(pid))
        time.sleep(0.05)
    times = sorted(results.get(timeout=20))
    for process in [friend, *attackers]:
        process.join()
    waited = waited_ms(pid) - waited_before_ms
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    grown_mb = peak_mb - before_mb
    evicted = figure(port, "stats", "evicted_keys")
    cut_off = {
        name: figure(port, "stats", name)
        for name in (
            "evicted_clients",
            "client_query_buffer_limit_disconnections",
            "client_output_buffer_limit_disconnections",
            "total_connections_received",
        )
    }
    rows = [
        ("hostile clients", options.clients, ""),
        ("PINGs of the good client", len(times), ""),
        ("PING p50, ms", f"{p50:.2f}", ""),
        ("PING p99, ms", f"{p99:.2f}", f"under {P99_MS_MAX:g}"),
        ("PING worst, ms", f"{times[-1]:.2f}", ""),
        ("mean turn of the loop, us", figure(port, "stats", "eventloop_duration_sum") // figure(port, "stats", "eventloop_cycles"), ""),
        ("the server waited for a processor, ms", f"{waited:.0f}", ""),
        ("resident memory grew by, MB", f"{grown_mb:.1f}", f"at most {CLIENTS_MB} + {SLACK_MB}"),
        ("keys evicted", evicted, "0"),
        ("hostile clients thrown out", thrown_out.value, ""),
        *((name, value, "") for name, value in cut_off.items()),
    ]
    for name, value, bound in rows:
        print(f"{name:44} {value!s:>12}   {bound}")
    if options.turns:
        print(ask(port, b"INFO", b"turns"))
    good_enough = p99 < P99_MS_MAX and grown_mb <= CLIENTS_MB + SLACK_MB and evicted == 0
    return 0 if good_enough else 1


if __name__ == "__main__":
    main()
