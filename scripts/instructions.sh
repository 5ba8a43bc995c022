#!/usr/bin/env bash
# Instructions of a GET and of a SET in the engine: parsed, prepared, prefetched and run, without a socket, over a
# million keys, in batches of 1, 16 and 128. Counted by callgrind, so equal from run to run: what a change costs shows
# to the instruction, on a busy machine too. (Not what it costs in time: the cache is not in this count.)
#
# Usage: scripts/instructions.sh    (a few minutes; installs valgrind by apt if it is missing)
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || apt-get install -qq -y valgrind >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bench=$(cargo bench --bench engine --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*engine-[^"]*\)".*/\1/p' | tail -1)
valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect='*Fed*measured*' \
    --dump-after='*Fed*measured*' "$bench" --test 'a million keys' >"$work/names" 2>/dev/null

requests=$(sed -n 's/^const REQUESTS: usize = \([0-9]*\) \* \([0-9]*\);/\1 \2/p' benches/engine.rs |
    while read -r a b; do echo $((a * b)); done)
echo "| instructions a request | |"
echo "|---|---:|"
number=0
while read -r name; do
    number=$((number + 1))
    total=$(sed -n 's/^totals: \([0-9]*\).*/\1/p;s/^summary: \([0-9]*\).*/\1/p' "$work/out.$number" | head -1)
    echo "| $name | $((total / requests)) |"
done < <(sed -n 's/^Testing engine, a million keys\///p' "$work/names")
