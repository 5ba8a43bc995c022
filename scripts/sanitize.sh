#!/usr/bin/env bash
# Runs the unsafe code, and the thread beside the loop, under whatever watches memory: AddressSanitizer, ThreadSanitizer
# (both with a nightly toolchain) and valgrind's memcheck. Where one of them is missing, that part says so and is left
# out; what is asked for by name must be there.
#
#   scripts/sanitize.sh [address|threads|valgrind]…    default: all three
#   KVICK_VALGRIND_SECONDS=n    how long the server runs under valgrind (default 60)
#
# The feature `system-allocator` takes mimalloc and the pages of entries out of the way, so that each block is watched.
# Leaks are not looked for: pointers in tables carry tags, so nobody else can follow them. scripts/soak.sh does.
set -euo pipefail
cd "$(dirname "$0")/.."

asked=("$@")
parts=("${asked[@]}")
if [[ ${#parts[@]} == 0 ]]; then
    parts=(address threads valgrind)
fi
export CARGO_INCREMENTAL=0
host=$(rustc -vV | sed -n 's/^host: //p')
failed=0

# missing WHAT: the part cannot be run.
missing() {
    echo "sanitize: left out, there is no $1"
    if [[ ${#asked[@]} != 0 ]]; then
        failed=1
    fi
}

has_nightly() {
    cargo +nightly --version >/dev/null 2>&1
}

# Everything that needs no process of its own; and servers with clients and children, of the same build.
address() {
    RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 cargo +nightly test --quiet \
        --features system-allocator --target "$host" --target-dir target/san/address \
        --lib --test fuzz --test engine --test model --test rdb --test sets --test server --test sessions
}

# The standard library must be instrumented too, or its own locks look like races.
threads() {
    RUSTFLAGS="-Zsanitizer=thread" TSAN_OPTIONS=allocator_may_return_null=1:halt_on_error=1 cargo +nightly test --quiet -Zbuild-std \
        --features system-allocator --target "$host" --target-dir target/san/threads --lib -- io::
    RUSTFLAGS="-Zsanitizer=thread" TSAN_OPTIONS=allocator_may_return_null=1:halt_on_error=1:die_after_fork=0 cargo +nightly test --quiet \
        -Zbuild-std --features system-allocator --target "$host" --target-dir target/san/threads --test server
}

# The real server in the load of scripts/soak.py, with rewrites and snapshots by children, which are watched as well.
memcheck() {
    CARGO_PROFILE_DEV_OPT_LEVEL=1 cargo build --quiet --features system-allocator --target-dir target/san/valgrind
    local log
    log=$(mktemp -d)
    python3 scripts/soak.py --server target/san/valgrind/debug/kvick --seconds "${KVICK_VALGRIND_SECONDS:-60}" \
        --interval 15 --under "valgrind --quiet --error-exitcode=99 --leak-check=no --log-file=$log/%p" || failed=1
    # A child that was killed on purpose has nothing to say either.
    if grep -h . "$log"/*; then
        failed=1
    else
        echo "valgrind: no complaint of $(find "$log" -type f | wc -l) processes"
    fi
    rm -rf "$log"
}

for part in "${parts[@]}"; do
    echo "== $part"
    begin=$SECONDS
    case $part in
    address) if has_nightly; then address || failed=1; else missing "nightly toolchain"; fi ;;
    threads)
        if ! has_nightly; then
            missing "nightly toolchain"
        elif [[ ! -d $(rustc +nightly --print sysroot)/lib/rustlib/src ]]; then
            missing "source of the standard library (rustup component add rust-src --toolchain nightly)"
        else
            threads || failed=1
        fi
        ;;
    valgrind) if command -v valgrind >/dev/null; then memcheck; else missing valgrind; fi ;;
    *)
        echo "sanitize: there is no part $part" >&2
        exit 2
        ;;
    esac
    echo "== $part: $((SECONDS - begin)) s"
done
exit $failed
