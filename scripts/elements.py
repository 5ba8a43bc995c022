#!/usr/bin/env python3
"""Writes commands that fill a value of some type, in RESP, for `redis-cli --pipe`.

Usage: scripts/elements.py KIND COUNT [KEY]

Kinds: hashes (COUNT hashes of five fields, KEY:0, KEY:1 ...), integers and strings (a set), zset, list, stream, and
zrange (COUNT requests for ten members at a random index of a sorted set of a million). The same for every run.
"""
import random
import sys

BATCH = 500  # Elements of a command.


def command(*words):
    parts = [f"*{len(words)}\r\n"]
    parts.extend(f"${len(str(word))}\r\n{word}\r\n" for word in words)
    return "".join(parts)


def batches(count, name, key, element):
    """Commands of some elements each; `element` gives the words of one by its number."""
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        yield command(name, key, *(word for number in numbers for word in element(number)))


def scattered(number):
    """Another number of 32 bits for each, in no order."""
    return number * 2654435761 % 2**32


def commands(kind, count, key):
    if kind == "hashes":
        for number in range(count):
            fields = (word for field in range(5) for word in (f"field:{field}", f"value:{number:06}"))
            yield command("HSET", f"{key}:{number}", *fields)
    elif kind == "integers":
        yield from batches(count, "SADD", key, lambda number: (scattered(number),))
    elif kind == "strings":
        yield from batches(count, "SADD", key, lambda number: (f"element:{number:012}",))
    elif kind == "zset":
        yield from batches(count, "ZADD", key, lambda number: (scattered(number), f"element:{number:012}"))
    elif kind == "list":
        yield from batches(count, "RPUSH", key, lambda number: (f"e{number:07}",))
    elif kind == "stream":
        for number in range(count):
            yield command("XADD", key, f"{1700000000000 + number * 7}-0", "sensor", number % 100, "value", number)
    elif kind == "zrange":
        chosen = random.Random(1)
        for _ in range(count):
            first = chosen.randrange(1_000_000 - 10)
            yield command("ZRANGE", key, first, first + 9)
    else:
        sys.exit(__doc__)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    kind, count = sys.argv[1], int(sys.argv[2])
    key = sys.argv[3] if len(sys.argv) == 4 else kind
    sys.stdout.reconfigure(newline="")
    sys.stdout.writelines(commands(kind, count, key))


main()
