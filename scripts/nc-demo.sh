#!/usr/bin/env bash
# A session through nc, as one would type it: inline commands, checked replies.
# Usage: scripts/nc-demo.sh [host [port]]
set -euo pipefail

host=${1:-127.0.0.1}
port=${2:-6379}
prefix="demo:$$"
checked=0

# say COMMAND EXPECTED: sends one line, shows the reply, and compares it (line ends as "|").
say() {
    local reply
    reply=$(printf '%s\r\n' "$1" | nc -N "$host" "$port" | tr -d '\r' | paste -sd'|' -)
    printf '> %-44s %s\n' "$1" "$reply"
    if [[ $reply != "$2" ]]; then
        echo "expected: $2" >&2
        exit 1
    fi
    checked=$((checked + 1))
}

say "PING" "+PONG"
say "SET $prefix:k hello" "+OK"
say "GET $prefix:k" "\$5|hello"
say "SET $prefix:q \"two words\"" "+OK"
say "GET $prefix:q" "\$9|two words"
say "SET $prefix:k other NX" "\$-1"
say "GET $prefix:nosuch" "\$-1"
say "INCR $prefix:n" ":1"
say "INCRBY $prefix:n 41" ":42"
say "INCR $prefix:k" "-ERR value is not an integer or out of range"
say "LPUSH $prefix:l c b a" ":3"
say "LRANGE $prefix:l 0 -1" "*3|\$1|a|\$1|b|\$1|c"
say "RPOP $prefix:l" "\$1|c"
say "LPUSH $prefix:k x" "-WRONGTYPE Operation against a key holding the wrong kind of value"
say "TTL $prefix:k" ":-1"
say "EXPIRE $prefix:k 100" ":1"
say "TTL $prefix:k" ":100"
say "PERSIST $prefix:k" ":1"
say "SET $prefix:gone x PX 1" "+OK"
say "TYPE $prefix:l" "+list"
say "EXISTS $prefix:k $prefix:n $prefix:nosuch" ":2"
say "GET" "-ERR wrong number of arguments for 'get' command"
say "DEL $prefix:k $prefix:q $prefix:n $prefix:l $prefix:gone" ":4"

# Several lines in one go: replies come in order, and all of them before the connection ends.
replies=$(printf 'SET %s:p 1\r\nINCR %s:p\r\nDEL %s:p\r\n' "$prefix" "$prefix" "$prefix" |
    nc -N "$host" "$port" | tr -d '\r' | paste -sd' ' -)
[[ $replies == "+OK :2 :1" ]] || { echo "pipeline: $replies" >&2; exit 1; }

echo "$((checked + 1)) exchanges, all as expected"
