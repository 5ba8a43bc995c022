#!/usr/bin/env bash
# kvick beside other servers on this machine: throughput and processor time per request, bytes per key, what five
# million keys cost, and how long one client waits while others ask for much.
#
# The server has core 0, the client core 1; servers take turns, several rounds, and each number is the median of its
# rounds. Every round starts a fresh server and fills it with all the keys that requests will ask for: names of 16
# bytes, and values of 32 where the row does not say otherwise. Ratios are kvick : peer, the last column that to the
# best peer of the row; for throughput more is better, for nanoseconds and bytes less is better. One client core is
# often the limit of throughput, never of the processor time that the server takes for a request: that is the number
# to trust. (It includes accepting the connections, which counts in the rows with many of them.)
#
# Tables are printed as soon as each is measured, progress goes to the standard error.
#
# Usage: scripts/compare.sh [options]
#   --quick            a tenth of the keys, fewer requests, three rounds, at most 1,000 connections, and big values and
#                      unix sockets only if --only asks for them: less than three minutes on an idle machine
#   --rounds N         rounds (default 5); what --big adds takes three at most
#   --requests N       requests of a run at -P 1 (default 200000; pipelined runs make more)
#   --keys N           keys that requests choose from, and keys of the memory measurement (default 1000000)
#   --big              GET and SET over 10,000,000 keys, which no cache holds, and the table of compare_data.py: fill,
#                      rewrite, restart, expiry and deletion with 5,000,000 keys; some 12 GB of memory and disk
#   --tails            the table of compare_tails.py: the longest wait of one client beside others
#   --no-requests      without the tables of requests and of memory: only what --big and --tails add, and of --big
#                      only the data table
#   --only A,B         only rows whose names contain A or B ("GET -P 16", "bytes", "10k", "FLUSHALL")
#   --scale F          the key counts of --big and --tails times F, to try the script out
#   --peers A,B        paths of the peers (default: redis-server and valkey-server, and $PEERS/bin/* with PEERS
#                      from the environment, /tmp/peers if it is not set)
#   --binary PATH      our server (default: target/release/kvick, built first)
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=5 requests=200000 keys=1000000 connections_max=10000 scale=1 quick=no
big=no tails=no with_requests=yes only="" peers="" binary=""
while [[ $# -gt 0 ]]; do
    case $1 in
    --quick) quick=yes rounds=3 requests=20000 keys=100000 connections_max=1000 ;;
    --rounds) rounds=$2 && shift ;;
    --requests) requests=$2 && shift ;;
    --keys) keys=$2 && shift ;;
    --big) big=yes ;;
    --tails) tails=yes ;;
    --no-requests) with_requests=no ;;
    --scale) scale=$2 && shift ;;
    --only) only=$2 && shift ;;
    --peers) peers=$2 && shift ;;
    --binary) binary=$2 && shift ;;
    *) sed -n '2,/^set/p' "scripts/compare.sh" | grep '^#' | cut -c3- >&2 && exit 1 ;;
    esac
    shift
done

source scripts/measure.sh
# Both sides of 10,000 connections need a descriptor for each, and some more.
ulimit -n "$(ulimit -Hn)"
if [[ $(ulimit -n) != unlimited && $(ulimit -n) -lt $((connections_max + 200)) ]]; then
    echo "rows of $connections_max connections are left out: ulimit -Hn is $(ulimit -Hn)" >&2
    connections_max=1000
fi
binary=$(our_binary "$binary")

work=$(mktemp -d)
helper_pid=""
# A helper ends its own servers and removes its own files when it is told to end.
trap 'kill_server
    [[ -z $helper_pid ]] || { kill -TERM "$helper_pid" && wait "$helper_pid"; } 2>/dev/null || true
    rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

# The servers: a name each, ours first.
names=(kvick) paths=("$binary")
find_peers "$peers"
for path in ${found[@]+"${found[@]}"}; do
    names+=("$(basename "$path")")
    paths+=("$path")
done

# start_with PATH [ARGUMENT…]: a server as all rows here have it; sets server_pid and port.
start_with() {
    start "$@" --unixsocket "$work/data/socket" --maxclients $((connections_max + 100)) --tcp-backlog 4096
}

# bench COUNT PIPELINE CLIENTS VIA COMMAND…: requests per second, over keys of the data set that is up.
bench() {
    local count=$1 pipeline=$2 clients=$3 via=(-p "$port")
    [[ $4 == tcp ]] || via=(-s "$work/data/socket")
    shift 4
    taskset -c "$client_core" redis-benchmark "${via[@]}" -c "$clients" -n "$count" -P "$pipeline" -r "$set_keys" \
        --csv "$@" >"$work/bench" 2>&1 || { cut -c-300 "$work/bench" >&2 && exit 1; }
    # An error reply ends the benchmark, and what it says then is no number.
    tail -1 "$work/bench" | awk -F, '{ gsub(/"/, "", $2); if ($2 + 0 <= 0) exit 1; printf "%.0f\n", $2 }' ||
        { cut -c-300 "$work/bench" >&2 && exit 1; }
}

# value_of BYTES
value_of() {
    printf "%$1s" "" | tr ' ' x
}

# fill COUNT BYTES: as many keys, with the names that redis-benchmark chooses from, and values of so many bytes.
fill() {
    local count=$1 file=$work/fill.$1.$2
    [[ -e $file ]] || awk -v n="$count" -v len="$2" -v v="$(value_of "$2")" 'BEGIN {
        ORS = "\r\n"; before = "*3\r\n$3\r\nSET\r\n$16\r\nkey:"; after = "\r\n$" len "\r\n" v
        for (i = 0; i < n; i++) print before sprintf("%012d", i) after }' >"$file"
    taskset -c "$client_core" redis-cli -p "$port" --pipe <"$file" >"$work/pipe" 2>&1 || true
    [[ $(redis-cli -p "$port" DBSIZE) == "$count" ]] || { cat "$work/pipe" >&2 && exit 1; }
    # What servers put off until they are idle, growing tables for one, is not part of the requests that follow.
    sleep 1
}

# measure SERVER ROW COUNT PIPELINE CLIENTS VIA COMMAND…: one run against the server that is up; appends to the row's
# files.
measure() {
    local server=$1 row=$2 count=$3 before after speed
    shift 2
    before=$(cpu_ns)
    speed=$(bench "$@")
    after=$(cpu_ns)
    echo "$speed" >>"$work/$row.$server.speed"
    echo $(((after - before) / count)) >>"$work/$row.$server.cpu"
}

# choose_set SET: what a server is started with and filled with. Sets of bigger values have fewer keys, so that they
# fit in memory.
choose_set() {
    set_keys=$keys set_bytes=32 set_log=(--appendonly no)
    case $1 in
    everysec) set_log=(--appendonly yes --appendfsync everysec) ;;
    4k) set_keys=$((keys / 10)) set_bytes=4096 ;;
    100k) set_keys=$((keys / 500)) set_bytes=102400 ;;
    10m) set_keys=$(awk -v f="$scale" 'BEGIN { printf "%d", 10000000 * f }') ;;
    esac
    [[ $set_keys -ge 10 ]] || set_keys=10
}

# The rows: name; data set; pipeline; clients; tcp or unix; how many requests, with "requests" for those of -P 1; what
# the benchmark is told, where VALUE is a value as long as those of the data set.
rows=(
    "SET -P 1;off;1;50;tcp;requests;SET key:__rand_int__ VALUE"
    "GET -P 1;off;1;50;tcp;requests;GET key:__rand_int__"
    "SET -P 16;off;16;50;tcp;requests * 5;SET key:__rand_int__ VALUE"
    "GET -P 16;off;16;50;tcp;requests * 5;GET key:__rand_int__"
    "SET -P 128;off;128;50;tcp;requests * 10;SET key:__rand_int__ VALUE"
    "GET -P 128;off;128;50;tcp;requests * 10;GET key:__rand_int__"
    "SET -P 16 everysec;everysec;16;50;tcp;requests * 5;SET key:__rand_int__ VALUE"
    "INCR -P 16;off;16;50;tcp;requests * 5;INCR counter:__rand_int__"
    "LPUSH -P 16;off;16;50;tcp;requests * 5;LPUSH list VALUE"
    "LRANGE_100 -P 16;off;16;50;tcp;requests;LRANGE list 0 99"
    "LRANGE_300 -P 16;off;16;50;tcp;requests / 2;LRANGE list 0 299"
    "LRANGE_600 -P 16;off;16;50;tcp;requests / 4;LRANGE list 0 599"
    "LPOP -P 16;off;16;50;tcp;requests * 5;LPOP list"
    "MSET (10 keys) -P 16;off;16;50;tcp;requests;MSET$(printf ' key:__rand_int__ VALUE%.0s' {1..10})"
    "MGET (10 keys) -P 16;off;16;50;tcp;requests;MGET$(printf ' key:__rand_int__%.0s' {1..10})"
    "SET -P 1, unix socket;off;1;50;unix;requests;SET key:__rand_int__ VALUE"
    "GET -P 1, unix socket;off;1;50;unix;requests;GET key:__rand_int__"
    "SET -P 16, unix socket;off;16;50;unix;requests * 5;SET key:__rand_int__ VALUE"
    "GET -P 16, unix socket;off;16;50;unix;requests * 5;GET key:__rand_int__"
    "SET -P 1, 1k connections;off;1;1000;tcp;requests;SET key:__rand_int__ VALUE"
    "GET -P 1, 1k connections;off;1;1000;tcp;requests;GET key:__rand_int__"
    "SET -P 1, 10k connections;off;1;10000;tcp;requests * 2;SET key:__rand_int__ VALUE"
    "GET -P 1, 10k connections;off;1;10000;tcp;requests * 2;GET key:__rand_int__"
    "SET -P 1, 4 KB;4k;1;50;tcp;requests / 2;SET key:__rand_int__ VALUE"
    "GET -P 1, 4 KB;4k;1;50;tcp;requests / 2;GET key:__rand_int__"
    "SET -P 16, 4 KB;4k;16;50;tcp;requests;SET key:__rand_int__ VALUE"
    "GET -P 16, 4 KB;4k;16;50;tcp;requests;GET key:__rand_int__"
    "SET -P 1, 100 KB;100k;1;50;tcp;requests / 10;SET key:__rand_int__ VALUE"
    "GET -P 1, 100 KB;100k;1;50;tcp;requests / 10;GET key:__rand_int__"
    "SET -P 16, 10M keys;10m;16;50;tcp;requests * 10;SET key:__rand_int__ VALUE"
    "GET -P 16, 10M keys;10m;16;50;tcp;requests * 10;GET key:__rand_int__"
)

# All rows of one data set against one server.
run_rows() {
    local server=$1 set=$2 number name row_set pipeline clients via count command value
    choose_set "$set"
    value=$(value_of "$set_bytes")
    for number in "${!rows[@]}"; do
        IFS=';' read -r name row_set pipeline clients via count command <<<"${rows[$number]}"
        [[ $row_set == "$set" && $clients -le $connections_max ]] && wanted "$name" || continue
        [[ $quick == no || -n $only || $via == tcp && $set != *k ]] || continue
        if [[ -z $server_pid ]]; then
            start_with "${paths[$server]}" "${set_log[@]}"
            fill "$set_keys" "$set_bytes"
            [[ $set != off ]] || bench 1000 16 50 tcp RPUSH list "$value" >/dev/null
        fi
        # shellcheck disable=SC2086 # The command is several words.
        measure "$server" "row$number" $(($count)) "$pipeline" "$clients" "$via" ${command//VALUE/$value}
    done
    [[ -z $server_pid ]] || stop
}

# Bytes that a key of 16 bytes with a value of 32 bytes adds to the resident memory.
run_memory() {
    local server=$1 row=$2 count=$3 before after
    start_with "${paths[$server]}" --appendonly no
    before=$(resident_bytes)
    fill "$count" 32
    after=$(resident_bytes)
    awk -v b="$before" -v a="$after" -v n="$count" 'BEGIN { printf "%.1f\n", (a - b) / n }' >>"$work/$row.$server.bytes"
    stop
}

# line NAME ROW KIND: our median, the ratio to each peer, and that to the best of them.
line() {
    local name=$1 row=$2 kind=$3 own cell server best=""
    own=$(median "$work/$row.0.$kind")
    printf '| %s | %s ' "$name" "$own"
    for server in "${!names[@]}"; do
        [[ $server != 0 ]] || continue
        cell=$(median "$work/$row.$server.$kind")
        awk -v a="$own" -v b="$cell" 'BEGIN { if (b > 0) printf "| %.2f (%s) ", a / b, b; else printf "| - " }'
        best=$(awk -v a="$best" -v b="$cell" -v kind="$kind" \
            'BEGIN { print a == "" || (kind == "speed" ? a + 0 < b + 0 : b + 0 < a + 0) ? b : a }')
    done
    awk -v a="$own" -v b="$best" 'BEGIN { if (b > 0) printf "| %.2f |\n", a / b; else print "| - |" }'
}

# table TITLE KIND
table() {
    local title=$1 kind=$2 number name
    [[ -n $(find "$work" -name "*.$kind") ]] || return 0
    printf '\n| %s ' "$title"
    printf '| %s ' "${names[@]}"
    printf '| kvick : best peer |\n|---'
    printf '|---:%.0s' "${names[@]}" best
    echo "|"
    [[ ! -e $work/memory.0.$kind ]] || line "$memory_name" memory "$kind"
    for number in "${!rows[@]}"; do
        name=${rows[$number]%%;*}
        [[ ! -e $work/row$number.0.$kind ]] || line "$name" "row$number" "$kind"
    done
}

# helper SCRIPT ROUNDS: a table that is more than a shell can measure.
helper() {
    local script=$1 count=$2 server servers=()
    for server in "${!names[@]}"; do
        servers+=("${names[$server]}=${paths[$server]}")
    done
    echo
    # Beside the shell, not before it: the shell can then be told to end meanwhile.
    PYTHONDONTWRITEBYTECODE=1 taskset -c "$client_core" python3 "scripts/$script" --rounds "$count" --scale "$scale" \
        --only "$only" "${servers[@]}" &
    helper_pid=$!
    wait "$helper_pid"
    helper_pid=""
}

model=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
echo "Machine: $model, $cores cores, $memory, Linux $(uname -r); server on core 0, client on core $client_core;" \
    "redis-benchmark -c 50 over $keys keys, values of 32 bytes, median of $rounds rounds; load of the machine before:" \
    "$load. Ratios are kvick : peer, with the peer's own number in brackets."
for server in "${!paths[@]}"; do
    show_version "${names[$server]}" "${paths[$server]}"
done

big_rounds=0 memory_name="bytes per key, $keys keys"
[[ $big == no ]] || big_rounds=$((rounds < 3 ? rounds : 3))
if [[ $with_requests == yes ]]; then
    for ((round = 1; round <= rounds; round++)); do
        for server in "${!paths[@]}"; do
            echo "round $round of $rounds: ${names[$server]}" >&2
            for set in off everysec 4k 100k; do
                run_rows "$server" "$set"
            done
        done
    done
    for ((round = 1; round <= big_rounds; round++)); do
        for server in "${!paths[@]}"; do
            echo "many keys, round $round of $big_rounds: ${names[$server]}" >&2
            run_rows "$server" 10m
        done
    done
    for ((round = 1; round <= rounds; round++)); do
        wanted "$memory_name" || continue
        for server in "${!paths[@]}"; do
            run_memory "$server" memory "$keys"
        done
    done
    table "requests a second (more is better)" speed
    table "nanoseconds of processor time a request (less is better)" cpu
    table "resident memory in bytes (less is better)" bytes
fi
[[ $big == no ]] || helper compare_data.py "$big_rounds"
[[ $tails == no ]] || helper compare_tails.py "$rounds"
