# shellcheck shell=bash
# What the scripts that measure share: a server on core 0 with a directory of its own under $work, what it takes, and
# which rows are wanted. They set $work and $only first, and source this file.

for program in taskset redis-benchmark redis-cli; do
    command -v "$program" >/dev/null || { echo "needs $program" >&2 && exit 1; }
done
load=$(cut -d' ' -f1 /proc/loadavg)
cores=$(nproc)
# shellcheck disable=SC2034 # For those who source this.
[[ $cores -gt 1 ]] && client_core=1 || client_core=0
server_pid=""

# our_binary PATH: PATH, or if it is empty target/release/kvick, built first. Always: what is fresh takes no time, and
# what is stale would be measured.
our_binary() {
    if [[ -n $1 ]]; then
        realpath -s "$1"
    else
        cargo build --release --quiet
        realpath -s "${CARGO_TARGET_DIR:-target}/release/kvick"
    fi
}

# find_peers LIST: sets found to the paths in LIST, with commas between them, or if it is empty to the servers that are
# installed and those in $PEERS/bin.
find_peers() {
    if [[ -n $1 ]]; then
        IFS=, read -ra found <<<"$1"
    else
        mapfile -t found < <(command -v redis-server valkey-server || true
            find "${PEERS:-/tmp/peers}/bin" -maxdepth 1 -perm -u+x -not -type d 2>/dev/null | sort || true)
    fi
}

# show_version NAME PATH
show_version() {
    echo "- $1: $("$2" --version 2>/dev/null | head -1)"
}

kill_server() {
    [[ -z $server_pid ]] || { kill -9 "$server_pid" && wait "$server_pid"; } 2>/dev/null || true
}

free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
    return 1
}

# start PATH [ARGUMENT…]: a fresh server without save points; sets server_pid and port.
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
