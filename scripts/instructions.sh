#!/usr/bin/env bash
# Instructions of a GET and of a SET in the engine: parsed, prepared, prefetched and run, without a socket, over a
# million keys, in batches of 1, 16 and 128. Counted by callgrind, so equal from run to run: what a change costs shows
# to the instruction, on a busy machine too. (Not what it costs in time: the cache is not in this count.)
#
# Usage: scripts/instructions.sh    (a few minutes; installs valgrind by apt if it is missing)
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || apt-get install -qq -y valgrind >/dev/null
bench=$(cargo bench --bench engine --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*engine-[^"]*\)".*/\1/p' | tail -1)
requests=$(sed -n 's/^const REQUESTS: usize = \([0-9]*\) \* \([0-9]*\);/\1 \2/p' benches/engine.rs |
    while read -r a b; do echo $((a * b)); done)

echo "| instructions a request | |"
echo "|---|---:|"
for name in GET SET "SET with a log"; do
    for size in 1 16 128; do
        row="a million keys/$name, batches of $size"
        counted=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*Fed*measured*' \
            "$bench" --test --exact "engine, $row" 2>&1 | sed -n 's/.*Collected : \([0-9]*\)/\1/p' | tail -1)
        echo "| $name, batches of $size | $((counted / requests)) |"
    done
done
