"""What compare_data.py and compare_tails.py share: servers in turns, the prober beside them, and the table of ratios.

Everything here runs on the client's core, which it inherits from the shell script that starts it; only a server is
moved, to core 0. Whatever a run starts and writes is a context manager, so that a failure or a signal leaves nothing.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SERVER_CORE = "0"
KEY = b"key:%012d"
VALUE = b"x" * 32
START_SECONDS_MAX = 300
STOP_SECONDS_MAX = 60
PROBE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare_probe.py")


def request(*arguments):
    """One command as the protocol has it."""
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in arguments)


class Client:
    """A connection that waits for each reply. Replies are bytes, integers or None; an error ends the run."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.socket.makefile("rb", 1 << 16)

    def ask(self, *arguments):
        self.socket.sendall(request(*arguments))
        return self.reply()

    def reply(self):
        line = self.input.readline()
        kind, text = line[:1], line[1:-2]
        if kind == b"$":
            return None if text == b"-1" else self.input.read(int(text) + 2)[:-2]
        if kind == b":":
            return int(text)
        if kind == b"+":
            return text
        raise RuntimeError(f"the server said {line!r}")

    def info(self, section):
        lines = self.ask(b"INFO", section).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self):
        self.input.close()
        self.socket.close()


class Server:
    """A server on core 0, on a port that was free, with its files in a directory of its own."""

    def __init__(self, path, *options):
        self.directory = tempfile.mkdtemp(prefix="compare-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = ["taskset", "-c", SERVER_CORE, path, "--port", str(self.port), "--bind", "127.0.0.1",
                        "--dir", self.directory, "--save", "", *options]
        self.process = self.client = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        """Returns the seconds from the start of the program until it answers PING with PONG."""
        with open(os.path.join(self.directory, "log"), "ab") as log:
            begin = time.perf_counter()
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not self.answers():
            if self.process.poll() is not None or START_SECONDS_MAX < time.perf_counter() - begin:
                with open(log.name, "rb") as log:
                    tail = log.read()[-1000:].decode(errors="replace")
                raise RuntimeError(f"{' '.join(self.command)} does not start: {tail}")
            time.sleep(0.002)
        return time.perf_counter() - begin

    def answers(self):
        try:
            self.client = Client(self.port)
        except OSError:
            return False
        with contextlib.suppress(OSError, RuntimeError):
            # While it loads, it says so with an error, which is not the answer waited for.
            if self.client.ask(b"PING") == b"PONG":
                return True
        self.client.close()
        return False

    def stop(self):
        """Ends the program as an operator does, with its log on disk."""
        self.client.close()
        self.process.terminate()
        self.process.wait(STOP_SECONDS_MAX)
        self.process = None

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

    def pipe(self, path):
        """Seconds that `redis-cli --pipe` takes for a file of requests."""
        with open(path, "rb") as requests:
            begin = time.perf_counter()
            done = subprocess.run(["redis-cli", "-p", str(self.port), "--pipe"], stdin=requests,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if b"errors: 0" not in done.stdout:
            raise RuntimeError(f"redis-cli --pipe said {done.stdout!r}")
        return time.perf_counter() - begin


class Prober:
    """The process that sends a command every half millisecond. What it saw is in `report` after the block."""

    realtime, late_ms = True, 0.0

    def __init__(self, server, *arguments):
        self.command = [sys.executable, PROBE, str(server.port), *arguments]
        self.report = {}

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.process.wait()
            raise RuntimeError("the prober does not start")
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.kill()
            self.process.communicate()
            return
        self.process.terminate()
        self.report = json.loads(self.process.communicate()[0])
        Prober.realtime = Prober.realtime and self.report["realtime"]
        Prober.late_ms = max(Prober.late_ms, self.report["late_ms"])


def describe_prober():
    """What the reader of a table has to know about its latencies."""
    how = "with real-time priority" if Prober.realtime else "WITHOUT real-time priority, which was not permitted"
    return (f"Latencies are of a process of its own on the client's core, {how}, one request about every 0.5 ms; "
            f"its sleep was late by {Prober.late_ms:.2f} ms at most.")


class Results:
    """Values by row and server, one a round. The first server is ours; the others are its peers."""

    def __init__(self, names, rows):
        """`rows`: key, name, digits behind the point, and whether less or more is better."""
        self.names, self.rows = names, rows
        self.values = {}

    def add(self, server, **values):
        for row, value in values.items():
            self.values.setdefault((row, server), []).append(value)

    def table(self, title):
        yield "| " + " | ".join([title, *self.names, f"{self.names[0]} : best peer"]) + " |"
        yield "|---" + "|---:" * (len(self.names) + 1) + "|"
        for row, name, digits, better in self.rows:
            if (row, self.names[0]) in self.values:
                own, *peers = [statistics.median(self.values[row, server]) for server in self.names]
                best = (min if better == "less" else max)(peers, default=0)
                cells = [f"{own:.{digits}f}", *(f"{ratio(own, peer)} ({peer:.{digits}f})" for peer in peers)]
                yield "| " + " | ".join([f"{name} ({better} is better)", *cells, ratio(own, best)]) + " |"


def ratio(own, peer):
    return f"{own / peer:.2f}" if 0 < peer and 0 <= own else "-"


def options_of(description):
    """The options that both scripts take, with `servers` as a list of name and path, ours first."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="all numbers of keys times this, for a trial")
    parser.add_argument("--only", default="", help="only rows whose names contain one of these, with commas between")
    parser.add_argument("servers", nargs="+", metavar="NAME=PATH", help="ours first")
    options = parser.parse_args()
    options.servers = [tuple(server.split("=", 1)) for server in options.servers]
    # Signals unwind the stack, so that servers and files are removed by their blocks.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    return options


def wanted(options, name):
    return any(part in name for part in options.only.split(","))


def say(text):
    print(text, file=sys.stderr, flush=True)
