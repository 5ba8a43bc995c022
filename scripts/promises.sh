#!/usr/bin/env bash
# What each policy of the log promises, put to the test beside other servers: kill -9 amid writes, logs that are cut and
# altered, a full disk. Prints one table. What a power cut takes cannot be tried on a real machine: scripts/torture.sh
# simulates that, for kvick.
#
# Usage: scripts/promises.sh [options]
#   --kills N          kills for each policy (default 10)
#   --starts N         starts on logs that are cut, and as many on logs with a bit changed (default 100)
#   --peers A,B        paths of the peers (default: redis-server and valkey-server, and $PEERS/bin/* with PEERS
#                      from the environment, /tmp/peers if it is not set)
#   --binary PATH      our server (default: target/release/kvick, built first)
# The full disk is a tmpfs, which only root may mount; without, those rows are left out.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=10 starts=100 peers="" binary=""
while [[ $# -gt 0 ]]; do
    case $1 in
    --kills) kills=$2 && shift ;;
    --starts) starts=$2 && shift ;;
    --peers) peers=$2 && shift ;;
    --binary) binary=$2 && shift ;;
    *) sed -n '2,/^set/p' "scripts/promises.sh" | grep '^#' | cut -c3- >&2 && exit 1 ;;
    esac
    shift
done

source scripts/measure.sh
binary=$(our_binary "$binary")
servers=("kvick=$binary")
find_peers "$peers"
for path in ${found[@]+"${found[@]}"}; do
    servers+=("$(basename "$path")=$path")
done
for server in "${servers[@]}"; do
    show_version "${server%%=*}" "${server#*=}"
done
echo
PYTHONDONTWRITEBYTECODE=1 exec python3 scripts/promises.py --kills "$kills" --starts "$starts" "${servers[@]}"
