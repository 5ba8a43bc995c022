#!/usr/bin/env bash
# Soaks the server for SECONDS (default 600) in a mixed load and says whether memory, descriptors or latency creep up.
#
#   scripts/soak.sh [SECONDS]
#   KVICK_SERVER=path    another server than target/release/kvick, which is built if it is not given
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${KVICK_SERVER:-} ]]; then
    cargo build --quiet --release
    KVICK_SERVER=target/release/kvick
fi
exec python3 scripts/soak.py --server "$KVICK_SERVER" --seconds "${1:-600}"
