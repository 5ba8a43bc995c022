#!/usr/bin/env bash
# Fuzzes a target of tests/fuzz with libFuzzer under AddressSanitizer: needs a nightly toolchain and a C++ compiler.
#
#   scripts/fuzz.sh [TARGET [SECONDS [options of libFuzzer…]]]   without a target: all of them, SECONDS (60) each
#
# What was found stands in target/fuzz/found/TARGET, the corpus, which grows, in target/fuzz/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzz: there is no nightly toolchain (rustup toolchain install nightly --profile minimal);" \
        "cargo test --test fuzz does without" >&2
    exit 2
fi
mapfile -t all < <(sed -n '/^\[\[bin\]\]/{n;s/^name = "\(.*\)"/\1/p}' tests/fuzz/Cargo.toml)
targets=("${all[@]}")
if [[ -n ${1:-} && $1 != all ]]; then
    targets=("$1")
fi
seconds=${2:-60}
host=$(rustc +nightly -vV | sed -n 's/^host: //p')

# What cargo-fuzz passes: coverage of edges with counters and comparisons, and the sanitizer.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares"
for target in "${targets[@]}"; do
    chosen+=(--bin "$target")
done
RUSTFLAGS="${coverage//$'\n'/ } -Zsanitizer=address -Ccodegen-units=16" CARGO_INCREMENTAL=0 cargo +nightly build \
    --quiet --release --manifest-path tests/fuzz/Cargo.toml --target "$host" --target-dir target/fuzz "${chosen[@]}"
KVICK_FUZZ_CORPUS=$PWD/target/fuzz/corpus cargo test --quiet --test fuzz seeds_are_written >/dev/null

failed=0
for target in "${targets[@]}"; do
    found=target/fuzz/found/$target
    mkdir -p "$found"
    log=$found/log
    echo "== $target, $seconds s"
    # Memory that is asked for and not there is an error of the program, not of the fuzzer: allocations are limited.
    if ! ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 nice -n 10 "target/fuzz/$host/release/$target" \
        "target/fuzz/corpus/$target" -artifact_prefix="$found/" -max_total_time="$seconds" -max_len=4096 -timeout=20 \
        -rss_limit_mb=3000 -malloc_limit_mb=1200 -print_final_stats=1 "${@:3}" >"$log" 2>&1; then
        failed=1
        grep -m 3 -A 3 'panicked at\|ERROR: ' "$log" || tail -20 "$log"
    fi
    grep 'cov: ' "$log" | tail -1 || true
    grep 'stat::number_of_executed_units\|Test unit written' "$log" || true
done
exit $failed
