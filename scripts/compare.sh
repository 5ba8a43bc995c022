#!/usr/bin/env bash
# kvick beside other servers on this machine: throughput and processor time per request, and bytes per key.
#
# The server has core 0, the client core 1; servers take turns, several rounds, and each number is the median of its
# rounds. Every round starts a fresh server and fills it with all the keys that requests will ask for. Ratios are
# kvick : peer; for throughput more is better, for nanoseconds and bytes less is better. One client core is often the
# limit of throughput, never of the processor time that the server takes for a request: that is the number to trust.
#
# Usage: scripts/compare.sh [options]
#   --quick            a tenth of the keys, fewer requests, three rounds: two minutes
#   --rounds N         rounds (default 5)
#   --requests N       requests of a run at -P 1 (default 200000; pipelined runs make more)
#   --keys N           keys that requests choose from, and keys of the memory measurement (default 1000000)
#   --big              the memory measurement with 5,000,000 keys as well
#   --only A,B         only rows whose names contain A or B ("GET -P 16", "bytes")
#   --peers A,B        paths of the peers (default: redis-server and valkey-server, and $PEERS/bin/* with PEERS
#                      from the environment, /tmp/peers if it is not set)
#   --binary PATH      our server (default: target/release/kvick, built first)
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=5 requests=200000 keys=1000000 big=no only="" peers="" binary=""
while [[ $# -gt 0 ]]; do
    case $1 in
    --quick) rounds=3 requests=50000 keys=100000 ;;
    --rounds) rounds=$2 && shift ;;
    --requests) requests=$2 && shift ;;
    --keys) keys=$2 && shift ;;
    --big) big=yes ;;
    --only) only=$2 && shift ;;
    --peers) peers=$2 && shift ;;
    --binary) binary=$2 && shift ;;
    *) sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3- >&2 && exit 1 ;;
    esac
    shift
done

command -v taskset >/dev/null && command -v redis-benchmark >/dev/null && command -v redis-cli >/dev/null ||
    { echo "needs taskset, redis-benchmark and redis-cli" >&2 && exit 1; }
if [[ -z $binary ]]; then
    # Always: what is fresh takes no time, and what is stale would be measured.
    cargo build --release --quiet
    binary=${CARGO_TARGET_DIR:-target}/release/kvick
fi

work=$(mktemp -d)
server_pid="" log_policy=off
trap '[[ -z $server_pid ]] || { kill -9 "$server_pid" && wait "$server_pid"; } 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
load=$(cut -d' ' -f1 /proc/loadavg)

# The servers: a name each, ours first.
names=(kvick) paths=("$(realpath -s "$binary")")
if [[ -n $peers ]]; then
    IFS=, read -ra found <<<"$peers"
else
    mapfile -t found < <(command -v redis-server valkey-server || true
        find "${PEERS:-/tmp/peers}/bin" -maxdepth 1 -perm -u+x -not -type d 2>/dev/null | sort || true)
fi
for path in ${found[@]+"${found[@]}"}; do
    names+=("$(basename "$path")")
    paths+=("$path")
done
cores=$(nproc)
[[ $cores -gt 1 ]] && client_core=1 || client_core=0

free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
    return 1
}

# start PATH [ARGUMENT…]: sets server_pid and port.
start() {
    local path=$1
    shift
    port=$(free_port)
    rm -rf "$work/data" && mkdir "$work/data"
    taskset -c 0 "$path" --port "$port" --bind 127.0.0.1 --dir "$work/data" --save "" "$@" >"$work/log" 2>&1 &
    server_pid=$!
    local deadline=$((SECONDS + 20))
    until [[ $(redis-cli -p "$port" PING 2>/dev/null) == PONG ]]; do
        if ! kill -0 "$server_pid" 2>/dev/null || [[ $SECONDS -gt $deadline ]]; then
            echo "$path does not start:" >&2 && tail -5 "$work/log" >&2
            exit 1
        fi
    done
}

stop() {
    kill -TERM "$server_pid"
    wait "$server_pid" 2>/dev/null || true
    server_pid=""
}

# Nanoseconds of processor time of all threads of the server.
cpu_ns() {
    cat "/proc/$server_pid"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

resident_bytes() {
    awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$server_pid/status"
}

median() {
    sort -n "$1" | awk '{ a[NR] = $1 } END { m = int((NR + 1) / 2); print NR % 2 ? a[m] : (a[m] + a[m + 1]) / 2 }'
}

wanted() {
    [[ -z $only ]] && return 0
    local part
    IFS=, read -ra parts <<<"$only"
    for part in "${parts[@]}"; do
        [[ $1 == *"$part"* ]] && return 0
    done
    return 1
}

# bench COUNT PIPELINE COMMAND…: requests per second.
bench() {
    local count=$1 pipeline=$2
    shift 2
    taskset -c "$client_core" redis-benchmark -p "$port" -c 50 -n "$count" -P "$pipeline" -r "$keys" --csv "$@" \
        >"$work/bench" 2>&1 || { cat "$work/bench" >&2 && exit 1; }
    # An error reply ends the benchmark, and what it says then is no number.
    tail -1 "$work/bench" | awk -F, '{ gsub(/"/, "", $2); if ($2 + 0 <= 0) exit 1; printf "%.0f\n", $2 }' ||
        { cat "$work/bench" >&2 && exit 1; }
}

# fill COUNT BYTES: as many keys, with the names that redis-benchmark chooses from, and values of so many bytes.
fill() {
    local count=$1 file=$work/fill.$1.$2
    [[ -e $file ]] || awk -v n="$count" -v len="$2" 'BEGIN {
        v = sprintf("%" len "s", ""); gsub(/ /, "x", v)
        for (i = 0; i < n; i++) printf "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n", i, len, v }' >"$file"
    taskset -c "$client_core" redis-cli -p "$port" --pipe <"$file" >"$work/pipe" 2>&1 || true
    [[ $(redis-cli -p "$port" DBSIZE) == "$count" ]] || { cat "$work/pipe" >&2 && exit 1; }
}

# measure NUMBER ROW COUNT PIPELINE COMMAND…: one run against the server that is up; appends to the row's files.
measure() {
    local server=$1 row=$2 count=$3 pipeline=$4 before after speed
    shift 4
    before=$(cpu_ns)
    speed=$(bench "$count" "$pipeline" "$@")
    after=$(cpu_ns)
    echo "$speed" >>"$work/$row.$server.speed"
    echo $(((after - before) / count)) >>"$work/$row.$server.cpu"
}

# The rows: name; log policy; pipeline; how many times the requests; what the benchmark is told.
rows=(
    "SET -P 1;off;1;1;SET key:__rand_int__ xxxxxxxxxxxxxxxx"
    "GET -P 1;off;1;1;GET key:__rand_int__"
    "SET -P 16;off;16;5;SET key:__rand_int__ xxxxxxxxxxxxxxxx"
    "GET -P 16;off;16;5;GET key:__rand_int__"
    "SET -P 128;off;128;10;SET key:__rand_int__ xxxxxxxxxxxxxxxx"
    "GET -P 128;off;128;10;GET key:__rand_int__"
    "SET -P 16 everysec;everysec;16;5;SET key:__rand_int__ xxxxxxxxxxxxxxxx"
    "INCR -P 16;off;16;5;INCR counter:__rand_int__"
    "LPUSH -P 16;off;16;5;LPUSH list xxxxxxxxxxxxxxxx"
    "LRANGE_100 -P 16;off;16;1;LRANGE list 0 99"
    "LPOP -P 16;off;16;5;LPOP list"
    "MSET -P 16;off;16;1;-t mset"
)

# All rows of one log policy against one server.
run_rows() {
    local server=$1 policy=$2 number name log pipeline times command
    for number in "${!rows[@]}"; do
        IFS=';' read -r name log pipeline times command <<<"${rows[$number]}"
        [[ $log == "$policy" ]] && wanted "$name" || continue
        if [[ $log_policy != "$policy.$server" ]]; then
            [[ -z $server_pid ]] || stop
            if [[ $policy == off ]]; then
                start "${paths[$server]}" --appendonly no
            else
                start "${paths[$server]}" --appendonly yes --appendfsync "$policy"
            fi
            fill "$keys" 16
            bench 1000 16 RPUSH list xxxxxxxxxxxxxxxx >/dev/null
            log_policy=$policy.$server
        fi
        # shellcheck disable=SC2086 # The command is several words.
        measure "$server" "row$number" $((requests * times)) "$pipeline" $command
    done
    [[ -z $server_pid ]] || stop
    log_policy=off
}

# Bytes that a key of 16 bytes with a value of 32 bytes adds to the resident memory.
run_memory() {
    local server=$1 row=$2 count=$3 before after
    start "${paths[$server]}" --appendonly no
    before=$(resident_bytes)
    fill "$count" 32
    after=$(resident_bytes)
    awk -v b="$before" -v a="$after" -v n="$count" 'BEGIN { printf "%.1f\n", (a - b) / n }' >>"$work/$row.$server.bytes"
    stop
}

memory_rows=("bytes per key, $keys keys;$keys")
[[ $big == no ]] || memory_rows+=("bytes per key, 5000000 keys;5000000")

for ((round = 1; round <= rounds; round++)); do
    for server in "${!paths[@]}"; do
        echo "round $round of $rounds: ${names[$server]}" >&2
        run_rows "$server" off
        run_rows "$server" everysec
    done
done
for number in "${!memory_rows[@]}"; do
    IFS=';' read -r name count <<<"${memory_rows[$number]}"
    wanted "$name" || continue
    for server in "${!paths[@]}"; do
        echo "memory: ${names[$server]}, $count keys" >&2
        run_memory "$server" "memory$number" "$count"
    done
done

# line NAME ROW KIND: our median and the ratio to each peer.
line() {
    local name=$1 row=$2 kind=$3 own cell server
    own=$(median "$work/$row.0.$kind")
    printf '| %s | %s ' "$name" "$own"
    for server in "${!names[@]}"; do
        [[ $server != 0 ]] || continue
        cell=$(median "$work/$row.$server.$kind")
        awk -v a="$own" -v b="$cell" 'BEGIN { if (b > 0) printf "| %.2f (%s) ", a / b, b; else printf "| - " }'
    done
    echo "|"
}

# table TITLE KIND
table() {
    local title=$1 kind=$2 number name
    printf '\n| %s ' "$title"
    printf '| %s ' "${names[@]}"
    printf '|\n|---'
    printf '|---:%.0s' "${names[@]}"
    echo "|"
    if [[ $kind == bytes ]]; then
        for number in "${!memory_rows[@]}"; do
            [[ ! -e $work/memory$number.0.bytes ]] || line "${memory_rows[$number]%%;*}" "memory$number" bytes
        done
        return
    fi
    for number in "${!rows[@]}"; do
        name=${rows[$number]%%;*}
        [[ ! -e $work/row$number.0.$kind ]] || line "$name" "row$number" "$kind"
    done
}

model=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
echo "Machine: $model, $cores cores, $memory, Linux $(uname -r); server on core 0, client on core $client_core;" \
    "redis-benchmark -c 50 over $keys keys, median of $rounds rounds; load of the machine before: $load." \
    "Ratios are kvick : peer, with the peer's own number in brackets."
for server in "${!paths[@]}"; do
    echo "- ${names[$server]}: $("${paths[$server]}" --version 2>/dev/null | head -1)"
done
table "requests a second (more is better)" speed
table "nanoseconds of processor time a request (less is better)" cpu
[[ -z $(find "$work" -name '*.bytes') ]] || table "resident memory in bytes (less is better)" bytes
