#!/usr/bin/env bash
# kvick beside other servers on this machine, type by type: bytes per element, and processor time per request.
#
# The server has core 0, the client core 1; servers take turns, several rounds, and each time is the median of its
# rounds. Ratios are kvick : the best peer; less is better in both tables. Memory is measured once, on a fresh server
# for each row: what a value adds to the resident memory and to used_memory, by its number of elements. Processor
# time is that of all threads of the server, per request, of the default suite of redis-benchmark at -P 16, and of
# three commands on a sorted set of a million members. A command that a server lacks is skipped, and named.
#
# Usage: scripts/types.sh [options]
#   --quick            a tenth of the elements, fewer requests, one round
#   --rounds N         rounds (default 5)
#   --requests N       requests of a run (default 1000000)
#   --percent N        so much of the elements of each memory row (default 100)
#   --only A,B         only rows whose names contain A or B ("ZADD", "bytes", "list")
#   --peers A,B        paths of the peers (default: redis-server, and valkey9 in $PEERS/bin with PEERS from the
#                      environment, /tmp/peers if it is not set)
#   --binary PATH      our server (default: target/release/kvick, built first)
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=5 requests=1000000 percent=100 only="" peers="" binary=""
while [[ $# -gt 0 ]]; do
    case $1 in
    --quick) rounds=1 requests=200000 percent=10 ;;
    --rounds) rounds=$2 && shift ;;
    --requests) requests=$2 && shift ;;
    --percent) percent=$2 && shift ;;
    --only) only=$2 && shift ;;
    --peers) peers=$2 && shift ;;
    --binary) binary=$2 && shift ;;
    *) sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3- >&2 && exit 1 ;;
    esac
    shift
done

source scripts/measure.sh
binary=$(our_binary "$binary")

work=$(mktemp -d)
trap 'kill_server; rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

# The servers: a name each, ours first.
[[ -n $peers ]] || peers=$(command -v redis-server || true),${PEERS:-/tmp/peers}/bin/valkey9
IFS=, read -ra candidates <<<"$peers"
names=() paths=()
for path in "$binary" "${candidates[@]}"; do
    [[ -x $path ]] || continue
    names+=("$(basename "$path")")
    paths+=("$path")
done

cli() {
    redis-cli -p "$port" "$@"
}

used_bytes() {
    cli INFO memory | tr -d '\r' | awk -F: '$1 == "used_memory" { print $2 }'
}

# has SERVER COMMAND: whether the server that is up has the command; if not, that is noted.
has() {
    [[ -n $(cli COMMAND INFO "$2" | head -1) ]] && return 0
    grep -qx "${names[$1]}: $2" "$work/lacking" 2>/dev/null || echo "${names[$1]}: $2" >>"$work/lacking"
    return 1
}

# pipe KIND COUNT KEY: sends what elements.py writes.
pipe() {
    local file=$work/pipe.$1.$2.$3
    [[ -e $file ]] || python3 scripts/elements.py "$1" "$2" "$3" >"$file"
    taskset -c "$client_core" redis-cli -p "$port" --pipe <"$file" >"$work/said" 2>&1 || true
    grep -q 'errors: 0,' "$work/said" || { cat "$work/said" >&2 && exit 1; }
}

# Memory: name; command; kind; elements; what counts them.
memory_rows=(
    "bytes per hash of 5 fields;HSET;hashes;1000000;DBSIZE"
    "bytes per integer of a set;SADD;integers;1000000;SCARD value"
    "bytes per string of a set;SADD;strings;1000000;SCARD value"
    "bytes per member of a sorted set;ZADD;zset;1000000;ZCARD value"
    "bytes per element of a list;RPUSH;list;5000000;LLEN value"
    "bytes per entry of a stream;XADD;stream;2000000;XLEN value"
)

# run_memory SERVER ROW COMMAND KIND COUNT COUNTED-BY
run_memory() {
    local server=$1 row=$2 command=$3 kind=$4 count=$5 counted=$6 resident used
    start "${paths[$server]}" --appendonly no
    if has "$server" "$command"; then
        # What the first commands of a server take is nobody's element.
        cli "$command" warm 1 1 >/dev/null 2>&1 || true
        cli DEL warm >/dev/null
        resident=$(resident_bytes) used=$(used_bytes)
        pipe "$kind" "$count" value
        # shellcheck disable=SC2086 # The command is several words.
        [[ $(cli $counted) == "$count" ]] || { echo "${names[$server]} has not all of: $kind" >&2 && exit 1; }
        awk -v n="$count" -v a="$resident" -v b="$(resident_bytes)" 'BEGIN { printf "%.1f\n", (b - a) / n }' \
            >"$work/$row.$server.resident"
        awk -v n="$count" -v a="$used" -v b="$(used_bytes)" 'BEGIN { printf "%.1f\n", (b - a) / n }' \
            >"$work/$row.$server.used"
    fi
    stop
}

# Time: name; what is done before (a kind of elements and its key, or a dash); what the benchmark is told, or, behind
# `pipe`, what is sent through a pipe. The order matters: what is popped was pushed before.
time_rows=(
    "PING_INLINE;-;-t ping_inline"
    "PING_MBULK;-;PING"
    "SET;-;SET key:__rand_int__ xxx"
    "GET;-;GET key:__rand_int__"
    "INCR;-;INCR counter:__rand_int__"
    "LPUSH;-;LPUSH mylist xxx"
    "RPUSH;-;RPUSH mylist xxx"
    "LPOP;-;LPOP mylist"
    "RPOP;-;RPOP mylist"
    "SADD;-;SADD myset element:__rand_int__"
    "HSET;-;HSET myhash element:__rand_int__ xxx"
    "SPOP;strings myset;SPOP myset"
    "ZADD;-;ZADD myzset __rand_int__ element:__rand_int__"
    "ZPOPMIN;zset myzset;ZPOPMIN myzset"
    "LPUSH (for LRANGE);-;LPUSH shown xxx"
    "LRANGE_100;-;LRANGE shown 0 99"
    "LRANGE_300;-;LRANGE shown 0 299"
    "LRANGE_500;-;LRANGE shown 0 499"
    "LRANGE_600;-;LRANGE shown 0 599"
    "MSET (10 keys);-;-t mset"
    "XADD;-;XADD mystream * myfield xxx"
    "ZADD, 1000000 members;zset big;ZADD big __rand_int__ element:__rand_int__"
    "ZRANK, 1000000 members;zset big;ZRANK big element:__rand_int__"
    "ZRANGE of 10 by index, 1000000 members;zset big;pipe zrange big"
)

# Requests of a row: fewer where a reply is long.
count_of() {
    case $1 in
    LRANGE*) echo $((requests / 20)) ;;
    MSET* | ZRANGE*) echo $((requests / 5)) ;;
    *) echo "$requests" ;;
    esac
}

# bench COUNT RANDOM WORD…: an error reply ends the benchmark, and what it says then is no number.
bench() {
    local count=$1 random=$2
    shift 2
    taskset -c "$client_core" redis-benchmark -p "$port" -c 50 -n "$count" -P 16 -r "$random" --csv "$@" \
        >"$work/bench" 2>&1 || { cat "$work/bench" >&2 && exit 1; }
    tail -1 "$work/bench" | awk -F, '{ gsub(/"/, "", $2); if ($2 + 0 <= 0) exit 1 }' ||
        { cat "$work/bench" >&2 && exit 1; }
}

# All rows of the second table against one server.
run_times() {
    local server=$1 number name before words list command kind key count first filled=""
    start "${paths[$server]}" --appendonly no
    for number in "${!time_rows[@]}"; do
        IFS=';' read -r name before words <<<"${time_rows[$number]}"
        # What a row pops may have been pushed by one that is not wanted; then it pops nothing, which is no news.
        wanted "$name" || continue
        command=${name%%[ ,_]*}
        has "$server" "$command" || continue
        count=$(count_of "$name")
        read -r kind key <<<"$before"
        if [[ $kind != - && $filled != "$key" ]]; then
            cli DEL "$key" >/dev/null
            if [[ $key == big ]]; then pipe "$kind" 1000000 "$key"; else pipe "$kind" "$count" "$key"; fi
            filled=$key
        fi
        if [[ $words == pipe* ]]; then
            read -r _ kind key <<<"$words"
            # Written before the clock starts.
            [[ -e $work/pipe.$kind.$count.$key ]] ||
                python3 scripts/elements.py "$kind" "$count" "$key" >"$work/pipe.$kind.$count.$key"
            first=$(cpu_ns)
            pipe "$kind" "$count" "$key"
        else
            read -ra list <<<"$words"
            first=$(cpu_ns)
            bench "$count" 1000000 "${list[@]}"
        fi
        echo $((($(cpu_ns) - first) / count)) >>"$work/time$number.$server.cpu"
    done
    stop
}

for number in "${!memory_rows[@]}"; do
    IFS=';' read -r name command kind count counted <<<"${memory_rows[$number]}"
    wanted "$name" || continue
    for server in "${!paths[@]}"; do
        echo "memory: ${names[$server]}, $name" >&2
        run_memory "$server" "memory$number" "$command" "$kind" $((count * percent / 100)) "$counted"
    done
done
for ((round = 1; round <= rounds; round++)); do
    for server in "${!paths[@]}"; do
        echo "round $round of $rounds: ${names[$server]}" >&2
        run_times "$server"
    done
done

# line NAME ROW KIND: our median, its ratio to the best peer, and each peer's own number.
line() {
    local name=$1 row=$2 kind=$3 server file own="" best="" cells="" cell
    for server in "${!names[@]}"; do
        file=$work/$row.$server.$kind
        cell=-
        [[ ! -e $file ]] || cell=$(median "$file")
        if [[ $server == 0 ]]; then
            own=$cell
            continue
        fi
        cells+="| $cell "
        [[ $cell == - ]] || best=$(awk -v a="$cell" -v b="${best:-$cell}" 'BEGIN { print a < b ? a : b }')
    done
    awk -v name="$name" -v own="$own" -v best="$best" -v cells="$cells" 'BEGIN {
        ratio = own != "-" && best > 0 ? sprintf("%.2f", own / best) : "-"
        printf "| %s | %s | %s %s|\n", name, own, ratio, cells }'
}

# table TITLE KIND PREFIX ROW…
table() {
    local title=$1 kind=$2 prefix=$3 number rows
    shift 3
    rows=("$@")
    [[ -n $(find "$work" -name "$prefix*.$kind") ]] || return 0
    printf '\n| %s | %s | to the best ' "$title" "${names[0]}"
    printf '| %s ' "${names[@]:1}"
    printf '|\n|---|---:'
    printf '|---:%.0s' "${names[@]}"
    echo "|"
    for number in "${!rows[@]}"; do
        [[ -z $(find "$work" -name "$prefix$number.*.$kind") ]] ||
            line "${rows[$number]%%;*}" "$prefix$number" "$kind"
    done
}

model=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
echo "Machine: $model, $cores cores, $memory, Linux $(uname -r); server on core 0, client on core $client_core;" \
    "redis-benchmark -c 50 -P 16, $requests requests a run, median of $rounds rounds; load of the machine before:" \
    "$load; $percent % of the elements in the rows of memory."
for server in "${!paths[@]}"; do
    show_version "${names[$server]}" "${paths[$server]}"
done
[[ ! -e $work/lacking ]] || { echo "Skipped, as the server lacks the command:" && sort -u "$work/lacking" | sed 's/^/- /'; }
table "resident memory (less is better)" resident memory "${memory_rows[@]}"
table "used_memory (less is better)" used memory "${memory_rows[@]}"
table "nanoseconds of processor time a request (less is better)" cpu time "${time_rows[@]}"
