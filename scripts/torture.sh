#!/usr/bin/env bash
# Tortures the log for SECONDS (default 60): histories of power cuts, kills and failing disks on a simulated disk, every
# byte of a log cut and altered, kill -9 and full disks for real; with 120 seconds and more also clocks that are set, and
# rewrites without end. Ends in a table; losses and wrong values must be 0.
#
#   scripts/torture.sh [SECONDS]
#   KVICK_TORTURE_SEED=n    the first seed; default: from the clock when there are more than 300 seconds, else 1
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
begin=$SECONDS
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if [[ -z ${KVICK_TORTURE_SEED:-} && 300 -lt $seconds ]]; then
    KVICK_TORTURE_SEED=$(date +%s)
fi
export KVICK_TORTURE_SEED=${KVICK_TORTURE_SEED:-1}
echo "KVICK_TORTURE_SEED=$KVICK_TORTURE_SEED"

cargo test --quiet --no-run --test torture --test crash --test server --test clock --test forks

# run NAME TEST FILTER: what a test says goes into a file; what it says when it fails is shown.
failed=0
run() {
    if ! cargo test --quiet --test "$2" -- --nocapture --test-threads 1 "$3" >"$folder/$1" 2>&1; then
        failed=1
        grep -v '^torture:' "$folder/$1" | tail -60
    fi
}

# The damage done to files takes what it takes; the others share what is left.
KVICK_TORTURE_SECONDS=$((seconds < 120 ? 0 : 1)) run damage torture damage::
run crash crash ""
run disk server disk::
shares=2
if [[ 120 -le $seconds ]]; then
    run clock clock ""
    shares=3
fi
left=$((seconds - (SECONDS - begin)))
each=$((left < 2 * shares ? 2 : left / shares))
KVICK_TORTURE_STORIES=$((each < 20 ? 20 : 150)) KVICK_TORTURE_SECONDS=$each run histories torture histories
KVICK_TORTURE_STORIES=1 KVICK_TORTURE_SECONDS=$each run sweep torture the_power
if [[ $shares == 3 ]]; then
    KVICK_FORKS=1000000 KVICK_FORKS_SECONDS=$each KVICK_FORKS_SEED=$KVICK_TORTURE_SEED run forks forks many_rewrites
fi

# sum NAME: of all figures of that name.
sum() {
    grep -ho "\b$1: [0-9]*" "$folder"/* | awk '{ sum += $2 } END { print sum + 0 }'
}

damaged=$(grep -ho 'damaged [0-9]*' "$folder"/* | awk '{ sum += $2 } END { print sum + 0 }')
losses=$(cat "$folder"/* | grep -c 'must be there\|gone is what\|does not heal\|found what is no prefix' || true)
wrong=$(cat "$folder"/* | grep -c 'half of a transaction\|another state\|never brings wrong' || true)
row() {
    printf '%-44s %12s\n' "$1" "$2"
}
echo
row "histories" "$(sum histories)"
row "power cuts" "$(sum cuts)"
row "kills" "$(sum kills)"
row "clean stops" "$(sum stops)"
row "faults of the disk" "$(sum faults)"
row "recoveries from them, looked at" "$(sum heals)"
row "operations of the disk" "$(sum operations)"
row "rewrites" "$(sum rewrites)"
row "children killed while they wrote" "$(sum killed)"
row "backups, looked at after each cut and kill" "$(sum backups)"
row "changes made" "$(sum units)"
row "changes of the policy, log off or on" "$(sum changes)"
row "clients that had waited, served" "$(sum served)"
row "keys evicted" "$(sum evicted)"
row "keys expired" "$(sum expired)"
row "fields expired" "$(sum expired_fields)"
row "replies compared" "$(sum replies)"
row "changes gone that nobody was promised" "$(sum gone)"
row "oldest of them under everysec, ms" "$(grep -ho 'oldest_gone_ms: [0-9]*' "$folder"/* | awk '{ if (max < $2) max = $2 } END { print max + 0 }')"
row "files damaged" "$damaged"
row "losses" "$losses"
row "wrong values" "$wrong"
echo "refusals, with their reasons:"
cat "$folder"/* | grep -o '"[^"]*": [0-9]*' | sed 's/"\(.*\)": \([0-9]*\)/\1\t\2/' |
    awk -F'\t' '{ sum[$1] += $2 } END { for (name in sum) printf "  %-58s %d\n", name, sum[name] }' | sort
echo "after $((SECONDS - begin)) s"
if [[ $failed != 0 || $losses != 0 || $wrong != 0 ]]; then
    echo "torture: something was found, see above"
    exit 1
fi
