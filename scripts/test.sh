#!/usr/bin/env bash
# Everything that has to hold before a change goes in: format, lints, all tests, with the time each step took.
# Installs what the tests need if it is missing; where everything is there, no package manager is started.
set -euo pipefail
cd "$(dirname "$0")/.."

# step NAME COMMAND…: runs it and prints how long it took.
step() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    "$@"
    echo "== $name: $((SECONDS - start)) s"
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    else
        sudo "$@"
    fi
}

install_missing() {
    local missing=()
    command -v redis-cli >/dev/null && command -v redis-benchmark >/dev/null || missing+=(redis-tools)
    command -v redis-server >/dev/null || [[ -n ${REDIS_REFERENCE:-} ]] || missing+=(redis-server)
    nc -h 2>&1 | grep -q 'OpenBSD netcat' || missing+=(netcat-openbsd)
    command -v python3 >/dev/null || missing+=(python3)
    python3 -c 'import redis' 2>/dev/null || missing+=(python3-redis)
    if [[ ${#missing[@]} == 0 ]]; then
        return
    fi
    echo "missing: ${missing[*]}"
    as_root apt-get update -q
    # The package starts a server of its own, on the default port; nothing here needs or disturbs it.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
    # Another python3 than the system's does not see the system's modules.
    python3 -c 'import redis' 2>/dev/null || python3 -m pip install --quiet --user redis
}

step "tools" install_missing
step "format" cargo fmt --check
step "lints" cargo clippy --quiet --all-targets -- -D warnings
step "build" cargo test --quiet --no-run
step "tests" cargo test --quiet
step "torture" scripts/torture.sh 45
echo "all well after $SECONDS s"
