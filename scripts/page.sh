#!/usr/bin/env bash
# The metrics and the live page as others see them: promtool reads the one, a headless Chromium shows the other.
#
#   scripts/page.sh [FOLDER]    screenshots go to FOLDER (default: a temporary one, which is named at the end)
#
# Installs promtool and Chromium from Debian's packages if they are missing. KVICK names another binary.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v promtool >/dev/null || missing+=(prometheus)
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
command -v redis-benchmark >/dev/null || missing+=(redis-tools)
command -v curl >/dev/null || missing+=(curl)
if [[ ${#missing[@]} != 0 ]]; then
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" fonts-dejavu-core
fi

kvick=${KVICK:-target/release/kvick}
[[ -x $kvick ]] || cargo build --release
shots=${1:-$(mktemp -d)}
mkdir -p "$shots"
work=$(mktemp -d)
load=
server=
stop() {
    kill $server $load 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
cli() { redis-cli -p "$port" "$@" >/dev/null; }

# Ports that were free a moment ago may be somebody else's by now: tried again.
start() {
    read -r port web driver < <(python3 - <<'PORTS'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(it.getsockname()[1] for it in held))
PORTS
    )
    "$kvick" --port "$port" --metrics-port "$web" --dir "$work" --enable-debug-command yes >"$work/log" 2>&1 &
    server=$!
    until cli PING 2>/dev/null; do
        kill -0 $server 2>/dev/null || return 1
    done
}
tries=0
until start; do
    tries=$((tries + 1))
    [[ $tries -lt 10 ]] || { cat "$work/log"; exit 1; }
done

cli RPUSH big:list $(seq 5000)
cli DEBUG SLEEP 0.02
# Without an end of their own: they end with the server.
redis-benchmark -p "$port" -c 5 -n 1000000000 -r 10000 -q -t set >/dev/null 2>&1 &
load=$!
redis-benchmark -p "$port" -c 2 -n 1000000000 -q GET hot:key >/dev/null 2>&1 &
load+=" $!"

echo "== metrics"
curl -sf "http://127.0.0.1:$web/metrics" >"$work/metrics"
# What promtool says of style is about names that redis_exporter gave, and dashboards know.
promtool check metrics <"$work/metrics" >"$work/said" 2>&1 || [[ $? == 3 ]]
if grep -v 'redis_[a-z_]*_\(duration_sec\|ops_per_sec\) metric names should not contain abbreviated units' "$work/said"; then
    exit 1
fi
for _ in $(seq 30); do
    curl -sf "http://127.0.0.1:$web/metrics"
done | awk '$1 == "kvick_last_scrape_duration_seconds" { print $2 * 1e6 }' | sort -n |
    awk '{ all[NR] = $1 } END { print "a scrape takes " all[int((NR + 1) / 2)] " µs (median of " NR ")" }'

echo "== page"
python3 scripts/page.py "http://127.0.0.1:$web/" "$shots" "$driver"
echo "all well; screenshots: $shots/page-light.png $shots/page-dark.png"
