#!/usr/bin/env bash
# Rewrites the log COUNT times (default 2000) under churn, with the sync helper busy, the policy changed before each one,
# snapshots in between and children killed: none may hang, and nothing may be left of them, neither files nor descriptors
# nor processes. 20000 take about half an hour.
#
#   scripts/forks.sh [COUNT]
#   KVICK_FORKS_SECONDS=n   no more of them after so many seconds
#   KVICK_FORKS_SEED=n      another order of things; default: from the clock
set -euo pipefail
cd "$(dirname "$0")/.."

export KVICK_FORKS=${1:-2000}
export KVICK_FORKS_SEED=${KVICK_FORKS_SEED:-$(date +%s)}
echo "KVICK_FORKS=$KVICK_FORKS KVICK_FORKS_SEED=$KVICK_FORKS_SEED"
exec cargo test --quiet --test forks -- --nocapture many_rewrites
