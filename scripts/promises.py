"""The table of promises.sh: what became of acknowledged writes, by policy and by what was done to the server.

Every writer pushes its numbers to a list of its own, so that afterwards one look says how many are there and whether
they are the first ones. A log that is cut or altered holds keys that were set one after the other: what a server makes
of it must be the first so many of them, and nothing else.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from compare_common import Client, Server, request, say

POLICIES = ["always", "everysec", "no"]
WRITERS = 4
PIPELINE = 16
KEYS = 60
ATTEMPTS = 40
ANSWER_SECONDS_MAX = 0.25
HEAL_SECONDS_MAX = 10


class Writer(threading.Thread):
    """Pushes numbers until the connection ends; `told` of them were acknowledged."""

    def __init__(self, port, name, begin):
        super().__init__(daemon=True)
        self.name_of_list, self.next, self.told = name, begin, begin
        self.client = Client(port)

    def run(self):
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            while True:
                numbers = range(self.next, self.next + PIPELINE)
                self.client.socket.sendall(
                    b"".join(request(b"RPUSH", self.name_of_list, b"%d" % number) for number in numbers))
                self.next += PIPELINE
                for _ in numbers:
                    self.client.reply()
                    self.told += 1


def read_list(client, name):
    """The numbers in a list."""
    client.socket.sendall(request(b"LRANGE", name, b"0", b"-1"))
    line = client.input.readline()
    return [int(client.reply()) for _ in range(int(line[1:]))]


def kill(server):
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    server.client.close()


def kills(path, policy, count):
    """Kills a server amid writes, so many times. Returns acknowledged writes, those of them gone, and wrong values."""
    dice = random.Random(1)
    told = gone = wrong = 0
    names = [b"list:%d" % number for number in range(WRITERS)]
    begins = [0] * WRITERS
    with Server(path, "--appendonly", "yes", "--appendfsync", policy) as server:
        for round_ in range(count):
            writers = [Writer(server.port, name, begin) for name, begin in zip(names, begins)]
            for writer in writers:
                writer.start()
            if round_ % 3 == 0:
                server.client.ask(b"BGREWRITEAOF")
            time.sleep(dice.uniform(0.02, 0.4))
            kill(server)
            for writer in writers:
                writer.join()
            server.start()
            for number, writer in enumerate(writers):
                found = read_list(server.client, names[number])
                told += writer.told - begins[number]
                gone += max(0, writer.told - len(found))
                wrong += found != list(range(len(found)))
                begins[number] = len(found)
    return told, gone, wrong


def log_files(server):
    folder = os.path.join(server.directory, "appendonlydir")
    return {name: os.path.join(folder, name) for name in os.listdir(folder)}


def small_log(path, folder):
    """Leaves a log of keys that were set one after the other, and says which file of it has them."""
    with Server(path, "--appendonly", "yes", "--appendfsync", "always") as server:
        for number in range(KEYS):
            server.client.ask(b"SET", b"key:%d" % number, b"value of %d" % number)
        kill(server)
        shutil.copytree(os.path.join(server.directory, "appendonlydir"), folder)
        sizes = {name: os.path.getsize(file) for name, file in log_files(server).items() if "incr" in name}
    return max(sizes, key=sizes.get)


def outcome(path, folder, name, content):
    """What a server makes of a log of which one file is another."""
    server = Server(path, "--appendonly", "yes")
    inside = os.path.join(server.directory, "appendonlydir")
    shutil.copytree(folder, inside)
    with open(os.path.join(inside, name), "wb") as file:
        file.write(content)
    try:
        with server:
            count = server.client.ask(b"DBSIZE")
            right = all(server.client.ask(b"GET", b"key:%d" % number) == b"value of %d" % number
                        for number in range(count))
            return ("all" if count == KEYS else "first") if right and count <= KEYS else "wrong"
    except RuntimeError:
        return "refused"


def damages(path, count):
    """How many starts on logs that were cut, and on logs with a bit changed, came to what."""
    folder = tempfile.mkdtemp(prefix="promises-")
    try:
        name = small_log(path, os.path.join(folder, "log"))
        folder_of_log = os.path.join(folder, "log")
        with open(os.path.join(folder_of_log, name), "rb") as file:
            content = file.read()
        dice = random.Random(1)
        cut, altered = {}, {}
        for number in range(count):
            place = number * len(content) // count
            what = outcome(path, folder_of_log, name, content[:place])
            cut[what] = cut.get(what, 0) + 1
            other = bytearray(content)
            other[place] ^= 1 << dice.randrange(8)
            what = outcome(path, folder_of_log, name, bytes(other))
            altered[what] = altered.get(what, 0) + 1
        return cut, altered
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class SmallDisk:
    """A file system of a megabyte at a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.filler = os.path.join(directory, "filler")

    def __enter__(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self.directory], check=True,
                       stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.directory], check=False, stderr=subprocess.DEVNULL)

    def fill(self):
        with open(self.filler, "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size):
                        pass

    def empty(self):
        os.remove(self.filler)


def attempt(port, number):
    """What a client hears that sets a key: OK, the beginning of an error, or nothing."""
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS_MAX) as client:
            client.settimeout(ANSWER_SECONDS_MAX)
            client.sendall(request(b"SET", b"full:%d" % number, b"x" * 1000))
            answer = client.recv(200)
            return answer.decode(errors="replace").split("\r\n")[0] or "closed"
    except TimeoutError:
        return "silence"
    except OSError:
        return "closed"


def fill_and_write(server, disk):
    """Answers to writes on a full disk: those acknowledged, the errors, whether reads go on."""
    server.client.ask(b"SET", b"before", b"1")
    disk.fill()
    answers = [attempt(server.port, number) for number in range(ATTEMPTS)]
    told = [number for number, answer in enumerate(answers) if answer == "+OK"]
    try:
        with contextlib.closing(Client(server.port)) as reader:
            reads = reader.ask(b"GET", b"before") == b"1"
    except (OSError, RuntimeError, ValueError):
        reads = False
    return answers, told, reads


def gone_after(server, told):
    """How many of these keys a server that is started again has not; all if it does not start."""
    try:
        server.start()
    except RuntimeError:
        return len(told)
    return sum(server.client.ask(b"EXISTS", b"full:%d" % number) == 0 for number in told)


def on_full_disk(path, policy, act):
    """A server on a small disk of its own, and `act` on both."""
    server = Server(path, "--appendonly", "yes", "--appendfsync", policy)
    try:
        with SmallDisk(server.directory) as disk, server:
            return act(server, disk)
    finally:
        shutil.rmtree(server.directory, ignore_errors=True)


def killed_while_full(server, disk):
    answers, told, reads = fill_and_write(server, disk)
    ended = server.process.poll() is not None
    if not ended:
        kill(server)
    disk.empty()
    return answers, told, reads, ended, gone_after(server, told)


def healed(server, disk):
    """Milliseconds from room to the first write that is taken; and what was acknowledged and is gone then."""
    _, told, _ = fill_and_write(server, disk)
    disk.empty()
    begin = time.perf_counter()
    while attempt(server.port, ATTEMPTS) != "+OK":
        if server.process.poll() is not None or HEAL_SECONDS_MAX < time.perf_counter() - begin:
            return None, 0
        time.sleep(0.01)
    took = (time.perf_counter() - begin) * 1000
    kill(server)
    return took, gone_after(server, [*told, ATTEMPTS])


def describe(counts):
    words = [("all", "all data"), ("first", "the first keys"), ("refused", "refused"), ("wrong", "**wrong data**")]
    return ", ".join(f"{counts[word]} {text}" for word, text in words if word in counts)


def table(options):
    rows = {}

    def add(row, cell):
        rows.setdefault(row, []).append(cell)

    for name, path in options.servers:
        for policy in POLICIES:
            say(f"{name}: kills, {policy}")
            told, gone, wrong = kills(path, policy, options.kills)
            cell = f"{gone} of {told:,}" + (f", **{wrong} wrong**" if wrong else "")
            add(f"`{policy}`: acknowledged writes gone after {options.kills} kills", cell)
        say(f"{name}: damaged logs")
        cut, altered = damages(path, options.starts)
        add(f"{options.starts} starts on a log that was cut", describe(cut))
        add(f"{options.starts} starts on a log with one bit changed", describe(altered))
        for policy in POLICIES:
            say(f"{name}: full disk, {policy}")
            try:
                answers, told, reads, ended, gone = on_full_disk(path, policy, killed_while_full)
                took, gone_later = on_full_disk(path, policy, healed)
            except subprocess.CalledProcessError:
                say("no file system may be mounted here: left out")
                break
            errors = [answer.split(" ")[0] for answer in answers if answer.startswith("-")]
            said = ", ".join(f"{count} {text}" for count, text in [
                (len(told), "acknowledged"),
                (len(errors), f"`{errors[0]}`" if errors else ""),
                (answers.count("silence"), "held"),
                (answers.count("closed"), "connections closed"),
            ] if count)
            add(f"`{policy}`, full disk: {ATTEMPTS} writes of 1 KB", said)
            add(f"`{policy}`, full disk: reads", "the server ends" if ended else "go on" if reads else "fail")
            add(f"`{policy}`, killed while the disk is full: acknowledged writes gone", f"{gone} of {len(told)}")
            heals = "never" if took is None else f"after {took:.0f} ms"
            add(f"`{policy}`, room again: writes are taken",
                heals + (f", **{gone_later} gone**" if gone_later else ""))
    print("| test | " + " | ".join(name for name, _ in options.servers) + " |")
    print("|---" + "|---" * len(options.servers) + "|")
    for row, cells in rows.items():
        print(f"| {row} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("servers", nargs="+", metavar="NAME=PATH", help="ours first")
    options = parser.parse_args()
    options.servers = [tuple(server.split("=", 1)) for server in options.servers]
    # Signals unwind the stack, so that servers and files are removed by their blocks.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    table(options)


if __name__ == "__main__":
    main()
